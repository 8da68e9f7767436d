"""What channels and SKUs were like, kept so that a past number can be explained.

A channel's row is written when something that matters has changed (paused, who serves it, breaker, ban, what a person
is needed for, whether orders are late), at every beat during a ban, and every ten seconds while its connector beats.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, case, func, insert, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.policies import Policy
from gateway.store.database import ReadConnection
from gateway.store.operations_tables import channel_states, sku_states
from gateway.store.selling import ConnectorState
from gateway.store.shops import Channel
from gateway.store.tables import TIME, channels, policies, skus

# As far back a number can be explained; then states are removed (`retention.py`).
KEEP_STATES = timedelta(days=7)
KEEP_EVERY = timedelta(seconds=10)
# Orders that are in up to then only are late: that they begin to be so, and cease, is kept at once.
LATE = timedelta(seconds=15)
# A connector beats at least so often: what had changed by a moment is kept so soon after it.
BEAT_MAX = timedelta(seconds=5)
# How far back is looked for when something began.
SINCE_MAX = timedelta(days=1)
# By name in a row's body: a change of one of these is kept at once.
_MATTERS = ("paused", "follower", "connector_id", "breaker_open", "needs", "banned", "late")
_SINCE = (*_MATTERS, "watermark")
_NO_BAN = "0.000s"


class ChannelState(Struct, frozen=True):
    """A channel at `record_time`."""

    paused: bool = False
    pause_reason: str = ""
    follower: str | None = None
    watermark: datetime | None = None
    heartbeat_time: datetime | None = None
    connector: ConnectorState | None = None
    record_time: datetime | None = None


class SkuState(Struct, frozen=True):
    """How a SKU was divided (None: by the default), and whether it was frozen."""

    policy: Policy | None = None
    frozen: bool = False


_s = channel_states.c
_decode_channel = msgspec.json.Decoder(ChannelState).decode
_decode_connector = msgspec.json.Decoder(ConnectorState).decode
_decode_sku = msgspec.json.Decoder(SkuState).decode


async def keep_channel_state(connection: AsyncConnection, channel: str, now: datetime) -> None:
    """Keep what the channel is like, if that is news; in the transaction that has changed it."""
    c = channels.c
    ban = func.coalesce(c.connector["ban"].astext, _NO_BAN)
    body = func.jsonb_build_object(
        *("paused", c.paused, "pause_reason", c.pause_reason, "follower", c.follower),
        *("watermark", c.watermark, "heartbeat_time", c.heartbeat_time, "connector", c.connector),
        *("connector_id", func.coalesce(c.connector["connector_id"].astext, "")),
        *("late", case((c.watermark < now - LATE, "true"), else_="false")),
        *("breaker_open", func.coalesce(c.connector["breaker_open"].astext, "false")),
        *("needs", func.coalesce(c.connector["needs"].astext, "")),
        *("banned", case((ban == _NO_BAN, "false"), else_="true")),
        type_=JSONB,
    )
    newest = (
        select(_s.body, _s.record_time).where(_s.channel == channel).order_by(_s.record_time.desc()).limit(1).subquery()
    )
    now_there = select(c.channel, literal(now, TIME).label("record_time"), body.label("body")).where(
        c.channel == channel
    )
    new = now_there.subquery()
    changed = [newest.c.body[name].astext.is_distinct_from(new.c.body[name].astext) for name in _MATTERS]
    # A ban is told by what is left of it: its end would be missed between two rows.
    is_banned = new.c.body["banned"].astext == "true"
    is_news = or_(newest.c.body.is_(None), newest.c.record_time <= now - KEEP_EVERY, is_banned, *changed)
    source = select(new.c.channel, new.c.record_time, new.c.body).select_from(new.outerjoin(newest, literal(True)))
    statement = insert(channel_states).from_select(["channel", "record_time", "body"], source.where(is_news))
    await connection.execute(statement)


async def read_channel_state(connection: ReadConnection, channel: str, at: datetime) -> ChannelState | None:
    """What the channel was like then, as it was kept last; None if nothing was."""
    query = select(_s.record_time, _s.body).where(_s.channel == channel, _s.record_time <= at)
    row = (await connection.execute(query.order_by(_s.record_time.desc()).limit(1))).one_or_none()
    if row is None:
        return None
    return replace(_decode_channel(row.body), record_time=row.record_time)


def connector_of(channel: Channel) -> ConnectorState | None:
    """What the channel's connector last said of itself; None if none was ever heard."""
    return _decode_connector(channel.connector) if channel.connector else None


async def has_moved(connection: ReadConnection, channel: str, at: datetime, watermark: datetime | None) -> bool:
    """True if what was kept next says another watermark: it may have moved before `at`, and not been kept yet."""
    query = select(_s.body).where(_s.channel == channel, _s.record_time > at, _s.record_time <= at + BEAT_MAX)
    body = await connection.scalar(query.order_by(_s.record_time).limit(1))
    return body is not None and _decode_channel(body).watermark != watermark


async def read_since(connection: ReadConnection, channel: str, at: datetime) -> dict[str, datetime]:
    """Since when each of the things that matter, and the watermark, had been as it was then; what is kept tells it."""
    # Each row's JSON is looked into once.
    recent = (
        select(_s.record_time, *(_s.body[name].astext.label(name) for name in _SINCE))
        .where(_s.channel == channel, _s.record_time <= at, _s.record_time > at - SINCE_MAX)
        .cte("recent")
    )
    last = select(*(recent.c[name] for name in _SINCE)).order_by(recent.c.record_time.desc()).limit(1).cte("last")
    found: list[ColumnElement[Any]] = []
    for name in _SINCE:
        is_other = recent.c[name].is_distinct_from(last.c[name])
        other = select(func.max(recent.c.record_time)).select_from(recent.join(last, is_other)).scalar_subquery()
        is_since = or_(other.is_(None), recent.c.record_time > other)
        found.append(select(func.min(recent.c.record_time)).where(is_since).scalar_subquery().label(name))
    row = (await connection.execute(select(*found))).mappings().one()
    return {name: when for name, when in row.items() if when is not None}


async def keep_sku_state(connection: AsyncConnection, sku: str, now: ColumnElement[datetime] | datetime) -> None:
    """Keep how the SKU is divided and whether it is frozen; in the transaction that has changed it."""
    body = func.jsonb_build_object("policy", policies.c.policy, "frozen", skus.c.frozen, type_=JSONB)
    both = skus.outerjoin(policies, policies.c.sku == skus.c.sku)
    when = literal(now, TIME) if isinstance(now, datetime) else now
    source = select(skus.c.sku, when, body).select_from(both).where(skus.c.sku == sku)
    await connection.execute(insert(sku_states).from_select(["sku", "record_time", "body"], source))


async def read_sku_states(connection: ReadConnection, codes: list[str], at: datetime) -> Mapping[str, SkuState]:
    """What is kept of these SKUs as they were then."""
    c = sku_states.c
    query = (
        select(c.sku, c.body)
        .ext(distinct_on(c.sku))
        .where(c.sku.in_(codes), c.record_time <= at)
        .order_by(c.sku, c.record_time.desc())
    )
    return {sku: _decode_sku(body) for sku, body in await connection.execute(query)}
