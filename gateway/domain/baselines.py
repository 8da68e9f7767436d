"""The policies that are compared: ours, and the ones that shops use today.

A policy watches the orders of one SKU from a moment on, knowing what history says (`History`), and answers three
questions at any moment: have sales accelerated, is what is left too little, is it urgent. `stockgate backtest` plays
them over recorded days, the review of a session over its own sales.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import erfc, exp, inf, log, sqrt
from typing import Protocol

from gateway.domain.chances import Demand, LeadTime, chance_of_reaching
from gateway.domain.curves import HourCurve
from gateway.domain.demand import (
    EXACT_UNITS_MAX,
    Pace,
    Prior,
    begin,
    forecast,
    is_accelerating,
    observed,
    stock_out_times,
)
from gateway.domain.tiers import URGENT_CHANCE, Shelf, Standing, Supply, Tier, decide

WINDOW_SECONDS = 300.0
RATIO, RATIO_ORDERS_MIN = 2.0, 2
STATIC_URGENT_SHARE = 0.05
ROP_Z = 1.65
TIMES_STEP, TIMES_STEPS = 1.1, 78  # from a minute to a day


class Watcher(Protocol):
    """One policy at work on one SKU. It is asked in order of time."""

    def sees(self, time: float, quantity: int = 1) -> None:
        """An order of so many units."""

    def is_rising(self, time: float) -> bool:
        """True while sales have accelerated."""

    def is_short(self, time: float, units: int) -> bool:
        """True if `units` will not last until more can come."""

    def is_pressing(self, time: float, units: int) -> bool:
        """True if they will run out before anything can be done."""

    def chance(self, time: float, units: int) -> float:
        """How likely they run out within a lead time."""

    def times(self, time: float, units: int) -> Sequence[float]:
        """Seconds until they have run out: the 10 %, 50 % and 90 % quantile; empty if it cannot say."""


@dataclass(frozen=True)
class History:
    """What is known of a SKU before a session: the curve of the day, a prior, the spread between days."""

    curve: HourCurve
    prior: Prior
    spread: float


@dataclass(frozen=True)
class Session:
    """What a policy is told before it begins."""

    history: History
    start: float
    lead_seconds: float
    units: int


@dataclass(frozen=True)
class Policy:
    """A way to warn; `warns_of` are the questions it is made for. `forecasts`: its numbers are judged as well."""

    name: str
    watcher: Callable[[Session], Watcher]
    warns_of: frozenset[str]
    forecasts: bool = False


class Tiers:
    """Ours: the tier machine over the averaged gamma-Poisson model."""

    def __init__(self, session: Session) -> None:
        self._curve = session.history.curve
        self._lead = session.lead_seconds
        self._supply = Supply(LeadTime(session.lead_seconds))
        self._standing = Standing(since=session.start)
        self.pace: Pace = begin(session.history.prior, session.start, self._curve)

    def sees(self, time: float, quantity: int = 1) -> None:
        """Learns from an order."""
        self.pace = observed(self.pace, time, self._curve, quantity)

    def is_rising(self, time: float) -> bool:
        """The trend's score has passed its bar."""
        return is_accelerating(self.pace, time, self._curve)

    def tier(self, time: float, units: int) -> Tier:
        """The tier with so many units left."""
        shelf = Shelf(units, units)
        self._standing, _ = decide(self._standing, self.pace, shelf, self._supply, time, curve=self._curve)
        return self._standing.tier

    def is_short(self, time: float, units: int) -> bool:
        """THRESHOLD or higher."""
        return self.tier(time, units) >= Tier.THRESHOLD

    def is_pressing(self, time: float, units: int) -> bool:
        """URGENT or higher."""
        return self.tier(time, units) >= Tier.URGENT

    def chance(self, time: float, units: int) -> float:
        """The model's."""
        return chance_of_reaching(forecast(self.pace, time, self._lead, self._curve), units, EXACT_UNITS_MAX)

    def times(self, time: float, units: int) -> Sequence[float]:
        """The model's."""
        told = stock_out_times(self.pace, time, units, self._curve)
        return [inf if each is None else each for each in (told.p10, told.p50, told.p90)]


