"""Orders as the connector sees them: gap-free, with their refunds folded in."""

from datetime import timedelta

import pytest

from connectors.base import OrderLine, OrderSnapshot, OrderState
from connectors.errors import AuthExpired, Misunderstood, Rejected
from connectors.kuaishou.orders import Cursors, windows
from connectors.sandbox.kuaishou import KuaishouSettings
from connectors.sandbox.kuaishou.sales import REFUND_FAILED, REFUND_SUCCESS
from tests.connectors.kuaishou.conftest import BOX, CUP, LID, Bench, Clock, OpenBench

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANY_TIMESTAMP = KuaishouSettings(timestamp_window_seconds=1e9, access_token_seconds=1e7)


async def only(bench: Bench, order_id: str) -> OrderSnapshot:
    """An order, which list and detail tell alike."""
    detail = await bench.kuaishou.order(order_id)
    assert detail is not None
    assert (await bench.orders())[order_id] == detail
    return detail


async def test_an_order_from_placing_to_shipping(bench: Bench) -> None:
    """Placed, paid, shipped: states, times and the one line of an order."""
    order = bench.shop.place({CUP: 2})
    placed = await only(bench, order.order_id)
    assert placed.state is OrderState.PLACED
    assert placed.paid_time is None
    assert placed.lines == (OrderLine(order.order_id, CUP, 2),)
    assert order.placed_time - placed.placed_time < timedelta(milliseconds=1)
    bench.shop.pay(order.order_id)
    paid = await only(bench, order.order_id)
    assert (paid.state, paid.lines[0].shipped) == (OrderState.PAID, False)
    assert paid.paid_time is not None
    assert paid.paid_time >= placed.placed_time
    bench.shop.ship(order.order_id)
    shipped = await only(bench, order.order_id)
    assert (shipped.state, shipped.lines[0].shipped) == (OrderState.PAID, True)
    assert placed.update_time <= paid.update_time <= shipped.update_time


async def test_an_order_closed_before_payment(bench: Bench) -> None:
    """Closed before payment is CLOSED, given back at its last update, and nothing was refunded."""
    order = bench.shop.place({CUP: 2})
    bench.shop.close(order.order_id)
    closed = await only(bench, order.order_id)
    assert closed.state is OrderState.CLOSED
    assert closed.lines == (OrderLine(order.order_id, CUP, 2, given_back_time=closed.update_time),)


async def test_a_cart_is_several_orders(bench: Bench) -> None:
    """One Kuaishou order holds one SKU."""
    order = bench.shop.place({CUP: 2, LID: 1, BOX: 3})
    orders = await bench.orders()
    assert {(it.lines[0].key, it.lines[0].quantity) for it in orders.values()} == {(CUP, 2), (LID, 1), (BOX, 3)}
    assert set(orders) == {line.line_id for line in order.lines}
    bench.shop.pay(order.order_id)
    bench.shop.refund(order.order_id, order.lines[1].line_id, 1)
    orders = await bench.orders()
    assert [orders[line.line_id].lines[0].refunded for line in order.lines] == [0, 1, 0]


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("shipped", [True, False])
@pytest.mark.parametrize("quantity", [1, 2, 3])
async def test_refunds_are_units(open_bench: OpenBench, quantity: int, *, shipped: bool, fails: bool) -> None:
    """A refund states money only; the units are those it pays for, whether or not the order ends as failed."""
    bench = await open_bench(KuaishouSettings(refund_fails_order=fails, unit_price_fen=3333))
    order = bench.shop.place({CUP: 3})
    bench.shop.pay(order.order_id)
    if shipped:
        bench.shop.ship(order.order_id)
    for _ in range(quantity):
        bench.shop.refund(order.order_id, order.order_id, 1)
    snapshot = await only(bench, order.order_id)
    line = snapshot.lines[0]
    assert snapshot.state is OrderState.PAID
    assert (line.quantity, line.refunded, line.shipped) == (3, quantity, shipped)
    assert line.given_back_time is not None
    assert snapshot.placed_time <= line.given_back_time <= snapshot.update_time


