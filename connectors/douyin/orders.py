"""Orders as Douyin has them, and as snapshots (`/order/searchList` and `/order/orderDetail` of the official SDK)."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import msgspec

from connectors.base import ListingKey, OrderLine, OrderSnapshot, OrderState
from connectors.douyin import aftersales
from connectors.douyin.aftersales import AfterSale, Refund
from connectors.douyin.codes import Refused
from connectors.douyin.paging import PAGE_SIZE, Page, walk
from connectors.douyin.requests import Caller, Id, Moment, seconds
from connectors.errors import Misunderstood
from connectors.transport import ONE_ORDER, ORDERS

# order_status: 1 placed, 105 paid, 2 preparing, 101 partly shipped, 3 shipped, 4 cancelled, 5 completed.
PLACED, CANCELLED = 1, 4
LEFT = frozenset({3, 5})
# main_status: the variants of "all of it was refunded".
ALL_REFUNDED = frozenset({21, 22, 39})
REFUND_DONE = 3
# after_sale_type of a line: 0 goods and money, 1 money after shipping, 2 money before it, 4 and 5 cancelled.
GIVES_UNITS_BACK = frozenset({0, 1, 2, 4, 5})


class LineAfterSale(msgspec.Struct, frozen=True):
    """What became of a line after it was sold."""

    after_sale_status: int = 0
    after_sale_type: int = 0
    refund_status: int = 0


class Line(msgspec.Struct, frozen=True):
    """One line of an order; Douyin calls it a SKU order."""

    order_id: Id
    product_id: Id
    sku_id: Id
    item_num: int
    order_status: int = 0
    ship_time: Moment = 0
    after_sale_info: LineAfterSale | None = None

    @property
    def was_refunded(self) -> bool:
        """True if units of it were given back; how many, the after-sale orders say."""
        info = self.after_sale_info
        done = info is not None and (
            info.refund_status == REFUND_DONE or info.after_sale_status == aftersales.SUCCEEDED
        )
        return done and info is not None and info.after_sale_type in GIVES_UNITS_BACK


class Order(msgspec.Struct, frozen=True):
    """One order of the shop."""

    order_id: Id
    order_status: int
    create_time: Moment
    update_time: Moment
    sku_order_list: list[Line]
    pay_time: Moment = 0
    main_status: int = 0

    @property
    def updated(self) -> Moment:
        """When it was last updated."""
        return self.update_time

    @property
    def was_paid(self) -> bool:
        """Cash on delivery has no pay_time: there it is paid once it is prepared."""
        return self.pay_time > 0 or self.order_status not in {PLACED, CANCELLED}

    @property
    def is_over(self) -> bool:
        """True if nothing of it is owed any more."""
        return self.order_status == CANCELLED or self.main_status in ALL_REFUNDED


class Orders(msgspec.Struct, frozen=True):
    """A page of orders."""

    total: int
    shop_order_list: list[Order] | None = None


class Detail(msgspec.Struct, frozen=True):
    """One order, or none."""

    shop_order_detail: Order | None = None


async def updated_between(caller: Caller, since: datetime, until: datetime) -> AsyncIterator[list[OrderSnapshot]]:
    """Orders whose own update, or that of a refund of theirs, lies in [since, until]."""
    start, end = seconds(since), seconds(until)

    async def orders(first: Moment, last: Moment, page: int) -> Page[Order]:
        return await listed(caller, first, last, page)

    async def sales(first: Moment, last: Moment, page: int) -> Page[AfterSale]:
        return await aftersales.listed(caller, first, last, page)

    seen: set[OrderSnapshot] = set()
    async for rows in walk(orders, start, end):
        if fresh := _unseen(seen, [await folded(caller, order) for order in rows]):
            yield fresh
    # A refund need not touch the update time of its order.
    async for refunds in walk(sales, start, end):
        ids = dict.fromkeys(str(sale.order_info.shop_order_id) for sale in refunds if sale.gave_back)
        found = [await detail(caller, order_id) for order_id in ids]
        if fresh := _unseen(seen, [order for order in found if order is not None]):
            yield fresh


async def listed(caller: Caller, start: Moment, end: Moment, page: int) -> Page[Order]:
    """Orders updated in [start, end], both ends included, the oldest first."""
    params = {
        "update_time_start": start,
        "update_time_end": end,
        "order_by": "update_time",
        "order_asc": True,
        "page": page,
        "size": PAGE_SIZE,
    }
    answer = await caller.read("/order/searchList", params, Orders, priority=ORDERS)
    return Page(answer.total, answer.shop_order_list or ())


async def detail(caller: Caller, order_id: str) -> OrderSnapshot | None:
    """One order. A business refusal means that there is none: the call has no other rule to break."""
    try:
        answer = await caller.read("/order/orderDetail", {"shop_order_id": order_id}, Detail, priority=ONE_ORDER)
    except Refused:
        return None
    order = answer.shop_order_detail
    if order is None or str(order.order_id) in {"", "0"}:
        return None
    if str(order.order_id) != order_id:
        raise Misunderstood(f"asked for order {order_id}, got another")
    return await folded(caller, order)


async def folded(caller: Caller, order: Order) -> OrderSnapshot:
    """A snapshot with the refunds of its lines in it."""
    asks = not order.is_over and any(line.was_refunded for line in order.sku_order_list)
    refunds = await aftersales.refunds_of(caller, str(order.order_id)) if asks else []
    return snapshot(order, refunds)


def snapshot(order: Order, refunds: Sequence[Refund] = ()) -> OrderSnapshot:
    """An order with what was given back of it.

    CANCELLED with a payment is a refund of all: it stays PAID. A status that nobody has told us of is taken as paid,
    since an order the platform has accepted is owed.
    """
    unpaid = OrderState.CLOSED if order.is_over else OrderState.PLACED
    last = max([order.update_time, *(refund.time for refund in refunds)])
    return OrderSnapshot(
        order_id=str(order.order_id),
        state=OrderState.PAID if order.was_paid else unpaid,
        lines=tuple(_line(order, line, refunds) for line in order.sku_order_list),
        placed_time=_time(order.create_time),
        update_time=_time(last),
        paid_time=_time(order.pay_time) if order.pay_time else None,
    )


def _line(order: Order, line: Line, refunds: Sequence[Refund]) -> OrderLine:
    own = [refund for refund in refunds if refund.line_id == str(line.order_id)]
    refunded = min(line.item_num, sum(refund.units for refund in own))
    if line.was_refunded and line.item_num == 1:
        refunded = 1
    given_back = max((refund.time for refund in own), default=order.update_time)
    is_over = order.is_over or line.order_status == CANCELLED
    if is_over:
        refunded, given_back = (line.item_num if order.was_paid else 0), order.update_time
    is_given_back = is_over or refunded == line.item_num
    return OrderLine(
        line_id=str(line.order_id),
        key=ListingKey(str(line.product_id), str(line.sku_id)),
        quantity=line.item_num,
        refunded=refunded,
        shipped=(line.order_status or order.order_status) in LEFT or line.ship_time > 0,
        given_back_time=_time(given_back) if is_given_back else None,
    )


def _unseen(seen: set[OrderSnapshot], found: Sequence[OrderSnapshot]) -> list[OrderSnapshot]:
    fresh = [order for order in dict.fromkeys(found) if order not in seen]
    seen.update(fresh)
    return fresh


def _time(moment: Moment) -> datetime:
    try:
        return datetime.fromtimestamp(moment, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise Misunderstood(f"{moment} is no time in Unix seconds") from error
