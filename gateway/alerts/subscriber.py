"""One reader of the alert log: a bounded box, and the ladder a reader goes down who cannot keep up.

CATCHING_UP reads the log from where he was, at his own pace, until he meets the hub. SYNCED gets from the hub what he
asked for, into a box of 256. If the box overflows it is dropped and he is BEHIND: he reads the log again, in batches,
until he meets the hub. If he stays behind (2,000 revisions, or what comes next is 15 s old), he is cut off and told
where to resume, or, if he has asked for that, what is old is passed over but for what nobody may miss. The hub never
waits for anybody.

At every moment `resume_revision` is a point after which he can resume and miss nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from msgspec import Struct

from gateway.domain.alerts import Event
from gateway.domain.errors import GatewayError, SlowConsumer
from gateway.store.alert_log import EventFilter

BOX_MAX = 256
GAP_MAX = 2_000
AGE_MAX_SECONDS = 15.0
ROUNDS_MAX = 3
ROUNDS_SECONDS = 60.0
# After so many revisions that did not match, a reader is told how far the log has come (G3).
QUIET_REVISIONS_MAX = 500


class Wanted(Struct, frozen=True):
    """What a reader asks for; equal ones are judged once. `age_max_seconds` 0: events of any age."""

    events: EventFilter = EventFilter()
    include_drills: bool = False
    age_max_seconds: float = 0.0

    def takes(self, event: Event, now: datetime) -> bool:
        """True if the event is to be sent at this time."""
        if event.drill_id and not self.include_drills:
            return False
        if self.age_max_seconds and (now - event.record_time).total_seconds() > self.age_max_seconds:
            return False
        return self.events.matches(event)


class Entry:
    """An event as all readers share it. `heard`: when it was news, on the monotonic clock; `payload`: its bytes."""

    __slots__ = ("event", "heard", "payload", "revision")

    def __init__(self, event: Event, heard: float) -> None:
        """Not rendered yet."""
        self.event = event
        self.revision = event.revision
        self.heard = heard
        self.payload: bytes | None = None


class Progress(NamedTuple):
    """Everything up to this revision that matches has been sent."""

    revision: int


class Lagged(NamedTuple):
    """What is old among these was passed over; `revision` is the first of them."""

    revision: int
    to_revision: int


class GoAway(NamedTuple):
    """The stream ends; SHUTDOWN or MAX_AGE."""

    resume_revision: int
    reason: str


Sending = Entry | Progress | Lagged | GoAway


class State(Enum):
    """Where a reader stands on the ladder."""

    CATCHING_UP = 1
    SYNCED = 2
    BEHIND = 3


class Subscriber:
    """One stream's box. `end` ends its call from outside with an error, though a write of it is blocked."""

    __slots__ = (
        "_fresh_since",
        "_lagging",
        "_leaving",
        "_progress_due",
        "_queue",
        "_rounds",
        "_waiter",
        "coalesced",
        "coalesces",
        "covered",
        "due",
        "end",
        "ends",
        "name",
        "opened",
        "progress_seconds",
        "state",
        "told",
        "wanted",
        "write_began",
        "writing",
    )

    def __init__(
        self,
        wanted: Wanted,
        end: Callable[[GatewayError], None],
        *,
        name: str = "",
        coalesces: bool = False,
        progress_seconds: float = 10.0,
    ) -> None:
        """Stand nowhere yet; `begin_after` says where."""
        self.wanted = wanted
        self.name = name
        self.coalesces = coalesces
        self.progress_seconds = progress_seconds
        self.end = end
        self.state = State.CATCHING_UP
        self.opened = time.monotonic()
        # How often what had passed him was put together.
        self.coalesced = 0
        # Whatever matches up to here was sent, or waits in the box.
        self.covered = 0
        # What the reader knows to have heard all up to.
        self.told = 0
        # The event that is being written, and since when something is.
        self.writing = 0
        self.write_began: float | None = None
        self.due = time.monotonic() + progress_seconds
        self.ends = float("inf")
        self._queue: deque[Lagged | Entry] = deque()
        self._progress_due = False
        self._lagging = False
        self._leaving = ""
        self._rounds: list[float] = []
        # What was news before this does not count as late: the reader had not met the hub yet.
        self._fresh_since = 0.0
        self._waiter: asyncio.Future[None] | None = None

    @property
    def resume_revision(self) -> int:
        """After this nothing is missed."""
        return self.writing - 1 if self.writing else self._handed_over

    def waiting(self, reached: int) -> int:
        """How many events he lacks at most; `reached`: how far the log has come."""
        return len(self._queue) + max(0, reached - self.covered)

    def begin_after(self, revision: int, *, resumes: bool = False) -> None:
        """The reader has what he needs up to this revision; one who resumes is told when he has caught up."""
        self.covered = self.told = revision
        self._progress_due = resumes

    # ---- what the hub does

    def put(self, entries: Sequence[Entry]) -> bool:
        """Take events that are wanted; True if the stream waits for them."""
        if self.state is not State.SYNCED:
            return False
        queue, covered = self._queue, self.covered
        for entry in entries:
            if entry.revision <= covered:
                continue
            if len(queue) >= BOX_MAX:
                self.fall_behind()
                break
            queue.append(entry)
        return self._waiter is not None

    def wake(self) -> None:
        """Let the stream look what there is."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def want_progress(self) -> None:
        """Say how far the log has come, behind all that waits."""
        self._progress_due = True
        self.wake()

    def leave(self, reason: str) -> None:
        """Say goodbye, behind all that waits."""
        self._leaving = self._leaving or reason
        self.wake()

    def is_stuck(self, now: float, seconds_max: float) -> bool:
        """One write has been blocked for longer than that."""
        return self.write_began is not None and now - self.write_began > seconds_max

    def fall_behind(self) -> None:
        """Drop what waits; it is read again from the log."""
        self.covered = self._handed_over
        self._queue.clear()
        self.state = State.BEHIND

    def meet(self, recent: Iterable[Entry], head: int, now: datetime) -> bool:
        """Take what the hub has had since; False, and nothing has changed, if that is more than the box holds."""
        missed = [one for one in recent if one.revision > self.covered and self.wanted.takes(one.event, now)]
        if len(missed) > BOX_MAX:
            return False
        self._queue.extend(missed)
        self.covered = max(self.covered, head)
        self.state = State.SYNCED
        self._fresh_since = time.monotonic()
        return True

    # ---- what the stream does

    def ready(self, reached: int) -> Sending | None:
        """What to write next, if there is something; `reached`: how far the hub is. Raises `SlowConsumer`."""
        queue = self._queue
        if self.state is State.SYNCED:
            self.covered = max(self.covered, reached)
        if self._leaving and (not queue or self.state is not State.SYNCED):
            return GoAway(self.resume_revision, self._leaving)
        if queue:
            return self._next()
        if self.state is State.SYNCED:
            if not self._progress_due:
                return None
            self._progress_due = False
        elif self.covered - self.told < QUIET_REVISIONS_MAX:
            return None
        return Progress(self.covered)

    async def wait(self) -> None:
        """Until the hub has something."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def begin_writing(self, sending: Sending | None = None) -> None:
        """This is being written; None: nothing of the log."""
        self.write_began = time.monotonic()
        self.writing = sending.revision if isinstance(sending, Entry | Lagged) else 0

    def written(self, sending: Sending | None = None) -> None:
        """It was; the silence begins anew."""
        self.write_began = None
        self.writing = 0
        self.due = time.monotonic() + self.progress_seconds
        if isinstance(sending, Entry | Progress):
            self.told = max(self.told, sending.revision)

    @property
    def _handed_over(self) -> int:
        """Up to here the stream has everything, though the last of it may not be written yet."""
        return self._queue[0].revision - 1 if self._queue else self.covered

    # ---- the ladder

    def lags(self, reached: int) -> bool:
        """True if a reader who has met the hub before is too far behind now, or what he would get next is too old."""
        if reached <= self.covered:
            self._lagging = False
        return self._lagging or (self.state is State.BEHIND and reached - self.covered > GAP_MAX)

    def read(self, entries: list[Entry], covered: int) -> None:
        """Take a batch of the log: these, of all up to `covered`."""
        self._queue.extend(entries)
        self.covered = covered

    def pass_over(self, kept: list[Entry], upto: int) -> bool:
        """Send only these of what lies between here and `upto`; False, for the third time in a minute, and no more."""
        now = time.monotonic()
        self._rounds = [*(one for one in self._rounds if now - one < ROUNDS_SECONDS), now]
        if len(self._rounds) >= ROUNDS_MAX:
            return False
        self._queue.clear()
        self._queue.append(Lagged(self.covered + 1, upto))
        self._queue.extend(kept)
        self.covered = upto
        self.coalesced += 1
        self._fresh_since = now
        self._lagging = False
        return True

    def too_slow(self) -> SlowConsumer:
        """What a reader is told who is cut off."""
        revision = self.resume_revision
        return SlowConsumer(
            f"this reader does not keep up with the alerts; resume after revision {revision}", resume_revision=revision
        )

    def _next(self) -> Sending | None:
        first = self._queue[0]
        if isinstance(first, Lagged):
            return self._queue.popleft()
        if self.state is not State.CATCHING_UP and self._is_old(first):
            self.fall_behind()
            self._lagging = True
            return None
        return self._queue.popleft()

    def _is_old(self, entry: Entry) -> bool:
        """It could have been sent so long ago."""
        return time.monotonic() - max(entry.heard, self._fresh_since) > AGE_MAX_SECONDS
