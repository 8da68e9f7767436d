"""Which orders the connector sees, and what it makes of them."""

from datetime import timedelta

import pytest

from connectors.base import OrderState
from connectors.sandbox.shop import ShopFacts, TakesOn
from tests.connectors.douyin.rig import BOWL, CUP, PLATE, Rig, rigged


async def test_an_order_is_seen_through_its_life(rig: Rig) -> None:
    """Placed, paid, shipped: one order, its lines, its times."""
    start = rig.clock.time
    order = rig.shop.place({CUP: 2, BOWL: 1})
    [seen] = (await rig.seen(start)).values()
    assert (seen.state, seen.placed_time, seen.paid_time) == (OrderState.PLACED, start, None)
    assert [(line.line_id, line.key, line.quantity) for line in seen.lines] == [
        (line.line_id, line.key, line.quantity) for line in order.lines
    ]
    rig.clock.move(10)
    rig.shop.pay(order.order_id)
    [seen] = (await rig.seen(start)).values()
    assert (seen.state, seen.paid_time, seen.update_time) == (OrderState.PAID, rig.clock.time, rig.clock.time)
    rig.clock.move(10)
    rig.shop.ship(order.order_id)
    seen_alone = await rig.douyin.order(order.order_id)
    assert seen_alone == (await rig.seen(start))[order.order_id]
    assert seen_alone is not None
    assert [line.shipped for line in seen_alone.lines] == [True, True]


async def test_a_closed_order_gives_its_lines_back(rig: Rig) -> None:
    """Cancelled before payment is CLOSED, with the time of it."""
    order = rig.shop.place({CUP: 2})
    rig.clock.move(5)
    rig.shop.close(order.order_id)
    seen = await rig.douyin.order(order.order_id)
    assert seen is not None
    assert (seen.state, seen.lines[0].refunded) == (OrderState.CLOSED, 0)
    assert seen.lines[0].given_back_time == rig.clock.time


async def test_a_partial_refund_is_counted_in_units(rig: Rig) -> None:
    """The order says that a refund is done, the after-sale orders of how many units; the order stays PAID."""
    order = rig.shop.pay(rig.shop.place({CUP: 5, PLATE: 1}).order_id)
    cups = order.lines[0].line_id
    for units in (1, 2):
        rig.clock.move(60)
        rig.shop.refund(order.order_id, cups, units)
    seen = await rig.douyin.order(order.order_id)
    assert seen is not None
    assert seen.state is OrderState.PAID
    assert [(line.refunded, line.given_back_time) for line in seen.lines] == [(3, None), (0, None)]
    assert seen.update_time == rig.clock.time


async def test_many_refunds_of_one_order_are_all_counted(rig: Rig) -> None:
    """More after-sale orders than a page holds; each is counted once."""
    rig.shop.show(CUP, 300)
    order = rig.sell(250)
    for _ in range(205):
        rig.shop.refund(order.order_id, order.lines[0].line_id, 1)
    seen = await rig.seen(rig.clock.time)
    assert seen[order.order_id].lines[0].refunded == 205


async def test_a_full_refund_stays_paid(rig: Rig) -> None:
    """An order of which all was refunded is cancelled for the platform and PAID for us, with nothing owed."""
    for ships in (False, True):
        order = rig.sell(3)
        if ships:
            rig.shop.ship(order.order_id)
        rig.shop.refund(order.order_id, order.lines[0].line_id, 3)
        seen = await rig.douyin.order(order.order_id)
        assert seen is not None
        assert seen.state is OrderState.PAID
        [line] = seen.lines
        assert (line.refunded, line.shipped, line.given_back_time) == (3, ships, rig.clock.time)


async def test_a_refund_is_seen_though_its_order_was_not_updated(rig: Rig) -> None:
    """Refunds are polled by their own update time."""
    order = rig.sell(3)
    rig.clock.move(7200)
    rig.shop.refund(order.order_id, order.lines[0].line_id, 1)
    # The platform forgets to touch the order.
    touched = rig.shop.orders[order.order_id]
    object.__setattr__(touched, "update_time", order.update_time)
    seen = await rig.seen(rig.clock.time - timedelta(seconds=60))
    assert seen[order.order_id].lines[0].refunded == 1
    assert seen[order.order_id].update_time == rig.clock.time


