"""The gRPC server: every method behind one lean wrapper, no interceptors.

The wrapper parses, finds the merchant, calls the method, and turns what it raises into a rich status. Messages are
parsed here and not by grpc, so that a broken one is INVALID_ARGUMENT with a reason and not a bare INTERNAL.
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import grpc
import grpc.aio
from google.protobuf.descriptor import FieldDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.domain.errors import GatewayError, InvalidArgument
from gateway.merchants import Merchant
from gateway.rpc.auth import Callers
from gateway.rpc.call_spans import CallSpan, MethodSpans, StreamSpan
from gateway.rpc.status import INTERNAL, Refusal, refusal_of

log = logging.getLogger(__name__)

CHANNELZ_NAME = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name
PENDING_CALLS_MAX = 20_000
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # In grpc 1.85 it is this one, 60 s by default, after which a client that answers no ping (a frozen process, a cable
    # pulled) is given up.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Beyond a thousand calls that wait to be taken in, grpc would cancel some without a reason; our queue has one.
    ("grpc.server.max_pending_requests", PENDING_CALLS_MAX),
    ("grpc.server.max_pending_requests_hard_limit", PENDING_CALLS_MAX),
    ("grpc.so_reuseport", 1),
    # grpc spreads the age by 10 % either way. Our streams end before, with a word (GoAway), and unary calls have the
    # grace to finish; what is left is cut.
    ("grpc.max_connection_age_ms", 1_800_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
)
# grpc.aio takes one new call from a server's line per turn of the loop, and a crowd on one connection fills that line.
# So we are several servers at one address; the kernel deals connections out, and most have no crowd before them.
DOORS = 8
CLIENT_GONE_SECONDS = 0.05


class Tls(NamedTuple):
    """The server's key and certificate chain, PEM."""

    key: bytes
    certificate: bytes


def _stay(_error: GatewayError) -> None:
    """A call that is not a stream ends by itself."""


def _is_open() -> None:
    """A call that is not a stream has no opening."""


def _tell_nobody(_traceparents: Sequence[str], _cause_ns: int, _start_ns: int) -> None:
    """A call that is not a stream delivers its answer, and that is all."""


class Call(NamedTuple):
    """What a method knows of its call beside the request; `deadline`, if there is one, is on the monotonic clock.

    `end` ends a stream with an error, from outside and though a write of it is blocked. `opened` says that all that a
    stream begins with is sent, `delivered` that something caused by these spans, at a time, was written, from a time on
    (both in ns since 1970). `metadata` are the caller's.
    """

    merchant: Merchant
    deadline: float | None
    end: Callable[[GatewayError], None] = _stay
    metadata: Iterable[tuple[str, str | bytes]] = ()
    opened: Callable[[], None] = _is_open
    delivered: Callable[[Sequence[str], int, int], None] = _tell_nobody


Unary = Callable[[Call, Any], Awaitable[Message]]
# Messages that go to many are serialised once, by who makes them.
Streaming = Callable[[Call, Any], AsyncIterator[Message | bytes]]


