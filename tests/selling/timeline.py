"""Virtual time: events of one seed, each at its moment, and the chances they take."""

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 11, 11, 12, tzinfo=UTC)


class Timeline:
    """What is to happen, in order; `random` is the only chance there is."""

    def __init__(self, seed: int) -> None:
        """Begin at 0 seconds."""
        self.random = random.Random(seed)
        self.seconds = 0.0
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._number = 0

    @property
    def time(self) -> datetime:
        """The true time now."""
        return START + timedelta(seconds=self.seconds)

    def new_number(self) -> int:
        """A number that no event and nobody else has."""
        self._number += 1
        return self._number

    def latency(self) -> float:
        """How long a message takes this time."""
        return self.random.uniform(0.02, 0.08)

    def at(self, delay: float, do: Callable[..., object], *arguments: Any) -> None:
        """Have something done so many seconds from now."""
        heapq.heappush(self._events, (self.seconds + delay, self.new_number(), do, arguments))

    def play(self, seconds: float, look: Callable[[], None]) -> None:
        """Play up to this moment; `look` is called after every event."""
        while self._events and self._events[0][0] < seconds:
            self.seconds, _, do, arguments = heapq.heappop(self._events)
            do(*arguments)
            look()
