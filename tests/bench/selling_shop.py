"""Channels of one merchant for a benchmark: catalog, goods in, and a clerk that plays connector and platform at once.

The clerk answers whatever the gateway asks at once and well, so that what is measured is the gateway alone.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc.aio

from connectors.base import ListingKey
from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as selling_pb
from gateway.v1 import stock_service_pb2 as stock_pb
from gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from gateway.v1.channel_service_pb2_grpc import ChannelServiceStub
from gateway.v1.stock_service_pb2_grpc import StockServiceStub
from tests.bench.shop import BATCH, PLENTY, new_id

if TYPE_CHECKING:
    from gateway.v1.channel_service_pb2_grpc import ChannelServiceAsyncStub

CHANNELS = {
    "taobao": channel_pb2.PLATFORM_TAOBAO,
    "douyin": channel_pb2.PLATFORM_DOUYIN,
    "kuaishou": channel_pb2.PLATFORM_KUAISHOU,
}
PAGE_SIZE = 1_000
IMPORT_LINES = 5_000
GATHER_SECONDS = 0.01
WATERMARK_SECONDS = 0.5
READY_SECONDS_MAX = 60.0
_order_numbers = itertools.count(1)


class Seller:
    """A merchant's own calls and its connectors', with its token."""

    def __init__(self, connection: grpc.aio.Channel, token: str = "") -> None:
        """Use the connection; it stays the caller's."""
        self.selling: ChannelServiceAsyncStub = ChannelServiceStub(connection)
        self._catalog, self._stock = CatalogServiceStub(connection), StockServiceStub(connection)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def set_up(self, skus: Sequence[str], units: int = PLENTY) -> None:
        """Three channels that list every SKU, with so many units of each on hand."""
        await self.create(skus)
        await self.receive(skus, units)
        for name, platform in CHANNELS.items():
            channel = channel_pb2.Channel(channel=name, platform=platform)
            request = catalog_pb.CreateChannelRequest(channel=channel)
            await self._catalog.CreateChannel(request, metadata=self.metadata)
            await self.link(name, {sku: ListingKey(item_id(sku), "") for sku in skus})

    async def create(self, skus: Sequence[str]) -> None:
        """Create SKUs."""
        await self._import(catalog_pb.CATALOG_TABLE_SKUS, "sku", skus)

    async def link(self, channel: str, keys: Mapping[str, ListingKey]) -> None:
        """Have a channel list these SKUs, one unit a sale."""
        rows = [f"{channel},{key.item_id},{key.platform_sku_id},{sku}:1" for sku, key in keys.items()]
        await self._import(catalog_pb.CATALOG_TABLE_LISTINGS, "channel,item_id,platform_sku_id,components", rows)

    async def receive(self, skus: Sequence[str], units: int) -> None:
        """Book so many units of each in."""
        items = [
            stock_pb.BatchItem(receive=stock_pb.ReceiveStockRequest(request_id=new_id(), sku=sku, quantity=units))
            for sku in skus
        ]
        for start in range(0, len(items), BATCH):
            request = stock_pb.ApplyBatchRequest(items=items[start : start + BATCH])
            await self._stock.ApplyBatch(request, metadata=self.metadata)

    async def lose(self, sku: str, units: int) -> None:
        """So many units turn out to be gone."""
        request = stock_pb.AdjustStockRequest(request_id=new_id(), sku=sku, change=-units, reason="gone")
        await self._stock.AdjustStock(request, metadata=self.metadata)

    async def share(self, sku: str) -> None:
        """Show all of it on every channel."""
        policy = channel_pb2.StockPolicy(sku=sku, kind=channel_pb2.POLICY_KIND_SHARED)
        await self._catalog.SetPolicy(catalog_pb.SetPolicyRequest(policy=policy), metadata=self.metadata)

    async def listings(self) -> list[channel_pb2.Listing]:
        """All listings."""
        found: list[channel_pb2.Listing] = []
        token = ""
        while True:
            request = selling_pb.ListListingsRequest(page_size=PAGE_SIZE, page_token=token)
            page = await self.selling.ListListings(request, metadata=self.metadata)
            found += page.listings
            token = page.next_page_token
            if not token:
                return found

    async def report_orders(self, request: selling_pb.ReportOrdersRequest) -> selling_pb.ReportOrdersResponse:
        """Report a page of orders."""
        return await self.selling.ReportOrders(request, metadata=self.metadata)

    async def _import(self, table: Any, header: str, rows: Sequence[str]) -> None:
        for start in range(0, len(rows), IMPORT_LINES):
            csv = "\n".join([header, *rows[start : start + IMPORT_LINES]])
            request = catalog_pb.ImportCatalogRequest(table=table, csv=csv)
            done = await self._catalog.ImportCatalog(request, metadata=self.metadata)
            assert done.applied, "the catalog is not what the gateway reads"


