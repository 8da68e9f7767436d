"""The player of a drill: lets the drill's time pass, and tells what happens in it under the drill's number.

The play itself is `domain/drills.py`; the shelves are in the memory of the gateway that plays, and nowhere else. What
the player has told, and how far, he writes with it in one transaction, if the drill still runs and is his: so nothing
is told twice, whatever became of a commit, and nothing after the end.

People are rehearsed at their own speed. So tiers follow the drill's time, but acknowledgements run out and escalations
climb on the clock.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from msgspec.structs import replace

from gateway.alerts.telling import SPOKEN_FOR
from gateway.domain.alerts import Body, DrillStep, Event, EventKind, News, Runbook, TierTold
from gateway.domain.attention import ack_end, escalation_due, rungs_told
from gateway.domain.drill_scores import Drill, comparison, is_rise, score, verdict
from gateway.domain.drills import DrillInject, Happening, InjectKind, Play
from gateway.domain.errors import GatewayError
from gateway.domain.tiers import Tier, TierChange
from gateway.store import drills as store
from gateway.store.alert_log import Appending, begin_append, read_drill_events
from gateway.store.database import MerchantDatabase, ReadConnection, read_time
from gateway.store.desk import HeldAcknowledgement, end_acknowledgement, read_runbooks
from gateway.store.drills import DrillRow, Progress
from gateway.store.subscribers import Cursor, list_cursors

log = logging.getLogger(__name__)

# The player says so often that it lives, and looks what people have done.
BEAT_SECONDS = 1.0
# What happens gathers for so long before it is told.
GATHER_SECONDS = 0.1
# So many moments are played before others have their turn in this process; one takes a millisecond at most, but for
# the last, in which everything is looked at.
MOMENTS_AT_ONCE = 10
# So much is told in one transaction.
HAPPENINGS_AT_ONCE = 500
# Subscribers report every five seconds. Who has missed three does not listen.
LISTENS = timedelta(seconds=15)

_INJECTED = {
    InjectKind.CHANNEL_DEAD: "渠道失联",
    InjectKind.CHANNEL_BACK: "渠道恢复",
    InjectKind.SUPPLY_LATE: "补货晚到{value:g}秒",
    InjectKind.RECEIPT: "到货{value:.0f}件",
    InjectKind.SURGE: "销量变为{value:g}倍，持续{seconds:g}秒",
}


class Player:
    """Plays one drill. `gateway` is who plays it, as its row says."""

    def __init__(self, database: MerchantDatabase, gateway: str, drill: Drill) -> None:
        """Stand before second 0; the drill has its tape."""
        self._database = database
        self._gateway = gateway
        self._drill = drill
        self._play = Play(drill.script)
        # What happened and may not have been told yet, and how much happened before that.
        self._happenings: list[Happening] = []
        self._told = 0
        self._began = self._heard = time.monotonic()

    async def run(self) -> None:
        """Play to the end, or until somebody else has ended the drill."""
        self._began = time.monotonic()
        is_over = False
        while not is_over:
            began = time.monotonic()
            is_behind = self._advance()
            took = time.monotonic() - began
            if time.monotonic() >= self._due:
                is_over = await self._beat()
            # One who cannot keep up takes half of the time there is, and no more.
            await asyncio.sleep(took if is_behind else self._pause)

    def _advance(self) -> bool:
        """Let the drill's time pass; True if it has not caught up with the clock yet."""
        until = (time.monotonic() - self._began) * self._drill.script.speed
        self._happenings += self._play.advance(until, MOMENTS_AT_ONCE)
        return not self._play.is_over and self._play.next_seconds <= until

    @property
    def _due(self) -> float:
        has_news = self._happenings or self._play.is_over
        return self._heard + (GATHER_SECONDS if has_news else BEAT_SECONDS)

    @property
    def _pause(self) -> float:
        """Seconds until there is something to do."""
        upcoming = self._began + self._play.next_seconds / self._drill.script.speed
        if self._play.is_over:
            upcoming = self._due
        return max(0.01, min(upcoming, self._due) - time.monotonic())

    # ---- telling

    async def _beat(self) -> bool:
        """Say that we live, and tell what there is to tell; True if the drill is over."""
        self._heard = time.monotonic()
        try:
            if self._happenings or self._play.is_over:
                return await self._tell()
            return await self._listen()
        except (GatewayError, TimeoutError) as error:
            log.warning("a drill cannot be told, and goes on", extra={"error": str(error)})
            self._heard = time.monotonic() + BEAT_SECONDS
            return False

    async def _listen(self) -> bool:
        """Without news of our own, see what people have done; True if somebody has ended the drill."""
        async with self._database.transaction() as connection:
            row = await store.lock_running(connection, self._drill.drill_id, self._gateway)
            if row is None:
                return True
            now = await read_time(connection, self._database.now)
            progress = _heard_of(row.progress, await list_cursors(connection), now)
            if progress == row.progress:
                await store.keep_alive(connection, self._drill.drill_id, now)
            else:
                await store.keep_progress(connection, replace(row, progress=progress), now)
            held = await store.held_in_drill(connection, self._drill.drill_id)
        is_due = any(self._ends(held, now)) or any(self._escalations(progress, held, now))
        return is_due and await self._tell()

    async def _tell(self) -> bool:
        async with self._database.transaction() as connection:
            appending = await begin_append(connection, self._database)
            row = await store.lock_running(connection, self._drill.drill_id, self._gateway)
            if row is None:
                return True
            now, progress = appending.now, row.progress
            runbooks = await read_runbooks(connection)
            untold = self._happenings[progress.told - self._told :][:HAPPENINGS_AT_ONCE]
            for event in await appending.append([self._news(happening, runbooks) for happening in untold]):
                progress = _noted(progress, event)
            progress = _heard_of(progress, await list_cursors(connection), now)
            held = await store.held_in_drill(connection, self._drill.drill_id)
            for ack, reason in self._ends(held, now):
                await _end_acknowledgement(connection, appending, ack, reason)
                held.remove(ack)
            for news, rungs in self._escalations(progress, held, now):
                await appending.append([news])
                progress = replace(progress, rungs={**progress.rungs, news.sku: rungs})
            row = replace(row, progress=progress)
            await store.keep_progress(connection, row, now)
            is_over = self._play.is_over and progress.told == self._told + len(self._happenings)
            if is_over:
                await end_drill(connection, appending, row, "ENDED")
        del self._happenings[: progress.told - self._told]
        self._told = progress.told
        return is_over

    def _news(self, happening: Happening, runbooks: dict[Tier, Runbook]) -> News:
        about = partial(_news, self._drill, sku=happening.sku, at=self._drill.time_at(happening.at_seconds))
        match happening.what:
            case DrillInject() as inject:
                detail = _INJECTED[inject.kind].format(value=inject.value, seconds=inject.seconds)
                return about(EventKind.DRILL_INJECTED, _step(self._drill, inject=inject.kind.value, detail=detail))
            case TierChange() as change:
                told = self._told_of(change, runbooks.get(change.after))
                return about(EventKind.TIER_CHANGE, told, episode=change.episode)

    def _told_of(self, change: TierChange, runbook: Runbook | None) -> TierTold:
        """The change as the log has it: its instants on the clock, spans and rates as they are in the drill."""
        onset = change.evidence.onset_time
        if onset:
            onset = self._drill.time_at(onset).timestamp()
        return TierTold(
            change.before,
            change.after,
            replace(change.evidence, onset_time=onset),
            change.stock_out,
            change.is_stale,
            change.is_flapping,
            change.reopened,
            change.pages,
            runbook,
        )

    # ---- what people do, on the clock

    def _ends(self, held: Iterable[HeldAcknowledgement], now: datetime) -> list[tuple[HeldAcknowledgement, str]]:
        """The acknowledgements that hold no more, and why."""
        found = []
        for one in held:
            standing = self._play.standing(one.sku)
            is_same = standing.episode == one.episode
            reason = ack_end(one.acknowledgement, is_same_episode=is_same, tier=standing.tier, now=now)
            if reason:
                found.append((one, reason))
        return found

    def _escalations(
        self, progress: Progress, held: Iterable[HeldAcknowledgement], now: datetime
    ) -> list[tuple[News, int]]:
        """Who is to be told next, and how many rungs have been climbed then."""
        acknowledged = {one.sku for one in held}
        found = []
        for sku in self._drill.script.skus:
            standing = self._play.standing(sku.sku)
            due = escalation_due(
                tier=standing.tier,
                since=self._drill.time_at(standing.since),
                told=progress.rungs.get(sku.sku, 0),
                is_acknowledged=sku.sku in acknowledged,
                now=now,
            )
            if due is not None:
                news = _news(self._drill, EventKind.ESCALATED, due, sku=sku.sku, at=now, episode=standing.episode)
                found.append((news, rungs_told(due)))
        return found


