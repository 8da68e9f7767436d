"""What the requests of `requests.py` are about: a corner of a shop that each test makes for itself."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.v1 import alert_service_pb2 as alerts
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import live_service_pb2 as live
from gateway.v1 import stock_service_pb2 as stock
from gateway.v1.channel_pb2 import Platform
from tests.client import Client, made, new_id

SOLD = 3
ON_HAND = 10


@dataclass(frozen=True)
class Stall:
    """A SKU of its own with 10 units on hand at `main`, 3 of them held; 3 more were sold. And an empty location.

    Its channel has credentials, and a listing of the SKU that nobody has touched. A unit of the substitute is promised
    and gone: a shortfall. A live session sells the SKU; somebody has silenced its warnings, and more is on its way.
    A drill was played; none is any more.
    """

    sku: str
    location: str
    substitute: str
    held: str
    sold: str
    epoch: str
    channel: str
    listing_id: int
    shortfall: str
    session_id: int
    silence_id: int
    incoming_id: int
    drill_id: int


async def open_stall(client: Client) -> Stall:
    """Make one."""
    sku, substitute, location = f"CUP-{new_id()}", f"MUG-{new_id()}", f"north-{new_id()}"
    request = made(catalog.CreateLocationRequest, location={"location": location, "position": 1})
    await client.catalog.CreateLocation(request, **client.options)
    shortfall = await _lose_unit(client, substitute)
    await client.add_sku(sku, ON_HAND + SOLD)
    sold = await client.commit((await client.reserve(sku, SOLD)).reservation_id)
    held = await client.reserve(sku, SOLD)
    watch = client.stock.WatchStockLevels(made(stock.WatchStockLevelsRequest, live_only=True), **client.options)
    epoch = (await anext(aiter(watch))).created.epoch
    watch.cancel()
    channel = f"shop-{new_id()}"
    listing_id = await _open_shop(client, channel, sku)
    return Stall(
        sku,
        location,
        substitute,
        held.reservation_id,
        sold.reservation_id,
        epoch,
        channel,
        listing_id,
        shortfall,
        await _open_session(client, channel, sku),
        await _silence(client, sku),
        await _announce(client, sku),
        await _rehearse(client, sku),
    )


async def _lose_unit(client: Client, sku: str) -> str:
    await client.add_sku(sku, 1)
    await client.reserve(sku)
    content = {"sku": sku, "change": -1, "reason": "gone", "record_reality": True}
    adjusted = await client.tell(client.stock.AdjustStock, stock.AdjustStockRequest, **content)
    return adjusted.shortfall.shortfall_id


async def _open_session(client: Client, channel: str, sku: str) -> int:
    content = {"room": "room", "channels": [channel], "skus": [{"sku": sku}], "planned_end_time": _soon()}
    opened = await client.tell(client.live.OpenSession, live.OpenSessionRequest, actor="li", **content)
    return opened.session.session_id


async def _silence(client: Client, sku: str) -> int:
    content = {"matcher": {"skus": [sku]}, "end_time": _soon(), "comment": "rehearsing"}
    silenced = await client.tell(client.alerts.Silence, alerts.SilenceRequest, actor="li", **content)
    return silenced.silence.silence_id


async def _announce(client: Client, sku: str) -> int:
    content = {"sku": sku, "quantity": 5, "arrive_time": _soon(), "actor": "li"}
    announced = await client.tell(client.alerts.AnnounceIncoming, alerts.AnnounceIncomingRequest, **content)
    return announced.incoming.incoming_id


async def _rehearse(client: Client, sku: str) -> int:
    script = {"name": "night", "speed": 1, "seconds": 3_600, "skus": [{"sku": sku, "units": 9}]}
    begun = await client.tell(client.alerts.StartDrill, alerts.StartDrillRequest, actor="li", script=script)
    for drill in (await client.ask(client.alerts.ListDrills, alerts.ListDrillsRequest)).drills:
        if drill.state == "RUNNING":
            await client.ask(client.alerts.StopDrill, alerts.StopDrillRequest, drill_id=drill.drill_id, actor="li")
    return begun.drill.drill_id


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


async def _open_shop(client: Client, channel: str, sku: str) -> int:
    shop = {"channel": channel, "platform": Platform.PLATFORM_DOUYIN}
    await client.catalog.CreateChannel(made(catalog.CreateChannelRequest, channel=shop), **client.options)
    secrets = made(catalog.SetCredentialsRequest, channel=channel, credentials_json="{}", access_token="x")
    await client.catalog.SetCredentials(secrets, **client.options)
    listing = {"channel": channel, "item_id": "1", "components": [{"sku": sku, "units": 1}]}
    linked = await client.catalog.LinkListing(made(catalog.LinkListingRequest, listing=listing), **client.options)
    return linked.listing.listing_id
