"""The rows behind a SKU's timeline, source by source, newest first.

Each reader gives what stands before a place in the order of `domain/timeline.py`. Long tables are read through indexes
that have the order already: movements per location, attempts, pushes and states per listing. So a page of a journal of
millions costs as much as one of a hundred.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Label,
    Select,
    TableValuedAlias,
    and_,
    any_,
    case,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from gateway.domain.alerts import Event, EventKind
from gateway.domain.attempts import Attempt
from gateway.domain.audit import AuditEntry
from gateway.domain.listings import Listing, PushKind, PushResult
from gateway.domain.selling import Drift, PushRecord
from gateway.domain.stock import Movement, MovementKind, Shortfall
from gateway.domain.timeline import Kind, Place, Shown, Source, Wanted
from gateway.store.alert_log import newest_events
from gateway.store.alert_tables import IS_OF_MANY, alert_events
from gateway.store.attempts import attempt_of
from gateway.store.audit import newest_entries
from gateway.store.database import ReadConnection
from gateway.store.journal import MOVEMENT_COLUMNS, SHORTFALL_COLUMNS, movement_of, shortfall_of
from gateway.store.operations_tables import attempts, audit, listing_states
from gateway.store.shops import LISTING, listing_of
from gateway.store.tables import CODE, TIME, drifts, levels, listings, movements, pushes, reservations, shortfalls

_SESSIONS = [int(kind) for kind in (EventKind.SESSION_OPENED, EventKind.SESSION_CHANGED, EventKind.SESSION_CLOSED)]
_SILENCES = [int(kind) for kind in (EventKind.SILENCED, EventKind.SILENCE_ENDED)]
# Where `ListingState` has what was read, as it lies in JSON.
_SHOWN = 5


class Scope(Struct, frozen=True):
    """What is read: entries of a SKU with these listings, up to `count_max` of each source, before `edge`."""

    wanted: Wanted
    listings: dict[int, Listing]
    edge: Place | None
    count_max: int

    @property
    def channels(self) -> set[str]:
        """Those that sell the SKU."""
        return {listing.channel for listing in self.listings.values()}

    def within(self, source: Source, *keys: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """The conditions on a source's rows, of which these are the time and the numbers."""
        time = keys[0]
        found: list[ColumnElement[bool]] = []
        if self.wanted.since is not None:
            found.append(time >= literal(self.wanted.since, TIME))
        if self.wanted.until is not None:
            found.append(time < literal(self.wanted.until, TIME))
        if self.edge is None:
            return found
        at = literal(self.edge.time, TIME)
        if source is self.edge.source:
            return [*found, tuple_(*keys) < tuple_(at, *(literal(number, BigInteger) for number in self.edge.numbers))]
        return [*found, time <= at if source < self.edge.source else time < at]


async def listings_of(connection: ReadConnection, sku: str) -> dict[int, Listing]:
    """The listings that sell a SKU, by number."""
    rows = (await connection.execute(select(*LISTING).where(listings.c.skus.contains([sku])))).mappings()
    return {row["listing_id"]: listing_of(row) for row in rows}


async def read_movements(connection: ReadConnection, scope: Scope) -> list[tuple[Movement, str]]:
    """Movements, with the order that asked for each, if one did."""
    m, channel = movements.c, _whose()
    such = scope.within(Source.MOVEMENT, m.record_time, m.revision)
    if scope.wanted.kinds and Kind.MOVEMENT not in scope.wanted.kinds:
        such.append(channel.is_not(None))
    columns = [channel if column is m.channel else column for column in MOVEMENT_COLUMNS]
    own = select(*columns).where(m.sku == scope.wanted.sku, m.location == levels.c.location, *such)
    newest = own.order_by(m.record_time.desc(), m.revision.desc()).limit(scope.count_max)
    each = newest.correlate(levels).lateral("each")
    of_all = (
        select(each)
        .select_from(levels)
        .join(each, true())
        .where(levels.c.sku == scope.wanted.sku)
        .order_by(each.c.record_time.desc(), each.c.revision.desc())
        .limit(scope.count_max)
        .subquery()
    )
    query = select(of_all, reservations.c.order_id).outerjoin(
        reservations, reservations.c.reservation_id == of_all.c.reservation_id
    )
    return [(movement_of(row[:-1]), row[-1] or "") for row in await connection.execute(query)]


