"""The demand model against exact sums, published run lengths, and orders that are drawn from what it assumes."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import demand, trend
from gateway.domain.chances import Demand, LeadTime, chance_of_reaching, units_reached
from gateway.domain.curves import DAY_SECONDS, FLAT, HOURS, hour_curve, hour_factors
from gateway.domain.demand import Pace, Prior, begin, forecast, is_accelerating, observed, rates, stock_out_times
from gateway.domain.profiles import Sale, learned
from gateway.domain.trend import Memory, Trend, scored

SEED = 71
PEAKS = hour_curve([3.0 if hour in {12, 20} else 0.8 for hour in range(HOURS)], offset_seconds=0.0)
MEANS = (0.5, 3.0, 17.0, 60.0, 200.0)
SHAPES = (1.5, 6.0, 25.0, 200.0)


def exact_tail(mean: float, shape: float, units: int) -> float:
    """P(N >= units) by logarithms of factorials, one term at a time."""
    log_p, log_q = math.log(shape / (shape + mean)), math.log(mean / (shape + mean))
    terms = (
        math.exp(math.lgamma(shape + i) - math.lgamma(shape) - math.lgamma(i + 1) + shape * log_p + i * log_q)
        for i in range(units)
    )
    return 1 - math.fsum(terms)


def sold(rate: float, seconds: float, chance: random.Random, start: float = 0.0, pace: Pace | None = None) -> Pace:
    """The pace after a Poisson process of that rate."""
    pace = pace or begin(Prior(rate), start)
    time = start + chance.expovariate(rate)
    while time < start + seconds:
        pace = observed(pace, time)
        time += chance.expovariate(rate)
    return pace


def orders_to_raise(ratio: float, bar: float, faster: float, chance: random.Random) -> int:
    """How many orders it takes the trend's score to pass a bar, with the baseline known."""
    state = Trend(Memory(1e12, 1e12), Memory(1e12, 1e12))
    assert ratio == trend.RATIO
    for count in range(1, 100_000):
        state = scored(state, float(count), chance.expovariate(faster), 0.0, 1e30)
        if state.score >= bar:
            return count
    raise AssertionError("never")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", MEANS)
def test_the_tail_is_the_exact_sum(mean: float, shape: float) -> None:
    """P(D >= R) equals the sum of the terms, for every R that matters."""
    for units in range(1, min(int(demand_limit(mean)), 300), 7):
        expected = exact_tail(mean, shape, units)
        assert chance_of_reaching(Demand(mean, shape), units) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", MEANS)
def test_the_approximation_is_close(mean: float, shape: float) -> None:
    """Camp and Paulson's normal stays within 0.0035 of the exact tail."""
    for units in range(2, min(int(demand_limit(mean)), 300), 7):
        nearly = chance_of_reaching(Demand(mean, shape), units, exact_units_max=0)
        assert nearly == pytest.approx(exact_tail(mean, shape, units), abs=0.0035 if shape > 2 else 0.008)


def demand_limit(mean: float) -> float:
    """Beyond it nothing is computed."""
    return 3 * mean + 20


def test_a_shape_that_underflows_has_a_tail_too() -> None:
    """(k/(k+mu))^k below the smallest float is no reason for a wrong answer."""
    assert chance_of_reaching(Demand(5_000.0, 4_000.0), 480) == pytest.approx(1.0, abs=1e-6)
    assert chance_of_reaching(Demand(450.0, 1e6), 450) == pytest.approx(0.5, abs=0.03)


@given(mean=st.floats(0.1, 2_000), shape=st.floats(0.5, 500), units=st.integers(-5, 5_000), more=st.integers(0, 1_000))
def test_more_units_are_never_likelier_asked_for(mean: float, shape: float, units: int, more: int) -> None:
    """The tail falls, and is a probability."""
    chances = [chance_of_reaching(Demand(mean, shape), each, exact_units_max=0) for each in (units, units + more)]
    assert 1.0 >= chances[0] >= chances[1] >= 0.0


