"""Reading and writing drills. Whoever ends one, or tells of one, has locked the alert log first (`begin_append`)."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.alerts import Acknowledgement
from gateway.domain.drill_scores import Drill
from gateway.store.alert_tables import acknowledgements, drills
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.desk import HeldAcknowledgement

_d, _a = drills.c, acknowledgements.c


class Progress(Struct, frozen=True):
    """What a player remembers of his drill, written with what he tells, so that nothing is told twice.

    `told`: how many happenings. `rungs`: escalations since the tier was entered, by SKU. `waiting`: rises that not all
    who listen have reported yet, by revision, as seconds since the Unix epoch. `delivered`: seconds until they had.
    """

    told: int = 0
    rungs: dict[str, int] = {}
    waiting: dict[int, float] = {}
    delivered: dict[int, float] = {}


class DrillRow(Struct, frozen=True):
    """A drill, without its tape, and how far its player is."""

    drill: Drill
    progress: Progress = Progress()


_decode_row = msgspec.json.Decoder(DrillRow).decode
_decode_acknowledgement = msgspec.json.Decoder(Acknowledgement).decode


async def add_drill(connection: AsyncConnection, row: DrillRow, gateway: str) -> None:
    """Store a drill that this gateway plays."""
    drill = row.drill
    content = {
        "drill_id": drill.drill_id,
        "state": drill.state,
        "gateway": gateway,
        "heard_time": drill.start_time,
        "body": msgspec.to_builtins(row, str_keys=True),
    }
    await connection.execute(insert(drills), [content])


async def lock_running(connection: AsyncConnection, drill_id: int, gateway: str | None = None) -> DrillRow | None:
    """A drill that runs, kept from others until the transaction ends; None if it does not, or not on this gateway."""
    query = select(_d.body).where(_d.drill_id == drill_id, _d.state == "RUNNING").with_for_update()
    if gateway is not None:
        query = query.where(_d.gateway == gateway)
    body = (await connection.execute(query)).scalar_one_or_none()
    return None if body is None else _decode_row(body)


async def keep_progress(connection: AsyncConnection, row: DrillRow, now: datetime) -> None:
    """Say that a drill is being played, and how far."""
    content = {"heard_time": now, "body": msgspec.to_builtins(row, str_keys=True)}
    await connection.execute(update(drills).where(_d.drill_id == row.drill.drill_id).values(content))


async def keep_alive(connection: AsyncConnection, drill_id: int, now: datetime) -> None:
    """Say that a drill is being played."""
    await connection.execute(update(drills).where(_d.drill_id == drill_id).values(heard_time=now))


async def end_drill(connection: AsyncConnection, row: DrillRow) -> None:
    """Store how a drill has ended."""
    content = {"state": row.drill.state, "body": msgspec.to_builtins(row, str_keys=True)}
    await connection.execute(update(drills).where(_d.drill_id == row.drill.drill_id).values(content))


async def read_drill(connection: ReadConnection, drill_id: int) -> Drill | None:
    """One drill, if there is one of this number."""
    body = await connection.scalar(select(_d.body).where(_d.drill_id == drill_id))
    return None if body is None else _drill(body)


async def list_drills(connection: ReadConnection, *, before: int, count_max: int) -> list[Drill]:
    """Up to `count_max` drills with a number below `before`, newest first."""
    query = select(_d.body).where(_d.drill_id < before).order_by(_d.drill_id.desc()).limit(count_max)
    return [_drill(body) for body in await connection.scalars(query)]


async def running_drills(connection: ReadConnection) -> list[int]:
    """The numbers of the drills that run, oldest first."""
    return list(await connection.scalars(select(_d.drill_id).where(_d.state == "RUNNING").order_by(_d.drill_id)))


async def silent_drills(
    connection: ReadConnection, database: MerchantDatabase, silence: timedelta, without: Collection[int] = ()
) -> list[int]:
    """The numbers of the drills that run, as it says, but whose gateway has not been heard for so long."""
    is_silent = _d.heard_time < database.now - silence
    rows = await connection.scalars(select(_d.drill_id).where(_d.state == "RUNNING", is_silent))
    return sorted(set(rows) - set(without))


async def last_of_name(connection: ReadConnection, name: str, before: int) -> Drill | None:
    """The last drill of this name that has ended, with a number below `before`."""
    is_named = _d.body["drill"]["script"]["name"].astext == name
    query = select(_d.body).where(is_named, _d.state != "RUNNING", _d.drill_id < before)
    body = await connection.scalar(query.order_by(_d.drill_id.desc()).limit(1))
    return None if body is None else _drill(body)


async def held_in_drill(connection: ReadConnection, drill_id: int) -> list[HeldAcknowledgement]:
    """The acknowledgements in a drill that hold."""
    columns = (_a.sku, _a.session_id, _a.episode, _a.drill_id, _a.body)
    query = select(*columns).where(_a.drill_id == drill_id, _a.end_time == null())
    rows = await connection.execute(query.order_by(_a.acknowledgement_id))
    return [_held(row) for row in rows]


def _drill(body: str) -> Drill:
    return _decode_row(body).drill


def _held(row: Any) -> HeldAcknowledgement:
    return HeldAcknowledgement(row.sku, row.session_id, row.episode, row.drill_id, _decode_acknowledgement(row.body))