async def test_refunds_that_give_no_units_back(bench: Bench) -> None:
    """Refunds that are asked for, that failed, exchanges and price protection leave the order's units owed."""
    order = bench.shop.place({CUP: 2})
    bench.shop.pay(order.order_id)
    oid, fee = int(order.order_id), 2 * bench.sandbox.settings.unit_price_fen
    sales = bench.sandbox.sales
    sales.ask_refund(oid, fee=fee)
    sales.end_refund(sales.ask_refund(oid, fee=fee).refund_id, REFUND_FAILED)
    sales.end_refund(sales.ask_refund(oid, fee=0, handling_way=3).refund_id, REFUND_SUCCESS)
    sales.end_refund(sales.ask_refund(oid, fee=fee, special_type=1).refund_id, REFUND_SUCCESS)
    sales.end_refund(sales.ask_refund(oid, fee=1).refund_id, REFUND_SUCCESS)
    snapshot = await only(bench, order.order_id)
    assert snapshot.lines == (OrderLine(order.order_id, CUP, 2),)
    done = sales.ask_refund(oid, fee=10 * fee)
    sales.end_refund(done.refund_id, REFUND_SUCCESS)
    assert (await only(bench, order.order_id)).lines[0].refunded == 2


async def test_a_return_had_been_shipped(bench: Bench) -> None:
    """Goods that come back with a refund had left, even where the order does not say so."""
    order = bench.shop.place({CUP: 1})
    bench.shop.pay(order.order_id)
    sales = bench.sandbox.sales
    refund = sales.ask_refund(int(order.order_id), fee=bench.sandbox.settings.unit_price_fen, handling_way=1)
    sales.end_refund(refund.refund_id, REFUND_SUCCESS)
    assert (await only(bench, order.order_id)).lines[0].shipped


async def test_a_refund_alone_brings_its_order(open_bench: OpenBench) -> None:
    """An order whose refund does not move its update time is found by the refund, with the refund's update time."""
    clock = Clock()
    settings = KuaishouSettings(refund_moves_order=False, timestamp_window_seconds=1e9, access_token_seconds=1e7)
    bench = await open_bench(settings, clock=clock)
    order = bench.shop.place({CUP: 2})
    bench.shop.pay(order.order_id)
    clock.ahead = timedelta(days=3)
    bench.shop.refund(order.order_id, order.order_id, 1)
    orders = await bench.orders()
    assert orders[order.order_id].lines[0].refunded == 1
    assert orders[order.order_id].update_time > orders[order.order_id].placed_time + timedelta(days=2)
    detail = await bench.kuaishou.order(order.order_id)
    assert detail == orders[order.order_id]


async def test_an_order_that_is_not_there(open_bench: OpenBench) -> None:
    """None where the platform has nothing to say; a refusal, whose number is not published, stays one."""
    bench = await open_bench()
    assert await bench.kuaishou.order("424242") is None
    bench = await open_bench(KuaishouSettings(missing_order_is_empty=False))
    with pytest.raises(Rejected):
        await bench.kuaishou.order("424242")
    for garbage in ("", "abc", "-1", "9" * 40, "1.5"):
        calls = bench.transport.calls
        with pytest.raises(Rejected):
            await bench.kuaishou.order(garbage)
        assert bench.transport.calls == calls


async def test_no_order_is_skipped_while_orders_move(bench: Bench) -> None:
    """Orders that are updated while pages are walked leave the span; no other is missed, and the next walk has them."""
    placed = [bench.shop.place({BOX: 1}).order_id for _ in range(100)]
    begin, until = bench.shop.orders[placed[0]].update_time, bench.shop.time
    walked: list[str] = []
    moved: set[str] = set()
    async for page in bench.kuaishou.orders(begin, until):
        walked += [snapshot.order_id for snapshot in page]
        for order_id in placed[::7]:
            if order_id not in moved:
                bench.shop.pay(order_id)
                moved.add(order_id)
                break
    assert set(placed) - moved <= set(walked)
    later = await bench.orders()
    assert {order_id for order_id, it in later.items() if it.state is OrderState.PAID} == moved
    assert set(later) == set(placed)


