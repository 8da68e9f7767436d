"""However a reader of alerts ends, or fails to: the gateway lets go of it, and the others do not feel it."""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import grpc.aio
import psutil
import pytest
from grpc import StatusCode

from gateway import app
from gateway.alerts import hub as hubs
from gateway.domain.alerts import EventKind
from gateway.domain.tiers import Tier
from gateway.rpc import server
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import ALERT_EVENT_KIND_TIER_CHANGE
from tests.alerts.reading import Log, log_of, tier_news, trend, urgent
from tests.client import Client
from tests.hubs import hub_of
from tests.refusals import refused
from tests.rpc.alert_streams import LITTLE_ROOM, AlertStream, alerts, stop_engines

GONE_SECONDS_MAX = 2.0
CYCLES = 2_000
OTHERS = 49
EVENTS = 20
# Nobody's box is for this: an event that fills a pipe soon.
BULK = tuple(f"{number:060}" for number in range(64))


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the test appends."""
    stop_engines(monkeypatch)


@pytest.fixture
async def log(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Log]:
    """The log of the test's merchant."""
    async with log_of(settings, token, clock) as found:
        yield found


@pytest.mark.parametrize("way", ["cancel", "cancel at once", "deadline", "channel"])
async def test_readers_that_vanish_leave_nothing_behind(gateway_address: str, token: str, way: str) -> None:
    """However a reader ends, idle or just opening: within two seconds no subscriber is left."""
    async with _channel(gateway_address) as channel:
        vanishing = Client(channel, token)
        streams = [AlertStream(vanishing, 4.0 if way == "deadline" else None, live_only={}) for _ in range(10)]
        if way != "cancel at once":
            for stream in streams:
                await stream.created()
            assert way == "deadline" or hub_of(hubs.AlertHub, token).streams() == 10
        if way.startswith("cancel"):
            for stream in streams:
                stream.cancel()
        elif way == "channel":
            await channel.close()
        else:
            codes = {(await refused(stream.drain())).code for stream in streams}
            assert codes == {StatusCode.DEADLINE_EXCEEDED}
    await _left(token, 0)


