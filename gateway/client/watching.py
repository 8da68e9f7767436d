"""One subscription to the warnings: an endless stream over many that end.

It resumes by itself after the last revision that was *processed*: an event counts as processed when the consumer asks
for the next one. So what a consumer was busy with when its process died comes again, and nothing is skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import grpc.aio

from gateway.client.backoff import Backoff
from gateway.client.connection import Closing, Connection
from gateway.client.errors import COMPACTED, MISMATCHES, ClientError, GatewayAway, error_of, is_passing
from gateway.client.points import AlertItem, PassedOver, ResumePoint, Snapshot, Start, WhenLost
from gateway.client.revisions import Revisions
from gateway.v1 import alert_pb2, alert_service_pb2

if TYPE_CHECKING:
    from gateway.v1.alert_service_pb2_grpc import AlertServiceAsyncStub

log = logging.getLogger(__name__)

# The engine writes a watchdog event every 30 s, and every stream gets it.
WATCHDOG_SILENCE_SECONDS_MAX = 90.0
# A stream that misses three signs of life in a row, and some seconds more, is dead.
SILENT_INTERVALS_MAX = 3
SILENCE_MARGIN_SECONDS = 5.0
FIRST_MESSAGE_SECONDS_MAX = 10.0
LAST_REPORT_SECONDS_MAX = 1.0
# Resumed as everything that passes; but this reader, or who has named it, is to blame.
WORTH_A_WORD = frozenset({"SLOW_CONSUMER", "TOO_MANY_STREAMS"})


@dataclass(frozen=True)
class Subscription:
    """What is asked for, the same for every stream; see `AlertsClient.watch` for what each field means."""

    request: alert_service_pb2.WatchTierChangesRequest
    start: ResumePoint | Start
    on_mismatch: WhenLost
    with_watchdogs: bool
    on_point: Callable[[ResumePoint], None] | None

    @property
    def is_whole(self) -> bool:
        """True if nothing is filtered out, so that every revision must come."""
        asked = self.request
        return not asked.HasField("filter") and asked.include_drills and not asked.max_event_age_ms


class AlertWatch(Closing):
    """Yields events, and a `Snapshot` or `PassedOver` where the stream says so. For one consumer at a time.

    Whoever stops waiting for the next event (a timeout, say) may go on later without loss. Leaving the loop and
    dropping the watch, `aclose`, or closing the client ends it.
    """

    def __init__(self, connection: Connection, stub: AlertServiceAsyncStub, subscription: Subscription) -> None:
        """Made by `AlertsClient.watch`; nothing is sent before the first event is asked for."""
        self.subscriber_id = subscription.request.subscriber_id
        # The last revision that was processed: keep it, and give it to another watch as its `start`.
        self.point = subscription.start if isinstance(subscription.start, ResumePoint) else None
        # How many events the gateway says this subscriber is behind, if it has a subscriber_id.
        self.lag: int | None = None
        self._connection = connection
        self._stub = stub
        self._wanted = subscription
        self._revisions = Revisions(is_whole=subscription.is_whole)
        self._backoff = Backoff()
        self._closed = asyncio.Event()
        self._not_before = 0.0
        self._has_asked_for_cursor = False
        self._epoch = ""
        self._call: Any = None
        self._reading: asyncio.Task[Any] | None = None
        self._reading_since = 0.0
        self._silence_seconds = FIRST_MESSAGE_SECONDS_MAX
        self._states: list[alert_service_pb2.TierState] = []
        self._is_after_loss = False
        # Yielded, and processed when the next one is asked for.
        self._handed_over: int | None = None
        self._watchdogs_count_after = 0
        self._watchdog_heard = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """False when for 90 s no watchdog was heard: engine, log or stream has died, or this consumer has stopped.

        Whoever relies on warnings should warn of this.
        """
        return time.monotonic() - self._watchdog_heard < WATCHDOG_SILENCE_SECONDS_MAX

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AlertItem:
        """The next item, however long it takes.

        Raises `GatewayRefused` where trying again would not help (`ResumePointLost` by choice), `LogBroken`.
        """
        self._process_last()
        while not self._closed.is_set():
            try:
                item = self._taken(await self._next_message())
            except GatewayAway as away:
                log.warning("the gateway cannot be asked where to resume: %s", away.code)
                self._end_stream(away.retry_after_seconds)
                continue
            except ClientError:
                self._hang_up()
                self._closed.set()
                raise
            if item is not None:
                return item
        raise StopAsyncIteration

    async def report(self, deadline_seconds: float | None = None) -> None:
        """Tell the gateway what was processed. The client does it every 5 s; a report that fails is no harm."""
        if not self.subscriber_id or self.point is None:
            return
        request = alert_service_pb2.ReportCursorRequest(
            subscriber_id=self.subscriber_id, revision=self.point.revision, epoch=self.point.epoch
        )
        try:
            response = await self._connection.ask_once(self._stub.ReportCursor, request, deadline_seconds)
        except ClientError as error:
            log.debug("a cursor was not reported: %s", error)
        else:
            self.lag = response.lag

    async def aclose(self) -> None:
        """End the stream; who waits for the next event gets the end. What was processed is reported a last time."""
        if self._closed.is_set():
            return
        self._closed.set()
        reading = self._reading
        self._hang_up()
        if reading is not None:
            await asyncio.wait([reading])
        await self.report(LAST_REPORT_SECONDS_MAX)

    def __del__(self) -> None:
        # Dropped by a consumer that waits no more. The loop may be gone by now, and everything with it.
        with contextlib.suppress(RuntimeError, AttributeError):
            self._hang_up()

    # ---- streams

    async def _next_message(self) -> Any:
        """A message, or None if the stream has ended and another is to be opened. Raises `ClientError`."""
        if self._call is None:
            await self._open()
            if self._call is None:
                return None
        if self._reading is None:
            # A task of its own: cancelling a read would end the whole stream.
            self._reading = asyncio.ensure_future(self._call.read())
            self._reading.add_done_callback(_retrieve)
            self._reading_since = time.monotonic()
        remaining_seconds = self._reading_since + self._silence_seconds - time.monotonic()
        await asyncio.wait([self._reading], timeout=max(0.0, remaining_seconds))
        if self._reading is None:  # closed meanwhile
            return None
        if not self._reading.done():
            log.warning("a stream of warnings has fallen silent, and is opened anew")
            self._end_stream()
            return None
        reading, self._reading = self._reading, None
        return self._result_of(reading)

    async def _open(self) -> None:
        """Open a stream where the last one ended, not before its time."""
        wait_seconds = self._not_before - time.monotonic()
        if wait_seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), wait_seconds)
        if not self._has_asked_for_cursor:
            await self._ask_for_cursor()
        if self._closed.is_set():
            return
        self._silence_seconds = FIRST_MESSAGE_SECONDS_MAX
        self._states = []
        self._call = self._stub.WatchTierChanges(self._request(), metadata=self._connection.metadata)

    async def _ask_for_cursor(self) -> None:
        start = self._wanted.start
        if isinstance(start, Start) and start.asks_for_cursor and self.subscriber_id:
            request = alert_service_pb2.GetCursorRequest(subscriber_id=self.subscriber_id)
            asking = asyncio.ensure_future(self._connection.ask_once(self._stub.GetCursor, request))
            await self._wait_unless_closed(asking)
            if self._closed.is_set():
                return
            response = asking.result()
            if response.HasField("point"):
                self.point = ResumePoint(response.point.revision, response.point.epoch)
        self._has_asked_for_cursor = True

    async def _wait_unless_closed(self, asking: asyncio.Future[Any]) -> None:
        """Wait until it is done; closing the watch, or cancelling who waits, cancels it."""
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait([asking, closing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            if not asking.done():
                asking.cancel()

    def _request(self) -> alert_service_pb2.WatchTierChangesRequest:
        request = alert_service_pb2.WatchTierChangesRequest()
        request.CopyFrom(self._wanted.request)
        if self.point is not None:
            request.after.revision, request.after.epoch = self.point.revision, self.point.epoch
        elif self._begins_live():
            request.live_only.SetInParent()
        else:
            request.snapshot.SetInParent()
        return request

    def _begins_live(self) -> bool:
        start = self._wanted.start
        return isinstance(start, Start) and start.is_live and not self._is_after_loss

    def _result_of(self, reading: asyncio.Task[Any]) -> Any:
        try:
            message = reading.result()
        except grpc.aio.AioRpcError as error:
            self._lose(error)
            return None
        if message is grpc.aio.EOF:
            self._end_stream()
            return None
        return message

    def _lose(self, error: grpc.aio.AioRpcError) -> None:
        """The stream has failed: come back later. Raises `ClientError` if that would not help."""
        failed = error_of(error)
        is_told_to_go_on = failed.reason in MISMATCHES and self._wanted.on_mismatch is WhenLost.SNAPSHOT
        if is_told_to_go_on:
            log.warning("the resume point is not of this log (%s): beginning anew with a snapshot", failed.reason)
            self._begin_anew()
        elif (
            failed.reason == COMPACTED
            and self._wanted.request.on_compacted == alert_service_pb2.ON_COMPACTED_RESNAPSHOT
        ):
            log.warning("what was to be read was compacted: the next stream begins with a snapshot")
        elif failed.reason in {COMPACTED, *MISMATCHES} or not is_passing(error):
            raise failed
        else:
            level = logging.WARNING if failed.reason in WORTH_A_WORD else logging.INFO
            log.log(level, "a stream of warnings was lost, and is resumed: %s", failed.reason or failed.code)
        self._end_stream(failed.retry_after_seconds)

    def _begin_anew(self) -> None:
        """With a snapshot; what lies between is lost."""
        self.point, self._is_after_loss = None, True
        self._revisions.forget()

    def _end_stream(self, retry_after_seconds: float = 0.0) -> None:
        self._hang_up()
        self._not_before = time.monotonic() + self._backoff.next_seconds(retry_after_seconds)

    def _hang_up(self) -> None:
        call, self._call = self._call, None
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
        if call is not None:
            call.cancel()

    # ---- messages

    def _taken(self, message: Any) -> AlertItem | None:
        """What the consumer is to get of a message. Raises `LogBroken`."""
        item: AlertItem | None = None
        match None if message is None else message.WhichOneof("message"):
            case "created":
                self._take_created(message.created)
            case "snapshot_item":
                self._states.append(message.snapshot_item)
            case "snapshot_end":
                item = self._take_snapshot(message.snapshot_end.revision)
            case "event":
                item = self._take_event(message.event)
            case "progress":
                self._take_progress(message.progress.revision)
            case "lagged":
                lagged = message.lagged
                self._revisions.passed_over(lagged.to_revision)
                item = PassedOver(lagged.from_revision, lagged.to_revision)
            case "go_away":
                self._take_go_away(message.go_away)
        return item

    def _take_created(self, created: alert_service_pb2.AlertsCreated) -> None:
        self._epoch = created.epoch
        self._silence_seconds = SILENT_INTERVALS_MAX * created.progress_interval_ms / 1000 + SILENCE_MARGIN_SECONDS
        # An older watchdog tells of the past.
        self._watchdogs_count_after = created.revision
        if created.resnapshot:
            self._begin_anew()
        elif self.point is not None:
            self._revisions.begin(self.point.revision)
        elif self._begins_live():
            self._revisions.begin(created.revision)
            self._move_to(created.revision)

    def _take_snapshot(self, revision: int) -> Snapshot:
        self._revisions.begin(revision)
        snapshot = Snapshot(tuple(self._states), revision, self._is_after_loss)
        self._states, self._is_after_loss = [], False
        self._handed_over = revision
        return snapshot

    def _take_event(self, event: alert_pb2.AlertEvent) -> alert_pb2.AlertEvent | None:
        self._revisions.event(event.revision)
        if event.kind == alert_pb2.ALERT_EVENT_KIND_WATCHDOG:
            if event.revision > self._watchdogs_count_after:
                self._watchdog_heard = time.monotonic()
            if not self._wanted.with_watchdogs:
                self._move_to(event.revision)
                return None
        self._handed_over = event.revision
        return event

    def _take_progress(self, revision: int) -> None:
        self._backoff.reset()
        if self._revisions.seen is not None:  # else a snapshot is under way, and proves nothing yet
            self._revisions.progress(revision)
            self._move_to(revision)

    def _take_go_away(self, go_away: alert_service_pb2.AlertGoAway) -> None:
        log.info("the gateway ends a stream of warnings: %s", go_away.reason)
        seen = self._revisions.seen
        # All that was sent has been processed by now; what was filtered out need not be looked at again.
        if seen is not None and not self._wanted.is_whole and go_away.resume_revision > seen:
            self._move_to(go_away.resume_revision)
        self._end_stream(go_away.retry_after_ms / 1000)

    def _process_last(self) -> None:
        """The consumer asks for the next one: it has processed the last."""
        if self._handed_over is not None:
            revision, self._handed_over = self._handed_over, None
            self._move_to(revision)

    def _move_to(self, revision: int) -> None:
        self.point = ResumePoint(revision, self._epoch)
        if self._wanted.on_point is not None:
            self._wanted.on_point(self.point)


def _retrieve(reading: asyncio.Task[Any]) -> None:
    """Nobody may be there to hear of a read that has failed after the stream was given up."""
    if not reading.cancelled():
        reading.exception()