def test_units_reached_is_the_last_that_is() -> None:
    """One unit more is less likely than asked."""
    found = units_reached(Demand(40.0, 8.0), 0.05)
    assert chance_of_reaching(Demand(40.0, 8.0), found, 0) >= 0.05
    assert chance_of_reaching(Demand(40.0, 8.0), found + 1, 0) < 0.05


def test_a_lead_time_that_varies_has_three_points() -> None:
    """Swanson's: its tenth, middle and ninetieth percentile keep the mean, and nearly the spread."""
    points = LeadTime(600.0, 120.0).points
    mean = sum(seconds * weight for seconds, weight in points)
    assert mean == pytest.approx(600.0)
    spread = math.sqrt(sum(weight * (seconds - mean) ** 2 for seconds, weight in points))
    assert spread == pytest.approx(120.0, rel=0.01)
    assert LeadTime(600.0).points == ((600.0, 1.0),)


@pytest.mark.parametrize(
    ("ratio", "bar", "faster", "orders"),
    [
        *[(1.7, 3, 1.0, 117), (1.7, 4, 1.0, 354), (1.7, 4, 2.0, 20.0), (1.7, 4, 3.0, 13.3), (1.7, 4, 5.0, 10.4)],
        *[(2.0, 3, 1.0, 69), (2.0, 4, 1.0, 199), (2.0, 4, 1.5, 33), (2.0, 4, 2.0, 16.8), (2.0, 4, 3.0, 10.7)],
        *[(2.0, 5, 2.0, 21.9), (2.0, 5, 3.0, 13.4), (2.0, 6, 3.0, 16.3), (2.0, 6, 5.0, 12.3)],
    ],
)
def test_run_lengths_are_those_of_the_theory(
    monkeypatch: pytest.MonkeyPatch, ratio: float, bar: float, faster: float, orders: float
) -> None:
    """Orders to a false and to a true raise match the published table within 5 %, and the error of drawing it."""
    monkeypatch.setattr(trend, "RATIO", ratio)
    chance = random.Random(SEED)
    runs = [orders_to_raise(ratio, bar, faster, chance) for _ in range(1_500 if orders > 30 else 3_000)]
    mean = sum(runs) / len(runs)
    error = 3 * math.sqrt(sum((run - mean) ** 2 for run in runs)) / len(runs)
    assert mean == pytest.approx(orders, abs=0.05 * orders + error)


def test_our_bar_is_passed_by_chance_as_rarely_as_it_says() -> None:
    """For the ratio in use, once in about c e^h orders."""
    chance = random.Random(SEED)
    runs = [orders_to_raise(trend.RATIO, 4.0, 1.0, chance) for _ in range(2_000)]
    expected = trend.ORDERS_PER_FALSE_RAISE * math.exp(4.0)
    assert sum(runs) / len(runs) == pytest.approx(expected, rel=0.08)


def test_a_steady_rate_is_learned() -> None:
    """After two hours every memory knows it, and nothing has accelerated for long."""
    pace = sold(0.2, 7_200, random.Random(SEED))
    fast, slow = rates(pace, pace.time)
    assert slow == pytest.approx(0.2, rel=0.15)
    assert fast == pytest.approx(0.2, rel=0.6)


def test_a_guess_is_left_behind_and_history_is_not() -> None:
    """Ten times the prior's rate: who has only guessed learns all of it, who knows the shop nearly all."""
    rates_seen = []
    for strength in (0.1, 4.0):
        pace = sold(0.1, 7_200, random.Random(SEED), pace=begin(Prior(0.01, strength), 0.0))
        rates_seen.append(rates(pace, pace.time))
    (fast, slow), (drawn_fast, drawn_slow) = rates_seen
    assert slow == pytest.approx(0.1, rel=0.15)
    assert drawn_fast < fast
    assert drawn_slow < slow
    assert drawn_fast > 0.8 * fast


