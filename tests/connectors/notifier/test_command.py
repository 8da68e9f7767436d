"""`stockgate notify` as a person runs it: a process of its own, which may be killed at any moment."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from connectors.sandbox.robots import Fault
from gateway.v1 import alert_pb2
from tests.connectors.notifier.ward import CUP, GROUPS, MUG, UNITS, Ward

Notify = Callable[..., Awaitable[asyncio.subprocess.Process]]
END_SECONDS_MAX = 30.0
THRESHOLD, SOLD_OUT = alert_pb2.TIER_THRESHOLD, alert_pb2.TIER_SOLD_OUT


def write_robots(path: Path, ward: Ward, *robots: str) -> None:
    """The file with these robots; a JSON string is a TOML one."""
    document = ward.document(*robots)
    lines = [f"page_url = {json.dumps(document['page_url'])}"]
    for robot in document["robots"]:
        lines += ["[[robots]]", *(f"{name} = {json.dumps(value)}" for name, value in robot.items())]
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
async def notify(ward: Ward, tmp_path: Path) -> AsyncIterator[Notify]:
    """Starts `stockgate notify` for the three groups; nothing of it outlives the test."""
    started: list[asyncio.subprocess.Process] = []
    path = tmp_path / "robots.toml"
    write_robots(path, ward, *GROUPS)

    async def start(*arguments: str, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
        told = {
            **os.environ,
            **(ward.environment() if environment is None else environment),
            "STOCKGATE_ADDRESS": ward.gateway,
            "STOCKGATE_TOKEN": ward.token,
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "notify", *(arguments or ("--robots", str(path)))),
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=told,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """How it ended, and all that it printed."""
    async with asyncio.timeout(END_SECONDS_MAX):
        out, err = await process.communicate()
    return process.returncode, (out + err).decode()


async def test_killed_in_the_middle_nothing_is_lost(ward: Ward, notify: Notify, seed: int) -> None:
    """Kill -9 again and again while warnings come and answers are lost: all that still matters is told in the end.

    What comes twice has the same number, and says that it may be a repeat; of each SKU, what is new never comes before
    what is old.
    """
    chance = random.Random(seed)
    sold = {CUP: 0, MUG: 0}
    for _ in range(4):
        process = await notify()
        for robot in GROUPS:
            ward.hall.desks[robot].go_wrong(chance.choice((None, Fault.LOSE_ANSWER, Fault.ERROR_AFTER)), calls=1)
        for sku, units in sold.items():
            count = min(chance.randint(2, 5), UNITS - 2 - units)
            if count > 0:
                await ward.sell(sku, count)
                sold[sku] += count
        await asyncio.sleep(chance.uniform(1.0, 4.0))
        process.send_signal(signal.SIGKILL)
        await process.communicate()
    for robot in GROUPS:
        ward.hall.desks[robot].go_wrong(None)
    await notify()
    for sku, units in sold.items():
        await ward.sell(sku, UNITS - units)
    # What a killed process had claimed is free when its lease is over; the last changes nobody had claimed before.
    for sku in sold:
        await ward.heard(await ward.reached(sku, SOLD_OUT), *GROUPS)
    for robot in GROUPS:
        require_honest(ward, robot)


def require_honest(ward: Ward, robot: str) -> None:
    """What comes again has said so, or an earlier one of the same number was never answered."""
    entries = [
        line for text in ward.hall.desks[robot].texts for line in text.split("\n") if line.split(" #")[-1].isdigit()
    ]
    seen: set[str] = set()
    for entry in entries:
        number = entry.split(" #")[-1]
        assert number not in seen or "可能重复" in entry, (robot, entries)
        seen.add(number)


async def test_it_tells_and_ends_when_told(ward: Ward, notify: Notify) -> None:
    """SIGTERM ends it with 0; its log names numbers and robots, no token, no secret."""
    process = await notify()
    await ward.sell(CUP, 12)
    await ward.heard(await ward.reached(CUP, THRESHOLD), *GROUPS)
    process.send_signal(signal.SIGTERM)
    code, printed = await ended(process)
    assert code == 0, printed
    assert "notices told" in printed
    assert not [secret for secret in (*ward.environment().values(), ward.token) if secret in printed]


async def test_what_is_not_typed_right_is_said(ward: Ward, notify: Notify, tmp_path: Path) -> None:
    """Exit code 2 and a sentence that names the place; 0 for --help."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('page_url = "nowhere"\n[[robots]]\nname = "ops"\nplatform = "icq"\n')
    good = tmp_path / "good.toml"
    write_robots(good, ward, "wecom")
    for arguments, environment, code, words in (
        (("--help",), None, 0, "STOCKGATE_ROBOT_<NAME>_TOKEN"),
        (("--example",), None, 0, "[[robots]]"),
        (("--address", "127.0.0.1:1"), None, 2, "--example prints a file"),
        (("--robots", str(wrong)), None, 2, "robots[0].platform: 'icq'"),
        (("--robots", str(tmp_path / "none.toml")), None, 2, "cannot be read"),
        (("--robots", str(good)), {}, 2, "STOCKGATE_ROBOT_WECOM_TOKEN is not set"),
        (("--robots", str(good), "--address", "nowhere"), None, 2, "is no address"),
    ):
        ended_with, printed = await ended(await notify(*arguments, environment=environment))
        assert ended_with == code, printed
        assert words in " ".join(printed.replace("│", " ").split()), printed


async def test_robots_are_tried_before_it_matters(ward: Ward, notify: Notify, tmp_path: Path) -> None:
    """One message each, without a gateway; who is refused is named with the platform's words, and no secret is."""
    path = tmp_path / "robots.toml"
    write_robots(path, ward, *ward.hall.desks)
    code, printed = await ended(await notify("--robots", str(path), "--test", "--address", "127.0.0.1:1"))
    assert code == 0, printed
    for robot, desk in ward.hall.desks.items():
        assert f"{robot} ({robot}): TAKEN" in printed
        assert len(desk.kept) == 1
    assert all("【测试】库存预警" in ward.hall.desks[robot].texts[0] for robot in GROUPS)
    wrong = {**ward.environment(), "STOCKGATE_ROBOT_DINGTALK_SECRET": "SECwrong"}
    code, printed = await ended(await notify("--robots", str(path), "--test", environment=wrong))
    assert code == 1, printed
    assert "dingtalk (dingtalk): REFUSED  310000 sign not match" in printed
    assert "wecom (wecom): TAKEN" in printed
    assert not [secret for secret in (*wrong.values(), ward.token) if secret in printed]


async def test_it_ends_at_once_while_the_gateway_is_away(notify: Notify, tmp_path: Path) -> None:
    """SIGTERM ends it within seconds, whether the gateway answers or not."""
    path = tmp_path / "robots.toml"
    process = await notify("--robots", str(path), "--address", "127.0.0.1:1")
    assert process.stderr is not None
    async with asyncio.timeout(END_SECONDS_MAX):
        assert b"notifier begins" in await process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(12):
        assert (await ended(process))[0] == 0
