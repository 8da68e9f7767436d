"""The alert log: appending in commit order, without gaps, and reading.

Whoever appends locks the log's head first and holds it until his transaction ends. So numbers become visible in order
(a sequence would let 11 be seen before 10), and whatever was looked up after the lock still holds when it is written.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, any_, delete, func, insert, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import telemetry
from gateway.domain.alerts import Body, Event, EventKind, News
from gateway.domain.tiers import Tier
from gateway.store.alert_tables import alert_events, alert_head
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.tables import CODE, head

# What listeners hear when the alert log, or what its engine goes by, has changed.
CHANNEL = "stockgate_alerts"

_decode_body = msgspec.json.Decoder(Body).decode
_e = alert_events.c
_COLUMNS = (
    _e.revision,
    _e.record_time,
    _e.kind,
    _e.sku,
    _e.session_id,
    _e.episode,
    _e.channels,
    _e.session_ids,
    _e.drill_id,
    _e.silenced_by,
    _e.observe_time,
    _e.expire_time,
    _e.body,
    _e.traceparent,
)


class AlertHead(Struct, frozen=True):
    """The end of the log, up to where it was compacted, its lineage; what the engine goes by."""

    revision: int
    compact_revision: int
    settings_version: int
    epoch: str


class EventFilter(Struct, frozen=True):
    """Which events; an empty value asks for all. `min_tier` holds back tier changes only."""

    skus: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    session_ids: frozenset[int] = frozenset()
    min_tier: Tier = Tier.NORMAL
    kinds: frozenset[EventKind] = frozenset()

    def matches(self, event: News) -> bool:
        """True if the event is asked for. A watchdog always is."""
        if event.kind is EventKind.WATCHDOG:
            return True
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.skus and event.sku not in self.skus:
            return False
        if self.channels and self.channels.isdisjoint(event.channels):
            return False
        if self.session_ids and self.session_ids.isdisjoint(event.session_ids):
            return False
        return not 0 < event.tier < self.min_tier


class Appending:
    """The log, locked: nobody else appends until the transaction ends. `now` is the ledger's time."""

    def __init__(self, connection: AsyncConnection, revision: int, now: datetime) -> None:
        """Made by `begin_append`."""
        self._connection = connection
        self.revision = revision
        self.now = now

    @property
    def next_revision(self) -> int:
        """The number the next event will get; also the number of what it begins."""
        return self.revision + 1

    async def append(self, news: Sequence[News], *, changes_settings: bool = False) -> list[Event]:
        """Number and store these events, with the name of the current span.

        `changes_settings`: the engine has to read anew what it goes by.
        """
        events = [
            Event(
                revision=number,
                record_time=self.now,
                traceparent=telemetry.current_traceparent(),
                **{name: getattr(one, name) for name in News.__struct_fields__},
            )
            for number, one in enumerate(news, start=self.next_revision)
        ]
        raised: dict[str, Any] = {"revision": self.revision + len(events)}
        if changes_settings:
            raised["settings_version"] = alert_head.c.settings_version + 1
        await self._connection.execute(update(alert_head).values(raised))
        if events:
            await self._connection.execute(insert(alert_events), [_row(event) for event in events])
        self.revision += len(events)
        return events


async def begin_append(connection: AsyncConnection, database: MerchantDatabase) -> Appending:
    """Lock the log until this transaction ends; listeners are told then."""
    now = func.clock_timestamp() + literal(database.clock.offset)
    await connection.execute(select(func.pg_notify(CHANNEL, database.schema)))
    locked = update(alert_head).values(revision=alert_head.c.revision).returning(alert_head.c.revision, now)
    revision, time = (await connection.execute(locked)).one()
    return Appending(connection, revision, time)


async def read_alert_head(connection: ReadConnection) -> AlertHead:
    """The log's head as it is now."""
    h = alert_head.c
    query = select(h.revision, h.compact_revision, h.settings_version, head.c.epoch)
    row = (await connection.execute(query.select_from(alert_head.join(head, true())))).one()
    return AlertHead(row.revision, row.compact_revision, row.settings_version, str(row.epoch))


async def read_events(connection: ReadConnection, after: int, count_max: int) -> list[Event]:
    """Up to `count_max` events after a revision, oldest first, without gaps."""
    rows = select(*_COLUMNS).where(_e.revision > after).order_by(_e.revision).limit(count_max)
    return [_event(row) for row in await connection.execute(rows)]


