"""One merchant's traces: of which SKUs everything is traced now, and kept spans on their way into the database.

Spans wait in memory for a second or two, no more than so many of them: when the database is away they are dropped and
counted in the log, never the work that they tell of.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from gateway import telemetry
from gateway.domain.errors import GatewayError
from gateway.store.database import MerchantDatabase
from gateway.store.traced_skus import read_traced_skus
from gateway.telemetry import KeptSpan

log = logging.getLogger(__name__)

# Whoever looks at a trace has just done what it tells of.
ROUND_SECONDS = 1.0
SPANS_WAITING_MAX = 5_000
SPANS_AT_ONCE = 500
MERCHANT = "stockgate.merchant"


class Tracing:
    """What is traced of one merchant, while `run` runs. `traced_skus`: every call that names one of these."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Trace what is drawn, until `run` has looked."""
        self.traced_skus: frozenset[str] = frozenset()
        self._database = database
        self._waiting: deque[KeptSpan] = deque()
        self._dropped = 0

    async def run(self) -> None:
        """Go on until cancelled; then what waits is written still."""
        remove = telemetry.add_sink(self._take)
        try:
            while True:
                try:
                    await self.look()
                except GatewayError as error:
                    log.warning("spans wait: %s", error)
                await asyncio.sleep(ROUND_SECONDS)
        finally:
            remove()

    async def look(self) -> None:
        """Read what is to be traced, and write what was."""
        async with self._database.statements() as connection:
            self.traced_skus = await read_traced_skus(connection, self._database)
        if self._dropped:
            log.warning("spans were dropped, for too many waited", extra={"dropped": self._dropped})
            self._dropped = 0

    def _take(self, spans: Sequence[KeptSpan]) -> None:
        """Called as they end, in whatever thread."""
        for span in spans:
            if (span.attributes or {}).get(MERCHANT) == self._database.merchant:
                if len(self._waiting) >= SPANS_WAITING_MAX:
                    self._dropped += 1
                else:
                    self._waiting.append(span)