class TwoRates:
    """A plainer model: one slow and one fast gamma-Poisson rate, no curve of the day, a CUSUM for twice the rate."""

    slow_half_life, fast_half_life, ratio, spread = 1_200.0, 120.0, 2.0, 0.3

    def __init__(self, session: Session) -> None:
        history = session.history
        hour = history.curve.shop_time(session.start + 60) - history.curve.shop_time(session.start - 60)
        rate = history.prior.rate * hour / 120
        self._lead = session.lead_seconds
        self._time = session.start
        self._orders, self._exposure = rate * 300, 300.0
        self._fast_orders = self._fast_exposure = 0.0
        self._score, self._count, self._raised = 0.0, 0, False
        self._quantity = history.prior.quantity_mean

    def sees(self, time: float, quantity: int = 1) -> None:
        """Learns from an order."""
        self._quantity += 0.05 * (quantity - self._quantity)
        base = self._orders / self._exposure
        drift = (self.ratio - 1) * base * (1 + 0.5 / sqrt(self._orders)) * (time - self._time)
        self._count = self._count + 1 if self._score > drift else 1
        self._score = max(0.0, self._score - drift) + log(self.ratio)
        self._age(time)
        self._orders += 1
        self._fast_orders += 1
        self._judge(base)

    def is_rising(self, time: float) -> bool:
        """The score has passed its bar and not come down."""
        return self._raised

    def is_short(self, time: float, units: int) -> bool:
        """At most the 95 % quantile of the demand."""
        return self.chance(time, units) >= 0.05  # noqa: PLR2004 - the service level of this policy

    def is_pressing(self, time: float, units: int) -> bool:
        """It is likely to sell out."""
        return self.chance(time, units) >= URGENT_CHANCE

    def chance(self, time: float, units: int) -> float:
        """The chance that so many are asked for within the lead time."""
        return self._chance(time, units, self._lead)

    def times(self, time: float, units: int) -> Sequence[float]:
        """When that chance reaches each share, to a tenth."""
        horizons = [60.0 * TIMES_STEP**step for step in range(TIMES_STEPS)]
        return [
            next((horizon for horizon in horizons if self._chance(time, units, horizon) >= share), inf)
            for share in (0.1, 0.5, 0.9)
        ]

    def _judge(self, base: float) -> None:
        bar = max(3.0, log(max(base * 1_800, 1e-9)))
        if self._raised:
            self._score = min(self._score, 1.5 * bar)
            self._raised = self._score > 0.2 * bar and self._fast() >= 1.25 * base
            self._score = self._score if self._raised else 0.0
        else:
            self._raised = self._score >= bar and self._count >= 8  # noqa: PLR2004 - orders since onset

    def _age(self, time: float) -> None:
        gap, self._time = time - self._time, time
        slow, fast = 2 ** (-gap / self.slow_half_life), 2 ** (-gap / self.fast_half_life)
        self._orders, self._exposure = self._orders * slow, self._exposure * slow + gap
        self._fast_orders, self._fast_exposure = self._fast_orders * fast, self._fast_exposure * fast + gap

    def _fast(self) -> float:
        return (self._fast_orders + 60 * self._orders / self._exposure) / (self._fast_exposure + 60)

    def _chance(self, time: float, units: int, horizon: float) -> float:
        self._age(time)
        slow = self._orders / self._exposure
        mean = slow * horizon + max(0.0, self._fast() - slow) * 600 * (1 - exp(-horizon / 600))
        mean *= self._quantity
        return chance_of_reaching(Demand(mean, 1 / (1 / max(self._orders, 1.0) + self.spread**2)), units, 20)


