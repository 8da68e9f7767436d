"""Holding what gateways need, so that they meet where and when a test wants it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.faults.calls import until

BLOCKED_SECONDS_MAX = 3.0
# A lease that is seen so often in a row is not just being looked at.
SEEN_TIMES = 5


@asynccontextmanager
async def head_held(owner: asyncpg.Connection, schema: str) -> AsyncIterator[None]:
    """Until the block ends, whoever wants to save has to wait."""
    async with owner.transaction():
        await owner.execute(f'SELECT FROM "{schema}".head FOR UPDATE')
        yield


async def blocked(owner: asyncpg.Connection, count: int = 1) -> None:
    """Wait until so many wait for a lock."""

    async def is_so() -> bool:
        return bool(await owner.fetchval("SELECT count(*) >= $1 FROM pg_locks WHERE NOT granted", count))

    await until(is_so, BLOCKED_SECONDS_MAX)


@asynccontextmanager
async def nobody_sweeps(owner: asyncpg.Connection, schema: str) -> AsyncIterator[None]:
    """Until the block ends the lease is ours, and we do nothing with it."""
    async with owner.transaction():
        await owner.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", _lease(schema))
        yield


async def somebody_sweeps(owner: asyncpg.Connection, schema: str) -> None:
    """Wait until a sweeper has the lease and keeps it: it has found something, and waits for the writer."""
    seen = 0

    async def is_so() -> bool:
        nonlocal seen
        is_held = await owner.fetchval(
            """SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted
               AND ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)""",
            _lease(schema),
        )
        seen = seen + 1 if is_held else 0
        return seen >= SEEN_TIMES

    await until(is_so, BLOCKED_SECONDS_MAX)


def _lease(schema: str) -> str:
    return f"sweep {schema}"
