"""The order and refund methods: trades as lists, latest modification first, and one by one."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from connectors.base import OrderState
from connectors.sandbox.shop import Shop, ShopLine, ShopOrder
from connectors.sandbox.taobao.answers import Answer, numeric
from connectors.sandbox.taobao.params import Params
from connectors.sandbox.taobao.refusals import INVALID_PARAMETER, REFUND_UNKNOWN, TRADE_UNKNOWN, service
from connectors.sandbox.taobao.settings import Settings
from connectors.taobao.times import written

T = TypeVar("T")

PAGE_SIZE_MAX = 100
PAGE_SIZE = 40
SPAN_MAX = timedelta(days=1)
KEPT = timedelta(days=90)
_PRICE_CENTS = 1000


class OrderMethods:
    """What a caller may read of the orders."""

    def __init__(self, shop: Shop, settings: Settings) -> None:
        """Serve this shop."""
        self._shop, self._settings = shop, settings

    def methods(self) -> dict[str, Callable[[Params], Answer]]:
        """The methods by name."""
        return {
            "taobao.trades.sold.increment.get": self._sold_increment,
            "taobao.trades.sold.get": self._sold,
            "taobao.trade.fullinfo.get": self._fullinfo,
            "taobao.refunds.receive.get": self._refunds,
            "taobao.refund.get": self._refund,
        }

    def _sold_increment(self, params: Params) -> Answer:
        start, end = params.time("start_modified"), params.time("end_modified")
        if not timedelta() <= end - start <= SPAN_MAX:
            raise service(INVALID_PARAMETER, "start_modified and end_modified are at most one day apart")
        return self._trades(params, lambda order: start <= _second(order.update_time) <= end)

    def _sold(self, params: Params) -> Answer:
        start = params.time("start_created") if params.optional("start_created") else self._shop.time - KEPT
        end = params.time("end_created") if params.optional("end_created") else self._shop.time
        return self._trades(params, lambda order: start <= _second(order.placed_time) <= end)

    def _fullinfo(self, params: Params) -> Answer:
        fields, order = params.fields(), self._shop.orders.get(params.text("tid"))
        if order is None:
            raise service(TRADE_UNKNOWN, "there is no such trade")
        return {"trade": _chosen(trade(order), fields)}

    def _refunds(self, params: Params) -> Answer:
        fields = params.fields()
        start = params.time("start_modified") if params.optional("start_modified") else self._shop.time - KEPT
        end = params.time("end_modified") if params.optional("end_modified") else self._shop.time
        refunds = [
            refund(order, line)
            for order in self._shop.orders.values()
            for line in order.lines
            if line.refunded and start <= _second(line.given_back_time or order.update_time) <= end
        ]
        refunds.sort(key=lambda one: (str(one["modified"]), str(one["refund_id"])), reverse=True)
        status = params.optional("status")
        refunds = [one for one in refunds if status in {"", one["status"]}]
        return _page(params, refunds, lambda one: _chosen(one, fields), "refunds", "refund")

    def _refund(self, params: Params) -> Answer:
        fields, refund_id = params.fields(), params.text("refund_id")
        for order in self._shop.orders.values():
            for line in order.lines:
                if line.refunded and refund_id_of(line) == refund_id:
                    return {"refund": _chosen(refund(order, line), fields)}
        raise service(REFUND_UNKNOWN, "there is no such refund")

    def _trades(self, params: Params, is_wanted: Callable[[ShopOrder], bool]) -> Answer:
        fields, status, now = params.fields(), params.optional("status"), self._shop.time
        visible = now - self._settings.orders_visible_after
        orders = [
            order
            for order in self._shop.orders.values()
            if now - KEPT <= order.update_time <= visible and is_wanted(order)
        ]
        orders.sort(key=lambda order: (_second(order.update_time), order.order_id), reverse=True)
        if status:
            orders = [order for order in orders if status_of(order) == status]
        return _page(params, orders, lambda order: _chosen(trade(order), fields), "trades", "trade")


def status_of(order: ShopOrder) -> str:
    """The status of a trade."""
    if order.state is OrderState.CLOSED:
        return "TRADE_CLOSED_BY_TAOBAO"
    if order.state is OrderState.PLACED:
        return "WAIT_BUYER_PAY"
    live = [line for line in order.lines if line.refunded < line.quantity]
    if not live:
        return "TRADE_CLOSED"
    shipped = [line for line in live if line.shipped]
    if not shipped:
        return "WAIT_SELLER_SEND_GOODS"
    return "WAIT_BUYER_CONFIRM_GOODS" if len(shipped) == len(live) else "SELLER_CONSIGNED_PART"


def trade(order: ShopOrder) -> Answer:
    """A trade with all fields."""
    answer: Answer = {
        "tid": numeric(order.order_id),
        "status": status_of(order),
        "type": "fixed",
        "num": sum(line.quantity for line in order.lines),
        "payment": _yuan(sum(line.quantity for line in order.lines)),
        "created": written(order.placed_time),
        "modified": written(order.update_time),
        "orders": {"order": [_order(order, line) for line in order.lines]},
    }
    return answer | _times(pay_time=order.paid_time, consign_time=order.shipped_time, end_time=_end_time(order))


def refund(order: ShopOrder, line: ShopLine) -> Answer:
    """What was given back for a line. There is one refund per line, and it grows (a choice).

    `num` is what was bought, as published; how many units are concerned is told by nothing but the money.
    """
    return {
        "refund_id": refund_id_of(line),
        "tid": numeric(order.order_id),
        "oid": numeric(line.line_id),
        "num_iid": numeric(line.key.item_id),
        "status": "SUCCESS",
        "num": line.quantity,
        "price": _yuan(1),
        "total_fee": _yuan(line.quantity),
        "refund_fee": _yuan(line.refunded),
        "payment": _yuan(line.quantity - line.refunded),
        "has_good_return": line.shipped,
        "order_status": _line_status(order, line),
        "created": written(line.given_back_time or order.update_time),
        "modified": written(line.given_back_time or order.update_time),
    }


def refund_id_of(line: ShopLine) -> str:
    """The id of a line's refund."""
    return f"{line.line_id}7"


