"""WatchStockLevels as its contract promises it: created first, a snapshot or what was missed, then changes in order."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import grpc.aio
import pytest
from grpc import StatusCode

from gateway import app, watch
from gateway.rpc import watch as rpc_watch
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import StockLevel
from tests.client import Client, new_id
from tests.refusals import refused
from tests.streams import EndOfStream, Stream, watching


async def test_created_comes_first(client: Client) -> None:
    """The first message says the lineage, the journal's head and how often the stream will speak."""
    await client.add_sku("CUP", 10)
    async with watching(client) as stream:
        created = await stream.created()
    assert str(uuid.UUID(created.epoch)) == created.epoch
    assert (created.revision, created.progress_interval_ms) == (1, 10_000)
    async with watching(client, live_only=True, progress_interval_ms=2_000) as stream:
        assert (await stream.created()) == pb.WatchCreated(epoch=created.epoch, revision=1, progress_interval_ms=2_000)


@pytest.mark.parametrize("start", [{}, {"snapshot": True}])
async def test_a_snapshot_is_whole(client: Client, start: dict[str, bool]) -> None:
    """Every SKU by code, the empty ones too, then an end that says up to where it is, then changes."""
    for sku, quantity in (("CUP", 10), ("MUG", 3), ("POT", 0)):
        await client.add_sku(sku, quantity)
    async with watching(client, **start) as stream:
        created = await stream.created()
        levels = [await stream.read() for _ in range(3)]
        assert [(one.level.sku, one.level.on_hand) for one in levels] == [("CUP", 10), ("MUG", 3), ("POT", 0)]
        end = await stream.read()
        assert end.snapshot_end.revision == created.revision == 2
        await client.reserve("MUG", 1)
        level = await stream.level()
        assert (level.sku, level.reserved, level.available, level.revision) == ("MUG", 1, 2, 3)
        assert level == await client.level("MUG")


async def test_only_the_named_skus_are_sent(client: Client) -> None:
    """Named SKUs are in the snapshot and in the changes, each once; others are in neither."""
    for sku in ("CUP", "MUG", "POT"):
        await client.add_sku(sku, 5)
    async with watching(client, skus=["POT", "CUP", "POT"]) as stream:
        await stream.created()
        assert [level.sku for level in await stream.snapshot()] == ["CUP", "POT"]
        for sku in ("MUG", "POT", "CUP"):
            await client.reserve(sku)
        assert [(await stream.level()).sku for _ in range(2)] == ["POT", "CUP"]


async def test_live_only_begins_now(client: Client) -> None:
    """What was there is not sent, what changes from now on is."""
    await client.add_sku("CUP", 10)
    async with watching(client, live_only=True) as stream:
        await stream.created()
        await client.receive("CUP", 1)
        level = await stream.level()
        assert (level.on_hand, level.revision) == (11, 2)


async def test_every_change_arrives_if_the_reader_keeps_up(client: Client) -> None:
    """One change after the other, each is seen with its revision, in order."""
    await client.add_sku("CUP", 10)
    async with watching(client, live_only=True) as stream:
        await stream.created()
        for number in range(5):
            await client.receive("CUP", 1)
            level = await stream.level()
            assert (level.on_hand, level.revision) == (11 + number, 2 + number)


async def test_a_burst_is_one_level(client: Client) -> None:
    """Changes of one SKU that had gathered are one message, as it is in the end."""
    await client.add_sku("CUP", 10)
    async with watching(client, live_only=True) as stream:
        await stream.created()
        await receive(client, *["CUP"] * 100)
        level = await stream.level()
        assert (level.on_hand, level.revision) == (110, 101)
        with pytest.raises(TimeoutError):
            await stream.read(timeout_seconds=3 * watch.GATHER_SECONDS)


async def test_levels_come_by_revision(client: Client) -> None:
    """Of several SKUs that moved together each comes once, in the order of their last movements."""
    for sku in ("CUP", "MUG", "POT"):
        await client.add_sku(sku)
    async with watching(client, live_only=True) as stream:
        await stream.created()
        await receive(client, "POT", "CUP", "MUG", "POT", "CUP")
        levels = [await stream.level() for _ in range(3)]
    assert [(level.sku, level.revision) for level in levels] == [("MUG", 3), ("POT", 4), ("CUP", 5)]


async def test_revisions_rise_under_load(client: Client) -> None:
    """While many write at once a stream neither goes back nor says the same twice, and ends at the last state."""
    codes = [f"S{number}" for number in range(8)]
    for code in codes:
        await client.add_sku(code)
    async with watching(client, live_only=True) as stream:
        await stream.created()
        writing = asyncio.gather(*(receive(client, *codes[n % 8 :], *codes) for n in range(24)))
        total = sum(8 - n % 8 + 8 for n in range(24))
        revisions: list[int] = []
        last = {}
        while not revisions or revisions[-1] < total:
            level = await stream.level()
            revisions.append(level.revision)
            last[level.sku] = level
        await writing
    assert revisions == sorted(set(revisions))
    assert {code: await client.level(code) for code in codes} == last


