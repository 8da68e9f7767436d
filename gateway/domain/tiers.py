"""Which tier a SKU stands in, and when it changes: the state machine of the warnings (R40, R41).

One machine per key: a SKU in the stock pool, or in a live session that has stock of its own. What goes in is what the
model says (`demand.py`) and what is on the shelf; what comes out is a standing, and a change when there is something to
tell. Equal input, equal output: the time is an argument, and between two orders nothing is remembered but the standing.

`BARS` is the machine. A tier is entered at once when its `raised` bar is passed. It is left for the highest tier
whose bar is passed or not yet left (`cleared`), when its minimum hold is over. So the way down has other bars than
the way up, and a unit that comes back from an unpaid order does not make a warning blink.

    tier        raised                                                 cleared                            hold
    TREND       the score passed its bar (`demand.py`)                 it has calmed down                 60 s
    THRESHOLD   P(D_L >= R) >= alpha, or R <= fixed line               false with R/2 in place of R       300 s
    URGENT      P(D_Lmin >= R) >= 0.8, or R <= hard floor, or          P < 0.5, and R/2 > hard floor,     60 s, or
                THRESHOLD with no supply option left                   and THRESHOLD clear or an option   supply booked
    SOLD_OUT    sellable = 0                                           sellable >= max(1, hard floor)     0

R: available units. L: lead time, L_min: of the fastest supply, both at most the rest of the session; where a lead
time varies, P is mixed over its 10 %, 50 % and 90 % points. Units on their way count from their time on: P is the
largest chance of running out before any arrival within L, and at L.

alpha = (1 - service level) (1 + 3/(n+1)), n the orders seen: a warning that rests on history alone can wait for the
next order, which tells more than anything after it. On the way down there is no such bonus, and while n < 30 it is R/8
instead of R/2: what a prior alone has raised, later orders would raise again.

Beside the tier stand two flags. STALE: our knowledge is old; nothing is left then, for silence is no good news.
Flapping: four changes in ten minutes; holds are five times as long until that is over.

What it scores on real orders, as `tests/cli/test_gates.py` asserts: four days of a shop at 2.2 to 2.8 orders a minute,
each with what other days teach; lead times of 10 and 30 minutes, and of 10 and 3 on days played four times as fast:

    late (no warning, or less than L before the stock-out)     3.0  2.2  6.1  6.7 %
    median warning in L                                        1.8  1.7  1.5  1.6
    needless (not sold out within 3 L)                         2.8  0.5  0.0  0.5 %
    URGENT right / seen in time                                88-95 % / 100 %
    warned of more than once while unpaid units come back      0 %

The frontier of late against needless is flat: half-lives, trust, fading and spread may all be half or double, and it
moves by less than its error. What is needless comes from rates that fall by half within minutes, which on slow days
(0.9 a minute, the same shop) makes 5 to 10 % needless at the same late ones; no rule of orders alone foresees it.

An episode begins when NORMAL is left. A raise within ten minutes of its end reopens it. A change pages a person if the
tier is higher than the episode has stood in the ten minutes before.
"""

from collections.abc import Callable
from enum import IntEnum

from msgspec import Struct

from gateway.domain.chances import LeadTime, chance_of_reaching
from gateway.domain.curves import FLAT, HourCurve
from gateway.domain.demand import (
    EXACT_UNITS_MAX,
    Outlook,
    Pace,
    StockOutTimes,
    ahead,
    is_accelerating,
    outlook,
    stock_out_times,
)

MODEL = "averaged-gamma-poisson/2"

SERVICE_LEVEL = 0.98
UNSEEN_FACTOR = 3.0
URGENT_CHANCE, URGENT_CLEAR_CHANCE = 0.8, 0.5
CLEAR_RATIO = 2.0
COLD_CLEAR_RATIO, COLD_ORDERS = 8.0, 30
REOPEN_SECONDS = 600.0
FLAPPING_CHANGES, FLAPPING_SECONDS = 4, 600.0
FLAPPING_HOLD_FACTOR, FLAPPING_HOLD_SECONDS_MIN = 5.0, 60.0


class Tier(IntEnum):
    """How pressing it is. The numbers are those of the proto."""

    NORMAL = 1
    TREND = 2
    THRESHOLD = 3
    URGENT = 4
    SOLD_OUT = 5


class TierRule(Struct, frozen=True, gc=False):
    """What a person has said of a SKU's warnings. The lines are units, 0 for none."""

    service_level: float = SERVICE_LEVEL
    fixed_line: int = 0
    hard_floor: int = 0


class Incoming(Struct, frozen=True, gc=False):
    """Units on their way, and when they can be sold."""

    units: int
    time: float


class Supply(Struct, frozen=True, gc=False):
    """How more units can come: usual lead time, the fastest, what is on its way, whether anything is left to try."""

    lead_time: LeadTime
    fastest: LeadTime | None = None
    incoming: tuple[Incoming, ...] = ()
    has_options: bool = True
    is_booked: bool = False


class Shelf(Struct, frozen=True, gc=False):
    """What can be sold: units available, units sellable here, when the session ends, whether that is old news."""

    available: int
    sellable: int
    session_end: float | None = None
    is_stale: bool = False


