"""Reading what was recorded of a session: its movements, its events, what platforms were told and when.

Everything is bounded by the session's own time, so that what is read of one that is over stays the same.
"""

from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Column, ColumnElement, any_, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on

from gateway.domain.alerts import Event, EventKind
from gateway.domain.listings import Component, ListingState, PushResult
from gateway.domain.stock import MovementKind
from gateway.domain.vigil import Moved, Tempo
from gateway.store.alert_log import newest_events
from gateway.store.alert_tables import alert_events
from gateway.store.database import ReadConnection
from gateway.store.operations_tables import listing_states
from gateway.store.tables import CODE, drifts, head, listings, movements, pushes, shortfalls, skus

# So many movements, or events, are read before others have their turn.
PAGE = 2_000
# A bucket has to have a width.
_INSTANT = 1e-6
_TICK = timedelta(microseconds=1)

_decode_state = msgspec.json.Decoder(ListingState).decode
_decode_components = msgspec.json.Decoder(tuple[Component, ...]).decode
_m, _p, _e = movements.c, pushes.c, alert_events.c
# Those that a person has to do with, and where SKUs stood.
_TOLD = [int(kind) for kind in EventKind if kind not in {EventKind.WATCHDOG, EventKind.COMPACTED}]


class Ends(Struct, frozen=True):
    """The newest movement and the newest event recorded by a time, and when the newer of them was."""

    revision: int
    alert_revision: int
    time: datetime


class PushRow(Struct, frozen=True, gc=False):
    """A push that was settled. `due`: when the change it answers was recorded, else when it was decided."""

    channel: str
    due: datetime
    settled: datetime
    result: PushResult
    attempts: int


class ShownRow(Struct, frozen=True, gc=False):
    """What a listing could still sell from a time on, in sales of its components."""

    time: datetime
    listing_id: int
    channel: str
    components: tuple[Component, ...]
    sales: int


async def read_ends(connection: ReadConnection, begin: int, event: int, until: datetime | None) -> Ends:
    """Where a session ends that began after movement `begin` with this event: at a time; None: with what is newest."""
    revision = int(await connection.scalar(select(head.c.revision)) or 0)
    if until is not None:
        revision = await _last_by(connection, begin, revision, until)
    newest = select(_e.revision, _e.record_time).where(_e.revision >= event).order_by(_e.revision.desc()).limit(1)
    if until is not None:
        newest = newest.where(_e.record_time <= until)
    last = (await connection.execute(newest)).one_or_none()
    moved = await connection.scalar(select(_m.record_time).where(_m.revision == revision))
    times = [time for time in (moved, None if last is None else last.record_time) if time is not None]
    return Ends(revision, event if last is None else last.revision, until or max(times))


async def _last_by(connection: ReadConnection, low: int, high: int, until: datetime) -> int:
    """The last movement recorded by a time. Times rise with revisions, and only those have an index of their own."""
    while low < high:
        middle = (low + high + 1) // 2
        at_it = await connection.scalar(select(_m.record_time).where(_m.revision == middle))
        if at_it is not None and at_it <= until:
            low = middle
        else:
            high = middle - 1
    return low


async def _numbers_between(
    connection: ReadConnection, number: Column[int], time: Column[datetime], begin: datetime, end: datetime
) -> ColumnElement[bool]:
    """True of the rows of a table from one time to another. Its times rise with its numbers, which may have gaps."""
    first = await _first_since(connection, number, time, begin)
    return number.between(first, await _first_since(connection, number, time, end + _TICK) - 1)


async def _first_since(connection: ReadConnection, number: Column[int], time: Column[datetime], since: datetime) -> int:
    """The least number of a row of that time or later, or of what may come."""
    low, high = 0, 1 + int(await connection.scalar(select(func.max(number))) or 0)
    while low < high:
        middle = (low + high) // 2
        found = select(number, time).where(number >= middle).order_by(number).limit(1)
        row = (await connection.execute(found)).one_or_none()
        if row is None or row[1] >= since:
            high = middle
        else:
            low = row[0] + 1
    return low


async def read_session_moves(
    connection: ReadConnection, codes: Collection[str], after: int, until: int, tempo: Tempo
) -> AsyncIterator[list[Moved]]:
    """The movements of these SKUs after one revision and up to another, page by page."""
    query = select(*(_m[name] for name in _MOVED), _BALANCE, _m.reservation_id, _m.channel)
    query = query.where(_m.sku == any_(_codes(codes)), _m.revision <= until).order_by(_m.revision).limit(PAGE)
    while True:
        rows = (await connection.execute(query.where(_m.revision > after))).all()
        if rows:
            yield [_moved(row, tempo) for row in rows]
        if len(rows) < PAGE:
            return
        after = rows[-1].revision


_MOVED = (
    "revision",
    "record_time",
    "kind",
    "sku",
    "location",
    "quantity",
    "on_hand_change",
    "reserved_change",
)
_BALANCE = _m.on_hand_after - _m.reserved_after - _m.safety_stock_after


def _moved(row: Any, tempo: Tempo) -> Moved:
    revision, record_time, kind, *rest = row
    return Moved(revision, tempo.seconds(record_time), MovementKind(kind), *rest)


