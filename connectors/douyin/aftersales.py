"""Refunds: how many units of which line the platform has given back (`/afterSale/List` of the official SDK).

An order says of a line only that a refund is done, not of how many units; the after-sale orders say how many. Not every
after-sale that succeeds gives units back: an exchange, a compensation of the price, a resending and a repair do not.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from connectors.douyin.paging import PAGE_SIZE, Page
from connectors.douyin.requests import Caller, Id, Moment
from connectors.transport import ORDERS

SUCCEEDED = 12
# 0 goods and money back, 1 money back after shipping, 2 money back before shipping.
GIVES_UNITS_BACK = frozenset({0, 1, 2})


class Refund(NamedTuple):
    """`units` of an order's line were given back at `time`."""

    line_id: str
    units: int
    time: Moment


class AfterSaleInfo(msgspec.Struct, frozen=True):
    """The state of an after-sale order."""

    aftersale_id: Id
    update_time: Moment
    aftersale_status: int
    aftersale_type: int
    aftersale_num: int = 0


class RelatedOrder(msgspec.Struct, frozen=True):
    """A line that an after-sale order is about."""

    sku_order_id: Id
    aftersale_item_num: int = 0


class OrderInfo(msgspec.Struct, frozen=True):
    """The order that an after-sale order is about."""

    shop_order_id: Id
    related_order_info: list[RelatedOrder] = []


class AfterSale(msgspec.Struct, frozen=True):
    """One after-sale order."""

    aftersale_info: AfterSaleInfo
    order_info: OrderInfo

    @property
    def updated(self) -> Moment:
        """When it was last updated."""
        return self.aftersale_info.update_time

    @property
    def gave_back(self) -> bool:
        """True once units were given back by it."""
        info = self.aftersale_info
        return info.aftersale_status == SUCCEEDED and info.aftersale_type in GIVES_UNITS_BACK


class AfterSales(msgspec.Struct, frozen=True):
    """A page of after-sale orders."""

    total: int
    items: list[AfterSale] | None = None


async def listed(caller: Caller, start: Moment, end: Moment, page: int) -> Page[AfterSale]:
    """After-sale orders updated in [start, end], both ends included, the oldest first."""
    return await _asked(caller, {"update_start_time": start, "update_end_time": end}, page)


async def refunds_of(caller: Caller, order_id: str) -> list[Refund]:
    """What was given back of one order so far."""
    found: dict[str, AfterSale] = {}
    for number in itertools.count():
        page = await _asked(caller, {"order_id": order_id}, number)
        found |= {str(sale.aftersale_info.aftersale_id): sale for sale in page.rows}
        if not page.rows or (number + 1) * PAGE_SIZE >= page.total:
            break
    return [refund for sale in found.values() if sale.gave_back for refund in _refunds(sale)]


async def _asked(caller: Caller, which: dict[str, object], page: int) -> Page[AfterSale]:
    params = which | {"page": page, "size": PAGE_SIZE, "order_by": ["update_time asc"]}
    answer = await caller.read("/afterSale/List", params, AfterSales, priority=ORDERS)
    return Page(answer.total, answer.items or ())


def _refunds(sale: AfterSale) -> Iterable[Refund]:
    lines: Sequence[RelatedOrder] = sale.order_info.related_order_info
    for line in lines:
        units = line.aftersale_item_num or (sale.aftersale_info.aftersale_num if len(lines) == 1 else 0)
        yield Refund(str(line.sku_order_id), units, sale.updated)
