"""How far behind everything is, as the rows have it: what waits, since when; how fast channels have been confirmed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Select, any_, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.types import BigInteger

from gateway.domain.alerts import EventKind, TierTold
from gateway.domain.attempts import AttemptOutcome
from gateway.domain.calibration import Warned
from gateway.domain.listings import ListingState, PushResult
from gateway.domain.selling import Drift
from gateway.domain.tiers import Tier
from gateway.store.alert_tables import alert_events, alert_head, notices
from gateway.store.database import ReadConnection
from gateway.store.operations_tables import attempts
from gateway.store.selling import ConnectorState
from gateway.store.tables import channels, drifts, head, listings, movements, pushes

# What is said of the last minutes is looked for among so many of the newest rows.
PUSHES_LOOKED_AT = 20_000
DRIFTS_LOOKED_AT = 10_000
WARNINGS_LOOKED_AT = 2_000
CHANNELS_MAX = 1_000
_FINE = (int(AttemptOutcome.APPLIED),)
_PARKED = ListingState.__struct_fields__.index("parked_reason")
_decode_connector = msgspec.json.Decoder(ConnectorState, strict=False).decode
_decode_told = msgspec.json.Decoder(TierTold).decode
_e = alert_events.c
_p = pushes.c


class ChannelBacklog(Struct, frozen=True):
    """What waits for one channel; `connector` is what it last said of itself, None if it never has."""

    channel: str
    paused: bool
    watermark: datetime | None
    heartbeat_time: datetime | None
    connector: ConnectorState | None
    pushes: int
    oldest_push_time: datetime | None


class Backlog(Struct, frozen=True):
    """What waits: movements of which the engine and the allocator have not heard, notices nobody has sent."""

    revision: int
    engine_revision: int
    engine_time: datetime | None
    unseen_time: datetime | None
    notices: int
    oldest_notice_time: datetime | None


class Lag(Struct, frozen=True):
    """A confirmed push, the oldest movement it answers, and the spans (W3C) of both, as far as they had one.

    `origin_revision` is that of the newest.
    """

    channel: str
    origin_time: datetime
    settle_time: datetime
    push_id: int
    listing_id: int
    skus: tuple[str, ...]
    origin_revision: int | None
    traceparent: str | None
    origin_traceparent: str | None

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, (self.settle_time - self.origin_time).total_seconds())


class Pace(Struct, frozen=True):
    """How a channel was confirmed lately; lags in seconds, None if nothing was."""

    lag_p50: float | None
    lag_p99: float | None
    pushes: int


async def read_backlog(connection: ReadConnection, allocator_revision: int) -> Backlog:
    """Where everybody stands in the journal and in the alert log."""
    first_unseen = select(movements.c.record_time).where(movements.c.revision == allocator_revision + 1)
    h = alert_head.c
    unseen = first_unseen.scalar_subquery().label("unseen_time")
    query = select(head.c.revision, h.journal_revision, h.tick_time, unseen).select_from(head.join(alert_head, true()))
    row = (await connection.execute(query)).one()
    waiting = select(func.count(), func.min(_e.record_time)).select_from(
        notices.outerjoin(alert_events, _e.revision == notices.c.revision)
    )
    count, oldest = (await connection.execute(waiting.where(notices.c.sent_time.is_(None)))).one()
    return Backlog(row.revision, row.journal_revision, row.tick_time, row.unseen_time, count, oldest)


async def read_channels(connection: ReadConnection) -> list[ChannelBacklog]:
    """Every channel, by code, and what is under way to it."""
    under_way = (
        select(listings.c.channel, func.count().label("pushes"), func.min(_p.create_time).label("oldest"))
        .join(listings, listings.c.listing_id == _p.listing_id)
        .where(_p.settle_time.is_(None))
        .group_by(listings.c.channel)
        .subquery()
    )
    c = channels.c
    query = (
        select(c.channel, c.paused, c.watermark, c.heartbeat_time, c.connector, under_way.c.pushes, under_way.c.oldest)
        .outerjoin(under_way, under_way.c.channel == c.channel)
        .order_by(c.channel)
        .limit(CHANNELS_MAX)
    )
    return [
        ChannelBacklog(
            row.channel,
            row.paused,
            row.watermark,
            row.heartbeat_time,
            _decode_connector(row.connector) if row.connector else None,
            row.pushes or 0,
            row.oldest,
        )
        for row in await connection.execute(query)
    ]


async def count_parked(connection: ReadConnection) -> dict[str, int]:
    """Listings that wait for a person, by channel."""
    is_parked = func.coalesce(listings.c.state[_PARKED].astext, "") != ""
    query = select(listings.c.channel, func.count()).where(is_parked).group_by(listings.c.channel)
    return {row[0]: row[1] for row in await connection.execute(query)}


async def read_lags(connection: ReadConnection, push_ids: Sequence[int]) -> list[Lag]:
    """Those of these pushes that answered a movement."""
    query = (
        select(
            listings.c.channel,
            _p.origin_time,
            _p.settle_time,
            _p.push_id,
            _p.listing_id,
            listings.c.skus,
            _p.origin_revision,
            _p.traceparent,
            movements.c.traceparent,
        )
        .join(listings, listings.c.listing_id == _p.listing_id)
        .outerjoin(movements, movements.c.revision == _p.origin_revision)
        .where(_p.push_id == any_(literal(list(push_ids), ARRAY(BigInteger))))
        .where(_p.origin_time.is_not(None), _p.settle_time.is_not(None))
    )
    return [Lag(*row[:5], tuple(row[5]), *row[6:]) for row in await connection.execute(query)]


async def read_paces(connection: ReadConnection, since: datetime) -> dict[str, Pace]:
    """How each channel was confirmed since a time, among the newest pushes."""
    newest = _newest(pushes, _p.push_id, PUSHES_LOOKED_AT).subquery()
    n = newest.c
    lag = func.extract("epoch", n.settle_time - n.origin_time)
    is_confirmed = (n.result == int(PushResult.APPLIED)) | ((n.result == int(PushResult.READ_BACK)) & (n.applied > 0))
    query = (
        select(
            listings.c.channel,
            func.percentile_cont(0.5).within_group(lag),
            func.percentile_cont(0.99).within_group(lag),
            func.count(),
        )
        .join(listings, listings.c.listing_id == n.listing_id)
        .where(n.settle_time >= since, is_confirmed)
        .group_by(listings.c.channel)
    )
    return {row[0]: Pace(_seconds(row[1]), _seconds(row[2]), row[3]) for row in await connection.execute(query)}


async def count_failed_attempts(connection: ReadConnection, since: datetime) -> dict[str, int]:
    """Calls to platforms that went wrong since a time, by channel."""
    a = attempts.c
    query = select(a.channel, func.count()).where(a.record_time >= since, a.outcome.not_in(_FINE)).group_by(a.channel)
    return {row[0]: row[1] for row in await connection.execute(query)}


async def read_drifts(connection: ReadConnection, since: datetime) -> dict[str, tuple[int, Drift]]:
    """By channel: how often it drifted since a time, and the last time."""
    names = Drift.__struct_fields__
    newest = _newest(drifts, drifts.c.drift_id, DRIFTS_LOOKED_AT).subquery()
    count = func.count().filter(newest.c.judge_time >= since).over(partition_by=newest.c.channel).label("drift_count")
    query = (
        select(count, *(newest.c[name] for name in names))
        .ext(distinct_on(newest.c.channel))
        .order_by(newest.c.channel, newest.c.drift_id.desc())
    )
    return {row.channel: (row.drift_count, Drift(*row[1:])) for row in await connection.execute(query)}


async def read_warned(connection: ReadConnection, since: datetime) -> list[Warned]:
    """Tier changes of the whole stock and of rooms since a time, among the newest; none of drills."""
    query = (
        select(_e.sku, _e.session_id, _e.record_time, _e.body)
        .where(_e.record_time >= since, _e.kind == int(EventKind.TIER_CHANGE), _e.drill_id == 0)
        .order_by(_e.revision.desc())
        .limit(WARNINGS_LOOKED_AT)
    )
    return [_warned(row) for row in await connection.execute(query)]


def _warned(row: Any) -> Warned:
    told = _decode_told(row.body)
    # Who comes down a tier has warned when he went up.
    tier = told.after if told.after > told.before else Tier.NORMAL
    return Warned((row.sku, row.session_id), row.record_time, tier, told.evidence.chance, told.evidence.lead_seconds)


def _newest(table: Any, number: Any, count_max: int) -> Select[Any]:
    return select(table).order_by(number.desc()).limit(count_max)


def _seconds(found: Any) -> float | None:
    return None if found is None else float(found)
