"""What is remembered of each key between two movements, and how it goes on: a fold over the journal and the clock.

A key is a SKU's whole stock, or the units that one live session has of it for itself. The engine feeds it every
movement once, in order, and a tick every few seconds; equal input gives equal tier changes, whoever feeds it and
however it is cut into batches. That is why all movements of one moment are taken before anybody looks: what a transfer
takes away here and puts down there was never gone.

An order is a RESERVE: paying, expiring and returning move units, but nobody has asked for any. Lines of one reservation
are one order, though each location that serves it has its own movement. A session's own units are what it was given
less what its channels have taken, net.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.chances import LeadTime
from gateway.domain.curves import FLAT, HourCurve
from gateway.domain.demand import (
    FALSE_RAISE_SECONDS,
    Pace,
    Prior,
    StockOutTimes,
    Trend,
    begin,
    observed,
    stock_out_times,
)
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import (
    COLD_ORDERS,
    Evidence,
    Incoming,
    Shelf,
    Standing,
    Supply,
    Tier,
    TierChange,
    TierRule,
    decide,
    weigh,
)

# What is expected of a SKU of which nothing is known: an order an hour, which six minutes of sales outweigh. Before the
# third order nothing is forecast at all: a catalog's long tail is not to be warned of because nobody knows it.
UNKNOWN = Prior(1 / 3_600, strength=0.1)
FORECAST_ORDERS_MIN = 3
_NOTHING = Prior(1e-12)
# A key that has not moved for so long, and of which nothing is to be told, is put to sleep until it moves again.
AWAKE_SECONDS = 7_200.0
# A session that goes on beyond its planned end is expected to last so much longer.
OVERTIME_SECONDS = 900.0


class Tempo(Struct, frozen=True):
    """How many seconds pass here while one passes on the ledger's clock: 1, but where a case is played faster."""

    speed: float = 1.0

    def seconds(self, time: datetime) -> float:
        """The time, in seconds of ours since the Unix epoch."""
        return time.timestamp() * self.speed

    def time(self, seconds: float) -> datetime:
        """The time on the ledger's clock."""
        return datetime.fromtimestamp(seconds / self.speed, UTC)


class Key(NamedTuple):
    """A SKU, and the session whose own units are meant; 0: its whole stock."""

    sku: str
    session_id: int = 0


class Moved(Struct, frozen=True, gc=False):
    """What a movement says here; `time` in seconds since the Unix epoch, `balance` is what is available afterwards."""

    revision: int
    time: float
    kind: MovementKind
    sku: str
    location: str
    quantity: int
    on_hand_change: int
    reserved_change: int
    balance: int
    reservation_id: int | None = None
    channel: str | None = None
    traceparent: str | None = None


class Circumstances(Struct, frozen=True, gc=False):
    """What bears on a key beside its movements. `exclusive_units`: of a session's own; None for the whole stock.

    `serving`: the locations from which the SKU's channels sell; what lies elsewhere cannot be bought. None: all.
    `sold_in`: a session sells it now. `is_known`: history has told of it.
    """

    lead_time: LeadTime
    rule: TierRule = TierRule()
    fastest: LeadTime | None = None
    has_options: bool = True
    incoming: tuple[Incoming, ...] = ()
    session_end: float | None = None
    is_stale: bool = False
    sold_in: bool = False
    exclusive_units: int | None = None
    prior: Prior = UNKNOWN
    is_known: bool = False
    curve: HourCurve = FLAT
    false_raise_seconds: float = FALSE_RAISE_SECONDS
    serving: frozenset[str] | None = None

    def serves(self, location: str) -> bool:
        """True if what lies there can be bought."""
        return self.serving is None or location in self.serving


class Watched(Struct, frozen=True, gc=False):
    """All that is remembered of a key. `balances`: units available, by location; may be negative.

    `taken`: units a session's channels have taken of its own; `told`: escalations since the tier was entered;
    `was_stocked`: there was something to sell once. What never was is not sold out.
    """

    pace: Pace
    standing: Standing = Standing()
    balances: dict[str, int] = {}
    taken: int = 0
    reservation_id: int = 0
    told: int = 0
    was_stocked: bool = False

    def available(self, circumstances: Circumstances) -> int:
        """Units that can be sold."""
        if circumstances.exclusive_units is not None:
            return max(0, circumstances.exclusive_units - self.taken)
        return sum(units for at, units in self.balances.items() if units > 0 and circumstances.serves(at))


def begin_watch(balances: dict[str, int], circumstances: Circumstances, now: float) -> Watched:
    """A key nobody has watched before."""
    pace = begin(circumstances.prior, now, circumstances.curve)
    was_stocked = any(units > 0 and circumstances.serves(at) for at, units in balances.items())
    return Watched(pace, balances=balances, was_stocked=was_stocked)


