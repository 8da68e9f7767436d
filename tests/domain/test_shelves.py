"""Goods: counts and movements in any order (R15), goods that are gone (R14), overflow, corrections, transfers."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import commands as c
from gateway.domain.errors import (
    BelowReserved,
    InsufficientStock,
    InvalidArgument,
    LocationUnknown,
    MovementUnknown,
    OnHandChanged,
    QuantityOverflow,
    SkuFrozen,
    SkuUnknown,
)
from gateway.domain.groups import decide
from gateway.domain.shelves import CLOCK_SKEW_MAX
from gateway.domain.stock import UNITS_MAX, MovementKind, ShortfallCause
from tests.domain.desk import Desk, line, some
from tests.domain.histories import SHRINKING_TIMEOUT, START, bounded

pytestmark = pytest.mark.timeout(SHRINKING_TIMEOUT)

Goods = c.ReceiveStock | c.AdjustStock | c.CountStock | c.TransferStock
ONE_SECOND = timedelta(seconds=1)


def receive(units: int, second: int) -> c.ReceiveStock:
    return c.ReceiveStock("", "A", "east", units, occur_time=START + second * ONE_SECOND)


def adjust(change: int, second: int) -> c.AdjustStock:
    return c.AdjustStock("", "A", "east", change, occur_time=START + second * ONE_SECOND)


def count(units: int, second: int) -> c.CountStock:
    return c.CountStock("", "A", "east", units, START + second * ONE_SECOND)


def gone(change: int) -> c.AdjustStock:
    return c.AdjustStock("", "A", "east", change, "burnt", record_reality=True)


# ---- counts, in any order


@pytest.mark.parametrize(
    ("events", "on_hand"),
    [
        ((receive(5, 1), count(7, 2), receive(4, 3)), 11),
        ((receive(5, 1), count(7, 2), adjust(-3, 3), count(20, 4), receive(1, 5)), 21),
        ((count(7, 2), count(9, 3), count(8, 4), receive(1, 2), adjust(2, 4)), 8),
        ((receive(5, 2), count(7, 2), adjust(-1, 2), receive(2, 3)), 9),
        ((count(20, 1), receive(30, 2), adjust(-10, 3), adjust(-5, 4), count(30, 2)), 15),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_counts_and_movements_arrive_in_any_order(events: Sequence[Goods], on_hand: int, *, together: bool) -> None:
    """R15: movements older than the last count do not change its result, in whatever order they arrive."""
    for order in permutations(events):
        desk = Desk(east=50)
        desk.wait(10_000)
        arrive(desk, order, together=together)
        assert desk.on_hand() == on_hand, [type(event).__name__ for event in order]


def arrive(desk: Desk, events: Sequence[Goods], *, together: bool) -> None:
    """One by one, a moment apart, or all in one group."""
    if together:
        assert all(isinstance(outcome, c.StockMoved) for outcome in decide(desk.book, events))
        return
    for event in events:
        desk.moved(event)
        desk.wait(1)


seconds = st.integers(1, 9)
changes = st.one_of(st.builds(receive, st.integers(1, 9), seconds), st.builds(adjust, st.integers(-5, 5), seconds))
counts = st.dictionaries(seconds, st.integers(100, 120), max_size=3)
shuffles = st.randoms(use_true_random=False)


@bounded(max_examples=200)
@given(movements=st.lists(changes, max_size=6), counted=counts, order=shuffles, together=st.booleans())
def test_on_hand_is_the_last_count_and_what_came_after_it(
    movements: list[c.ReceiveStock | c.AdjustStock], counted: dict[int, int], order: Random, *, together: bool
) -> None:
    """R15: whatever the order of arrival, on hand is what the last count saw and everything that happened after it."""
    events: list[Goods] = [*movements, *(count(units, second) for second, units in counted.items())]
    order.shuffle(events)
    desk = Desk(east=100)
    desk.wait(10_000)
    arrive(desk, events, together=together)
    taken = max(counted, default=0)
    after = [event for event in movements if event.occur_time and event.occur_time > START + taken * ONE_SECOND]
    units = [event.quantity if isinstance(event, c.ReceiveStock) else event.change for event in after]
    assert desk.on_hand() == counted.get(taken, 100) + sum(units)


def test_a_movement_that_the_count_had_seen_says_so() -> None:
    """R15, R17: a movement older than the last count is written down, changes nothing, and names that count."""
    desk = Desk(east=5)
    desk.wait(10_000)
    counted = desk.moved(count(7, 5)).revision
    assert desk.moved(receive(4, 5)).level.on_hand == 7
    assert (desk.last.quantity, desk.last.on_hand_change, desk.last.absorbed_by_revision) == (4, 0, counted)
    assert desk.moved(count(99, 4)).level.on_hand == 7
    assert (desk.last.quantity, desk.last.on_hand_change, desk.last.absorbed_by_revision) == (99, 0, counted)


def test_a_late_count_keeps_what_was_sold_and_moved_since() -> None:
    """R15: a count of the past is corrected by all that left and came since it was taken, whoever did it."""
    desk = Desk(east=9, west=3)
    desk.reserve(line(4))
    counted = desk.book.now + timedelta(milliseconds=1)
    desk.wait(2)
    desk.changed(c.CommitReservation("", 1))
    desk.moved(c.TransferStock("", "A", "west", "east", 2))
    desk.changed(c.ReturnStock("", 1, some(1)))
    desk.moved(c.CountStock("", "A", "east", 20, counted))
    assert desk.on_hand() == 20 - 4 + 2 + 1
    assert desk.level().last_count_time == counted


def test_a_count_without_a_time_is_of_now() -> None:
    """R15: it stands as it is, and what comes after it, even in the same instant, is on top."""
    desk = Desk(east=9)
    desk.moved(c.CountStock("", "A", "east", 4))
    desk.moved(c.ReceiveStock("", "A", "east", 1))
    assert desk.on_hand() == 5
    desk.moved(c.CountStock("", "A", "east", 3))
    assert (desk.on_hand(), desk.level().last_count_time) == (3, desk.book.now)


def test_a_count_at_one_place_says_nothing_of_another() -> None:
    """R15: a count is of one SKU at one location."""
    desk = Desk(east=5, west=5)
    desk.wait(10_000)
    desk.moved(count(7, 9))
    desk.moved(c.ReceiveStock("", "A", "west", 1, occur_time=desk.ago(9000)))
    desk.moved(c.ReceiveStock("", "B", "east", 1, occur_time=desk.ago(9000)))
    assert (desk.on_hand("west"), desk.level("B").on_hand) == (6, 1)


# ---- goods that are gone


def test_an_adjustment_below_what_is_reserved_is_refused() -> None:
    """R14: an adjustment below what is reserved is refused; down to it, it is not. Safety stock is no promise."""
    desk = Desk(east=5)
    desk.play(c.SetSafetyStock("", "A", 2))
    desk.reserve(line(3))
    facts = desk.refused(BelowReserved, c.AdjustStock("", "A", "east", -3)).facts
    assert (facts["on_hand"], facts["reserved"], facts["change"]) == (5, 3, -3)
    assert desk.moved(c.AdjustStock("", "A", "east", -2)).shortfall is None


def test_goods_that_are_really_gone_are_a_shortfall() -> None:
    """R14: unless the caller says the goods are really gone: then the deficit is a shortfall, availability is 0."""
    desk = Desk(east=5)
    desk.reserve(line(3))
    assert desk.moved(gone(-2)).shortfall is None
    shortfall = desk.moved(gone(-2)).shortfall
    assert shortfall is not None
    assert (shortfall.quantity, shortfall.cause, shortfall.location) == (2, ShortfallCause.GOODS_GONE, "east")
    assert (desk.level().available, desk.level().deficit) == (0, 2)
    again = desk.moved(gone(-1)).shortfall
    assert again is not None
    assert (again.quantity, again.shortfall_id) == (1, shortfall.shortfall_id + 1)
    desk.refused(BelowReserved, gone(-1))


def test_goods_that_come_back_to_a_deficit_are_no_new_shortfall() -> None:
    """R14: what makes the deficit smaller opens no shortfall; what deepens it opens one of the difference."""
    desk = Desk(east=5)
    desk.reserve(line(5))
    desk.moved(gone(-4))
    assert desk.moved(c.AdjustStock("", "A", "east", 1)).shortfall is None
    assert desk.moved(c.CountStock("", "A", "east", 3)).shortfall is None
    shortfall = desk.moved(c.CountStock("", "A", "east", 0)).shortfall
    assert shortfall is not None
    assert shortfall.quantity == 3


def test_a_count_is_reality() -> None:
    """R14, R15: a count below what is reserved stands; the deficit is a shortfall."""
    desk = Desk(east=5)
    desk.reserve(line(3))
    shortfall = desk.moved(c.CountStock("", "A", "east", 1)).shortfall
    assert shortfall is not None
    assert (shortfall.quantity, desk.on_hand(), desk.level().available) == (2, 1, 0)


def test_what_is_gone_can_still_be_committed() -> None:
    """R1: a commit of an open reservation never fails for lack of stock; so, and only so, on hand passes below zero."""
    desk = Desk(east=5)
    desk.reserve(line(3))
    desk.moved(gone(-4))
    deficit = desk.level().deficit
    desk.changed(c.CommitReservation("", 1))
    assert (desk.on_hand(), desk.reserved(), desk.level().deficit) == (-2, 0, deficit)
    desk.refused(BelowReserved, gone(-1))
    desk.refused(InsufficientStock, c.ReserveStock("", (line(1),)))
    desk.moved(c.ReceiveStock("", "A", "east", 3))
    assert (desk.on_hand(), desk.level().available) == (1, 1)


# ---- expectations, corrections, times


@pytest.mark.parametrize("command", [c.AdjustStock("", "A", "east", 1), c.CountStock("", "A", "east", 9)])
def test_on_hand_must_be_what_the_caller_expects(command: c.AdjustStock | c.CountStock) -> None:
    """R16: `expected_on_hand` refuses with the current value when it differs; 0 is a value like any other."""
    with_expected = {expected: _expecting(command, expected) for expected in (0, 4, 5, 6)}
    for expected in (0, 4, 6):
        error = Desk(east=5).refused(OnHandChanged, with_expected[expected])
        assert error.facts == {"on_hand": 5, "expected_on_hand": expected}
    Desk(east=5).moved(with_expected[5])
    Desk().moved(with_expected[0])


def _expecting(command: c.AdjustStock | c.CountStock, expected: int) -> c.AdjustStock | c.CountStock:
    if isinstance(command, c.AdjustStock):
        return c.AdjustStock("", "A", "east", command.change, expected_on_hand=expected)
    return c.CountStock("", "A", "east", command.counted, expected_on_hand=expected)


def test_a_correction_is_a_new_movement() -> None:
    """R17: corrections are new movements with a reason and a link; nothing is edited."""
    desk = Desk(east=5)
    received = desk.last
    answer = desk.moved(c.AdjustStock("", "A", "east", -1, "miscounted", corrects_revision=received.revision))
    assert (desk.last.reason, desk.last.corrects_revision, desk.last.on_hand_change) == ("miscounted", 1, -1)
    assert (answer.revision, desk.book.movements[0]) == (2, received)
    error = desk.refused(MovementUnknown, c.AdjustStock("", "A", "east", 1, corrects_revision=3))
    assert (error.field, error.facts) == ("corrects_revision", {"revision": 2})


@pytest.mark.parametrize(
    ("at_second", "field"),
    [(receive, "occur_time"), (adjust, "occur_time"), (count, "count_time")],
)
def test_the_future_is_refused_but_for_a_clock_that_runs_ahead(at_second: object, field: str) -> None:
    """R15: a time may be ahead of the ledger's by the clock skew, and counts as now; beyond it is refused."""
    assert callable(at_second)
    desk = Desk(east=5)
    skew = int(CLOCK_SKEW_MAX.total_seconds())
    desk.moved(at_second(1, skew))
    assert desk.last.occur_time == desk.book.now
    assert desk.refused(InvalidArgument, at_second(1, skew + 1)).field == field
    desk.moved(c.ReceiveStock("", "A", "east", 1))
    assert desk.last.occur_time == desk.book.now


