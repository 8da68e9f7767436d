"""What the gateway tells, as notices and as a room's hints: pure, from messages to values.

Which facts people are told of: every change of a tier, whatever it pages (who is told that all is well must be told
when it is not); escalations beyond the console; what was acknowledged, and that it holds no more; proposals and what
became of them; drills. What is silenced is not told, and neither is bookkeeping.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from connectors.notify.notices import LINK_BYTES_MAX, Kind, Notice, Reason, Tier, clipped
from connectors.notify.rooms import RoomHint
from connectors.notify.words import NOTHING, Words
from gateway.v1 import alert_pb2, alert_service_pb2, live_service_pb2

# The console hears of level 1 by itself.
ESCALATION_LEVEL_MIN = 2
TIMED_OUT = "TIMED_OUT"
LINE_BYTES_MAX = 300
# Who hears of an event so much later hears of the past.
PRESENT, PAST_AGE = timedelta(), timedelta(minutes=10)
FORGOTTEN_AGE = timedelta(days=1)
SUBSTITUTES_MAX = 5
NANOSECONDS = 1e9

ACTIONS: Mapping[int, Words] = {
    alert_pb2.ACK_ACTION_REPLENISH: Words("已补货", "replenished"),
    alert_pb2.ACK_ACTION_TRANSFER: Words("已调货", "units transferred"),
    alert_pb2.ACK_ACTION_CAP_SALES: Words("限制销售", "sales are held back"),
    alert_pb2.ACK_ACTION_DELIST: Words("下架", "taken off the shelves"),
    alert_pb2.ACK_ACTION_WATCH: Words("继续观察", "watching"),
    alert_pb2.ACK_ACTION_FALSE_ALARM: Words("误报", "false alarm"),
}
PROPOSALS: Mapping[int, Words] = {
    alert_pb2.PROPOSAL_KIND_MOVE_UNITS: Words("调货", "move units"),
    alert_pb2.PROPOSAL_KIND_RAISE_EXCLUSIVE: Words("增加本场专属库存", "raise the session's own units"),
    alert_pb2.PROPOSAL_KIND_LIST_SUBSTITUTE: Words("上架替代品", "list the substitute"),
    alert_pb2.PROPOSAL_KIND_SLOW_PACE: Words("放缓讲解", "slow the pace"),
}
STATES: Mapping[int, Words] = {
    alert_pb2.PROPOSAL_STATE_APPROVED: Words("已批准", "approved"),
    alert_pb2.PROPOSAL_STATE_DECLINED: Words("已拒绝", "declined"),
    alert_pb2.PROPOSAL_STATE_DONE: Words("已完成", "done"),
    alert_pb2.PROPOSAL_STATE_FAILED: Words("未能执行", "could not be done"),
    alert_pb2.PROPOSAL_STATE_LAPSED: Words("已过期", "lapsed"),
}


@dataclass(frozen=True, slots=True)
class Room:
    """A live session as notices name it; `channel` is its name at Agora, "" if it has none."""

    session_id: int
    name: str
    channel: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What an event does not say itself: the SKU's title, its live rooms, the page where people answer, the time."""

    title: str = ""
    rooms: tuple[Room, ...] = ()
    page_url: str = ""
    now: datetime | None = None


def receivers_of(event: alert_pb2.AlertEvent) -> frozenset[str]:
    """Who is to be told, as the merchant's runbook names them; nobody named: everybody."""
    return frozenset(event.tier_change.runbook.receivers)


def notice_of(event: alert_pb2.AlertEvent, around: Surroundings) -> Notice | None:
    """What people are told of an event; None if it is not told."""
    if event.silenced_by:
        return None
    make = _MAKERS.get(event.kind)
    notice = make(event) if make else None
    if notice is None:
        return None
    return _placed(notice, event, around)


def notice_of_state(
    state: alert_service_pb2.TierState, around: Surroundings, runbook: alert_pb2.Runbook | None = None
) -> Notice | None:
    """What people are told who hear for the first time where a SKU stands; `runbook`: what to do in its tier.

    None if all is well, or taken on, or it has been sold out for more than a day: nobody would act upon that.
    """
    taken_on = state.HasField("acknowledgement")
    if state.silenced_by or not state.revision or taken_on or state.tier <= alert_pb2.TIER_NORMAL:
        return None
    since = state.since_time.ToDatetime(UTC) if state.HasField("since_time") else around.now
    age = around.now - since if around.now and since else PRESENT
    if state.tier == alert_pb2.TIER_SOLD_OUT and age > FORGOTTEN_AGE:
        return None
    is_news = age <= PAST_AGE
    event = alert_pb2.AlertEvent(
        revision=state.revision,
        kind=alert_pb2.ALERT_EVENT_KIND_TIER_CHANGE,
        sku=state.sku,
        session_id=state.session_id,
        episode=state.episode,
        session_ids=state.session_ids,
        tier_change=alert_pb2.TierChange(
            to=state.tier,
            is_stale=state.is_stale,
            is_flapping=state.is_flapping,
            pages=is_news,
            evidence=state.evidence,
            stock_out=state.stock_out,
            runbook=runbook,
        ),
    )
    if not is_news:  # it has not risen: what has been so for long can wait, and a few of very many need not be told
        setattr(event.tier_change, "from", state.tier)
    return notice_of(event, around)


