"""A watch over streams that end in every way there is."""

import asyncio
import itertools
from typing import Any

import grpc
import pytest

from gateway.client import (
    GatewayRefused,
    LogBroken,
    PassedOver,
    ResumePoint,
    ResumePointLost,
    Snapshot,
    Start,
    WhenLost,
    watching,
)
from gateway.v1 import alert_pb2
from gateway.v1 import alert_service_pb2 as pb
from tests.sdk.reading import following, next_revisions, read_to_the_end, until
from tests.sdk.scripted import (
    EPOCH,
    Refusal,
    Script,
    after,
    alerts_of,
    created,
    event,
    go_away,
    lagged,
    progress,
    says,
    silence,
    snapshot_end,
    standing,
    watchdog,
)

POINT = ResumePoint(10, EPOCH)
WHOLE: dict[str, Any] = {"include_drills": True, "start": POINT}
RESUMES = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.ABORTED,
)
RAISES = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.NOT_FOUND,
)


async def test_what_was_processed_does_not_come_again() -> None:
    """A lost stream is resumed after the last event for which the consumer has asked for the next."""
    lost = Refusal(grpc.StatusCode.UNAVAILABLE)
    script = Script(says(created(10), event(11), event(12), lost), says(created(13), event(13), stays=True))
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE)
        assert await next_revisions(watch, 2) == [11, 12]
        assert watch.point == ResumePoint(11, EPOCH)
        assert await next_revisions(watch, 1) == [13]
        assert watch.point == ResumePoint(12, EPOCH)
    assert [request.after for request in script.requests] == [after(10), after(12)]


async def test_a_consumer_that_dies_gets_its_event_again() -> None:
    """The event on which a consumer stopped was not processed: a watch from its point begins with it."""
    script = Script(says(created(12), event(11), event(12)), says(created(12), event(12), stays=True))
    async with alerts_of(script) as alerts:
        first = alerts.watch(**WHOLE)
        await next_revisions(first, 2)
        assert first.point is not None
        second = alerts.watch(include_drills=True, start=first.point)
        assert await next_revisions(second, 1) == [12]


@pytest.mark.parametrize("code", RESUMES)
async def test_what_passes_is_resumed(code: grpc.StatusCode) -> None:
    """A gateway that is away, a stream that is too old, too slow or broken: the consumer notices nothing."""
    script = Script(says(created(10), event(11), Refusal(code)), says(created(11), event(12), stays=True))
    async with alerts_of(script) as alerts:
        assert await next_revisions(alerts.watch(**WHOLE), 2) == [11, 12]


@pytest.mark.parametrize("code", RAISES)
async def test_what_does_not_pass_is_raised_at_once(code: grpc.StatusCode) -> None:
    """A wrong token or filter is the caller's to mend; after that the watch is over."""
    script = Script(says(Refusal(code, "SOME_REASON", field="filter.skus[0]", sku="TEA")))
    async with alerts_of(script) as alerts:
        watch = alerts.watch(skus=["TEA"])
        with pytest.raises(GatewayRefused) as refused:
            await following(watch)
        error = refused.value
        assert (error.code, error.reason, error.field) == (code.name, "SOME_REASON", "filter.skus[0]")
        assert error.metadata == {"sku": "TEA"}
        with pytest.raises(StopAsyncIteration):
            await following(watch)
    assert len(script.requests) == 1


async def test_the_gateway_says_when_to_come_back() -> None:
    """GoAway and RetryInfo are obeyed; what was filtered out before GoAway is not looked at again."""
    slow = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_CONSUMER", retry_ms=400)
    script = Script(
        says(created(10), event(11), go_away(40, 300)),
        says(created(40), slow),
        says(created(40), event(41), stays=True),
    )
    async with alerts_of(script) as alerts:
        assert await next_revisions(alerts.watch(start=POINT, skus=["TEA"]), 2) == [11, 41]
    assert [request.after.revision for request in script.requests] == [10, 40, 40]
    waits = [later - earlier for earlier, later in itertools.pairwise(script.times)]
    assert waits[0] >= 0.3
    assert waits[1] >= 0.4


async def test_a_whole_stream_believes_its_own_count() -> None:
    """Where nothing is filtered out, a GoAway that runs ahead cannot make it skip an event."""
    script = Script(says(created(10), event(11), go_away(40)), says(created(40), event(12), stays=True))
    async with alerts_of(script) as alerts:
        assert await next_revisions(alerts.watch(**WHOLE), 2) == [11, 12]
    assert script.requests[1].after == after(11)


async def test_progress_moves_the_point() -> None:
    """A filter that matches nothing does not fall behind, and every move is told."""
    script = Script(says(created(10), progress(500), progress(900), event(901), stays=True))
    moved: list[int] = []
    async with alerts_of(script) as alerts:
        watch = alerts.watch(start=POINT, skus=["TEA"], on_point=lambda point: moved.append(point.revision))
        await following(watch)
        assert watch.point == ResumePoint(900, EPOCH)
    assert moved == [500, 900]


