"""The end of a replay: when it is good, and what it says."""

import dataclasses

import pytest

from gateway.cli.summary import Summary, percentiles, print_summary

GOOD = Summary(
    run_id="run",
    source="report.csv",
    sku="HOT",
    speed="max",
    orders=10,
    units=9,
    accepted=9,
    refused=1,
    expired=2,
    expired_expected=2,
    committed=7,
    returned=3,
    retaken=0,
    paid_too_late=0,
    failed=0,
    failures={},
    retries=0,
    on_hand=5,
    on_hand_expected=5,
    reserved=0,
    reserved_expected=0,
    ledger_consistent=True,
    breaches=[],
    commands=20,
    play_seconds=2.0,
    total_seconds=4.0,
    latency_measured="per call",
    latency_ms={"p50": 1.0},
)


def test_a_ledger_that_adds_up_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    """The ledger's check and the replay's own books agree."""
    assert GOOD.is_good
    assert GOOD.document()["consistent"] is True
    assert (GOOD.document()["orders_per_second"], GOOD.document()["commands_per_second"]) == (5.0, 10.0)
    print_summary(GOOD)
    assert "The ledger adds up" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{"on_hand": 6}, {"reserved": 1}, {"expired": 1}, {"ledger_consistent": False}])
def test_one_difference_is_enough_to_be_inconsistent(wrong: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    """Units, holds, expiry or the ledger's own check: whatever differs, the verdict is no."""
    summary = dataclasses.replace(GOOD, **wrong)  # type: ignore[arg-type]  # each by its own name
    assert not summary.consistent
    assert not summary.is_good
    assert summary.document()["consistent"] is False
    print_summary(summary)
    assert "DOES NOT ADD UP" in capsys.readouterr().out


def test_breaches_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the ledger differs, and by how much."""
    breach = {"check": "ON_HAND", "sku": "HOT", "location": "main", "expected": 5, "actual": 4}
    print_summary(dataclasses.replace(GOOD, ledger_consistent=False, breaches=[breach]))
    assert "ON_HAND HOT at main: expected 5, is 4" in capsys.readouterr().out


def test_unexpected_errors_make_a_replay_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """... even where the ledger adds up, since not all of the tape was played."""
    summary = dataclasses.replace(GOOD, failed=2, failures={"SKU_FROZEN": 2})
    assert summary.consistent
    assert not summary.is_good
    print_summary(summary)
    assert "SKU_FROZEN 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], {}),
        ([0.001], {"p50": 1.0, "p90": 1.0, "p99": 1.0, "max": 1.0}),
        ([each / 1_000 for each in range(100, 0, -1)], {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}),
    ],
)
def test_percentiles_are_nearest_ranks(seconds: list[float], expected: dict[str, float]) -> None:
    """A percentile is one of the measured values."""
    assert percentiles(seconds) == expected
