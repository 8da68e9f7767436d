"""How fast a SKU sells, and what will be asked for: the model behind the tiers. Whether it has accelerated: `trend.py`.

Times are seconds since the Unix epoch; `D` is a time between orders in shop seconds (`curves.py`), so that all rates
are relative to the hour of the day. State changes with an order only; whatever is asked between two orders is worked
out from the last one, so that how often somebody looks changes nothing.

**Rates.** Orders are Poisson at the scale of seconds, with a rate that drifts within the half hour: slowly as a rule,
abruptly when a host begins. No single memory serves both. So three gamma posteriors forget with half-lives of 150, 600
and 2,400 s (e = 2^(-seconds/half-life)):

    a <- a e + 1    b <- b e + D (1-e)/(-ln e)    rate = a/b

and each is trusted as far as it has foreseen the recent orders: its weight is the product of its predictive densities
(Lomax), forgotten by 5 % an order:

    w <- 0.95 w + ln(a/b) - a ln(b/(b' e)),  b' before the order

This is dynamic model averaging (Raftery, Karny, Ettler 2010) over discounted gamma-Poisson filters (West, Harrison
1997; Smith, Miller 1986). A prior counts as `strength` orders; cold, it is all there is, and `evidence_orders` says so.
What an order finds forgotten is filled up with half the prior (stabilised forgetting: Kulhavy, Zarrop 1993), so that a
rate goes back to what history says and not to nothing; silence alone fills nothing up, and neither does a prior worth
less than an order, which is a guess. History that is off by more than a factor of 2 is taken as off by 2.

**Forecast.** A burst fades (tau = 300 s), a lull too: over a horizon L, with the slowest memory's rate r and a weighted
mean of all r_i, D_L the shop seconds ahead:

    mean = D_L (r + (sum of w_i r_i - r) tau/L (1 - e^(-L/tau)))
    1/shape = variance of the weighted posteriors over their squared mean + 0.14^2 + 0.45^2 (1 - e^(-L/9,000 s))

The last two are for what no filter foresees, at once and in the course of hours: it ends at what days of a shop differ
by. An interval that is shown to people has the first of them only.

In units: mean times q, variance times q2/q for the Poisson part, with q and q2 the running mean and mean square of the
units per order. The demand is negative binomial (`chances.py`). Beyond a day, the days before tell more than the hour:
then `daily.py` has the word, if it knows the SKU.
"""

from math import exp, log

from msgspec import Struct

from gateway.domain.chances import Demand, chance_of_reaching
from gateway.domain.curves import FLAT, HourCurve
from gateway.domain.daily import DAYS_REMEMBERED, DailySales, demand_of_days, seen_by, sold
from gateway.domain.trend import BARELY, RAISED_SECONDS_MIN, Memory, aged, calmed, scored
from gateway.domain.trend import FALSE_RAISE_SECONDS as FALSE_RAISE_SECONDS  # noqa: PLC0414 - asked for here
from gateway.domain.trend import Trend as Trend  # noqa: PLC0414 - a part of a pace

HALF_LIFE_SECONDS = 2_400.0  # the slowest memory's; the others' are a half, a quarter and a sixteenth of it
TRUST_KEPT = 0.95
PRIOR_ORDERS = 4.0
FADE_SECONDS = 300.0
FILLED_SHARE, FILLED_FACTOR_MAX = 0.5, 2.0  # of the prior, where all is forgotten
UNFORESEEN_SHARE = 0.14
UNFORESEEN_LATER_SHARE, LATER_SECONDS = 0.45, 9_000.0
EXCESS_SECONDS = 4 * 3_600.0  # a live session's length: so long it may go on faster than the days before

QUANTITY_GAIN_MIN = 0.02  # of an order, among the fifty that tell how many units are asked for at a time
HORIZON_SECONDS_MAX = 7 * 86_400.0
EXACT_UNITS_MAX = 20  # above, the approximation is as good as the model
_MINUTE = 60.0

_DECAY = log(2.0) / HALF_LIFE_SECONDS
_FORGOTTEN_SECONDS = 43_200.0  # after that there is nothing left to forget, and the fastest memory would underflow


class Prior(Struct, frozen=True, gc=False):
    """What history says before the first order: orders per shop second, worth so many orders; units per order.

    `days` finished days had `day_mean` units on average, with `day_variance`; 0 days: not known.
    """

    rate: float
    strength: float = PRIOR_ORDERS
    quantity_mean: float = 1.0
    quantity_square: float = 1.0
    days: float = 0.0
    day_mean: float = 0.0
    day_variance: float = 0.0


class Pace(Struct, frozen=True, gc=False):
    """All that is remembered of one SKU's sales, as of its last order.

    `filled` is what fills up what is forgotten; `daily` are the units of finished days.
    """

    time: float
    shop_time: float
    fast: Memory
    middle: Memory
    slow: Memory
    trend: Trend
    quantity_mean: float
    quantity_square: float
    evidence_orders: int = 0
    filled: Memory | None = None
    daily: DailySales | None = None


