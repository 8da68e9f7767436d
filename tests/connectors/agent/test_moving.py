"""What may be said of a push after each end of a call: the whole table."""

import pytest

from connectors.base import Applied, ListingKey
from connectors.contract import Push, PushKind, PushResult
from connectors.errors import (
    AuthExpired,
    BelowZero,
    ConnectorError,
    Misunderstood,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Transient,
)
from connectors.moving import NotNow, Outcome, Progress, outcome_of
from connectors.needs import WORDS_MAX

KEY = ListingKey("1", "2")
APPLIED, NOT_SENT, UNKNOWN, REFUSED = PushResult.APPLIED, PushResult.NOT_SENT, PushResult.UNKNOWN, PushResult.REFUSED


def progress(moved: int = 0, kind: PushKind = PushKind.LOWER) -> Progress:
    return Progress(Push(1, KEY, 7, kind, 5), moved=moved)


@pytest.mark.parametrize(
    ("error", "result", "after_some"),
    [
        (Transient("busy"), NOT_SENT, APPLIED),
        (Rejected("no"), REFUSED, APPLIED),
        (BelowZero("too few"), REFUSED, APPLIED),
        (OutcomeUnknown("silence"), UNKNOWN, UNKNOWN),
        (Misunderstood("<html>"), UNKNOWN, UNKNOWN),
    ],
)
def test_every_error_has_its_outcome(error: ConnectorError, result: PushResult, after_some: PushResult) -> None:
    """An error decides what is reported; what was taken before is certain, and is never left out."""
    assert outcome_of(progress(), error) == Outcome(result, 0, error.message)
    wants_reading = after_some is APPLIED
    assert outcome_of(progress(moved=3), error) == Outcome(after_some, 3, error.message, wants_reading)


def test_an_error_of_a_new_kind_may_have_been_applied() -> None:
    """A class that nobody has given an outcome is never taken for "nothing was done"."""

    class Unheard(ConnectorError):
        """What a later release may raise."""

    assert outcome_of(progress(moved=2), Unheard("what?")) == Outcome(UNKNOWN, 2, "what?")


@pytest.mark.parametrize("error", [Throttled("slow", retry_after_seconds=3), AuthExpired("dead")])
@pytest.mark.parametrize("moved", [0, 3])
def test_a_push_is_not_over_while_nobody_may_call(error: ConnectorError, moved: int) -> None:
    """A ban and a dead token say nothing of a push; it is tried again."""
    with pytest.raises(NotNow):
        outcome_of(progress(moved), error)


@pytest.mark.parametrize(
    ("applied", "outcome"),
    [
        (Applied(5), Outcome(APPLIED, 5)),
        (Applied(3), Outcome(APPLIED, 3)),
        (Applied(0), Outcome(APPLIED, 0)),
        (Applied(None, shown=5), Outcome(UNKNOWN, 0, "the platform does not say how much it added")),
    ],
)
def test_a_raise_is_reported_too_high_rather_than_too_low(applied: Applied, outcome: Outcome) -> None:
    """A raise of which nobody says how much was applied is unknown: all of it may be."""
    assert outcome_of(progress(kind=PushKind.RAISE), applied) == outcome


def test_a_change_that_differs_has_another_id() -> None:
    """The first change of a push has the push's id, so that another process repeats it under the same."""
    one = progress()
    assert one.change_id == "7"
    one.changes += 1
    assert one.change_id == "7-1"


def test_words_are_one_short_line() -> None:
    """A platform's words are cut, and hold nothing that moves a terminal."""
    said = outcome_of(progress(), Rejected("no\r\n\x1b[31m " + "long" * 300, code="15")).error
    assert said.startswith("15 no [31m long")
    assert len(said) == WORDS_MAX
    assert said.isprintable()