async def test_only_progress_makes_the_wait_short_again() -> None:
    """A stream that opens and dies at once is not opened a hundred times a second."""
    dies = says(created(10), Refusal(grpc.StatusCode.UNAVAILABLE))
    script = Script(dies, dies, dies, says(created(10), progress(10), event(11), stays=True))
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE)
        waiting = asyncio.ensure_future(following(watch))
        await until(lambda: len(script.requests) == 3)
        assert watch._backoff._failures >= 2
        await waiting
        assert watch._backoff._failures == 0


async def test_a_snapshot_is_one_item() -> None:
    """It is whole or it does not come; events after it follow."""
    lost = Refusal(grpc.StatusCode.UNAVAILABLE)
    script = Script(
        says(created(10), standing("TEA"), progress(12), lost),
        says(created(20), standing("TEA"), standing("CUP"), snapshot_end(20), event(21), stays=True),
    )
    async with alerts_of(script) as alerts:
        watch = alerts.watch(include_drills=True)
        snapshot = await following(watch)
        assert isinstance(snapshot, Snapshot)
        assert ([state.sku for state in snapshot.states], snapshot.revision) == (["TEA", "CUP"], 20)
        assert (snapshot.is_after_loss, watch.point) == (False, None)
        assert await next_revisions(watch, 1) == [21]
        assert watch.point == ResumePoint(20, EPOCH)
    assert [request.WhichOneof("start") for request in script.requests] == ["snapshot", "snapshot"]


async def test_live_only_resumes_where_it_began() -> None:
    """What happens between two streams is not lost because the first had nothing to say."""
    script = Script(
        says(created(30), Refusal(grpc.StatusCode.UNAVAILABLE)), says(created(33), event(31), event(32), stays=True)
    )
    async with alerts_of(script) as alerts:
        assert await next_revisions(alerts.watch(start=Start.LIVE, include_drills=True), 2) == [31, 32]
    assert script.requests[0].WhichOneof("start") == "live_only"
    assert script.requests[1].after == after(30)


@pytest.mark.parametrize(
    ("start", "begins"), [(Start.CURSOR_OR_SNAPSHOT, "snapshot"), (Start.CURSOR_OR_LIVE, "live_only")]
)
async def test_the_gateways_cursor_is_where_to_begin(start: Start, begins: str) -> None:
    """Who has a name is resumed where he stopped, and the first time ever begins as he likes."""
    script = Script(silence, silence)
    async with alerts_of(script) as alerts:
        for cursor, expected in ((None, begins), (after(17), "after")):
            script.cursor = cursor
            waiting = asyncio.ensure_future(following(alerts.watch(subscriber_id="night-shift", start=start)))
            asked = len(script.requests)
            await until(lambda asked=asked: len(script.requests) > asked)
            assert script.requests[-1].WhichOneof("start") == expected
            waiting.cancel()
    assert script.requests[-1].after == after(17)
    assert {request.subscriber_id for request in script.requests} == {"night-shift"}


async def test_a_gateway_that_is_away_at_the_beginning_is_waited_for() -> None:
    """Asking for the cursor is tried until there is an answer."""
    script = Script(says(created(17), event(18), stays=True))
    script.cursor = after(17)
    script.answers = [Refusal(grpc.StatusCode.UNAVAILABLE), Refusal(grpc.StatusCode.UNAVAILABLE)]
    async with alerts_of(script) as alerts:
        assert await next_revisions(alerts.watch(subscriber_id="night-shift"), 1) == [18]


