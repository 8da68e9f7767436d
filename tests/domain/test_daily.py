"""The model of days: mean and variance against sums, its promise against days that are drawn, its place in a pace."""

import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.chances import Demand, LeadTime, chance_of_reaching, units_reached
from gateway.domain.curves import DAY_SECONDS, FLAT
from gateway.domain.daily import (
    HALF_LIFE_DAYS,
    KNOWN_DAYS_MIN,
    SILENT_DAYS_MAX,
    DailySales,
    demand_of_days,
    seen_by,
    sold,
    with_day,
)
from gateway.domain.demand import Pace, Prior, begin, forecast, observed, stock_out_times
from gateway.domain.profiles import Sale, learned
from gateway.domain.tiers import Shelf, Supply, Tier, weigh

SEED = 90


def after(days: list[int]) -> DailySales:
    """The memory of finished days."""
    sales = DailySales(0)
    for units in days:
        sales = with_day(sales, units)
    return sales


@given(days=st.lists(st.integers(0, 10_000), min_size=1, max_size=60))
def test_mean_and_variance_are_the_weighted_sums(days: list[int]) -> None:
    """Updated one by one they are what the weights say, all at once."""
    weights = [0.5 ** ((len(days) - 1 - place) / HALF_LIFE_DAYS) for place in range(len(days))]
    whole = sum(weights)
    mean = sum(weight * units for weight, units in zip(weights, days, strict=True)) / whole
    square = sum(weight * (units - mean) ** 2 for weight, units in zip(weights, days, strict=True))
    sales = after(days)
    assert sales.mean == pytest.approx(mean, abs=1e-6)
    assert sales.square == pytest.approx(square, rel=1e-6, abs=1e-3)
    assert sales.days_known == pytest.approx(whole**2 / sum(weight**2 for weight in weights))


def test_days_without_an_order_are_days_with_nothing() -> None:
    """Whether somebody looks each day or only when something is sold makes no difference."""
    looked = sales = sold(DailySales(0), 0, 5)
    for day in range(1, 9):
        looked = seen_by(looked, day)
    assert sold(looked, 9, 3) == sold(sales, 9, 3)
    assert sold(sales, 9, 3).mean < 1.0


def test_what_came_before_the_day_that_is_counted_is_left_out() -> None:
    """The day on which somebody began to watch is half a day, and teaches nothing."""
    sales = DailySales(7)
    assert sold(sales, 6, 100) is sales
    assert sold(sales, 7, 100).units == 100


def test_after_a_year_and_more_it_is_as_if_nothing_was_known() -> None:
    """And the years between are not walked through."""
    sales = after([5] * 30)
    assert sold(sales, 30 + SILENT_DAYS_MAX + 10**9, 2) == DailySales(30 + SILENT_DAYS_MAX + 10**9, 2)


def test_a_promise_of_95_percent_is_kept() -> None:
    """Lumpy days around a steady level: over a day about one in twenty is too little; over more, which bring what was
    not foreseen but here do not, fewer."""
    chance = random.Random(SEED)
    broken: dict[int, list[bool]] = {1: [], 3: [], 5: []}
    for _ in range(120):
        level = chance.uniform(2, 50)
        days = [drawn(level * (1 + 0.3 * chance.gauss(0, 1)), chance) for _ in range(90)]
        for start in range(60, 85, 5):
            sales = after(days[start - 60 : start])
            for lead, found in broken.items():
                found.append(sum(days[start : start + lead]) > units_reached(demand_of_days(sales, lead), 0.05))
    for lead, found in broken.items():
        assert sum(found) / len(found) <= 0.06, lead
    assert sum(broken[1]) / len(broken[1]) >= 0.01


def drawn(mean: float, chance: random.Random) -> int:
    """The units of a day: as many orders as come, of one to ten units each."""
    time, units = chance.expovariate(1), 0
    while time < max(mean, 0.1) / 5.5:
        units += chance.randint(1, 10)
        time += chance.expovariate(1)
    return units


def test_more_days_are_more_units_and_more_chance() -> None:
    """At every stock."""
    sales = after([3, 9, 0, 12, 5, 7, 2, 30, 4, 6])
    for units in (1, 10, 50, 100):
        chances = [chance_of_reaching(demand_of_days(sales, days), units) for days in (1, 2, 3, 5, 8)]
        assert all(later >= earlier for earlier, later in pairwise(chances))


