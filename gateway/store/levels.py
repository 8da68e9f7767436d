"""Reading levels: now, and as of any past time (R19).

Units of a reservation whose time has come are never counted as reserved, even before the sweeper has been there (R7).
Now, those are the open reservations that are overdue. In the past, they are also the expiries that had happened by then
and were written down after: a moment, or, where no gateway was running, as long as that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Subquery,
    TableValuedAlias,
    and_,
    any_,
    cast,
    column,
    func,
    literal,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import LateralFromClause

from gateway.domain.reservations import ReservationState
from gateway.domain.stock import Level, MovementKind
from gateway.store.tables import CODE, TIME, head, levels, locations, movements, reservations, skus

# How late an expiry may be written down for reads of the past to see it at its own time.
SWEEP_DELAY_MAX = timedelta(days=7)


class SkuLevels(Struct, frozen=True):
    """The stock of one SKU: its levels in the order in which locations serve; `revision` is its last movement."""

    sku: str
    frozen: bool
    levels: tuple[Level, ...]

    @property
    def revision(self) -> int:
        """The last movement of any of its levels; 0 if there was none."""
        return max((level.revision for level in self.levels), default=0)


class Page(Struct, frozen=True):
    """Up to `count_max` SKUs whose code begins with `prefix` and comes after `after`."""

    prefix: str
    after: str
    count_max: int


class Head(Struct, frozen=True):
    """The journal's last revision, and the lineage of the database under which it counts."""

    revision: int
    epoch: str


async def read_levels(
    connection: AsyncConnection, chosen: Sequence[str], now: ColumnElement[datetime], *, location: str = ""
) -> dict[str, SkuLevels]:
    """The levels of these SKUs at the ledger's time `now`, by SKU; unknown SKUs are missing."""
    # One array, whatever its length: a statement takes no more than 32,767 values.
    is_chosen = skus.c.sku == any_(literal(list(chosen), ARRAY(CODE)))
    return await _read(connection, is_chosen, len(chosen), now, location)


async def list_levels(
    connection: AsyncConnection, page: Page, now: ColumnElement[datetime], *, location: str = ""
) -> list[SkuLevels]:
    """The levels of a page of SKUs at the ledger's time `now`, by code."""
    condition = and_(skus.c.sku.startswith(page.prefix, autoescape=True), skus.c.sku > page.after)
    return list((await _read(connection, condition, page.count_max, now, location)).values())


async def _read(
    connection: AsyncConnection,
    condition: ColumnElement[bool],
    count_max: int,
    now: ColumnElement[datetime],
    location: str,
) -> dict[str, SkuLevels]:
    page = select(skus.c.sku, skus.c.frozen).where(condition).order_by(skus.c.sku).limit(count_max).subquery()
    overdue = held_units(and_(reservations.c.state == ReservationState.HELD, reservations.c.expire_time <= now))
    wanted = levels.c.sku == page.c.sku
    if location:
        wanted = and_(wanted, levels.c.location == location)
    query = (
        select(
            page.c.sku,
            page.c.frozen,
            levels.c.location,
            levels.c.on_hand,
            (levels.c.reserved - func.coalesce(overdue.c.held, 0)).label("reserved"),
            levels.c.safety_stock,
            levels.c.last_count_time,
            levels.c.last_count_revision,
            levels.c.revision,
            levels.c.exposed,
        )
        .select_from(page)
        .outerjoin(levels, wanted)
        .outerjoin(locations, locations.c.location == levels.c.location)
        .outerjoin(overdue, and_(overdue.c.sku == levels.c.sku, overdue.c.location == levels.c.location))
        .order_by(page.c.sku, locations.c.position, locations.c.location)
    )
    return _collect(await connection.execute(query))


