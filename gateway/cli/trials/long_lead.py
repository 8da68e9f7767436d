"""Trial of lead times of days: how often what was thought to last for 1, 3 and 5 days does not.

On every selling day of the log's last quarter, each policy sees the 60 selling days before it and says how many units
will do with 95 % certainty; then the days come. Judged are the 300 SKUs with the most lines. A promise of 95 % that is
broken in 10 % of cases is a wrong one, and one that is kept by buying twice the goods a dear one: so there stands
beside it what was held, in mean demands, and the pinball loss at 95 % (lower is better), which weighs both.

Intervals are over SKUs, for the days of one SKU are alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import floor, sqrt
from statistics import fmean, stdev

from gateway.cli.orderlog import LoggedOrder
from gateway.cli.trials import intervals
from gateway.cli.trials.days import date_of
from gateway.cli.trials.intervals import Figure
from gateway.domain.chances import units_reached
from gateway.domain.daily import DailySales, demand_of_days, with_day

SKUS_MAX = 300
HISTORY_DAYS = 60
LEAD_DAYS = (1, 3, 5)
JUDGED_SHARE = 0.25  # of the log's selling days, the last
NOMINAL = 0.05
NORMAL_Z = 1.645
MEAN_FACTOR = 1.5

Wants = Callable[[Sequence[int]], Mapping[int, float]]


@dataclass(frozen=True)
class LongLeadRow:
    """One policy at one lead time: share of stock-outs, units held and pinball loss, both in the SKU's mean day."""

    policy: str
    lead_days: int
    stock_outs: Figure
    held: Figure
    loss: Figure


def days_of(orders: Sequence[LoggedOrder]) -> dict[str, list[int]]:
    """The units of each of the SKUs with most lines on each selling day."""
    lines = Counter(order.sku for order in orders)
    chosen = [sku for sku, _ in lines.most_common(SKUS_MAX)]
    dates = {date_of(order) for order in orders}
    places = {date: place for place, date in enumerate(sorted(dates))}
    units = {sku: [0] * len(dates) for sku in chosen}
    for order in orders:
        if order.sku in units:
            units[order.sku][places[date_of(order)]] += order.quantity
    return units


def can_be_judged(orders: Sequence[LoggedOrder]) -> bool:
    """True if the log has history enough, and days after it."""
    return len({date_of(order) for order in orders}) >= HISTORY_DAYS + 2 * max(LEAD_DAYS)


def long_lead_trial(orders: Sequence[LoggedOrder]) -> list[LongLeadRow]:
    """Every policy at every lead time; a log that is too short has no rows."""
    if not can_be_judged(orders):
        return []
    tallies = {(name, days): _Tally([], [], []) for name in WANTS for days in LEAD_DAYS}
    for units in days_of(orders).values():
        if sum(units):
            _judge(units, tallies)
    return [
        LongLeadRow(
            name, days, intervals.mean(tally.stock_outs), intervals.mean(tally.held), intervals.mean(tally.loss)
        )
        for (name, days), tally in tallies.items()
    ]


def model_wants(history: Sequence[int]) -> Mapping[int, float]:
    """Ours: the 95 % quantile of the daily model."""
    sales = DailySales(0)
    for units in history:
        sales = with_day(sales, units)
    return {days: units_reached(demand_of_days(sales, days), NOMINAL) for days in LEAD_DAYS}


def normal_wants(history: Sequence[int]) -> Mapping[int, float]:
    """The textbook's: mean and 1.645 standard deviations, as if days were normal and independent."""
    mean, spread = fmean(history), stdev(history)
    return {days: floor(mean * days + NORMAL_Z * spread * sqrt(days)) for days in LEAD_DAYS}


def mean_wants(history: Sequence[int]) -> Mapping[int, float]:
    """The rule of thumb: half as much again as the mean."""
    mean = fmean(history)
    return {days: floor(MEAN_FACTOR * mean * days) for days in LEAD_DAYS}


WANTS: Mapping[str, Wants] = {"tiers": model_wants, "normal": normal_wants, "mean-150": mean_wants}


@dataclass(frozen=True)
class _Tally:
    """One figure per SKU in each."""

    stock_outs: list[float]
    held: list[float]
    loss: list[float]


def _judge(units: Sequence[int], tallies: Mapping[tuple[str, int], _Tally]) -> None:
    first = max(HISTORY_DAYS, floor(len(units) * (1 - JUDGED_SHARE)))
    mean = fmean(units)
    found = [
        (name, days, wanted, sum(units[day : day + days]))
        for day in range(first, len(units))
        for name, wants in WANTS.items()
        for days, wanted in wants(units[day - HISTORY_DAYS : day]).items()
        if day + days <= len(units)
    ]
    found.sort(key=lambda each: each[:2])
    for (name, days), cases in groupby(found, key=lambda each: each[:2]):
        pairs = [(wanted, asked) for _, _, wanted, asked in cases]
        tally = tallies[name, days]
        tally.stock_outs.append(fmean(asked > wanted for wanted, asked in pairs))
        tally.held.append(fmean(wanted for wanted, _ in pairs) / (mean * days))
        tally.loss.append(fmean(_pinball(wanted, asked) for wanted, asked in pairs) / mean)


def _pinball(wanted: float, asked: float) -> float:
    """What a unit too few costs against one too many, as the quantile weighs them."""
    return (1 - NOMINAL) * (asked - wanted) if asked > wanted else NOMINAL * (wanted - asked)
