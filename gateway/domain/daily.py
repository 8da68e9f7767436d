"""How much a SKU sells in a day: the model for lead times of more than a day.

The live pace (`demand.py`) knows this hour; what is asked for over three days is told by the days before. A day's units
are lumpy (one order of a wholesaler is a week of another's), differ by more than chance, and drift with the season. So
mean and variance of the units of finished days are kept, forgotten with a half-life of 30 days (West 1979):

    n <- n/2^(1/30) + 1    d = x - mean    mean <- mean + d/n    S <- S/2^(1/30) + d (x - mean)    v = S/n

and the demand of T days is negative binomial with

    mean T mean    variance v T^1.2 + v T^2/n_e + (0.3 T mean)^2

The first term is chance; its exponent is above 1 because busy days follow busy days. The second is the error of the
mean, with n_e = (sum of weights)^2 / (sum of their squares) days seen; the third is what the next days bring that no
day before has shown. A day without an order is a day with 0 units.

`stockgate backtest LOG --trial long-lead` judges it beside the textbook's normal formula.
"""

from __future__ import annotations

from msgspec import Struct

from gateway.domain.chances import Demand

HALF_LIFE_DAYS = 30.0
LUMPS_EXPONENT = 1.2
UNFORESEEN_DAY_SHARE = 0.3
KNOWN_DAYS_MIN = 7.0  # of fewer days there is no variance worth the name
SILENT_DAYS_MAX = 400  # by then everything before is forgotten

_KEPT = 0.5 ** (1 / HALF_LIFE_DAYS)
DAYS_REMEMBERED = 1 / (1 - _KEPT)  # the weight of endless days
_OVERDISPERSION_MIN = 1.01  # below, no negative binomial has that variance


class DailySales(Struct, frozen=True, gc=False):
    """Units by the day: `units` so far on `day` (days since the epoch, local), and what the finished days tell.

    `weight` and `weight_square` are the sums of the days' weights and of their squares, `square` is S.
    """

    day: int
    units: float = 0.0
    weight: float = 0.0
    weight_square: float = 0.0
    mean: float = 0.0
    square: float = 0.0

    @property
    def days_known(self) -> float:
        """How many days the mean rests on, were they all of equal weight."""
        return self.weight * self.weight / self.weight_square if self.weight_square else 0.0

    @property
    def is_known(self) -> bool:
        """True if there have been enough days to tell of more than one."""
        return self.days_known >= KNOWN_DAYS_MIN


def with_day(sales: DailySales, units: float) -> DailySales:
    """The day is over, and had so many units."""
    weight = sales.weight * _KEPT + 1
    ahead = units - sales.mean
    mean = sales.mean + ahead / weight
    return DailySales(
        sales.day + 1,
        0.0,
        weight,
        sales.weight_square * _KEPT * _KEPT + 1,
        mean,
        sales.square * _KEPT + ahead * (units - mean),
    )


def sold(sales: DailySales, day: int, units: float) -> DailySales:
    """After an order of `units` on `day`; one from before the day that is counted is left out."""
    if day < sales.day:
        return sales
    if day - sales.day > SILENT_DAYS_MAX:
        return DailySales(day, units)
    while sales.day < day:
        sales = with_day(sales, sales.units)
    return DailySales(sales.day, sales.units + units, sales.weight, sales.weight_square, sales.mean, sales.square)


def seen_by(sales: DailySales, day: int) -> DailySales:
    """The same as it is on a later day, when nothing has come since."""
    return sold(sales, day, 0.0) if day > sales.day else sales


def demand_of_days(sales: DailySales, days: float, extra_units: float = 0.0) -> Demand:
    """The units of so many days, and `extra_units` that are expected beside. `sales` is known."""
    mean = days * sales.mean
    if mean + extra_units <= 0:
        return Demand(0.0, 1.0)
    variance = sales.square / sales.weight
    spread = (
        variance * (days**LUMPS_EXPONENT + days * days / sales.days_known)
        + UNFORESEEN_DAY_SHARE * UNFORESEEN_DAY_SHARE * mean * mean
        + extra_units
    )
    mean += extra_units
    return Demand(mean, mean * mean / (max(spread, _OVERDISPERSION_MIN * mean) - mean))
