"""The hub's guarantees, each by itself: order, filters, progress, lineage, room. No engine and no wire."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.alerts import hub as hubs
from gateway.alerts.hub import AlertHub
from gateway.alerts.subscriber import QUIET_REVISIONS_MAX, Entry, GoAway, Progress, Wanted
from gateway.domain.alerts import EventKind, News
from gateway.domain.errors import EpochMismatch, RevisionCompacted, TooManyStreams
from gateway.domain.tiers import Tier
from gateway.settings import Settings
from gateway.store import alert_log
from gateway.store.alert_log import EventFilter
from gateway.store.database import Clock, ReadConnection
from gateway.store.lineage import renew_epoch
from tests.alerts.reading import Log, Reader, log_of, running_hub, tier_news, trend, urgent

NOTHING = Wanted(EventFilter(skus=frozenset({"nothing"})))


@pytest.fixture
async def log(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Log]:
    """The log of the test's merchant."""
    async with log_of(settings, token, clock) as found:
        yield found


@pytest.fixture
async def hub(log: Log) -> AsyncIterator[AlertHub]:
    """A running hub of it."""
    async with running_hub(log.database) as found:
        yield found


async def test_everybody_gets_everything_in_order(log: Log, hub: AlertHub) -> None:
    """Every reader gets every event once, in the order of the log, whether it came alone or with others (G2)."""
    readers = [Reader(hub) for _ in range(20)]
    for reader in readers:
        await reader.open()
    for size in (1, 7, 1, 40, 3):
        await log.append(*[trend() for _ in range(size)])
        hub.wake()
    for reader in readers:
        assert await reader.revisions(52) == list(range(1, 53))


async def test_a_resume_point_is_exclusive(log: Log, hub: AlertHub) -> None:
    """After revision r comes r + 1, whether the hub still has it in memory or not (G1)."""
    await log.append(*[trend() for _ in range(10)])
    for after in (0, 9, 10, 4):
        reader = Reader(hub)
        await reader.open(after)
        assert await reader.revisions(10) == list(range(after + 1, 11))
    await log.append(trend())
    hub.wake()
    late = Reader(hub)
    await late.open(10)
    assert [one.revision for one in await late.until(11) if isinstance(one, Entry)] == [11]


async def test_who_resumes_hears_when_he_has_caught_up(log: Log, hub: AlertHub) -> None:
    """After what was missed comes progress at once, up to where the log is, though nothing of it matched."""
    await log.append(*[trend() for _ in range(300)])
    for wanted, count in ((Wanted(), 300), (NOTHING, 0)):
        reader = Reader(hub, wanted)
        await reader.open(0)
        sent = await reader.until(300)
        sent = sent if isinstance(sent[-1], Progress) else [*sent, await reader.next()]
        assert len([one for one in sent if isinstance(one, Entry)]) == count
        assert sent[-1] == Progress(300)


async def test_filters(log: Log, hub: AlertHub) -> None:
    """Each reader gets what it asked for: SKUs, channels, sessions, tiers, kinds, drills; the watchdog always."""
    kinds = frozenset({EventKind.SILENCED, EventKind.ACKNOWLEDGED})
    wanted = {
        "all": Wanted(),
        "tea": Wanted(EventFilter(skus=frozenset({"tea"}))),
        "dy": Wanted(EventFilter(channels=frozenset({"dy", "tb"}))),
        "session": Wanted(EventFilter(session_ids=frozenset({3}))),
        "urgent": Wanted(EventFilter(min_tier=Tier.URGENT)),
        "acks": Wanted(EventFilter(kinds=kinds)),
        "drills": Wanted(include_drills=True),
        "nothing": NOTHING,
    }
    readers = {name: Reader(hub, one) for name, one in wanted.items()}
    for reader in readers.values():
        await reader.open()
    await log.append(
        trend("tea"),
        trend("mug", channels=("dy",)),
        urgent("mug", session_ids=(2, 3)),
        urgent("tea", drill_id=1),
        tier_news("mug", Tier.URGENT, Tier.NORMAL),
        News(kind=EventKind.WATCHDOG),
    )
    await log.acknowledge("mug")
    await log.append(News(kind=EventKind.WATCHDOG))
    hub.wake()
    found = {name: await reader.revisions(8) for name, reader in readers.items()}
    assert found == {
        "all": [1, 2, 3, 5, 6, 7, 8],
        "tea": [1, 6, 8],
        "dy": [2, 6, 8],
        "session": [3, 6, 8],
        "urgent": [3, 5, 6, 7, 8],
        "acks": [6, 7, 8],
        "drills": [1, 2, 3, 4, 5, 6, 7, 8],
        "nothing": [6, 8],
    }


async def test_what_is_too_old_is_not_sent(log: Log, hub: AlertHub, clock: Clock) -> None:
    """Who asks for events of a minute at most gets no older ones, in catching up; what is new he gets."""
    await log.append(trend())
    clock.offset += timedelta(minutes=2)
    await log.append(trend())
    reader = Reader(hub, Wanted(age_max_seconds=60.0))
    await reader.open(0)
    assert await reader.revisions(2) == [2]
    await log.append(trend())
    hub.wake()
    assert await reader.revisions(3) == [3]