# ---- quantities and places


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (c.ReceiveStock("", "A", "east", 1), "quantity"),
        (c.AdjustStock("", "A", "east", 1), "change"),
        (c.CountStock("", "A", "east", UNITS_MAX + 1), "counted"),
        (c.TransferStock("", "A", "west", "east", 1), "quantity"),
    ],
)
def test_overflow_is_refused(command: c.AnyCommand, field: str) -> None:
    """R13: 64-bit, overflow refused: a level holds the largest quantity and not one more. The number asked is named."""
    desk = Desk(east=UNITS_MAX, west=1)
    refusal = desk.refused(QuantityOverflow, command)
    assert (refusal.facts, refusal.field) == ({"units_max": UNITS_MAX}, field)
    desk.reserve(line(UNITS_MAX, "east"))
    desk.refused(QuantityOverflow, command)


def test_a_count_that_is_absorbed_cannot_overflow() -> None:
    """R13, R15: what changes nothing passes no limit."""
    desk = Desk(east=UNITS_MAX)
    desk.moved(c.CountStock("", "A", "east", UNITS_MAX))
    desk.moved(c.ReceiveStock("", "A", "east", 5, occur_time=desk.book.now))
    assert desk.on_hand() == UNITS_MAX


def test_a_transfer_is_two_movements() -> None:
    """R17, R18: goods leave one location and arrive at another, together; their sum stays."""
    desk = Desk(east=5, west=1)
    answer = desk.moved(c.TransferStock("", "A", "east", "west", 4, "closer"))
    assert answer.from_level is not None
    assert (answer.from_level.on_hand, answer.level.on_hand) == (1, 5)
    left, reached = desk.book.movements[-2:]
    assert (left.kind, left.location, left.on_hand_change) == (MovementKind.TRANSFER_OUT, "east", -4)
    assert (reached.kind, reached.location, reached.on_hand_change) == (MovementKind.TRANSFER_IN, "west", 4)
    assert (left.request_id, left.reason) == (reached.request_id, reached.reason) == (left.request_id, "closer")


