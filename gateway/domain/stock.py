"""Levels and movements: what lies where, and why it changed.

    available   = on hand - reserved - safety stock, shown as 0 when negative; the deficit is shown beside it.
    unallocated = available - exposed: what nothing promises and no listing shows. New promises take from this (R20).

On hand may pass below zero in two ways: a reservation whose goods turned out to be gone (R14) is committed all the
same (R1), where `deficit` moves from reserved to on hand and stays until goods come; and a count that arrives late
finds less than what has left since. Either way a shortfall has been opened.
"""

from datetime import datetime
from enum import IntEnum

from msgspec import Struct

# The largest quantity of one level or one command. Sums over 9,000 locations still fit 64 bits (R13).
UNITS_MAX = 10**15


class MovementKind(IntEnum):
    """Why units moved. The numbers are those of `proto/gateway/v1/stock.proto` and are stored."""

    RECEIVE = 1
    ADJUST = 2
    COUNT = 3
    TRANSFER_OUT = 4
    TRANSFER_IN = 5
    RESERVE = 6
    COMMIT = 7
    RELEASE = 8
    EXPIRE = 9
    RESIZE = 10
    RETURN = 11
    SAFETY_STOCK = 12


class ShortfallCause(IntEnum):
    """Why units were sold that cannot be served. The numbers are those of the proto and are stored."""

    GOODS_GONE = 1
    PAID_TOO_LATE = 2
    SOLD_BEYOND = 3
    POLICY = 4


class Level(Struct, frozen=True, array_like=True, gc=False):
    """The stock of one SKU at one location, in units; `revision` is its last movement.

    `exposed` units may be sold by listings. `short` of the promised units are missing, and a shortfall says so.
    """

    sku: str
    location: str
    on_hand: int = 0
    reserved: int = 0
    safety_stock: int = 0
    last_count_time: datetime | None = None
    last_count_revision: int = 0
    revision: int = 0
    exposed: int = 0
    short: int = 0

    @property
    def balance(self) -> int:
        """On hand - reserved - safety stock; may be negative."""
        return self.on_hand - self.reserved - self.safety_stock

    @property
    def available(self) -> int:
        """What can be sold now, 0 or more."""
        return max(0, self.on_hand - self.reserved - self.safety_stock)

    @property
    def unallocated(self) -> int:
        """What nothing promises and no listing shows; may be negative where reality or a platform took more."""
        return self.on_hand - self.reserved - self.safety_stock - self.exposed

    @property
    def deficit(self) -> int:
        """How far the balance is below zero, 0 or more."""
        return max(0, -self.balance)

    @property
    def promised_but_gone(self) -> int:
        """Promised units that are not there, whatever the safety stock; 0 or more."""
        return max(0, self.reserved - self.on_hand)

    @property
    def overdrawn(self) -> int:
        """Promised units that are not there although no cancel is on its way (that makes `exposed` smaller)."""
        return min(self.promised_but_gone, max(0, self.reserved + self.exposed - self.on_hand))


class Movement(Struct, frozen=True, gc=False):
    """One immutable row of the journal; quantities in units. `channel`: whose order moved them, if an order did.

    `traceparent` (W3C) is the span that asked for it, if that is traced.
    """

    revision: int
    record_time: datetime
    occur_time: datetime
    kind: MovementKind
    sku: str
    location: str
    quantity: int
    on_hand_change: int
    reserved_change: int
    on_hand_after: int
    reserved_after: int
    safety_stock_after: int
    reservation_id: int | None = None
    request_id: str | None = None
    reason: str | None = None
    corrects_revision: int | None = None
    absorbed_by_revision: int | None = None
    channel: str | None = None
    traceparent: str | None = None


class Shortfall(Struct, frozen=True, array_like=True, gc=False):
    """`quantity` units sold that cannot be served."""

    shortfall_id: int
    cause: ShortfallCause
    sku: str
    location: str
    quantity: int
    open_time: datetime
    reservation_id: int | None = None
    order_id: str = ""
    owner: str = ""
    resolution: str = ""
    resolve_time: datetime | None = None


class SkuRule(Struct, frozen=True, gc=False):
    """What the ledger must know of a SKU beside its levels."""

    safety_stock: int = 0
    frozen: bool = False