async def test_an_order_that_moves_within_the_span_comes_again(bench: Bench) -> None:
    """Pages are walked oldest update first, so that what moves forward inside of the span is met again."""
    placed = [bench.shop.place({BOX: 1}).order_id for _ in range(60)]
    begin = bench.shop.orders[placed[0]].update_time
    last: dict[str, OrderSnapshot] = {}
    async for page in bench.kuaishou.orders(begin, begin + timedelta(hours=1)):
        if not last:
            bench.shop.pay(placed[3])
        last |= {snapshot.order_id: snapshot for snapshot in page}
    assert last[placed[3]].state is OrderState.PAID
    assert set(last) == set(placed)


async def test_spans_are_split(open_bench: OpenBench) -> None:
    """A span longer than the platform takes is asked for in pieces, and an order on every edge is found."""
    clock = Clock()
    bench = await open_bench(ANY_TIMESTAMP, clock=clock)
    placed = []
    for day in range(0, 30, 3):
        clock.ahead = timedelta(days=day)
        placed.append(bench.shop.place({BOX: 1}).order_id)
    assert list(await bench.orders(timedelta(days=40))) == placed
    first = bench.shop.orders[placed[0]].update_time
    edges = [snapshot async for page in bench.kuaishou.orders(first, first) for snapshot in page]
    assert [snapshot.order_id for snapshot in edges] == [placed[0]]


async def test_what_lies_too_far_back_is_refused(open_bench: OpenBench) -> None:
    """A span that begins more than 90 days ago is the platform's to refuse; no gap is left in silence."""
    bench = await open_bench()
    with pytest.raises(Rejected):
        await bench.orders(timedelta(days=95))


async def test_windows_have_no_gap() -> None:
    """Windows share their edges, are never longer than allowed, and cover both ends."""
    now = Clock()()
    for days in (0.0, 0.5, 7.0, 7.00001, 30.2):
        spans = list(windows(now - timedelta(days=days), now, timedelta(days=7)))
        assert spans[0][0] <= (now - timedelta(days=days)).timestamp() * 1000
        assert spans[-1][1] > now.timestamp() * 1000
        assert all(0 < end - begin <= 7 * 86_400_000 for begin, end in spans)
        assert all(spans[i][1] == spans[i + 1][0] for i in range(len(spans) - 1))
    assert not list(windows(now, now - timedelta(days=1), timedelta(days=7)))


async def test_a_cursor_that_leads_back_is_misunderstood() -> None:
    """A platform that sends the walker in circles is stopped."""
    cursors = Cursors()
    cursors.go_on("a")
    for cursor in ("a", ""):
        with pytest.raises(Misunderstood):
            cursors.go_on(cursor)
    cursors.go_on("nomore")
    assert not cursors.more


async def test_many_refunds_are_paged(bench: Bench) -> None:
    """More refunds than fit on a page are all found, although only the first page's total is right."""
    placed = [bench.shop.place({BOX: 1}).order_id for _ in range(100)]
    for order_id in placed:
        bench.shop.pay(order_id)
    sales, fee = bench.sandbox.sales, bench.sandbox.settings.unit_price_fen
    for order_id in placed:
        for _ in range(2):
            sales.ask_refund(int(order_id), fee=fee, handling_way=3)
    bench.shop.refund(placed[99], placed[99], 1)
    orders = await bench.orders()
    assert [order_id for order_id, it in orders.items() if it.lines[0].refunded] == [placed[99]]


async def test_a_dead_token_is_said(bench: Bench) -> None:
    """A walk whose token has died raises `AuthExpired`."""
    bench.sandbox.grants.expire_access()
    with pytest.raises(AuthExpired):
        await bench.orders()
    with pytest.raises(AuthExpired):
        await bench.kuaishou.read([CUP])
