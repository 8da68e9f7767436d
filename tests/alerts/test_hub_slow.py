"""The ladder for readers who cannot keep up: behind, passed over, cut off; and that nothing pressing is ever missed."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.alerts import hub as hubs
from gateway.alerts import subscriber as subscribers
from gateway.alerts.hub import AlertHub
from gateway.alerts.subscriber import BOX_MAX, GAP_MAX, Entry, Lagged, Progress, Sending, State, Wanted
from gateway.alerts.tending import SILENCE, Tending
from gateway.domain.alerts import EventKind, News, SubscriberState
from gateway.domain.errors import DatabaseUnavailable, SlowConsumer
from gateway.domain.tiers import Tier
from gateway.settings import Settings
from gateway.store.alert_log import EventFilter
from gateway.store.database import Clock
from gateway.store.subscribers import keep_cursor
from tests.alerts.reading import Log, Reader, log_of, running_hub, tier_news, trend, urgent

CHUNK = 100


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


async def test_a_full_box_is_dropped_and_read_again(log: Log, hub: AlertHub) -> None:
    """Who misses more than a box holds reads on from the log, misses nothing, doubles nothing, and is in step again."""
    reader = await _stuck_in_a_write(log, hub)
    await _grow(log, hub, 2 * BOX_MAX)
    assert reader.subscriber.state is State.BEHIND
    reader.unstick()
    assert await reader.revisions(1 + 2 * BOX_MAX) == list(range(2, 2 + 2 * BOX_MAX))
    await _grow(log, hub, 1)
    await reader.until(2 + 2 * BOX_MAX)
    assert _state_of(reader) is State.SYNCED
    assert not hub.lagging.counts


async def test_the_hub_waits_for_nobody(log: Log, hub: AlertHub) -> None:
    """While one reader is stuck in a write, others get everything at once."""
    stuck = await _stuck_in_a_write(log, hub)
    other = Reader(hub)
    await other.open()
    taken = []
    for _ in range(5):
        await _grow(log, hub, CHUNK)
        began = time.monotonic()
        await other.until(hub.revision)
        taken.append(time.monotonic() - began)
    assert statistics.median(taken) < 1.0, taken
    assert stuck.subscriber.write_began is not None


async def test_too_wide_a_gap_cuts_off(log: Log, hub: AlertHub) -> None:
    """More than 2,000 revisions behind: SLOW_CONSUMER with where to resume; from there on nothing is missing (R42)."""
    reader = await _stuck_in_a_write(log, hub, name="console")
    await _grow(log, hub, GAP_MAX + BOX_MAX)
    reader.unstick()
    with pytest.raises(SlowConsumer) as caught:
        await reader.until(hub.revision)
    resume = int(caught.value.facts["resume_revision"])
    assert (resume, hub.streams(), hub.lagging.counts["CUT_OFF"]) == (1, 0, 1)
    again = Reader(hub, name="console")
    await again.open(resume)
    assert await again.revisions(hub.revision) == list(range(2, hub.revision + 1))
    assert hub.lagging.troubles == {}


async def test_a_long_absence_is_no_slowness(log: Log, hub: AlertHub) -> None:
    """Who resumes far behind catches up at his own pace, and is neither cut off nor passed over anything."""
    await log.append(*[trend() for _ in range(GAP_MAX + 3 * BOX_MAX)])
    for coalesces in (False, True):
        reader = Reader(hub, coalesces=coalesces)
        await reader.open(0)
        assert await reader.revisions(GAP_MAX + 3 * BOX_MAX) == list(range(1, GAP_MAX + 3 * BOX_MAX + 1))


async def test_what_waits_too_long_cuts_off(log: Log, hub: AlertHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes little by little, and whose next event is 15 s old, is cut off (here: 0.3 s)."""
    monkeypatch.setattr(subscribers, "AGE_MAX_SECONDS", 0.3)
    reader = await _stuck_in_a_write(log, hub)
    await _grow(log, hub, 3)
    await asyncio.sleep(0.4)
    reader.unstick()
    with pytest.raises(SlowConsumer) as caught:
        await reader.until(4)
    assert caught.value.facts == {"resume_revision": 1}


