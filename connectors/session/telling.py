"""What the alert log says, in one sentence for people: zh-CN and English."""

from collections.abc import Callable, Mapping

from connectors.notify.facts import ACTIONS, PROPOSALS, STATES
from connectors.notify.words import NOTHING, SYMBOLS, TIERS, Words, both, gone_in
from gateway.v1 import alert_pb2

ENDS: Mapping[str, Words] = {
    "CLOSED": Words("警报已解除", "it is over"),
    "RISEN": Words("警报已升级，请重新认领", "the tier has risen"),
    "TIMED_OUT": Words("超时仍未好转，请重新认领", "nothing has got better in time"),
}


def told(event: alert_pb2.AlertEvent) -> Words:
    """An event, in a sentence; nothing where there is nothing in it for people."""
    body = event.WhichOneof("body")
    tell = _TELLERS.get(body) if body else None
    return tell(event) if tell else NOTHING


def line_of(event: alert_pb2.AlertEvent) -> str:
    """The same in one line, Chinese first; "" where there is nothing in it for people."""
    return both(told(event))


def _tier_change(event: alert_pb2.AlertEvent) -> Words:
    change = event.tier_change
    if change.to == getattr(change, "from"):
        return _flags(event)
    known, evidence, out = TIERS.get(change.to, NOTHING), change.evidence, change.stock_out
    mark = f"{SYMBOLS.get(change.to, '')} "
    left, pace = Words(), max(evidence.fast_rate, evidence.slow_rate)
    if alert_pb2.TIER_NORMAL < change.to < alert_pb2.TIER_SOLD_OUT:
        left = gone_in(
            out.p10_seconds if out.HasField("p10_seconds") else None,
            out.p50_seconds if out.HasField("p50_seconds") else None,
            out.p90_seconds if out.HasField("p90_seconds") else None,
        )
    return Words(
        f"{mark}{known.zh}：{event.sku} 可售 {evidence.available:,} 件，每分钟 {pace:.1f} 单{left.zh}",
        f"{mark}{known.en}: {event.sku}, {evidence.available:,} available, {pace:.1f} orders a minute{left.en}",
    )


def _flags(event: alert_pb2.AlertEvent) -> Words:
    if event.tier_change.is_stale:
        return Words(f"⌛ {event.sku} 渠道无消息，数字暂不可用", f"⌛ {event.sku}: its channels are not heard")
    return Words(f"{event.sku} 数字恢复可用", f"{event.sku}: known again")


def _acknowledgement(event: alert_pb2.AlertEvent) -> Words:
    ack = event.acknowledgement
    tier, action = TIERS.get(ack.tier, NOTHING), ACTIONS.get(ack.action, NOTHING)
    if event.kind == alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGEMENT_ENDED:
        why = ENDS.get(ack.end_reason, NOTHING)
        return Words(f"“{tier.zh}”的认领到此为止：{why.zh}", f"the acknowledgement of {tier.en} ends: {why.en}")
    note = f" “{ack.note}”" if ack.note else ""
    return Words(
        f"☑ {ack.actor} 认领“{tier.zh}”：{action.zh}{note}", f"☑ {ack.actor} takes {tier.en} on: {action.en}{note}"
    )


def _proposal(event: alert_pb2.AlertEvent) -> Words:
    proposal = event.proposal
    kind, state = PROPOSALS.get(proposal.kind, NOTHING), STATES.get(proposal.state, NOTHING)
    way = f" {proposal.from_location} → {proposal.to_location}" if proposal.from_location else ""
    what = f"{f' {proposal.quantity:,}' if proposal.quantity else ''}{way}{f' {proposal.substitute}'.rstrip()}"
    match event.kind:
        case alert_pb2.ALERT_EVENT_KIND_PROPOSED:
            return Words(
                f"？系统建议{kind.zh}{what}：{proposal.reason}", f"? proposed: {kind.en}{what}: {proposal.reason_en}"
            )
        case alert_pb2.ALERT_EVENT_KIND_PROPOSAL_DECIDED:
            by = f" {proposal.actor}" if proposal.actor else ""
            note = f" “{proposal.note}”" if proposal.note else ""
            return Words(f"☑{by} {state.zh}：{kind.zh}{what}{note}", f"☑{by} {state.en}: {kind.en}{what}{note}")
    effect = f" ({proposal.effect})" if proposal.effect else ""
    return Words(f"✔ {kind.zh}{what} {state.zh}{effect}", f"✔ {kind.en}{what} {state.en}{effect}")


def _step(event: alert_pb2.AlertEvent) -> Words:
    step, tier = event.step_done, TIERS.get(event.step_done.tier, NOTHING)
    return Words(
        f"✔ {step.actor} 完成“{tier.zh}”预案：{step.text}", f"✔ {step.actor}, runbook of {tier.en}: {step.text}"
    )


def _session(event: alert_pb2.AlertEvent) -> Words:
    session = event.session
    sold = ", ".join(one.sku for one in session.skus)
    match event.kind:
        case alert_pb2.ALERT_EVENT_KIND_SESSION_OPENED:
            return Words(f"开播：{session.room}，{sold}", f"on air: {session.room}, {sold}")
        case alert_pb2.ALERT_EVENT_KIND_SESSION_CLOSED:
            return Words(f"下播：{session.room}", f"off air: {session.room}")
    return Words(f"本场在售：{sold}", f"on sale in the room: {sold}")


def _escalation(event: alert_pb2.AlertEvent) -> Words:
    tier = TIERS.get(event.escalation.tier, NOTHING)
    return Words(f"‼ “{tier.zh}”无人认领：{event.sku}", f"‼ nobody has taken {tier.en} on: {event.sku}")


_TELLERS: Mapping[str, Callable[[alert_pb2.AlertEvent], Words]] = {
    "tier_change": _tier_change,
    "acknowledgement": _acknowledgement,
    "proposal": _proposal,
    "step_done": _step,
    "session": _session,
    "escalation": _escalation,
}
