"""Payment after expiry (R9), and goods that come back: what happens to a reservation once it is resolved."""

import pytest

from gateway.domain import commands as c
from gateway.domain.errors import (
    AboveHeld,
    InsufficientStock,
    InvalidArgument,
    LocationUnknown,
    QuantityOverflow,
    ReservationExpired,
    ReservationResolved,
)
from gateway.domain.reservations import Allotment, Reservation, ReservationState
from gateway.domain.stock import UNITS_MAX, MovementKind, ShortfallCause
from tests.domain.desk import Desk, line, some

RETAKE = c.CommitReservation("", 1, retake_expired=True)
TTL_MS = 1000


def expired(*lines: c.ReserveLine, locations: tuple[str, ...] = (), **stock: int) -> Desk:
    """A desk where reservation 1 has run out of time, this instant, and the sweeper has not been there."""
    desk = Desk(**stock)
    desk.changed(c.ReserveStock("", lines, TTL_MS, order_id="order-1", locations=locations))
    desk.wait(TTL_MS)
    return desk


def sold(reservation: Reservation) -> list[int]:
    return [sum(allotment.committed for allotment in one.allotments) for one in reservation.lines]


@pytest.mark.parametrize("swept", [False, True])
def test_units_that_are_there_are_taken_again(*, swept: bool) -> None:
    """R9: payment after expiry: the units are taken again if there are any: a new reservation, linked."""
    desk = expired(line(3), line(2), east=5)
    if swept:
        desk.changed(c.ExpireReservation("", 1))
    answer = desk.changed(RETAKE)
    new, old = answer.reservation, desk.book.reservation(1)
    assert (new.state, new.order_id, sold(new)) == (ReservationState.COMMITTED, "order-1", [3, 2])
    assert (new.reservation_id, new.replaces_reservation_id) == (2, 1)
    assert (old.state, old.replaced_by_reservation_id) == (ReservationState.EXPIRED, 2)
    assert (answer.shortfalls, desk.on_hand(), desk.reserved()) == ((), 0, 0)


@pytest.mark.parametrize(("taken_by_others", "missing"), [(1, [1]), (3, [3]), (4, [1, 3]), (5, [2, 3])])
@pytest.mark.parametrize("swept", [False, True])
def test_units_that_others_took_become_a_shortfall(taken_by_others: int, missing: list[int], *, swept: bool) -> None:
    """R9: what is not there any more, some or all, becomes a shortfall of the order, per line."""
    desk = expired(line(2), line(3), east=5)
    if swept:
        desk.changed(c.ExpireReservation("", 1))
    desk.moved(c.AdjustStock("", "A", "east", -taken_by_others, record_reality=True))
    answer = desk.changed(RETAKE)
    assert [shortfall.quantity for shortfall in answer.shortfalls] == missing
    assert sum(sold(answer.reservation)) == 5 - taken_by_others
    assert {(s.cause, s.order_id, s.reservation_id, s.sku) for s in answer.shortfalls} == {
        (ShortfallCause.PAID_TOO_LATE, "order-1", 2, "A")
    }
    assert (answer.reservation.state, desk.on_hand()) == (ReservationState.COMMITTED, 0)


@pytest.mark.parametrize("units", [5, 1, 0])
def test_an_order_is_not_taken_again_twice(units: int) -> None:
    """R9, R6: a second payment is refused, whether the first found units or not, and says what came first."""
    desk = expired(line(2), east=2)
    desk.changed(c.ExpireReservation("", 1))
    desk.moved(c.CountStock("", "A", "east", units))
    desk.changed(RETAKE)
    assert desk.refused(ReservationExpired, RETAKE).facts["state"] == "EXPIRED"
    assert desk.refused(ReservationResolved, c.CommitReservation("", 2)).facts["state"] == "COMMITTED"


def test_retaking_is_asked_for() -> None:
    """R6: a commit that does not ask for it does not take again what expired."""
    desk = expired(line(2), east=2)
    desk.refused(ReservationExpired, c.CommitReservation("", 1))


def test_only_what_expired_is_taken_again() -> None:
    """R6, R9: a commit that may retake sells an open reservation as it is, and leaves a resolved one alone."""
    desk = Desk(east=9)
    desk.reserve(line(2))
    desk.reserve(line(2))
    assert desk.changed(RETAKE).reservation.reservation_id == 1
    desk.refused(ReservationResolved, RETAKE)
    desk.changed(c.ReleaseReservation("", 2))
    desk.refused(ReservationResolved, c.CommitReservation("", 2, retake_expired=True))


def test_a_part_is_taken_again() -> None:
    """R4, R9: of what had been held a part may be taken again; a line left out takes nothing, and moves nothing."""
    desk = expired(line(3), line(2), east=5)
    desk.changed(c.ExpireReservation("", 1))
    before = len(desk.book.movements)
    answer = desk.changed(c.CommitReservation("", 1, some(2), retake_expired=True))
    assert sold(answer.reservation) == [2, 0]
    assert answer.shortfalls == ()
    kinds = [movement.kind for movement in desk.book.movements[before:]]
    assert kinds == [MovementKind.RESERVE, MovementKind.COMMIT]


