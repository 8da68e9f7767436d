"""From requests to commands: every field is checked here, and an error names it by its path in the request."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.commands import (
    AdjustStock,
    AnyCommand,
    CommitReservation,
    CountStock,
    ExtendReservation,
    LineQuantity,
    ReceiveStock,
    ReleaseReservation,
    ReserveLine,
    ReserveStock,
    ResizeReservation,
    ReturnStock,
    TransferStock,
)
from gateway.domain.errors import InvalidArgument, QuantityOverflow
from gateway.domain.stock import UNITS_MAX
from gateway.v1 import stock_service_pb2 as pb

CODE_LENGTH_MAX = 64
ID_LENGTH_MAX = 128
TEXT_LENGTH_MAX = 200
LINES_MAX = 100
RESERVATION_ID_DIGITS_MAX = 18
LOCATIONS_MAX = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def receive(r: pb.ReceiveStockRequest) -> ReceiveStock:
    """A `ReceiveStock`; raises `InvalidArgument`, `QuantityOverflow`."""
    return ReceiveStock(
        request_id(r.request_id),
        code(r.sku, "sku"),
        optional_code(r.location, "location"),
        units(r.quantity, "quantity"),
        text(r.reason, "reason"),
        time_of(r, "occur_time"),
    )


def adjust(r: pb.AdjustStockRequest) -> AdjustStock:
    """An `AdjustStock`; raises `InvalidArgument`, `QuantityOverflow`."""
    if r.change == 0:
        raise InvalidArgument("change is 0: there is nothing to adjust", field="change")
    units(abs(r.change), "change")
    if not r.reason:
        raise InvalidArgument("an adjustment needs a reason, for the journal", field="reason")
    if r.corrects_revision < 0:
        raise InvalidArgument("corrects_revision is negative", field="corrects_revision")
    return AdjustStock(
        request_id(r.request_id),
        code(r.sku, "sku"),
        optional_code(r.location, "location"),
        r.change,
        text(r.reason, "reason"),
        r.expected_on_hand if r.HasField("expected_on_hand") else None,
        r.record_reality,
        r.corrects_revision,
        time_of(r, "occur_time"),
    )


def count(r: pb.CountStockRequest) -> CountStock:
    """A `CountStock`; raises `InvalidArgument`, `QuantityOverflow`."""
    return CountStock(
        request_id(r.request_id),
        code(r.sku, "sku"),
        optional_code(r.location, "location"),
        units(r.counted, "counted", least=0),
        time_of(r, "count_time"),
        text(r.reason, "reason"),
        r.expected_on_hand if r.HasField("expected_on_hand") else None,
    )


def transfer(r: pb.TransferStockRequest) -> TransferStock:
    """A `TransferStock`; raises `InvalidArgument`, `QuantityOverflow`."""
    return TransferStock(
        request_id(r.request_id),
        code(r.sku, "sku"),
        code(r.from_location, "from_location"),
        code(r.to_location, "to_location"),
        units(r.quantity, "quantity"),
        text(r.reason, "reason"),
    )


def reserve(r: pb.ReserveStockRequest) -> ReserveStock:
    """A `ReserveStock`; raises `InvalidArgument`, `QuantityOverflow`."""
    lines = r.lines
    if not 1 <= len(lines) <= LINES_MAX:
        raise InvalidArgument(f"a reservation has 1 to {LINES_MAX} lines, not {len(lines)}", field="lines")
    if len(r.locations) > LOCATIONS_MAX:
        raise InvalidArgument(f"at most {LOCATIONS_MAX} locations may be named", field="locations")
    return ReserveStock(
        request_id(r.request_id),
        tuple([_reserve_line(line, place) for place, line in enumerate(lines)]),
        _ttl(r.ttl_ms, least=0),
        r.allow_partial,
        identifier(r.order_id, "order_id") if r.order_id else "",
        tuple([code(location, f"locations[{place}]") for place, location in enumerate(r.locations)]),
    )


def commit(r: pb.CommitReservationRequest) -> CommitReservation:
    """A `CommitReservation`; raises `InvalidArgument`."""
    return CommitReservation(
        request_id(r.request_id), reservation_id(r.reservation_id), _line_quantities(r.lines), r.retake_expired
    )


def release(r: pb.ReleaseReservationRequest) -> ReleaseReservation:
    """A `ReleaseReservation`; raises `InvalidArgument`."""
    return ReleaseReservation(request_id(r.request_id), reservation_id(r.reservation_id), text(r.reason, "reason"))


def extend(r: pb.ExtendReservationRequest) -> ExtendReservation:
    """An `ExtendReservation`; raises `InvalidArgument`."""
    return ExtendReservation(request_id(r.request_id), reservation_id(r.reservation_id), _ttl(r.ttl_ms, least=1))


def resize(r: pb.ResizeReservationRequest) -> ResizeReservation:
    """A `ResizeReservation`; raises `InvalidArgument`, `QuantityOverflow`."""
    if not r.lines:
        raise InvalidArgument("a resize names the lines to change", field="lines")
    return ResizeReservation(request_id(r.request_id), reservation_id(r.reservation_id), _line_quantities(r.lines))


def return_(r: pb.ReturnStockRequest) -> ReturnStock:
    """A `ReturnStock`; raises `InvalidArgument`."""
    return ReturnStock(
        request_id(r.request_id),
        reservation_id(r.reservation_id),
        _line_quantities(r.lines),
        optional_code(r.location, "location"),
        text(r.reason, "reason"),
    )


PARSERS: dict[str, Callable[[Any], AnyCommand]] = {
    "receive": receive,
    "adjust": adjust,
    "count": count,
    "transfer": transfer,
    "reserve": reserve,
    "commit": commit,
    "release": release,
    "extend": extend,
    "resize": resize,
    "return_stock": return_,
}


# ---- single fields


def request_id(value: str) -> str:
    """The caller's id of a mutation."""
    return identifier(value, "request_id")


