"""What history says of a shop before the day begins: the curve of its hours, and how fast each SKU sells.

The hours are the shop's, over all SKUs, for one SKU's history is too thin for 24 numbers. A SKU's rate is its orders
over the days of the log, drawn towards the mean SKU as if that had been seen for half a day: orders of few days say
little. `spread` is how far the same hour differs from day to day beyond chance: its standard deviation over its mean.

For lead times of days the units of each day count as well (`daily.py`): the log's days, those on which the shop sold
nothing at all left out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from math import sqrt

from msgspec import Struct

from gateway.domain.curves import (
    CHINA_OFFSET_SECONDS,
    DAY_SECONDS,
    HOURS,
    HourCurve,
    hour_curve,
    hour_factors,
)
from gateway.domain.daily import DailySales, with_day
from gateway.domain.demand import Prior

HOUR_SECONDS = 3_600.0
DRAWN_DAYS = 0.5
DAYS_FOR_HOURS_MIN = 2  # one day's hours are that day's story


class Sale(Struct, frozen=True, gc=False):
    """One order of the past: seconds since the Unix epoch, the SKU, its units."""

    time: float
    sku: str
    quantity: int = 1


class SkuProfile(Struct, frozen=True, gc=False):
    """One SKU: orders per second, units per order and their square; units per day and their variance."""

    rate: float
    quantity_mean: float
    quantity_square: float
    orders: int
    day_mean: float = 0.0
    day_variance: float = 0.0


class Profile(Struct, frozen=True):
    """What was learned; stored as JSON of these names. `hours` are factors of the mean rate, from local midnight."""

    hours: tuple[float, ...]
    spread: float
    days: int
    skus: dict[str, SkuProfile]
    offset_seconds: float = CHINA_OFFSET_SECONDS

    def curve(self, day_seconds: float = DAY_SECONDS) -> HourCurve:
        """The hours as a curve, of a day of that length."""
        return hour_curve(self.hours, day_seconds=day_seconds, offset_seconds=self.offset_seconds)

    def prior(self, sku: str) -> Prior:
        """What to expect of a SKU; of an unknown one, what is expected of a stranger."""
        known = self.skus.get(sku)
        if known is None:
            return self.stranger()
        return Prior(
            known.rate,
            quantity_mean=known.quantity_mean,
            quantity_square=known.quantity_square,
            days=self.days,
            day_mean=known.day_mean,
            day_variance=known.day_variance,
        )

    def stranger(self) -> Prior:
        """What to expect of a SKU that history does not know: the mean of those that are known. Goes over all."""
        return Prior(sum(each.rate for each in self.skus.values()) / len(self.skus))


def learned(sales: Iterable[Sale], offset_seconds: float = CHINA_OFFSET_SECONDS) -> Profile:
    """The profile of at least one sale."""
    by_day: defaultdict[int, list[int]] = defaultdict(lambda: [0] * HOURS)
    lots: defaultdict[str, Counter[int]] = defaultdict(Counter)
    units: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for sale in sales:
        day, rest = divmod(sale.time + offset_seconds, DAY_SECONDS)
        by_day[int(day)][int(rest / HOUR_SECONDS)] += 1
        lots[sale.sku][sale.quantity] += 1
        units[sale.sku][int(day)] += sale.quantity
    assert lots
    days = len(by_day)
    counts = [sum(hours[hour] for hours in by_day.values()) for hour in range(HOURS)]
    return Profile(
        hours=hour_factors(counts if days >= DAYS_FOR_HOURS_MIN else [1.0] * HOURS),
        spread=_spread(list(by_day.values())),
        days=days,
        skus=_skus(lots, {sku: _daily(units[sku], sorted(by_day)) for sku in lots}, days),
        offset_seconds=offset_seconds,
    )


def _skus(lots: dict[str, Counter[int]], daily: dict[str, DailySales], days: int) -> dict[str, SkuProfile]:
    mean_per_day = sum(sum(each.values()) for each in lots.values()) / len(lots) / days
    return {sku: _sku(lots[sku], daily[sku], days, mean_per_day) for sku in sorted(lots)}


def _sku(lots: Counter[int], daily: DailySales, days: int, mean_per_day: float) -> SkuProfile:
    orders = sum(lots.values())
    return SkuProfile(
        rate=(orders + DRAWN_DAYS * mean_per_day) / (days + DRAWN_DAYS) / DAY_SECONDS,
        quantity_mean=sum(quantity * count for quantity, count in lots.items()) / orders,
        quantity_square=sum(quantity * quantity * count for quantity, count in lots.items()) / orders,
        orders=orders,
        day_mean=daily.mean,
        day_variance=daily.square / daily.weight,
    )


def _daily(units: Counter[int], days: list[int]) -> DailySales:
    """The SKU's days, one after the other, those without an order of it as well."""
    sales = DailySales(0)
    for day in days:
        sales = with_day(sales, units[day])
    return sales


def _spread(days: list[list[int]]) -> float:
    """What is left of the variance between days when that of a Poisson process is taken away."""
    if len(days) < DAYS_FOR_HOURS_MIN:
        return 0.0
    beyond = squares = 0.0
    for hour in range(HOURS):
        mean = sum(day[hour] for day in days) / len(days)
        variance = sum((day[hour] - mean) ** 2 for day in days) / (len(days) - 1)
        beyond += variance - mean
        squares += mean * mean
    return sqrt(max(0.0, beyond / squares)) if squares else 0.0
