"""A crowd of buyers: when they come, what they want, and what becomes of their orders. All of it from one seed.

- Arrivals at a shop are a Poisson process whose rate follows the hour of the day, times three while a host shouts.
- 14 % of the orders are never paid: their buyers give them up, or the platform closes them at its payment limit.
- The others are paid after 8 / 51 / 9,445 s (p50, p90, p99); between known quantiles the delay grows exponentially.
- 20 % of the paid ones are refunded later, one in ten of those in part, if it can be.

These are the figures of one Tmall shop's order report of February 2020. Arrivals and bursts run on the clock; delays
and the hours of the day pass `speed` times as fast. What a buyer decides does not depend on whether there is anything
to buy, nor on how fast this machine is: equal seeds make equal decisions, whatever the shops can do with them.
"""

import asyncio
import heapq
import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from connectors.base import ListingKey, OrderState
from connectors.sandbox.shop import Shop, ShopOrder, SoldOut

# Orders in each hour of the day, China time.
ORDERS_BY_HOUR = (
    *(450, 246, 129, 81, 53, 46, 113, 237, 377, 488, 684, 671),
    *(427, 389, 605, 835, 687, 480, 610, 667, 861, 922, 891, 729),
)
_HOUR_SECONDS = 3600.0

UNPAID_SHARE = 0.14
REFUNDED_SHARE_OF_PAID = 0.2
PARTIAL_SHARE_OF_REFUNDS = 0.1
QUANTITIES, QUANTITY_SHARES = (1, 2, 3), (0.8, 0.15, 0.05)
# Of those who never pay, so many say so themselves; the others let the platform close their order.
GIVES_UP_SHARE = 0.7
GIVE_UP_SECONDS_MEAN = 120.0
REFUND_SECONDS_MEAN = 1800.0

# (share of the paid orders, paid within so many seconds).
PAYMENT_DELAYS = (
    (0.00, 2.0),
    (0.10, 4.0),
    (0.25, 6.0),
    (0.50, 8.0),
    (0.75, 14.0),
    (0.90, 51.0),
    (0.95, 218.0),
    (0.97, 615.0),
    (0.98, 1_548.0),
    (0.99, 9_445.0),
    (1.00, 86_400.0),
)

# A machine that lags may take so much longer for a session than was planned.
LATE_SHARE_MAX = 1.25

BURST_FACTOR = 3.0
# In each stretch of so many seconds a host may shout once, at one shop.
BURST_SLOT_SECONDS = 15.0
BURST_CHANCE = 0.5
BURST_SECONDS = (3.0, 8.0)


@dataclass(frozen=True)
class CrowdSettings:
    """`speed` is how many seconds of the crowd's own time pass in one second; `start_hour` is when that time begins."""

    seed: int = 1
    speed: float = 1.0
    start_hour: float = 21.0
    bursts: bool = True


@dataclass(frozen=True)
class Visit:
    """One buyer's mind: what is wanted, and what becomes of the order. Seconds are those of the clock.

    `paid_after_seconds` is None for an order that is never paid; it is then given up, or closed by the platform if
    `given_up_after_seconds` is None too. `refund_units` of a paid order are refunded so long after the payment.
    """

    key: ListingKey
    quantity: int
    paid_after_seconds: float | None
    given_up_after_seconds: float | None
    refund_units: int
    refunded_after_seconds: float


class Moment(NamedTuple):
    """A time at which somebody may come, in seconds since the crowd began; None: nobody does."""

    seconds: float
    visit: Visit | None


class Refusal(NamedTuple):
    """Somebody found it sold out."""

    shop: str
    key: ListingKey
    quantity: int


