"""Levels, movements, reservations, shortfalls, drift and unlinked orders as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.cli.output import Column, change, local_time, number, print_table, say, word
from gateway.v1 import channel_pb2, stock_pb2

LEVEL_COLUMNS = (
    Column("SKU"),
    Column("location", worth=3),
    Column("on hand", is_number=True),
    Column("reserved", is_number=True),
    Column("safety", is_number=True, worth=4),
    Column("available", is_number=True),
    Column("exposed", is_number=True, worth=6),
    Column("unallocated", is_number=True, worth=7),
    Column("deficit", is_number=True, worth=5),
    Column("last count", worth=1),
    Column("frozen", worth=2),
)
MOVEMENT_COLUMNS = (
    Column("revision", is_number=True),
    Column("recorded", worth=9),
    Column("kind"),
    Column("SKU", worth=10),
    Column("location", worth=5),
    Column("units", is_number=True, worth=6),
    Column("on hand", is_number=True, worth=8),
    Column("reserved", is_number=True, worth=7),
    Column("reason", worth=3),
    Column("reservation", worth=4),
    Column("request id", worth=1),
    Column("happened", worth=2),
)
_SKU_PLACE = [column.title for column in MOVEMENT_COLUMNS].index("SKU")
RESERVATION_COLUMNS = (
    Column("reservation"),
    Column("state"),
    Column("order", worth=5),
    Column("lines", worth=6),
    Column("made", worth=1),
    Column("expires", worth=4),
    Column("resolved", worth=3),
    Column("at risk", worth=2),
)
LINE_COLUMNS = (
    Column("line", is_number=True),
    Column("SKU"),
    Column("location"),
    Column("asked", is_number=True),
    Column("held", is_number=True, worth=1),
    Column("sold", is_number=True),
    Column("returned", is_number=True),
)
SHORTFALL_COLUMNS = (
    Column("shortfall"),
    Column("cause"),
    Column("SKU"),
    Column("location", worth=3),
    Column("units", is_number=True),
    Column("order", worth=6),
    Column("reservation", worth=1),
    Column("opened", worth=5),
    Column("owner", worth=2),
    Column("resolution", worth=4),
)
DRIFT_COLUMNS = (
    Column("drift", is_number=True),
    Column("channel"),
    Column("listing", is_number=True),
    Column("shown", is_number=True),
    Column("believed", is_number=True, worth=6),
    Column("reading allows", is_number=True, worth=5),
    Column("done", worth=7),
    Column("read", worth=4),
    Column("judged", worth=1),
)
ORDER_LINE_COLUMNS = (
    Column("order"),
    Column("state", worth=6),
    Column("item"),
    Column("platform SKU", worth=7),
    Column("ordered", is_number=True),
    Column("refunded", is_number=True, worth=3),
    Column("shipped", worth=2),
    Column("placed", worth=5),
    Column("updated", worth=1),
)


def print_levels(levels: Iterable[stock_pb2.StockLevel], *, per_location: bool = False) -> None:
    """A row per SKU; with `per_location` also one per location that holds it."""
    rows: list[Sequence[str | int]] = []
    levels = list(levels)
    with_shelves = any(level.exposed for level in levels)  # else unallocated is what is available, and says no more
    for level in levels:
        is_spread = per_location or len(level.locations) == 1
        where = level.locations[0].location if len(level.locations) == 1 else "all"
        counted = level.locations[0].last_count_time if len(level.locations) == 1 else Timestamp()
        rows.append(
            (level.sku, where, *_quantities(level, with_shelves=with_shelves), local_time(counted), level.frozen)
        )
        if is_spread and len(level.locations) > 1:
            rows += [
                ("", each.location, *_quantities(each, with_shelves=with_shelves), local_time(each.last_count_time), "")
                for each in level.locations
            ]
    print_table(LEVEL_COLUMNS, rows, "No stock yet: `stockgate stock receive SKU QUANTITY` books the first goods in.")


def say_level(level: stock_pb2.LocationLevel) -> None:
    """The level at one location in one line."""
    text = (
        f"{level.location}: on hand {number(level.on_hand)} · reserved {number(level.reserved)}"
        f" · safety stock {number(level.safety_stock)} · available {number(level.available)}"
    )
    marks = {"exposed": level.exposed, "deficit": level.deficit}
    say(text + "".join(f" · {what} {number(units)}" for what, units in marks.items() if units))


def print_drifts(drifts: Iterable[channel_pb2.Drift]) -> None:
    """A row per drift: what the listing showed, what we believed, what the reading allows."""
    rows = [
        (
            str(each.drift_id),
            each.channel,
            str(each.listing_id),
            each.shown,
            each.exposure_before,
            _range(each.exposure_least, each.exposure_most),
            each.action,
            local_time(each.read_time),
            local_time(each.judge_time),
        )
        for each in drifts
    ]
    print_table(DRIFT_COLUMNS, rows, "No drift: every reading fitted what we believed.")


def print_order_lines(orders: Iterable[channel_pb2.OrderSnapshot]) -> None:
    """A row per line of an order; what is the order's own is said once."""
    rows = [
        (
            "" if i else order.order_id,
            "" if i else word(channel_pb2.OrderState.Name(order.state), "ORDER_STATE_"),
            line.item_id,
            line.platform_sku_id,
            line.quantity,
            number(line.refunded) if line.refunded else "",
            line.shipped,
            "" if i else local_time(order.placed_time),
            "" if i else local_time(order.update_time),
        )
        for order in orders
        for i, line in enumerate(order.lines)
    ]
    print_table(ORDER_LINE_COLUMNS, rows, "No orders wait for a link: every line's listing is known.")


