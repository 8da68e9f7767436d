"""Where a stream of warnings begins and goes on, and what it says beside events."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

from gateway.v1 import alert_pb2, alert_service_pb2


@dataclass(frozen=True)
class ResumePoint:
    """The last revision that was processed, and the lineage of the database it belongs to. Written `REVISION@EPOCH`."""

    revision: int
    epoch: str

    def __str__(self) -> str:
        return f"{self.revision}@{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` has written. Raises `ValueError`."""
        revision, separator, epoch = text.strip().partition("@")
        if not (separator and epoch and revision.isdecimal()):
            raise ValueError(f"{text[:80]!r} is no resume point; it looks like 1234@EPOCH")
        return cls(int(revision), epoch)


class Start(Enum):
    """Where a stream begins that was given no resume point."""

    # After what the gateway knows this subscriber_id to have processed; the first time ever, with a snapshot.
    CURSOR_OR_SNAPSHOT = "cursor or snapshot"
    # The same; the first time ever, with what comes from now on.
    CURSOR_OR_LIVE = "cursor or live"
    # With where everything stands.
    SNAPSHOT = "snapshot"
    # With what comes from now on.
    LIVE = "live"

    @property
    def asks_for_cursor(self) -> bool:
        """True if the gateway is to be asked first."""
        return self in {Start.CURSOR_OR_SNAPSHOT, Start.CURSOR_OR_LIVE}

    @property
    def is_live(self) -> bool:
        """True if it begins, without a cursor, with what comes from now on."""
        return self in {Start.LIVE, Start.CURSOR_OR_LIVE}


class WhenLost(Enum):
    """What to do when the stream cannot go on where it stopped."""

    RAISE = "raise"
    # Begin anew with a `Snapshot` that says so.
    SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class Snapshot:
    """Where everything stands as of a revision; events after it follow.

    `is_after_loss`: what happened between the point that was asked for and this revision is no longer kept, and was
    never seen by this stream.
    """

    states: Sequence[alert_service_pb2.TierState]
    revision: int
    is_after_loss: bool = False


@dataclass(frozen=True)
class PassedOver:
    """This reader was too slow and has asked not to be cut off (`ON_LAG_COALESCE`).

    Of the events `from_revision` to `to_revision` only the latest of each SKU, every escalation to URGENT or SOLD_OUT
    and every acknowledgement follow.
    """

    from_revision: int
    to_revision: int


# What a stream of warnings yields.
AlertItem = alert_pb2.AlertEvent | Snapshot | PassedOver
