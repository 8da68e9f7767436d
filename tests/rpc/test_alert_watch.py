"""WatchTierChanges as its contract promises it: how it begins, resumes and ends, and what is refused."""

import asyncio
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from grpc import StatusCode

from gateway import app
from gateway.alerts import hub as hubs
from gateway.alerts.tending import KEEP, Tending
from gateway.domain.alerts import EventKind, News
from gateway.domain.errors import InvalidArgument
from gateway.domain.tiers import Tier
from gateway.rpc import server
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1 import alert_pb2
from gateway.v1 import alert_service_pb2 as pb
from tests.alerts.reading import Log, log_of, tier_news, trend, urgent
from tests.client import Client
from tests.hubs import hub_of
from tests.refusals import refused
from tests.rpc.alert_streams import AlertStream, alerts, stop_engines


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the test appends."""
    stop_engines(monkeypatch)


@pytest.fixture
async def log(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Log]:
    """The log of the test's merchant."""
    async with log_of(settings, token, clock) as found:
        yield found


async def test_created_comes_first(client: Client, log: Log) -> None:
    """The first message says the lineage, the log's head, up to where it was compacted, and how often it will speak."""
    await log.append(trend(), trend(), trend())
    await log.compact(1)
    async with alerts(client, live_only={}, progress_interval_ms=2_000) as stream:
        created = await stream.created()
    assert str(uuid.UUID(created.epoch)) == created.epoch
    assert created == pb.AlertsCreated(
        epoch=created.epoch, revision=3, compact_revision=1, progress_interval_ms=2_000, resnapshot=False
    )
    async with alerts(client, live_only={}) as stream:
        assert (await stream.created()).progress_interval_ms == 10_000


async def test_events_arrive_whole_and_at_once(client: Client, log: Log) -> None:
    """What is appended is heard within a second, with everything it says, and expiry and observation as they were."""
    told = []
    async with alerts(client, live_only={}) as stream:
        await stream.created()
        for _ in range(5):
            (event,) = await log.append(urgent("tea", channels=("dy",), session_ids=(3,)))
            began = time.monotonic()
            told.append((await stream.event(), event, time.monotonic() - began))
    assert statistics.median(seconds for _, _, seconds in told) < 1.0
    heard, event, _ = told[0]
    assert (heard.revision, heard.sku, list(heard.channels), list(heard.session_ids)) == (1, "tea", ["dy"], [3])
    assert heard.kind == alert_pb2.ALERT_EVENT_KIND_TIER_CHANGE
    assert (heard.tier_change.to, heard.tier_change.evidence.available) == (alert_pb2.TIER_URGENT, 9)
    assert heard.record_time.ToDatetime(tzinfo=event.record_time.tzinfo) == event.record_time


async def test_a_snapshot_then_what_follows(client: Client, log: Log) -> None:
    """Without a start: where everything stands, its end, progress up to there (G3), then what comes after."""
    await log.append(trend())
    async with alerts(client) as stream:
        await stream.created()
        end = await stream.read()
        assert end.snapshot_end == pb.AlertSnapshotEnd(revision=1)
        assert await stream.progress() == 1
        await log.append(trend())
        assert await stream.revisions(1) == [2]


async def test_a_resume_point_is_exclusive(client: Client, log: Log) -> None:
    """After r come r + 1 and so on, each once, and progress when all of them are there (G1, G2)."""
    await log.append(*[trend() for _ in range(5)])
    epoch = (await log.head()).epoch
    for after in (0, 2, 5):
        point = pb.AlertResumePoint(revision=after, epoch=epoch)
        async with alerts(client, after=point) as stream:
            assert (await stream.created()).revision == 5
            assert await stream.revisions(5 - after) == list(range(after + 1, 6))
            assert await stream.progress() == 5


async def test_a_filter_that_matches_nothing_survives_a_compaction(
    client: Client, log: Log, clock: Clock, token: str
) -> None:
    """It is told how far the log is before what it has not seen is removed, and may resume after that (G3, G7)."""
    async with alerts(client, live_only={}, filter={"skus": ["none"]}, progress_interval_ms=3_600_000) as stream:
        epoch = (await stream.created()).epoch
        await log.append(*[trend() for _ in range(20)])
        clock.offset += KEEP + timedelta(hours=1)
        tending = Tending(log.database, hub_of(hubs.AlertHub, token))
        assert await tending.compact() == 20
        told = await stream.progress()
        assert told >= 20
        await log.append(trend("none"))
        event = await stream.event()
        assert (event.revision, event.sku) == (22, "none")
    async with alerts(client, after=pb.AlertResumePoint(revision=told, epoch=epoch), filter={"skus": ["none"]}) as late:
        await late.created()
        assert await late.revisions(1) == [22]