class Visitors:
    """The buyers of one shop, in the order in which they come.

    `rate` is orders per second in the busiest hour of the day, without bursts; it may be changed at any time.
    """

    def __init__(
        self,
        shop: str,
        wanted: Mapping[ListingKey, float],
        rate: float,
        settings: CrowdSettings,
        shops: tuple[str, ...] = (),
    ) -> None:
        """`wanted` says how much each listing is liked; `shops` are all at which the hosts of this crowd shout."""
        self.rate = rate
        self._shop, self._shops, self._settings = shop, shops or (shop,), settings
        self._keys, self._weights = list(wanted), list(wanted.values())
        self._chance = random.Random(f"{settings.seed}/{shop}")
        self._seconds = 0.0

    def next(self) -> Moment:
        """The next moment; by thinning: candidates at the highest rate there can be, kept by the rate there is."""
        highest = max(1.0, self.rate * BURST_FACTOR)
        self._seconds += self._chance.expovariate(highest)
        is_kept = self._chance.random() < self.rate_at(self._seconds) / highest
        return Moment(self._seconds, self._visit() if is_kept else None)

    def rate_at(self, seconds: float) -> float:
        """Orders per second at that time."""
        settings = self._settings
        hour = settings.start_hour + seconds * settings.speed / _HOUR_SECONDS
        shouted = settings.bursts and is_shouted_at(settings.seed, self._shop, self._shops, seconds)
        share = ORDERS_BY_HOUR[int(hour) % 24] / max(ORDERS_BY_HOUR)
        return self.rate * share * (BURST_FACTOR if shouted else 1.0)

    def _visit(self) -> Visit:
        # Every buyer takes the same number of chances, so that one decision does not shift the next buyer's.
        chance, speed = self._chance, self._settings.speed
        key = chance.choices(self._keys, self._weights)[0]
        quantity = chance.choices(QUANTITIES, QUANTITY_SHARES)[0]
        is_paid, paid_after = chance.random() >= UNPAID_SHARE, payment_delay(chance.random())
        gives_up, given_up_after = chance.random() < GIVES_UP_SHARE, chance.expovariate(1 / GIVE_UP_SECONDS_MEAN)
        is_refunded, is_partial = (
            chance.random() < REFUNDED_SHARE_OF_PAID,
            chance.random() < PARTIAL_SHARE_OF_REFUNDS,
        )
        refunded_after = chance.expovariate(1 / REFUND_SECONDS_MEAN)
        back = max(1, quantity - 1) if is_partial else quantity
        return Visit(
            key=key,
            quantity=quantity,
            paid_after_seconds=paid_after / speed if is_paid else None,
            given_up_after_seconds=given_up_after / speed if gives_up and not is_paid else None,
            refund_units=back if is_paid and is_refunded else 0,
            refunded_after_seconds=refunded_after / speed,
        )


def payment_delay(share: float) -> float:
    """The seconds within which that share of the paid orders is paid."""
    place = min(bisect_right(PAYMENT_DELAYS, (share, math.inf)), len(PAYMENT_DELAYS) - 1)
    (share_before, before), (share_after, after) = PAYMENT_DELAYS[place - 1], PAYMENT_DELAYS[place]
    way = (share - share_before) / (share_after - share_before)
    return float(before * (after / before) ** way)


