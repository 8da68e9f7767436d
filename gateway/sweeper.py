"""Frees reservations whose time has come, within a second, in bounded chunks (R7).

One gateway at a time sweeps a merchant, under an advisory lock. Two would do no harm, only the same work twice: an
expiry is decided by the writer, against the ledger's clock.
"""

import asyncio
import logging

from gateway.domain.commands import ExpireReservation
from gateway.domain.errors import GatewayError
from gateway.store.sweeping import SweepStore
from gateway.writer import Writer

log = logging.getLogger(__name__)

# Looked up at once; and freed in one group, small enough that it hardly delays the commands that wait behind it.
LOOKED_UP_MAX = 2_000
CHUNK_MAX = 64
PAUSE_SECONDS = 0.25
PAUSE_AFTER_FAILURE_SECONDS = 1.0


class Sweeper:
    """Sweeps one merchant while `run` runs."""

    def __init__(self, store: SweepStore, writer: Writer) -> None:
        """Find overdue reservations in the store, free them through the writer."""
        self._store = store
        self._writer = writer

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep()
                await asyncio.sleep(PAUSE_SECONDS)
            except GatewayError as error:
                log.warning("the sweeper pauses: %s", error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)

    async def sweep(self) -> int:
        """Free all that are overdue; returns how many."""
        freed = 0
        async with self._store.lease() as overdue:
            while found := await overdue(LOOKED_UP_MAX):
                for start in range(0, len(found), CHUNK_MAX):
                    chunk = found[start : start + CHUNK_MAX]
                    await self._writer.apply([ExpireReservation("", reservation_id) for reservation_id in chunk])
                freed += len(found)
        return freed
