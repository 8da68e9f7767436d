"""What can go wrong between a connector and a platform, on demand and by chance, from a seed.

A server hands every call to `Faults.serve`, which applies it now, later, or never, answers or does not. Pushes go
through `Faults.fate_of_push`. `weather` may be changed at any time; `Weather` values are data, so that a session can be
told in one word (`CALM`, `HARSH`).
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# A caller whose answer is lost waits longer than any client would.
HANG_SECONDS = 60.0


@dataclass(frozen=True)
class Weather:
    """Chances are 0 to 1 per call or per push; times in seconds."""

    latency_seconds: float = 0.03
    latency_spread_seconds: float = 0.02
    lose_request: float = 0.0  # never arrives
    lose_answer: float = 0.0  # applied, and nobody hears of it
    apply_late: float = 0.0  # the caller gives up first, then it is applied
    apply_late_seconds_max: float = 2.0
    error_before: float = 0.0  # the platform's own "system busy", nothing applied
    error_after: float = 0.0  # the same words, and it was applied
    bad_gateway: float = 0.0  # HTTP 502 and a page of HTML
    push_lose: float = 0.0
    push_repeat: float = 0.0
    push_delay_seconds: float = 0.05  # the mean; exponential, so that pushes overtake each other
    calls_per_second_max: float = 0.0  # 0: no limit
    ban_seconds: float = 1.0


CALM = Weather()
HARSH = Weather(
    latency_spread_seconds=0.06,
    lose_request=0.02,
    lose_answer=0.02,
    apply_late=0.01,
    error_before=0.03,
    error_after=0.01,
    bad_gateway=0.01,
    push_lose=0.3,
    push_repeat=0.1,
    push_delay_seconds=0.3,
)


class Away(Exception):
    """The platform is away: the server is to end the connection without an answer."""


class BusyError(Exception):
    """The platform is to answer with its own words for an error of its own; see `Weather.error_before`."""


class BadGateway(Exception):
    """The platform's front is to answer HTTP 502 with a page of HTML."""


class TooManyCalls(Exception):
    """The platform is to answer with its own words for too many calls."""

    def __init__(self, ban_seconds: float) -> None:
        """Say how long the ban lasts."""
        super().__init__(f"banned for {ban_seconds:.0f} s")
        self.ban_seconds = ban_seconds


class Faults:
    """One platform's weather."""

    def __init__(self, seed: int = 0, weather: Weather = CALM) -> None:
        """Begin with this weather."""
        self.weather = weather
        self.away = False
        self.random = random.Random(seed)
        self._late: set[asyncio.Task[None]] = set()
        self._tokens = 1.0
        self._refilled: float | None = None
        self._banned_until = 0.0

    async def serve(self, apply: Callable[[], T]) -> T:
        """Play one call: `apply` is its effect, one instant of the platform, and its result the answer.

        Raises `Away`, `BusyError`, `BadGateway`, `TooManyCalls`, and whatever `apply` raises.
        """
        weather, chance = self.weather, self.random.random()
        if self.away:
            raise Away
        self._require_rate()
        await asyncio.sleep(weather.latency_seconds + self.random.random() * weather.latency_spread_seconds)
        if self.away:
            raise Away
        for fate, share in (
            (self._lose_request, weather.lose_request),
            (self._lose_answer, weather.lose_answer),
            (self._apply_late, weather.apply_late),
            (self._error_before, weather.error_before),
            (self._error_after, weather.error_after),
            (self._bad_gateway, weather.bad_gateway),
        ):
            if chance < share:
                return await fate(apply)
            chance -= share
        return apply()

    def fate_of_push(self) -> list[float]:
        """The delays in seconds after which a push is sent: none if it is lost, two if it is repeated."""
        weather = self.weather
        if self.random.random() < weather.push_lose:
            return []
        times = 2 if self.random.random() < weather.push_repeat else 1
        delay = weather.push_delay_seconds
        return [self.random.expovariate(1 / delay) if delay else 0.0 for _ in range(times)]

    def _require_rate(self) -> None:
        rate = self.weather.calls_per_second_max
        if not rate:
            return
        now = asyncio.get_running_loop().time()
        if now < self._banned_until:
            raise TooManyCalls(self._banned_until - now)
        gained = rate if self._refilled is None else (now - self._refilled) * rate
        self._tokens, self._refilled = min(rate, self._tokens + gained), now
        if self._tokens < 1:
            self._banned_until = now + self.weather.ban_seconds
            raise TooManyCalls(self.weather.ban_seconds)
        self._tokens -= 1

    async def _lose_request(self, apply: Callable[[], T]) -> T:
        await asyncio.sleep(HANG_SECONDS)
        raise Away

    async def _lose_answer(self, apply: Callable[[], T]) -> T:
        apply()
        await asyncio.sleep(HANG_SECONDS)
        raise Away

    async def _apply_late(self, apply: Callable[[], T]) -> T:
        late = self.random.random() * self.weather.apply_late_seconds_max

        async def do() -> None:
            await asyncio.sleep(late)
            apply()

        # A task of its own: it goes on when the caller has hung up.
        task = asyncio.create_task(do())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        await asyncio.sleep(HANG_SECONDS)
        raise Away

    async def _error_before(self, apply: Callable[[], T]) -> T:
        raise BusyError

    async def _error_after(self, apply: Callable[[], T]) -> T:
        apply()
        raise BusyError

    async def _bad_gateway(self, apply: Callable[[], T]) -> T:
        raise BadGateway
