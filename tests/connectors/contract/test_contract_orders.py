"""What every platform promises of orders: none is missed, and each is told as it is."""

import random
from datetime import timedelta

import httpx
import pytest

from connectors.base import OrderSnapshot, OrderState
from connectors.sandbox.shop import ShopOrder
from tests.connectors.contract.storefront import (
    BLUE,
    CUP,
    RED,
    SHOWN,
    Stage,
    Storefront,
    Variant,
    open_storefront,
)

MANY = 240
AHEAD = timedelta(minutes=20)
SECOND = timedelta(seconds=1)
UNKNOWN = "2999999999999999999"


def require_true(front: Storefront, order: ShopOrder, snapshot: OrderSnapshot) -> None:
    """Fail unless the snapshot tells the order as it is; times to the platform's second."""
    resolution = front.platform.capabilities.time_resolution
    assert snapshot.order_id == order.order_id
    assert snapshot.state is order.state
    assert abs(snapshot.placed_time - order.placed_time) < resolution
    assert snapshot.update_time - order.update_time < resolution
    assert (snapshot.paid_time is None) == (order.paid_time is None)
    told = [(line.key, line.quantity, line.refunded, line.shipped) for line in snapshot.lines]
    assert told == [(line.key, line.quantity, line.refunded, line.shipped) for line in order.lines]


async def require_told(front: Storefront, order_id: str) -> OrderSnapshot:
    """Fail unless the order is told truly, alone and in the list; the snapshot."""
    order = front.shop.orders[order_id]
    single = await front.platform.order(order_id)
    assert single is not None
    require_true(front, order, single)
    seen = await front.seen(order.placed_time - SECOND, front.clock() + AHEAD)
    assert seen[order_id] == single
    return single


# ---- one order, through its life


async def test_an_order_is_told_as_it_is_at_every_step(front: Storefront) -> None:
    """Placed, paid, shipped; the list and the single call agree."""
    order_id = front.shop.place({CUP: 3}).order_id
    placed = await require_told(front, order_id)
    assert (placed.state, placed.paid_time) == (OrderState.PLACED, None)
    front.clock.pass_by(seconds=7)
    front.shop.pay(order_id)
    paid = await require_told(front, order_id)
    assert paid.state is OrderState.PAID
    assert paid.update_time > placed.update_time
    front.clock.pass_by(seconds=7)
    front.shop.ship(order_id)
    shipped = await require_told(front, order_id)
    assert shipped.state is OrderState.PAID
    assert shipped.lines[0].shipped


async def test_an_order_that_was_given_up_is_closed(front: Storefront) -> None:
    """Before payment; its line says when."""
    order_id = front.shop.place({CUP: 3}).order_id
    front.clock.pass_by(seconds=30)
    front.shop.close(order_id)
    closed = await require_told(front, order_id)
    assert closed.state is OrderState.CLOSED
    assert closed.lines[0].given_back_time == front.clock()
    assert closed.lines[0].refunded == 0


@pytest.mark.parametrize("is_shipped", [False, True])
@pytest.mark.parametrize("units", [1, 2, 3])
async def test_refunds_fold_into_the_snapshot(front: Storefront, units: int, *, is_shipped: bool) -> None:
    """Some of three or all: the order stays paid, and its line says how many, when, and whether the goods had left."""
    order_id = front.sell(CUP, 3).order_id
    if is_shipped:
        front.clock.pass_by(seconds=5)
        front.shop.ship(order_id)
    front.clock.pass_by(seconds=5)
    front.shop.refund(order_id, front.shop.orders[order_id].lines[0].line_id, units)
    told = await require_told(front, order_id)
    assert told.state is OrderState.PAID
    [line] = told.lines
    assert (line.refunded, line.shipped) == (units, is_shipped)
    assert told.update_time >= front.clock()
    assert units < 3 or line.given_back_time == front.clock()


async def test_refunds_one_after_the_other_add_up(front: Storefront) -> None:
    """One unit, then another; each is counted once."""
    order_id = front.sell(CUP, 3).order_id
    line_id = front.shop.orders[order_id].lines[0].line_id
    for refunded in (1, 2, 3):
        front.clock.pass_by(seconds=5)
        front.shop.refund(order_id, line_id, 1)
        [line] = (await require_told(front, order_id)).lines
        assert line.refunded == refunded


async def test_a_refund_brings_the_order_into_the_walk_again(front: Storefront) -> None:
    """Who has walked past the payment hears of the refund, whatever the platform's update time does."""
    order_id = front.sell(CUP, 2).order_id
    front.clock.pass_by(hours=1)
    since = front.clock()
    front.clock.pass_by(seconds=5)
    front.shop.refund(order_id, front.shop.orders[order_id].lines[0].line_id, 1)
    seen = await front.seen(since, since + AHEAD)
    assert [line.refunded for line in seen[order_id].lines] == [1]


