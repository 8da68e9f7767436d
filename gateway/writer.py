"""The one writer of a merchant's stock: gathers commands, applies each group in one transaction, answers.

There is no timer. A group is whatever has reached this process when the last one was saved: under light load groups of
one, on a hot SKU hundreds. Nothing else in this process changes a level, a reservation or the journal.

Answers are handed out a few at a time: between them the loop takes in new calls, and the next group is on its way while
the last one is still being answered. Refusals are paced, so that a crowd at a sold-out shelf does not stand between the
others and their answers.

A unit is the commands of one call. A unit whose caller has gone before its group starts is dropped whole; one that has
started is never half-applied. A group that the database refuses for a reason of its own is cut in two until the unit
at fault stands alone, so that one bad command cannot fail its neighbours.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import Span as TraceSpan
from opentelemetry.trace import StatusCode

from gateway import metrics, telemetry
from gateway.domain.book import Book
from gateway.domain.changes import Changes
from gateway.domain.commands import ExpireReservation, ReserveStock
from gateway.domain.errors import DatabaseUnavailable, DeadlinePassed, GatewayError, QueueFull, ShuttingDown
from gateway.domain.groups import Outcome, Span, Wish, decide, needs, short_skus
from gateway.store.database import cause_of
from gateway.store.groups import GroupStore

log = logging.getLogger(__name__)

# Larger groups save little more per command, and let the first of them wait longer.
GROUP_COMMANDS_MAX = 1_000
# How many overdue reservations are freed at once when someone finds a shelf empty; and then, for who wants even more.
OVERDUE_FREED_FIRST = 500
OVERDUE_FREED_MAX = 5_000
# So many answers are handed out before the loop turns to what has arrived meanwhile.
ANSWERS_AT_ONCE = 4
# A crowd that is refused asks again at once: between its answers there is room for those of others.
REFUSALS_PAUSE_SECONDS = 0.001
RETRY_AFTER_MS = 200
# A group waits until so many turns of the loop have brought nothing new: some 5 us each when there is nothing to do.
QUIET_TURNS = 16
# Nor longer than this: whoever came first is waiting.
ARRIVAL_SECONDS_MAX = 0.002
# A group that takes longer is told of, traced or not.
SLOW_NS = 1_000_000_000


class Unit:
    """The commands of one call, applied in order in one group; `deadline` is on the monotonic clock.

    `traceparent` (W3C) is the caller's span, None if it is not traced; `kept` that of its group, if only what became of
    that made it worth a span. `weight` is what it adds to a group: a command counts once, a reservation as often as it
    has lines.
    """

    __slots__ = ("answer", "atomic_spans", "commands", "deadline", "kept", "traceparent", "weight")

    def __init__(
        self,
        commands: Sequence[Wish],
        atomic_spans: Sequence[Span],
        deadline: float | None,
        traceparent: str | None = None,
    ) -> None:
        """Wait for an answer on the running loop."""
        self.traceparent = traceparent
        self.kept: str | None = None
        self.commands = commands
        self.atomic_spans = atomic_spans
        self.deadline = deadline
        self.weight = sum(len(c.lines) if isinstance(c, ReserveStock) else 1 for c in commands)
        self.answer: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()

    @property
    def abandoned(self) -> bool:
        """True if nobody waits any more: the caller has gone, or its deadline has passed."""
        return self.answer.done() or (self.deadline is not None and time.monotonic() >= self.deadline)

    def resolve(self, outcomes: list[Outcome]) -> None:
        """Answer, unless the caller has gone."""
        if not self.answer.done():
            self.answer.set_result(outcomes)

    def fail(self, error: Exception) -> None:
        """Fail all commands, unless the caller has gone."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Lane:
    """Hands answers out, a few at a time with a pause between, while `run` runs."""

    def __init__(self, pause_seconds: float) -> None:
        """Have none yet; a pause of 0 is a turn of the loop."""
        self._pause_seconds = pause_seconds
        self._waiting: deque[tuple[Unit, list[Outcome]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False

    def put(self, unit: Unit, outcomes: list[Outcome]) -> None:
        """Take the answer of a unit."""
        self._waiting.append((unit, outcomes))
        self._wake.set()

    def close(self) -> None:
        """`run` ends when all are handed out."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Hand out until `close` was called and nothing is left."""
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            for _ in range(min(ANSWERS_AT_ONCE, len(self._waiting))):
                unit, outcomes = self._waiting.popleft()
                unit.resolve(outcomes)
            await asyncio.sleep(self._pause_seconds)


class Writer:
    """Applies commands through one `GroupStore`; `run` must be running."""

    def __init__(
        self, store: GroupStore, queue_commands_max: int, saved: Callable[[Changes], None] = lambda _changes: None
    ) -> None:
        """Take commands at once; answer them once `run` runs. `saved` is told of every group, and must be quick."""
        self._saved = saved
        self._store = store
        self._queue_commands_max = queue_commands_max
        self._queue: deque[Unit] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._is_lost = False
        self._accepted = Lane(0)
        self._refused = Lane(REFUSALS_PAUSE_SECONDS)

    async def apply(
        self, commands: Sequence[Wish], atomic_spans: Sequence[Span] = (), deadline: float | None = None
    ) -> list[Outcome]:
        """Apply the commands of one call in order; one outcome each.

        What they change is written down with the name of the current span. Raises `QueueFull`, `ShuttingDown`,
        `DeadlinePassed` (nothing was done), `DatabaseUnavailable` (unknown; the same request ids may be sent again).
        """
        if self._closing:
            raise ShuttingDown("this gateway is stopping; try again in a moment")
        unit = Unit(commands, atomic_spans, deadline, telemetry.current_traceparent())
        # One that alone is more than that waits for nobody.
        if self._queued and self._queued + unit.weight > self._queue_commands_max:
            raise QueueFull(
                f"{self._queued} commands wait already; try again in {RETRY_AFTER_MS} ms", retry_after_ms=RETRY_AFTER_MS
            )
        self._queue.append(unit)
        self._queued += unit.weight
        self._wake.set()
        try:
            return await unit.answer
        finally:
            if unit.kept is not None:
                telemetry.blame(unit.kept)

    async def run(self) -> None:
        """Serve the queue until `close` was called and everything taken in is answered."""
        answering = [asyncio.create_task(lane.run()) for lane in (self._accepted, self._refused)]
        try:
            while self._queue or not self._closing:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                await self._let_arrive()
                if units := self._take():
                    await self._settle(units)
            await self._store.close()
            self._accepted.close()
            self._refused.close()
            await asyncio.gather(*answering)
        finally:
            for task in answering:
                task.cancel()

    def close(self) -> None:
        """Take in nothing more; `run` ends when the queue is empty."""
        self._closing = True
        self._wake.set()

    async def _let_arrive(self) -> None:
        """Let the loop hand over what has reached this process already, so that it joins this group and not the next.

        Groups cost the database much the same whatever their size; on a busy machine this makes them three times as
        large, and a call a third cheaper.
        """
        quiet = 0
        ends = time.monotonic() + ARRIVAL_SECONDS_MAX
        while quiet < QUIET_TURNS and time.monotonic() < ends:
            waiting = self._queued
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._queued == waiting else 0

    def _take(self) -> list[Unit]:
        """The next group: whole units, in order of arrival, up to the limit; at least one if any is left."""
        taken: list[Unit] = []
        weight = 0
        while self._queue and (not taken or weight + self._queue[0].weight <= GROUP_COMMANDS_MAX):
            unit = self._queue.popleft()
            self._queued -= unit.weight
            if unit.abandoned:
                unit.fail(DeadlinePassed("the deadline passed while the command waited; nothing was done"))
                continue
            taken.append(unit)
            weight += unit.weight
        return taken

    async def _settle(self, units: list[Unit]) -> None:
        course = _Course(self._store.merchant, units)
        try:
            with course.run():
                outcomes = await self._apply_group(units, course)
        except DatabaseUnavailable as error:
            self._say_lost(error)
            await self._store.close()
            # Those in the queue have waited as long already, and would only learn the same one after the other.
            for unit in (*units, *self._queue):
                unit.fail(error)
            self._queue.clear()
            self._queued = 0
        # Whatever else it is, it is about one of these units: find it, and let the others go on.
        except Exception as error:
            log.warning(
                "a group has failed; the unit at fault is looked for", extra={"units": len(units)}, exc_info=True
            )
            await self._store.close()
            await self._bisect(units, error)
        else:
            if self._is_lost:
                self._is_lost = False
                log.info("the database is back", extra={"merchant": self._store.merchant})
            for unit, answers in zip(units, outcomes, strict=True):
                is_refused = all(isinstance(answer, GatewayError) for answer in answers)
                (self._refused if is_refused else self._accepted).put(unit, answers)

    def _say_lost(self, error: DatabaseUnavailable) -> None:
        """Once for all the calls that find out."""
        if not self._is_lost:
            about = {"merchant": self._store.merchant, "said": error.message, "cause": cause_of(error)}
            log.error("the database is lost: nothing is saved until it is back", extra=about)
        self._is_lost = True

    async def _bisect(self, units: list[Unit], error: Exception) -> None:
        if len(units) == 1:
            units[0].fail(error)
            return
        middle = len(units) // 2
        await self._settle(units[:middle])
        await self._settle(units[middle:])

    async def _apply_group(self, units: list[Unit], course: "_Course") -> list[list[Outcome]]:
        """Load, decide, save; again with the lock held if another gateway was faster."""
        needed = needs(command for unit in units for command in unit.commands)
        for exclusive in (False, True):
            with course.stage("load"):
                book = await self._store.load(needed, exclusive=exclusive)
            with course.stage("decide"):
                outcomes = _decide_units(book, units)
            count_max = OVERDUE_FREED_FIRST
            while overdue := await self._overdue(book, outcomes, count_max):
                count_max = OVERDUE_FREED_MAX
                needed.reservation_ids.update(overdue)
                with course.stage("load"):
                    await self._store.give_up()
                    book = await self._store.load(needed, exclusive=exclusive)
                with course.stage("decide"):
                    decide(book, [ExpireReservation("", reservation_id) for reservation_id in needed.reservation_ids])
                    outcomes = _decide_units(book, units)
            changes = book.changed()
            if changes.is_empty:
                await self._store.give_up()
                return outcomes
            with course.stage("save"):
                is_saved = await self._store.save(changes)
            if is_saved:
                course.saved(changes)
                self._saved(changes)
                return outcomes
        raise AssertionError("the head's row is locked, and its version still changed")

    async def _overdue(self, book: Book, outcomes: list[list[Outcome]], count_max: int) -> set[int]:
        """Reservations that keep units from someone although their time has come, and that the book has not freed."""
        short = short_skus(outcome for answers in outcomes for outcome in answers)
        if not short:
            return set()
        due = await self._store.due(book.now, short, count_max)
        return {reservation_id for reservation_id in due if not book.has_resolved(reservation_id)}


def _decide_units(book: Book, units: list[Unit]) -> list[list[Outcome]]:
    return [_decide_unit(book, unit) for unit in units]


def _decide_unit(book: Book, unit: Unit) -> list[Outcome]:
    book.traceparent = unit.traceparent
    return decide(book, unit.commands, unit.atomic_spans)


class _Course:
    """How one group went: measured always; a span if one of its calls is traced, or if it failed or was slow."""

    def __init__(self, merchant: str, units: Sequence[Unit]) -> None:
        """It begins now."""
        self._units = units
        self._start_ns = time.time_ns()
        self._told: dict[str, str | int | float] = {
            "stockgate.merchant": merchant,
            "stockgate.group.units": len(units),
            "stockgate.group.commands": sum(unit.weight for unit in units),
        }
        # Each time a part was done: which, how long it took, and the class of what went wrong, "" if nothing did.
        self._stages: list[tuple[str, float, str]] = []
        traced = [unit.traceparent for unit in units if unit.traceparent and telemetry.is_sampled(unit.traceparent)]
        origin = telemetry.origin_of(traced, is_fresh=len(units) == 1)
        self._span = telemetry.begin("group", origin=origin, start_ns=self._start_ns) if traced else None

    @contextmanager
    def run(self) -> Iterator[None]:
        """From its beginning to its end, however that is."""
        try:
            yield
        # Whatever it was, it goes on to whom it concerns.
        except Exception as error:
            self._end(self._span or self._recorded("error"), type(error).__name__)
            raise
        is_slow = time.time_ns() - self._start_ns > SLOW_NS
        self._end(self._span or (self._recorded("slow") if is_slow else None))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Part of it: `load`, `decide` or `save`."""
        began, failed = time.perf_counter(), ""
        try:
            yield
        # Whatever it was, it is counted and goes on.
        except Exception as error:
            failed = type(error).__name__
            raise
        finally:
            self._stages.append((name, time.perf_counter() - began, failed))

    def saved(self, changes: Changes) -> None:
        """This was changed."""
        if self._span is not None and changes.movements:
            self._told["stockgate.ledger_revision.first"] = changes.movements[0].revision
            self._told["stockgate.ledger_revision"] = changes.movements[-1].revision

    def _recorded(self, why: str) -> TraceSpan | None:
        """A span after all: because of whom has a name, and a name for those who have none yet."""
        if not telemetry.sampling.is_on:
            return None
        named = [unit.traceparent for unit in self._units if unit.traceparent]
        origin = telemetry.origin_of(named, is_fresh=len(self._units) == 1)
        span = telemetry.record("group", self._start_ns, why=why, origin=origin)
        for unit in self._units:
            unit.kept = telemetry.traceparent_of(span)
        return span

    def _end(self, span: TraceSpan | None, error: str = "") -> None:
        seen = None if span is None else span.get_span_context()
        for name, seconds, failed in self._stages:
            if name != "decide":
                metrics.db_client_duration.record(seconds, (name, failed), seen)
        if span is None:
            return
        for name in {stage for stage, _, _ in self._stages}:
            whole = sum(seconds for stage, seconds, _ in self._stages if stage == name)
            self._told[f"stockgate.group.{name}_seconds"] = round(whole, 6)
        span.set_attributes(self._told)
        if error:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR)
        span.end()
