"""How a merchant keeps up: its channels with the ledger, its readers with the alert log, its loops with the journal.

The same answers for people (`ListChannelHealth`, `ListStreams`) and machines (the gauges of `metrics.py`). What only
the database knows is read every few seconds for the gauges, and anew for people.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct
from opentelemetry.util.types import AttributeValue

from gateway import metrics, telemetry
from gateway.alerts.endings import Ending
from gateway.alerts.hub import AlertHub
from gateway.alerts.lagging import COALESCED
from gateway.alerts.subscriber import State, Subscriber
from gateway.domain.calibration import brier
from gateway.domain.errors import GatewayError
from gateway.domain.selling import Drift
from gateway.domain.stock import ShortfallCause
from gateway.metrics import Reading
from gateway.store import health as store
from gateway.store import shops as shops_store
from gateway.store.alert_log import read_alert_head
from gateway.store.database import MerchantDatabase, ReadConnection, read_time
from gateway.store.health import Backlog, ChannelBacklog, Lag, Pace
from gateway.store.shops import Channel
from gateway.store.subscribers import Cursor, list_cursors
from gateway.tallies import Tallies

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
# What changes slowly and costs a walk through a table.
SLOW_LOOK_SECONDS = 60.0
# What was read is not what is, if nothing could be read for so many looks.
LOOKS_MISSED_MAX = 2
# A push that took longer, counted from the movement, is told of, traced or not. An alarm goes off from the same on.
SLOW_SYNC_SECONDS = 3.0
RECENT = timedelta(minutes=10)
DRIFTS_SINCE = timedelta(hours=24)
CALIBRATED_SINCE = timedelta(hours=24)
# Who has reported so lately, and has no stream here, has one at another gateway.
ELSEWHERE = timedelta(seconds=60)
BREACHES = ("ON_HAND", "RESERVED", "CHAIN", "REVISION", "EXPOSED")
# These grow while nobody hears anything.
_AGES = frozenset({metrics.NOTES_AGE, metrics.CONNECTOR_AGE, metrics.WATERMARK_AGE})
SYNCED, LAGGING, COALESCING, SILENT, GONE = "SYNCED", "LAGGING", "COALESCING", "SILENT", "GONE"


class ChannelHealth(Struct, frozen=True):
    """How one channel keeps up. Lags in seconds, of the last ten minutes; drifts of the last 24 hours."""

    channel: Channel
    lag_p50: float | None
    lag_p99: float | None
    pushes: int
    pushes_open: int
    oldest_push_time: datetime | None
    parked: int
    drifts: int
    last_drift: Drift | None
    attempts_failed: int


class StreamHealth(Struct, frozen=True):
    """One reader of the alert log; `open_time` None: without a stream at this gateway."""

    subscriber_id: str
    state: str
    open_time: datetime | None = None
    sent_revision: int = 0
    cursor_revision: int = 0
    waiting: int = 0
    report_time: datetime | None = None
    coalesced: int = 0


class Streams(NamedTuple):
    """Who reads, up to where the log goes, and how streams have ended here."""

    streams: list[StreamHealth]
    revision: int
    closed: list[Ending]


class Open(NamedTuple):
    """How many other streams are open at this gateway: of levels, of what connectors are to do."""

    levels: Callable[[], int]
    allocations: Callable[[], int]


class Health:
    """One merchant's, at this gateway; gauges are kept up while `run` runs."""

    def __init__(
        self,
        database: MerchantDatabase,
        tallies: Tallies,
        hub: AlertHub,
        allocator_revision: Callable[[], int],
        streams: Open,
    ) -> None:
        """`allocator_revision`: up to which movement the allocator has looked."""
        self._database = database
        self._merchant = database.merchant
        self._tallies = tallies
        self._hub = hub
        self._allocator_revision = allocator_revision
        self._streams = streams
        self._quick: list[Reading] = []
        self._slow: list[Reading] = []
        self._slow_due = 0.0
        self._looked = time.monotonic()
        self._begun: set[str] = set()

    # ---- for people

    async def channels(self) -> tuple[list[ChannelHealth], datetime]:
        """Every channel, by code, and when it was so."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            channels = await shops_store.list_channels(connection, after="", count_max=store.CHANNELS_MAX)
            backlogs = {one.channel: one for one in await store.read_channels(connection)}
            paces = await store.read_paces(connection, now - RECENT)
            drifts = await store.read_drifts(connection, now - DRIFTS_SINCE)
            failed = await store.count_failed_attempts(connection, now - RECENT)
            parked = await store.count_parked(connection)
        found = []
        for channel in channels:
            code = channel.channel
            pace, backlog = paces.get(code, Pace(None, None, 0)), backlogs[code]
            count, last = drifts.get(code, (0, None))
            waits = backlog.pushes, backlog.oldest_push_time, parked.get(code, 0)
            found.append(
                ChannelHealth(
                    channel, pace.lag_p50, pace.lag_p99, pace.pushes, *waits, count, last, failed.get(code, 0)
                )
            )
        return found, now

    async def streams(self) -> Streams:
        """Those connected here, and those that have reported anywhere, by name; who has none comes last."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            head = await read_alert_head(connection)
            cursors = {one.subscriber_id: one for one in await list_cursors(connection)}
        named = self._hub.open_streams()
        found = [
            self._connected(one, cursors.get(name), head.revision, now)
            for name, open_ in named.items()
            for one in open_
        ]
        found += [_apart(one, head.revision, now) for one in cursors.values() if one.subscriber_id not in named]
        found.sort(key=lambda one: (not one.subscriber_id, one.subscriber_id, one.open_time or now))
        return Streams(found, head.revision, self._hub.endings.listed())

    def _connected(self, one: Subscriber, cursor: Cursor | None, head: int, now: datetime) -> StreamHealth:
        state = SYNCED if one.state is State.SYNCED else LAGGING
        if one.name and self._hub.lagging.troubles.get(one.name) == COALESCED:
            state = COALESCING
        return StreamHealth(
            one.name,
            state,
            now - timedelta(seconds=time.monotonic() - one.opened),
            one.told,
            0 if cursor is None else cursor.revision,
            one.waiting(head),
            None if cursor is None else cursor.report_time,
            one.coalesced,
        )

    # ---- for machines

    async def run(self) -> None:
        """Keep the gauges up until cancelled."""
        end = metrics.observe(self.readings)
        try:
            while True:
                try:
                    await self.look()
                except GatewayError as error:
                    log.warning("the gauges pause", extra={"merchant": self._merchant, "error": str(error)})
                    metrics.loop_pauses.add(1, {"loop": "gauges"})
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            end()

    def readings(self) -> Sequence[Reading]:
        """The gauges as they were read last; ages go on growing where nothing can be read, as if nothing was heard.

        Whoever asks may do so from another thread.
        """
        found = [*self._quick, *self._slow]
        overdue = time.monotonic() - self._looked - LOOKS_MISSED_MAX * LOOK_SECONDS
        if overdue <= 0:
            return found
        # What waits for nothing is 0 seconds old, for all we know.
        return [
            one._replace(value=one.value + overdue) if one.gauge in _AGES and one.value > 0 else one for one in found
        ]

    async def look(self) -> None:
        """Read what waits, and count the lags of what was confirmed."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            revision = self._allocator_revision()
            backlog = await store.read_backlog(connection, revision)
            channels = await store.read_channels(connection)
            await self._measure_lags(connection)
            if time.monotonic() >= self._slow_due:
                self._slow = await self._look_slowly(connection, channels, now)
                self._slow_due = time.monotonic() + SLOW_LOOK_SECONDS
        self._begin(channels)
        of_channels = [reading for channel in channels for reading in self._of_channel(channel, now)]
        self._quick = [*self._of_loops(backlog, revision, now), *of_channels, *self._of_streams()]
        self._looked = time.monotonic()

    async def _measure_lags(self, connection: ReadConnection) -> None:
        confirmed = self._tallies.take_confirmed()
        try:
            lags = await store.read_lags(connection, confirmed) if confirmed else []
        # However it ends, nothing else would bring them back.
        except BaseException:
            self._tallies.put_back(confirmed)
            raise
        for lag in lags:
            labels = {"merchant": self._merchant, "channel": lag.channel}
            metrics.sync_lag.record(lag.seconds, labels, metrics.within(self._tell(lag)))

    def _tell(self, lag: Lag) -> str | None:
        """A span from the ledger to the platform's word, of a push that is traced or took too long.

        Returns the name (W3C) of the span that shows best what was slow: this one, else that of the push.
        """
        is_slow = lag.seconds > SLOW_SYNC_SECONDS
        traced = [one for one in (lag.origin_traceparent, lag.traceparent) if one]
        if not telemetry.sampling.is_on or not (is_slow or any(map(telemetry.is_sampled, traced))):
            return lag.traceparent
        told: dict[str, AttributeValue] = {
            "stockgate.merchant": self._merchant,
            "stockgate.channel": lag.channel,
            "stockgate.listing": lag.listing_id,
            "stockgate.push_id": lag.push_id,
            "stockgate.ledger_revision": lag.origin_revision or 0,
            "stockgate.sync.lag_seconds": lag.seconds,
        }
        told |= {"stockgate.sku": lag.skus[0]} if len(lag.skus) == 1 else {"stockgate.skus": lag.skus}
        begin_ns, end_ns = (int(at.timestamp() * 1e9) for at in (lag.origin_time, lag.settle_time))
        origin = telemetry.origin_of(traced, is_fresh=False)
        if is_slow:
            span = telemetry.record("sync", begin_ns, why="slow", origin=origin, attributes=told)
        else:
            span = telemetry.begin("sync", origin=origin, attributes=told, start_ns=begin_ns)
        span.end(end_ns)
        return telemetry.traceparent_of(span)

    async def _look_slowly(
        self, connection: ReadConnection, channels: Sequence[ChannelBacklog], now: datetime
    ) -> list[Reading]:
        parked = await store.count_parked(connection)
        scores = brier(await store.read_warned(connection, now - CALIBRATED_SINCE), now)
        found = [self._reading(metrics.PARKED, parked.get(one.channel, 0), channel=one.channel) for one in channels]
        return found + [self._reading(metrics.BRIER, score, tier=tier.name) for tier, score in scores.items()]

    def _of_loops(self, backlog: Backlog, allocator_revision: int, now: datetime) -> Iterator[Reading]:
        waits = {
            "allocator": (backlog.revision - max(allocator_revision, 0), _age(backlog.unseen_time, now)),
            "engine": (backlog.revision - max(backlog.engine_revision, 0), _age(backlog.engine_time, now)),
            "notices": (backlog.notices, _age(backlog.oldest_notice_time, now)),
        }
        for consumer, (depth, age) in waits.items():
            yield self._reading(metrics.NOTES_DEPTH, max(0, depth), consumer=consumer, channel="")
            yield self._reading(metrics.NOTES_AGE, age, consumer=consumer, channel="")

    def _of_channel(self, one: ChannelBacklog, now: datetime) -> Iterator[Reading]:
        code = one.channel
        yield self._reading(metrics.NOTES_DEPTH, one.pushes, consumer="pushes", channel=code)
        yield self._reading(metrics.NOTES_AGE, _age(one.oldest_push_time, now), consumer="pushes", channel=code)
        yield self._reading(metrics.PAUSED, one.paused, channel=code)
        if one.heartbeat_time is not None:
            yield self._reading(metrics.CONNECTOR_AGE, _age(one.heartbeat_time, now), channel=code)
        if one.watermark is not None:
            yield self._reading(metrics.WATERMARK_AGE, _age(one.watermark, now), channel=code)
        if one.connector is not None:
            yield self._reading(metrics.BREAKER, one.connector.breaker_open, channel=code)

    def _of_streams(self) -> Iterator[Reading]:
        alerts = self._hub.open_streams()
        lagging = sum(one.state is State.BEHIND for several in alerts.values() for one in several)
        yield self._reading(metrics.STREAMS, self._hub.streams(), method="WatchTierChanges")
        yield self._reading(metrics.STREAMS, self._streams.levels(), method="WatchStockLevels")
        yield self._reading(metrics.STREAMS, self._streams.allocations(), method="WatchAllocations")
        yield self._reading(metrics.LAGGING, lagging, method="WatchTierChanges")

    def _reading(self, gauge: str, value: float, **labels: str) -> Reading:
        return Reading(gauge, float(value), {"merchant": self._merchant, **labels})

    def _begin(self, channels: Sequence[ChannelBacklog]) -> None:
        """Say 0 of what must stay 0: a counter that appears with its first fault hides that fault from `increase`."""
        merchant = {"merchant": self._merchant}
        if not self._begun:
            for rule in BREACHES:
                metrics.invariant_breaches.add(0, {**merchant, "rule": rule})
        for channel in {"", *(one.channel for one in channels)} - self._begun:
            for cause in ShortfallCause:
                metrics.shortfall_units.add(0, {**merchant, "channel": channel, "cause": cause.name})
            metrics.brakes.add(0, {**merchant, "channel": channel})
            self._begun.add(channel)


def _apart(cursor: Cursor, head: int, now: datetime) -> StreamHealth:
    """A reader without a stream here."""
    behind = max(0, head - cursor.revision)
    state = GONE
    if cursor.told_silent:
        state = SILENT
    elif now - cursor.report_time < ELSEWHERE:
        state = LAGGING if behind else SYNCED
    return StreamHealth(
        cursor.subscriber_id,
        state,
        cursor_revision=cursor.revision,
        waiting=behind,
        report_time=cursor.report_time,
    )


def _age(then: datetime | None, now: datetime) -> float:
    return 0.0 if then is None else max(0.0, (now - then).total_seconds())
