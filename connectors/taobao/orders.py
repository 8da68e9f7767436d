"""Orders as snapshots, without gaps.

`taobao.trades.sold.increment.get` sorts by modification time, the latest first, and an order that is modified goes to
the top. The official docs demand to walk from the last page to the first: then an order that leaves a window moves the
others towards pages that are still to come. While a window is still open an order can move to its top instead, and push
others down: so an open window is walked from the first page to the last, and who moved meanwhile was modified after the
walk began. They are in a much shorter window, from the latest modification that was there when the walk began; and so
on, until the rest fits on one page, which is one instant.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from connectors.base import ListingKey, OrderLine, OrderSnapshot, OrderState
from connectors.errors import Misunderstood, Rejected, Transient
from connectors.taobao.answers import (
    Order,
    Refund,
    RefundAnswer,
    Trade,
    TradeAnswer,
    TradesAnswer,
    identity,
)
from connectors.taobao.codes import NO_SUCH_ORDER
from connectors.taobao.requests import Requests
from connectors.taobao.times import read, written
from connectors.transport import ONE_ORDER, ORDERS

WINDOW_MAX = timedelta(days=1)
# What the official docs advise.
WINDOW = timedelta(minutes=30)
PAGE_SIZE = 50
# A window that ended less than this ago may still be moving; more than any clock's error and any delay of the platform.
SETTLED_AFTER = timedelta(minutes=5)
# A window is open if it ends so long after the present: no order leaves it while it is walked.
OPEN_FOR = timedelta(seconds=5)
WALKS_MAX = 20
_SECOND = timedelta(seconds=1)
# In yuan; more is no money.
MONEY_MAX = 10**12
_TOO_FAST = "orders move faster than their pages can be read"

_FIELDS = "tid,status,created,modified,pay_time,consign_time,end_time,orders"
_REFUND_FIELDS = "refund_id,status,num,modified,refund_fee,total_fee,special_refund_type"
_REFUNDED = "SUCCESS"

_STATES = {
    "WAIT_BUYER_PAY": OrderState.PLACED,
    "TRADE_NO_CREATE_PAY": OrderState.PLACED,
    "PAY_PENDING": OrderState.PLACED,
    "WAIT_PRE_AUTH_CONFIRM": OrderState.PLACED,
    "PAID_FORBID_CONSIGN": OrderState.PAID,
    "WAIT_SELLER_SEND_GOODS": OrderState.PAID,
    "SELLER_CONSIGNED_PART": OrderState.PAID,
    "WAIT_BUYER_CONFIRM_GOODS": OrderState.PAID,
    "TRADE_BUYER_SIGNED": OrderState.PAID,
    "TRADE_FINISHED": OrderState.PAID,
    "TRADE_CLOSED_BY_TAOBAO": OrderState.CLOSED,  # before payment
    "TRADE_CLOSED": OrderState.PAID,  # after payment: every line was refunded
}
_SHIPPED = {"WAIT_BUYER_CONFIRM_GOODS", "TRADE_BUYER_SIGNED", "TRADE_FINISHED"}
_CLOSED_UNPAID, _CLOSED_PAID = "TRADE_CLOSED_BY_TAOBAO", "TRADE_CLOSED"


class Orders:
    """What one seller has sold."""

    def __init__(self, requests: Requests) -> None:
        """Call through these."""
        self._requests = requests

    async def between(self, since: datetime, until: datetime) -> AsyncIterator[list[OrderSnapshot]]:
        """Every order modified in [since, until], in pages; each modification once."""
        # Times are whole seconds there: begin with the second that `since` lies in, end with that of `until`.
        start, last = since.replace(microsecond=0), until.replace(microsecond=0)
        while start <= last:
            end = min(start + WINDOW, last)
            async for page in self._window(start, end):
                yield page
            start = end + _SECOND

    async def one(self, order_id: str) -> OrderSnapshot | None:
        """An order as it is now; None if there is none."""
        params = {"fields": _FIELDS, "tid": order_id}
        try:
            answer = await self._requests.read("taobao.trade.fullinfo.get", params, TradeAnswer, priority=ONE_ORDER)
        except Rejected as error:
            if error.code.startswith(NO_SUCH_ORDER):
                return None
            raise
        return await self._snapshot(answer.trade)

    async def _window(self, start: datetime, end: datetime) -> AsyncIterator[list[OrderSnapshot]]:
        """The orders modified in [start, end]; the bounds are whole seconds and both belong to it."""
        seen: set[tuple[str, str]] = set()
        for _ in range(WALKS_MAX):
            before = len(seen)
            first = await self._page(start, end, 1, count=True)
            # By the clock that this very answer has told.
            ended_ago = self._requests.transport.platform_now() - end
            is_open = ended_ago < -OPEN_FOR
            newest = max(start, _newest(first, start))
            pages = 0
            async for trades in self._down(start, end, first) if is_open else self._up(start, end, first):
                pages += 1
                new = {(identity(trade.tid), trade.modified): trade for trade in trades}
                new = {name: trade for name, trade in new.items() if name not in seen}
                seen |= new.keys()
                if new:
                    yield [await self._snapshot(trade) for trade in new.values()]
            # One page is one instant: nothing can move within it.
            if ended_ago > SETTLED_AFTER or pages == 1:
                return
            was_open = is_open and self._requests.transport.platform_now() < end
            if was_open and newest > start:
                start = newest
            elif len(seen) == before:
                return
        raise Transient(_TOO_FAST)

    async def _down(self, start: datetime, end: datetime, first: TradesAnswer) -> AsyncIterator[list[Trade]]:
        """The pages of a window, first one first, as many as there are when the last is reached."""
        total, trades, number = _total(first), first.trades.trade, 1
        yield trades
        while len(trades) == PAGE_SIZE or number * PAGE_SIZE < total:
            number += 1
            if number > 2 * (total // PAGE_SIZE + WALKS_MAX):
                raise Transient(_TOO_FAST)
            trades = (await self._page(start, end, number)).trades.trade
            if trades:
                yield trades

    async def _up(self, start: datetime, end: datetime, first: TradesAnswer) -> AsyncIterator[list[Trade]]:
        """The pages of a window, last one first; `first` is the first one, with their number."""
        total = _total(first)
        if total <= PAGE_SIZE:
            yield first.trades.trade
            return
        for number in range(-(-total // PAGE_SIZE), 0, -1):
            yield (await self._page(start, end, number)).trades.trade

    async def _page(self, start: datetime, end: datetime, number: int, *, count: bool = False) -> TradesAnswer:
        params = {
            "fields": _FIELDS,
            "start_modified": written(start),
            "end_modified": written(end),
            "page_no": str(number),
            "page_size": str(PAGE_SIZE),
            "use_has_next": "" if count else "true",
        }
        return await self._requests.read("taobao.trades.sold.increment.get", params, TradesAnswer, priority=ORDERS)

    async def _snapshot(self, trade: Trade) -> OrderSnapshot:
        refunds = {
            order.oid: await self._refund(order) for order in trade.orders.order if _is_refunded_in_part(trade, order)
        }
        try:
            return snapshot(trade, refunds)
        except (KeyError, ValueError) as error:
            raise Misunderstood(f"order {identity(trade.tid)}: {error} is no time or state") from error

    async def _refund(self, order: Order) -> Refund:
        params = {"fields": _REFUND_FIELDS, "refund_id": identity(order.refund_id)}
        answer = await self._requests.read("taobao.refund.get", params, RefundAnswer, priority=ORDERS)
        return answer.refund


def _total(first: TradesAnswer) -> int:
    if first.total_results is None:
        raise Misunderstood("taobao.trades.sold.increment.get: neither a number of results nor an error")
    return first.total_results


def _newest(first: TradesAnswer, start: datetime) -> datetime:
    """The latest modification on a first page."""
    try:
        return max((read(trade.modified) for trade in first.trades.trade), default=start)
    except ValueError as error:
        raise Misunderstood(f"taobao.trades.sold.increment.get: {error} is no time") from error


def snapshot(trade: Trade, refunds: dict[int | str, Refund]) -> OrderSnapshot:
    """What a trade says; `refunds` by the lines that were refunded in part. Raises `KeyError`, `ValueError`."""
    return OrderSnapshot(
        order_id=identity(trade.tid),
        state=_STATES[trade.status],
        lines=tuple(_line(trade, order, refunds.get(order.oid)) for order in trade.orders.order),
        placed_time=read(trade.created),
        update_time=read(trade.modified),
        paid_time=_time(trade.pay_time),
    )


def _line(trade: Trade, order: Order, refund: Refund | None) -> OrderLine:
    status = order.status or trade.status
    refunded, given_back = 0, None
    if status in {_CLOSED_UNPAID, _CLOSED_PAID}:
        refunded = order.num if status == _CLOSED_PAID else 0
        given_back = _time(order.end_time) or _time(trade.end_time) or read(trade.modified)
    elif refund and refund.status == _REFUNDED:
        refunded = units_refunded(refund, order.num)
        given_back = (_time(refund.modified) or read(trade.modified)) if refunded else None
    return OrderLine(
        line_id=identity(order.oid),
        key=ListingKey(identity(order.num_iid), identity(order.sku_id)),
        quantity=order.num,
        refunded=refunded,
        shipped=_is_shipped(trade, order, status, given_back),
        given_back_time=given_back,
    )


def units_refunded(refund: Refund, quantity: int) -> int:
    """The units that the money pays for, of a line that goes on.

    A careful reading, for nobody says how many units come back: whole units by their share of the money, and none where
    it says nothing or is for something else (a late parcel, price protection). What is not counted stays owed to its
    buyer; the other way round it would be sold again.
    """
    back, total = _fen(refund.refund_fee), _fen(refund.total_fee)
    if refund.special_refund_type or back <= 0 or total <= 0:
        return 0
    return min(quantity, quantity * back // total)


def _fen(yuan: str) -> int:
    """Money as TOP writes it, in whole fen; 0 for what is none."""
    try:
        amount = Decimal(yuan)
    except InvalidOperation:
        return 0
    return int(amount * 100) if amount.is_finite() and abs(amount) < MONEY_MAX else 0


def _is_shipped(trade: Trade, order: Order, status: str, given_back: datetime | None) -> bool:
    """True if the goods have left; a line that is closed keeps only the times to tell by."""
    if status in _SHIPPED or order.consign_time:
        return True
    consigned = _time(trade.consign_time)
    return status == _CLOSED_PAID and consigned is not None and given_back is not None and consigned <= given_back


def _is_refunded_in_part(trade: Trade, order: Order) -> bool:
    """True if money went back and the line goes on; how many units it was is known to the refund alone."""
    is_closed = (order.status or trade.status) in {_CLOSED_UNPAID, _CLOSED_PAID}
    return order.refund_status == _REFUNDED and bool(identity(order.refund_id)) and not is_closed


def _time(text: str) -> datetime | None:
    return read(text) if text else None
