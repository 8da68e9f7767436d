"""How long to wait before trying again, so that a thousand callers do not all come back at once."""

import random

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 5.0
# Beyond this the longest wait is reached; the power need not grow for ever.
DOUBLINGS_MAX = 10


class Backoff:
    """Waits between tries: a random part (full jitter) of 0.2 s, doubled with every try, at most 5 s."""

    def __init__(self) -> None:
        """No try has failed yet."""
        self._failures = 0

    def next_seconds(self, asked_seconds: float = 0.0) -> float:
        """The wait after one more failure, on top of what the gateway has asked for."""
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(self._failures, DOUBLINGS_MAX))
        self._failures += 1
        return asked_seconds + random.uniform(0.0, longest)  # noqa: S311 - no secret depends on it

    def reset(self) -> None:
        """All is well: the next wait is short again."""
        self._failures = 0
