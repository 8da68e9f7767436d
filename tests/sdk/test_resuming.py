"""The client against real gateways that are killed, stopped, cut off and slow: the log as it is, once, in order."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import app
from gateway.client import (
    AlertEvent,
    AlertsClient,
    AlertWatch,
    GatewayAway,
    GatewayRefused,
    PassedOver,
    ResumePoint,
    ResumePointLost,
    Snapshot,
    Start,
    WhenLost,
)
from gateway.domain.alerts import EventKind
from gateway.settings import Settings
from gateway.v1.alert_service_pb2 import ON_LAG_COALESCE
from tests.faults.processes import GatewayProcess, running
from tests.sdk.line import line_to
from tests.sdk.log import DETAIL, Log
from tests.sdk.reading import following, next_revisions, until

WHOLE: dict[str, Any] = {"include_drills": True, "with_watchdogs": True}
KILL_SECONDS = float(os.environ.get("STOCKGATE_TEST_KILL_SECONDS", "10"))
# One kill -9, one GoAway; a busy machine takes its time to start a gateway.
ROUNDS_MIN = 2
CUT_SECONDS = 4.0
SETTLE_SECONDS_MAX = 30.0
IDLE_SECONDS = 70.0
TLS = Path(__file__).parents[1] / "rpc" / "tls"


@pytest.fixture
async def alerts(gateway_address: str, token: str) -> AsyncIterator[AlertsClient]:
    """A client of a gateway in this process."""
    async with AlertsClient(gateway_address, token) as alerts:
        yield alerts


async def read(watch: AlertWatch, revisions: list[int]) -> None:
    """Process what comes, for ever."""
    async for item in watch:
        if isinstance(item, AlertEvent):
            revisions.append(item.revision)
        else:
            assert not revisions, f"in the middle of the stream came {item}"


async def append_at_random(log: Log, chance: random.Random) -> None:
    """Events, one or some at a time, for ever."""
    while True:
        await log.append(chance.choice((1, 1, 1, 5, 40)))
        await asyncio.sleep(chance.uniform(0.0, 0.05))


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel these; what one has failed with is raised."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.timeout(KILL_SECONDS + 110)
async def test_a_gateway_is_killed_and_stopped_at_random(
    settings: Settings, token: str, log: Log, tmp_path: Path
) -> None:
    """What was yielded is the log: nothing missed, nothing twice, in order, over kill -9 and over GoAway."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    head = await log.head()
    gateway = GatewayProcess({"STOCKGATE_DATABASE_URL": settings.database_url or ""}, tmp_path / "gateway.log")
    revisions: list[int] = []
    async with running(gateway), AlertsClient(gateway.address, token) as alerts:
        watch = alerts.watch(**WHOLE, start=ResumePoint(head.revision, head.epoch), subscriber_id="night-shift")
        reading = asyncio.ensure_future(read(watch, revisions))
        appending = asyncio.ensure_future(append_at_random(log, chance))
        ends = time.monotonic() + KILL_SECONDS
        rounds = 0
        while time.monotonic() < ends or rounds < ROUNDS_MIN:
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            await (gateway.kill() if rounds % 2 == 0 else gateway.stop())
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            await gateway.start()
            rounds += 1
        await end(appending)
        last = await log.append()
        await until(lambda: last in revisions or reading.done(), SETTLE_SECONDS_MAX)
        await end(reading)
    assert revisions[: last - head.revision] == list(range(head.revision + 1, last + 1))


