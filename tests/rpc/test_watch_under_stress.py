"""Streams when things go wrong: readers that stop, readers that vanish, wide gaps, races."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import grpc.aio
import pytest

from gateway import watch
from gateway.domain.stock import Level
from gateway.settings import Settings
from gateway.store import journal
from gateway.store.levels import SkuLevels, read_levels
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client
from tests.hubs import hub_of
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.rpc.test_watch import receive
from tests.store.history import store_of
from tests.streams import Stream, watching

# A client that takes in little beyond what it reads, so that one who stops reading is felt by the gateway soon.
LITTLE_ROOM = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024))
BULK = 100


async def test_a_reader_that_stops_is_cut_off_and_slows_nobody(
    owner: asyncpg.Connection, gateway_address: str, client: Client, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on at once; the one who reads on later is told READER_TOO_SLOW and where to resume, losing nothing."""
    monkeypatch.setattr(watch, "PENDING_SKUS_MAX", BULK + BULK // 2)
    codes = await _bulky_skus(owner, client, token)
    async with (
        grpc.aio.insecure_channel(gateway_address, options=LITTLE_ROOM) as channel,
        watching(Client(channel, token), live_only=True) as slow,
        watching(client, live_only=True) as fast,
    ):
        epoch = (await slow.created()).epoch
        await fast.created()
        for chosen in (codes[:BULK], codes[:BULK], codes[BULK:]):
            await receive(client, *chosen)
            assert [(await fast.level()).sku for _ in chosen] == chosen
        refusal = await refused(slow.drain())
        assert (refusal.reason, refusal.retry_ms) == ("READER_TOO_SLOW", 1_000)
        resume = pb.ResumePoint(revision=int(refusal.facts["resume_revision"]), epoch=epoch)
        assert resume.revision < 3 * BULK
        async with watching(Client(channel, token), after=resume) as again:
            await again.created()
            levels = {level.sku: level for level in [await again.level() for _ in codes]}
    assert levels == {sku: await client.level(sku) for sku in codes}


async def test_a_long_absence_is_no_slowness(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes back after more SKUs moved than a box holds catches up with all of them, and is not cut off."""
    monkeypatch.setattr(watch, "PENDING_SKUS_MAX", 3)
    codes = [f"S{number}" for number in range(10)]
    for sku in codes:
        await client.add_sku(sku)
    async with watching(client, live_only=True) as stream:
        epoch = (await stream.created()).epoch
    await receive(client, *codes)
    async with watching(client, after=pb.ResumePoint(revision=0, epoch=epoch)) as stream:
        await stream.created()
        assert [(await stream.level()).sku for _ in codes] == codes
        await receive(client, "S3")
        assert (await stream.level()).on_hand == 2


async def test_a_gap_too_wide_to_walk_is_bridged(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """After very many movements every level is read instead of every movement: the same SKUs, by revision, once."""
    monkeypatch.setattr(watch, "GAP_MOVEMENTS_MAX", 5)
    monkeypatch.setattr(watch, "_PAGE", 2)
    codes = ["CUP", "JUG", "MUG", "POT", "TUB"]
    for sku in codes:
        await client.add_sku(sku, 1)
    async with watching(client, live_only=True) as live:
        epoch = (await live.created()).epoch
        moved = ["TUB", "CUP", "MUG", "CUP", "TUB", "MUG", "TUB"]
        await receive(client, *moved)
        expected = [("CUP", 3, 9), ("MUG", 3, 11), ("TUB", 4, 12)]
        assert [await _next(live) for _ in expected] == expected
        async with watching(client, after=pb.ResumePoint(revision=5, epoch=epoch)) as resumed:
            await resumed.created()
            assert [await _next(resumed) for _ in expected] == expected
            await receive(client, "POT")
            assert await _next(live) == await _next(resumed) == ("POT", 2, 13)


async def test_what_moves_during_a_snapshot_comes_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SKU that moved before the snapshot reached it is new in it and not sent again; one that moved after follows."""
    monkeypatch.setattr(watch, "_PAGE", 1)
    for sku in ("CUP", "MUG", "POT"):
        await client.add_sku(sku, 1)
    read_page = watch.LevelHub._page_after

    async def move_meanwhile(hub: watch.LevelHub, connection: Any, page: list[SkuLevels]) -> list[SkuLevels]:
        if page and page[-1].sku == "CUP":
            await receive(client, "CUP", "POT")
        return await read_page(hub, connection, page)

    monkeypatch.setattr(watch.LevelHub, "_page_after", move_meanwhile)
    async with watching(client) as stream:
        created = await stream.created()
        levels = [(level.sku, level.on_hand) for level in await stream.snapshot()]
        assert (created.revision, levels) == (3, [("CUP", 1), ("MUG", 1), ("POT", 2)])
        assert await _next(stream) == ("CUP", 2, 4)
        await client.receive("MUG", 1)
        assert await _next(stream) == ("MUG", 2, 6)


async def test_a_failed_look_is_made_up_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database fails while changes are read for the streams, they come with the next look."""
    await client.add_sku("CUP", 1)
    failures = iter([OSError("gone"), TimeoutError()])
    look = journal.skus_moved_since

    async def fail_first(*arguments: Any) -> Any:
        for failure in failures:
            raise failure
        return await look(*arguments)

    async with watching(client, live_only=True) as stream:
        await stream.created()
        monkeypatch.setattr(journal, "skus_moved_since", fail_first)
        await client.receive("CUP", 1)
        assert await _next(stream) == ("CUP", 2, 2)


async def test_a_look_is_of_one_moment(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved while the gateway looks what has moved comes with the next look, and neither twice nor early."""
    await client.add_sku("CUP", 1)
    look = journal.skus_moved_since
    meanwhile = iter([1])

    async def look_slowly(*arguments: Any) -> Any:
        for quantity in meanwhile:
            await client.receive("CUP", quantity)
        return await look(*arguments)

    async with watching(client, live_only=True) as stream:
        await stream.created()
        monkeypatch.setattr(journal, "skus_moved_since", look_slowly)
        await client.receive("CUP", 1)
        assert [await _next(stream) for _ in range(2)] == [("CUP", 2, 2), ("CUP", 3, 3)]


@pytest.mark.parametrize("way", ["cancel", "cancel at once", "deadline", "channel"])
async def test_readers_that_vanish_leave_nothing_behind(
    gateway_address: str, client: Client, token: str, way: str
) -> None:
    """However a reader ends, idle or just opening: the gateway forgets it (no subscriber is left)."""
    await client.add_sku("CUP", 1)
    async with _channel(gateway_address) as channel:
        vanishing = Client(channel, token)
        request = pb.WatchStockLevelsRequest(live_only=True)
        timeout = 0.3 if way == "deadline" else None
        calls: list[Any] = [
            vanishing.stock.WatchStockLevels(request, **{**vanishing.options, "timeout": timeout}) for _ in range(10)
        ]
        if way != "cancel at once":
            with suppress(grpc.aio.AioRpcError):
                for call in calls:
                    await call.read()
            assert way == "deadline" or len(hub_of(watch.LevelHub, token)._subscribers) == 10
        if way.startswith("cancel"):
            for call in calls:
                call.cancel()
        elif way == "channel":
            await channel.close()
    await _left(token, 0)


async def test_a_reader_that_vanishes_in_the_middle_of_a_write(
    owner: asyncpg.Connection, gateway_address: str, client: Client, token: str
) -> None:
    """A reader that is gone while the gateway waits for it to read on is forgotten too."""
    codes = await _bulky_skus(owner, client, token)
    async with _channel(gateway_address) as channel:
        stream = Stream(Client(channel, token), live_only=True)
        await stream.created()
        await receive(client, *codes)
        async with watching(client, live_only=True) as witness:
            await witness.created()
            await client.receive(codes[0], 1)
            assert (await witness.level()).sku == codes[0]
        await _left(token, 1)
        stream.cancel()
    await _left(token, 0)


async def test_a_box_keeps_the_newest_level() -> None:
    """Whatever the order in which changes reach a box, what is taken is newest, in order, and nothing twice."""
    box = watch.Subscriber(None)
    box.skip_to(5)
    box.put([_level("CUP", 5), _level("MUG", 7), _level("CUP", 6)], 7)
    box.note(_level("POT", 9))
    box.put([_level("POT", 8), _level("POT", 9)], 9)
    assert [(one.sku, one.revision) for one in await box.take(0)] == [("CUP", 6), ("MUG", 7)]
    assert box.handed_over() == 9
    box.put([_level("POT", 10)], 10)
    box.note(_level("POT", 11))
    assert await box.take(0) == []


async def test_a_hub_ends_whenever_it_is_told_to(settings: Settings, token: str) -> None:
    """A cancellation that meets a wake-up is not swallowed (asyncio.wait_for did so before Python 3.12)."""
    async with store_of(settings, token) as store:
        for steps in range(6):
            hub = watch.LevelHub(store)
            running = asyncio.create_task(hub.run())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            hub.wake()
            for _ in range(steps):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait([running], timeout=5)
            assert running.done(), steps


async def test_a_stream_opened_while_the_gateway_stops_ends(settings: Settings, token: str) -> None:
    """A subscriber that comes after the goodbye was said gets its own at once."""
    async with store_of(settings, token) as store:
        hub = watch.LevelHub(store)
        hub.close()
        async with asyncio.timeout(5), hub.subscribe(None) as (subscriber, _):
            assert await subscriber.take(60) == []
            assert subscriber.closing


async def test_levels_of_very_many_skus_are_one_question(settings: Settings, token: str) -> None:
    """More SKUs than a statement has places for values can be read at once, as after a night of counting."""
    async with store_of(settings, token) as store, store.transaction() as connection:
        assert await read_levels(connection, [f"S{number}" for number in range(40_000)], store.now) == {}


async def _bulky_skus(owner: asyncpg.Connection, client: Client, token: str) -> list[str]:
    """Two hundred SKUs whose levels are several kilobytes each; the location `main` of each is still empty."""
    codes = [f"S{number:03}" for number in range(2 * BULK)]
    await owner.execute(f"""
        SET search_path TO "{schema_of_token(token)}";
        INSERT INTO locations (location, title, position)
            SELECT rpad('place ' || n, 64, 'x'), '', n FROM generate_series(1, 50) n;
        INSERT INTO skus (sku, title, safety_stock, substitutes)
            SELECT code, '', 0, ARRAY[]::text[] FROM unnest(ARRAY{codes}) code;
        INSERT INTO levels (sku, location, on_hand, reserved, safety_stock, last_count_revision, revision)
            SELECT code, location, 1000000, 0, 0, 0, 0
            FROM unnest(ARRAY{codes}) code, locations WHERE location <> 'main'""")
    assert (await client.level(codes[0])).ByteSize() > 3_000
    return codes


@asynccontextmanager
async def _channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address, options=LITTLE_ROOM) as channel:
        yield channel


async def _left(token: str, count: int) -> None:
    """Wait until the gateway knows so many subscribers and no more."""
    hub = hub_of(watch.LevelHub, token)
    async with asyncio.timeout(20):
        while len(hub._subscribers) != count:  # noqa: ASYNC110 - it looks at another task
            await asyncio.sleep(0.02)


async def _next(stream: Stream) -> tuple[str, int, int]:
    level = await stream.level()
    return level.sku, level.on_hand, level.revision


def _level(sku: str, revision: int) -> SkuLevels:
    return SkuLevels(sku, False, (Level(sku, "main", revision=revision),))
