"""Reading and writing what people do about warnings.

The engine goes by all of it, so whoever changes something here has locked the alert log first (`begin_append`), and
says that the engine has to read anew.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    any_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, array
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.alerts import (
    Acknowledgement,
    AlertPolicy,
    EventKind,
    IncomingUnits,
    Runbook,
    Silence,
    SilenceMatcher,
)
from gateway.domain.attention import BUILT_IN_RUNBOOKS
from gateway.domain.tiers import Standing, Tier
from gateway.store.alert_tables import (
    acknowledgements,
    alert_events,
    alert_policies,
    demand_profiles,
    drills,
    incoming,
    runbooks,
    sessions,
    silences,
    standings,
)
from gateway.store.database import ReadConnection
from gateway.store.tables import CODE, listings

_decode_acknowledgement = msgspec.json.Decoder(Acknowledgement).decode
_decode_incoming = msgspec.json.Decoder(IncomingUnits).decode
_decode_policy = msgspec.json.Decoder(AlertPolicy).decode
_decode_runbook = msgspec.json.Decoder(Runbook).decode
_decode_silence = msgspec.json.Decoder(Silence).decode
_a, _i, _p, _s = acknowledgements.c, incoming.c, alert_policies.c, silences.c


class HeldAcknowledgement(Struct, frozen=True):
    """An acknowledgement that holds, and of what; `drill_id` 0: it is true."""

    sku: str
    session_id: int
    episode: int
    drill_id: int
    acknowledgement: Acknowledgement


class DeskState(Struct, frozen=True):
    """All that people have said and that still counts.

    `policies` by SKU, "" for all; `incoming` by arrival; a runbook for each tier above NORMAL; `silences` that were not
    ended, by number. `profile` is JSON, empty if there is none or it is the one that is known already.
    """

    policies: dict[str, AlertPolicy]
    runbooks: dict[Tier, Runbook]
    incoming: tuple[IncomingUnits, ...]
    acknowledgements: tuple[HeldAcknowledgement, ...]
    silences: tuple[Silence, ...]
    profile: str
    profile_time: datetime | None


class Places(Struct, frozen=True):
    """Where a SKU is sold: channels by code, open sessions by number."""

    channels: tuple[str, ...] = ()
    session_ids: tuple[int, ...] = ()


class DrillStand(Struct, frozen=True):
    """Where a SKU stands in a drill, as the log has told."""

    standing: Standing
    places: Places


async def read_desk(
    connection: ReadConnection, skus: Collection[str] | None, *, known_profile_time: datetime | None = None
) -> DeskState:
    """What counts for these SKUs; None: for all.

    A profile may be large: one stored at `known_profile_time` is not read again.
    """
    profile, profile_time = await read_profile(connection, known_time=known_profile_time)
    policies = select(_p.sku, _p.body).where(or_(_p.sku == "", _is_of(_p.sku, skus)))
    held = select(*_HELD).where(_a.end_time == null(), _is_of(_a.sku, skus)).order_by(_a.acknowledgement_id)
    coming = select(_i.body).where(_i.end_time == null(), _is_of(_i.sku, skus))
    not_ended = select(_s.body).where(_s.ended_time == null()).order_by(_s.silence_id)
    return DeskState(
        {row.sku: _decode_policy(row.body) for row in await connection.execute(policies)},
        await read_runbooks(connection),
        tuple(map(_decode_incoming, await connection.scalars(coming.order_by(_i.arrive_time, _i.incoming_id)))),
        tuple(_held(row) for row in await connection.execute(held)),
        tuple(map(_decode_silence, await connection.scalars(not_ended))),
        profile,
        profile_time,
    )


# ---- acknowledgements

_HELD = (_a.sku, _a.session_id, _a.episode, _a.drill_id, _a.body)


async def read_held(connection: ReadConnection, sku: str, session_id: int, drill_id: int) -> HeldAcknowledgement | None:
    """The acknowledgement of a key that holds, if there is one."""
    is_of_key = (_a.sku == sku) & (_a.session_id == session_id) & (_a.drill_id == drill_id)
    row = (await connection.execute(select(*_HELD).where(_a.end_time == null(), is_of_key))).one_or_none()
    return None if row is None else _held(row)


async def add_acknowledgement(connection: AsyncConnection, held: HeldAcknowledgement) -> None:
    """Store an acknowledgement; its key has none that holds."""
    row = {
        "acknowledgement_id": held.acknowledgement.acknowledgement_id,
        "sku": held.sku,
        "session_id": held.session_id,
        "episode": held.episode,
        "drill_id": held.drill_id,
        "body": msgspec.to_builtins(held.acknowledgement),
    }
    await connection.execute(insert(acknowledgements), [row])


async def end_acknowledgement(
    connection: AsyncConnection, acknowledgement_id: int, end_time: datetime, reason: str
) -> Acknowledgement | None:
    """End an acknowledgement and return it as it is now; None if it does not hold."""
    changes = {"end_time": end_time, "end_reason": reason}
    ended = (
        update(acknowledgements)
        .where(_a.acknowledgement_id == acknowledgement_id, _a.end_time == null())
        .values(end_time=end_time, body=_changed(_a.body, changes))
        .returning(_a.body)
    )
    body = (await connection.execute(ended)).scalar_one_or_none()
    return None if body is None else _decode_acknowledgement(body)


# ---- silences


async def add_silence(connection: AsyncConnection, silence: Silence) -> None:
    """Store a silence."""
    row = {
        "silence_id": silence.silence_id,
        "end_time": silence.end_time,
        "body": msgspec.to_builtins(silence),
    }
    await connection.execute(insert(silences), [row])


async def read_silence(connection: ReadConnection, silence_id: int) -> Silence | None:
    """The silence with this number, if there is one."""
    body = await connection.scalar(select(_s.body).where(_s.silence_id == silence_id))
    return None if body is None else _decode_silence(body)


async def end_silence(connection: AsyncConnection, silence_id: int, ended_time: datetime) -> Silence | None:
    """End a silence and return it as it is now; None if it was ended before."""
    ended = (
        update(silences)
        .where(_s.silence_id == silence_id, _s.ended_time == null())
        .values(ended_time=ended_time, body=_changed(_s.body, {"ended_time": ended_time}))
        .returning(_s.body)
    )
    body = (await connection.execute(ended)).scalar_one_or_none()
    return None if body is None else _decode_silence(body)


async def list_silences(
    connection: ReadConnection, *, now: ColumnElement[datetime], include_ended: bool, before: int, count_max: int
) -> list[Silence]:
    """Up to `count_max` silences with a number below `before`, newest first."""
    query = select(_s.body).where(_s.silence_id < before).order_by(_s.silence_id.desc()).limit(count_max)
    if not include_ended:
        query = query.where(_s.ended_time == null(), _s.end_time > now)
    return [_decode_silence(body) for body in await connection.scalars(query)]


async def count_silenced(connection: ReadConnection, matcher: SilenceMatcher, max_tier: Tier) -> int:
    """How many SKUs that are not NORMAL a silence is about, and does not let pierce it."""
    c = standings.c
    is_about = [c.tier > int(Tier.NORMAL), c.tier <= int(max_tier)]
    if matcher.skus:
        is_about.append(c.sku == _any(matcher.skus))
    if matcher.channels:
        sells = listings.c.channel == _any(matcher.channels)
        is_about.append(exists().where(sells, listings.c.skus.contains(array([c.sku]))))
    if matcher.session_ids:
        is_named = sessions.c.session_id.in_(matcher.session_ids)
        is_about.append(or_(c.session_id.in_(matcher.session_ids), exists().where(is_named, _sold_in(c.sku))))
    return int(await connection.scalar(select(func.count(c.sku.distinct())).where(*is_about)) or 0)


# ---- policies and runbooks


async def write_policy(connection: AsyncConnection, policy: AlertPolicy, now: datetime) -> None:
    """Store what to be warned of, instead of what was said before; what says nothing is forgotten."""
    if policy == AlertPolicy(policy.sku):
        await connection.execute(delete(alert_policies).where(_p.sku == policy.sku))
        return
    content = {"body": msgspec.to_builtins(policy), "update_time": now}
    statement = upsert(alert_policies).values(sku=policy.sku, **content)
    await connection.execute(statement.on_conflict_do_update(index_elements=["sku"], set_=content))


async def list_policies(
    connection: ReadConnection, *, prefix: str, after: str | None, count_max: int
) -> list[AlertPolicy]:
    """Up to `count_max` policies of codes that begin with `prefix` and come after `after`, by code; "" is the first."""
    query = select(_p.body).where(_p.sku.startswith(prefix, autoescape=True)).order_by(_p.sku).limit(count_max)
    if after is not None:
        query = query.where(_p.sku > after)
    return [_decode_policy(body) for body in await connection.scalars(query)]


async def write_runbook(connection: AsyncConnection, runbook: Runbook) -> None:
    """Store what to do in a tier, instead of what was laid down before."""
    content = {"body": msgspec.to_builtins(runbook)}
    statement = upsert(runbooks).values(tier=int(runbook.tier), **content)
    await connection.execute(statement.on_conflict_do_update(index_elements=["tier"], set_=content))


async def read_runbooks(connection: ReadConnection) -> dict[Tier, Runbook]:
    """What to do in each tier above NORMAL, the lowest first; built in where nobody has laid anything down."""
    laid_down = map(_decode_runbook, await connection.scalars(select(runbooks.c.body)))
    return BUILT_IN_RUNBOOKS | {runbook.tier: runbook for runbook in laid_down}


# ---- incoming units


async def add_incoming(connection: AsyncConnection, units: IncomingUnits) -> None:
    """Store units on their way."""
    row = {
        "incoming_id": units.incoming_id,
        "sku": units.sku,
        "arrive_time": units.arrive_time,
        "body": msgspec.to_builtins(units),
    }
    await connection.execute(insert(incoming), [row])


async def read_incoming(connection: ReadConnection, incoming_id: int) -> IncomingUnits | None:
    """Announced units, on their way or not, if there are any of this number."""
    body = await connection.scalar(select(_i.body).where(_i.incoming_id == incoming_id))
    return None if body is None else _decode_incoming(body)


async def end_incoming(
    connection: AsyncConnection, incoming_id: int, quantity_left: int, reason: str, end_time: datetime | None = None
) -> IncomingUnits | None:
    """End announced units and return them as they are now; without a reason only fewer are on their way from now on.

    None if they were not on their way. Without a time, they end now.
    """
    ended = (
        update(incoming)
        .where(_i.incoming_id == incoming_id, _i.end_time == null())
        .values(body=_changed(_i.body, {"quantity": quantity_left, "end_reason": reason}))
        .returning(_i.body)
    )
    if reason:
        ended = ended.values(end_time=end_time or func.clock_timestamp())
    body = (await connection.execute(ended)).scalar_one_or_none()
    return None if body is None else _decode_incoming(body)


async def list_incoming(
    connection: ReadConnection, *, sku: str, after: tuple[datetime, int] | None, count_max: int
) -> list[IncomingUnits]:
    """Up to `count_max` announced units on their way, by arrival and number, after (arrival, number)."""
    query = select(_i.body).where(_i.end_time == null()).order_by(_i.arrive_time, _i.incoming_id).limit(count_max)
    if sku:
        query = query.where(_i.sku == sku)
    if after is not None:
        query = query.where(tuple_(_i.arrive_time, _i.incoming_id) > tuple_(*after))
    return [_decode_incoming(body) for body in await connection.scalars(query)]


# ---- what history says


async def write_profile(connection: AsyncConnection, profile: str, now: datetime) -> None:
    """Store what history says, as JSON, instead of what it said before."""
    content = {"profile": profile, "update_time": now}
    statement = upsert(demand_profiles).values(content)
    await connection.execute(statement.on_conflict_do_update(index_elements=["singleton"], set_=content))


async def read_profile(
    connection: ReadConnection, *, known_time: datetime | None = None
) -> tuple[str, datetime | None]:
    """What history says, as JSON, and since when; empty if nothing, or if it is what was stored at `known_time`."""
    d = demand_profiles.c
    text = case((d.update_time == known_time, ""), else_=d.profile) if known_time is not None else d.profile
    row = (await connection.execute(select(text.label("profile"), d.update_time))).one_or_none()
    return ("", None) if row is None else (row.profile, row.update_time)


# ---- what it is about


async def read_places(connection: ReadConnection, sku: str) -> Places:
    """Where a SKU is sold."""
    sellers = select(listings.c.channel).distinct().where(listings.c.skus.contains([sku]))
    open_ones = select(sessions.c.session_id).where(sessions.c.close_time == null(), _sold_in(literal(sku)))
    return Places(
        tuple(await connection.scalars(sellers.order_by(listings.c.channel))),
        tuple(await connection.scalars(open_ones.order_by(sessions.c.session_id))),
    )


async def read_sessions(connection: ReadConnection, session_ids: Sequence[int]) -> dict[int, bool]:
    """Those of the numbers that are sessions, and whether they are open."""
    c = sessions.c
    rows = await connection.execute(select(c.session_id, c.close_time).where(c.session_id.in_(session_ids)))
    return {row.session_id: row.close_time is None for row in rows}


async def is_running_drill(connection: ReadConnection, drill_id: int) -> bool:
    """True if a drill with this number runs."""
    d = drills.c
    return bool(await connection.scalar(select(exists().where(d.drill_id == drill_id, d.state == "RUNNING"))))


async def read_drill_stand(connection: ReadConnection, drill_id: int, sku: str) -> DrillStand | None:
    """Where a SKU stands in a drill, by the last change of tier that was told; None if none was."""
    e = alert_events.c
    after = cast(e.body["after"].astext, standings.c.tier.type)
    told = select(e.episode, after.label("after"), e.channels, e.session_ids).where(
        e.sku == sku, e.drill_id == drill_id, e.kind == int(EventKind.TIER_CHANGE)
    )
    row = (await connection.execute(told.order_by(e.revision.desc()).limit(1))).one_or_none()
    if row is None:
        return None
    of_episode = (e.sku == sku, e.drill_id == drill_id, e.episode == row.episode)
    peak = await connection.scalar(select(func.max(e.tier)).where(*of_episode, e.kind == int(EventKind.TIER_CHANGE)))
    standing = Standing(Tier(row.after), episode=row.episode, peak=Tier(peak or row.after))
    return DrillStand(standing, Places(tuple(row.channels), tuple(row.session_ids)))


def _held(row: Any) -> HeldAcknowledgement:
    return HeldAcknowledgement(row.sku, row.session_id, row.episode, row.drill_id, _decode_acknowledgement(row.body))


def _sold_in(sku: ColumnElement[str]) -> ColumnElement[bool]:
    """True of a session that sells the SKU."""
    sold = func.jsonb_build_array(func.jsonb_build_object("sku", sku))
    return sessions.c.body["skus"].op("@>")(sold)


def _changed(body: ColumnElement[Any], changes: dict[str, Any]) -> ColumnElement[Any]:
    """The JSON of a row with other values for these names."""
    return body.op("||")(cast(msgspec.to_builtins(changes), JSONB))


def _is_of(code: ColumnElement[str], skus: Collection[str] | None) -> ColumnElement[bool]:
    return literal(value=True) if skus is None else code == _any(skus)


def _any(codes: Iterable[str]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return any_(literal(list(codes), ARRAY(CODE)))
