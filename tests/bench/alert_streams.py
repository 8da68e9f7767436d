"""The streams of warnings: how soon the last of a thousand hears, what a stuck one costs others, what each weighs."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Self

import grpc.aio
import psutil

from gateway.domain.alerts import News
from gateway.rpc.alert_rendering import fill_event
from gateway.store import alert_log
from gateway.store.database import Database, MerchantDatabase
from gateway.v1 import alert_service_pb2 as pb
from tests.alerts.reading import trend
from tests.bench.bare_fanout import SERVICE
from tests.bench.figures import Figure
from tests.bench.shop import running, running_gateway

SUBSCRIBERS = 1_000
CONNECTIONS = 20
CHANGES = 10
PAUSE_SECONDS = 0.05
READERS = 50
EVENTS = 100
# So many large events are more than one that stops reading takes in.
FILLING = 150
EVENT_SECONDS = 0.02
IDLE = 2_000
WARM_CYCLES = 4_000
CYCLES = 20_000
AT_ONCE = 50
SETTLE_SECONDS = 2.0
WATCH = "/gateway.v1.AlertService/WatchTierChanges"
LIVE = pb.WatchTierChangesRequest(live_only=pb.AlertLiveOnly(), progress_interval_ms=3_600_000).SerializeToString()
# One that stops reading is felt soon.
LITTLE_ROOM = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024))
BULK = tuple(f"{number:060}" for number in range(20))


class Publisher:
    """Appends to the alert log of the bench's merchant, as the engine would."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Use the merchant's part of the database."""
        self._database = database

    async def publish(self, news: News) -> float:
        """Append one event; returns when its commit began."""
        async with self._database.transaction() as connection:
            appending = await alert_log.begin_append(connection, self._database)
            await appending.append([news])
            return time.perf_counter()

    async def message(self, news: News) -> bytes:
        """The same event as it goes over the wire, made and not appended."""
        async with self._database.transaction() as connection:
            appending = await alert_log.begin_append(connection, self._database)
            (event,) = await appending.append([news])
            await connection.rollback()
        response = pb.WatchTierChangesResponse()
        fill_event(response.event, event)
        return response.SerializeToString()


async def last_of_a_thousand(folder: Path, rounds: int) -> list[Figure]:
    """One change to the last of 1,000 subscribers, beside a bare fan-out of the same bytes."""
    ours, bare = [], []
    async with (
        _gateway(folder, "fanout") as (address, publisher),
        running([sys.executable, "-m", "tests.bench.bare_fanout"], {}) as bare_address,
        _Crowd(address, WATCH, LIVE) as crowd,
        _Crowd(bare_address, f"/{SERVICE}/Watch", b"") as bare_crowd,
    ):
        publish_bare: Any = bare_crowd.channels[0].unary_unary(f"/{SERVICE}/Publish")
        await crowd.grow(SUBSCRIBERS)
        await bare_crowd.grow(SUBSCRIBERS)
        message = await publisher.message(trend())
        for _ in range(rounds * CHANGES):
            heard = crowd.everybody()
            ours.append(await heard(await publisher.publish(trend())))
            await asyncio.sleep(PAUSE_SECONDS)
            heard = bare_crowd.everybody()
            began = time.perf_counter()
            await publish_bare(message)
            bare.append(await heard(began))
            await asyncio.sleep(PAUSE_SECONDS)
    ratio = median(ours) / median(bare)
    return [
        Figure("a change to the last of 1,000, against a bare fan-out", ratio, "x", 1.5, 1.1, lower_is_better=True),
        Figure("a change to the last of 1,000", median(ours) * 1000, "ms"),
        Figure("a bare fan-out to the last of 1,000", median(bare) * 1000, "ms"),
    ]


async def one_stops_reading(folder: Path, rounds: int) -> list[Figure]:
    """The others' p99 while one of 50 does not read, against all reading."""
    ratios, felt = [], []
    async with _gateway(folder, "slow") as (address, publisher):
        async with _Crowd(address, WATCH, LIVE) as crowd:
            await crowd.grow(READERS)
            await _p99(crowd, publisher)
        for _ in range(rounds):
            async with _Crowd(address, WATCH, LIVE) as crowd:
                await crowd.grow(READERS)
                all_reading = await _p99(crowd, publisher)
            async with (
                _Crowd(address, WATCH, LIVE) as crowd,
                grpc.aio.insecure_channel(address, options=LITTLE_ROOM) as channel,
            ):
                await crowd.grow(READERS - 1)
                open_stuck: Any = channel.unary_stream(WATCH)
                stuck = open_stuck(LIVE)
                await stuck.read()
                for _ in range(FILLING):
                    await publisher.publish(trend("bulk", channels=BULK))
                await asyncio.sleep(0.5)
                one_stuck = await _p99(crowd, publisher)
                stuck.cancel()
            ratios.append(one_stuck / all_reading)
            felt.append(one_stuck)
    return [
        Figure("1 of 50 stops reading: the others' p99", median(ratios), "x", 1.2, 1.0, lower_is_better=True),
        Figure("1 of 50 stops reading: the others' p99 itself", median(felt) * 1000, "ms"),
    ]


