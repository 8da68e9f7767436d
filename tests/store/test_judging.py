"""What a group reads to judge readings: as much for a thousand listings as for one."""

from typing import Any

import asyncpg
import pytest

from gateway.domain.changes import Limits
from gateway.domain.groups import decide, needs
from gateway.domain.selling import JudgeReading, ListingChanged
from gateway.settings import Settings
from gateway.store.groups import GroupStore
from tests.client import Client
from tests.rpc.played_shop import PAID, Shop, order
from tests.store.history import stop_allocating, store_of

LISTINGS = 12
SHOWN = 5


async def test_readings_are_judged_by_one_look_at_the_orders(
    client: Client, settings: Settings, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watermark that moves lets a channel's readings be judged together: one question for all of their orders.

    Each is judged by the orders of its own listing: what was sold since leaves what it may still sell.
    """
    stop_allocating(monkeypatch)
    await client.add_sku("CUP", LISTINGS * SHOWN)
    shop = Shop(client)
    await shop.open()
    numbers = [await shop.link(("CUP", 1), item_id=str(place)) for place in range(LISTINGS)]
    for number in numbers:
        assert await shop.report_reading(number, SHOWN)
    sold = {numbers[3]: 2, numbers[7]: 1}
    for number, units in sold.items():
        line = {"quantity": units, "item_id": str(numbers.index(number))}
        times = {"placed_time": shop.tick(), "update_time": shop.time}
        await shop.report_orders(order(shop, f"of-{number}", PAID, line, **times))
    await shop.report_orders(watermark=True)
    asked: list[str] = []
    async with store_of(settings, token) as database:
        connect = database.connect

        async def connect_and_listen(*arguments: Any) -> asyncpg.Connection:
            connection = await connect(*arguments)
            connection.add_query_logger(lambda query: asked.append(query.query))
            return connection

        database.connect = connect_and_listen
        store = GroupStore(database, Limits())
        commands = [JudgeReading(number) for number in numbers]
        outcomes = decide(await store.load(needs(commands)), commands)
        await store.close()
    assert sum(".orders" in query for query in asked) == 1
    for number, outcome in zip(numbers, outcomes, strict=True):
        assert isinstance(outcome, ListingChanged)
        assert outcome.listing.state.sales_left == SHOWN - sold.get(number, 0)