def test_a_tripling_is_seen_and_its_end_too() -> None:
    """Within two minutes at ten orders a minute; ten minutes after its end all is calm."""
    chance = random.Random(SEED)
    pace = sold(1 / 6, 3_600, chance)
    assert not is_accelerating(pace, 3_600)
    pace = sold(0.5, 120, chance, 3_600, pace)
    assert is_accelerating(pace, 3_720)
    assert 3_590 <= pace.trend.onset_time <= 3_680
    assert not is_accelerating(sold(1 / 6, 900, chance, 3_720, pace), 4_620)


def test_two_orders_after_one_are_no_trend() -> None:
    """At a low rate a cluster of five is chance."""
    pace = begin(Prior(1 / 600), 0.0)
    for time in (0, 600, 1_200, 1_205, 1_210, 1_215, 1_220):
        pace = observed(pace, float(time))
    assert not is_accelerating(pace, 1_220)


def test_the_lunch_peak_of_every_day_is_no_trend() -> None:
    """With the curve of the day, the peak is expected; without it, the same orders are an acceleration."""
    chance = random.Random(SEED)
    begun = 9 * 3_600.0
    known, unknown = begin(Prior(0.2), begun, PEAKS), begin(Prior(0.2), begun)
    raised = {"known": 0, "unknown": 0}
    time = begun
    while time < 12.75 * 3_600:
        time += chance.expovariate(0.2 * 3.2)
        density = (PEAKS.shop_time(time + 1) - PEAKS.shop_time(time)) / 3.2
        if chance.random() > density:
            continue
        known, unknown = observed(known, time, PEAKS), observed(unknown, time)
        raised["known"] += is_accelerating(known, time, PEAKS)
        raised["unknown"] += is_accelerating(unknown, time)
    assert raised["unknown"] > 50
    assert raised["known"] < raised["unknown"] / 5


def test_looking_changes_nothing() -> None:
    """How often somebody asks between two orders has no influence on what is answered later."""
    one = two = begin(Prior(0.05), 0.0)
    for order in range(60):
        time = order * 17.0
        for tick in range(5):
            forecast(two, time + tick, 600.0)
            is_accelerating(two, time + tick)
        one, two = observed(one, time), observed(two, time)
    assert one == two


def test_a_silent_hour_lowers_the_forecast() -> None:
    """No order is evidence as well."""
    pace = sold(0.2, 3_600, random.Random(SEED))
    expected = [forecast(pace, pace.time + silence, 600.0).mean for silence in (0.0, 300.0, 3_600.0, 36_000.0)]
    assert all(later < earlier for earlier, later in pairwise(expected))


def test_a_year_without_orders_breaks_nothing() -> None:
    """What was known is forgotten, and the first orders after it are learned from as from any."""
    pace = sold(0.2, 3_600, random.Random(SEED))
    later = pace.time + 365 * DAY_SECONDS
    assert forecast(pace, later, 600.0).mean < 1e-3
    assert not is_accelerating(pace, later)
    for order in range(100):
        pace = observed(pace, later + 10.0 * order)
    assert rates(pace, pace.time)[0] == pytest.approx(0.1, rel=0.15)


def test_a_late_order_counts_as_simultaneous() -> None:
    """Clocks of platforms differ: an order from before the last is one more, and time does not run backwards."""
    pace = observed(observed(begin(Prior(0.05), 0.0), 100.0), 90.0)
    assert (pace.time, pace.evidence_orders) == (100.0, 2)


def test_lots_widen_the_forecast() -> None:
    """Orders of one or of ten units have the mean of both and a larger variance than as many single units."""
    chance = random.Random(SEED)
    single = lots = begin(Prior(0.1), 0.0)
    for order in range(400):
        single = observed(single, order * 10.0)
        lots = observed(lots, order * 10.0, quantity=chance.choice((1, 10)))
    plain, lumpy = forecast(single, 4_000.0, 600.0), forecast(lots, 4_000.0, 600.0)
    assert lumpy.mean == pytest.approx(5.5 * plain.mean, rel=0.35)
    assert lumpy.shape < plain.shape


