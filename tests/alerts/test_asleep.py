"""SKUs that are looked at only when they move, or when people say something about them."""

from datetime import timedelta

import pytest

from gateway.alerts.engine import Engine
from gateway.alerts.requests import AnnounceIncoming, SetPolicy
from gateway.alerts.rules import Rules
from gateway.catalog import Catalog
from gateway.domain.alerts import AlertPolicy, EventKind
from gateway.domain.commands import ReceiveStock
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Key
from gateway.live.counted import Counted
from gateway.live.sessions import OpenSession, Sessions, SkuAsked
from gateway.store import alert_tables, standings
from gateway.store.catalog import Sku
from gateway.store.database import Clock, MerchantDatabase
from gateway.writer import Writer
from tests.alerts.counter import SKU
from tests.alerts.shelves import alerts_time, changes, told
from tests.client import new_id


async def stock_many(merchant: MerchantDatabase, shelf: Writer, count: int) -> list[str]:
    """SKUs with thirty units each, never sold."""
    codes = [f"SKU-{number}" for number in range(count)]
    for code in codes:
        await Catalog(merchant, shelf).create_sku(Sku(code))
    await shelf.apply([ReceiveStock(new_id(), code, "", 30) for code in codes])
    return codes


async def asleep(merchant: MerchantDatabase) -> set[str]:
    """The SKUs that are looked at only when they move."""
    async with merchant.transaction() as connection:
        return {stand.key.sku for stand in await standings.stands_of(connection, ~alert_tables.standings.c.is_awake)}


async def test_a_catalogue_that_is_received_does_not_keep_the_engine_awake(
    shelf: Writer, merchant: MerchantDatabase
) -> None:
    """Of what nobody has ordered, time changes nothing: it is looked at once, and again when it moves."""
    codes = await stock_many(merchant, shelf, 20)
    await Engine(merchant, "engine").look()
    assert await asleep(merchant) == {SKU, *codes}


@pytest.mark.parametrize("word", ["policy", "session", "incoming"])
async def test_what_sleeps_hears_what_people_say(
    shelf: Writer, merchant: MerchantDatabase, clock: Clock, word: str
) -> None:
    """A line above what is left, a session, units on their way: the SKU need not move first."""
    rules, engine = Rules(merchant), Engine(merchant, "engine")
    code, *_ = await stock_many(merchant, shelf, 3)
    await engine.look()
    now = await alerts_time(merchant)
    match word:
        case "policy":
            await rules.set_policy(SetPolicy(new_id(), AlertPolicy(code, fixed_line=50), "li"))
        case "session":
            await Sessions(merchant, Counted(merchant)).open(
                new_id(), OpenSession("room", (), (SkuAsked(code),), now + timedelta(hours=2), "li")
            )
        case "incoming":
            await rules.announce_incoming(AnnounceIncoming(new_id(), code, 50, now + timedelta(minutes=1), "li"))
    await engine.look()
    assert engine.pace_of(Key(code)) is not None
    if word == "policy":
        assert [change.after for change in await changes(merchant)] == [Tier.THRESHOLD]
    if word == "incoming":
        clock.offset += timedelta(minutes=2)
        await engine.look()
        await told(merchant, EventKind.INCOMING_ENDED)
