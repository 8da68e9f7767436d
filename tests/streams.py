"""Streams of level changes as a caller reads them: message by message, and never waiting for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import StockLevel
from tests.client import Client

WAIT_SECONDS = 10.0


class Stream:
    """One WatchStockLevels call."""

    def __init__(self, client: Client, **request: Any) -> None:
        """Open it; without `start`, `after` or the like the gateway begins with a snapshot."""
        options = {**client.options, "timeout": None}
        self.call: Any = client.stock.WatchStockLevels(pb.WatchStockLevelsRequest(**request), **options)
        self._reading: asyncio.Task[Any] | None = None

    async def read(self, timeout_seconds: float = WAIT_SECONDS) -> pb.WatchStockLevelsResponse:
        """The next message; raises `EndOfStream`, `AioRpcError`, `TimeoutError`. A timeout does not end the stream."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self.call.read())
        await asyncio.wait([self._reading], timeout=timeout_seconds)
        if not self._reading.done():
            raise TimeoutError("the stream is silent")
        reading, self._reading = self._reading, None
        message = reading.result()
        if message is grpc.aio.EOF:
            raise EndOfStream
        assert isinstance(message, pb.WatchStockLevelsResponse)
        return message

    async def created(self) -> pb.WatchCreated:
        """The first message."""
        message = await self.read()
        assert message.WhichOneof("message") == "created"
        return message.created

    async def level(self) -> StockLevel:
        """The next message that is no heartbeat; it must be a level."""
        message = await self.read()
        while message.WhichOneof("message") == "progress":
            message = await self.read()
        assert message.WhichOneof("message") == "level", message
        return message.level

    async def snapshot(self) -> list[StockLevel]:
        """The levels up to the end of the snapshot."""
        levels = []
        while (message := await self.read()).WhichOneof("message") == "level":
            levels.append(message.level)
        assert message.WhichOneof("message") == "snapshot_end", message
        return levels

    async def drain(self) -> list[pb.WatchStockLevelsResponse]:
        """All messages to the end, which must come; raises `AioRpcError`."""
        messages = []
        try:
            while True:
                messages.append(await self.read())
        except EndOfStream:
            return messages

    def cancel(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.cancel()
        self.call.cancel()


class EndOfStream(Exception):
    """The gateway has ended the stream with OK."""


@asynccontextmanager
async def watching(client: Client, **request: Any) -> AsyncIterator[Stream]:
    """A stream that is hung up in the end."""
    stream = Stream(client, **request)
    try:
        yield stream
    finally:
        stream.cancel()
