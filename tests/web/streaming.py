"""A tab's stream, read as a browser reads it: events with their kind, data and id."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

WAIT_SECONDS = 10.0


class Told(NamedTuple):
    """One event."""

    kind: str
    data: Any
    position: str


class Tab:
    """A stream that is open. `position` is what the browser would resume by."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.response = response
        self.position = ""

    async def next(self, *kinds: str) -> Told:
        """The next event of these kinds; raises `StopAsyncIteration` when the stream ends."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                told = await self._event()
                if told.kind in kinds:
                    return told

    async def row(self, sku: str, **content: Any) -> dict[str, Any]:
        """The next row of this SKU with this content."""
        while True:
            told = await self.next("board")
            for row in told.data["rows"]:
                if row["sku"] == sku and content.items() <= row.items():
                    found: dict[str, Any] = row
                    return found

    async def events(self, upto: int) -> list[int]:
        """The revisions of the alert log's events, until one of this revision."""
        found: list[int] = []
        while not found or found[-1] < upto:
            found.append((await self.next("event")).data["revision"])
        return found

    async def _event(self) -> Told:
        kind, data = "", ""
        while (line := await anext(self._lines)) or not (kind or data):
            name, _, value = line.partition(": ")
            if name == "id":
                self.position = value
            elif name == "event":
                kind = value
            elif name == "data":
                data = value
        return Told(kind, json.loads(data), self.position)


@asynccontextmanager
async def listening(client: httpx.AsyncClient, last: str = "") -> AsyncIterator[Tab]:
    """A tab that is opened, or comes again with the last id it saw."""
    headers = {"last-event-id": last} if last else {}
    async with client.stream("GET", "/events", headers=headers) as response:
        yield Tab(response)
