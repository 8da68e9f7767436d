"""The sandbox's lists before a stranger's client: spans, pages, cursors, views."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.sandbox.kuaishou import KuaishouSettings
from connectors.sandbox.kuaishou.sales import REFUND_SUCCESS
from tests.connectors.kuaishou.conftest import BOX, Bench, Clock, OpenBench
from tests.connectors.kuaishou.strangers import call, listing, refund_listing

pytestmark = pytest.mark.asyncio(loop_scope="session")

DETAIL = "open.order.detail"
ORDERS = "open.order.cursor.list"
REFUNDS = "open.seller.order.refund.pcursor.list"
BAD = 804000


@pytest.mark.parametrize(
    "others",
    [
        {"pageSize": 51},
        {"pageSize": 0},
        {"orderViewStatus": 0},
        {"orderViewStatus": 8},
        {"queryType": 3},
        {"sort": 3},
        {"cpsType": 3},
        {"cursor": "page2"},
        {"cursor": "nomore"},
        {"cursor": None},
        {"cursor": 5},
        {"cursor": "1-" + "9" * 300},
        {"beginTime": 1},
        {"beginTime": None},
        {"endTime": 1},
        {"endTime": 2**62},
    ],
)
async def test_lists_that_are_badly_put(bench: Bench, others: dict[str, object]) -> None:
    """Spans over seven days or beyond 90, pages over 50, unknown cursors: bad parameters."""
    assert (await call(bench, ORDERS, listing(bench, **others)))["result"] == BAD


async def test_spans_have_limits(bench: Bench) -> None:
    """Seven days of orders and one of refunds are taken, a millisecond more is not."""
    now, day = int(bench.shop.time.timestamp() * 1000), 86_400_000
    for method, param, days in ((ORDERS, listing(bench), 7), (REFUNDS, refund_listing(bench), 1)):
        for extra, result in ((0, 1), (1, BAD)):
            span = {"beginTime": now - days * day - extra, "endTime": now}
            assert (await call(bench, method, {**param, **span}))["result"] == result


async def walk(bench: Bench, method: str, param: dict[str, object], names: tuple[str, str]) -> list[dict[str, Any]]:
    """The pages of a list, followed by their cursor."""
    pages: list[dict[str, Any]] = []
    cursor = ""
    while cursor != "nomore":
        pages.append((await call(bench, method, {**param, names[0]: cursor}))["data"])
        cursor = pages[-1][names[0]]
    return pages


async def test_lists_are_walked_either_way(bench: Bench) -> None:
    """By creation or update, ascending or descending: every order once, in order; no total, "nomore" at the end."""
    placed = [bench.shop.place({BOX: 1}).order_id for _ in range(23)]
    bench.shop.pay(placed[0])
    updated = [*placed[1:], placed[0]]
    for query_type, expected in ((1, placed), (2, updated)):
        for sort in (2, 1):
            param = listing(bench, pageSize=5, queryType=query_type, sort=sort)
            pages = await walk(bench, ORDERS, param, ("cursor", "orderList"))
            assert [len(page["orderList"]) for page in pages] == [5, 5, 5, 5, 3]
            found = [str(it["orderBaseInfo"]["oid"]) for page in pages for it in page["orderList"]]
            places = [
                (it["orderBaseInfo"]["updateTime" if query_type == 2 else "createTime"], it["orderBaseInfo"]["oid"])
                for page in pages
                for it in page["orderList"]
            ]
            assert places == sorted(places, reverse=sort == 1)
            assert sorted(found) == sorted(expected)


async def test_views_choose_by_status(bench: Bench) -> None:
    """`orderViewStatus` shows all, or the orders of one status."""
    unpaid, paid, shipped, closed = (bench.shop.place({BOX: 1}).order_id for _ in range(4))
    bench.shop.pay(paid)
    bench.shop.pay(shipped)
    bench.shop.ship(shipped)
    bench.shop.close(closed)
    for view, expected in (
        (1, [unpaid, paid, shipped, closed]),
        (2, [unpaid]),
        (3, [paid]),
        (4, [shipped]),
        (7, [closed]),
    ):
        data = (await call(bench, ORDERS, listing(bench, orderViewStatus=view)))["data"]
        assert sorted(str(it["orderBaseInfo"]["oid"]) for it in data["orderList"]) == sorted(expected)


async def test_refunds_have_a_total_on_the_first_page_only(bench: Bench) -> None:
    """The refund list's total is right once; type 8 shows those that still wait; detail and list agree."""
    order = bench.shop.place({BOX: 1})
    bench.shop.pay(order.order_id)
    sales, oid = bench.sandbox.sales, int(order.order_id)
    refunds = [sales.ask_refund(oid, fee=100) for _ in range(12)]
    sales.end_refund(refunds[0].refund_id, REFUND_SUCCESS)
    pages = await walk(bench, REFUNDS, refund_listing(bench, pageSize=5), ("pcursor", "refundOrderInfoList"))
    assert [len(page["refundOrderInfoList"]) for page in pages] == [5, 5, 2]
    assert pages[0]["totalSize"] == 12
    assert {page["totalSize"] for page in pages[1:]} != {12}
    waiting = (await call(bench, REFUNDS, refund_listing(bench, type=8), verb="POST"))["data"]
    assert waiting["totalSize"] == 11
    assert (await call(bench, REFUNDS, refund_listing(bench, orderId=1)))["data"]["totalSize"] == 0
    listed = pages[0]["refundOrderInfoList"][0]
    detail = await call(bench, "open.seller.order.refund.detail", {"refundId": listed["refundId"]})
    assert detail["data"] == listed
    assert (await call(bench, "open.seller.order.refund.detail", {"refundId": 1}))["result"] == 140001


async def test_orders_show_up_late(open_bench: OpenBench) -> None:
    """Where the lists lag, an order is in its detail at once and in the list later."""
    clock = Clock()
    bench = await open_bench(KuaishouSettings(visibility_lag_seconds=2), clock=clock)
    order = bench.shop.place({BOX: 1})
    assert (await call(bench, ORDERS, listing(bench)))["data"]["orderList"] == []
    assert (await call(bench, DETAIL, {"oid": order.order_id}))["data"]["orderBaseInfo"]["status"] == 10
    clock.ahead = timedelta(seconds=2)
    assert len((await call(bench, ORDERS, listing(bench)))["data"]["orderList"]) == 1
