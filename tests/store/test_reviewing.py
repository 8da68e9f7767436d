"""What a review reads is bounded by the session's own time, however long the shop has been there."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from gateway.settings import Settings
from gateway.store.reviewing import read_session_drifts, read_session_pushes
from tests.merchants import schema_of_token

BEGIN = datetime(2026, 11, 11, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
# Minutes from the beginning at which something was decided, and its number: they have gaps, and some are of one moment.
DECIDED = ((-2, 3), (-1, 4), (0, 9), (0, 10), (5, 1_700_000_000_000), (10, 1_700_000_000_004), (11, 1_700_000_000_009))
WITHIN = [9, 10, 1_700_000_000_000, 1_700_000_000_004]


@pytest.fixture
async def connection(settings: Settings, token: str) -> AsyncIterator[AsyncConnection]:
    """At home in a merchant's schema, with a listing of CUP."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(settings.database_url, timeout=5)
    )
    async with engine.connect() as opened:
        await opened.execute(text(f'SET search_path TO "{schema_of_token(token)}"'))
        await opened.execute(
            text("""
                INSERT INTO listings (listing_id, channel, item_id, platform_sku_id, components, skus)
                VALUES (1, 'tb', '1', '', '[["CUP", 1]]', '{CUP}')""")
        )
        yield opened
    await engine.dispose()


async def test_pushes_and_drifts_are_those_of_the_session(connection: AsyncConnection) -> None:
    """From the first moment to the last, both included, though numbers have gaps."""
    for minutes, number in DECIDED:
        values = {"number": number, "at": BEGIN + minutes * MINUTE, "attempts": number % 100}
        await connection.execute(
            text("""
                INSERT INTO pushes (push_id, listing_id, kind, sales, create_time, settle_time, result, attempts)
                VALUES (:number, 1, 1, 1, :at, :at, 1, :attempts)"""),
            values,
        )
        await connection.execute(
            text("INSERT INTO drifts VALUES (:number, 1, 'tb', 1, 1, 1, 1, :at, :at, 'none')"),
            {name: values[name] for name in ("number", "at")},
        )
    end = BEGIN + 10 * MINUTE
    pushes = await read_session_pushes(connection, ["CUP"], BEGIN, end)
    assert [push.attempts for push in pushes] == [number % 100 for number in WITHIN]
    assert await read_session_drifts(connection, ["CUP"], BEGIN, end) == {"tb": len(WITHIN)}
    assert await read_session_pushes(connection, ["CUP"], end + 2 * MINUTE, end + 3 * MINUTE) == []
