"""`stockgate timeline` and `stockgate audit`: what happened to a SKU, and who did what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gateway.cli import arguments
from gateway.cli.away import Away
from gateway.cli.client import INT64_MAX, Caller, gateway_command
from gateway.cli.errors import Failure
from gateway.cli.explain import Lang, place_of
from gateway.cli.output import Column, document, local, local_time, print_document, print_table, say, word
from gateway.cli.pages import Limit, gathered
from gateway.cli.stock import say_more
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb

app = typer.Typer()

FOLLOW_SECONDS = 1.0
# What was recorded at one moment may become visible later: so far back is looked again.
LATE = timedelta(seconds=10)
# More than a SKU has in that time, at a thousand orders a second.
FOLLOWED_MAX = 50_000
_STYLES = {
    operations_pb2.TIMELINE_KIND_EVENT: "yellow",
    operations_pb2.TIMELINE_KIND_PERSON: "cyan",
    operations_pb2.TIMELINE_KIND_SHORTFALL: "red",
    operations_pb2.TIMELINE_KIND_ATTEMPT: "dim",
    operations_pb2.TIMELINE_KIND_READING: "dim",
}
_AUDIT_COLUMNS = (
    Column("audit", is_number=True),
    Column("asked"),
    Column("who", worth=8),
    Column("what"),
    Column("SKU", worth=7),
    Column("channel", worth=6),
    Column("outcome"),
    Column("why", worth=5),
    Column("trace", worth=1),
)
_Sku = Annotated[str, typer.Option("--sku", metavar="CODE", help="The SKU.", show_default=False)]


@gateway_command(app)
def timeline(
    caller: Caller,
    sku: _Sku,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From then on (ISO 8601, or 15m ago).")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Up to then.")] = "",
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind, as in push; may be repeated.")
    ] = None,
    drills: Annotated[bool, typer.Option("--drills", help="What was rehearsed as well.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    lang: Lang = "",
    limit: Limit = 50,
) -> None:
    """Show everything that happened to a SKU: stock, orders, pushes, calls, readings, tiers, people. Newest last."""
    request = pb.ListTimelineRequest(sku=sku, include_drills=drills, kinds=[timeline_kind(each) for each in kind or ()])
    for name, text in (("since", since), ("until", until)):
        if text:
            getattr(request, name).CopyFrom(arguments.timestamp(text))
    if follow and until:
        raise typer.BadParameter("--follow has no end, and --until is one")
    place = place_of(lang)
    response = gathered(caller, caller.operations.ListTimeline, request, "entries", limit)
    if caller.as_json and not follow:
        print_document(document(response))
        return
    for entry in reversed(response.entries):
        _say(entry, as_json=caller.as_json, place=place)
    if not follow:
        if not response.entries:
            say("Nothing has happened in that time.", style="dim")
        say_more(response.next_page_token, limit)
        return
    with suppress(KeyboardInterrupt):
        for entry in Following(caller, request, response).entries():
            _say(entry, as_json=caller.as_json, place=place)


def timeline_kind(text: str) -> operations_pb2.TimelineKind.ValueType:
    """`push`, `attempt` ...: what an entry is about. Raises `typer.BadParameter`."""
    known = {_bare(number): number for number in operations_pb2.TimelineKind.values() if number}
    if text.strip().lower() not in known:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(known)}")
    return known[text.strip().lower()]


class Following:
    """What happens after a first answer, as it becomes visible, each once; by the gateway's clock alone."""

    def __init__(self, caller: Caller, request: pb.ListTimelineRequest, first: pb.ListTimelineResponse) -> None:
        """`first` answers the request; `request` is changed from now on."""
        self._caller, self._request = caller, request
        self._told = {_key(entry): entry.record_time.ToDatetime(UTC) for entry in first.entries}
        # What a limit has left out before is not news.
        self._floor = min(self._told.values(), default=None) if first.next_page_token else None
        self._away = Away()

    def entries(self) -> Iterator[operations_pb2.TimelineEntry]:
        """Oldest first, without end. Raises Failure if the gateway stays away."""
        while True:
            try:
                fresh = self._fresh()
                self._away.heard()
                yield from fresh
            except Failure as failed:
                self._away.lost(failed)
            time.sleep(FOLLOW_SECONDS)

    def _fresh(self) -> list[operations_pb2.TimelineEntry]:
        if since := self._since():
            self._request.since.FromDatetime(since)
            self._told = {key: when for key, when in self._told.items() if when >= since}
        self._request.page_token = ""
        method = self._caller.operations.ListTimeline
        found = gathered(self._caller, method, self._request, "entries", FOLLOWED_MAX)
        if found.next_page_token:
            typer.echo(f"more has happened than can be followed: the last {FOLLOWED_MAX:,} are told", err=True)
        fresh = [entry for entry in found.entries if _key(entry) not in self._told]
        self._told |= {_key(entry): entry.record_time.ToDatetime(UTC) for entry in fresh}
        return fresh[::-1]

    def _since(self) -> datetime | None:
        """From when on is looked; None, as it was asked at first, while nothing is known."""
        if not self._told:
            return None
        return max(filter(None, (max(self._told.values()) - LATE, self._floor)))


def _key(entry: operations_pb2.TimelineEntry) -> tuple[str, str, int]:
    return entry.row.kind, entry.row.id, entry.record_time.ToMicroseconds()


def _say(entry: operations_pb2.TimelineEntry, *, as_json: bool, place: int) -> None:
    if as_json:
        print_document(document(entry), as_line=True)
        return
    when = entry.record_time.ToDatetime(UTC)
    trace = f"  trace {entry.trace_id}" if entry.trace_id else ""
    said = f"{local(when)}  {_bare(entry.kind):<9} {(entry.text, entry.text_en)[place]}{trace}"
    say(said, style=_STYLES.get(entry.kind, ""))


@gateway_command(app)
def audit(
    caller: Caller,
    sku: Annotated[str, typer.Option("--sku", metavar="CODE", help="Only about this SKU.")] = "",
    channel: Annotated[str, typer.Option("--channel", metavar="CODE", help="Only about this channel.")] = "",
    actor: Annotated[str, typer.Option("--actor", metavar="NAME", help="Only by this person.")] = "",
    up_to: Annotated[
        int, typer.Option("--up-to", metavar="NUMBER", min=0, max=INT64_MAX, help="This entry and those before it.")
    ] = 0,
    limit: Limit = 50,
) -> None:
    """Show who did what, when and why, refusals included. Newest first."""
    request = pb.ListAuditRequest(sku=sku, channel=channel, actor=actor, up_to_audit_id=up_to)
    response = gathered(caller, caller.operations.ListAudit, request, "entries", limit)
    if caller.as_json:
        print_document(document(response))
        return
    rows = [
        (
            entry.audit_id,
            local_time(entry.record_time),
            entry.actor,
            entry.method,
            entry.sku,
            entry.channel,
            entry.outcome or "not known",
            entry.reason,
            entry.trace_id,
        )
        for entry in response.entries
    ]
    print_table(_AUDIT_COLUMNS, rows, "Nobody has done anything yet.")
    say_more(response.next_page_token, limit)


def _bare(kind: operations_pb2.TimelineKind.ValueType) -> str:
    return word(operations_pb2.TimelineKind.Name(kind), "TIMELINE_KIND_")
