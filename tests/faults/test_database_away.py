"""The database is away for ten seconds: stopped, frozen, or behind a network that resets every connection.

Calls fail with UNAVAILABLE within a bounded time; none hangs, none is INTERNAL. Streams stay open. When the database is
back everything goes on by itself, and the ledger holds what was acknowledged, once.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from gateway import app
from gateway.settings import Settings
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client
from tests.faults.calls import reserves
from tests.faults.followers import following
from tests.faults.postgres import OwnPostgres, own_postgres
from tests.faults.proxy import proxy_to
from tests.faults.shoppers import PLENTY, Crowd, compare
from tests.merchants import new_merchant_name

AWAY_SECONDS = 10.0
ANSWER_SECONDS_MAX = 8.0
BACK_SECONDS_MAX = 5.0
ANSWERS_BETWEEN = 100
READERS = 12
READ_PAUSE_SECONDS = 0.05
STREAMS_TRIED = 10
# Far more than one group's worth: what waits behind a group that cannot be saved must not wait for groups after it.
FLOOD_CALLS = 12
FLOOD_ITEMS = 1_000

Act = Callable[[], Awaitable[None]]


@dataclass
class Readers:
    """What reads have met: how often which status, and the longest that one took."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds_max: float = 0.0

    async def ask(self, question: Callable[[], Awaitable[object]]) -> None:
        """Ask once, and note what came of it."""
        begun = time.monotonic()
        try:
            await question()
            self.statuses["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self.statuses[error.code().name] += 1
        self.seconds_max = max(self.seconds_max, time.monotonic() - begun)


@dataclass
class Place:
    """A gateway whose database may go away, and everybody who uses it."""

    client: Client
    crowd: Crowd
    readers: Readers = field(default_factory=Readers)
    openers: Readers = field(default_factory=Readers)

    async def go_through(self, leave: Act, come_back: Act) -> None:
        """Let the database go away for ten seconds and come back, and judge all answers."""
        receipts = self.crowd.receipts
        await self.crowd.more_answers(ANSWERS_BETWEEN)
        await leave()
        # Ten seconds of absence are the fault itself; nothing is waited for.
        absence = asyncio.create_task(asyncio.sleep(AWAY_SECONDS))
        flood = [asyncio.create_task(self._pour()) for _ in range(FLOOD_CALLS)]
        openers = [asyncio.create_task(self.openers.ask(self._open_stream)) for _ in range(STREAMS_TRIED)]
        await absence
        await come_back()
        back_seconds = await self.crowd.more_answers(ANSWERS_BETWEEN)
        await asyncio.gather(*flood, *openers)
        print(f"back after {back_seconds:.2f} s; {receipts.failures}, {receipts.seconds_max:.2f} s at most")
        print(f"reads: {self.readers}\nstreams opened: {self.openers}")
        assert set(receipts.failures) == set(self.openers.statuses) == {"UNAVAILABLE"}
        assert set(self.readers.statuses) == {"OK", "UNAVAILABLE"}
        assert max(receipts.seconds_max, self.readers.seconds_max, self.openers.seconds_max) <= ANSWER_SECONDS_MAX
        assert back_seconds <= BACK_SECONDS_MAX

    async def keep_reading(self) -> None:
        """Read again and again, as a dashboard would."""
        while True:
            await self.readers.ask(lambda: self.client.level(PLENTY[1]))
            await asyncio.sleep(READ_PAUSE_SECONDS)

    async def _pour(self) -> None:
        await self.crowd.batch(self.client, reserves(PLENTY[0], FLOOD_ITEMS))

    async def _open_stream(self) -> None:
        call = self.client.stock.WatchStockLevels(pb.WatchStockLevelsRequest(), **self.client.options)
        try:
            await call.read()
        finally:
            call.cancel()


@asynccontextmanager
async def open_place(url: str, token: str, seed: int) -> AsyncIterator[Place]:
    """A crowd, readers and a stream, all at work; in the end they have gone home, and the stream has seen it all."""
    settings = Settings(database_url=url, listen="127.0.0.1:0")
    async with app.running_gateway(settings) as address, grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, token)
        place = Place(client, Crowd([client], seed))
        await place.crowd.open_shop()
        async with following(client) as follower:
            async with place.crowd.shopping():
                reading = [asyncio.create_task(place.keep_reading()) for _ in range(READERS)]
                try:
                    yield place
                finally:
                    for task in reading:
                        task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            for sku in PLENTY:
                await follower.until(await client.level(sku))


async def go_through_and_compare(server: OwnPostgres, url: str, seed: int, leave: Act, come_back: Act) -> None:
    """The whole story; in the end a gateway that was not there finds exactly what was acknowledged."""
    token = await app.add_merchant(Settings(database_url=server.url), new_merchant_name())
    async with open_place(url, token, seed) as place:
        await place.go_through(leave, come_back)
    settings = Settings(database_url=server.url, listen="127.0.0.1:0")
    async with app.running_gateway(settings) as address, grpc.aio.insecure_channel(address) as channel:
        await compare(place.crowd.receipts, Client(channel, token))


async def test_stopped(shared_data_dir: Path, seed: int) -> None:
    """The server is shut down: connections are refused."""
    async with own_postgres(shared_data_dir) as server:
        await go_through_and_compare(server, server.url, seed, server.stop, server.start)


async def test_frozen(shared_data_dir: Path, seed: int) -> None:
    """Postmaster and backends are frozen: connections are accepted, and nobody ever answers."""
    async with own_postgres(shared_data_dir) as server:
        await go_through_and_compare(server, server.url, seed, server.freeze, server.thaw)


async def test_reset(shared_data_dir: Path, seed: int) -> None:
    """The network resets every connection that there is and every one that is tried."""
    async with own_postgres(shared_data_dir) as server, proxy_to(server.socket) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        await go_through_and_compare(server, url, seed, proxy.block, proxy.unblock)
        assert proxy.resets
