"""What the book says, in the model's words, so that the two can be compared."""

from gateway.domain.book import Book
from gateway.domain.changes import LevelKey
from gateway.domain.commands import ReservationChanged, StockMoved
from gateway.domain.errors import GatewayError
from gateway.domain.groups import Outcome
from gateway.domain.reservations import Reservation
from tests.domain.audit import held_units, overdue
from tests.domain.facts import View
from tests.domain.model import Model

Said = View | type[GatewayError]
Levels = dict[LevelKey, tuple[int, int, int]]


def said_by_model(outcome: View | GatewayError) -> Said:
    """An answer as it is; of a refusal its class."""
    return type(outcome) if isinstance(outcome, GatewayError) else outcome


def said_by_book(outcome: Outcome) -> Said:
    """An answer in the model's words; of a refusal its class."""
    match outcome:
        case GatewayError():
            return type(outcome)
        case StockMoved(level=level, shortfall=shortfall, from_level=left):
            place = (level.sku, level.location)
            gone = shortfall.quantity if shortfall else 0
            moved = {"place": place, "on_hand": level.on_hand, "shortfall": gone}
            return {**moved, "from_on_hand": left.on_hand} if left else moved
        case ReservationChanged(reservation=reservation, shortfalls=shortfalls):
            missing = [{"sku": s.sku, "location": s.location, "quantity": s.quantity} for s in shortfalls]
            return {**_view(reservation), "shortfalls": missing}
        case _:
            return {}


def levels_of_model(model: Model) -> Levels:
    """On hand, reserved and available of every place."""
    places = [(sku, location) for sku in model.safety for location in model.locations]
    return {place: (model.on_hand(place), model.reserved(place), model.available(place)) for place in places}


def levels_of_book(book: Book) -> Levels:
    """The same; an expired hold is never counted, even before the sweeper ran (R7)."""
    levels = {}
    expired = held_units(overdue(book._reservations.values(), book.now))
    for place in [(sku, location) for sku in book._skus for location in book.locations]:
        level = book.level(*place)
        reserved = level.reserved - expired[place]
        levels[place] = (level.on_hand, reserved, max(0, level.on_hand - reserved - level.safety_stock))
    return levels


def _view(reservation: Reservation) -> View:
    lines = []
    for line in reservation.lines:
        at = {a.location: [a.held, a.committed, a.returned] for a in line.allotments if a.held}
        lines.append((line.sku, line.requested, at))
    return {
        "number": reservation.reservation_id,
        "state": reservation.state.name,
        "order": reservation.order_id,
        "expires": None if reservation.replaces_reservation_id else reservation.expire_time,
        "replaces": reservation.replaces_reservation_id,
        "lines": lines,
    }
