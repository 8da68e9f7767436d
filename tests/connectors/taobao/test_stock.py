"""Moving, setting and reading: what the connector books is what the platform really did."""

from connectors.base import Change
from tests.connectors.taobao.stand import CUP, MUG_BLUE, MUG_RED, Stand


async def test_smoke(stand: Stand) -> None:
    print(await stand.platform.change(Change(MUG_RED, -3, "a")))
    print(await stand.platform.change(Change(CUP, -3, "a")))
    print(await stand.platform.change_many([Change(MUG_RED, 3, "a"), Change(MUG_BLUE, 2, "b"), Change(CUP, -20, "c")]))
    print(await stand.platform.set_shown(MUG_RED, 0))
    print(await stand.platform.read([MUG_RED, MUG_BLUE, CUP, CUP._replace(item_id="5")]))
    order = stand.shop.place({MUG_BLUE: 2, CUP: 1})
    stand.shop.pay(order.order_id)
    stand.shop.refund(order.order_id, order.lines[0].line_id, 1)
    print(await stand.platform.order(order.order_id))
    print(await stand.platform.order("123"))
    print([p async for p in stand.platform.orders(order.placed_time, stand.shop.time)])
    print(await stand.platform.refresh(stand.tokens))
