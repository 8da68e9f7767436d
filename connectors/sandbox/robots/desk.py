"""What the stand-ins have in common: what they keep, their clock, and what is to go wrong.

A call is read and judged in one instant (`judge`); a fault may come before it (nothing is kept) or after it (what was
accepted is kept, and nobody hears of it).
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from connectors.sandbox.faults import HANG_SECONDS, Away, BadGateway, BusyError, Faults, TooManyCalls, Weather
from connectors.sandbox.serving import BODY_BYTES_MAX

KEPT_MAX = 10_000
LOOK_SECONDS = 0.02
STILL = Weather(latency_seconds=0.0, latency_spread_seconds=0.0)
BAD_GATEWAY = "<html><h1>502 Bad Gateway</h1></html>"


class Fault(StrEnum):
    """What the next calls meet."""

    REFUSE = "refuse"  # in the platform's words; nothing is kept
    THROTTLE = "throttle"  # in the platform's words for too many calls; nothing is kept
    BUSY = "busy"  # in the platform's words for an error of its own; nothing is kept
    HANG = "hang"  # no answer; nothing is kept
    LOSE_ANSWER = "lose-answer"  # no answer, and the message is kept
    ERROR = "error"  # HTTP 502 and a page of HTML; nothing is kept
    ERROR_AFTER = "error-after"  # the same, and the message is kept


@dataclass(frozen=True)
class Kept:
    """A message that was accepted. `target` is the room of a room's message, "" of a group robot's."""

    number: int
    time: datetime
    text: str
    target: str = ""
    mentions_all: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Posted:
    """A call as it came in."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_json(self) -> bool:
        """True if its content type says so."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; {} for anything else, half a character among it."""
        try:
            read = json.loads(self.body)
            json.dumps(read, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}


@dataclass(frozen=True)
class Answer:
    """What the caller reads."""

    body: Mapping[str, Any]
    status: int = 200


class Refused(Exception):
    """A call that is not accepted, and what it gets to read."""

    def __init__(self, answer: Answer) -> None:
        """Keep the answer."""
        super().__init__(f"refused: {answer.body}")
        self.answer = answer


@dataclass
class Desk:
    """One stand-in's state: what it kept and what goes wrong next. `calls` counts those that were read."""

    name: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    faults: Faults = field(default_factory=lambda: Faults(weather=STILL))
    kept: deque[Kept] = field(default_factory=lambda: deque(maxlen=KEPT_MAX))
    calls: int = 0
    refused: int = 0
    fault: Fault | None = None
    # The calls that still meet the fault; None: all until it is taken away.
    fault_calls: int | None = None
    _number: int = 0

    @property
    def texts(self) -> list[str]:
        """What was accepted, the oldest first."""
        return [kept.text for kept in self.kept]

    def go_wrong(self, fault: Fault | None, calls: int | None = None) -> None:
        """From now on, or for so many calls; None ends it."""
        self.fault, self.fault_calls = fault, calls

    def keep(self, text: str, body: Mapping[str, Any], *, target: str = "", mentions_all: bool = False) -> Kept:
        """A message that is accepted unless a fault prevents it."""
        self._number += 1
        return Kept(self._number, self.clock(), text, target, mentions_all, body)

    def next_fault(self) -> Fault | None:
        """What this call meets."""
        fault = self.fault
        if fault is not None and self.fault_calls is not None:
            self.fault_calls -= 1
            if self.fault_calls <= 0:
                self.go_wrong(None)
        return fault


@dataclass(frozen=True)
class Window:
    """One stand-in before its desk: how a call is judged, and the platform's words for what can be ordered.

    `judge` raises `Refused`, or says what is to be kept; `accepted` is the answer then.
    """

    desk: Desk
    judge: Callable[[Posted], Kept]
    accepted: Callable[[Kept], Answer]
    words: Mapping[Fault, Answer]

    async def answer(self, request: Request) -> Response:
        """Answer one call; even a broken front states the platform's clock."""
        try:
            response = await self._through_faults(request, await _posted(request))
        except (BadGateway, Away):
            response = HTMLResponse(BAD_GATEWAY, 502)
        except BusyError:
            response = self._said(self.words[Fault.BUSY])
        except TooManyCalls:
            response = self._said(self.words[Fault.THROTTLE])
        response.headers["date"] = format_datetime(self.desk.clock(), usegmt=True)
        return response

    async def _through_faults(self, request: Request, posted: Posted) -> Response:
        desk = self.desk
        desk.calls += 1
        match desk.next_fault():
            case Fault.REFUSE | Fault.THROTTLE | Fault.BUSY as ordered:
                desk.refused += 1
                return self._said(self.words[ordered])
            case Fault.HANG:
                await _hang(request)
            case Fault.LOSE_ANSWER:
                self._taken(posted)
                await _hang(request)
            case Fault.ERROR:
                raise BadGateway
            case Fault.ERROR_AFTER:
                self._taken(posted)
                raise BadGateway
        return self._said(await desk.faults.serve(lambda: self._taken(posted)))

    def _taken(self, posted: Posted) -> Answer:
        try:
            kept = self.judge(posted)
        except Refused as refused:
            self.desk.refused += 1
            return refused.answer
        self.desk.kept.append(kept)
        return self.accepted(kept)

    def _said(self, answer: Answer) -> Response:
        text = json.dumps(answer.body, ensure_ascii=False)
        return Response(text, answer.status, media_type="application/json")


async def _posted(request: Request) -> Posted:
    """Read a request, to the first chunk too many."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                break
    except ClientDisconnect:
        raise Away from None
    return Posted(request.path_params, dict(request.query_params), dict(request.headers), body)


async def _hang(request: Request) -> None:
    """Leave the caller without an answer, as long as it waits."""
    end = asyncio.get_running_loop().time() + HANG_SECONDS
    while asyncio.get_running_loop().time() < end and not await request.is_disconnected():  # noqa: ASYNC110 - polled
        await asyncio.sleep(LOOK_SECONDS)
    raise Away
