"""What connectors report and the allocator decides: commands of the gateway's own, and what is kept of them.

None has a request id: an order is known by its own id, a push by its number, and the same report again changes nothing.
"""

from datetime import datetime
from enum import IntEnum

from msgspec import Struct

from gateway.domain.listings import Listing, PushKind, PushResult, Share


class OrderState(IntEnum):
    """Where an order is; it only moves forward. The numbers are those of the proto and are stored."""

    PLACED = 1
    PAID = 2
    CLOSED = 3


class OrderLine(Struct, frozen=True, array_like=True, gc=False):
    """One line of a snapshot; `quantity` and `refunded` in sales. Times are the platform's."""

    line_id: str
    item_id: str
    platform_sku_id: str
    quantity: int
    refunded: int = 0
    shipped: bool = False
    given_back_time: datetime | None = None


class KnownLine(Struct, frozen=True, array_like=True, gc=False):
    """A line, and what the ledger did for it: `taken` sales by location, `returned` of them on the shelf again.

    Stored; new fields go to the END with a default. `listing_id` 0: nobody has linked its listing yet.
    `take_time` is the platform's time at which it took the units off its shelf. `parts` says how many units of each
    line of the reservation are in one sale, as it was then.
    """

    line: OrderLine
    listing_id: int = 0
    reservation_id: int = 0
    taken: tuple[Share, ...] = ()
    returned: int = 0
    take_time: datetime | None = None
    parts: tuple[int, ...] = ()

    @property
    def is_waiting(self) -> bool:
        """True if somebody is owed goods and the listing is not linked."""
        return self.listing_id == 0 and self.line.quantity > self.line.refunded


class KnownOrder(Struct, frozen=True, gc=False):
    """An order as we know it."""

    channel: str
    order_id: str
    state: OrderState
    update_time: datetime
    placed_time: datetime
    paid_time: datetime | None
    lines: tuple[KnownLine, ...]

    @property
    def is_waiting(self) -> bool:
        """True if a line waits for its listing."""
        return self.state is not OrderState.CLOSED and any(line.is_waiting for line in self.lines)


class SellingCommand(Struct, frozen=True, gc=False, tag=True):
    """A wish of a connector or of the allocator."""

    @property
    def request_id(self) -> str:
        """None: see above."""
        return ""


class TakeOrder(SellingCommand, frozen=True, gc=False):
    """An order as its platform had it at `update_time`."""

    channel: str
    order_id: str
    state: OrderState
    lines: tuple[OrderLine, ...]
    placed_time: datetime
    update_time: datetime
    paid_time: datetime | None = None


class LinkOrders(SellingCommand, frozen=True, gc=False):
    """Lines of these orders may have got their listing: take them in."""

    channel: str
    order_ids: tuple[str, ...]


class MoveWatermark(SellingCommand, frozen=True, gc=False):
    """All that has happened to orders of the channel up to this time is in; None only asks where the watermark is."""

    channel: str
    watermark: datetime | None = None


class PlanPush(SellingCommand, frozen=True, gc=False):
    """Change what a listing shows, if it can still be: `shares` says by how many sales at which locations.

    `permitted`: the policy lets it show units that are not its own (R29 shared, shown minimum). `origin_time` is when
    the oldest movement was recorded that it answers, and `origin_revision` the newest; None if it answers none.
    `traceparent` (W3C) is the span that decides it, "" for that of the whole call.
    """

    listing_id: int
    kind: PushKind
    shares: tuple[Share, ...]
    urgency: float = 0.0
    permitted: bool = False
    origin_revision: int | None = None
    origin_time: datetime | None = None
    traceparent: str = ""


class WithdrawPush(SellingCommand, frozen=True, gc=False):
    """The push is wanted no more, if it has not begun."""

    listing_id: int
    push_id: int


class ReportPush(SellingCommand, frozen=True, gc=False):
    """What became of a push; `applied` in sales, of an UNKNOWN one those certainly taken away."""

    listing_id: int
    push_id: int
    result: PushResult
    applied: int = 0
    attempts: int = 0
    duration_ms: int = 0
    error: str = ""


class AskReading(SellingCommand, frozen=True, gc=False):
    """Have the listing read; `unpark` also ends what a refusal has stopped."""

    listing_id: int
    unpark: bool = False


class TakeReading(SellingCommand, frozen=True, gc=False):
    """What a listing showed; `error` says why it could not be read."""

    listing_id: int
    shown: int
    begin_time: datetime
    end_time: datetime
    after_push_id: int = 0
    read_id: int = 0
    error: str = ""


class JudgeReading(SellingCommand, frozen=True, gc=False):
    """The watermark has passed a listing's reading: say what it means."""

    listing_id: int


class SettleBelowZero(SellingCommand, frozen=True, gc=False):
    """The watermark has passed the order that took a listing below zero: no cancel is on its way (R23)."""

    listing_id: int


AnySelling = (
    TakeOrder
    | LinkOrders
    | MoveWatermark
    | PlanPush
    | WithdrawPush
    | ReportPush
    | AskReading
    | TakeReading
    | JudgeReading
    | SettleBelowZero
)


class OrderTaken(Struct, frozen=True, gc=False):
    """Answer to an order: whether it changed anything, and how many of its lines wait for their listing."""

    changed: bool
    unlinked: int = 0


class WatermarkMoved(Struct, frozen=True, gc=False):
    """Answer to a watermark: where it is now, None if nobody has ever said."""

    watermark: datetime | None


class ListingChanged(Struct, frozen=True, gc=False):
    """Answer to everything about one listing: the listing afterwards, and whether the command did something."""

    listing: Listing
    changed: bool = True


AnySellingAnswer = OrderTaken | WatermarkMoved | ListingChanged


class PushRecord(Struct, frozen=True, gc=False):
    """A push as it is kept: decided, and once it is over with its result. The last three are kept when it is decided.

    `traceparent` (W3C) is the span that decided it; for the other two see `PlanPush`.
    """

    push_id: int
    listing_id: int
    kind: PushKind
    sales: int
    create_time: datetime
    settle_time: datetime | None = None
    result: PushResult | None = None
    applied: int | None = None
    attempts: int | None = None
    duration_ms: int | None = None
    error: str | None = None
    traceparent: str | None = None
    origin_revision: int | None = None
    origin_time: datetime | None = None


class Drift(Struct, frozen=True, gc=False):
    """A reading that fits neither our books nor what may have happened meanwhile (R30)."""

    drift_id: int
    listing_id: int
    channel: str
    shown: int
    exposure_before: int
    exposure_least: int
    exposure_most: int
    read_time: datetime
    judge_time: datetime
    action: str
