"""The alert log, fanned out: every reader gets what he asked for, in order, and nobody waits for anybody.

The hub holds no truth. Woken by whoever has appended, and every second anyway, it reads the log from where it has been,
judges each event once for all who ask for the same, and puts it into their boxes (`subscriber.py`). Who is not in step
reads the log himself until he meets the hub. Between a look at what a reader lacks and his being in step nothing is
awaited, and all of it is one thread: that is the lock under which he joins (G3).
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from gateway.alerts.coalescing import Remnant
from gateway.alerts.endings import GONE, SLOW, Endings
from gateway.alerts.lagging import COALESCED, CUT_OFF, LagBook
from gateway.alerts.resuming import compacted
from gateway.alerts.sharing import Sharing
from gateway.alerts.subscriber import QUIET_REVISIONS_MAX, Entry, Sending, State, Subscriber, Wanted
from gateway.alerts.tiers import KeyState
from gateway.domain.alerts import Event
from gateway.domain.errors import EpochMismatch, GatewayError, TooManyStreams
from gateway.store.alert_log import AlertHead, read_alert_head, read_events
from gateway.store.database import MerchantDatabase, fence, read_time

log = logging.getLogger(__name__)

STREAMS_PER_NAME_MAX = 8
STREAMS_MAX = 5_000
BATCH = 200
# What the hub still has in memory: who was away for a moment, or opens again after a restart, needs no database.
RECENT_MAX = 1_024
# Readers who catch up take so many of the gateway's connections at most.
READINGS_MAX = 2
LOOK_ANYWAY_SECONDS = 1.0
# The first event is looked up at once; in a burst they gather for so long.
GATHER_SECONDS = 0.02
OPEN_SECONDS_MAX = 5.0
WRITE_SECONDS_MAX = 10.0
TEND_SECONDS = 0.25
# Streams end before the earliest age at which grpc may cut their connection (30 minutes less 10 %), not all at once.
AGE_SECONDS_MIN, AGE_SECONDS_MAX = 24 * 60.0, 26.5 * 60.0
# So many streams are woken per turn of the loop, so that other calls are heard in between.
WOKEN_PER_TURN = 256
TOLD_SECONDS_MAX = 5.0
# Keys with what is said of each, and the log's revision then.
Snapshot = tuple[list[tuple[KeyState, bytes]], int]


class _Readers:
    """Who asks for the same; `matched`: the last revision that was for them, or of which they were told."""

    __slots__ = ("matched", "subscribers", "wanted")

    def __init__(self, wanted: Wanted, matched: int) -> None:
        self.wanted = wanted
        self.subscribers: dict[Subscriber, None] = {}
        self.matched = matched


class AlertHub:
    """Fans one merchant's alert log out while `run` and `tend` run."""

    def __init__(self, database: MerchantDatabase, chance: Callable[[], float] = random.random) -> None:
        """Have no subscribers yet; `chance` is a number from 0 to 1, to spread the ends of streams."""
        self._database = database
        self._chance = chance
        self._groups: dict[Wanted, _Readers] = {}
        self._subscribers: dict[Subscriber, None] = {}
        self._names: Counter[str] = Counter()
        self._recent: list[Entry] = []
        self._epoch = ""
        self._clock = (datetime.now(UTC), time.monotonic())
        self._woken = asyncio.Event()
        self._reading = asyncio.Lock()
        self._catching_up = asyncio.Semaphore(READINGS_MAX)
        self._heads: Sharing[AlertHead] = Sharing(self._reading)
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()
        # How far the hub is; -1 before anybody has listened.
        self.revision = -1
        self.lagging = LagBook(database.merchant)
        self.endings = Endings(database.merchant)
        # Where everything stands, read once for all who begin with it at the same time.
        self.snapshots: Sharing[Snapshot] = Sharing(asyncio.Lock())

    # ---- for the gateway

    def wake(self) -> None:
        """Something was appended."""
        self._woken.set()

    def close(self) -> None:
        """Tell every stream that the gateway stops, those too that are just being opened."""
        self._closing = True
        for subscriber in self._subscribers:
            subscriber.leave("SHUTDOWN")

    async def emptied(self) -> None:
        """Until no stream is left."""
        await self._empty.wait()

    def streams(self) -> int:
        """How many are open."""
        return len(self._subscribers)

    async def run(self) -> None:
        """Fan out until cancelled: when woken, and now and then in case a wake-up was lost."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_ANYWAY_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                found = await self._look()
            except GatewayError as error:
                log.warning("alert streams pause", extra={"error": str(error)})
                found = 1
            if found:
                await asyncio.sleep(GATHER_SECONDS)

    async def tend(self) -> None:
        """Speak to who has heard nothing for long, end what is old or stuck; until cancelled."""
        while True:
            now = time.monotonic()
            # Who heard the same event falls silent at the same time.
            silent = [one for one in list(self._subscribers) if self._tend(one, now)]
            for start in range(0, len(silent), WOKEN_PER_TURN):
                for subscriber in silent[start : start + WOKEN_PER_TURN]:
                    subscriber.want_progress()
                await asyncio.sleep(0)
            await asyncio.sleep(TEND_SECONDS)

    # ---- for streams

    async def open(self, subscriber: Subscriber) -> AlertHead:
        """Let a reader in, who is to be dropped in the end; returns the log's head now. Raises `TooManyStreams`."""
        self._require_room(subscriber.name)
        with fence():
            async with asyncio.timeout(OPEN_SECONDS_MAX):
                head = await self._heads.next("", self._read_head)
        self._require_room(subscriber.name)
        self._subscribers[subscriber] = None
        self._empty.clear()
        self._names[subscriber.name] += 1
        group = self._groups.setdefault(subscriber.wanted, _Readers(subscriber.wanted, self.revision))
        group.subscribers[subscriber] = None
        # A filter may be long, and is kept once.
        subscriber.wanted = group.wanted
        age = AGE_SECONDS_MIN + self._chance() * (AGE_SECONDS_MAX - AGE_SECONDS_MIN)
        subscriber.ends = time.monotonic() + age
        if self._closing:
            subscriber.leave("SHUTDOWN")
        return head

    def drop(self, subscriber: Subscriber, reason: str = GONE) -> None:
        """Forget a reader; to be said of everyone who was let in, and harmless when said twice."""
        if subscriber not in self._subscribers:
            return
        self.endings.note(reason)
        del self._subscribers[subscriber]
        if not self._subscribers:
            self._empty.set()
        self._names[subscriber.name] -= 1
        if not self._names[subscriber.name]:
            del self._names[subscriber.name]
        group = self._groups[subscriber.wanted]
        del group.subscribers[subscriber]
        if not group.subscribers:
            del self._groups[subscriber.wanted]

    async def next(self, subscriber: Subscriber) -> Sending:
        """What the reader is sent next, as soon as there is something.

        Raises `SlowConsumer`, or `RevisionCompacted` if what he is reading was removed meanwhile.
        """
        while True:
            ready = subscriber.ready(self.revision)
            if ready is not None:
                return ready
            if subscriber.state is State.SYNCED:
                await subscriber.wait()
            elif subscriber.lags(self.revision):
                await self._pass_over(subscriber)
            else:
                await self._read_on(subscriber)

    def now(self) -> datetime:
        """The ledger's time, as far as we know it."""
        then, clock = self._clock
        return then + timedelta(seconds=time.monotonic() - clock)

    # ---- for who keeps the books

    def open_streams(self) -> dict[str, list[Subscriber]]:
        """The streams by their subscribers' names."""
        found: dict[str, list[Subscriber]] = {}
        for subscriber in self._subscribers:
            found.setdefault(subscriber.name, []).append(subscriber)
        return found

    def recorded(self, revision: int) -> Event | None:
        """The event of this number, if it is one of the last."""
        place = revision - self._recent[0].revision if self._recent else -1
        return self._recent[place].event if 0 <= place < len(self._recent) else None

    async def tell_before_compaction(self, revision: int) -> None:
        """Let every reader in step know that he has had all up to this revision; nobody is waited for for ever."""
        if 0 <= self.revision < revision:
            await self._look()
        with suppress(TimeoutError):
            async with asyncio.timeout(TOLD_SECONDS_MAX):
                while waiting := [
                    one for one in self._subscribers if one.told < revision and one.state is State.SYNCED
                ]:
                    for subscriber in waiting:
                        subscriber.want_progress()
                    await asyncio.sleep(GATHER_SECONDS)

    # ---- reading the log

    async def _read_head(self) -> AlertHead:
        async with self._database.transaction() as connection:
            head = await read_alert_head(connection)
            self._clock = (await read_time(connection, self._database.now), time.monotonic())
            is_first = self.revision < 0
            events = await read_events(connection, head.revision - RECENT_MAX, RECENT_MAX) if is_first else []
        self._follow(head)
        if is_first:
            # After a restart all readers come at once, and most of them lack only the last few events.
            self._recent = self._aged([event for event in events if event.revision <= head.revision])
        return head

    async def _look(self) -> int:
        """Fan out what was appended; returns how many events that were."""
        if self.revision < 0:
            return 0
        found = 0
        while True:
            async with self._reading:
                async with self._database.statements() as connection:
                    events = await read_events(connection, self.revision, BATCH)
                    head = None if events else await read_alert_head(connection)
                    if head is not None:
                        self._clock = (await read_time(connection, self._database.now), time.monotonic())
                woken = self._take(events)
                if head is not None:
                    self._follow(head)
            await _wake(woken)
            found += len(events)
            if len(events) < BATCH:
                return found

    def _take(self, events: Sequence[Event]) -> list[Subscriber]:
        """Put these into the boxes; returns whose streams are to be woken."""
        if not events:
            return []
        if events[0].revision != self.revision + 1:
            # We have been away for longer than the log is kept: let everybody find out for himself.
            self._start_over(events[0].revision - 1)
        heard, now = time.monotonic(), self.now()
        entries = [Entry(event, heard) for event in events]
        woken: list[Subscriber] = []
        for wanted, group in self._groups.items():
            chosen = [entry for entry in entries if wanted.takes(entry.event, now)]
            for subscriber in group.subscribers if chosen else ():
                if subscriber.put(chosen):
                    woken.append(subscriber)  # noqa: PERF401 - a put is no question
            if chosen:
                group.matched = chosen[-1].revision
        self._recent += entries
        if len(self._recent) > 2 * RECENT_MAX:
            del self._recent[:-RECENT_MAX]
        self.revision = entries[-1].revision
        self._tell_the_quiet()
        return woken

    def _tell_the_quiet(self) -> None:
        for group in self._groups.values():
            if self.revision - group.matched >= QUIET_REVISIONS_MAX:
                group.matched = self.revision
                for subscriber in group.subscribers:
                    subscriber.want_progress()

    def _follow(self, head: AlertHead) -> None:
        """Begin at the head, or again if it is the head of another lineage."""
        if self.revision >= 0 and (head.epoch != self._epoch or head.revision < self.revision):
            log.warning("the alert log is of another lineage now; its streams end")
            error = EpochMismatch("the database was restored; start with a snapshot", epoch=head.epoch)
            for subscriber in list(self._subscribers):
                self.drop(subscriber, "EPOCH_MISMATCH")
                subscriber.end(error)
            self.revision = -1
        self._epoch = head.epoch
        if self.revision < 0:
            self._start_over(head.revision)

    def _start_over(self, revision: int) -> None:
        self._recent = []
        self.revision = revision
        for subscriber in self._subscribers:
            if subscriber.state is State.SYNCED:
                subscriber.fall_behind()
                subscriber.wake()

    def _recent_after(self, revision: int) -> list[Entry] | None:
        """What the hub has had after a revision; None if it does not remember that far back."""
        if revision >= self.revision:
            return []
        if not self._recent or self._recent[0].revision > revision + 1:
            return None
        return self._recent[revision + 1 - self._recent[0].revision :]

    async def _batch_after(self, revision: int) -> list[Entry]:
        """The next events after a revision, at least one; raises `RevisionCompacted`."""
        if recent := self._recent_after(revision):
            await asyncio.sleep(0)
            return recent[:BATCH]
        async with self._catching_up, self._database.transaction() as connection:
            events = await read_events(connection, revision, BATCH)
            if not events or events[0].revision != revision + 1:
                raise compacted(await read_alert_head(connection), revision)
        return self._aged(events)

    def _aged(self, events: Sequence[Event]) -> list[Entry]:
        """Events that were news when they were recorded."""
        heard, now = time.monotonic(), self.now()
        return [Entry(event, heard - (now - event.record_time).total_seconds()) for event in events]

    async def _read_on(self, subscriber: Subscriber) -> None:
        """Bring a reader in step, or at least a batch further."""
        recent = self._recent_after(subscriber.covered)
        if recent is not None and subscriber.meet(recent, self.revision, self.now()):
            self.lagging.in_step(subscriber)
            return
        batch = await self._batch_after(subscriber.covered)
        now = self.now()
        subscriber.read([one for one in batch if subscriber.wanted.takes(one.event, now)], batch[-1].revision)

    # ---- who cannot keep up

    async def _pass_over(self, subscriber: Subscriber) -> None:
        """Let a reader pass over what is old, if he has asked for that; else raise `SlowConsumer`."""
        error = subscriber.too_slow()
        if not subscriber.coalesces:
            self._cut_off(subscriber)
            raise error
        remnant, upto, revision = Remnant(), self.revision, subscriber.covered
        while revision < upto:
            batch = [one for one in await self._batch_after(revision) if one.revision <= upto]
            now = self.now()
            for entry in batch:
                if subscriber.wanted.takes(entry.event, now):
                    remnant.add(entry)
            revision = batch[-1].revision
        if not subscriber.pass_over(remnant.entries(), upto):
            self._cut_off(subscriber)
            raise error
        self._note(subscriber, COALESCED)

    def _tend(self, subscriber: Subscriber, now: float) -> bool:
        """End what is stuck or too old; True if it is time for a sign of life."""
        if subscriber.is_stuck(now, WRITE_SECONDS_MAX):
            error = subscriber.too_slow()
            self._cut_off(subscriber)
            subscriber.end(error)
        elif now >= subscriber.ends:
            subscriber.leave("MAX_AGE")
        else:
            return now >= subscriber.due and subscriber.write_began is None
        return False

    def _cut_off(self, subscriber: Subscriber) -> None:
        self._note(subscriber, CUT_OFF)
        self.drop(subscriber, SLOW)

    def _note(self, subscriber: Subscriber, trouble: str) -> None:
        self.lagging.note(subscriber, trouble, head=self.revision, streams=self._names[subscriber.name])

    def _require_room(self, name: str) -> None:
        if name and self._names[name] >= STREAMS_PER_NAME_MAX:
            raise TooManyStreams(
                f"{name!r} has {STREAMS_PER_NAME_MAX} streams open, and may have no more",
                field="subscriber_id",
                streams_max=STREAMS_PER_NAME_MAX,
            )
        if len(self._subscribers) >= STREAMS_MAX:
            raise TooManyStreams(f"{STREAMS_MAX} streams are open; there may be no more", streams_max=STREAMS_MAX)


async def _wake(woken: list[Subscriber]) -> None:
    for start in range(0, len(woken), WOKEN_PER_TURN):
        for subscriber in woken[start : start + WOKEN_PER_TURN]:
            subscriber.wake()
        await asyncio.sleep(0)
