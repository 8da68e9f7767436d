"""The curve of the day: how fast a shop sells at each hour, against its own mean.

A curve turns clock seconds into **shop seconds**: an hour in which twice the mean is sold has 7,200 of them, and a
whole day exactly as many as the clock. Rates are orders per shop second, so that the lunch peak that comes every day
is no acceleration, and a forecast across it knows what comes.

The rate between the middles of two hours is interpolated linearly; its integral is kept in a table of five-minute
steps, so that a look-up costs the same wherever it falls.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

HOURS = 24
DAY_SECONDS = 86_400.0
CHINA_OFFSET_SECONDS = 28_800.0
HOUR_FACTOR_MIN = 0.05  # an hour in which nothing was ever sold may still sell

_STEPS = 288
_STEPS_PER_HOUR = _STEPS // HOURS


class HourCurve(Struct, frozen=True, gc=False):
    """The share of the mean rate at each step of the day, summed up; made by `hour_curve`.

    `day_seconds` is the length of one turn: 86,400, or less for a tape that is played faster.
    """

    sums: tuple[float, ...]
    day_seconds: float = DAY_SECONDS
    offset_seconds: float = CHINA_OFFSET_SECONDS

    def day(self, time: float) -> int:
        """Which local day it is: its number since the Unix epoch."""
        return int((time + self.offset_seconds) // self.day_seconds)

    def factor(self, time: float) -> float:
        """How many shop seconds a second has at that time."""
        step = min(int((time + self.offset_seconds) % self.day_seconds / self.day_seconds * _STEPS), _STEPS - 1)
        return (self.sums[step + 1] - self.sums[step]) * _STEPS

    def shop_time(self, time: float) -> float:
        """Shop seconds from the Unix epoch until `time`; what counts is the difference of two of them."""
        day, rest = divmod(time + self.offset_seconds, self.day_seconds)
        at = rest / self.day_seconds * _STEPS
        step = min(int(at), _STEPS - 1)  # rounding may reach the end of the day
        low = self.sums[step]
        return self.day_seconds * (day + low + (self.sums[step + 1] - low) * (at - step))


def hour_curve(
    factors: Sequence[float],
    *,
    day_seconds: float = DAY_SECONDS,
    offset_seconds: float = CHINA_OFFSET_SECONDS,
) -> HourCurve:
    """The curve through 24 factors of the mean rate, the first for the hour that begins at local midnight."""
    assert len(factors) == HOURS
    rates = [_rate_at(factors, step) for step in range(_STEPS)]
    total = sum(rates)
    sums = [0.0]
    for rate in rates:
        sums.append(sums[-1] + rate / total)
    sums[-1] = 1.0
    return HourCurve(tuple(sums), day_seconds, offset_seconds)


def hour_factors(counts: Iterable[float]) -> tuple[float, ...]:
    """The factors that the orders of 24 hours tell: smoothed over the hour before and after, with the mean 1."""
    counted = list(counts)
    smooth = [(counted[hour - 1] + 2 * counted[hour] + counted[(hour + 1) % HOURS]) / 4 for hour in range(len(counted))]
    mean = sum(smooth) / HOURS
    return tuple(max(value / mean, HOUR_FACTOR_MIN) for value in smooth) if mean > 0 else (1.0,) * HOURS


def _rate_at(factors: Sequence[float], step: int) -> float:
    hour = (step + 0.5) / _STEPS_PER_HOUR - 0.5
    low = int(hour // 1)
    share = hour - low
    return factors[low % HOURS] * (1 - share) + factors[(low + 1) % HOURS] * share


FLAT = hour_curve((1.0,) * HOURS)
