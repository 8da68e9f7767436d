"""The ledger's working copy of one group of commands.

The writer loads what a group touches into a `Book`, the verbs of `shelves.py` and `promises.py` change it, command by
command, and the writer saves what has changed in one transaction. A book knows nothing of the database; two books with
the same content and the same commands come to the same end.

Every change goes through `_put` or an append, so that `rollback` can take back whatever came after a `mark`: a refused
command leaves nothing behind (R11), and neither does the half of an atomic group.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from gateway.domain.commands import AnyAnswer, AnyCommand, CountNeed, Recorded
from gateway.domain.errors import LocationUnknown, QuantityOverflow, RequestIdReused, ReservationUnknown, SkuUnknown
from gateway.domain.reservations import Reservation, ReservationState
from gateway.domain.stock import UNITS_MAX, Level, Movement, MovementKind, Shortfall, ShortfallCause, SkuRule

LevelKey = tuple[str, str]
_ABSENT: Any = object()
# The field of the command whose number is at fault when a level would hold too much; elsewhere it is `quantity`.
_QUANTITY_FIELD = {MovementKind.ADJUST: "change", MovementKind.COUNT: "counted", MovementKind.RETURN: ""}


class Limits(Struct, frozen=True):
    """Bounds on a reservation's time to live, in milliseconds (R7)."""

    ttl_default_ms: int = 15 * 60 * 1000
    ttl_max_ms: int = 7 * 24 * 3600 * 1000


class Counters(Struct, frozen=True):
    """The last numbers given out."""

    revision: int = 0
    reservation: int = 0
    shortfall: int = 0


class Mark(NamedTuple):
    """A point to roll back to."""

    undo: int
    movements: int
    recorded: int
    shortfalls: int
    counters: tuple[int, int, int]