async def weight_of_subscribers(folder: Path, *, quick: bool) -> list[Figure]:
    """What an idle subscriber weighs in the gateway, and what those leave behind who come and go."""
    async with _gateway(folder, "weight") as (address, _):
        process = _process_of(address)
        async with _Crowd(address, WATCH, LIVE) as crowd:
            await crowd.grow(AT_ONCE)
            before = await _settled(process)
            await crowd.grow(IDLE)
            each = (await _settled(process) - before) / IDLE
        async with _Crowd(address, WATCH, LIVE) as crowd:
            await crowd.come_and_go(WARM_CYCLES)
            before = await _settled(process)
            await crowd.come_and_go(CYCLES // 10 if quick else CYCLES)
            growth = await _settled(process) - before
    return [
        Figure("memory per idle subscriber", each / 1000, "kB", 60, 30, lower_is_better=True),
        Figure("growth over 20,000 who come and go", growth / 1e6, "MB", 1, 0, lower_is_better=True),
    ]


class _Crowd:
    """Many streams over some connections, each read at once, from raw bytes."""

    def __init__(self, address: str, path: str, request: bytes) -> None:
        self._address, self._path, self._request = address, path, request
        self._stack = AsyncExitStack()
        self._readers: list[asyncio.Task[None]] = []
        self._missing = 0
        self._heard: asyncio.Future[float] | None = None
        self.channels: list[grpc.aio.Channel] = []
        self.delays: list[float] = []
        self.began: dict[int, float] = {}

    async def __aenter__(self) -> Self:
        for _ in range(CONNECTIONS):
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = grpc.aio.insecure_channel(self._address, options=options)
            self.channels.append(await self._stack.enter_async_context(channel))
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self._stack.aclose()

    def everybody(self) -> Any:
        """Wait until every stream has heard once more; returns the seconds since a moment."""
        self._missing = len(self._readers)
        self._heard = asyncio.get_running_loop().create_future()
        heard = self._heard

        async def wait(began: float) -> float:
            async with asyncio.timeout(60):
                return await heard - began

        return wait

    async def grow(self, count: int) -> None:
        """Open so many more, some at a time."""
        for start in range(0, count, AT_ONCE):
            calls = [self._open(number) for number in range(start, min(count, start + AT_ONCE))]
            await asyncio.gather(*(call.read() for call in calls))
            self._readers += [asyncio.create_task(self._read(call)) for call in calls]

    async def come_and_go(self, count: int) -> None:
        """Open and leave so many."""
        for start in range(0, count, AT_ONCE):
            calls = [self._open(number) for number in range(start, start + AT_ONCE)]
            await asyncio.gather(*(call.read() for call in calls))
            for call in calls:
                call.cancel()

    def _open(self, number: int) -> Any:
        call: Any = self.channels[number % CONNECTIONS].unary_stream(self._path)
        return call(self._request)

    async def _read(self, call: Any) -> None:
        while await call.read() is not grpc.aio.EOF:
            self._missing -= 1
            if self._missing == 0 and self._heard is not None and not self._heard.done():
                self._heard.set_result(time.perf_counter())
            self.delays.append(time.perf_counter())


async def _p99(crowd: _Crowd, publisher: Publisher) -> float:
    """The 99th percentile of the delays of some events to everybody."""
    delays: list[float] = []
    for _ in range(EVENTS):
        crowd.delays.clear()
        heard = crowd.everybody()
        began = await publisher.publish(trend())
        await heard(began)
        delays += [one - began for one in crowd.delays]
        await asyncio.sleep(EVENT_SECONDS)
    return quantiles(delays, n=100)[98]


@asynccontextmanager
async def _gateway(folder: Path, name: str) -> AsyncIterator[tuple[str, Publisher]]:
    """A gateway of its own, and who appends to the log of its merchant."""
    data = folder / name
    data.mkdir(mode=0o755)
    async with running_gateway(data) as address:
        database = Database(f"postgresql://postgres@/postgres?host={data / 'postgres'}")
        try:
            yield address, Publisher(database.of("main"))
        finally:
            await database.close()


def _process_of(address: str) -> psutil.Process:
    """The gateway that listens there, a child of ours."""
    port = int(address.rpartition(":")[2])
    for child in psutil.Process().children():
        if any(one.laddr.port == port for one in child.net_connections(kind="tcp") if one.status == "LISTEN"):
            return child
    raise AssertionError(f"nobody listens at {address}")


async def _settled(process: psutil.Process) -> int:
    """Its resident memory, when things have calmed down."""
    await asyncio.sleep(SETTLE_SECONDS)
    return int(process.memory_info().rss)
