"""What a caller may ask of the ledger, and what it answers.

Commands and answers are values: they are compared field by field (R10) and kept, encoded, as long as the journal.
They are encoded as arrays, so a new field goes to the END and has a default; then rows of older releases still decode.
"""

from datetime import datetime

from msgspec import Struct

from gateway.domain.errors import RequestIdReused
from gateway.domain.reservations import Reservation
from gateway.domain.stock import Level, Shortfall


class Command(Struct, frozen=True, array_like=True, gc=False, tag=True):
    """A wish with the id its caller chose for it."""

    request_id: str


class ReceiveStock(Command, frozen=True, gc=False, tag="receive"):
    """Goods came in. `quantity` > 0 units."""

    sku: str
    location: str
    quantity: int
    reason: str = ""
    occur_time: datetime | None = None


class AdjustStock(Command, frozen=True, gc=False, tag="adjust"):
    """On hand is corrected by `change` units (R14, R16, R17)."""

    sku: str
    location: str
    change: int
    reason: str = ""
    expected_on_hand: int | None = None
    record_reality: bool = False
    corrects_revision: int = 0
    occur_time: datetime | None = None


class CountStock(Command, frozen=True, gc=False, tag="count"):
    """The shelf was counted at `count_time` (R15); a count is reality, so it always stands."""

    sku: str
    location: str
    counted: int
    count_time: datetime | None = None
    reason: str = ""
    expected_on_hand: int | None = None


class CountNeed(Struct, frozen=True):
    """What a count asks of the journal: the changes at a place since a time. `location` "" is the first one."""

    sku: str
    location: str
    since: datetime


class TransferStock(Command, frozen=True, gc=False, tag="transfer"):
    """`quantity` > 0 units that nobody reserved go from one location to another."""

    sku: str
    from_location: str
    to_location: str
    quantity: int
    reason: str = ""


class ReserveLine(Struct, frozen=True, array_like=True, gc=False):
    """`quantity` > 0 units of a SKU, from `location` or, if that is empty, from any the command names."""

    sku: str
    quantity: int
    location: str = ""


class ReserveStock(Command, frozen=True, gc=False, tag="reserve"):
    """Promise units to an order (R1-R3, R7). `ttl_ms` 0 means the ledger's default."""

    lines: tuple[ReserveLine, ...]
    ttl_ms: int = 0
    allow_partial: bool = False
    order_id: str = ""
    locations: tuple[str, ...] = ()


class LineQuantity(Struct, frozen=True, array_like=True, gc=False):
    """`quantity` >= 0 units of the line with this number, from 1."""

    line_number: int
    quantity: int


class CommitReservation(Command, frozen=True, gc=False, tag="commit"):
    """Sell a reservation (R1, R4), all of it if `lines` is empty; R9 where `retake_expired`."""

    reservation_id: int
    lines: tuple[LineQuantity, ...] = ()
    retake_expired: bool = False


class ReleaseReservation(Command, frozen=True, gc=False, tag="release"):
    """Give a reservation up, whole (R5)."""

    reservation_id: int
    reason: str = ""


class ExtendReservation(Command, frozen=True, gc=False, tag="extend"):
    """Let a reservation run for `ttl_ms` from now, if that is later than it would (R8)."""

    reservation_id: int
    ttl_ms: int


class ResizeReservation(Command, frozen=True, gc=False, tag="resize"):
    """Change the quantities of an open reservation (R5)."""

    reservation_id: int
    lines: tuple[LineQuantity, ...]


class ReturnStock(Command, frozen=True, gc=False, tag="return"):
    """Sold goods came back, all of them if `lines` is empty, to `location` or where they had left."""

    reservation_id: int
    lines: tuple[LineQuantity, ...] = ()
    location: str = ""
    reason: str = ""


class ExpireReservation(Command, frozen=True, gc=False, tag="expire"):
    """The ledger's own: free what ran out of time. Has no request id and is not kept."""

    reservation_id: int


class SetSafetyStock(Command, frozen=True, gc=False, tag="safety"):
    """The catalog's own: from now on `safety_stock` units are never offered, at each location."""

    sku: str
    safety_stock: int


class SetFrozen(Command, frozen=True, gc=False, tag="freeze"):
    """The catalog's own: stop or allow new reservations of a SKU."""

    sku: str
    frozen: bool
    reason: str = ""


AnyCommand = (
    ReceiveStock
    | AdjustStock
    | CountStock
    | TransferStock
    | ReserveStock
    | CommitReservation
    | ReleaseReservation
    | ExtendReservation
    | ResizeReservation
    | ReturnStock
    | ExpireReservation
    | SetSafetyStock
    | SetFrozen
)


class StockMoved(Struct, frozen=True, array_like=True, gc=False, tag="moved"):
    """Answer to receive, adjust, count, transfer: the level afterwards (of a transfer: where the units arrived)."""

    level: Level
    revision: int
    record_time: datetime
    shortfall: Shortfall | None = None
    from_level: Level | None = None


class ReservationChanged(Struct, frozen=True, array_like=True, gc=False, tag="reservation"):
    """Answer to everything about reservations: the reservation afterwards."""

    reservation: Reservation
    revision: int
    record_time: datetime
    shortfalls: tuple[Shortfall, ...] = ()


class SkuChanged(Struct, frozen=True, array_like=True, gc=False, tag="sku"):
    """Answer to the catalog's own commands."""

    revision: int
    record_time: datetime


AnyAnswer = StockMoved | ReservationChanged | SkuChanged


class Recorded(Struct, frozen=True, gc=False):
    """A command that took effect, with its first answer (R10)."""

    command: AnyCommand
    answer: AnyAnswer

    def answer_to(self, command: AnyCommand) -> AnyAnswer:
        """The answer again; raises `RequestIdReused`, naming the first field that differs, for another command."""
        if self.command == command:
            return self.answer
        field = "command"
        if type(self.command) is type(command):
            names = command.__struct_fields__
            field = next(name for name in names if getattr(self.command, name) != getattr(command, name))
        raise RequestIdReused(
            f"request_id {command.request_id!r} was used before with another {field}; a new request needs a new id",
            field=field,
            request_id=command.request_id,
        )
