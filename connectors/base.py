"""What a platform is to the agent: the values that cross the border, and what a platform can do, as data.

Every platform's own words, ids, units and times end in its package; here ids are strings, quantities whole units and
times aware UTC, on the platform's clock.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol

from connectors.errors import ConnectorError


class ListingKey(NamedTuple):
    """What a shop sells, by the platform's ids; `platform_sku_id` is "" where an item has no SKUs."""

    item_id: str
    platform_sku_id: str


class OrderState(IntEnum):
    """Where an order is. The numbers are those of the proto."""

    PLACED = 1
    PAID = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class OrderLine:
    """`quantity` units of one listing as ordered; of those `refunded` units whose refund has succeeded.

    `shipped` says that the goods have left, so that a refund alone brings nothing back to the shelf. `given_back_time`
    is when the platform closed the line or refunded its last unit, None if it has not.
    """

    line_id: str
    key: ListingKey
    quantity: int
    refunded: int = 0
    shipped: bool = False
    given_back_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """An order as the platform has it at `update_time`.

    CLOSED means closed before payment; a paid order whose lines were refunded stays PAID, with `refunded` in its lines.
    """

    order_id: str
    state: OrderState
    lines: tuple[OrderLine, ...]
    placed_time: datetime
    update_time: datetime
    paid_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a listing may still sell: `shown` units, of which `withheld` are out of a lowering's reach.

    Withheld is what unpaid orders will take once they are paid, or what is locked for a promotion.
    """

    key: ListingKey
    shown: int
    withheld: int = 0


class Change(NamedTuple):
    """Units to add to (negative: to take from) what a listing shows; repeated with its `change_id` it is one change."""

    key: ListingKey
    units: int
    change_id: str


class Applied(NamedTuple):
    """What the platform really did, in signed units; None: it does not say, and `shown` is all there is to go by."""

    units: int | None
    shown: int | None = None


class BelowZeroRule(Enum):
    """What a platform does with a lowering by more than it shows."""

    REFUSES = "refuses"  # nothing is applied, and it says so
    CLAMPS = "clamps"  # it shows 0 and says success


@dataclass(frozen=True)
class Capabilities:
    """A platform's write and read semantics, as data."""

    platform: str
    sets_absolute: bool
    below_zero: BelowZeroRule
    # A change repeated with the same id is applied once.
    idempotent: bool
    # So many listings in one call.
    changes_at_once: int
    reads_at_once: int
    # The granularity of order times.
    time_resolution: timedelta
    # The longest span of one query for orders, and how long an order may take to show up in it.
    window_max: timedelta
    visibility_lag: timedelta


class Tokens(NamedTuple):
    """A seller's grant; `expire_time` is that of the access token, None if it never expires."""

    access_token: str
    refresh_token: str = ""
    expire_time: datetime | None = None


class Hint(NamedTuple):
    """Something happened to this order, or to what this listing shows; look yourself. `message_id` tells repeats."""

    message_id: str
    order_id: str = ""
    key: ListingKey | None = None


class Inbound(NamedTuple):
    """An HTTP push as it came in; header names in lower case."""

    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """What the platform gets to read: JSON with HTTP status `status`."""

    status: int
    body: bytes


class Platform(Protocol):
    """One shop on one platform. Every method may raise any `ConnectorError`; writes raise `OutcomeUnknown`."""

    capabilities: Capabilities

    async def change(self, change: Change) -> Applied:
        """Move what one listing shows; raises `BelowZero` where the platform refuses."""

    async def change_many(self, changes: Sequence[Change]) -> list[Applied | ConnectorError]:
        """The same for up to `changes_at_once` listings, as few calls as can be; one result each, never raised."""

    async def set_shown(self, key: ListingKey, units: int) -> Applied:
        """Set what a listing shows; only where `sets_absolute`."""

    async def read(self, keys: Sequence[ListingKey]) -> dict[ListingKey, Shelf | ConnectorError]:
        """What these listings show, up to `reads_at_once` of them; one that is gone is `Rejected`."""

    def orders(self, since: datetime, until: datetime) -> AsyncIterator[list[OrderSnapshot]]:
        """Every order that was updated in [since, until], in pages; whole once the iteration ends.

        An order that is updated while the pages are walked may be missed here if it moves beyond `until`, never else.
        """

    async def order(self, order_id: str) -> OrderSnapshot | None:
        """One order as it is now; None if the platform has none."""

    async def refresh(self, tokens: Tokens) -> Tokens:
        """New tokens for the old; the caller stores them before it uses them. Raises `AuthExpired` if it is over."""

    def use(self, tokens: Tokens) -> None:
        """From now on call with these."""

    def open(self, inbound: Inbound) -> list[Hint]:
        """Check and read an HTTP push; [] for probes and heartbeats. Raises `Forged`."""

    def reply(self, *, taken: bool) -> Reply:
        """What to answer an HTTP push: taken in, or to be sent again."""

    async def listen(self, heard: Callable[[Hint], Awaitable[None]]) -> None:
        """Keep the platform's long connection, if it has one, until cancelled; confirm what `heard` has taken in.

        `heard` raises what it raises; then the message is not confirmed and comes again. Returns at once if
        the platform has no such connection.
        """