def hint_of(hint: live_service_pb2.Hint) -> RoomHint:
    """A hint as a room hears it."""
    expires = _seconds(hint.expire_time) if hint.HasField("expire_time") else None
    tier = _tier(hint.tier)
    body = {
        "sku": hint.sku,
        "title": clipped(hint.title, LINE_BYTES_MAX),
        "sellable": None if hint.is_stale else hint.sellable,
        "tier": tier.name,
        "is_stale": hint.is_stale,
        "per_minute": round(hint.rate, 2),
        "stock_out_seconds": _quantiles(hint.stock_out),
        "host_line": clipped(hint.host_line, LINE_BYTES_MAX),
        "host_line_en": clipped(hint.host_line_en, LINE_BYTES_MAX),
        "chat_line": clipped(hint.chat_line, LINE_BYTES_MAX),
        "chat_line_en": clipped(hint.chat_line_en, LINE_BYTES_MAX),
        "substitutes": [
            {"sku": each.sku, "title": clipped(each.title, LINE_BYTES_MAX), "sellable": each.sellable}
            for each in hint.substitutes[:SUBSTITUTES_MAX]
        ],
        "revision": hint.revision,
        "observe_time": _seconds(hint.observe_time),
        "expire_time": expires,
    }
    return RoomHint(hint.sku, tier, expires, msgspec.json.encode(body))


def _placed(notice: Notice, event: alert_pb2.AlertEvent, around: Surroundings) -> Notice:
    """With its title, its room, its link, and whether it is rehearsed."""
    room = around.rooms[0].name if around.rooms else ""
    age = around.now - event.record_time.ToDatetime(UTC) if around.now and event.HasField("record_time") else PRESENT
    return replace(
        notice,
        sku=event.sku,
        title=around.title,
        room=room,
        link=_link(around.page_url, event, notice),
        drill_id=event.drill_id,
        is_past=age > PAST_AGE,
        traceparent=event.traceparent,
    )


def _link(page_url: str, event: alert_pb2.AlertEvent, notice: Notice) -> str:
    """Where people answer: as exact as there is room for, since the name of a SKU may be long; "" without a page."""
    if not page_url:
        return ""
    of_all = {"revision": event.revision}
    of_sku = {"sku": event.sku, **of_all}
    of_episode = {
        "sku": event.sku,
        "session": event.session_id,
        "episode": event.episode,
        "tier": notice.tier.name,
        **of_all,
    }
    links = (f"{page_url}?{urlencode(asked)}" for asked in (of_episode, of_sku, of_all))
    return next((link for link in links if len(link) <= LINK_BYTES_MAX), "")


def _of_tier(event: alert_pb2.AlertEvent) -> Notice | None:
    change = event.tier_change
    is_flag_alone = change.to == getattr(change, "from")
    action, line = _first_step(change.runbook), Words(change.runbook.host_line, change.runbook.host_line_en)
    tier = _tier(change.to)
    return Notice(
        revision=event.revision,
        kind=Kind.STALE if is_flag_alone and change.is_stale else Kind.TIER,
        thread=_thread(event),
        tier=tier,
        tier_before=_tier(getattr(change, "from")),
        reason=_reason(change),
        action=action if tier > Tier.NORMAL else NOTHING,
        host_line=line if tier > Tier.NORMAL else NOTHING,
        pages=change.pages,
        is_stale=change.is_stale,
        is_flapping=change.is_flapping,
    )


def _of_escalation(event: alert_pb2.AlertEvent) -> Notice | None:
    if event.escalation.level < ESCALATION_LEVEL_MIN:
        return None
    return Notice(
        revision=event.revision,
        kind=Kind.ESCALATED,
        thread=_thread(event),
        tier=_tier(event.escalation.tier),
        level=event.escalation.level,
    )


