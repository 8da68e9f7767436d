"""Running `stockgate` as a person does: in a process of its own, against a real gateway."""

import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.cli.command import main

COMMAND_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed on stdout, as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """What it printed on stderr, as JSON."""
        return json.loads(self.err)["error"]


Stockgate = Callable[..., Awaitable[Ended]]


@pytest.fixture
def stockgate(gateway_address: str, token: str) -> Stockgate:
    """Runs `stockgate` with some arguments, as the test's merchant."""
    told = {"STOCKGATE_ADDRESS": gateway_address, "STOCKGATE_TOKEN": token, "COLUMNS": "120", "TZ": "Asia/Shanghai"}

    async def run(*arguments: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | told,
        )
        out, err = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS_MAX)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
def quick_stockgate(gateway_address: str, token: str, monkeypatch: pytest.MonkeyPatch) -> Stockgate:
    """The same in a thread of this process, for many commands of which none waits for Ctrl-C."""
    monkeypatch.setenv("STOCKGATE_ADDRESS", gateway_address)
    monkeypatch.setenv("STOCKGATE_TOKEN", token)
    monkeypatch.setenv("COLUMNS", "160")

    def run_here(arguments: tuple[str, ...]) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main(arguments)
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, out.getvalue(), err.getvalue())

    async def run(*arguments: str) -> Ended:
        return await asyncio.wait_for(asyncio.to_thread(run_here, arguments), COMMAND_SECONDS_MAX)

    return run
