"""Overdue reservations, for one sweeper at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.reservations import ReservationState
from gateway.store.database import MerchantDatabase, take_lease
from gateway.store.tables import reservations

Overdue = Callable[[int], Awaitable[list[int]]]
# A sweep after a long pause of the gateway may have much to do.
SWEEP_TIMEOUT_SECONDS = 300.0


class SweepStore:
    """Finds what one merchant's sweeper has to free."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Open nothing yet."""
        self._database = database

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Overdue]:
        """Hold the lease, and yield what asks for up to n overdue reservations, longest due first.

        While another gateway holds the lease there is nothing to do here: the answer is empty.
        """
        async with self._database.transaction(SWEEP_TIMEOUT_SECONDS) as connection:
            mine = await take_lease(connection, f"sweep {self._database.schema}")

            async def overdue(count_max: int) -> list[int]:
                return await self._overdue(connection, count_max) if mine else []

            yield overdue

    async def _overdue(self, connection: AsyncConnection, count_max: int) -> list[int]:
        query = (
            select(reservations.c.reservation_id)
            .where(reservations.c.state == ReservationState.HELD, reservations.c.expire_time <= self._database.now)
            .order_by(reservations.c.expire_time)
            .limit(count_max)
        )
        return list(await connection.scalars(query))
