"""Whether a SKU's sales have really accelerated, and not two orders come after one by chance.

Is the rate now 2.5 times what it was? The cumulated log-likelihood ratio in event time (Page 1954; Lucas 1985), against
a baseline with a half-life of 1,200 s that stands still while the score is above half its bar, so that a surge does not
become its own measure:

    base+ = base (1 + 0.5/sqrt(a))                                     the baseline is itself an estimate
    S <- max(0, S - (rho-1) base+ D) + ln rho                          rho = 2.5
    accelerating at S >= h and 6 orders since onset, h = max(3, ln(base T / c)),  c = 2.2: one false raise in T, at most
    calm again after 60 s at S <= 0.2 h or fast/base < 1.25; then S = 0

While accelerating S is capped at 1.5 h, and the baseline forgets at a quarter of its speed. A tripling needs about ten
orders of evidence, whatever the method.

D is a time between orders, in shop seconds (`curves.py`).
"""

from math import exp, log, sqrt

from msgspec import Struct

RATIO = 2.5
RAISE_ORDERS_MIN = 6
BAR_MIN = 3.0
ORDERS_PER_FALSE_RAISE = 2.2  # the c of h: by chance a bar of h is passed once in c e^h orders
FALSE_RAISE_SECONDS = 14_400.0
CAP_SHARE, CALM_SHARE, CALM_RATIO, STANDS_STILL_SHARE = 1.5, 0.2, 1.25, 0.5
RAISED_SECONDS_MIN = 60.0

BARELY = 1e-9  # forgotten so little that nothing is


class Memory(Struct, frozen=True, gc=False, array_like=True):
    """A gamma posterior of the rate: `orders` in `exposure` shop seconds; `trust` is its log weight among others."""

    orders: float
    exposure: float
    trust: float = 0.0


class Trend(Struct, frozen=True, gc=False):
    """The score for an acceleration, its bar, and the baseline it is measured against.

    `baseline` goes on learning, `held` is what it was when the score was last low. `raised_time` is None when steady.
    """

    baseline: Memory
    held: Memory
    score: float = 0.0
    bar: float = BAR_MIN
    orders_since_onset: int = 0
    onset_time: float = 0.0
    raised_time: float | None = None


def aged(memory: Memory, forgotten: float, gap: float) -> Memory:
    """The memory when nothing has come for `gap`: a long silence too is forgotten as it goes on."""
    kept = exp(-forgotten)
    before = memory.exposure * kept
    exposure = before + (gap * (1 - kept) / forgotten if forgotten > BARELY else gap)
    orders = memory.orders * kept
    return Memory(orders, exposure, memory.trust - orders * log(exposure / before))


def calmed(trend: Trend, now: float, gap: float, fast_rate: float) -> Trend:
    """A raised trend, `gap` shop seconds after the last order: steady again, if it has calmed down."""
    score = trend.score - (RATIO - 1) * _raised_rate(trend.held) * gap
    if score > CALM_SHARE * trend.bar and fast_rate >= CALM_RATIO * trend.held.orders / trend.held.exposure:
        return trend
    return Trend(trend.baseline, trend.baseline, bar=trend.bar, onset_time=now)


def scored(trend: Trend, now: float, gap: float, forgotten: float, false_raise_seconds: float) -> Trend:
    """The trend after an order."""
    held = trend.held
    bar = max(BAR_MIN, log(held.orders / held.exposure * false_raise_seconds / ORDERS_PER_FALSE_RAISE))
    before = trend.score - (RATIO - 1) * _raised_rate(held) * gap
    score = max(0.0, before) + log(RATIO)
    is_onset = before <= 0
    count = 1 if is_onset else trend.orders_since_onset + 1
    raised_time = trend.raised_time
    if raised_time is not None:
        score = min(score, CAP_SHARE * bar)
        forgotten /= 2
    else:
        forgotten *= 2
        if score >= bar and count >= RAISE_ORDERS_MIN:
            raised_time = now
    baseline = aged(trend.baseline, forgotten, gap)
    learned = Memory(baseline.orders + 1, baseline.exposure)
    return Trend(
        learned,
        learned if score < STANDS_STILL_SHARE * bar else held,
        score,
        bar,
        count,
        now if is_onset else trend.onset_time,
        raised_time,
    )


def _raised_rate(memory: Memory) -> float:
    """The rate, and half a standard error more: the baseline is itself an estimate."""
    return memory.orders / memory.exposure * (1 + 0.5 / sqrt(memory.orders))
