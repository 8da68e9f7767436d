"""Orders: all of them, and a watermark that never says more than is true."""

import asyncio
from datetime import UTC, datetime, timedelta

from connectors.sandbox.taobao import Refusal
from tests.connectors.agent.desk import CUP, MUG, SHOWN, Desk, a_shop, taobao_desk, until

LISTS = "taobao.trades.sold.increment.get"


async def test_orders_are_taken_in_and_then_the_watermark_moves(taobao: Desk) -> None:
    """Every order is reported as it is, paid or refunded, and the watermark follows behind."""
    order = taobao.shop.place({MUG: 2})
    await taobao.serve()
    await until(lambda: order.order_id in taobao.book.orders)
    assert taobao.book.orders[order.order_id].lines[0].quantity == 2
    taobao.shop.pay(order.order_id)
    await until(lambda: taobao.book.orders[order.order_id].HasField("paid_time"))
    await until(lambda: taobao.book.watermarks)
    assert taobao.book.watermarks == sorted(taobao.book.watermarks)


async def test_the_watermark_never_passes_a_page_that_was_not_taken(taobao: Desk) -> None:
    """While the gateway fails to take a page, the watermark stays; afterwards the same orders are reported."""
    before = [taobao.shop.place({MUG: 1}).order_id for _ in range(3)]
    taobao.book.page_failures = 5
    await taobao.serve()
    await until(lambda: taobao.book.page_failures == 0)
    assert not taobao.book.watermarks
    await until(lambda: taobao.book.watermarks)
    assert set(before) <= set(taobao.book.orders)


async def test_the_watermark_never_passes_a_walk_that_broke(taobao: Desk) -> None:
    """While the platform fails amid a walk, the watermark stays."""
    order = taobao.shop.place({MUG: 1})
    taobao.sandbox.inject(Refusal(15, "isp.remote-service-error", "busy"), times=12, method=LISTS)
    await taobao.serve()
    await until(lambda: taobao.sandbox.calls.get(LISTS, 0) >= 12)
    await until(lambda: taobao.book.watermarks)
    assert order.order_id in taobao.book.orders


async def test_a_platform_that_refuses_its_orders_is_told_of(taobao: Desk) -> None:
    """A refusal that comes again and again is in the heartbeat, until it is over."""
    taobao.sandbox.inject(Refusal(11, "isv.permission-api-package-limit", "no permission"), times=6, method=LISTS)
    await taobao.serve()
    await until(lambda: any("no orders are taken in" in beat.needs for beat in taobao.book.heartbeats))
    assert not taobao.book.watermarks
    await until(lambda: taobao.book.watermarks and not taobao.book.heartbeats[-1].needs)


async def test_an_order_that_the_gateway_refuses_holds_up_no_other(taobao: Desk) -> None:
    """The others are taken, the watermark stays before the refused one, and a person is told; then it is taken."""
    bad = taobao.shop.place({MUG: 1})
    taobao.book.bad_orders.add(bad.order_id)
    good = taobao.shop.place({MUG: 1})
    await taobao.serve()
    await until(lambda: good.order_id in taobao.book.orders)
    await until(lambda: any(bad.order_id in beat.needs for beat in taobao.book.heartbeats))
    later = taobao.shop.place({CUP: 1})
    await until(lambda: later.order_id in taobao.book.orders)
    assert all(mark < bad.update_time for mark in taobao.book.watermarks)
    taobao.book.bad_orders.clear()
    await until(lambda: bad.order_id in taobao.book.orders)
    await until(lambda: taobao.book.watermarks and taobao.book.watermarks[-1] > bad.update_time)
    await until(lambda: not taobao.book.heartbeats[-1].needs)


async def test_no_order_is_lost_while_orders_move(taobao: Desk) -> None:
    """Orders that are placed, paid and closed while the pages are walked all end up as they are."""
    await taobao.serve()
    placed = []
    for number in range(SHOWN):
        placed.append(taobao.shop.place({MUG: 1}))
        await asyncio.sleep(0.02)
        taobao.shop.pay(placed[number // 2].order_id) if number % 2 else taobao.shop.close(placed[number // 3].order_id)
    await until(lambda: len(taobao.book.orders) == SHOWN)

    def are_as_they_are() -> bool:
        known = {order_id: int(order.state) for order_id, order in taobao.book.orders.items()}
        return known == {order_id: int(order.state) for order_id, order in taobao.shop.orders.items()}

    await until(are_as_they_are)


async def test_a_killed_process_loses_no_order(taobao: Desk) -> None:
    """Processes that are killed at any moment leave no gap."""
    for _ in range(4):
        agent = taobao.start()
        taobao.shop.place({MUG: 1})
        await asyncio.sleep(0.15)
        taobao.shop.place({CUP: 1})
        await taobao.kill(agent)
    await taobao.serve()
    await until(lambda: set(taobao.book.orders) == set(taobao.shop.orders))


async def test_a_wrong_clock_moves_the_watermark_on_the_platforms_time() -> None:
    """Where the platform's clock is behind ours, the watermark is on the platform's from the first walk on."""
    shop = a_shop()
    shop.skew = timedelta(seconds=-40)
    async with taobao_desk(shop) as desk:
        await desk.serve()
        await until(lambda: len(desk.book.watermarks) >= 2)
        assert all(mark < shop.time for mark in desk.book.watermarks)
        order = shop.place({MUG: 1})
        await until(lambda: order.order_id in desk.book.orders)


async def test_a_long_absence_is_caught_up_in_steps(taobao: Desk) -> None:
    """After hours away the walk goes in windows; the watermark moves when the present is reached, and not before."""
    taobao.book.watermark = datetime.now(UTC) - timedelta(hours=3)
    taobao.sandbox.inject(Refusal(15, "isp.remote-service-error", "busy"), times=3, method=LISTS)
    await taobao.serve()
    await until(
        lambda: taobao.book.watermarks and taobao.book.watermarks[-1] > datetime.now(UTC) - timedelta(minutes=1)
    )
    assert taobao.sandbox.calls[LISTS] >= 6
    assert min(taobao.book.watermarks) > datetime.now(UTC) - timedelta(minutes=1)


async def test_orders_flow_while_nothing_may_be_pushed(taobao: Desk) -> None:
    """A stream that is gone does not stop the orders."""
    await taobao.serve()
    taobao.book.go_away("SHUTDOWN", retry_after_ms=60_000)
    order = taobao.shop.place({MUG: 1})
    await until(lambda: order.order_id in taobao.book.orders)
