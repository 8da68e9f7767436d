"""GET /events: one stream of server-sent events for each tab.

    board   rows that changed; the first tells all (`full`)
    event   one event of the alert log; its id is `epoch.revision`, by which a browser resumes without a gap
    lost    what came before is not kept any more, or of another lineage: read the pages' lists again
    tick    every second: how old the board is, and what waits for somebody

The alert log comes through the hub, as to every subscriber: a tab that stops reading is cut off, and resumes. Of the
board a tab that reads slowly gets less, never later: it is told what differs from what it was told last.
Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from math import isfinite
from typing import Any

from msgspec import json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.alerts.hub import AlertHub
from gateway.alerts.resuming import require_lineage
from gateway.alerts.subscriber import Entry, GoAway, Progress, Subscriber, Wanted
from gateway.board import Board, Follower
from gateway.domain.errors import GatewayError, TooManyStreams
from gateway.merchants import Merchant
from gateway.rpc import alert_rendering
from gateway.v1 import alert_pb2
from gateway.web.messages import as_json
from gateway.web.rows import changes_json

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
RETRY_MS = 1_000
# A tab that is ended takes no longer than this, though what was written last is still on its way.
END_SECONDS = 0.5
# A tab that takes nothing for so long is asleep.
WRITE_SECONDS_MAX = 20.0
# How often it is asked whether who listens may still do so.
ASK_SECONDS = 30.0
STREAMS_MAX = 200
_ID_LENGTH_MAX = 100
StillMay = Callable[[], Awaitable[bool]]
_HEADERS = {"X-Accel-Buffering": "no"}


class Streams:
    """The tabs that listen."""

    def __init__(self) -> None:
        """None yet."""
        self._tabs: set[_Tab] = set()
        self._closing = False

    def response(self, request: Request, merchant: Merchant, still_may: StillMay) -> Response:
        """The stream of one tab, while `still_may` says that it may listen; raises `TooManyStreams`."""
        if len(self._tabs) >= STREAMS_MAX or self._closing:
            raise TooManyStreams(f"{STREAMS_MAX} tabs listen already; close some")
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return _Stream(_Tab(merchant, last[:_ID_LENGTH_MAX], still_may), self._tabs)

    def close(self) -> None:
        """The gateway stops: end all, at once."""
        self._closing = True
        for tab in self._tabs:
            tab.end()


class _Stream(Response):
    """The answer to one tab. It ends when the tab is ended or has gone, though a write to it is blocked."""

    media_type = "text/event-stream"

    def __init__(self, tab: "_Tab", tabs: set["_Tab"]) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._tab = tab
        self._tabs = tabs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self._tabs.add(self._tab)
        telling = asyncio.create_task(self._tell(send))
        ends = (
            telling,
            asyncio.create_task(_gone(receive)),
            asyncio.create_task(self._tab.overdue()),
            asyncio.create_task(self._tab.refused()),
        )
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._tabs.discard(self._tab)
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        if not telling.cancelled() and (error := telling.exception()) is not None:
            raise error

    async def _tell(self, send: Send) -> None:
        try:
            async with aclosing(self._tab.told()) as parts:
                async for part in parts:
                    async with asyncio.timeout(WRITE_SECONDS_MAX):
                        await send({"type": "http.response.body", "body": part, "more_body": True})
        except TimeoutError:
            # It is asleep, and is not to keep its place from others. The connection ends with the answer.
            log.info("a tab has not read for long; its stream ends")
            return
        except GatewayError as error:
            # The browser comes again by itself, and is told then if it is still so.
            log.info("a tab's stream ends", extra={"error": str(error)})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Tab:
    def __init__(self, merchant: Merchant, last: str, still_may: StillMay) -> None:
        self._merchant = merchant
        self._still_may = still_may
        self._last = last
        self._ended = asyncio.Event()
        self._position = ""

    def end(self, _error: GatewayError | None = None) -> None:
        """No more is told; the browser comes again by itself."""
        self._ended.set()

    async def overdue(self) -> None:
        """Until the tab should have ended and has not."""
        await self._ended.wait()
        await asyncio.sleep(END_SECONDS)

    async def refused(self) -> None:
        """Until the tab has ended as who listens may not any more: his session is over, or another merchant's."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            # Who cannot be asked at the moment is asked again.
            with suppress(GatewayError):
                if not await self._still_may():
                    break
        self.end()
        await self.overdue()

    async def told(self) -> AsyncGenerator[bytes]:
        """All that the tab is told, until it is ended."""
        hub, board = self._merchant.alert_hub, self._merchant.board
        subscriber = Subscriber(Wanted(include_drills=True), self.end, coalesces=True)
        head = await hub.open(subscriber)
        try:
            after, is_lost = _start(self._last, head)
            subscriber.begin_after(after, resumes=True)
            self._position = f"{head.epoch}.{after}"
            yield b"retry: %d\n\n" % RETRY_MS
            if is_lost:
                yield _event("lost", b"{}")
            with board.followed() as follower:
                async for part in self._parts(hub, subscriber, board, follower, head.epoch):
                    yield part
        finally:
            hub.drop(subscriber)

    async def _parts(
        self, hub: AlertHub, subscriber: Subscriber, board: Board, follower: Follower, epoch: str
    ) -> AsyncGenerator[bytes]:
        ended = asyncio.create_task(self._ended.wait())
        sending = asyncio.create_task(hub.next(subscriber))
        changed = asyncio.create_task(follower.changed.wait())
        tick_due = 0.0
        try:
            while not ended.done():
                due = max(0.0, tick_due - time.monotonic())
                await asyncio.wait((ended, sending, changed), timeout=due, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    said = sending.result()
                    subscriber.begin_writing(said)
                    if isinstance(said, (Entry, Progress)):
                        self._position = f"{epoch}.{said.revision}"
                    yield _said(said, self._position)
                    subscriber.written(said)
                    if isinstance(said, GoAway):
                        return
                    sending = asyncio.create_task(hub.next(subscriber))
                if changed.done():
                    follower.changed.clear()
                    changes = board.changes(follower.look)
                    if changes.whole or changes.moved or changes.gone or not follower.look:
                        yield _event("board", changes_json(changes, is_first=not follower.look))
                    # How old it is, at once.
                    tick_due = tick_due if follower.look else 0.0
                    follower.look = changes.look
                    changed = asyncio.create_task(follower.changed.wait())
                if time.monotonic() >= tick_due:
                    tick_due = time.monotonic() + TICK_SECONDS
                    yield _event("tick", _tick(board, has_looked=bool(follower.look)), self._position)
        finally:
            for task in (ended, sending, changed):
                task.cancel()
            await asyncio.gather(ended, sending, changed, return_exceptions=True)


def _start(last: str, head: Any) -> tuple[int, bool]:
    """After which revision a tab is to begin, and whether it has missed something for good."""
    epoch, _, number = last.rpartition(".")
    if not epoch or not number.isdecimal():
        return head.revision, False
    revision = int(number)
    try:
        require_lineage(head, revision, epoch, at="after")
    except GatewayError:
        return head.revision, True
    return (head.revision, True) if revision < head.compact_revision else (revision, False)


def _said(said: Any, position: str) -> bytes:
    match said:
        case Entry():
            message = alert_pb2.AlertEvent()
            alert_rendering.fill_event(message, said.event)
            return _event("event", json.encode(as_json(message)), position)
        case Progress():
            # Where to resume, and nothing to tell.
            return b"id: %s\n\n" % position.encode()
        case GoAway():
            return b"retry: %d\n\n" % RETRY_MS
    return _event("lost", b"{}")


def _tick(board: Board, *, has_looked: bool) -> bytes:
    """`has_looked`: since the tab came. While nobody looks the board does not either, which is no age to show."""
    heads, pending = board.heads if isfinite(board.looked) else None, board.pending
    drill = {"id": pending.drill_id, "name": pending.drill_name} if pending.drill_id else None
    return json.encode(
        {
            "age_ms": None if heads is None or not has_looked else round((time.monotonic() - board.looked) * 1000),
            "as_of": None if heads is None else heads.now,
            "revision": 0 if heads is None else heads.revision,
            "alert_revision": 0 if heads is None else heads.alert_revision,
            "alerts_stale": heads is not None and not heads.is_watched,
            "skus": board.skus,
            "shortfalls": pending.shortfalls,
            "channels": [
                {"channel": one.channel, "problem": "PAUSED" if one.is_paused else "AWAY"}
                for one in board.channels.values()
                if one.is_paused or one.is_away
            ],
            "drill": drill,
        }
    )


def _event(kind: str, data: bytes, position: str = "") -> bytes:
    """One event; `data` is JSON, and so on one line."""
    place = b"id: %s\n" % position.encode() if position else b""
    return b"%sevent: %s\ndata: %s\n\n" % (place, kind.encode(), data)