def test_a_line_that_held_nothing_takes_nothing() -> None:
    """R9: the units that were promised are taken again, not those that had been refused."""
    desk = Desk(east=2)
    desk.reserve(line(2), line(2), allow_partial=True)
    desk.wait(TTL_MS)
    desk.moved(c.ReceiveStock("", "A", "east", 5))
    assert sold(desk.changed(RETAKE).reservation) == [2, 0]


@pytest.mark.parametrize(
    ("asked", "locations", "at"),
    [
        (line(3), (), [Allotment("east", 3, 3)]),
        (line(6), (), [Allotment("east", 4, 4), Allotment("west", 2, 2)]),
        (line(3), ("west", "east"), [Allotment("west", 3, 3)]),
        (line(3, "west"), (), [Allotment("west", 3, 3)]),
    ],
)
def test_units_are_taken_again_where_they_had_been(
    asked: c.ReserveLine, locations: tuple[str, ...], at: list[Allotment]
) -> None:
    """R3, R9: the new reservation looks where the old one had been told to."""
    desk = expired(asked, locations=locations, east=4, west=4)
    (one,) = desk.changed(RETAKE).reservation.lines
    assert list(one.allotments) == at


# ---- goods that come back


def test_sold_goods_come_back_where_they_had_left() -> None:
    """On hand changes on return; of a reservation no more comes back than was sold, and once."""
    desk = Desk(east=5, west=4)
    desk.reserve(line(7), line(2))
    desk.changed(c.CommitReservation("", 1, some(6, 2)))
    desk.changed(c.ReturnStock("", 1, some(5)))
    assert (desk.on_hand("east"), desk.on_hand("west")) == (5, 1)
    desk.refused(AboveHeld, c.ReturnStock("", 1, some(2)))
    desk.changed(c.ReturnStock("", 1))
    assert (desk.on_hand("east"), desk.on_hand("west")) == (5, 4)
    desk.refused(AboveHeld, c.ReturnStock("", 1))
    desk.refused(AboveHeld, c.ReturnStock("", 1, some(1)))


def test_a_return_of_nothing_is_malformed() -> None:
    """Zero units are no return, whether something could still come back or not."""
    desk = Desk(east=5)
    desk.reserve(line(3), line(2))
    desk.changed(c.CommitReservation("", 1))
    assert desk.refused(InvalidArgument, c.ReturnStock("", 1, some(0, 0))).field == "lines"
    desk.changed(c.ReturnStock("", 1, some(3, 0)))
    assert desk.refused(InvalidArgument, c.ReturnStock("", 1, some(0))).field == "lines"


def test_what_is_too_much_is_named_by_its_place_in_the_request() -> None:
    """The field is where the caller wrote it, not the number of the line."""
    desk = Desk(east=9)
    desk.reserve(line(3), line(2))
    second = (c.LineQuantity(2, 6),)
    for refusal in (
        desk.refused(AboveHeld, c.CommitReservation("", 1, second)),
        desk.refused(InsufficientStock, c.ResizeReservation("", 1, (c.LineQuantity(2, 7),))),
    ):
        assert refusal.field == "lines[0].quantity"
    desk.changed(c.CommitReservation("", 1))
    turned = (c.LineQuantity(2, 1), c.LineQuantity(1, 4))
    refusal = desk.refused(AboveHeld, c.ReturnStock("", 1, turned))
    assert (refusal.field, refusal.facts["line_number"]) == ("lines[1].quantity", 1)


def test_sold_goods_come_back_elsewhere() -> None:
    """A return may name where the goods arrived; on hand rises there."""
    desk = Desk(east=5)
    desk.reserve(line(5))
    desk.changed(c.CommitReservation("", 1))
    desk.changed(c.ReturnStock("", 1, some(2), "west", "too small"))
    assert (desk.on_hand("east"), desk.on_hand("west"), desk.last.reason) == (0, 2, "too small")
    assert desk.refused(LocationUnknown, c.ReturnStock("", 1, (), "moon")).field == "location"


def test_goods_that_were_taken_again_come_back() -> None:
    """R9: the reservation that took an expired one's place is one like any other."""
    desk = expired(line(2), east=2)
    desk.changed(RETAKE)
    desk.changed(c.ReturnStock("", 2))
    assert desk.on_hand() == 2


def test_a_full_shelf_takes_nothing_back() -> None:
    """R13: overflow is refused."""
    desk = Desk(east=2)
    desk.reserve(line(2))
    desk.changed(c.CommitReservation("", 1))
    desk.moved(c.ReceiveStock("", "A", "east", UNITS_MAX - 1))
    assert not desk.refused(QuantityOverflow, c.ReturnStock("", 1)).field
    desk.changed(c.ReturnStock("", 1, some(1)))
