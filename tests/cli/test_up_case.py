"""`stockgate up --case double11`: the Double-11 case comes as planned, and its report says what warnings were worth."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

# Six hours in a minute: a second of this machine is six minutes of the case, so times are bounded
# generously and the order is what counts.
SPEED = 360
SECONDS_MAX = 140.0
FIFTH_HOUR = (240.0, 310.0)


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    """The report of a case that was played to its end, by somebody who has never used it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOCKGATE_")}
    with tempfile.TemporaryDirectory(prefix="stockgate-test-") as folder:
        Path(folder).chmod(0o755)  # the embedded PostgreSQL's user must reach what is made in it
        command = (sys.executable, "-m", "gateway", "up", "--case", "double11", "--speed", str(SPEED), "--json")
        ended = subprocess.run(
            command, capture_output=True, timeout=SECONDS_MAX, env={**environment, "TMPDIR": folder}, check=False
        )
        assert not list(Path(folder).iterdir()), "its own folder goes with it"
    err = ended.stderr.decode()
    assert ended.stdout, err
    report: dict[str, Any] = json.loads(ended.stdout)
    assert (ended.returncode, report["good"]) == (0, True), (report["case"]["missing"], err)
    return report


def test_the_story_comes_in_its_order(played: dict[str, Any]) -> None:
    """Trend, units moved, threshold, a new script and the substitute, urgent, sold out in the fifth hour."""
    case = played["case"]
    at = case["milestones"]
    assert case["missing"] == []
    assert at["trend"] <= at["move proposed"] <= at["move approved"] <= at["units arrived"] < at["sold out"]
    assert at["threshold"] <= at["substitute proposed"] <= at["substitute approved"] <= at["substitute listed"]
    assert at["threshold"] <= at["threshold acknowledged"] <= at["script changed"] < at["sold out"]
    assert at["threshold"] <= at["urgent"] <= at["urgent acknowledged"] < at["sold out"]
    assert 120.0 <= at["trend"] <= 180.0, "the guest comes in the third hour"
    assert FIFTH_HOUR[0] <= case["stock_out_minute"] <= FIFTH_HOUR[1]
    assert not case["drill_events"], "nothing of it is a drill"


def test_every_unit_is_accounted_for(played: dict[str, Any]) -> None:
    """500 units and the 200 that were moved are those that the three shops have sold and those that are left."""
    case, books = played["case"], played["books"]
    wanted, instead = case["sold"].values()
    assert (wanted["units"], case["units_moved"]) == (700, 200)
    assert wanted["sold"] + wanted["left"] == 700
    assert wanted["oversold"] == instead["oversold"] == played["oversold"] == played["oversold_most"] == 0
    assert wanted["sold"] == sum(wanted["by_shop"].values()) >= 680
    assert instead["sold"] > 0, "the substitute was bought"
    assert books["add_up"]
    assert books["on_hand"] == wanted["left"] + instead["left"]


def test_warnings_come_before_a_fixed_line_would(played: dict[str, Any]) -> None:
    """Trend and threshold give an hour more than a line of 50; urgent comes before the end, with time to say so."""
    case = played["case"]
    trend, threshold, urgent = (warned["minutes_before"] for warned in case["warnings"])
    line = case["line"]["minutes_before"]
    assert trend >= threshold >= urgent > 5.0
    assert threshold >= 60.0
    assert threshold >= line + 30.0


def test_people_have_answered_and_robots_were_told(played: dict[str, Any]) -> None:
    """The acknowledgement says what was decided, every approval who approved, and all four robots took messages."""
    case = played["case"]
    assert any("限制销售" in one for one in case["acknowledgements"])
    assert len(case["approvals"]) >= 2
    assert all("operator" in one for one in case["approvals"])
    assert set(case["told"]) == {"dingtalk", "feishu", "wecom", "agora"}
    assert all(each["messages"] for each in case["told"].values())
    said = [moment["zh"] for moment in case["timeline"]]
    assert any("主播口播" in one for one in said)


def test_a_session_without_a_case_tells_its_warnings_too() -> None:
    """Demand is above stock: one line says that it is sold out, with the time, Chinese first."""
    command = (sys.executable, "-m", "gateway", "up", "--session", "15s", "--units", "60")
    ended = subprocess.run(command, capture_output=True, timeout=SECONDS_MAX, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    lines = [line for line in ended.stdout.decode().splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)]
    assert any("售罄" in line and line.index("售罄") < line.index("SOLD OUT") for line in lines), lines


@pytest.mark.parametrize(
    "arguments",
    [
        ("--case", "double12"),
        ("--case", "double11", "--session", "10s"),
        ("--case", "double11", "--naive"),
        ("--case", "double11", "--units", "5"),
        ("--case", "double11", "--speed", "1"),
        ("--speed", "100"),
    ],
)
def test_what_makes_no_sense_starts_nothing(arguments: tuple[str, ...]) -> None:
    """Exit code 2, and a word on what is wrong."""
    command = (sys.executable, "-m", "gateway", "up", *arguments)
    ended = subprocess.run(command, capture_output=True, timeout=60.0, check=False)
    assert (ended.returncode, bool(ended.stderr)) == (2, True), ended.stderr
