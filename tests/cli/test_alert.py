"""Warnings as a person uses them: where SKUs stand, why, what was done about it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.cli.conftest import Stockgate

WARNED_SECONDS_MAX = 20.0
READ_SECONDS_MAX = 20.0


async def be_warned(quick_stockgate: Stockgate, sku: str = "TEA") -> Any:
    """A SKU that sells, and stands below its fixed line; where it stands."""
    await quick_stockgate("sku", "add", sku)
    await quick_stockgate("stock", "receive", sku, "60")
    assert (await quick_stockgate("alert", "policy", "set", sku, "--fixed-line", "58")).exit_code == 0
    for _ in range(2):
        assert (await quick_stockgate("stock", "reserve", sku, "2")).exit_code == 0
    async with asyncio.timeout(WARNED_SECONDS_MAX):
        while True:
            state = (await quick_stockgate("alert", "show", sku, "--json")).document["state"]
            if state["tier"] != "TIER_NORMAL":
                return state


async def test_a_warning_from_beginning_to_end(quick_stockgate: Stockgate) -> None:
    """It is seen, explained, taken on once, its step ticked; and the log tells all of it."""
    state = await be_warned(quick_stockgate)
    assert (state["tier"], state["episode"]) == ("TIER_THRESHOLD", 1)
    shown = (await quick_stockgate("alert", "show", "TEA")).out
    assert shown.startswith("TEA  △ THRESHOLD · since ")
    assert "预警线58件" in shown
    assert "at or below the fixed line of 58" in shown
    assert "56 available · 56 can be sold" in shown
    assert "step 1: " in shown
    taken = await quick_stockgate(
        *("alert", "ack", "TEA", "--action", "replenish", "--quantity", "200", "--in", "15m"),
        *("--note", "在路上 [bold]", "--actor", "小李"),
    )
    assert "TEA: THRESHOLD by 小李, replenish 200, there " in taken.out
    assert "在路上 [bold]" in taken.out
    second = await quick_stockgate("alert", "ack", "TEA", "--action", "watch", "--actor", "wang")
    assert (second.exit_code, "小李 was first" in second.err) == (1, True)
    assert "step 1 is done" in (await quick_stockgate("alert", "step", "TEA", "1")).out
    assert "taken on: THRESHOLD by 小李" in (await quick_stockgate("alert", "show", "TEA")).out
    listed = (await quick_stockgate("alert", "list", "--sku", "TEA", "--json")).document["events"]
    kinds = [event["kind"].removeprefix("ALERT_EVENT_KIND_") for event in reversed(listed)]
    assert kinds[:5] == ["POLICY_CHANGED", "TIER_CHANGE", "ACKNOWLEDGED", "INCOMING_ANNOUNCED", "STEP_DONE"]
    incoming = (await quick_stockgate("alert", "incoming", "list", "TEA")).out
    assert "200" in incoming
    table = (await quick_stockgate("alert", "tiers", "--min-tier", "threshold")).out
    assert "△ THRESHOLD" in table
    assert "小李" in table
    assert "No SKU stands there" in (await quick_stockgate("alert", "tiers", "--min-tier", "sold-out")).out


async def test_where_nothing_warns_there_is_nothing_to_take_on(quick_stockgate: Stockgate) -> None:
    """That is said in words, and not as a number that is wrong."""
    await quick_stockgate("sku", "add", "TEA")
    refused = await quick_stockgate("alert", "ack", "TEA", "--action", "watch", "--json")
    assert (refused.exit_code, refused.error["reason"]) == (1, "EPISODE_OVER")
    assert refused.error["message"] == "nothing has ever warned of TEA"


async def test_an_acknowledgement_says_which_warning_it_means(quick_stockgate: Stockgate) -> None:
    """By default the one that is on; one that never was is refused, and what is typed wrong is exit code 2."""
    await be_warned(quick_stockgate)
    past = await quick_stockgate(
        "alert", "ack", "TEA", "--action", "watch", "--episode", "7", "--tier", "trend", "--json"
    )
    assert (past.exit_code, past.error["reason"]) == (1, "EPISODE_OVER")
    for wrong in (
        ("--action", "hope"),
        ("--action", "watch", "--tier", "dire"),
        ("--action", "replenish", "--in", "soon"),
        ("--action", "watch", "--drill", "3"),
    ):
        assert (await quick_stockgate("alert", "ack", "TEA", *wrong)).exit_code == 2
    repeated = [
        await quick_stockgate("alert", "ack", "TEA", "--action", "watch", "--request-id", "ack-1", "--json")
        for _ in "12"
    ]
    assert repeated[0].document == repeated[1].document


async def test_silences_come_and_go(quick_stockgate: Stockgate) -> None:
    """With whom they are about, until when, and why."""
    await quick_stockgate("sku", "add", "TEA")
    made = await quick_stockgate("alert", "silence", "--sku", "TEA", "--until", "30m", "--why", "known")
    assert made.exit_code == 0, made.err
    assert ": TEA" in made.out
    assert "it silences 0 SKUs that are not normal now" in made.out
    number = (await quick_stockgate("alert", "silences", "--json")).document["silences"][0]["silence_id"]
    assert "known" in (await quick_stockgate("alert", "silences")).out
    assert "ended" in (await quick_stockgate("alert", "unsilence", str(number))).out
    assert "Nothing is silenced." in (await quick_stockgate("alert", "silences")).out
    assert "known" in (await quick_stockgate("alert", "silences", "--ended")).out
    unknown = await quick_stockgate("alert", "unsilence", "99")
    assert (unknown.exit_code, "stockgate alert silences" in unknown.err) == (1, True)
    too_long = await quick_stockgate("alert", "silence", "--sku", "TEA", "--until", "13h", "--why", "tired")
    assert (too_long.exit_code, "end_time" in too_long.err) == (1, True)


async def test_a_policy_is_changed_in_part(quick_stockgate: Stockgate) -> None:
    """Only what is named; what is unset is as for all again."""
    await quick_stockgate("sku", "add", "TEA")
    assert "Nothing was set" in (await quick_stockgate("alert", "policy", "list")).out
    await quick_stockgate("alert", "policy", "set", "--service-level", "0.95", "--lead", "20m")
    await quick_stockgate("alert", "policy", "set", "TEA", "--hard-floor", "10", "--no-supply")
    kept = await quick_stockgate("alert", "policy", "set", "TEA", "--fixed-line", "50")
    assert kept.out.startswith("TEA: THRESHOLD at 50 · URGENT at 10 · no way to get more")
    unset = await quick_stockgate(
        "alert", "policy", "set", "TEA", "--unset", "hard-floor", "--unset", "no-supply", "--json"
    )
    assert unset.document["policy"] == {"sku": "TEA", "fixed_line": 50}
    both = (await quick_stockgate("alert", "policy", "list", "--json")).document["policies"]
    assert [(policy["sku"], policy.get("lead_seconds")) for policy in both] == [("", 1200.0), ("TEA", None)]
    nothing = await quick_stockgate("alert", "policy", "set", "TEA")
    assert (nothing.exit_code, "nothing was named" in nothing.err) == (2, True)
    wrong = await quick_stockgate("alert", "policy", "set", "TEA", "--unset", "luck")
    assert (wrong.exit_code, "hard-floor" in wrong.err) == (2, True)
    refused = await quick_stockgate("alert", "policy", "set", "TEA", "--service-level", "1.5", "--json")
    assert refused.error["violations"][0]["field"] == "policy.service_level"


async def test_runbooks_go_out_and_come_back(quick_stockgate: Stockgate, tmp_path: Path) -> None:
    """What was written as TOML is read unchanged; a wrong file says where."""
    file = tmp_path / "runbooks.toml"
    written = (await quick_stockgate("alert", "runbook", "list", "--toml")).out
    host_line = next(line for line in written.split("[urgent]")[1].splitlines() if line.startswith("host_line = "))
    file.write_text(written.replace(host_line, 'host_line = "“手\\"快有"'))
    stored = await quick_stockgate("alert", "runbook", "set", str(file))
    assert stored.exit_code == 0, stored.err
    assert 'host: “手"快有' in stored.out
    assert (await quick_stockgate("alert", "runbook", "list", "--toml")).out == file.read_text()
    for content, complaint in (
        ("[urgent]\nhost_lin = 'x'", "[urgent] knows no 'host_lin'"),
        ("[[urgent.step]]\nminutes_max = 3", "[urgent] [[step]] 1 needs 'text'"),
        ("[calm]\n", "knows no 'calm'"),
        ("", "has none of the tables"),
        ("[urgent", "is no TOML"),
    ):
        file.write_text(content)
        wrong = await quick_stockgate("alert", "runbook", "set", str(file))
        assert (wrong.exit_code, complaint in wrong.err) == (2, True), wrong.err


async def test_units_on_their_way(quick_stockgate: Stockgate) -> None:
    """They are announced and cancelled."""
    await quick_stockgate("sku", "add", "TEA")
    added = await quick_stockgate(
        "alert", "incoming", "add", "TEA", "200", "--in", "2h", "--reference", "PO-7", "--json"
    )
    number = added.document["incoming"]["incoming_id"]
    assert "PO-7" in (await quick_stockgate("alert", "incoming", "list")).out
    assert "cancelled" in (await quick_stockgate("alert", "incoming", "cancel", str(number))).out
    assert "Nothing is on its way." in (await quick_stockgate("alert", "incoming", "list")).out


async def test_what_was_learned_is_stored(quick_stockgate: Stockgate, tmp_path: Path) -> None:
    """And read back as it was; what is no profile is refused."""
    assert "None is stored" in (await quick_stockgate("alert", "profile", "show")).out
    log, file = tmp_path / "orders.csv", tmp_path / "profile.json"
    lines = [
        f"2020-02-{day:02d} {hour:02d}:{minute:02d}:00,A,1" for day in (3, 4) for hour in (9, 20) for minute in range(9)
    ]
    log.write_text("\n".join(["time,sku,quantity", *lines]))
    learned = await quick_stockgate("learn", str(log), "-o", str(file))
    assert learned.exit_code == 0, learned.err
    stored = await quick_stockgate("alert", "profile", "set", str(file))
    assert stored.out.startswith("Stored: it knows 1 SKUs.")
    shown = (await quick_stockgate("alert", "profile", "show")).out
    assert json.loads(shown) == json.loads(file.read_text())
    file.write_text('{"hours": "many"}')
    refused = await quick_stockgate("alert", "profile", "set", str(file))
    assert (refused.exit_code, "profile_json" in refused.err) == (1, True)


async def test_warnings_are_watched(stockgate: Stockgate, gateway_address: str, token: str) -> None:
    """A document a line: where things stand, then what happens; Ctrl-C is a good end; the name keeps the point."""
    await stockgate("sku", "add", "TEA")
    async with watching(gateway_address, token, "--sku", "TEA", "--subscriber", "night-shift") as lines:
        snapshot = await anext(lines)
        assert snapshot["snapshot"]["is_after_loss"] is False
        await stockgate("alert", "incoming", "add", "TEA", "5", "--in", "2h")
        told = await anext(lines)
        assert told["event"]["incoming"]["quantity"] == 5
        assert told["point"]["revision"] < told["event"]["revision"]
    assert "night-shift" in (await stockgate("alert", "subscribers")).out
    point = told["point"]
    resumed = ("--sku", "TEA", "--after", str(point["revision"]), "--epoch", point["epoch"])
    async with watching(gateway_address, token, *resumed) as lines:
        assert (await anext(lines))["event"] == told["event"]
    wrong = await stockgate("alert", "watch", "--after", "3")
    assert (wrong.exit_code, "--epoch" in wrong.err) == (2, True)
    other = await stockgate("alert", "watch", "--after", "3", "--epoch", "another", "--json")
    assert (other.exit_code, other.error["reason"]) == (1, "EPOCH_MISMATCH")


async def test_watching_is_readable(stockgate: Stockgate, gateway_address: str, token: str) -> None:
    """A line an event, with its number, its time and its words."""
    await stockgate("sku", "add", "TEA")
    async with watching(gateway_address, token, "--live-only", as_json=False) as lines:
        await asyncio.sleep(1.0)
        await stockgate("alert", "silence", "--sku", "TEA", "--until", "30m", "--why", "已知 [bold]", "--actor", "li")
        line = await anext(lines)
        while "silenced" not in line:
            line = await anext(lines)
    assert "by li: 已知 [bold]" in line


@asynccontextmanager
async def watching(
    address: str, token: str, *arguments: str, as_json: bool = True
) -> AsyncIterator[AsyncIterator[Any]]:
    """`stockgate alert watch` in a process of its own, ended with Ctrl-C."""
    words = ("alert", "watch", *arguments, *(("--json",) if as_json else ()))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"STOCKGATE_ADDRESS": address, "STOCKGATE_TOKEN": token},
    )
    assert process.stdout is not None
    output = process.stdout

    async def lines() -> AsyncIterator[Any]:
        while True:
            async with asyncio.timeout(READ_SECONDS_MAX):
                line = (await output.readline()).decode()
            assert line, "the watch has ended"
            yield json.loads(line) if as_json else line

    try:
        yield lines()
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(READ_SECONDS_MAX):
            await process.communicate()
    assert process.returncode == 0
