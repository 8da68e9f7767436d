"""Pauses between tries of a loop that never gives up."""

import asyncio
import random


class Backoff:
    """Each pause is up to twice the one before, with chance in it, so that not everybody comes back at once."""

    def __init__(self, seconds: float, seconds_max: float) -> None:
        """Begin with `seconds`."""
        self._seconds, self._seconds_max = seconds, seconds_max
        self.failures = 0

    def failed(self) -> float:
        """Count a failure; the seconds to wait now."""
        longest = min(self._seconds * float(2 ** min(self.failures, 20)), self._seconds_max)
        self.failures += 1
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0

    async def pause(self, least_seconds: float = 0.0) -> None:
        """Count a failure and wait."""
        await asyncio.sleep(max(least_seconds, self.failed()))