class Evidence(Struct, frozen=True, gc=False):
    """The numbers of a judgement. `chance` is P(D_L >= R), `clear_chance` the same with R/2; rates per minute."""

    available: int
    sellable: int
    is_accelerating: bool
    chance: float
    clear_chance: float
    urgent_chance: float
    lead_seconds: float
    fast_rate: float
    slow_rate: float
    score: float
    score_bar: float
    onset_time: float
    evidence_orders: int
    has_options: bool
    is_booked: bool
    model: str = MODEL


class Standing(Struct, frozen=True, gc=False):
    """Where a key stands; `changes` are the times of its last changes of tier.

    `peak` is the highest tier of the episode, `lefts` when each tier was last gone down from in it.
    """

    tier: Tier = Tier.NORMAL
    since: float = 0.0
    is_stale: bool = False
    is_flapping: bool = False
    episode: int = 0
    reopened: int = 0
    ended: float | None = None
    peak: Tier = Tier.NORMAL
    lefts: tuple[tuple[Tier, float], ...] = ()
    changes: tuple[float, ...] = ()


class TierChange(Struct, frozen=True, gc=False):
    """Something to tell. `before` and `after` are equal when only a flag has changed."""

    time: float
    before: Tier
    after: Tier
    episode: int
    reopened: int
    pages: bool
    is_stale: bool
    is_flapping: bool
    evidence: Evidence
    stock_out: StockOutTimes


class Bar(Struct, frozen=True):
    """One row of the machine."""

    tier: Tier
    raised: Callable[[Evidence, TierRule], bool]
    cleared: Callable[[Evidence, TierRule], bool]
    hold_seconds: float


def is_short(evidence: Evidence, rule: TierRule) -> bool:
    """The bar of THRESHOLD is passed."""
    bar = (1 - rule.service_level) * (1 + UNSEEN_FACTOR / (evidence.evidence_orders + 1))
    return evidence.chance >= bar or evidence.available <= rule.fixed_line


def is_ample(evidence: Evidence, rule: TierRule) -> bool:
    """THRESHOLD may be left."""
    return evidence.clear_chance < 1 - rule.service_level and evidence.available > CLEAR_RATIO * rule.fixed_line


def is_pressing(evidence: Evidence, rule: TierRule) -> bool:
    """The bar of URGENT is passed."""
    return (
        evidence.urgent_chance >= URGENT_CHANCE
        or evidence.available <= rule.hard_floor
        or (not evidence.has_options and is_short(evidence, rule))
    )


def is_eased(evidence: Evidence, rule: TierRule) -> bool:
    """URGENT may be left."""
    return (
        evidence.urgent_chance < URGENT_CLEAR_CHANCE
        and evidence.available > CLEAR_RATIO * rule.hard_floor
        and (evidence.has_options or is_ample(evidence, rule))
    )


BARS = (
    Bar(Tier.SOLD_OUT, lambda e, _: e.sellable <= 0, lambda e, rule: e.sellable >= max(1, rule.hard_floor), 0.0),
    Bar(Tier.URGENT, is_pressing, is_eased, 60.0),
    Bar(Tier.THRESHOLD, is_short, is_ample, 300.0),
    Bar(Tier.TREND, lambda e, _: e.is_accelerating, lambda e, _: not e.is_accelerating, 60.0),
)
HOLD_SECONDS = {bar.tier: bar.hold_seconds for bar in BARS} | {Tier.NORMAL: 0.0}


def decide(
    standing: Standing,
    pace: Pace,
    shelf: Shelf,
    supply: Supply,
    now: float,
    rule: TierRule = TierRule(),  # noqa: B008 - frozen, so one for all
    curve: HourCurve = FLAT,
) -> tuple[Standing, TierChange | None]:
    """Where the key stands now, and what there is to tell about it."""
    evidence = weigh(standing.tier, pace, shelf, supply, now, curve)
    stands, pages = judge(standing, evidence, rule, now, is_stale=shelf.is_stale)
    if stands is standing:
        return standing, None
    has_news = (stands.tier, stands.is_stale) != (standing.tier, standing.is_stale)
    if not has_news:
        return stands, None
    return stands, TierChange(
        now,
        standing.tier,
        stands.tier,
        stands.episode,
        stands.reopened,
        pages,
        stands.is_stale,
        stands.is_flapping,
        evidence,
        stock_out_times(pace, now, shelf.available, curve),
    )