class Server:
    """A gRPC server for services of `gateway.v1`, with health, reflection and channelz."""

    def __init__(self, callers: Callers) -> None:
        """Serve nothing yet."""
        self._callers = callers
        self._doors = [grpc.aio.server(options=OPTIONS) for _ in range(DOORS)]
        self._health = _Health()
        self._names = [health.SERVICE_NAME, reflection.SERVICE_NAME, CHANNELZ_NAME]
        # Of spans, once it is known.
        self._place: dict[str, str | int] = {}

    def add(self, service: ServiceDescriptor, methods: dict[str, Unary | Streaming]) -> None:
        """Serve a service; `methods` has one function for each of its methods."""
        assert methods.keys() <= {method.name for method in service.methods}, f"{service.full_name} has other methods"
        handlers: dict[str, Any] = {}
        for method in service.methods:
            if method.name not in methods:
                continue
            request_class = GetMessageClass(method.input_type)
            behaviour: Any = methods[method.name]
            spans = MethodSpans(method, self._place)
            if method.server_streaming:
                handlers[method.name] = grpc.unary_stream_rpc_method_handler(
                    self._streaming(behaviour, request_class, spans), response_serializer=_serialize
                )
            else:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(
                    self._unary(behaviour, request_class, spans), response_serializer=_serialize
                )
        handler = grpc.method_handlers_generic_handler(service.full_name, handlers)
        for door in self._doors:
            door.add_generic_rpc_handlers((handler,))
        self._names.append(service.full_name)

    async def start(self, listen: str, tls: Tls | None = None) -> str:
        """Serve at `host:port` (port 0: any free one); returns the address. Raises `OSError` if it is taken."""
        _require_free(listen)
        credentials = None if tls is None else grpc.ssl_server_credentials([(tls.key, tls.certificate)])
        address = listen
        for door in self._doors:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, door)
            reflection.enable_server_reflection(self._names, door)
            channelz.add_channelz_servicer(door)
            address = _open(door, address, credentials)
        host, _, port = address.rpartition(":")
        self._place.update({"server.address": host.strip("[]"), "server.port": int(port)})
        await asyncio.gather(*(door.start() for door in self._doors))
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return address

    async def announce_stop(self) -> None:
        """Tell who watches our health that we stop."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float) -> None:
        """Let open calls end, and stop."""
        await asyncio.gather(*(door.stop(grace_seconds) for door in self._doors))

    def _unary(
        self, method: Unary, request_class: type[Message], spans: MethodSpans
    ) -> Callable[..., Awaitable[Message | None]]:
        async def handle(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Message | None:
            span = spans.arrive(context)
            try:
                call, request = await self._call(context), _parse(request_class, raw)
                span.begin(call.merchant.name, call.merchant.tracing.traced_skus, request)
                answer = await method(call, request)
                span.answered(answer)
                return answer
            except asyncio.CancelledError:
                span.cancelled()
                raise
            except GatewayError as error:
                _refuse(context, refusal_of(error), span)
            # The top of a call: whatever went wrong, the caller gets a status and the log gets the traceback.
            except Exception:
                log.exception("a call has failed")
                _refuse(context, INTERNAL, span)
            finally:
                span.end()
            return None

        return handle

    def _streaming(
        self, method: Streaming, request_class: type[Message], spans: MethodSpans
    ) -> Callable[..., Awaitable[None]]:
        async def handle(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            ending, span = _Ending(), spans.arrive_stream(context)
            try:
                call, request = await self._call(context), _parse(request_class, raw)
                span.begin(call.merchant.name, call.merchant.tracing.traced_skus, request)
                call = call._replace(end=ending.end, opened=span.opened, delivered=span.delivered)
                # Written here and not yielded to grpc: however the call ends, the method is left at once.
                async with aclosing(_generator(method(call, request))) as messages:
                    # A stream may last for half an hour, and a request be long.
                    del request
                    async for message in messages:
                        await context.write(message)
                        span.last = message
            except asyncio.CancelledError:
                # Whoever swallows the cancellation of a call whose client has gone leaks its memory.
                if ending.error is None:
                    span.cancelled()
                    raise
                ending.survive()
                _refuse(context, refusal_of(ending.error), span)
            except GatewayError as error:
                _refuse(context, refusal_of(error), span)
            except grpc.aio.InternalError:
                # The client has gone while we were writing. In a moment grpc knows as well, and makes no fuss of it.
                span.cancelled()
                await asyncio.sleep(CLIENT_GONE_SECONDS)
                raise
            # The top of a call, as above.
            except Exception:
                log.exception("a stream has failed")
                _refuse(context, INTERNAL, span)
            finally:
                span.end()

        return handle

    async def _call(self, context: grpc.aio.ServicerContext[Any, Any]) -> Call:
        metadata = context.invocation_metadata()
        merchant = self._callers.trusted(metadata) or await self._callers.look_up(metadata)
        remaining: float | None = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        return Call(merchant, deadline, metadata=metadata or ())


def _generator(messages: AsyncIterator[Message | bytes]) -> AsyncGenerator[Message | bytes, None]:
    assert isinstance(messages, AsyncGenerator), "a stream is written as an async function that yields"
    return messages


class _Health(health.aio.HealthServicer):
    """Our health. A watch of it ends when we stop; the library's would go on until we are gone, and hold us up."""

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[str, Any] = {}
        self._changed = asyncio.Event()
        self._is_stopping = False

    async def set(self, service: str, status: Any) -> None:
        """Say how a service is."""
        await super().set(service, status)
        self._states[service] = status
        self._tell()

    async def enter_graceful_shutdown(self) -> None:
        """Say that nothing is served any more, and end what watches."""
        await super().enter_graceful_shutdown()
        self._states = dict.fromkeys(self._states, health_pb2.HealthCheckResponse.NOT_SERVING)
        self._is_stopping = True
        self._tell()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        """Tell how a service is, now and whenever that changes, until we stop."""
        told = None
        while True:
            changed, unknown = self._changed, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            status = self._states.get(request.service, unknown)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
            told = status
            if self._is_stopping:
                return
            await changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class _Ending:
    """The end of a stream from outside: its task is cancelled, and told why."""

    __slots__ = ("_task", "error")

    def __init__(self) -> None:
        """To be made in the stream's task."""
        self._task = asyncio.current_task()
        self.error: GatewayError | None = None

    def end(self, error: GatewayError) -> None:
        """End it, once."""
        if self.error is None and self._task is not None and not self._task.done():
            self.error = error
            self._task.cancel()

    def survive(self) -> None:
        """The cancellation was ours, and the task goes on to say why it ends."""
        if self._task is not None:
            self._task.uncancel()


