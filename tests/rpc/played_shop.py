"""A shop on a platform and the connector that serves it, played by hand over real gRPC.

Its clock is its own, and stands still until something happens there: two events never share a time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio

from gateway.v1 import channel_service_pb2 as pb
from gateway.v1.channel_pb2 import Listing, OrderState, Platform, PushKind, PushResult
from tests.client import Client
from tests.faults.calls import until
from tests.rpc.shop_calls import create, link

Message = pb.WatchAllocationsResponse

WAIT_SECONDS = 40.0
# However slow the machine is: a connector that is not heard for 15 seconds is told nothing any more.
BEAT_SECONDS = 3.0
PLACED, PAID, CLOSED = OrderState.ORDER_STATE_PLACED, OrderState.ORDER_STATE_PAID, OrderState.ORDER_STATE_CLOSED
APPLIED, NOT_SENT = PushResult.PUSH_RESULT_APPLIED, PushResult.PUSH_RESULT_NOT_SENT
UNKNOWN, REFUSED = PushResult.PUSH_RESULT_UNKNOWN, PushResult.PUSH_RESULT_REFUSED
RAISE = PushKind.PUSH_KIND_RAISE
QUICK = {"apply_late_limit": {"seconds": 0}, "clock_margin": {"seconds": 0}}


class Shop:
    """What the platform shows, by listing, and the times at which things happen there."""

    def __init__(self, client: Client, channel: str = "tb") -> None:
        self.client = client
        self.channel = channel
        self.shown: dict[int, int] = {}
        self.pushes: list[pb.Allocation] = []
        self.time = datetime.now(UTC) - timedelta(hours=6)
        # False: its connector says no more by itself that it lives.
        self.is_heard = True
        # True: it walks through the orders as it beats, and all up to then are in.
        self.walks = False

    def tick(self) -> datetime:
        """A second passes; the time then."""
        self.time += timedelta(seconds=1)
        return self.time

    # ---- setting up

    async def open(self, facts: dict[str, Any] | None = None, **content: Any) -> None:
        """Make the channel, quick unless said otherwise, and say that its connector lives."""
        content = {"channel": self.channel, "platform": Platform.PLATFORM_TAOBAO, **content}
        await create(self.client, **content, facts={**QUICK, **(facts or {})})
        await self.beat()

    async def beat(self) -> None:
        """Say that the connector lives."""
        state = {"connector_id": "played"}
        await self.client.ask(self.client.selling.Heartbeat, pb.HeartbeatRequest, channel=self.channel, state=state)

    async def link(self, *components: tuple[str, int], item_id: str = "1", **content: Any) -> int:
        """Put something on sale; its number."""
        content = {"channel": self.channel, "item_id": item_id, "platform_sku_id": "2", **content}
        return (await link(self.client, list(components), **content)).listing_id

    # ---- what is reported

    async def report_orders(self, *orders: dict[str, Any], watermark: bool = False) -> pb.ReportOrdersResponse:
        """Report orders; with `watermark` also that all up to now are in."""
        request = {"channel": self.channel, "orders": orders, "watermark": self.tick() if watermark else None}
        return await self.client.ask(self.client.selling.ReportOrders, pb.ReportOrdersRequest, **request)

    async def report(self, allocation: pb.Allocation, result: PushResult.ValueType, **content: Any) -> None:
        """Report on a push."""
        push = {"listing_id": allocation.listing_id, "push_id": allocation.push.push_id, "result": result, **content}
        request = {"channel": self.channel, "reports": [push]}
        await self.client.ask(self.client.selling.ReportPushes, pb.ReportPushesRequest, **request)

    async def report_reading(self, listing_id: int, shown: int | None = None, **content: Any) -> int:
        """Report what is shown, or was; 1 if the reading can be used."""
        content = {"begin_time": self.tick(), "end_time": self.time, **content}
        content |= {"listing_id": listing_id, "shown": self.shown.get(listing_id, 0) if shown is None else shown}
        request = {"channel": self.channel, "readings": [content]}
        return (await self.client.ask(self.client.selling.ReportShelf, pb.ReportShelfRequest, **request)).taken

    # ---- serving

    async def apply(self, allocation: pb.Allocation) -> None:
        """Do what a push says, and report it."""
        shown, push = self.shown.get(allocation.listing_id, 0), allocation.push
        applied = push.sales if push.kind == RAISE else min(shown, push.sales)
        self.shown[allocation.listing_id] = shown + (applied if push.kind == RAISE else -applied)
        self.pushes.append(allocation)
        await self.report(allocation, APPLIED, applied=applied, attempts=1)

    async def answer(self, asked: pb.ReadListing) -> None:
        """Read a listing, and say that all orders up to then are in."""
        content = {"read_id": asked.read_id, "after_push_id": asked.after_push_id}
        await self.report_reading(asked.listing_id, **content)
        await self.report_orders(watermark=True)

    async def serve(self) -> None:
        """Do whatever the gateway asks for, until cancelled."""
        async with self.watching() as watch:
            while True:
                message = await watch.read(timeout_seconds=120)
                if message.WhichOneof("message") == "read_listing":
                    await self.answer(message.read_listing)
                elif message.WhichOneof("message") == "allocation" and not message.allocation.push.withdrawn:
                    await self.apply(message.allocation)

    @asynccontextmanager
    async def watching(self, **request: Any) -> AsyncIterator["Watch"]:
        """A stream of what is to be done, of a connector that is heard now and then."""
        watch = Watch(self, **request)
        beating = asyncio.create_task(self._keep_beating())
        try:
            yield watch
        finally:
            beating.cancel()
            watch.call.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            if self.is_heard:
                with suppress(grpc.aio.AioRpcError):
                    await self.beat()
                    if self.walks:
                        await self.report_orders(watermark=True)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve in the background."""
        task = asyncio.create_task(self.serve())
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await task

    # ---- what the gateway believes

    async def listing(self, listing_id: int) -> Listing:
        """The listing as the gateway has it."""
        request = {"channel": self.channel, "page_size": 1000}
        found = await self.client.ask(self.client.selling.ListListings, pb.ListListingsRequest, **request)
        return next(one for one in found.listings if one.listing_id == listing_id)

    async def wait_shown(self, **wanted: int) -> None:
        """Wait until just so many are shown, by `L` and the listing's number, and the gateway knows it."""
        shown = {int(name.removeprefix("L")): sales for name, sales in wanted.items()}
        await self.wait(lambda one: one.exposure == shown[one.listing_id] and not one.HasField("push"), *shown)

    async def wait(self, is_so: Callable[[Listing], bool], *listing_ids: int) -> None:
        """Wait until it is so of every listing."""

        async def is_so_now() -> bool:
            return all([is_so(await self.listing(listing_id)) for listing_id in listing_ids])

        try:
            await until(is_so_now, WAIT_SECONDS)
        except TimeoutError:
            raise AssertionError([await self.listing(listing_id) for listing_id in listing_ids]) from None


