"""The tier machine: its table row by row, what it weighs, and what an order costs."""

import math
import random
from itertools import pairwise
from time import perf_counter

import pytest
from msgspec.structs import replace

from gateway.domain.chances import LeadTime
from gateway.domain.demand import Pace, Prior, begin, observed
from gateway.domain.tiers import (
    BARS,
    FLAPPING_CHANGES,
    FLAPPING_SECONDS,
    HOLD_SECONDS,
    Evidence,
    Incoming,
    Shelf,
    Standing,
    Supply,
    Tier,
    TierChange,
    TierRule,
    decide,
    judge,
    weigh,
)

SEED = 4_3
RULE = TierRule(service_level=0.95)
TEN_MINUTES = LeadTime(600.0)
CALM = Evidence(
    available=500,
    sellable=500,
    is_accelerating=False,
    chance=0.0,
    clear_chance=0.0,
    urgent_chance=0.0,
    lead_seconds=600.0,
    fast_rate=1.0,
    slow_rate=1.0,
    score=0.0,
    score_bar=4.0,
    onset_time=0.0,
    evidence_orders=100,
    has_options=True,
    is_booked=False,
)
SHORT = replace(CALM, chance=0.2, clear_chance=0.9)
PRESSING = replace(CALM, chance=0.99, clear_chance=1.0, urgent_chance=0.85)
RISING = replace(CALM, is_accelerating=True)
EMPTY = replace(CALM, available=0, sellable=0, chance=1.0, clear_chance=1.0, urgent_chance=1.0)


def played(*story: tuple[float, Evidence], rule: TierRule = RULE, standing: Standing | None = None) -> Standing:
    """The standing after some evidence at some times."""
    standing = standing or Standing()
    for time, evidence in story:
        standing, _ = judge(standing, evidence, rule, time)
    return standing


def steady(rate: float, seconds: float = 3_600.0) -> Pace:
    """The pace of orders that come like a clock."""
    pace = begin(Prior(rate), 0.0)
    for order in range(int(seconds * rate)):
        pace = observed(pace, order / rate)
    return pace


def test_the_table_has_a_row_for_every_tier_but_normal() -> None:
    """From the highest down, each once."""
    assert [bar.tier for bar in BARS] == sorted((tier for tier in Tier if tier is not Tier.NORMAL), reverse=True)
    assert [tier.value for tier in Tier] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("evidence", "rule", "tier"),
    [
        (CALM, RULE, Tier.NORMAL),
        (RISING, RULE, Tier.TREND),
        (SHORT, RULE, Tier.THRESHOLD),
        (replace(SHORT, chance=0.049), RULE, Tier.NORMAL),
        (replace(SHORT, chance=0.04), TierRule(service_level=0.97), Tier.THRESHOLD),
        (replace(SHORT, is_accelerating=True), RULE, Tier.THRESHOLD),
        (CALM, TierRule(fixed_line=500), Tier.THRESHOLD),
        (CALM, TierRule(fixed_line=499), Tier.NORMAL),
        (PRESSING, RULE, Tier.URGENT),
        (CALM, TierRule(hard_floor=500), Tier.URGENT),
        (replace(SHORT, has_options=False), RULE, Tier.URGENT),
        (replace(CALM, has_options=False), RULE, Tier.NORMAL),
        (EMPTY, RULE, Tier.SOLD_OUT),
        (replace(CALM, sellable=0), RULE, Tier.SOLD_OUT),
    ],
)
def test_every_bar_raises_at_once(evidence: Evidence, rule: TierRule, tier: Tier) -> None:
    """One look is enough, from NORMAL and from every tier below."""
    for before in Tier:
        if before <= tier:
            assert played((10.0, evidence), rule=rule, standing=Standing(tier=before, since=9.0)).tier is tier


@pytest.mark.parametrize(
    ("before", "evidence", "rule", "after"),
    [
        (Tier.TREND, CALM, RULE, Tier.NORMAL),
        (Tier.TREND, RISING, RULE, Tier.TREND),
        (Tier.THRESHOLD, CALM, RULE, Tier.NORMAL),
        (Tier.THRESHOLD, RISING, RULE, Tier.TREND),
        (Tier.THRESHOLD, replace(CALM, chance=0.01, clear_chance=0.06), RULE, Tier.THRESHOLD),
        (Tier.THRESHOLD, CALM, TierRule(fixed_line=300), Tier.THRESHOLD),
        (Tier.THRESHOLD, CALM, TierRule(fixed_line=240), Tier.NORMAL),
        (Tier.URGENT, replace(SHORT, urgent_chance=0.6), RULE, Tier.URGENT),
        (Tier.URGENT, replace(SHORT, urgent_chance=0.4), RULE, Tier.THRESHOLD),
        (Tier.URGENT, replace(CALM, clear_chance=0.06), RULE, Tier.THRESHOLD),
        (Tier.URGENT, CALM, TierRule(hard_floor=300), Tier.URGENT),
        (Tier.URGENT, replace(CALM, has_options=False, clear_chance=0.06), RULE, Tier.URGENT),
        (Tier.SOLD_OUT, replace(PRESSING, available=1, sellable=1), RULE, Tier.URGENT),
        (Tier.SOLD_OUT, replace(PRESSING, available=1, sellable=1), TierRule(hard_floor=2), Tier.SOLD_OUT),
        (Tier.SOLD_OUT, CALM, RULE, Tier.NORMAL),
    ],
)
def test_every_bar_is_left_by_its_own(before: Tier, evidence: Evidence, rule: TierRule, after: Tier) -> None:
    """The way down has other bars than the way up, and stops at the first tier that is not cleared."""
    assert played((1_000.0, evidence), rule=rule, standing=Standing(tier=before, since=0.0)).tier is after


