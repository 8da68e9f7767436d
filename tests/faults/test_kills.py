"""Kill -9 in the middle of load: of the gateway, of PostgreSQL, of one of its backends, of everything at once.

No acknowledged effect is lost, none is doubled when clients repeat their request ids, and everything comes back by
itself: a gateway with its own PostgreSQL starts it again.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway import app
from gateway.settings import Settings
from tests.client import Client
from tests.faults.postgres import Postmaster
from tests.faults.processes import GatewayProcess, doctor, running
from tests.faults.shoppers import Crowd, compare
from tests.merchants import new_merchant_name

GATEWAY_KILLS = 8
POSTGRES_KILLS = 4
BACKEND_KILLS = 4
POWER_CUTS = 2
ANSWERS_BETWEEN = 150
# From the kill of PostgreSQL until calls take effect again, crash recovery included.
RECOVERY_SECONDS_MAX = 15.0


@dataclass
class Shop:
    """A gateway with its own PostgreSQL, a client, and a crowd that shops."""

    gateway: GatewayProcess
    postgres: Postmaster
    client: Client
    crowd: Crowd
    variables: dict[str, str]

    async def close(self) -> None:
        """The crowd has gone home: the ledger holds what was acknowledged, doctor agrees, and all stops in order."""
        await compare(self.crowd.receipts, self.client)
        code, said = await doctor(self.variables)
        assert (code, said["healthy"]) == (0, True), said
        assert await self.gateway.stop() == 0
        assert not self.postgres.is_running


@asynccontextmanager
async def open_shop(data_dir: Path, seed: int) -> AsyncIterator[Shop]:
    """Everything up, goods on the shelves."""
    token = await app.add_merchant(Settings(data_dir=data_dir), new_merchant_name())
    variables = {"STOCKGATE_DATA_DIR": str(data_dir)}
    gateway = GatewayProcess(variables, data_dir / "gateway.log")
    async with running(gateway), gateway.channel() as channel:
        client = Client(channel, token)
        crowd = Crowd([client], seed)
        await crowd.open_shop()
        yield Shop(gateway, Postmaster(data_dir), client, crowd, variables)


async def test_the_gateway_is_killed_again_and_again(shared_data_dir: Path, seed: int) -> None:
    """What the gateway acknowledged before each kill -9 is there, once, after it (R10, R12)."""
    async with open_shop(shared_data_dir, seed) as shop:
        async with shop.crowd.shopping():
            for _ in range(GATEWAY_KILLS):
                await shop.crowd.more_answers(ANSWERS_BETWEEN)
                await shop.gateway.kill()
                await shop.gateway.start()
            await shop.crowd.more_answers(ANSWERS_BETWEEN)
        assert shop.crowd.receipts.failures, "no call met a kill: this test would prove nothing"
        await shop.close()


async def test_postgres_is_killed_again_and_again(shared_data_dir: Path, seed: int) -> None:
    """The gateway starts its PostgreSQL again and goes on, without a restart of its own, within seconds."""
    async with open_shop(shared_data_dir, seed) as shop:
        async with shop.crowd.shopping():
            await shop.crowd.more_answers(ANSWERS_BETWEEN)
            for _ in range(POSTGRES_KILLS):
                await shop.postgres.kill()
                await shop.crowd.more_answers(ANSWERS_BETWEEN, RECOVERY_SECONDS_MAX)
        assert shop.crowd.receipts.failures
        await shop.close()


async def test_a_backend_is_killed_again_and_again(shared_data_dir: Path, seed: int) -> None:
    """PostgreSQL answers the death of one backend by starting over; nothing is lost, and nobody has to help."""
    async with open_shop(shared_data_dir, seed) as shop:
        async with shop.crowd.shopping():
            await shop.crowd.more_answers(ANSWERS_BETWEEN)
            for _ in range(BACKEND_KILLS):
                shop.postgres.client_backends()[-1].kill()
                await shop.crowd.more_answers(ANSWERS_BETWEEN, RECOVERY_SECONDS_MAX)
        assert shop.crowd.receipts.failures
        await shop.close()


async def test_everything_is_killed_at_once(shared_data_dir: Path, seed: int) -> None:
    """As when the power fails: gateway and database are gone together, and come back with everything acknowledged."""
    async with open_shop(shared_data_dir, seed) as shop:
        async with shop.crowd.shopping():
            for _ in range(POWER_CUTS):
                await shop.crowd.more_answers(ANSWERS_BETWEEN)
                shop.gateway.send(signal.SIGSTOP)
                await asyncio.gather(shop.gateway.kill(), shop.postgres.kill())
                await shop.gateway.start()
            await shop.crowd.more_answers(ANSWERS_BETWEEN)
        await shop.close()
