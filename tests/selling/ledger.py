"""Our own side in memory: what a group loads, what the rules decide, what it saves."""

from collections.abc import Iterable
from typing import Any, Protocol

from gateway.domain.allocation import allocate
from gateway.domain.book import Book
from gateway.domain.changes import Counters
from gateway.domain.division import Lock, Situation
from gateway.domain.errors import GatewayError
from gateway.domain.groups import Wish, decide, needs
from gateway.domain.listings import ChannelRule, Listing
from gateway.domain.policies import Policy
from gateway.domain.selling import KnownOrder
from gateway.domain.stock import Level, Shortfall, SkuRule
from tests.selling.timeline import Timeline


class Gateway(Protocol):
    """What connectors report to."""

    listings: dict[int, Listing]

    def apply(self, *commands: Wish) -> list[Any]:
        """Book what is reported; one outcome each."""


class Ledger:
    """The gateway's rules over one merchant's stock, without database and network."""

    def __init__(self, timeline: Timeline, skus: Iterable[str], locations: tuple[str, ...]) -> None:
        """Have nothing on hand yet."""
        self.timeline = timeline
        self.locations = locations
        self.counters = Counters()
        self.rules = {sku: SkuRule() for sku in skus}
        self.levels: dict[tuple[str, str], Level] = {}
        self.reservations: dict[int, Any] = {}
        self.channels: dict[str, ChannelRule] = {}
        self.listings: dict[int, Listing] = {}
        self.orders: dict[tuple[str, str], KnownOrder] = {}
        self.shortfalls: list[Shortfall] = []
        self.policies: dict[str, Policy] = {}
        self.locks: dict[str, Lock] = {}

    def apply(self, *commands: Wish) -> list[Any]:
        """Decide a group and save it."""
        needed = needs(commands)
        orders = {key: self.orders[key] for key in needed.orders if key in self.orders}
        ids = {line.reservation_id for order in orders.values() for line in order.lines}
        read = [self.listings[number] for number in needed.readings if self.listings[number].state.reading]
        recent = {listing.listing_id: self._recent(listing) for listing in read}
        book = Book(
            now=self.timeline.time,
            counters=self.counters,
            locations=self.locations,
            skus=self.rules,
            levels=self.levels,
            reservations={one: self.reservations[one] for one in self._with_successors(ids | needed.reservation_ids)},
            channels=self.channels,
            listings=self.listings,
            orders=orders,
            recent_orders=recent,
        )
        outcomes = decide(book, list(commands))
        changes = book.changed()
        self.counters = changes.counters
        self.levels |= changes.levels
        self.listings |= changes.listings
        self.channels |= changes.channels
        self.orders |= changes.orders
        self.shortfalls += changes.shortfalls
        for reservation in (*changes.reservations_new, *changes.reservations_changed):
            self.reservations[reservation.reservation_id] = reservation
        return outcomes

    def allocate(self, open_channels: frozenset[str]) -> None:
        """One look of the allocator."""
        situation = Situation(
            self.timeline.time,
            list(self.listings.values()),
            self.levels,
            self.channels,
            self.policies,
            self.locations,
            open_channels,
            locks=self.locks,
        )
        for command in allocate(situation):
            (outcome,) = self.apply(command)
            assert not isinstance(outcome, GatewayError), outcome

    def _with_successors(self, ids: set[int]) -> set[int]:
        known = ids & self.reservations.keys()
        return known | {self.reservations[one].replaced_by_reservation_id for one in known} - {None}

    def _recent(self, listing: Listing) -> list[KnownOrder]:
        reading = listing.state.reading
        assert reading is not None, "one that was read"
        since = reading.begin_time - self.channels[listing.channel].facts.margin
        return [o for o in self.orders.values() if o.channel == listing.channel and o.update_time > since]
