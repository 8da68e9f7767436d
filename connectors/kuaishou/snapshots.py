"""Kuaishou's orders and refunds, and the snapshot they make together.

One order holds one SKU; a cart becomes several orders. A refund of goods states its money and no quantity (`productNum`
is 0 but for vouchers, says the type of `open.seller.order.refund.detail`), so that the units are those the money pays
for: all of them with the whole price, whole units below it, none for price protection.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

from connectors.base import ListingKey, OrderLine, OrderSnapshot, OrderState
from connectors.errors import Misunderstood
from connectors.kuaishou.times import from_milliseconds


class OrderStatus(IntEnum):
    """`status` of an order. A cancelled order turns into FAILED; whether a wholly refunded one does is not known."""

    UNPAID = 10
    PAID = 30
    SHIPPED = 40
    RECEIVED = 50
    SUCCESS = 70
    FAILED = 80


# `status` of a refund that has succeeded, and of one that never will.
REFUND_SUCCESS, REFUND_FAILED = 60, 70
# `handlingWay`: goods come back with their money, or money alone. Exchange, resending and repair give no units back.
RETURN_AND_REFUND, REFUND_ONLY = 1, 10
PRICE_PROTECTION = 1


class BaseInfo(msgspec.Struct, rename="camel"):
    """`orderBaseInfo`: times in milliseconds, 0 or nothing where it has not happened."""

    oid: int
    status: int
    create_time: int
    update_time: int
    pay_time: int | None = None
    send_time: int | None = None
    total_fee: int | None = None


class ItemInfo(msgspec.Struct, rename="camel"):
    """`orderItemInfo`: `price` is that of one unit, in fen."""

    item_id: int
    num: int
    sku_id: int | None = None
    price: int | None = None


class RefundMark(msgspec.Struct, rename="camel"):
    """An entry of `orderRefundList`."""

    refund_id: int
    refund_status: int


class Order(msgspec.Struct, rename="camel"):
    """An order in a list or a detail."""

    order_base_info: BaseInfo
    order_item_info: ItemInfo
    order_refund_list: list[RefundMark] | None = None

    @property
    def refunds_done(self) -> set[int]:
        """The ids of the refunds that have succeeded."""
        return {mark.refund_id for mark in self.order_refund_list or () if mark.refund_status == REFUND_SUCCESS}


class Refund(msgspec.Struct, rename="camel"):
    """A refund in a list or a detail."""

    refund_id: int
    oid: int
    status: int
    handling_way: int | None = None
    refund_fee: int | None = None
    update_time: int | None = None
    end_time: int | None = None
    product_num: int | None = None
    special_refund_type: int | None = None

    @property
    def gives_units_back(self) -> bool:
        """True once the buyer has the money for units that are no longer owed."""
        return (
            self.status == REFUND_SUCCESS
            and self.handling_way in {RETURN_AND_REFUND, REFUND_ONLY}
            and self.special_refund_type != PRICE_PROTECTION
        )

    @property
    def time(self) -> int:
        """When it last changed."""
        return max(self.update_time or 0, self.end_time or 0)


def snapshot(order: Order, refunds: Iterable[Refund]) -> OrderSnapshot:
    """The order with its refunds folded in; raises `Misunderstood` for a status or a time that no order has."""
    base, item = order.order_base_info, order.order_item_info
    refunds = list(refunds)
    counted = [refund for refund in refunds if refund.gives_units_back]
    state = _state(base)
    refunded = 0 if state is not OrderState.PAID else _units_refunded(order, counted)
    update_time = max([base.update_time, *(refund.time for refund in refunds)])
    given_back = None
    if state is OrderState.CLOSED:
        given_back = base.update_time
    elif refunded:
        given_back = max((refund.end_time or refund.time for refund in counted), default=0) or base.update_time
    try:
        line = OrderLine(
            line_id=str(base.oid),
            key=ListingKey(str(item.item_id), str(item.sku_id or "")),
            quantity=item.num,
            refunded=refunded,
            shipped=_is_shipped(base, counted),
            given_back_time=from_milliseconds(given_back) if given_back else None,
        )
        return OrderSnapshot(
            order_id=str(base.oid),
            state=state,
            lines=(line,),
            placed_time=from_milliseconds(base.create_time),
            update_time=from_milliseconds(update_time),
            paid_time=from_milliseconds(base.pay_time) if base.pay_time else None,
        )
    except OverflowError:
        raise Misunderstood("an order's time lies beyond the calendar") from None


def _state(base: BaseInfo) -> OrderState:
    try:
        status = OrderStatus(base.status)
    except ValueError:
        raise Misunderstood(f"an order's status is {base.status}, which no order has") from None
    match status:
        case OrderStatus.UNPAID:
            return OrderState.PLACED
        case OrderStatus.FAILED if not base.pay_time:
            return OrderState.CLOSED
        case _:
            return OrderState.PAID


def _is_shipped(base: BaseInfo, counted: Sequence[Refund]) -> bool:
    """Goods that are to be returned had left, whatever the order says now."""
    left = base.status in {OrderStatus.SHIPPED, OrderStatus.RECEIVED, OrderStatus.SUCCESS} or bool(base.send_time)
    return left or any(refund.handling_way == RETURN_AND_REFUND for refund in counted)


def _units_refunded(order: Order, counted: Sequence[Refund]) -> int:
    base, item = order.order_base_info, order.order_item_info
    if base.status == OrderStatus.FAILED:
        return item.num
    if not counted:
        return 0
    price = base.total_fee or (item.price or 0) * item.num
    if price <= 0:
        return item.num
    stated = sum(refund.product_num or 0 for refund in counted)
    money = sum(refund.refund_fee or 0 for refund in counted)
    return min(item.num, max(stated, item.num * money // price))
