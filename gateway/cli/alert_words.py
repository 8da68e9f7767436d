"""Tiers, events and their numbers in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC

from gateway.cli.output import local_time, number, word
from gateway.v1 import alert_pb2

# A tier is told by its symbol and its word; the colour only adds to them.
SYMBOLS = {
    alert_pb2.TIER_NORMAL: "·",
    alert_pb2.TIER_TREND: "↗",
    alert_pb2.TIER_THRESHOLD: "△",
    alert_pb2.TIER_URGENT: "‼",
    alert_pb2.TIER_SOLD_OUT: "✕",
}
STYLES = {
    alert_pb2.TIER_NORMAL: "green",
    alert_pb2.TIER_TREND: "cyan",
    alert_pb2.TIER_THRESHOLD: "yellow",
    alert_pb2.TIER_URGENT: "bold red",
    alert_pb2.TIER_SOLD_OUT: "bold magenta",
}
LEAST_CHANCE = 0.0001
MINUTE_SECONDS = 60.0
HOUR_SECONDS = 3_600.0
DAY_SECONDS = 86_400.0
DRILL_MARK = "[drill 演练] "


def tier_word(tier: alert_pb2.Tier.ValueType) -> str:
    """`URGENT`, as the rules write it; nothing for none."""
    return word(alert_pb2.Tier.Name(tier), "TIER_").upper() if tier else ""


def tier_mark(tier: alert_pb2.Tier.ValueType, *, is_stale: bool = False) -> str:
    """The tier with its symbol; `STALE` if our knowledge is old."""
    text = f"{SYMBOLS.get(tier, '')} {tier_word(tier)}".strip()
    return f"{text} STALE" if is_stale else text


def action_word(action: alert_pb2.AckAction.ValueType) -> str:
    """`cap sales`, `watch` ..."""
    return word(alert_pb2.AckAction.Name(action), "ACK_ACTION_")


def span(seconds: float) -> str:
    """A span of time as people say it: `40 s`, `11 min`, `2.5 h`, `3 d`."""
    if seconds < MINUTE_SECONDS:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR_SECONDS:
        return f"{seconds / MINUTE_SECONDS:.0f} min"
    if seconds < 2 * DAY_SECONDS:
        return f"{seconds / HOUR_SECONDS:.1f} h"
    return f"{seconds / DAY_SECONDS:.1f} d"


def left(stock_out: alert_pb2.StockOut) -> str:
    """How long until nothing is left, with its interval; nothing if that is not within a week."""
    if not stock_out.HasField("p10_seconds"):
        return ""
    soonest = span(stock_out.p10_seconds)
    latest = span(stock_out.p90_seconds) if stock_out.HasField("p90_seconds") else "a week or more"
    middle = f", about {span(stock_out.p50_seconds)}" if stock_out.HasField("p50_seconds") else ""
    return f"{soonest} to {latest}{middle}"


def percent(chance: float) -> str:
    """A chance, to three digits: `40 %`, `1.25 %`, `< 0.01 %`."""
    return "< 0.01 %" if 0 < chance < LEAST_CHANCE else f"{chance * 100:.3g} %"


def about(event: alert_pb2.AlertEvent) -> str:
    """Whose event it is: the SKU, and the session if it has units of its own."""
    own = f" (session {event.session_id})" if event.session_id and event.sku else ""
    return f"{event.sku}{own}"


def kind_word(event: alert_pb2.AlertEvent) -> str:
    """The kind's bare name."""
    return word(alert_pb2.AlertEventKind.Name(event.kind), "ALERT_EVENT_KIND_")


def told(event: alert_pb2.AlertEvent) -> str:
    """What an event says beside its kind and its SKU, in one line."""
    body = event.WhichOneof("body")
    if body is None:
        return ""
    mark = DRILL_MARK if event.drill_id and body != "drill" else ""
    silenced = " · silenced" if event.silenced_by else ""
    return f"{mark}{_TELLERS[body](getattr(event, body))}{silenced}"


def style_of(event: alert_pb2.AlertEvent) -> str:
    """How an event is coloured."""
    if event.HasField("tier_change"):
        return STYLES.get(event.tier_change.to, "")
    return "dim" if event.kind == alert_pb2.ALERT_EVENT_KIND_WATCHDOG else ""


def _tier_change(change: alert_pb2.TierChange) -> str:
    before = getattr(change, "from")
    moved = f"{tier_word(before)} → {tier_mark(change.to, is_stale=change.is_stale)}"
    if before == change.to:
        moved = f"{tier_mark(change.to)}, {'STALE: our knowledge is old' if change.is_stale else 'known again'}"
    evidence = change.evidence
    parts = [moved, f"{number(evidence.sellable)} can be sold", f"{evidence.fast_rate:.1f} orders/min"]
    if left(change.stock_out):
        parts.append(f"gone in {left(change.stock_out)}")
    if change.is_flapping:
        parts.append("changes all the time")
    return " · ".join(parts)


def acknowledged(ack: alert_pb2.Acknowledgement) -> str:
    """Who took it on, and what was decided."""
    units = f" {number(ack.quantity)}" if ack.quantity else ""
    arrives = f", there {local_time(ack.arrive_time)}" if ack.HasField("arrive_time") else ""
    note = f": {ack.note}" if ack.note else ""
    ended = f" · ended {ack.end_reason.lower().replace('_', ' ')}" if ack.end_reason else ""
    return f"{tier_word(ack.tier)} by {ack.actor}, {action_word(ack.action)}{units}{arrives}{note}{ended}"