async def test_a_compaction_is_a_row_of_the_log(client: Client, log: Log, clock: Clock, token: str) -> None:
    """It says up to where; what is younger than seven days stays, whatever is younger than a day even if asked (G7)."""
    await log.append(*[trend() for _ in range(4)])
    clock.offset += KEEP - timedelta(hours=1)
    tending = Tending(log.database, hub_of(hubs.AlertHub, token))
    assert await tending.compact() == 0
    await log.append(trend())
    clock.offset += timedelta(hours=2)
    assert await tending.compact() == 4
    assert await tending.compact() == 4
    kept = await log.events()
    assert [(event.revision, event.kind) for event in kept] == [(5, EventKind.TIER_CHANGE), (6, EventKind.COMPACTED)]
    listed = await client.ask(client.alerts.ListTierChanges, pb.ListTierChangesRequest)
    assert listed.events[0].compaction.compact_revision == 4


async def test_what_is_compacted_is_refused_or_replaced(client: Client, log: Log) -> None:
    """A resume point before what is kept is REVISION_COMPACTED, or on request a snapshot that says so (G4)."""
    await log.append(*[trend() for _ in range(9)])
    await log.compact(5)
    epoch = (await log.head()).epoch
    point = pb.AlertResumePoint(revision=4, epoch=epoch)
    for choice in (pb.ON_COMPACTED_UNSPECIFIED, pb.ON_COMPACTED_FAIL):
        refusal = await refused(AlertStream(client, after=point, on_compacted=choice).drain())
        assert (refusal.code, refusal.reason) == (StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")
        assert refusal.facts == {"compact_revision": "5", "current_revision": "9"}
        assert refusal.field == "after.revision"
    async with alerts(client, after=point, on_compacted=pb.ON_COMPACTED_RESNAPSHOT) as stream:
        assert (await stream.created()).resnapshot
        assert (await stream.read()).snapshot_end.revision == 9
    point.revision = 5
    async with alerts(client, after=point, on_compacted=pb.ON_COMPACTED_RESNAPSHOT) as stream:
        assert not (await stream.created()).resnapshot
        assert await stream.revisions(4) == [6, 7, 8, 9]


async def test_a_resume_point_from_the_future_is_refused(client: Client, log: Log) -> None:
    """A revision above the log's is REVISION_FROM_FUTURE and says the log's; never a silent start at "now" (G4)."""
    await log.append(trend())
    point = pb.AlertResumePoint(revision=2, epoch=(await log.head()).epoch)
    for choice in (pb.ON_COMPACTED_FAIL, pb.ON_COMPACTED_RESNAPSHOT):
        refusal = await refused(AlertStream(client, after=point, on_compacted=choice).drain())
        assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "REVISION_FROM_FUTURE")
        assert (refusal.facts, refusal.field) == ({"revision": "1"}, "after.revision")


async def test_after_a_restored_backup_old_points_are_refused(
    settings: Settings, client: Client, log: Log, token: str
) -> None:
    """`stockgate new-epoch` begins a lineage: what was numbered before is EPOCH_MISMATCH, also as a cursor (G4)."""
    await log.append(trend())
    old = (await log.head()).epoch
    merchant = token.partition(".")[0]
    found = (await _stockgate(settings, "new-epoch", "--merchant", merchant))["epochs"]
    assert found == {merchant: (await log.head()).epoch}
    assert found[merchant] != old
    refusal = await refused(AlertStream(client, after=pb.AlertResumePoint(revision=1, epoch=old)).drain())
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "EPOCH_MISMATCH")
    assert (refusal.facts, refusal.field) == ({"epoch": found[merchant]}, "after.epoch")
    report = pb.ReportCursorRequest(subscriber_id="console", revision=1, epoch=old)
    refusal = await refused(client.alerts.ReportCursor(report, **client.options))
    assert (refusal.reason, refusal.field) == ("EPOCH_MISMATCH", "epoch")