async def test_what_was_processed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few seconds, and a last time in the end; the answer says how far behind the subscriber is."""
    monkeypatch.setattr("gateway.client.alerts.REPORT_SECONDS", 0.05)
    script = Script(says(created(10), event(11), event(12), event(13), stays=True))
    async with alerts_of(script) as alerts:
        watch = alerts.watch(subscriber_id="night-shift", include_drills=True, start=POINT)
        await next_revisions(watch, 2)
        await until(lambda: watch.lag == 7)
        assert script.reports[-1] == pb.ReportCursorRequest(subscriber_id="night-shift", revision=11, epoch=EPOCH)
        monkeypatch.setattr("gateway.client.alerts.REPORT_SECONDS", 60.0)
        await next_revisions(watch, 1)
    assert script.reports[-1].revision == 12


async def test_compacted_is_a_snapshot_that_says_so() -> None:
    """By default what is no longer kept is replaced by where things stand now, marked as after a loss."""
    lost = Refusal(grpc.StatusCode.UNAVAILABLE)
    script = Script(
        says(created(10), event(11), Refusal(grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")),
        says(created(90, resnapshot=True), standing("TEA"), lost),
        says(created(95), standing("CUP"), snapshot_end(95), event(96), stays=True),
    )
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE)
        await next_revisions(watch, 1)
        snapshot = await following(watch)
        assert isinstance(snapshot, Snapshot)
        assert (snapshot.is_after_loss, snapshot.revision) == (True, 95)
        assert await next_revisions(watch, 1) == [96]
    assert script.requests[0].on_compacted == pb.ON_COMPACTED_RESNAPSHOT
    assert [request.WhichOneof("start") for request in script.requests] == ["after", "after", "snapshot"]


async def test_compacted_can_be_an_error() -> None:
    """Who must not miss anything says so."""
    refusal = Refusal(grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED", compact_revision="50", current_revision="90")
    script = Script(says(refusal))
    async with alerts_of(script) as alerts:
        with pytest.raises(ResumePointLost) as lost:
            await following(alerts.watch(**WHOLE, on_compacted=WhenLost.RAISE))
    assert lost.value.metadata == {"compact_revision": "50", "current_revision": "90"}
    assert script.requests[0].on_compacted == pb.ON_COMPACTED_FAIL


@pytest.mark.parametrize("reason", ["EPOCH_MISMATCH", "REVISION_FROM_FUTURE"])
async def test_another_database_is_an_error_unless_said_otherwise(reason: str) -> None:
    """After a restored backup somebody should look; who would rather go on begins with a marked snapshot."""
    refusal = Refusal(grpc.StatusCode.FAILED_PRECONDITION, reason)
    script = Script(says(refusal), says(refusal), says(created(3), snapshot_end(3), stays=True))
    async with alerts_of(script) as alerts:
        with pytest.raises(ResumePointLost, match=reason):
            await following(alerts.watch(**WHOLE))
        snapshot = await following(alerts.watch(**WHOLE, on_mismatch=WhenLost.SNAPSHOT))
    assert isinstance(snapshot, Snapshot)
    assert snapshot.is_after_loss


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [
        ([event(11), event(13)], 13),
        ([event(11), progress(12)], 12),
        ([event(11), event(11)], 11),
        ([event(11), progress(10)], 10),
        ([lagged(11, 20), event(15), event(22)], 22),
    ],
)
async def test_a_missing_revision_is_raised(messages: list[Any], wrong: int) -> None:
    """Where nothing is filtered out, a gap or a repetition is a defect that nobody may pass over."""
    script = Script(says(created(10), *messages, stays=True))
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE)
        with pytest.raises(LogBroken) as broken:
            await read_to_the_end(watch)
    assert broken.value.metadata["revision"] == str(wrong)


@pytest.mark.parametrize(
    "filtered",
    [{"skus": ["TEA"]}, {"min_tier": alert_pb2.TIER_URGENT}, {"include_drills": False}, {"event_age_seconds_max": 60}],
)
async def test_a_filter_may_leave_revisions_out(filtered: dict[str, Any]) -> None:
    """Gaps are to be expected then; going back is not."""
    script = Script(says(created(10), event(11), event(15), progress(40), event(39), stays=True))
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE | filtered)
        assert await next_revisions(watch, 2) == [11, 15]
        with pytest.raises(LogBroken):
            await following(watch)


async def test_what_was_passed_over_is_said() -> None:
    """With COALESCE a slow reader hears what it has missed, and is counted again after that."""
    script = Script(says(created(10), lagged(11, 20), event(14), event(19), event(21), event(22), stays=True))
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE, on_lag=pb.ON_LAG_COALESCE)
        assert await following(watch) == PassedOver(11, 20)
        assert await next_revisions(watch, 4) == [14, 19, 21, 22]
    assert script.requests[0].on_lag == pb.ON_LAG_COALESCE


async def test_watchdogs_are_for_us() -> None:
    """They are not yielded unless asked for, and count as processed."""
    script = Script(says(created(10), watchdog(11), event(12), stays=True))
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE)
        assert await next_revisions(watch, 1) == [12]
        assert watch.point == ResumePoint(11, EPOCH)
        script.acts = [says(created(10), watchdog(11), event(12), stays=True)]
        assert await next_revisions(alerts.watch(**WHOLE, with_watchdogs=True), 2) == [11, 12]


async def test_a_watch_knows_whether_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a watchdog for a while it is not; one of the past, from before the stream began, proves nothing."""
    script = Script(says(created(11), watchdog(11), event(12), watchdog(13), event(14), stays=True))
    seen: list[bool] = []
    async with alerts_of(script) as alerts:
        watch = alerts.watch(**WHOLE)
        seen.append(watch.is_alive)
        watch._watchdog_heard -= watching.WATCHDOG_SILENCE_SECONDS_MAX
        assert await next_revisions(watch, 1) == [12]
        seen.append(watch.is_alive)
        assert await next_revisions(watch, 1) == [14]
        seen.append(watch.is_alive)
        monkeypatch.setattr(watching, "WATCHDOG_SILENCE_SECONDS_MAX", 0.05)
        await asyncio.sleep(0.06)
        seen.append(watch.is_alive)
    assert seen == [True, False, True, False]
