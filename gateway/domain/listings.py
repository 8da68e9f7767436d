"""Channels and listings as the ledger sees them: what a platform does by itself, and what a listing may still sell.

Quantities of a listing are in sales; one sale takes `units` of each component. Times that a platform states are on the
platform's clock, and are only ever compared with other times of the same platform.
"""

from datetime import datetime, timedelta
from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace

# Half of what was sold this long ago is forgotten in a listing's pace.
PACE_HALF_LIFE_SECONDS = 30.0
_LN2 = 0.6931471805599453

ListingKey = tuple[str, str, str]


class Platform(IntEnum):
    """Where a shop is. The numbers are those of the proto and are stored."""

    TAOBAO = 1
    DOUYIN = 2
    KUAISHOU = 3


class TakesOn(IntEnum):
    """When a platform takes units off the shelf (R33). The numbers are those of the proto and are stored."""

    ORDER = 1
    PAYMENT = 2


class ChannelFacts(Struct, frozen=True, array_like=True, gc=False):
    """What is true of a platform (R26, R33). Times in milliseconds.

    `apply_late_ms`: the longest time after which a call that was given up may still be applied. `clock_margin_ms`: how
    far the times the platform states may be off, its granularity included.
    """

    takes_on: TakesOn = TakesOn.ORDER
    close_restores: bool = True
    refund_restores: bool = True
    payment_limit_ms: int = 30 * 60 * 1000
    apply_late_ms: int = 30_000
    clock_margin_ms: int = 2_000

    @property
    def margin(self) -> timedelta:
        """`clock_margin_ms` as an interval."""
        return timedelta(milliseconds=self.clock_margin_ms)


class ChannelRule(Struct, frozen=True, gc=False):
    """What the ledger must know of a channel; `locations` () means all, in their own order."""

    channel: str
    locations: tuple[str, ...]
    facts: ChannelFacts
    watermark: datetime | None = None


class Component(Struct, frozen=True, array_like=True, gc=False):
    """`units` of a SKU are in one sale."""

    sku: str
    units: int


class Share(Struct, frozen=True, array_like=True, gc=False):
    """So many sales are served by one location."""

    location: str
    sales: int


class PushKind(IntEnum):
    """What to do to a listing's number. The numbers are those of the proto and are stored."""

    RAISE = 1
    LOWER = 2
    TO_ZERO = 3


class PushResult(IntEnum):
    """What became of a push. The numbers are those of the proto and are stored; READ_BACK is the gateway's own."""

    APPLIED = 1
    NOT_SENT = 2
    UNKNOWN = 3
    REFUSED = 4
    READ_BACK = 5


class Push(Struct, frozen=True, array_like=True, gc=False):
    """A change under way: `shares` says which location gives or gets how many sales, in order.

    `traceparent` (W3C) is the span that decided it, "" if none did.
    """

    push_id: int
    kind: PushKind
    shares: tuple[Share, ...]
    create_time: datetime
    urgency: float = 0.0
    withdrawn: bool = False
    unknown_since: datetime | None = None
    traceparent: str = ""

    @property
    def sales(self) -> int:
        """Sales to add or take away."""
        return sum(share.sales for share in self.shares)


class Reading(Struct, frozen=True, array_like=True, gc=False):
    """What a listing showed between two times, waiting for the watermark; and what we have done to it since.

    `raised` counts every raise that may have been applied since, `lowered` every lowering that certainly was.
    """

    shown: int
    begin_time: datetime
    end_time: datetime
    raised: int = 0
    lowered: int = 0


class ListingState(Struct, frozen=True, array_like=True, gc=False):
    """What the ledger knows of a listing; stored as a JSON array, so new fields go to the END with a default.

    `exposure` is None until the listing was read for the first time. `read_id` is not 0 while a reading is asked for.
    `below_zero_time` is the platform's time of the order that made the exposure negative, None if none has. `permitted`
    says that its policy lets it show units that others show too; then no level counts them as exposed. `unsure`: the
    last lowering took away at least what was booked, perhaps more; a reading will tell.
    """

    exposure: tuple[Share, ...] | None = None
    push: Push | None = None
    reading: Reading | None = None
    last_push_id: int = 0
    read_id: int = 0
    shown: int | None = None
    read_time: datetime | None = None
    below_zero_time: datetime | None = None
    permitted: bool = False
    pace: float = 0.0
    pace_time: datetime | None = None
    parked_reason: str = ""
    unsure: bool = False

    @property
    def sales_left(self) -> int:
        """The most it may still sell; below zero while a cancel is on its way. 0 if it was never read."""
        return sum(share.sales for share in self.exposure or ())

    def exposed_at(self, location: str) -> int:
        """The sales one location serves."""
        return sum(share.sales for share in self.exposure or () if share.location == location)

    def moved(self, location: str, sales: int) -> "ListingState":
        """The same with so many sales more (or, negative, fewer) at a location."""
        shares = {share.location: share.sales for share in self.exposure or ()}
        shares[location] = shares.get(location, 0) + sales
        return replace(self, exposure=tuple(Share(at, left) for at, left in shares.items() if left))

    def pace_at(self, now: datetime) -> float:
        """Sales per second, those of the last half minute counting most."""
        if self.pace_time is None:
            return 0.0
        age = max(0.0, (now - self.pace_time).total_seconds())
        return float(self.pace * 0.5 ** (age / PACE_HALF_LIFE_SECONDS))

    def sold(self, now: datetime, sales: int) -> "ListingState":
        """The same after so many sales."""
        pace = self.pace_at(now) + sales * _LN2 / PACE_HALF_LIFE_SECONDS
        return replace(self, pace=pace, pace_time=now)


class Listing(Struct, frozen=True, gc=False):
    """What a channel sells; `takes_on` None means as the channel does."""

    listing_id: int
    channel: str
    item_id: str
    platform_sku_id: str
    components: tuple[Component, ...]
    takes_on: TakesOn | None = None
    state: ListingState = ListingState()

    @property
    def key(self) -> ListingKey:
        """The channel's code and the platform's ids."""
        return self.channel, self.item_id, self.platform_sku_id