def test_only_what_nobody_reserved_is_transferred() -> None:
    """Reserved units stay where they were promised; safety stock may move."""
    desk = Desk(east=5)
    desk.play(c.SetSafetyStock("", "A", 1))
    desk.reserve(line(2))
    error = desk.refused(InsufficientStock, c.TransferStock("", "A", "east", "west", 4))
    assert error.facts == {"sku": "A", "location": "east", "available": 3, "asked": 4}
    desk.moved(c.TransferStock("", "A", "east", "west", 3))
    desk.moved(gone(-2))
    assert desk.refused(InsufficientStock, c.TransferStock("", "A", "east", "west", 1)).facts["available"] == 0
    assert desk.refused(InvalidArgument, c.TransferStock("", "A", "west", "west", 1)).field == "to_location"


def test_safety_stock_is_never_offered() -> None:
    """Safety stock: units never offered, at each location, also where the SKU comes only later."""
    desk = Desk(east=5)
    desk.play(c.SetSafetyStock("", "A", 2))
    desk.moved(c.ReceiveStock("", "A", "west", 3))
    assert (desk.level().available, desk.level(location="west").available) == (3, 1)
    desk.refused(InsufficientStock, c.ReserveStock("", (line(5),)))
    desk.reserve(line(4))
    desk.play(c.SetSafetyStock("", "A", 4))
    assert (desk.level().available, desk.level().deficit) == (0, 2)
    desk.changed(c.CommitReservation("", 1))
    desk.play(c.SetSafetyStock("", "A", 0))
    assert (desk.level().available, desk.level(location="west").available) == (2, 2)


