"""A consumer that waits no more, and a stream that says no more: nothing is lost and nothing is left behind."""

import asyncio
from typing import Any

import grpc
import pytest

from gateway.client import AlertEvent, ResumePoint, watching
from tests.sdk.reading import following, next_revisions, until
from tests.sdk.scripted import EPOCH, Refusal, Script, after, alerts_of, created, event, says

WHOLE: dict[str, Any] = {"include_drills": True, "start": ResumePoint(10, EPOCH)}


async def test_a_stream_that_falls_silent_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three signs of life missed, and some time: the gateway hangs, and somebody else may not."""
    monkeypatch.setattr(watching, "SILENCE_MARGIN_SECONDS", 0.05)
    script = Script(
        says(created(10, progress_interval_ms=50), event(11), stays=True), says(created(11), event(12), stays=True)
    )
    async with alerts_of(script) as alerts:
        assert await next_revisions(alerts.watch(**WHOLE), 2) == [11, 12]


async def test_who_stops_waiting_loses_nothing() -> None:
    """A timeout around the next event leaves the stream as it is."""
    gate = asyncio.Event()

    async def act(_request: Any) -> Any:
        yield created(10)
        await gate.wait()
        yield event(11)
        await asyncio.Event().wait()

    script = Script(act)
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await following(watch, 0.05)
        gate.set()
        assert await next_revisions(watch, 1) == [11]
    assert len(script.requests) == 1


async def test_leaving_the_loop_ends_the_stream() -> None:
    """A watch that is dropped is hung up, in the middle of an event or of waiting for one."""
    script = Script(says(created(10), event(11), event(12), stays=True), says(created(10), stays=True))
    async with alerts_of(script) as alerts:
        async for item in alerts.watch(**WHOLE):
            assert isinstance(item, AlertEvent)
            break
        await until(lambda: not script.open_streams)
        with pytest.raises(TimeoutError):
            await following(alerts.watch(**WHOLE), 0.1)
        await until(lambda: not script.open_streams and len(script.requests) == 2)


async def test_a_watch_is_closed_while_somebody_waits() -> None:
    """He gets the end, whatever he was waiting for: an event, or another try."""
    lost = says(Refusal(grpc.StatusCode.UNAVAILABLE, retry_ms=60_000))
    script = Script(says(created(10), stays=True), lost)
    async with alerts_of(script) as alerts:
        for streams in (1, 2):
            watch = alerts.watch(**WHOLE)
            waiting = asyncio.ensure_future(following(watch))
            await until(lambda streams=streams: len(script.requests) == streams)
            await asyncio.sleep(0.02)
            await watch.aclose()
            with pytest.raises(StopAsyncIteration):
                await waiting


async def test_a_cancelled_consumer_leaves_nothing_behind() -> None:
    """Cancelling the task that reads ends the client in order."""
    script = Script(says(created(10), event(11), stays=True))
    got: list[Any] = []

    async def consume() -> None:
        async with alerts_of(script) as alerts:
            got.extend([item async for item in alerts.watch(**WHOLE, subscriber_id="night-shift")])

    task = asyncio.ensure_future(consume())
    await until(lambda: script.open_streams)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not script.open_streams)


async def test_what_the_consumer_raises_is_his() -> None:
    """An error of `on_point` comes out of the loop, and the watch can go on after it."""
    script = Script(says(created(10), event(11), event(12), stays=True))

    def full(_point: ResumePoint) -> None:
        raise OSError("no space left")

    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE, on_point=full)
        await following(watch)
        with pytest.raises(OSError, match="no space"):
            await following(watch)
        assert await next_revisions(watch, 1) == [12]


async def test_a_watch_is_closed_while_it_asks_where_to_begin() -> None:
    """A gateway that hangs holds nobody up."""
    script = Script()
    script.cursor, script.delay_seconds = after(10), 60.0
    async with alerts_of(script, deadline_seconds=60.0) as alerts:
        watch = alerts.watch(subscriber_id="night-shift")
        waiting = asyncio.ensure_future(following(watch))
        await until(lambda: script.asked)
        await watch.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
