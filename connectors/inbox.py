"""Hints that something has happened, from wherever they come: each is looked into before its sender hears "taken".

A hint proves nothing and may be a repeat or a forgery; what it is about is asked from the platform. The HTTP server has
one door per channel, `/inbox/{channel}`, for the platforms that push.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.access import Access
from connectors.backoff import Backoff
from connectors.base import Hint, Inbound
from connectors.contract import GatewayError
from connectors.errors import ConnectorError, Forged
from connectors.intake import Intake
from connectors.reading import Reader
from connectors.serving import ServerLimits, serving
from connectors.settings import AgentSettings
from gateway import metrics

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 1024 * 1024
BODY_SECONDS_MAX = 5.0
FORGED_TOLD = 20
LIMITS = ServerLimits(connections_max=1_000, keep_alive_seconds=30, stop_seconds=2)


class Busy(Exception):
    """More hints wait than may; the sender is to come again."""


class Door:
    """Where one channel's hints come in."""

    def __init__(self, channel: str, access: Access, intake: Intake, reader: Reader, settings: AgentSettings) -> None:
        """Open as soon as the channel has a platform."""
        self.forged = 0
        self._channel, self._access, self._intake, self._reader = channel, access, intake, reader
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.hints_at_once)
        self._waiting = 0
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def take(self, hint: Hint) -> None:
        """Look into a hint; a repeat of one that was taken is taken. Raises what came between."""
        if hint.message_id in self._seen:
            return
        if self._waiting >= self._settings.hints_waiting_max:
            raise Busy
        self._waiting += 1
        try:
            async with asyncio.timeout(self._settings.hint_seconds), self._turns:
                await self._look_into(hint)
        finally:
            self._waiting -= 1
        self._seen[hint.message_id] = None
        while len(self._seen) > self._settings.messages_remembered_max:
            self._seen.popitem(last=False)

    async def answer(self, inbound: Inbound) -> Response:
        """What to answer a push."""
        if not self._access.has_platform:
            return Response(status_code=503)
        platform = self._access.platform
        try:
            hints = platform.open(inbound)
        except Forged as error:
            self.forged += 1
            # The heartbeat tells how many; a flood of them is not to fill the log.
            if self.forged <= FORGED_TOLD or self.forged % FORGED_TOLD == 0:
                fields = {"channel": self._channel, "said": error.message, "count": self.forged}
                log.warning("forged push", extra=fields)
            return Response(status_code=403)
        reply = platform.reply(taken=await self._are_taken(hints))
        return Response(reply.body, reply.status, media_type="application/json")

    async def listen(self) -> None:
        """Keep the platform's long connection, if it has one, until cancelled."""
        backoff = Backoff(self._settings.backoff_seconds, self._settings.backoff_seconds_max)
        while True:
            await self._access.open()
            rebuilt = self._access.rebuilt
            listening = asyncio.create_task(self._access.platform.listen(self.take))
            other = asyncio.create_task(rebuilt.wait())
            try:
                await asyncio.wait({listening, other}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done() and listening.exception() is None:
                    # The platform has none, until somebody says that it is another.
                    await other
                    continue
                if listening.done():
                    fields = {"channel": self._channel, "error": type(listening.exception()).__name__}
                    log.warning("long connection broken", extra=fields, exc_info=listening.exception())
                    metrics.loop_failures.add(1, {"loop": "connection"})
            finally:
                for task in (listening, other):
                    task.cancel()
                await asyncio.gather(listening, other, return_exceptions=True)
            await backoff.pause()

    async def _are_taken(self, hints: list[Hint]) -> bool:
        results = await asyncio.gather(*map(self.take, hints), return_exceptions=True)
        for result in results:
            if isinstance(result, Busy | TimeoutError | GatewayError | ConnectorError):
                fields = {"channel": self._channel, "error": type(result).__name__}
                log.info("push not taken in", extra=fields)
            elif isinstance(result, BaseException):
                raise result
        return not any(results)

    async def _look_into(self, hint: Hint) -> None:
        if hint.order_id:
            await self._intake.take(hint.order_id, hint.message_id)
        if hint.key is not None:
            self._reader.look(hint.key)


class Inbox:
    """All doors of this process, behind one HTTP server."""

    def __init__(self) -> None:
        """There is none yet."""
        self._doors: dict[str, Door] = {}
        self.app = Starlette(routes=[Route("/inbox/{channel}", self._answer, methods=["POST"])])

    @contextlib.contextmanager
    def door(self, channel: str, door: Door) -> Iterator[None]:
        """Let a channel's pushes in."""
        self._doors[channel] = door
        try:
            yield
        finally:
            # Another agent for the same channel may have taken its place.
            if self._doors.get(channel) is door:
                del self._doors[channel]

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[str]:
        """Serve on this loop; yields `host:port` (port 0: any free one). Raises `OSError` if the port is taken."""
        async with serving(self.app, host, port, LIMITS) as address:
            yield address

    async def _answer(self, request: Request) -> Response:
        door = self._doors.get(request.path_params["channel"])
        if door is None:
            return Response(status_code=404)
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                body = await _body_of(request)
        except (ClientDisconnect, TimeoutError):
            return Response(status_code=408)
        if body is None:
            return Response(status_code=413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        return await door.answer(Inbound(headers, body))


async def _body_of(request: Request) -> bytes | None:
    """The whole body; None if it is too long. Raises `ClientDisconnect`, `TimeoutError`."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            return None
        parts.append(part)
    return b"".join(parts)
