"""Spans of calls: one per unary call that is traced; of a stream its opening, its sampled deliveries, and its end.

A call that is not traced has no span, only a start time; if it ends in a fault of ours, or late, the span is made then.
A refusal (sold out, no such SKU) is an answer, not a fault. A stream that lasts for an hour is not a span of an hour,
which nobody would see before its end: its opening and its close are short ones of one trace, and what is delivered
between them links to what it tells of. No span is current while a stream yields.

Of a request only what `_TOLD` names and SKUs are told; never its text, a secret or a buyer.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from opentelemetry import context as api_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from gateway import metrics, telemetry
from gateway.sampling import Allowance
from gateway.telemetry import JOIN_SECONDS, NO_ORIGIN, Origin

# A unary call that takes longer is kept.
SLOW_NS = 1_000_000_000
# A caller's deadline is counted from when he sent, ours from when it came, rounded up: he goes a moment before it.
DEADLINE_SLACK_SECONDS = 0.25
# What the conventions count as an error of a server; all else is an answer.
FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
# Fields of requests that a span tells.
_TOLD = {
    "channel": "stockgate.channel",
    "connector_id": "stockgate.connector_id",
    "drill_id": "stockgate.drill_id",
    "listing_id": "stockgate.listing",
    "request_id": "stockgate.request_id",
    "reservation_id": "stockgate.reservation_id",
    "session_id": "stockgate.session_id",
    "subscriber_id": "stockgate.subscriber_id",
}
_SCALARS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_INT64}
# Where a request names SKUs: ApplyBatch.items[].reserve.lines[].sku is the deepest; its answer has one step more.
_SKU_DEPTH = 4
_ANSWER_DEPTH = 5
_SKUS, _RESERVATIONS = frozenset({"sku", "skus"}), frozenset({"reservation_id"})
_SKUS_TOLD_MAX = 20
_TEXT_LENGTH_MAX = 200
# `alerts/endings.py` knows more of why they end.
_COUNTED_BY_THEIR_HUB = "gateway.v1.AlertService/WatchTierChanges"
# Deliveries of one process that are told, in one second: a change may go to a thousand readers.
DELIVERIES_PER_SECOND_MAX = 20
# Calls about SKUs that somebody wants traced: all of them, but of a crowd at the hottest no more than it hardly feels.
ASKED_FOR_PER_SECOND_MAX = 50

Path = tuple[str, ...]
Metadata = Iterable[tuple[str, str | bytes]]
_deliveries = Allowance(DELIVERIES_PER_SECOND_MAX)
_asked_for = Allowance(ASKED_FOR_PER_SECOND_MAX)


class MethodSpans:
    """The spans of one method's calls. `server` are attributes of where we serve."""

    def __init__(self, method: MethodDescriptor, server: Mapping[str, AttributeValue]) -> None:
        """Learn what its requests name."""
        self.name = f"{method.containing_service.full_name}/{method.name}"
        self.server = server
        self.told = [
            field.name
            for field in method.input_type.fields
            if field.name in _TOLD and field.type in _SCALARS and not field.is_repeated
        ]
        self.sku_paths = list(_paths(method.input_type, _SKUS, _SKU_DEPTH))
        # Of which SKUs a reservation is, its answer says.
        self.reservation_paths = list(_paths(method.input_type, _RESERVATIONS, _SKU_DEPTH))
        self.answer_paths = list(_paths(method.output_type, _SKUS, _ANSWER_DEPTH)) if self.reservation_paths else []
        # An order names what its platform calls it; of which SKU it is, is found later.
        self.may_name_any_sku = method.name == "ReportOrders"

    def arrive(self, context: "grpc.aio.ServicerContext[Any, Any]") -> "CallSpan":
        """A unary call begins."""
        return CallSpan(self, context)

    def arrive_stream(self, context: "grpc.aio.ServicerContext[Any, Any]") -> "StreamSpan":
        """A stream begins."""
        return StreamSpan(self, context)

    def names_one_of(self, request: Message, traced: frozenset[str]) -> bool:
        """True if the request may be about a SKU that is traced."""
        if self.may_name_any_sku or not traced.isdisjoint(_found(request, self.sku_paths)):
            return True
        return any(_found(request, self.reservation_paths))

    def attributes(self, context: "grpc.aio.ServicerContext[Any, Any]", request: Message | None) -> dict[str, Any]:
        """What is known of a call when it begins."""
        found: dict[str, Any] = {"rpc.system.name": "grpc", "rpc.method": self.name, **self.server, **_peer(context)}
        if request is None:
            return found
        for name in self.told:
            if value := getattr(request, name):
                found[_TOLD[name]] = value[:_TEXT_LENGTH_MAX] if isinstance(value, str) else value
        return found | _told_skus(_found(request, self.sku_paths))


