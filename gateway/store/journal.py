"""Reading the journal and its shortfalls."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.reservations import Reservation
from gateway.domain.stock import Movement, MovementKind, Shortfall, ShortfallCause
from gateway.store.tables import movements, shortfalls

MOVEMENT_COLUMNS = [movements.c[name] for name in Movement.__struct_fields__]
SHORTFALL_COLUMNS = [shortfalls.c[name] for name in Shortfall.__struct_fields__]


class MovementFilter(Struct, frozen=True):
    """Which movements; an empty value asks for all. Times bound `record_time`: start included, end not."""

    sku: str = ""
    location: str = ""
    kinds: tuple[MovementKind, ...] = ()
    start_time: datetime | None = None
    end_time: datetime | None = None
    reservation: Reservation | None = None


async def list_movements(
    connection: AsyncConnection, wanted: MovementFilter, *, before: int, count_max: int
) -> list[Movement]:
    """Up to `count_max` movements with a revision below `before`, newest first."""
    m = movements.c
    query = select(*MOVEMENT_COLUMNS).where(m.revision < before)
    if wanted.sku:
        query = query.where(m.sku == wanted.sku)
    if wanted.location:
        query = query.where(m.location == wanted.location)
    if wanted.kinds:
        query = query.where(m.kind.in_(wanted.kinds))
    if wanted.start_time:
        query = query.where(m.record_time >= wanted.start_time)
    if wanted.end_time:
        query = query.where(m.record_time < wanted.end_time)
    if wanted.reservation:
        # Found through the places of its SKUs since it was made: the journal needs no index of its own for this.
        own_skus = {line.sku for line in wanted.reservation.lines}
        query = query.where(
            m.reservation_id == wanted.reservation.reservation_id,
            m.sku.in_(own_skus),
            m.record_time >= wanted.reservation.create_time,
        )
    # Within a SKU revisions rise with record_time, and the index by place is ordered by it.
    order = (m.record_time.desc(), m.revision.desc()) if wanted.sku else (m.revision.desc(),)
    rows = await connection.execute(query.order_by(*order).limit(count_max))
    return [movement_of(row) for row in rows]


async def skus_moved_since(connection: AsyncConnection, revision: int, count_max: int) -> Sequence[str] | None:
    """The SKUs that moved after the revision; None if more than `count_max` movements came since."""
    recent = select(movements.c.sku).where(movements.c.revision > revision).limit(count_max + 1)
    found = (await connection.scalars(recent)).all()
    return None if len(found) > count_max else sorted(set(found))


async def list_shortfalls(
    connection: AsyncConnection, *, before: int, include_resolved: bool, count_max: int
) -> list[Shortfall]:
    """Up to `count_max` shortfalls with an id below `before`, newest first."""
    query = select(*SHORTFALL_COLUMNS).where(shortfalls.c.shortfall_id < before)
    if not include_resolved:
        query = query.where(shortfalls.c.resolve_time.is_(None))
    rows = await connection.execute(query.order_by(shortfalls.c.shortfall_id.desc()).limit(count_max))
    return [shortfall_of(row) for row in rows]


def movement_of(row: Any) -> Movement:
    """A movement from its row of `MOVEMENT_COLUMNS`."""
    revision, record_time, occur_time, kind, *rest = row
    return Movement(revision, record_time, occur_time, MovementKind(kind), *rest)


def shortfall_of(row: Any) -> Shortfall:
    """A shortfall from its row of `SHORTFALL_COLUMNS`."""
    number, cause, sku, location, quantity, opened, reservation_id, order_id, *rest = row
    return Shortfall(
        number, ShortfallCause(cause), sku, location, quantity, opened, reservation_id, order_id or "", *rest
    )
