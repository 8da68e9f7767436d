"""A figure with its 95 % interval: the bootstrap's, with a fixed seed, so that equal trials print equal tables."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

RESAMPLES = 400
SEED = 8_2


@dataclass(frozen=True)
class Figure:
    """A value, its interval, and how many cases it rests on; None where there were none."""

    value: float | None
    low: float | None
    high: float | None
    cases: int

    def document(self) -> dict[str, float | int | None]:
        """As JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "cases": self.cases}


def share(cases: Sequence[bool]) -> Figure:
    """How many of the cases are true."""
    return _figure([float(case) for case in cases], fmean)


def middle(cases: Sequence[float]) -> Figure:
    """The median."""
    return _figure(cases, median)


def mean(cases: Sequence[float]) -> Figure:
    """The mean."""
    return _figure(cases, fmean)


def _figure(cases: Sequence[float], of: Callable[[Sequence[float]], float]) -> Figure:
    if not cases:
        return Figure(None, None, None, 0)
    chance = random.Random(SEED)  # noqa: S311 - chance for a trial, no secret
    values = sorted(of(chance.choices(cases, k=len(cases))) for _ in range(RESAMPLES))
    return Figure(of(cases), values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES) - 1], len(cases))
