"""Rehearsals: what a script says is sold and made to happen, played over shelves that are nobody's stock (R44).

A drill's time is its own: seconds from 0, whatever the clock does. What happens in it is a sequence of moments, merged
by time: orders of the tape, orders that are made up, injects, and a look at everything every few seconds. Each moment
is taken in whole before anybody looks, as the engine does it, and through the same fold (`vigil.py`). So the same
script with the same seed gives the same tier changes at the same drill seconds, however the play is cut. What people do
about them changes nothing in it: only so can two drills of one script be compared.

Made-up orders of a SKU are a Poisson process at its rate, times the factor of every surge that is on. Each SKU has
chances of its own, from the seed and its place in the script: a surge of one moves no order of another. They are
SplitMix64's (Steele, Lea, Flood 2014), so the same on every machine and in every release of Python.

A shelf is sold from as the ledger would: an order for more than there is gets nothing, and nobody hears of it.
"""

import heapq
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import groupby, pairwise
from math import log
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.chances import LeadTime
from gateway.domain.demand import Prior
from gateway.domain.stock import UNITS_MAX, MovementKind
from gateway.domain.tiers import Standing, Tier, TierChange
from gateway.domain.vigil import UNKNOWN, Circumstances, Moved, Watched, begin_watch, looked, moved

# What a drill takes at most. Less than a second cannot be told from none, and the model's sums would lose it.
SKUS_MAX, TAPE_MAX, INJECTS_MAX, EXPECTATIONS_MAX = 500, 50_000, 100, 100
SECONDS_MIN, SECONDS_MAX = 1.0, 86_400.0
# Everything is looked at so often, in the drill's time; where many SKUs pass fast, as often as this many looks a second
# of the clock allow: a rehearsal is not to take the engine's time.
TICK_SECONDS = 5.0
LOOKS_PER_SECOND_MAX = 1_000.0
SKUS_AT_ONCE = 25
# A made-up shelf has one location.
SHELF = "drill"

_MINUTE = 60.0
_BITS = 2**64 - 1


class InjectKind(StrEnum):
    """What a drill makes happen. The names are those of the proto and are stored."""

    CHANNEL_DEAD = "CHANNEL_DEAD"
    CHANNEL_BACK = "CHANNEL_BACK"
    SUPPLY_LATE = "SUPPLY_LATE"
    RECEIPT = "RECEIPT"
    SURGE = "SURGE"


class DrillSku(Struct, frozen=True):
    """What is sold: units at the start, seconds until more can come, orders per minute (0: those of the tape only)."""

    sku: str
    units: int
    lead_seconds: float = 0.0
    rate: float = 0.0


class DrillOrder(Struct, frozen=True):
    """One order of the tape."""

    at_seconds: float
    sku: str
    quantity: int = 1


class DrillInject(Struct, frozen=True):
    """Something that is made to happen to a SKU, or to all if none is named.

    `value`: units of a RECEIPT, factor of a SURGE (which lasts `seconds`), more seconds of lead time of a SUPPLY_LATE.
    """

    at_seconds: float
    kind: InjectKind
    sku: str = ""
    value: float = 0.0
    seconds: float = 0.0

    def concerns(self, sku: str) -> bool:
        """True if it happens to this SKU."""
        return self.sku in {"", sku}


class DrillExpectation(Struct, frozen=True):
    """A SKU must reach a tier, within a span of the drill's time."""

    sku: str
    tier: Tier
    after_seconds: float
    before_seconds: float


class DrillScript(Struct, frozen=True):
    """What is rehearsed, `speed` times as fast as the clock, for `seconds` of its own time."""

    name: str
    speed: float
    seconds: float
    skus: tuple[DrillSku, ...]
    room: str = ""
    tape: tuple[DrillOrder, ...] = ()
    injects: tuple[DrillInject, ...] = ()
    expectations: tuple[DrillExpectation, ...] = ()
    seed: int = 0


class Happening(NamedTuple):
    """What there is to tell of a moment: a change of a SKU's tier, or an inject."""

    at_seconds: float
    sku: str
    what: TierChange | DrillInject


