"""What a session came to, and when it counts as good."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from connectors.session.figures import Delays, quantile
from connectors.session.judge import Verdict
from connectors.session.report import Books, Buyers, Pushed, Report, show

VERDICT = Verdict(
    units=100,
    sold={"taobao": 60, "douyin": 35},
    unsold=5,
    oversold=0,
    oversold_most=0,
    hand_edited_units=0,
    orders={"taobao": 50, "douyin": 30},
    refused={"taobao": 9, "douyin": 4},
    refused_with_stock={"taobao": 1, "douyin": 0},
)
BOOKS = Books(consistent=True, on_hand=5, on_hand_expected=5, reserved=0, shortfall_units=0, drifts=())
DELAYS = Delays(0.05, 0.09, 0.1, 0.2)
GOOD = Report(
    seed=7,
    seconds=60.0,
    faults="calm",
    naive=False,
    verdict=VERDICT,
    buyers=Buyers(came=93, came_back_late=5, all_came=True),
    settled=True,
    books=BOOKS,
    pushed=Pushed(DELAYS, DELAYS, {"APPLIED": 12, "UNKNOWN": 1}, 14, 300, 3),
)


def printed(report: Report) -> str:
    """What a person reads."""
    console = Console(file=io.StringIO(), width=120)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_good_session_is_good() -> None:
    """Nothing oversold, everything settled, the ledger adds up: and it says so."""
    assert GOOD.is_good
    assert "Nothing was oversold." in printed(GOOD)
    document = json.loads(GOOD.json())
    assert (document["sold"], document["unsold"], document["oversold"], document["good"]) == (
        {"taobao": 60, "douyin": 35},
        5,
        0,
        True,
    )


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (replace(GOOD, verdict=replace(VERDICT, oversold=1, oversold_most=2)), "OVERSOLD BY 1"),
        (replace(GOOD, settled=False), "NOT SETTLE"),
        (replace(GOOD, books=replace(BOOKS, consistent=False)), "NOT CONSISTENT"),
        (replace(GOOD, books=replace(BOOKS, on_hand=6)), "should be 5"),
        (replace(GOOD, books=replace(BOOKS, reserved=1)), "reserved 1"),
    ],
)
def test_one_thing_wrong_makes_it_bad(bad: Report, word: str) -> None:
    """The report is not good, and the page says why."""
    assert not bad.is_good
    assert not json.loads(bad.json())["good"]
    assert word in printed(bad)


def test_what_was_oversold_by_hand_is_not_held_against_anybody() -> None:
    """As many units as were typed into a console may be oversold, and not one more."""
    by_hand = replace(GOOD, verdict=replace(VERDICT, oversold=3, hand_edited_units=3))
    assert by_hand.is_good
    assert not replace(by_hand, verdict=replace(by_hand.verdict, oversold=4)).is_good


def test_a_machine_that_was_too_slow_is_named() -> None:
    """Fewer came than were to come; that is said, and is nobody's fault."""
    slow = replace(GOOD, buyers=replace(GOOD.buyers, all_came=False))
    assert slow.is_good
    assert "too slow" in printed(slow)
    assert "too slow" not in printed(GOOD)


def test_the_baseline_is_judged_without_books() -> None:
    """There is no ledger, so none must add up."""
    baseline = replace(GOOD, naive=True, books=None, pushed=None)
    assert baseline.is_good
    assert "ledger" not in printed(baseline)


def test_quantiles() -> None:
    """The smallest value that is enough; 0 of nothing."""
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.25, 0.5, 0.51, 0.99, 1.0)] == [1, 2, 3, 4, 4]
    assert quantile([], 0.5) == 0