def _whose() -> Label[str]:
    """The channel whose order has moved; of what expires by itself that of the order for which it was held."""
    m, held = movements.c, movements.alias("held")
    began = (
        select(held.c.channel)
        .join(reservations, reservations.c.reservation_id == held.c.reservation_id)
        .where(held.c.sku == m.sku, held.c.location == m.location, held.c.reservation_id == m.reservation_id)
        .where(held.c.record_time == reservations.c.create_time)
        .limit(1)
        .correlate(movements)
        .scalar_subquery()
    )
    return case((m.kind == int(MovementKind.EXPIRE), began), else_=m.channel).label("channel")


async def read_pushes(connection: ReadConnection, scope: Scope) -> list[PushRecord]:
    """Pushes by when they were decided."""
    p = pushes.c
    return await _pushes(connection, scope, scope.within(Source.PUSH, p.create_time, p.push_id))


async def read_results(connection: ReadConnection, scope: Scope) -> list[PushRecord]:
    """Pushes by when they were over."""
    p = pushes.c
    such = scope.within(Source.RESULT, p.settle_time, p.push_id)
    return await _pushes(connection, scope, [p.settle_time.is_not(None), *such])


async def read_attempts(connection: ReadConnection, scope: Scope) -> list[Attempt]:
    """Calls to platforms."""
    a = attempts.c
    such = scope.within(Source.ATTEMPT, a.record_time, a.push_id, a.number)
    order = (a.record_time.desc(), a.push_id.desc(), a.number.desc())
    query = _per_listing(scope, select(attempts), a.listing_id, such, order)
    return [attempt_of(row) for row in (await connection.execute(query)).mappings()]


async def read_shown(connection: ReadConnection, scope: Scope) -> list[Shown]:
    """What listings showed, of the states in which a new reading came in."""
    s = listing_states.c
    such = [s.is_read, *scope.within(Source.READING, s.record_time, s.version, s.listing_id)]
    if scope.edge is not None or scope.wanted.until is not None:
        such.append(s.version <= _version_at(scope))
    shown = cast(s.state[_SHOWN].astext, BigInteger)
    rows = select(s.listing_id, s.version, s.record_time, shown.label("shown"))
    query = _per_listing(scope, rows, s.listing_id, such, (s.version.desc(),))
    return [Shown(*row) for row in await connection.execute(query)]


async def read_drifts(connection: ReadConnection, scope: Scope) -> list[Drift]:
    """Readings that fit nothing we know."""
    d = drifts.c
    query = (
        select(drifts)
        .where(d.channel == any_(_codes(scope.channels)), d.listing_id == any_(_numbers(scope.listings)))
        .where(*scope.within(Source.DRIFT, d.judge_time, d.drift_id))
        .order_by(d.judge_time.desc(), d.drift_id.desc())
        .limit(scope.count_max)
    )
    return [Drift(*row) for row in await connection.execute(query)]


async def read_events(connection: ReadConnection, scope: Scope) -> list[Event]:
    """What the alert log tells of the SKU, of sessions that sell it, and of silences that name it."""
    e, sku = alert_events.c, scope.wanted.sku
    sells = e.body["skus"].contains(cast([{"sku": sku}], JSONB))
    names = e.body["matcher"]["skus"].contains(cast([sku], JSONB))
    of_many = or_(and_(e.kind.in_(_SESSIONS), sells), and_(e.kind.in_(_SILENCES), names))
    such = scope.within(Source.EVENT, e.record_time, e.revision)
    if not scope.wanted.include_drills:
        such.append(e.drill_id == 0)
    # Each by an index of its own.
    return [
        *await newest_events(connection, e.sku == sku, *such, count_max=scope.count_max),
        *await newest_events(connection, e.sku == "", IS_OF_MANY, of_many, *such, count_max=scope.count_max),
    ]


