"""Trial of the stock warnings: sessions that begin somewhere in a day with some stock, cold, and run until it is gone.

A policy knows history when a session begins, and nothing of the day. It looks at every order and every 15 seconds.

- Late: no warning, or less than a lead time before the stock-out. Sessions that sell out within one lead time are left
  out: nobody can win them. Warning: from it to the stock-out, in lead times.
- Needless: not sold out within three lead times of the warning; also played with stock that lasts long, and left out
  when the day ends before it is known.
- Urgent: precise if sold out within a lead time of it, seen if it came 5 seconds before the stock-out at least.
- Repeated: sessions warned of more than once, while the units of orders nobody pays come back after 15 minutes.
- Coverage: the share of stock-outs within the 10 % to 90 % interval told at a random moment, 10 to 60 minutes in.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.cli.trials import intervals
from gateway.cli.trials.days import RETURNS_SECONDS, Day
from gateway.cli.trials.intervals import Figure
from gateway.domain.baselines import Policy, Session, Tiers, Watcher
from gateway.domain.demand import stock_out_times

SESSIONS = 400
STOCKS = (40, 80, 150, 300)
LASTING_STOCKS = (60, 100, 150, 300, 600, 1_000, 2_000)
HORIZON_SECONDS = 4 * 3_600.0
LAST_START_SECONDS = 21 * 3_600.0
NEEDLESS_LEAD_TIMES = 3
SEEN_SECONDS = 5.0
COVERAGE_STOCKS = (20, 50, 100)
COVERAGE_SECONDS = (600.0, 3_600.0)

_FIRST = -(10**9)  # before all that happens at a moment


@dataclass(frozen=True)
class SessionScore:
    """Shares, and the median warnings in lead times."""

    late: Figure
    warning: Figure
    needless: Figure
    urgent_precision: Figure
    urgent_recall: Figure
    urgent_warning: Figure
    repeated: Figure


@dataclass
class _Tally:
    late: list[bool] = field(default_factory=list)
    warnings: list[float] = field(default_factory=list)
    needless: list[bool] = field(default_factory=list)
    precise: list[bool] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    urgent_warnings: list[float] = field(default_factory=list)
    repeated: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class _Story:
    """What happened in one session: when warned, when urgent, when sold out."""

    start: float
    end: float
    warned: float | None
    urgent: float | None
    sold_out: float | None


def session_trial(
    days: Sequence[Day],
    policy: Policy,
    lead_seconds: float,
    seed: int,
    advance: Callable[[], None],
    stocks: Sequence[int] = STOCKS,
    sessions: int = SESSIONS,
) -> SessionScore:
    """Plays so many sessions of each kind."""
    tally = _Tally()
    for day, start, units in _draws(days, seed, stocks, sessions):
        story = _play(day, policy, start, units, lead_seconds, min(start + HORIZON_SECONDS, day.ends))
        _judge(tally, story, lead_seconds)
        advance()
    lasting = LASTING_STOCKS if stocks == STOCKS else stocks
    for day, start, units in _draws(days, seed + 1, lasting, sessions):
        story = _play(day, policy, start, units, lead_seconds, day.ends, needless_only=True)
        _judge_needless(tally, story, lead_seconds)
        advance()
    for day, start, units in _draws(days, seed + 2, stocks, sessions // 2):
        if day.unpaid:
            end = min(start + HORIZON_SECONDS, day.ends)
            raises = _raises(day, policy, start, units, lead_seconds, end)
            if raises:
                tally.repeated.append(raises > 1)
        advance()
    return SessionScore(
        late=intervals.share(tally.late),
        warning=intervals.middle(tally.warnings),
        needless=intervals.share(tally.needless),
        urgent_precision=intervals.share(tally.precise),
        urgent_recall=intervals.share(tally.seen),
        urgent_warning=intervals.middle(tally.urgent_warnings),
        repeated=intervals.share(tally.repeated),
    )


def coverage_trial(days: Sequence[Day], seed: int, sessions: int = SESSIONS) -> Figure:
    """How often the interval that we tell holds the stock-out; told moments whose truth is not known are left out."""
    covered: list[bool] = []
    chance = random.Random(f"{seed}/coverage")  # noqa: S311 - chance for a trial, no secret
    for day, start, units in _draws(days, seed, COVERAGE_STOCKS, sessions):
        watcher = Tiers(Session(day.history, start, 0.0, units))
        told = start + chance.uniform(*COVERAGE_SECONDS)
        now = bisect_left(day.units, told)
        if now + units > len(day.units):
            continue
        for time, sold in day.moments[
            bisect_left(day.moments, (start, _FIRST)) : bisect_left(day.moments, (told, _FIRST))
        ]:
            if sold:
                watcher.sees(time, sold)
        times = stock_out_times(watcher.pace, told, units, day.history.curve)
        sold_out = day.units[now + units - 1] - told
        covered.append((times.p10 or 0.0) <= sold_out and (times.p90 is None or sold_out <= times.p90))
    return intervals.share(covered)


def _draws(days: Sequence[Day], seed: int, stocks: Sequence[int], count: int) -> Iterator[tuple[Day, float, int]]:
    chance = random.Random(seed)  # noqa: S311 - chance for a trial, no secret
    for _ in range(count):
        day = chance.choice(days)
        start = chance.uniform(day.opens, LAST_START_SECONDS / day.compression)
        yield day, start, chance.choice(stocks)


def _play(
    day: Day,
    policy: Policy,
    start: float,
    units: int,
    lead_seconds: float,
    end: float,
    *,
    needless_only: bool = False,
) -> _Story:
    watcher: Watcher = policy.watcher(Session(day.history, start, lead_seconds, units))
    warned = urgent = sold_out = None
    for time, sold in day.moments[bisect_left(day.moments, (start, _FIRST)) :]:
        if time > end:
            break
        units -= sold
        if sold:
            watcher.sees(time, sold)
        if units <= 0:
            sold_out = time
        if warned is None and watcher.is_short(time, units):
            warned = time
        if not needless_only and urgent is None and watcher.is_pressing(time, units):
            urgent = time
        if sold_out is not None or (
            needless_only and warned is not None and time > warned + NEEDLESS_LEAD_TIMES * lead_seconds
        ):
            break
    return _Story(start, end, warned, urgent, sold_out)


def _judge(tally: _Tally, story: _Story, lead_seconds: float) -> None:
    if story.urgent is not None and (story.sold_out is not None or story.urgent + lead_seconds <= story.end):
        tally.precise.append(story.sold_out is not None and story.sold_out - story.urgent <= lead_seconds)
    if story.sold_out is None:
        return
    seen = story.urgent is not None and story.sold_out - story.urgent >= SEEN_SECONDS
    tally.seen.append(seen)
    if story.urgent is not None:
        tally.urgent_warnings.append((story.sold_out - story.urgent) / lead_seconds)
    if story.sold_out - story.start < lead_seconds:
        return
    tally.late.append(story.warned is None or story.sold_out - story.warned < lead_seconds)
    if story.warned is not None:
        tally.warnings.append((story.sold_out - story.warned) / lead_seconds)


def _judge_needless(tally: _Tally, story: _Story, lead_seconds: float) -> None:
    if story.warned is None:
        return
    latest = story.warned + NEEDLESS_LEAD_TIMES * lead_seconds
    if story.sold_out is not None or latest <= story.end:
        tally.needless.append(story.sold_out is None or story.sold_out > latest)


def _raises(day: Day, policy: Policy, start: float, units: int, lead_seconds: float, end: float) -> int:
    """How often the warning came, in a session whose unpaid units come back."""
    watcher = policy.watcher(Session(day.history, start, lead_seconds, units))
    raises, was_short = 0, False
    served: set[tuple[float, int]] = set()
    for time, sold in day.moments_with_returns[bisect_left(day.moments_with_returns, (start, _FIRST)) :]:
        if time > end:
            break
        if (sold > 0 and units < sold) or (sold < 0 and (time - RETURNS_SECONDS, -sold) not in served):
            continue  # refused for want of units, or sold before the session
        units -= sold
        if sold > 0:
            served.add((time, sold))
            watcher.sees(time, sold)
        is_short = watcher.is_short(time, units)
        raises += is_short and not was_short
        was_short = is_short
    return raises
