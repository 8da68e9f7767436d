"""`stockgate run`: everything starts, a session is played, and all of it ends together."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.settings import Settings

SECONDS_MAX = 60.0

Run = Callable[..., Awaitable[Process]]


@pytest.fixture
async def run(settings: Settings, tmp_path: Path) -> AsyncIterator[Run]:
    """Starts `stockgate run` on the tests' database, with a small session at full speed."""
    assert settings.database_url is not None
    started: list[Process] = []
    environment = os.environ | {"STOCKGATE_DATABASE_URL": settings.database_url, "COLUMNS": "120"}
    small = ("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path), "--orders", "60", "--speed", "max")

    async def start(*arguments: str) -> Process:
        command = (sys.executable, "-m", "gateway", "run", *small, *arguments)
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def text_until(process: Process, word: str) -> str:
    """What a process prints, up to the line with a word."""
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(SECONDS_MAX):
        while word not in text:
            line = await process.stdout.readline()
            assert line, f"it ended before it said {word!r}: {text}"
            text += line.decode()
    return text


def address_in(text: str) -> str:
    """The address the gateway serves on."""
    return text.partition("serves on ")[2].split()[0]


async def test_once_plays_a_session_and_ends_with_its_verdict(run: Run) -> None:
    """`--once --json` prints the summary alone."""
    process = await run("--once", "--json")
    async with asyncio.timeout(SECONDS_MAX):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    summary = json.loads(out)
    assert (summary["orders"], summary["consistent"]) == (60, True)


async def test_it_stays_up_to_look_around_until_ctrl_c(run: Run) -> None:
    """The commands to try name the session's SKU; Ctrl-C ends with 0, and the gateway is gone with it."""
    process = await run()
    text = await text_until(process, "Ctrl-C ends")
    assert "stock level REPLAY-" in text
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(SECONDS_MAX):
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    await expect_silence(address_in(text))


async def test_the_gateway_goes_with_a_parent_that_was_killed(run: Run) -> None:
    """Nothing is left behind that would hold the port."""
    process = await run()
    text = await text_until(process, "Ctrl-C ends")
    process.kill()
    await process.wait()
    await expect_silence(address_in(text))


async def expect_silence(address: str) -> None:
    """Nobody answers there any more, soon."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            try:
                _, writer = await asyncio.open_connection(*address.rsplit(":", 1))
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.1)