async def read_audit(connection: ReadConnection, scope: Scope) -> list[AuditEntry]:
    """What people asked for about the SKU, or about a channel that sells it and no other SKU."""
    a = audit.c
    of_channel = and_(a.sku.is_(None), a.channel == any_(_codes(scope.channels)))
    such = [or_(a.sku == scope.wanted.sku, of_channel), *scope.within(Source.PERSON, a.record_time, a.audit_id)]
    return await newest_entries(connection, such, scope.count_max)


async def read_shortfalls(connection: ReadConnection, scope: Scope) -> list[Shortfall]:
    """Shortfalls by when they were opened."""
    return await _shortfalls(connection, scope, Source.SHORTFALL, shortfalls.c.open_time)


async def read_resolutions(connection: ReadConnection, scope: Scope) -> list[Shortfall]:
    """Shortfalls by when they were resolved."""
    return await _shortfalls(connection, scope, Source.RESOLUTION, shortfalls.c.resolve_time)


async def _pushes(connection: ReadConnection, scope: Scope, such: Sequence[ColumnElement[bool]]) -> list[PushRecord]:
    # A listing has one push at a time: in the order of their numbers they are decided, and over.
    query = _per_listing(scope, select(pushes), pushes.c.listing_id, such, (pushes.c.push_id.desc(),))
    return [_push_of(row) for row in (await connection.execute(query)).mappings()]


async def _shortfalls(
    connection: ReadConnection, scope: Scope, source: Source, time: Column[datetime]
) -> list[Shortfall]:
    s = shortfalls.c
    query = (
        select(*SHORTFALL_COLUMNS)
        .where(s.sku == scope.wanted.sku, time.is_not(None), *scope.within(source, time, s.shortfall_id))
        .order_by(time.desc(), s.shortfall_id.desc())
        .limit(scope.count_max)
    )
    return [shortfall_of(row) for row in await connection.execute(query)]


def _per_listing(
    scope: Scope,
    rows: Select[Any],
    listing_id: ColumnElement[int],
    such: Iterable[ColumnElement[bool]],
    order: tuple[ColumnElement[Any], ...],
) -> Select[Any]:
    """The newest rows of each listing, by an index that begins with it. Of all of them no order is promised."""
    each_listing = _listings(scope)
    own = rows.where(listing_id == each_listing.c.listing_id, *such).order_by(*order).limit(scope.count_max)
    each = own.correlate(each_listing).lateral("each")
    return select(each).select_from(each_listing).join(each, true())


def _listings(scope: Scope) -> TableValuedAlias:
    ids = func.unnest(_numbers(scope.listings))
    return ids.table_valued(column("listing_id", BigInteger), name="listing").render_derived()


def _version_at(scope: Scope) -> ColumnElement[int]:
    """The newest version of the head up to where the page begins: states are found by version, not by time."""
    ends = [end for end in (scope.wanted.until, scope.edge and scope.edge.time) if end is not None]
    s = listing_states.alias("newest").c
    until = s.record_time <= literal(min(ends), TIME)
    return select(
        func.coalesce(
            select(s.version).where(until).order_by(s.record_time.desc(), s.version.desc()).limit(1).scalar_subquery(),
            0,
        )
    ).scalar_subquery()


def _push_of(row: Any) -> PushRecord:
    result = row["result"]
    return PushRecord(
        **{**row, "kind": PushKind(row["kind"]), "result": None if result is None else PushResult(result)}
    )


def _codes(codes: Iterable[str]) -> Any:
    return literal(sorted(codes), ARRAY(CODE))


def _numbers(numbers: Iterable[int]) -> Any:
    return literal(sorted(numbers), ARRAY(BigInteger))