class Watch:
    """One WatchAllocations call."""

    def __init__(self, shop: Shop, **request: Any) -> None:
        self.shop = shop
        content = {"channel": shop.channel, "connector_id": "played", "progress_interval_ms": 1000, **request}
        options = {**shop.client.options, "timeout": None}
        self.call: Any = shop.client.selling.WatchAllocations(pb.WatchAllocationsRequest(**content), **options)

    async def read(self, timeout_seconds: float = WAIT_SECONDS) -> Message:
        """The next message."""
        async with asyncio.timeout(timeout_seconds):
            message = await self.call.read()
        assert isinstance(message, Message), message
        return message

    async def until(self, kind: str) -> Message:
        """The next message of a kind; what comes before is passed over."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (message := await self.read()).WhichOneof("message") != kind:
                pass
        return message

    async def push(self) -> pb.Allocation:
        """The next push; readings that are asked for on the way are answered."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (message := await self.read()).WhichOneof("message") != "allocation":
                if message.WhichOneof("message") == "read_listing":
                    await self.shop.answer(message.read_listing)
        return message.allocation

    async def asked(self) -> pb.ReadListing:
        """The next question for a reading."""
        return (await self.until("read_listing")).read_listing

    async def current(self) -> list[Message]:
        """All up to the end of the beginning, but for the first and the last message."""
        assert (await self.read()).WhichOneof("message") == "created"
        found = []
        while (message := await self.read()).WhichOneof("message") != "current":
            found.append(message)
        return found


def order(
    shop: Shop, order_id: str, state: OrderState.ValueType, *lines: dict[str, Any], **content: Any
) -> dict[str, Any]:
    """A snapshot of an order of one of item 1, now; or of these lines."""
    now = shop.tick()
    filled = [
        {"line_id": str(number), "item_id": "1", "platform_sku_id": "2", "quantity": 1, **line}
        for number, line in enumerate(lines or ({},), start=1)
    ]
    times = {"placed_time": now, "update_time": now, "paid_time": now if state == PAID else None}
    return {"order_id": order_id, "state": state, "lines": filled, **times, **content}
