"""The usual way, for comparison: each request locks the level's row, writes what we write, and commits by itself."""

import json
from datetime import UTC, datetime, timedelta

import asyncpg

from tests.bench.load import Load, closed_loop
from tests.bench.shop import new_id

_SQL = """
    WITH level AS (
        UPDATE {s}.levels SET reserved = reserved + 1 WHERE sku = $1 AND location = 'main' RETURNING reserved),
    numbered AS (SELECT nextval('{s}.bench_number') AS n),
    movement AS (
        INSERT INTO {s}.movements (revision, record_time, occur_time, kind, sku, location, quantity, on_hand_change,
            reserved_change, on_hand_after, reserved_after, safety_stock_after, reservation_id, request_id)
        SELECT -n, $3, $3, 6, $1, 'main', 1, 0, 1, 0, level.reserved, 0, -n, $2 FROM numbered, level),
    request AS (INSERT INTO {s}.requests (request_id, content, answer) VALUES ($2, $5, $5))
    INSERT INTO {s}.reservations (reservation_id, state, lines, create_time, expire_time)
    SELECT -n, 2, $6::jsonb, $3, $4 FROM numbered"""


_SCHEMA = """
    CREATE SCHEMA IF NOT EXISTS {s};
    CREATE SEQUENCE IF NOT EXISTS {s}.bench_number;
    CREATE TABLE IF NOT EXISTS {s}.levels (LIKE merchant_main.levels INCLUDING ALL);
    CREATE TABLE IF NOT EXISTS {s}.movements (LIKE merchant_main.movements INCLUDING ALL);
    CREATE TABLE IF NOT EXISTS {s}.reservations (LIKE merchant_main.reservations INCLUDING ALL);
    CREATE TABLE IF NOT EXISTS {s}.requests (LIKE merchant_main.requests INCLUDING ALL);
    INSERT INTO {s}.levels (sku, location, on_hand, reserved, safety_stock, last_count_revision, revision)
        VALUES ('{sku}', 'main', 1000000000000, 0, 0, 0, 0) ON CONFLICT DO NOTHING"""


async def row_lock_load(url: str, sku: str, in_flight: int, seconds: float) -> Load:
    """Reservations one by one over `in_flight` connections, each in a transaction that locks the row first.

    The tables are copies of the gateway's, with the same indexes, in a schema of their own in the same database.
    """
    s = "rowlock"
    pool = await asyncpg.create_pool(url, min_size=in_flight, max_size=in_flight)
    await pool.execute(_SCHEMA.format(s=s, sku=sku))
    lines = json.dumps([[1, sku, "", 1, [["main", 1, 0, 0]]]])
    content = b"x" * 60

    async def one() -> None:
        now = datetime.now(UTC)
        async with pool.acquire() as connection, connection.transaction():
            level = f"SELECT on_hand - reserved FROM {s}.levels WHERE sku = $1 AND location = 'main' FOR UPDATE"
            assert await connection.fetchval(level, sku) > 0
            later = now + timedelta(hours=1)
            await connection.execute(_SQL.format(s=s), sku, new_id(), now, later, content, lines)

    load = await closed_loop(one, in_flight, seconds)
    await pool.close()
    return load
