"""Reading a watch in tests: never for ever."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

WAIT_SECONDS = 15.0
T = TypeVar("T")


async def following(watch: AsyncIterator[T], wait_seconds: float = WAIT_SECONDS) -> T:
    """The next item. A watch that has nothing to say in time raises `TimeoutError`, and may be asked again."""
    async with asyncio.timeout(wait_seconds):
        return await anext(watch)


async def next_revisions(watch: AsyncIterator[Any], count: int) -> list[int]:
    """The revisions of the next events."""
    return [(await following(watch)).revision for _ in range(count)]


async def until(holds: Any, wait_seconds: float = WAIT_SECONDS) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(wait_seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


async def read_to_the_end(watch: AsyncIterator[Any]) -> list[Any]:
    """All there is; for a watch that is expected to end or to fail."""
    async with asyncio.timeout(WAIT_SECONDS):
        return [item async for item in watch]