async def test_progress_after_many_that_do_not_match(log: Log, hub: AlertHub) -> None:
    """After 500 revisions that do not match, a reader is told how far the log has come, without a timer (G3)."""
    reader = Reader(hub, NOTHING, progress_seconds=3_600.0)
    await reader.open()
    for _ in range(5):
        await log.append(*[trend() for _ in range(150)])
        hub.wake()
    first = await reader.next()
    assert isinstance(first, Progress)
    assert QUIET_REVISIONS_MAX <= first.revision <= 750


async def test_progress_is_told_in_catching_up_too(log: Log, hub: AlertHub) -> None:
    """A reader whose filter matches nothing of a long past is told on the way how far he has come (G3)."""
    for _ in range(6):
        await log.append(*[trend() for _ in range(400)])
    reader = Reader(hub, NOTHING, progress_seconds=3_600.0)
    await reader.open(0)
    told = [one.revision for one in await reader.until(2_400) if isinstance(one, Progress)]
    assert told[0] < 1_000
    assert told == sorted(set(told))


async def test_progress_in_silence(log: Log, hub: AlertHub) -> None:
    """When nothing happens progress comes at the interval; when something is sent, the silence begins anew (G3)."""
    await log.append(trend())
    began = asyncio.get_running_loop().time()
    reader = Reader(hub, progress_seconds=0.6)
    await reader.open()
    assert await reader.next() == Progress(1)
    assert asyncio.get_running_loop().time() - began >= 0.6
    await log.append(trend())
    hub.wake()
    began = asyncio.get_running_loop().time()
    assert isinstance(await reader.next(), Entry)
    assert await reader.next() == Progress(2)
    assert asyncio.get_running_loop().time() - began >= 0.6


async def test_progress_never_overtakes(log: Log, hub: AlertHub) -> None:
    """Progress waits behind all events that are to be sent, and then tells of them (G3)."""
    reader = Reader(hub)
    await reader.open()
    await log.append(*[trend() for _ in range(50)])
    hub.wake()
    await _until_at(hub, 50)
    reader.subscriber.want_progress()
    sent = [await reader.next() for _ in range(51)]
    assert [one.revision for one in sent if isinstance(one, Entry)] == list(range(1, 51))
    assert sent[-1] == Progress(50)


