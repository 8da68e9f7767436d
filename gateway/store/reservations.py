"""Reading reservations, and which of them bear a deficit."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from sqlalchemy import BigInteger, ColumnElement, and_, any_, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.reservations import Reservation, ReservationState
from gateway.domain.stock import MovementKind
from gateway.store.groups import reservation_of
from gateway.store.levels import elements, held_units
from gateway.store.tables import levels, locations, movements, reservations, shortfalls

# So many of the youngest reservations are looked at to tell who bears a deficit.
AT_RISK_MAX = 10_000


class ReservationFilter(Struct, frozen=True):
    """Which reservations; an empty value asks for all."""

    sku: str = ""
    state: ReservationState | None = None
    order_id: str = ""


async def read_reservation(connection: AsyncConnection, reservation_id: int) -> Reservation | None:
    """The reservation as it is stored; an overdue one is still HELD there."""
    query = select(reservations).where(reservations.c.reservation_id == reservation_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else reservation_of(row)


async def list_reservations(
    connection: AsyncConnection, wanted: ReservationFilter, now: datetime, *, before: int, count_max: int
) -> list[Reservation]:
    """Up to `count_max` reservations with an id below `before`, newest first, as they are at `now`.

    Those of a SKU are those that have held some of it, or of which a shortfall of it tells.
    """
    chosen = _chosen(wanted, now, before)
    query = select(reservations).where(chosen).order_by(reservations.c.reservation_id.desc()).limit(count_max)
    if wanted.sku and (wanted.order_id or wanted.state is ReservationState.HELD):
        # Few are open, and few are of one order.
        query = query.where(_names(wanted.sku))
    elif wanted.sku:
        ids = await _newest_of(connection, wanted.sku, chosen, before, count_max)
        query = query.where(reservations.c.reservation_id == any_(literal(ids, ARRAY(BigInteger))))
    return [reservation_of(row) for row in (await connection.execute(query)).mappings()]


def _chosen(wanted: ReservationFilter, now: datetime, before: int) -> ColumnElement[bool]:
    """What is asked for beside the SKU."""
    r = reservations.c
    conditions = [r.reservation_id < before]
    if wanted.order_id:
        conditions.append(r.order_id == wanted.order_id)
    overdue = r.expire_time <= now
    match wanted.state:
        case ReservationState.HELD:
            conditions += [r.state == ReservationState.HELD, ~overdue]
        case ReservationState.EXPIRED:
            held = and_(r.state == ReservationState.HELD, overdue)
            conditions.append((r.state == ReservationState.EXPIRED) | held)
        case ReservationState():
            conditions.append(r.state == wanted.state)
    return and_(*conditions)


def _names(sku: str) -> ColumnElement[bool]:
    lines = elements(reservations.c.lines, "line")
    return select(1).select_from(lines).where(lines.c.value[1].astext == sku).exists()


async def _newest_of(
    connection: AsyncConnection, sku: str, chosen: ColumnElement[bool], before: int, count_max: int
) -> list[int]:
    """The newest of the chosen that have held some of a SKU, and those that a shortfall of it names.

    Found by going back in the journal, place by place, and no further than need be: a SKU may have been promised a
    million times. Their numbers rise with the time of their movements.
    """
    m, r = movements.c, reservations.c
    newest = select(func.max(r.reservation_id)).where(r.reservation_id < before).scalar_subquery()
    since = select(r.create_time).where(r.reservation_id == newest).scalar_subquery()
    count = count_max
    while True:
        of_place = (
            select(m.reservation_id)
            .select_from(movements.join(reservations, m.reservation_id == r.reservation_id))
            .where(m.sku == sku, m.location == locations.c.location, m.kind == MovementKind.RESERVE)
            .where(m.record_time <= since, chosen)
            .order_by(m.record_time.desc(), m.revision.desc())
            .limit(count)
            .correlate(locations)
            .lateral("of_place")
        )
        found: dict[str, list[int]] = {}
        rows = select(locations.c.location, of_place.c.reservation_id).select_from(locations.join(of_place, true()))
        for location, reservation_id in await connection.execute(rows):
            found.setdefault(location, []).append(reservation_id)
        # One with several lines of the SKU comes several times.
        if all(len(ids) < count or len(set(ids)) >= count_max for ids in found.values()):
            break
        count *= 2
    short = select(shortfalls.c.reservation_id).where(
        shortfalls.c.sku == sku, shortfalls.c.reservation_id.is_not(None), shortfalls.c.reservation_id < before
    )
    return sorted({*await connection.scalars(short), *(one for ids in found.values() for one in ids)})


async def at_risk(connection: AsyncConnection, found: Iterable[Reservation], now: datetime) -> set[int]:
    """Which of these bear a deficit at `now`: goods promised to them are gone, and the youngest go without (R14)."""
    open_ones = [r for r in found if r.state_at(now) is ReservationState.HELD]
    if not open_ones:
        return set()
    chosen = {line.sku for r in open_ones for line in r.lines}
    is_held = reservations.c.state == ReservationState.HELD
    overdue = held_units(and_(is_held, reservations.c.expire_time <= now))
    gone = levels.c.reserved - func.coalesce(overdue.c.held, 0) - levels.c.on_hand
    same_place = and_(overdue.c.sku == levels.c.sku, overdue.c.location == levels.c.location)
    places = levels.outerjoin(overdue, same_place)
    query = select(levels.c.sku, levels.c.location, gone).select_from(places).where(levels.c.sku.in_(chosen), gone > 0)
    missing = {(sku, location): units for sku, location, units in await connection.execute(query)}
    if not missing:
        return set()
    lines = elements(reservations.c.lines, "line")
    short = {sku for sku, _ in missing}
    holds_some = select(1).select_from(lines).where(lines.c.value[1].astext.in_(short)).exists()
    youngest_first = await connection.execute(
        select(reservations)
        .where(is_held, reservations.c.expire_time > now, holds_some)
        .order_by(reservations.c.reservation_id.desc())
        .limit(AT_RISK_MAX)
    )
    bearing: set[int] = set()
    for row in youngest_first.mappings():
        reservation = reservation_of(row)
        for line in reservation.lines:
            for allotment in line.allotments:
                place = (line.sku, allotment.location)
                if missing.get(place, 0) > 0 and allotment.held:
                    missing[place] -= allotment.held
                    bearing.add(reservation.reservation_id)
    return bearing & {r.reservation_id for r in open_ones}