def _of_acknowledgement(event: alert_pb2.AlertEvent) -> Notice | None:
    taken = event.acknowledgement
    has_ended = event.kind == alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGEMENT_ENDED
    # When it ends because the tier has risen, or all is well, that is told by itself.
    if has_ended and taken.end_reason != TIMED_OUT:
        return None
    said = ACTIONS.get(taken.action, NOTHING)
    units = f" {taken.quantity}" if taken.quantity else ""
    note = f"，{taken.note}" if taken.note else ""
    return Notice(
        revision=event.revision,
        kind=Kind.UNACKNOWLEDGED if has_ended else Kind.ACKNOWLEDGED,
        thread=_thread(event),
        tier=_tier(taken.tier),
        actor=taken.actor,
        action=Words(f"{said.zh}{units}{note}", f"{said.en}{units}"),
    )


def _of_proposal(event: alert_pb2.AlertEvent) -> Notice | None:
    proposal = event.proposal
    kind, state = PROPOSALS.get(proposal.kind, NOTHING), STATES.get(proposal.state, NOTHING)
    units = f" {proposal.quantity}" if proposal.quantity else ""
    reason, note = Words(proposal.reason, proposal.reason_en), proposal.effect or proposal.note
    if event.kind == alert_pb2.ALERT_EVENT_KIND_PROPOSED:
        action = Words(f"{kind.zh}{units}：{reason.zh}", f"{kind.en}{units}: {reason.en}")
    else:
        action = Words(f"{kind.zh}{units} {state.zh} {note}", f"{kind.en}{units} {state.en}")
    return Notice(
        revision=event.revision,
        kind=_PROPOSAL_KINDS[event.kind],
        thread=f"proposal/{proposal.proposal_id}",
        actor=proposal.actor,
        action=action,
    )


def _of_drill(event: alert_pb2.AlertEvent) -> Notice | None:
    drill = event.drill
    is_over = event.kind == alert_pb2.ALERT_EVENT_KIND_DRILL_ENDED
    came = Words("通过", "passed") if drill.passed else Words("未通过", "not passed")
    said = Words(f"结束，{came.zh} {drill.detail}", f"over, {came.en}") if is_over else Words("开始", "begins")
    return Notice(
        revision=event.revision,
        kind=Kind.DRILL,
        thread=f"drill/{event.drill_id}",
        actor=drill.actor,
        action=Words(f"{drill.name} {said.zh}", f"{drill.name} {said.en}"),
    )


_PROPOSAL_KINDS = {
    alert_pb2.ALERT_EVENT_KIND_PROPOSED: Kind.PROPOSED,
    alert_pb2.ALERT_EVENT_KIND_PROPOSAL_DECIDED: Kind.DECIDED,
    alert_pb2.ALERT_EVENT_KIND_PROPOSAL_CARRIED_OUT: Kind.CARRIED_OUT,
}
_MAKERS: Mapping[int, Callable[[alert_pb2.AlertEvent], Notice | None]] = {
    alert_pb2.ALERT_EVENT_KIND_TIER_CHANGE: _of_tier,
    alert_pb2.ALERT_EVENT_KIND_ESCALATED: _of_escalation,
    alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED: _of_acknowledgement,
    alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGEMENT_ENDED: _of_acknowledgement,
    **dict.fromkeys(_PROPOSAL_KINDS, _of_proposal),
    alert_pb2.ALERT_EVENT_KIND_DRILL_STARTED: _of_drill,
    alert_pb2.ALERT_EVENT_KIND_DRILL_ENDED: _of_drill,
}


def _thread(event: alert_pb2.AlertEvent) -> str:
    return f"{event.session_id}/{event.sku}"


def _tier(number: int) -> Tier:
    """The tier; what an older notifier does not know is told as a threshold, for somebody should look."""
    if number == alert_pb2.TIER_UNSPECIFIED:
        return Tier.NORMAL
    return Tier(number) if number in set(Tier) else Tier.THRESHOLD


def _reason(change: alert_pb2.TierChange) -> Reason | None:
    if not change.HasField("evidence"):
        return None
    pace = max(change.evidence.fast_rate, change.evidence.slow_rate)
    return Reason(change.evidence.available, pace, *_quantiles(change.stock_out))


def _quantiles(stock_out: alert_pb2.StockOut) -> tuple[float | None, float | None, float | None]:
    low, middle, high = (
        getattr(stock_out, name) if stock_out.HasField(name) else None
        for name in ("p10_seconds", "p50_seconds", "p90_seconds")
    )
    return low, middle, high


def _first_step(runbook: alert_pb2.Runbook) -> Words:
    if not runbook.steps:
        return NOTHING
    step = runbook.steps[0]
    owner = f"（{step.owner}）" if step.owner else ""
    return Words(f"{step.text}{owner}", step.text_en)


def _seconds(stamp: Timestamp) -> float:
    return stamp.seconds + stamp.nanos / NANOSECONDS
