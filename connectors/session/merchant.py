"""The merchant's own calls to the gateway: the catalog, goods in, and what the ledger says."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask

from connectors.contract import GatewayError
from connectors.sandbox.city import City, Stall
from connectors.sandbox.shop import ShopFacts, TakesOn
from gateway.client import ClientError
from gateway.v1 import catalog_pb2, channel_pb2, stock_pb2
from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import channel_service_pb2 as selling_pb
from gateway.v1 import operations_service_pb2 as operations_pb
from gateway.v1 import stock_service_pb2 as stock_pb
from gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from gateway.v1.channel_service_pb2_grpc import ChannelServiceStub
from gateway.v1.operations_service_pb2_grpc import OperationsServiceStub
from gateway.v1.stock_pb2 import MOVEMENT_KIND_RECEIVE
from gateway.v1.stock_service_pb2_grpc import StockServiceStub

DEADLINE_SECONDS = 15.0
CHECK_SECONDS = 120.0
PAGE_SIZE = 500
# How long after it was given up the sandbox may still apply a call: its weather says 2 s from when it arrived.
APPLY_LATE_LIMIT = timedelta(seconds=3)
# Orders are stated to the second.
CLOCK_MARGIN = timedelta(seconds=2)
# Who acts, as the audit has it; percent-encoded.
_ACTOR = (("stockgate-actor", "stockgate%20up"),)
_PLATFORM = {
    "taobao": channel_pb2.PLATFORM_TAOBAO,
    "douyin": channel_pb2.PLATFORM_DOUYIN,
    "kuaishou": channel_pb2.PLATFORM_KUAISHOU,
}


@dataclass(frozen=True)
class Level:
    """The stock of all SKUs together."""

    on_hand: int = 0
    reserved: int = 0
    available: int = 0
    unallocated: int = 0


@dataclass(frozen=True)
class ListedNumber:
    """What the gateway believes of one listing; `exposure` is None until it was read for the first time.

    `sku` is what it sells, or the first part of a kit.
    """

    channel: str
    exposure: int | None
    is_busy: bool
    parked_reason: str
    sku: str = ""


@contextmanager
def refusals() -> Iterator[None]:
    """What the gateway's own client raises, as everything else here does: `GatewayError`."""
    try:
        yield
    except ClientError as error:
        raise GatewayError(error.message, code=error.reason or error.code) from error


