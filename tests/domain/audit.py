"""Does a book add up? R18 as it can be checked after every step, and the whole of a book as a value (R11)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import datetime
from itertools import pairwise
from typing import Any

from gateway.domain.book import Book
from gateway.domain.changes import LevelKey
from gateway.domain.reservations import Reservation, ReservationState
from gateway.domain.stock import Level, Movement, MovementKind

# What a movement of each kind does to on hand and to reserved, in units of its quantity. A count sets on hand to what
# it says, whatever that takes; of a commit in part, the rest returns too; a resize goes either way.
SIGNS = {
    MovementKind.RECEIVE: (1, 0),
    MovementKind.ADJUST: (1, 0),
    MovementKind.TRANSFER_OUT: (-1, 0),
    MovementKind.TRANSFER_IN: (1, 0),
    MovementKind.RESERVE: (0, 1),
    MovementKind.RELEASE: (0, -1),
    MovementKind.EXPIRE: (0, -1),
    MovementKind.RETURN: (1, 0),
    MovementKind.SAFETY_STOCK: (0, 0),
}


def whole(book: Book) -> dict[str, Any]:
    """Everything a book holds, as a value that later changes leave alone."""
    return {name: copy(value) for name, value in vars(book).items()}


def held_units(reservations: Iterable[Reservation]) -> Counter[LevelKey]:
    """What these reservations promise, per place."""
    units: Counter[LevelKey] = Counter()
    for reservation in reservations:
        for line in reservation.lines:
            for allotment in line.allotments:
                units[line.sku, allotment.location] += allotment.held
    return units


def overdue(reservations: Iterable[Reservation], now: datetime) -> list[Reservation]:
    """Those that nobody has resolved although their time has come."""
    held = (reservation for reservation in reservations if reservation.state is ReservationState.HELD)
    return [reservation for reservation in held if reservation.state_at(now) is not ReservationState.HELD]


def audit(
    levels: Mapping[LevelKey, Level], reservations: Mapping[int, Reservation], journal: list[Movement], revision: int
) -> None:
    """Assert that levels, open reservations and a journal from its beginning add up (R18)."""
    assert [movement.revision for movement in journal] == list(range(1, revision + 1)), "revisions are gapless"
    assert all(before.record_time <= after.record_time for before, after in pairwise(journal)), "time runs on"
    held = held_units(r for r in reservations.values() if r.state is ReservationState.HELD)
    for place in levels.keys() | held.keys():
        level = levels.get(place, Level(*place))
        assert level.reserved == held[place], f"reserved is what open reservations hold at {place}"
        on_hand, reserved, safety = _follow(m for m in journal if (m.sku, m.location) == place)
        assert (on_hand, reserved) == (level.on_hand, level.reserved), f"the level is the sum of movements at {place}"
        assert safety in {level.safety_stock, None}, f"safety stock is what the last movement says at {place}"


def _follow(journal: Iterable[Movement]) -> tuple[int, int, int | None]:
    """Walk one place's movements from nothing; each must start where the one before it ended."""
    on_hand = reserved = 0
    safety = None
    for movement in journal:
        _check_kind(movement)
        on_hand += movement.on_hand_change
        reserved += movement.reserved_change
        safety = movement.safety_stock_after
        assert (on_hand, reserved) == (movement.on_hand_after, movement.reserved_after), f"the chain holds: {movement}"
        assert reserved >= 0, f"nothing is promised that was not: {movement}"
    return on_hand, reserved, safety


def _check_kind(movement: Movement) -> None:
    """What a movement did follows from its kind and quantity; one that a count absorbed did nothing (R15)."""
    changes = (movement.on_hand_change, movement.reserved_change)
    match movement.kind:
        case MovementKind.COUNT:
            follows = movement.reserved_change == 0
        case MovementKind.COMMIT:
            follows = changes[0] == -movement.quantity and changes[1] <= changes[0]
        case MovementKind.RESIZE:
            follows = changes in {(0, movement.quantity), (0, -movement.quantity)}
        case kind:
            follows = changes == tuple(sign * movement.quantity for sign in SIGNS[kind])
    if movement.absorbed_by_revision:
        follows = changes == (0, 0)
    assert follows, f"a movement does what its kind says: {movement}"
    if movement.reservation_id:
        assert movement.quantity > 0, f"a movement moves something: {movement}"
