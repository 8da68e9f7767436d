"""Drills as people and CI start them."""

import asyncio
from pathlib import Path

import pytest

from gateway.cli.drill_script import read_script
from gateway.cli.errors import Failure
from gateway.v1 import alert_pb2
from tests.cli.conftest import Stockgate
from tests.cli.test_live import open_room

SCRIPT = """
[drill]
name = "晚高峰"
room = "main room"
seconds = 1800
speed = {speed}
seed = 7

[[sku]]
sku = "TEA"
units = 150
lead_seconds = 600
rate = 4.0

[[inject]]
at_seconds = 600
kind = "surge"
sku = "TEA"
value = 4
seconds = 900

[[expect]]
sku = "TEA"
tier = "{tier}"
before_seconds = {before_seconds}
"""
LONGEST_SECONDS = 30


def script(folder: Path, *, speed: float = 400, tier: str = "threshold", before_seconds: float = 1_700) -> str:
    """A drill's file."""
    file = folder / "drill.toml"
    file.write_text(SCRIPT.format(speed=speed, tier=tier, before_seconds=before_seconds))
    return str(file)


async def test_a_drill_is_a_test(quick_stockgate: Stockgate, tmp_path: Path) -> None:
    """Exit code 0 if all came as expected, 1 if not; it is shown, listed, and marked in the log."""
    passed = await quick_stockgate("drill", "start", script(tmp_path), "--wait", "--actor", "ci")
    assert passed.exit_code == 0, passed.out + passed.err
    assert "晚高峰: passed" in passed.out
    assert "✓ TEA THRESHOLD within 28 min" in passed.out
    too_soon = script(tmp_path, tier="SOLD_OUT", before_seconds=1)
    failed = await quick_stockgate("drill", "start", too_soon, "--wait", "--json")
    assert failed.exit_code == 1
    drill = failed.document["drill"]
    assert (drill["state"], drill["score"]["met"]) == ("ENDED", [False])
    assert "✗ TEA SOLD OUT within 1 s" in (await quick_stockgate("drill", "show", str(drill["drill_id"]))).out
    listed = (await quick_stockgate("drill", "list")).out
    assert "1 of 1" in listed
    assert "0 of 1" in listed
    assert "[drill 演练]" in (await quick_stockgate("alert", "list", "--drills")).out
    assert "演练" not in (await quick_stockgate("alert", "list")).out


async def test_scripts_are_made_by_the_gateway(quick_stockgate: Stockgate) -> None:
    """One of ours, sales that are made up, a recorded session: each is begun without a file."""
    assert "evening-peak" in (await quick_stockgate("drill", "scripts")).out
    quick = ("--speed", "1000", "--wait", "--actor", "ci")
    ours = await quick_stockgate("drill", "start", "--script", "flash-sale", *quick)
    assert (ours.exit_code, "秒杀清空: passed" in ours.out) == (0, True), ours.out + ours.err
    sales = ("--units", "100", "--rate", "30", "--minutes", "10", "--sku", "TEA", "--name", "晚场")
    made_up = await quick_stockgate("drill", "generate", *sales, *quick)
    assert (made_up.exit_code, "晚场: passed" in made_up.out) == (0, True), made_up.out + made_up.err
    number = await open_room(quick_stockgate)
    await quick_stockgate("stock", "reserve", "TEA=3")
    recorded = await quick_stockgate("drill", "start", "--session", number, "--speed", "1000", "--json")
    assert [(sku["sku"], sku["units"]) for sku in recorded.document["drill"]["script"]["skus"]] == [
        ("TEA", 500),
        ("CUP", 20),
    ]
    shown = await quick_stockgate("drill", "start", "--session", number, "--dry-run")
    assert "2 SKUs, 520 units, 1 recorded orders" in shown.out
    both = await quick_stockgate("drill", "start", "--session", number, "--script", "flash-sale")
    assert (both.exit_code, "name a FILE" in both.err) == (2, True)