def test_a_shop_that_sells_nothing_will_sell_nothing() -> None:
    """Without an error on the way."""
    assert demand_of_days(after([0] * 20), 3) == Demand(0.0, 1.0)


@pytest.mark.parametrize("shape", [0.1, 0.4, 1.0, 1.9])
@pytest.mark.parametrize("mean", [0.5, 8.0, 120.0])
def test_a_wide_quantile_is_exact(mean: float, shape: float) -> None:
    """Counted term by term: one unit more is less likely than asked."""
    demand = Demand(mean, shape)
    units = units_reached(demand, 0.05)
    assert chance_of_reaching(demand, units, 10**6) >= 0.05
    assert chance_of_reaching(demand, units + 1, 10**6) < 0.05


def watched(days: int, per_day: int) -> Pace:
    """A pace that has seen so many days with orders between 9:00 and 21:00, from midnight of day 0."""
    pace = begin(Prior(per_day / DAY_SECONDS), 0.0)
    for day in range(days):
        for order in range(per_day):
            pace = observed(pace, day * DAY_SECONDS + 9 * 3_600 + order * 43_200 / per_day)
    return pace


def test_beyond_a_day_the_days_have_the_word() -> None:
    """After a quiet night three days are three times the mean day, not three times the night."""
    pace = watched(20, 48)
    now = 20 * DAY_SECONDS + 8 * 3_600
    assert forecast(pace, now, 3 * DAY_SECONDS).mean == pytest.approx(3 * 48, rel=0.02)
    assert weigh(Tier.NORMAL, pace, Shelf(100, 100), Supply(LeadTime(3 * DAY_SECONDS)), now).chance > 0.8
    assert weigh(Tier.NORMAL, pace, Shelf(400, 400), Supply(LeadTime(3 * DAY_SECONDS)), now).chance < 0.01


def test_until_there_are_days_the_hour_has_it() -> None:
    """A SKU of yesterday is forecast by its pace, over any horizon."""
    pace = watched(int(KNOWN_DAYS_MIN) - 2, 48)
    assert pace.daily is not None
    assert not pace.daily.is_known
    assert forecast(pace, pace.time, 3 * DAY_SECONDS) == forecast(replace(pace, daily=None), pace.time, 3 * DAY_SECONDS)


def test_a_surge_now_is_on_top_of_the_days() -> None:
    """Ten times the pace of the days before: some hours of it are expected to go on."""
    calm = watched(20, 48)
    now = 20 * DAY_SECONDS + 9 * 3_600.0
    rising = calm
    for order in range(60):
        rising = observed(rising, now + order * 60)
    later = now + 3_600
    assert forecast(rising, later, 3 * DAY_SECONDS).mean > forecast(calm, later, 3 * DAY_SECONDS).mean + 50


def test_times_told_stay_in_order_across_the_day() -> None:
    """Where one model ends and the other begins, the quantiles are still ascending."""
    pace = watched(20, 48)
    for units in range(5, 400, 15):
        told = stock_out_times(pace, pace.time + 1_800, units)
        known = [each for each in (told.p10, told.p50, told.p90) if each is not None]
        assert known == sorted(known)


def test_a_profile_brings_its_days() -> None:
    """Who has learned from twenty days knows the days of a SKU from the first moment on."""
    sales = [Sale(day * DAY_SECONDS + 40_000 + order, "A", 2) for day in range(20) for order in range(10)]
    prior = learned(sales, offset_seconds=0.0).prior("A")
    assert prior.days == 20
    assert prior.day_mean == pytest.approx(20.0)
    assert prior.day_variance == pytest.approx(0.0)
    pace = begin(prior, 20 * DAY_SECONDS)
    assert forecast(pace, 20 * DAY_SECONDS, 2 * DAY_SECONDS).mean == pytest.approx(40.0, rel=0.01)


def test_a_pace_is_stored_and_read_as_it_was() -> None:
    """As JSON, its days included; and one that was stored before there were days goes on without."""
    pace = watched(9, 12)
    text = msgspec.json.encode(pace)
    assert msgspec.json.decode(text, type=Pace) == pace
    old = msgspec.json.decode(text)
    del old["daily"], old["filled"]
    restored = msgspec.convert(old, Pace)
    assert observed(restored, pace.time + 60).daily is None
    assert forecast(restored, pace.time, 600.0, FLAT).mean == pytest.approx(forecast(pace, pace.time, 600.0).mean)
