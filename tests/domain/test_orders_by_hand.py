"""Orders of platforms whose promises somebody has touched by hand, or time has ended: none is dropped (R23)."""

from datetime import timedelta

import pytest

from gateway.domain.commands import (
    AdjustStock,
    CommitReservation,
    LineQuantity,
    ReleaseReservation,
    ResizeReservation,
)
from gateway.domain.groups import Wish
from gateway.domain.listings import ChannelFacts
from gateway.domain.orders import UNHEARD
from gateway.domain.reservations import ReservationState
from gateway.domain.selling import OrderLine, OrderState, TakeOrder
from gateway.domain.stock import ShortfallCause
from tests.domain.counter_desk import (
    CUP,
    ITEMS,
    ON_HAND,
    PAID_FOR,
    at,
    require_accepted,
    require_exposed,
    selling_ledger,
)
from tests.selling.ledger import Ledger

PLACED, PAID, CLOSED = OrderState.PLACED, OrderState.PAID, OrderState.CLOSED
TOO_LATE_SECONDS = (timedelta(hours=1) + UNHEARD).total_seconds()


@pytest.fixture
def ledger() -> Ledger:
    """A ledger that sells CUP, of which 200 are on hand, and promises three to an order."""
    found = selling_ledger(ChannelFacts())
    tell(found, 1, PLACED, 3)
    return found


def tell(ledger: Ledger, second: int, state: OrderState, quantity: int, *, refunded: int = 0, of: int = CUP) -> None:
    """The platform's word on order `a` at a second; whatever was done by hand, it is taken in."""
    line = OrderLine("1", ITEMS[of], "", quantity, refunded, given_back_time=at(second) if refunded else None)
    paid = at(second) if state is PAID else None
    play(ledger, TakeOrder("tb", "a", state, (line,), at(0), at(second), paid))


def play(ledger: Ledger, *commands: Wish) -> None:
    """None of them is refused, and what listings show is what levels expose (R20)."""
    require_accepted(ledger.apply(*commands))
    require_exposed(ledger)


def promised(ledger: Ledger) -> int:
    """The number of the order's reservation."""
    return ledger.orders["tb", "a"].lines[0].reservation_id


def units(ledger: Ledger) -> tuple[int, int]:
    """CUPs on hand and reserved, in all."""
    levels = [level for (sku, _), level in ledger.levels.items() if sku == "CUP"]
    return sum(level.on_hand for level in levels), sum(level.reserved for level in levels)


def test_a_promise_given_up_by_hand_is_kept_when_the_order_is_paid(ledger: Ledger) -> None:
    """R23: the units are taken again, by a reservation that is linked; a refund later puts them back."""
    given_up = promised(ledger)
    play(ledger, ReleaseReservation("r", given_up))
    assert units(ledger) == (2 * ON_HAND, 0)
    tell(ledger, 2, PAID, 3)
    assert units(ledger) == (2 * ON_HAND - 3, 0)
    assert ledger.reservations[promised(ledger)].replaces_reservation_id == given_up
    assert not ledger.shortfalls
    tell(ledger, 3, PAID, 3, refunded=1)
    assert units(ledger) == (2 * ON_HAND - 2, 0)


def test_what_was_sold_to_others_meanwhile_is_a_shortfall(ledger: Ledger) -> None:
    """R23: an order whose promise was given up by hand, and whose units have gone, is told of, once."""
    play(ledger, ReleaseReservation("r", promised(ledger)))
    for location in ledger.locations:
        level = ledger.levels["CUP", location]
        play(ledger, AdjustStock(location, "CUP", location, -level.on_hand, "stolen"))
    tell(ledger, 2, PAID, 3)
    assert [(one.cause, one.quantity) for one in ledger.shortfalls] == [(ShortfallCause.PAID_TOO_LATE, 3)]
    assert units(ledger) == (0, 0)
    tell(ledger, 3, PAID, 3)
    assert len(ledger.shortfalls) == 1


def test_an_order_sold_again_by_hand_is_not_refused(ledger: Ledger) -> None:
    """R9, R23: somebody has booked the late payment before the platform told of it: sold once, and returned once."""
    first = promised(ledger)
    ledger.timeline.seconds = TOO_LATE_SECONDS
    play(ledger, CommitReservation("r", first, retake_expired=True))
    tell(ledger, 2, PAID, 3)
    assert units(ledger) == (2 * ON_HAND - 3, 0)
    assert promised(ledger) == ledger.reservations[first].replaced_by_reservation_id
    tell(ledger, 3, PAID, 3, refunded=3)
    assert units(ledger) == (2 * ON_HAND, 0)


def test_an_order_sold_again_by_hand_and_closed(ledger: Ledger) -> None:
    """R23: the platform closes it all the same: what was sold is on the shelf again."""
    ledger.timeline.seconds = TOO_LATE_SECONDS
    play(ledger, CommitReservation("r", promised(ledger), retake_expired=True))
    tell(ledger, 2, CLOSED, 3)
    assert units(ledger) == (2 * ON_HAND, 0)


def test_a_promise_made_smaller_by_hand_does_not_grow_again(ledger: Ledger) -> None:
    """R23: the order is taken in though the shelf is empty: fewer units than before ask for none."""
    play(ledger, ResizeReservation("r", promised(ledger), (LineQuantity(1, 1),)))
    for location in ledger.locations:
        level = ledger.levels["CUP", location]
        play(ledger, AdjustStock(location, "CUP", location, level.reserved - level.on_hand, "stolen"))
    tell(ledger, 2, PLACED, 2)
    assert units(ledger) == (1, 1)
    tell(ledger, 3, PAID, 2)
    assert units(ledger) == (0, 0)


def test_an_order_that_ran_out_small_is_not_sold_large(ledger: Ledger) -> None:
    """R9: paid after expiry, of an order that had become smaller: what is owed is taken, and not what was once held."""
    ledger.timeline.seconds = TOO_LATE_SECONDS
    tell(ledger, 2, PLACED, 2)
    tell(ledger, 3, PAID, 2)
    assert units(ledger) == (2 * ON_HAND - 2, 0)
    assert ledger.reservations[promised(ledger)].state is ReservationState.COMMITTED
    assert not ledger.shortfalls


def test_an_order_is_demand_once() -> None:
    """R33: where payment takes units an order counts as demand when it is placed, and not again as it changes."""
    ledger = selling_ledger(ChannelFacts())
    for second, state in enumerate((PLACED, PLACED, PLACED, PAID, PAID), start=1):
        tell(ledger, second, state, 3, of=PAID_FOR)
    once = selling_ledger(ChannelFacts())
    tell(once, 1, PAID, 3, of=PAID_FOR)
    assert ledger.listings[PAID_FOR].state.pace == once.listings[PAID_FOR].state.pace > 0
