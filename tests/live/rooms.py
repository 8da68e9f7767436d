"""A live room as tests set it up: a merchant with shops that are played by hand, and a session in them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from gateway.v1 import channel_service_pb2 as channel_pb
from gateway.v1 import live_service_pb2 as pb
from gateway.v1.alert_pb2 import Session
from tests.client import Client, new_id
from tests.rpc.played_shop import PAID, Shop, order

HOUR = timedelta(hours=1)
WHO = "小王"


def soon(span: timedelta = HOUR) -> datetime:
    """A time from now."""
    return datetime.now(UTC) + span


async def open_session(client: Client, channels: Sequence[str], skus: Mapping[str, int], /, **content: Any) -> Session:
    """Open a session that sells these SKUs, so many units of each its own."""
    request = {
        "request_id": new_id(),
        "room": "一号直播间",
        "channels": channels,
        "skus": [{"sku": sku, "exclusive_units": units} for sku, units in skus.items()],
        "planned_end_time": soon(),
        "actor": WHO,
        **content,
    }
    return (await client.ask(client.live.OpenSession, pb.OpenSessionRequest, **request)).session


async def update_session(client: Client, session_id: int, **content: Any) -> Session:
    """Change a session."""
    request = {"request_id": new_id(), "session_id": session_id, "actor": WHO, **content}
    return (await client.ask(client.live.UpdateSession, pb.UpdateSessionRequest, **request)).session


async def close_session(client: Client, session_id: int, **content: Any) -> Session:
    """Close a session."""
    request = {"request_id": new_id(), "session_id": session_id, "actor": WHO, **content}
    return (await client.ask(client.live.CloseSession, pb.CloseSessionRequest, **request)).session


async def get_session(client: Client, session_id: int) -> Session:
    """Read a session."""
    return (await client.ask(client.live.GetSession, pb.GetSessionRequest, session_id=session_id)).session


def left(session: Session) -> dict[str, int]:
    """What a session has left of its own, by SKU."""
    return {one.sku: one.exclusive_left for one in session.skus}


@asynccontextmanager
async def serving(client: Client, *channels: str, **facts: Any) -> AsyncIterator[dict[str, Shop]]:
    """Shops by channel, each with one listing of CUP (item 1), served in the background."""
    shops = {code: Shop(client, code) for code in channels}
    for shop in shops.values():
        shop.walks = True
        await shop.open(**facts)
        await shop.link(("CUP", 1))
    async with _all([shop.serving for shop in shops.values()]):
        yield shops


@asynccontextmanager
async def _all(opened: Sequence[Callable[[], Any]]) -> AsyncIterator[None]:
    if not opened:
        yield
        return
    async with opened[0](), _all(opened[1:]):
        yield


async def sell(shop: Shop, quantity: int = 1, order_id: str = "") -> None:
    """The platform sells, and says so."""
    for listing_id in shop.shown:
        shop.shown[listing_id] -= quantity
    await shop.report_orders(order(shop, order_id or new_id(), PAID, {"quantity": quantity}), watermark=True)


async def number_of(shop: Shop) -> int:
    """The number of a shop's first listing."""
    request = {"channel": shop.channel, "page_size": 1}
    found = await shop.client.ask(shop.client.selling.ListListings, channel_pb.ListListingsRequest, **request)
    return found.listings[0].listing_id


async def oversell(owner: asyncpg.Connection, schema: str, session_id: int, sku: str) -> None:
    """Three units were sold that could not be served, just as the session began."""
    await owner.execute(
        f"""
        INSERT INTO "{schema}".shortfalls
        SELECT 1, 1, $2, 'main', 3, at, NULL, NULL, 'li', 'done', at
        FROM "{schema}".sessions, CAST(body->>'open_time' AS timestamptz) AS at WHERE session_id = $1""",
        session_id,
        sku,
    )
