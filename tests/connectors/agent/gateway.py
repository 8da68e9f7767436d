"""A gateway for agents: its part of the contract kept in memory, served over real gRPC.

It decides nothing: a test says what is to be pushed and read, and looks at what was reported.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from connectors.base import ListingKey, Tokens
from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import channel_pb2, operations_pb2
from gateway.v1 import channel_service_pb2 as pb

RAISE, LOWER, TO_ZERO = channel_pb2.PUSH_KIND_RAISE, channel_pb2.PUSH_KIND_LOWER, channel_pb2.PUSH_KIND_TO_ZERO
APPLIED, NOT_SENT = channel_pb2.PUSH_RESULT_APPLIED, channel_pb2.PUSH_RESULT_NOT_SENT
UNKNOWN, REFUSED = channel_pb2.PUSH_RESULT_UNKNOWN, channel_pb2.PUSH_RESULT_REFUSED
CHANNEL = "shop"


@dataclass
class Book:
    """What the gateway knows of one channel, and what it wants; told to whoever streams."""

    platform: channel_pb2.Platform.ValueType
    credentials_json: str
    tokens: Tokens
    version: int = 1
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    watermark: datetime | None = None
    connector: channel_pb2.ConnectorState = field(default_factory=channel_pb2.ConnectorState)

    under_way: dict[int, pb.Allocation] = field(default_factory=dict)
    listings: dict[int, ListingKey] = field(default_factory=dict)
    last_push: dict[int, int] = field(default_factory=dict)
    reads: dict[int, pb.ReadListing] = field(default_factory=dict)

    reports: list[channel_pb2.PushReport] = field(default_factory=list)
    attempts: list[operations_pb2.PushAttempt] = field(default_factory=list)
    readings: list[channel_pb2.ShelfReading] = field(default_factory=list)
    orders: dict[str, channel_pb2.OrderSnapshot] = field(default_factory=dict)
    watermarks: list[datetime] = field(default_factory=list)
    heartbeats: list[channel_pb2.ConnectorState] = field(default_factory=list)

    # Trouble that a test makes: the next reports are taken and their answers lost; order ids that are refused.
    answers_to_lose: int = 0
    bad_orders: set[str] = field(default_factory=set)
    page_failures: int = 0
    bad_pushes: set[int] = field(default_factory=set)
    # Calls to the platform are refused whatever they are.
    has_bad_attempts: bool = False
    # The next calls are told to come again, after so long.
    busy_calls: int = 0
    busy_seconds: float = 0.3
    # A stream that is opened now says nothing after its beginning.
    is_silent: bool = False
    streams: list["asyncio.Queue[pb.WatchAllocationsResponse]"] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def link(self, listing_id: int, key: ListingKey) -> None:
        self.listings[listing_id] = key

    def push(self, listing_id: int, kind: channel_pb2.PushKind.ValueType, sales: int, **more: Any) -> int:
        """Decide a push, and tell of it."""
        assert listing_id not in self.under_way, "at most one push is under way per listing"
        push_id = next(self.numbers)
        key = self.listings[listing_id]
        push = channel_pb2.Push(push_id=push_id, kind=kind, sales=sales, **more)
        self.under_way[listing_id] = pb.Allocation(
            listing_id=listing_id, item_id=key.item_id, platform_sku_id=key.platform_sku_id, push=push
        )
        self.tell(pb.WatchAllocationsResponse(allocation=self.under_way[listing_id]))
        return push_id

    def withdraw(self, listing_id: int) -> None:
        self.under_way[listing_id].push.withdrawn = True
        self.tell(pb.WatchAllocationsResponse(allocation=self.under_way[listing_id]))

    def ask_reading(self, listing_id: int) -> int:
        key, read_id = self.listings[listing_id], next(self.numbers)
        self.reads[listing_id] = pb.ReadListing(
            listing_id=listing_id,
            item_id=key.item_id,
            platform_sku_id=key.platform_sku_id,
            read_id=read_id,
            after_push_id=self.last_push.get(listing_id, 0),
        )
        self.tell(pb.WatchAllocationsResponse(read_listing=self.reads[listing_id]))
        return read_id

    def tell(self, message: pb.WatchAllocationsResponse) -> None:
        for stream in self.streams:
            stream.put_nowait(message)

    def go_away(self, reason: str, retry_after_ms: int = 0) -> None:
        """End every stream."""
        away = pb.AllocationsGoAway(reason=reason, retry_after_ms=retry_after_ms)
        self.tell(pb.WatchAllocationsResponse(go_away=away))
        self.streams.clear()

    def channel(self) -> channel_pb2.Channel:
        channel = channel_pb2.Channel(channel=CHANNEL, platform=self.platform, connector=self.connector)
        channel.create_time.FromDatetime(self.created)
        if self.watermark:
            channel.watermark.FromDatetime(self.watermark)
        return channel

    def reports_on(self, push_id: int) -> list[channel_pb2.PushReport]:
        return [report for report in self.reports if report.push_id == push_id]

    def settle(self, report: channel_pb2.PushReport) -> None:
        self.reports.append(report)
        allocation = self.under_way.get(report.listing_id)
        if allocation is None or allocation.push.push_id != report.push_id:
            return
        if report.result == UNKNOWN:
            allocation.push.unknown = True
        else:
            del self.under_way[report.listing_id]
            self.last_push[report.listing_id] = report.push_id


class _Service:
    def __init__(self, book: Book) -> None:
        self.book = book

    async def watch_allocations(self, request: Any, context: Any) -> AsyncIterator[Any]:
        book = self.book
        book.go_away("REPLACED")
        queue: asyncio.Queue[pb.WatchAllocationsResponse] = asyncio.Queue()
        queue.put_nowait(pb.WatchAllocationsResponse(created=pb.AllocationsCreated(channel=book.channel())))
        for allocation in book.under_way.values():
            queue.put_nowait(pb.WatchAllocationsResponse(allocation=allocation))
        for read in book.reads.values():
            queue.put_nowait(pb.WatchAllocationsResponse(read_listing=read))
        queue.put_nowait(pb.WatchAllocationsResponse(current=pb.AllocationsCurrent()))
        book.streams.append(queue)
        is_silent = book.is_silent
        try:
            while is_silent and queue.qsize():
                yield queue.get_nowait()
            if is_silent:
                await asyncio.Event().wait()
            while True:
                try:
                    async with asyncio.timeout(request.progress_interval_ms / 1000):
                        message = await queue.get()
                except TimeoutError:
                    message = pb.WatchAllocationsResponse(progress=pb.AllocationsProgress())
                yield message
                if message.HasField("go_away"):
                    return
        finally:
            if queue in book.streams:
                book.streams.remove(queue)

    async def report_pushes(self, request: Any, context: Any) -> Any:
        if self.book.busy_calls:
            self.book.busy_calls -= 1
            await _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", self.book.busy_seconds)
        if any(report.push_id in self.book.bad_pushes for report in request.reports):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "reports[0].applied: too many")
        if self.book.has_bad_attempts and request.attempts:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "attempts[0].message: too long")
        self.book.attempts.extend(request.attempts)
        for report in request.reports:
            self.book.settle(report)
        await self._lose_answer(context)
        return pb.ReportPushesResponse()

    async def report_orders(self, request: Any, context: Any) -> Any:
        if self.book.page_failures and request.orders:
            self.book.page_failures -= 1
            await context.abort(grpc.StatusCode.INTERNAL, "the gateway has failed")
        if any(order.order_id in self.book.bad_orders for order in request.orders):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "orders[0].lines: too many")
        for order in request.orders:
            known = self.book.orders.get(order.order_id)
            if known is None or known.update_time.ToDatetime() <= order.update_time.ToDatetime():
                self.book.orders[order.order_id] = order
        if request.HasField("watermark"):
            self.book.watermark = request.watermark.ToDatetime(UTC)
            self.book.watermarks.append(self.book.watermark)
        return pb.ReportOrdersResponse()

    async def report_shelf(self, request: Any, context: Any) -> Any:
        for reading in request.readings:
            self.book.readings.append(reading)
            asked = self.book.reads.get(reading.listing_id)
            if asked is not None and asked.read_id == reading.read_id:
                del self.book.reads[reading.listing_id]
        return pb.ReportShelfResponse(taken=len(request.readings))

    async def get_credentials(self, request: Any, context: Any) -> Any:
        book = self.book
        response = pb.GetCredentialsResponse(
            credentials_json=book.credentials_json,
            access_token=book.tokens.access_token,
            refresh_token=book.tokens.refresh_token,
            version=book.version,
        )
        if book.tokens.expire_time is not None:
            response.expire_time.FromDatetime(book.tokens.expire_time)
        return response

    async def store_tokens(self, request: Any, context: Any) -> Any:
        if request.version != self.book.version:
            await _abort(context, grpc.StatusCode.ABORTED, "TOKENS_CHANGED")
        expire_time = request.expire_time.ToDatetime(UTC) if request.HasField("expire_time") else None
        self.book.tokens = Tokens(request.access_token, request.refresh_token, expire_time)
        self.book.version += 1
        return pb.StoreTokensResponse(version=self.book.version)

    async def heartbeat(self, request: Any, context: Any) -> Any:
        self.book.heartbeats.append(request.state)
        self.book.connector = channel_pb2.ConnectorState()
        self.book.connector.CopyFrom(request.state)
        self.book.connector.heartbeat_time.GetCurrentTime()
        return pb.HeartbeatResponse()

    async def list_listings(self, request: Any, context: Any) -> Any:
        response = pb.ListListingsResponse()
        for listing_id, key in self.book.listings.items():
            listing = response.listings.add(
                listing_id=listing_id, channel=CHANNEL, item_id=key.item_id, platform_sku_id=key.platform_sku_id
            )
            listing.last_push_id = self.book.last_push.get(listing_id, 0)
            if listing_id in self.book.under_way:
                listing.push.CopyFrom(self.book.under_way[listing_id].push)
        return response

    async def _lose_answer(self, context: Any) -> None:
        if self.book.answers_to_lose:
            self.book.answers_to_lose -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")

    # ---- the catalog

    async def get_channel(self, request: Any, context: Any) -> Any:
        return catalog_pb.GetChannelResponse(channel=self.book.channel())

    async def list_channels(self, request: Any, context: Any) -> Any:
        return catalog_pb.ListChannelsResponse(channels=[self.book.channel()])


def _handlers(service: _Service) -> list[grpc.GenericRpcHandler]:
    stream = grpc.unary_stream_rpc_method_handler(
        service.watch_allocations, pb.WatchAllocationsRequest.FromString, _bytes_of
    )
    selling = {
        "WatchAllocations": stream,
        "ReportPushes": _unary(service.report_pushes, pb.ReportPushesRequest),
        "ReportOrders": _unary(service.report_orders, pb.ReportOrdersRequest),
        "ReportShelf": _unary(service.report_shelf, pb.ReportShelfRequest),
        "GetCredentials": _unary(service.get_credentials, pb.GetCredentialsRequest),
        "StoreTokens": _unary(service.store_tokens, pb.StoreTokensRequest),
        "Heartbeat": _unary(service.heartbeat, pb.HeartbeatRequest),
        "ListListings": _unary(service.list_listings, pb.ListListingsRequest),
    }
    catalog = {
        "GetChannel": _unary(service.get_channel, catalog_pb.GetChannelRequest),
        "ListChannels": _unary(service.list_channels, catalog_pb.ListChannelsRequest),
    }
    return [
        grpc.method_handlers_generic_handler("gateway.v1.ChannelService", selling),
        grpc.method_handlers_generic_handler("gateway.v1.CatalogService", catalog),
    ]


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


def _unary(answer: Callable[..., Any], request: type[Message]) -> Any:
    return grpc.unary_unary_rpc_method_handler(answer, request.FromString, _bytes_of)


async def _abort(context: Any, code: grpc.StatusCode, reason: str, wait_seconds: float = 0.0) -> None:
    status = status_pb2.Status(code=code.value[0], message=reason)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="stockgate"))
    if wait_seconds:
        delay = error_details_pb2.RetryInfo()
        delay.retry_delay.FromTimedelta(timedelta(seconds=wait_seconds))
        status.details.add().Pack(delay)
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, reason, trailing_metadata=details)


@asynccontextmanager
async def serving_gateway(book: Book, port: int = 0) -> AsyncIterator[str]:
    """Serve the book; yields its address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(_handlers(_Service(book)))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(0)