class Tick(NamedTuple):
    """A look at these SKUs."""

    at_seconds: float
    skus: tuple[str, ...]


# What happens at one time.
Moment = DrillOrder | DrillInject | Tick


class _Shelf(Struct, frozen=True, gc=False):
    watched: Watched
    circumstances: Circumstances
    units: int


class Play:
    """A script being played. `seconds` says how far; `is_over` that nothing more will happen."""

    def __init__(self, script: DrillScript) -> None:
        """Stand before second 0, with everything on its shelf."""
        self._script = script
        self._moments = groupby(moments(script), key=_time)
        self._shelves = {sku.sku: _stocked(sku, script.seconds) for sku in script.skus}
        self._orders = 0
        self._next: tuple[float, list[Moment]] | None = None
        self._draw_next()
        self.seconds = 0.0

    @property
    def is_over(self) -> bool:
        """True when the script's last moment has been played."""
        return self._next is None

    @property
    def next_seconds(self) -> float:
        """When the next moment is; the end if there is none."""
        return self._next[0] if self._next else self._script.seconds

    def advance(self, until: float, moments_max: int) -> list[Happening]:
        """Play the moments up to a time, itself included, but no more than that many; what there is to tell of them."""
        told: list[Happening] = []
        for _ in range(moments_max):
            if self._next is None or self._next[0] > until:
                self.seconds = max(self.seconds, min(until, self._script.seconds))
                break
            self.seconds, together = self._next
            told += self._play(self.seconds, together)
            self._draw_next()
        return told

    def standing(self, sku: str) -> Standing:
        """Where a SKU of the script stands now."""
        return self._shelves[sku].watched.standing

    def _draw_next(self) -> None:
        drawn = next(self._moments, None)
        self._next = None if drawn is None else (drawn[0], list(drawn[1]))

    def _play(self, at: float, together: Iterable[Moment]) -> Iterator[Happening]:
        touched: dict[str, None] = {}
        for moment in together:
            match moment:
                case DrillOrder():
                    touched |= self._sell(moment)
                case DrillInject():
                    touched |= self._inject(moment)
                    yield Happening(at, moment.sku, moment)
                case Tick():
                    touched |= dict.fromkeys(moment.skus)
        for sku in touched:
            shelf = self._shelves[sku]
            watched, change = looked(shelf.watched, at, shelf.circumstances)
            if watched is not shelf.watched:
                self._shelves[sku] = replace(shelf, watched=watched)
            if change is not None:
                yield Happening(at, sku, change)

    def _sell(self, order: DrillOrder) -> dict[str, None]:
        shelf = self._shelves[order.sku]
        if order.quantity > shelf.units:
            return {}
        self._move(order.at_seconds, order.sku, MovementKind.RESERVE, -order.quantity)
        return {order.sku: None}

    def _inject(self, inject: DrillInject) -> dict[str, None]:
        concerned = [sku for sku in self._shelves if inject.concerns(sku)]
        for sku in concerned:
            if inject.kind is InjectKind.RECEIPT:
                self._move(inject.at_seconds, sku, MovementKind.RECEIVE, int(inject.value))
            shelf = self._shelves[sku]
            self._shelves[sku] = replace(shelf, circumstances=_changed(shelf.circumstances, inject))
        return dict.fromkeys(concerned)

    def _move(self, at: float, sku: str, kind: MovementKind, change: int) -> None:
        shelf = self._shelves[sku]
        units = min(shelf.units + change, UNITS_MAX)
        self._orders += 1
        is_order = kind is MovementKind.RESERVE
        movement = Moved(
            revision=self._orders,
            time=at,
            kind=kind,
            sku=sku,
            location=SHELF,
            quantity=abs(change),
            on_hand_change=0 if is_order else change,
            reserved_change=-change if is_order else 0,
            balance=units,
            reservation_id=self._orders if is_order else None,
        )
        watched = moved(shelf.watched, movement, shelf.circumstances)
        self._shelves[sku] = replace(shelf, watched=watched, units=units)


def tick_seconds(script: DrillScript) -> float:
    """How often everything is looked at, in the drill's time."""
    return max(TICK_SECONDS, script.speed * len(script.skus) / LOOKS_PER_SECOND_MAX)