async def list_events(
    connection: ReadConnection, wanted: EventFilter, *, before: int, include_drills: bool, count_max: int
) -> list[Event]:
    """Up to `count_max` events with a revision below `before`, newest first."""
    query = select(*_COLUMNS).where(_e.revision < before)
    if wanted.skus:
        query = query.where(_e.sku == any_(literal(sorted(wanted.skus), ARRAY(CODE))))
    if wanted.channels:
        query = query.where(_e.channels.overlap(sorted(wanted.channels)))
    if wanted.session_ids:
        query = query.where(_e.session_ids.overlap(sorted(wanted.session_ids)))
    if wanted.min_tier > Tier.NORMAL:
        query = query.where(or_(_e.tier == 0, _e.tier >= int(wanted.min_tier)))
    if wanted.kinds:
        query = query.where(_e.kind.in_([int(kind) for kind in wanted.kinds]))
    if not include_drills:
        query = query.where(_e.drill_id == 0)
    rows = query.order_by(_e.revision.desc()).limit(count_max)
    return [_event(row) for row in await connection.execute(rows)]


async def read_event(connection: ReadConnection, revision: int) -> Event | None:
    """One event, if it is still kept."""
    row = (await connection.execute(select(*_COLUMNS).where(_e.revision == revision))).one_or_none()
    return None if row is None else _event(row)


async def read_drill_events(connection: ReadConnection, drill_id: int) -> list[Event]:
    """All that is kept of a drill, oldest first. Its number is the revision of its first."""
    rows = select(*_COLUMNS).where(_e.revision >= drill_id, _e.drill_id == drill_id).order_by(_e.revision)
    return [_event(row) for row in await connection.execute(rows)]


async def newest_events(connection: ReadConnection, *such: ColumnElement[bool], count_max: int) -> list[Event]:
    """Up to `count_max` events of which all this is true, newest first."""
    rows = select(*_COLUMNS).where(*such).order_by(_e.revision.desc()).limit(count_max)
    return [_event(row) for row in await connection.execute(rows)]


async def last_told(connection: ReadConnection, event: Event) -> datetime | None:
    """When a tier change of the same key was last told before this event."""
    is_same = (_e.sku == event.sku) & (_e.session_id == event.session_id) & (_e.drill_id == event.drill_id)
    is_before = (_e.kind == int(EventKind.TIER_CHANGE)) & (_e.revision < event.revision)
    query = select(_e.record_time).where(is_same, is_before).order_by(_e.revision.desc()).limit(1)
    found: datetime | None = await connection.scalar(query)
    return found


async def last_before(connection: ReadConnection, since: datetime) -> int:
    """The newest revision recorded before a time; 0 if there is none."""
    query = select(func.max(_e.revision)).where(_e.record_time < since)
    return int(await connection.scalar(query) or 0)


async def compact(connection: AsyncConnection, revision: int) -> None:
    """Remove the events up to a revision, itself included. To be said between `begin_append` and the end."""
    await connection.execute(delete(alert_events).where(_e.revision <= revision))
    await connection.execute(update(alert_head).values(compact_revision=revision))


def _row(event: Event) -> dict[str, Any]:
    columns = {name: getattr(event, name) for name in Event.__struct_fields__ if name != "body"}
    body = None if event.body is None else msgspec.to_builtins(event.body)
    return columns | {
        "kind": int(event.kind),
        "tier": int(event.tier),
        "channels": list(event.channels),
        "session_ids": list(event.session_ids),
        "silenced_by": list(event.silenced_by),
        "body": body,
    }


def _event(row: Any) -> Event:
    body = row.body
    return Event(
        revision=row.revision,
        record_time=row.record_time,
        kind=EventKind(row.kind),
        body=None if body in {None, "null"} else _decode_body(body),
        sku=row.sku,
        session_id=row.session_id,
        episode=row.episode,
        channels=tuple(row.channels),
        session_ids=tuple(row.session_ids),
        drill_id=row.drill_id,
        silenced_by=tuple(row.silenced_by),
        observe_time=row.observe_time,
        expire_time=row.expire_time,
        traceparent=row.traceparent,
    )
