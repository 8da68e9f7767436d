"""How well warnings have said the chance of selling out: the Brier score, the mean square of chance less what came.

A warning says with what chance everything will be gone before more can come, within the usual lead time. What came is 1
if SOLD_OUT was told of the same key within that time, 0 if it was not. People act upon warnings, and units that came
because of one make its forecast look worse than it was: the score is of what happened, not of what would have. 0 is
best; who always says one half has 0.25.

Glenn W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950).
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from gateway.domain.tiers import Tier

Key = tuple[str, int]
_JUDGED = (Tier.THRESHOLD, Tier.URGENT)


class Warned(Struct, frozen=True):
    """A tier change that was told: of which key, when, and the chance it stated for so long ahead."""

    key: Key
    time: datetime
    tier: Tier
    chance: float
    horizon_seconds: float


def brier(told: Iterable[Warned], now: datetime) -> dict[Tier, float]:
    """The score by tier, of the warnings of which it is known by now what came; tiers without any are left out."""
    changes = sorted(told, key=lambda one: one.time)
    sold_out: dict[Key, list[datetime]] = defaultdict(list)
    for one in changes:
        if one.tier is Tier.SOLD_OUT:
            sold_out[one.key].append(one.time)
    squares: dict[Tier, list[float]] = defaultdict(list)
    for one in changes:
        if one.tier not in _JUDGED:
            continue
        ends = one.time + timedelta(seconds=one.horizon_seconds)
        came = any(one.time <= at <= ends for at in sold_out[one.key])
        if came or ends <= now:
            squares[one.tier].append((one.chance - came) ** 2)
    return {tier: sum(found) / len(found) for tier, found in squares.items()}