class Clerk:
    """Serves one channel: reads 0 at first, does every push in full, has no orders."""

    def __init__(self, seller: Seller, channel: str) -> None:
        """Nothing is heard before `run`."""
        self._seller, self._channel = seller, channel
        self._shown: dict[int, int] = {}
        self._pushes: list[channel_pb2.PushReport] = []
        self._readings: list[channel_pb2.ShelfReading] = []

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            for loop in (self._listen(), self._report(), self._walk()):
                group.create_task(loop)

    async def _listen(self) -> None:
        request = selling_pb.WatchAllocationsRequest(channel=self._channel, connector_id=f"clerk-{self._channel}")
        async for message in self._seller.selling.WatchAllocations(request, metadata=self._seller.metadata):
            match message.WhichOneof("message"):
                case "allocation":
                    self._push(message.allocation)
                case "read_listing":
                    self._read(message.read_listing)

    def _push(self, wanted: Any) -> None:
        listing_id, push = wanted.listing_id, wanted.push
        if push.withdrawn or push.unknown:
            return
        sign = 1 if push.kind == channel_pb2.PUSH_KIND_RAISE else -1
        before = self._shown.get(listing_id, 0)
        self._shown[listing_id] = max(0, before + sign * push.sales)
        applied = abs(self._shown[listing_id] - before)
        self._pushes.append(
            channel_pb2.PushReport(
                listing_id=listing_id,
                push_id=push.push_id,
                result=channel_pb2.PUSH_RESULT_APPLIED,
                applied=applied,
                attempts=1,
            )
        )

    def _read(self, asked: Any) -> None:
        reading = channel_pb2.ShelfReading(
            listing_id=asked.listing_id,
            shown=self._shown.get(asked.listing_id, 0),
            read_id=asked.read_id,
            after_push_id=asked.after_push_id,
        )
        reading.begin_time.GetCurrentTime()
        reading.end_time.GetCurrentTime()
        self._readings.append(reading)

    async def _report(self) -> None:
        selling, metadata = self._seller.selling, self._seller.metadata
        while True:
            pushes, self._pushes = self._pushes[:PAGE_SIZE], self._pushes[PAGE_SIZE:]
            readings, self._readings = self._readings[:PAGE_SIZE], self._readings[PAGE_SIZE:]
            if pushes:
                report = selling_pb.ReportPushesRequest(channel=self._channel, reports=pushes)
                await selling.ReportPushes(report, metadata=metadata)
            if readings:
                shelf = selling_pb.ReportShelfRequest(channel=self._channel, readings=readings)
                await selling.ReportShelf(shelf, metadata=metadata)
            await asyncio.sleep(GATHER_SECONDS)

    async def _walk(self) -> None:
        state = channel_pb2.ConnectorState(connector_id=f"clerk-{self._channel}")
        while True:
            beat = selling_pb.HeartbeatRequest(channel=self._channel, state=state)
            await self._seller.selling.Heartbeat(beat, metadata=self._seller.metadata)
            page = selling_pb.ReportOrdersRequest(channel=self._channel)
            page.watermark.GetCurrentTime()
            await self._seller.report_orders(page)
            await asyncio.sleep(WATERMARK_SECONDS)


@asynccontextmanager
async def clerks(seller: Seller) -> AsyncIterator[None]:
    """All channels are served; begins when every listing shows something."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(Clerk(seller, channel).run()) for channel in CHANNELS]
        async with asyncio.timeout(READY_SECONDS_MAX):
            while any(listing.exposure == 0 for listing in await seller.listings()):  # noqa: ASYNC110 - the gateway knows
                await asyncio.sleep(0.2)
        yield
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


def item_id(sku: str) -> str:
    """Under what every shop sells a SKU."""
    return f"item-{sku}"


def page_of(channel: str, skus: Iterable[str]) -> selling_pb.ReportOrdersRequest:
    """A page of new orders, placed and not paid, of one unit each."""
    request = selling_pb.ReportOrdersRequest(channel=channel)
    now = datetime.now(UTC)
    for sku in skus:
        number = str(next(_order_numbers))
        order = request.orders.add(order_id=number, state=channel_pb2.ORDER_STATE_PLACED)
        order.lines.add(line_id=number, item_id=item_id(sku), quantity=1)
        order.placed_time.FromDatetime(now)
        order.update_time.FromDatetime(now)
    return request