async def test_an_order_nobody_knows_is_none(front: Storefront) -> None:
    """Not an error: a forged hint must not look like a broken platform."""
    assert await front.platform.order(UNKNOWN) is None


# ---- many orders


async def test_all_orders_of_many_windows_come(front: Storefront) -> None:
    """Thirty hours, walked at once and in pieces that meet: every order, as it is, the quiet hours between included."""
    chance, begin = random.Random(1), front.clock()
    for key in (RED, BLUE, CUP):
        front.shop.show(key, 1000)
    for _ in range(60):
        front.clock.pass_by(seconds=chance.choice([0, 1, 60, 1799, 1800, 3600]))
        order_id = front.shop.place({chance.choice([RED, BLUE, CUP]): chance.randint(1, 3)}).order_id
        front.clock.pass_by(seconds=chance.choice([0, 1]))
        fate = chance.choice([front.shop.pay, front.shop.close, None])
        if fate is not None:
            fate(order_id)
    whole = await front.seen(begin, front.clock())
    assert whole.keys() == front.shop.orders.keys()
    for order_id, order in front.shop.orders.items():
        require_true(front, order, whole[order_id])
    pieces: dict[str, OrderSnapshot] = {}
    since = begin
    while since <= front.clock():
        pieces |= await front.seen(since, since + timedelta(hours=5))
        since += timedelta(hours=5)
    assert pieces == whole


async def test_the_ends_of_a_span_belong_to_it(front: Storefront) -> None:
    """An order updated in the very second of `since` or of `until` comes; one a second outside does not matter."""
    order = front.sell()
    moment = front.clock()
    assert (await front.seen(moment, moment + AHEAD)).keys() == {order.order_id}
    assert (await front.seen(moment - AHEAD, moment)).keys() == {order.order_id}
    assert (await front.seen(moment, moment)).keys() == {order.order_id}
    assert await front.seen(moment + 2 * SECOND, moment + AHEAD) == {}


async def test_a_second_full_of_orders_is_walked_whole(front: Storefront) -> None:
    """More orders in one second than fit on a page."""
    front.shop.show(CUP, 1000)
    for _ in range(MANY):
        front.shop.place({CUP: 1})
    seen = await front.seen(front.clock(), front.clock() + AHEAD)
    assert seen.keys() == front.shop.orders.keys()


@pytest.mark.parametrize("seed", range(3))
async def test_orders_that_move_while_the_walk_goes_on_are_not_missed(front: Storefront, seed: int) -> None:
    """They are paid, closed and joined by new ones after every page; those that were there all come.

    The walk reaches beyond the present, so none can move out of it.
    """
    print(f"seed {seed}")
    chance, begin = random.Random(seed), front.clock()
    front.shop.show(CUP, 5000)
    for _ in range(MANY):
        front.shop.place({CUP: 1})
        front.clock.pass_by(seconds=chance.choice([0, 0, 1, 2]))
    there = list(front.shop.orders)
    seen: set[str] = set()
    moves = 0
    async for page in front.platform.orders(begin, front.clock() + AHEAD):
        seen |= {order.order_id for order in page}
        # A platform that is read until it stands still must be let stand.
        for _ in range(12 if moves < MANY else 0):
            front.clock.pass_by(seconds=chance.choice([0, 1]))
            chance.choice([front.shop.pay, front.shop.close])(chance.choice(there))
            front.shop.place({CUP: 1})
            moves += 1
    assert moves
    assert not set(there) - seen


@pytest.mark.parametrize("variant", [Variant("taobao", lag_seconds=2), Variant("kuaishou", lag_seconds=2)])
async def test_an_order_that_shows_up_late_is_within_the_stated_lag(
    variant: Variant, stage: Stage, client: httpx.AsyncClient
) -> None:
    """A walk that begins `visibility_lag` before what was walked does not miss it."""
    async with open_storefront(variant, stage, client) as front:
        lag = front.platform.capabilities.visibility_lag
        begin = front.clock()
        first = front.sell().order_id
        assert first not in await front.seen(begin, front.clock() + AHEAD)
        walked = front.clock() - lag
        front.clock.pass_by(seconds=lag.total_seconds())
        assert first in await front.seen(walked, front.clock() + AHEAD)


async def test_a_span_without_orders_is_empty(front: Storefront) -> None:
    """No page, or empty ones; and a walk that is broken off does no harm to the next."""
    assert await front.seen(front.clock() - AHEAD, front.clock() + AHEAD) == {}
    front.sell()
    async for _ in front.platform.orders(front.clock() - AHEAD, front.clock() + AHEAD):
        break
    assert len(await front.seen(front.clock() - AHEAD, front.clock() + AHEAD)) == 1
    assert front.shown() == SHOWN - 1
