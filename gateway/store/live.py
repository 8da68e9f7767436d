"""Reading and writing live sessions, and what their channels have sold of their own units."""

import asyncio
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import BigInteger, any_, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.alerts import Event, EventKind, Session, SessionSku
from gateway.domain.division import Lock
from gateway.store.alert_log import newest_events
from gateway.store.alert_tables import IS_OF_MANY, alert_events, drills, sessions
from gateway.store.database import ReadConnection
from gateway.store.shops import begin_change
from gateway.store.tables import CODE, channels, head, levels, listings, locations, movements

_decode = msgspec.json.Decoder(Session).decode
_s = sessions.c
# So much of the journal is read in one statement.
SOLD_REVISIONS_MAX = 200_000
# More lines than these are not said within a minute.
LINES_MAX = 10
_SESSION_TOLD = (int(EventKind.SESSION_OPENED), int(EventKind.SESSION_CHANGED))
_OWN_UNITS = text("body @? '$.skus[*].exclusive_units ? (@ > 0)'")


class Sold:
    """What a session's channels have taken of its own units, as far as the journal was read; goes on as it is read.

    Whoever reads holds `reading`: what two have read at once would count twice.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.reading = asyncio.Lock()
        # By SKU: the revision at which it got units of its own, and the last that was read.
        self._since: dict[str, int] = {}
        self._read: dict[str, int] = {}
        self._taken: dict[tuple[str, int], int] = {}
        self._total: dict[str, int] = {}

    def of(self, sku: str) -> int:
        """Units that are gone. What came back of sales made before the session began is none of its own."""
        return self._total.get(sku, 0)

    def begin(self, sku: str, since: int) -> int:
        """The revision after which movements of the SKU are news; all that is known of it, if it began anew."""
        if self._since.get(sku) != since:
            self._since[sku] = self._read[sku] = since
            self._total.pop(sku, None)
            self._taken = {key: units for key, units in self._taken.items() if key[0] != sku}
        return self._read[sku]

    def end(self, skus: Iterable[str], revision: int) -> None:
        """The movements of these SKUs were added up to there."""
        self._read.update((sku, max(revision, self._read[sku])) for sku in skus)

    def add(self, sku: str, reservation_id: int, units: int, *, is_channels: bool) -> None:
        """A reservation has taken so many units, net; `is_channels`: one of the session's channels has sold them."""
        before = self._taken.get((sku, reservation_id))
        # What expires has no channel any more; that it was ours is known from when it began.
        if before is None and not is_channels:
            return
        after = (before or 0) + units
        self._taken[sku, reservation_id] = after
        self._total[sku] = self._total.get(sku, 0) + max(0, after) - max(0, before or 0)


async def open_sessions(connection: ReadConnection) -> list[Session]:
    """The sessions that are on, oldest first. One may be past its planned end: it is on until it is closed."""
    rows = select(_s.body).where(_s.close_time.is_(None)).order_by(_s.session_id)
    return [_decode(body) for body in await connection.scalars(rows)]


async def read_session(connection: ReadConnection, session_id: int) -> Session | None:
    """The session with this number, if there is one."""
    body = await connection.scalar(select(_s.body).where(_s.session_id == session_id))
    return None if body is None else _decode(body)


async def list_sessions(connection: ReadConnection, *, open_only: bool, before: int, count_max: int) -> list[Session]:
    """Up to `count_max` sessions with a number below `before`, newest first."""
    query = select(_s.body).where(_s.session_id < before)
    if open_only:
        query = query.where(_s.close_time.is_(None))
    rows = await connection.scalars(query.order_by(_s.session_id.desc()).limit(count_max))
    return [_decode(body) for body in rows]


async def write_session(connection: AsyncConnection, session: Session) -> None:
    """Store a session, instead of what was stored of it."""
    content = {"close_time": session.close_time, "body": msgspec.to_builtins(session)}
    statement = upsert(sessions).values(session_id=session.session_id, **content)
    await connection.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=content))


async def touch_skus(connection: AsyncConnection, schema: str, codes: Collection[str]) -> None:
    """Have the allocator divide these SKUs anew: whose units they are has changed."""
    version = await begin_change(connection, schema)
    await connection.execute(update(listings).values(version=version).where(listings.c.skus.overlap(_codes(codes))))


async def journal_revision(connection: ReadConnection) -> int:
    """The journal's last revision."""
    return int(await connection.scalar(select(head.c.revision)) or 0)


async def last_numbers(connection: ReadConnection) -> tuple[int, int]:
    """The journal's last revision, and the last reservation's number."""
    row = (await connection.execute(select(head.c.revision, head.c.reservation_number))).one()
    return row.revision, row.reservation_number


async def units_at(connection: ReadConnection, codes: Collection[str]) -> dict[tuple[str, str], int]:
    """Units available of these SKUs, by SKU and location."""
    balance = levels.c.on_hand - levels.c.reserved - levels.c.safety_stock
    rows = await connection.execute(
        select(levels.c.sku, levels.c.location, func.greatest(balance, 0)).where(levels.c.sku == any_(_codes(codes)))
    )
    return {(sku, at): units for sku, at, units in rows}


async def serving_locations(connection: ReadConnection, codes: Collection[str]) -> tuple[str, ...]:
    """The locations that serve some of these channels, in order."""
    named = await connection.scalars(select(channels.c.locations).where(channels.c.channel == any_(_codes(codes))))
    served = [set(each) for each in named]
    rows = select(locations.c.location).order_by(locations.c.position, locations.c.location)
    return tuple(at for at in await connection.scalars(rows) if any(not each or at in each for each in served))


