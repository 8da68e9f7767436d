"""Hints of a room: the newest of each SKU, and none that is too old."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from gateway.client import GatewayRefused, hints
from gateway.v1 import live_service_pb2 as pb
from tests.sdk.reading import following, read_to_the_end, until
from tests.sdk.scripted import Refusal, Script, live_of, says

LOST = Refusal(grpc.StatusCode.UNAVAILABLE)


def hint(sku: str, sellable: int, version: int = 1, *, lives_seconds: float = 3.0) -> pb.WatchHintsResponse:
    """What a room can sell of a SKU."""
    message = pb.WatchHintsResponse(hint=pb.Hint(sku=sku, sellable=sellable, version=version))
    message.hint.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=lives_seconds))
    return message


def gone(reason: str, retry_after_ms: int = 0) -> pb.WatchHintsResponse:
    """The stream ends."""
    return pb.WatchHintsResponse(go_away=pb.HintsGoAway(reason=reason, retry_after_ms=retry_after_ms))


CURRENT = pb.WatchHintsResponse(current=pb.HintsCurrent(skus=2))


def told(items: list[pb.Hint]) -> list[tuple[str, int]]:
    """What was said of which SKU."""
    return [(item.sku, item.sellable) for item in items]


async def test_hints_come_until_the_session_is_closed() -> None:
    """Over lost streams and a gateway that stops; CLOSED is the end."""
    script = Script(
        says(hint("TEA", 23), CURRENT, gone("SHUTDOWN", 50)),
        says(hint("CUP", 4), LOST),
        says(hint("TEA", 21), gone("CLOSED")),
    )
    async with live_of(script) as live:
        items = await read_to_the_end(live.watch_hints(7, ["TEA", "CUP"]))
    assert told(items) == [("TEA", 23), ("CUP", 4), ("TEA", 21)]
    assert script.requests == [pb.WatchHintsRequest(session_id=7, skus=["TEA", "CUP"])] * 3


async def test_what_has_expired_is_never_yielded() -> None:
    """Neither when it comes, nor when it has waited for a slow consumer."""
    gate = asyncio.Event()

    async def act(_request: Any) -> AsyncIterator[Any]:
        for message in (hint("OLD", 9, lives_seconds=-0.1), hint("TEA", 23), hint("CUP", 4, lives_seconds=0.3)):
            yield message
        await gate.wait()
        yield hint("TEA", 22)
        yield gone("CLOSED")

    async with live_of(Script(act)) as live:
        watch = live.watch_hints(7)
        assert (await following(watch)).sku == "TEA"
        await until(lambda: "CUP" in watch._box._waiting)
        await asyncio.sleep(0.35)
        gate.set()
        assert told(await read_to_the_end(watch)) == [("TEA", 22)]
        assert watch.dropped == 2


async def test_a_slow_consumer_gets_the_newest() -> None:
    """One hint of each SKU waits for him, not all that have been."""
    script = Script(says(*(hint("TEA", 50 - i, i) for i in range(50)), hint("CUP", 4), CURRENT, stays=True))
    async with live_of(script) as live:
        watch = live.watch_hints(7)
        first = await following(watch)
        await until(lambda: watch._box._versions.get("CUP"))
        rest = [await following(watch), await following(watch)] if first.sellable != 1 else [await following(watch)]
        assert told(rest)[-1] == ("CUP", 4)
        assert told([first, *rest])[-2] == ("TEA", 1)


async def test_an_older_hint_does_not_replace_a_newer() -> None:
    """Within a stream versions rise; another gateway's may begin anew."""
    script = Script(
        says(hint("TEA", 5, 9), hint("TEA", 6, 8), CURRENT, gone("MAX_AGE")),
        says(hint("TEA", 4, 2), gone("CLOSED")),
    )
    async with live_of(script) as live:
        items = await read_to_the_end(live.watch_hints(7))
    assert told(items) in ([("TEA", 5), ("TEA", 4)], [("TEA", 4)])


async def test_an_unknown_session_is_raised() -> None:
    """Trying again would not help."""
    script = Script(says(Refusal(grpc.StatusCode.NOT_FOUND, "SESSION_UNKNOWN")))
    async with live_of(script) as live:
        with pytest.raises(GatewayRefused, match="SESSION_UNKNOWN"):
            await following(live.watch_hints(7))


async def test_silence_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room always says something before its numbers expire."""
    monkeypatch.setattr(hints, "SILENCE_SECONDS_MAX", 0.1)
    script = Script(says(stays=True), says(hint("TEA", 3), gone("CLOSED")))
    async with live_of(script) as live:
        assert told(await read_to_the_end(live.watch_hints(7))) == [("TEA", 3)]


async def test_a_clock_that_is_ahead_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Every hint would be dropped, and nobody would know why."""
    script = Script(says(*(hint(f"SKU-{i}", i) for i in range(30)), CURRENT, stays=True))
    async with live_of(script, clock=lambda: datetime.now(UTC) + timedelta(minutes=1)) as live:
        watch = live.watch_hints(7)
        with pytest.raises(TimeoutError):
            await following(watch, 0.5)
        assert watch.dropped == 30
    assert caplog.text.count("is this machine's clock ahead") == 1


async def test_a_dropped_watch_is_hung_up() -> None:
    """Leaving the loop ends the stream; closing ends who waits."""
    script = Script(*[says(hint("TEA", 3), CURRENT, stays=True)] * 2)
    async with live_of(script) as live:
        async for item in live.watch_hints(7):
            assert item.sku == "TEA"
            break
        await until(lambda: not script.open_streams)
        watch = live.watch_hints(7)
        await following(watch)
        waiting: Any = asyncio.ensure_future(following(watch))
        await asyncio.sleep(0.02)
        await watch.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
        await until(lambda: not script.open_streams)


async def test_a_defect_is_raised_and_not_waited_for() -> None:
    """A client that is closed cannot open a stream: who asks it hears so."""
    async with live_of(Script()) as live:
        pass
    with pytest.raises(Exception, match="closed"):
        await following(live.watch_hints(7))
