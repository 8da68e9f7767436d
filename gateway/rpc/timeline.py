"""OperationsService: what happened to a SKU, how its numbers went, and what people did."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta
from msgspec.json import Decoder

from gateway.domain.alerts import Event
from gateway.domain.attempts import Attempt
from gateway.domain.audit import AuditEntry
from gateway.domain.errors import InvalidArgument
from gateway.domain.selling import Drift
from gateway.domain.stock import Movement, Shortfall
from gateway.domain.timeline import Entry, Kind, Place, Source, Wanted
from gateway.rpc import desk_parsing, parsing, rendering
from gateway.rpc.alert_rendering import fill_event
from gateway.rpc.attempts import fill_attempt
from gateway.rpc.channel import fill_drift
from gateway.rpc.paging import NUMBER, page_size, page_token, token
from gateway.rpc.rendering import timestamp, trace_id
from gateway.rpc.server import Call, Streaming, Unary
from gateway.store.audit import AuditFilter
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb

PAGE_SIZE_MAX = 500
NUMBER_MAX = 2**63 - 1
KINDS_MAX = len(Kind)
POINTS_LEAST, POINTS_DEFAULT, POINTS_MOST = 10, 300, 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What the database can hold: a caller may have made its token up.
_Micros = Annotated[int, Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]
_Number = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
_PLACE: Decoder[tuple[int, Source, tuple[int, ...]] | None] = Decoder(
    tuple[_Micros, Source, Annotated[tuple[_Number, ...], Meta(min_length=1, max_length=2)]]
)
# Sources whose rows have two numbers.
_PAIRED = {Source.ATTEMPT, Source.READING}


async def list_timeline(call: Call, request: pb.ListTimelineRequest) -> pb.ListTimelineResponse:
    """List everything that happened to a SKU, newest first."""
    size = min(page_size(request), PAGE_SIZE_MAX)
    wanted = Wanted(
        parsing.code(request.sku, "sku"),
        parsing.time_of(request, "since"),
        parsing.time_of(request, "until"),
        frozenset(_kinds(request)),
        request.include_drills,
    )
    found = await call.merchant.timeline.page(wanted, before=_place(request), count_max=size)
    response = pb.ListTimelineResponse()
    for entry in found:
        _fill_entry(response.entries.add(), entry)
    if len(found) == size:
        place = found[-1].place
        response.next_page_token = token(((place.time - _EPOCH) // _MICROSECOND, place.source, place.numbers))
    return response


def _kinds(request: pb.ListTimelineRequest) -> list[Kind]:
    if len(request.kinds) > KINDS_MAX:
        raise InvalidArgument(f"there are only {KINDS_MAX} kinds", field="kinds")
    return [desk_parsing.choice(Kind, kind, f"kinds[{place}]") for place, kind in enumerate(request.kinds)]


def _place(request: pb.ListTimelineRequest) -> Place | None:
    found = page_token(request, _PLACE, None)
    if found is None:
        return None
    micros, source, numbers = found
    if len(numbers) != 1 + (source in _PAIRED):
        raise InvalidArgument("page_token is not one that this list gave out", field="page_token")
    return Place(_EPOCH + micros * _MICROSECOND, source, numbers)


def _fill_entry(m: operations_pb2.TimelineEntry, entry: Entry) -> None:
    m.record_time.CopyFrom(timestamp(entry.place.time))
    m.kind = operations_pb2.TimelineKind.ValueType(entry.kind)
    m.row.kind, m.row.id = entry.row.kind, entry.row.id
    m.text, m.text_en, m.channel, m.actor = entry.text, entry.text_en, entry.channel, entry.actor
    m.trace_id = trace_id(entry.traceparent)
    if (filling := _DETAILS.get(type(entry.detail))) is not None:
        name, fill = filling
        fill(getattr(m, name), entry.detail)


async def get_series(call: Call, request: pb.GetSeriesRequest) -> pb.GetSeriesResponse:
    """Tell how a SKU's numbers went."""
    points_max = request.points_max or POINTS_DEFAULT
    if not POINTS_LEAST <= points_max <= POINTS_MOST:
        message = f"points_max is {points_max}; it must be from {POINTS_LEAST} to {POINTS_MOST}"
        raise InvalidArgument(message, field="points_max")
    history = await call.merchant.timeline.history(
        parsing.code(request.sku, "sku"),
        since=parsing.time_of(request, "since"),
        until=parsing.time_of(request, "until"),
        points_max=points_max,
    )
    response = pb.GetSeriesResponse(revision=history.revision)
    response.as_of.CopyFrom(timestamp(history.until))
    begin_micros = (history.since - _EPOCH) // _MICROSECOND
    for one in history.series:
        filled = response.series.add(name=one.name, channel=one.channel)
        for point in one.points:
            filled.points.add(value=point.value).time.FromMicroseconds(begin_micros + point.micros)
    return response


async def list_audit(call: Call, request: pb.ListAuditRequest) -> pb.ListAuditResponse:
    """List what people asked for, newest first."""
    size = min(page_size(request), PAGE_SIZE_MAX)
    wanted = AuditFilter(
        parsing.optional_code(request.sku, "sku"),
        parsing.optional_code(request.channel, "channel"),
        parsing.identifier(request.actor, "actor") if request.actor else "",
    )
    up_to = desk_parsing.number(request.up_to_audit_id, "up_to_audit_id", least=0)
    before = min(page_token(request, NUMBER, NUMBER_MAX), up_to + 1 if up_to else NUMBER_MAX, NUMBER_MAX)
    found = await call.merchant.audit.list(wanted, before=before, count_max=size)
    response = pb.ListAuditResponse()
    for entry in found:
        fill_audit_entry(response.entries.add(), entry)
    if len(found) == size:
        response.next_page_token = token(found[-1].audit_id)
    return response


def fill_audit_entry(m: operations_pb2.AuditEntry, entry: AuditEntry) -> None:
    """Fill what a person asked for."""
    m.audit_id = entry.audit_id
    m.record_time.CopyFrom(timestamp(entry.record_time))
    for name in ("actor", "method", "sku", "channel", "request_id", "outcome", "reason"):
        setattr(m, name, getattr(entry, name))
    m.content_json = entry.content
    m.trace_id = trace_id(entry.traceparent)


_DETAILS: dict[type, tuple[str, Callable[[Any, Any], None]]] = {
    Movement: ("movement", rendering.fill_movement),
    Attempt: ("attempt", fill_attempt),
    Drift: ("drift", fill_drift),
    Event: ("event", fill_event),
    AuditEntry: ("audit", fill_audit_entry),
    Shortfall: ("shortfall", rendering.fill_shortfall),
}

METHODS: dict[str, Unary | Streaming] = {
    "ListTimeline": list_timeline,
    "GetSeries": get_series,
    "ListAudit": list_audit,
}
