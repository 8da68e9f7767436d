"""What people type for times, durations, lines and speeds, and what it means.

Each function takes the text of one argument and raises `typer.BadParameter` (exit code 2) if it makes no sense.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.v1 import alert_pb2, catalog_service_pb2, channel_pb2, stock_pb2, stock_service_pb2

INT64_DIGITS = len(str(2**63))
SPEED_MAX = 1_000_000  # a month in three seconds; beyond that only `max` makes sense

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_SPEED = re.compile(r"(\d+(?:\.\d+)?)x?")


def duration(text: str) -> timedelta:
    """`90s`, `15m`, `24h`, `500ms`; a bare number is seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 15m, 24h or 500ms")
    try:
        return timedelta(seconds=float(match[1]) * _UNIT_SECONDS[match[2] or "s"])
    except OverflowError as error:
        raise typer.BadParameter(f"{text!r} is too long") from error


def milliseconds(text: str) -> int:
    """A duration in whole milliseconds."""
    return round(duration(text) / timedelta(milliseconds=1))


def moment(text: str) -> datetime:
    """ISO 8601 (this machine's zone if it names none), or how long ago: `15m`, `2h`."""
    try:
        if _DURATION.fullmatch(text.strip()) and not text.strip().isdigit():
            return datetime.now(UTC) - duration(text)
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-11-22T08:00:00+08:00, or 15m for 15 minutes ago"
        ) from error


def timestamp(text: str) -> Timestamp:
    """A moment, for the wire."""
    written = Timestamp()
    written.FromDatetime(moment(text))
    return written


def reserve_lines(texts: list[str]) -> list[stock_service_pb2.ReserveLine]:
    """`SKU=QUANTITY` or `SKU@LOCATION=QUANTITY` each; or for one line just `SKU QUANTITY`."""
    match texts:
        case [sku, quantity] if "=" not in sku and quantity.isdecimal():
            return [_reserve_line(f"{sku}={quantity}")]
        case several:
            return [_reserve_line(text) for text in several]


def line_quantity(text: str) -> stock_service_pb2.LineQuantity:
    """`LINE=QUANTITY`, as in `1=2`."""
    line_number, separator, quantity = text.partition("=")
    if not (separator and line_number.isdecimal() and quantity.isdecimal() and int(line_number) < 2**31):
        raise typer.BadParameter(f"{text!r} is no line; write LINE=QUANTITY, as in 1=2")
    return stock_service_pb2.LineQuantity(line_number=int(line_number), quantity=_units(quantity))


def movement_kind(text: str) -> stock_pb2.MovementKind.ValueType:
    """`receive`, `transfer-out` ...: a kind of movement by its bare name."""
    known = {_bare(name, "MOVEMENT_KIND_"): number for name, number in stock_pb2.MovementKind.items() if number}
    return known[_one_of(text, known)]


def reservation_state(text: str) -> stock_pb2.ReservationState.ValueType:
    """`held`, `committed`, `released` or `expired`."""
    known = {_bare(name, "RESERVATION_STATE_"): number for name, number in stock_pb2.ReservationState.items() if number}
    return known[_one_of(text, known)]


def platform(text: str) -> channel_pb2.Platform.ValueType:
    """`taobao`, `douyin` or `kuaishou`."""
    known = {_bare(name, "PLATFORM_"): number for name, number in channel_pb2.Platform.items() if number}
    return known[_one_of(text, known)]


def takes_on(text: str) -> channel_pb2.TakesOn.ValueType:
    """`order` or `payment`."""
    known = {_bare(name, "TAKES_ON_"): number for name, number in channel_pb2.TakesOn.items() if number}
    return known[_one_of(text, known)]


def policy_kind(text: str) -> channel_pb2.PolicyKind.ValueType:
    """`by-demand`, `weighted` ...: a kind of policy by its bare name."""
    known = {_bare(name, "POLICY_KIND_"): number for name, number in channel_pb2.PolicyKind.items() if number}
    return known[_one_of(text, known)]


def tier(text: str) -> alert_pb2.Tier.ValueType:
    """`normal`, `trend`, `threshold`, `urgent` or `sold-out`."""
    known = {_bare(name, "TIER_"): number for name, number in alert_pb2.Tier.items() if number}
    return known[_one_of(text, known)]


