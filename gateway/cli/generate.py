"""A session made up with the statistics of a real one, for when there is no report at hand.

The numbers are those of one Tmall shop's orders of 18-24 February 2020:

- orders arrive as a Poisson process whose rate follows the hour of the day (variance over mean 0.99-1.00 around the
  local mean), 1,668 a day;
- 14.3 % are never paid; the others after 8 / 54 / 8,860 s at p50 / p90 / p99, 24 hours at most;
- 20.5 % are refunded, all of them paid before.

The same seed makes the same session.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gateway.cli.tape import CHINA, Order

SESSION_START = datetime(2020, 2, 24, 19, 0, 0, tzinfo=CHINA)  # an evening, when live rooms sell

# Orders in each hour of the day, China time, over those seven days.
ORDERS_BY_HOUR = (
    *(450, 246, 129, 81, 53, 46, 113, 237, 377, 488, 684, 671),
    *(427, 389, 605, 835, 687, 480, 610, 667, 861, 922, 891, 729),
)
DAYS_COUNTED = 7

NEVER_PAID_SHARE = 2_047 / 14_356
REFUNDED_SHARE_OF_PAID = 2_940 / (14_356 - 2_047)

# (share of the paid orders, paid within so many seconds); between two of them the delay grows exponentially.
PAYMENT_DELAYS = (
    (0.00, 2.0),
    (0.10, 4.0),
    (0.25, 6.0),
    (0.50, 8.0),
    (0.75, 14.0),
    (0.90, 54.0),
    (0.95, 218.0),
    (0.97, 615.0),
    (0.98, 1_548.0),
    (0.99, 8_860.0),
    (0.995, 40_632.0),
    (1.00, 86_400.0),
)


def generated_session(orders_count: int, seed: int) -> list[Order]:
    """So many orders in time order, numbered from 1."""
    chance = random.Random(seed)  # noqa: S311 - chance for a demonstration, no secret
    arrivals = _arrivals(chance)
    return [_order(str(number), next(arrivals), chance) for number in range(1, orders_count + 1)]


def payment_delay(share: float) -> timedelta:
    """The delay within which that share of the paid orders is paid, in whole seconds as the reports have them."""
    place = min(bisect_right(PAYMENT_DELAYS, (share, math.inf)), len(PAYMENT_DELAYS) - 1)
    (share_before, before), (share_after, after) = PAYMENT_DELAYS[place - 1], PAYMENT_DELAYS[place]
    way = (share - share_before) / (share_after - share_before)
    return timedelta(seconds=round(before * (after / before) ** way))


def _order(number: str, create_time: datetime, chance: random.Random) -> Order:
    is_paid = chance.random() >= NEVER_PAID_SHARE
    delay, is_refunded = payment_delay(chance.random()), chance.random() < REFUNDED_SHARE_OF_PAID
    return Order(
        number=number,
        create_time=create_time,
        pay_time=create_time + delay if is_paid else None,
        is_refunded=is_paid and is_refunded,
    )


def _arrivals(chance: random.Random) -> Iterator[datetime]:
    """Times of a Poisson process by thinning: candidates at the busiest hour's rate, kept by the hour's share of it."""
    busiest = max(ORDERS_BY_HOUR)
    moment = SESSION_START
    while True:
        moment += timedelta(hours=chance.expovariate(busiest / DAYS_COUNTED))
        if chance.random() < ORDERS_BY_HOUR[moment.hour] / busiest:
            yield moment.replace(microsecond=0).astimezone(UTC)
