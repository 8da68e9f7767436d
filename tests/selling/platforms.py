"""Shops that sell by themselves, and the connectors that serve them, event by event, with every fault there is.

Calls that are lost, answered to nobody, applied after the time-out; pushes that are lost, doubled and overtaken; polls
that fail; a platform that is away; a person who types numbers into the console; clocks that are wrong and count whole
seconds only.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.base import ListingKey
from connectors.base import OrderState as ShopOrderState
from connectors.sandbox.shop import Event, Shop, ShopFacts, ShopOrder, SoldOut
from connectors.sandbox.shop import TakesOn as ShopTakesOn
from gateway.domain.errors import GatewayError
from gateway.domain.groups import Wish
from gateway.domain.listings import Push, PushKind, PushResult
from gateway.domain.selling import MoveWatermark, OrderLine, OrderState, ReportPush, TakeOrder, TakeReading
from tests.selling.ledger import Gateway
from tests.selling.timeline import START, Timeline

POLL_SECONDS = 2.0
LAG = timedelta(seconds=2)
OVERLAP = timedelta(seconds=10)
CALL_TIMEOUT_SECONDS = 1.0
APPLY_LATE_SECONDS = 3.0
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


@dataclass(frozen=True)
class Plan:
    """What the world has in store: how bad it is, how long buyers come, who has a surge of them and who is away."""

    nature: Nature
    selling_seconds: float
    loud: str
    absent: str


class Platform:
    """One shop, and the connector that serves it."""

    def __init__(
        self, timeline: Timeline, gateway: Gateway, plan: Plan, name: str, temper: Temper, orders_per_second: float
    ) -> None:
        """Show nothing yet; the connector reports to `gateway`."""
        self.timeline, self.gateway, self.plan = timeline, gateway, plan
        self.name, self.temper, self.orders_per_second = name, temper, orders_per_second
        skew = timedelta(seconds=timeline.random.uniform(-1, 1) * plan.nature.skew_seconds)
        self.shop = Shop(facts=temper.facts, now=lambda: timeline.time, skew=skew, heard=[self._heard])
        self.watermark = START - timedelta(hours=1)
        self.begun: set[int] = set()
        self.asked: set[int] = set()
        self.applied_ids: dict[int, int] = {}
        self.edited: dict[ListingKey, int] = {}
        self.owed: dict[ListingKey, int] = {}
        self._owed_by_line: dict[str, int] = {}
        # Every order as it is now, and when each was updated, in the order of time.
        self._snapshots: dict[str, TakeOrder] = {}
        self._updates: list[tuple[datetime, str]] = []

    # ---- buyers

    def buyer(self) -> None:
        """One comes, buys if there is something, and the next is on the way."""
        timeline, chance = self.timeline, self.timeline.random
        surge = 3 if 20 < timeline.seconds < 30 and self.name == self.plan.loud else 1
        if timeline.seconds < self.plan.selling_seconds:
            timeline.at(chance.expovariate(self.orders_per_second * surge), self.buyer)
        key = chance.choice(sorted(self.shop.displays))
        try:
            order = self.shop.place({key: 1 if chance.random() < 0.9 else 2})
        except SoldOut:
            return
        fate = chance.random()
        if fate < 0.14:
            timeline.at(chance.uniform(5, 20), self.shop.close, order.order_id)
        else:
            timeline.at(chance.expovariate(1 / 8), self._pay, order.order_id, chance.random() < 0.1)

    def _pay(self, order_id: str, is_refunded: bool) -> None:
        order = self.shop.pay(order_id)
        if is_refunded:
            line = order.lines[0]
            self.timeline.at(self.timeline.random.uniform(3, 30), self.shop.refund, order_id, line.line_id, 1)

    def edit(self) -> None:
        """Somebody types a number into the console."""
        key = self.timeline.random.choice(sorted(self.shop.displays))
        before = self.shop.displays[key].shown
        self.shop.edit_by_hand(key, before + self.timeline.random.randint(1, 5))
        self.edited[key] = self.edited.get(key, 0) + self.shop.displays[key].shown - before

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
        snapshot = self._snapshots[event.order.order_id] = self._snapshot(event.order)
        insort(self._updates, (snapshot.update_time, event.order.order_id))
        if self.is_away:
            return
        chance = self.timeline.random
        if chance.random() < self.plan.nature.push_lost:
            return
        for _ in range(2 if chance.random() < 0.1 else 1):
            self.timeline.at(chance.expovariate(3), self._take, [snapshot], None)

    def poll(self) -> None:
        """Ask for the orders updated since the watermark, again and again."""
        self.timeline.at(POLL_SECONDS, self.poll)
        if self.is_away or self.timeline.random.random() < self.plan.nature.fault:
            return
        until = self._stamp(self.shop.time) - LAG
        first = bisect_left(self._updates, (self.watermark - OVERLAP, ""))
        page = [self._snapshots[order_id] for order_id in dict.fromkeys(one for _, one in self._updates[first:])]
        self.timeline.random.shuffle(page)
        self.timeline.at(self.timeline.latency(), self._take, page, until)

    def _take(self, page: list[TakeOrder], watermark: datetime | None) -> None:
        commands: list[Wish] = [*page]
        if watermark is not None:
            self.watermark = max(self.watermark, watermark)
            commands.append(MoveWatermark(self.name, watermark))
        for outcome in self.gateway.apply(*commands):
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
        """Whether the platform neither answers nor tells; it goes on selling."""
        return self.plan.nature.away and self.name == self.plan.absent and 30 < self.timeline.seconds < 50

    # ---- pushes and readings go out

    def serve(self) -> None:
        """What the gateway's stream would bring."""
        if self.is_away:
            return
        for listing in list(self.gateway.listings.values()):
            if listing.channel != self.name:
                continue
            state, key = listing.state, ListingKey(listing.item_id, listing.platform_sku_id)
            if state.push is not None and state.push.push_id not in self.begun and state.push.unknown_since is None:
                self.begun.add(state.push.push_id)
                self.timeline.at(self.timeline.latency(), self._begin, listing.listing_id, key, state.push)
            if state.read_id and state.read_id not in self.asked:
                self.asked.add(state.read_id)
                self.timeline.at(self.timeline.latency(), self._read, listing.listing_id, key, state.read_id)

    def reconcile(self) -> None:
        """Read a listing that is quiet, as the background round does."""
        self.timeline.at(self.timeline.random.uniform(3, 6), self.reconcile)
        quiet = [
            one
            for one in self.gateway.listings.values()
            if one.channel == self.name and one.state.push is None and not one.state.read_id
        ]
        if quiet and not self.is_away:
            one = self.timeline.random.choice(quiet)
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

        self._change(key, push.sales, push.push_id, answered)

    def _lower(self, listing_id: int, key: ListingKey, push: Push, wanted: int, done: int, tries: int) -> None:
        def answered(applied: int | None) -> None:
            if applied is None:
                self._report(listing_id, push, PushResult.UNKNOWN, done)
            elif applied:
                self._report(listing_id, push, PushResult.APPLIED, done + applied)
            elif tries == 1:
                self._report(listing_id, push, PushResult.APPLIED, done)
            else:
                self.timeline.at(self.timeline.latency(), again)

        def again() -> None:
            shown = self.shop.displays[key].shown - self.shop.displays[key].withheld
            if shown:
                self._lower(listing_id, key, push, min(wanted, shown), done, tries - 1)
            else:
                self._report(listing_id, push, PushResult.APPLIED, done)

        self._change(key, -wanted, push.push_id * 10 + tries, answered)

    def _change(self, key: ListingKey, units: int, call_id: int, answered: Callable[[int | None], None]) -> None:
        """A change of what is shown; `answered` hears what was applied, None if nobody knows."""

        def apply() -> int:
            if self.temper.idempotent and call_id in self.applied_ids:
                return self.applied_ids[call_id]
            display = self.shop.displays[key]
            applied = units
            left = display.shown - display.withheld
            if left + units < 0:
                applied = -left if self.temper.clamps else 0
            self.shop.show(key, display.shown + applied)
            self.applied_ids[call_id] = abs(applied)
            return abs(applied)

        self._call(apply, answered)

    def write(self, key: ListingKey, shown: int, answered: Callable[[bool], None]) -> None:
        """Have the listing show so many, whatever it showed; `answered` hears whether that is known to be done."""

        def apply() -> int:
            self.shop.show(key, shown)
            return shown

        self._call(apply, lambda written: answered(written is not None))

    def _call(self, apply: Callable[[], int], answered: Callable[[int | None], None]) -> None:
        """A call with all that may become of it."""
        timeline, fault, chance = self.timeline, self.plan.nature.fault, self.timeline.random.random()
        if chance < fault:  # lost on the way
            timeline.at(CALL_TIMEOUT_SECONDS, answered, None)
        elif chance < 2 * fault:  # the answer is lost
            timeline.at(timeline.latency(), apply)
            timeline.at(CALL_TIMEOUT_SECONDS, answered, None)
        elif chance < 2.5 * fault:  # applied after the time-out
            late = CALL_TIMEOUT_SECONDS + timeline.random.uniform(0, APPLY_LATE_SECONDS - 0.2)
            timeline.at(late, apply)
            timeline.at(CALL_TIMEOUT_SECONDS, answered, None)
        else:
            timeline.at(timeline.latency(), lambda: answered(apply()))

    def _report(self, listing_id: int, push: Push, result: PushResult, applied: int = 0) -> None:
        report = ReportPush(listing_id, push.push_id, result, applied, 1)
        self.timeline.at(self.timeline.latency(), self.gateway.apply, report)
        if self.timeline.random.random() < self.plan.nature.fault:
            self.timeline.at(self.timeline.latency() * 5, self.gateway.apply, report)

    def _read(self, listing_id: int, key: ListingKey, read_id: int, after_push_id: int = 0) -> None:
        begin = self.shop.time

        def answer() -> None:
            shown = self.shop.displays[key].shown
            reading = TakeReading(listing_id, shown, begin, self.shop.time, after_push_id, read_id)
            self.timeline.at(self.timeline.latency(), self.gateway.apply, reading)

        if read_id and self.timeline.random.random() < self.plan.nature.fault:
            self.timeline.at(1.0, self._read, listing_id, key, read_id)
        else:
            self.timeline.at(self.timeline.latency(), answer)
