"""The replay's own books: what each kind of answer does to the counts."""

from datetime import UTC, datetime

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway.cli.schedule import Event, Step
from gateway.cli.tally import Tally, Verdict
from gateway.cli.tape import Order
from gateway.v1 import stock_pb2, stock_service_pb2

START = datetime(2020, 2, 24, tzinfo=UTC)
PAID = Order("1", START, START, is_refunded=True)
UNPAID = Order("2", START, None, is_refunded=False)


def reserved(reservation_id: str) -> stock_service_pb2.BatchResult:
    """The answer to a reserve."""
    reservation = stock_pb2.Reservation(reservation_id=reservation_id)
    return stock_service_pb2.BatchResult(reserve=stock_service_pb2.ReserveStockResponse(reservation=reservation))


def committed(reservation_id: str, *shortfalls: stock_pb2.Shortfall) -> stock_service_pb2.BatchResult:
    """The answer to a commit."""
    reservation = stock_pb2.Reservation(reservation_id=reservation_id)
    response = stock_service_pb2.CommitReservationResponse(reservation=reservation, shortfalls=shortfalls)
    return stock_service_pb2.BatchResult(commit=response)


def refused(code: int, reason: str) -> stock_service_pb2.BatchResult:
    """An error as the answer to anything."""
    status = status_pb2.Status(code=code, message="no")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="stockgate"))
    return stock_service_pb2.BatchResult(error=status)


def returned() -> stock_service_pb2.BatchResult:
    """The answer to a return."""
    return stock_service_pb2.BatchResult(return_stock=stock_service_pb2.ReturnStockResponse())


def event(order: Order, step: Step) -> Event:
    """A step of an order, whenever."""
    return Event(START, order, step)


def test_an_order_is_followed_to_its_return() -> None:
    """Reserved, sold, returned: nothing on hand has changed in the end."""
    tally = Tally()
    assert tally.enter(event(PAID, Step.RESERVE), reserved("r1")) is Verdict.GOES_ON
    assert tally.reservation_id(event(PAID, Step.COMMIT)) == "r1"
    assert tally.enter(event(PAID, Step.COMMIT), committed("r1")) is Verdict.GOES_ON
    assert tally.on_hand_change == -1
    assert tally.enter(event(PAID, Step.RETURN), returned()) is Verdict.ENDS
    assert (tally.accepted, tally.committed, tally.returned, tally.on_hand_change) == (1, 1, 1, 0)
    assert tally.commands == 3


def test_an_unpaid_order_is_left_to_expire() -> None:
    """Its reservation is remembered, to be found expired later."""
    tally = Tally()
    assert tally.enter(event(UNPAID, Step.RESERVE), reserved("r2")) is Verdict.ENDS
    assert tally.unpaid_reservation_ids == {"r2"}


def test_want_of_stock_is_a_refusal_and_no_failure() -> None:
    """A sold-out shelf is what a replay expects."""
    tally = Tally()
    answer = refused(code_pb2.FAILED_PRECONDITION, "INSUFFICIENT_STOCK")
    assert tally.enter(event(PAID, Step.RESERVE), answer) is Verdict.ENDS
    assert (tally.refused, tally.failed, tally.commands) == (1, 0, 1)


def test_a_late_payment_takes_the_units_again() -> None:
    """The new reservation is the one whose goods come back."""
    tally = Tally()
    tally.enter(event(PAID, Step.RESERVE), reserved("r1"))
    assert tally.enter(event(PAID, Step.COMMIT), committed("r9")) is Verdict.GOES_ON
    assert (tally.committed, tally.retaken) == (1, 1)
    assert tally.reservation_id(event(PAID, Step.RETURN)) == "r9"


def test_a_payment_that_came_too_late_sells_nothing() -> None:
    """A shortfall is no sale: there is nothing to return either."""
    tally = Tally()
    tally.enter(event(PAID, Step.RESERVE), reserved("r1"))
    answer = committed("r1", stock_pb2.Shortfall(shortfall_id="1"))
    assert tally.enter(event(PAID, Step.COMMIT), answer) is Verdict.ENDS
    assert (tally.committed, tally.paid_too_late, tally.on_hand_change) == (0, 1, 0)


@pytest.mark.parametrize("code", [code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.RESOURCE_EXHAUSTED])
def test_what_is_worth_repeating_is_no_answer(code: int) -> None:
    """It is counted nowhere, and sent again."""
    tally = Tally()
    assert tally.enter(event(PAID, Step.RESERVE), refused(code, "DATABASE_UNAVAILABLE")) is Verdict.AGAIN
    assert (tally.commands, tally.failed) == (0, 0)


@pytest.mark.parametrize(
    ("step", "reason"), [(Step.RESERVE, "SKU_FROZEN"), (Step.COMMIT, "INSUFFICIENT_STOCK"), (Step.RETURN, "ABOVE_HELD")]
)
def test_any_other_error_is_a_failure(step: Step, reason: str) -> None:
    """It is counted by its reason, and makes the replay fail in the end."""
    tally = Tally()
    tally.enter(event(PAID, Step.RESERVE), reserved("r1"))
    assert tally.enter(event(PAID, step), refused(code_pb2.FAILED_PRECONDITION, reason)) is Verdict.ENDS
    assert dict(tally.failures) == {reason: 1}
