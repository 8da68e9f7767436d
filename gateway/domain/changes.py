"""What a group changes, and the numbers it begins from."""

from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from gateway.domain.commands import Recorded
from gateway.domain.listings import ChannelRule, Listing
from gateway.domain.reservations import Reservation
from gateway.domain.selling import Drift, KnownOrder, PushRecord
from gateway.domain.stock import Level, Movement, Shortfall, SkuRule

LevelKey = tuple[str, str]
OrderKey = tuple[str, str]


class Limits(Struct, frozen=True):
    """Bounds on a reservation's time to live, in milliseconds (R7)."""

    ttl_default_ms: int = 15 * 60 * 1000
    ttl_max_ms: int = 7 * 24 * 3600 * 1000


class Counters(Struct, frozen=True):
    """The last numbers given out."""

    revision: int = 0
    reservation: int = 0
    shortfall: int = 0
    push: int = 0
    drift: int = 0


class Mark(NamedTuple):
    """A point to roll back to."""

    undo: int
    movements: int
    recorded: int
    shortfalls: int
    pushes: int
    drifts: int
    counters: Counters


class Changes(Struct, frozen=True):
    """What one group changed, ready to be saved; empty if `is_empty`. `listings_read`: those that were read anew."""

    counters: Counters
    now: datetime
    movements: list[Movement]
    recorded: list[Recorded]
    shortfalls: list[Shortfall]
    levels: dict[LevelKey, Level]
    reservations_new: list[Reservation]
    reservations_changed: list[Reservation]
    skus: dict[str, SkuRule]
    channels: dict[str, ChannelRule]
    listings: dict[int, Listing]
    listings_read: frozenset[int]
    orders: dict[OrderKey, KnownOrder]
    pushes: list[PushRecord]
    drifts: list[Drift]

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to save: every command was refused or had been answered before."""
        return not (
            self.movements
            or self.recorded
            or self.reservations_changed
            or self.skus
            or self.channels
            or self.listings
            or self.orders
        )