def test_four_in_five_stock_outs_lie_in_the_interval() -> None:
    """For a rate that is steady the 80 % interval holds its truth at least that often, and is no wider than useful."""
    chance = random.Random(SEED)
    held = 0
    for _ in range(300):
        rate = chance.uniform(0.02, 0.3)
        pace = sold(rate, 2_400, chance)
        told = stock_out_times(pace, 2_400.0, 50)
        truth = sum(chance.expovariate(rate) for _ in range(50))
        assert told.p10 is not None
        assert told.p50 is not None
        assert told.p90 is not None
        assert told.p10 <= told.p50 <= told.p90 <= 6 * told.p10
        held += told.p10 <= truth <= told.p90
    assert held / 300 >= 0.8


def test_nothing_left_is_sold_out_now() -> None:
    """And what never sells has no time of stock-out."""
    pace = begin(Prior(0.1), 0.0)
    assert stock_out_times(pace, 0.0, 0) == demand.StockOutTimes(0.0, 0.0, 0.0)
    assert stock_out_times(begin(Prior(1e-9), 0.0), 0.0, 100).p50 is None


def test_a_forecast_across_the_peak_knows_it() -> None:
    """From half past eleven over two hours more is expected than from three."""
    pace = begin(Prior(0.1), 11.5 * 3_600, PEAKS)
    before = forecast(pace, 11.5 * 3_600, 7_200, PEAKS).mean
    after = forecast(begin(Prior(0.1), 15 * 3_600.0, PEAKS), 15 * 3_600.0, 7_200, PEAKS).mean
    assert before > 1.8 * after


@given(time=st.floats(-1e9, 4e9), seconds=st.floats(0.0, 1e6))
def test_shop_time_runs_forward_and_keeps_the_day(time: float, seconds: float) -> None:
    """It never runs backwards, and every whole day has as many shop seconds as clock seconds."""
    assert PEAKS.shop_time(time + seconds) >= PEAKS.shop_time(time) - 1e-3
    assert PEAKS.shop_time(time + DAY_SECONDS) - PEAKS.shop_time(time) == pytest.approx(DAY_SECONDS, abs=1e-2)
    assert FLAT.shop_time(time + seconds) - FLAT.shop_time(time) == pytest.approx(seconds, abs=1e-2)


def test_factors_are_smooth_and_mean_one() -> None:
    """An hour without orders may still sell; without any order all hours are equal."""
    factors = hour_factors([0.0] * 12 + [100.0] + [0.0] * 11)
    assert factors[11] == factors[13] == pytest.approx(6.0)
    assert min(factors) > 0
    assert hour_factors([0.0] * HOURS) == (1.0,) * HOURS


def test_a_profile_tells_hours_rates_and_lots() -> None:
    """Three days of two SKUs: the busy hour, the rate of each, units per order; a thin SKU is drawn to the mean."""
    sales = [
        Sale(day * DAY_SECONDS + 12 * 3_600 + order * 60, "A", 1 + order % 3) for day in range(3) for order in range(60)
    ]
    sales.append(Sale(12.5 * 3_600, "B"))
    profile = learned(sales, offset_seconds=0.0)
    assert max(range(HOURS), key=lambda hour: profile.hours[hour]) == 12
    assert profile.skus["A"].rate == pytest.approx(60 / DAY_SECONDS, rel=0.1)
    assert profile.prior("A").quantity_mean == pytest.approx(2.0)
    assert profile.skus["B"].rate > 2 / 3 / DAY_SECONDS
    assert profile.prior("unheard of").rate > profile.skus["B"].rate


def test_one_day_teaches_no_hours() -> None:
    """A single day's hours are that day's story."""
    assert set(learned([Sale(12 * 3_600.0, "A")]).hours) == {1.0}