def test_what_the_catalog_says_of_a_sku_stays_apart() -> None:
    """Freezing leaves safety stock as it is, and safety stock leaves a SKU frozen."""
    desk = Desk()
    desk.play(c.SetSafetyStock("", "A", 2))
    desk.play(c.SetFrozen("", "A", frozen=True))
    desk.moved(c.ReceiveStock("", "A", "east", 3))
    assert desk.level().available == 1
    desk.play(c.SetSafetyStock("", "A", 1))
    assert desk.level().available == 2
    desk.refused(SkuFrozen, c.ReserveStock("", (line(1),)))


def test_safety_stock_that_stays_the_same_moves_nothing() -> None:
    """The journal has a movement for each place where safety stock changed, and none where it did not."""
    desk = Desk(east=5, west=5)
    desk.play(c.SetSafetyStock("", "A", 2))
    assert [movement.kind for movement in desk.book.movements[2:]] == [MovementKind.SAFETY_STOCK] * 2
    desk.play(c.SetSafetyStock("", "A", 2))
    assert len(desk.book.movements) == 4


@pytest.mark.parametrize(
    ("command", "error", "field"),
    [
        (c.ReceiveStock("", "C", "", 1), SkuUnknown, "sku"),
        (c.ReceiveStock("", "A", "moon", 1), LocationUnknown, "location"),
        (c.AdjustStock("", "C", "", 1), SkuUnknown, "sku"),
        (c.AdjustStock("", "A", "moon", 1), LocationUnknown, "location"),
        (c.CountStock("", "C", "", 1), SkuUnknown, "sku"),
        (c.CountStock("", "A", "moon", 1), LocationUnknown, "location"),
        (c.TransferStock("", "C", "east", "west", 1), SkuUnknown, "sku"),
        (c.TransferStock("", "A", "moon", "west", 1), LocationUnknown, "from_location"),
        (c.TransferStock("", "A", "east", "moon", 1), LocationUnknown, "to_location"),
        (c.SetSafetyStock("", "C", 1), SkuUnknown, "sku"),
        (c.SetFrozen("", "C", frozen=True), SkuUnknown, "sku"),
    ],
)
def test_what_the_catalog_does_not_know(
    command: c.AnyCommand, error: type[SkuUnknown | LocationUnknown], field: str
) -> None:
    """R11: an unknown SKU or location is refused, and the error names the field."""
    assert Desk(east=5).refused(error, command).field == field


def test_goods_without_a_location_go_to_the_first() -> None:
    """The default location is the first of the catalog."""
    desk = Desk()
    desk.moved(c.ReceiveStock("", "A", "", 5))
    desk.moved(c.AdjustStock("", "A", "", -1))
    desk.moved(c.CountStock("", "A", "", 3, desk.book.now, expected_on_hand=4))
    assert desk.on_hand("east") == 3
