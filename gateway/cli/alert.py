"""`stockgate alert ...`: where SKUs stand, why, and what the log of warnings tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.cli import alert_settings, alert_watch, arguments, attention
from gateway.cli import alert_words as words
from gateway.cli.client import Caller, gateway_command
from gateway.cli.output import Column, ago, document, local_time, number, print_document, print_table, say
from gateway.cli.pages import Limit, gathered
from gateway.cli.sku import SkuCode
from gateway.cli.stock import say_more
from gateway.v1 import alert_pb2, alert_service_pb2

app = typer.Typer(no_args_is_help=True, help="Warnings: where SKUs stand, and what people do about it.")
for _part in (alert_watch.app, attention.app):
    app.add_typer(_part)
app.add_typer(alert_settings.policy_app, name="policy")
app.add_typer(alert_settings.runbook_app, name="runbook")
app.add_typer(alert_settings.incoming_app, name="incoming")
app.add_typer(alert_settings.profile_app, name="profile")

TIER_COLUMNS = (
    Column("SKU"),
    Column("session", worth=11),
    Column("tier"),
    Column("since", worth=7),
    Column("available", is_number=True),
    Column("sellable", is_number=True, worth=6),
    Column("orders/min", worth=8),
    Column("gone in", worth=10),
    Column("does not last", worth=5),
    Column("taken on", worth=9),
    Column("silenced", worth=3),
    Column("channels", worth=4),
)
EVENT_COLUMNS = (
    Column("revision", is_number=True),
    Column("recorded", worth=4),
    Column("kind", worth=5),
    Column("SKU", worth=8),
    Column("what", worth=9),
)
SUBSCRIBER_COLUMNS = (
    Column("subscriber"),
    Column("revision", is_number=True),
    Column("behind", is_number=True),
    Column("reported", worth=3),
    Column("streams", is_number=True, worth=2),
    Column("trouble", worth=4),
)

SessionNumber = Annotated[
    int, typer.Option("--session", metavar="NUMBER", min=0, help="Its own units in this session; else the whole stock.")
]


@gateway_command(app)
def tiers(
    caller: Caller,
    min_tier: Annotated[str, typer.Option("--min-tier", metavar="TIER", help="Only this tier or higher.")] = "",
    session: Annotated[int, typer.Option("--session", metavar="NUMBER", min=0, help="Only what it sells.")] = 0,
    limit: Limit = 100,
) -> None:
    """Show where SKUs stand, most pressing first."""
    request = alert_service_pb2.ListTiersRequest(session_id=session)
    if min_tier:
        request.min_tier = arguments.tier(min_tier)
    response = gathered(caller, caller.alerts.ListTiers, request, "states", limit)
    if caller.as_json:
        print_document(document(response))
        return
    now = datetime.now(UTC)
    print_table(TIER_COLUMNS, [_tier_row(each, now) for each in response.states], "No SKU stands there.")
    say_more(response.next_page_token, limit)


@gateway_command(app)
def show(caller: Caller, sku: SkuCode, session: SessionNumber = 0) -> None:
    """Show where a SKU stands and why, in words and with the numbers."""
    response = caller.ask(caller.alerts.GetTier, alert_service_pb2.GetTierRequest(sku=sku, session_id=session))
    if caller.as_json:
        print_document(document(response))
        return
    say(_headline(response.state), style=words.STYLES.get(response.state.tier, ""))
    for line in (response.why, response.why_en, *_numbers(response), *_people(response)):
        if line:
            say(line)
    for line in _what_to_do(response):
        say(line, style="dim")


@gateway_command(app, name="list")
def list_events(
    caller: Caller,
    sku: Annotated[
        list[str] | None, typer.Option("--sku", metavar="CODE", help="Only this one; may be repeated.")
    ] = None,
    channel: Annotated[list[str] | None, typer.Option("--channel", metavar="CODE", help="Only what it sells.")] = None,
    session: Annotated[
        list[int] | None, typer.Option("--session", metavar="NUMBER", help="Only what it sells.")
    ] = None,
    min_tier: Annotated[
        str, typer.Option("--min-tier", metavar="TIER", help="Tier changes from or to it, or higher.")
    ] = "",
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="As in tier-change; repeatable.")
    ] = None,
    drills: Annotated[bool, typer.Option("--drills", help="Drills too.")] = False,
    limit: Limit = 20,
) -> None:
    """Show the log of warnings, newest first."""
    wanted = alert_watch.alert_filter(sku, channel, session, min_tier, kind)
    request = alert_service_pb2.ListTierChangesRequest(filter=wanted, include_drills=drills)
    response = gathered(caller, caller.alerts.ListTierChanges, request, "events", limit)
    if caller.as_json:
        print_document(document(response))
        return
    print_table(EVENT_COLUMNS, [_event_row(each) for each in response.events], "The log has no such event.")
    say_more(response.next_page_token, limit)


@gateway_command(app)
def subscribers(caller: Caller) -> None:
    """Show who reads the log, and how far each is behind."""
    response = caller.ask(caller.alerts.ListSubscribers, alert_service_pb2.ListSubscribersRequest())
    if caller.as_json:
        print_document(document(response))
        return
    now = datetime.now(UTC)
    rows = [
        (
            each.subscriber_id,
            each.revision,
            each.lag,
            ago(each.report_time, now) or "never",
            number(each.streams),
            each.trouble.lower().replace("_", " "),
        )
        for each in response.subscribers
    ]
    print_table(SUBSCRIBER_COLUMNS, rows, "Nobody subscribes under a name.")


def _tier_row(state: alert_service_pb2.TierState, now: datetime) -> tuple[str | int, ...]:
    evidence = state.evidence
    return (
        state.sku,
        str(state.session_id or ""),
        words.tier_mark(state.tier, is_stale=state.is_stale),
        ago(state.since_time, now),
        evidence.available,
        number(evidence.sellable),
        f"{evidence.fast_rate:.1f}" if evidence.fast_rate else "",
        words.left(state.stock_out),
        words.percent(evidence.chance) if evidence.chance else "",
        state.acknowledgement.actor,
        ", ".join(map(str, state.silenced_by)),
        ", ".join(state.channels),
    )


def _event_row(event: alert_pb2.AlertEvent) -> tuple[str | int, ...]:
    return (
        event.revision,
        local_time(event.record_time),
        words.kind_word(event),
        words.about(event),
        words.told(event),
    )


def _headline(state: alert_service_pb2.TierState) -> str:
    own = f" in session {state.session_id}" if state.session_id else ""
    parts = [f"{state.sku}{own}  {words.tier_mark(state.tier, is_stale=state.is_stale)}"]
    if since := local_time(state.since_time):
        parts.append(f"since {since}")
    if state.episode:
        parts.append(f"episode {state.episode}")
    if state.is_flapping:
        parts.append("changes all the time")
    return " · ".join(parts)


def _numbers(response: alert_service_pb2.GetTierResponse) -> Iterator[str]:
    evidence, state = response.state.evidence, response.state
    yield f"{number(evidence.available)} available · {number(evidence.sellable)} can be sold"
    pace = f"{evidence.fast_rate:.2f} orders/min lately, {evidence.slow_rate:.2f} over the last hour or so"
    yield f"{pace} (learned from {number(evidence.evidence_orders)} orders)"
    if evidence.score_bar:
        since = f", since {local_time(evidence.onset_time)}" if evidence.is_accelerating else ""
        verdict = "has accelerated" if evidence.is_accelerating else "has not accelerated"
        yield f"{verdict}: score {evidence.score:.1f}, bar {evidence.score_bar:.1f}{since}"
    lead = f"{words.span(response.lead_mean_seconds)} ± {words.span(response.lead_deviation_seconds)}"
    bound = (
        f"; the session ends {local_time(response.session_end_time)}" if response.HasField("session_end_time") else ""
    )
    yield f"more can come in {lead}, counted as {words.span(evidence.lead_seconds)}{bound}"
    yield (
        f"does not last until then with {words.percent(evidence.chance)}, until the fastest supply with "
        f"{words.percent(evidence.urgent_chance)}"
    )
    if words.left(state.stock_out):
        yield f"gone in {words.left(state.stock_out)}"


def _people(response: alert_service_pb2.GetTierResponse) -> Iterator[str]:
    state = response.state
    if state.HasField("acknowledgement"):
        yield f"taken on: {words.acknowledged(state.acknowledgement)}"
    if state.silenced_by:
        yield f"silenced by {', '.join(map(str, state.silenced_by))}"
    for units in response.incoming:
        yield f"on the way: {words.incoming(units)}"
    if not state.evidence.has_options:
        yield "no way to get more is left to try"


def _what_to_do(response: alert_service_pb2.GetTierResponse) -> Sequence[str]:
    lines = [f"policy: {words.policy(response.policy)}"] if words.policy(response.policy) else []
    if not response.HasField("last_change"):
        return lines
    runbook = response.last_change.tier_change.runbook
    lines += [f"step {place}: {words.step(each)}" for place, each in enumerate(runbook.steps, start=1)]
    lines += [f"host: {line}" for line in (runbook.host_line, runbook.host_line_en) if line]
    return [*lines, f"told last in revision {number(response.last_change.revision)}"]