def started(drill: Drill) -> News:
    """The event that begins a drill; it may be shown until the drill's end."""
    script = drill.script
    room = f"{script.room}，" if script.room else ""
    detail = f"{room}{len(script.skus)}款商品，{script.seconds:g}秒，{script.speed:g}倍速"
    news = _news(drill, EventKind.DRILL_STARTED, _step(drill, actor=drill.actor, detail=detail), at=drill.start_time)
    return replace(news, expire_time=max(drill.time_at(script.seconds), drill.start_time + SPOKEN_FOR))


async def end_drill(
    connection: ReadConnection, appending: Appending, row: DrillRow, state: str, actor: str = ""
) -> Drill:
    """End a drill that runs, with its score: ENDED, STOPPED (by somebody) or LOST. Nothing is told of it afterwards."""
    drill = row.drill
    for held in await store.held_in_drill(connection, drill.drill_id):
        await _end_acknowledgement(connection, appending, held, "CLOSED")
    found = score(drill, await read_drill_events(connection, drill.drill_id), row.progress.delivered)
    last = await store.last_of_name(connection, drill.script.name, drill.drill_id)
    if last is not None:
        found = replace(found, compared=comparison(found, last))
    ended = replace(drill, state=state, end_time=appending.now, score=found)
    await store.end_drill(connection, replace(row, drill=ended))
    step = _step(drill, actor=actor, passed=found.passed, detail=verdict(drill, state, found))
    await appending.append([_news(drill, EventKind.DRILL_ENDED, step, at=appending.now)])
    return ended


