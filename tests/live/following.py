"""Streams of hints as a console reads them: message by message, and never waiting for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from gateway.v1 import live_service_pb2 as pb
from tests.client import Client

WAIT_SECONDS = 40.0


class Following:
    """One WatchHints call; `hints` is the newest of each SKU."""

    def __init__(self, client: Client, session_id: int, *skus: str) -> None:
        options = {**client.options, "timeout": None}
        self.call: Any = client.live.WatchHints(pb.WatchHintsRequest(session_id=session_id, skus=skus), **options)
        self.hints: dict[str, pb.Hint] = {}

    async def read(self) -> pb.WatchHintsResponse:
        """The next message."""
        async with asyncio.timeout(WAIT_SECONDS):
            message = await self.call.read()
        if message is grpc.aio.EOF:
            raise EOFError
        assert isinstance(message, pb.WatchHintsResponse)
        if message.WhichOneof("message") == "hint":
            before = self.hints.get(message.hint.sku)
            assert before is None or before.version < message.hint.version
            self.hints[message.hint.sku] = message.hint
        return message

    async def beginning(self) -> dict[str, pb.Hint]:
        """All hints once."""
        while (message := await self.read()).WhichOneof("message") == "hint":
            pass
        assert message.current.skus == len(self.hints)
        return self.hints

    async def until(self, is_so: Callable[[pb.Hint], bool], sku: str = "CUP") -> pb.Hint:
        """The first hint of a SKU of which it is so."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while sku not in self.hints or not is_so(self.hints[sku]):
                    await self.read()
        except TimeoutError:
            raise AssertionError(self.hints.get(sku)) from None
        return self.hints[sku]

    async def end(self) -> pb.HintsGoAway:
        """The last message."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (message := await self.read()).WhichOneof("message") != "go_away":
                pass
            assert await self.call.read() is grpc.aio.EOF
        return message.go_away


@asynccontextmanager
async def following(client: Client, session_id: int, *skus: str) -> AsyncIterator[Following]:
    """A stream that is hung up in the end."""
    stream = Following(client, session_id, *skus)
    try:
        yield stream
    finally:
        stream.call.cancel()


async def hint_of(client: Client, session_id: int, sku: str = "CUP") -> pb.Hint:
    """What the room can say of one SKU now."""
    request = {"session_id": session_id, "skus": [sku]}
    return (await client.ask(client.live.GetHints, pb.GetHintsRequest, **request)).hints[0]
