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

import grpc
import grpc.aio

from gateway import app
from gateway.settings import Settings
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import StockLevel
from tests.client import Client, new_id
from tests.faults.postgres import OwnPostgres, own_postgres
from tests.faults.proxy import proxy_to
from tests.faults.shoppers import PLENTY, Crowd, compare

AWAY_SECONDS = 10.0
ANSWER_SECONDS_MAX = 8.0
BACK_SECONDS_MAX = 5.0
ANSWERS_BETWEEN = 100
READERS = 12
STREAMS_TRIED = 10
FLOOD_CALLS = 12
FLOOD_ITEMS = 1_000
FLOODED = PLENTY[0]


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
class Follower:
    """One stream of level changes, held open throughout."""

    levels: dict[str, StockLevel] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, client: Client) -> None:
        """Take what comes; a stream that ends raises."""
        options = {"metadata": client.options["metadata"]}
        async for message in client.stock.WatchStockLevels(pb.WatchStockLevelsRequest(), **options):
            if message.HasField("level"):
                self.levels[message.level.sku] = message.level
                self.changed.set()
        raise AssertionError("the stream has ended")

    async def until(self, wanted: StockLevel) -> None:
        """Wait until the stream has said that the SKU's level is this."""
        async with asyncio.timeout(BACK_SECONDS_MAX):
            while (seen := self.levels.get(wanted.sku)) is None or seen.revision < wanted.revision:
                self.changed.clear()
                await self.changed.wait()
        assert self.levels[wanted.sku] == wanted


@dataclass
class Place:
    """A gateway whose database may go away, with everybody who uses it."""

    client: Client
    crowd: Crowd
    readers: Readers
    follower: Follower


@asynccontextmanager
async def open_place(url: str, token: str, seed: int) -> AsyncIterator[Place]:
    """A crowd, readers and a stream, all at work; when the block ends they have gone home."""
    settings = Settings(database_url=url, listen="127.0.0.1:0")
    async with app.running_gateway(settings) as address, grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, token)
        place = Place(client, Crowd([client], seed), Readers(), Follower())
        await place.crowd.open_shop()
        following = asyncio.create_task(place.follower.follow(client))
        async with place.crowd.shopping():
            reading = [asyncio.create_task(keep_reading(place)) for _ in range(READERS)]
            try:
                yield place
            finally:
                for task in reading:
                    task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        assert not following.done(), following
        for sku in PLENTY:
            await place.follower.until(await client.level(sku))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def keep_reading(place: Place) -> None:
    """Read again and again, as a dashboard would."""
    while True:
        await place.readers.ask(lambda: place.client.level(PLENTY[1]))
        await asyncio.sleep(0.05)


async def go_through(
    place: Place, leave: Callable[[], Awaitable[None]], come_back: Callable[[], Awaitable[None]]
) -> None:
    """Let the database go away for ten seconds, and judge all answers until it is back."""
    await place.crowd.more_answers(ANSWERS_BETWEEN)
    await leave()
    away_since = time.monotonic()
    flood = [asyncio.create_task(pour(place, number)) for number in range(FLOOD_CALLS)]
    streams = [asyncio.create_task(place.readers.ask(lambda: try_stream(place.client))) for _ in range(STREAMS_TRIED)]
    await asyncio.gather(*streams)
    opened = time.monotonic() - away_since
    await asyncio.sleep(AWAY_SECONDS - opened)
    assert place.crowd.receipts.failures, "nobody met the outage: this test would prove nothing"
    await come_back()
    back_since = time.monotonic()
    await place.crowd.more_answers(ANSWERS_BETWEEN)
    back = time.monotonic() - back_since
    await asyncio.gather(*flood)
    print(
        f"back {back:.2f}s",
        dict(place.crowd.receipts.failures),
        f"{place.crowd.receipts.seconds_max:.2f}s",
        place.readers,
        f"streams {opened:.2f}",
    )
    assert set(place.crowd.receipts.failures) == {"UNAVAILABLE"}
    assert set(place.readers.statuses) == {"OK", "UNAVAILABLE"}
    assert place.crowd.receipts.seconds_max <= ANSWER_SECONDS_MAX
    assert place.readers.seconds_max <= ANSWER_SECONDS_MAX
    assert back <= BACK_SECONDS_MAX


async def pour(place: Place, number: int) -> None:
    """One of many full batches at once, repeated with its request ids until it is answered."""
    lines = [pb.ReserveLine(sku=FLOODED, quantity=1)]
    items = [pb.BatchItem(reserve=pb.ReserveStockRequest(request_id=new_id(), lines=lines)) for _ in range(FLOOD_ITEMS)]
    await place.crowd.batch(place.client, items)


async def try_stream(client: Client) -> None:
    """Open a stream and take its first message."""
    call = client.stock.WatchStockLevels(pb.WatchStockLevelsRequest(), **client.options)
    try:
        await call.read()
        if call.done():
            raise grpc.aio.AioRpcError(await call.code(), await call.initial_metadata(), await call.trailing_metadata())
    finally:
        call.cancel()


async def test_stopped(own_data_dir: Path, seed: int) -> None:
    """The server is shut down: connections are refused."""
    async with own_postgres(own_data_dir) as server:
        token = await app.add_merchant(Settings(database_url=server.url), "away")
        async with open_place(server.url, token, seed) as place:
            await go_through(place, server.stop, server.start)
        await check(server, token, place)


async def test_frozen(own_data_dir: Path, seed: int) -> None:
    """Postmaster and backends are frozen: connections are accepted, and nobody ever answers."""

    async def freeze() -> None:
        server.freeze()

    async def thaw() -> None:
        server.thaw()

    async with own_postgres(own_data_dir) as server:
        token = await app.add_merchant(Settings(database_url=server.url), "away")
        async with open_place(server.url, token, seed) as place:
            await go_through(place, freeze, thaw)
        await check(server, token, place)


async def test_reset(own_data_dir: Path, seed: int) -> None:
    """The network resets every connection that there is and every one that is tried."""

    async def break_() -> None:
        proxy.passing = False
        proxy.reset()

    async def mend() -> None:
        proxy.passing = True

    async with own_postgres(own_data_dir) as server, proxy_to(server.socket) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        token = await app.add_merchant(Settings(database_url=url), "away")
        async with open_place(url, token, seed) as place:
            await go_through(place, break_, mend)
        await check(server, token, place)
        assert proxy.resets


async def check(server: OwnPostgres, token: str, place: Place) -> None:
    """A gateway that was not there says the same: exactly what was acknowledged."""
    settings = Settings(database_url=server.url, listen="127.0.0.1:0")
    async with app.running_gateway(settings) as address, grpc.aio.insecure_channel(address) as channel:
        await compare(place.crowd.receipts, Client(channel, token))
