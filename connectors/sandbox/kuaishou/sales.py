"""The shop's orders as Kuaishou's: one SKU each, so that a cart is several; refunds are objects of their own."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connectors.base import OrderState
from connectors.sandbox.kuaishou.answers import to_milliseconds
from connectors.sandbox.kuaishou.settings import KuaishouSettings
from connectors.sandbox.kuaishou.shelves import ware_code
from connectors.sandbox.shop import Event, EventKind, Shop, ShopLine, ShopOrder

UNPAID, PAID, SHIPPED, FAILED = 10, 30, 40, 80
REFUND_ASKED, REFUND_SUCCESS, REFUND_FAILED = 10, 60, 70
RETURN_AND_REFUND, REFUND_ONLY = 1, 10
FIRST_REFUND_NUMBER = 700_000_000_000_000_001


@dataclass(frozen=True)
class RefundRecord:
    """A refund of one order, with its money and without a quantity, as the platform has it."""

    refund_id: int
    oid: int
    status: int
    handling_way: int
    fee: int
    create_time: datetime
    update_time: datetime
    special_type: int = 0


@dataclass(frozen=True)
class Sale:
    """One line of a shop's order: an order of its own here."""

    order: ShopOrder
    line: ShopLine

    @property
    def oid(self) -> int:
        """The order's number."""
        return int(self.line.line_id)