async def _end_acknowledgement(
    connection: ReadConnection, appending: Appending, held: HeldAcknowledgement, reason: str
) -> None:
    number, now = held.acknowledgement.acknowledgement_id, appending.now
    ended = await end_acknowledgement(connection, number, now, reason)
    assert ended is not None
    news = News(
        kind=EventKind.ACKNOWLEDGEMENT_ENDED,
        body=ended,
        sku=held.sku,
        episode=held.episode,
        drill_id=held.drill_id,
        observe_time=now,
        expire_time=now + SPOKEN_FOR,
    )
    await appending.append([news])


def _news(drill: Drill, kind: EventKind, body: Body, *, at: datetime, sku: str = "", episode: int = 0) -> News:
    return News(
        kind=kind,
        body=body,
        sku=sku,
        episode=episode,
        drill_id=drill.drill_id,
        observe_time=at,
        expire_time=at + SPOKEN_FOR,
    )


def _step(drill: Drill, *, actor: str = "", inject: str = "", passed: bool = False, detail: str = "") -> DrillStep:
    return DrillStep(drill.script.name, actor, inject, passed, detail)


def _noted(progress: Progress, event: Event) -> Progress:
    """One happening more was told."""
    rungs, waiting = progress.rungs, progress.waiting
    if isinstance(event.body, TierTold) and event.body.before is not event.body.after:
        rungs = {sku: told for sku, told in rungs.items() if sku != event.sku}
    if is_rise(event):
        waiting = {**waiting, event.revision: event.record_time.timestamp()}
    return replace(progress, told=progress.told + 1, rungs=rungs, waiting=waiting)


def _heard_of(progress: Progress, cursors: Iterable[Cursor], now: datetime) -> Progress:
    """What all who listen have reported by now is delivered."""
    listening = [each for each in cursors if now - each.report_time <= LISTENS]
    if not listening or not progress.waiting:
        return progress
    reached = min(each.revision for each in listening)
    last = max(each.report_time for each in listening).timestamp()
    arrived = {number: max(0.0, last - at) for number, at in progress.waiting.items() if number <= reached}
    waiting = {number: at for number, at in progress.waiting.items() if number > reached}
    return replace(progress, waiting=waiting, delivered={**progress.delivered, **arrived})
