"""Readings that a crowd shares: whoever asks while one runs waits, with all others, for the next."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Sharing(Generic[T]):
    """Readings behind a gate, which lets in one at a time or a few."""

    def __init__(self, gate: asyncio.Lock | asyncio.Semaphore) -> None:
        """Nobody has asked yet."""
        self._gate = gate
        self._next: dict[Hashable, asyncio.Future[T]] = {}

    async def next(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """What a reading finds that began after this was called; those who ask for the same key share it."""
        if key not in self._next:
            reading = asyncio.ensure_future(self._run(key, read))
            # Whoever asked may be gone by the time it fails.
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._next[key] = reading
        return await asyncio.shield(self._next[key])

    async def _run(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        try:
            await self._gate.acquire()
        finally:
            # Who asks from here on needs a reading that begins later.
            del self._next[key]
        try:
            return await read()
        finally:
            self._gate.release()
