"""What happens to reservations: reserve, commit, release, extend, resize, expire, return (R1-R9).

Units are taken location by location, in the order the line, the command or the catalog gives (R3). What one command
has promised is already in the book's levels when its next line is looked at, so lines with the same SKU count together
(R2); a command that cannot be kept whole is rolled back by the group (`groups.py`).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from gateway.domain.book import Book
from gateway.domain.commands import (
    CommitReservation,
    ExpireReservation,
    ExtendReservation,
    LineQuantity,
    ReleaseReservation,
    ReservationChanged,
    ReserveStock,
    ResizeReservation,
    ReturnStock,
)
from gateway.domain.errors import AboveHeld, InsufficientStock, InvalidArgument, SkuFrozen
from gateway.domain.reservations import Allotment, Line, Reservation, ReservationState
from gateway.domain.stock import MovementKind, ShortfallCause


def reserve(book: Book, command: ReserveStock) -> ReservationChanged:
    """Promise units to an order: all lines or none, or per line what there is."""
    expire_time = _expire_time(book, command.ttl_ms or book.limits.ttl_default_ms)
    for number, location in enumerate(command.locations):
        book.require_location(location, f"locations[{number}]")
    reservation_id = book.next_reservation_id()
    lines = []
    granted = 0
    for number, asked in enumerate(command.lines, start=1):
        if book.rule(asked.sku, f"lines[{number - 1}].sku").frozen:
            raise SkuFrozen(f"SKU {asked.sku} is frozen: nothing new may be reserved", field="lines", sku=asked.sku)
        if asked.location:
            book.require_location(asked.location, f"lines[{number - 1}].location")
        line = Line(number, asked.sku, asked.location, asked.quantity, ())
        line, missing = _hold(
            book,
            line,
            asked.quantity,
            command.locations,
            reservation_id=reservation_id,
            request_id=command.request_id,
        )
        if missing and not command.allow_partial:
            raise _insufficient(line, asked.quantity, asked.quantity - missing, number)
        granted += asked.quantity - missing
        lines.append(line)
    if not granted:
        raise _insufficient(lines[0], lines[0].requested, 0, 1)
    reservation = book.keep(
        Reservation(
            reservation_id,
            ReservationState.HELD,
            tuple(lines),
            command.order_id,
            book.now,
            expire_time,
            locations=command.locations,
        )
    )
    return ReservationChanged(reservation, book.revision, book.now)


def commit(book: Book, command: CommitReservation) -> ReservationChanged:
    """Sell an open reservation; never fails for lack of stock (R1)."""
    reservation = book.reservation(command.reservation_id)
    if command.retake_expired and reservation.state_at(book.now) is ReservationState.EXPIRED:
        return retake(book, command, reservation)
    reservation.require_open(book.now)
    wanted = _quantities(command.lines, reservation)
    _require_at_most(command.lines, [line.held for line in reservation.lines], "held")
    lines = tuple(
        _sell(book, line, wanted.get(line.line_number, 0) if wanted else line.held, reservation, command.request_id)
        for line in reservation.lines
    )
    if not any(allotment.committed for line in lines for allotment in line.allotments):
        raise _sells_nothing()
    return _resolve(book, replace(reservation, lines=lines), ReservationState.COMMITTED)


def release(book: Book, command: ReleaseReservation) -> ReservationChanged:
    """Give an open reservation up, whole (R5)."""
    reservation = book.reservation(command.reservation_id)
    reservation.require_open(book.now)
    _free(book, reservation, MovementKind.RELEASE, command.request_id, command.reason)
    return _resolve(book, reservation, ReservationState.RELEASED)


def expire(book: Book, command: ExpireReservation) -> ReservationChanged:
    """Free a reservation whose time has come; one that was resolved or extended meanwhile is left as it is."""
    reservation = book.reservation(command.reservation_id)
    if reservation.state is not ReservationState.HELD or book.now < reservation.expire_time:
        return ReservationChanged(reservation, book.revision, book.now)
    _free(book, reservation, MovementKind.EXPIRE)
    # It has expired at its time, whenever somebody got round to it.
    expired = replace(reservation, state=ReservationState.EXPIRED, resolve_time=reservation.expire_time)
    return ReservationChanged(book.keep(expired), book.revision, book.now)


def extend(book: Book, command: ExtendReservation) -> ReservationChanged:
    """Let an open reservation run longer; never shorter (R8)."""
    reservation = book.reservation(command.reservation_id)
    reservation.require_open(book.now)
    later = max(reservation.expire_time, _expire_time(book, command.ttl_ms))
    return ReservationChanged(book.keep(replace(reservation, expire_time=later)), book.revision, book.now)


def resize(book: Book, command: ResizeReservation) -> ReservationChanged:
    """Change quantities; only the difference is compared with what is available (R5)."""
    reservation = book.reservation(command.reservation_id)
    reservation.require_open(book.now)
    wanted = _quantities(command.lines, reservation)
    lines = list(reservation.lines)
    # What one line gives up another may take, whatever their order: a caller's own hold never blocks it.
    for place, line in enumerate(lines):
        if (less := line.held - wanted.get(line.line_number, line.held)) > 0:
            lines[place] = _shrink(book, line, less, reservation, command.request_id)
    for place, line in enumerate(lines):
        if (more := wanted.get(line.line_number, line.held) - line.held) > 0:
            number = 1 + list(wanted).index(line.line_number)
            lines[place] = _grow(book, line, more, reservation, command.request_id, number=number)
    if not any(line.held for line in lines):
        raise InvalidArgument("a resize keeps at least one unit; release the reservation instead", field="lines")
    return ReservationChanged(book.keep(replace(reservation, lines=tuple(lines))), book.revision, book.now)


def return_(book: Book, command: ReturnStock) -> ReservationChanged:
    """Book sold goods that came back, to where they had left or to a named location."""
    reservation = book.reservation(command.reservation_id)
    reservation.require_committed(book.now)
    if command.location:
        book.require_location(command.location, "location")
    wanted = _quantities(command.lines, reservation)
    if wanted and not any(wanted.values()):
        raise InvalidArgument("a return books at least one unit", field="lines")
    _require_at_most(command.lines, [line.returnable for line in reservation.lines], "sold and not back yet")
    lines = []
    for line in reservation.lines:
        back = wanted.get(line.line_number, 0) if wanted else line.returnable
        lines.append(_take_back(book, line, back, reservation, command))
    if tuple(lines) == reservation.lines:
        raise AboveHeld(
            f"everything of reservation {reservation.reservation_id} has come back already", field="lines", held=0
        )
    return ReservationChanged(book.keep(replace(reservation, lines=tuple(lines))), book.revision, book.now)


# ---- holding


def _hold(
    book: Book,
    line: Line,
    quantity: int,
    locations: tuple[str, ...],
    *,
    reservation_id: int,
    request_id: str,
    kind: MovementKind = MovementKind.RESERVE,
) -> tuple[Line, int]:
    """Promise up to `quantity` more units to the line; returns it and the units that are missing."""
    missing = quantity
    allotments = {allotment.location: allotment for allotment in line.allotments}
    for location in (line.location,) if line.location else locations or book.locations:
        if not missing:
            break
        level = book.find_level(line.sku, location)
        if level is None or level.unallocated <= 0:
            continue
        taken = min(missing, level.unallocated)
        book.move(kind, level, taken, 0, taken, reservation_id=reservation_id, request_id=request_id)
        held = allotments[location].held if location in allotments else 0
        allotments[location] = Allotment(location, held + taken)
        missing -= taken
    return Line(line.line_number, line.sku, line.location, line.requested, tuple(allotments.values())), missing


def _grow(book: Book, line: Line, more: int, reservation: Reservation, request_id: str, *, number: int) -> Line:
    if book.rule(line.sku).frozen:
        raise SkuFrozen(f"SKU {line.sku} is frozen: nothing new may be reserved", field="lines", sku=line.sku)
    grown, missing = _hold(
        book,
        line,
        more,
        reservation.locations,
        reservation_id=reservation.reservation_id,
        request_id=request_id,
        kind=MovementKind.RESIZE,
    )
    if missing:
        raise _insufficient(line, more, more - missing, number)
    return replace(grown, requested=max(line.requested, grown.held))


def _shrink(book: Book, line: Line, less: int, reservation: Reservation, request_id: str) -> Line:
    kept = []
    for allotment in reversed(line.allotments):
        back = min(less, allotment.held)
        less -= back
        if back:
            level = book.level(line.sku, allotment.location)
            book.move(
                MovementKind.RESIZE,
                level,
                back,
                0,
                -back,
                reservation_id=reservation.reservation_id,
                request_id=request_id,
            )
        kept.append(replace(allotment, held=allotment.held - back))
    return replace(line, allotments=tuple(reversed(kept)))


def _free(book: Book, reservation: Reservation, kind: MovementKind, request_id: str = "", reason: str = "") -> None:
    for line, allotment in _allotments(reservation.lines):
        if allotment.held:
            level = book.level(line.sku, allotment.location)
            book.move(
                kind,
                level,
                allotment.held,
                0,
                -allotment.held,
                reservation_id=reservation.reservation_id,
                request_id=request_id,
                reason=reason,
                occur_time=reservation.expire_time if kind is MovementKind.EXPIRE else None,
            )


# ---- selling, and coming back


def _sell(book: Book, line: Line, quantity: int, reservation: Reservation, request_id: str) -> Line:
    """Sell `quantity` of what the line holds; the rest returns at once (R4)."""
    sold_lines = []
    for allotment in line.allotments:
        sold = min(quantity, allotment.held)
        quantity -= sold
        sold_lines.append(Allotment(allotment.location, allotment.held, sold))
        if allotment.held:
            book.move(
                MovementKind.COMMIT if sold else MovementKind.RELEASE,
                book.level(line.sku, allotment.location),
                sold or allotment.held,
                -sold,
                -allotment.held,
                reservation_id=reservation.reservation_id,
                request_id=request_id,
            )
    return replace(line, allotments=tuple(sold_lines))


def retake(book: Book, command: CommitReservation, ended: Reservation) -> ReservationChanged:
    """Payment came after the promise had ended (R9): a linked reservation takes and sells what there is.

    The rest is a shortfall.
    """
    if ended.replaced_by_reservation_id:
        ended.require_open(book.now)
    if ended.state is ReservationState.HELD:
        ended = expire(book, ExpireReservation("", ended.reservation_id)).reservation
    reservation = Reservation(
        book.next_reservation_id(),
        ReservationState.HELD,
        (),
        ended.order_id,
        book.now,
        book.now,
        replaces_reservation_id=ended.reservation_id,
        locations=ended.locations,
    )
    book.keep(replace(ended, replaced_by_reservation_id=reservation.reservation_id))
    wanted = _quantities(command.lines, ended)
    _require_at_most(command.lines, [line.held for line in ended.lines], "held before it ended")
    lines = []
    shortfalls = []
    for old in ended.lines:
        quantity = wanted.get(old.line_number, 0) if wanted else old.held
        line = Line(old.line_number, old.sku, old.location, quantity, ())
        line, missing = _hold(
            book,
            line,
            quantity,
            ended.locations,
            reservation_id=reservation.reservation_id,
            request_id=command.request_id,
        )
        lines.append(_sell(book, line, line.held, reservation, command.request_id))
        if missing:
            cause = ShortfallCause.PAID_TOO_LATE
            shortfalls.append(book.open_shortfall(cause, line.sku, line.location, missing, reservation))
    if not any(line.requested for line in lines):
        raise _sells_nothing()
    sold = _resolve(book, replace(reservation, lines=tuple(lines)), ReservationState.COMMITTED)
    return replace(sold, shortfalls=tuple(shortfalls))


def _take_back(book: Book, line: Line, quantity: int, reservation: Reservation, command: ReturnStock) -> Line:
    kept = []
    for allotment in line.allotments:
        back = min(quantity, allotment.committed - allotment.returned)
        quantity -= back
        if back:
            book.move(
                MovementKind.RETURN,
                book.level(line.sku, command.location or allotment.location),
                back,
                back,
                reservation_id=reservation.reservation_id,
                request_id=command.request_id,
                reason=command.reason,
            )
        kept.append(replace(allotment, returned=allotment.returned + back))
    return replace(line, allotments=tuple(kept))


# ---- shared by the verbs


def _resolve(book: Book, reservation: Reservation, state: ReservationState) -> ReservationChanged:
    resolved = replace(reservation, state=state, resolve_time=book.now)
    return ReservationChanged(book.keep(resolved), book.revision, book.now)


def _expire_time(book: Book, ttl_ms: int) -> datetime:
    if ttl_ms > book.limits.ttl_max_ms:
        raise InvalidArgument(
            f"ttl_ms {ttl_ms} is above the limit of {book.limits.ttl_max_ms} ms",
            field="ttl_ms",
            ttl_max_ms=book.limits.ttl_max_ms,
        )
    return book.now + timedelta(milliseconds=ttl_ms)


def _allotments(lines: Iterable[Line]) -> Iterator[tuple[Line, Allotment]]:
    for line in lines:
        for allotment in line.allotments:
            yield line, allotment


def _quantities(asked: tuple[LineQuantity, ...], reservation: Reservation) -> dict[int, int]:
    """Line number to quantity; raises `InvalidArgument` for a number the reservation does not have, or has twice."""
    quantities: dict[int, int] = {}
    for place, one in enumerate(asked):
        if not 1 <= one.line_number <= len(reservation.lines) or one.line_number in quantities:
            raise InvalidArgument(
                f"line_number {one.line_number} is no line of reservation {reservation.reservation_id}, or named twice",
                field=f"lines[{place}].line_number",
            )
        quantities[one.line_number] = one.quantity
    return quantities


def _require_at_most(asked: tuple[LineQuantity, ...], limits: list[int], words: str) -> None:
    """Raise `AboveHeld` for a line of which more is asked than its limit; `limits` has one for each line there is."""
    for place, one in enumerate(asked):
        limit = limits[one.line_number - 1]
        if one.quantity > limit:
            raise AboveHeld(
                f"line {one.line_number}: {one.quantity} units asked, {limit} {words}",
                field=f"lines[{place}].quantity",
                line_number=one.line_number,
                held=limit,
                asked=one.quantity,
            )


def _sells_nothing() -> InvalidArgument:
    return InvalidArgument("a commit sells at least one unit; release the reservation instead", field="lines")


def _insufficient(line: Line, asked: int, available: int, number: int) -> InsufficientStock:
    return InsufficientStock(
        f"{asked} units of {line.sku} asked, {available} available",
        field=f"lines[{number - 1}].quantity",
        sku=line.sku,
        location=line.location,
        available=available,
        asked=asked,
    )
