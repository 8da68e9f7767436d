"""Streams of alerts as a caller reads them: message by message, and never waiting for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from gateway.alerts.engine import Engine
from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import AlertEvent
from tests.client import Client
from tests.streams import EndOfStream

WAIT_SECONDS = 10.0
Message = pb.WatchTierChangesResponse
# A client that takes in little beyond what it reads, so that one who stops reading is felt by the gateway soon.
LITTLE_ROOM = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024))


def stop_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no engine of this process appends anything."""

    async def rest(_engine: Engine) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Engine, "run", rest)


class AlertStream:
    """One WatchTierChanges call."""

    def __init__(self, client: Client, timeout_seconds: float | None = None, **request: Any) -> None:
        """Open it; without `start`, `after` or the like the gateway begins with a snapshot."""
        options = {**client.options, "timeout": timeout_seconds}
        self.call: Any = client.alerts.WatchTierChanges(pb.WatchTierChangesRequest(**request), **options)
        self._reading: asyncio.Task[Any] | None = None

    async def read(self, timeout_seconds: float = WAIT_SECONDS) -> Message:
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
        assert isinstance(message, Message)
        return message

    async def created(self) -> pb.AlertsCreated:
        """The first message."""
        message = await self.read()
        assert message.WhichOneof("message") == "created", message
        return message.created

    async def event(self) -> AlertEvent:
        """The next message that is no heartbeat; it must be an event."""
        message = await self.read()
        while message.WhichOneof("message") == "progress":
            message = await self.read()
        assert message.WhichOneof("message") == "event", message
        return message.event

    async def revisions(self, count: int) -> list[int]:
        """The numbers of so many events."""
        return [(await self.event()).revision for _ in range(count)]

    async def progress(self) -> int:
        """The next message, which must be progress; its revision."""
        message = await self.read()
        assert message.WhichOneof("message") == "progress", message
        return message.progress.revision

    async def drain(self) -> list[Message]:
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


@asynccontextmanager
async def alerts(client: Client, **request: Any) -> AsyncIterator[AlertStream]:
    """A stream that is hung up in the end."""
    stream = AlertStream(client, **request)
    try:
        yield stream
    finally:
        stream.cancel()
