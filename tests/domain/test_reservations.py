"""Reservations: the table of `gateway/domain/reservations.py`, exhaustively, and R1-R9 one by one."""

import re
from itertools import product

import pytest

from gateway.domain import commands as c
from gateway.domain import reservations
from gateway.domain.errors import (
    AboveHeld,
    InsufficientStock,
    InvalidArgument,
    LocationUnknown,
    ReservationExpired,
    ReservationNotCommitted,
    ReservationResolved,
    ReservationUnknown,
    SkuFrozen,
    SkuUnknown,
)
from gateway.domain.reservations import Allotment, ReservationState
from gateway.domain.stock import MovementKind
from tests.domain.audit import whole
from tests.domain.desk import Desk, line, some
from tests.domain.histories import TTL_MAX_MS

HELD, COMMITTED, RELEASED, EXPIRED = ReservationState
TTL_MS = 1000

VERBS: dict[str, c.AnyCommand] = {
    "commit": c.CommitReservation("", 1),
    "release": c.ReleaseReservation("", 1),
    "expire": c.ExpireReservation("", 1),
    "extend": c.ExtendReservation("", 1, 5000),
    "resize": c.ResizeReservation("", 1, some(1)),
    "return": c.ReturnStock("", 1),
}
LEADS_TO = {
    (HELD, "commit"): COMMITTED,
    (HELD, "release"): RELEASED,
    (HELD, "expire"): EXPIRED,
    (HELD, "extend"): HELD,
    (HELD, "resize"): HELD,
    (COMMITTED, "return"): COMMITTED,
}
# How a reservation got to where it is, within its time to live; `EXPIRED` needs the sweeper, and that the time is up.
WAYS: dict[ReservationState, c.AnyCommand | None] = {
    HELD: None,
    COMMITTED: VERBS["commit"],
    RELEASED: VERBS["release"],
    EXPIRED: VERBS["expire"],
}


def test_the_table_is_the_one_in_the_documentation() -> None:
    """R6: the docstring of `reservations.py` says what these tests prove."""
    assert reservations.__doc__ is not None
    head, *rows = [re.split(r"\s{3,}", row.strip()) for row in reservations.__doc__.splitlines() if row[:4] == "    "]
    documented: dict[tuple[str, str], str] = {}
    for state, *said in rows:
        for verbs, cell in zip(head, said, strict=True):
            documented |= {(state, verb): cell for verb in verbs.split(", ")}
    cells = [(state, verb, LEADS_TO.get((state, verb))) for state, verb in product(ReservationState, VERBS)]
    assert documented == {(state.name, verb): after.name if after else "-" for state, verb, after in cells}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("waited_ms", [0, TTL_MS - 1, TTL_MS, TTL_MS + 1, 60_000])
@pytest.mark.parametrize("way", [HELD, COMMITTED, RELEASED])
def test_every_verb_in_every_state_at_every_time(way: ReservationState, waited_ms: int, verb: str) -> None:
    """R6, R7: what the table allows leads where it says; all else raises what came first and changes nothing.

    At the boundary a held reservation is expired, before the sweeper ran; a resolved one stays what it is.
    """
    desk = Desk(east=5)
    desk.reserve(line(3), ttl_ms=TTL_MS)
    if command := WAYS[way]:
        desk.changed(command)
    desk.wait(waited_ms)
    state = EXPIRED if way is HELD and waited_ms >= TTL_MS else way
    if verb == "expire":
        check_sweep(desk, state)
    else:
        check(desk, state, verb)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("late_ms", [0, 1, 60_000])
def test_every_verb_on_what_the_sweeper_freed(late_ms: int, verb: str) -> None:
    """R6: EXPIRED is final, whenever the sweeper came."""
    desk = Desk(east=5)
    desk.reserve(line(3), ttl_ms=TTL_MS)
    desk.wait(TTL_MS + late_ms)
    assert desk.changed(VERBS["expire"]).reservation.state is EXPIRED
    if verb == "expire":
        check_sweep(desk, EXPIRED)
    else:
        check(desk, EXPIRED, verb)


