"""A world in virtual time: our own rules (`decide`, `allocate`) against three shops that sell by themselves.

The shops are those of the sandbox; the connectors are played here, event by event, with every fault there is: calls
that are lost, answered to nobody, applied after the time-out; pushes that are lost, doubled and overtaken; polls that
fail; a platform that is away; a person who types numbers into the console; clocks that are wrong and count whole
seconds only. A judge who sees everything looks after every event.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import ListingKey
from connectors.base import OrderState as ShopOrderState
from connectors.sandbox.shop import Event, Shop, ShopFacts, ShopOrder, SoldOut
from connectors.sandbox.shop import TakesOn as ShopTakesOn
from gateway.domain.allocation import Situation, allocate
from gateway.domain.book import Book
from gateway.domain.changes import Counters
from gateway.domain.commands import ReceiveStock, ReserveLine, ReserveStock
from gateway.domain.errors import GatewayError
from gateway.domain.groups import Wish, decide, needs
from gateway.domain.listings import (
    ChannelFacts,
    ChannelRule,
    Component,
    Listing,
    Push,
    PushKind,
    PushResult,
    TakesOn,
)
from gateway.domain.policies import Policy
from gateway.domain.selling import (
    KnownOrder,
    MoveWatermark,
    OrderLine,
    OrderState,
    ReportPush,
    TakeOrder,
    TakeReading,
)
from gateway.domain.stock import Level, Shortfall, SkuRule

START = datetime(2026, 11, 11, 12, tzinfo=UTC)
POLL_SECONDS = 2.0
LAG = timedelta(seconds=2)
OVERLAP = timedelta(seconds=10)
CALL_TIMEOUT_SECONDS = 1.0
APPLY_LATE_SECONDS = 3.0
LOOK_SECONDS = 0.1
LOWER_TRIES = 4


@dataclass(frozen=True)
class Nature:
    """How bad the world is; chances per call or per push."""

    fault: float = 0.0
    push_lost: float = 0.02
    hand_edits: int = 0
    away: bool = False
    skew_seconds: float = 0.0


CALM = Nature()
HARSH = Nature(fault=0.05, push_lost=0.3, away=True, skew_seconds=0.4)


@dataclass(frozen=True)
class Temper:
    """How one platform behaves."""

    idempotent: bool = False
    clamps: bool = False
    whole_seconds: bool = True
    facts: ShopFacts = field(default_factory=ShopFacts)


class Ledger:
    """Our own side, in memory: what a group loads and saves."""

    def __init__(self, world: World, skus: dict[str, int], locations: tuple[str, ...]) -> None:
        self.world = world
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

    def apply(self, *commands: Wish) -> list[Any]:
        """Decide a group and save it."""
        needed = needs(commands)
        orders = {key: self.orders[key] for key in needed.orders if key in self.orders}
        ids = {line.reservation_id for order in orders.values() for line in order.lines}
        recent = {number: self._recent(self.listings[number]) for number in needed.readings}
        book = Book(
            now=self.world.time,
            counters=self.counters,
            locations=self.locations,
            skus=self.rules,
            levels=self.levels,
            reservations={one: self.reservations[one] for one in ids | needed.reservation_ids if one},
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
            self.world.time,
            list(self.listings.values()),
            self.levels,
            self.channels,
            self.policies,
            self.locations,
            open_channels,
        )
        for command in allocate(situation):
            (outcome,) = self.apply(command)
            assert not isinstance(outcome, GatewayError), outcome

    def _recent(self, listing: Listing) -> list[KnownOrder]:
        reading = listing.state.reading
        if reading is None:
            return []
        since = reading.begin_time - self.channels[listing.channel].facts.margin
        return [o for o in self.orders.values() if o.channel == listing.channel and o.update_time > since]


class Platform:
    """One shop, and the connector that serves it."""

    def __init__(self, world: World, name: str, temper: Temper, rate: float) -> None:
        self.world, self.name, self.temper, self.rate = world, name, temper, rate
        skew = timedelta(seconds=world.random.uniform(-1, 1) * world.nature.skew_seconds)
        self.shop = Shop(facts=temper.facts, now=lambda: world.time, skew=skew, heard=[self._heard])
        self.watermark = START - timedelta(hours=1)
        self.begun: set[int] = set()
        self.asked: set[int] = set()
        self.applied_ids: dict[int, int | None] = {}
        self.edited = 0
        self.owed: dict[ListingKey, int] = {}
        self._owed_by_line: dict[str, int] = {}

    # ---- buyers

    def buyer(self) -> None:
        world, chance = self.world, self.world.random
        surge = 3 if 20 < world.seconds < 30 and self.name == world.loud else 1
        if world.seconds < world.selling_seconds:
            world.at(chance.expovariate(self.rate * surge), self.buyer)
        key = chance.choice(sorted(self.shop.displays))
        try:
            order = self.shop.place({key: 1 if chance.random() < 0.9 else 2})
        except SoldOut:
            return
        fate = chance.random()
        if fate < 0.14:
            world.at(chance.uniform(5, 20), self.shop.close, order.order_id)
        else:
            world.at(chance.expovariate(1 / 8), self._pay, order.order_id, chance.random() < 0.1)

    def _pay(self, order_id: str, is_refunded: bool) -> None:
        order = self.shop.pay(order_id)
        if is_refunded:
            line = order.lines[0]
            self.world.at(self.world.random.uniform(3, 30), self.shop.refund, order_id, line.line_id, 1)

    def edit(self) -> None:
        """Somebody types a number into the console."""
        key = self.world.random.choice(sorted(self.shop.displays))
        before = self.shop.displays[key].shown
        self.shop.edit_by_hand(key, before + self.world.random.randint(1, 5))
        self.edited += self.shop.displays[key].shown - before

    def _count(self, order: ShopOrder) -> None:
        """Keep the sum of what buyers are owed; where payment takes, nobody is owed anything before."""
        is_owed = order.state is ShopOrderState.PAID or (
            order.state is ShopOrderState.PLACED and self.temper.facts.takes_on is ShopTakesOn.ORDER
        )
        for line in order.lines:
            now = line.quantity - line.refunded if is_owed else 0
            before = self._owed_by_line.get(line.line_id, 0)
            self._owed_by_line[line.line_id] = now
            self.owed[line.key] = self.owed.get(line.key, 0) + now - before

    # ---- orders come in

    def _heard(self, event: Event) -> None:
        if event.order is None:
            return
        self._count(event.order)
        if self.is_away:
            return
        snapshot = self._snapshot(event.order)
        chance = self.world.random
        if chance.random() < self.world.nature.push_lost:
            return
        for _ in range(2 if chance.random() < 0.1 else 1):
            self.world.at(chance.expovariate(3), self._take, [snapshot], None)

    def poll(self) -> None:
        self.world.at(POLL_SECONDS, self.poll)
        if self.is_away or self.world.random.random() < self.world.nature.fault:
            return
        until = self._stamp(self.shop.time) - LAG
        page = [
            self._snapshot(order)
            for order in self.shop.orders.values()
            if self.watermark - OVERLAP <= self._stamp(order.update_time)
        ]
        self.world.random.shuffle(page)
        self.world.at(self.world.latency(), self._take, page, until)

    def _take(self, page: list[TakeOrder], watermark: datetime | None) -> None:
        commands: list[Wish] = [*page]
        if watermark is not None:
            self.watermark = max(self.watermark, watermark)
            commands.append(MoveWatermark(self.name, watermark))
        for outcome in self.world.ledger.apply(*commands):
            assert not isinstance(outcome, GatewayError), outcome

    def _snapshot(self, order: ShopOrder) -> TakeOrder:
        lines = tuple(
            OrderLine(
                line.line_id,
                line.key.item_id,
                line.key.platform_sku_id,
                line.quantity,
                line.refunded,
                line.shipped,
                line.given_back_time and self._stamp(line.given_back_time),
            )
            for line in order.lines
        )
        return TakeOrder(
            self.name,
            order.order_id,
            OrderState(order.state),
            lines,
            self._stamp(order.placed_time),
            self._stamp(order.update_time),
            order.paid_time and self._stamp(order.paid_time),
        )

    def _stamp(self, time: datetime) -> datetime:
        return time.replace(microsecond=0) if self.temper.whole_seconds else time

    @property
    def is_away(self) -> bool:
        return self.world.nature.away and self.name == self.world.absent and 30 < self.world.seconds < 50

    # ---- pushes and readings go out

    def serve(self) -> None:
        """What the gateway's stream would bring."""
        if self.is_away:
            return
        for listing in list(self.world.ledger.listings.values()):
            if listing.channel != self.name:
                continue
            state, key = listing.state, ListingKey(listing.item_id, listing.platform_sku_id)
            if state.push is not None and state.push.push_id not in self.begun and state.push.unknown_since is None:
                self.begun.add(state.push.push_id)
                self.world.at(self.world.latency(), self._begin, listing.listing_id, key, state.push)
            if state.read_id and state.read_id not in self.asked:
                self.asked.add(state.read_id)
                self.world.at(self.world.latency(), self._read, listing.listing_id, key, state.read_id)

    def reconcile(self) -> None:
        """Read a listing that is quiet, as the background round does."""
        self.world.at(self.world.random.uniform(3, 6), self.reconcile)
        quiet = [
            one
            for one in self.world.ledger.listings.values()
            if one.channel == self.name and one.state.push is None and not one.state.read_id
        ]
        if quiet and not self.is_away:
            one = self.world.random.choice(quiet)
            key = ListingKey(one.item_id, one.platform_sku_id)
            self._read(one.listing_id, key, 0, one.state.last_push_id)

    def _begin(self, listing_id: int, key: ListingKey, push: Push) -> None:
        if push.kind is PushKind.RAISE:
            self._raise(listing_id, key, push)
        else:
            self._lower(listing_id, key, push, push.sales, 0, LOWER_TRIES)

    def _raise(self, listing_id: int, key: ListingKey, push: Push, tries: int = 3) -> None:
        def answered(applied: int | None) -> None:
            if applied is not None:
                self._report(listing_id, push, PushResult.APPLIED, applied)
            elif self.temper.idempotent and tries > 1:
                self._raise(listing_id, key, push, tries - 1)
            else:
                self._report(listing_id, push, PushResult.UNKNOWN)

        self._call(key, push.sales, push.push_id, answered)

    def _lower(self, listing_id: int, key: ListingKey, push: Push, wanted: int, done: int, tries: int) -> None:
        def answered(applied: int | None) -> None:
            if applied is None:
                self._report(listing_id, push, PushResult.UNKNOWN, done)
            elif applied:
                self._report(listing_id, push, PushResult.APPLIED, done + applied)
            elif tries == 1:
                self._report(listing_id, push, PushResult.APPLIED, done)
            else:
                self.world.at(self.world.latency(), again)

        def again() -> None:
            shown = self.shop.displays[key].shown - self.shop.displays[key].withheld
            if shown:
                self._lower(listing_id, key, push, min(wanted, shown), done, tries - 1)
            else:
                self._report(listing_id, push, PushResult.APPLIED, done)

        self._call(key, -wanted, push.push_id * 10 + tries, answered)

    def _call(self, key: ListingKey, units: int, call_id: int, answered: Callable[[int | None], None]) -> None:
        """A change of what is shown; `answered` hears what was applied, None if nobody knows."""
        world, fault, chance = self.world, self.world.nature.fault, self.world.random.random()

        def apply() -> int:
            if self.temper.idempotent and call_id in self.applied_ids:
                return self.applied_ids[call_id] or 0
            display = self.shop.displays[key]
            applied = units
            left = display.shown - display.withheld
            if left + units < 0:
                applied = -left if self.temper.clamps else 0
            self.shop.show(key, display.shown + applied)
            self.applied_ids[call_id] = abs(applied)
            return abs(applied)

        if chance < fault:  # lost on the way
            world.at(CALL_TIMEOUT_SECONDS, answered, None)
        elif chance < 2 * fault:  # the answer is lost
            world.at(world.latency(), apply)
            world.at(CALL_TIMEOUT_SECONDS, answered, None)
        elif chance < 2.5 * fault:  # applied after the time-out
            late = CALL_TIMEOUT_SECONDS + world.random.uniform(0, APPLY_LATE_SECONDS - 0.2)
            world.at(late, apply)
            world.at(CALL_TIMEOUT_SECONDS, answered, None)
        else:
            world.at(world.latency(), lambda: answered(apply()))

    def _report(self, listing_id: int, push: Push, result: PushResult, applied: int = 0) -> None:
        report = ReportPush(listing_id, push.push_id, result, applied, 1)
        self.world.at(self.world.latency(), self.world.ledger.apply, report)
        if self.world.random.random() < self.world.nature.fault:
            self.world.at(self.world.latency() * 5, self.world.ledger.apply, report)

    def _read(self, listing_id: int, key: ListingKey, read_id: int, after_push_id: int = 0) -> None:
        begin = self.shop.time

        def answer() -> None:
            shown = self.shop.displays[key].shown
            reading = TakeReading(listing_id, shown, begin, self.shop.time, after_push_id, read_id)
            self.world.at(self.world.latency(), self.world.ledger.apply, reading)

        if read_id and self.world.random.random() < self.world.nature.fault:
            self.world.at(1.0, self._read, listing_id, key, read_id)
        else:
            self.world.at(self.world.latency(), answer)


