"""A small TCP proxy before a server's local socket, for the ways in which a network fails."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

CHUNK_BYTES = 65_536
# SO_LINGER on, for no time: closing sends RST, not FIN.
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Passes bytes on, unless it is blocked: then it resets whoever is there, and whoever comes."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._blocked = False
        self.resets = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen at a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Cut everybody off, and listen no more."""
        assert self._server is not None
        self._server.close()
        await self.block()
        await self._server.wait_closed()

    async def block(self) -> None:
        """Reset every connection there is, and every one that comes."""
        self._blocked = True
        for writer in list(self._open):
            self._reset(writer)

    async def unblock(self) -> None:
        """Pass everything on again."""
        self._blocked = False

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        self.resets += 1
        peer: socket.socket = writer.get_extra_info("socket")
        with suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._blocked:
            self._reset(writer)
            return
        self._open.add(writer)
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(self._target)
            ways = (_pump(reader, inner_writer), _pump(inner_reader, writer))
            # One end that closes closes the other.
            await asyncio.wait([asyncio.ensure_future(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
            inner_writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def proxy_to(target: Path) -> AsyncIterator[Proxy]:
    """A proxy that passes everything on until told otherwise."""
    proxy = Proxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
