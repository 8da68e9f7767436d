"""What lies where no channel sells from cannot be bought, and keeps nobody from being warned."""

from collections.abc import AsyncIterator

import pytest

from gateway.domain.chances import LeadTime
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Circumstances, Moved, begin_watch, looked, moved
from gateway.settings import Settings
from gateway.store.database import Clock, Database, MerchantDatabase
from gateway.store.standings import read_facts
from tests.alerts.test_engine import reached
from tests.client import Client
from tests.rpc.played_shop import PAID, Shop, order
from tests.store.history import add_location

HERE = Circumstances(LeadTime(1_800.0), serving=frozenset({"main"}))


@pytest.fixture
async def merchant(settings: Settings, token: str, clock: Clock) -> AsyncIterator[MerchantDatabase]:
    """The merchant's part of the database."""
    assert settings.database_url
    database = Database(settings.database_url, clock)
    yield database.of(token.partition(".")[0])
    await database.close()


def test_only_what_can_be_bought_is_available() -> None:
    """The last unit of `main` is the last, whatever lies at `near`; what is moved from there can be sold."""
    watched = begin_watch({"main": 1, "near": 200}, HERE, 0.0)
    assert watched.available(HERE) == 1
    sold = Moved(1, 5.0, MovementKind.RESERVE, "CUP", "main", 1, 0, 1, 0, 1)
    watched, change = looked(moved(watched, sold, HERE), 5.0, HERE)
    assert change is not None
    assert change.after is Tier.SOLD_OUT
    arrived = Moved(2, 9.0, MovementKind.TRANSFER_IN, "CUP", "main", 200, 200, 0, 200)
    assert moved(watched, arrived, HERE).available(HERE) == 200


def test_what_was_never_to_be_had_is_not_sold_out() -> None:
    """Units that no channel sells have never been on sale."""
    watched = begin_watch({"near": 200}, HERE, 0.0)
    assert looked(watched, 5.0, HERE) == (watched, None)


async def test_a_shop_is_sold_out_though_units_lie_elsewhere(client: Client, merchant: MerchantDatabase) -> None:
    """Ten cups where the shop is served, fifty where it is not: after ten it is sold out."""
    await client.add_sku("CUP", 10)
    await add_location(client, "north")
    await client.receive("CUP", 50, location="north")
    shop = Shop(client)
    await shop.open(locations=["main"])
    await shop.link(("CUP", 1))
    for number in range(10):
        await shop.report_orders(order(shop, f"order-{number}", PAID))
    assert (await reached(merchant, Tier.SOLD_OUT)).evidence.available == 0


async def test_a_channel_that_names_no_location_is_served_by_all(client: Client, merchant: MerchantDatabase) -> None:
    """So is what nobody sells; two channels that name theirs sell from both."""
    for sku in ("CUP", "BOWL", "POT"):
        await client.add_sku(sku, 1)
    await add_location(client, "north")
    anywhere, main, north = Shop(client), Shop(client, "dy"), Shop(client, "ks")
    await anywhere.open()
    await main.open(locations=["main"])
    await north.open(locations=["north"])
    await anywhere.link(("CUP", 1))
    await main.link(("CUP", 1))
    await main.link(("BOWL", 1), item_id="2")
    await north.link(("BOWL", 1), item_id="2")
    async with merchant.transaction() as connection:
        facts = await read_facts(connection, ["CUP", "BOWL", "POT"])
    assert {sku: found.serving for sku, found in facts.items()} == {
        "CUP": None,
        "BOWL": frozenset({"main", "north"}),
        "POT": None,
    }
