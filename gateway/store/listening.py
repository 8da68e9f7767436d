"""The gateway's ear in the database: each save of any gateway says the name of the schema it was for."""

import asyncio
import logging
from collections.abc import Callable

import asyncpg

from gateway.store import alert_log
from gateway.store.database import Database

log = logging.getLogger(__name__)

CHANNEL = "stockgate"
PAUSE_SECONDS = 1.0


async def listen(database: Database, heard: Callable[[str], None], heard_alerts: Callable[[str], None]) -> None:
    """Call `heard` with a schema's name whenever something was saved in it, `heard_alerts` if it was the alert log.

    Until cancelled. While the connection is lost nothing is heard; who depends on it looks anyway now and then.
    """

    def tell(_connection: object, _pid: int, channel: str, schema: object) -> None:
        (heard if channel == CHANNEL else heard_alerts)(str(schema))

    while True:
        try:
            connection = await database.connect()
            try:
                lost = asyncio.Event()
                connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, tell)
                await connection.add_listener(alert_log.CHANNEL, tell)
                await lost.wait()
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("not listening to the database", extra={"error": str(error)})
        await asyncio.sleep(PAUSE_SECONDS)