class RateTimesLead:
    """The rate of the last five minutes, held against what is left; and for a trend, against the five before."""

    def __init__(self, session: Session, factor: float = 1.0) -> None:
        self._start, self._lead, self._factor = session.start, session.lead_seconds, factor
        self._recent: deque[float] = deque()

    def sees(self, time: float, quantity: int = 1) -> None:
        """Remembers the units of an order for ten minutes."""
        self._recent.extend([time] * quantity)
        while self._recent[0] <= time - 2 * WINDOW_SECONDS:
            self._recent.popleft()

    def is_rising(self, time: float) -> bool:
        """Twice as many orders in the last five minutes as in the five before; not before both are full."""
        if time < self._start + 2 * WINDOW_SECONDS:
            return False
        late = self._since(time, WINDOW_SECONDS)
        return late >= RATIO_ORDERS_MIN and late >= RATIO * (self._since(time, 2 * WINDOW_SECONDS) - late)

    def is_short(self, time: float, units: int) -> bool:
        """At this rate it is sold out within the lead time."""
        return units <= self._factor * self._since(time, WINDOW_SECONDS) / WINDOW_SECONDS * self._lead

    is_pressing = is_short

    def chance(self, time: float, units: int) -> float:
        """Yes or no."""
        return float(self.is_short(time, units))

    def times(self, time: float, units: int) -> Sequence[float]:
        """One number for all three."""
        rate = self._since(time, WINDOW_SECONDS) / WINDOW_SECONDS
        return [units / rate if rate else inf] * 3

    def _since(self, time: float, seconds: float) -> int:
        return sum(each > time - seconds for each in self._recent)


class StaticLine:
    """A share of the first stock."""

    def __init__(self, session: Session, share: float) -> None:
        self._line, self._urgent_line = share * session.units, STATIC_URGENT_SHARE * session.units

    def sees(self, time: float, quantity: int = 1) -> None:
        """Learns nothing."""

    def is_rising(self, time: float) -> bool:
        """Knows nothing of it."""
        return False

    def is_short(self, time: float, units: int) -> bool:
        """At the line or below it."""
        return units <= self._line

    def is_pressing(self, time: float, units: int) -> bool:
        """At 5 % or below."""
        return units <= self._urgent_line

    def chance(self, time: float, units: int) -> float:
        """Yes or no."""
        return float(self.is_pressing(time, units))

    def times(self, time: float, units: int) -> Sequence[float]:
        """Knows nothing of time."""
        return ()


class ReorderPoint(StaticLine):
    """The textbook's: mean demand over the lead time at this hour, and 1.65 standard deviations of it."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, 0.0)
        self._history, self._lead = session.history, session.lead_seconds

    def is_short(self, time: float, units: int) -> bool:
        """At the reorder point or below it."""
        mean = self._mean(time, self._lead)
        return units <= mean + ROP_Z * sqrt(mean + (self._history.spread * mean) ** 2)

    def chance(self, time: float, units: int) -> float:
        """The normal distribution's."""
        mean = self._mean(time, self._lead)
        return 0.5 * erfc((units - mean) / sqrt(2 * (mean + (self._history.spread * mean) ** 2)))

    def times(self, time: float, units: int) -> Sequence[float]:
        """One number for all three: when the mean of history has reached it."""
        horizons = (60.0 * TIMES_STEP**step for step in range(TIMES_STEPS))
        return [next((horizon for horizon in horizons if self._mean(time, horizon) >= units), inf)] * 3

    def _mean(self, time: float, horizon: float) -> float:
        curve, prior = self._history.curve, self._history.prior
        return prior.rate * prior.quantity_mean * (curve.shop_time(time + horizon) - curve.shop_time(time))


TREND, THRESHOLD, URGENT = "trend", "threshold", "urgent"
_ALL: tuple[Policy, ...] = (
    Policy("tiers", Tiers, frozenset({TREND, THRESHOLD, URGENT}), forecasts=True),
    Policy("two-rates", TwoRates, frozenset({TREND, THRESHOLD, URGENT}), forecasts=True),
    Policy("static-10", lambda session: StaticLine(session, 0.1), frozenset({THRESHOLD, URGENT})),
    Policy("static-20", lambda session: StaticLine(session, 0.2), frozenset({THRESHOLD})),
    Policy("static-50", lambda session: StaticLine(session, 0.5), frozenset({THRESHOLD})),
    Policy("ratio", RateTimesLead, frozenset({TREND})),
    Policy("rate", RateTimesLead, frozenset({THRESHOLD, URGENT}), forecasts=True),
    Policy("rate-doubled", lambda session: RateTimesLead(session, 2.0), frozenset({THRESHOLD})),
    Policy("reorder-point", ReorderPoint, frozenset({THRESHOLD}), forecasts=True),
)
POLICIES: Mapping[str, Policy] = {policy.name: policy for policy in _ALL}