def is_shouted_at(seed: int, shop: str, shops: tuple[str, ...], seconds: float) -> bool:
    """Whether a host shouts at this shop at that time."""
    shouted, begin, end = _burst(seed, shops, int(seconds // BURST_SLOT_SECONDS))
    return shouted == shop and begin <= seconds < end


@lru_cache(maxsize=256)
def _burst(seed: int, shops: tuple[str, ...], slot: int) -> tuple[str, float, float]:
    chance = random.Random(f"{seed}/burst/{slot}")
    shop = chance.choice(shops) if chance.random() < BURST_CHANCE else ""
    length = chance.uniform(*BURST_SECONDS)
    begin = slot * BURST_SLOT_SECONDS + chance.uniform(0, BURST_SLOT_SECONDS - length)
    return shop, begin, begin + length


class Crowd:
    """All buyers of some shops. `came` and `refused` count orders tried, and those that found too little.

    `kept_pace` is False if this machine was too slow for as many as were to come.
    """

    def __init__(
        self,
        shops: Mapping[str, Shop],
        wanted: Mapping[str, Mapping[ListingKey, float]],
        rates: Mapping[str, float],
        settings: CrowdSettings,
    ) -> None:
        """`wanted` and `rates` (orders per second in the busiest hour) are by shop; see `Visitors`."""
        names = tuple(shops)
        self._shops = shops
        self.visitors = {name: Visitors(name, wanted[name], rates[name], settings, names) for name in names}
        self.came = 0
        self.refused = 0
        self.kept_pace = True
        # Told of everybody who found it sold out.
        self.hears_refusals: list[Callable[[Refusal], None]] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._began = 0.0
        self._doors_closed = False

    async def run(self) -> None:
        """Let them come and go, until cancelled."""
        self._open()
        await self._play(math.inf)

    async def play(self, selling_seconds: float, settling_seconds: float) -> int:
        """Let them come for a while, then have every order paid or closed; returns the units that came back then.

        What was to happen later is pressed into `settling_seconds`, in its order; refunds of later are another day's.
        If this machine cannot keep pace with so many, the doors close all the same, and the last ones do not come.
        """
        self._open()
        await self._play(selling_seconds, give_up_seconds=selling_seconds * LATE_SHARE_MAX)
        self._doors_closed = True
        self.kept_pace = self._seconds < selling_seconds * LATE_SHARE_MAX
        on_shelves = self._units_sold()
        waiting = sorted(self._agenda)
        end = max(selling_seconds, self._seconds)
        self._agenda = [
            (end + settling_seconds * (place + 1) / len(waiting), number, act)
            for place, (_, number, act) in enumerate(waiting)
        ]
        await self._play(math.inf)
        self._close_all()
        return on_shelves - self._units_sold()

    def _open(self) -> None:
        self._began = asyncio.get_running_loop().time()
        for name in self._shops:
            self._expect(name)

    @property
    def _seconds(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def _play(self, until_seconds: float, give_up_seconds: float = math.inf) -> None:
        """What is on the agenda up to a time, when it is due or as soon as can be; what is still left then stays."""
        while self._agenda and self._seconds < give_up_seconds:
            due = self._agenda[0][0]
            wait = min(due, until_seconds) - self._seconds
            if wait > 0:
                await asyncio.sleep(wait)
            if due > until_seconds:
                return
            heapq.heappop(self._agenda)[2]()
            if wait <= 0:
                await asyncio.sleep(0)  # others must not wait for a crowd that is late

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (seconds, next(self._number), act))

    def _expect(self, name: str) -> None:
        moment = self.visitors[name].next()
        self._at(moment.seconds, lambda: self._arrive(name, moment))

    def _arrive(self, name: str, moment: Moment) -> None:
        if self._doors_closed:
            return
        if moment.visit is not None:
            self._try(name, moment.seconds, moment.visit)
        self._expect(name)

    def _try(self, name: str, seconds: float, visit: Visit) -> None:
        self.came += 1
        try:
            order = self._shops[name].place({visit.key: visit.quantity})
        except SoldOut:
            self.refused += 1
            for hear in self.hears_refusals:
                hear(Refusal(name, visit.key, visit.quantity))
            return
        self._plan(self._shops[name], order, seconds, visit)

    def _plan(self, shop: Shop, order: ShopOrder, seconds: float, visit: Visit) -> None:
        """What becomes of the order; at the payment limit the platform closes what is still unpaid."""
        number = order.order_id
        self._at(seconds + shop.facts.payment_limit.total_seconds(), lambda: _do(shop.close(number)))
        if visit.given_up_after_seconds is not None:
            self._at(seconds + visit.given_up_after_seconds, lambda: _do(shop.close(number)))
        if visit.paid_after_seconds is None:
            return
        paid = seconds + visit.paid_after_seconds
        self._at(paid, lambda: self._pay(shop, number, paid, visit))

    def _pay(self, shop: Shop, order_id: str, seconds: float, visit: Visit) -> None:
        order = shop.pay(order_id)
        if order.state is OrderState.PAID and visit.refund_units and not self._doors_closed:
            line = order.lines[0].line_id
            self._at(
                seconds + visit.refunded_after_seconds,
                lambda: None if self._doors_closed else _do(shop.refund(order_id, line, visit.refund_units)),
            )

    def _close_all(self) -> None:
        """Orders placed by hand are nobody's plan."""
        for shop in self._shops.values():
            for order in list(shop.orders.values()):
                shop.close(order.order_id)

    def _units_sold(self) -> int:
        return sum(shop.tally.units_sold for shop in self._shops.values())


def _do(_: ShopOrder) -> None:
    """What comes of it is the shop's to know."""
