"""One robot as a subscriber of the alert log, like anyone: it resumes where everything before had been seen to.

The cursor that the gateway keeps for it is never ahead of a notice that waits or is on its way. So whoever is killed
tells again, after its restart, what it had not settled; claims keep that from being told twice without a word.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from connectors.backoff import Backoff
from connectors.notify.delivery import courier
from connectors.notify.facts import Room, Surroundings, hint_of, notice_of, notice_of_state, receivers_of
from connectors.notify.frontdoor import FrontDoor
from connectors.notify.notices import Kind, Notice, Tier
from connectors.notify.robot import Robot
from connectors.notify.rooms import RoomDelivery
from connectors.notify.schedule import Tempo, Window
from connectors.notify.settings import RobotSettings, min_tier_of
from connectors.notify.words import BACK, SILENT
from gateway import metrics
from gateway.client import AlertEvent, ClientError, PassedOver, ResumePoint, Snapshot, Start, WhenLost
from gateway.v1 import alert_pb2

log = logging.getLogger(__name__)

REPORT_SECONDS = 5.0
BACKOFF_SECONDS, BACKOFF_SECONDS_MAX = 0.5, 30.0
# Nothing that was settled later is held back by a stop for longer.
FINISH_SECONDS = 3.0
# The engine writes a watchdog event every 30 s.
WATCHDOG_SECONDS_MAX = 90.0
# What is told from a tier on; the rest is told whatever the tier.
OF_TIERS = frozenset({Kind.TIER, Kind.STALE, Kind.ACKNOWLEDGED, Kind.UNACKNOWLEDGED})
# Of so many SKUs it is known what their last change has told.
REMEMBERED_MAX = 2_000


class Follower:
    """Tells one robot's groups, until cancelled."""

    def __init__(
        self, settings: RobotSettings, robot: Robot, door: FrontDoor, page_url: str, tempo: Tempo | None = None
    ) -> None:
        """Nothing is heard yet."""
        self.settings, self.robot = settings, robot
        self.subscriber_id = f"notify/{settings.name}"
        self._door, self._page_url = door, page_url
        self._min_tier = min_tier_of(settings)
        # A watch that is opened anew counts from anew; this is for how long the groups have known nothing.
        self._watchdog_heard = time.monotonic()
        self._point: ResumePoint | None = None
        self._snapshot_revision = 0
        self._last: OrderedDict[tuple[str, int], Notice] = OrderedDict()
        # Threads whose last change was for other receivers alone.
        self._others: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._is_silent = False
        self._spread = _Rooms(robot, door) if settings.platform == "agora" else _Group(robot, door, tempo)

    @property
    def resume_point(self) -> ResumePoint | None:
        """Up to where everything has been seen to; None: nobody can say yet.

        While something of a snapshot waits, only another snapshot could bring it again.
        """
        oldest = self._spread.oldest_revision
        if self._point is None or (oldest is not None and oldest <= self._snapshot_revision):
            return None
        seen = self._point.revision if oldest is None else min(self._point.revision, oldest - 1)
        return replace(self._point, revision=seen)

    async def run(self) -> None:
        """Follow the log and tell, until cancelled; then say how far it came."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._spread.run(group))
                group.create_task(self._report())
                group.create_task(self._follow())
        finally:
            point = self.resume_point
            if point is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._door.report(self.subscriber_id, point), FINISH_SECONDS)

    async def finish(self) -> None:
        """Wait until nothing is left to tell, for some seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                while self._spread.oldest_revision is not None:  # noqa: ASYNC110 - what is waited for is a plain value
                    await asyncio.sleep(0.05)

    async def _follow(self) -> None:
        backoff = Backoff(BACKOFF_SECONDS, BACKOFF_SECONDS_MAX)
        while True:
            try:
                await self._follow_once(backoff)
            except ClientError as error:
                fields = {"robot": self.settings.name, "code": error.code, "reason": error.reason}
                log.warning("warnings cannot be followed", extra={**fields, "said": error.message})
            await backoff.pause()

    async def _follow_once(self, backoff: Backoff) -> None:
        start = self._point or await self._door.cursor(self.subscriber_id)
        await self._spread.begin()
        watch = self._door.alerts.watch(
            include_drills=self.settings.include_drills or self.settings.drill_only,
            with_watchdogs=True,
            start=start or Start.SNAPSHOT,
            on_compacted=WhenLost.SNAPSHOT,
            on_mismatch=WhenLost.SNAPSHOT,
            on_point=self._move_to,
        )
        try:
            async for item in watch:
                backoff.succeeded()
                await self._hear(item)
        finally:
            await watch.aclose()

    def _move_to(self, point: ResumePoint) -> None:
        self._point = point

    async def _hear(self, item: AlertEvent | Snapshot | PassedOver) -> None:
        match item:
            case Snapshot(states=states, revision=revision):
                self._snapshot_revision = revision
                runbooks = await self._door.runbooks()
                for state in states:
                    with self._passing_over(state.revision):
                        runbook = runbooks.get(state.tier)
                        around = await self._surroundings(state.sku, state.session_id, state.session_ids)
                        receivers = frozenset(runbook.receivers if runbook else ())
                        self._tell(notice_of_state(state, around, runbook), around, receivers)
            case AlertEvent(kind=alert_pb2.ALERT_EVENT_KIND_WATCHDOG):
                self._watchdog_heard = time.monotonic()
            case AlertEvent():
                with self._passing_over(item.revision):
                    await self._hear_event(item)

    @contextlib.contextmanager
    def _passing_over(self, revision: int) -> Iterator[None]:
        """One fact that cannot be told must not keep the robot from all others: it would be read again for ever."""
        try:
            yield
        except ClientError:
            raise
        # Whatever it was, the others are told.
        except Exception:
            log.exception("event not told", extra={"robot": self.settings.name, "revision": revision})
            metrics.loop_failures.add(1, {"loop": "robot"})

    async def _hear_event(self, event: AlertEvent) -> None:
        if event.HasField("session"):
            self._door.know(event.session)
            await self._spread.session_changed(event)
        around = await self._surroundings(event.sku, event.session_id, event.session_ids)
        self._tell(notice_of(event, around), around, receivers_of(event))

    def _tell(self, notice: Notice | None, around: Surroundings, receivers: frozenset[str] = frozenset()) -> None:
        if notice is None or not self._is_ours(notice, receivers):
            return
        notice = self._with_numbers(notice)
        if self._is_wanted(notice, around):
            self._spread.tell(notice, around.rooms)

    def _is_ours(self, notice: Notice, receivers: frozenset[str]) -> bool:
        """A runbook names people's groups, and what becomes of a warning is told where the warning was.

        A room is told of what it sells, whoever else is; and an escalation is for all.
        """
        if self.settings.platform == "agora" or notice.kind is Kind.ESCALATED:
            return True
        if notice.kind is Kind.TIER and notice.tier > Tier.NORMAL:
            if receivers and self.settings.name not in receivers:
                self._others[notice.about] = None
                if len(self._others) > REMEMBERED_MAX:
                    self._others.popitem(last=False)
            else:
                self._others.pop(notice.about, None)
        return notice.about not in self._others

    def _with_numbers(self, notice: Notice) -> Notice:
        """An escalation tells what the change it escalates has told."""
        if notice.kind is Kind.TIER:
            self._last[notice.about] = notice
            if len(self._last) > REMEMBERED_MAX:
                self._last.popitem(last=False)
            return notice
        last = self._last.get(notice.about) if notice.kind is Kind.ESCALATED else None
        if last is None or last.tier is not notice.tier:
            return notice
        return replace(notice, reason=last.reason, action=last.action, host_line=last.host_line)

    def _is_wanted(self, notice: Notice, around: Surroundings) -> bool:
        if notice.is_drill and not (self.settings.include_drills or self.settings.drill_only):
            return False
        if self.settings.rooms and not around.rooms:
            return False
        return notice.kind not in OF_TIERS or max(notice.tier, notice.tier_before) >= self._min_tier

    async def _surroundings(self, sku: str, session_id: int, session_ids: Iterable[int]) -> Surroundings:
        """What an event does not say; only the rooms that this robot is for."""
        ids = [session_id] if session_id else list(session_ids)
        rooms = [await self._door.room(each) for each in ids]
        wanted = self.settings.rooms
        ours = tuple(room for room in rooms if not wanted or room.name in wanted)
        return Surroundings(await self._door.title(sku), ours, self._page_url, datetime.now(UTC))

    # ---- signs of life

    async def _report(self) -> None:
        """Say how far it came, and say to the groups when nothing is heard of the warnings any more."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            point = self.resume_point
            if point is not None:
                await self._door.report(self.subscriber_id, point)
            self._look_after_silence()

    def _look_after_silence(self) -> None:
        is_silent = time.monotonic() - self._watchdog_heard > WATCHDOG_SECONDS_MAX
        if is_silent == self._is_silent:
            return
        self._is_silent = is_silent
        log.log(logging.ERROR if is_silent else logging.INFO, "watchdog", extra={"is_silent": is_silent})
        words = SILENT if is_silent else BACK
        # No fact of the log: its number only tells one silence from the next, in seconds.
        self._spread.tell_everywhere(
            Notice(revision=int(time.time()), kind=Kind.OUTAGE, thread="outage", tier=Tier.NORMAL, action=words)
        )


class _Group:
    """One group: everything goes there."""

    def __init__(self, robot: Robot, door: FrontDoor, tempo: Tempo | None) -> None:
        self._delivery = courier(robot, door, tempo)

    @property
    def oldest_revision(self) -> int | None:
        return self._delivery.oldest_revision

    async def run(self, group: asyncio.TaskGroup) -> None:
        await self._delivery.run()

    async def begin(self) -> None:
        """Nothing is to be known before."""

    async def session_changed(self, event: AlertEvent) -> None:
        """A group does not come and go with sessions."""

    def tell(self, notice: Notice, rooms: Iterable[Room]) -> None:
        self._delivery.tell(notice)

    def tell_everywhere(self, notice: Notice) -> None:
        self._delivery.tell(notice)


class _Rooms:
    """The rooms of the sessions that are on and have a channel."""

    def __init__(self, robot: Robot, door: FrontDoor) -> None:
        self._robot, self._door = robot, door
        self._window = Window(robot.limits.rates)
        self._rooms: dict[int, RoomDelivery] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def oldest_revision(self) -> int | None:
        oldest = (room.oldest_revision for room in self._rooms.values())
        return min((revision for revision in oldest if revision is not None), default=None)

    async def run(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        for session_id in self._rooms:
            self._start(session_id)
        await asyncio.Event().wait()

    async def begin(self) -> None:
        """Know the sessions that are on."""
        sessions = await self._door.open_sessions()
        for session in sessions:
            self._open(session.session_id, session.agora_channel)
        for session_id in set(self._rooms) - {session.session_id for session in sessions}:
            self._close(session_id)

    async def session_changed(self, event: AlertEvent) -> None:
        session = event.session
        if event.drill_id:
            return
        if session.HasField("close_time"):
            self._close(session.session_id)
        else:
            self._open(session.session_id, session.agora_channel)

    def tell(self, notice: Notice, rooms: Iterable[Room]) -> None:
        for room in rooms:
            if room.session_id in self._rooms:
                self._rooms[room.session_id].tell(replace(notice, room=room.channel))

    def tell_everywhere(self, notice: Notice) -> None:
        for room in self._rooms.values():
            room.tell(replace(notice, room=room.channel))

    def _open(self, session_id: int, channel: str) -> None:
        if not channel or session_id in self._rooms:
            return
        self._rooms[session_id] = RoomDelivery(self._robot, self._door, self._window, session_id, channel)
        if self._group is not None:
            self._start(session_id)

    def _start(self, session_id: int) -> None:
        assert self._group is not None
        room = self._rooms[session_id]
        self._tasks[session_id] = self._group.create_task(self._serve(room), name=f"room {session_id}")

    def _close(self, session_id: int) -> None:
        self._rooms.pop(session_id, None)
        task = self._tasks.pop(session_id, None)
        if task is not None:
            task.cancel()

    async def _serve(self, room: RoomDelivery) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(room.run())
            group.create_task(self._listen(room))

    async def _listen(self, room: RoomDelivery) -> None:
        """Hear the room's hints until its session is closed."""
        backoff = Backoff(BACKOFF_SECONDS, BACKOFF_SECONDS_MAX)
        while True:
            watch = self._door.live.watch_hints(room.session_id)
            try:
                async for hint in watch:
                    backoff.succeeded()
                    room.hear(hint_of(hint))
            except ClientError as error:
                log.warning("hints cannot be followed", extra={"session": room.session_id, "code": error.code})
            else:
                return
            finally:
                await watch.aclose()
            await backoff.pause()
