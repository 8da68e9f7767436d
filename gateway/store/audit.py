"""What people asked for: appended, ended once, never removed."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Text, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.audit import Asked, AuditEntry
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.operations_tables import audit

_a = audit.c


class AuditFilter(Struct, frozen=True):
    """Which entries; an empty value asks for all."""

    sku: str = ""
    channel: str = ""
    actor: str = ""


async def begin_entry(connection: AsyncConnection, database: MerchantDatabase, asked: Asked) -> int:
    """Keep what is asked; the entry's number."""
    row = {
        "record_time": func.clock_timestamp() + literal(database.clock.offset),
        "actor": asked.actor,
        "method": asked.method,
        "sku": asked.sku or None,
        "channel": asked.channel or None,
        "request_id": asked.request_id or None,
        "content": cast(literal(asked.content, Text), JSONB),
        "outcome": "",
        "traceparent": asked.traceparent,
    }
    number = await connection.scalar(insert(audit).values(row).returning(_a.audit_id))
    assert isinstance(number, int)
    return number


async def end_entry(connection: AsyncConnection, audit_id: int, outcome: str, *, sku: str, channel: str) -> None:
    """Keep what became of it, and what it was about where the request did not say."""
    ended = {
        "outcome": outcome,
        "sku": func.coalesce(_a.sku, sku or None),
        "channel": func.coalesce(_a.channel, channel or None),
    }
    await connection.execute(update(audit).values(ended).where(_a.audit_id == audit_id, _a.outcome == ""))


async def list_entries(
    connection: ReadConnection, wanted: AuditFilter, *, before: int, count_max: int
) -> list[AuditEntry]:
    """Up to `count_max` entries with a number below `before`, newest first."""
    query = select(audit).where(_a.audit_id < before)
    if wanted.sku:
        query = query.where(_a.sku == wanted.sku)
    if wanted.channel:
        query = query.where(_a.channel == wanted.channel)
    if wanted.actor:
        query = query.where(_a.actor == wanted.actor)
    rows = await connection.execute(query.order_by(_a.audit_id.desc()).limit(count_max))
    return [entry_of(row) for row in rows.mappings()]


async def newest_entries(
    connection: ReadConnection, such: Sequence[ColumnElement[bool]], count_max: int
) -> list[AuditEntry]:
    """Up to `count_max` entries of which all this is true, by time, newest first."""
    query = select(audit).where(*such).order_by(_a.record_time.desc(), _a.audit_id.desc()).limit(count_max)
    return [entry_of(row) for row in (await connection.execute(query)).mappings()]


def entry_of(row: Any) -> AuditEntry:
    """An entry from its row."""
    return AuditEntry(**{**row, **{name: row[name] or "" for name in ("sku", "channel", "request_id")}})
