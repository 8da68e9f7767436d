"""Made-up sales of one SKU, from a seed: orders by the laws that shops know, played through the lookout.

Orders are a Poisson process whose rate is a function of the time (thinning: Lewis, Shedler 1979). A shelf is sold from
as the ledger would: an order for more than there is gets nothing. What nobody pays comes back after fifteen minutes.
"""

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import msgspec

from gateway.alerts.lookout import Lookout
from gateway.alerts.surroundings import Surroundings
from gateway.domain.alerts import AlertPolicy
from gateway.domain.profiles import Profile, SkuProfile
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Tier, TierChange
from gateway.domain.vigil import Key, Moved, Tempo
from gateway.store.desk import DeskState
from gateway.store.standings import ChannelLife, SkuFacts

SKU = "tea"
# Nine in the morning, in China.
START = datetime(2026, 11, 11, 1, 0, tzinfo=UTC).timestamp()
MINUTE, HOUR = 60.0, 3_600.0
UNPAID_SECONDS = 900.0
FLAT_HOURS = (1.0,) * 24
# Orders per second, so many seconds after the start.
Rate = Callable[[float], float]


@dataclass(frozen=True)
class Shop:
    """What is sold: the usual rate in orders per second, units at the start, seconds until more can come."""

    usual: float
    units: int
    lead_seconds: float = 600.0
    hours: tuple[float, ...] = FLAT_HOURS
    lot_mean: float = 1.0
    lot_square: float = 1.0

    def around(self, *, silent_since: float | None = None) -> Surroundings:
        """What bears on the SKU: a policy, what history says; its channel may have been silent for long."""
        tea = SkuProfile(self.usual, self.lot_mean, self.lot_square, 5_000)
        profile = msgspec.json.encode(Profile(self.hours, 0.1, 7, {SKU: tea})).decode()
        now = Tempo().time(START if silent_since is None else START + silent_since + HOUR)
        heard = now if silent_since is None else Tempo().time(START + silent_since)
        desk = DeskState({"": AlertPolicy(lead_seconds=self.lead_seconds)}, {}, (), (), (), profile, now)
        facts = {SKU: SkuFacts(SKU, "茶", None, None, ("dy",))}
        return Surroundings(desk, (), facts, (ChannelLife("dy", heard),), now)


@dataclass(frozen=True)
class Story:
    """What was told, and when everything was gone, in seconds after the start; None: it never was."""

    told: Sequence[TierChange]
    sold_out: float | None

    def first(self, tier: Tier) -> float | None:
        """When this tier, or a higher one, was told first."""
        return next((change.time - START for change in self.told if change.after >= tier), None)

    def tier_at(self, seconds: float) -> Tier:
        """Where it stood so many seconds after the start."""
        return next((change.after for change in reversed(self.told) if change.time - START <= seconds), Tier.NORMAL)

    def raises(self, tier: Tier) -> int:
        """How often this tier, or a higher one, was entered from below."""
        return sum(change.before < tier <= change.after for change in self.told)


def poisson(rate: Rate, most: float, seconds: float, seed: str) -> Iterator[float]:
    """The instants of a Poisson process with this rate, which never is above `most`."""
    chance, at = random.Random(seed), 0.0
    while (at := at + chance.expovariate(most)) < seconds:
        if chance.random() * most < rate(at):
            yield at


async def played(
    shop: Shop, orders: Sequence[tuple[float, int]], seconds: float, *, unpaid_share: float = 0.0, seed: str = ""
) -> Story:
    """The session as the engine sees it; orders are instants and units."""
    journal, sold_out = _journal(shop.units, orders, unpaid_share, random.Random(f"{seed} unpaid"))
    surroundings, lookout = shop.around(), Lookout(0, START)
    lookout.begin(Key(SKU), {"main": shop.units}, surroundings, START)
    told = await lookout.take(journal, surroundings, START)
    told += await lookout.tick(START + seconds, surroundings, START)
    return Story([change for _, change in told], sold_out)


def _journal(
    units: int, orders: Sequence[tuple[float, int]], unpaid_share: float, chance: random.Random
) -> tuple[list[Moved], float | None]:
    numbers, journal, sold_out = count(1), [], None
    # Time, whether units come back, units, the reservation.
    waiting = [(at, False, lot, number) for number, (at, lot) in enumerate(orders, start=1)]
    heapq.heapify(waiting)
    while waiting:
        at, is_return, lot, reservation = heapq.heappop(waiting)
        if not is_return and lot > units:
            continue
        change = lot if is_return else -lot
        units += change
        kind = MovementKind.RELEASE if is_return else MovementKind.RESERVE
        journal.append(Moved(next(numbers), START + at, kind, SKU, "main", lot, 0, -change, units, reservation, "dy"))
        if not is_return and chance.random() < unpaid_share:
            heapq.heappush(waiting, (at + UNPAID_SECONDS, True, lot, reservation))
        if units == 0 and sold_out is None:
            sold_out = at
    return journal, sold_out
