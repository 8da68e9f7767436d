"""Rehearsals: equal scripts give equal plays, however they are cut; what injects do, and what nobody hears of."""

from itertools import pairwise
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.drills import (
    SKUS_AT_ONCE,
    DrillInject,
    DrillOrder,
    DrillScript,
    DrillSku,
    Happening,
    InjectKind,
    Play,
    Tick,
    moments,
    orders_expected,
    tick_seconds,
)
from gateway.domain.tiers import Tier, TierChange

MOMENTS = 10**9
TEA = DrillSku("tea", units=400, lead_seconds=600.0, rate=6.0)
MUG = DrillSku("mug", units=40, lead_seconds=600.0)

seconds = st.floats(0, 600, allow_nan=False)
leads = st.just(0.0) | st.floats(1, 900)
rates = st.just(0.0) | st.floats(0.001, 60)
injects = st.builds(
    DrillInject,
    at_seconds=seconds,
    kind=st.sampled_from(InjectKind),
    sku=st.sampled_from(("", "tea", "mug")),
    value=st.integers(1, 20).map(float),
    seconds=st.floats(1, 600),
)
placed = st.builds(DrillOrder, at_seconds=seconds, sku=st.sampled_from(("tea", "mug")), quantity=st.integers(1, 30))
scripts = st.builds(
    DrillScript,
    name=st.just("night"),
    speed=st.floats(1, 1_000),
    seconds=st.just(600.0),
    skus=st.tuples(
        st.builds(DrillSku, st.just("tea"), st.integers(0, 300), leads, rates),
        st.builds(DrillSku, st.just("mug"), st.integers(0, 300), leads, rates),
    ),
    tape=st.lists(placed, max_size=60).map(tuple),
    injects=st.lists(injects, max_size=5).map(tuple),
    seed=st.integers(-(2**63), 2**63 - 1),
)


def script(**content: Any) -> DrillScript:
    """Half an hour of tea and mugs, but for what is said."""
    usual: dict[str, Any] = {"name": "night", "speed": 60.0, "seconds": 1_800.0, "skus": (TEA, MUG), "seed": 3}
    return DrillScript(**(usual | content))


def whole(played: DrillScript) -> list[Happening]:
    """All that happens."""
    return Play(played).advance(played.seconds, MOMENTS)


def changes(played: DrillScript, sku: str = "tea") -> list[TierChange]:
    """The tier changes of a SKU."""
    return [each.what for each in whole(played) if each.sku == sku and isinstance(each.what, TierChange)]


def made_up(played: DrillScript, sku: str) -> list[float]:
    """When a SKU's orders are."""
    return [each.at_seconds for each in moments(played) if isinstance(each, DrillOrder) and each.sku == sku]


@given(scripts, st.lists(st.tuples(seconds, st.integers(1, 40)), max_size=30))
@settings(max_examples=60, deadline=None)
def test_equal_scripts_give_equal_plays_however_cut(played: DrillScript, cuts: list[tuple[float, int]]) -> None:
    """The same script and seed give the same changes at the same seconds, in whatever portions it is played."""
    play, told = Play(played), []
    for until, moments_max in cuts:
        told += play.advance(until, moments_max)
    told += play.advance(played.seconds, MOMENTS)
    assert play.is_over
    assert told == whole(played)


@given(scripts)
@settings(max_examples=60, deadline=None)
def test_the_drills_time_never_goes_back(played: DrillScript) -> None:
    """Moments come in order, all of them within the script; so do the changes."""
    times = [each.at_seconds for each in moments(played)]
    assert all(before <= after for before, after in pairwise(times))
    assert times[0] >= 0
    assert times[-1] == played.seconds
    told = [each.at_seconds for each in whole(played)]
    assert told == sorted(told)


def test_another_seed_gives_another_play() -> None:
    """The seed is what chance comes from."""
    assert made_up(script(), "tea") == made_up(script(), "tea")
    assert made_up(script(), "tea") != made_up(script(seed=4), "tea")


@pytest.mark.parametrize("seed", range(5))
def test_made_up_orders_are_poisson(seed: int) -> None:
    """As many as the rate says, and the times between them spread as much as their mean."""
    times = made_up(script(seconds=36_000.0, seed=seed), "tea")
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert abs(len(times) - 3_600) < 4 * sqrt(3_600)
    assert mean == pytest.approx(10.0, rel=0.07)
    assert deviation == pytest.approx(mean, rel=0.1)


def test_a_surge_multiplies_the_rate_while_it_lasts() -> None:
    """Three times the orders for its time, and the usual ones before and after; surges at once multiply."""
    surge = DrillInject(6_000.0, InjectKind.SURGE, "tea", 3.0, 6_000.0)
    more = DrillInject(9_000.0, InjectKind.SURGE, "", 2.0, 3_000.0)
    played = script(seconds=18_000.0, injects=(surge, more))
    times = made_up(played, "tea")
    for start, end, expected in ((0, 6_000, 600), (6_000, 9_000, 900), (9_000, 12_000, 1_800), (12_000, 18_000, 600)):
        count = sum(start <= at < end for at in times)
        assert abs(count - expected) < 4 * sqrt(expected), (start, count)
    assert orders_expected(played, TEA) == pytest.approx(3_900)
    assert orders_expected(played, MUG) == 0


