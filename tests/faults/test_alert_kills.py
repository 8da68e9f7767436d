"""Gateways, engine and subscribers are killed at random while stock sells: the log is whole, and everybody has it all.

`STOCKGATE_TEST_KILL_SECONDS` says for how long; by default short.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import pairwise
from pathlib import Path

import asyncpg
import grpc
import grpc.aio
import pytest

from gateway.domain.alerts import Event, TierTold
from gateway.domain.tiers import Tier
from gateway.settings import Settings
from gateway.store import alert_log
from gateway.store.database import Database, MerchantDatabase
from gateway.store.standings import read_stands
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client, new_id
from tests.faults.alert_reader import processed
from tests.faults.processes import GatewayProcess, running
from tests.merchants import schema_of_token

SECONDS = float(os.environ.get("STOCKGATE_TEST_KILL_SECONDS", "20"))
SKUS = [f"SKU-{number:02d}" for number in range(12)]
UNITS = 150
# A new gateway takes over the engine when the old one's lease has run out.
SETTLE_SECONDS_MAX = 40.0
pytestmark = pytest.mark.timeout(SECONDS + 150)


class Reader:
    """A subscriber in a process of its own."""

    def __init__(self, gateway: GatewayProcess, token: str, epoch: str, path: Path) -> None:
        self.path = path
        self._words = (sys.executable, "-m", "tests.faults.alert_reader", gateway.address, token, epoch, str(path))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it where it stopped."""
        with self.path.with_suffix(".log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._words, stderr=log)

    async def kill(self) -> None:
        """Kill -9; it must not have ended by itself."""
        assert self._process is not None
        assert self._process.returncode is None, self.path.with_suffix(".log").read_text()
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@pytest.fixture
async def merchant(settings: Settings, token: str) -> AsyncIterator[MerchantDatabase]:
    """The merchant's part of the database."""
    assert settings.database_url
    database = Database(settings.database_url)
    yield database.of(token.partition(".")[0])
    await database.close()


async def test_nothing_is_missed_doubled_or_out_of_order_whoever_is_killed(
    settings: Settings, token: str, merchant: MerchantDatabase, owner: asyncpg.Connection, seed: int, tmp_path: Path
) -> None:
    """The log has each number once, every subscriber has processed each once, in order; each order has counted once."""
    chance = random.Random(seed)
    epoch = str(await owner.fetchval(f'SELECT epoch FROM "{schema_of_token(token)}".head'))
    variables = {"STOCKGATE_DATABASE_URL": settings.database_url or ""}
    gateways = [GatewayProcess(variables, tmp_path / f"gateway-{number}.log") for number in range(2)]
    async with AsyncExitStack() as stack:
        for gateway in gateways:
            await stack.enter_async_context(running(gateway))
        channels = [await stack.enter_async_context(gateway.channel()) for gateway in gateways]
        clients = [Client(channel, token) for channel in channels]
        for sku in SKUS:
            await clients[0].add_sku(sku, UNITS)
        readers = [Reader(gateways[number % 2], token, epoch, tmp_path / f"reader-{number}") for number in range(3)]
        for reader in readers:
            await reader.start()
        selling = asyncio.create_task(_sell(clients, chance))
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            await asyncio.sleep(chance.uniform(0.3, 2.5))
            mortals: list[GatewayProcess | Reader] = [*gateways, *readers]
            victim = chance.choice(mortals)
            await victim.kill()
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            await victim.start()
        selling.cancel()
        with suppress(asyncio.CancelledError):
            await selling
        log = await _settled(merchant, owner, schema_of_token(token), readers)
        for reader in readers:
            await reader.kill()
    revisions = [event.revision for event in log]
    assert revisions == list(range(1, len(log) + 1))
    for reader in readers:
        assert processed(reader.path)[: len(log)] == revisions
    for sku in SKUS:
        told = [event.body for event in log if event.sku == sku and isinstance(event.body, TierTold)]
        steps = [change for change in told if change.before is not change.after]
        assert not steps or steps[0].before is Tier.NORMAL
        assert all(before.after is after.before for before, after in pairwise(steps))


async def _sell(clients: list[Client], chance: random.Random) -> None:
    """Orders on both gateways, each sent again until it is answered; a sold-out SKU is filled up now and then."""
    while True:
        client, sku, request_id = chance.choice(clients), chance.choice(SKUS), new_id()
        if chance.random() < 0.01:
            with suppress(grpc.aio.AioRpcError):
                await client.receive(sku, UNITS)
            continue
        line = pb.ReserveLine(sku=sku, quantity=chance.choice((1, 1, 2)))
        request = pb.ReserveStockRequest(request_id=request_id, lines=[line], ttl_ms=3_600_000)
        for _ in range(200):
            try:
                await client.stock.ReserveStock(request, **client.options)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    break
                client = chance.choice(clients)
                await asyncio.sleep(0.02)
            else:
                break
        await asyncio.sleep(0.005)


async def _settled(
    merchant: MerchantDatabase, owner: asyncpg.Connection, schema: str, readers: list[Reader]
) -> list[Event]:
    """The log, when the engine has counted every order of the journal once, and every reader has read to the end."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while True:
            await asyncio.sleep(1.0)
            rows = await owner.fetch(f'SELECT sku, count(*) FROM "{schema}".movements WHERE kind = 6 GROUP BY sku')
            async with merchant.transaction() as connection:
                stands = await read_stands(connection, SKUS)
                log = await alert_log.read_events(connection, 0, 1_000_000)
            counted = {stand.key.sku: stand.watched.pace.evidence_orders for stand in stands}
            assert all(counted.get(sku, 0) <= orders for sku, orders in rows), "an order was counted twice"
            is_read = all(processed(reader.path)[-1:] == [log[-1].revision] for reader in readers)
            if is_read and all(counted.get(sku, 0) == orders for sku, orders in rows):
                return log
