"""What happened, from the alert log, the journal and the shops: a timeline, and what each warning was worth. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import pairwise

from google.protobuf.timestamp_pb2 import Timestamp

from connectors.session.double11 import plan
from connectors.session.double11.operator import Said
from connectors.session.double11.plan import CaseClock
from connectors.session.telling import told
from gateway.v1 import alert_pb2, stock_pb2

TREND, THRESHOLD, URGENT, SOLD_OUT = (
    alert_pb2.TIER_TREND,
    alert_pb2.TIER_THRESHOLD,
    alert_pb2.TIER_URGENT,
    alert_pb2.TIER_SOLD_OUT,
)
WARNINGS = (TREND, THRESHOLD, URGENT)
# What must come one after the other, in each row.
ORDER = (
    ("trend", "move proposed", "move approved", "units arrived", "sold out"),
    ("trend", "threshold", "threshold acknowledged", "substitute approved", "substitute listed", "sold out"),
    ("threshold acknowledged", "script changed", "sold out"),
    ("threshold", "urgent", "urgent acknowledged", "sold out"),
)


@dataclass(frozen=True)
class Moment:
    """Something that happened, in a minute of the case."""

    minute: float
    zh: str
    en: str


@dataclass(frozen=True)
class Warned:
    """A warning, and how many minutes before the stock-out it came; None: there was no such thing."""

    tier: str
    minute: float | None
    minutes_before: float | None


@dataclass(frozen=True)
class Level:
    """How many units were available from some minute on, at all locations together."""

    minute: float
    available: int


@dataclass(frozen=True)
class Story:
    """The case as it went.

    `line` is what a fixed line would have been worth. `stock_out_minute` is when nothing was available for the first
    time, by the journal. `milestones`: the minute of each step of the plot; `missing`: what did not come, or not in its
    order. `early_warnings` counts warnings before the guest came, when there was nothing to warn of; `later_changes`
    tier changes after SOLD_OUT; `drill_events` what the log has of drills.
    """

    timeline: Sequence[Moment]
    warnings: Sequence[Warned]
    line: Warned
    stock_out_minute: float | None
    milestones: dict[str, float]
    missing: Sequence[str]
    units_moved: int
    acknowledgements: Sequence[str]
    approvals: Sequence[str]
    early_warnings: int
    later_changes: int
    drill_events: int

    @property
    def is_whole(self) -> bool:
        """True if everything happened in its order."""
        return not self.missing


@dataclass(frozen=True)
class Records:
    """What a story is made from: the log and the journal of what was sold, oldest first."""

    events: Sequence[alert_pb2.AlertEvent]
    movements: Sequence[stock_pb2.Movement]
    said: Sequence[Said]
    sku: str


def story_of(records: Records, clock: CaseClock) -> Story:
    """The story that the records tell."""
    levels = levels_of(records.movements, clock)
    gone = _first_at(levels, 0)
    milestones = _milestones(records, clock)
    if gone is not None:
        milestones["sold out"] = max(gone, milestones.get("sold out", gone))
    acknowledged = [event for event in records.events if event.kind == alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED]
    decided = [event for event in records.events if _is_approval(event)]
    timeline, later = _timeline(records, levels, clock)
    return Story(
        timeline=timeline,
        warnings=[_warned(alert_pb2.Tier.Name(tier), _entered(records, tier, clock), gone) for tier in WARNINGS],
        line=_warned(f"FIXED_LINE_{plan.FIXED_LINE}", _first_at(levels, plan.FIXED_LINE), gone),
        stock_out_minute=gone,
        milestones=milestones,
        missing=_missing(milestones),
        units_moved=sum(one.on_hand_change for one in records.movements if _arrives(one)),
        acknowledgements=[told(event).zh for event in acknowledged],
        approvals=[told(event).zh for event in decided],
        early_warnings=sum(minute < plan.GUEST_MINUTE for minute in _raised(records, TREND, clock)),
        later_changes=later,
        drill_events=sum(1 for event in records.events if event.drill_id),
    )


def levels_of(movements: Iterable[stock_pb2.Movement], clock: CaseClock) -> list[Level]:
    """What was available after each movement."""
    there: dict[str, int] = {}
    levels = []
    for movement in movements:
        available = movement.on_hand_after - movement.reserved_after - movement.safety_stock_after
        there[movement.location] = max(0, available)
        levels.append(Level(_minute(movement.record_time, clock), sum(there.values())))
    return levels


# ---- the plot


def _milestones(records: Records, clock: CaseClock) -> dict[str, float]:
    """The minute of each step that happened; the first time."""
    found: dict[str, float] = {}
    for event in records.events:
        step = _step_of(event, records.sku)
        if step and step not in found:
            found[step] = _when(event, clock)
    arrivals = [_minute(one.record_time, clock) for one in records.movements if _arrives(one)]
    if arrivals:
        found["units arrived"] = arrivals[0]
    return found


def _step_of(event: alert_pb2.AlertEvent, sku: str) -> str:
    """Which step of the plot an event is; "" for none."""
    if event.HasField("tier_change") and event.sku == sku and event.tier_change.to > getattr(event.tier_change, "from"):
        return {TREND: "trend", THRESHOLD: "threshold", URGENT: "urgent", SOLD_OUT: "sold out"}[event.tier_change.to]
    if event.kind == alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED:
        return {THRESHOLD: "threshold acknowledged", URGENT: "urgent acknowledged"}.get(event.acknowledgement.tier, "")
    if event.kind == alert_pb2.ALERT_EVENT_KIND_STEP_DONE and event.step_done.tier == THRESHOLD:
        return "script changed"
    return _proposal_step(event)


def _proposal_step(event: alert_pb2.AlertEvent) -> str:
    name = {
        alert_pb2.PROPOSAL_KIND_MOVE_UNITS: "move",
        alert_pb2.PROPOSAL_KIND_LIST_SUBSTITUTE: "substitute",
        alert_pb2.PROPOSAL_KIND_SLOW_PACE: "slow pace",
    }.get(event.proposal.kind)
    if name is None:
        return ""
    if event.kind == alert_pb2.ALERT_EVENT_KIND_PROPOSED:
        return f"{name} proposed"
    if _is_approval(event):
        return f"{name} approved"
    is_done = event.proposal.state == alert_pb2.PROPOSAL_STATE_DONE
    return ("substitute listed" if name == "substitute" else f"{name} done") if is_done else ""


def _is_approval(event: alert_pb2.AlertEvent) -> bool:
    is_decision = event.kind == alert_pb2.ALERT_EVENT_KIND_PROPOSAL_DECIDED
    return is_decision and event.proposal.state == alert_pb2.PROPOSAL_STATE_APPROVED


def _missing(milestones: dict[str, float]) -> list[str]:
    missing = dict.fromkeys(step for row in ORDER for step in row if step not in milestones)
    for row in ORDER:
        for before, after in pairwise(row):
            if before in milestones and after in milestones and milestones[after] < milestones[before]:
                missing[f"{after}, after {before}"] = None
    return list(missing)


def _arrives(movement: stock_pb2.Movement) -> bool:
    return movement.kind == stock_pb2.MOVEMENT_KIND_TRANSFER_IN and movement.location == plan.MAIN


# ---- what warnings were worth


def _raised(records: Records, tier: alert_pb2.Tier.ValueType, clock: CaseClock) -> list[float]:
    """When this tier, or a higher one at once, was entered."""
    return [
        _when(event, clock)
        for event in records.events
        if event.HasField("tier_change") and event.sku == records.sku
        if getattr(event.tier_change, "from") < tier <= event.tier_change.to
    ]


def _entered(records: Records, tier: alert_pb2.Tier.ValueType, clock: CaseClock) -> float | None:
    """When it was entered first, since there was something to warn of."""
    return next((minute for minute in _raised(records, tier, clock) if minute >= plan.GUEST_MINUTE), None)


def _warned(name: str, minute: float | None, gone: float | None) -> Warned:
    before = gone - minute if gone is not None and minute is not None else None
    return Warned(name.removeprefix("TIER_"), minute, before)


def _first_at(levels: Sequence[Level], units: int) -> float | None:
    """When no more than so many units were available for the first time since there were more."""
    were_more = False
    for level in levels:
        if were_more and level.available <= units:
            return level.minute
        were_more = were_more or level.available > units
    return None


# ---- the timeline


def _timeline(records: Records, levels: Sequence[Level], clock: CaseClock) -> tuple[list[Moment], int]:
    """Everything in its order, and how many changes of tier came after the first SOLD_OUT; those are left out."""
    moments = [_guest()]
    later, is_gone = 0, False
    for event in records.events:
        words = told(event)
        if not words.zh:
            continue
        if is_gone and event.HasField("tier_change") and event.sku == records.sku:
            later += 1
            continue
        is_gone = is_gone or (event.sku == records.sku and event.tier_change.to == SOLD_OUT)
        moments.append(Moment(_when(event, clock), *words))
    moments += [_arrival(one, clock) for one in records.movements if _arrives(one)]
    moments += [Moment(one.minute, f"主播口播：{one.zh}", f"the host: {one.en}") for one in _told_anew(records.said)]
    line, gone = _first_at(levels, plan.FIXED_LINE), _first_at(levels, 0)
    if line is not None:
        zh = f"（固定线：可售第一次不超过 {plan.FIXED_LINE} 件，只会在此刻提醒）"
        moments.append(Moment(line, zh, f"(a fixed line of {plan.FIXED_LINE} would have warned now)"))
    if gone is not None:
        moments.append(Moment(gone, "可售为 0", "nothing is available"))
    return sorted(moments, key=lambda moment: moment.minute), later


def _guest() -> Moment:
    return Moment(
        plan.GUEST_MINUTE, f"嘉宾主播{plan.GUEST}上场，客流涨到 4 倍", "a guest streamer comes: four times the orders"
    )


def _arrival(movement: stock_pb2.Movement, clock: CaseClock) -> Moment:
    units, when = movement.on_hand_change, _minute(movement.record_time, clock)
    return Moment(
        when, f"近仓 {units:,} 件到位，三个渠道可卖", f"{units:,} units from near have arrived and can be sold"
    )


def _told_anew(said: Sequence[Said]) -> list[Said]:
    """What was said for the first time, whatever the numbers in it; nothing after the first SOLD_OUT."""
    kept: dict[str, Said] = {}
    for one in said:
        kept.setdefault(re.sub(r"\d+", "0", one.zh), one)
        if one.tier == SOLD_OUT:
            break
    return [one for one in kept.values() if one.zh]


def _when(event: alert_pb2.AlertEvent, clock: CaseClock) -> float:
    """A tier was so when it was observed; everything else when it was recorded."""
    is_observed = event.HasField("tier_change") and event.HasField("observe_time")
    return _minute(event.observe_time if is_observed else event.record_time, clock)


def _minute(time: Timestamp, clock: CaseClock) -> float:
    return clock.minute(time.ToDatetime(UTC))
