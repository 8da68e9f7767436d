"""`stockgate connect` as a person runs it: a process of its own, which may be killed at any moment."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from tests.connectors.agent.desk import CUP_ID, MUG, MUG_ID, Desk, until
from tests.connectors.agent.gateway import APPLIED, RAISE, UNKNOWN

Connect = Callable[..., Awaitable[asyncio.subprocess.Process]]
END_SECONDS_MAX = 20.0


@pytest.fixture
async def connect(taobao: Desk) -> AsyncIterator[Connect]:
    """Starts `stockgate connect` with some arguments; nothing of it outlives the test."""
    started: list[asyncio.subprocess.Process] = []
    told = {**os.environ, "STOCKGATE_ADDRESS": taobao.gateway_address, "COLUMNS": "120", "NO_COLOR": "1"}

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "connect", *arguments),
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
    return process.returncode, re.sub(r"\s+", " ", (out + err).decode())


async def is_serving(desk: Desk) -> None:
    async with asyncio.timeout(END_SECONDS_MAX):
        while not desk.book.streams:  # noqa: ASYNC110 - what is waited for is a plain value
            await asyncio.sleep(0.02)


async def test_the_command_serves_and_ends_when_told(taobao: Desk, connect: Connect) -> None:
    """It pushes and takes orders in; SIGTERM ends it with 0, and its log holds no secret and no buyer."""
    process = await connect("taobao", "--inbox", "127.0.0.1:0")
    await is_serving(taobao)
    order = taobao.shop.place({MUG: 1})
    report = await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 4))
    assert report.result == APPLIED
    await until(lambda: order.order_id in taobao.book.orders)
    process.send_signal(signal.SIGTERM)
    code, printed = await ended(process)
    assert code == 0
    assert "push over" in printed
    for secret in (taobao.book.tokens.access_token, taobao.book.tokens.refresh_token, "topsecret"):
        assert secret not in printed


async def test_killed_processes_neither_lose_nor_double_a_push(taobao: Desk, connect: Connect) -> None:
    """After kill -9 amid pushes, what may have been done is said to be unknown, and everything else is done once."""
    taobao.faults.weather = replace(taobao.faults.weather, lose_answer=1.0)
    process = await connect("taobao", "--inbox", "127.0.0.1:0")
    await is_serving(taobao)
    begun = taobao.book.push(MUG_ID, RAISE, 4)
    await until(lambda: taobao.shown() == 14)
    process.kill()
    await ended(process)
    taobao.faults.weather = replace(taobao.faults.weather, lose_answer=0.0)
    await until(lambda: not taobao.book.streams)
    await connect("all", "--inbox", "127.0.0.1:0")
    await is_serving(taobao)
    assert (await taobao.report_on(begun)).result == UNKNOWN
    assert (await taobao.report_on(taobao.book.push(CUP_ID, RAISE, 1))).result == APPLIED
    assert taobao.shown() == 14


async def test_it_ends_at_once_while_the_gateway_is_away(connect: Connect) -> None:
    """SIGTERM ends it within seconds, whether the gateway answers or not."""
    process = await connect("all", "--inbox", "127.0.0.1:0", "--address", "127.0.0.1:1")
    assert process.stderr is not None
    async with asyncio.timeout(END_SECONDS_MAX):
        assert b"connectors begin" in await process.stderr.readline()
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert (await ended(process))[0] == 0
    assert time.monotonic() - begun < 5


async def test_channels_of_other_platforms_are_left_alone(taobao: Desk, connect: Connect) -> None:
    """`connect douyin` serves no channel of Taobao."""
    process = await connect("douyin", "--inbox", "127.0.0.1:0")
    assert process.stderr is not None
    async with asyncio.timeout(END_SECONDS_MAX):
        assert b"connectors begin" in await process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert (await ended(process))[0] == 0
    assert not taobao.book.heartbeats


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--help",), "Whose channels to serve"),
        (("amazon",), "'amazon' is not one of"),
        ((), "Missing argument"),
        (("all", "--inbox", "nowhere"), "is no address"),
        (("all", "--address", "nowhere:x"), "is no address"),
        (("all", "--inbox", "203.0.113.1:1"), "--inbox 203.0.113.1:1"),
    ],
)
async def test_what_is_not_typed_right_is_said(connect: Connect, arguments: tuple[str, ...], words: str) -> None:
    """Exit code 2 and a sentence; 0 for --help."""
    code, printed = await ended(await connect(*arguments))
    assert words in printed
    assert code == (0 if "--help" in arguments else 2)
