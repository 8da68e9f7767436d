"""The crowd: its figures are those it was made from, and its decisions hang on the seed alone."""

import asyncio
import statistics
from datetime import timedelta

import pytest

from connectors.base import ListingKey, OrderState
from connectors.sandbox.crowd import (
    BURST_FACTOR,
    BURST_SLOT_SECONDS,
    ORDERS_BY_HOUR,
    QUANTITY_SHARES,
    REFUNDED_SHARE_OF_PAID,
    UNPAID_SHARE,
    Crowd,
    CrowdSettings,
    Moment,
    Visit,
    Visitors,
    is_shouted_at,
    payment_delay,
)
from connectors.sandbox.shop import Shop, ShopFacts

MUG, LAMP = ListingKey("1", "11"), ListingKey("2", "22")
WANTED = {MUG: 3.0, LAMP: 1.0}
SEED = 20_201_122
MANY = 20_000
SHOPS = ("taobao", "douyin", "kuaishou")


def moments(count: int, settings: CrowdSettings | None = None, rate: float = 50.0) -> list[Moment]:
    """The first moments of a shop's visitors at which somebody comes."""
    visitors = Visitors("taobao", WANTED, rate, settings or CrowdSettings(SEED, bursts=False))
    found: list[Moment] = []
    while len(found) < count:
        moment = visitors.next()
        if moment.visit is not None:
            found.append(moment)
    return found


def visits(count: int) -> list[Visit]:
    """The first so many visits."""
    return [moment.visit for moment in moments(count) if moment.visit is not None]


def share(matching: int, of: int) -> float:
    return matching / of


def test_arrivals_are_a_poisson_process() -> None:
    """Counts in equal stretches of time have a variance that is their mean, and the mean is the rate."""
    settings = CrowdSettings(SEED, start_hour=ORDERS_BY_HOUR.index(max(ORDERS_BY_HOUR)), bursts=False)
    counts = [0] * 300
    for moment in moments(MANY, settings, rate=60.0):
        if moment.seconds < len(counts):
            counts[int(moment.seconds)] += 1
    assert statistics.mean(counts) == pytest.approx(60.0, rel=0.03)
    assert statistics.variance(counts) / statistics.mean(counts) == pytest.approx(1.0, abs=0.25)


def test_the_rate_follows_the_hour_of_the_day() -> None:
    """At five in the morning there come as few as the hour's share of the busiest hour says."""
    visitors = Visitors("taobao", WANTED, 10.0, CrowdSettings(SEED, start_hour=5.0, speed=3600.0, bursts=False))
    by_hour = [visitors.rate_at(second + 0.5) for second in range(24)]
    expected = [10.0 * ORDERS_BY_HOUR[(5 + hour) % 24] / max(ORDERS_BY_HOUR) for hour in range(24)]
    assert by_hour == pytest.approx(expected)


def test_a_host_who_shouts_triples_one_shops_rate_for_some_seconds() -> None:
    """Bursts come, last seconds, and never at two shops at once."""
    settings = CrowdSettings(SEED)
    rooms = [Visitors(name, WANTED, 1.0, settings, SHOPS) for name in SHOPS]
    calm = Visitors("taobao", WANTED, 1.0, CrowdSettings(SEED, bursts=False)).rate_at(0.0)
    tenths = [second / 10 for second in range(int(40 * BURST_SLOT_SECONDS * 10))]
    shouting = [[room.rate_at(second) > calm * (BURST_FACTOR - 0.5) for room in rooms] for second in tenths]
    assert all(sum(at) <= 1 for at in shouting)
    assert 0.05 < share(sum(map(any, shouting)), len(shouting)) < 0.4
    assert {name for name in SHOPS if any(is_shouted_at(SEED, name, SHOPS, second) for second in tenths)} == set(SHOPS)


def test_known_quantiles_of_the_payment_delay() -> None:
    """Half pay within 8 seconds, nine of ten within 51, and one of a hundred later than 9,445."""
    assert [payment_delay(known) for known in (0.5, 0.9, 0.99)] == pytest.approx([8.0, 51.0, 9_445.0])
    delays = [payment_delay(place / 1000) for place in range(1000)]
    assert delays == sorted(delays)


def test_so_many_never_pay_and_so_many_want_their_money_back() -> None:
    """14 % are never paid; 20 % of the paid ones are refunded, and never more units than were bought."""
    found = visits(MANY)
    paid = [visit for visit in found if visit.paid_after_seconds is not None]
    assert share(len(found) - len(paid), len(found)) == pytest.approx(UNPAID_SHARE, abs=0.01)
    refunded = [visit for visit in paid if visit.refund_units]
    assert share(len(refunded), len(paid)) == pytest.approx(REFUNDED_SHARE_OF_PAID, abs=0.01)
    assert any(visit.refund_units < visit.quantity for visit in refunded)
    assert all(0 <= visit.refund_units <= visit.quantity for visit in found)
    assert not any(visit.refund_units for visit in found if visit.paid_after_seconds is None)


