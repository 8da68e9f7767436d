"""Trial of what is told in numbers: the chance of selling out within a lead time, and the time until it is sold out.

A session begins somewhere in a day; at a random moment, 10 to 60 minutes in, each policy that forecasts is asked once.

- Brier: the mean square of chance told minus what came (1 or 0), over stock that makes it a question; lower is better.
  Bins hold chances told against shares that came.
- Covers: the share of stock-outs within the 10 % to 90 % interval; it should be 80 %.
- Loss: the pinball loss of the three quantiles in minutes, mean of the three; lower is better. A quantile that is not
  told (beyond the longest horizon) counts as the end of the day.

Moments whose truth the day does not show are left out. A policy that only says yes or no has told 1 or 0.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.cli.trials import intervals
from gateway.cli.trials.days import Day
from gateway.cli.trials.intervals import Figure
from gateway.cli.trials.sessions import COVERAGE_SECONDS, COVERAGE_STOCKS, LAST_START_SECONDS
from gateway.domain.baselines import POLICIES, Policy, Session

FORECASTING = tuple(policy for policy in POLICIES.values() if policy.forecasts)
STOCK_SHARES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of the mean demand over the lead time: where the answer is open
BINS = 5
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Bin:
    """Chances told between two bounds: their mean, and the share of them that came."""

    low: float
    high: float
    told: float
    came: float
    cases: int


@dataclass(frozen=True)
class ForecastScore:
    """How true a policy's numbers are."""

    brier: Figure
    bins: tuple[Bin, ...]
    covers: Figure
    loss_minutes: Figure


@dataclass(frozen=True)
class _Moment:
    """Where a policy is asked: orders seen, units left for either question, and what came."""

    day: Day
    start: float
    told: float
    units: int
    sold_out: float
    stock: int
    came: bool | None


def forecast_trial(days: Sequence[Day], policy: Policy, lead_seconds: float, seed: int, count: int) -> ForecastScore:
    """Asks one policy at so many moments, the same for every policy."""
    chances: list[tuple[float, bool]] = []
    covered: list[bool] = []
    losses: list[float] = []
    for moment in _moments(days, lead_seconds, seed, count):
        watcher = policy.watcher(Session(moment.day.history, moment.start, lead_seconds, moment.units))
        for time, sold in _seen(moment):
            watcher.sees(time, sold)
        if moment.came is not None:
            chances.append((watcher.chance(moment.told, moment.stock), moment.came))
        end = moment.day.ends - moment.told
        times = [min(end, time) for time in watcher.times(moment.told, moment.units)]
        if times and moment.sold_out:
            covered.append(times[0] <= moment.sold_out <= times[2])
            losses.append(_pinball(times, moment.sold_out) / 60)
    return ForecastScore(
        brier=intervals.mean([(chance - came) ** 2 for chance, came in chances]),
        bins=_bins(chances),
        covers=intervals.share(covered),
        loss_minutes=intervals.mean(losses),
    )


def _moments(days: Sequence[Day], lead_seconds: float, seed: int, count: int) -> list[_Moment]:
    chance = random.Random(f"{seed}/forecasts")  # noqa: S311 - chance for a trial, no secret
    return [_moment(chance.choice(days), lead_seconds, chance) for _ in range(count)]


def _moment(day: Day, lead_seconds: float, chance: random.Random) -> _Moment:
    start = chance.uniform(day.opens, max(day.opens, LAST_START_SECONDS / day.compression))
    told = start + chance.uniform(*COVERAGE_SECONDS)
    units, share = chance.choice(COVERAGE_STOCKS), chance.choice(STOCK_SHARES)
    now = bisect_left(day.units, told)
    is_known = now + units <= len(day.units)
    recent = now - bisect_left(day.units, told - lead_seconds)
    stock = max(1, round(share * recent))
    asked = bisect_left(day.units, told + lead_seconds) - now
    return _Moment(
        day,
        start,
        told,
        units,
        day.units[now + units - 1] - told if is_known else 0.0,
        stock,
        asked >= stock if told + lead_seconds <= day.ends else None,
    )


def _seen(moment: _Moment) -> list[tuple[float, int]]:
    return [(time, sold) for time, sold in moment.day.moments if sold and moment.start <= time < moment.told]


def _pinball(times: Sequence[float], truth: float) -> float:
    losses = [
        share * (truth - time) if truth > time else (1 - share) * (time - truth)
        for share, time in zip(QUANTILES, times, strict=True)
    ]
    return sum(losses) / len(losses)


def _bins(chances: Sequence[tuple[float, bool]]) -> tuple[Bin, ...]:
    found = []
    for place in range(BINS):
        low, high = place / BINS, (place + 1) / BINS
        inside = [(told, came) for told, came in chances if low <= told < high or told == high == 1.0]
        if inside:
            told = sum(each for each, _ in inside) / len(inside)
            found.append(Bin(low, high, told, sum(came for _, came in inside) / len(inside), len(inside)))
    return tuple(found)
