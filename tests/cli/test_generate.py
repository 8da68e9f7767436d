"""The made-up session has the statistics of the real one."""

import statistics
from collections import Counter
from datetime import timedelta

import pytest

from gateway.cli.generate import ORDERS_BY_HOUR, generated_session, payment_delay
from gateway.cli.tape import CHINA, Order

SEED = 20200224


@pytest.fixture(scope="module")
def orders() -> list[Order]:
    """Two weeks of orders."""
    return generated_session(24_000, SEED)


def delays(orders: list[Order]) -> list[float]:
    """The payment delays in seconds, ascending."""
    return sorted(
        (order.pay_time - order.create_time).total_seconds() for order in orders if order.pay_time is not None
    )


def test_the_same_seed_makes_the_same_session() -> None:
    """... and another seed another one."""
    assert generated_session(50, 7) == generated_session(50, 7)
    assert generated_session(50, 7) != generated_session(50, 8)


def test_orders_come_in_time_order_with_numbers_of_their_own(orders: list[Order]) -> None:
    """A tape is ascending in time, and no number is there twice."""
    assert [order.create_time for order in orders] == sorted(order.create_time for order in orders)
    assert len({order.number for order in orders}) == len(orders)


def test_as_many_are_never_paid_as_in_the_real_log(orders: list[Order]) -> None:
    """14.3 %."""
    assert sum(order.pay_time is None for order in orders) / len(orders) == pytest.approx(0.143, abs=0.01)


def test_as_many_are_refunded_as_in_the_real_log(orders: list[Order]) -> None:
    """20.5 %, all of them paid."""
    assert sum(order.is_refunded for order in orders) / len(orders) == pytest.approx(0.205, abs=0.01)
    assert all(order.pay_time is not None for order in orders if order.is_refunded)


def test_payments_come_as_late_as_in_the_real_log(orders: list[Order]) -> None:
    """8 / 54 / 8,860 s at p50 / p90 / p99; never negative, never after 24 hours."""
    found = delays(orders)
    at = [found[int(len(found) * share)] for share in (0.5, 0.9, 0.99)]
    assert at == [pytest.approx(8, abs=1), pytest.approx(54, rel=0.2), pytest.approx(8_860, rel=0.5)]
    assert found[0] >= 0
    assert found[-1] <= 86_400


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 2), (0.5, 8), (0.9, 54), (0.99, 8_860), (1.0, 86_400)])
def test_the_delay_passes_through_the_measured_points(share: float, seconds: int) -> None:
    """Between them it only grows."""
    assert payment_delay(share) == timedelta(seconds=seconds)
    assert payment_delay(max(0.0, share - 0.01)) <= payment_delay(share)


def test_the_hours_of_the_day_have_their_shares(orders: list[Order]) -> None:
    """Busy evenings, quiet nights: each hour's share is that of the real log."""
    hours = Counter(order.create_time.astimezone(CHINA).hour for order in orders)
    for hour, count in enumerate(ORDERS_BY_HOUR):
        assert hours[hour] / len(orders) == pytest.approx(count / sum(ORDERS_BY_HOUR), abs=0.012)


def test_arrivals_are_a_poisson_process(orders: list[Order]) -> None:
    """In windows of a minute the counts of one hour of the day have a variance equal to their mean."""
    counts: Counter[tuple[int, int]] = Counter()
    for order in orders:
        local = order.create_time.astimezone(CHINA)
        if local.hour == 21:
            counts[local.toordinal(), local.minute] += 1
    days = sorted({day for day, _ in counts})[1:-1]
    windows = [counts[day, minute] for day in days for minute in range(60)]
    assert len(windows) > 600
    assert statistics.variance(windows) / statistics.fmean(windows) == pytest.approx(1.0, abs=0.2)
