"""The lineage of a merchant's data: a random id, to be renewed after a backup was restored.

Numbers that were given out after the backup will be given out again, for other things. Whoever resumes a stream says to
which lineage his number belongs, and is refused if it is another one.
"""

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store import alert_log
from gateway.store.database import MerchantDatabase
from gateway.store.tables import head


async def renew_epoch(connection: AsyncConnection, database: MerchantDatabase) -> str:
    """Begin a new lineage; returns its id."""
    await connection.execute(select(func.pg_notify(alert_log.CHANNEL, database.schema)))
    return str(await connection.scalar(update(head).values(epoch=func.gen_random_uuid()).returning(head.c.epoch)))
