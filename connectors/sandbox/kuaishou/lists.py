"""The order and refund methods: details, and lists that are walked by cursor until "nomore"."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from connectors.sandbox.kuaishou.answers import BAD_PARAMETERS, LONG_MAX, Answer, Param, Refusal, to_milliseconds
from connectors.sandbox.kuaishou.sales import FAILED, PAID, REFUND_FAILED, REFUND_SUCCESS, SHIPPED, UNPAID, Sale, Sales
from connectors.sandbox.kuaishou.settings import KuaishouSettings
from connectors.sandbox.shop import Shop

NO_MORE = "nomore"
DAY_MILLISECONDS = 86_400_000
ORDERS_SPAN_DAYS, REFUNDS_SPAN_DAYS, REACH_DAYS = 7, 1, 90
ORDERS_PAGE_MAX, REFUNDS_PAGE_MAX = 50, 100
DESCENDING, ASCENDING = 1, 2
BY_CREATION, BY_UPDATE = 1, 2
WAITING, ALL_REFUNDS = 8, 9
RECEIVED, SUCCESS = 50, 70
# `orderViewStatus`: all, to be paid, to be shipped, shipped, received, done, closed.
ALL = 1
VIEWS: dict[int, set[int]] = {
    ALL: {UNPAID, PAID, SHIPPED, RECEIVED, SUCCESS, FAILED},
    2: {UNPAID},
    3: {PAID},
    4: {SHIPPED},
    5: {RECEIVED},
    6: {SUCCESS},
    7: {FAILED},
}

# (time in milliseconds, id): what lists are sorted by, and what a cursor names.
Place = tuple[int, int]


class Lists:
    """What a seller may ask about orders and refunds."""

    def __init__(self, shop: Shop, sales: Sales, settings: KuaishouSettings) -> None:
        """Serve these sales."""
        self.shop = shop
        self.sales = sales
        self.settings = settings
        self.methods: dict[str, Callable[[Param], Answer]] = {
            "open.order.cursor.list": self._orders,
            "open.order.detail": self._order,
            "open.seller.order.refund.pcursor.list": self._refunds,
            "open.seller.order.refund.detail": self._refund,
        }

    def _order(self, param: Param) -> Answer:
        sale = self.sales.sale(param.identity("oid"))
        if sale is not None:
            return Answer(self.sales.order_json(sale))
        if self.settings.missing_order_is_empty:
            return Answer()
        raise Refusal(self.settings.order_not_found_code, "the order does not exist")

    def _orders(self, param: Param) -> Answer:
        view = VIEWS[param.integer("orderViewStatus", min(VIEWS), max(VIEWS))]
        size = param.integer("pageSize", 1, ORDERS_PAGE_MAX)
        param.integer("cpsType", 0, 2, 0)
        begin, end = self._span(param, ORDERS_SPAN_DAYS)
        sales = self.sales
        places = sales.updated() if self._by_update(param) else sales.created()
        wanted = self._seen(places, begin, end)
        if view != VIEWS[ALL]:
            wanted = [place for place in wanted if sales.status(_found(sales, place)) in view]
        chosen, cursor, _ = page_of(wanted, param.text("cursor", default=""), size, self._sort(param))
        return Answer(
            {
                "orderList": [sales.order_json(_found(sales, place)) for place in chosen],
                "cursor": cursor,
                "pageSize": size,
                "beginTime": begin,
                "endTime": end,
            }
        )

    def _refund(self, param: Param) -> Answer:
        refund = self.sales.refunds.get(param.identity("refundId"))
        if refund is None:
            raise Refusal(self.settings.refund_not_found_code, "the refund does not exist")
        return Answer(self.sales.refund_json(refund))

    def _refunds(self, param: Param) -> Answer:
        kind = param.integer("type", WAITING, ALL_REFUNDS)
        size = param.integer("pageSize", 1, REFUNDS_PAGE_MAX)
        page = param.integer("currentPage", 1, 1_000_000)
        oid = param.integer("orderId", 0, LONG_MAX, 0)
        begin, end = self._span(param, REFUNDS_SPAN_DAYS)
        by_update = self._by_update(param)
        places = [
            (to_milliseconds(refund.update_time if by_update else refund.create_time), refund.refund_id)
            for refund in self.sales.refunds.values()
            if (kind == ALL_REFUNDS or refund.status not in {REFUND_SUCCESS, REFUND_FAILED}) and oid in {0, refund.oid}
        ]
        wanted = self._seen(places, begin, end)
        chosen, cursor, left = page_of(wanted, param.text("pcursor", default=""), size, self._sort(param))
        return Answer(
            {
                "refundOrderInfoList": [self.sales.refund_json(self.sales.refunds[number]) for _, number in chosen],
                "pcursor": cursor,
                "currentPage": page,
                "pageSize": size,
                # On the first page `left` is all of them; later it is no total.
                "totalPage": -(-left // size),
                "totalSize": left,
                "beginTime": begin,
                "endTime": end,
            }
        )

    def _span(self, param: Param, days_max: int) -> Place:
        begin, end = param.integer("beginTime", 1, LONG_MAX), param.integer("endTime", 1, LONG_MAX)
        now = to_milliseconds(self.shop.time)
        if not 0 < end - begin <= days_max * DAY_MILLISECONDS:
            raise Refusal(BAD_PARAMETERS, f"endTime must lie after beginTime, by at most {days_max} days")
        if begin < now - REACH_DAYS * DAY_MILLISECONDS:
            raise Refusal(BAD_PARAMETERS, f"beginTime must lie within {REACH_DAYS} days")
        return begin, end

    def _seen(self, places: Iterable[Place], begin: int, end: int) -> list[Place]:
        """Those in the span that have had time to show up."""
        lag = timedelta(seconds=self.settings.visibility_lag_seconds)
        last = min(end, to_milliseconds(self.shop.time - lag))
        return [place for place in places if begin <= place[0] <= last]

    def _by_update(self, param: Param) -> bool:
        return param.integer("queryType", BY_CREATION, BY_UPDATE, BY_CREATION) == BY_UPDATE

    def _sort(self, param: Param) -> int:
        return param.integer("sort", DESCENDING, ASCENDING, DESCENDING)


def page_of(places: list[Place], cursor: str, size: int, sort: int) -> tuple[list[Place], str, int]:
    """The page after `cursor`, the next cursor, and how many places there were from this page on."""
    ordered = sorted(places, reverse=sort == DESCENDING)
    if cursor:
        passed = _place(cursor)
        ordered = [place for place in ordered if (place < passed if sort == DESCENDING else place > passed)]
    chosen = ordered[:size]
    more = len(ordered) > size
    return chosen, f"{chosen[-1][0]}-{chosen[-1][1]}" if more else NO_MORE, len(ordered)


def _place(cursor: str) -> Place:
    time, _, number = cursor.partition("-")
    if not (time.isascii() and time.isdecimal() and number.isascii() and number.isdecimal()):
        raise Refusal(BAD_PARAMETERS, "the cursor is not one of ours")
    return int(time), int(number)


def _found(sales: Sales, place: Place) -> Sale:
    sale = sales.sale(place[1])
    assert sale is not None, f"a list names order {place[1]}, which is not there"
    return sale
