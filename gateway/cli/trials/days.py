"""The days of a log on which policies are judged, and what was known before each of them.

A day is judged with what the other days of the log have taught, never with its own. Thin days say nothing about rates
and are left out. A day may be played faster: then a second of it holds several of the log's.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gateway.cli.orderlog import LoggedOrder
from gateway.domain.baselines import History
from gateway.domain.curves import CHINA_OFFSET_SECONDS, DAY_SECONDS, HourCurve
from gateway.domain.demand import Prior
from gateway.domain.profiles import Profile, Sale, learned

BUSY_SHARE = 0.4  # of the busiest day's orders; what is below is no selling day
TICK_SECONDS = 15.0
OPENS_SECONDS = 9 * 3_600.0  # sessions begin from then on; of a shop that sells by night, from midnight
LOT_UNITS_MAX = 10_000  # what is more is a typing error or a wholesaler, and no session's demand
RETURNS_SECONDS = 15 * 60.0  # unpaid orders give their units back


@dataclass(frozen=True)
class Day:
    """A day's orders in seconds from midnight, ascending, `compression` of the log's in one.

    `quantities` are the units of each; empty: one each. `unpaid` are places among the orders.
    """

    name: str
    orders: tuple[float, ...]
    unpaid: frozenset[int]
    history: History
    compression: float = 1.0
    opens_seconds: float = OPENS_SECONDS
    quantities: tuple[int, ...] = ()

    @property
    def opens(self) -> float:
        """When sessions may begin."""
        return self.opens_seconds / self.compression

    @property
    def ends(self) -> float:
        """The end of the day."""
        return DAY_SECONDS / self.compression

    @property
    def selling(self) -> tuple[float, ...]:
        """The orders from the opening on."""
        return self.orders[bisect_left(self.orders, self.opens) :]

    @cached_property
    def units(self) -> tuple[float, ...]:
        """When each unit was asked for."""
        return tuple(time for time, quantity in self._lots for _ in range(quantity))

    @cached_property
    def moments(self) -> tuple[tuple[float, int], ...]:
        """When policies look: at each order, with its units, and at each tick (0)."""
        ticks = int((self.ends - self.opens) / TICK_SECONDS)
        looked = [(self.opens + tick * TICK_SECONDS, 0) for tick in range(ticks)]
        return tuple(sorted([*looked, *self._lots]))

    @cached_property
    def moments_with_returns(self) -> tuple[tuple[float, int], ...]:
        """The same, and the units that come back from orders nobody pays, as negative numbers."""
        returns = [(time + RETURNS_SECONDS, -quantity) for time, quantity in map(self._lots.__getitem__, self.unpaid)]
        return tuple(sorted([*self.moments, *returns]))

    @property
    def _lots(self) -> list[tuple[float, int]]:
        return list(zip(self.orders, self.quantities or (1,) * len(self.orders), strict=True))

    def thinned(self, share: float, seed: int) -> Day:
        """The day with so much of its orders, by chance."""
        chance = random.Random(f"{seed}/{self.name}")  # noqa: S311 - chance for a trial, no secret
        kept = [lot for lot in self._lots if chance.random() < share]
        prior = self.history.prior
        slower = Prior(prior.rate * share, prior.strength, prior.quantity_mean, prior.quantity_square)
        history = History(self.history.curve, slower, self.history.spread)
        return Day(
            self.name,
            tuple(time for time, _ in kept),
            frozenset(),
            history,
            self.compression,
            self.opens_seconds,
            tuple(quantity for _, quantity in kept),
        )


def busy_days(orders: Sequence[LoggedOrder], sku: str, compression: float, profile: Profile | None = None) -> list[Day]:
    """The log's selling days of one SKU, each with what the others (or else `profile`) teach."""
    chosen = [order for order in orders if order.sku == sku]
    counts = Counter(date_of(order) for order in chosen)
    least = BUSY_SHARE * max(counts.values())
    names = sorted(date for date, count in counts.items() if count >= least)
    by_day = sum((order.time + CHINA_OFFSET_SECONDS) % DAY_SECONDS >= OPENS_SECONDS for order in chosen)
    opens = OPENS_SECONDS if 2 * by_day >= len(chosen) else 0.0
    return [_day(chosen, name, names, sku, compression, profile, opens) for name in names]


def _day(
    orders: list[LoggedOrder],
    name: int,
    names: list[int],
    sku: str,
    compression: float,
    profile: Profile | None,
    opens_seconds: float,
) -> Day:
    of_day = [order for order in orders if date_of(order) == name]
    others = [order for order in orders if date_of(order) in names and (date_of(order) != name or len(names) == 1)]
    known = profile or learned(Sale(order.time, order.sku, order.quantity) for order in others)
    prior = known.prior(sku)
    midnight = name * DAY_SECONDS - CHINA_OFFSET_SECONDS
    faster = Prior(prior.rate * compression, prior.strength, prior.quantity_mean, prior.quantity_square)
    return Day(
        name=str(name),
        orders=tuple((order.time - midnight) / compression for order in of_day),
        unpaid=frozenset(place for place, order in enumerate(of_day) if not order.is_paid),
        history=History(_curve(known, compression), faster, known.spread),
        compression=compression,
        opens_seconds=opens_seconds,
        quantities=tuple(min(order.quantity, LOT_UNITS_MAX) for order in of_day),
    )


def _curve(profile: Profile, compression: float) -> HourCurve:
    curve = profile.curve(DAY_SECONDS / compression)
    return HourCurve(curve.sums, curve.day_seconds, 0.0)


def date_of(order: LoggedOrder) -> int:
    """The day of an order, China time."""
    return int((order.time + CHINA_OFFSET_SECONDS) // DAY_SECONDS)