async def read_levels_as_of(
    connection: AsyncConnection,
    chosen: Sequence[str],
    when: datetime,
    now: ColumnElement[datetime],
    *,
    location: str = "",
) -> dict[str, SkuLevels]:
    """The levels of these SKUs as they were at `when`, by SKU; unknown SKUs are missing. The future is like `now`."""
    last = _last_movement(when)
    expired = _expired_but_written_later(when)
    is_overdue = reservations.c.expire_time <= func.least(literal(when, TIME), now)
    overdue = held_units(and_(reservations.c.state == ReservationState.HELD, is_overdue))
    not_held = func.coalesce(expired.c.held, 0) + func.coalesce(overdue.c.held, 0)
    query = (
        select(
            skus.c.sku,
            skus.c.frozen,
            last.c.location,
            last.c.on_hand_after,
            (last.c.reserved_after - not_held).label("reserved"),
            last.c.safety_stock_after,
            literal(None),
            literal(0),
            last.c.revision,
            literal(0),
        )
        .select_from(skus)
        .join(locations, true() if not location else locations.c.location == location)
        .outerjoin(last, true())
        .outerjoin(expired, true())
        .outerjoin(overdue, and_(overdue.c.sku == skus.c.sku, overdue.c.location == locations.c.location))
        .where(skus.c.sku.in_(chosen))
        .order_by(skus.c.sku, locations.c.position, locations.c.location)
    )
    return _collect(await connection.execute(query))


def _last_movement(when: datetime) -> LateralFromClause:
    return (
        select(movements)
        .where(
            movements.c.sku == skus.c.sku,
            movements.c.location == locations.c.location,
            movements.c.record_time <= when,
        )
        .order_by(movements.c.record_time.desc(), movements.c.revision.desc())
        .limit(1)
        .correlate(skus, locations)
        .lateral("last")
    )


def _expired_but_written_later(when: datetime) -> LateralFromClause:
    return (
        select(func.sum(movements.c.quantity).label("held"))
        .where(
            movements.c.sku == skus.c.sku,
            movements.c.location == locations.c.location,
            # As the index says it.
            movements.c.kind == text(str(MovementKind.EXPIRE.value)),
            movements.c.record_time > when,
            movements.c.record_time <= literal(when, TIME) + SWEEP_DELAY_MAX,
            movements.c.occur_time <= when,
        )
        .correlate(skus, locations)
        .lateral("expired")
    )


def elements(array: ColumnElement[Any], name: str) -> TableValuedAlias:
    """The elements of a JSON array as rows to join, in a column `value`."""
    return func.jsonb_array_elements(array).table_valued(column("value", JSONB), name=name).render_derived()


def held_units(condition: ColumnElement[bool]) -> Subquery:
    """Per SKU and location, the units held by the reservations that meet the condition: columns sku, location, held."""
    lines = elements(reservations.c.lines, "line")
    allotments = elements(lines.c.value[4], "allotment")
    sku = lines.c.value[1].astext.label("sku")
    location = allotments.c.value[0].astext.label("location")
    held = cast(func.sum(cast(allotments.c.value[1].astext, BigInteger)), BigInteger).label("held")
    return (
        select(sku, location, held)
        .select_from(reservations.join(lines, true()).join(allotments, true()))
        .where(condition)
        .group_by(sku, location)
        .subquery()
    )


async def read_head(connection: AsyncConnection) -> Head:
    """The journal's head."""
    row = (await connection.execute(select(head.c.revision, head.c.epoch))).one()
    return Head(row.revision, str(row.epoch))


def _collect(
    rows: Iterable[tuple[str, bool, str | None, int, int, int, datetime | None, int, int, int]],
) -> dict[str, SkuLevels]:
    found: dict[str, tuple[bool, list[Level]]] = {}
    for sku, frozen, location, on_hand, reserved, safety, counted, count_revision, revision, exposed in rows:
        gathered = found.setdefault(sku, (frozen, []))[1]
        if location is not None:
            gathered.append(
                Level(
                    sku,
                    location,
                    int(on_hand),
                    int(reserved),
                    int(safety),
                    counted,
                    int(count_revision),
                    int(revision),
                    int(exposed),
                )
            )
    return {sku: SkuLevels(sku, frozen, tuple(gathered)) for sku, (frozen, gathered) in found.items()}