def check(desk: Desk, state: ReservationState, verb: str) -> None:
    """What the table says, or the error that says what came first; `Desk.refused` sees that nothing changed."""
    command = VERBS[verb]
    if after := LEADS_TO.get((state, verb)):
        assert desk.changed(command).reservation.state is after
        return
    if verb == "return":
        assert desk.refused(ReservationNotCommitted, command).facts["state"] == state.name
        return
    error = desk.refused(ReservationExpired if state is EXPIRED else ReservationResolved, command)
    found = desk.book.reservation(1)
    ended = (found.resolve_time or found.expire_time).isoformat()
    assert error.facts == {"reservation_id": 1, "state": state.name, "resolve_time": ended}


def check_sweep(desk: Desk, state: ReservationState) -> None:
    """The sweeper frees what is overdue, and leaves everything else as it is without complaint: it may come late."""
    before = whole(desk.book)
    reservation = desk.changed(VERBS["expire"]).reservation
    assert reservation.state is state
    if state is EXPIRED:
        assert desk.reserved() == 0
        before = whole(desk.book)
        desk.changed(VERBS["expire"])
    assert whole(desk.book) == before


def test_the_same_is_said_of_an_expiry_before_and_after_the_sweeper() -> None:
    """R7: what ran out has expired from that instant on, whether or not the sweeper has been there."""
    desk = Desk(east=5)
    desk.reserve(line(3), ttl_ms=TTL_MS)
    desk.wait(TTL_MS + 500)
    before = desk.refused(ReservationExpired, VERBS["commit"])
    desk.changed(VERBS["expire"])
    after = desk.refused(ReservationExpired, VERBS["commit"])
    assert (after.message, after.facts) == (before.message, before.facts)


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_reservation_that_nobody_made(verb: str) -> None:
    """R6: every verb says so of an unknown reservation."""
    assert Desk().refused(ReservationUnknown, VERBS[verb]).facts == {"reservation_id": 1}


# ---- holding


def test_all_lines_are_held_or_none() -> None:
    """R2: one reservation may have several lines; all are held or none."""
    desk = Desk(east=5)
    error = desk.refused(InsufficientStock, c.ReserveStock("", (line(5), line(1, sku="B"))))
    assert error.facts == {"sku": "B", "location": "", "available": 0, "asked": 1}
    assert error.field == "lines[1].quantity"
    assert desk.reserved() == 0


def test_lines_with_the_same_sku_count_together() -> None:
    """R2: two lines with the same SKU count together."""
    desk = Desk(east=5)
    assert desk.refused(InsufficientStock, c.ReserveStock("", (line(3), line(3)))).facts["available"] == 2
    assert [one.held for one in desk.reserve(line(3), line(2)).lines] == [3, 2]


def test_allow_partial_grants_what_there_is() -> None:
    """R2: `allow_partial` grants what there is, per line; it is refused only if there is nothing at all."""
    desk = Desk(east=5)
    lines = desk.reserve(line(1, sku="B"), line(3), line(3), allow_partial=True).lines
    assert [(one.requested, one.held) for one in lines] == [(1, 0), (3, 3), (3, 2)]
    desk.refused(InsufficientStock, c.ReserveStock("", (line(1),), allow_partial=True))


@pytest.mark.parametrize(
    ("asked", "locations", "held"),
    [
        (line(7), (), {"east": 5, "west": 2}),
        (line(7), ("west", "east"), {"west": 4, "east": 3}),
        (line(2), ("west", "east"), {"west": 2}),
        (line(3, "west"), (), {"west": 3}),
        (line(3, "west"), ("east",), {"west": 3}),
        (line(4), ("west", "west"), {"west": 4}),
    ],
)
def test_where_units_are_taken(asked: c.ReserveLine, locations: tuple[str, ...], held: dict[str, int]) -> None:
    """R3: a line may name a location; without one the locations are used in their order, split if needed."""
    desk = Desk(east=5, west=4)
    (reserved,) = desk.reserve(asked, locations=locations).lines
    assert reserved.allotments == tuple(Allotment(location, units) for location, units in held.items())
    assert {location: desk.reserved(location) for location in held} == held


@pytest.mark.parametrize(("asked", "locations"), [(line(5, "west"), ()), (line(5), ("west",)), (line(10), ())])
def test_no_other_location_serves(asked: c.ReserveLine, locations: tuple[str, ...]) -> None:
    """R3: only the locations that were named serve."""
    desk = Desk(east=5, west=4)
    desk.refused(InsufficientStock, c.ReserveStock("", (asked,), locations=locations))