async def read_session_events(
    connection: ReadConnection, session_id: int, codes: Collection[str], until: int
) -> AsyncIterator[list[Event]]:
    """The events that are about a session or its SKUs, newest first, page by page; drills are left out."""
    about = or_(_e.session_ids.contains([session_id]), _e.sku == any_(_codes(codes)))
    before = until + 1
    while True:
        such = (about, _e.drill_id == 0, _e.kind.in_(_TOLD), _e.revision >= session_id, _e.revision < before)
        page = await newest_events(connection, *such, count_max=PAGE)
        if page:
            yield page
            before = page[-1].revision
        if len(page) < PAGE:
            return


async def read_session_pushes(
    connection: ReadConnection, codes: Collection[str], begin: datetime, end: datetime
) -> list[PushRow]:
    """The pushes of these SKUs' listings that were decided and settled between two times, in order of their numbers."""
    is_within = await _numbers_between(connection, _p.push_id, _p.create_time, begin, end)
    query = (
        select(
            listings.c.channel,
            func.coalesce(_p.origin_time, _p.create_time),
            _p.settle_time,
            _p.result,
            func.coalesce(_p.attempts, 0),
        )
        .join(listings, listings.c.listing_id == _p.listing_id)
        .where(listings.c.skus.overlap(_codes(codes)), is_within, _p.create_time >= begin, _p.settle_time <= end)
        .order_by(_p.push_id)
    )
    rows = await connection.execute(query)
    return [
        PushRow(channel, due, settled, PushResult(result), attempts) for channel, due, settled, result, attempts in rows
    ]


async def read_session_drifts(
    connection: ReadConnection, codes: Collection[str], begin: datetime, end: datetime
) -> dict[str, int]:
    """How often a channel's listings of these SKUs showed what they should not, by channel."""
    is_within = await _numbers_between(connection, drifts.c.drift_id, drifts.c.judge_time, begin, end)
    query = (
        select(drifts.c.channel, func.count())
        .join(listings, listings.c.listing_id == drifts.c.listing_id)
        .where(listings.c.skus.overlap(_codes(codes)), is_within)
        .group_by(drifts.c.channel)
    )
    return {channel: int(count) for channel, count in await connection.execute(query)}


async def read_session_shortfalls(
    connection: ReadConnection, codes: Collection[str], begin: datetime, end: datetime
) -> dict[str, int]:
    """Units of shortfalls that were opened between two times, by SKU."""
    s = shortfalls.c
    query = (
        select(s.sku, func.sum(s.quantity))
        .where(s.sku == any_(_codes(codes)), s.open_time >= begin, s.open_time <= end)
        .group_by(s.sku)
    )
    return {sku: int(units) for sku, units in await connection.execute(query)}


async def read_safety_stock(connection: ReadConnection, codes: Collection[str]) -> dict[str, int]:
    """The safety stock of each of these SKUs."""
    query = select(skus.c.sku, skus.c.safety_stock).where(skus.c.sku == any_(_codes(codes)))
    return {sku: int(units) for sku, units in await connection.execute(query)}


async def read_session_shown(
    connection: ReadConnection, codes: Collection[str], begin: datetime, end: datetime, points_max: int
) -> list[ShownRow]:
    """What the listings of these SKUs could sell between two times, each at so many moments at most, oldest first.

    Of each stretch of time the last state is read, and the one that held when the session began.
    """
    s, of = listing_states.c, listings.c
    of_listing = select(of.listing_id, of.channel, of.components).where(of.skus.overlap(_codes(codes)))
    chosen = {row.listing_id: row for row in await connection.execute(of_listing)}
    epoch = [func.extract("epoch", each) for each in (s.record_time, literal(begin), literal(end))]
    stretch = func.width_bucket(epoch[0], epoch[1], epoch[2] + _INSTANT, points_max).label("stretch")
    since = select(s.listing_id, s.record_time, s.version, s.state, stretch).where(
        s.listing_id == any_(literal(sorted(chosen), ARRAY(s.listing_id.type))),
        s.version.between(_version_at(begin), _version_at(end)),
        s.record_time > begin,
        s.record_time <= end,
    )
    each = since.subquery().c
    last = select(each.listing_id, each.record_time, each.state).ext(distinct_on(each.listing_id, each.stretch))
    rows = [
        *await connection.execute(_held(sorted(chosen), begin)),
        *await connection.execute(last.order_by(each.listing_id, each.stretch, each.version.desc())),
    ]
    found = [_shown(row, chosen[row.listing_id]) for row in rows]
    return sorted(found, key=lambda each: (each.time, each.listing_id))


def _version_at(time: datetime) -> ColumnElement[int]:
    """The newest version of the head by then: each listing's states are in order of that."""
    s = listing_states.alias("newest").c
    newest = select(s.version).where(s.record_time <= time).order_by(s.record_time.desc(), s.version.desc()).limit(1)
    return func.coalesce(newest.scalar_subquery(), 0)


def _held(listing_ids: list[int], time: datetime) -> Any:
    """The state that each listing had at a time."""
    s, of = listing_states.c, listings.c
    then = (
        select(s.record_time, s.state)
        .where(s.listing_id == of.listing_id, s.record_time <= time)
        .order_by(s.version.desc())
        .limit(1)
        .correlate(listings)
        .lateral("then")
    )
    wanted = of.listing_id == any_(literal(listing_ids, ARRAY(of.listing_id.type)))
    return select(of.listing_id, then.c.record_time, then.c.state).join(then, true()).where(wanted)


def _shown(row: Any, listing: Any) -> ShownRow:
    components = _decode_components(listing.components)
    return ShownRow(row.record_time, row.listing_id, listing.channel, components, _decode_state(row.state).sales_left)


def _codes(codes: Iterable[str]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return literal(sorted(codes), ARRAY(CODE))