class Sales:
    """The orders and refunds of a shop."""

    def __init__(self, shop: Shop, settings: KuaishouSettings) -> None:
        """Take in what the shop has sold already."""
        self.shop = shop
        self.settings = settings
        self.refunds: dict[int, RefundRecord] = {}
        self._refunds_of: dict[int, list[int]] = {}
        self._refunded: dict[int, int] = {}
        # By order number: the shop's order, and when (in milliseconds) the platform says that it was updated last.
        self._order_of: dict[int, str] = {}
        self._updated: dict[int, int] = {}
        for order in shop.orders.values():
            for line in order.lines:
                self._take(order, line, moves=True)

    def hear(self, event: Event) -> list[tuple[Sale, RefundRecord | None]]:
        """Take in what happened to an order; the sales it was about, with the refund that it made."""
        if event.order is None:
            return []
        moves = event.kind is not EventKind.REFUNDED or self.settings.refund_moves_order
        taken = [(Sale(event.order, line), self._take(event.order, line, moves=moves)) for line in event.order.lines]
        if event.kind is EventKind.REFUNDED:
            return [(sale, refund) for sale, refund in taken if refund]
        return taken

    def sale(self, oid: int) -> Sale | None:
        """The order of this number as it is now."""
        order_id = self._order_of.get(oid)
        if order_id is None:
            return None
        order = self.shop.orders[order_id]
        return Sale(order, next(line for line in order.lines if line.line_id == str(oid)))

    def updated(self) -> Iterator[tuple[int, int]]:
        """(update time in milliseconds, order number) of every order."""
        return ((time, oid) for oid, time in self._updated.items())

    def created(self) -> Iterator[tuple[int, int]]:
        """(creation time in milliseconds, order number) of every order."""
        orders = self.shop.orders
        return ((to_milliseconds(orders[order_id].placed_time), oid) for oid, order_id in self._order_of.items())

    def ask_refund(self, oid: int, *, fee: int, handling_way: int = REFUND_ONLY, special_type: int = 0) -> RefundRecord:
        """A buyer asks for money; nothing is given back yet."""
        return self._open_refund(oid, REFUND_ASKED, handling_way, fee, special_type)

    def end_refund(self, refund_id: int, status: int) -> RefundRecord:
        """A refund succeeds or fails by itself: money, an exchange, price protection; the shop's units stay."""
        refund = replace(self.refunds[refund_id], status=status, update_time=self.shop.time)
        self.refunds[refund_id] = refund
        return refund

    def status(self, sale: Sale) -> int:
        """`status`."""
        match sale.order.state:
            case OrderState.PLACED:
                return UNPAID
            case OrderState.CLOSED:
                return FAILED
            case _ if self.settings.refund_fails_order and sale.line.refunded >= sale.line.quantity:
                return FAILED
            case _:
                return SHIPPED if sale.line.shipped else PAID

    def order_json(self, sale: Sale) -> dict[str, Any]:
        """An order in a list or a detail."""
        refunds = [self.refunds[refund_id] for refund_id in reversed(self._refunds_of.get(sale.oid, []))]
        return {
            "orderBaseInfo": self._base_json(sale, refunds),
            "orderItemInfo": self._item_json(sale),
            "orderRefundList": [{"refundId": it.refund_id, "refundStatus": it.status} for it in refunds],
        }

    def refund_json(self, refund: RefundRecord) -> dict[str, Any]:
        """A refund in a list or a detail; `productNum` is 0 for goods."""
        sale = self.sale(refund.oid)
        assert sale is not None, f"refund {refund.refund_id} of no order"
        ended = refund.status in {REFUND_SUCCESS, REFUND_FAILED}
        return {
            "refundId": refund.refund_id,
            "oid": refund.oid,
            "itemId": int(sale.line.key.item_id),
            "skuId": int(sale.line.key.platform_sku_id),
            "refundFee": refund.fee,
            "status": refund.status,
            "handlingWay": refund.handling_way,
            "refundType": 1,
            "specialRefundType": refund.special_type,
            "sellerId": self.settings.seller_id,
            "buyerOpenId": f"buyer-{sale.order.order_id}",
            "productNum": 0,
            "submitTime": to_milliseconds(refund.create_time),
            "createTime": to_milliseconds(refund.create_time),
            "updateTime": to_milliseconds(refund.update_time),
            "endTime": to_milliseconds(refund.update_time) if ended else 0,
        }

    def _base_json(self, sale: Sale, refunds: list[RefundRecord]) -> dict[str, Any]:
        order = sale.order
        return {
            "oid": sale.oid,
            "status": self.status(sale),
            "createTime": to_milliseconds(order.placed_time),
            "payTime": to_milliseconds(order.paid_time),
            "sendTime": to_milliseconds(order.shipped_time),
            "updateTime": self._updated[sale.oid],
            "refundTime": to_milliseconds(refunds[0].create_time) if refunds else 0,
            "totalFee": self.settings.unit_price_fen * sale.line.quantity,
            "expressFee": 0,
            "discountFee": 0,
            "buyerOpenId": f"buyer-{order.order_id}",
            "buyerNick": "***",
            "sellerOpenId": f"open-{self.settings.seller_id}",
            "payType": 1,
            "cpsType": 1,
            "remark": "",
        }

    def _item_json(self, sale: Sale) -> dict[str, Any]:
        key, display = sale.line.key, self.shop.displays[sale.line.key]
        in_inventory = key.item_id in self.settings.goods_inventory_items
        return {
            "itemId": int(key.item_id),
            "skuId": int(key.platform_sku_id),
            "relItemId": 0,
            "relSkuId": int(display.outer_id) if display.outer_id.isdecimal() else 0,
            "skuNick": display.outer_id,
            "itemTitle": display.title,
            "num": sale.line.quantity,
            "price": self.settings.unit_price_fen,
            "originalPrice": self.settings.unit_price_fen,
            "discountFee": 0,
            "goodsCode": ware_code(display) if in_inventory else "",
            "warehouseCode": self.settings.warehouse_code if in_inventory else "",
        }

    def _take(self, order: ShopOrder, line: ShopLine, *, moves: bool) -> RefundRecord | None:
        oid = int(line.line_id)
        self._order_of[oid] = order.order_id
        if moves or oid not in self._updated:
            self._updated[oid] = to_milliseconds(order.update_time)
        units = line.refunded - self._refunded.get(oid, 0)
        if units <= 0:
            return None
        self._refunded[oid] = line.refunded
        way = RETURN_AND_REFUND if line.shipped else REFUND_ONLY
        return self._open_refund(oid, REFUND_SUCCESS, way, units * self.settings.unit_price_fen)

    def _open_refund(self, oid: int, status: int, way: int, fee: int, special_type: int = 0) -> RefundRecord:
        now = self.shop.time
        refund = RefundRecord(FIRST_REFUND_NUMBER + len(self.refunds), oid, status, way, fee, now, now, special_type)
        self.refunds[refund.refund_id] = refund
        self._refunds_of.setdefault(oid, []).append(refund.refund_id)
        return refund
