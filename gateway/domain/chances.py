"""The chance that so many units are asked for: the negative binomial distribution, its tail and its quantiles.

Orders come as a Poisson process whose rate is known only as a gamma distribution. Their number is then negative
binomial with mean mu and shape k (variance mu + mu^2/k), exactly:

    p = k/(k+mu)    P(N >= r) = 1 - sum over i < r of pm_i    pm_0 = p^k    pm_i = pm_(i-1) * (1-p) * (k+i-1)/i

For long sums, and where p^k underflows, the approximation of Camp and Paulson takes over. With x = r-1, A = 1/(9(x+1)),
B = 1/(9k), c = (mu/(x+1))^(1/3):

    z = ((1-B) c - (1-A)) / sqrt(B c^2 + A)    P = erfc(-z/sqrt 2) / 2    |error| <= 0.0031

Sources: Greenwood and Yule (1920) for the mixture; Camp (1951), Bartko (1966) for the approximation; Swanson's rule
(Hurst, Brown, Swanson 2000) for the three points of a lead time.
"""

from math import erfc, exp, log, sqrt

from msgspec import Struct

EXACT_UNITS_MAX = 500
UNDERFLOW_LOG = -700.0
# So far above the mean nothing is worth computing: less than one in ten thousand, whatever the shape.
FAR_FACTOR, FAR_SPREAD, FAR_UNITS = 3.0, 6.0, 20.0
# Wide demand (of days) is counted term by term where only its quantile is asked for: there the approximation is poor.
NEARLY_SHAPE_MIN, COUNTED_UNITS_MAX = 2.0, 100_000

_SQRT_2 = sqrt(2.0)
_Z90 = 1.2815515655446004


class Demand(Struct, frozen=True, gc=False):
    """How many units will be asked for over some horizon: a mean and a shape; the smaller the shape, the wider."""

    mean: float
    shape: float


class LeadTime(Struct, frozen=True, gc=False):
    """How long supply takes: mean and standard deviation, in seconds."""

    mean_seconds: float
    spread_seconds: float = 0.0

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """The tenth, the middle and the ninetieth percentile in seconds, each with its weight; one if it is certain."""
        if self.spread_seconds <= 0:
            return ((self.mean_seconds, 1.0),)
        reach = _Z90 * self.spread_seconds
        return (
            (max(0.0, self.mean_seconds - reach), 0.3),
            (self.mean_seconds, 0.4),
            (self.mean_seconds + reach, 0.3),
        )


def chance_of_reaching(demand: Demand, units: int, exact_units_max: int = EXACT_UNITS_MAX) -> float:
    """P(demand >= units). Beyond `exact_units_max` approximately."""
    if units <= 0:
        return 1.0
    mean, shape = demand.mean, demand.shape
    if mean <= 0 or units > mean * (FAR_FACTOR + FAR_SPREAD / shape) + FAR_UNITS:
        return 0.0
    log_none = shape * log(shape / (shape + mean))
    if units > exact_units_max or log_none < UNDERFLOW_LOG:
        return _nearly(mean, shape, units)
    chance = exp(log_none)
    missed = chance
    share = mean / (shape + mean)
    for count in range(1, units):
        chance *= share * (shape + count - 1) / count
        missed += chance
    return max(0.0, 1.0 - missed)


def units_reached(demand: Demand, chance: float) -> int:
    """The most units that are asked for with at least that chance: R at or below it is too little."""
    high = int(demand.mean * (FAR_FACTOR + FAR_SPREAD / demand.shape) + FAR_UNITS) + 1
    if demand.shape < NEARLY_SHAPE_MIN and high <= COUNTED_UNITS_MAX:
        return _counted(demand, chance, high)
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if chance_of_reaching(demand, middle, 0) >= chance:
            low = middle
        else:
            high = middle - 1
    return low


def _counted(demand: Demand, chance: float, high: int) -> int:
    """The same, term by term."""
    mean, shape = demand.mean, demand.shape
    if mean <= 0:
        return 0
    share = mean / (shape + mean)
    term = exp(shape * log(shape / (shape + mean)))
    missed, units = term, 0
    while 1 - missed >= chance and units < high:
        units += 1
        term *= share * (shape + units - 1) / units
        missed += term
    return units


def _nearly(mean: float, shape: float, units: int) -> float:
    a, b = 1 / (9 * units), 1 / (9 * shape)
    ratio = (mean / units) ** (1 / 3)
    z = ((1 - b) * ratio - (1 - a)) / sqrt(b * ratio * ratio + a)
    return 0.5 * erfc(-z / _SQRT_2)
