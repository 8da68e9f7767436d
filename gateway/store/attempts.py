"""Keeping and reading the calls to platforms that connectors tell of."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Integer, RowMapping, SmallInteger, Text, cast, column, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.attempts import Attempt, AttemptOutcome
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.operations_tables import attempts
from gateway.store.tables import CODE, TIME, listings

_a = attempts.c
_KINDS: dict[str, Any] = {
    "push_id": BigInteger,
    "listing_id": BigInteger,
    "channel": CODE,
    "number": Integer,
    "begin_time": TIME,
    "duration_ms": BigInteger,
    "outcome": SmallInteger,
    "http_status": Integer,
    "platform_code": Text,
    "platform_request_id": Text,
    "message": Text,
    "next_try_time": TIME,
    "traceparent": Text,
}


async def save_attempts(
    connection: AsyncConnection, database: MerchantDatabase, told: Sequence[Attempt]
) -> list[Attempt]:
    """Keep calls; those that are known, and those of listings that the channel does not have, change nothing.

    Returns those that are new.
    """
    # If the power fails, a record of a moment is lost: no reason to wait for the disk.
    await connection.execute(text("SET LOCAL synchronous_commit TO off"))
    rows = cast(literal(msgspec.json.encode(told).decode(), Text), JSON)
    columns = [column(name, kind) for name, kind in _KINDS.items()]
    given = func.json_to_recordset(rows).table_valued(*columns, name="given").render_derived(with_types=True)
    its_listing = (listings.c.listing_id == given.c.listing_id) & (listings.c.channel == given.c.channel)
    source = select(*(given.c[name] for name in _KINDS), database.now).join_from(given, listings, its_listing)
    statement = upsert(attempts).from_select([*_KINDS, "record_time"], source).on_conflict_do_nothing()
    rows_kept = await connection.execute(statement.returning(_a.push_id, _a.number, _a.begin_time))
    kept = {(row.push_id, row.number, row.begin_time) for row in rows_kept}
    return [one for one in told if (one.push_id, one.number, one.begin_time) in kept]


async def list_attempts(
    connection: ReadConnection,
    listing_ids: Sequence[int],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    count_max: int,
) -> list[Attempt]:
    """Up to `count_max` calls about these listings that were recorded in [since, until), newest first."""
    rows = select(attempts).where(_a.listing_id.in_(listing_ids))
    if since is not None:
        rows = rows.where(_a.record_time >= since)
    if until is not None:
        rows = rows.where(_a.record_time < until)
    newest = rows.order_by(_a.record_time.desc(), _a.begin_time.desc(), _a.number.desc()).limit(count_max)
    return [attempt_of(row) for row in (await connection.execute(newest)).mappings()]


def attempt_of(row: RowMapping) -> Attempt:
    """The call that a row of `attempts` tells of."""
    return Attempt(**{**row, "outcome": AttemptOutcome(row["outcome"])})
