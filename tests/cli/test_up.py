"""`stockgate up`: everything starts in one command, a session is judged, and all of it ends together."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

SECONDS_MAX = 110.0

Up = Callable[..., Awaitable[Process]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where it makes its temporary files, and its report; the embedded PostgreSQL's user can reach it."""
    path = Path(tempfile.mkdtemp(prefix="stockgate-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def up(folder: Path) -> AsyncIterator[Up]:
    """Starts `stockgate up` as somebody who has never used it, its page at any free port."""
    started: list[Process] = []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOCKGATE_")}

    async def start(*arguments: str) -> Process:
        command = (sys.executable, "-m", "gateway", "up", *arguments)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=PIPE,
            stderr=PIPE,
            env={**environment, "TMPDIR": str(folder), "STOCKGATE_PAGE_LISTEN": "127.0.0.1:0"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: Process) -> tuple[str, str]:
    """What it printed, once it has ended."""
    async with asyncio.timeout(SECONDS_MAX):
        out, err = await process.communicate()
    return out.decode(), err.decode()


def names_in(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


def read(path: Path) -> str:
    """The text of a file."""
    return path.read_text(encoding="utf-8")


async def test_a_short_session_oversells_nothing(up: Up, folder: Path) -> None:
    """Ten seconds, demand above stock: exit code 0, the ledger adds up, and the report says who sold what."""
    report = folder / "out.json"
    process = await up(
        *("--session", "10s", "--units", "60", "--seed", "7", "--faults", "calm", "--report", str(report), "--json")
    )
    out, err = await ended(process)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told == json.loads(read(report))
    assert (told["units"], told["seed"], told["oversold"], told["good"]) == (60, 7, 0, True)
    assert set(told["sold"]) == {"taobao", "douyin", "kuaishou"}
    assert sum(told["sold"].values()) + told["unsold"] == 60
    assert told["books"]["add_up"]
    assert told["came"] > sum(told["orders"].values())
    assert names_in(folder) == ["out.json"], "its own folder goes with it"


async def test_the_baseline_needs_no_gateway(up: Up) -> None:
    """Without a gateway and its agents the session is played all the same, and judged by the same eyes."""
    process = await up("--session", "5s", "--units", "30", "--naive", "--json")
    out, err = await ended(process)
    told = json.loads(out)
    assert process.returncode == (0 if told["oversold"] == 0 else 1), err
    assert (told["naive"], told["books"], told["pushed"]) == (True, None, None)
    assert sum(told["sold"].values()) == 30 - told["unsold"] + told["oversold"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_it_stays_up_until_it_is_told_to_end(up: Up, folder: Path, number: signal.Signals) -> None:
    """It says what to try next, shows how it goes in lines where there is no terminal, and leaves nothing behind."""
    process = await up("--listen", "127.0.0.1:0")
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(SECONDS_MAX):
        while "taobao shows" not in text:
            line = await process.stdout.readline()
            assert line, (await ended(process))[1]
            text += line.decode()
    assert "explain --sku MUG-1" in text
    process.send_signal(number)
    _, err = await ended(process)
    assert process.returncode == 0, err
    assert not names_in(folder)


async def test_nothing_runs_on_when_it_was_killed(up: Up) -> None:
    """The gateway, the platforms and the agents go with it."""
    process = await up("--listen", "127.0.0.1:0")
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(SECONDS_MAX):
        while "/shops\n" not in text.partition("douyin/away")[2]:
            line = await process.stdout.readline()
            assert line, (await ended(process))[1]
            text += line.decode()
        process.kill()
        await process.wait()
        for place in {*re.findall(r"127\.0\.0\.1:\d+", text)}:
            await silence(place)


async def silence(address: str) -> None:
    """Wait until nobody answers there."""
    while True:
        try:
            _, writer = await asyncio.open_connection(*address.rsplit(":", 1))
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--session", "soon"),
        ("--session", "1s"),
        ("--session", "3d"),
        ("--session", "10s", "--faults", "snow"),
        ("--session", "10s", "--units", "-1"),
        ("--session", "10s", "--skus", "0"),
        ("--naive",),
        ("--json",),
        ("--report", "out.json"),
        ("--session", "10s", "--report", "/nowhere/out.json"),
        ("--listen", "0.0.0.0:50051"),
        ("--listen", "nonsense"),
    ],
)
async def test_what_makes_no_sense_starts_nothing(up: Up, folder: Path, arguments: tuple[str, ...]) -> None:
    """Exit code 2, a word on what is wrong, and no folder."""
    process = await up(*arguments)
    _, err = await ended(process)
    assert (process.returncode, bool(err)) == (2, True), err
    assert not names_in(folder)
