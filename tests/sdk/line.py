"""A TCP line to a gateway that can be cut, and that drops a connection over which nothing has come for a while."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

CHUNK_BYTES = 65_536
LOOK_SECONDS = 0.5


class Line:
    """Passes bytes on between its `address` and the gateway."""

    def __init__(self, target: str, idle_seconds_max: float) -> None:
        self._host, _, self._port = target.rpartition(":")
        self._idle_seconds_max = idle_seconds_max
        self._open: dict[asyncio.StreamWriter, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.connections = 0
        self.dropped = 0

    @property
    def address(self) -> str:
        """Where a client reaches the gateway over this line."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Cut every connection there is; new ones are let through."""
        for writer in self._open:
            writer.transport.abort()

    async def start(self) -> None:
        """Listen at a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._dropping = self._begin(self._drop_the_idle())

    async def stop(self) -> None:
        """Cut everybody off, and listen no more."""
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open[writer] = time.monotonic()
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self._host, int(self._port))
            ways = {
                self._begin(self._pump(reader, inner_writer, writer)),
                self._begin(self._pump(inner_reader, writer, writer)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            inner_writer.transport.abort()
        except OSError:
            pass  # no gateway is there
        finally:
            del self._open[writer]
            writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if key in self._open:
                    self._open[key] = time.monotonic()
                writer.write(data)
                await writer.drain()

    async def _drop_the_idle(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for writer, heard in self._open.items():
                if time.monotonic() - heard > self._idle_seconds_max:
                    self.dropped += 1
                    writer.transport.abort()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@asynccontextmanager
async def line_to(target: str, idle_seconds_max: float = 3_600.0) -> AsyncIterator[Line]:
    """A line that is cut in the end."""
    line = Line(target, idle_seconds_max)
    await line.start()
    try:
        yield line
    finally:
        await line.stop()