def test_what_the_catalog_does_not_know_cannot_be_reserved() -> None:
    """R11: an unknown SKU or location is refused, and the error says where it stands in the request."""
    desk = Desk(east=5)
    reserve = c.ReserveStock
    assert desk.refused(SkuUnknown, reserve("", (line(1), line(1, sku="C")))).field == "lines[1].sku"
    assert desk.refused(LocationUnknown, reserve("", (line(1), line(1, "moon")))).field == "lines[1].location"
    assert desk.refused(LocationUnknown, reserve("", (line(1),), locations=("east", "moon"))).field == "locations[1]"


def test_a_frozen_sku_is_not_promised_but_what_was_is_kept() -> None:
    """Frozen: nothing new may be reserved, nor may a hold grow; open reservations may still be resolved."""
    desk = Desk(east=9)
    for _ in range(3):
        desk.reserve(line(2))
    desk.play(c.SetFrozen("", "A", frozen=True))
    assert desk.refused(SkuFrozen, c.ReserveStock("", (line(1),))).facts == {"sku": "A"}
    desk.refused(SkuFrozen, c.ResizeReservation("", 1, some(3)))
    desk.changed(c.ResizeReservation("", 1, some(1)))
    desk.changed(c.ExtendReservation("", 1, 5000))
    desk.changed(c.CommitReservation("", 1))
    desk.changed(c.ReleaseReservation("", 2))
    desk.wait(TTL_MS)
    desk.changed(c.ExpireReservation("", 3))
    desk.play(c.SetFrozen("", "A", frozen=False))
    desk.reserve(line(8))


# ---- time


@pytest.mark.parametrize("ttl_ms", [1, 999, TTL_MS, TTL_MAX_MS])
def test_the_time_to_live_is_kept_to_the_millisecond(ttl_ms: int) -> None:
    """R7: an interval on the ledger's clock, in milliseconds; at the boundary it is expired."""
    desk = Desk(east=1)
    desk.reserve(line(1), ttl_ms=ttl_ms)
    desk.wait(ttl_ms - 1)
    assert desk.book.reservation(1).state_at(desk.book.now) is HELD
    desk.wait(1)
    assert desk.book.reservation(1).state_at(desk.book.now) is EXPIRED


def test_the_time_to_live_is_bounded() -> None:
    """R7: bounded by a setting; none asked for is the default."""
    desk = Desk(east=1)
    reserve = c.ReserveStock("", (line(1),), TTL_MAX_MS + 1)
    assert desk.refused(InvalidArgument, reserve).facts == {"ttl_max_ms": TTL_MAX_MS}
    desk.reserve(line(1), ttl_ms=TTL_MAX_MS)
    desk.refused(InvalidArgument, c.ExtendReservation("", 1, TTL_MAX_MS + 1))
    desk.changed(c.ReleaseReservation("", 1))
    desk.reserve(line(1), ttl_ms=0)
    desk.wait(desk.book.limits.ttl_default_ms)
    assert desk.book.reservation(2).expire_time == desk.book.now


@pytest.mark.parametrize(("ttl_ms", "left_ms"), [(1, 400), (399, 400), (401, 401), (5000, 5000)])
def test_extend_moves_the_expiry_later_never_earlier(ttl_ms: int, left_ms: int) -> None:
    """R8: extend moves the expiry later, never earlier; it counts from now."""
    desk = Desk(east=1)
    desk.reserve(line(1), ttl_ms=TTL_MS)
    desk.wait(600)
    extended = desk.changed(c.ExtendReservation("", 1, ttl_ms)).reservation
    desk.wait(left_ms)
    assert extended.expire_time == desk.book.now


# ---- selling, giving back


