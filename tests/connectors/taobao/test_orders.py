"""Orders as snapshots: every one of them, also while they move."""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from connectors.base import OrderLine, OrderSnapshot, OrderState
from connectors.errors import Misunderstood, Transient
from connectors.sandbox.shop import Shop, ShopFacts, ShopOrder
from connectors.taobao.answers import Order, Orders, Refund, Trade
from connectors.taobao.orders import PAGE_SIZE, snapshot, units_refunded
from tests.connectors.taobao.caller import call, time_of
from tests.connectors.taobao.stand import CUP, MUG_BLUE, MUG_RED, STILL, HandClock, Stand, a_stand

INCREMENT = "taobao.trades.sold.increment.get"
MANY = 10_000


@pytest.fixture
def clock() -> HandClock:
    clock = HandClock()
    clock.time = clock.time.replace(microsecond=250_000)
    return clock


@pytest_asyncio.fixture(loop_scope="session")
async def busy(clock: HandClock) -> AsyncIterator[Stand]:
    """A stand whose clock is moved by hand, with plenty of cups."""
    async with a_stand(shop=Shop(ShopFacts(), now=clock)) as stand:
        stand.shop.edit_by_hand(CUP, MANY)
        yield stand


def sell(stand: Stand, clock: HandClock, number: int, seconds: float = 1) -> list[ShopOrder]:
    """So many orders, one every so often."""
    orders = []
    for _ in range(number):
        orders.append(stand.shop.place({CUP: 1}))
        clock.pass_by(seconds=seconds)
    return orders


async def pulled(
    stand: Stand, since: datetime, until: datetime, meanwhile: Callable[[], None] = lambda: None
) -> list[OrderSnapshot]:
    """Everything that a walk yields; `meanwhile` happens after every page."""
    found: list[OrderSnapshot] = []
    async for page in stand.platform.orders(since, until):
        assert page
        found += page
        meanwhile()
    return found


def names(found: list[OrderSnapshot]) -> list[tuple[str, datetime]]:
    return [(one.order_id, one.update_time) for one in found]


def wanted(stand: Stand, since: datetime, until: datetime) -> set[tuple[str, datetime]]:
    """What must have been seen: what lies in the window now."""
    whole = since.replace(microsecond=0)
    orders = stand.shop.updated_between(whole, until)
    return {(order.order_id, order.update_time.replace(microsecond=0)) for order in orders}


async def test_the_life_of_an_order(stand: Stand) -> None:
    """Placed, paid, shipped: one snapshot each, and lines by the ids of the shop."""
    placed = stand.shop.place({MUG_RED: 2, CUP: 1})
    first = await stand.platform.order(placed.order_id)
    time = placed.placed_time.replace(microsecond=0)
    lines = (
        OrderLine(placed.lines[0].line_id, MUG_RED, 2),
        OrderLine(placed.lines[1].line_id, CUP, 1),
    )
    assert first == OrderSnapshot(placed.order_id, OrderState.PLACED, lines, time, time)
    paid = stand.shop.pay(placed.order_id)
    second = await stand.platform.order(placed.order_id)
    assert second is not None
    assert paid.paid_time is not None
    assert (second.state, second.paid_time) == (OrderState.PAID, paid.paid_time.replace(microsecond=0))
    stand.shop.ship(placed.order_id)
    third = await stand.platform.order(placed.order_id)
    assert third is not None
    assert third.state is OrderState.PAID
    assert [line.shipped for line in third.lines] == [True, True]


async def test_an_order_closed_before_payment(stand: Stand) -> None:
    """It is CLOSED, with the time, and nothing counts as refunded."""
    placed = stand.shop.place({MUG_RED: 2})
    closed = stand.shop.close(placed.order_id)
    snapshot = await stand.platform.order(placed.order_id)
    assert snapshot is not None
    assert snapshot.state is OrderState.CLOSED
    (line,) = snapshot.lines
    assert (line.refunded, line.given_back_time) == (0, closed.update_time.replace(microsecond=0))


