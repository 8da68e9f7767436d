"""Orders as they change: everything updated in a span, gap-free, and one order by its id.

Two lists are walked, since nothing says that a refund moves its order's update time: the orders' own, and the refunds'.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from connectors.base import OrderSnapshot
from connectors.errors import Misunderstood
from connectors.kuaishou.requests import Requests, number
from connectors.kuaishou.snapshots import REFUND_SUCCESS, Order, Refund, snapshot
from connectors.kuaishou.times import MILLISECOND, to_milliseconds
from connectors.transport import ONE_ORDER, ORDERS

log = logging.getLogger(__name__)
T = TypeVar("T")
# The longest spans of one query.
ORDERS_WINDOW_MAX = timedelta(days=7)
REFUNDS_WINDOW_MAX = timedelta(days=1)
ORDERS_PAGE_SIZE_MAX = 50
REFUNDS_PAGE_SIZE_MAX = 100
NO_MORE = "nomore"

ALL_ORDERS, ALL_REFUNDS = 1, 9
BY_UPDATE_TIME = 2
# By the API's types; a client's constants have it the other way round, so every page is sorted here again.
ASCENDING = 2


class OrderPage(msgspec.Struct, rename="camel"):
    """A page of `open.order.cursor.list`."""

    cursor: str
    order_list: list[Order] | None = None


class RefundPage(msgspec.Struct, rename="camel"):
    """A page of `open.seller.order.refund.pcursor.list`; its totals are right on the first page only, and not used."""

    pcursor: str
    refund_order_info_list: list[Refund] | None = None


class Orders:
    """A seller's orders."""

    def __init__(self, requests: Requests) -> None:
        """Ask over `requests`."""
        self._requests = requests

    async def updated(self, since: datetime, until: datetime) -> AsyncIterator[list[OrderSnapshot]]:
        """Every order that itself or by a refund was updated in [since, until], in pages by update time.

        Neighbouring windows share their edge and the last one ends a millisecond late: whether a window's end belongs
        to it is not published.
        """
        folded: set[int] = set()
        for begin, end in windows(since, until, ORDERS_WINDOW_MAX):
            async for orders in self._order_pages(begin, end):
                for order in orders:
                    folded |= order.refunds_done
                yield by_update_time([await self._with_refunds(order) for order in orders])
        for begin, end in windows(since, until, REFUNDS_WINDOW_MAX):
            async for refunds in self._refund_pages(begin, end):
                done = {refund.oid: refund for refund in refunds if _is_news(refund, folded)}
                folded |= {refund.refund_id for refund in done.values()}
                found = [await self._refunded(refund) for refund in done.values()]
                yield by_update_time([snapshot for snapshot in found if snapshot])

    async def one(self, order_id: str) -> OrderSnapshot | None:
        """One order as it is now; None if the platform has nothing to say of it."""
        order = await self._detail(number(order_id, "the order id"), ONE_ORDER)
        return None if order is None else await self._with_refunds(order)

    async def _order_pages(self, begin: int, end: int) -> AsyncIterator[list[Order]]:
        param = {
            "orderViewStatus": ALL_ORDERS,
            "pageSize": ORDERS_PAGE_SIZE_MAX,
            "sort": ASCENDING,
            "queryType": BY_UPDATE_TIME,
            "beginTime": begin,
            "endTime": end,
            "cpsType": 0,
        }
        cursors = Cursors()
        while cursors.more:
            page = await self._ask("open.order.cursor.list", param | {"cursor": cursors.now}, OrderPage)
            yield page.order_list or []
            cursors.go_on(page.cursor)

    async def _refund_pages(self, begin: int, end: int) -> AsyncIterator[list[Refund]]:
        param = {
            "type": ALL_REFUNDS,
            "pageSize": REFUNDS_PAGE_SIZE_MAX,
            "sort": ASCENDING,
            "queryType": BY_UPDATE_TIME,
            "beginTime": begin,
            "endTime": end,
        }
        cursors = Cursors()
        while cursors.more:
            asked = param | {"currentPage": len(cursors.seen), "pcursor": cursors.now}
            page = await self._ask("open.seller.order.refund.pcursor.list", asked, RefundPage)
            yield page.refund_order_info_list or []
            cursors.go_on(page.pcursor)

    async def _refunded(self, refund: Refund) -> OrderSnapshot | None:
        """The refund's order; None if the platform has it no more, for then its units stay owed, which is safe."""
        order = await self._detail(refund.oid, ORDERS)
        if order is None:
            log.warning("a refund names an order that Kuaishou does not have", extra={"refund_id": refund.refund_id})
            return None
        return await self._with_refunds(order, refund.refund_id)

    async def _with_refunds(self, order: Order, *more: int) -> OrderSnapshot:
        refunds = [await self._refund(refund_id) for refund_id in sorted(order.refunds_done.union(more))]
        return snapshot(order, refunds)

    async def _refund(self, refund_id: int) -> Refund:
        return await self._ask("open.seller.order.refund.detail", {"refundId": refund_id}, Refund)

    async def _detail(self, oid: int, priority: float) -> Order | None:
        envelope = await self._requests.ask("open.order.detail", {"oid": oid}, priority=priority)
        return None if envelope.is_empty else envelope.read(Order)

    async def _ask(self, method: str, param: dict[str, Any], kind: type[T]) -> T:
        envelope = await self._requests.ask(method, param, priority=ORDERS)
        return envelope.read(kind)


class Cursors:
    """The way through the pages of one window: begins with "", ends with "nomore", never passes a place twice."""

    def __init__(self) -> None:
        """Begin."""
        self.now = ""
        self.seen = {""}

    @property
    def more(self) -> bool:
        """True while there are pages to be asked for."""
        return self.now != NO_MORE

    def go_on(self, cursor: str) -> None:
        """Turn to the next page; raises `Misunderstood` if that is one already seen."""
        if cursor in self.seen:
            raise Misunderstood("a cursor leads back to a page already seen")
        self.seen.add(cursor)
        self.now = cursor


def windows(since: datetime, until: datetime, span: timedelta) -> Iterator[tuple[int, int]]:
    """[since, until] in milliseconds, in windows no longer than `span`; each begins where the one before ends."""
    begin, end = to_milliseconds(since), to_milliseconds(until) + 1
    while begin < end:
        stop = min(begin + span // MILLISECOND, end)
        yield begin, stop
        begin = stop


def by_update_time(snapshots: list[OrderSnapshot]) -> list[OrderSnapshot]:
    """The same, the oldest update first."""
    return sorted(snapshots, key=lambda snapshot: (snapshot.update_time, snapshot.order_id))


def _is_news(refund: Refund, folded: set[int]) -> bool:
    return refund.status == REFUND_SUCCESS and refund.refund_id not in folded