def print_movements(movements: Iterable[stock_pb2.Movement], sku: str = "") -> None:
    """A row per movement: what it did to on hand and reserved, and what they were afterwards.

    If all are of one SKU, that is said once.
    """
    rows = [_movement_row(each) for each in movements]
    if sku and rows:
        say(f"Movements of {sku}", style="bold")
        rows = [(*row[:_SKU_PLACE], "", *row[_SKU_PLACE + 1 :]) for row in rows]
    print_table(MOVEMENT_COLUMNS, rows, "No movements.")


def print_reservations(reservations: Iterable[stock_pb2.Reservation]) -> None:
    """A row per reservation."""
    rows = [
        (
            each.reservation_id,
            state_of(each),
            each.order_id,
            ", ".join(f"{line.sku} {_units(each, line)}" for line in each.lines),
            local_time(each.create_time),
            local_time(each.expire_time),
            local_time(each.resolve_time),
            each.at_risk,
        )
        for each in reservations
    ]
    print_table(RESERVATION_COLUMNS, rows, "No reservations.")


def say_reservation(reservation: stock_pb2.Reservation) -> None:
    """One reservation whole: its life, and where each line's units are."""
    order = f" for order {reservation.order_id}" if reservation.order_id else ""
    say(f"Reservation {reservation.reservation_id}{order}: {state_of(reservation)}", style="bold")
    say(f"made {local_time(reservation.create_time)} · {_end_of(reservation)}")
    if reservation.at_risk:
        say("at risk: the goods behind it turned out to be gone", style="bold yellow")
    if reservation.replaces_reservation_id:
        say(f"takes the place of {reservation.replaces_reservation_id}, which had expired")
    is_open = reservation.state == stock_pb2.RESERVATION_STATE_HELD
    rows = [row for line in reservation.lines for row in _line_rows(line, is_open=is_open)]
    print_table(LINE_COLUMNS, rows, "No lines.")


def print_shortfalls(shortfalls: Iterable[stock_pb2.Shortfall]) -> None:
    """A row per shortfall."""
    rows = [
        (
            each.shortfall_id,
            word(stock_pb2.ShortfallCause.Name(each.cause), "SHORTFALL_CAUSE_"),
            each.sku,
            each.location,
            each.quantity,
            each.order_id,
            each.reservation_id,
            local_time(each.open_time),
            each.owner,
            each.resolution,
        )
        for each in shortfalls
    ]
    print_table(SHORTFALL_COLUMNS, rows, "No shortfalls: everything sold can be served.")


def state_of(reservation: stock_pb2.Reservation) -> str:
    """The state's bare name, in capitals as the rules write it."""
    return word(stock_pb2.ReservationState.Name(reservation.state), "RESERVATION_STATE_").upper()


def _quantities(level: stock_pb2.StockLevel | stock_pb2.LocationLevel, *, with_shelves: bool) -> tuple[str | int, ...]:
    return (
        level.on_hand,
        level.reserved,
        level.safety_stock,
        level.available,
        number(level.exposed) if with_shelves else "",
        number(level.unallocated) if with_shelves else "",
        number(level.deficit) if level.deficit else "",
    )


def _range(least: int, most: int) -> str:
    return number(least) if least == most else f"{number(least)} to {number(most)}"


def _movement_row(movement: stock_pb2.Movement) -> tuple[str | int, ...]:
    reason = movement.reason
    if movement.corrects_revision:
        reason = f"{reason} (corrects {movement.corrects_revision})".strip()
    if movement.absorbed_by_revision:
        reason = f"{reason} (already in count {movement.absorbed_by_revision})".strip()
    happened = "" if movement.occur_time == movement.record_time else local_time(movement.occur_time)
    return (
        movement.revision,
        local_time(movement.record_time),
        word(stock_pb2.MovementKind.Name(movement.kind), "MOVEMENT_KIND_"),
        movement.sku,
        movement.location,
        movement.quantity,
        change(movement.on_hand_change, movement.on_hand_after),
        change(movement.reserved_change, movement.reserved_after),
        reason,
        movement.reservation_id,
        movement.request_id,
        happened,
    )


def _line_rows(line: stock_pb2.ReservationLine, *, is_open: bool) -> list[tuple[str | int, ...]]:
    """A row per location that holds units of the line; what was asked stands in the first."""
    places = line.allotments or [stock_pb2.Allotment(location=line.location)]
    return [
        (
            line.line_number,
            line.sku,
            place.location,
            "" if i else line.requested,
            place.held if is_open else "",
            place.committed,
            place.returned,
        )
        for i, place in enumerate(places)
    ]


def _units(reservation: stock_pb2.Reservation, line: stock_pb2.ReservationLine) -> str:
    """What a line sold, or else what it holds or held."""
    is_sold = reservation.state == stock_pb2.RESERVATION_STATE_COMMITTED
    return number(sum(place.committed if is_sold else place.held for place in line.allotments))


def _end_of(reservation: stock_pb2.Reservation) -> str:
    if reservation.state == stock_pb2.RESERVATION_STATE_HELD:
        return f"expires {local_time(reservation.expire_time)}"
    return f"{state_of(reservation).lower()} {local_time(reservation.resolve_time)}"
