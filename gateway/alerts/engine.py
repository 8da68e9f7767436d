"""The engine: tails the journal, asks where every key stands, and appends what there is to tell to the alert log.

One at a time for each merchant, under a lease; and each of its writes is fenced twice, by the lease in the log's head
and by the version of each key's row. So an engine that has lost its lease without noticing changes nothing. What it
knows of a key is in that key's row, as of a movement and a moment. Whoever takes over goes on from the engine's place
in the journal, which is never ahead of any row; of each key it leaves out what the row has already seen. So no movement
is missed and none counts twice.

A tick is played when everything recorded before it can be seen. The same journal therefore gives the same tier changes,
however fast it was read, and by whom.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from msgspec.structs import replace
from opentelemetry.util.types import AttributeValue

from gateway import metrics, telemetry
from gateway.alerts.askers import Askers
from gateway.alerts.duties import Duty, arrivals, duties
from gateway.alerts.lookout import TICK_SECONDS, Lookout, Told
from gateway.alerts.surroundings import Surroundings, read_surroundings
from gateway.alerts.telling import SKUS_TOLD_MAX, news_of, say
from gateway.domain.alerts import Event, EventKind, News, TierTold
from gateway.domain.demand import Pace
from gateway.domain.errors import GatewayError
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Key, Moved, Tempo
from gateway.store import standings as store
from gateway.store.alert_log import begin_append, read_alert_head
from gateway.store.database import MerchantDatabase, ReadConnection, read_time, take_snapshot
from gateway.store.standings import Place

log = logging.getLogger(__name__)

# A group is seen so long after its time at the latest.
TICK_DELAY = timedelta(seconds=0.5)
# Nothing is due more often than this while nothing is sold, and a wake-up may be lost.
LOOK_ANYWAY_SECONDS = 1.0
LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0
# Changes gather for so long before they are read. Half of what a subscriber waits is this.
GATHER_SECONDS = 0.1
CHECKPOINT_SECONDS = 5.0
WATCHDOG = timedelta(seconds=30)
MOVEMENTS_MAX = 1_000
ROWS_AT_ONCE = 1_000
# An engine that has never been begins so long before now.
HISTORY = timedelta(hours=2)
HISTORY_MOVEMENTS_MAX = 20_000
# What people say is committed so long after its time at the latest.
SAID_DELAY = timedelta(seconds=10)


class LeaseLostError(Exception):
    """Another gateway is the engine now."""


class Engine:
    """The engine of one merchant, while `run` runs and the lease is ours. `name` tells this gateway from all others."""

    def __init__(
        self,
        database: MerchantDatabase,
        name: str,
        tempo: Tempo = Tempo(),  # noqa: B008 - frozen, so one for all
        is_traced: Callable[[Iterable[str]], bool] = lambda _skus: False,
    ) -> None:
        """Know nothing yet. `is_traced`: somebody wants all about one of these SKUs traced."""
        self._database = database
        self._name = name
        self._tempo = tempo
        self._is_traced = is_traced
        self._woken = asyncio.Event()
        self._forget()

    def wake(self) -> None:
        """The journal has grown, or what we go by has changed."""
        self._woken.set()

    def pace_of(self, key: Key) -> Pace | None:
        """How fast a key sells, as it is known here and now; None if it is asleep, or another gateway is the engine."""
        entry = None if self._lookout is None else self._lookout.entries.get(key)
        return None if entry is None else entry.watched.pace

    async def run(self) -> None:
        """Watch until cancelled; then let another gateway be the engine at once."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_ANYWAY_SECONDS):
                        await self._woken.wait()
                self._woken.clear()
                try:
                    await self.look()
                except LeaseLostError:
                    log.info("another gateway watches the stock", extra={"merchant": self._database.merchant})
                    self._forget()
                except GatewayError as error:
                    log.warning(
                        "the alert engine pauses", extra={"merchant": self._database.merchant, "error": str(error)}
                    )
                    metrics.loop_pauses.add(1, {"loop": "engine"})
                    self._forget()
                await asyncio.sleep(GATHER_SECONDS)
        finally:
            try:
                with suppress(GatewayError, TimeoutError):
                    await self._leave()
            finally:
                # Whatever ended us: what was taken in and not told must be read again by whoever goes on.
                self._forget()

    async def look(self) -> None:
        """Look once at everything that is new or due, and tell what follows."""
        is_whole = False
        while not is_whole:
            lookout = await self._lease()
            if lookout is None:
                return
            is_whole = await self._look(lookout)

    async def _look(self, lookout: Lookout) -> bool:
        async with self._database.transaction() as connection:
            await take_snapshot(connection)
            now = await read_time(connection, self._database.now)
            batch, is_whole = await store.read_moved(connection, lookout.revision, MOVEMENTS_MAX, self._tempo)
            surroundings = await self._meet(connection, lookout, batch, now)
        self._askers.note(batch)
        seconds = self._tempo.seconds(now)
        told = await lookout.take(batch, surroundings, seconds)
        if is_whole:
            told += await lookout.tick(self._tick_until(now), surroundings, seconds)
            told += lookout.look_again(self._called, surroundings)
            self._called.clear()
        await self._tell(lookout, surroundings, told, now, is_whole=is_whole)
        return is_whole

    # ---- the lease

    def _forget(self) -> None:
        """Know nothing: what has happened since the last checkpoint is read again from the database."""
        self._lookout: Lookout | None = None
        self._surroundings: Surroundings | None = None
        self._settings_version = -1
        self._renewal = self._checkpoint = 0.0
        self._looked_for_duties = 0.0
        self._watchdog: datetime | None = None
        # SKUs that people have said something about, and up to when that was looked for.
        self._called: set[str] = set()
        self._heard: datetime | None = None
        self._askers = Askers(self._tempo)

    async def _lease(self) -> Lookout | None:
        """What we watch; None if another gateway is the engine."""
        if time.monotonic() < self._renewal:
            return self._lookout
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            place = await store.take_engine_lease(connection, self._name, now, LEASE_SECONDS)
            if place is None and self._lookout is not None:
                raise LeaseLostError
            if place is not None and self._lookout is None:
                self._lookout = await self._take_over(connection, place, now)
        self._renewal = time.monotonic() + RENEW_SECONDS
        return self._lookout

    async def _take_over(self, connection: ReadConnection, place: Place, now: datetime) -> Lookout:
        """Go on from where the engine before us has written down that it was."""
        revision, ticked = place.journal_revision, place.tick_time
        if revision < 0 or ticked is None:
            ticked = now - HISTORY
            revision = await store.first_movement_since(connection, ticked, HISTORY_MOVEMENTS_MAX)
        lookout = Lookout(revision, self._tempo.seconds(ticked), self._tempo)
        lookout.keep(await store.read_awake(connection))
        self._watchdog, self._heard = place.watchdog_time, ticked
        return lookout

    async def _leave(self) -> None:
        if self._lookout is not None:
            async with self._database.transaction() as connection:
                await store.leave_engine_lease(connection, self._name)

    # ---- reading

    async def _meet(
        self, connection: ReadConnection, lookout: Lookout, batch: Sequence[Moved], now: datetime
    ) -> Surroundings:
        """Know the keys of what moves, and what bears on all keys."""
        head = await read_alert_head(connection)
        skus = {movement.sku for movement in batch}
        entries = lookout.entries
        if is_new := head.settings_version != self._settings_version:
            assert self._heard is not None
            self._called |= await store.read_called(connection, self._heard - SAID_DELAY)
            self._heard = now
        if strangers := {sku for sku in skus | self._called if Key(sku) not in entries}:
            lookout.keep(await store.read_stands(connection, strangers))
        known = self._surroundings
        if known is None or is_new or self._tick_until(now) >= lookout.ticked + TICK_SECONDS:
            unmet = {*skus, *self._called, *(key.sku for key in entries)}
            self._surroundings = known = await read_surroundings(connection, unmet, now, known, self._tempo)
            self._settings_version = head.settings_version
            self._looked_for_duties = 0.0 if is_new else self._looked_for_duties
        else:
            unmet = strangers
            if unheard := {sku for sku in skus if not known.knows(sku)}:
                known.take_in(await read_surroundings(connection, unheard, now, known, self._tempo))
        new = [key for sku in unmet if known.knows(sku) for key in known.keys_of(sku) if key not in entries]
        if new:
            balances = await store.read_balances(connection, {key.sku for key in new}, lookout.revision)
            # The first movement is where a SKU's history begins, whenever it is read.
            first = {movement.sku: movement.time for movement in reversed(batch)}
            for key in new:
                units = {} if key.session_id else balances.get(key.sku, {})
                opened = known.begin_time(key)
                at = first.get(key.sku, self._tempo.seconds(now)) if opened is None else self._tempo.seconds(opened)
                lookout.begin(key, units, known, at)
        return known

    def _tick_until(self, now: datetime) -> float:
        return self._tempo.seconds(now - TICK_DELAY)

    # ---- telling

    async def _tell(
        self, lookout: Lookout, surroundings: Surroundings, told: Sequence[Told], now: datetime, *, is_whole: bool
    ) -> None:
        due = self._duties(lookout, surroundings, now, is_whole=is_whole)
        if is_whole and (self._watchdog is None or now - self._watchdog >= WATCHDOG):
            self._watchdog = now
            due.append(Duty(News(kind=EventKind.WATCHDOG, observe_time=now)))
        is_checkpoint = is_whole and time.monotonic() >= self._checkpoint
        if not told and not due and not is_checkpoint:
            return
        keys = dict.fromkeys([key for key, _ in told] + [duty.escalates for duty in due if duty.escalates])
        keys |= dict.fromkeys(Key(movement.sku) for movement in lookout.arrived)
        if is_checkpoint:
            keys |= dict.fromkeys(
                key
                for key, entry in lookout.entries.items()
                if not entry.is_saved or not lookout.is_awake(key, surroundings)
            )
        news = [news_of(lookout, surroundings, one) for one in told]
        with self._span(lookout, told, due, now):
            await self._save(lookout, surroundings, list(keys), news, due, is_checkpoint=is_checkpoint)
        lookout.arrived.clear()

    async def _save(
        self,
        lookout: Lookout,
        surroundings: Surroundings,
        keys: list[Key],
        news: list[News],
        due: Sequence[Duty],
        *,
        is_checkpoint: bool,
    ) -> None:
        """Write all of it in one transaction, if we are the engine still."""
        awake = {key for key in keys if lookout.is_awake(key, surroundings)}
        gone = [key for key in keys if not surroundings.is_current(key)]
        place = Place(lookout.revision, self._tempo.time(lookout.ticked), self._watchdog)
        async with self._database.transaction() as connection:
            appending = await begin_append(connection, self._database)
            for number, one in enumerate(news, start=appending.next_revision):
                lookout.entries[Key(one.sku, one.session_id)].event_revision = number
            if not await store.keep_place(connection, self._name, place, is_checkpoint=is_checkpoint):
                raise LeaseLostError
            for start in range(0, len(keys), ROWS_AT_ONCE):
                rows = [lookout.stand(key) for key in keys[start : start + ROWS_AT_ONCE]]
                if not await store.write_stands(connection, rows, awake):
                    raise LeaseLostError
            await store.remove_stands(connection, gone)
            done = [(duty, what) for duty in due if (what := await duty.done(connection)) is not None]
            is_setting = any(duty.write is not None for duty, _ in done)
            events = await appending.append([*news, *(what for _, what in done)], changes_settings=is_setting)
        self._measure(events)
        say(events)
        lookout.saved(keys)
        if is_checkpoint:
            # Rows are what others read: in a case that is played fast five seconds would be minutes.
            self._checkpoint = time.monotonic() + CHECKPOINT_SECONDS / max(1.0, self._tempo.speed / 10)
            for key in set(keys) - awake:
                del lookout.entries[key]

    def _measure(self, events: Sequence[Event]) -> None:
        """Count tier changes, and how long after the order they were told."""
        merchant = self._database.merchant
        for event in events:
            if isinstance(event.body, TierTold) and event.body.before is not event.body.after:
                is_up = event.body.after > event.body.before
                labels = {"tier": event.body.after.name, "direction": "up" if is_up else "down"}
                metrics.alert_transitions.add(1, {"merchant": merchant, **labels})
                told = {
                    "event": "stockgate.alert.transition",
                    "merchant": merchant,
                    "sku": event.sku,
                    "session_id": event.session_id,
                    "alert_revision": event.revision,
                    "tier_before": event.body.before.name,
                    "tier": event.body.after.name,
                }
                log.info("a tier has changed", extra=told)
                if is_up and event.observe_time is not None:
                    seconds = max(0.0, (event.record_time - event.observe_time).total_seconds())
                    metrics.alert_detect_latency.record(seconds, {"merchant": merchant})

    # ---- spans

    @contextmanager
    def _span(self, lookout: Lookout, told: Sequence[Told], due: Sequence[Duty], now: datetime) -> Iterator[None]:
        """The span of what is told now: of movements, and linked to those. Nothing is told of a mere sign of life."""
        skus = list(dict.fromkeys(key.sku for key, _ in told))
        if not skus and all(duty.news.kind is EventKind.WATCHDOG for duty in due):
            yield
            return
        attributes: dict[str, AttributeValue] = {
            "stockgate.merchant": self._database.merchant,
            "stockgate.ledger_revision": lookout.revision,
        }
        if len(skus) == 1:
            attributes["stockgate.sku"] = skus[0]
        elif skus:
            attributes["stockgate.skus"] = skus[:SKUS_TOLD_MAX]
        is_grave = any(max(change.before, change.after) >= Tier.URGENT for _, change in told)
        origin = self._askers.take(skus, self._tempo.seconds(now))
        keep = is_grave or self._is_traced(skus)
        with telemetry.doing("alert", origin=origin, attributes=attributes, keep=keep):
            yield

    def _duties(self, lookout: Lookout, surroundings: Surroundings, now: datetime, *, is_whole: bool) -> list[Duty]:
        # What has arrived is told with the rows that have seen it: nobody will look at it again.
        arrived = arrivals(lookout.arrived, surroundings, now)
        found = list(arrived.values())
        if not is_whole or self._looked_for_duties == lookout.ticked:
            return found
        self._looked_for_duties = lookout.ticked
        watched = {key: entry.watched for key, entry in lookout.entries.items()}
        found += duties(watched, surroundings, now, without=arrived.keys())
        for duty in found:
            if duty.escalates is not None:
                entry = lookout.entries[duty.escalates]
                entry.watched, entry.is_saved = replace(entry.watched, told=duty.rungs), False
        return found
