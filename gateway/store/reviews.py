"""Reviews that are kept: of sessions that are over, written once and for ever."""

from datetime import datetime, timedelta

from sqlalchemy import exists, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.alert_tables import sessions
from gateway.store.database import ReadConnection
from gateway.store.operations_tables import reviews
from gateway.store.tables import TIME

_r, _s = reviews.c, sessions.c


async def read_review(connection: ReadConnection, session_id: int) -> bytes | None:
    """What is kept of a session; None if nothing is."""
    found: bytes | None = await connection.scalar(select(_r.body).where(_r.session_id == session_id))
    return found


async def write_review(connection: AsyncConnection, session_id: int, body: bytes, now: datetime) -> None:
    """Keep a session's review, unless one is kept."""
    content = {"session_id": session_id, "record_time": now, "body": body}
    await connection.execute(upsert(reviews).values(content).on_conflict_do_nothing())


async def over_without_review(
    connection: ReadConnection, now: datetime, *, least: timedelta, most: timedelta
) -> list[int]:
    """Sessions that have been over for so long, and not for longer, without a review that is kept; the oldest first."""
    is_kept = exists().where(_r.session_id == _s.session_id)
    was_closed = _s.close_time.between(literal(now - most, TIME), literal(now - least, TIME))
    query = select(_s.session_id).where(was_closed, ~is_kept).order_by(_s.session_id)
    return list(await connection.scalars(query))
