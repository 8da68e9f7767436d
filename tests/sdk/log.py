"""The alert log from behind: appended to and compacted in the database, as the engine would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from gateway.domain.alerts import DrillStep, EventKind, IncomingUnits, News
from gateway.settings import Settings
from gateway.store import alert_log
from gateway.store.database import Database, MerchantDatabase

TOLD_SECONDS_MAX = 30.0
DETAIL = "x" * 1_000


class Log:
    """One merchant's alert log."""

    def __init__(self, merchant: MerchantDatabase) -> None:
        self._merchant = merchant

    async def append(self, count: int = 1, *, sku: str = "TEA", detail: str = "") -> int:
        """So many events of a drill, about a SKU; the last one's revision."""
        step = DrillStep("rehearsal", detail=detail)
        news = [News(kind=EventKind.DRILL_INJECTED, body=step, sku=sku, drill_id=1)] * count
        async with self._merchant.transaction() as connection:
            appending = await alert_log.begin_append(connection, self._merchant)
            return (await appending.append(news))[-1].revision

    async def tell(self, sku: str) -> int:
        """A true event about a SKU; its revision."""
        units = IncomingUnits(sku, 5, datetime.now(UTC), "li")
        async with self._merchant.transaction() as connection:
            appending = await alert_log.begin_append(connection, self._merchant)
            news = News(kind=EventKind.INCOMING_ANNOUNCED, body=units, sku=sku)
            return (await appending.append([news]))[-1].revision

    async def compact(self, revision: int) -> None:
        """Keep nothing up to this revision."""
        async with self._merchant.transaction() as connection:
            await alert_log.begin_append(connection, self._merchant)
            await alert_log.compact(connection, revision)

    async def head(self) -> alert_log.AlertHead:
        """The end of the log."""
        async with self._merchant.transaction() as connection:
            return await alert_log.read_alert_head(connection)

    async def until_told(self, kind: EventKind) -> None:
        """Wait until the log has an event of this kind."""
        async with asyncio.timeout(TOLD_SECONDS_MAX):
            while kind not in await self._kinds():  # noqa: ASYNC110 - the log sets no event
                await asyncio.sleep(0.2)

    async def _kinds(self) -> set[EventKind]:
        async with self._merchant.transaction() as connection:
            return {event.kind for event in await alert_log.read_events(connection, 0, 1_000_000)}


@asynccontextmanager
async def log_of(settings: Settings, token: str) -> AsyncIterator[Log]:
    """The log of the merchant with this token."""
    assert settings.database_url
    database = Database(settings.database_url)
    try:
        yield Log(database.of(token.partition(".")[0]))
    finally:
        await database.close()
