"""PostgreSQL as something that can be stopped, frozen, killed and started again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from gateway.store.embedded import EmbeddedPostgres

# No server in these tests takes longer to come or to go.
PATIENCE_SECONDS = 20.0


class Postmaster:
    """The server of one data folder, as its processes."""

    def __init__(self, data_dir: Path) -> None:
        self._pid_file = data_dir / "postgres" / "postmaster.pid"

    @property
    def pid(self) -> int:
        """The postmaster's process id, 0 if there is none."""
        try:
            return int(self._pid_file.read_text().splitlines()[0])
        except (FileNotFoundError, IndexError):
            return 0

    @property
    def is_running(self) -> bool:
        pid = self.pid
        return pid > 0 and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    def signal(self, number: signal.Signals) -> None:
        """Send the postmaster a signal."""
        os.kill(self.pid, number)

    def client_backends(self) -> list[psutil.Process]:
        """The processes that serve connections."""
        children = psutil.Process(self.pid).children()
        return [child for child in children if "postgres: postgres postgres" in " ".join(child.cmdline())]

    async def freeze(self) -> None:
        """Accept connections (the kernel does), and never answer."""
        for process in self._all():
            process.suspend()

    async def thaw(self) -> None:
        """Go on as if nothing had been."""
        for process in self._all():
            process.resume()

    async def kill(self) -> None:
        """Kill -9 of the postmaster; its children notice and go."""
        family = self._all()
        self.signal(signal.SIGKILL)
        await _gone(family)

    async def stop(self) -> None:
        """A fast shutdown, as an administrator would do it."""
        family = self._all()
        self.signal(signal.SIGINT)
        await _gone(family)

    def _all(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.pid)
        return [postmaster, *postmaster.children(recursive=True)]


class OwnPostgres(Postmaster):
    """A server that nobody keeps alive but its test."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self._embedded = EmbeddedPostgres(data_dir)

    @property
    def url(self) -> str:
        """Its URL, over the local socket."""
        return self._embedded.url

    @property
    def socket(self) -> Path:
        """The local socket it listens on."""
        return self._pid_file.with_name(".s.PGSQL.5432")

    async def start(self) -> None:
        """Start it, or start it again."""
        await self._embedded.start()

    async def leave(self) -> None:
        """Stop it for good."""
        await self._embedded.stop()


@asynccontextmanager
async def own_postgres(data_dir: Path) -> AsyncIterator[OwnPostgres]:
    """A running server; whatever was done to it, it is gone in the end."""
    server = OwnPostgres(data_dir)
    await server.start()
    try:
        yield server
    finally:
        if server.is_running:
            await server.thaw()
        await server.leave()


async def _gone(family: list[psutil.Process]) -> None:
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, PATIENCE_SECONDS)
    assert not alive
