"""From connectors' reports to commands: every field is checked here, and an error names it by its path."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from gateway.domain.errors import InvalidArgument
from gateway.domain.listings import PushResult
from gateway.domain.selling import MoveWatermark, OrderLine, OrderState, ReportPush, TakeOrder, TakeReading
from gateway.rpc import parsing
from gateway.store.selling import ConnectorState
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as pb

T = TypeVar("T")

REPORTS_MAX = 1_000
LINES_MAX = 100
# Platforms state no other years, and every clock margin stays within the calendar.
FIRST_YEAR, LAST_YEAR = 1970, 9998
DURATION_SECONDS_MAX = 10**9
_STATES = {state.value for state in OrderState}
_RESULTS = {result.value for result in PushResult} - {PushResult.READ_BACK}


def orders(r: pb.ReportOrdersRequest) -> tuple[list[TakeOrder], MoveWatermark]:
    """A page of orders and its watermark; raises `InvalidArgument`, `QuantityOverflow`."""
    channel = parsing.code(r.channel, "channel")
    at_most(r.orders, "orders")
    found = [_order(order, channel, f"orders[{place}]") for place, order in enumerate(r.orders)]
    watermark = _optional_time(r, "watermark", "watermark")
    return found, MoveWatermark(channel, watermark)


def pushes(r: pb.ReportPushesRequest) -> list[ReportPush]:
    """Reports on pushes; raises `InvalidArgument`, `QuantityOverflow`."""
    return [_push(report, f"reports[{place}]") for place, report in enumerate(some(r.reports, "reports"))]


def readings(r: pb.ReportShelfRequest) -> list[TakeReading]:
    """Readings of listings; raises `InvalidArgument`, `QuantityOverflow`."""
    return [_reading(one, f"readings[{place}]") for place, one in enumerate(some(r.readings, "readings"))]


def connector_state(m: channel_pb2.ConnectorState) -> ConnectorState:
    """What a connector says of itself; raises `InvalidArgument`."""
    return ConnectorState(
        parsing.identifier(m.connector_id, "state.connector_id"),
        m.breaker_open,
        _rate(m.calls_per_second, "state.calls_per_second"),
        f"{_milliseconds(m.ban, 'state.ban') / 1_000:.3f}s",
        _count(m.waiting, "state.waiting"),
        parsing.text(m.needs, "state.needs"),
        _count(m.calls, "state.calls"),
        _count(m.retries, "state.retries"),
        _count(m.forged, "state.forged"),
    )


def some(items: Sequence[T], field: str) -> Sequence[T]:
    """1 to 1,000 of them."""
    if not items:
        raise InvalidArgument(f"{field} is empty", field=field)
    return at_most(items, field)


def at_most(items: Sequence[T], field: str) -> Sequence[T]:
    """Up to 1,000 of them."""
    if len(items) > REPORTS_MAX:
        raise InvalidArgument(f"at most {REPORTS_MAX} {field} may be reported at once", field=field)
    return items


def _order(m: channel_pb2.OrderSnapshot, channel: str, at: str) -> TakeOrder:
    if m.state not in _STATES:
        raise InvalidArgument("state is missing, or none there is", field=f"{at}.state")
    if not 1 <= len(m.lines) <= LINES_MAX:
        raise InvalidArgument(f"an order has 1 to {LINES_MAX} lines, not {len(m.lines)}", field=f"{at}.lines")
    lines = tuple(_line(line, f"{at}.lines[{place}]") for place, line in enumerate(m.lines))
    if len({line.line_id for line in lines}) < len(lines):
        raise InvalidArgument("two lines have the same line_id", field=f"{at}.lines")
    return TakeOrder(
        channel,
        parsing.identifier(m.order_id, f"{at}.order_id"),
        OrderState(m.state),
        lines,
        _time(m, "placed_time", at),
        _time(m, "update_time", at),
        _optional_time(m, "paid_time", f"{at}.paid_time"),
    )


def _line(m: channel_pb2.OrderLine, at: str) -> OrderLine:
    quantity = parsing.units(m.quantity, f"{at}.quantity")
    if not 0 <= m.refunded <= quantity:
        raise InvalidArgument(f"refunded is {m.refunded}; it must be 0 to {quantity}", field=f"{at}.refunded")
    return OrderLine(
        parsing.identifier(m.line_id, f"{at}.line_id"),
        parsing.identifier(m.item_id, f"{at}.item_id"),
        parsing.identifier(m.platform_sku_id, f"{at}.platform_sku_id") if m.platform_sku_id else "",
        quantity,
        m.refunded,
        m.shipped,
        _optional_time(m, "given_back_time", f"{at}.given_back_time"),
    )


def _push(m: channel_pb2.PushReport, at: str) -> ReportPush:
    if m.result not in _RESULTS:
        raise InvalidArgument("result is missing, or none there is", field=f"{at}.result")
    return ReportPush(
        _number(m.listing_id, f"{at}.listing_id"),
        _number(m.push_id, f"{at}.push_id"),
        PushResult(m.result),
        parsing.units(m.applied, f"{at}.applied", least=0),
        _count(m.attempts, f"{at}.attempts"),
        _milliseconds(m.duration, f"{at}.duration"),
        parsing.text(m.error, f"{at}.error"),
    )


def _reading(m: channel_pb2.ShelfReading, at: str) -> TakeReading:
    listing_id, error = _number(m.listing_id, f"{at}.listing_id"), parsing.text(m.error, f"{at}.error")
    begin, end = _time(m, "begin_time", at), _time(m, "end_time", at)
    if end < begin:
        raise InvalidArgument("end_time lies before begin_time", field=f"{at}.end_time")
    shown = parsing.units(m.shown, f"{at}.shown", least=0)
    after_push_id = _count(m.after_push_id, f"{at}.after_push_id")
    return TakeReading(listing_id, shown, begin, end, after_push_id, _count(m.read_id, f"{at}.read_id"), error)


def _number(value: int, field: str) -> int:
    if value <= 0:
        raise InvalidArgument(f"{field.rpartition('.')[2]} is missing", field=field)
    return value


def _count(value: int, field: str) -> int:
    if value < 0:
        raise InvalidArgument(f"{field.rpartition('.')[2]} is {value}; it must be 0 or more", field=field)
    return value


def _rate(value: float, field: str) -> float:
    if not 0.0 <= value < math.inf:
        raise InvalidArgument(f"{field.rpartition('.')[2]} is {value}; it must be 0 or more", field=field)
    return value


def _time(m: Any, name: str, at: str) -> datetime:
    found = _optional_time(m, name, f"{at}.{name}")
    if found is None:
        raise InvalidArgument(f"{name} is missing", field=f"{at}.{name}")
    return found


def _optional_time(m: Any, name: str, field: str) -> datetime | None:
    try:
        found = parsing.time_of(m, name)
    except InvalidArgument as error:
        raise InvalidArgument(error.message, field=field) from None
    if found is not None and not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise InvalidArgument(f"{name} is of the year {found.year}, which no platform states", field=field)
    return found


def _milliseconds(m: Duration, field: str) -> int:
    if not (0 <= m.seconds <= DURATION_SECONDS_MAX and 0 <= m.nanos < 10**9):
        raise InvalidArgument(f"{field.rpartition('.')[2]} is no duration", field=field)
    return m.ToMilliseconds()
