"""What people type for times, durations, lines and speeds."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import typer

from gateway.cli import arguments
from gateway.cli.client import who_acts
from gateway.v1 import alert_pb2, stock_pb2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86_400),
        ("500ms", 0.5),
        ("2d", 172_800),
        ("90", 90),
        ("1.5m", 90),
        (" 1s ", 1),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A number with its unit; a bare number is seconds."""
    assert arguments.duration(text) == timedelta(seconds=seconds)


def test_milliseconds_are_whole() -> None:
    """Time to live goes over the wire in milliseconds."""
    assert arguments.milliseconds("1.5s") == 1_500


def test_moments_are_iso_or_ago() -> None:
    """A zone is taken as it is; `15m` is fifteen minutes ago."""
    assert arguments.moment("2026-11-22T08:00:00+08:00") == datetime(2026, 11, 22, tzinfo=UTC)
    assert arguments.moment("2026-11-22 08:00").tzinfo is UTC
    moment = arguments.moment("15m")
    ago = datetime.now(UTC) - moment
    assert timedelta(minutes=15) <= ago < timedelta(minutes=16)


def test_reserve_lines() -> None:
    """`SKU=UNITS` with an optional location, or one SKU with its units beside it."""
    with_location, plain = arguments.reserve_lines(["TEA@north=2", "a=b=3"])
    assert (with_location.sku, with_location.location, with_location.quantity) == ("TEA", "north", 2)
    assert (plain.sku, plain.location, plain.quantity) == ("a=b", "", 3)
    [short] = arguments.reserve_lines(["TEA", "2"])
    assert (short.sku, short.quantity) == ("TEA", 2)


def test_line_quantities() -> None:
    """`LINE=UNITS`."""
    line = arguments.line_quantity("3=12")
    assert (line.line_number, line.quantity) == (3, 12)


def test_names_of_kinds_and_states_are_those_of_the_contract() -> None:
    """Every value of the proto can be named, in any case, with `-` or `_`."""
    for name, number in stock_pb2.MovementKind.items():
        if number:
            assert arguments.movement_kind(name.removeprefix("MOVEMENT_KIND_").lower().replace("_", "-")) == number
    assert arguments.movement_kind("Transfer_In") == stock_pb2.MOVEMENT_KIND_TRANSFER_IN
    assert arguments.reservation_state("HELD") == stock_pb2.RESERVATION_STATE_HELD


@pytest.mark.parametrize(
    ("text", "speed"), [("1000x", 1_000.0), ("2.5", 2.5), ("1X", 1.0), ("max", None), ("MAX", None)]
)
def test_speeds(text: str, speed: float | None) -> None:
    """A multiple of real time, or `max`."""
    assert arguments.speed(text) == speed


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (arguments.duration, "soon"),
        (arguments.duration, "-1s"),
        (arguments.duration, "9" * 30 + "d"),
        (arguments.moment, "yesterday"),
        (arguments.moment, "2026-13-01"),
        (arguments.moment, "9999999d"),
        (arguments.line_quantity, "1"),
        (arguments.line_quantity, "1=-2"),
        (arguments.line_quantity, f"{2**31}=1"),
        (arguments.line_quantity, f"1={2**63}"),
        (arguments.movement_kind, "unspecified"),
        (arguments.reservation_state, ""),
        (arguments.speed, "0.5x"),
        (arguments.speed, "2000000x"),
        (arguments.speed, "fast"),
    ],
)
def test_nonsense_is_refused_with_an_example(function: Callable[[str], object], text: str) -> None:
    """Usage errors end with exit code 2 and say what would do."""
    with pytest.raises(typer.BadParameter):
        function(text)


@pytest.mark.parametrize("texts", [["TEA"], ["TEA=x"], ["=1"], ["TEA", "MUG"], ["TEA=1", "2"], [f"TEA={2**63}"]])
def test_lines_that_make_no_sense_are_refused(texts: list[str]) -> None:
    """A forgotten quantity is never taken for one unit."""
    with pytest.raises(typer.BadParameter):
        arguments.reserve_lines(texts)


def test_times_to_come_are_iso_or_in_how_long() -> None:
    """`15m` is in fifteen minutes; a time is a time; a bare number is neither."""
    in_15_minutes = arguments.later("15m").ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(minutes=14) < in_15_minutes <= timedelta(minutes=15)
    assert arguments.later("2026-11-22T08:00:00+08:00").ToDatetime(UTC) == datetime(2026, 11, 22, tzinfo=UTC)
    for wrong in ("soon", "15", "", "99999999999d"):
        with pytest.raises(typer.BadParameter):
            arguments.later(wrong)


def test_words_of_warnings() -> None:
    """Tiers, kinds of events, actions and states by their bare names."""
    assert arguments.tier("Sold-Out") == arguments.tier("SOLD_OUT") == alert_pb2.TIER_SOLD_OUT
    assert arguments.alert_kind("tier-change") == alert_pb2.ALERT_EVENT_KIND_TIER_CHANGE
    assert arguments.ack_action("false-alarm") == alert_pb2.ACK_ACTION_FALSE_ALARM
    assert arguments.proposal_state("lapsed") == alert_pb2.PROPOSAL_STATE_LAPSED
    assert arguments.session_sku("TEA") == alert_pb2.SessionSku(sku="TEA")
    assert arguments.session_sku("TEA=20") == alert_pb2.SessionSku(sku="TEA", exclusive_units=20)
    for read in (arguments.tier, arguments.alert_kind, arguments.ack_action, arguments.proposal_state):
        with pytest.raises(typer.BadParameter, match="is none of"):
            read("unspecified")


def test_who_acts_need_not_be_known_to_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the user may have a number and no name; then nobody is named, and the gateway asks who."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.delenv("STOCKGATE_ACTOR", raising=False)
    assert who_acts() == ""
    monkeypatch.setenv("STOCKGATE_ACTOR", " Mei ")
    assert who_acts() == "Mei"