async def test_refunds_are_in_the_lines(busy: Stand, clock: HandClock) -> None:
    """A whole line, a part of one, and the rest of it: the order stays PAID, each line says its units and time."""
    placed = busy.shop.place({MUG_RED: 3, MUG_BLUE: 1})
    busy.shop.pay(placed.order_id)
    red, blue = placed.lines
    seen = []
    for line_id, quantity in ((red.line_id, 1), (blue.line_id, 1), (red.line_id, 1), (red.line_id, 1)):
        clock.pass_by(minutes=1)
        busy.shop.refund(placed.order_id, line_id, quantity)
        snapshot = await busy.platform.order(placed.order_id)
        assert snapshot is not None
        assert snapshot.state is OrderState.PAID
        assert snapshot.update_time in [line.given_back_time for line in snapshot.lines]
        seen.append([line.refunded for line in snapshot.lines])
    assert seen == [[1, 0], [1, 1], [2, 1], [3, 1]]
    (found,) = await pulled(busy, placed.placed_time, clock.time)
    assert [line.refunded for line in found.lines] == [3, 1]
    assert busy.shop.orders[placed.order_id].live_units == 0


@pytest.mark.parametrize(
    ("fee", "total", "special", "units"),
    [
        ("5.00", "30.00", "", 0),  # for a late parcel
        ("10.00", "30.00", "", 1),
        ("19.99", "30.00", "", 1),
        ("30.00", "30.00", "", 3),
        ("36.00", "30.00", "", 3),  # with the postage
        ("10.00", "30.00", "价保服务", 0),
        ("", "", "", 0),
        ("10.00", "0.00", "", 0),
        ("NaN", "30.00", "", 0),
        ("1e99", "30.00", "", 0),
        ("ten", "30.00", "", 0),
    ],
)
def test_only_units_that_the_money_pays_for_come_back(fee: str, total: str, special: str, units: int) -> None:
    """`num` is what was bought: some of the money back leaves goods owed that nobody may sell again."""
    refund = Refund("1", "SUCCESS", num=3, refund_fee=fee, total_fee=total, special_refund_type=special)
    assert units_refunded(refund, 3) == units


async def test_a_refund_before_and_after_shipping(busy: Stand, clock: HandClock) -> None:
    """Whether the goods of a refunded line had left is told by the times."""
    placed = busy.shop.place({MUG_RED: 1, MUG_BLUE: 1})
    busy.shop.pay(placed.order_id)
    red, blue = placed.lines
    clock.pass_by(minutes=1)
    busy.shop.refund(placed.order_id, red.line_id, 1)
    clock.pass_by(minutes=1)
    busy.shop.ship(placed.order_id)
    clock.pass_by(minutes=1)
    busy.shop.refund(placed.order_id, blue.line_id, 1)
    snapshot = await busy.platform.order(placed.order_id)
    assert snapshot is not None
    assert [(line.refunded, line.shipped) for line in snapshot.lines] == [(1, False), (1, True)]


async def test_an_unknown_order_is_none(stand: Stand) -> None:
    assert await stand.platform.order("2000000000000000009") is None


async def test_no_orders_no_pages(stand: Stand) -> None:
    now = stand.shop.time
    assert await pulled(stand, now - timedelta(days=3), now) == []
    assert await pulled(stand, now, now - timedelta(seconds=2)) == []


async def test_the_bounds_belong_to_the_window(busy: Stand, clock: HandClock) -> None:
    """Times are whole seconds: an order in the second of either bound is found, and none twice."""
    orders = sell(busy, clock, 10)
    since, until = orders[2].update_time, orders[7].update_time
    found = await pulled(busy, since, until)
    assert sorted(one.order_id for one in found) == [order.order_id for order in orders[2:8]]


async def test_a_long_span_is_split(busy: Stand, clock: HandClock) -> None:
    """Three days are windows of half an hour; every order is found once, also those at a window's edge."""
    start = clock.time
    sell(busy, clock, 3 * 48, seconds=30 * 60)
    busy.platform.use(busy.sandbox.issue_tokens())
    found = await pulled(busy, start, clock.time)
    assert len(found) == len(set(names(found)))
    assert set(names(found)) == wanted(busy, start, clock.time)


async def test_no_second_lies_between_two_windows(busy: Stand, clock: HandClock) -> None:
    """An order in every second around the end of the first half hour: each is found once."""
    start = clock.time
    clock.pass_by(minutes=30, seconds=-3)
    orders = sell(busy, clock, 7)
    found = await pulled(busy, start, clock.time)
    assert sorted(one.order_id for one in found) == [order.order_id for order in orders]
    assert busy.sandbox.calls == {INCREMENT: 2}


