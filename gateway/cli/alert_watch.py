"""`stockgate alert watch`: warnings as they come, through the same client that services use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from gateway.cli import alert_words as words
from gateway.cli import arguments
from gateway.cli.client import Caller, gateway_command
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import document, local_time, number, print_document, say
from gateway.cli.subscribing import alerts_client, run_until_interrupted
from gateway.client import AlertEvent, AlertItem, AlertWatch, PassedOver, ResumePoint, Snapshot, Start
from gateway.v1 import alert_pb2, alert_service_pb2

app = typer.Typer()

LOOK_SECONDS = 5.0

Skus = Annotated[
    list[str] | None, typer.Option("--sku", metavar="CODE", help="Only this one; may be repeated.", show_default=False)
]
Channels = Annotated[
    list[str] | None, typer.Option("--channel", metavar="CODE", help="Only what it sells.", show_default=False)
]
Sessions = Annotated[
    list[int] | None, typer.Option("--session", metavar="NUMBER", help="Only what it sells.", show_default=False)
]
MinTier = Annotated[
    str, typer.Option("--min-tier", metavar="TIER", help="Tier changes from or to this tier, or a higher one.")
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="KIND", help="Only these, as in tier-change; may be repeated.", show_default=False),
]
Drills = Annotated[bool, typer.Option("--drills", help="What belongs to drills too.")]


@gateway_command(app)
def watch(
    caller: Caller,
    sku: Skus = None,
    channel: Channels = None,
    session: Sessions = None,
    min_tier: MinTier = "",
    kind: Kinds = None,
    after: Annotated[
        int | None, typer.Option("--after", metavar="REVISION", min=0, help="Go on after this revision.")
    ] = None,
    epoch: Annotated[str, typer.Option("--epoch", metavar="TEXT", help="The epoch that revision belongs to.")] = "",
    live_only: Annotated[bool, typer.Option("--live-only", help="Only what comes from now on.")] = False,
    drills: Drills = False,
    subscriber: Annotated[
        str,
        typer.Option("--subscriber", metavar="NAME", help="Have the gateway keep, under this name, how far it was."),
    ] = "",
) -> None:
    """Watch warnings come, until Ctrl-C. With --json one document a line.

    A lost connection is resumed by itself, without loss. The output's `point` says where to go on with --after and
    --epoch.
    """
    if after is not None and not epoch:
        raise failure(
            "EPOCH", "--after needs the --epoch it belongs to", "The output of the watch said it.", EXIT_USAGE
        )
    wanted = alert_filter(sku, channel, session, min_tier, kind)
    start: ResumePoint | Start = Start.CURSOR_OR_LIVE if live_only else Start.CURSOR_OR_SNAPSHOT
    if after is not None:
        start = ResumePoint(after, epoch)
    # A gateway that is not there, or refuses the token, is said at once; one that goes away later is waited for.
    caller.ask(caller.alerts.ListSubscribers, alert_service_pb2.ListSubscribersRequest())
    run_until_interrupted(_follow(caller, wanted, start, drills=drills, subscriber_id=subscriber))


async def _follow(
    caller: Caller,
    wanted: alert_service_pb2.AlertFilter,
    start: ResumePoint | Start,
    *,
    drills: bool,
    subscriber_id: str,
) -> None:
    async with alerts_client(caller.settings) as alerts:
        following = alerts.watch(
            skus=wanted.skus,
            channels=wanted.channels,
            session_ids=wanted.session_ids,
            min_tier=wanted.min_tier,
            kinds=wanted.kinds,
            include_drills=drills,
            subscriber_id=subscriber_id,
            start=start,
        )
        looking = asyncio.ensure_future(_look_after(following))
        try:
            async for item in following:
                _print(item, following.point, as_json=caller.as_json)
        finally:
            looking.cancel()


async def _look_after(following: AlertWatch) -> None:
    """Say when warnings may not be coming, and when they are again."""
    was_alive = True
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if following.is_alive != was_alive:
            was_alive = following.is_alive
            typer.echo(
                "the watchdog is heard again"
                if was_alive
                else "no watchdog was heard for 90 s: warnings may be missing",
                err=True,
            )


def alert_filter(
    sku: Sequence[str] | None,
    channel: Sequence[str] | None,
    session: Sequence[int] | None,
    min_tier: str,
    kind: Sequence[str] | None,
) -> alert_service_pb2.AlertFilter:
    """What was typed as a filter. Raises `typer.BadParameter`."""
    return alert_service_pb2.AlertFilter(
        skus=sku or [],
        channels=channel or [],
        session_ids=session or [],
        min_tier=arguments.tier(min_tier) if min_tier else alert_pb2.TIER_UNSPECIFIED,
        kinds=[arguments.alert_kind(each) for each in kind or []],
    )


def _print(item: AlertItem, point: ResumePoint | None, *, as_json: bool) -> None:
    if as_json:
        print_document(_document(item, point), as_line=True)
        return
    match item:
        case Snapshot():
            _say_snapshot(item)
        case PassedOver():
            say(f"events {number(item.from_revision)} to {number(item.to_revision)} were passed over", style="yellow")
        case _:
            say(_line(item), style=words.style_of(item))


def _document(item: AlertItem, point: ResumePoint | None) -> dict[str, object]:
    """`point` is where to go on before this item was seen."""
    said: dict[str, object]
    match item:
        case Snapshot():
            states = [document(state) for state in item.states]
            said = {"snapshot": {"revision": item.revision, "is_after_loss": item.is_after_loss, "states": states}}
        case PassedOver():
            said = {"passed_over": {"from_revision": item.from_revision, "to_revision": item.to_revision}}
        case _:
            said = {"event": document(item)}
    return said | {"point": None if point is None else {"revision": point.revision, "epoch": point.epoch}}


def _say_snapshot(snapshot: Snapshot) -> None:
    if snapshot.is_after_loss:
        say("what happened meanwhile is no longer kept; this is how it stands", style="yellow")
    pressing = [state for state in snapshot.states if state.tier > alert_pb2.TIER_NORMAL or state.is_stale]
    for state in pressing:
        own = f" (session {state.session_id})" if state.session_id else ""
        mark = words.tier_mark(state.tier, is_stale=state.is_stale)
        rest = words.left(state.stock_out)
        line = f"{state.sku}{own}  {mark} · {number(state.evidence.sellable)} can be sold"
        say(line + (f" · gone in {rest}" if rest else ""), style=words.STYLES.get(state.tier, ""))
    quiet = len(snapshot.states) - len(pressing)
    say(f"as of revision {number(snapshot.revision)}; {number(quiet)} more are normal; changes follow", style="dim")


def _line(event: AlertEvent) -> str:
    subject = f"  {words.about(event)}" if event.sku else ""
    told = f"  {words.told(event)}" if words.told(event) else ""
    return f"{number(event.revision)}  {local_time(event.record_time)}  {words.kind_word(event)}{subject}{told}"