def identifier(value: str, field: str) -> str:
    """1 to 128 printable characters."""
    if 0 < len(value) <= ID_LENGTH_MAX and value.isprintable():
        return value
    raise _bad_word(value, field, ID_LENGTH_MAX)


def code(value: str, field: str) -> str:
    """A SKU's or a location's code: 1 to 64 printable characters, no space at either end."""
    if 0 < len(value) <= CODE_LENGTH_MAX and value.isprintable() and value == value.strip():
        return value
    raise _bad_word(value, field, CODE_LENGTH_MAX)


def optional_code(value: str, field: str) -> str:
    """A code, or empty."""
    return code(value, field) if value else ""


def text(value: str, field: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Up to 200 characters, or another bound, without control characters; may be empty."""
    if len(value) > length_max:
        raise InvalidArgument(f"{field} has {len(value)} characters; at most {length_max} are kept", field=field)
    if value and _CONTROL.search(value):
        raise InvalidArgument(f"{field} holds a control character", field=field)
    return value


def units(value: int, field: str, *, least: int = 1) -> int:
    """A quantity from `least` to what a level may hold."""
    if value < least:
        raise InvalidArgument(f"{field} is {value}; it must be {least} or more", field=field)
    if value > UNITS_MAX:
        raise QuantityOverflow(
            f"{field} is {value}; at most {UNITS_MAX} units are kept", field=field, units_max=UNITS_MAX
        )
    return value


def reservation_id(value: str, field: str = "reservation_id") -> int:
    """The number behind a reservation's id."""
    if value.isascii() and value.isdecimal() and len(value) <= RESERVATION_ID_DIGITS_MAX:
        return int(value)
    if not value:
        raise InvalidArgument(f"{field} is missing", field=field)
    raise InvalidArgument(
        f"{field} {value[:40]!r} is no reservation's id; ids are what ReserveStock answered", field=field
    )


def time_of(message: Any, field: str) -> datetime | None:
    """A timestamp field as an aware datetime; None if absent."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidArgument(f"{field} is no time of the years 1 to 9999", field=field) from None


def _reserve_line(line: pb.ReserveLine, place: int) -> ReserveLine:
    at = f"lines[{place}]"
    return ReserveLine(
        code(line.sku, f"{at}.sku"),
        units(line.quantity, f"{at}.quantity"),
        optional_code(line.location, f"{at}.location"),
    )


def _line_quantities(lines: Sequence[pb.LineQuantity]) -> tuple[LineQuantity, ...]:
    if len(lines) > LINES_MAX:
        raise InvalidArgument(f"at most {LINES_MAX} lines may be named", field="lines")
    return tuple(
        [
            LineQuantity(line.line_number, units(line.quantity, f"lines[{place}].quantity", least=0))
            for place, line in enumerate(lines)
        ]
    )


def _ttl(value: int, *, least: int) -> int:
    if value < least:
        raise InvalidArgument(f"ttl_ms is {value}; it must be {least} or more", field="ttl_ms")
    return value


def _bad_word(value: str, field: str, length_max: int) -> InvalidArgument:
    name = field.rpartition(".")[2]
    if not value:
        return InvalidArgument(f"{name} is missing", field=field)
    if len(value) > length_max:
        return InvalidArgument(f"{name} has {len(value)} characters; at most {length_max} are allowed", field=field)
    return InvalidArgument(f"{name} holds a character that cannot be printed, or a space at an end", field=field)
