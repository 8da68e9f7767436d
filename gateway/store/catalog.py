"""Reading and writing SKUs and locations.

What the ledger's decisions rest on (safety stock, frozen, which locations there are) is either changed through the
writer or raises the head's version here, so that no writer goes on with what it knew before.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping, TableValuedAlias, Text, any_, cast, column, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import CODE, head, locations, skus

_CONTENT = ("sku", "title", "safety_stock", "lead_time_mean_days", "lead_time_deviation_days", "substitutes")
# As the value of a column: the database's own time.
NOW = func.clock_timestamp()


class Sku(Struct, frozen=True):
    """The unit we stock and count. Times aware UTC; lead time in days, None if unknown."""

    sku: str
    title: str = ""
    safety_stock: int = 0
    lead_time_mean_days: float | None = None
    lead_time_deviation_days: float | None = None
    substitutes: tuple[str, ...] = ()
    frozen: bool = False
    freeze_reason: str = ""
    create_time: datetime | None = None
    update_time: datetime | None = None


class Location(Struct, frozen=True):
    """Where units lie; `position` orders how locations serve, lowest first."""

    location: str
    title: str = ""
    position: int = 0
    create_time: datetime | None = None


async def create_sku(connection: AsyncConnection, sku: Sku) -> bool:
    """Store a new SKU; False if the code is taken."""
    content = {
        "sku": sku.sku,
        "title": sku.title,
        "safety_stock": sku.safety_stock,
        "lead_time_mean_days": sku.lead_time_mean_days,
        "lead_time_deviation_days": sku.lead_time_deviation_days,
        "substitutes": list(sku.substitutes),
    }
    done = await connection.execute(upsert(skus).values(content).on_conflict_do_nothing().returning(skus.c.sku))
    return done.scalar_one_or_none() is not None


async def update_sku(connection: AsyncConnection, sku: str, content: Mapping[str, Any]) -> None:
    """Change columns that no decision of the ledger rests on."""
    assert not {"safety_stock", "frozen"} & content.keys()
    await connection.execute(update(skus).where(skus.c.sku == sku).values(content))


async def read_sku(connection: AsyncConnection, sku: str) -> Sku | None:
    """The SKU, if there is one with this code."""
    row = (await connection.execute(select(skus).where(skus.c.sku == sku))).mappings().one_or_none()
    return None if row is None else _sku(row)


async def read_skus(connection: AsyncConnection, codes: Collection[str]) -> dict[str, Sku]:
    """Those of the codes that are SKUs, by code."""
    is_named = skus.c.sku == any_(literal(list(codes), ARRAY(CODE)))
    return {row["sku"]: _sku(row) for row in (await connection.execute(select(skus).where(is_named))).mappings()}


async def create_skus(connection: AsyncConnection, created: Sequence[Sku]) -> int:
    """Store new SKUs, however many, in one statement; returns how many of the codes were free."""
    if not created:
        return 0
    given = _table_of(created)
    chosen = select(*(given.c[name] for name in _CONTENT))
    done = await connection.execute(upsert(skus).from_select(_CONTENT, chosen).on_conflict_do_nothing())
    return done.rowcount


async def update_skus(connection: AsyncConnection, changed: Sequence[Sku], columns: Collection[str]) -> None:
    """Change those columns of these SKUs, however many, that no decision of the ledger rests on."""
    if not changed:
        return
    given = _table_of(changed)
    content = {name: given.c[name] for name in columns if name not in {"sku", "safety_stock"}}
    statement = update(skus).where(skus.c.sku == given.c.sku).values(**content, update_time=NOW)
    await connection.execute(statement)


def _table_of(several: Sequence[Sku]) -> TableValuedAlias:
    """The SKUs' content as a table of the statement: one value, whatever their number."""
    content = [{name: getattr(sku, name) for name in _CONTENT} for sku in several]
    columns = (column(name, skus.c[name].type) for name in _CONTENT)
    rows = cast(literal(msgspec.json.encode(content).decode(), Text), JSON)
    return func.json_to_recordset(rows).table_valued(*columns, name="given").render_derived(with_types=True)


async def list_skus(connection: AsyncConnection, *, prefix: str, after: str, count_max: int) -> list[Sku]:
    """Up to `count_max` SKUs whose code begins with `prefix` and comes after `after`, by code."""
    query = select(skus).where(skus.c.sku.startswith(prefix, autoescape=True), skus.c.sku > after)
    rows = await connection.execute(query.order_by(skus.c.sku).limit(count_max))
    return [_sku(row) for row in rows.mappings()]


async def known_skus(connection: AsyncConnection, codes: Collection[str]) -> set[str]:
    """Those of the codes that are SKUs."""
    # One array, whatever its length: a statement takes no more than 32,767 values.
    is_named = skus.c.sku == any_(literal(list(codes), ARRAY(CODE)))
    return set(await connection.scalars(select(skus.c.sku).where(is_named)))


async def known_locations(connection: AsyncConnection, codes: Collection[str]) -> set[str]:
    """Those of the codes that are locations."""
    is_named = locations.c.location == any_(literal(list(codes), ARRAY(CODE)))
    return set(await connection.scalars(select(locations.c.location).where(is_named)))


async def create_location(connection: AsyncConnection, location: Location) -> bool:
    """Store a new location; False if the code is taken."""
    await _raise_version(connection)
    taken = select(locations.c.location).where(locations.c.location == location.location)
    if await connection.scalar(taken):
        return False
    content = {"location": location.location, "title": location.title, "position": location.position}
    await connection.execute(insert(locations).values(content))
    return True


async def update_location(connection: AsyncConnection, location: str, content: Mapping[str, Any]) -> None:
    """Change a location's title or its place in the order."""
    await _raise_version(connection)
    await connection.execute(update(locations).where(locations.c.location == location).values(content))


async def read_location(connection: AsyncConnection, code: str) -> Location | None:
    """The location, if there is one with this code."""
    row = (await connection.execute(select(locations).where(locations.c.location == code))).mappings().one_or_none()
    return None if row is None else Location(**row)


async def list_locations(
    connection: AsyncConnection, *, after: tuple[int, str] | None, count_max: int
) -> list[Location]:
    """Up to `count_max` locations after (position, code), in the order in which they serve."""
    query = select(locations)
    if after is not None:
        position, code = after
        later = (locations.c.position == position) & (locations.c.location > code)
        query = query.where((locations.c.position > position) | later)
    rows = await connection.execute(query.order_by(locations.c.position, locations.c.location).limit(count_max))
    return [Location(**row) for row in rows.mappings()]


async def _raise_version(connection: AsyncConnection) -> None:
    """Make every writer read anew what it knows; taken first, so that it also puts catalog changes in one order."""
    await connection.execute(update(head).values(version=head.c.version + 1))


def _sku(row: RowMapping) -> Sku:
    return Sku(**{**row, "substitutes": tuple(row["substitutes"])})