def test_what_buyers_want() -> None:
    """Quantities are one to three, and listings are chosen by how much they are liked."""
    found = visits(MANY)
    counts = [sum(visit.quantity == quantity for visit in found) / len(found) for quantity in (1, 2, 3)]
    assert counts == pytest.approx(QUANTITY_SHARES, abs=0.01)
    assert share(sum(visit.key == MUG for visit in found), len(found)) == pytest.approx(0.75, abs=0.01)


def test_speed_shortens_delays_and_nothing_else() -> None:
    """Ten times as fast, the same buyers pay in a tenth of the time."""
    slow, fast = (
        [m.visit for m in moments(500, CrowdSettings(SEED, speed, bursts=False)) if m.visit] for speed in (1.0, 10.0)
    )
    for one, other in zip(slow, fast, strict=True):
        assert (one.key, one.quantity, one.refund_units) == (other.key, other.quantity, other.refund_units)
        assert (one.paid_after_seconds or 0.0) == pytest.approx((other.paid_after_seconds or 0.0) * 10)


def test_equal_seeds_make_equal_decisions() -> None:
    """The same seed says the same again, another says something else, and so does another shop."""
    settings = CrowdSettings(SEED)
    again = [[Visitors("taobao", WANTED, 5.0, settings, SHOPS).next() for _ in range(1)] for _ in range(2)]
    assert again[0] == again[1]
    assert moments(200, settings) == moments(200, settings)
    assert moments(200, settings) != moments(200, CrowdSettings(SEED + 1))
    here, there = (Visitors(name, WANTED, 5.0, settings, SHOPS) for name in SHOPS[:2])
    assert [here.next() for _ in range(50)] != [there.next() for _ in range(50)]


def test_nobody_comes_at_rate_zero() -> None:
    """A rate of 0 is silence, and raising it later ends that."""
    visitors = Visitors("taobao", WANTED, 0.0, CrowdSettings(SEED))
    assert all(visitors.next().visit is None for _ in range(200))
    visitors.rate = 50.0
    assert any(visitors.next().visit is not None for _ in range(200))


def crowd_over(shop: Shop, rate: float = 400.0, speed: float = 100.0) -> Crowd:
    """A crowd before one shop."""
    return Crowd({"taobao": shop}, {"taobao": {MUG: 1.0}}, {"taobao": rate}, CrowdSettings(SEED, speed))


async def test_a_session_ends_with_every_order_paid_or_closed() -> None:
    """Nothing is left open, what was shown and what is owed add up, and who found too little was counted."""
    shop = Shop()
    shop.put_on_sale(MUG, shown=60)
    crowd = crowd_over(shop)
    refusals: list[ListingKey] = []
    crowd.hears_refusals.append(lambda refusal: refusals.append(refusal.key))
    async with asyncio.timeout(20):
        came_back = await crowd.play(selling_seconds=1.0, settling_seconds=0.3)
    states = {order.state for order in shop.orders.values()}
    assert states == {OrderState.PAID, OrderState.CLOSED}
    assert shop.displays[MUG].shown + sum(order.live_units for order in shop.orders.values()) == 60
    assert crowd.came == len(shop.orders) + crowd.refused
    assert 0 < crowd.refused == len(refusals) == shop.tally.refused
    assert came_back >= 0


async def test_the_platform_closes_what_is_not_paid_in_time() -> None:
    """At the payment limit an order is closed, though its buyer would have paid later."""
    shop = Shop(ShopFacts(payment_limit=timedelta(seconds=0.05)))
    shop.put_on_sale(MUG, shown=1000)
    running = asyncio.create_task(crowd_over(shop, speed=1.0).run())
    async with asyncio.timeout(10):
        while not any(order.state is OrderState.CLOSED for order in shop.orders.values()):  # noqa: ASYNC110 - a plain value
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not any(order.state is OrderState.PAID for order in shop.orders.values())


async def test_equal_seeds_make_equal_orders() -> None:
    """Two shops with enough for everybody sell the same to the same crowd, in the same order."""
    sold = []
    for _ in range(2):
        shop = Shop()
        shop.put_on_sale(MUG, shown=1_000_000)
        async with asyncio.timeout(20):
            await crowd_over(shop, rate=100.0).play(selling_seconds=0.5, settling_seconds=0.1)
        sold.append([sum(line.quantity for line in order.lines) for order in shop.orders.values()])
    assert sold[0]
    assert sold[0] == sold[1]


async def test_a_machine_that_cannot_keep_pace_closes_the_doors_all_the_same() -> None:
    """More buyers than could ever be served in time: the session is over in time, and everything is settled."""
    shop = Shop()
    shop.put_on_sale(MUG, shown=1_000_000)
    async with asyncio.timeout(60):
        crowd = crowd_over(shop, rate=1_000_000.0)
        await crowd.play(selling_seconds=0.2, settling_seconds=0.1)
    assert not crowd.kept_pace
    assert len(shop.orders) < 200_000 * 0.9
    assert {order.state for order in shop.orders.values()} == {OrderState.PAID, OrderState.CLOSED}