class Outlook(Struct, frozen=True, gc=False):
    """A pace at some moment, from which any horizon is quickly forecast. Rates are orders per shop second.

    `rates`, `weights` and `errors` (1/orders) are those of the fast, the middle and the slow memory.
    """

    time: float
    shop_time: float
    rates: tuple[float, float, float]
    weights: tuple[float, float, float]
    errors: tuple[float, float, float]
    quantity_mean: float
    quantity_square: float
    daily: DailySales | None
    curve: HourCurve


class StockOutTimes(Struct, frozen=True, gc=False):
    """Seconds until stock-out: the 10 %, 50 % and 90 % quantile; None: not within the longest horizon."""

    p10: float | None
    p50: float | None
    p90: float | None


def begin(prior: Prior, now: float, curve: HourCurve = FLAT) -> Pace:
    """The pace of which only the prior is known."""
    assert prior.rate > 0
    memory = Memory(prior.strength, prior.strength / prior.rate)
    days = min(prior.days, DAYS_REMEMBERED)
    return Pace(
        time=now,
        shop_time=curve.shop_time(now),
        fast=memory,
        middle=memory,
        slow=memory,
        trend=Trend(memory, memory),
        quantity_mean=prior.quantity_mean,
        quantity_square=prior.quantity_square,
        filled=Memory(FILLED_SHARE * memory.orders, FILLED_SHARE * memory.exposure) if prior.strength >= 1 else None,
        # The rest of this day is no day.
        daily=DailySales(curve.day(now) + 1, 0.0, days, days, prior.day_mean, prior.day_variance * days),
    )


def observed(
    pace: Pace,
    now: float,
    curve: HourCurve = FLAT,
    quantity: int = 1,
    false_raise_seconds: float = FALSE_RAISE_SECONDS,
) -> Pace:
    """The pace after an order of `quantity` units at `now`; an order from before the last counts as simultaneous."""
    now = max(now, pace.time)
    shop_time = curve.shop_time(now)
    forgotten, gap = _since(pace, now, shop_time)
    filled, daily = pace.filled, pace.daily
    gain = max(QUANTITY_GAIN_MIN, 1 / (pace.evidence_orders + PRIOR_ORDERS + 1))
    return Pace(
        now,
        shop_time,
        _learned(pace.fast, 16 * forgotten, gap, filled),
        _learned(pace.middle, 4 * forgotten, gap, filled),
        _learned(pace.slow, forgotten, gap, filled),
        scored(_calmed(pace, now, forgotten, gap), now, gap, forgotten, false_raise_seconds),
        pace.quantity_mean + gain * (quantity - pace.quantity_mean),
        pace.quantity_square + gain * (quantity * quantity - pace.quantity_square),
        pace.evidence_orders + 1,
        filled,
        None if daily is None else sold(daily, curve.day(now), quantity),
    )


def is_accelerating(pace: Pace, now: float, curve: HourCurve = FLAT) -> bool:
    """True from the moment the trend's score has passed its bar until it has calmed down."""
    trend = pace.trend
    if trend.raised_time is None:
        return False
    forgotten, gap = _since(pace, now, curve.shop_time(now))
    return _calmed(pace, now, forgotten, gap).raised_time is not None


def rates(pace: Pace, now: float, curve: HourCurve = FLAT) -> tuple[float, float]:
    """The fast and the slow rate, in orders per shop second."""
    fast, _, slow = outlook(pace, now, curve).rates
    return fast, slow


def outlook(pace: Pace, now: float, curve: HourCurve = FLAT) -> Outlook:
    """The pace as it is at `now`, when nothing has come since the last order."""
    start = curve.shop_time(now)
    forgotten, gap = _since(pace, now, start)
    fast, middle, slow = (
        aged(pace.fast, 16 * forgotten, gap),
        aged(pace.middle, 4 * forgotten, gap),
        aged(pace.slow, forgotten, gap),
    )
    most = max(fast.trust, middle.trust, slow.trust)
    one, two, three = exp(fast.trust - most), exp(middle.trust - most), exp(slow.trust - most)
    whole = one + two + three
    return Outlook(
        now,
        start,
        (fast.orders / fast.exposure, middle.orders / middle.exposure, slow.orders / slow.exposure),
        (one / whole, two / whole, three / whole),
        (1 / max(fast.orders, 1.0), 1 / max(middle.orders, 1.0), 1 / max(slow.orders, 1.0)),
        pace.quantity_mean,
        pace.quantity_square,
        pace.daily,
        curve,
    )


def forecast(pace: Pace, now: float, horizon_seconds: float, curve: HourCurve = FLAT) -> Demand:
    """The units that will be asked for from `now` on, within the horizon."""
    return ahead(outlook(pace, now, curve), horizon_seconds)


