"""Running something beside something else, and waiting until it is so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

LOOK_SECONDS = 0.2
STOP_SECONDS_MAX = 8.0


@asynccontextmanager
async def beside(coroutine: Coroutine[Any, Any, object], stopping: asyncio.Event | None = None) -> AsyncIterator[None]:
    """Runs it until the block ends; if it fails first, the block ends with its error (in an `ExceptionGroup`).

    In the end it is cancelled, or if there is `stopping`, told to end and given some seconds for it.
    """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(coroutine)
        try:
            yield
        finally:
            if stopping is not None:
                stopping.set()
                await asyncio.wait((task,), timeout=STOP_SECONDS_MAX)
            task.cancel()


async def within(seconds: float, is_so: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it has come to be so in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await is_so():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True