def matched(matcher: alert_pb2.SilenceMatcher) -> str:
    """Whom a silence is about."""
    parts = [
        *([", ".join(matcher.skus)] if matcher.skus else []),
        *([f"on {', '.join(matcher.channels)}"] if matcher.channels else []),
        *([f"in session {', '.join(map(str, matcher.session_ids))}"] if matcher.session_ids else []),
    ]
    return " ".join(parts) or "everything"


def _silence(silence: alert_pb2.SilenceRecord) -> str:
    over = f" · ended {local_time(silence.ended_time)}" if silence.HasField("ended_time") else ""
    resolved = " or until it is resolved" if silence.until_resolved else ""
    until = f"until {local_time(silence.end_time)}{resolved}"
    return f"{silence.silence_id}: {matched(silence.matcher)} {until}, by {silence.actor}: {silence.comment}{over}"


def _escalation(escalation: alert_pb2.Escalation) -> str:
    since = escalation.since_time.ToDatetime(UTC).astimezone().strftime("%H:%M:%S")
    return f"level {escalation.level}: {tier_word(escalation.tier)} since {since}, acknowledged by nobody"


def proposed(proposal: alert_pb2.Proposal) -> str:
    """What is proposed: `move 200 units near → main`."""
    kind = word(alert_pb2.ProposalKind.Name(proposal.kind), "PROPOSAL_KIND_")
    units = f" {number(proposal.quantity)}" if proposal.quantity else ""
    way = f" {proposal.from_location} → {proposal.to_location}" if proposal.from_location else ""
    instead = f" {proposal.substitute}" if proposal.substitute else ""
    return f"{kind}{units}{way}{instead}"


def _proposal(proposal: alert_pb2.Proposal) -> str:
    state = word(alert_pb2.ProposalState.Name(proposal.state), "PROPOSAL_STATE_")
    by = f" by {proposal.actor}" if proposal.actor else ""
    effect = f": {proposal.effect}" if proposal.effect else ""
    return f"{proposal.proposal_id}: {proposed(proposal)} · {state}{by}{effect}"


def _step_done(step: alert_pb2.StepDone) -> str:
    return f"{tier_word(step.tier)} step {step.step + 1} by {step.actor}: {step.text}"


def _session(session: alert_pb2.Session) -> str:
    return f"{session.session_id}: {session.room} on {', '.join(session.channels)}, {number(len(session.skus))} SKUs"


def _drill(step: alert_pb2.DrillStep) -> str:
    what = f" {step.inject}" if step.inject else ""
    detail = f": {step.detail}" if step.detail else ""
    return f"{DRILL_MARK}{step.name}{what}{detail}"


def _subscriber(state: alert_pb2.SubscriberState) -> str:
    return f"{state.subscriber_id} {state.trouble}, {number(state.lag)} behind".strip()


def incoming(units: alert_pb2.IncomingUnits) -> str:
    """Units on their way in one line."""
    ended = f" · {units.end_reason.lower()}" if units.end_reason else ""
    reference = f" ({units.reference})" if units.reference else ""
    there = local_time(units.arrive_time)
    return f"{units.incoming_id}: {number(units.quantity)} units, there {there}, by {units.actor}{reference}{ended}"


def step(wanted: alert_pb2.RunbookStep) -> str:
    """A step of a runbook in one line."""
    english = f" / {wanted.text_en}" if wanted.text_en else ""
    within = f"within {wanted.minutes_max} min" if wanted.minutes_max else ""
    who = ", ".join(part for part in (wanted.owner, within) if part)
    return f"{wanted.text}{english}" + (f" ({who})" if who else "")


def policy(wanted: alert_pb2.AlertPolicy) -> str:
    """What to be warned of in one line; nothing for what is not set."""
    told_parts: Sequence[tuple[str, Callable[[], str]]] = (
        ("service_level", lambda: f"to last with {percent(wanted.service_level)}"),
        ("fixed_line", lambda: f"THRESHOLD at {number(wanted.fixed_line)}"),
        ("hard_floor", lambda: f"URGENT at {number(wanted.hard_floor)}"),
        ("lead_seconds", lambda: f"more in {span(wanted.lead_seconds)}"),
        ("fastest_lead_seconds", lambda: f"at the soonest in {span(wanted.fastest_lead_seconds)}"),
        ("false_raise_seconds", lambda: f"one false TREND in {span(wanted.false_raise_seconds)}"),
        ("no_supply", lambda: "no way to get more" if wanted.no_supply else "more can be got"),
    )
    return " · ".join(say() for name, say in told_parts if wanted.HasField(name))  # type: ignore[arg-type]  # the stubs want a literal


_TELLERS: dict[str, Callable[..., str]] = {
    "tier_change": _tier_change,
    "acknowledgement": acknowledged,
    "silence": _silence,
    "escalation": _escalation,
    "proposal": _proposal,
    "step_done": _step_done,
    "session": _session,
    "drill": _drill,
    "subscriber": _subscriber,
    "compaction": lambda compaction: f"events up to {number(compaction.compact_revision)} are no longer kept",
    "incoming": incoming,
    "policy": policy,
    "line": lambda line: f"{line.intent.lower()} ({line.language}): {line.text}",
}