class _Arrived:
    """A call, from its arrival on."""

    __slots__ = ("_caller", "_code", "_context", "_merchant", "_method", "_reason", "_start_ns")

    def __init__(self, method: MethodSpans, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        self._method = method
        self._context = context
        self._start_ns = time.time_ns()
        self._caller = _caller(context.invocation_metadata()) if telemetry.sampling.is_on else None
        self._merchant = ""
        self._code = "OK"
        self._reason = ""

    def refused(self, code: grpc.StatusCode, reason: str) -> None:
        """It ends with this status, for this reason."""
        self._code, self._reason = code.name, reason

    def cancelled(self) -> None:
        """Its caller has gone, or its deadline has passed."""
        remaining: float | None = self._context.time_remaining()
        is_late = remaining is not None and remaining <= DEADLINE_SLACK_SECONDS
        self._code = "DEADLINE_EXCEEDED" if is_late else "CANCELLED"

    def _is_traced(self, merchant: str, traced_skus: frozenset[str], request: Message) -> bool:
        self._merchant = merchant
        sampling = telemetry.sampling
        if not sampling.is_on:
            return False
        if traced_skus and self._method.names_one_of(request, traced_skus) and _asked_for.take():
            return True
        if self._caller is not None and sampling.follows_caller:
            return self._caller.trace_flags.sampled
        return sampling.draw(self._method.name)

    def _origin(self) -> Origin:
        return NO_ORIGIN if self._caller is None else Origin(self._caller, [], {})

    def _attributes(self, request: Message | None) -> dict[str, Any]:
        found = self._method.attributes(self._context, request)
        if self._merchant:
            found["stockgate.merchant"] = self._merchant
        return found

    def _finish(self, span: Span) -> None:
        span.set_attribute("rpc.response.status_code", self._code)
        if self._reason:
            span.set_attribute("stockgate.reason", self._reason)
        if self._code in FAULTS:
            span.set_attribute("error.type", self._code)
            span.set_status(StatusCode.ERROR)
        span.end()


class CallSpan(_Arrived):
    """The span of one unary call, if it is to have one."""

    __slots__ = ("_request", "_span", "_token")

    def __init__(self, method: MethodSpans, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """Note when it came."""
        super().__init__(method, context)
        self._request: Message | None = None
        self._span: Span | None = None
        self._token: Any = None

    def begin(self, merchant: str, traced_skus: frozenset[str], request: Message) -> None:
        """The work begins; what it does is part of this span from now on, if it is traced.

        Calls that name one of `traced_skus` are, whatever was drawn, but for those of a crowd.
        """
        self._request = request
        if self._is_traced(merchant, traced_skus, request):
            self._span = telemetry.begin(
                self._method.name,
                origin=self._origin(),
                kind=SpanKind.SERVER,
                attributes=self._attributes(request),
                keep=True,
                start_ns=self._start_ns,
            )
            self._token = api_context.attach(trace.set_span_in_context(self._span))
        elif self._caller is not None:
            # Not kept here, but what is written down names who asked.
            self._token = api_context.attach(trace.set_span_in_context(NonRecordingSpan(self._caller)))

    def answered(self, answer: Message) -> None:
        """It is done; of whose reservation it was, the answer tells."""
        if self._span is not None and self._method.answer_paths:
            self._span.set_attributes(_told_skus(_found(answer, self._method.answer_paths)))

    def end(self) -> None:
        """The work is over."""
        if self._token is not None:
            api_context.detach(self._token)
        took_ns = time.time_ns() - self._start_ns
        if self._span is None and telemetry.sampling.is_on:
            if self._code in FAULTS:
                self._span = self._recorded("error")
            elif took_ns > SLOW_NS:
                self._span = self._recorded("slow")
        seen = None
        if self._span is not None:
            seen = self._span.get_span_context()
            self._finish(self._span)
        metrics.rpc_server_duration.record(took_ns / 1e9, (self._method.name, self._code), seen)

    def _recorded(self, why: str) -> Span:
        return telemetry.record(
            self._method.name,
            self._start_ns,
            why=why,
            origin=self._origin()._replace(links=telemetry.blamed()),
            kind=SpanKind.SERVER,
            attributes=self._attributes(self._request),
        )


class StreamSpan(_Arrived):
    """The spans of one stream. It lasts long, so it keeps little."""

    __slots__ = ("_opening", "_told", "last")

    def __init__(self, method: MethodSpans, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """Note when it came. `last` is what was sent last: it may say why the stream ends."""
        super().__init__(method, context)
        self.last: Message | bytes | None = None
        self._opening: Span | None = None
        self._told: dict[str, Any] = {}

    def begin(self, merchant: str, traced_skus: frozenset[str], request: Message) -> None:
        """The stream is being opened."""
        if self._is_traced(merchant, traced_skus, request):
            self._told = self._attributes(request)
            self._opening = telemetry.begin(
                f"{self._method.name} open",
                origin=self._origin(),
                kind=SpanKind.SERVER,
                attributes=self._told,
                keep=True,
                start_ns=self._start_ns,
            )

    def opened(self) -> None:
        """All that a stream begins with has been sent."""
        if self._opening is not None and self._opening.is_recording():
            self._opening.end()

    def delivered(self, traceparents: Sequence[str], cause_ns: int, start_ns: int) -> None:
        """Something caused by these spans, at `cause_ns`, was written, from `start_ns` on; told if one is sampled."""
        if not any(telemetry.is_sampled(one) for one in traceparents) or not _deliveries.take():
            return
        # Who resumes is sent what is old.
        origin = telemetry.origin_of(traceparents, is_fresh=start_ns - cause_ns < JOIN_SECONDS * 1e9)
        told = self._told or self._attributes(None)
        name = f"{self._method.name} deliver"
        telemetry.begin(
            name, origin=origin, kind=SpanKind.PRODUCER, attributes=told, keep=True, start_ns=start_ns
        ).end()

    def end(self) -> None:
        """The stream is over."""
        self.opened()
        why = self._reason or _goodbye(self.last) or self._code
        if self._method.name != _COUNTED_BY_THEIR_HUB:
            gone = "CLIENT_GONE" if why == "CANCELLED" else why
            method = self._method.name.rpartition("/")[2]
            metrics.streams_closed.add(1, {"merchant": self._merchant, "method": method, "reason": gone})
        is_fault = self._code in FAULTS
        if not telemetry.sampling.is_on or (self._opening is None and not is_fault):
            return
        seconds = (time.time_ns() - self._start_ns) / 1e9
        told = self._told or self._attributes(None)
        told = {**told, "stockgate.stream.reason": why, "stockgate.stream.seconds": seconds}
        name = f"{self._method.name} close"
        if self._opening is not None:
            origin = Origin(self._opening.get_span_context(), [], {})
            span = telemetry.begin(name, origin=origin, kind=SpanKind.SERVER, attributes=told, keep=True)
        else:
            now, origin = time.time_ns(), self._origin()
            span = telemetry.record(name, now, why="error", origin=origin, kind=SpanKind.SERVER, attributes=told)
        self._finish(span)


def _caller(metadata: Metadata | None) -> SpanContext | None:
    for name, value in metadata or ():
        if name == "traceparent":
            return telemetry.parse(value) if isinstance(value, str) else None
    return None


def _goodbye(last: Message | bytes | None) -> str:
    """The reason that a GoAway gives."""
    if isinstance(last, Message) and "go_away" in last.DESCRIPTOR.fields_by_name and last.HasField("go_away"):
        reason: str = last.go_away.reason  # type: ignore[attr-defined]  # every stream's GoAway has one
        return reason
    return ""


def _peer(context: "grpc.aio.ServicerContext[Any, Any]") -> dict[str, AttributeValue]:
    """The caller's address: grpc says `ipv4:127.0.0.1:50000` or `ipv6:%5B::1%5D:50000`."""
    kind, _, place = unquote(context.peer()).partition(":")
    host, _, port = place.rpartition(":")
    if kind not in {"ipv4", "ipv6"} or not port.isdecimal():
        return {}
    return {"network.peer.address": host.strip("[]"), "network.peer.port": int(port)}


def _paths(descriptor: Descriptor, names: frozenset[str], depth: int) -> Iterable[Path]:
    """Where messages of this type have fields of these names."""
    for field in descriptor.fields:
        if field.name in names and field.type in _SCALARS:
            yield (field.name,)
        elif field.message_type is not None and depth > 1:
            yield from ((field.name, *rest) for rest in _paths(field.message_type, names, depth - 1))


def _told_skus(codes: Iterable[str]) -> dict[str, str | list[str]]:
    """These SKUs as a span tells them."""
    skus = [sku[:_TEXT_LENGTH_MAX] for sku in dict.fromkeys(codes) if sku]
    if len(skus) == 1:
        return {"stockgate.sku": skus[0]}
    return {"stockgate.skus": skus[:_SKUS_TOLD_MAX]} if skus else {}


def _found(message: Message, paths: Iterable[Path]) -> Iterable[Any]:
    """What stands there."""
    for path in paths:
        yield from _values(message, path)


def _values(message: Any, path: Path) -> Iterable[Any]:
    name, *rest = path
    field = message.DESCRIPTOR.fields_by_name[name]
    if not rest:
        found = getattr(message, name)
        yield from found if field.is_repeated else (found,)
    elif field.is_repeated:
        for each in getattr(message, name):
            yield from _values(each, tuple(rest))
    elif message.HasField(name):
        yield from _values(getattr(message, name), tuple(rest))
