"""The pushes of one channel: the most urgent first, each done once, each reported until the gateway knows.

What is here is forgotten when the process dies, and nothing is lost: the stream begins with all that is under way. A
push that this process has never seen may have been begun by another, if another has served the channel since; then only
a platform that knows a change again by its id may be asked again, and elsewhere the outcome is unknown. A push that is
not begun is not kept when the stream breaks: another process may be serving the channel by the time it is back.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from opentelemetry.trace import SpanKind

from connectors.access import Access
from connectors.attempts import hearing
from connectors.backoff import Backoff
from connectors.base import Applied, Change
from connectors.contract import Push, PushKind, PushReport, PushResult, ReadOrder
from connectors.errors import ConnectorError
from connectors.gateway_client import GatewayClient
from connectors.moving import NotNow, Outcome, Progress, carried_out, outcome_of
from connectors.needs import Needs
from connectors.reports import Reports
from connectors.settings import AgentSettings
from connectors.tracing import Work, work
from gateway import telemetry

log = logging.getLogger(__name__)


class _Stage(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


@dataclass
class _Entry:
    """A listing's last push, and how far it is."""

    push: Push
    progress: Progress
    received: float = field(default_factory=time.monotonic)
    stage: _Stage = _Stage.WAITING
    report: PushReport | None = None
    is_delivered: bool = False
    wants_reading: bool = False
    # Set when the report is wanted now rather than later.
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def rank(self) -> tuple[int, float, int]:
        """The lowest goes first: to zero, then lowering, then raising, each by the gateway's urgency."""
        return -self.push.kind, self.push.urgency, self.push.push_id


