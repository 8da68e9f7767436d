"""Traces: OperationsService on recent ones, and OTLP's own service, to which other processes hand in their spans.

OTLP: https://github.com/open-telemetry/opentelemetry-proto, `collector/trace/v1/trace_service.proto`. Whose spans they
are the caller's token says. What is no span is told in the answer and costs the others nothing; what is too long is
cut.
"""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from gateway.domain.errors import InvalidArgument
from gateway.domain.spans import ATTRIBUTES_MAX, LINKS_MAX, NAME_LENGTH_MAX, Span, SpanKind, SpanLink, plain
from gateway.rpc import parsing
from gateway.rpc.rendering import timestamp
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 200
MINUTES_MAX = 60
SPANS_AT_ONCE_MAX = 2_000
# Calls are not to wait until all are read.
SPANS_PER_TURN = 100
# Values lie in values; so deep they are read.
VALUE_DEPTH_MAX = 3
VALUES_MAX = 32
TRACE_ID_BYTES, SPAN_ID_BYTES = 16, 8
NANOSECONDS_MAX = 2**63 - 1
_KINDS = {kind.value for kind in SpanKind}
_HEX = frozenset("0123456789abcdef")


async def get_trace(call: Call, request: pb.GetTraceRequest) -> pb.GetTraceResponse:
    """The recent spans of a trace, and of those linked with it."""
    wanted = _trace_id(request.trace_id)
    response = pb.GetTraceResponse()
    for span in await call.merchant.tracing.trace(wanted, with_linked=not request.without_linked):
        _fill_span(response.spans.add(), span)
    return response


async def list_traces(call: Call, request: pb.ListTracesRequest) -> pb.ListTracesResponse:
    """Recent traces, newest first."""
    if request.page_size < 0:
        raise InvalidArgument(f"page_size is {request.page_size}; it must be 0 or more", field="page_size")
    found = await call.merchant.tracing.recent(
        sku=parsing.optional_code(request.sku, "sku"),
        only_errors=request.only_errors,
        include_single=request.include_single,
        count_max=min(request.page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX),
    )
    response = pb.ListTracesResponse()
    for trace in found:
        m = response.traces.add(
            trace_id=trace.trace_id, name=trace.name, service=trace.service, spans=trace.spans, error=trace.is_error
        )
        m.begin_time.CopyFrom(_moment(trace.begin_ns))
        m.duration.CopyFrom(_length(trace.begin_ns, trace.end_ns))
    return response


async def trace_sku(call: Call, request: pb.TraceSkuRequest) -> pb.TraceSkuResponse:
    """Have calls about a SKU traced for some minutes."""
    sku, duration = parsing.code(request.sku, "sku"), request.duration
    if not (0 <= duration.nanos < 10**9 and 0 <= duration.seconds <= MINUTES_MAX * 60) or (
        duration.seconds == MINUTES_MAX * 60 and duration.nanos
    ):
        raise InvalidArgument(f"a SKU is traced for at most {MINUTES_MAX} minutes; 0 ends it", field="duration")
    await call.merchant.catalog.sku(sku)
    until: datetime = await call.merchant.tracing.trace_sku(sku, duration.ToTimedelta())
    return pb.TraceSkuResponse(until=timestamp(until))


async def export(call: Call, request: otlp.ExportTraceServiceRequest) -> otlp.ExportTraceServiceResponse:
    """Take the spans of another process, as OTLP hands them in."""
    good: list[Span] = []
    refused, why = 0, ""
    for number, (service, m) in enumerate(_given(request)):
        if number % SPANS_PER_TURN == 0:
            await asyncio.sleep(0)
        if len(good) == SPANS_AT_ONCE_MAX:
            refused, why = refused + 1, f"at most {SPANS_AT_ONCE_MAX} spans are taken at once"
        elif (span := _span(service, m)) is None:
            refused, why = refused + 1, "a span without ids of 16 and 8 bytes, or of no time"
        else:
            good.append(span)
    taken = call.merchant.tracing.hand_in(good)
    if taken < len(good):
        refused, why = refused + len(good) - taken, "too many spans are waiting to be stored"
    response = otlp.ExportTraceServiceResponse()
    if refused:
        response.partial_success.rejected_spans = refused
        response.partial_success.error_message = why
    return response