async def test_a_blocked_write_is_ended_from_outside(log: Log, hub: AlertHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """One write blocked for 10 s (here: 0.3 s) ends the stream with where to resume: before what is being written."""
    monkeypatch.setattr(hubs, "WRITE_SECONDS_MAX", 0.3)
    reader = await _stuck_in_a_write(log, hub, name="console", coalesces=True)
    await _grow(log, hub, 3)
    async with asyncio.timeout(5):
        await hub.emptied()
    assert isinstance(reader.ended_by, SlowConsumer)
    assert reader.ended_by.facts == {"resume_revision": 0}
    assert hub.lagging.troubles == {"console": "CUT_OFF"}


async def test_who_passes_over_the_past_misses_nothing_pressing(log: Log, hub: AlertHub) -> None:
    """COALESCE: Lagged, then in order the latest of each thing, and every escalation and acknowledgement (G2)."""
    reader = await _stuck_in_a_write(log, hub, coalesces=True)
    first = hub.revision + 1
    await _grow(log, hub, 500)
    await log.append(urgent("tea"))
    await log.acknowledge("tea")
    await log.append(tier_news("tea", Tier.URGENT, Tier.SOLD_OUT))
    await log.append(News(kind=EventKind.ESCALATED, sku="tea"))
    await log.append(tier_news("tea", Tier.SOLD_OUT, Tier.NORMAL), urgent("mug"))
    await _grow(log, hub, 50, sku="pot")
    await log.append(*[News(kind=EventKind.WATCHDOG) for _ in range(3)])
    await _grow(log, hub, GAP_MAX, sku="pot")
    last = hub.revision
    reader.unstick()
    assert await reader.next() == Lagged(first, last)
    entries = [one for one in await reader.until(last) if isinstance(one, Entry)]
    assert [(one.event.sku, one.event.kind.name, one.event.tier) for one in entries] == [
        ("tea", "TIER_CHANGE", Tier.URGENT),
        ("tea", "ACKNOWLEDGED", 0),
        ("tea", "TIER_CHANGE", Tier.SOLD_OUT),
        ("tea", "ESCALATED", 0),
        ("tea", "TIER_CHANGE", Tier.SOLD_OUT),
        ("mug", "TIER_CHANGE", Tier.URGENT),
        ("", "WATCHDOG", 0),
        ("pot", "TIER_CHANGE", Tier.TREND),
    ]
    assert [one.revision for one in entries] == sorted({one.revision for one in entries})
    await _grow(log, hub, 1)
    assert await reader.revisions(last + 1) == [last + 1]
    assert hub.lagging.counts == {"COALESCED": 1}


async def test_what_is_passed_over_respects_the_filter(log: Log, hub: AlertHub) -> None:
    """After Lagged come only events that were asked for."""
    wanted = Wanted(EventFilter(skus=frozenset({"tea"})))
    reader = await _stuck_in_a_write(log, hub, wanted, coalesces=True)
    await log.append(urgent("tea"), urgent("mug"))
    await _grow(log, hub, GAP_MAX + BOX_MAX, sku="pot")
    await _grow(log, hub, 2 * BOX_MAX, sku="tea")
    reader.unstick()
    assert isinstance(await reader.next(), Lagged)
    skus = [one.event.sku for one in await reader.until(hub.revision) if isinstance(one, Entry)]
    assert skus == ["tea", "tea"]


async def test_nobody_passes_over_the_past_again_and_again(log: Log, hub: AlertHub) -> None:
    """The third time within a minute is the last: cut off, and told where to resume."""
    reader = await _stuck_in_a_write(log, hub, coalesces=True)
    for _ in range(2):
        await _grow(log, hub, GAP_MAX + 2 * BOX_MAX)
        reader.unstick()
        assert isinstance(await reader.next(), Lagged)
        await reader.until(hub.revision)
        await _grow(log, hub, 1)
        await reader.begin()
    await _grow(log, hub, GAP_MAX + 2 * BOX_MAX)
    reader.unstick()
    with pytest.raises(SlowConsumer) as caught:
        await reader.until(hub.revision)
    assert hub.lagging.counts == {"COALESCED": 2, "CUT_OFF": 1}
    missed = await log.events(int(caught.value.facts["resume_revision"]))
    assert missed[0].revision == reader.subscriber.told + 1


async def test_a_cut_reader_that_was_told_of_a_gap_resumes_before_it(log: Log, hub: AlertHub) -> None:
    """Cut off while Lagged itself is being written: the resume point lies before the gap, so nothing is lost."""
    reader = await _stuck_in_a_write(log, hub, coalesces=True)
    await _grow(log, hub, GAP_MAX + BOX_MAX)
    reader.unstick()
    lagged = await reader.begin()
    assert isinstance(lagged, Lagged)
    assert reader.subscriber.resume_revision == lagged.revision - 1 == 1


async def test_trouble_is_a_row_of_the_log(log: Log, hub: AlertHub) -> None:
    """Each cut-off and each passing over is appended, with who, up to where, and how far behind."""
    tending = Tending(log.database, hub)
    reader = await _stuck_in_a_write(log, hub, name="console")
    await _grow(log, hub, GAP_MAX + BOX_MAX)
    reader.unstick()
    with pytest.raises(SlowConsumer):
        await reader.until(hub.revision)
    await tending.note_slow()
    await tending.note_slow()
    told = [event for event in await log.events() if event.kind is EventKind.SUBSCRIBER_LAGGED]
    lag = GAP_MAX + BOX_MAX
    assert [event.body for event in told] == [
        SubscriberState("console", 1, streams=1, trouble="CUT_OFF", lag=lag),
    ]


async def test_trouble_is_noted_when_the_database_is_back(
    log: Log, hub: AlertHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written down is not forgotten."""
    tending = Tending(log.database, hub)
    reader = Reader(hub, name="console")
    await reader.open()
    hub.lagging.note(reader.subscriber, "CUT_OFF", head=7, streams=1)
    with monkeypatch.context() as patched:
        patched.setattr(log.database, "transaction", _away)
        with pytest.raises(DatabaseUnavailable):
            await tending.note_slow()
    await tending.note_slow()
    assert [event.kind for event in await log.events()] == [EventKind.SUBSCRIBER_LAGGED]


async def test_a_silent_subscriber_is_told_of_once(log: Log, hub: AlertHub, clock: Clock) -> None:
    """Who has reported his cursor and then not for 90 s is an event, once, until he reports again."""
    tending = Tending(log.database, hub)
    await log.append(trend(), trend(), trend())

    async def report(name: str, revision: int) -> None:
        async with log.database.transaction() as connection:
            await keep_cursor(connection, log.database, name, revision)

    async def silent() -> list[tuple[str, int, int]]:
        await tending.note_silent()
        bodies = [event.body for event in await log.events() if event.kind is EventKind.SUBSCRIBER_SILENT]
        return [(one.subscriber_id, one.revision, one.lag) for one in bodies if isinstance(one, SubscriberState)]

    await report("console", 1)
    await report("robot", 3)
    assert await silent() == []
    clock.offset += SILENCE - timedelta(seconds=5)
    await report("robot", 3)
    clock.offset += timedelta(seconds=6)
    assert await silent() == [("console", 1, 2)]
    assert await silent() == [("console", 1, 2)]
    await report("console", 2)
    await report("robot", 3)
    clock.offset += SILENCE + timedelta(seconds=1)
    assert await silent() == [("console", 1, 2), ("console", 2, 2), ("robot", 3, 1)]


def _away() -> object:
    raise DatabaseUnavailable("gone")


def _state_of(reader: Reader) -> State:
    return reader.subscriber.state


async def _stuck_in_a_write(log: Log, hub: AlertHub, wanted: Wanted | None = None, **other: object) -> Reader:
    """A reader in step that has stopped reading: the write of an event, or of progress, does not end."""
    reader = Reader(hub, wanted, **other)
    await reader.open()
    writing: asyncio.Task[Sending] = asyncio.create_task(reader.begin())
    while reader.subscriber.state is not State.SYNCED:  # noqa: ASYNC110 - it looks at another task
        await asyncio.sleep(0)
    await log.append(urgent("tea"))
    hub.wake()
    assert isinstance(await writing, Entry | Progress)
    return reader


async def _grow(log: Log, hub: AlertHub, count: int, *, sku: str = "tea") -> None:
    """So many more events, fanned out when this returns."""
    for start in range(0, count, CHUNK):
        await log.append(*[trend(sku) for _ in range(min(CHUNK, count - start))])
    head = await log.head()
    async with asyncio.timeout(10):
        while hub.revision < head.revision:
            hub.wake()
            await asyncio.sleep(0.01)
