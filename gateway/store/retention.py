"""Removing what is old of the records, a little at a time."""

from datetime import datetime

from sqlalchemy import ColumnElement, Table, and_, delete, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.operations_tables import (
    attempts,
    channel_states,
    listing_states,
    page_sessions,
    sku_states,
    traced_skus,
)


async def remove_attempts(connection: AsyncConnection, before: datetime, count_max: int) -> int:
    """Remove up to `count_max` calls that were recorded before then; how many."""
    return await _remove(connection, attempts, attempts.c.record_time < before, count_max)


async def remove_states(connection: AsyncConnection, before: datetime, count_max: int) -> int:
    """Remove past states of listings, channels and SKUs, each up to `count_max`; how many.

    Of each the newest of before then stays: it is how it was at that moment.
    """
    removed = 0
    for table, name in ((listing_states, "listing_id"), (channel_states, "channel"), (sku_states, "sku")):
        later = table.alias("later")
        order = "version" if name == "listing_id" else "record_time"
        is_followed = exists().where(
            later.c[name] == table.c[name], later.c[order] > table.c[order], later.c.record_time < before
        )
        removed += await _remove(connection, table, and_(table.c.record_time < before, is_followed), count_max)
    return removed


async def remove_expired(connection: AsyncConnection, now: datetime, count_max: int) -> int:
    """Remove sessions of the page that have ended, and wishes to have a SKU traced; how many."""
    removed = await _remove(connection, page_sessions, page_sessions.c.expire_time < now, count_max)
    return removed + await _remove(connection, traced_skus, traced_skus.c.until < now, count_max)


async def _remove(connection: AsyncConnection, table: Table, is_old: ColumnElement[bool], count_max: int) -> int:
    keys = list(table.primary_key.columns)
    chosen = select(*keys).where(is_old).limit(count_max).subquery()
    is_chosen = tuple_(*keys).in_(select(*(chosen.c[key.name] for key in keys)))
    return int((await connection.execute(delete(table).where(is_chosen))).rowcount)
