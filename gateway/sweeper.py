"""Frees reservations whose time has come, within a second, in bounded chunks (R7).

One gateway at a time sweeps a merchant, under an advisory lock. Two would do no harm, only the same work twice: an
expiry is decided by the writer, against the ledger's clock.
"""

import asyncio
import logging

from gateway import metrics
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
        self._told: set[int] = set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep()
                await asyncio.sleep(PAUSE_SECONDS)
            except GatewayError as error:
                log.warning("the sweeper pauses", extra={"error": str(error)})
                metrics.loop_pauses.add(1, {"loop": "sweeper"})
                await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)

    async def sweep(self) -> int:
        """Free all that are overdue; returns how many. One that cannot be freed stops nobody else."""
        freed = 0
        stuck: set[int] = set()
        async with self._store.lease() as overdue:
            while found := [one for one in await overdue(LOOKED_UP_MAX + len(stuck)) if one not in stuck]:
                for start in range(0, len(found), CHUNK_MAX):
                    stuck.update(await self._free(found[start : start + CHUNK_MAX]))
                freed += len(found)
        return freed - len(stuck)

    async def _free(self, chunk: list[int]) -> list[int]:
        """Free these together, or if the database refuses that, in halves; returns those that cannot be freed."""
        try:
            outcomes = await self._writer.apply([ExpireReservation("", reservation_id) for reservation_id in chunk])
        except GatewayError:
            raise
        # Whatever the database says against one of them is not the others' fault.
        except Exception as error:
            if len(chunk) == 1:
                self._tell(chunk[0], error)
                return chunk
            middle = len(chunk) // 2
            log.warning("reservations cannot be freed together", extra={"count": len(chunk)}, exc_info=True)
            return await self._free(chunk[:middle]) + await self._free(chunk[middle:])
        answers = zip(chunk, outcomes, strict=True)
        refused = {one: answer for one, answer in answers if isinstance(answer, GatewayError)}
        for one, refusal in refused.items():
            self._tell(one, refusal)
        return list(refused)

    def _tell(self, reservation_id: int, error: Exception) -> None:
        """Once: it is tried again and again."""
        if reservation_id not in self._told:
            log.critical("a reservation cannot be freed", extra={"reservation_id": reservation_id}, exc_info=error)
        self._told.add(reservation_id)
