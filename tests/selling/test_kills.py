"""Kill -9 amid sales, of processes as a merchant runs them: `python -m connectors` and `stockgate serve`.

Whatever was under way when they died is found out by those that come after: nothing lost, nothing doubled, nothing sold
that is not there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.settings import Settings
from tests.faults.processes import GatewayProcess, running
from tests.selling.market import AgentProcess, Market, agents_here, open_market, opened
from tests.selling.test_faults import STILL, set_weather, shift

KILLS = 2
SECONDS_MAX = 60.0


@asynccontextmanager
async def a_gateway(empty: Settings, folder: Path) -> AsyncIterator[GatewayProcess]:
    """A gateway in a process of its own, on the tests' PostgreSQL."""
    variables = {
        "STOCKGATE_DATABASE_URL": empty.database_url or "",
        "STOCKGATE_DATA_DIR": str(empty.data_dir),
        "STOCKGATE_CREDENTIALS_KEY": str(empty.credentials_key),
    }
    async with running(GatewayProcess(variables, folder / "gateway.log")) as gateway:
        yield gateway


async def ended(market: Market) -> None:
    """Quiet weather, until everything is known; then everything must be exact."""
    set_weather(market.city, STILL)
    await market.settled()
    await market.require_exact()


@asynccontextmanager
async def buyers(market: Market) -> AsyncIterator[None]:
    """They come as long as the block lasts, and a little longer."""
    task = asyncio.create_task(market.sell(SECONDS_MAX, per_second=5))
    try:
        yield
        await asyncio.sleep(1)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_connectors_are_killed_again_and_again(address: str, seed: int, tmp_path: Path) -> None:
    """One process with all three agents, in harsh weather: at random moments it is dead, and another one begins."""
    async with open_market(address, seed, units=120, weather="harsh") as market:
        agents = AgentProcess(address, market, tmp_path / "agents.log")
        await agents.start()
        try:
            await opened(market)
            async with buyers(market):
                for number in range(KILLS):
                    await shift(market, number)
                    await asyncio.sleep(market.chance.uniform(0.5, 2.5))
                    await agents.kill()
                    await agents.start()
            await ended(market)
        finally:
            await agents.kill()


async def test_the_gateway_is_killed_again_and_again(empty: Settings, seed: int, tmp_path: Path) -> None:
    """Decisions that were made and not told, reports that were taken and not acknowledged: all of it is there once."""
    async with (
        a_gateway(empty, tmp_path) as gateway,
        open_market(gateway.address, seed, units=120, weather="harsh") as market,
        agents_here(market, gateway.address),
    ):
        await opened(market)
        async with buyers(market):
            for number in range(KILLS):
                await shift(market, number)
                await asyncio.sleep(market.chance.uniform(0.1, 1.5))
                await gateway.kill()
                await gateway.start()
        await ended(market)


async def test_everything_is_killed_at_once(empty: Settings, seed: int, tmp_path: Path) -> None:
    """The gateway and its connectors die together, while the platforms go on selling what they show."""
    async with (
        a_gateway(empty, tmp_path) as gateway,
        open_market(gateway.address, seed, units=120, weather="harsh") as market,
    ):
        agents = AgentProcess(gateway.address, market, tmp_path / "agents.log")
        await agents.start()
        try:
            await opened(market)
            async with buyers(market):
                await shift(market, 0)
                await asyncio.sleep(market.chance.uniform(0.1, 1.5))
                await asyncio.gather(gateway.kill(), agents.kill())
                await asyncio.sleep(0.5)
                await asyncio.gather(gateway.start(), agents.start())
            await ended(market)
        finally:
            await agents.kill()