class Merchant:
    """Calls for the merchant `main` of a gateway on this machine. Methods raise `GatewayError`."""

    def __init__(self, address: str) -> None:
        """Nothing is sent yet."""
        self._connection = grpc.aio.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
        self._catalog = CatalogServiceStub(self._connection)
        self._stock = StockServiceStub(self._connection)
        self._selling = ChannelServiceStub(self._connection)
        self._operations = OperationsServiceStub(self._connection)

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()

    async def set_up(self, city: City, units: Mapping[str, int], session: str, locations: Sequence[str] = ()) -> None:
        """Put the goods on hand, and have every shop of the city sell them. `session` makes the request ids.

        `locations` serve the shops; none named: all.
        """
        for good in city.goods:
            sku = catalog_pb.CreateSkuRequest(sku=catalog_pb2.Sku(sku=good.sku, title=good.title))
            await self._ask(self._catalog.CreateSku, sku)
            if units[good.sku]:
                goods_in = stock_pb.ReceiveStockRequest(
                    request_id=f"{session}-{good.sku}", sku=good.sku, quantity=units[good.sku], reason="the session"
                )
                await self._ask(self._stock.ReceiveStock, goods_in)
        for stall in city.stalls.values():
            await self._open_channel(stall, locations)
        for good in city.goods:
            for name, key in good.keys.items():
                component = channel_pb2.Component(sku=good.sku, units=1)
                listing = channel_pb2.Listing(
                    channel=name, item_id=key.item_id, platform_sku_id=key.platform_sku_id, components=[component]
                )
                await self._ask(self._catalog.LinkListing, catalog_pb.LinkListingRequest(listing=listing))

    async def stock(self, location: str, title: str, units: Mapping[str, int], session: str) -> None:
        """Open another location with so many units in it."""
        place = catalog_pb2.Location(location=location, title=title, position=1)
        await self._ask(self._catalog.CreateLocation, catalog_pb.CreateLocationRequest(location=place))
        for sku, quantity in units.items():
            request_id = f"{session}-{location}-{sku}"
            goods_in = stock_pb.ReceiveStockRequest(
                request_id=request_id, sku=sku, location=location, quantity=quantity, reason="the session"
            )
            await self._ask(self._stock.ReceiveStock, goods_in)

    async def describe(self, sku: str, title: str, substitutes: Sequence[str]) -> None:
        """Say what people call a SKU, and what to offer when it is gone."""
        described = catalog_pb2.Sku(sku=sku, title=title, substitutes=substitutes)
        mask = FieldMask(paths=["title", "substitutes"])
        await self._ask(self._catalog.UpdateSku, catalog_pb.UpdateSkuRequest(sku=described, update_mask=mask))

    async def level(self, skus: list[str]) -> Level:
        """What there is now."""
        found = await self._ask(self._stock.BatchGetStockLevels, stock_pb.BatchGetStockLevelsRequest(skus=skus))
        return Level(
            on_hand=sum(level.on_hand for level in found.levels),
            reserved=sum(level.reserved for level in found.levels),
            available=sum(level.available for level in found.levels),
            unallocated=sum(level.unallocated for level in found.levels),
        )

    async def numbers(self) -> list[ListedNumber]:
        """What the gateway believes of all listings."""
        found: list[ListedNumber] = []
        token = ""
        while True:
            request = selling_pb.ListListingsRequest(page_size=PAGE_SIZE, page_token=token)
            page = await self._ask(self._selling.ListListings, request)
            found += map(_number, page.listings)
            token = page.next_page_token
            if not token:
                return found

    async def watermarks(self) -> dict[str, datetime | None]:
        """Up to when each channel's orders are all taken in."""
        page = await self._ask(self._catalog.ListChannels, catalog_pb.ListChannelsRequest(page_size=PAGE_SIZE))
        return {
            channel.channel: channel.watermark.ToDatetime(UTC) if channel.HasField("watermark") else None
            for channel in page.channels
        }

    async def units_received(self) -> int:
        """All that was ever booked in, by the journal."""
        return sum(int(movement.quantity) for movement in await self.movements(kinds=[MOVEMENT_KIND_RECEIVE]))

    async def movements(
        self, sku: str = "", kinds: Sequence[stock_pb2.MovementKind.ValueType] = ()
    ) -> list[stock_pb2.Movement]:
        """The journal, newest first: of one SKU, of some kinds; nothing said: all of it."""
        found: list[stock_pb2.Movement] = []
        token = ""
        while True:
            request = stock_pb.ListMovementsRequest(page_size=PAGE_SIZE, page_token=token, sku=sku, kinds=kinds)
            page = await self._ask(self._stock.ListMovements, request)
            found += page.movements
            token = page.next_page_token
            if not token:
                return found

    async def drifts(self) -> list[str]:
        """Readings that did not fit, newest first, as sentences; the newest so many at most."""
        page = await self._ask(self._selling.ListDrift, selling_pb.ListDriftRequest(page_size=PAGE_SIZE))
        return [
            f"{drift.channel} showed {drift.shown}, which leaves {drift.exposure_least} to {drift.exposure_most}; "
            f"believed {drift.exposure_before}"
            for drift in page.drifts
        ]

    async def shortfall_units(self) -> int:
        """Units sold that cannot be served, resolved or not."""
        request = selling_pb.ListShortfallsRequest(page_size=PAGE_SIZE, include_resolved=True)
        page = await self._ask(self._selling.ListShortfalls, request)
        return sum(int(shortfall.quantity) for shortfall in page.shortfalls)

    async def is_consistent(self) -> bool:
        """Whether the journal adds up to the levels and the open reservations."""
        check = operations_pb.CheckConsistencyRequest()
        return bool((await self._ask(self._operations.CheckConsistency, check, CHECK_SECONDS)).consistent)

    async def _open_channel(self, stall: Stall, locations: Sequence[str]) -> None:
        channel = channel_pb2.Channel(
            channel=stall.name,
            platform=_PLATFORM[stall.name],
            title=f"{stall.name} rehearsal",
            locations=locations,
            facts=facts_of(stall.shop.facts),
        )
        await self._ask(self._catalog.CreateChannel, catalog_pb.CreateChannelRequest(channel=channel))
        credentials = catalog_pb.SetCredentialsRequest(
            channel=stall.name,
            credentials_json=stall.credentials_json,
            access_token=stall.tokens.access_token,
            refresh_token=stall.tokens.refresh_token,
        )
        if stall.tokens.expire_time is not None:
            credentials.expire_time.FromDatetime(stall.tokens.expire_time)
        await self._ask(self._catalog.SetCredentials, credentials)

    async def _ask(self, method: Any, request: Any, deadline_seconds: float = DEADLINE_SECONDS) -> Any:
        try:
            return await method(request, metadata=_ACTOR, timeout=deadline_seconds)
        except grpc.aio.AioRpcError as error:
            raise GatewayError(error.details() or "no answer", code=error.code().name) from error


def facts_of(shop: ShopFacts) -> channel_pb2.ChannelFacts:
    """What is true of a shop of the sandbox, as the gateway is told."""
    facts = channel_pb2.ChannelFacts(
        takes_on=channel_pb2.TAKES_ON_ORDER if shop.takes_on is TakesOn.ORDER else channel_pb2.TAKES_ON_PAYMENT,
        close_keeps=not shop.close_restores,
        refund_keeps=not shop.refund_restores,
    )
    facts.payment_limit.FromTimedelta(shop.payment_limit)
    facts.apply_late_limit.FromTimedelta(APPLY_LATE_LIMIT)
    facts.clock_margin.FromTimedelta(CLOCK_MARGIN)
    return facts


def _number(listing: channel_pb2.Listing) -> ListedNumber:
    return ListedNumber(
        channel=listing.channel,
        exposure=listing.exposure if listing.HasField("exposure") else None,
        is_busy=listing.HasField("push"),
        parked_reason=listing.parked_reason,
        sku=listing.components[0].sku if listing.components else "",
    )