def whole_orders(moment: Sequence[Moved]) -> Sequence[Moved]:
    """The movements of one moment; the first of an order has all of its units, whichever locations give them."""
    if len(moment) < 2:  # noqa: PLR2004 - one movement is whole
        return moment
    units: dict[tuple[str, int], int] = {}
    for one in moment:
        if one.kind is MovementKind.RESERVE and one.reservation_id is not None:
            order = one.sku, one.reservation_id
            units[order] = units.get(order, 0) + one.quantity
    return [
        one if (whole := _ordered_units(units, one)) in {0, one.quantity} else replace(one, quantity=whole)
        for one in moment
    ]


def moved(watched: Watched, movement: Moved, circumstances: Circumstances) -> Watched:
    """The key after a movement of its SKU (its own units: of its channels too); itself if nothing has changed."""
    pace, reservation_id = watched.pace, watched.reservation_id
    if movement.kind is MovementKind.RESERVE:
        is_same_order = movement.reservation_id is not None and movement.reservation_id == reservation_id
        if not is_same_order:
            pace = _ordered(pace, movement, circumstances)
            reservation_id = movement.reservation_id or 0
    balances, taken = watched.balances, watched.taken
    if circumstances.exclusive_units is None:
        if balances.get(movement.location) != movement.balance:
            balances = {**balances, movement.location: movement.balance}
    elif movement.reservation_id is not None:
        taken += movement.reserved_change - movement.on_hand_change
    if pace is watched.pace and balances is watched.balances and taken == watched.taken:
        return watched
    was_stocked = watched.was_stocked or (movement.balance > 0 and circumstances.serves(movement.location))
    return Watched(pace, watched.standing, balances, taken, reservation_id, watched.told, was_stocked)


def looked(watched: Watched, now: float, circumstances: Circumstances) -> tuple[Watched, TierChange | None]:
    """The key after a look at it, and what there is to tell."""
    if not watched.was_stocked and circumstances.exclusive_units is None:
        return watched, None
    standing, change = decide(
        watched.standing,
        judged(watched.pace, circumstances),
        _shelf(watched, circumstances, now),
        _supply(circumstances, now),
        now,
        circumstances.rule,
        circumstances.curve,
    )
    if standing is watched.standing:
        return watched, None
    told = watched.told if standing.tier is watched.standing.tier else 0
    return replace(watched, standing=standing, told=told), change


def evidence(watched: Watched, now: float, circumstances: Circumstances) -> Evidence:
    """The numbers as they are now."""
    shelf, supply = _shelf(watched, circumstances, now), _supply(circumstances, now)
    pace = judged(watched.pace, circumstances)
    return weigh(watched.standing.tier, pace, shelf, supply, now, circumstances.curve)


def stock_out(watched: Watched, now: float, circumstances: Circumstances) -> StockOutTimes:
    """How long until nothing is left, as things are now."""
    pace = judged(watched.pace, circumstances)
    return stock_out_times(pace, now, watched.available(circumstances), circumstances.curve)


def is_awake(watched: Watched, now: float, circumstances: Circumstances) -> bool:
    """True while time alone may change what is to be told of the key. Of what was never ordered it changes nothing."""
    if circumstances.sold_in or circumstances.incoming or watched.standing.is_stale:
        return True
    last_order = watched.pace.time if watched.pace.evidence_orders else 0.0
    if now - max(last_order, watched.standing.since) < AWAKE_SECONDS:
        return True
    return watched.standing.tier not in {Tier.NORMAL, Tier.SOLD_OUT}


def _ordered_units(units: dict[tuple[str, int], int], movement: Moved) -> int:
    """What the order asks for of which this is the first movement; 0 if it is none."""
    if movement.kind is not MovementKind.RESERVE or movement.reservation_id is None:
        return 0
    return units.pop((movement.sku, movement.reservation_id), 0)


def _ordered(pace: Pace, movement: Moved, circumstances: Circumstances) -> Pace:
    after = observed(
        pace, movement.time, circumstances.curve, max(1, movement.quantity), circumstances.false_raise_seconds
    )
    if circumstances.is_known or after.evidence_orders >= COLD_ORDERS:
        return after
    # Faster than a guess is no acceleration: what is compared with is what has been seen.
    return replace(after, trend=Trend(after.slow, after.slow))


def judged(pace: Pace, circumstances: Circumstances) -> Pace:
    """The pace as far as it may be believed."""
    if circumstances.is_known or pace.evidence_orders >= FORECAST_ORDERS_MIN:
        return pace
    return begin(_NOTHING, pace.time, circumstances.curve)


def _shelf(watched: Watched, circumstances: Circumstances, now: float) -> Shelf:
    available = watched.available(circumstances)
    end = circumstances.session_end
    return Shelf(available, available, None if end is None else _expected_end(end, now), circumstances.is_stale)


def _expected_end(planned: float, now: float) -> float:
    return max(planned, now + OVERTIME_SECONDS)


def _supply(circumstances: Circumstances, now: float) -> Supply:
    incoming = tuple(each for each in circumstances.incoming if each.time > now)
    return Supply(
        circumstances.lead_time, circumstances.fastest, incoming, circumstances.has_options, is_booked=bool(incoming)
    )