@pytest.mark.parametrize("tier", [Tier.TREND, Tier.THRESHOLD, Tier.URGENT])
def test_a_tier_is_held(tier: Tier) -> None:
    """It is not left a moment before its hold is over, and is left then."""
    standing = Standing(tier=tier, since=1_000.0)
    hold = HOLD_SECONDS[tier]
    assert played((1_000.0 + hold - 0.001, CALM), standing=standing).tier is tier
    assert played((1_000.0 + hold, CALM), standing=standing).tier is Tier.NORMAL


def test_booked_supply_ends_the_hold_of_urgent() -> None:
    """Somebody has acted: the tier may fall at once."""
    standing = Standing(tier=Tier.URGENT, since=1_000.0)
    assert played((1_001.0, replace(CALM, is_booked=True)), standing=standing).tier is Tier.NORMAL


def test_a_raise_soon_after_reopens_the_episode() -> None:
    """Within ten minutes it is the same story, and pages only if it is worse; later it is a new one."""
    ended = played((0.0, SHORT), (400.0, CALM))
    assert (ended.episode, ended.reopened, ended.tier) == (1, 0, Tier.NORMAL)
    again, pages = judge(ended, SHORT, RULE, 1_000.0)
    assert (again.episode, again.reopened, pages) == (1, 1, False)
    worse, pages = judge(ended, PRESSING, RULE, 1_000.0)
    assert (worse.episode, worse.reopened, pages) == (1, 1, True)
    new, pages = judge(ended, SHORT, RULE, 1_000.1)
    assert (new.episode, new.reopened, pages) == (2, 0, True)


def test_the_way_down_pages_nobody() -> None:
    """Neither does a tier that the episode has just had."""
    _, pages = judge(Standing(tier=Tier.URGENT, peak=Tier.URGENT), SHORT, RULE, 100.0)
    assert not pages
    eased = played((0.0, PRESSING), (100.0, SHORT))
    assert judge(eased, PRESSING, RULE, 200.0)[1] is False
    assert judge(eased, PRESSING, RULE, 701.0)[1] is True


def test_a_blinking_key_is_held_five_times_as_long() -> None:
    """Four changes in ten minutes: the flag is up, and URGENT stays for five minutes instead of one."""
    story = [(70.0 * turn, PRESSING if turn % 2 == 0 else SHORT) for turn in range(FLAPPING_CHANGES)]
    blinking = played(*story)
    assert blinking.is_flapping
    urgent = played((300.0, PRESSING), standing=blinking)
    assert urgent.tier is Tier.URGENT
    assert played((300.0 + 299.0, SHORT), standing=urgent).tier is Tier.URGENT
    assert played((300.0 + 300.0, SHORT), standing=urgent).tier is Tier.THRESHOLD
    assert not played((300.0 + 2 * FLAPPING_SECONDS, PRESSING), standing=urgent).is_flapping


def test_units_on_their_way_count_from_their_time() -> None:
    """Enough of them in time make it safe; after the stock has run out they come too late."""
    pace, shelf = steady(0.1), Shelf(40, 40)
    supply = Supply(TEN_MINUTES)

    def chance(*incoming: Incoming) -> float:
        return weigh(Tier.NORMAL, pace, shelf, replace(supply, incoming=incoming), 3_600.0).chance

    nothing = chance()
    assert nothing > 0.85
    assert chance(Incoming(200, 3_660.0)) < 0.01
    assert chance(Incoming(200, 3_600.0 + 590.0)) > 0.8
    assert chance(Incoming(200, 3_600.0 + 601.0)) == nothing
    assert chance(Incoming(200, 3_000.0)) < 0.01


def test_a_session_that_ends_needs_no_more() -> None:
    """The horizon is the rest of the session, if supply takes longer."""
    pace, supply = steady(0.1), Supply(LeadTime(3_600.0))
    long, short = Shelf(60, 60), Shelf(60, 60, session_end=3_600.0 + 120.0)
    assert weigh(Tier.NORMAL, pace, long, supply, 3_600.0).chance > 0.9
    assert weigh(Tier.NORMAL, pace, short, supply, 3_600.0).chance < 0.01
    assert weigh(Tier.NORMAL, pace, short, supply, 3_600.0).lead_seconds == 120.0