async def test_a_new_lineage_of_nobody_is_refused(settings: Settings, log: Log) -> None:
    """A merchant there is not gets no lineage, and the others keep theirs."""
    before = await log.head()
    with pytest.raises(InvalidArgument, match="no merchant"):
        await app.new_epoch(settings, "nobody")
    assert await log.head() == before


async def test_what_is_asked_for(client: Client, log: Log) -> None:
    """A filter holds for the stream and the list alike; drills come only if asked for; the watchdog always streams."""
    news = [
        trend("tea", channels=("dy",)),
        urgent("mug", channels=("tb",), session_ids=(3,)),
        tier_news("tea", Tier.THRESHOLD, Tier.SOLD_OUT, drill_id=9),
        News(kind=EventKind.WATCHDOG),
    ]
    await log.append(*news)
    start = {"after": pb.AlertResumePoint(revision=0, epoch=(await log.head()).epoch)}
    expected: list[tuple[dict[str, Any], list[int], list[int]]] = [
        ({}, [1, 2, 4], [4, 2, 1]),
        ({"include_drills": True}, [1, 2, 3, 4], [4, 3, 2, 1]),
        ({"filter": {"skus": ["tea"]}}, [1, 4], [1]),
        ({"filter": {"channels": ["tb", "ks"]}}, [2, 4], [2]),
        ({"filter": {"session_ids": [3]}}, [2, 4], [2]),
        ({"filter": {"min_tier": alert_pb2.TIER_URGENT}}, [2, 4], [4, 2]),
        ({"filter": {"kinds": [alert_pb2.ALERT_EVENT_KIND_SILENCED]}}, [4], []),
    ]
    for asked, streamed, listed in expected:
        async with alerts(client, **start, **asked) as stream:
            await stream.created()
            assert await stream.revisions(len(streamed)) == streamed, asked
            assert await stream.progress() == 4
        page = await client.ask(client.alerts.ListTierChanges, pb.ListTierChangesRequest, **asked)
        assert _listed(page.events) == listed, asked


async def test_the_log_is_listed_in_pages(client: Client, log: Log) -> None:
    """Newest first, each once, up to the first."""
    await log.append(*[trend() for _ in range(5)])
    found, page_token = [], ""
    while True:
        request = pb.ListTierChangesRequest(page_size=2, page_token=page_token)
        page = await client.alerts.ListTierChanges(request, **client.options)
        found += _listed(page.events)
        page_token = page.next_page_token
        if not page_token:
            break
    assert found == [5, 4, 3, 2, 1]


async def test_what_is_too_old_is_not_sent(client: Client, log: Log, clock: Clock) -> None:
    """With max_event_age_ms what was recorded longer ago is left out."""
    await log.append(trend())
    clock.offset += timedelta(minutes=2)
    await log.append(trend())
    point = pb.AlertResumePoint(revision=0, epoch=(await log.head()).epoch)
    async with alerts(client, after=point, max_event_age_ms=60_000) as stream:
        await stream.created()
        assert await stream.revisions(1) == [2]