async def test_a_window_that_grows_after_it_was_counted(busy: Stand, clock: HandClock) -> None:
    """Orders come in after every single call; those that are pushed beyond the last page are found all the same."""
    start = clock.time
    sell(busy, clock, 2 * PAGE_SIZE)
    moves = iter(range(3))

    async def grow(_: httpx.Response) -> None:
        if next(moves, None) is not None:
            sell(busy, clock, 3)

    busy.client.event_hooks["response"] = [grow]
    try:
        found = await pulled(busy, start, clock.time + timedelta(minutes=5))
    finally:
        busy.client.event_hooks["response"] = []
    assert wanted(busy, start, clock.time) == set(names(found))
    assert len(found) == 2 * PAGE_SIZE + 9


async def test_pages_come_last_first(busy: Stand, clock: HandClock) -> None:
    """The oldest page is read first, and every order once."""
    start = clock.time
    orders = sell(busy, clock, 2 * PAGE_SIZE + 7)
    clock.pass_by(minutes=10)
    pages = [page async for page in busy.platform.orders(start, start + timedelta(minutes=5))]
    assert [len(page) for page in pages] == [7, PAGE_SIZE, PAGE_SIZE]
    assert {one.order_id for one in pages[0]} == {order.order_id for order in orders[:7]}
    # A count, and the three pages.
    assert busy.sandbox.calls == {INCREMENT: 4}


async def test_orders_of_one_second_span_pages(busy: Stand, clock: HandClock) -> None:
    """A rush: more orders in one second than fit on a page."""
    sell(busy, clock, 3 * PAGE_SIZE, seconds=0)
    found = await pulled(busy, clock.time, clock.time)
    assert set(names(found)) == wanted(busy, clock.time, clock.time)


@pytest.mark.parametrize("attempt", range(3))
async def test_nothing_is_skipped_when_orders_leave_the_window(busy: Stand, clock: HandClock, attempt: int) -> None:
    """Orders are paid while their pages are walked; whatever stays in the window is found."""
    chance = seeded(attempt)
    start = clock.time
    orders = sell(busy, clock, 4 * PAGE_SIZE)
    end = clock.time
    clock.pass_by(minutes=10)

    def meanwhile() -> None:
        clock.pass_by(seconds=1)
        for order in chance.sample(orders, 15):
            busy.shop.pay(order.order_id)

    found = await pulled(busy, start, end, meanwhile)
    assert wanted(busy, start, end) <= set(names(found))
    assert len(busy.shop.updated_between(start, end)) < len(orders)


@pytest.mark.parametrize("attempt", range(3))
async def test_nothing_is_skipped_when_orders_move_to_the_top(busy: Stand, clock: HandClock, attempt: int) -> None:
    """The window is still open: orders are paid and placed in it while it is walked; in the end all were seen."""
    chance = seeded(attempt)
    start = clock.time
    orders = sell(busy, clock, 3 * PAGE_SIZE)
    end = clock.time + timedelta(minutes=10)
    moves = iter(range(3))

    def meanwhile() -> None:
        if next(moves, None) is not None:
            clock.pass_by(seconds=1)
            orders.extend(sell(busy, clock, chance.randrange(4), seconds=0))
            for order in chance.sample(orders, 10):
                busy.shop.pay(order.order_id)

    found = await pulled(busy, start, end, meanwhile)
    assert wanted(busy, start, end) <= set(names(found))
    assert len(found) == len(set(names(found)))


async def test_the_naive_walk_does_skip(busy: Stand, clock: HandClock) -> None:
    """What the walk is for: from the first page to the last, an order that leaves pulls another past the reader."""
    start = clock.time
    orders = sell(busy, clock, 2 * PAGE_SIZE)
    end = clock.time
    clock.pass_by(minutes=10)
    seen: set[str] = set()
    window = {"start_modified": time_of(start), "end_modified": time_of(end), "page_size": str(PAGE_SIZE)}
    for page in ("1", "2"):
        answer = await call(busy, INCREMENT, fields="tid", page_no=page, **window)
        rows = answer["trades_sold_increment_get_response"]["trades"]["trade"]
        seen |= {str(row["tid"]) for row in rows}
        busy.shop.pay(orders[-1].order_id)
    assert {order.order_id for order in orders} - seen == {orders[PAGE_SIZE - 1].order_id}