async def test_a_reader_that_vanishes_in_the_middle_of_a_write(
    gateway_address: str, token: str, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    """A reader that is gone while the gateway waits for it to read on is forgotten too, and is no fault of ours."""
    async with _channel(gateway_address) as channel:
        stream = AlertStream(Client(channel, token), live_only={})
        await stream.created()
        await _block(log, token)
        stream.cancel()
        await _left(token, 0)
    assert "a stream has failed" not in caplog.text


@pytest.mark.parametrize("way", ["idle", "stuck"])
async def test_a_reader_that_is_killed(gateway_address: str, token: str, log: Log, way: str) -> None:
    """Kill -9 of the reader's process, idle or in a write: two seconds later no subscriber is left."""
    async with _reader(gateway_address, token, way) as process:
        if way == "stuck":
            await _block(log, token)
        process.kill()
        await _left(token, 0)


@pytest.mark.parametrize("way", ["idle", "stuck"])
async def test_a_reader_that_is_frozen(
    settings: Settings, token: str, log: Log, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP: after the keepalive and its timeout (here 1 s and 1 s) and 10 s at most no subscriber is left."""
    times = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    short = dict.fromkeys(times, 1_000)
    monkeypatch.setattr(server, "OPTIONS", tuple((name, short.get(name, value)) for name, value in server.OPTIONS))
    async with (
        app.running_gateway(replace(settings, listen="127.0.0.1:0")) as address,
        _reader(address, token, "idle") as process,
    ):
        process.send_signal(signal.SIGSTOP)
        if way == "stuck":
            await log.append(trend())
        await _left(token, 0, 12.0)


async def test_a_blocked_write_is_cut_off_in_band(
    gateway_address: str, client: Client, token: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not read for 10 s (here: 0.5 s) is told SLOW_CONSUMER, and where to resume, when he does (G5, R42)."""
    monkeypatch.setattr(hubs, "WRITE_SECONDS_MAX", 0.5)
    async with _channel(gateway_address) as channel:
        stream = AlertStream(Client(channel, token), live_only={}, subscriber_id="console")
        epoch = (await stream.created()).epoch
        await _block(log, token)
        await _left(token, 0)
        seen: list[int] = []
        refusal = await refused(_read_all(stream, seen))
    assert (refusal.code, refusal.reason) == (StatusCode.RESOURCE_EXHAUSTED, "SLOW_CONSUMER")
    assert refusal.retry_ms == 1_000
    resume = int(refusal.facts["resume_revision"])
    assert seen == list(range(1, len(seen) + 1))
    assert 0 < resume <= len(seen)
    told = await _told(log, EventKind.SUBSCRIBER_LAGGED)
    last = (await log.head()).revision
    async with alerts(client, after=pb.AlertResumePoint(revision=resume, epoch=epoch)) as again:
        await again.created()
        assert await again.revisions(last - resume) == list(range(resume + 1, last + 1))
    assert told == ["CUT_OFF"]


@pytest.mark.parametrize("on_lag", [pb.ON_LAG_CUT_OFF, pb.ON_LAG_COALESCE])
async def test_one_of_fifty_stops_reading(
    gateway_address: str, client: Client, token: str, log: Log, on_lag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others' p99 stays below 100 ms; the one ends as it has asked for, and after that has missed no escalation."""
    monkeypatch.setattr(hubs, "WRITE_SECONDS_MAX", 30.0)
    async with _channel(gateway_address) as channel:
        slow = AlertStream(Client(channel, token), live_only={}, on_lag=on_lag)
        epoch = (await slow.created()).epoch
        others = [AlertStream(client, live_only={}) for _ in range(OTHERS)]
        for other in others:
            await other.created()
        await _block(log, token)
        # A machine may be busy with something else once, and again; a reader in the way is so every time.
        assert min([await _delay(log, others) for _ in range(3)]) < 0.1
        await log.append(*[trend("pot") for _ in range(2_500)])
        heard, resume = await _escalations(slow)
        assert (resume is None) == (on_lag == pb.ON_LAG_COALESCE)
        if resume is not None:
            async with alerts(client, after=pb.AlertResumePoint(revision=resume, epoch=epoch)) as again:
                await again.created()
                last = (await log.head()).revision
                heard |= {event.sku async for event in _until(again, last) if _is_urgent(event)}
        assert heard >= {f"s{number}" for number in range(EVENTS)}
        for stream in (slow, *others):
            stream.cancel()
    await _left(token, 0)


async def test_readers_that_come_and_go_leave_no_memory(gateway_address: str, token: str) -> None:
    """Two thousand times opened and left, one way or another: the gateway is as large as before."""
    async with _channel(gateway_address) as channel:
        client = Client(channel, token)
        hub = None
        sizes = []
        for turn in range(3):
            for _ in range(CYCLES // (50 * 2 if turn else 50)):
                streams = [AlertStream(client, live_only={}) for _ in range(50)]
                await asyncio.gather(*(stream.created() for stream in streams))
                hub = hub or hub_of(hubs.AlertHub, token)
                for stream in streams:
                    stream.cancel()
            await _left(token, 0)
            gc.collect()
            sizes.append(psutil.Process().memory_info().rss)
    assert hub is not None
    assert (hub._groups, hub._subscribers, +hub._names) == ({}, {}, {})
    # Caller and gateway are one process here, and the first turn fills their pools.
    assert sizes[-1] - sizes[1] < 2**20 * 3


async def _block(log: Log, token: str) -> None:
    """Append until a write of the gateway has been blocked for a moment."""
    hub = hub_of(hubs.AlertHub, token)
    async with asyncio.timeout(10):
        while not any(one.is_stuck(time.monotonic(), 0.2) for one in hub._subscribers):
            await log.append(*[urgent("bulk", channels=BULK) for _ in range(20)])
            await asyncio.sleep(0.02)


async def _delay(log: Log, readers: list[AlertStream]) -> float:
    """The 99th percentile of the seconds it takes from an event's record to a reader."""
    first = (await log.append(trend()))[0].revision
    await asyncio.gather(*(_skip_to(reader, first) for reader in readers))
    delays: list[float] = []
    timing = [asyncio.create_task(_time(reader, delays)) for reader in readers]
    for number in range(EVENTS):
        await log.append(tier_news(f"s{number}", Tier.THRESHOLD, Tier.URGENT))
        await asyncio.sleep(0.05)
    await asyncio.gather(*timing)
    delays.sort()
    assert len(delays) == EVENTS * len(readers)
    return delays[int(len(delays) * 0.99)]


async def _skip_to(stream: AlertStream, revision: int) -> None:
    while (await stream.event()).revision < revision:
        pass


async def _time(stream: AlertStream, delays: list[float]) -> None:
    for _ in range(EVENTS):
        event = await stream.event()
        delays.append(time.time() - event.record_time.ToNanoseconds() / 1e9)


async def _escalations(stream: AlertStream) -> tuple[set[str], int | None]:
    """Read on: the SKUs of the escalations up to the end of what was passed over, or up to the cut and where it was."""
    heard: set[str] = set()
    upto = 0
    try:
        while True:
            message = await stream.read()
            match message.WhichOneof("message"):
                case "lagged":
                    upto = message.lagged.to_revision
                case "event":
                    if _is_urgent(message.event):
                        heard.add(message.event.sku)
                case "progress":
                    pass
            if upto and message.WhichOneof("message") != "lagged" and message.event.sku == "pot":
                return heard, None
    except grpc.aio.AioRpcError as error:
        refusal = await refused(_raise(error))
        assert refusal.reason == "SLOW_CONSUMER"
        return heard, int(refusal.facts["resume_revision"])


async def _until(stream: AlertStream, revision: int) -> AsyncIterator[Any]:
    while True:
        event = await stream.event()
        yield event
        if event.revision >= revision:
            return


def _is_urgent(event: Any) -> bool:
    return bool(event.kind == ALERT_EVENT_KIND_TIER_CHANGE and event.tier_change.to >= Tier.URGENT)


async def _told(log: Log, kind: EventKind) -> list[str]:
    """What is told of subscribers, when something is."""
    async with asyncio.timeout(5):
        while True:
            found = [event.body for event in await log.events() if event.kind is kind]
            if found:
                return [str(getattr(body, "trouble", "")) for body in found]
            await asyncio.sleep(0.05)


async def _left(token: str, count: int, seconds_max: float = GONE_SECONDS_MAX) -> None:
    """Wait until the gateway knows so many subscribers and no more."""
    hub = hub_of(hubs.AlertHub, token)
    async with asyncio.timeout(seconds_max):
        while hub.streams() != count:  # noqa: ASYNC110 - it looks at another task
            await asyncio.sleep(0.02)


async def _read_all(stream: AlertStream, seen: list[int]) -> None:
    while True:
        seen.append((await stream.event()).revision)


async def _raise(error: grpc.aio.AioRpcError) -> None:
    raise error


@asynccontextmanager
async def _channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address, options=LITTLE_ROOM) as channel:
        yield channel


@asynccontextmanager
async def _reader(address: str, token: str, way: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A reader in a process of its own, with its stream open."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.rpc.alert_reader", address, token, way], stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"open\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
