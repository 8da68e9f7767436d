"""The gateway as a connector calls it: the only module here that speaks gRPC.

Everything a connector says may be said again without harm, so a call that brings no answer is repeated for a while;
after that the caller's own loop decides.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import grpc
import grpc.aio
import tenacity
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from connectors import gateway_wire as wire
from connectors.attempts import Attempt
from connectors.base import OrderSnapshot, Tokens
from connectors.contract import (
    ChannelState,
    GatewayAway,
    GatewayError,
    GatewayRefused,
    Grant,
    ListingPage,
    PushReport,
    ShelfReading,
    StreamEvent,
    Vitals,
)
from gateway import telemetry
from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import channel_service_pb2 as pb
from gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from gateway.v1.channel_service_pb2_grpc import ChannelServiceStub

DEADLINE_SECONDS = 10.0
TRIES_SECONDS_MAX = 20.0
# A stream is opened anew at least so often.
STREAM_SECONDS_MAX = 3_600.0
PAGE_SIZE = 500
ORDERS_AT_ONCE = 200
REPORTS_AT_ONCE = 500
DETAILS_KEY = "grpc-status-details-bin"
COME_AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A half-open connection is found out while the platforms still wait.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


@dataclass(frozen=True)
class GatewayAddress:
    """Where the gateway is, and who calls. Without a token the caller acts for the merchant `main`."""

    address: str
    token: str = field(default="", repr=False)
    certificate: bytes | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """True on this machine, where nobody is asked through a proxy."""
        return self.address.rpartition(":")[0] in {"127.0.0.1", "localhost", "[::1]"}


class GatewayClient:
    """The calls of a connector, for one merchant. Every method raises `GatewayAway` and `GatewayRefused`."""

    def __init__(self, address: GatewayAddress) -> None:
        """Nothing is sent yet; a gateway on this machine is never asked through a proxy."""
        options = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0 if address.is_local else 1)]
        trusted = credentials_of(address)
        if trusted is None:
            self._connection = grpc.aio.insecure_channel(address.address, options)
        else:
            self._connection = grpc.aio.secure_channel(address.address, trusted, options)
        self._metadata = (("authorization", f"Bearer {address.token}"),) if address.token else ()
        self._selling = ChannelServiceStub(self._connection)
        self._catalog = CatalogServiceStub(self._connection)

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()

    # ---- what there is

    async def channels(self) -> list[ChannelState]:
        """The merchant's channels, but for those on platforms that a newer gateway knows and this program does not."""
        found: list[ChannelState] = []
        token = ""
        while True:
            request = catalog_pb.ListChannelsRequest(page_size=PAGE_SIZE, page_token=token)
            response = await self._ask(self._catalog.ListChannels, request)
            found += [wire.channel_of(channel) for channel in response.channels if channel.platform in wire.PLATFORMS]
            token = response.next_page_token
            if not token:
                return found

    async def channel(self, code: str) -> ChannelState:
        """One channel."""
        response = await self._ask(self._catalog.GetChannel, catalog_pb.GetChannelRequest(channel=code))
        return wire.channel_of(response.channel)

    async def listings(self, channel: str, page_token: str) -> ListingPage:
        """A page of the channel's listings."""
        request = pb.ListListingsRequest(channel=channel, page_size=PAGE_SIZE, page_token=page_token)
        return wire.listings_of(await self._ask(self._selling.ListListings, request))

    # ---- secrets

    async def grant(self, channel: str) -> Grant:
        """The channel's credentials and tokens."""
        return wire.grant_of(await self._ask(self._selling.GetCredentials, pb.GetCredentialsRequest(channel=channel)))

    async def store_tokens(self, channel: str, version: int, tokens: Tokens) -> int:
        """Keep rotated tokens; the version now. Refused with TOKENS_CHANGED if somebody else was first."""
        request = pb.StoreTokensRequest(
            channel=channel, version=version, access_token=tokens.access_token, refresh_token=tokens.refresh_token
        )
        if tokens.expire_time is not None:
            request.expire_time.FromDatetime(tokens.expire_time)
        return int((await self._ask(self._selling.StoreTokens, request)).version)

    # ---- reports

    async def report_pushes(
        self, channel: str, reports: Sequence[PushReport], attempts: Sequence[Attempt] = ()
    ) -> None:
        """Say what became of pushes, and of single calls to the platform."""
        for start in range(0, max(len(reports), len(attempts)), REPORTS_AT_ONCE):
            request = pb.ReportPushesRequest(channel=channel)
            request.reports.extend(map(wire.report_to_wire, reports[start : start + REPORTS_AT_ONCE]))
            request.attempts.extend(map(wire.attempt_to_wire, attempts[start : start + REPORTS_AT_ONCE]))
            await self._ask(self._selling.ReportPushes, request)

    async def report_orders(
        self, channel: str, orders: Sequence[OrderSnapshot], watermark: datetime | None = None
    ) -> None:
        """Say how orders are, and with `watermark` that all are in that were updated up to it."""
        for start in range(0, max(1, len(orders)), ORDERS_AT_ONCE):
            part = orders[start : start + ORDERS_AT_ONCE]
            request = pb.ReportOrdersRequest(channel=channel)
            request.orders.extend(map(wire.order_to_wire, part))
            if watermark is not None and start + len(part) == len(orders):
                request.watermark.FromDatetime(watermark)
            await self._ask(self._selling.ReportOrders, request)

    async def report_shelf(self, channel: str, readings: Sequence[ShelfReading]) -> int:
        """Say what listings showed; how many of the readings can be used."""
        taken = 0
        for start in range(0, len(readings), REPORTS_AT_ONCE):
            request = pb.ReportShelfRequest(channel=channel)
            request.readings.extend(map(wire.reading_to_wire, readings[start : start + REPORTS_AT_ONCE]))
            taken += (await self._ask(self._selling.ReportShelf, request)).taken
        return taken

    async def heartbeat(self, channel: str, vitals: Vitals) -> None:
        """Say how the connector fares; tried once, for the next one comes soon."""
        request = pb.HeartbeatRequest(channel=channel, state=wire.vitals_to_wire(vitals))
        await self._once(self._selling.Heartbeat, request)

    # ---- the stream

    async def allocations(
        self, channel: str, connector_id: str, *, progress_seconds: float, silence_seconds: float
    ) -> AsyncGenerator[StreamEvent, None]:
        """What the channel's numbers should become; raises `GatewayAway` when the stream breaks or falls silent."""
        interval_ms = round(progress_seconds * 1000)
        request = pb.WatchAllocationsRequest(
            channel=channel, connector_id=connector_id, progress_interval_ms=interval_ms
        )
        call: Any = self._selling.WatchAllocations(request, metadata=self._metadata, timeout=STREAM_SECONDS_MAX)
        try:
            while True:
                async with asyncio.timeout(silence_seconds):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return
                event = wire.event_of(message)
                if event is not None:
                    yield event
        except TimeoutError:
            raise GatewayAway("the stream has fallen silent") from None
        except grpc.aio.AioRpcError as error:
            raise _error_of(error) from None
        finally:
            call.cancel()

    # ---- one call

    def _said_with_calls(self) -> tuple[tuple[str, str], ...]:
        traceparent = telemetry.current_traceparent()
        return (*self._metadata, ("traceparent", traceparent)) if traceparent else self._metadata

    async def _ask(self, method: Callable[..., Any], request: Message) -> Any:
        """Call until there is an answer, for some seconds."""
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(GatewayAway),
            wait=_wait,
            stop=tenacity.stop_after_delay(TRIES_SECONDS_MAX),
            reraise=True,
        )
        return await tries(self._once, method, request)

    async def _once(self, method: Callable[..., Any], request: Message) -> Any:
        try:
            return await method(request, metadata=self._said_with_calls(), timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _error_of(error) from None


def credentials_of(address: GatewayAddress) -> grpc.ChannelCredentials | None:
    """What a connection to the gateway trusts; None without TLS."""
    return None if address.certificate is None else grpc.ssl_channel_credentials(address.certificate)


_JITTERED = tenacity.wait_random_exponential(multiplier=0.1, max=2.0)


def _wait(state: tenacity.RetryCallState) -> float:
    """The gateway's own wish, and some chance, so that not everybody comes back at once."""
    error = state.outcome.exception() if state.outcome else None
    return _JITTERED(state) + (error.wait_seconds if isinstance(error, GatewayError) else 0.0)


def _error_of(error: grpc.aio.AioRpcError) -> GatewayError:
    reason, wait_seconds = _details_of(error)
    kind = GatewayAway if error.code() in COME_AGAIN else GatewayRefused
    return kind(error.details() or "", code=error.code().name, reason=reason, wait_seconds=wait_seconds)


def _details_of(error: grpc.aio.AioRpcError) -> tuple[str, float]:
    reason, wait_seconds = "", 0.0
    status = status_pb2.Status()
    for name, value in error.trailing_metadata() or ():
        if name == DETAILS_KEY and isinstance(value, bytes):
            with suppress(ValueError):
                status.ParseFromString(value)
    for detail in status.details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(retry):
            wait_seconds = retry.retry_delay.ToTimedelta().total_seconds()
    return reason, wait_seconds
