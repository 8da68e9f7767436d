"""How streams of the alert log have ended, counted."""

from datetime import UTC, datetime

from msgspec import Struct

from gateway import metrics

GONE = "CLIENT_GONE"
SLOW = "SLOW_CONSUMER"
METHOD = "WatchTierChanges"


class Ending(Struct):
    """One reason, since this gateway began."""

    reason: str
    count: int
    last_time: datetime


class Endings:
    """Those of one merchant's streams in this gateway."""

    def __init__(self, merchant: str) -> None:
        """None has ended yet."""
        self._merchant = merchant
        self._endings: dict[str, Ending] = {}

    def note(self, reason: str) -> None:
        """A stream has ended for this reason."""
        now = datetime.now(UTC)
        ending = self._endings.setdefault(reason, Ending(reason, 0, now))
        ending.count += 1
        ending.last_time = now
        metrics.streams_closed.add(1, {"merchant": self._merchant, "method": METHOD, "reason": reason})

    def listed(self) -> list[Ending]:
        """The reasons, the most frequent first."""
        return sorted(self._endings.values(), key=lambda ending: (-ending.count, ending.reason))
