"""`stockgate alert policy|runbook|incoming|profile ...`: what to be warned of, what to do then, what is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import alert_words as words
from gateway.cli import arguments
from gateway.cli.attention import Actor
from gateway.cli.client import Caller, RequestId, gateway_command
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import Column, document, local_time, number, print_document, print_table, say
from gateway.cli.pages import Limit, gathered
from gateway.cli.runbook_file import read_runbooks, written
from gateway.cli.sku import SkuCode
from gateway.cli.stock import say_more
from gateway.v1 import alert_pb2, alert_service_pb2

policy_app = typer.Typer(no_args_is_help=True, help="What to be warned of.")
runbook_app = typer.Typer(no_args_is_help=True, help="What to do in each tier.")
incoming_app = typer.Typer(no_args_is_help=True, help="Units on their way; they enter the forecast.")
profile_app = typer.Typer(no_args_is_help=True, help="What history says of the day's hours and of each SKU's sales.")

POLICY_COLUMNS = (
    Column("SKU"),
    Column("to last with", worth=6),
    Column("THRESHOLD at", worth=5),
    Column("URGENT at", worth=4),
    Column("more in", worth=7),
    Column("at the soonest", worth=3),
    Column("one false TREND in", worth=1),
    Column("no supply", worth=2),
)
INCOMING_COLUMNS = (
    Column("number", is_number=True),
    Column("SKU"),
    Column("units", is_number=True),
    Column("there"),
    Column("by", worth=2),
    Column("reference", worth=3),
    Column("ended", worth=1),
)
FIELD_OF_OPTION = {
    "service-level": "service_level",
    "fixed-line": "fixed_line",
    "hard-floor": "hard_floor",
    "lead": "lead_seconds",
    "fastest": "fastest_lead_seconds",
    "false-raise": "false_raise_seconds",
    "no-supply": "no_supply",
}


@gateway_command(policy_app, name="set")
def set_policy(
    caller: Caller,
    actor: Actor,
    request_id: RequestId,
    sku: Annotated[str, typer.Argument(metavar="[SKU]", help="The SKU; none: for all.", show_default=False)] = "",
    service_level: Annotated[
        float | None, typer.Option("--service-level", metavar="SHARE", help="The chance of lasting, as in 0.97.")
    ] = None,
    fixed_line: Annotated[
        int | None, typer.Option("--fixed-line", metavar="UNITS", help="THRESHOLD at so many or fewer, in any case.")
    ] = None,
    hard_floor: Annotated[
        int | None, typer.Option("--hard-floor", metavar="UNITS", help="URGENT at so many or fewer, in any case.")
    ] = None,
    lead: Annotated[
        str,
        typer.Option("--lead", metavar="TIME", help="How long more takes where the catalog does not say, as in 30m."),
    ] = "",
    fastest: Annotated[
        str, typer.Option("--fastest", metavar="TIME", help="How long the fastest way to get more takes, as in 10m.")
    ] = "",
    false_raise: Annotated[
        str, typer.Option("--false-raise", metavar="TIME", help="At most one false TREND in so long, as in 4h.")
    ] = "",
    no_supply: Annotated[
        bool | None, typer.Option("--no-supply/--supply", help="Whether there is no way to get more.")
    ] = None,
    unset: Annotated[
        list[str] | None,
        typer.Option("--unset", metavar="NAME", help="Back to as for all: the name of an option, as in hard-floor."),
    ] = None,
) -> None:
    """Change what to be warned of: only what is named.

    What is not set for a SKU is as for all; what is not set for all is as the gateway has it.
    """
    given = {
        "service_level": service_level,
        "fixed_line": fixed_line,
        "hard_floor": hard_floor,
        "lead_seconds": _seconds(lead),
        "fastest_lead_seconds": _seconds(fastest),
        "false_raise_seconds": _seconds(false_raise),
        "no_supply": no_supply,
    }
    named = {name: value for name, value in given.items() if value is not None}
    cleared = [_field_named(each) for each in unset or []]
    if not named and not cleared:
        raise failure("NOTHING_TO_SET", "nothing was named", "`alert policy set --help` shows what.", EXIT_USAGE)
    wanted = _policy_of(caller, sku)
    for name in cleared:
        wanted.ClearField(name)  # type: ignore[arg-type]  # the stubs want a literal
    for name, value in named.items():
        setattr(wanted, name, value)
    request = alert_service_pb2.SetAlertPolicyRequest(request_id=request_id, policy=wanted, actor=actor)
    response = caller.ask(caller.alerts.SetAlertPolicy, request)
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    said = words.policy(response.policy) or ("as for all" if sku else "as the gateway has it")
    say(f"{sku or 'all SKUs'}: {said}", style="bold")


@gateway_command(policy_app, name="list")
def list_policies(
    caller: Caller,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only SKUs whose code begins so.")] = "",
    limit: Limit = 100,
) -> None:
    """Show what was set, the one for all first."""
    request = alert_service_pb2.ListAlertPoliciesRequest(sku_prefix=prefix)
    response = gathered(caller, caller.alerts.ListAlertPolicies, request, "policies", limit)
    if caller.as_json:
        print_document(document(response))
        return
    empty = "Nothing was set: `stockgate alert policy set [SKU]` says what to be warned of."
    print_table(POLICY_COLUMNS, [_policy_row(each) for each in response.policies], empty)
    say_more(response.next_page_token, limit)


@gateway_command(runbook_app, name="set")
def set_runbooks(
    caller: Caller,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="TOML, as `alert runbook list --toml` prints it.", show_default=False)
    ],
    actor: Actor,
    request_id: RequestId,
) -> None:
    """Lay down what to do in the tiers that a file names; each of them whole."""
    runbooks = read_runbooks(file)
    stored = []
    for runbook in runbooks:
        own_id = f"{request_id}-{runbook.tier}"
        request = alert_service_pb2.SetRunbookRequest(request_id=own_id, runbook=runbook, actor=actor)
        stored.append(caller.ask(caller.alerts.SetRunbook, request).runbook)
    if caller.as_json:
        print_document({"request_id": request_id, "runbooks": [document(each) for each in stored]})
        return
    for runbook in stored:
        _say_runbook(runbook)


@gateway_command(runbook_app, name="list")
def list_runbooks(
    caller: Caller,
    toml: Annotated[bool, typer.Option("--toml", help="In the form that `alert runbook set` reads.")] = False,
) -> None:
    """Show what to do in each tier."""
    response = caller.ask(caller.alerts.ListRunbooks, alert_service_pb2.ListRunbooksRequest())
    if caller.as_json:
        print_document(document(response))
    elif toml:
        print(written(response.runbooks))
    else:
        for runbook in response.runbooks:
            _say_runbook(runbook)


@gateway_command(incoming_app, name="add")
def add_incoming(
    caller: Caller,
    sku: SkuCode,
    quantity: Annotated[int, typer.Argument(metavar="QUANTITY", help="Units, above 0.", show_default=False)],
    actor: Actor,
    request_id: RequestId,
    arrive: Annotated[
        str,
        typer.Option("--in", metavar="TIME", help="When they can be sold, as in 15m, or a time.", show_default=False),
    ],
    reference: Annotated[str, typer.Option("--reference", metavar="TEXT", help="A purchase order, a transfer.")] = "",
) -> None:
    """Say that units are on their way."""
    request = alert_service_pb2.AnnounceIncomingRequest(
        request_id=request_id,
        sku=sku,
        quantity=quantity,
        arrive_time=arguments.later(arrive),
        actor=actor,
        reference=reference,
    )
    response = caller.ask(caller.alerts.AnnounceIncoming, request)
    _show_incoming(caller, request_id, response)


@gateway_command(incoming_app, name="cancel")
def cancel_incoming(
    caller: Caller,
    incoming_id: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Their number.", show_default=False)],
    actor: Actor,
    request_id: RequestId,
) -> None:
    """Say that announced units will not come."""
    request = alert_service_pb2.CancelIncomingRequest(request_id=request_id, incoming_id=incoming_id, actor=actor)
    _show_incoming(caller, request_id, caller.ask(caller.alerts.CancelIncoming, request))


@gateway_command(incoming_app, name="list")
def list_incoming(
    caller: Caller,
    sku: Annotated[str, typer.Argument(metavar="[SKU]", help="Only of this SKU.", show_default=False)] = "",
    limit: Limit = 100,
) -> None:
    """Show units on their way, by arrival."""
    request = alert_service_pb2.ListIncomingRequest(sku=sku)
    response = gathered(caller, caller.alerts.ListIncoming, request, "incoming", limit)
    if caller.as_json:
        print_document(document(response))
        return
    rows = [
        (
            each.incoming_id,
            each.sku,
            each.quantity,
            local_time(each.arrive_time),
            each.actor,
            each.reference,
            each.end_reason.lower(),
        )
        for each in response.incoming
    ]
    print_table(INCOMING_COLUMNS, rows, "Nothing is on its way.")
    say_more(response.next_page_token, limit)


@gateway_command(profile_app, name="set")
def set_profile(
    caller: Caller,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON, as `stockgate learn` writes it.", show_default=False)
    ],
    request_id: RequestId,
) -> None:
    """Store what `stockgate learn` has learned from history."""
    try:
        profile = file.read_text(encoding="utf-8")
    except OSError as error:
        raise failure("FILE", f"cannot read {file}: {error.strerror}", "Name a file.", EXIT_USAGE) from error
    except UnicodeDecodeError as error:
        raise failure(
            "FILE", f"{file} is not UTF-8", "`stockgate learn LOG -o FILE` writes one.", EXIT_USAGE
        ) from error
    request = alert_service_pb2.SetDemandProfileRequest(request_id=request_id, profile_json=profile)
    response = caller.ask(caller.alerts.SetDemandProfile, request)
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    say(f"Stored: it knows {number(response.skus)} SKUs.")


@gateway_command(profile_app, name="show")
def show_profile(caller: Caller) -> None:
    """Print what is stored, as `stockgate learn` writes it. With --json in a document, with its time."""
    response = caller.ask(caller.alerts.GetDemandProfile, alert_service_pb2.GetDemandProfileRequest())
    if caller.as_json:
        print_document(document(response))
    elif response.profile_json:
        print(response.profile_json)
    else:
        say("None is stored: `stockgate learn LOG -o FILE` makes one, `stockgate alert profile set FILE` stores it.")


def _policy_of(caller: Caller, sku: str) -> alert_pb2.AlertPolicy:
    """What was set for this SKU (none: for all), so that the rest stays."""
    request = alert_service_pb2.ListAlertPoliciesRequest(sku_prefix=sku, page_size=1)
    found = caller.ask(caller.alerts.ListAlertPolicies, request).policies
    # Of codes that begin so, the shortest comes first, and is the SKU's own if it has one.
    return found[0] if found and found[0].sku == sku else alert_pb2.AlertPolicy(sku=sku)


def _seconds(text: str) -> float | None:
    return arguments.duration(text).total_seconds() if text else None


def _field_named(option: str) -> str:
    name = option.strip().lstrip("-").replace("_", "-")
    if name not in FIELD_OF_OPTION:
        raise typer.BadParameter(f"{option!r} is none of {', '.join(FIELD_OF_OPTION)}")
    return FIELD_OF_OPTION[name]


def _policy_row(policy: alert_pb2.AlertPolicy) -> tuple[str | int, ...]:
    def said(name: str, text: str) -> str:
        return text if policy.HasField(name) else ""  # type: ignore[arg-type]  # the stubs want a literal

    return (
        policy.sku or "(all)",
        said("service_level", words.percent(policy.service_level)),
        said("fixed_line", number(policy.fixed_line)),
        said("hard_floor", number(policy.hard_floor)),
        said("lead_seconds", words.span(policy.lead_seconds)),
        said("fastest_lead_seconds", words.span(policy.fastest_lead_seconds)),
        said("false_raise_seconds", words.span(policy.false_raise_seconds)),
        said("no_supply", "yes" if policy.no_supply else "no"),
    )


def _say_runbook(runbook: alert_pb2.Runbook) -> None:
    receivers = f"  tells {', '.join(runbook.receivers)}" if runbook.receivers else ""
    say(f"{words.tier_mark(runbook.tier)}{receivers}", style=words.STYLES.get(runbook.tier, ""))
    for place, step in enumerate(runbook.steps, start=1):
        say(f"  {place}. {words.step(step)}")
    for line in (runbook.host_line, runbook.host_line_en):
        if line:
            say(f"  host: {line}")


def _show_incoming(
    caller: Caller,
    request_id: str,
    response: alert_service_pb2.AnnounceIncomingResponse | alert_service_pb2.CancelIncomingResponse,
) -> None:
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    say(f"{response.incoming.sku}: {words.incoming(response.incoming)}", style="bold")