def test_an_uncertain_lead_time_warns_earlier() -> None:
    """What may take longer asks for more stock."""
    pace = steady(0.1)
    chances = [
        weigh(Tier.NORMAL, pace, Shelf(95, 95), Supply(LeadTime(600.0, spread)), 3_600.0).chance
        for spread in (0.0, 150.0, 300.0)
    ]
    assert all(wide > narrow for narrow, wide in pairwise(chances))


def test_a_faster_supply_makes_it_less_urgent() -> None:
    """URGENT asks for the fastest way, THRESHOLD for the usual."""
    pace, shelf = steady(0.1), Shelf(40, 40)
    usual = weigh(Tier.NORMAL, pace, shelf, Supply(TEN_MINUTES), 3_600.0)
    fast = weigh(Tier.NORMAL, pace, shelf, Supply(TEN_MINUTES, fastest=LeadTime(60.0)), 3_600.0)
    assert usual.urgent_chance == usual.chance == fast.chance
    assert fast.urgent_chance < 0.01


def test_a_sale_down_to_nothing_passes_every_stock_tier() -> None:
    """A steady sale of 300 units: THRESHOLD, URGENT, SOLD_OUT, each once, with numbers and an interval."""
    changes = sold_down(random.Random(SEED))
    stock = [change for change in changes if change.after >= Tier.THRESHOLD]
    assert [change.after for change in stock] == [Tier.THRESHOLD, Tier.URGENT, Tier.SOLD_OUT]
    assert {change.episode for change in stock} == {stock[0].episode}
    assert stock[0].stock_out.p10 is not None
    assert 500.0 < stock[0].stock_out.p10 < 1_500.0
    assert stock[-1].stock_out.p90 == 0.0
    assert stock[0].evidence.available > stock[1].evidence.available > 0


def test_equal_input_gives_equal_output() -> None:
    """The same orders and looks give the same changes, to the last digit."""
    assert sold_down(random.Random(SEED)) == sold_down(random.Random(SEED))


def sold_down(chance: random.Random) -> list[TierChange]:
    """The changes while 300 units are sold at six a minute."""
    pace, standing, units, time = begin(Prior(0.1), 0.0), Standing(), 300, 0.0
    changes: list[TierChange] = []
    while units:
        time += chance.expovariate(0.1)
        pace = observed(pace, time)
        units -= 1
        standing, change = decide(standing, pace, Shelf(units, units), Supply(TEN_MINUTES), time)
        changes += [change] if change else []
    return changes


@pytest.mark.parametrize(("orders", "bar"), [(0, 0.08), (2, 0.04), (299, 0.0202)])
def test_what_rests_on_history_alone_can_wait(orders: int, bar: float) -> None:
    """The first order must find it four times as likely as the three hundredth."""
    rule = TierRule(service_level=0.98)
    for chance, tier in ((bar - 1e-4, Tier.NORMAL), (bar + 1e-4, Tier.THRESHOLD)):
        assert played((10.0, replace(CALM, chance=chance, evidence_orders=orders)), rule=rule).tier is tier


def test_no_step_grows_with_the_stock() -> None:
    """Neither does it with what was sold before: all of it is arithmetic."""
    pace = steady(0.2)
    for units in (1, 30, 10**6):
        evidence = weigh(Tier.THRESHOLD, pace, Shelf(units, units), Supply(TEN_MINUTES), 3_600.0)
        assert 0.0 <= evidence.chance <= 1.0
        assert math.isfinite(evidence.fast_rate)


def test_the_cost_of_an_order_is_small() -> None:
    """Learning from an order and deciding take 50 us of Python at most, as the quickest of many rounds shows."""
    pace, supply, standing = steady(0.2), Supply(TEN_MINUTES), Standing()
    rounds = []
    for _ in range(30):
        begun = perf_counter()
        for _ in range(200):
            after = observed(pace, 3_605.0)
            decide(standing, after, Shelf(500, 500), supply, 3_605.0)
        rounds.append((perf_counter() - begun) / 200)
    assert min(rounds) <= 50e-6


def test_silence_is_no_good_news() -> None:
    """While our knowledge is old a tier may rise and never fall; the flag itself is told."""
    standing = Standing(tier=Tier.URGENT, since=0.0)
    stale, _ = judge(standing, CALM, RULE, 1_000.0, is_stale=True)
    assert (stale.tier, stale.is_stale) == (Tier.URGENT, True)
    empty, _ = judge(stale, EMPTY, RULE, 1_001.0, is_stale=True)
    assert empty.tier is Tier.SOLD_OUT
    back, _ = judge(empty, CALM, RULE, 2_000.0)
    assert (back.tier, back.is_stale) == (Tier.NORMAL, False)
