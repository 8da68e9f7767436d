"""How many messages a robot takes: calls in any span of so many seconds, and what follows one too many."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Rate:
    """So many calls in any `seconds`."""

    calls: int
    seconds: float


class Turnstile:
    """Counts the calls of one robot; after one too many everybody is turned away for `punish_seconds`."""

    def __init__(self, rates: tuple[Rate, ...], punish_seconds: float = 0.0) -> None:
        """Nobody has passed yet."""
        self._rates, self._punish = rates, timedelta(seconds=punish_seconds)
        self._passed: deque[datetime] = deque(maxlen=max(rate.calls for rate in rates))
        self._closed_until: datetime | None = None

    def is_punishing(self, now: datetime) -> bool:
        """True while nobody passes because somebody came too often before."""
        return self._closed_until is not None and now < self._closed_until

    def passes(self, now: datetime) -> bool:
        """Count a call; False if it is one too many, or if the robot still punishes an earlier one."""
        if self.is_punishing(now):
            return False
        if any(self._is_full(rate, now) for rate in self._rates):
            self._closed_until = now + self._punish
            return False
        self._passed.append(now)
        return True

    def _is_full(self, rate: Rate, now: datetime) -> bool:
        if len(self._passed) < rate.calls:
            return False
        return now - self._passed[-rate.calls] < timedelta(seconds=rate.seconds)
