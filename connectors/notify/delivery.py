"""From an outbox to a robot: claimed at the gateway, posted, and what came of it settled.

Two notifiers may serve one robot. Each notice is claimed before it is posted, so that one of them posts it; who finds
the gateway away posts all the same and says that it may be a repeat, for a warning twice is better than none.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import NamedTuple, Protocol

from opentelemetry.trace import SpanKind

from connectors.attempts import outcome_of_try
from connectors.errors import ConnectorError, Misunderstood
from connectors.notify.grouping import grouped
from connectors.notify.notices import Notice
from connectors.notify.robot import Message, Receipt, Robot
from connectors.notify.schedule import Group, Outbox, Pending, Tempo, Window
from connectors.notify.verdicts import Case, Verdict, verdict
from connectors.tracing import Work, work
from gateway import metrics, telemetry

log = logging.getLogger(__name__)
# What another notifier has in hand is looked at again after so long.
HELD_SECONDS = 5.0
# An outbox is asked anew at least so often whether there is something to do, and no sooner than that.
IDLE_SECONDS_MIN, IDLE_SECONDS_MAX = 0.005, 60.0


class Claim(NamedTuple):
    """Whether a notice is ours to post; `sent`: it has been. `possible_duplicate`: nobody knows whether it has been."""

    granted: bool
    sent: bool = False
    possible_duplicate: bool = False


class Claims(Protocol):
    """Who posts what, between notifiers. Never raises: where nobody can be asked, a claim is granted."""

    async def claim(self, revision: int, receiver: str) -> Claim:
        """Ask for a notice."""

    async def settle(self, revision: int, receiver: str, *, sent: bool) -> None:
        """Say what became of one that was granted."""


class Written(NamedTuple):
    """A message, the notices in it, and how many others it says are never told."""

    message: Message
    told: Sequence[Notice] = ()
    dropped: int = 0


class Delivery:
    """One robot's outbox, and how what is in it gets out. `receiver` is who reads, as claims name it."""

    def __init__(
        self,
        robot: Robot,
        claims: Claims,
        outbox: Outbox,
        receiver: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing waits yet."""
        self.robot, self.outbox, self.receiver = robot, outbox, receiver
        self.told = 0
        self.failures = 0
        self.given_up = 0
        self._claims, self._clock = claims, clock
        self._on_way: tuple[Pending, ...] = ()
        self._changed = asyncio.Event()
        # Rules look at what grows; what begins with a failure would seem never to have grown.
        for outcome in ("TOLD", "REFUSED", "GIVEN_UP"):
            self._count(outcome, 0)

    @property
    def oldest_revision(self) -> int | None:
        """The lowest number of what waits or is on its way; None: everything has been seen to."""
        waiting = [pending.notice.revision for pending in self._on_way]
        oldest = self.outbox.oldest_revision
        return min([*waiting, *([] if oldest is None else [oldest])], default=None)

    def tell(self, notice: Notice) -> None:
        """Take a notice in."""
        before = self.outbox.dropped
        self.outbox.add(notice, self._clock())
        self._count("DROPPED", max(0, self.outbox.dropped - before))
        self.wake()

    def wake(self) -> None:
        """Something has come."""
        self._changed.set()

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        # When an earlier run broke off, nobody heard what became of these.
        broken_off, self._on_way = self._on_way, ()
        for pending in broken_off:
            self.outbox.put_back(pending, self._clock(), may_be_told=True)
        while True:
            self._changed.clear()
            if not await self.send_due():
                await self._until_something_is_due()

    async def send_due(self) -> bool:
        """Send one message if one is due; True if there was something to do."""
        group = self.outbox.due(self._clock())
        if group is None:
            return False
        await self._send(group)
        return True

    def written(self, notices: Sequence[Notice], *, is_urgent: bool, left: int) -> Written:
        """One message with as many of the notices as go into it, at least one; `left` others wait."""
        made = grouped(notices, self.robot.limits.text_bytes_max, self.outbox.dropped, left)
        message = Message(
            made.text,
            is_drill=notices[0].is_drill,
            is_urgent=is_urgent,
            mentions_all=any(notice.mentions_all for notice in made.told),
        )
        return Written(message, made.told, self.outbox.dropped)

    async def _send(self, group: Group) -> None:
        wanted = self.written(group.notices, is_urgent=group.is_urgent, left=0).told
        ours = await self._claimed(wanted)
        if not ours:
            return
        keys = {notice.key for notice in ours}
        left = sum(notice.key not in keys for notice in group.notices)
        await self.post(self.written(ours, is_urgent=group.is_urgent, left=left))

    async def post(self, written: Written) -> bool:
        """Post a message and see to what was in it; True if it was taken."""
        told = {notice.key: notice for notice in written.told}
        taken = self.outbox.taken(written.told)
        # With the word of doubt that a claim may have brought.
        self._on_way = tuple(replace(each, notice=told[each.notice.key]) for each in taken)
        try:
            with self._span(written):
                receipt = await self.robot.post(written.message)
        except ConnectorError as error:
            is_taken = False
            await self._failed(error)
        # A fault of ours must not come again with every message that this notice would be in.
        except Exception as error:
            log.exception("notices not posted", extra={"receiver": self.receiver})
            metrics.loop_failures.add(1, {"loop": "robot"})
            is_taken = False
            await self._failed(Misunderstood(type(error).__name__))
        else:
            is_taken = True
            await self._succeeded(written, receipt)
        finally:
            # However it ended, the platform may have counted it.
            self.outbox.window.ended(self._clock())
        # Who is cancelled before leaves behind what was on its way.
        self._on_way = ()
        return is_taken

    def _span(self, written: Written) -> AbstractContextManager[Work]:
        """Goes on from what told of it."""
        # Several may go into one message, and each may have waited: a link each, and no parent.
        told = [notice.traceparent for notice in written.told]
        attributes: dict[str, str | int] = {
            "messaging.system": "stockgate_outbox",
            "messaging.operation.name": "tell",
            "messaging.operation.type": "process",
            "messaging.destination.name": self.receiver,
            "messaging.batch.message_count": len(written.told),
        }
        origin = telemetry.origin_of(told, is_fresh=False)
        return work("tell robot", kind=SpanKind.CONSUMER, origin=origin, attributes=attributes)

    async def _succeeded(self, written: Written, receipt: Receipt) -> None:
        self.failures = 0
        self.told += len(self._on_way)
        self.outbox.sent(self._on_way, self._clock(), written.dropped)
        if self._on_way:
            self._count("REHEARSED" if receipt.is_rehearsed else "TOLD", len(self._on_way))
            revisions = [pending.notice.revision for pending in self._on_way]
            fields = {"receiver": self.receiver, "revisions": revisions}
            if receipt.is_rehearsed:
                log.info("notices rehearsed", extra={**fields, "text": written.message.text})
            else:
                log.info("notices told", extra=fields)
            await self._settle(self._on_way, sent=True)

    def _count(self, outcome: str, notices: int) -> None:
        metrics.notices.add(notices, {"robot": self.robot.name, "outcome": outcome})

    async def _failed(self, error: ConnectorError) -> None:
        now, on_way = self._clock(), self._on_way
        rulings = [verdict(error, self._case(each)) for each in on_way]
        quiet_seconds = verdict(error, Case(failures=self.failures)).quiet_seconds
        self.failures += 1
        self._count(outcome_of_try(error).name, len(on_way))
        fields = {"receiver": self.receiver, "kind": type(error).__name__, "code": error.code, "said": error.message}
        log.warning("robot failed", extra={**fields, "revisions": [each.notice.revision for each in on_way]})
        self.outbox.quiet_until = max(self.outbox.quiet_until, now + quiet_seconds)
        for pending, ruling in zip(on_way, rulings, strict=True):
            self._rule(pending, ruling, now)
        # What may show is not free for others: their post would be the second without a word of it.
        free = [each for each, ruling in zip(on_way, rulings, strict=True) if not ruling.may_be_told]
        await self._settle(free, sent=False)

    def _rule(self, pending: Pending, ruling: Verdict, now: float) -> None:
        if ruling.gives_up:
            self.given_up += 1
            self._count("GIVEN_UP", 1)
            log.error("notice given up", extra={"receiver": self.receiver, "revision": pending.notice.revision})
            return
        first_tried = self.told if pending.told_before is None else pending.told_before
        pending = replace(pending, told_before=first_tried)
        not_before = now + ruling.wait_seconds
        self.outbox.put_back(pending, not_before, may_be_told=ruling.may_be_told, alone=ruling.alone)

    def _case(self, pending: Pending) -> Case:
        has_others = pending.told_before is not None and self.told > pending.told_before
        return Case(pending.tries, self.failures, pending.notice.is_escalation, has_others)

    async def _claimed(self, notices: Sequence[Notice]) -> list[Notice]:
        """Those that are ours to post.

        What others have posted is gone; what they have in hand waits, and what is newer of its thread with it.
        """
        claims = await asyncio.gather(*map(self._claim, notices))
        ours: list[Notice] = []
        held: list[Notice] = []
        for notice, claim in zip(notices, claims, strict=True):
            if notice not in self.outbox:  # something newer has come meanwhile
                continue
            if claim.sent:
                self.outbox.taken([notice])
            elif not claim.granted or any(notice.about == each.about for each in held):
                held.append(notice)
            else:
                ours.append(replace(notice, may_be_told=notice.may_be_told or claim.possible_duplicate))
        now = self._clock()
        if any(not claim.granted for claim in claims):
            self.outbox.window.heard_another(now)
        self.outbox.delay(held, now + HELD_SECONDS)
        return ours

    async def _claim(self, notice: Notice) -> Claim:
        return Claim(granted=True) if notice.is_local else await self._claims.claim(notice.revision, self.receiver)

    async def _settle(self, pending: Sequence[Pending], *, sent: bool) -> None:
        revisions = [each.notice.revision for each in pending if not each.notice.is_local]
        await asyncio.gather(*(self._claims.settle(each, self.receiver, sent=sent) for each in revisions))

    def wakes_at(self, now: float) -> float | None:
        """When there is something to do if nothing comes; None: when something comes."""
        return self.outbox.wakes_at(now)

    async def _until_something_is_due(self) -> None:
        now = self._clock()
        at = self.wakes_at(now)
        seconds = IDLE_SECONDS_MAX if at is None else min(at - now, IDLE_SECONDS_MAX)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(IDLE_SECONDS_MIN, seconds)):
                await self._changed.wait()


def courier(robot: Robot, claims: Claims, tempo: Tempo | None = None) -> Delivery:
    """A delivery to a group, at the group's own pace."""
    window = Window(robot.limits.rates)
    window.begin(time.monotonic())
    return Delivery(robot, claims, Outbox(tempo or Tempo(), window), robot.name)