def _order(order: ShopOrder, line: ShopLine) -> Answer:
    is_closed = order.state is OrderState.CLOSED or line.refunded == line.quantity
    answer: Answer = {
        "oid": numeric(line.line_id),
        "num_iid": numeric(line.key.item_id),
        "num": line.quantity,
        "price": _yuan(1),
        "payment": _yuan(line.quantity),
        "status": _line_status(order, line),
        "refund_status": "SUCCESS" if line.refunded else "NO_REFUND",
    }
    if line.key.platform_sku_id:
        answer["sku_id"] = str(line.key.platform_sku_id)
    if line.refunded:
        answer["refund_id"] = numeric(refund_id_of(line))
    consigned = order.shipped_time if _has_left(order, line) else None
    return answer | _times(consign_time=consigned, end_time=line.given_back_time if is_closed else None)


def _line_status(order: ShopOrder, line: ShopLine) -> str:
    if order.state is not OrderState.PAID:
        return status_of(order)
    if line.refunded == line.quantity:
        return "TRADE_CLOSED"
    return "WAIT_BUYER_CONFIRM_GOODS" if line.shipped else "WAIT_SELLER_SEND_GOODS"


def _has_left(order: ShopOrder, line: ShopLine) -> bool:
    """True unless the last unit was refunded before the rest of the order left."""
    if not (line.shipped and order.shipped_time):
        return False
    is_whole = line.refunded == line.quantity
    return not (is_whole and line.given_back_time and line.given_back_time < order.shipped_time)


def _end_time(order: ShopOrder) -> datetime | None:
    is_over = status_of(order) in {"TRADE_CLOSED", "TRADE_CLOSED_BY_TAOBAO"}
    return order.update_time if is_over else None


def _page(params: Params, rows: list[T], told: Callable[[T], Answer], outer: str, inner: str) -> Answer:
    """A page of a list, with the number of all rows or, if that is not wanted, whether more follow."""
    number, size = params.number("page_no", 1, 1), params.number("page_size", PAGE_SIZE, 1, PAGE_SIZE_MAX)
    page = [told(row) for row in rows[(number - 1) * size : number * size]]
    count: Answer = (
        {"has_next": number * size < len(rows)} if params.is_set("use_has_next") else {"total_results": len(rows)}
    )
    return count | ({outer: {inner: page}} if page else {})


def _chosen(values: Answer, fields: set[str]) -> Answer:
    """The fields that are asked for; `orders.oid` asks for `orders`."""
    names = {field.partition(".")[0] for field in fields}
    return {name: value for name, value in values.items() if name in names}


def _times(**times: datetime | None) -> Answer:
    return {name: written(time) for name, time in times.items() if time}


def _yuan(units: int) -> str:
    return f"{units * _PRICE_CENTS // 100}.{units * _PRICE_CENTS % 100:02}"


def _second(time: datetime) -> datetime:
    return time.replace(microsecond=0)