def alert_kind(text: str) -> alert_pb2.AlertEventKind.ValueType:
    """`tier-change`, `acknowledged` ...: a kind of event by its bare name."""
    known = {_bare(name, "ALERT_EVENT_KIND_"): number for name, number in alert_pb2.AlertEventKind.items() if number}
    return known[_one_of(text, known)]


def ack_action(text: str) -> alert_pb2.AckAction.ValueType:
    """`replenish`, `transfer`, `cap-sales`, `delist`, `watch` or `false-alarm`."""
    known = {_bare(name, "ACK_ACTION_"): number for name, number in alert_pb2.AckAction.items() if number}
    return known[_one_of(text, known)]


def proposal_state(text: str) -> alert_pb2.ProposalState.ValueType:
    """`open`, `approved` ...: where a proposal stands."""
    known = {_bare(name, "PROPOSAL_STATE_"): number for name, number in alert_pb2.ProposalState.items() if number}
    return known[_one_of(text, known)]


def later(text: str) -> Timestamp:
    """A time to come: ISO 8601 (this machine's zone if it names none), or in how long, as in `15m` or `2h`."""
    if not _DURATION.fullmatch(text.strip()) or text.strip().isdigit():
        return timestamp(text)
    written = Timestamp()
    try:
        written.FromDatetime(datetime.now(UTC) + duration(text))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text!r} is too long") from error
    return written


def catalog_table(text: str) -> catalog_service_pb2.CatalogTable.ValueType:
    """`skus` or `listings`."""
    known = {
        _bare(name, "CATALOG_TABLE_"): number for name, number in catalog_service_pb2.CatalogTable.items() if number
    }
    return known[_one_of(text, known)]


def component(text: str) -> channel_pb2.Component:
    """`SKU` for one unit of it, or `SKU=UNITS`."""
    sku, units = _name_and_units(text)
    return channel_pb2.Component(sku=sku, units=1 if units is None else units)


def session_sku(text: str) -> alert_pb2.SessionSku:
    """`SKU`, or `SKU=UNITS` of which the session alone may sell so many."""
    sku, units = _name_and_units(text)
    return alert_pb2.SessionSku(sku=sku, exclusive_units=units or 0)


def share(text: str) -> channel_pb2.ChannelShare:
    """`CHANNEL`, or `CHANNEL=SHARE`."""
    channel, units = _name_and_units(text)
    return channel_pb2.ChannelShare(channel=channel, share=units or 0)


def cap(text: str) -> tuple[str, int | None]:
    """`CHANNEL=UNITS`, or `CHANNEL=none`."""
    channel, separator, units = text.rpartition("=")
    if channel and units.lower() == "none":
        return channel, None
    if not (separator and channel and units.isdecimal()):
        raise typer.BadParameter(f"{text!r} is no cap; write CHANNEL=UNITS, or CHANNEL=none")
    return channel, _units(units)


def speed(text: str) -> float | None:
    """`1000x` plays a thousand tape seconds in one; None stands for `max`: no tape clock at all."""
    if text.strip().lower() == "max":
        return None
    match = _SPEED.fullmatch(text.strip().lower())
    if match is None or not 1 <= float(match[1]) <= SPEED_MAX:
        raise typer.BadParameter(f"{text!r} is no speed; write 1000x (from 1x to 1000000x), or max")
    return float(match[1])


def _reserve_line(text: str) -> stock_service_pb2.ReserveLine:
    place, separator, quantity = text.rpartition("=")
    if not (separator and place and quantity.isdecimal()):
        raise typer.BadParameter(f"{text!r} is no line; write SKU=QUANTITY or SKU@LOCATION=QUANTITY")
    sku, at, location = place.rpartition("@")
    if not at or not sku:
        sku, location = place, ""
    return stock_service_pb2.ReserveLine(sku=sku, location=location, quantity=_units(quantity))


def _name_and_units(text: str) -> tuple[str, int | None]:
    name, separator, units = text.rpartition("=")
    return (name, _units(units)) if separator and name and units.isdecimal() else (text, None)


def _units(text: str) -> int:
    if len(text) > INT64_DIGITS or int(text) >= 2**63:
        raise typer.BadParameter(f"{text} is more than 64 bits hold")
    return int(text)


def _bare(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", "-")


def _one_of(text: str, known: Iterable[str]) -> str:
    wanted = text.strip().lower().replace("_", "-")
    if wanted not in known:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(known)}")
    return wanted
