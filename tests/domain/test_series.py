"""Steps over time, thinned."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.series import Point, rates, steps, thinned

points_of = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(-50, 50)), min_size=1, max_size=300, unique_by=lambda pair: pair[0]
).map(lambda pairs: [Point(micros, float(value)) for micros, value in sorted(pairs)])


@given(points_of, st.integers(10, 100))
def test_thinning_keeps_order_bounds_and_extremes(points: list[Point], points_max: int) -> None:
    """At most so many, each one of them, in order; the first, the last, the lowest and the highest stay."""
    kept = thinned(points, points_max)
    assert len(kept) <= points_max
    assert [point for point in points if point in kept] == kept
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    values = [point.value for point in points]
    assert {min(values), max(values)} <= {point.value for point in kept}


@given(points_of)
def test_few_points_stay_as_they_are(points: list[Point]) -> None:
    """What needs no thinning loses nothing."""
    assert thinned(points, len(points)) == points


@given(points_of)
def test_steps_say_the_same(points: list[Point]) -> None:
    """Points that change nothing go; at each time the value is what it was."""
    kept = steps(points)
    at = {point.micros: point.value for point in points}
    value = kept[0].value
    told = {point.micros: point.value for point in kept}
    for micros, wanted in at.items():
        value = told.get(micros, value)
        assert value == wanted
    assert all(one.value != other.value for one, other in pairwise(kept))


def test_rates_are_per_minute_and_fall_to_nothing() -> None:
    """Two buckets of two minutes, the second with six units, then an empty one; the first began before the series."""
    assert rates({1: 6}, 3, 120_000_000, -30_000_000) == [
        Point(0, 0.0),
        Point(90_000_000, 3.0),
        Point(210_000_000, 0.0),
    ]
