"""What one live room can sell, as it changes; never what is too old to be spoken.

A reader of its own empties the stream and keeps the newest hint of each SKU, so that a slow consumer gets what is true
now and not what was true when it fell behind. When a hint is handed over it is looked at once more: past its
`expire_time`, by this machine's clock, it is dropped. A machine whose clock is seconds ahead therefore drops
everything; it says so in its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import grpc.aio

from gateway.client.backoff import Backoff
from gateway.client.connection import Closing, Connection
from gateway.client.errors import error_of, is_passing
from gateway.v1 import live_service_pb2

if TYPE_CHECKING:
    from gateway.v1.live_service_pb2_grpc import LiveServiceAsyncStub

log = logging.getLogger(__name__)

# A room with a SKU says something before its numbers expire (3 s).
SILENCE_SECONDS_MAX = 15.0
CLOSED = "CLOSED"
# How many hints may be too old in a row before the clock is to blame.
EXPIRED_IN_A_ROW = 20
Clock = Callable[[], datetime]


class HintWatch(Closing):
    """Yields hints, each SKU first once, then when it changes and before it expires; ends when the session is closed.

    For one consumer at a time. Leaving the loop and dropping the watch, `aclose`, or closing the client ends it.
    """

    def __init__(
        self,
        connection: Connection,
        stub: LiveServiceAsyncStub,
        request: live_service_pb2.WatchHintsRequest,
        clock: Clock,
    ) -> None:
        """Made by `LiveClient.watch_hints`; nothing is sent before the first hint is asked for."""
        self._box = _Box(clock)
        self._open = lambda: stub.WatchHints(request, metadata=connection.metadata)
        self._reading: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def dropped(self) -> int:
        """How many hints were too old when they could have been handed over."""
        return self._box.dropped

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> live_service_pb2.Hint:
        """The next hint that may still be spoken. Raises `GatewayRefused` where trying again would not help."""
        if self._is_closed:
            raise StopAsyncIteration
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(_read(self._open, self._box), name="hints of a room")
            self._reading.add_done_callback(self._box.reader_ended)
        while (hint := self._box.take()) is None:
            if self._box.is_over:
                raise StopAsyncIteration
            if self._box.failed is not None:
                raise self._box.failed
            await self._box.changed.wait()
        return hint

    async def aclose(self) -> None:
        """End the stream; who waits for the next hint gets the end."""
        self._is_closed = True
        self._box.end()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def __del__(self) -> None:
        # Dropped by a consumer that waits no more. The loop may be gone by now, and everything with it.
        with contextlib.suppress(RuntimeError, AttributeError):
            if self._reading is not None:
                self._reading.cancel()


class _Box:
    """The newest hint of each SKU, in the order in which they came."""

    def __init__(self, clock: Clock) -> None:
        self.changed = asyncio.Event()
        self.dropped = 0
        self.failed: BaseException | None = None
        self.is_over = False
        self._clock = clock
        self._waiting: dict[str, live_service_pb2.Hint] = {}
        self._versions: dict[str, int] = {}
        self._expired_in_a_row = 0

    def begin(self) -> None:
        """A stream begins: its versions are compared among themselves only."""
        self._versions.clear()

    def put(self, hint: live_service_pb2.Hint) -> None:
        if hint.version < self._versions.get(hint.sku, 0):
            return
        self._versions[hint.sku] = hint.version
        self._waiting.pop(hint.sku, None)
        self._waiting[hint.sku] = hint
        self.changed.set()

    def take(self) -> live_service_pb2.Hint | None:
        """The hint that has waited longest and may still be spoken."""
        while self._waiting:
            hint = self._waiting.pop(next(iter(self._waiting)))
            if not hint.HasField("expire_time") or self._clock() < hint.expire_time.ToDatetime(UTC):
                self._expired_in_a_row = 0
                return hint
            self._drop()
        if not self.is_over and self.failed is None:
            self.changed.clear()
        return None

    def reader_ended(self, reading: asyncio.Task[None]) -> None:
        """Who waits hears why nothing comes any more."""
        self.failed = None if reading.cancelled() else reading.exception()
        self.changed.set()

    def end(self) -> None:
        self.is_over = True
        self.changed.set()

    def _drop(self) -> None:
        self.dropped += 1
        self._expired_in_a_row += 1
        if self._expired_in_a_row == EXPIRED_IN_A_ROW:
            log.warning("hints are too old when they arrive: is this machine's clock ahead, or its reader too slow?")


async def _read(open_stream: Callable[[], Any], box: _Box) -> None:
    """Fill the box from one stream after the other, until the session is closed or trying again would not help."""
    backoff = Backoff()
    while not box.is_over:
        call = open_stream()
        box.begin()
        wait_seconds = 0.0
        try:
            wait_seconds = await _drain(call, box, backoff)
        except TimeoutError:
            log.warning("a stream of hints has fallen silent, and is opened anew")
        except grpc.aio.AioRpcError as error:
            failed = error_of(error)
            if not is_passing(error):
                raise failed from None
            wait_seconds = failed.retry_after_seconds
        finally:
            call.cancel()
        if not box.is_over:
            await asyncio.sleep(backoff.next_seconds(wait_seconds))


async def _drain(call: Any, box: _Box, backoff: Backoff) -> float:
    """Read to the stream's end; in how many seconds to come back."""
    while True:
        async with asyncio.timeout(SILENCE_SECONDS_MAX):
            message = await call.read()
        if message is grpc.aio.EOF:
            return 0.0
        match message.WhichOneof("message"):
            case "hint":
                box.put(message.hint)
            case "current":
                backoff.reset()
            case "go_away":
                if message.go_away.reason == CLOSED:
                    box.end()
                return float(message.go_away.retry_after_ms) / 1000