def test_a_commit_sells_a_part_and_the_rest_returns() -> None:
    """R4: commit takes per line a quantity not above what is held; the rest returns at once."""
    desk = Desk(east=5, west=4)
    desk.reserve(line(7), line(2))
    sold = desk.changed(c.CommitReservation("", 1, some(6))).reservation
    assert [one.allotments for one in sold.lines] == [
        (Allotment("east", 5, 5), Allotment("west", 2, 1)),
        (Allotment("west", 2, 0),),
    ]
    assert [(desk.on_hand(at), desk.reserved(at)) for at in ("east", "west")] == [(0, 0), (3, 0)]
    kinds = [movement.kind for movement in desk.book.movements[-3:]]
    assert kinds == [MovementKind.COMMIT, MovementKind.COMMIT, MovementKind.RELEASE]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (some(4), AboveHeld),
        (some(1, 3), AboveHeld),
        (some(0), InvalidArgument),
        (some(0, 0), InvalidArgument),
        (some(1, 1, 1), InvalidArgument),
        (some(1) * 2, InvalidArgument),
        ((c.LineQuantity(0, 1),), InvalidArgument),
    ],
)
@pytest.mark.parametrize("expired", [False, True])
def test_a_commit_of_what_is_not_held_has_no_effect(
    asked: tuple[c.LineQuantity, ...], error: type[AboveHeld | InvalidArgument], *, expired: bool
) -> None:
    """R4: more than is held is an error without effect, and so are nothing at all and lines that are not there.

    R9: the same holds for what is taken again after expiry.
    """
    desk = Desk(east=9)
    desk.reserve(line(3), line(2))
    desk.wait(TTL_MS if expired else 0)
    desk.refused(error, c.CommitReservation("", 1, asked, retake_expired=True))


def test_a_release_is_whole() -> None:
    """R5: release is whole, wherever the units lay."""
    desk = Desk(east=5, west=4)
    desk.reserve(line(7), line(2))
    desk.changed(c.ReleaseReservation("", 1, "changed their mind"))
    assert [(desk.on_hand(at), desk.reserved(at)) for at in ("east", "west")] == [(5, 0), (4, 0)]
    assert desk.last.reason == "changed their mind"


def test_a_resize_compares_only_the_difference() -> None:
    """R5: resize compares only the difference with what is available; a caller's own hold never blocks it."""
    desk = Desk(east=10)
    desk.reserve(line(8))
    facts = desk.refused(InsufficientStock, c.ResizeReservation("", 1, some(11))).facts
    assert (facts["available"], facts["asked"]) == (2, 3)
    assert desk.changed(c.ResizeReservation("", 1, some(10))).reservation.lines[0].held == 10
    desk.changed(c.ResizeReservation("", 1, some(1)))
    assert desk.level().available == 9


@pytest.mark.parametrize(("sizes", "held"), [((5, 1), [5, 1]), ((1, 5), [1, 5]), ((6, 0), [6, 0]), ((0, 6), [0, 6])])
def test_lines_of_one_reservation_trade_units(sizes: tuple[int, int], held: list[int]) -> None:
    """R5: a caller's own hold never blocks a resize: what one line gives up, another may take, in any order (R2)."""
    desk = Desk(east=6)
    desk.reserve(line(3), line(3))
    resized = desk.changed(c.ResizeReservation("", 1, some(*sizes))).reservation
    assert [one.held for one in resized.lines] == held


def test_what_was_taken_last_is_given_back_first() -> None:
    """R3, R5: the locations serve in their order, so a smaller hold is where a smaller reservation would have been."""
    desk = Desk(east=3, west=3)
    desk.reserve(line(5))
    (shrunk,) = desk.changed(c.ResizeReservation("", 1, some(4))).reservation.lines
    assert shrunk.allotments == (Allotment("east", 3), Allotment("west", 1))
    desk.changed(c.ResizeReservation("", 1, some(2)))
    assert (desk.reserved("east"), desk.reserved("west")) == (2, 0)


def test_what_was_asked_for_is_remembered() -> None:
    """R2, R5: a line that grows shows the most that was asked for, also where that had been granted in part."""
    desk = Desk(east=3)
    desk.reserve(line(5), allow_partial=True)
    desk.moved(c.ReceiveStock("", "A", "east", 9))
    sizes = [desk.changed(c.ResizeReservation("", 1, some(units))).reservation.lines[0] for units in (4, 7, 1)]
    assert [(one.requested, one.held) for one in sizes] == [(5, 4), (7, 7), (7, 1)]


def test_a_resize_keeps_at_least_one_unit() -> None:
    """R5: a resize to nothing is refused; a line may end at none, and grow again."""
    desk = Desk(east=6)
    desk.reserve(line(3), line(3))
    desk.refused(InvalidArgument, c.ResizeReservation("", 1, some(0, 0)))
    desk.changed(c.ResizeReservation("", 1, some(0)))
    desk.refused(InvalidArgument, c.ResizeReservation("", 1, (c.LineQuantity(2, 0),)))
    assert [one.held for one in desk.changed(c.ResizeReservation("", 1, some(2))).reservation.lines] == [2, 3]