def ahead(out: Outlook, horizon_seconds: float, later_share: float = UNFORESEEN_LATER_SHARE) -> Demand:
    """The same from an outlook; `later_share` is how much the course of hours may bring."""
    if horizon_seconds <= 0:
        return Demand(0.0, 1.0)
    curve = out.curve
    shop_seconds = curve.shop_time(out.time + horizon_seconds) - out.shop_time
    if horizon_seconds > curve.day_seconds and out.daily is not None and out.daily.is_known:
        return _days_ahead(out, out.daily, shop_seconds)
    fading = FADE_SECONDS / horizon_seconds * (1 - exp(-horizon_seconds / FADE_SECONDS))
    rate, variance_share = _averaged(out, fading)
    mean = rate * shop_seconds * out.quantity_mean
    if mean <= 0:
        return Demand(0.0, 1.0)
    later = later_share * later_share * (1 - exp(-horizon_seconds / LATER_SECONDS))
    # mean q2/q + mean^2 wide = mean + mean^2/shape
    lumps = out.quantity_square / out.quantity_mean - 1
    return Demand(mean, 1 / (variance_share + UNFORESEEN_SHARE**2 + later + max(0.0, lumps) / mean))


def stock_out_times(
    pace: Pace, now: float, units: int, curve: HourCurve = FLAT, horizon_seconds_max: float = HORIZON_SECONDS_MAX
) -> StockOutTimes:
    """When the demand will have reached `units`, as an interval."""
    if units <= 0:
        return StockOutTimes(0.0, 0.0, 0.0)
    out, high = outlook(pace, now, curve), _MINUTE
    found: list[float | None] = []
    for share in (0.1, 0.5, 0.9):
        # Where one in ten is not reached, one in two is not either.
        while high <= horizon_seconds_max and _gone(out, units, high) < share:
            high *= 2
        found.append(_quantile(out, units, share, high) if high <= horizon_seconds_max else None)
    return StockOutTimes(*found)


def _since(pace: Pace, now: float, shop_time: float) -> tuple[float, float]:
    """What the slowest memory has forgotten since the last order, as -ln e, and the shop seconds since."""
    seconds, gap = max(0.0, now - pace.time), max(0.0, shop_time - pace.shop_time)
    if seconds > _FORGOTTEN_SECONDS:
        return _DECAY * _FORGOTTEN_SECONDS, gap * _FORGOTTEN_SECONDS / seconds
    return _DECAY * seconds, gap


def _learned(memory: Memory, forgotten: float, gap: float, filled: Memory | None) -> Memory:
    orders, exposure, trust = memory.orders, memory.exposure, TRUST_KEPT * memory.trust
    kept = exp(-forgotten)
    orders *= kept
    before = exposure * kept
    if filled is not None:
        rate = memory.orders / memory.exposure
        known = min(max(filled.orders / filled.exposure, rate / FILLED_FACTOR_MAX), rate * FILLED_FACTOR_MAX)
        part = filled.orders * (1 - kept)
        orders += part
        before += part / known
    exposure = before + (gap * (1 - kept) / forgotten if forgotten > BARELY else gap)
    return Memory(orders + 1, exposure, trust + log(orders / exposure) - orders * log(exposure / before))


def _calmed(pace: Pace, now: float, forgotten: float, gap: float) -> Trend:
    """The trend when nothing has come since the last order."""
    trend = pace.trend
    if trend.raised_time is None or now - trend.raised_time < RAISED_SECONDS_MIN:
        return trend
    fast = aged(pace.fast, 16 * forgotten, gap)
    return calmed(trend, now, gap, fast.orders / fast.exposure)


def _averaged(out: Outlook, fading: float) -> tuple[float, float]:
    """The weighted rate with all but `fading` of each memory's excess gone, and its variance over its square."""
    fast, middle, slow = out.rates
    one, two, three = out.weights
    fast, middle = slow + (fast - slow) * fading, slow + (middle - slow) * fading
    first = one * fast + two * middle + three * slow
    second = (
        one * fast * fast * (1 + out.errors[0])
        + two * middle * middle * (1 + out.errors[1])
        + three * slow * slow * (1 + out.errors[2])
    )
    return first, (second / (first * first) - 1 if first > 0 else 0.0)


def _days_ahead(out: Outlook, daily: DailySales, shop_seconds: float) -> Demand:
    """What the days before tell, and what is faster now goes on for a while."""
    day_seconds = out.curve.day_seconds
    known = seen_by(daily, out.curve.day(out.time))
    excess = _averaged(out, 1.0)[0] * out.quantity_mean - known.mean / day_seconds
    return demand_of_days(known, shop_seconds / day_seconds, max(0.0, excess) * EXCESS_SECONDS)


def _quantile(out: Outlook, units: int, share: float, high: float) -> float:
    """The smallest horizon at which demand reaches `units` with that chance, to half a percent; at `high` it does."""
    low = 0.0 if high == _MINUTE else high / 2
    while high - low > 0.005 * high + 0.1:
        middle = (low + high) / 2
        if _gone(out, units, middle) >= share:
            high = middle
        else:
            low = middle
    return high


def _gone(out: Outlook, units: int, horizon_seconds: float) -> float:
    return chance_of_reaching(ahead(out, horizon_seconds, 0.0), units, EXACT_UNITS_MAX)
