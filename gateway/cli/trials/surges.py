"""Trial of the trend: raises where nothing was added, and how soon a surge that was added is seen.

Quiet: the day's orders as they were. Surge: from a moment on, for ten minutes, (m - 1) times the rate of the last
quarter of an hour on top, as consecutive orders of another day stretched to fit. Seen: raised within the surge; who
is raised already when it begins has seen it at once, which is why the share of time raised is shown beside.
"""

from __future__ import annotations

import copy
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.cli.trials import intervals
from gateway.cli.trials.days import Day
from gateway.cli.trials.intervals import Figure
from gateway.domain.baselines import Policy, Session, Watcher

SURGES_PER_DAY = 40
MULTIPLIERS = (2, 3, 5)
SURGE_SECONDS, BEFORE_SECONDS = 600.0, 900.0
FIRST_SECONDS, LAST_SECONDS = 1_800.0, 1_200.0
HOUR_SECONDS = 3_600.0


@dataclass(frozen=True)
class SurgeScore:
    """Raises per quiet hour, the share of quiet orders at which it stood raised; per multiplier recall and delay."""

    raises_per_hour: Figure
    raised_share: Figure
    recall: dict[int, Figure]
    delay_seconds: dict[int, Figure]


def surge_trial(days: Sequence[Day], policy: Policy, seed: int, advance: Callable[[], None]) -> SurgeScore:
    """Plays every day with and without surges."""
    raises: list[float] = []
    raised: list[bool] = []
    delays: dict[int, list[float | None]] = {multiplier: [] for multiplier in MULTIPLIERS}
    for day in days:
        chance = random.Random(f"{seed}/{day.name}")  # noqa: S311 - chance for a trial, no secret
        first, last = day.opens + FIRST_SECONDS, day.ends - LAST_SECONDS
        starts = sorted(chance.uniform(first, last) for _ in range(SURGES_PER_DAY))
        branches = _play_quiet(day, policy, starts, raises, raised)
        others = [other for other in days if other is not day] or [day]
        for start, watcher in branches:
            for multiplier in MULTIPLIERS:
                added = _added(day, chance.choice(others), start, multiplier, chance)
                if added:
                    delays[multiplier].append(_delay(day, copy.deepcopy(watcher), start, added))
        advance()
    return SurgeScore(
        raises_per_hour=intervals.mean(raises),
        raised_share=intervals.share(raised),
        recall={each: intervals.share([delay is not None for delay in found]) for each, found in delays.items()},
        delay_seconds={
            each: intervals.middle([delay for delay in found if delay is not None]) for each, found in delays.items()
        },
    )


def _play_quiet(
    day: Day, policy: Policy, starts: list[float], raises: list[float], raised: list[bool]
) -> list[tuple[float, Watcher]]:
    """The watcher as it is at each start; raises are counted by the hour, each as a rate per hour."""
    watcher = policy.watcher(Session(day.history, day.opens, SURGE_SECONDS, 0))
    branches: list[tuple[float, Watcher]] = []
    by_hour = [0.0] * max(1, round((day.ends - day.opens) / HOUR_SECONDS))
    hour_seconds = (day.ends - day.opens) / len(by_hour)
    was_rising = False
    for time in day.selling:
        while len(branches) < len(starts) and starts[len(branches)] <= time:
            branches.append((starts[len(branches)], copy.deepcopy(watcher)))
        watcher.sees(time)
        is_rising = watcher.is_rising(time)
        if is_rising and not was_rising:
            by_hour[min(int((time - day.opens) / hour_seconds), len(by_hour) - 1)] += HOUR_SECONDS / hour_seconds
        raised.append(is_rising)
        was_rising = is_rising
    raises += by_hour
    return branches


def _added(day: Day, other: Day, start: float, multiplier: int, chance: random.Random) -> list[float]:
    """The surge's own orders; none if nothing was sold before it."""
    before = bisect_left(day.orders, start) - bisect_left(day.orders, start - BEFORE_SECONDS)
    count = round((multiplier - 1) * before * SURGE_SECONDS / BEFORE_SECONDS)
    source = other.selling
    if not 0 < count < len(source) - 1:
        return []
    place = chance.randrange(len(source) - count - 1)
    taken = source[place : place + count + 1]
    span = max(taken[-1] - taken[0], 1.0)
    return [start + (time - taken[0]) / span * SURGE_SECONDS for time in taken[:-1]]


def _delay(day: Day, watcher: Watcher, start: float, added: list[float]) -> float | None:
    if watcher.is_rising(start):
        return 0.0
    own = day.orders[bisect_left(day.orders, start) : bisect_left(day.orders, start + SURGE_SECONDS)]
    for time in sorted([*own, *added]):
        watcher.sees(time)
        if watcher.is_rising(time):
            return time - start
    return None