async def test_a_filter_is_judged_once_for_all_who_share_it(
    log: Log, hub: AlertHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred readers with equal filters cost one judgement per event."""
    judged = 0
    takes = Wanted.takes

    def count(wanted: Wanted, *arguments: object) -> bool:
        nonlocal judged
        judged += 1
        return takes(wanted, *arguments)  # type: ignore[arg-type]  # passed on as they came

    readers = [Reader(hub, Wanted(EventFilter(skus=frozenset({"tea"})))) for _ in range(100)]
    for reader in readers:
        await reader.open()
        reader.subscriber.ready(hub.revision)
    await _all_synced(readers)
    monkeypatch.setattr(Wanted, "takes", count)
    await log.append(trend(), trend())
    hub.wake()
    for reader in readers:
        assert await reader.revisions(2) == [1, 2]
    assert judged == 2


async def test_two_writers_interleaved(settings: Settings, token: str, clock: Clock, log: Log, hub: AlertHub) -> None:
    """Two gateways that append at the same time: numbers become visible in order and without gaps (R42)."""
    reader = Reader(hub)
    await reader.open()
    async with log_of(settings, token, clock) as other:
        async with log.database.transaction() as connection:
            first = await alert_log.begin_append(connection, log.database)
            # The other begins later, and must not be seen before the first, who takes his time.
            waiting = asyncio.create_task(other.append(trend("second")))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            hub.wake()
            await first.append([trend("first")])
        await waiting

        async def write(writer: Log) -> None:
            for size in (1, 5, 2, 9, 1, 1, 30, 1):
                await writer.append(*[trend() for _ in range(size)])
                hub.wake()

        await asyncio.gather(write(log), write(other), write(log), write(other))
    entries = [one for one in await reader.until(202) if isinstance(one, Entry)]
    assert [one.revision for one in entries] == list(range(1, 203))
    assert [one.event.sku for one in entries[:2]] == ["first", "second"]


async def test_what_is_removed_under_a_reader_is_no_silent_gap(log: Log, hub: AlertHub) -> None:
    """Who reads the past so slowly that it is removed meanwhile is told so, with what is kept (G4)."""
    await log.append(*[trend() for _ in range(2_000)])
    reader = Reader(hub)
    await reader.open(0)
    assert await reader.revisions(200) == list(range(1, 201))
    await log.compact(500)
    with pytest.raises(RevisionCompacted) as caught:
        await reader.revisions(2_000)
    assert caught.value.facts == {"compact_revision": 500, "current_revision": 2_000}


async def test_a_new_lineage_ends_every_stream(log: Log, hub: AlertHub) -> None:
    """When the database was restored under a running gateway, streams end with EPOCH_MISMATCH and begin anew (G4)."""
    await log.append(trend())
    reader = Reader(hub)
    head = await reader.open()
    async with log.database.transaction() as connection:
        epoch = await renew_epoch(connection, log.database)
    assert epoch != head.epoch
    hub.wake()
    async with asyncio.timeout(5):
        await hub.emptied()
    assert isinstance(reader.ended_by, EpochMismatch)
    again = Reader(hub)
    assert (await again.open(1)).epoch == epoch
    await log.append(trend())
    hub.wake()
    assert await again.revisions(2) == [2]


async def test_goodbye_comes_behind_what_waits(log: Log, hub: AlertHub) -> None:
    """A stopping gateway sends what waits, then GoAway with the last revision; who comes later gets GoAway at once."""
    reader = Reader(hub)
    await reader.open()
    await _all_synced([reader])
    await log.append(*[trend() for _ in range(3)])
    hub.wake()
    await _until_at(hub, 3)
    hub.close()
    assert await reader.revisions(3) == [1, 2, 3]
    assert await reader.next() == GoAway(3, "SHUTDOWN")
    late = Reader(hub)
    await late.open(1)
    assert isinstance(await late.next(), GoAway | Entry)


async def test_streams_end_at_different_ages(log: Log, hub: AlertHub) -> None:
    """No stream lives to the earliest age at which grpc may cut its connection, and they do not all end at once."""
    ages = []
    for _ in range(50):
        reader = Reader(hub)
        await reader.open()
        ages.append(reader.subscriber.ends - reader.subscriber.due + reader.subscriber.progress_seconds)
    assert 20 * 60 < min(ages) < max(ages) < 27 * 60 - 10
    assert max(ages) - min(ages) > 30
    assert await log.events() == []


async def test_an_old_stream_is_sent_away(log: Log, hub: AlertHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its age a stream gets GoAway MAX_AGE, and the resume point misses nothing."""
    monkeypatch.setattr(hubs, "AGE_SECONDS_MIN", 0.0)
    monkeypatch.setattr(hubs, "AGE_SECONDS_MAX", 0.0)
    await log.append(trend())
    reader = Reader(hub, NOTHING)
    await reader.open()
    assert await reader.next() == GoAway(1, "MAX_AGE")


async def test_room_is_limited(hub: AlertHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight streams of one name and no ninth, until one goes; of all together as many as may be."""
    readers = [Reader(hub, name="console") for _ in range(8)]
    for reader in readers:
        await reader.open()
    with pytest.raises(TooManyStreams) as caught:
        await Reader(hub, name="console").open()
    assert (caught.value.facts, caught.value.field) == ({"streams_max": 8}, "subscriber_id")
    await Reader(hub, name="another").open()
    readers[0].close()
    readers[0].close()
    await Reader(hub, name="console").open()
    monkeypatch.setattr(hubs, "STREAMS_MAX", 9)
    with pytest.raises(TooManyStreams):
        await Reader(hub).open()
    assert hub.streams() == 9


async def test_a_crowd_at_the_door_is_one_question(log: Log, hub: AlertHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred readers that come at once, as after a restart, share a few readings of the head."""
    readings = 0
    read = alert_log.read_alert_head

    async def count(connection: ReadConnection) -> alert_log.AlertHead:
        nonlocal readings
        readings += 1
        return await read(connection)

    monkeypatch.setattr(hubs, "read_alert_head", count)
    await log.append(trend())
    readers = [Reader(hub) for _ in range(500)]
    heads = await asyncio.gather(*(reader.open() for reader in readers))
    assert {head.revision for head in heads} == {1}
    assert readings < 10


async def test_a_short_absence_costs_no_question(log: Log, hub: AlertHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart all readers come back at once: what most of them lack the hub has in memory, read once."""
    await log.append(*[trend() for _ in range(900)])
    readers = [Reader(hub) for _ in range(100)]
    readings = 0
    read = alert_log.read_events

    async def count(*arguments: object) -> object:
        nonlocal readings
        readings += arguments[1] != 900
        return await read(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(hubs, "read_events", count)
    for number, reader in enumerate(readers):
        await reader.open(number * 9)
    found = [await reader.revisions(900) for reader in readers]
    assert found == [list(range(number * 9 + 1, 901)) for number in range(100)]
    assert readings == 1


async def test_a_failed_look_is_made_up_for(log: Log, hub: AlertHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database is away while the hub looks, what was appended comes with a later look."""
    reader = Reader(hub)
    await reader.open()
    await _all_synced([reader])
    failures = iter([OSError("gone"), TimeoutError()])
    read = alert_log.read_events

    async def fail_first(*arguments: object) -> object:
        for failure in failures:
            raise failure
        return await read(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(hubs, "read_events", fail_first)
    await log.append(trend())
    hub.wake()
    assert await reader.revisions(1) == [1]


async def _until_at(hub: AlertHub, revision: int) -> None:
    async with asyncio.timeout(5):
        while hub.revision < revision:  # noqa: ASYNC110 - it looks at another loop
            await asyncio.sleep(0.01)


async def _all_synced(readers: list[Reader]) -> None:
    """Let each meet the hub, as its stream would."""
    for reader in readers:
        waiting = asyncio.ensure_future(reader.hub.next(reader.subscriber))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