async def test_a_stopping_gateway_says_goodbye(
    settings: Settings, token: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it stops the gateway tells every stream from where to resume, and ends it with OK, without delay (G5)."""
    monkeypatch.setattr(app, "STREAMS_SECONDS", 20.0)
    await log.append(trend())
    async with asyncio.timeout(60), _gateway(settings, token) as client:
        starts: tuple[dict[str, Any], ...] = ({}, {"live_only": {}}, {"filter": {"skus": ["none"]}})
        streams = [AlertStream(client, **start) for start in starts]
        for stream in streams:
            await stream.created()
        for stream in (streams[0], streams[2]):
            assert (await stream.read()).snapshot_end.revision == await stream.progress() == 1
        await log.append(trend())
        assert await streams[1].revisions(1) == [2]
        ends = asyncio.gather(*(stream.drain() for stream in streams))
        began = time.monotonic()
    assert time.monotonic() - began < app.STREAMS_SECONDS
    for messages in await ends:
        farewell = messages[-1].go_away
        assert (farewell.reason, farewell.resume_revision) == ("SHUTDOWN", 2)
        assert farewell.retry_after_ms > 0


async def test_an_old_stream_ends_with_a_goodbye(client: Client, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before grpc would cut the connection for its age the stream ends with OK, and can be resumed (G5)."""
    monkeypatch.setattr(hubs, "AGE_SECONDS_MIN", 0.3)
    monkeypatch.setattr(hubs, "AGE_SECONDS_MAX", 0.3)
    await log.append(trend())
    async with alerts(client, live_only={}) as stream:
        messages = await stream.drain()
    assert (messages[-1].go_away.reason, messages[-1].go_away.resume_revision) == ("MAX_AGE", 1)


async def test_a_connection_that_grows_old_is_a_normal_resume(
    settings: Settings, token: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where grpc itself cuts an old connection, the stream ends with UNAVAILABLE and its reader misses nothing."""
    short = {"grpc.max_connection_age_ms": 700, "grpc.max_connection_age_grace_ms": 100}
    monkeypatch.setattr(server, "OPTIONS", tuple((name, short.get(name, value)) for name, value in server.OPTIONS))
    seen: list[int] = []
    epoch = (await log.head()).epoch
    async with asyncio.timeout(60), _gateway(settings, token) as client:
        cuts = 0
        while cuts < 2:
            point = pb.AlertResumePoint(revision=len(seen), epoch=epoch)
            stream = AlertStream(client, after=point)
            try:
                await stream.created()
                while True:
                    await log.append(trend())
                    seen.append((await stream.event()).revision)
            except grpc.aio.AioRpcError as error:
                if error.code() is not StatusCode.UNAVAILABLE:
                    raise
                cuts += 1
    assert seen == list(range(1, len(seen) + 1))


async def test_the_server_speaks_and_lets_speak() -> None:
    """The options that keep idle streams alive and bound the age of connections are set, under names grpc knows."""
    assert (
        dict(server.OPTIONS).items()
        >= {
            "grpc.keepalive_time_ms": 20_000,
            "grpc.keepalive_timeout_ms": 5_000,
            "grpc.http2.ping_timeout_ms": 5_000,
            "grpc.http2.max_pings_without_data": 0,
            "grpc.http2.min_ping_interval_without_data_ms": 5_000,
            "grpc.max_connection_age_ms": 1_800_000,
            "grpc.max_connection_age_grace_ms": 30_000,
        }.items()
    )


async def test_streams_are_limited(client: Client, log: Log) -> None:
    """The ninth stream of one subscriber is refused with what is exhausted, and may come when another has gone."""
    assert await log.events() == []
    streams = [AlertStream(client, live_only={}, subscriber_id="console") for _ in range(8)]
    for stream in streams:
        await stream.created()
    refusal = await refused(AlertStream(client, live_only={}, subscriber_id="console").drain())
    assert (refusal.code, refusal.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
    assert (refusal.quotas, refusal.field, refusal.retry_ms) == (("streams",), "subscriber_id", 5_000)
    async with alerts(client, live_only={}, subscriber_id="another") as other:
        await other.created()
    streams[0].cancel()
    async with asyncio.timeout(5):
        while True:
            stream = AlertStream(client, live_only={}, subscriber_id="console")
            try:
                await stream.created()
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.02)
    for one in (*streams, stream):
        one.cancel()


async def test_another_gateways_events_are_heard(settings: Settings, client: Client, log: Log, token: str) -> None:
    """Streams of two gateways on one database carry the same numbers, whoever appends."""
    async with _gateway(settings, token) as other, alerts(client, live_only={}) as here:
        there = AlertStream(other, live_only={})
        await here.created()
        await there.created()
        await log.append(*[trend() for _ in range(300)])
        await log.append(trend())
        assert await here.revisions(301) == await there.revisions(301) == list(range(1, 302))
        there.cancel()


async def _stockgate(settings: Settings, *words: str) -> Any:
    """Run a command that works on the database; its JSON."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "gateway", *words, "--json"],
        env={**os.environ, "STOCKGATE_DATABASE_URL": str(settings.database_url)},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


def _listed(events: object) -> list[int]:
    return [event.revision for event in events]  # type: ignore[attr-defined]  # a repeated field


@asynccontextmanager
async def _gateway(settings: Settings, token: str) -> AsyncIterator[Client]:
    """A gateway of its own with a client; it is stopped while the client's channel is still open."""
    async with app.running_gateway(replace(settings, listen="127.0.0.1:0")) as address:
        channel = grpc.aio.insecure_channel(address)
        yield Client(channel, token)