def test_a_surge_of_one_moves_no_order_of_another() -> None:
    """What is rehearsed of one SKU does not change the others."""
    skus = (TEA, DrillSku("mug", 40, 600.0, 2.0))
    surge = DrillInject(600.0, InjectKind.SURGE, "tea", 3.0, 600.0)
    calm, wild = script(skus=skus), script(skus=skus, injects=(surge,))
    assert made_up(calm, "mug") == made_up(wild, "mug")
    assert made_up(calm, "tea")[:20] == made_up(wild, "tea")[:20]


def test_a_shelf_is_warned_of_and_sold_out() -> None:
    """A surge raises the tiers one after another; every change says where it comes from."""
    surge = DrillInject(300.0, InjectKind.SURGE, "tea", 10.0, 1_500.0)
    told = changes(script(injects=(surge,)))
    assert [change.after for change in told][-1] is Tier.SOLD_OUT
    assert all(before.after is after.before for before, after in pairwise(told))
    assert all(before.after < after.after for before, after in pairwise(told))
    assert {change.episode for change in told} == {1}


def test_an_order_for_more_than_there_is_gets_nothing() -> None:
    """All or nothing, as the ledger has it, and no pace is learned from what was never sold."""
    orders = ((10.0, 41), (20.0, 30), (25.0, 11), (27.0, 5), (30.0, 5))
    tape = tuple(DrillOrder(at, "mug", quantity) for at, quantity in orders)
    (change,) = changes(script(tape=tape), "mug")
    assert (change.time, change.after, change.evidence.evidence_orders) == (30.0, Tier.SOLD_OUT, 3)


def test_a_receipt_fills_the_shelf() -> None:
    """Units come, and the warning is over when its time is; units for all come to all."""
    tape = (DrillOrder(30.0, "mug", 40),)
    receipt = DrillInject(60.0, InjectKind.RECEIPT, "", 5_000.0)
    told = changes(script(tape=tape, injects=(receipt,)), "mug")
    assert [change.after for change in told] == [Tier.SOLD_OUT, Tier.NORMAL]
    assert told[1].evidence.available == 5_000


def test_units_that_come_at_once_with_their_order_are_there() -> None:
    """What happens at one second is whole before anybody looks."""
    tape = (DrillOrder(60.0, "mug", 40),)
    receipt = DrillInject(60.0, InjectKind.RECEIPT, "mug", 4_000.0)
    assert changes(script(tape=tape, injects=(receipt,)), "mug") == []


def test_a_dead_channel_makes_knowledge_old() -> None:
    """STALE from the second the channel dies until it is back, and nothing resolves meanwhile."""
    dead = DrillInject(600.0, InjectKind.CHANNEL_DEAD, "tea")
    back = DrillInject(900.0, InjectKind.CHANNEL_BACK)
    told = changes(script(skus=(DrillSku("tea", 100_000, 60.0, 6.0),), injects=(dead, back)))
    assert [(change.time, change.is_stale, change.after) for change in told] == [
        (600.0, True, Tier.NORMAL),
        (900.0, False, Tier.NORMAL),
    ]


def test_late_supply_is_warned_of_at_once() -> None:
    """A longer lead time is judged in the moment it is known, for the SKU it is about."""
    skus = (DrillSku("tea", 400, 60.0, 6.0), DrillSku("mug", 400, 60.0, 6.0))
    late = DrillInject(600.0, InjectKind.SUPPLY_LATE, "tea", 7_200.0)
    played = script(seconds=7_200.0, skus=skus, injects=(late,))
    first = changes(played)[0]
    assert (first.time, first.after >= Tier.THRESHOLD) == (600.0, True)
    assert first.evidence.lead_seconds == 6_600.0
    assert all(change.time > 600.0 for change in changes(played, "mug"))


def test_what_is_rehearsed_in_haste_is_looked_at_less_often() -> None:
    """However many SKUs pass however fast: at most a thousand looks a second of the clock, some at a time."""
    skus = tuple(DrillSku(f"sku-{number}", 9) for number in range(500))
    played = script(skus=skus, speed=1_000.0, seconds=86_400.0)
    ticks = [each for each in moments(played) if isinstance(each, Tick)]
    looks = sum(len(each.skus) for each in ticks[:-1])
    assert looks / (played.seconds / played.speed) <= 1_001
    assert max(len(each.skus) for each in ticks[:-1]) == SKUS_AT_ONCE
    assert {sku for each in ticks[:20] for sku in each.skus} == {sku.sku for sku in skus}
    assert tick_seconds(script()) == 5.0