async def test_a_drill_is_stopped(quick_stockgate: Stockgate, tmp_path: Path) -> None:
    """Before its time, by hand; one that is waited for ends with exit code 1 then."""
    waited = asyncio.ensure_future(quick_stockgate("drill", "start", script(tmp_path, speed=1), "--wait", "--json"))
    number = ""
    async with asyncio.timeout(LONGEST_SECONDS):
        while not number:
            await asyncio.sleep(0.1)
            number = await running_drill(quick_stockgate)
    stopped = await quick_stockgate("drill", "stop", number)
    assert "STOPPED" in stopped.out
    ended = await asyncio.wait_for(waited, LONGEST_SECONDS)
    assert ended.exit_code == 1
    unknown = await quick_stockgate("drill", "stop", "999")
    assert (unknown.exit_code, "stockgate drill list" in unknown.err) == (1, True)


def test_a_script_is_read_whole(tmp_path: Path) -> None:
    """Every section, a tape beside it, and the speed that is typed."""
    (tmp_path / "orders.csv").write_text("\ufeffat_seconds,sku,quantity\n30,TEA,2\n1.5,TEA,\n")
    file = tmp_path / "drill.toml"
    more = '[[order]]\nat_seconds = 3\nsku = "TEA"\n'
    file.write_text(
        SCRIPT.format(speed=2, tier="sold-out", before_seconds=9).replace("seed", 'tape = "orders.csv"\nseed') + more
    )
    read = read_script(file, 50.0)
    assert (read.name, read.room, read.seconds, read.speed, read.seed) == ("晚高峰", "main room", 1_800.0, 50.0, 7)
    assert [(order.at_seconds, order.quantity) for order in read.tape] == [(3.0, 1), (1.5, 1), (30.0, 2)]
    assert (read.injects[0].kind, read.injects[0].value) == ("SURGE", 4.0)
    assert read.expectations[0].tier == alert_pb2.TIER_SOLD_OUT
    assert (read.skus[0].units, read.skus[0].rate) == (150, 4.0)


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ("units = 150", "units = 1.5", "[[sku]] 1 'units' must be a whole number"),
        ("units = 150", "", "[[sku]] 1 needs 'units'"),
        ("units = 150", "units = true", "[[sku]] 1 'units' must be a whole number"),
        ("rate = 4.0", "rate = nan", "[[sku]] 1 'rate' must be a number"),
        ("rate = 4.0", "pace = 4.0", "[[sku]] 1 knows no 'pace'"),
        ('tier = "threshold"', 'tier = "worried"', "[[expect]] 1 'tier' must be one of NORMAL, TREND"),
        ("seconds = 1800", 'seconds = "long"', "[drill] 'seconds' must be a number"),
        ("[[sku]]", "[sku]", "'sku' must be tables [[sku]]"),
        ("[drill]", "[[drill]]", "'drill' must be a table [drill]"),
        ("seed = 7", 'tape = "none.csv"', "cannot read"),
        ("seed = 7", 'tape = "bad.csv"', "bad.csv, line 2: no order"),
        ("seed = 7", 'tape = "other.csv"', "other.csv has other columns"),
        ("[drill]", "[drill", "is no TOML"),
        ("[[expect]]", "[[hope]]", "knows no 'hope'"),
    ],
)
def test_what_is_wrong_with_a_script_is_named(tmp_path: Path, was: str, becomes: str, complaint: str) -> None:
    """By its section and its field."""
    (tmp_path / "bad.csv").write_text("at_seconds,sku\ninf,TEA\n")
    (tmp_path / "other.csv").write_text("time,sku\n1,TEA\n")
    file = Path(script(tmp_path))
    file.write_text(file.read_text().replace(was, becomes, 1))
    with pytest.raises(Failure) as wrong:
        read_script(file)
    assert complaint in wrong.value.problem.message
    assert wrong.value.exit_code == 2


async def running_drill(quick_stockgate: Stockgate) -> str:
    """The number of the drill that runs; empty if none does."""
    drills = (await quick_stockgate("drill", "list", "--json")).document["drills"]
    return next((str(drill["drill_id"]) for drill in drills if drill["state"] == "RUNNING"), "")