async def test_the_line_is_cut_again_and_again(gateway_address: str, token: str, log: Log) -> None:
    """In the middle of whatever it carries, however the stream began: the consumer notices nothing."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    head = await log.head()
    starts = (ResumePoint(head.revision, head.epoch), Start.SNAPSHOT, Start.LIVE)
    seen: list[list[int]] = [[] for _ in starts]
    async with line_to(gateway_address) as line, AlertsClient(line.address, token) as alerts:
        watches = [alerts.watch(**WHOLE, start=start) for start in starts]
        reading = [asyncio.ensure_future(read(*each)) for each in zip(watches, seen, strict=True)]
        appending = asyncio.ensure_future(append_at_random(log, chance))
        ends = time.monotonic() + CUT_SECONDS
        while time.monotonic() < ends:
            await asyncio.sleep(chance.uniform(0.0, 0.6))
            line.cut()
        # Who was cut off before he had begun begins now.
        await until(lambda: all(seen) or any(task.done() for task in reading), SETTLE_SECONDS_MAX)
        await end(appending)
        last = await log.append()
        await until(lambda: all(last in each for each in seen) or any(task.done() for task in reading))
        await end(*reading)
        assert line.connections > 2
    expected = list(range(head.revision + 1, last + 1))
    assert seen[0][: len(expected)] == expected
    for revisions in seen[1:]:
        assert revisions[: last - revisions[0] + 1] == list(range(revisions[0], last + 1))


@pytest.mark.timeout(IDLE_SECONDS + 110)
async def test_an_idle_stream_survives_a_line_that_drops_idle_connections(
    gateway_address: str, token: str, log: Log
) -> None:
    """For 70 s nothing matches, over a line that drops what is idle for 60 s: one connection, and the event comes."""
    async with line_to(gateway_address, idle_seconds_max=60.0) as line, AlertsClient(line.address, token) as alerts:
        quiet = alerts.watch(skus=["CUP"], include_drills=True, start=Start.LIVE, progress_seconds=3_600.0)
        usual = alerts.watch(skus=["CUP"], include_drills=True, start=Start.LIVE)
        waiting = [asyncio.ensure_future(following(watch, IDLE_SECONDS + 20)) for watch in (quiet, usual)]
        await asyncio.sleep(IDLE_SECONDS)
        last = await log.append(sku="CUP")
        for got in await asyncio.gather(*waiting):
            assert isinstance(got, AlertEvent)
            assert got.revision == last
        assert (line.connections, line.dropped) == (1, 0)
        # The engine's watchdog, every 30 s, passes every filter.
        assert all(time.monotonic() - watch._watchdog_heard < IDLE_SECONDS for watch in (quiet, usual))


async def test_a_gateway_that_stops_says_so_first(settings: Settings, token: str, log: Log) -> None:
    """The stream ends with GoAway, another gateway at the same address goes on with it."""
    head = await log.head()
    chosen = replace(settings, listen="127.0.0.1:0")
    async with app.running_gateway(chosen) as address:
        alerts = AlertsClient(address, token)
        watch = alerts.watch(**WHOLE, start=ResumePoint(head.revision, head.epoch))
        await log.append(3)
        assert await next_revisions(watch, 3) == [head.revision + number for number in (1, 2, 3)]
        waiting = asyncio.ensure_future(following(watch))
        await asyncio.sleep(0.1)
    async with alerts, app.running_gateway(replace(settings, listen=address)):
        await log.append()
        got = await waiting
        assert isinstance(got, AlertEvent)
        assert got.revision == head.revision + 4


async def test_a_slow_consumer_loses_nothing(alerts: AlertsClient, log: Log) -> None:
    """It is cut off, which the log says, resumes by itself, and gets everything in order."""
    head = await log.head()
    watch = alerts.watch(**WHOLE, subscriber_id="sleepy", start=ResumePoint(head.revision, head.epoch))
    last = await log.append()
    await next_revisions(watch, 1)
    for _ in range(20):
        last = await log.append(250, detail=DETAIL)
    await log.until_told(EventKind.SUBSCRIBER_LAGGED)
    expected = list(range(head.revision + 2, last + 1))
    assert await next_revisions(watch, len(expected)) == expected


async def test_a_slow_consumer_may_pass_over_the_past(alerts: AlertsClient, log: Log) -> None:
    """With COALESCE it hears what it has missed, and after that everything again."""
    head = await log.head()
    start = ResumePoint(head.revision, head.epoch)
    watch = alerts.watch(**WHOLE, subscriber_id="sleepy", start=start, on_lag=ON_LAG_COALESCE)
    await log.append()
    await next_revisions(watch, 1)
    for _ in range(20):
        await log.append(250, detail=DETAIL)
    item = await following(watch)
    while not isinstance(item, PassedOver):
        item = await following(watch)
    assert item.to_revision - item.from_revision > 1_000
    last = await log.append()
    while not isinstance(item, AlertEvent) or item.revision < last:
        item = await following(watch)
    assert item.revision == last


async def test_what_is_compacted_is_a_snapshot_or_an_error(alerts: AlertsClient, log: Log) -> None:
    """As the caller has chosen; and the stream goes on behind it."""
    head = await log.head()
    last = await log.append(40)
    point = ResumePoint(head.revision, head.epoch)
    await log.compact(last - 5)
    with pytest.raises(ResumePointLost, match="REVISION_COMPACTED") as lost:
        await following(alerts.watch(**WHOLE, start=point, on_compacted=WhenLost.RAISE))
    assert lost.value.metadata["compact_revision"] == str(last - 5)
    watch = alerts.watch(**WHOLE, start=point)
    snapshot = await following(watch)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.is_after_loss
    assert snapshot.revision >= last
    await log.append()
    assert await next_revisions(watch, 1) == [snapshot.revision + 1]


async def test_a_point_of_another_database_is_an_error(alerts: AlertsClient, log: Log) -> None:
    """Also one that is ahead of the log; who wants to go on all the same gets a marked snapshot."""
    head = await log.head()
    for point, reason in (
        (ResumePoint(0, "00000000-0000-0000-0000-000000000000"), "EPOCH_MISMATCH"),
        (ResumePoint(head.revision + 1_000, head.epoch), "REVISION_FROM_FUTURE"),
    ):
        with pytest.raises(ResumePointLost, match=reason):
            await following(alerts.watch(**WHOLE, start=point))
        snapshot = await following(alerts.watch(**WHOLE, start=point, on_mismatch=WhenLost.SNAPSHOT))
        assert isinstance(snapshot, Snapshot)
        assert snapshot.is_after_loss


async def test_the_gateway_keeps_the_point(gateway_address: str, token: str, log: Log) -> None:
    """A subscriber with a name goes on, in another process, after what it has processed."""
    head = await log.head()
    first = await log.append(5) - 4
    async with AlertsClient(gateway_address, token) as alerts:
        start = ResumePoint(head.revision, head.epoch)
        watch = alerts.watch(skus=["TEA"], include_drills=True, subscriber_id="night-shift", start=start)
        assert await next_revisions(watch, 3) == [first, first + 1, first + 2]
    async with AlertsClient(gateway_address, token) as alerts:
        assert await alerts.cursor("night-shift") == ResumePoint(first + 1, head.epoch)
        watch = alerts.watch(skus=["TEA"], include_drills=True, subscriber_id="night-shift")
        assert await next_revisions(watch, 3) == [first + 2, first + 3, first + 4]
        assert await alerts.cursor("nobody") is None
        assert await alerts.report_cursor("night-shift", ResumePoint(first + 4, head.epoch)) < 5
        assert await alerts.cursor("night-shift") == ResumePoint(first + 4, head.epoch)
        with pytest.raises(GatewayRefused, match="EPOCH_MISMATCH"):
            await alerts.report_cursor("night-shift", ResumePoint(first, "00000000-0000-0000-0000-000000000000"))
        assert [each.subscriber_id for each in await alerts.subscribers()] == ["night-shift"]


async def test_a_wrong_token_or_filter_is_said_at_once(gateway_address: str, alerts: AlertsClient) -> None:
    """It would not get better by waiting."""
    async with AlertsClient(gateway_address, "main.wrong") as stranger:
        with pytest.raises(GatewayRefused, match="UNAUTHENTICATED"):
            await following(stranger.watch())
        with pytest.raises(GatewayRefused, match="UNAUTHENTICATED"):
            await stranger.tiers()
    with pytest.raises(GatewayRefused) as refused:
        await following(alerts.watch(progress_seconds=0.001))
    assert refused.value.field == "progress_interval_ms"


async def test_tls_protects_streams_and_calls(settings: Settings, token: str, log: Log) -> None:
    """With the authority's certificate both work; with another's nothing is said to whoever is there."""
    chosen = replace(settings, listen="127.0.0.1:0", tls_cert_file=TLS / "cert.pem", tls_key_file=TLS / "key.pem")
    head = await log.head()
    start = ResumePoint(head.revision, head.epoch)
    async with app.running_gateway(chosen) as address:
        at = f"localhost:{address.rpartition(':')[2]}"
        async with AlertsClient(at, token, certificate=(TLS / "cert.pem").read_bytes()) as alerts:
            await log.append()
            assert await next_revisions(alerts.watch(**WHOLE, start=start), 1) == [head.revision + 1]
            assert await alerts.cursor("nobody") is None
        other = (TLS / "other-cert.pem").read_bytes()
        async with AlertsClient(at, token, certificate=other, patience_seconds=0.2) as fooled:
            with pytest.raises(GatewayAway, match="UNAVAILABLE"):
                await fooled.cursor("nobody")
