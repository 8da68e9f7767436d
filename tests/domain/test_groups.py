"""Groups: how commands are cut into groups must not show."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import commands as c
from gateway.domain.errors import AtomicGroupFailed, GatewayError, InsufficientStock, RequestIdReused
from gateway.domain.groups import Outcome, Span, decide, needs
from gateway.domain.stock import SkuRule
from tests.domain.audit import audit
from tests.domain.histories import LOCATIONS, SHRINKING_TIMEOUT, SKUS, START, Moment, bounded, empty_book, histories
from tests.domain.saved import SavedLedger

pytestmark = pytest.mark.timeout(SHRINKING_TIMEOUT)

Part = Sequence[c.AnyCommand]
LATER = START + timedelta(days=1)


@bounded(max_examples=250)
@given(histories(moments_max=8, parts_max=6), st.lists(st.booleans(), min_size=1, max_size=12))
def test_the_grouping_does_not_show(history: list[Moment], cuts: list[bool]) -> None:
    """The same history, cut into groups anyhow, has the same outcomes and the same end as one by one; R18 holds.

    One by one is twice: with a load and a save around each part, and on one book that is never put down.
    """
    singly, grouped, book = ledger(), ledger(), empty_book()
    told = [told_of(outcome) for time, group in groups(history, [True]) for outcome in apply(singly, time, group)]
    told_grouped = [
        told_of(outcome) for time, group in groups(history, cuts) for outcome in apply(grouped, time, group)
    ]
    assert told_grouped == told
    assert grouped == singly
    told_by_book = []
    for book.now, group in groups(history, [True]):
        told_by_book += [told_of(outcome) for part in group for outcome in decide(book, part, [(0, len(part))])]
    assert told_by_book == told
    assert (book._levels, book.movements, book.shortfalls) == (singly.levels, singly.journal, singly.shortfalls)
    audit(grouped.levels, grouped.reservations, grouped.journal, grouped.counters.revision)


@bounded(max_examples=100)
@given(histories(moments_max=8, parts_max=4))
def test_a_batch_sent_again_is_one_effect(history: list[Moment]) -> None:
    """R10: what is sent twice in one group has the effects of once, and is answered the same twice."""
    once, twice = ledger(), ledger()
    for time, group in groups(history, [False]):
        for part in group:
            answers = apply(once, time, [part])
            if not any(isinstance(outcome, GatewayError) for outcome in answers):
                both = apply(twice, time, [part, [command for command in part if command.request_id]])
                answers += [answer for answer, command in zip(answers, part, strict=True) if command.request_id]
                assert both == answers
    assert twice == once


@pytest.mark.parametrize("apart", [False, True])
def test_the_same_request_twice_is_one_effect(*, apart: bool) -> None:
    """R10: the same request id twice, in one group or in two: one effect, and the first answer with its first time."""
    saved = shop()
    both = [[reserve("r", 2)], [reserve("r", 2)]]
    first, second = apply_apart(saved, both) if apart else apply(saved, START, both)
    assert isinstance(first, c.ReservationChanged)
    assert (first, first.record_time) == (second, START)
    assert (saved.levels["A", "east"].reserved, len(saved.requests), len(saved.reservations)) == (2, 2, 1)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("other", "field"),
    [
        (c.ReserveStock("r", (c.ReserveLine("A", 3),), 1000), "lines"),
        (c.ReserveStock("r", (c.ReserveLine("A", 2),), 1001, order_id="o"), "ttl_ms"),
        (c.ReserveStock("r", (c.ReserveLine("A", 2),), 1000, order_id="o"), "order_id"),
        (c.ReceiveStock("r", "A", "east", 2), "command"),
        (c.ReserveStock("r", (c.ReserveLine("nothing", 3),), 1000), "lines"),
        (c.ReleaseReservation("r", 99), "command"),
    ],
)
def test_the_same_request_id_with_other_content_is_refused(other: c.AnyCommand, field: str, *, apart: bool) -> None:
    """R10: same id, other content: refused, naming the first field that differs, before any state check."""
    saved = shop()
    parts: list[Part] = [[reserve("r", 2)], [other]]
    _, outcome = apply_apart(saved, parts) if apart else apply(saved, START, parts)
    assert isinstance(outcome, RequestIdReused)
    assert (outcome.field, outcome.facts) == (field, {"request_id": "r"})
    assert saved.levels["A", "east"].reserved == 2


def test_a_refusal_does_not_burn_the_id() -> None:
    """R11: the same id may be tried again, in the same group and with other content."""
    saved = shop()
    too_many, fewer = reserve("r", 6), reserve("r", 5)
    outcomes = apply(saved, START, [[too_many], [too_many], [fewer], [fewer]])
    assert [type(outcome) for outcome in outcomes[:2]] == [InsufficientStock] * 2
    assert isinstance(outcomes[2], c.ReservationChanged)
    assert outcomes[2] == outcomes[3]


def test_counts_with_one_request_id_in_one_group() -> None:
    """R10, R15: a count is worked out for its own place and time, whatever else came under its id in the same group."""
    saved = shop()
    apply(saved, LATER, [[c.AdjustStock("sold-elsewhere", "A", "east", -1)]])
    early = c.CountStock("count", "A", "east", 4, START)
    late = c.CountStock("count", "A", "east", 4, LATER)
    counted, refused = apply(saved, LATER, [[early], [late]])
    assert isinstance(refused, RequestIdReused)
    assert isinstance(counted, c.StockMoved)
    assert counted.level.on_hand == 3


def test_a_late_count_in_a_group_sees_its_journal_and_its_group() -> None:
    """R15: what happened after the count is in earlier groups and in this one; both count, once."""
    saved = shop()
    apply(saved, LATER, [[receive("before", 2)]])
    outcomes = apply(
        saved, LATER, [[receive("same", 4)], [c.CountStock("count", "A", "", 10, START)], [receive("on", 8)]]
    )
    assert isinstance(outcomes[1], c.StockMoved)
    assert (outcomes[1].level.on_hand, saved.levels["A", "east"].on_hand) == (10 + 2 + 4, 10 + 2 + 4 + 8)


# ---- atomic spans


def test_an_atomic_span_is_applied_whole() -> None:
    """A span in which all is well is as if its commands had come alone; a later one sees what an earlier one did."""
    alone, together = shop(), shop()
    commands: Part = [receive("more", 3), reserve("r", 8), c.CommitReservation("sell", 1)]
    assert apply(together, START, [commands]) == apply(alone, START, [[command] for command in commands])
    assert together == alone


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_atomic_span_is_applied_not_at_all(place: int) -> None:
    """If one is refused, none is applied: the refused one says why, the others that it was this one; R11 for all."""
    saved = shop()
    span = [reserve("r1", 1), reserve("r2", 1)]
    span.insert(place, reserve("too-many", 9))
    outcomes = apply(saved, START, [[receive("before", 1)], span, [receive("after", 1)]])
    inside = outcomes[1:-1]
    assert isinstance(inside[place], InsufficientStock)
    others = [outcome for outcome in inside if isinstance(outcome, AtomicGroupFailed)]
    assert [other.facts for other in others] == [{"failed_item": "too-many"}] * 2
    assert isinstance(outcomes[0], c.StockMoved)
    assert isinstance(outcomes[-1], c.StockMoved)
    assert set(saved.requests) == {"stock", "before", "after"}
    assert (saved.levels["A", "east"].on_hand, saved.levels["A", "east"].reserved) == (7, 0)
    assert isinstance(apply(saved, START, [[reserve("r1", 2)]])[0], c.ReservationChanged)


def test_a_failed_span_is_forgotten_within_its_group() -> None:
    """R11: what follows a failed span in its group finds neither its ids, nor its shortfalls, nor its numbers."""
    saved = shop()
    lost: Part = [reserve("r1", 3), c.AdjustStock("gone", "A", "east", -3, record_reality=True), reserve("no", 9)]
    outcomes = apply(
        saved, START, [lost, [reserve("r1", 4)], [c.AdjustStock("gone", "A", "", -2, record_reality=True)]]
    )
    reserved, moved = outcomes[-2:]
    assert isinstance(reserved, c.ReservationChanged)
    assert isinstance(moved, c.StockMoved)
    assert (reserved.reservation.reservation_id, reserved.revision) == (1, 2)
    assert [(s.shortfall_id, s.quantity) for s in saved.shortfalls] == [(1, 1)]
    assert moved.shortfall == saved.shortfalls[0]


def test_two_refusals_in_one_span() -> None:
    """The first refusal is the reason; the second is one of the others."""
    outcomes = apply(shop(), START, [[reserve("r1", 1), reserve("r2", 9), reserve("r3", 99)]])
    assert [type(outcome) for outcome in outcomes] == [AtomicGroupFailed, InsufficientStock, AtomicGroupFailed]


def test_spans_side_by_side() -> None:
    """A span that fails takes nothing of its neighbours along, be they spans or single."""
    saved = shop()
    good, bad = [reserve("g1", 1), reserve("g2", 1)], [reserve("b1", 1), reserve("b2", 9)]
    outcomes = apply(saved, START, [bad, good, [reserve("s", 1)], [*bad]])
    assert [isinstance(outcome, GatewayError) for outcome in outcomes] == [True] * 2 + [False] * 3 + [True] * 2
    assert sorted(saved.requests) == ["g1", "g2", "s", "stock"]
    assert saved.counters.reservation == 3


# ---- what a group needs


@pytest.mark.parametrize(
    ("command", "request_ids", "skus", "reservation_ids", "counts"),
    [
        (c.ReserveStock("r", (c.ReserveLine("A", 1), c.ReserveLine("B", 1))), ["r"], {"A", "B"}, set(), []),
        (c.ReceiveStock("r", "A", "", 1), ["r"], {"A"}, set(), []),
        (c.AdjustStock("r", "A", "", 1), ["r"], {"A"}, set(), []),
        (c.CountStock("r", "A", "", 1), ["r"], {"A"}, set(), []),
        (c.CountStock("r", "A", "", 1, START), ["r"], {"A"}, set(), [("A", "", START)]),
        (c.TransferStock("r", "A", "east", "west", 1), ["r"], {"A"}, set(), []),
        (c.SetSafetyStock("r", "A", 1), ["r"], {"A"}, set(), []),
        (c.SetFrozen("r", "A", frozen=True), ["r"], {"A"}, set(), []),
        (c.CommitReservation("r", 7), ["r"], set(), {7}, []),
        (c.ReleaseReservation("r", 7), ["r"], set(), {7}, []),
        (c.ExtendReservation("r", 7, 1), ["r"], set(), {7}, []),
        (c.ResizeReservation("r", 7, ()), ["r"], set(), {7}, []),
        (c.ReturnStock("r", 7), ["r"], set(), {7}, []),
        (c.ExpireReservation("", 7), [], set(), {7}, []),
    ],
)
def test_what_a_command_needs(
    command: c.AnyCommand,
    request_ids: list[str],
    skus: set[str],
    reservation_ids: set[int],
    counts: list[tuple[str, str, datetime]],
) -> None:
    """What must be loaded is what the command names, and its request id."""
    needed = needs([command])
    assert (needed.request_ids, needed.skus, needed.reservation_ids) == (request_ids, skus, reservation_ids)
    assert [(count.sku, count.location, count.since) for count in needed.counts] == counts


def ledger() -> SavedLedger:
    return SavedLedger(LOCATIONS, {sku: SkuRule() for sku in SKUS})


def shop() -> SavedLedger:
    """Five units of A in the east."""
    saved = ledger()
    saved.apply(START, [receive("stock", 5)])
    return saved


def receive(request_id: str, units: int) -> c.ReceiveStock:
    return c.ReceiveStock(request_id, "A", "east", units)


def reserve(request_id: str, units: int) -> c.ReserveStock:
    return c.ReserveStock(request_id, (c.ReserveLine("A", units),), 1000)


def apply_apart(saved: SavedLedger, parts: Sequence[Part]) -> list[Outcome]:
    """Two parts in two groups, a day between them."""
    return [outcome for time, part in zip((START, LATER), parts, strict=True) for outcome in apply(saved, time, [part])]


def groups(history: list[Moment], cuts: Sequence[bool]) -> Iterator[tuple[datetime, list[Part]]]:
    """What comes at one time, cut after each part or not as `cuts` say, round and round."""
    now, cut = START, cycle(cuts)
    for elapsed, parts in history:
        now += elapsed
        group: list[Part] = []
        for part in parts:
            group.append(part)
            if next(cut):
                yield now, group
                group = []
        yield now, group


def apply(saved: SavedLedger, now: datetime, group: Sequence[Part]) -> list[Outcome]:
    """Apply these parts as one group; a part of several commands is an atomic span."""
    commands: list[c.AnyCommand] = []
    spans: list[Span] = []
    for part in group:
        if len(part) > 1:
            spans.append((len(commands), len(commands) + len(part)))
        commands += part
    return saved.apply(now, commands, spans)


def told_of(outcome: Outcome) -> object:
    """All that a caller is told, as a value: errors compare by what they say."""
    if isinstance(outcome, GatewayError):
        return type(outcome), outcome.message, outcome.field, outcome.facts
    return outcome