def weigh(tier: Tier, pace: Pace, shelf: Shelf, supply: Supply, now: float, curve: HourCurve = FLAT) -> Evidence:
    """What speaks for which tier. The chance that only a way down asks for is worked out only then."""
    out = outlook(pace, now, curve)
    units, usual = shelf.available, supply.lead_time
    chance = clear_chance = urgent_chance = _chance(out, shelf, supply, usual, units)
    if tier >= Tier.THRESHOLD:
        clear_ratio = CLEAR_RATIO if pace.evidence_orders >= COLD_ORDERS else COLD_CLEAR_RATIO
        clear_chance = _chance(out, shelf, supply, usual, int(units / clear_ratio))
    if supply.fastest is not None and supply.fastest != usual:
        urgent_chance = _chance(out, shelf, supply, supply.fastest, units)
    minute = 60.0 * curve.factor(now)  # its shop seconds
    trend = pace.trend
    return Evidence(
        units,
        shelf.sellable,
        is_accelerating(pace, now, curve),
        chance,
        clear_chance,
        urgent_chance,
        _within(shelf, usual.mean_seconds, now),
        out.rates[0] * minute,
        out.rates[2] * minute,
        trend.score,
        trend.bar,
        trend.onset_time,
        pace.evidence_orders,
        supply.has_options,
        supply.is_booked,
    )


def judge(
    standing: Standing, evidence: Evidence, rule: TierRule, now: float, *, is_stale: bool = False
) -> tuple[Standing, bool]:
    """The standing after some evidence, itself if nothing has changed, and whether it is worth a person's attention."""
    now = max(now, standing.since)
    is_flapping = _is_flapping(standing.changes, now)
    wanted = _wanted(standing.tier, evidence, rule)
    if wanted < standing.tier and (is_stale or not _is_held_out(standing, evidence, now, is_flapping=is_flapping)):
        wanted = standing.tier
    if wanted == standing.tier:
        if (is_stale, is_flapping) == (standing.is_stale, standing.is_flapping):
            return standing, False
        return _flagged(standing, is_stale=is_stale, is_flapping=is_flapping), False
    return _moved(standing, wanted, now, is_stale=is_stale)


def _within(shelf: Shelf, seconds: float, now: float) -> float:
    return seconds if shelf.session_end is None else max(0.0, min(seconds, shelf.session_end - now))


def _chance(out: Outlook, shelf: Shelf, supply: Supply, lead_time: LeadTime, units: int) -> float:
    if units <= 0 and not supply.incoming:
        return 1.0
    chance = 0.0
    for seconds, weight in lead_time.points:
        chance += weight * _runs_out(out, supply.incoming, units, _within(shelf, seconds, out.time))
    return chance


def _runs_out(out: Outlook, incoming: tuple[Incoming, ...], units: int, horizon: float) -> float:
    worst = 0.0
    for arrival in sorted(incoming, key=lambda each: each.time) if incoming else ():
        if arrival.time >= out.time + horizon:
            break
        if arrival.time > out.time:
            worst = max(worst, chance_of_reaching(ahead(out, arrival.time - out.time), units, EXACT_UNITS_MAX))
        units += arrival.units
    return max(worst, chance_of_reaching(ahead(out, horizon), units, EXACT_UNITS_MAX))


def _wanted(tier: Tier, evidence: Evidence, rule: TierRule) -> Tier:
    """The highest tier that is raised, or that is no higher than today's and not cleared."""
    for bar in BARS:
        if bar.raised(evidence, rule) or (bar.tier <= tier and not bar.cleared(evidence, rule)):
            return bar.tier
    return Tier.NORMAL


def _is_held_out(standing: Standing, evidence: Evidence, now: float, *, is_flapping: bool) -> bool:
    """True when the tier has been held as long as it must."""
    if standing.tier is Tier.URGENT and evidence.is_booked:
        return True
    hold = HOLD_SECONDS[standing.tier]
    if is_flapping:
        hold = FLAPPING_HOLD_FACTOR * max(hold, FLAPPING_HOLD_SECONDS_MIN / FLAPPING_HOLD_FACTOR)
    return now - standing.since >= hold


def _is_flapping(changes: tuple[float, ...], now: float) -> bool:
    return len(changes) >= FLAPPING_CHANGES and now - changes[-FLAPPING_CHANGES] <= FLAPPING_SECONDS


def _flagged(standing: Standing, *, is_stale: bool, is_flapping: bool) -> Standing:
    return Standing(
        standing.tier,
        standing.since,
        is_stale,
        is_flapping,
        standing.episode,
        standing.reopened,
        standing.ended,
        standing.peak,
        standing.lefts,
        standing.changes,
    )


def _moved(standing: Standing, tier: Tier, now: float, *, is_stale: bool) -> tuple[Standing, bool]:
    changes = (*standing.changes[1 - FLAPPING_CHANGES :], now)
    episode, reopened, peak, lefts = standing.episode, standing.reopened, standing.peak, standing.lefts
    if standing.tier is Tier.NORMAL:
        if standing.ended is not None and now - standing.ended <= REOPEN_SECONDS:
            reopened += 1
        else:
            episode, reopened, peak, lefts = episode + 1, 0, Tier.NORMAL, ()
    # Nobody is called again for what was so a moment ago.
    pages = tier > standing.tier and not any(at >= tier and now - left <= REOPEN_SECONDS for at, left in lefts)
    if tier < standing.tier:
        lefts = (*((at, left) for at, left in lefts if at is not standing.tier), (standing.tier, now))
    moved = Standing(
        tier,
        now,
        is_stale,
        _is_flapping(changes, now),
        episode,
        reopened,
        now if tier is Tier.NORMAL else None,
        max(peak, tier),
        lefts,
        changes,
    )
    return moved, pages
