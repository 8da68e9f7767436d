"""What is said of times, and of what a connector needs; whatever a platform has written into it."""

from datetime import timedelta

import pytest

from gateway.domain.explanation.cases import ConnectorSaid
from gateway.domain.explanation.said import Said, lasting, listed


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (-5, "0 秒", "0 s"),
        (0.4, "0 秒", "0 s"),
        (59.4, "59 秒", "59 s"),
        (59.6, "1 分 0 秒", "1 min 0 s"),
        (3_599, "59 分 59 秒", "59 min 59 s"),
        (3_600, "1 小时 0 分", "1 h 0 min"),
        (47 * 3_600 + 3_599, "47 小时 59 分", "47 h 59 min"),
        (48 * 3_600, "2 天", "2 days"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, zh: str, en: str) -> None:
    """Two units at most, none below zero, rounded before they are divided."""
    assert lasting(timedelta(seconds=seconds)) == Said(zh, en)


@pytest.mark.parametrize(
    ("needs", "by_name"),
    [
        ("", {}),
        ("authorization: sign in; again: now", {"authorization": "sign in; again: now"}),
        ("authorization: a; order 7; 8: b; orders: c", {"authorization": "a", "order 7; 8": "b", "orders": "c"}),
        ("report: x; reports: y", {"report": "x", "reports": "y"}),
        ("<img src=x>: something new", {"other": "<img src=x>: something new"}),
    ],
)
def test_what_a_connector_needs_is_told_apart(needs: str, by_name: dict[str, str]) -> None:
    """By the names it gives its troubles; separators within a platform's words do not tear them apart."""
    assert ConnectorSaid("a", needs=needs).needs_by_name == by_name


def test_of_many_names_five_are_said() -> None:
    """And how many more there are."""
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e +2"
