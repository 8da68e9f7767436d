"""What is old of the records goes, a little at a time; what still says how something was stays."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from gateway.retention import KEEP_ATTEMPTS, Retention
from gateway.settings import Settings
from gateway.store.database import Clock, Database
from gateway.store.states import KEEP_STATES
from tests.merchants import schema_of_token

# How long ago: two before the border of states, two after it.
AGES = (timedelta(days=9), timedelta(days=8), timedelta(days=6), timedelta())
TABLES = ("attempts", "listing_states", "channel_states", "sku_states", "page_sessions", "traced_skus")


@pytest.fixture
async def records(token: str, owner: asyncpg.Connection) -> str:
    """A schema with records of every kind and age."""
    schema = schema_of_token(token)
    await owner.execute(f'SET search_path TO "{schema}"')
    for number, age in enumerate(AGES, start=1):
        at = f"now() - interval '{age.total_seconds()} s'"
        for listing in (1, 2):
            await owner.execute(f"INSERT INTO listing_states VALUES ({listing}, {number}, {at}, '[]', false)")
        await owner.execute(f"INSERT INTO channel_states VALUES ('tb', {at}, '{{}}')")
        await owner.execute(f"INSERT INTO sku_states VALUES ('CUP', {at}, '{{}}')")
        await owner.execute(
            "INSERT INTO attempts (push_id, listing_id, channel, number, begin_time, duration_ms, outcome,"
            f" platform_code, platform_request_id, message, record_time) VALUES ({number}, 1, 'tb', 1, {at}, 5, 1,"
            f" '', '', '', {at})"
        )
    await owner.execute("INSERT INTO page_sessions VALUES ('a', 'li', now(), now() + interval '1 h')")
    await owner.execute("INSERT INTO page_sessions VALUES ('b', 'li', now(), now() - interval '1 s')")
    await owner.execute("INSERT INTO traced_skus VALUES ('CUP', now() + interval '1 h'), ('MUG', now())")
    return schema


@pytest.fixture
async def retention(settings: Settings, records: str, clock: Clock) -> AsyncIterator[Retention]:
    """What removes them."""
    database = Database(str(settings.database_url), clock)
    yield Retention(database.of(records.removeprefix("merchant_")))
    await database.close()


async def counted(owner: asyncpg.Connection, schema: str) -> dict[str, int]:
    """Rows by table."""
    return {table: await owner.fetchval(f'SELECT count(*) FROM "{schema}".{table}') for table in TABLES}


async def test_the_newest_state_before_the_border_stays(
    retention: Retention, records: str, owner: asyncpg.Connection
) -> None:
    """Of each listing, channel and SKU: it says how it was at the border; what has ended is gone, calls are younger."""
    await retention.remove()
    assert await counted(owner, records) == {
        "attempts": 4,
        "listing_states": 6,
        "channel_states": 3,
        "sku_states": 3,
        "page_sessions": 1,
        "traced_skus": 1,
    }
    oldest = await owner.fetch("SELECT DISTINCT version FROM listing_states ORDER BY version")
    assert [row["version"] for row in oldest] == [2, 3, 4]


async def test_nothing_more_goes_before_its_time(
    retention: Retention, records: str, owner: asyncpg.Connection, clock: Clock
) -> None:
    """A second look removes nothing; when all is old, the last state of each is left."""
    await retention.remove()
    before = await counted(owner, records)
    assert await retention.remove() == 0
    assert await counted(owner, records) == before
    clock.offset = KEEP_ATTEMPTS + KEEP_STATES
    await retention.remove()
    assert await counted(owner, records) == {
        "attempts": 0,
        "listing_states": 2,
        "channel_states": 1,
        "sku_states": 1,
        "page_sessions": 0,
        "traced_skus": 0,
    }


async def test_it_takes_no_more_at_once_than_it_may(
    retention: Retention, records: str, owner: asyncpg.Connection, clock: Clock
) -> None:
    """Batch after batch, until all that is old is gone."""
    clock.offset = KEEP_ATTEMPTS + KEEP_STATES
    await retention.remove(1)
    assert (await counted(owner, records))["attempts"] == 3
    while await retention.remove(1):
        pass
    assert (await counted(owner, records))["attempts"] == 0


async def test_one_gateway_at_a_time_removes(
    retention: Retention, records: str, owner: asyncpg.Connection, clock: Clock
) -> None:
    """While another holds the lease nothing is removed, and nobody waits."""
    clock.offset = KEEP_ATTEMPTS + KEEP_STATES
    before = await counted(owner, records)
    async with owner.transaction():
        await owner.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"remove {records}")
        assert await retention.remove() == 0
    assert await counted(owner, records) == before
