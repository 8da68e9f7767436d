"""`stockgate policy ...`: how a SKU is divided among its listings."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import arguments
from gateway.cli.client import Caller, gateway_command
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import Column, document, number, print_document, print_table, say, word
from gateway.cli.pages import Limit, gathered
from gateway.cli.sku import SkuCode
from gateway.cli.stock import say_more
from gateway.v1 import catalog_service_pb2, channel_pb2

app = typer.Typer(no_args_is_help=True, help="How SKUs are divided among the channels.")

POLICY_COLUMNS = (
    Column("SKU"),
    Column("kind"),
    Column("channels", worth=5),
    Column("stop at", is_number=True, worth=4),
    Column("shown at least", is_number=True, worth=3),
    Column("buffer", is_number=True, worth=2),
    Column("escrow below", is_number=True, worth=1),
)
# What only a policy of this kind has.
SHARED_FIELDS = ("buffer", "escrow_below")
SHARED = channel_pb2.POLICY_KIND_SHARED


@gateway_command(app, name="set")
def set_policy(
    caller: Caller,
    sku: SkuCode,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="by-demand, weighted, fixed, priority, exclusive or shared.",
            show_default=False,
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            metavar="CODE[=SHARE]",
            help="A channel, first come first; SHARE is its weight or its quota. Repeat it to name all of them anew.",
        ),
    ] = None,
    cap: Annotated[
        list[str] | None,
        typer.Option("--cap", metavar="CODE=UNITS", help="The most a channel may show; CODE=none lifts it."),
    ] = None,
    stop_at: Annotated[
        int | None, typer.Option("--stop-at", metavar="UNITS", help="Units kept from all channels.")
    ] = None,
    shown_min: Annotated[
        int | None, typer.Option("--shown-min", metavar="UNITS", help="Never show less: a permission to oversell.")
    ] = None,
    buffer: Annotated[int | None, typer.Option("--buffer", metavar="UNITS", help="shared: units never shown.")] = None,
    escrow_below: Annotated[
        int | None,
        typer.Option("--escrow-below", metavar="UNITS", help="shared: with so many or fewer, divide by demand."),
    ] = None,
) -> None:
    """Change how a SKU is divided: only what is named."""
    given = {"stop_at": stop_at, "shown_min": shown_min, "buffer": buffer, "escrow_below": escrow_below}
    numbers = {name: value for name, value in given.items() if value is not None}
    if kind is None and channel is None and cap is None and not numbers:
        raise failure("NOTHING_TO_SET", "nothing was named", "`stockgate policy set --help` shows what.", EXIT_USAGE)
    shares = None if channel is None else [arguments.share(each) for each in channel]
    caps = dict(arguments.cap(each) for each in cap or [])
    wanted = caller.ask(caller.catalog.GetPolicy, catalog_service_pb2.GetPolicyRequest(sku=sku)).policy
    if kind is not None:
        wanted.kind = arguments.policy_kind(kind)
        if wanted.kind != SHARED:
            for name in SHARED_FIELDS:
                wanted.ClearField(name)  # type: ignore[arg-type]  # the stubs want a literal
    for name, value in numbers.items():
        setattr(wanted, name, value)
    if shares is not None:
        _name_anew(wanted, shares)
    _cap(wanted, caps)
    _show_policy(caller, caller.ask(caller.catalog.SetPolicy, catalog_service_pb2.SetPolicyRequest(policy=wanted)))


@gateway_command(app)
def show(caller: Caller, sku: SkuCode) -> None:
    """Show how a SKU is divided."""
    _show_policy(caller, caller.ask(caller.catalog.GetPolicy, catalog_service_pb2.GetPolicyRequest(sku=sku)))


@gateway_command(app, name="list")
def list_policies(caller: Caller, limit: Limit = 100) -> None:
    """Show the policies that were set, by SKU; all other SKUs are divided by demand."""
    request = catalog_service_pb2.ListPoliciesRequest()
    response = gathered(caller, caller.catalog.ListPolicies, request, "policies", limit)
    if caller.as_json:
        print_document(document(response))
        return
    empty = "No policies: every SKU is divided by demand. `stockgate policy set SKU` says otherwise."
    print_table(POLICY_COLUMNS, [_row(each) for each in response.policies], empty)
    say_more(response.next_page_token, limit)


def _name_anew(policy: channel_pb2.StockPolicy, shares: list[channel_pb2.ChannelShare]) -> None:
    """The channels, in this order; those that were there keep their caps."""
    caps = {each.channel: each.cap for each in policy.shares if each.HasField("cap")}
    del policy.shares[:]
    for share in shares:
        if share.channel in caps:
            share.cap = caps[share.channel]
        policy.shares.append(share)


def _cap(policy: channel_pb2.StockPolicy, caps: dict[str, int | None]) -> None:
    named = {each.channel: each for each in policy.shares}
    for channel, units in caps.items():
        share = named[channel] if channel in named else policy.shares.add(channel=channel)
        if units is None:
            share.ClearField("cap")
        else:
            share.cap = units


def _show_policy(
    caller: Caller, response: catalog_service_pb2.GetPolicyResponse | catalog_service_pb2.SetPolicyResponse
) -> None:
    if caller.as_json:
        print_document(document(response))
        return
    policy = response.policy
    say(f"{policy.sku}  {_kind(policy)}", style="bold")
    for share in policy.shares:
        say(f"  {_share(policy, share)}")
    words = {
        "kept from all channels": policy.stop_at,
        "shown at the least, whatever there is": policy.shown_min,
        "never shown": policy.buffer,
        "or fewer available: divided by demand": policy.escrow_below,
    }
    said = [f"{number(units)} {what}" for what, units in words.items() if units]
    if said:
        say(" · ".join(said))


def _row(policy: channel_pb2.StockPolicy) -> tuple[str | int, ...]:
    numbers = (policy.stop_at, policy.shown_min, policy.buffer, policy.escrow_below)
    shares = ", ".join(_share(policy, share) for share in policy.shares)
    return (policy.sku, _kind(policy), shares, *(number(each) if each else "" for each in numbers))


def _kind(policy: channel_pb2.StockPolicy) -> str:
    return word(channel_pb2.PolicyKind.Name(policy.kind), "POLICY_KIND_")


def _share(policy: channel_pb2.StockPolicy, share: channel_pb2.ChannelShare) -> str:
    has_share = policy.kind in {channel_pb2.POLICY_KIND_WEIGHTED, channel_pb2.POLICY_KIND_FIXED}
    parts = [share.channel, *([number(share.share)] if has_share else [])]
    if share.HasField("cap"):
        parts.append(f"(at most {number(share.cap)})")
    return " ".join(parts)
