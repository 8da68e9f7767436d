"""How often a platform is called, and whether at all: turns, bans, and a breaker for when it is away."""

import asyncio
import heapq
import itertools
import time

from connectors.attempts import BANNED, BREAKER_OPEN
from connectors.errors import Throttled, Transient

THROTTLE_SECONDS = 1.0
RATE_MIN = 0.5
# A ban is looked at again after so long at most: a quota of the day may have been raised, or reset by hand.
BAN_SECONDS_MAX = 600.0
# Nobody waits in line for longer; who has more time comes again.
LINE_SECONDS_MAX = 30.0
LIFTED_LOOK_SECONDS = 5.0
# After a ban the rate doubles in some seven calls: back from a fortieth within half a minute.
RATE_GROWTH = 1.1


class Limiter:
    """A token bucket that serves the most urgent caller first, and learns: it halves when the platform throttles."""

    def __init__(self, calls_per_second: float) -> None:
        """Begin full; a burst is one second's calls."""
        self.rate = self._rate_max = calls_per_second
        self._tokens = calls_per_second
        self._filled = time.monotonic()
        self._banned_until = 0.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = itertools.count()
        self._serving: asyncio.Task[None] | None = None

    @property
    def banned_seconds(self) -> float:
        """How long no call may be made; 0 if none is banned."""
        return max(0.0, self._banned_until - time.monotonic())

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._waiting)

    async def turn(self, priority: float) -> None:
        """Wait until a call may be made; the lowest `priority` goes first. Raises `Throttled` in a long ban."""
        self._require_short_ban()
        if not self._waiting and self._take():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (priority, next(self._number), future)
        heapq.heappush(self._waiting, place)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        try:
            await future
        except asyncio.CancelledError:
            if place in self._waiting:  # short, since nobody waits for long
                self._waiting.remove(place)
                heapq.heapify(self._waiting)
            raise
        self._require_short_ban()

    async def lifted(self) -> None:
        """Wait until no ban holds."""
        while seconds := self.banned_seconds:  # noqa: ASYNC110 - it ends with time, or is forgiven
            await asyncio.sleep(min(seconds, LIFTED_LOOK_SECONDS))

    def forgive(self) -> None:
        """Somebody else calls from now on: what was banned was another."""
        self._banned_until, self.rate = 0.0, self._rate_max

    def throttled(self, retry_after_seconds: float | None) -> None:
        """The platform wants fewer calls; those that were on their way when it said so say nothing new."""
        if not self.banned_seconds:
            self.rate = max(RATE_MIN, self.rate / 2)
        self._tokens = 0.0
        seconds = THROTTLE_SECONDS if retry_after_seconds is None else min(retry_after_seconds, BAN_SECONDS_MAX)
        self._banned_until = max(self._banned_until, time.monotonic() + seconds)
        if self.banned_seconds > LINE_SECONDS_MAX:
            for _, _, future in self._waiting:  # they find out why for themselves
                if not future.done():
                    future.set_result(None)
            self._waiting.clear()

    def _require_short_ban(self) -> None:
        if self.banned_seconds > LINE_SECONDS_MAX:
            seconds = self.banned_seconds
            raise Throttled("the platform wants no calls for a while", code=BANNED, retry_after_seconds=seconds)

    def answered(self) -> None:
        """A call went well: grow again, slowly."""
        self.rate = min(self._rate_max, self.rate * RATE_GROWTH)

    def _take(self) -> bool:
        now = time.monotonic()
        if now < self._banned_until:
            return False
        self._tokens = min(max(1.0, self.rate), self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def _serve(self) -> None:
        while self._waiting:
            if self._waiting[0][2].done():  # who waited has gone
                heapq.heappop(self._waiting)
            elif self._take():
                heapq.heappop(self._waiting)[2].set_result(None)
            else:
                await asyncio.sleep(max(self.banned_seconds, (1 - self._tokens) / self.rate, 0.001))


class Breaker:
    """Open while a platform is away, so that nobody waits for it; one call at a time finds out whether it is back."""

    def __init__(self, failures: int, seconds: float) -> None:
        """Begin closed."""
        self._failures_max, self._seconds = failures, seconds
        self._failures = 0
        self._closed_again = 0.0

    @property
    def is_open(self) -> bool:
        """True while calls are refused here."""
        return self._failures >= self._failures_max and time.monotonic() < self._closed_again

    @property
    def open_seconds(self) -> float:
        """How long calls are still refused here; 0 if they are not."""
        return max(0.0, self._closed_again - time.monotonic()) if self.is_open else 0.0

    def require_closed(self) -> None:
        """Raise `Transient` while open; the first caller after the pause passes, the next one waits for its news."""
        if self.is_open:
            raise Transient("the platform has been away; it is asked again in a moment", code=BREAKER_OPEN)
        if self._failures >= self._failures_max:
            self._closed_again = time.monotonic() + self._seconds

    def succeeded(self) -> None:
        """The platform has answered."""
        self._failures = 0

    def failed(self) -> None:
        """The platform has not answered."""
        self._failures += 1
        if self._failures >= self._failures_max:
            self._closed_again = time.monotonic() + self._seconds
