"""Reading reservations, and which of them bear a deficit."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.reservations import Reservation, ReservationState
from gateway.domain.stock import MovementKind
from gateway.store.groups import reservation_of
from gateway.store.levels import elements, held_units
from gateway.store.tables import levels, movements, reservations

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
    """Up to `count_max` reservations with an id below `before`, newest first, as they are at `now`."""
    r = reservations.c
    query = select(reservations).where(r.reservation_id < before)
    if wanted.order_id:
        query = query.where(r.order_id == wanted.order_id)
    if wanted.sku:
        made = select(movements.c.reservation_id).where(
            movements.c.sku == wanted.sku, movements.c.kind == MovementKind.RESERVE
        )
        query = query.where(r.reservation_id.in_(made))
    overdue = r.expire_time <= now
    match wanted.state:
        case ReservationState.HELD:
            query = query.where(r.state == ReservationState.HELD, ~overdue)
        case ReservationState.EXPIRED:
            held = and_(r.state == ReservationState.HELD, overdue)
            query = query.where((r.state == ReservationState.EXPIRED) | held)
        case ReservationState():
            query = query.where(r.state == wanted.state)
    rows = await connection.execute(query.order_by(r.reservation_id.desc()).limit(count_max))
    return [reservation_of(row) for row in rows.mappings()]


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
