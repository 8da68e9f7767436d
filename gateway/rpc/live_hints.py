"""LiveService: what a room can sell now, and what to say.

A stream ends honestly, as those of stock do: a GoAway before the gateway stops, before grpc would cut the connection
for its age, and when the session is closed.
"""

import time
from collections.abc import AsyncIterator, Sequence

from gateway.domain.errors import InvalidArgument
from gateway.domain.hints import Hint
from gateway.live.sessions import SKUS_MAX
from gateway.rpc import live_parsing, parsing
from gateway.rpc.alert_rendering import fill
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import live_service_pb2 as pb

STREAM_AGE_MAX_SECONDS = 27 * 60.0
TAKE_SECONDS = 10.0
RETRY_AFTER_MS = 500
Message = pb.WatchHintsResponse


async def watch_hints(call: Call, request: pb.WatchHintsRequest) -> AsyncIterator[Message]:
    """Stream what a room can sell now: all once, then what changes, and all again before it expires."""
    session_id, skus = live_parsing.session_id(request.session_id), _skus(request.skus)
    ends = time.monotonic() + STREAM_AGE_MAX_SECONDS
    async with call.merchant.live.rooms.watch(session_id, skus) as (watcher, first):
        for one in first:
            yield _hint(one)
        yield Message(current=pb.HintsCurrent(skus=len(first)))
        call.opened()
        while not watcher.reason and time.monotonic() < ends:
            for one in await watcher.take(TAKE_SECONDS):
                yield _hint(one)
        go_away = pb.HintsGoAway(reason=watcher.reason or "MAX_AGE", retry_after_ms=RETRY_AFTER_MS)
        yield Message(go_away=go_away)


async def get_hints(call: Call, request: pb.GetHintsRequest) -> pb.GetHintsResponse:
    """Read what a room can sell now."""
    session_id, skus = live_parsing.session_id(request.session_id), _skus(request.skus)
    response = pb.GetHintsResponse()
    for one in await call.merchant.live.rooms.hints(session_id, skus):
        fill(response.hints.add(), one)
    return response


def _skus(codes: Sequence[str]) -> list[str]:
    if len(codes) > SKUS_MAX:
        raise InvalidArgument(f"at most {SKUS_MAX} SKUs may be named; name none for all", field="skus")
    return [parsing.code(code, f"skus[{place}]") for place, code in enumerate(codes)]


def _hint(one: Hint) -> Message:
    message = Message()
    fill(message.hint, one)
    return message


METHODS: dict[str, Unary | Streaming] = {"WatchHints": watch_hints, "GetHints": get_hints}