class World:
    """Everything, from one seed. `components` makes every listing a kit; `locations` share the units."""

    def __init__(
        self,
        seed: int,
        units: int,
        nature: Nature = CALM,
        *,
        skus: int = 1,
        locations: tuple[str, ...] = ("main",),
        kit: bool = False,
        tempers: tuple[Temper, ...] = (Temper(), Temper(idempotent=True), Temper(whole_seconds=False)),
        selling_seconds: float = 90.0,
        demand: float = 2.5,
        policy: Policy | None = None,
        direct: bool = False,
    ) -> None:
        self.seed, self.units, self.nature, self.random = seed, units, nature, random.Random(seed)
        self.seconds, self.selling_seconds = 0.0, selling_seconds
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._number = 0
        self.direct, self.directly_reserved = direct, 0
        names = ("taobao", "douyin", "kuaishou")[: len(tempers)]
        self.loud, self.absent = self.random.choice(names), self.random.choice(names)
        codes = [f"SKU-{number}" for number in range(skus)]
        self.ledger = Ledger(self, dict.fromkeys(codes, units), locations)
        weights = [self.random.uniform(1, 6) for _ in names]
        rate = demand * units * skus / selling_seconds
        self.platforms = [
            Platform(self, name, temper, rate * weight / sum(weights))
            for name, temper, weight in zip(names, tempers, weights, strict=True)
        ]
        self.could_oversell = self.oversold = 0
        self.sold_share = 0.0
        self.direct_of: dict[str, int] = {}
        self._shelves: list[tuple[Platform, ListingKey, tuple[Component, ...]]] = []
        self._stock(codes, locations)
        self._list(codes, kit)
        if policy is not None:
            self.ledger.policies[policy.sku] = policy

    @property
    def time(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def latency(self) -> float:
        return self.random.uniform(0.02, 0.08)

    def at(self, delay: float, do: Callable[..., object], *arguments: Any) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.seconds + delay, self._number, do, arguments))

    def run(self, seconds: float = 150.0) -> World:
        """Play; the judge looks after every event."""
        for platform in self.platforms:
            self.at(self.random.random(), platform.poll)
            self.at(3 + self.random.random(), platform.buyer)
            self.at(self.random.uniform(3, 6), platform.reconcile)
        for _ in range(self.nature.hand_edits):
            self.at(self.random.uniform(10, self.selling_seconds), self.random.choice(self.platforms).edit)
        self.at(0, self._look)
        self.at(self.selling_seconds, self._close_the_shop)
        if self.direct:
            self.at(5, self._reserve)
        while self._events and self._events[0][0] < seconds:
            self.seconds, _, do, arguments = heapq.heappop(self._events)
            do(*arguments)
            self._judge()
        return self

    # ---- what the judge sees

    @property
    def owed(self) -> dict[str, int]:
        """Units of each SKU that buyers are owed."""
        return self._units(lambda platform, key: platform.owed.get(key, 0))

    def _close_the_shop(self) -> None:
        """From here on nobody buys: what is left now is unsold, what comes back later could not have been sold."""
        taken = sum(self.owed.values()) + self.directly_reserved
        self.sold_share = min(1.0, taken / (self.units * len(self.ledger.rules)))

    @property
    def edited(self) -> int:
        """Units that hand edits put up for sale."""
        return sum(platform.edited for platform in self.platforms)

    def _judge(self) -> None:
        """Nobody is owed what there is not, and whatever is shown could be sold this instant."""
        for sku, owed in self.owed.items():
            shown = self._units(lambda platform, key: platform.shop.displays[key].shown)[sku]
            taken = self.direct_of.get(sku, 0)
            self.oversold = max(self.oversold, owed + taken - self.units)
            self.could_oversell = max(self.could_oversell, owed + taken + shown - self.units)

    def _units(self, of: Callable[[Platform, ListingKey], int]) -> dict[str, int]:
        found = dict.fromkeys(self.ledger.rules, 0)
        for platform, key, components in self._shelves:
            sales = of(platform, key)
            for one in components:
                found[one.sku] += sales * one.units
        return found

    # ---- setting up

    def _stock(self, codes: list[str], locations: tuple[str, ...]) -> None:
        for code in codes:
            left = self.units
            for place, location in enumerate(locations):
                part = left if place == len(locations) - 1 else self.random.randint(0, left)
                left -= part
                if part:
                    self.ledger.apply(ReceiveStock(f"{code}-{location}", code, location, part))

    def _list(self, codes: list[str], kit: bool) -> None:
        number = 0
        for platform in self.platforms:
            facts = platform.temper.facts
            self.ledger.channels[platform.name] = ChannelRule(
                platform.name,
                (),
                ChannelFacts(
                    TakesOn.ORDER if facts.takes_on == "order" else TakesOn.PAYMENT,
                    facts.close_restores,
                    facts.refund_restores,
                    apply_late_ms=int(APPLY_LATE_SECONDS * 1000),
                    clock_margin_ms=2_000,
                ),
            )
            made_of: list[tuple[Component, ...]] = [(Component(code, 1),) for code in codes]
            if kit:
                made_of.append(tuple(Component(code, place + 1) for place, code in enumerate(codes)))
            for components in made_of:
                number += 1
                key = ListingKey(f"item-{number}", "")
                platform.shop.put_on_sale(key)
                self._shelves.append((platform, key, components))
                self.ledger.listings[number] = Listing(number, platform.name, *key, components)

    # ---- our own loops

    def _look(self) -> None:
        self.at(LOOK_SECONDS, self._look)
        away = {platform.name for platform in self.platforms if platform.is_away}
        self.ledger.allocate(frozenset(self.ledger.channels) - away)
        for platform in self.platforms:
            platform.serve()

    def _reserve(self) -> None:
        """Somebody beside the platforms takes what is unallocated."""
        self.at(2.0, self._reserve)
        sku = self.random.choice(sorted(self.ledger.rules))
        self._number += 1
        wish = ReserveStock(f"direct-{self._number}", (ReserveLine(sku, 1),), 600_000)
        (outcome,) = self.ledger.apply(wish)
        if not isinstance(outcome, GatewayError):
            self.directly_reserved += 1
            self.direct_of[sku] = self.direct_of.get(sku, 0) + 1