def _require_free(listen: str) -> None:
    """Raise `OSError` if somebody serves there: our own doors share the address, nobody else may."""
    host, _, port = listen.rpartition(":")
    for family, kind, protocol, _name, place in socket.getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_STREAM
    ):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(place)
            except OSError as error:
                raise OSError(f"cannot listen at {listen}: the address is taken, or not this machine's") from error


def _open(door: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None) -> str:
    """Bind a door; returns the address with the port it got."""
    port = door.add_insecure_port(listen) if credentials is None else door.add_secure_port(listen, credentials)
    return f"{listen.rpartition(':')[0]}:{port}"


def _serialize(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def _refuse(context: grpc.aio.ServicerContext[Any, Any], refusal: Refusal, span: CallSpan | StreamSpan) -> None:
    """End the call with this status. Nothing is raised, as `abort` would: that costs as much as the call itself."""
    span.refused(refusal.code, refusal.reason)
    context.set_trailing_metadata(refusal.trailing_metadata)
    context.set_code(refusal.code)
    context.set_details(refusal.status.message)


def _parse(request_class: type[Message], raw: bytes) -> Message:
    try:
        return request_class.FromString(raw)
    except DecodeError:
        raise _malformed(request_class, raw) from None


def _malformed(request_class: type[Message], raw: bytes) -> InvalidArgument:
    """Name the field with the wrong text, where the message can be read at all."""
    field = _field_with_wrong_text(request_class.DESCRIPTOR, raw)
    if field:
        return InvalidArgument(f"{field} is not valid UTF-8", field=field)
    return InvalidArgument(f"the request is not a {request_class.DESCRIPTOR.full_name}: its bytes cannot be read")


def _field_with_wrong_text(descriptor: Any, raw: bytes) -> str:
    try:
        unknown_fields = UnknownFieldSet(Empty.FromString(raw))
    except DecodeError:
        return ""
    seen: Counter[int] = Counter()
    for place in range(len(unknown_fields)):
        unknown = unknown_fields[place]
        field = descriptor.fields_by_number.get(unknown.field_number)
        if field is None or not isinstance(unknown.data, bytes):
            continue
        name = f"{field.name}[{seen[field.number]}]" if field.is_repeated else field.name
        seen[field.number] += 1
        if field.type == FieldDescriptor.TYPE_STRING and not _is_text(unknown.data):
            return name
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            inner = _field_with_wrong_text(field.message_type, unknown.data)
            if inner:
                return f"{name}.{inner}"
    return ""


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
