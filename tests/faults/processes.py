"""Gateways in processes of their own, to be killed; and what `stockgate doctor` says afterwards."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio

# The first start makes a database.
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
DOCTOR_SECONDS_MAX = 60.0
# A client that comes back at once when its gateway does.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.use_local_subchannel_pool", 1),
)


class GatewayProcess:
    """`stockgate serve` with these variables, at an address that stays the same from start to start."""

    def __init__(self, variables: Mapping[str, str], log: Path) -> None:
        self.address = f"127.0.0.1:{_free_port()}"
        self._environment = {**os.environ, "STOCKGATE_PAGE_LISTEN": "off", **variables}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        command = (sys.executable, "-m", "gateway", "serve", "--json", "--listen", self.address)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_SECONDS_MAX):
            line = await self._process.stdout.readline()
        assert line, f"the gateway did not start:\n{self.log}"
        assert json.loads(line) == {"address": self.address, "page": None}

    async def kill(self) -> None:
        """Kill -9."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Stop it in order; its exit code."""
        return await self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def log(self) -> str:
        """What it has logged since it was made."""
        return self._log.read_text(errors="replace")

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A channel to it that survives its restarts."""
        async with grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS) as channel:
            yield channel

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        async with asyncio.timeout(STOP_SECONDS_MAX):
            return await self._process.wait()


@asynccontextmanager
async def running(gateway: GatewayProcess) -> AsyncIterator[GatewayProcess]:
    """Start it; it is gone in the end."""
    await gateway.start()
    try:
        yield gateway
    finally:
        if gateway.is_running:
            gateway.send(signal.SIGCONT)
            await gateway.kill()


async def doctor(variables: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """The exit code of `stockgate doctor --json`, and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "doctor",
        "--json",
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DOCTOR_SECONDS_MAX):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(output)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
