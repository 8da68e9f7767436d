"""From the alert log to messages. Values have the names of the proto's fields, so one function fills all."""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any

from msgspec import Struct

from gateway.domain.alerts import (
    Acknowledgement,
    AlertPolicy,
    Body,
    Compaction,
    DrillStep,
    Escalation,
    Event,
    IncomingUnits,
    Proposal,
    Session,
    Silence,
    StepDone,
    SubscriberState,
    TakenLine,
    TierTold,
)
from gateway.domain.demand import StockOutTimes
from gateway.domain.tiers import Evidence
from gateway.rpc.rendering import timestamp
from gateway.v1 import alert_pb2

_FIELD_OF: dict[type[Body], str] = {
    TierTold: "tier_change",
    Acknowledgement: "acknowledgement",
    Silence: "silence",
    Escalation: "escalation",
    Proposal: "proposal",
    StepDone: "step_done",
    Session: "session",
    DrillStep: "drill",
    SubscriberState: "subscriber",
    Compaction: "compaction",
    IncomingUnits: "incoming",
    AlertPolicy: "policy",
    TakenLine: "line",
}
# What the proto calls otherwise, and what it does not tell.
_RENAMED = {"before": "from", "after": "to"}
_UNTOLD = {"journal_revision", "open_revision", "open_reservation", "announce_time", "is_ordered"}


def fill_event(m: alert_pb2.AlertEvent, event: Event) -> None:
    """Fill an event."""
    m.revision = event.revision
    m.kind = alert_pb2.AlertEventKind.ValueType(event.kind)
    m.record_time.CopyFrom(timestamp(event.record_time))
    m.traceparent = event.traceparent or ""
    m.sku, m.session_id, m.episode, m.drill_id = event.sku, event.session_id, event.episode, event.drill_id
    m.channels.extend(event.channels)
    m.session_ids.extend(event.session_ids)
    m.silenced_by.extend(event.silenced_by)
    m.observe_time.CopyFrom(timestamp(event.observe_time or event.record_time))
    if event.expire_time is not None:
        m.expire_time.CopyFrom(timestamp(event.expire_time))
    if event.body is None:
        return
    body = getattr(m, _FIELD_OF[type(event.body)])
    body.SetInParent()
    fill(body, event.body)
    if isinstance(event.body, TierTold):
        body.evidence.journal_revision = event.body.journal_revision


def fill(m: Any, value: Struct) -> None:
    """Fill a message from a value whose fields have the same names; None stays absent."""
    if isinstance(value, StockOutTimes):
        fill_stock_out(m, value)
        return
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if field is None or name in _UNTOLD:
            continue
        _set(m, _RENAMED.get(name, name), field)
    if isinstance(value, Evidence):
        # Kept as seconds, for the model's sums.
        m.onset_time.FromMicroseconds(round(value.onset_time * 1e6))


def fill_stock_out(m: alert_pb2.StockOut, times: StockOutTimes) -> None:
    """Fill the quantiles of the time until nothing is left."""
    for name in times.__struct_fields__:
        seconds = getattr(times, name)
        if seconds is not None:
            setattr(m, f"{name}_seconds", seconds)


def _set(m: Any, name: str, value: Any) -> None:
    match value:
        case datetime():
            getattr(m, name).CopyFrom(timestamp(value))
        case Struct():
            getattr(m, name).SetInParent()
            fill(getattr(m, name), value)
        case str() | IntEnum() | int() | float():
            if name != "onset_time":
                setattr(m, name, value)
        case _:
            _extend(getattr(m, name), value)


def _extend(repeated: Any, values: Sequence[Any]) -> None:
    for value in values:
        if isinstance(value, Struct):
            fill(repeated.add(), value)
        else:
            repeated.append(value)