METHODS: dict[str, Unary | Streaming] = {"GetTrace": get_trace, "ListTraces": list_traces, "TraceSku": trace_sku}
EXPORT_METHODS: dict[str, Unary | Streaming] = {"Export": export}


# ---- to the wire


def _fill_span(m: operations_pb2.Span, span: Span) -> None:
    for name in ("trace_id", "span_id", "parent_span_id", "service", "name"):
        setattr(m, name, getattr(span, name))
    m.kind = span.kind.name
    m.begin_time.CopyFrom(_moment(span.begin_ns))
    m.duration.CopyFrom(_length(span.begin_ns, span.end_ns))
    m.error = span.is_error
    for name, value in span.attributes.items():
        m.attributes[name] = value
    for link in span.links:
        m.links.add(trace_id=link.trace_id, span_id=link.span_id)


def _moment(nanoseconds: int) -> Timestamp:
    return Timestamp(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


def _length(begin_ns: int, end_ns: int) -> Duration:
    return Duration(seconds=(end_ns - begin_ns) // 10**9, nanos=(end_ns - begin_ns) % 10**9)


# ---- from the wire


def _trace_id(value: str) -> str:
    found = value.lower()
    if len(found) != 2 * TRACE_ID_BYTES or not _HEX.issuperset(found):
        raise InvalidArgument("trace_id is 32 hex digits", field="trace_id")
    return found


def _given(request: otlp.ExportTraceServiceRequest) -> Iterator[tuple[str, trace_pb2.Span]]:
    """Each span with the name of its process."""
    for process in request.resource_spans:
        names = [one.value.string_value for one in process.resource.attributes if one.key == "service.name"]
        service = plain(names[0], NAME_LENGTH_MAX) if names else ""
        for scope in process.scope_spans:
            for span in scope.spans:
                yield service, span


def _span(service: str, m: trace_pb2.Span) -> Span | None:
    """None of what is no span."""
    is_named = len(m.trace_id) == TRACE_ID_BYTES and len(m.span_id) == SPAN_ID_BYTES
    is_child = bool(m.parent_span_id) and any(m.parent_span_id)
    begin_ns, end_ns = m.start_time_unix_nano, m.end_time_unix_nano
    if not (is_named and any(m.trace_id) and any(m.span_id)) or (is_child and len(m.parent_span_id) != SPAN_ID_BYTES):
        return None
    if not 0 < begin_ns <= NANOSECONDS_MAX or end_ns > NANOSECONDS_MAX:
        return None
    attributes = {plain(one.key, NAME_LENGTH_MAX): plain(_said(one.value)) for one in m.attributes[:ATTRIBUTES_MAX]}
    return Span(
        m.trace_id.hex(),
        m.span_id.hex(),
        m.parent_span_id.hex() if is_child else "",
        service,
        plain(m.name, NAME_LENGTH_MAX),
        SpanKind(m.kind) if m.kind in _KINDS else SpanKind.INTERNAL,
        begin_ns,
        max(begin_ns, end_ns),
        m.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        # As long as an index takes.
        plain(attributes["stockgate.sku"], NAME_LENGTH_MAX) if "stockgate.sku" in attributes else None,
        attributes,
        tuple(_links(m.links)),
    )


def _links(links: Iterable[trace_pb2.Span.Link]) -> Iterator[SpanLink]:
    for link in list(links)[:LINKS_MAX]:
        if len(link.trace_id) == TRACE_ID_BYTES and len(link.span_id) == SPAN_ID_BYTES:
            yield SpanLink(link.trace_id.hex(), link.span_id.hex())


def _said(value: AnyValue, depth: int = VALUE_DEPTH_MAX) -> str:
    """A value as text."""
    match value.WhichOneof("value"):
        case "string_value":
            said = value.string_value
        case "bool_value":
            said = "true" if value.bool_value else "false"
        case "int_value":
            said = str(value.int_value)
        case "double_value":
            said = str(value.double_value)
        case "bytes_value":
            said = value.bytes_value[:NAME_LENGTH_MAX].hex()
        case "array_value" if depth:
            said = ", ".join(_said(one, depth - 1) for one in value.array_value.values[:VALUES_MAX])
        case "kvlist_value" if depth:
            said = ", ".join(_pair(one, depth - 1) for one in value.kvlist_value.values[:VALUES_MAX])
        case _:
            said = ""
    return said


def _pair(one: KeyValue, depth: int) -> str:
    return f"{one.key}={_said(one.value, depth)}"
