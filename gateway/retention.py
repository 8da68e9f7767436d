"""Removes what is old of the records that explain: calls, past states, spans, sessions of the page.

A little at a time and again soon if there was more, so that nobody waits for it. The journal, orders, pushes, drifts
and what people did are kept for ever.
"""

import asyncio
import logging
from datetime import timedelta

from gateway import metrics
from gateway.domain.errors import GatewayError
from gateway.store import retention as store
from gateway.store.database import MerchantDatabase, read_time, take_lease
from gateway.store.spans import remove_spans
from gateway.store.states import KEEP_STATES

log = logging.getLogger(__name__)

KEEP_ATTEMPTS = timedelta(days=30)
KEEP_SPANS = timedelta(hours=1)
REMOVED_AT_ONCE = 2_000
# Between two looks; sooner while there is more to remove.
LOOK_SECONDS = 60.0
MORE_SECONDS = 0.5


class Retention:
    """Removes what is old of one merchant's records while `run` runs. One gateway at a time does it."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Remove nothing yet."""
        self._database = database

    async def run(self) -> None:
        """Remove until cancelled; not at once, for a gateway that starts has more urgent things to do."""
        seconds = LOOK_SECONDS
        while True:
            await asyncio.sleep(seconds)
            try:
                removed = await self.remove()
            except GatewayError as error:
                log.warning(
                    "old records are not removed", extra={"merchant": self._database.merchant, "error": str(error)}
                )
                metrics.loop_pauses.add(1, {"loop": "retention"})
                removed = 0
            seconds = MORE_SECONDS if removed >= REMOVED_AT_ONCE else LOOK_SECONDS

    async def remove(self, count_max: int = REMOVED_AT_ONCE) -> int:
        """Remove up to `count_max` of each kind; the most that were removed of one. Nothing if another is at it."""
        database = self._database
        async with database.transaction() as connection:
            if not await take_lease(connection, f"remove {database.schema}"):
                return 0
            now = await read_time(connection, database.now)
            return max(
                await store.remove_attempts(connection, now - KEEP_ATTEMPTS, count_max),
                await store.remove_states(connection, now - KEEP_STATES, count_max),
                await remove_spans(connection, now - KEEP_SPANS, count_max),
                await store.remove_expired(connection, now, count_max),
            )