def orders_expected(script: DrillScript, sku: DrillSku) -> float:
    """How many orders will be made up for a SKU, in the mean."""
    return sum((end - start) * rate for start, end, rate in _rates(script, sku))


def _stocked(sku: DrillSku, end: float) -> _Shelf:
    circumstances = Circumstances(
        LeadTime(sku.lead_seconds),
        session_end=end,
        sold_in=True,
        # What is rehearsed is sold every day: its usual rate is known.
        prior=Prior(sku.rate / _MINUTE) if sku.rate > 0 else UNKNOWN,
        is_known=sku.rate > 0,
    )
    return _Shelf(begin_watch({SHELF: sku.units}, circumstances, 0.0), circumstances, sku.units)


def _changed(circumstances: Circumstances, inject: DrillInject) -> Circumstances:
    """What bears on a SKU after an inject. A surge changes nothing here: its orders are among the moments."""
    match inject.kind:
        case InjectKind.SUPPLY_LATE:
            late = LeadTime(circumstances.lead_time.mean_seconds + inject.value)
            return replace(circumstances, lead_time=late)
        case InjectKind.CHANNEL_DEAD | InjectKind.CHANNEL_BACK:
            return replace(circumstances, is_stale=inject.kind is InjectKind.CHANNEL_DEAD)
        case InjectKind.RECEIPT | InjectKind.SURGE:
            return circumstances


# ---- moments


def moments(script: DrillScript) -> Iterator[Moment]:
    """All that happens, by time; at one time what is sold first, then injects, then the look."""
    tape = sorted(script.tape, key=_time)
    made_up = [_made_up(script, place) for place in range(len(script.skus))]
    injects = sorted(script.injects, key=_time)
    return heapq.merge(tape, *made_up, injects, _ticks(script), key=_time)


def _time(moment: Moment) -> float:
    return moment.at_seconds


def _ticks(script: DrillScript) -> Iterator[Tick]:
    """Looks at some SKUs after the others, so that no moment takes long; in the end at all."""
    codes = tuple(sku.sku for sku in script.skus)
    some = [codes[start : start + SKUS_AT_ONCE] for start in range(0, len(codes), SKUS_AT_ONCE)]
    every, count = tick_seconds(script) / len(some), 0
    while count * every < script.seconds:
        yield Tick(count * every, some[count % len(some)])
        count += 1
    yield Tick(script.seconds, codes)


def _made_up(script: DrillScript, place: int) -> Iterator[DrillOrder]:
    """The orders of one SKU: a unit of expected orders passes between two of them, in the mean."""
    sku = script.skus[place]
    chances = _chances(script.seed, place)
    wanted = -log(next(chances))
    for start, end, rate in _rates(script, sku):
        at = start
        while rate > 0 and (end - at) * rate > wanted:
            at += wanted / rate
            yield DrillOrder(at, sku.sku)
            wanted = -log(next(chances))
        wanted -= (end - at) * rate


def _rates(script: DrillScript, sku: DrillSku) -> Iterator[tuple[float, float, float]]:
    """The spans between which a SKU's rate changes: start, end, orders per second."""
    surges = [each for each in script.injects if each.kind is InjectKind.SURGE and each.concerns(sku.sku)]
    bounds = {0.0, script.seconds}
    bounds |= {min(at, script.seconds) for one in surges for at in (one.at_seconds, one.at_seconds + one.seconds)}
    marks = sorted(bounds)
    for start, end in pairwise(marks):
        rate = sku.rate / _MINUTE
        for surge in surges:
            if surge.at_seconds <= start < surge.at_seconds + surge.seconds:
                rate *= surge.value
        yield start, end, rate


def _chances(seed: int, place: int) -> Iterator[float]:
    """Numbers above 0 and up to 1, all equally likely."""
    state = _mixed((_mixed(seed & _BITS) + place) & _BITS)
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _BITS
        yield ((_mixed(state) >> 11) + 1) / 2**53


def _mixed(state: int) -> int:
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _BITS
    return state ^ (state >> 31)
