"""The lineage of a merchant's data: a random id, to be renewed after a backup was restored.

Numbers that were given out after the backup will be given out again, for other things. Whoever resumes a stream says to
which lineage his number belongs, and is refused if it is another one. Platforms cannot be told: to them a push's number
is the key by which they know a change that is sent again, and do nothing. So pushes go on from where none has been:
their numbers begin, in a new database as well, at the milliseconds since 1970, and a merchant makes fewer than one a
millisecond.

What a restored database believes of the platforms' shelves is older than the shelves. Until it has been compared with
them nothing may be moved: a channel that shows more than is believed would have its units shown elsewhere too.
"""

from sqlalchemy import BigInteger, cast, extract, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store import alert_log
from gateway.store.database import MerchantDatabase, read_time
from gateway.store.shops import begin_change
from gateway.store.states import keep_channel_state
from gateway.store.tables import channels, head

PAUSE_REASON = "已从备份恢复，先核对 (restored: compare first)"


async def renew_epoch(connection: AsyncConnection, database: MerchantDatabase) -> str:
    """Begin a new lineage, and pause every channel; returns the lineage's id."""
    await begin_change(connection, database.schema)
    await connection.execute(select(func.pg_notify(alert_log.CHANNEL, database.schema)))
    await _pause_channels(connection, database)
    since_1970_ms = cast(func.floor(extract("epoch", func.clock_timestamp()) * 1000), BigInteger)
    renewed = {"epoch": func.gen_random_uuid(), "push_number": func.greatest(head.c.push_number, since_1970_ms)}
    return str(await connection.scalar(update(head).values(renewed).returning(head.c.epoch)))


async def _pause_channels(connection: AsyncConnection, database: MerchantDatabase) -> None:
    paused = update(channels).where(~channels.c.paused).values(paused=True, pause_reason=PAUSE_REASON)
    now = await read_time(connection, database.now)
    for channel in await connection.scalars(paused.returning(channels.c.channel)):
        await keep_channel_state(connection, channel, now)
