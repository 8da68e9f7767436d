"""A merchant's shelves without a gateway around them: what is sold there, and what the log has told of it."""

import asyncio
from datetime import datetime

import asyncpg

from gateway.domain.alerts import Event, EventKind, TierTold
from gateway.domain.commands import ReserveLine, ReserveStock
from gateway.domain.errors import GatewayError
from gateway.store import alert_log
from gateway.store.database import MerchantDatabase, read_time
from gateway.writer import Writer
from tests.alerts.counter import SKU
from tests.client import new_id
from tests.merchants import schema_of_token

WAIT_SECONDS_MAX = 20.0


async def events(merchant: MerchantDatabase) -> list[Event]:
    """The whole log."""
    async with merchant.transaction() as connection:
        return await alert_log.read_events(connection, 0, 10_000)


async def changes(merchant: MerchantDatabase) -> list[TierTold]:
    """The tier changes of the log."""
    return [event.body for event in await events(merchant) if isinstance(event.body, TierTold)]


async def told(merchant: MerchantDatabase, kind: EventKind, count: int = 1) -> Event:
    """The `count`-th event of this kind, when it has come."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            found = [event for event in await events(merchant) if event.kind is kind]
            if len(found) >= count:
                return found[count - 1]
            await asyncio.sleep(0.05)


async def take(shelf: Writer, count: int) -> None:
    """Orders of one unit, each a group of its own."""
    for _ in range(count):
        (outcome,) = await shelf.apply([ReserveStock(new_id(), (ReserveLine(SKU, 1),))])
        assert not isinstance(outcome, GatewayError)


async def free_lease(owner: asyncpg.Connection, token: str) -> None:
    """The engine has been silent for too long."""
    await owner.execute(f"""UPDATE "{schema_of_token(token)}".alert_head SET engine_until = now() - interval '1 s'""")


async def alerts_time(merchant: MerchantDatabase) -> datetime:
    """The ledger's time."""
    async with merchant.transaction() as connection:
        return await read_time(connection, merchant.now)
