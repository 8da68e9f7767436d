"""Every value of the alert log has a message, and every field of it a place there."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.domain.alerts import (
    AckAction,
    Acknowledgement,
    AlertPolicy,
    Body,
    Compaction,
    DrillStep,
    Escalation,
    Event,
    EventKind,
    IncomingUnits,
    Proposal,
    ProposalKind,
    ProposalState,
    Runbook,
    RunbookStep,
    Session,
    SessionSku,
    Silence,
    SilenceMatcher,
    StepDone,
    SubscriberState,
    TakenLine,
    TierTold,
)
from gateway.domain.demand import StockOutTimes
from gateway.domain.tiers import Evidence, Tier
from gateway.rpc.alert_rendering import fill_event
from gateway.v1 import alert_pb2

NOW = datetime(2026, 11, 11, 12, 0, 0, 250_000, tzinfo=UTC)
EVIDENCE = Evidence(23, 21, True, 0.4, 0.01, 0.3, 1800.0, 12.5, 4.25, 5.0, 3.0, 1_700_000_000.25, 41, True, True)
BODIES: dict[EventKind, Body] = {
    EventKind.TIER_CHANGE: TierTold(
        Tier.TREND,
        Tier.URGENT,
        EVIDENCE,
        StockOutTimes(60.0, 90.0, None),
        is_stale=True,
        is_flapping=True,
        reopened=2,
        pages=True,
        runbook=Runbook(Tier.URGENT, (RunbookStep("补货", "Refill", "仓库", 5),), "手快有", "Be quick", ("ops",)),
        journal_revision=77,
    ),
    EventKind.ACKNOWLEDGED: Acknowledgement(
        Tier.URGENT, "li", NOW, AckAction.TRANSFER, 9, 200, NOW, "in a van", NOW, "RISEN"
    ),
    EventKind.SILENCED: Silence(
        SilenceMatcher(("tea",), ("dy",), (3,)), NOW, NOW, "li", "known", 4, True, Tier.URGENT, NOW
    ),
    EventKind.ESCALATED: Escalation(2, Tier.URGENT, NOW, 1),
    EventKind.PROPOSED: Proposal(
        ProposalKind.MOVE_UNITS,
        ProposalState.DONE,
        "tea",
        NOW,
        5,
        3,
        200,
        "near",
        "main",
        "mug",
        "快没了",
        "nearly gone",
        "li",
        "yes",
        NOW,
        "moved",
        NOW,
    ),
    EventKind.STEP_DONE: StepDone(Tier.URGENT, 1, "补货", "li"),
    EventKind.SESSION_OPENED: Session(
        "晚八点", ("dy",), (SessionSku("tea", 200, 150),), NOW, NOW, 3, NOW, "li", "小美", "room-3", 12
    ),
    EventKind.DRILL_INJECTED: DrillStep("surge", "li", "SURGE", True, "x 5"),
    EventKind.SUBSCRIBER_LAGGED: SubscriberState("console", 5, NOW, 2, "CUT_OFF", 300),
    EventKind.COMPACTED: Compaction(1000),
    EventKind.INCOMING_ANNOUNCED: IncomingUnits("tea", 200, NOW, "li", 8, "PO 7", "ARRIVED"),
    EventKind.POLICY_CHANGED: AlertPolicy("tea", 0.9, 50, 5, 600.0, 60.0, 7200.0, True),
    EventKind.LINE_TAKEN: TakenLine("CHAT", "还有23件", "CHAT.URGENT.zh-CN", "zh-CN"),
}


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.name)
def test_every_field_of_an_event_reaches_the_wire(kind: EventKind) -> None:
    """No value is lost between log and wire: with all fields given, every field of the message is set."""
    message = alert_pb2.AlertEvent()
    event = Event(
        revision=1,
        record_time=NOW,
        kind=kind,
        body=BODIES[kind],
        sku="tea",
        session_id=3,
        episode=2,
        channels=("dy",),
        session_ids=(3,),
        drill_id=6,
        silenced_by=(4,),
        observe_time=NOW,
        expire_time=NOW,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    fill_event(message, event)
    assert message.kind == int(kind)
    assert _unset(message) <= {"stock_out.p90_seconds"}


def test_every_body_is_tried() -> None:
    """The table above leaves no kind of body out."""
    assert {type(body) for body in BODIES.values()} == set(Body.__args__)


def _unset(message: Any, path: str = "") -> set[str]:
    missing = set()
    oneofs = {field.name for one in message.DESCRIPTOR.oneofs if len(one.fields) > 1 for field in one.fields}
    given = {field.name for field, _ in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        if field.name not in given and field.name not in oneofs:
            missing.add(f"{path}{field.name}")
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.name != "Timestamp":
            values = list(value) if field.is_repeated else [value]
            for one in values:
                inner = f"{field.name}." if field.name == "stock_out" else path
                missing |= _unset(one, inner)
    return missing
