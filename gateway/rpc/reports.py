"""From connectors' reports to commands: every field is checked here, and an error names it by its path."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from gateway import telemetry
from gateway.domain.attempts import Attempt, AttemptOutcome
from gateway.domain.errors import InvalidArgument
from gateway.domain.listings import PushResult
from gateway.domain.selling import MoveWatermark, OrderLine, OrderState, ReportPush, TakeOrder, TakeReading
from gateway.rpc import parsing
from gateway.store.selling import ConnectorState
from gateway.v1 import channel_pb2, operations_pb2
from gateway.v1 import channel_service_pb2 as pb

T = TypeVar("T")

REPORTS_MAX = 1_000
ATTEMPTS_MAX = 500
LINES_MAX = 100
MESSAGE_LENGTH_MAX = 500
TRACEPARENT_LENGTH_MAX = 55
HTTP_STATUSES = range(100, 1_000)
# Platforms state no other years, and every clock margin stays within the calendar.
FIRST_YEAR, LAST_YEAR = 1970, 9998
DURATION_SECONDS_MAX = 10**9
_STATES = {state.value for state in OrderState}
_OUTCOMES = {outcome.value for outcome in AttemptOutcome}
_RESULTS = {result.value for result in PushResult} - {PushResult.READ_BACK}


def orders(r: pb.ReportOrdersRequest) -> tuple[list[TakeOrder], MoveWatermark]:
    """A page of orders and its watermark; raises `InvalidArgument`, `QuantityOverflow`."""
    channel = parsing.code(r.channel, "channel")
    at_most(r.orders, "orders")
    found = [_order(order, channel, f"orders[{place}]") for place, order in enumerate(r.orders)]
    watermark = _optional_time(r, "watermark", "watermark")
    return found, MoveWatermark(channel, watermark)


def pushes(r: pb.ReportPushesRequest) -> list[ReportPush]:
    """Reports on pushes, none only where attempts are told; raises `InvalidArgument`, `QuantityOverflow`."""
    given = at_most(r.reports, "reports") if r.attempts else some(r.reports, "reports")
    return [_push(report, f"reports[{place}]") for place, report in enumerate(given)]


def attempts(r: pb.ReportPushesRequest, channel: str) -> list[Attempt]:
    """Single calls to the platform; raises `InvalidArgument`."""
    if len(r.attempts) > ATTEMPTS_MAX:
        raise InvalidArgument(f"at most {ATTEMPTS_MAX} attempts may be told of at once", field="attempts")
    return [_attempt(one, channel, f"attempts[{place}]") for place, one in enumerate(r.attempts)]


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


def _attempt(m: operations_pb2.PushAttempt, channel: str, at: str) -> Attempt:
    if m.outcome not in _OUTCOMES:
        raise InvalidArgument("outcome is missing, or none there is", field=f"{at}.outcome")
    if m.http_status and m.http_status not in HTTP_STATUSES:
        raise InvalidArgument(f"{m.http_status} is no HTTP status", field=f"{at}.http_status")
    if m.traceparent and (len(m.traceparent) > TRACEPARENT_LENGTH_MAX or telemetry.parse(m.traceparent) is None):
        raise InvalidArgument("traceparent is none that W3C Trace Context knows", field=f"{at}.traceparent")
    return Attempt(
        _number(m.push_id, f"{at}.push_id"),
        _number(m.listing_id, f"{at}.listing_id"),
        channel,
        _number(m.number, f"{at}.number"),
        _time(m, "begin_time", at),
        _milliseconds(m.duration, f"{at}.duration"),
        AttemptOutcome(m.outcome),
        m.http_status or None,
        parsing.identifier(m.platform_code, f"{at}.platform_code") if m.platform_code else "",
        parsing.identifier(m.platform_request_id, f"{at}.platform_request_id") if m.platform_request_id else "",
        parsing.text(m.message, f"{at}.message", MESSAGE_LENGTH_MAX),
        _optional_time(m, "next_try_time", f"{at}.next_try_time"),
        m.traceparent or None,
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