async def test_an_order_that_is_not_there_is_none(rig: Rig) -> None:
    """An unknown order id is None, not an error."""
    assert await rig.douyin.order("4711") is None


async def test_both_ends_of_a_span_are_in_it(rig: Rig) -> None:
    """Orders of the first and of the last second are seen, those beyond are not."""
    start = rig.clock.time
    orders = []
    for _ in range(4):
        orders.append(rig.sell())
        rig.clock.move(1)
    seen = await rig.seen(start + timedelta(seconds=1), start + timedelta(seconds=2))
    assert list(seen) == [orders[1].order_id, orders[2].order_id]


async def test_a_long_span_is_split(rig: Rig) -> None:
    """A day is walked in windows without a gap at their borders."""
    rig.shop.show(CUP, 100)
    start = rig.clock.time
    rig.shop.skew = timedelta()
    times = [0, 3599, 3600, 3601, 7199, 7200, 20000, 86400]
    made = []
    for time in times:
        rig.clock.time = start + timedelta(seconds=time)
        made.append(rig.sell().order_id)
    seen = await rig.seen(start)
    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize("spread_seconds", [0, 1, 20])
async def test_many_orders_are_all_seen(rig: Rig, spread_seconds: int) -> None:
    """Several pages, be they of one second or of many, are read whole."""
    rig.shop.show(CUP, 1000)
    start = rig.clock.time
    made = set()
    for number in range(350):
        rig.clock.time = start + timedelta(seconds=number * spread_seconds // 10)
        made.add(rig.sell().order_id)
    assert set(await rig.seen(start)) == made


@pytest.mark.parametrize("spread_seconds", [0, 1])
async def test_no_order_is_skipped_while_others_move(rig: Rig, spread_seconds: int) -> None:
    """Orders are updated between the pages and leave the span; of those that stay, none is missed."""
    rig.shop.show(CUP, 1000)
    start = rig.clock.time
    made = []
    for number in range(450):
        rig.clock.time = start + timedelta(seconds=number * spread_seconds)
        made.append(rig.sell().order_id)
    until = rig.clock.time
    rig.clock.move(60)
    moved: list[str] = []
    seen: set[str] = set()
    async for page in rig.douyin.orders(start, until):
        seen |= {order.order_id for order in page}
        # The oldest ones move away, whether they were read or not.
        for order_id in made[len(moved) : len(moved) + 30]:
            rig.shop.ship(order_id)
            moved.append(order_id)
    assert set(made) - set(moved) <= seen
    # Those that moved are in the next span.
    assert set(made) <= seen | set(await rig.seen(until))


async def test_orders_that_move_within_the_span_are_seen(rig: Rig) -> None:
    """An order that is updated to a later second of the same span is met there again."""
    rig.shop.show(CUP, 1000)
    start = rig.clock.time
    made = []
    for _ in range(250):
        rig.clock.move(1)
        made.append(rig.shop.place({CUP: 1}).order_id)
    until = start + timedelta(seconds=3000)
    states: dict[str, OrderState] = {}
    waiting = list(made)
    async for page in rig.douyin.orders(start, until):
        states |= {order.order_id: order.state for order in page}
        while waiting:
            rig.clock.move(1)
            rig.shop.pay(waiting.pop())
    assert states == dict.fromkeys(made, OrderState.PAID)


async def test_units_taken_on_payment() -> None:
    """Where units are taken on payment the order says the same; it is the shelf that differs."""
    async with rigged(facts=ShopFacts(takes_on=TakesOn.PAYMENT)) as rig:
        order = rig.shop.place({CUP: 3})
        assert getattr((await rig.douyin.read([CUP]))[CUP], "shown", None) == 10
        rig.shop.pay(order.order_id)
        assert getattr((await rig.douyin.read([CUP]))[CUP], "shown", None) == 7
