"""Who listens to the alert log and how far he has come; who tells whom of what."""

from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import cast, delete, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.alerts import FORGOTTEN_AFTER
from gateway.store.alert_tables import cursors, notices, sessions
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.tables import TIME

# A list of subscribers holds the names that were heard last, and no more.
CURSORS_MAX = 1_000

_c = cursors.c
_n = notices.c


class Cursor(Struct, frozen=True):
    """The last revision a subscriber says to have processed; `told_silent`: since then he has fallen silent."""

    subscriber_id: str
    revision: int
    report_time: datetime
    told_silent: bool


class Claim(Struct, frozen=True):
    """What came of a claim; `possible_duplicate`: an earlier one was granted and nobody said what came of it."""

    granted: bool
    sent: bool = False
    possible_duplicate: bool = False


async def keep_cursor(
    connection: AsyncConnection, database: MerchantDatabase, subscriber_id: str, revision: int
) -> None:
    """Remember how far a subscriber has come."""
    # If the power fails, the last second of this is lost, and those events come twice: no reason to wait for the disk.
    await connection.execute(text("SET LOCAL synchronous_commit TO off"))
    row = {"revision": revision, "report_time": database.now, "told_silent": False}
    statement = upsert(cursors).values(subscriber_id=subscriber_id, **row)
    await connection.execute(statement.on_conflict_do_update(index_elements=[_c.subscriber_id], set_=row))


async def read_cursor(connection: ReadConnection, subscriber_id: str) -> int | None:
    """The revision a subscriber has reported last; None if never."""
    return await connection.scalar(select(_c.revision).where(_c.subscriber_id == subscriber_id))


async def list_cursors(connection: ReadConnection) -> list[Cursor]:
    """The subscribers that have reported last."""
    rows = select(_c.subscriber_id, _c.revision, _c.report_time, _c.told_silent)
    found = await connection.execute(rows.order_by(_c.report_time.desc()).limit(CURSORS_MAX))
    return [Cursor(row.subscriber_id, row.revision, row.report_time, row.told_silent) for row in found]


async def has_fallen_silent(connection: ReadConnection, database: MerchantDatabase, silence: timedelta) -> bool:
    """True if somebody has not reported for so long and it was not told yet."""
    silent = select(literal(1)).where(_c.report_time < database.now - silence, ~_c.told_silent).limit(1)
    return await connection.scalar(silent) is not None


async def mark_silent(connection: AsyncConnection, database: MerchantDatabase, silence: timedelta) -> list[Cursor]:
    """Who has not reported for so long, each once until he reports again."""
    marking = (
        update(cursors)
        .where(_c.report_time < database.now - silence, ~_c.told_silent)
        .values(told_silent=True)
        .returning(_c.subscriber_id, _c.revision, _c.report_time)
    )
    found = [
        Cursor(row.subscriber_id, row.revision, row.report_time, True) for row in await connection.execute(marking)
    ]
    return sorted(found, key=lambda cursor: cursor.subscriber_id)


async def forget_before(connection: AsyncConnection, since: datetime, revision: int) -> None:
    """Forget the cursors that were reported before a time, and the notices of events up to a revision."""
    await connection.execute(delete(cursors).where(_c.report_time < since))
    await connection.execute(delete(notices).where(_n.revision <= revision))


async def longest_session(connection: ReadConnection, database: MerchantDatabase) -> timedelta:
    """How long the longest live session was, or is planned to be; one that was forgotten was over when it should."""
    begins, planned = (cast(sessions.c.body[name].astext, TIME) for name in ("open_time", "planned_end_time"))
    ended = func.coalesce(sessions.c.close_time, func.greatest(database.now, planned))
    ends = func.least(ended, planned + literal(FORGOTTEN_AFTER))
    return await connection.scalar(select(func.max(ends - begins))) or timedelta()


async def claim_notice(
    connection: AsyncConnection,
    database: MerchantDatabase,
    revision: int,
    receiver: str,
    claimant: str,
    lease: timedelta,
) -> Claim:
    """Claim the telling of an event to a receiver for so long."""
    row = {"claimant": claimant, "lease_until": database.now + lease}
    mine = (
        upsert(notices)
        .values(revision=revision, receiver=receiver, **row)
        .on_conflict_do_update(
            index_elements=[_n.revision, _n.receiver],
            set_=row,
            where=_n.sent_time.is_(None) & or_(_n.lease_until <= database.now, _n.claimant == claimant),
        )
    )
    before = (
        await connection.execute(
            select(_n.claimant, _n.sent_time, (_n.lease_until > database.now).label("holds"))
            .where(_n.revision == revision, _n.receiver == receiver)
            .with_for_update()
        )
    ).one_or_none()
    granted = (await connection.execute(mine.returning(_n.revision))).one_or_none() is not None
    if before is None:
        return Claim(granted)
    # The same process asks again while its lease runs: it knows itself what it has done.
    is_again = bool(before.holds) and before.claimant == claimant
    return Claim(granted, before.sent_time is not None, granted and not is_again)


async def settle_notice(
    connection: AsyncConnection, database: MerchantDatabase, revision: int, receiver: str, claimant: str, *, sent: bool
) -> None:
    """Say what became of a notice. Sent is sent, whoever had claimed it; what was not may be claimed again."""
    if not sent:
        mine = (_n.revision == revision) & (_n.receiver == receiver) & (_n.claimant == claimant)
        await connection.execute(delete(notices).where(mine & _n.sent_time.is_(None)))
        return
    row = {"claimant": claimant, "lease_until": database.now, "sent_time": database.now}
    statement = upsert(notices).values(revision=revision, receiver=receiver, **row)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[_n.revision, _n.receiver], set_=row, where=_n.sent_time.is_(None)
        )
    )
