"""Running `stockgate` as a person does: in a process of its own, against a real gateway."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

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
