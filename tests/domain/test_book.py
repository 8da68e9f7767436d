"""The book against the model: random histories, one command or atomic span after the other."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given

from gateway.domain.book import Book
from gateway.domain.changes import LevelKey
from gateway.domain.commands import AnyCommand, ExpireReservation
from gateway.domain.errors import GatewayError
from gateway.domain.groups import decide
from gateway.domain.stock import MovementKind, ShortfallCause
from tests.domain.audit import audit, overdue, whole
from tests.domain.histories import LOCATIONS, SHRINKING_TIMEOUT, SKUS, START, Moment, bounded, empty_book, histories
from tests.domain.model import Model
from tests.domain.views import levels_of_book, levels_of_model, said_by_book, said_by_model

pytestmark = pytest.mark.timeout(SHRINKING_TIMEOUT)


@bounded(max_examples=500)
@given(histories(moments_max=20, parts_max=2))
def test_the_book_says_and_does_what_the_model_does(history: list[Moment]) -> None:
    """R1-R18: every outcome (the answer, or what was wrong) and every level equals the model's, after every step."""
    book, model = empty_book(), Model(START, LOCATIONS, SKUS)
    for elapsed, parts in history:
        book.now = model.now = book.now + elapsed
        for part in parts:
            sweep(book, part)
            said = [said_by_book(outcome) for outcome in decide(book, part, [(0, len(part))])]
            assert said == [said_by_model(outcome) for outcome in model.play_together(part)]
            assert levels_of_book(book) == levels_of_model(model)


@bounded(max_examples=150)
@given(histories(moments_max=20, parts_max=2))
def test_the_book_adds_up(history: list[Moment]) -> None:
    """R18: levels equal the sums of movements, reserved equals the open reservations, revisions are gapless; always."""
    book = empty_book()
    for elapsed, parts in history:
        book.now += elapsed
        for part in parts:
            decide(book, part, [(0, len(part))])
            audit(book._levels, book._reservations, book.movements, book.revision)


@bounded(max_examples=150)
@given(histories(moments_max=20, parts_max=2))
def test_a_refusal_leaves_nothing_behind(history: list[Moment]) -> None:
    """R11: a refusal, of a command or of an atomic span, leaves the whole book as it was, its request ids included."""
    book = empty_book()
    for elapsed, parts in history:
        book.now += elapsed
        for part in parts:
            before = whole(book)
            outcomes = decide(book, part, [(0, len(part))])
            if any(isinstance(outcome, GatewayError) for outcome in outcomes):
                assert whole(book) == before
                assert len(part) == 1 or all(isinstance(outcome, GatewayError) for outcome in outcomes)


@bounded(max_examples=150)
@given(histories(moments_max=20, parts_max=2))
def test_goods_that_are_gone_are_never_silent(history: list[Moment]) -> None:
    """R14: what is promised and not there is covered by shortfalls.

    R1: only a commit, or a count of the past, takes on hand below zero.
    """
    book = empty_book()
    for elapsed, parts in history:
        book.now += elapsed
        for part in parts:
            decide(book, part, [(0, len(part))])
            short: Counter[LevelKey] = Counter()
            for shortfall in book.shortfalls:
                if shortfall.cause is ShortfallCause.GOODS_GONE:
                    short[shortfall.sku, shortfall.location] += shortfall.quantity
            assert all(short[place] >= level.promised_but_gone for place, level in book._levels.items())
    below = {m.kind for m in book.movements if m.on_hand_after < min(0, m.on_hand_after - m.on_hand_change)}
    assert below <= {MovementKind.COMMIT, MovementKind.COUNT}


@bounded(max_examples=150)
@given(histories(moments_max=12, parts_max=2))
def test_the_same_request_again_is_the_same_answer(history: list[Moment]) -> None:
    """R10: same id, same content: the first answer again, with its first time, whatever has happened; and no effect."""
    book = empty_book()
    taken: list[AnyCommand] = []
    for elapsed, parts in history:
        book.now += elapsed
        for part in parts:
            outcomes = decide(book, part, [(0, len(part))])
            if not isinstance(outcomes[0], GatewayError):
                taken += [command for command in part if command.request_id]
    answers = {recorded.command.request_id: recorded.answer for recorded in book.newly_recorded}
    book.now += timedelta(days=30)
    before = whole(book)
    assert decide(book, taken) == [answers[command.request_id] for command in taken]
    assert whole(book) == before


def sweep(book: Book, part: list[AnyCommand]) -> None:
    """Free what is overdue, as the sweeper does; but what a single command names stays, for it to find."""
    due = [reservation.reservation_id for reservation in overdue(book._reservations.values(), book.now)]
    named = {getattr(command, "reservation_id", 0) for command in part} if len(part) == 1 else set()
    decide(book, [ExpireReservation("", reservation_id) for reservation_id in due if reservation_id not in named])
