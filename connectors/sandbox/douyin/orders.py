"""Orders and after-sale orders as the platform's calls show them: page numbers, no cursor, times in Unix seconds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from connectors.base import OrderState
from connectors.sandbox.douyin.answers import Data, Refusal, invalid
from connectors.sandbox.douyin.params import INT64_MAX, Params
from connectors.sandbox.douyin.settings import DouyinSettings
from connectors.sandbox.shop import Event, EventKind, Shop, ShopLine, ShopOrder, TakesOn

PAGE_SIZE_MAX = 100
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
TIMES: Mapping[str, Callable[[ShopOrder], datetime]] = {
    "create_time": lambda order: order.placed_time,
    "update_time": lambda order: order.update_time,
}
UNPAID, PREPARING, SHIPPED, CANCELLED, PARTLY_SHIPPED = 1, 2, 3, 4, 101
ALL_REFUNDED = 21
REFUND_SUCCEEDED, REFUND_DONE = 12, 3
MONEY_AFTER_SHIPPING, MONEY_BEFORE_SHIPPING = 1, 2


class AfterSale(NamedTuple):
    """A refund that has succeeded."""

    sale_id: int
    order_id: str
    line_id: str
    units: int
    time: datetime
    was_shipped: bool


@dataclass
class Orders:
    """One shop's orders; the after-sale orders are kept here, as the shop knows only what they come to."""

    settings: DouyinSettings
    shop: Shop
    sales: list[AfterSale] = field(default_factory=list)
    _refunded: dict[tuple[str, str], int] = field(default_factory=dict)

    def hear(self, event: Event) -> list[AfterSale]:
        """Note the refunds that an event of the shop brings."""
        if event.kind is not EventKind.REFUNDED or event.order is None:
            return []
        found: list[AfterSale] = []
        for line in event.order.lines:
            place = (event.order.order_id, line.line_id)
            if units := line.refunded - self._refunded.get(place, 0):
                self._refunded[place] = line.refunded
                number = 7_000_000_000_000_000_001 + len(self.sales) + len(found)
                found.append(AfterSale(number, *place, units, event.time, line.shipped))
        self.sales += found
        return found

    # ---- the calls

    def search(self, params: Params) -> Data:
        """`/order/searchList`."""
        page, size = self._page(params)
        by = params.text("order_by", "create_time")
        if by not in TIMES:
            raise invalid("order_by")
        orders: Iterable[ShopOrder] = self.shop.orders.values()
        for name, time_of in TIMES.items():
            start, end = self._window(params, f"{name}_start", f"{name}_end")
            if params.has(f"{name}_start") or params.has(f"{name}_end"):
                orders = [order for order in orders if start <= time_of(order) < end]
        orders = [order for order in orders if self._is_asked_for(params, order)]
        newest_first = not params.flag("order_asc", default=False)
        time_of = TIMES[by]
        found = sorted(orders, key=lambda order: (time_of(order), order.order_id), reverse=newest_first)
        rows = [self.said(order) for order in found[page * size : (page + 1) * size]]
        return {"page": page, "total": len(found), "size": len(rows), "shop_order_list": rows}

    def detail(self, params: Params) -> Data:
        """`/order/orderDetail`."""
        order = self.shop.orders.get(params.text("shop_order_id"))
        if order is None:
            raise Refusal(50002, f"isv.business-failed:{self.settings.unknown_order_number}", "no such order")
        return {"shop_order_detail": self.said(order)}

    def after_sales(self, params: Params) -> Data:
        """`/afterSale/List`."""
        page, size = self._page(params)
        orderings = params.fields.get("order_by") or []
        if not isinstance(orderings, list):
            raise invalid("order_by")
        if params.has("update_start_time") and not any(str(o).startswith("update_time") for o in orderings):
            raise invalid("order_by")
        start, end = self._window(params, "update_start_time", "update_end_time")
        order_id = params.text("order_id", "")
        found = [
            sale for sale in self.sales if start <= sale.time < end and order_id in {"", sale.order_id, sale.line_id}
        ]
        found.sort(key=lambda sale: (sale.time, sale.sale_id), reverse="update_time asc" not in orderings)
        rows = found[page * size : (page + 1) * size]
        return {
            "items": [self.said_of_sale(sale) for sale in rows],
            "has_more": (page + 1) * size < len(found),
            "total": len(found),
            "page": page,
            "size": len(rows),
        }

    def after_sale(self, params: Params) -> Data:
        """`/afterSale/Detail`."""
        for sale in self.sales:
            if str(sale.sale_id) == params.text("after_sale_id"):
                said = self.said_of_sale(sale)
                info = said["aftersale_info"]
                return {"process_info": {"after_sale_info": info}, "order_info": said["order_info"]}
        raise Refusal(50002, f"isv.business-failed:{self.settings.unknown_order_number}", "no such after-sale order")

    # ---- what they say

    def said(self, order: ShopOrder) -> Data:
        """An order, as the calls show it."""
        return {
            "order_id": order.order_id,
            "shop_id": int(self.settings.shop_id),
            "order_status": status_of(order),
            "main_status": ALL_REFUNDED if _is_refunded(order) else status_of(order),
            "create_time": _seconds(order.placed_time),
            "pay_time": _seconds(order.paid_time),
            "ship_time": _seconds(order.shipped_time),
            "update_time": _seconds(order.update_time),
            "cancel_reason": "closed" if status_of(order) == CANCELLED else "",
            "sku_order_list": [self._said_of_line(order, line) for line in order.lines],
        }

    def said_of_sale(self, sale: AfterSale) -> Data:
        """An after-sale order, as the calls show it."""
        order = self.shop.orders[sale.order_id]
        line = next(line for line in order.lines if line.line_id == sale.line_id)
        time = int(sale.time.timestamp())
        return {
            "aftersale_info": {
                "aftersale_id": str(sale.sale_id),
                "aftersale_order_type": 1,
                "aftersale_type": MONEY_AFTER_SHIPPING if sale.was_shipped else MONEY_BEFORE_SHIPPING,
                "aftersale_status": REFUND_SUCCEEDED,
                "refund_status": REFUND_DONE,
                "related_id": sale.line_id,
                "apply_time": time,
                "create_time": time,
                "update_time": time,
                "aftersale_num": sale.units,
                "refund_amount": sale.units * 100,
            },
            "order_info": {
                "shop_order_id": sale.order_id,
                "related_order_info": [
                    {
                        "sku_order_id": sale.line_id,
                        "order_status": status_of(order),
                        "item_num": line.quantity,
                        "product_id": int(line.key.item_id),
                        "aftersale_item_num": sale.units,
                    }
                ],
            },
        }

    def _said_of_line(self, order: ShopOrder, line: ShopLine) -> Data:
        kind = MONEY_AFTER_SHIPPING if line.shipped else MONEY_BEFORE_SHIPPING
        after_sale = (REFUND_SUCCEEDED, kind, REFUND_DONE) if line.refunded else (0, 0, 0)
        fields = ("after_sale_status", "after_sale_type", "refund_status")
        display = self.shop.displays.get(line.key)
        return {
            "order_id": line.line_id,
            "parent_order_id": order.order_id,
            "product_id": int(line.key.item_id),
            "product_id_str": line.key.item_id,
            "sku_id": int(line.key.platform_sku_id),
            "code": display.outer_id if display else "",
            "item_num": line.quantity,
            "order_status": status_of(order),
            "ship_time": _seconds(order.shipped_time) if line.shipped else 0,
            "reduce_stock_type": 1 if self.shop.facts.takes_on is TakesOn.ORDER else 2,
            "inventory_list": [
                {"warehouse_id": "", "out_warehouse_id": "", "inventory_type": 1, "count": line.quantity}
            ],
            "after_sale_info": dict(zip(fields, after_sale, strict=True)),
            "room_id": 0,
            "author_id": 0,
        }

    # ---- how they do it

    def _page(self, params: Params) -> tuple[int, int]:
        page, size = params.number("page"), params.number("size")
        if page < 0:
            raise invalid("page")
        if not 1 <= size <= PAGE_SIZE_MAX:
            raise invalid("size")
        if (page + 1) * size > self.settings.page_rows_max:
            raise Refusal(40004, "isv.parameter-invalid:page", "page x size is too large")
        return page, size

    def _window(self, params: Params, start_name: str, end_name: str) -> tuple[datetime, datetime]:
        """From the beginning of the first second to the end of the last."""
        start, end = params.number(start_name, 0), params.number(end_name, INT64_MAX)
        longest = self.settings.window_days_max * 86400
        if start > end or (params.has(start_name) and params.has(end_name) and end - start > longest):
            raise invalid(start_name)
        try:
            first = datetime.fromtimestamp(start, UTC)
            return first, datetime.fromtimestamp(end + 1, UTC) if params.has(end_name) else END_OF_TIME
        except (ValueError, OverflowError, OSError):
            raise invalid(start_name) from None

    def _is_asked_for(self, params: Params, order: ShopOrder) -> bool:
        product = params.text("product", "")
        if product and all(line.key.item_id != product for line in order.lines):
            return False
        if not params.has("combine_status"):
            return True
        [combined] = params.elements("combine_status", 1)
        return str(status_of(order)) in combined.text("order_status", "").split(",")


def status_of(order: ShopOrder) -> int:
    """The order_status."""
    match order.state:
        case OrderState.PLACED:
            return UNPAID
        case OrderState.CLOSED:
            return CANCELLED
    shipped = [line.shipped for line in order.lines]
    if all(shipped):
        return SHIPPED
    if any(shipped):
        return PARTLY_SHIPPED
    return CANCELLED if _is_refunded(order) else PREPARING


def _is_refunded(order: ShopOrder) -> bool:
    return order.state is OrderState.PAID and all(line.refunded == line.quantity for line in order.lines)


def _seconds(time: datetime | None) -> int:
    return int(time.timestamp()) if time else 0
