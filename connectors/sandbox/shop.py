"""A shop on a platform: what it shows, what it has sold. Platform-neutral; the servers put the protocol before it.

A shop sells from the number it shows and from nothing else, as the real platforms do. All times are on the shop's own
clock, which may be wrong (`skew`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from connectors.base import ListingKey, OrderState

Clock = Callable[[], datetime]


class TakesOn(StrEnum):
    """When the platform takes units off the shelf."""

    ORDER = "order"
    PAYMENT = "payment"


@dataclass(frozen=True)
class ShopFacts:
    """What a platform does by itself, and never says."""

    takes_on: TakesOn = TakesOn.ORDER
    # A close before payment, or a refund before shipping, puts the units back on the shelf.
    close_restores: bool = True
    refund_restores: bool = True
    # An unpaid order is closed after this.
    payment_limit: timedelta = timedelta(minutes=15)


@dataclass
class Display:
    """One listing: what it shows, and what unpaid orders withhold where units are taken on payment."""

    key: ListingKey
    title: str = ""
    outer_id: str = ""
    shown: int = 0
    withheld: int = 0
    deleted: bool = False
    update_time: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    # An old number that whoever asks is still told, while the shop sells from what it shows; None: there is none.
    cached: int | None = None

    @property
    def told(self) -> int:
        """What whoever asks is told that it shows."""
        return self.shown if self.cached is None else self.cached


@dataclass(frozen=True)
class ShopLine:
    """`quantity` units of a listing; `refunded` of them were given their money back."""

    line_id: str
    key: ListingKey
    quantity: int
    refunded: int = 0
    shipped: bool = False
    given_back_time: datetime | None = None


@dataclass(frozen=True)
class ShopOrder:
    """An order as the platform has it."""

    order_id: str
    state: OrderState
    lines: tuple[ShopLine, ...]
    placed_time: datetime
    update_time: datetime
    paid_time: datetime | None = None
    shipped_time: datetime | None = None

    @property
    def live_units(self) -> int:
        """Units the buyer is owed."""
        return 0 if self.state is OrderState.CLOSED else sum(line.quantity - line.refunded for line in self.lines)


class EventKind(StrEnum):
    """What a platform tells of an order."""

    PLACED = "placed"
    PAID = "paid"
    CLOSED = "closed"
    REFUNDED = "refunded"
    SHIPPED = "shipped"
    STOCK_CHANGED = "stock_changed"


@dataclass(frozen=True)
class Event:
    """Something happened: to an order as it is now, or to what a listing shows."""

    kind: EventKind
    time: datetime
    order: ShopOrder | None = None
    key: ListingKey | None = None
    change: int = 0


@dataclass
class Tally:
    """What a shop counts."""

    orders: int = 0
    units_sold: int = 0
    refused: int = 0
    hand_edits: int = 0
    hand_edited_units: int = 0


class SoldOut(Exception):
    """Fewer units are shown than the buyer wants."""


@dataclass
class Shop:
    """One shop. Methods are called on one event loop; each is one instant of the platform.

    `new_number` makes the digits of order ids. `heard` is told of every event, at once.
    """

    facts: ShopFacts = field(default_factory=ShopFacts)
    now: Clock = field(default=lambda: datetime.now(UTC))
    skew: timedelta = timedelta()
    first_order_number: int = 2_000_000_000_000_000_001
    heard: list[Callable[[Event], None]] = field(default_factory=list)
    displays: dict[ListingKey, Display] = field(default_factory=dict)
    orders: dict[str, ShopOrder] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    @property
    def time(self) -> datetime:
        """The shop's clock."""
        return self.now() + self.skew

    # ---- the shelf, for the servers

    def put_on_sale(self, key: ListingKey, *, title: str = "", outer_id: str = "", shown: int = 0) -> Display:
        """Begin to sell a listing."""
        self.displays[key] = Display(key, title, outer_id, shown, update_time=self.time)
        return self.displays[key]

    def items(self, item_id: str) -> list[Display]:
        """The listings of one item, by SKU id."""
        return sorted((d for d in self.displays.values() if d.key.item_id == item_id), key=lambda d: d.key)

    def show(self, key: ListingKey, shown: int) -> Display:
        """Set what a listing shows; the caller has checked that the platform would."""
        assert shown >= 0, f"{key} cannot show {shown}"
        display = self.displays[key]
        change, display.shown, display.update_time = shown - display.shown, shown, self.time
        if change:
            self._tell(Event(EventKind.STOCK_CHANGED, self.time, key=key, change=change))
        return display

    def edit_by_hand(self, key: ListingKey, shown: int) -> None:
        """Somebody types a number into the seller's console."""
        self.tally.hand_edits += 1
        self.tally.hand_edited_units += max(0, shown - self.displays[key].shown)
        self.show(key, shown)

    def cache(self, key: ListingKey) -> None:
        """From now on whoever asks is told what is shown now, whatever becomes of it."""
        self.displays[key].cached = self.displays[key].shown

    def forget_cached(self, key: ListingKey) -> None:
        """Whoever asks is told the truth again."""
        self.displays[key].cached = None

    # ---- buyers

    def place(self, wanted: dict[ListingKey, int]) -> ShopOrder:
        """A buyer orders; raises `SoldOut`, and then nothing has happened."""
        for key, quantity in wanted.items():
            display = self.displays[key]
            if display.deleted or quantity > display.shown - display.withheld:
                self.tally.refused += 1
                raise SoldOut(f"{key} shows {display.shown}")
        for key, quantity in wanted.items():
            display = self.displays[key]
            if self.facts.takes_on is TakesOn.ORDER:
                display.shown -= quantity
            else:
                display.withheld += quantity
        number = self.first_order_number + len(self.orders) * 10
        lines = tuple(
            ShopLine(str(number + place), key, quantity) for place, (key, quantity) in enumerate(wanted.items())
        )
        order = ShopOrder(str(number), OrderState.PLACED, lines, self.time, self.time)
        self.tally.orders += 1
        self.tally.units_sold += sum(wanted.values())
        return self._keep(order, EventKind.PLACED)

    def pay(self, order_id: str) -> ShopOrder:
        """The buyer pays; an order that is not waiting for it stays as it is."""
        order = self.orders[order_id]
        if order.state is not OrderState.PLACED:
            return order
        if self.facts.takes_on is TakesOn.PAYMENT:
            for line in order.lines:
                display = self.displays[line.key]
                display.withheld -= line.quantity
                display.shown = max(0, display.shown - line.quantity)
        time = self.time
        return self._keep(replace(order, state=OrderState.PAID, paid_time=time, update_time=time), EventKind.PAID)

    def close(self, order_id: str) -> ShopOrder:
        """An unpaid order is given up, by the buyer or by the payment limit."""
        order = self.orders[order_id]
        if order.state is not OrderState.PLACED:
            return order
        time = self.time
        for line in order.lines:
            display = self.displays[line.key]
            if self.facts.takes_on is TakesOn.PAYMENT:
                display.withheld -= line.quantity
            elif self.facts.close_restores:
                display.shown += line.quantity
        lines = tuple(replace(line, given_back_time=time) for line in order.lines)
        self.tally.units_sold -= order.live_units
        return self._keep(replace(order, state=OrderState.CLOSED, lines=lines, update_time=time), EventKind.CLOSED)

    def refund(self, order_id: str, line_id: str, quantity: int) -> ShopOrder:
        """A paid line's buyer gets the money for `quantity` units back."""
        order = self.orders[order_id]
        if order.state is not OrderState.PAID:
            return order
        time = self.time
        lines = []
        for line in order.lines:
            if line.line_id == line_id:
                back = min(quantity, line.quantity - line.refunded)
                if self.facts.refund_restores and not line.shipped:
                    self.displays[line.key].shown += back
                self.tally.units_sold -= back
                line = replace(line, refunded=line.refunded + back, given_back_time=time)
            lines.append(line)
        return self._keep(replace(order, lines=tuple(lines), update_time=time), EventKind.REFUNDED)

    def ship(self, order_id: str) -> ShopOrder:
        """The goods of a paid order leave."""
        order = self.orders[order_id]
        if order.state is not OrderState.PAID:
            return order
        time = self.time
        lines = tuple(replace(line, shipped=True) for line in order.lines)
        return self._keep(replace(order, lines=lines, shipped_time=time, update_time=time), EventKind.SHIPPED)

    # ---- what there is, for the servers and the judge

    def updated_between(self, since: datetime, until: datetime) -> list[ShopOrder]:
        """Orders updated in [since, until], oldest update first."""
        found = (order for order in self.orders.values() if since <= order.update_time <= until)
        return sorted(found, key=lambda order: (order.update_time, order.order_id))

    def live_lines(self) -> Iterator[ShopLine]:
        """The lines whose buyers are owed goods."""
        for order in self.orders.values():
            if order.state is not OrderState.CLOSED:
                yield from order.lines

    def _keep(self, order: ShopOrder, kind: EventKind) -> ShopOrder:
        self.orders[order.order_id] = order
        self._tell(Event(kind, self.time, order=order))
        return order

    def _tell(self, event: Event) -> None:
        for hear in self.heard:
            hear(event)