async def lines_taken(connection: ReadConnection, session_id: int, drill_id: int, since: datetime) -> list[Event]:
    """The last lines that were said in a room since a time, in a drill or in truth, newest first."""
    e = alert_events.c
    said = (
        e.record_time > since,
        e.kind == int(EventKind.LINE_TAKEN),
        e.session_ids.contains([session_id]),
        e.drill_id == drill_id,
    )
    return await newest_events(connection, *said, count_max=LINES_MAX)


async def is_drill(connection: ReadConnection, drill_id: int) -> bool:
    """True if there is a drill with this number."""
    return await connection.scalar(select(drills.c.drill_id).where(drills.c.drill_id == drill_id)) is not None


# ---- own units


async def read_sold(connection: ReadConnection, session: Session, sold: Sold, until: datetime | None = None) -> Sold:
    """What the session's channels have taken of its own units up to a time (None: now), going on from what is known.

    An order taken in takes units, one that is given up or sent back returns them, whichever way it ends. A long journal
    is read in steps, each of which is known from then on: whoever runs out of time goes on from there.
    """
    async with sold.reading:
        revision = await journal_revision(connection)
        since = {one.sku: one.open_revision or session.open_revision for one in own(session)}
        after = {sku: sold.begin(sku, began) for sku, began in since.items()}
        while after and (first := min(after.values())) < revision:
            last = min(revision, first + SOLD_REVISIONS_MAX)
            for sku, reservation_id, units, is_channels in await _read_taken(connection, session, after, last, until):
                sold.add(sku, reservation_id, int(units), is_channels=is_channels)
            sold.end(after, last)
            after = {sku: sold.begin(sku, began) for sku, began in since.items()}
    return sold


async def _read_taken(
    connection: ReadConnection, session: Session, after: dict[str, int], last: int, until: datetime | None
) -> list[Any]:
    """What each reservation has taken net of each SKU after a revision of its own, and up to the last; and if ours."""
    m = movements.c
    of_channel = func.coalesce(func.bool_or(m.channel == any_(_codes(session.channels))), False)
    is_past = [] if until is None else [m.record_time <= until]
    query = (
        select(m.sku, m.reservation_id, func.sum(m.reserved_change - m.on_hand_change), of_channel)
        .where(m.revision > min(after.values()), m.revision <= last, m.reservation_id.is_not(None))
        .where(or_(*((m.sku == sku) & (m.revision > seen) for sku, seen in after.items())), *is_past)
        .group_by(m.sku, m.reservation_id)
    )
    return list(await connection.execute(query))


async def read_locks(connection: ReadConnection, known: dict[int, Sold]) -> dict[str, Lock]:
    """The units that open sessions have for themselves, by SKU; `known`, by session, goes on as it is read."""
    query = select(_s.body).where(_s.close_time.is_(None), _OWN_UNITS).order_by(_s.session_id)
    locks: dict[str, Lock] = {}
    on = [_decode(body) for body in await connection.scalars(query)]
    for session in on:
        sold = await read_sold(connection, session, known.setdefault(session.session_id, Sold()))
        for one in own(left_of(session, sold)):
            locks[one.sku] = Lock(frozenset(session.channels), one.exclusive_left)
    for over in known.keys() - {session.session_id for session in on}:
        del known[over]
    return locks


async def read_locks_then(connection: ReadConnection, at: datetime) -> dict[str, Lock]:
    """The same as of a past time, by what the alert log tells of sessions: as far back as that is kept."""
    e = alert_events.c
    ids = (
        await connection.scalars(select(_s.session_id).where(or_(_s.close_time.is_(None), _s.close_time > at)))
    ).all()
    is_told = (IS_OF_MANY, e.kind.in_(_SESSION_TOLD), e.revision >= min(ids, default=0), e.record_time <= at)
    each = select(e.revision, e.body, e.session_ids[1].label("session_id")).where(*is_told).subquery().c
    was_one = each.session_id == any_(literal(ids, ARRAY(BigInteger)))
    newest = select(each.body).ext(distinct_on(each.session_id)).where(was_one)
    told = newest.order_by(each.session_id, each.revision.desc())
    locks: dict[str, Lock] = {}
    for body in await connection.scalars(told):
        session = _decode(body)
        sold = await read_sold(connection, session, Sold(), at)
        for one in own(left_of(session, sold)):
            locks[one.sku] = Lock(frozenset(session.channels), one.exclusive_left)
    return locks


def own(session: Session) -> list[SessionSku]:
    """Those of the session's SKUs of which it has units of its own."""
    return [sold for sold in session.skus if sold.exclusive_units]


def left_of(session: Session, sold: Sold) -> Session:
    """The session with what it has left of its own units."""
    skus = tuple(
        replace(one, exclusive_left=max(0, one.exclusive_units - sold.of(one.sku)) if one.exclusive_units else 0)
        for one in session.skus
    )
    return replace(session, skus=skus)


async def with_left(connection: ReadConnection, session: Session, sold: Sold | None = None) -> Session:
    """The session with what it has left of its own units now, counted on from `sold`; nothing once it is closed."""
    if session.close_time is not None:
        return replace(session, skus=tuple(replace(one, exclusive_left=0) for one in session.skus))
    return left_of(session, await read_sold(connection, session, sold or Sold())) if own(session) else session


def _codes(codes: Iterable[str]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return literal(sorted(codes), ARRAY(CODE))