@pytest.mark.parametrize("attempt", range(3))
async def test_a_walk_ends_though_orders_never_rest(busy: Stand, clock: HandClock, attempt: int) -> None:
    """A live session's rush: after every page some more are placed, paid and closed, without end; none is missed."""
    chance = seeded(attempt)
    start = clock.time
    orders = sell(busy, clock, 6 * PAGE_SIZE, seconds=0)
    moving = {order.order_id for order in orders}

    def meanwhile() -> None:
        clock.pass_by(milliseconds=300)
        orders.extend(sell(busy, clock, 5, seconds=0))
        for order in chance.sample(orders, 5):
            chance.choice((busy.shop.pay, busy.shop.close))(order.order_id)

    found = await pulled(busy, start, clock.time + timedelta(minutes=20), meanwhile)
    assert moving <= {one.order_id for one in found}


async def test_orders_that_never_rest_are_transient(busy: Stand, clock: HandClock) -> None:
    """More than a page of them between any two pages: the window is given up, not reported as whole."""
    start = clock.time
    sell(busy, clock, PAGE_SIZE + 1)

    def meanwhile() -> None:
        sell(busy, clock, PAGE_SIZE + 1, seconds=0)

    with pytest.raises(Transient, match="faster"):
        await pulled(busy, start, clock.time + timedelta(minutes=20), meanwhile)


async def test_a_walk_that_fails_says_so(busy: Stand, clock: HandClock) -> None:
    """No page is left out in silence: the iteration raises."""
    start = clock.time
    sell(busy, clock, 3 * PAGE_SIZE)

    def meanwhile() -> None:
        busy.faults.weather = replace(STILL, bad_gateway=1.0)

    with pytest.raises(Transient):
        await pulled(busy, start, clock.time, meanwhile)


async def test_a_wrong_clock_is_set_by_the_first_answer(busy: Stand, clock: HandClock) -> None:
    """The platform's clock is an hour ahead: the call is refused, signed anew by its time, and served."""
    clock.pass_by(hours=1)
    assert await busy.platform.order("1") is None
    assert busy.transport.retries == 1
    assert abs(busy.transport.platform_now() - clock.time) < timedelta(seconds=5)


def trade(status: str, line_status: str = "") -> Trade:
    time = "2026-01-02 03:04:05"
    return Trade(1, status, time, time, Orders([Order(2, 3, 1, status=line_status)]))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("WAIT_BUYER_PAY", OrderState.PLACED),
        ("TRADE_NO_CREATE_PAY", OrderState.PLACED),
        ("PAY_PENDING", OrderState.PLACED),
        ("WAIT_SELLER_SEND_GOODS", OrderState.PAID),
        ("SELLER_CONSIGNED_PART", OrderState.PAID),
        ("WAIT_BUYER_CONFIRM_GOODS", OrderState.PAID),
        ("TRADE_BUYER_SIGNED", OrderState.PAID),
        ("TRADE_FINISHED", OrderState.PAID),
        ("TRADE_CLOSED", OrderState.PAID),
        ("TRADE_CLOSED_BY_TAOBAO", OrderState.CLOSED),
    ],
)
def test_every_status_is_known(status: str, state: OrderState) -> None:
    """TRADE_CLOSED is an order that was paid and refunded whole."""
    found = snapshot(trade(status), {})
    assert found.state is state
    assert found.lines[0].refunded == (status == "TRADE_CLOSED")
    assert (found.lines[0].given_back_time is not None) == status.startswith("TRADE_CLOSED")


async def test_an_unknown_status_is_misunderstood(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that nobody knows is not guessed at."""
    order = stand.shop.place({CUP: 1})
    monkeypatch.setattr("connectors.sandbox.taobao.orders.status_of", lambda _: "TRADE_ON_THE_MOON")
    with pytest.raises(Misunderstood, match="MOON"):
        await stand.platform.order(order.order_id)


def seeded(attempt: int) -> random.Random:
    seed = random.SystemRandom().randrange(10**9)
    print(f"{seed=} {attempt=}")
    return random.Random(seed)
