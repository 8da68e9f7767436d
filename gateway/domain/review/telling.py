"""What people did in a session, and what they were proposed, in sentences: zh-CN first, and English.

Times within a sentence are China's.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from gateway.domain.alerts import (
    AckAction,
    Acknowledgement,
    Event,
    EventKind,
    IncomingUnits,
    Proposal,
    ProposalKind,
    Session,
    Silence,
    StepDone,
    TakenLine,
)
from gateway.domain.attention import LADDER
from gateway.domain.curves import CHINA_OFFSET_SECONDS
from gateway.domain.review.record import SessionRecord
from gateway.domain.review.values import Happening
from gateway.domain.tiers import Tier

# So many lines said in the chat are told one by one; an assistant says thousands.
LINES_MAX = 50
# A review is one message, and is to be read.
HAPPENINGS_MAX = 1_000
EVERYBODY = LADDER[-1][1]

TIER_NAMES = {
    Tier.NORMAL: ("正常", "normal"),
    Tier.TREND: ("提速", "trend"),
    Tier.THRESHOLD: ("预警", "threshold"),
    Tier.URGENT: ("紧急", "urgent"),
    Tier.SOLD_OUT: ("售罄", "sold out"),
}
_ACTIONS = {
    AckAction.REPLENISH: ("补货", "replenish"),
    AckAction.TRANSFER: ("调拨", "transfer"),
    AckAction.CAP_SALES: ("控量", "cap sales"),
    AckAction.DELIST: ("下架", "delist"),
    AckAction.WATCH: ("观察", "watch"),
    AckAction.FALSE_ALARM: ("误报", "false alarm"),
}
_PROPOSED = {
    ProposalKind.MOVE_UNITS: ("调拨库存", "move units"),
    ProposalKind.RAISE_EXCLUSIVE: ("增加专享库存", "raise the room's own units"),
    ProposalKind.LIST_SUBSTITUTE: ("上替代款", "list a substitute"),
    ProposalKind.SLOW_PACE: ("放慢讲解", "slow the pace"),
}
_ENDS = {
    "ARRIVED": ("在途已到", "units on their way have come"),
    "LATE": ("在途逾期未到", "units on their way are late"),
    "CANCELLED": ("在途已取消", "units on their way were cancelled"),
}

Told = tuple[str, str, str]  # in Chinese, in English, who


def happenings(record: SessionRecord) -> tuple[Happening, ...]:
    """Oldest first, the first so many of them; what no person has had to do with is left out."""
    return tuple(islice(_happenings(record), HAPPENINGS_MAX))


def _happenings(record: SessionRecord) -> Iterator[Happening]:
    lines = 0
    for event in record.events:
        said = told(event)
        if said is None:
            continue
        lines += event.kind is EventKind.LINE_TAKEN
        if event.kind is EventKind.LINE_TAKEN and lines > LINES_MAX:
            continue
        text, text_en, actor = said
        about, about_en = (f"{event.sku}：", f"{event.sku}: ") if event.sku else ("", "")
        yield Happening(event, about + text, about_en + text_en, actor)


def told(event: Event) -> Told | None:
    """What people did, or were proposed; None if it is about something else."""
    tell = _TELLINGS.get(event.kind)
    return None if tell is None or event.body is None else tell(event.body)


def _acknowledged(ack: Acknowledgement) -> Told:
    action, action_en = _ACTIONS[ack.action]
    units = f" {ack.quantity} 件" if ack.quantity else ""
    units_en = f" {ack.quantity} units" if ack.quantity else ""
    tier, tier_en = TIER_NAMES[ack.tier]
    note, note_en = (f"，{ack.note}", f": {ack.note}") if ack.note else ("", "")
    return f"认领{tier}：{action}{units}{note}", f"acknowledged {tier_en}, {action_en}{units_en}{note_en}", ack.actor


def _silenced(silence: Silence) -> Told:
    until = _clock(silence.end_time)
    return f"静音到 {until}：{silence.comment}", f"silenced until {until}: {silence.comment}", silence.actor


def _proposed(proposal: Proposal) -> Told:
    text, text_en = _of_proposal(proposal)
    return f"建议{text}：{proposal.reason}", f"proposed to {text_en}: {proposal.reason_en or proposal.reason}", ""


def _decided(proposal: Proposal) -> Told:
    text, text_en = _of_proposal(proposal)
    is_declined = proposal.state.name == "DECLINED"
    said, said_en = ("否决", "declined to") if is_declined else ("批准", "approved to")
    return f"{said}{text}", f"{said_en} {text_en}", proposal.actor


def _carried_out(proposal: Proposal) -> Told:
    text, text_en = _of_proposal(proposal)
    failed = proposal.state.name == "FAILED"
    how, how_en = ("未能执行", "could not") if failed else ("已执行", "carried out:")
    return f"{how}{text}", f"{how_en} {text_en}", proposal.actor


def _of_proposal(proposal: Proposal) -> tuple[str, str]:
    text, text_en = _PROPOSED[proposal.kind]
    if proposal.quantity:
        return f"{text} {proposal.quantity} 件", f"{text_en} ({proposal.quantity})"
    if proposal.substitute:
        return f"{text} {proposal.substitute}", f"{text_en} {proposal.substitute}"
    return text, text_en


def _stepped(step: StepDone) -> Told:
    return f"完成步骤：{step.text}", f"step done: {step.text}", step.actor


def _session_opened(session: Session) -> Told:
    return f"开播：{session.room}", f"session opened: {session.room}", session.actor


def _session_changed(session: Session) -> Told:
    count = len(session.skus)
    return f"调整场次，在售 {count} 个商品", f"session changed, {count} SKUs on sale", session.actor


def _session_closed(session: Session) -> Told:
    return f"下播：{session.room}", f"session closed: {session.room}", session.actor


def _announced(units: IncomingUnits) -> Told:
    at = _clock(units.arrive_time)
    return f"登记在途 {units.quantity} 件，{at} 到", f"announced {units.quantity} units for {at}", units.actor


def _incoming_ended(units: IncomingUnits) -> Told:
    text, text_en = _ENDS.get(units.end_reason, ("在途结束", "units on their way are settled"))
    return f"{text}（{units.quantity} 件）", f"{text_en} ({units.quantity})", ""


def _said(line: TakenLine) -> Told:
    return f"话术：{line.text}", f"line: {line.text}", ""


def _policy_changed(_policy: Any) -> Told:
    return "改了预警设置", "alert policy changed", ""


def _escalated(escalation: Any) -> Told:
    whom, whom_en = ("所有人", "everybody") if escalation.level == EVERYBODY else ("值班组长", "the shift lead")
    return f"无人认领，升级到{whom}", f"nobody acknowledged: escalated to {whom_en}", ""


def _clock(time: datetime) -> str:
    return f"{time + timedelta(seconds=CHINA_OFFSET_SECONDS):%H:%M}"


_TELLINGS: dict[EventKind, Callable[[Any], Told]] = {
    EventKind.ACKNOWLEDGED: _acknowledged,
    EventKind.SILENCED: _silenced,
    EventKind.ESCALATED: _escalated,
    EventKind.PROPOSED: _proposed,
    EventKind.PROPOSAL_DECIDED: _decided,
    EventKind.PROPOSAL_CARRIED_OUT: _carried_out,
    EventKind.STEP_DONE: _stepped,
    EventKind.SESSION_OPENED: _session_opened,
    EventKind.SESSION_CHANGED: _session_changed,
    EventKind.SESSION_CLOSED: _session_closed,
    EventKind.INCOMING_ANNOUNCED: _announced,
    EventKind.INCOMING_ENDED: _incoming_ended,
    EventKind.POLICY_CHANGED: _policy_changed,
    EventKind.LINE_TAKEN: _said,
}