async def test_an_expiry_is_a_change(client: Client, clock: Clock) -> None:
    """When a hold runs out the stream says that its units are available again (R7)."""
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 4, ttl_ms=60_000)
    async with watching(client, live_only=True) as stream:
        await stream.created()
        clock.offset += timedelta(minutes=1)
        level = await stream.level()
        assert (level.reserved, level.available) == (0, 10)


async def test_a_silent_stream_says_how_far_it_is(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat carries the revision up to which all that matches was sent, though nothing matched."""
    monkeypatch.setattr(rpc_watch, "PROGRESS_MIN_MS", 1)
    await client.add_sku("CUP", 10)
    await client.add_sku("MUG", 10)
    async with watching(client, skus=["CUP"], live_only=True, progress_interval_ms=20) as stream:
        created = await stream.created()
        first = (await stream.read()).progress
        assert first.revision == created.revision == 2
        assert first.server_time.seconds > 1_000_000
        for _ in range(3):
            await client.receive("MUG", 1)
        revision = 0
        async with asyncio.timeout(10):
            while revision < 5:
                message = await stream.read()
                assert message.WhichOneof("message") == "progress"
                assert message.progress.revision >= revision
                revision = message.progress.revision
    after = pb.ResumePoint(revision=revision, epoch=created.epoch)
    async with watching(client, skus=["CUP"], after=after) as stream:
        await stream.created()
        await client.receive("CUP", 1)
        assert (await stream.level()).revision == 6


async def test_a_resumed_stream_misses_nothing(client: Client) -> None:
    """After a revision come the SKUs that moved since, each once as it is, by revision, and then changes."""
    for sku in ("CUP", "MUG", "POT"):
        await client.add_sku(sku, 5)
    async with watching(client, live_only=True) as stream:
        created = await stream.created()
    await receive(client, "POT", "CUP", "POT")
    async with watching(client, after=pb.ResumePoint(revision=3, epoch=created.epoch)) as stream:
        assert (await stream.created()).revision == 6
        levels = [await stream.level() for _ in range(2)]
        assert [(level.sku, level.on_hand, level.revision) for level in levels] == [("CUP", 6, 5), ("POT", 7, 6)]
        await client.receive("MUG", 1)
        assert (await stream.level()).revision == 7
    for revision, skus in ((5, ["POT", "MUG"]), (6, ["MUG"]), (0, ["CUP", "POT", "MUG"])):
        async with watching(client, after=pb.ResumePoint(revision=revision, epoch=created.epoch)) as stream:
            await stream.created()
            assert [(await stream.level()).sku for _ in skus] == skus


async def test_a_resume_point_may_be_filtered(client: Client) -> None:
    """Only named SKUs are caught up with."""
    for sku in ("CUP", "MUG"):
        await client.add_sku(sku, 5)
    async with watching(client, live_only=True) as stream:
        epoch = (await stream.created()).epoch
    async with watching(client, skus=["MUG"], after=pb.ResumePoint(revision=0, epoch=epoch)) as stream:
        await stream.created()
        assert (await stream.level()).sku == "MUG"
        await client.receive("MUG", 1)
        assert (await stream.level()).on_hand == 6


async def test_a_resume_point_of_another_lineage_is_refused(client: Client) -> None:
    """Another epoch is EPOCH_MISMATCH and says the present one: never a silent restart at "now"."""
    await client.add_sku("CUP", 5)
    async with watching(client, live_only=True) as stream:
        epoch = (await stream.created()).epoch
    async with watching(client, after=pb.ResumePoint(revision=0, epoch=str(uuid.uuid4()))) as stream:
        refusal = await refused(stream.drain())
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "EPOCH_MISMATCH")
    assert (refusal.facts, refusal.field) == ({"epoch": epoch}, "after.epoch")


async def test_a_resume_point_in_the_future_is_refused(client: Client) -> None:
    """A revision above the head is REVISION_FROM_FUTURE and says the head."""
    await client.add_sku("CUP", 5)
    async with watching(client, live_only=True) as stream:
        epoch = (await stream.created()).epoch
    async with watching(client, after=pb.ResumePoint(revision=2, epoch=epoch)) as stream:
        refusal = await refused(stream.drain())
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "REVISION_FROM_FUTURE")
    assert (refusal.facts, refusal.field) == ({"revision": "1"}, "after.revision")


async def test_a_stopping_gateway_says_goodbye(settings: Settings, token: str) -> None:
    """Before it stops the gateway tells every stream from where to resume, and ends it with OK, without delay."""
    async with asyncio.timeout(60), gateway(settings, token) as client:
        await client.add_sku("CUP", 10)
        streams = [Stream(client, **start) for start in ({}, {"live_only": True}, {"skus": ["CUP"]})]
        for stream in streams:
            await stream.created()
        await client.receive("CUP", 1)
        assert (await streams[1].level()).on_hand == 11
        ends = asyncio.gather(*(stream.drain() for stream in streams))
        began = time.monotonic()
    assert time.monotonic() - began < app.GRACE_SECONDS
    for messages in await ends:
        farewell = messages[-1].go_away
        assert (farewell.reason, farewell.resume_revision) == ("SHUTDOWN", 2)
        assert farewell.retry_after_ms > 0


async def test_a_stream_does_not_live_for_ever(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before grpc would cut the connection for its age the stream ends with a goodbye, and can be resumed."""
    monkeypatch.setattr(rpc_watch, "STREAM_AGE_MAX_SECONDS", 0.2)
    monkeypatch.setattr(rpc_watch, "PROGRESS_MIN_MS", 1)
    await client.add_sku("CUP", 10)
    async with watching(client, live_only=True, progress_interval_ms=50) as stream:
        messages = await stream.drain()
    assert (messages[-1].go_away.reason, messages[-1].go_away.resume_revision) == ("MAX_AGE", 1)


async def test_a_restart_loses_and_doubles_nothing(settings: Settings, token: str) -> None:
    """Over three gateways, one after the other, a reader that resumes sees every change once, in order."""
    seen: list[tuple[str, int, int]] = []
    after: pb.ResumePoint | None = None
    for _ in range(3):
        async with gateway(settings, token) as client:
            if after is None:
                await client.add_sku("CUP")
                await client.add_sku("MUG")
            else:
                # While the reader was away: both SKUs moved, CUP twice.
                await receive(client, "CUP", "MUG", "CUP")
            stream = Stream(client, after=after) if after else Stream(client, live_only=True)
            epoch = (await stream.created()).epoch
            seen += [_short(await stream.level()) for _ in range(2 if after else 0)]
            for _ in range(2):
                await client.receive("MUG", 1)
                seen.append(_short(await stream.level()))
        goodbye = (await stream.drain())[-1].go_away
        assert goodbye.resume_revision == seen[-1][2]
        after = pb.ResumePoint(revision=goodbye.resume_revision, epoch=epoch)
    assert seen == [
        ("MUG", 1, 1),
        ("MUG", 2, 2),
        *[("MUG", 3, 4), ("CUP", 2, 5), ("MUG", 4, 6), ("MUG", 5, 7)],
        *[("MUG", 6, 9), ("CUP", 4, 10), ("MUG", 7, 11), ("MUG", 8, 12)],
    ]


async def test_another_gateways_change_is_heard(settings: Settings, client: Client, token: str) -> None:
    """What a second gateway on the same database writes reaches the streams of the first within a second."""
    await client.add_sku("CUP", 10)
    async with gateway(settings, token) as other, watching(client, live_only=True) as stream:
        await stream.created()
        for number in range(3):
            await other.receive("CUP", 1)
            assert (await stream.level()).on_hand == 11 + number
            await client.receive("CUP", 1)
            assert (await stream.level()).on_hand == 12 + number
            await _adjust(client, -1)
            assert (await stream.level()).on_hand == 11 + number


async def test_the_end_is_the_end(client: Client) -> None:
    """A stream that has ended says so for ever: reading on is no error of the gateway's."""
    await client.add_sku("CUP", 10)
    async with watching(client, after=pb.ResumePoint(revision=9)) as stream:
        await refused(stream.drain())
        with pytest.raises((EndOfStream, grpc.aio.AioRpcError)):
            await stream.read()


@asynccontextmanager
async def gateway(settings: Settings, token: str) -> AsyncIterator[Client]:
    """A gateway of its own with a client; it is stopped while the client's channel is still open."""
    async with app.running_gateway(replace(settings, listen="127.0.0.1:0")) as address:
        channel = grpc.aio.insecure_channel(address)
        yield Client(channel, token)


async def receive(client: Client, *skus: str) -> None:
    """Receive one unit of each in turn, in one batch."""
    items = [{"receive": {"request_id": new_id(), "sku": sku, "quantity": 1}} for sku in skus]
    response = await client.ask(client.stock.ApplyBatch, pb.ApplyBatchRequest, items=items)
    assert all(result.HasField("receive") for result in response.results)


async def _adjust(client: Client, change: int) -> None:
    await client.tell(client.stock.AdjustStock, pb.AdjustStockRequest, sku="CUP", change=change, reason="a test")


def _short(level: StockLevel) -> tuple[str, int, int]:
    return level.sku, level.on_hand, level.revision