class Pusher:
    """One channel's pushes."""

    def __init__(
        self,
        gateway: GatewayClient,
        channel: str,
        access: Access,
        needs: Needs,
        settings: AgentSettings,
        read: Callable[[ReadOrder], None],
    ) -> None:
        """`read` is asked for a reading where a report does not say all. Nothing is done before `go_on`."""
        self._channel, self._access, self._settings, self._read = channel, access, settings, read
        self.reports = Reports(gateway, channel, needs, settings, self._delivered)
        self._entries: dict[int, _Entry] = {}
        self._heap: list[tuple[tuple[int, float, int], int]] = []
        self._may_begin = False
        self._changed = asyncio.Event()
        self._running = 0
        self._fruitless: dict[int, Backoff] = {}
        self._held: set[asyncio.Task[None]] = set()

    # ---- for the stream

    def go_on(self) -> None:
        """Pushes may be begun."""
        self._may_begin = True
        self._changed.set()

    def pause(self) -> None:
        """Begin none, and forget those that have not begun; what is under way goes on."""
        self._may_begin = False
        self._heap.clear()
        for listing_id, entry in list(self._entries.items()):
            if entry.stage is _Stage.WAITING:
                del self._entries[listing_id]

    def receive(self, push: Push, *, may_be_begun: bool) -> None:
        """Take a push in; `may_be_begun`: if it is not known here, another process may have begun it."""
        known = self._entries.get(push.listing_id)
        if known is not None and known.push.push_id >= push.push_id:
            if known.push.push_id == push.push_id:
                self._receive_again(known, push)
            return
        if push.unknown:
            return
        entry = self._entries[push.listing_id] = _Entry(push, Progress(push, self.reports.tell))
        if may_be_begun and not self._access.platform.capabilities.idempotent:
            self._finish(entry, Outcome(PushResult.UNKNOWN, error="an earlier process may have begun it"))
        elif push.withdrawn and not may_be_begun:
            self._finish(entry, Outcome(PushResult.NOT_SENT, error="withdrawn"))
        else:
            self._wait(entry)

    def _receive_again(self, entry: _Entry, push: Push) -> None:
        entry.push = push
        if push.withdrawn and entry.stage is _Stage.WAITING:
            self._finish(entry, Outcome(PushResult.NOT_SENT, error="withdrawn"))
        elif entry.report is not None and not push.unknown:
            entry.hurry.set()
            if entry.is_delivered:
                entry.is_delivered = False
                self.reports.put(entry.report)

    # ---- for readings

    def is_busy_with(self, listing_id: int) -> bool:
        """True while a push of the listing is in this process's hands, or its end is not known to the gateway."""
        entry = self._entries.get(listing_id)
        return entry is not None and not entry.is_delivered

    def last_over(self, listing_id: int) -> int:
        """The listing's last push that is known here to be over; 0: none is."""
        entry = self._entries.get(listing_id)
        if entry is None or entry.report is None or entry.report.result is PushResult.UNKNOWN:
            return 0
        return entry.push.push_id

    # ---- for the end

    async def finish(self) -> None:
        """Begin nothing more, and wait until what is under way is over and reported."""
        self.pause()
        for entry in self._entries.values():
            entry.hurry.set()
        while self._running or self._held or not self.reports.are_out():  # noqa: ASYNC110 - three things, one look
            await asyncio.sleep(0.02)

    # ---- work

    async def work(self) -> None:
        """Do pushes until cancelled; as many at once as workers run this."""
        backoff = Backoff(self._settings.backoff_seconds, self._settings.backoff_seconds_max)
        while True:
            entries = await self._next()
            self._running += 1
            try:
                with self._working(entries) as doing:
                    is_done = await self._do(entries, doing)
            finally:
                self._running -= 1
            if is_done:
                backoff.succeeded()
            else:
                await backoff.pause()

    async def _next(self) -> list[_Entry]:
        while True:
            await self._access.open()
            limiter = self._access.transport.limiter
            if limiter.banned_seconds and self._heap:
                await limiter.lifted()
            elif entries := self._taken():
                return entries
            else:
                self._changed.clear()
                await self._changed.wait()

    def _taken(self) -> list[_Entry]:
        """The most urgent; with a raise, those of the same item that can go with it."""
        while self._heap and self._may_begin:
            entry = self._waiting(heapq.heappop(self._heap))
            if entry is None:
                continue
            entry.stage = _Stage.RUNNING
            together = [entry]
            if entry.push.kind is PushKind.RAISE:
                together += self._companions(entry, self._access.platform.capabilities.changes_at_once - 1)
            return together
        return []

    def _companions(self, first: _Entry, count_max: int) -> list[_Entry]:
        found: list[_Entry] = []
        for place in self._heap if count_max > 0 else ():
            entry = self._waiting(place)
            if entry and entry.push.kind is PushKind.RAISE and entry.push.key.item_id == first.push.key.item_id:
                entry.stage = _Stage.RUNNING
                found.append(entry)
                if len(found) == count_max:
                    break
        return found

    def _waiting(self, place: tuple[tuple[int, float, int], int]) -> _Entry | None:
        """The entry that a place in the heap was given for, if it still waits."""
        rank, listing_id = place
        entry = self._entries.get(listing_id)
        if entry is None or entry.stage is not _Stage.WAITING or entry.push.push_id != rank[-1]:
            return None
        return entry

    def _wait(self, entry: _Entry) -> None:
        entry.stage = _Stage.WAITING
        heapq.heappush(self._heap, (entry.rank, entry.push.listing_id))
        self._changed.set()

    def _working(self, entries: Sequence[_Entry]) -> AbstractContextManager[Work]:
        """The span under which these are carried out."""
        push, now = entries[0].push, datetime.now(UTC)
        is_fresh = push.create_time is not None and (now - push.create_time).total_seconds() < telemetry.JOIN_SECONDS
        origin = telemetry.origin_of([entry.push.traceparent for entry in entries], is_fresh=is_fresh)
        attributes: dict[str, str | int] = {
            "messaging.system": "stockgate_outbox",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": self._channel,
            "messaging.batch.message_count": len(entries),
            "messaging.message.id": str(push.push_id),
            "stockgate.channel": self._channel,
            "stockgate.listing": push.listing_id,
            "stockgate.push.kind": push.kind.name,
            "stockgate.push.sales": push.sales,
        }
        return work("process push", kind=SpanKind.CONSUMER, origin=origin, attributes=attributes)

    async def _do(self, entries: Sequence[_Entry], doing: Work) -> bool:
        """False if the platform lets us do nothing at present."""
        if len(entries) == 1:
            [entry] = entries
            try:
                outcome = await carried_out(self._access, entry.progress, self._settings.lower_tries_max)
            except NotNow as error:
                return self._later(entry, error, doing)
            return self._finish(entry, outcome, doing)
        changes = [Change(entry.push.key, entry.push.sales, entry.progress.change_id) for entry in entries]
        with hearing(*(entry.progress.tries for entry in entries)):
            results = await self._changed_together(changes)
        are_done = [self._settle(entry, result, doing) for entry, result in zip(entries, results, strict=True)]
        return all(are_done)

    async def _changed_together(self, changes: Sequence[Change]) -> Sequence[Applied | ConnectorError]:
        try:
            return await self._access.change_many(changes)
        except ConnectorError as error:
            return [error] * len(changes)

    def _settle(self, entry: _Entry, result: Applied | ConnectorError, doing: Work) -> bool:
        entry.progress.attempts += 1
        if isinstance(result, ConnectorError):
            entry.progress.tries.meant(result)
        try:
            return self._finish(entry, outcome_of(entry.progress, result), doing)
        except NotNow as error:
            return self._later(entry, error, doing)

    def _later(self, entry: _Entry, error: NotNow, doing: Work) -> bool:
        """The push is not over; unless it is wanted no more, for it has not begun either."""
        if entry.push.withdrawn:
            return self._finish(entry, Outcome(PushResult.NOT_SENT, error="withdrawn"), doing)
        doing.fail(type(error.__cause__).__name__)
        # Who has no token waits for a person, and nobody knows how long.
        entry.progress.tries.again_in(self._access.transport.limiter.banned_seconds or None)
        log.info("push waits", extra={"channel": self._channel, "push_id": entry.push.push_id, "said": str(error)})
        if self._may_begin:
            self._wait(entry)
        else:
            del self._entries[entry.push.listing_id]
        return False

    # ---- reports

    def _finish(self, entry: _Entry, outcome: Outcome, doing: Work | None = None) -> bool:
        push = entry.push
        entry.stage = _Stage.OVER
        entry.wants_reading = outcome.wants_reading
        entry.report = PushReport(
            listing_id=push.listing_id,
            push_id=push.push_id,
            result=outcome.result,
            applied=outcome.applied,
            attempts=entry.progress.attempts,
            duration=timedelta(seconds=time.monotonic() - entry.received),
            error=outcome.error,
            traceparent=doing.traceparent if doing else push.traceparent,
        )
        self._log(entry, entry.report)
        if doing is not None:
            doing.tell(stockgate__push__result=outcome.result.name, stockgate__push__applied=outcome.applied)
            if outcome.result is not PushResult.APPLIED and not push.withdrawn:
                doing.fail(outcome.result.name)
        pause_seconds = self._pause_seconds(entry, outcome)
        # A push that has come to nothing is followed by another, once it is reported.
        if outcome.result is PushResult.NOT_SENT:
            entry.progress.tries.again_in(max(pause_seconds, self._access.transport.breaker.open_seconds) or None)
        entry.progress.tries.again_in(None)
        if pause_seconds:
            task = asyncio.create_task(self._report_later(entry, entry.report, pause_seconds))
            self._held.add(task)
            task.add_done_callback(self._held.discard)
        else:
            self.reports.put(entry.report)
        return True

    def _pause_seconds(self, entry: _Entry, outcome: Outcome) -> float:
        """The gateway answers a push that came to nothing with another: not as fast as it can be asked."""
        listing_id = entry.push.listing_id
        if outcome.result in {PushResult.UNKNOWN, PushResult.REFUSED} or outcome.applied or entry.push.withdrawn:
            self._fruitless.pop(listing_id, None)
            return 0.0
        if listing_id not in self._fruitless:
            settings = self._settings
            self._fruitless[listing_id] = Backoff(settings.fruitless_seconds, settings.fruitless_seconds_max)
            return 0.0
        return self._fruitless[listing_id].failed()

    async def _report_later(self, entry: _Entry, report: PushReport, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await entry.hurry.wait()
        except TimeoutError:
            pass
        self.reports.put(report)

    def _delivered(self, report: PushReport) -> None:
        entry = self._entries.get(report.listing_id)
        if entry is None or entry.report != report:
            return
        entry.is_delivered = True
        if entry.wants_reading:
            entry.wants_reading = False
            self._read(ReadOrder(report.listing_id, entry.push.key, after_push_id=report.push_id))

    def _log(self, entry: _Entry, report: PushReport) -> None:
        fields = {
            "channel": self._channel,
            "listing_id": report.listing_id,
            "push_id": report.push_id,
            "kind": entry.push.kind.name,
            "sales": entry.push.sales,
            "result": report.result.name,
            "applied": report.applied,
            "attempts": report.attempts,
            "milliseconds": round(report.duration.total_seconds() * 1000),
            "said": report.error,
        }
        is_fine = report.result is PushResult.APPLIED or entry.push.withdrawn
        log.log(logging.INFO if is_fine else logging.WARNING, "push over", extra=fields)