class Book:
    """What one group needs to know and what it changes. Quantities in units, times aware UTC."""

    def __init__(
        self,
        *,
        now: datetime,
        counters: Counters,
        locations: tuple[str, ...],
        skus: Mapping[str, SkuRule],
        levels: Mapping[LevelKey, Level],
        reservations: Mapping[int, Reservation] | None = None,
        recorded: Mapping[str, Recorded] | None = None,
        changed_since: Mapping[CountNeed, int] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Take over what was loaded. `changed_since` is what movements did after a count (R15)."""
        self.now = now
        self.locations = locations
        self.limits = limits or Limits()
        self.revision = counters.revision
        self.changed_since = changed_since or {}
        self.movements: list[Movement] = []
        self.newly_recorded: list[Recorded] = []
        self.shortfalls: list[Shortfall] = []
        self._reservation_number = self._first_reservation_number = counters.reservation
        self._shortfall_number = counters.shortfall
        self._skus = dict(skus)
        self._levels = dict(levels)
        self._reservations = dict(reservations or {})
        self._recorded = dict(recorded or {})
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    # ---- what is known

    def rule(self, sku: str, field: str = "sku") -> SkuRule:
        """The SKU's rule; raises `SkuUnknown`."""
        rule = self._skus.get(sku)
        if rule is None:
            raise SkuUnknown(f"no SKU has the code {sku!r}", field=field, sku=sku)
        return rule

    def find_level(self, sku: str, location: str) -> Level | None:
        """The level, if the SKU ever lay there."""
        return self._levels.get((sku, location))

    def level(self, sku: str, location: str, field: str = "location") -> Level:
        """The level, an empty one if the SKU never lay there; raises `SkuUnknown`, `LocationUnknown`."""
        rule = self.rule(sku)
        self.require_location(location, field)
        return self._levels.get((sku, location)) or Level(sku, location, safety_stock=rule.safety_stock)

    def levels_of(self, sku: str) -> list[Level]:
        """The levels of a SKU, in the order in which locations serve."""
        found = (self._levels.get((sku, location)) for location in self.locations)
        return [level for level in found if level is not None]

    def require_location(self, location: str, field: str) -> None:
        """Raise `LocationUnknown` unless the catalog has it."""
        if location not in self.locations:
            raise LocationUnknown(f"no location has the code {location!r}", field=field, location=location)

    def reservation(self, reservation_id: int) -> Reservation:
        """The reservation; raises `ReservationUnknown`."""
        reservation = self._reservations.get(reservation_id)
        if reservation is None:
            raise ReservationUnknown(
                f"no reservation has the id {reservation_id}", field="reservation_id", reservation_id=reservation_id
            )
        return reservation

    def has_resolved(self, reservation_id: int) -> bool:
        """True if the reservation is here, and open no more."""
        reservation = self._reservations.get(reservation_id)
        return reservation is not None and reservation.state is not ReservationState.HELD

    def first_answer(self, command: AnyCommand) -> AnyAnswer | None:
        """The answer this request id got before, if it did; raises `RequestIdReused` for other content (R10)."""
        known = self._recorded.get(command.request_id)
        if known is None:
            return None
        if known.command != command:
            raise _reused(known.command, command)
        return known.answer

    # ---- what changes

    def move(
        self,
        kind: MovementKind,
        level: Level,
        quantity: int,
        on_hand_change: int = 0,
        reserved_change: int = 0,
        *,
        reservation_id: int | None = None,
        request_id: str | None = None,
        reason: str = "",
        occur_time: datetime | None = None,
        safety_stock: int | None = None,
        corrects_revision: int = 0,
        absorbed_by_revision: int = 0,
    ) -> Level:
        """Append a movement and return the level after it; raises `QuantityOverflow` (R13)."""
        on_hand = level.on_hand + on_hand_change
        if on_hand > UNITS_MAX:
            raise QuantityOverflow(
                f"{level.sku} at {level.location} would hold {on_hand} units; a level holds at most {UNITS_MAX}",
                field=_QUANTITY_FIELD.get(kind, "quantity"),
                units_max=UNITS_MAX,
            )
        self.revision = revision = self.revision + 1
        safety = level.safety_stock if safety_stock is None else safety_stock
        reserved = level.reserved + reserved_change
        is_count = kind is MovementKind.COUNT and not absorbed_by_revision
        happened = occur_time or self.now
        after = Level(
            level.sku,
            level.location,
            on_hand,
            reserved,
            safety,
            happened if is_count else level.last_count_time,
            revision if is_count else level.last_count_revision,
            revision,
        )
        self._put(self._levels, (level.sku, level.location), after)
        self.movements.append(
            Movement(
                revision,
                self.now,
                happened,
                kind,
                level.sku,
                level.location,
                quantity,
                on_hand_change,
                reserved_change,
                on_hand,
                reserved,
                safety,
                reservation_id,
                request_id or None,
                reason or None,
                corrects_revision or None,
                absorbed_by_revision or None,
            )
        )
        return after

    def next_reservation_id(self) -> int:
        """A number no reservation has."""
        self._reservation_number += 1
        return self._reservation_number

    def keep(self, reservation: Reservation) -> Reservation:
        """Remember the reservation as it is now."""
        self._put(self._reservations, reservation.reservation_id, reservation)
        return reservation

    def keep_rule(self, sku: str, rule: SkuRule) -> None:
        """Remember the SKU's rule as it is now."""
        self._put(self._skus, sku, rule)

    def open_shortfall(
        self, cause: ShortfallCause, sku: str, location: str, quantity: int, reservation: Reservation | None = None
    ) -> Shortfall:
        """Record units sold that cannot be served."""
        self._shortfall_number += 1
        shortfall = Shortfall(
            self._shortfall_number,
            cause,
            sku,
            location,
            quantity,
            self.now,
            reservation.reservation_id if reservation else None,
            reservation.order_id if reservation else "",
        )
        self.shortfalls.append(shortfall)
        return shortfall

    def record(self, command: AnyCommand, answer: AnyAnswer) -> None:
        """Remember the request id with its first answer (R10); commands without an id are the ledger's own."""
        if command.request_id:
            recorded = Recorded(command, answer)
            self._put(self._recorded, command.request_id, recorded)
            self.newly_recorded.append(recorded)

    # ---- taking back, handing over

    def mark(self) -> Mark:
        """A point to roll back to."""
        return Mark(
            len(self._undo),
            len(self.movements),
            len(self.newly_recorded),
            len(self.shortfalls),
            (self.revision, self._reservation_number, self._shortfall_number),
        )

    def rollback(self, mark: Mark) -> None:
        """Take back everything since the mark."""
        for table, key, before in reversed(self._undo[mark.undo :]):
            if before is _ABSENT:
                del table[key]
            else:
                table[key] = before
        del self._undo[mark.undo :]
        del self.movements[mark.movements :]
        del self.newly_recorded[mark.recorded :]
        del self.shortfalls[mark.shortfalls :]
        self.revision, self._reservation_number, self._shortfall_number = mark.counters

    @property
    def counters(self) -> Counters:
        """The last numbers given out."""
        return Counters(self.revision, self._reservation_number, self._shortfall_number)

    def changed(self) -> "Changes":
        """What is to be saved: each level, reservation and rule once, as it is at the end."""
        levels: dict[LevelKey, Level] = {}
        reservations: dict[int, Reservation] = {}
        skus: dict[str, SkuRule] = {}
        for table, key, _ in self._undo:
            if table is self._levels:
                levels[key] = table[key]
            elif table is self._reservations:
                reservations[key] = table[key]
            elif table is self._skus:
                skus[key] = table[key]
        first = self._first_reservation_number
        return Changes(
            counters=self.counters,
            now=self.now,
            movements=self.movements,
            recorded=self.newly_recorded,
            shortfalls=self.shortfalls,
            levels=levels,
            reservations_new=[r for key, r in reservations.items() if key > first],
            reservations_changed=[r for key, r in reservations.items() if key <= first],
            skus=skus,
        )

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((table, key, table.get(key, _ABSENT)))
        table[key] = value


class Changes(Struct, frozen=True):
    """What one group changed, ready to be saved; empty if `is_empty`."""

    counters: Counters
    now: datetime
    movements: list[Movement]
    recorded: list[Recorded]
    shortfalls: list[Shortfall]
    levels: dict[LevelKey, Level]
    reservations_new: list[Reservation]
    reservations_changed: list[Reservation]
    skus: dict[str, SkuRule]

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to save: every command was refused or had been answered before."""
        return not (self.movements or self.recorded or self.reservations_changed or self.skus)


def _reused(known: AnyCommand, command: AnyCommand) -> RequestIdReused:
    field = "command"
    if type(known) is type(command):
        names = command.__struct_fields__
        field = next(name for name in names if getattr(known, name) != getattr(command, name))
    return RequestIdReused(
        f"request_id {command.request_id!r} was used before with another {field}; choose a new id for a new request",
        field=field,
        request_id=command.request_id,
    )
