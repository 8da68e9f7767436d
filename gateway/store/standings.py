"""Reading and writing where keys stand, and what bears on them; the engine's place in the journal, and its lease."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, any_, column, delete, func, lateral, literal, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Key, Moved, Tempo, Watched
from gateway.store.alert_tables import alert_head, alert_policies, incoming, sessions, standings
from gateway.store.database import ReadConnection
from gateway.store.tables import CODE, channels, head, levels, listings, movements, skus

# The engine's ticks are written down every five seconds, a little late where the machine is busy.
WATCHED_WITHIN = timedelta(seconds=30)

_decode_watched = msgspec.json.Decoder(Watched).decode
_m = movements.c
_MOVED = (
    _m.revision,
    _m.record_time,
    _m.kind,
    _m.sku,
    _m.location,
    _m.quantity,
    _m.on_hand_change,
    _m.reserved_change,
    (_m.on_hand_after - _m.reserved_after - _m.safety_stock_after).label("balance"),
    _m.reservation_id,
    _m.channel,
    _m.traceparent,
)
_s = standings.c


class Stand(Struct, frozen=True):
    """A key's row: as of a movement and a moment; `event_revision` told of it last."""

    key: Key
    watched: Watched
    state_version: int
    event_revision: int
    journal_revision: int
    seen_time: datetime


class Place(Struct, frozen=True):
    """How far the engine has come: everything up to this movement and this tick is in the standings."""

    journal_revision: int
    tick_time: datetime | None
    watchdog_time: datetime | None


class ChannelLife(Struct, frozen=True):
    """When a channel's connector was heard last, and its watermark; None: never, or the channel is paused."""

    channel: str
    heartbeat_time: datetime | None
    watermark: datetime | None = None


class SkuFacts(Struct, frozen=True):
    """What the catalog says of a SKU, the channels that sell it, and the locations that serve those; None: all."""

    sku: str
    title: str
    lead_time_mean_days: float | None
    lead_time_deviation_days: float | None
    channels: tuple[str, ...]
    serving: frozenset[str] | None = None


# ---- the engine's place


async def take_engine_lease(
    connection: AsyncConnection, engine: str, now: datetime, lease_seconds: float
) -> Place | None:
    """Take or keep the lease of the engine; None if somebody else has it."""
    h = alert_head.c
    is_free = or_(h.engine == engine, h.engine_until.is_(None), h.engine_until < now)
    taken = (
        update(alert_head)
        .where(is_free)
        .values(engine=engine, engine_until=now + timedelta(seconds=lease_seconds))
        .returning(h.journal_revision, h.tick_time, h.watchdog_time)
    )
    row = (await connection.execute(taken)).one_or_none()
    return None if row is None else Place(*row)


async def keep_place(connection: AsyncConnection, engine: str, place: Place, *, is_checkpoint: bool) -> bool:
    """Write down how far the engine has come; False if it is not the engine any more. To be said in every append.

    Where all standings are written as of the place it is a checkpoint: from there one may go on.
    """
    content: dict[str, Any] = {"watchdog_time": place.watchdog_time}
    if is_checkpoint:
        content |= {"journal_revision": place.journal_revision, "tick_time": place.tick_time}
    kept = update(alert_head).where(alert_head.c.engine == engine).values(content)
    return (await connection.execute(kept)).rowcount > 0


def is_watched(tick_time: datetime | None, now: datetime) -> bool:
    """True if an engine goes on judging where keys stand; else their rows are old news."""
    return tick_time is not None and now - tick_time <= WATCHED_WITHIN


async def read_watched(connection: ReadConnection, now: datetime) -> bool:
    """The same, of the merchant."""
    return is_watched(await connection.scalar(select(alert_head.c.tick_time)), now)


async def leave_engine_lease(connection: AsyncConnection, engine: str) -> None:
    """Let another gateway be the engine at once."""
    left = update(alert_head).where(alert_head.c.engine == engine).values(engine="", engine_until=None)
    await connection.execute(left)


# ---- the journal


async def read_moved(connection: ReadConnection, after: int, count_max: int, tempo: Tempo) -> tuple[list[Moved], bool]:
    """Movements after a revision, in order, and whether those are all; what was recorded in one moment is whole.

    Up to `count_max` of them, and more if one moment has more.
    """
    while True:
        query = select(*_MOVED).where(_m.revision > after).order_by(_m.revision).limit(count_max + 1)
        rows = [_moved(row, tempo) for row in await connection.execute(query)]
        if len(rows) <= count_max:
            return rows, True
        last = rows[-1].time
        whole = [row for row in rows if row.time != last]
        if whole:
            return whole, False
        count_max *= 4


async def first_movement_since(connection: ReadConnection, time: datetime, count_max: int) -> int:
    """The revision before the first movement recorded since a time, and before at most `count_max` movements."""
    high = int(await connection.scalar(select(head.c.revision)) or 0)
    low = max(0, high - count_max)
    # Times rise with revisions, and only those have an index of their own.
    while low < high:
        middle = (low + high + 1) // 2
        at_it = await connection.scalar(select(_m.record_time).where(_m.revision == middle))
        if at_it is None or at_it < time:
            low = middle
        else:
            high = middle - 1
    return low


async def read_balances(connection: ReadConnection, codes: Iterable[str], revision: int) -> dict[str, dict[str, int]]:
    """What was available after a movement of the journal, by SKU and location."""
    at_it = (
        select((_m.on_hand_after - _m.reserved_after - _m.safety_stock_after).label("balance"))
        .where(_m.sku == levels.c.sku, _m.location == levels.c.location, _m.revision <= revision)
        .order_by(_m.record_time.desc(), _m.revision.desc())
        .limit(1)
    )
    then = lateral(at_it, name="then")
    query = (
        select(levels.c.sku, levels.c.location, then.c.balance)
        .select_from(levels.join(then, true()))
        .where(levels.c.sku == _any(codes))
    )
    found: dict[str, dict[str, int]] = {}
    for sku, location, balance in await connection.execute(query):
        found.setdefault(sku, {})[location] = balance
    return found


# ---- standings


async def read_stand(connection: ReadConnection, key: Key) -> Stand | None:
    """One key's row, if it was ever watched."""
    row = (await connection.execute(_stands().where(_s.sku == key.sku, _s.session_id == key.session_id))).one_or_none()
    return None if row is None else _stand(row)


async def read_standing(connection: ReadConnection, sku: str, session_id: int) -> Watched | None:
    """What is remembered of one key, if it was ever watched."""
    found = await read_stand(connection, Key(sku, session_id))
    return None if found is None else found.watched


async def read_stands(connection: ReadConnection, codes: Collection[str]) -> list[Stand]:
    """The rows of these SKUs' keys."""
    return [_stand(row) for row in await connection.execute(_stands().where(_s.sku == _any(codes)))]


async def stands_of(connection: ReadConnection, which: ColumnElement[bool]) -> list[Stand]:
    """The rows of which this holds."""
    return [_stand(row) for row in await connection.execute(_stands().where(which))]


async def read_awake(connection: ReadConnection) -> list[Stand]:
    """The rows of all keys that are awake."""
    return [_stand(row) for row in await connection.execute(_stands().where(_s.is_awake))]


async def read_called(connection: ReadConnection, since: datetime) -> set[str]:
    """The SKUs that people have said something about: open sessions, units on their way, policies set since a time."""
    sold = func.jsonb_array_elements(sessions.c.body["skus"]).table_valued(column("value", JSONB), name="sold")
    queries = (
        select(sold.c.value["sku"].astext)
        .select_from(sessions.join(sold, true()))
        .where(sessions.c.close_time.is_(None)),
        select(incoming.c.sku).where(incoming.c.end_time.is_(None)),
        select(alert_policies.c.sku).where(alert_policies.c.sku != "", alert_policies.c.update_time >= since),
    )
    return {sku for query in queries for sku in await connection.scalars(query)}


async def list_stands(
    connection: ReadConnection,
    *,
    min_tier: Tier,
    codes: Collection[str] | None,
    after: tuple[int, str, int] | None,
    count_max: int,
) -> list[Stand]:
    """Up to `count_max` rows, most pressing first, then by code and session, after (tier, code, session)."""
    query = _stands().where(_s.tier >= int(min_tier))
    if codes is not None:
        query = query.where(_s.sku == _any(codes))
    if after is not None:
        tier, sku, session_id = after
        query = query.where(
            or_(_s.tier < tier, (_s.tier == tier) & (tuple_(_s.sku, _s.session_id) > tuple_(sku, session_id)))
        )
    query = query.order_by(_s.tier.desc(), _s.sku, _s.session_id).limit(count_max)
    return [_stand(row) for row in await connection.execute(query)]


async def stands_after(
    connection: ReadConnection,
    after: Key | None,
    *,
    min_tier: Tier,
    codes: Collection[str] | None,
    count_max: int,
) -> list[Stand]:
    """Up to `count_max` rows by code and session, after a key; of these SKUs, or of all."""
    query = _stands().where(_s.tier >= int(min_tier)).order_by(_s.sku, _s.session_id).limit(count_max)
    if codes is not None:
        query = query.where(_s.sku == _any(codes))
    if after is not None:
        query = query.where(tuple_(_s.sku, _s.session_id) > tuple_(after.sku, after.session_id))
    return [_stand(row) for row in await connection.execute(query)]


async def write_stands(connection: AsyncConnection, stands: Sequence[Stand], awake: Collection[Key]) -> bool:
    """Write these rows, each of a version one above what is stored; False if some were changed by somebody else."""
    if not stands:
        return True
    rows = [
        {
            "sku": stand.key.sku,
            "session_id": stand.key.session_id,
            "state_version": stand.state_version,
            "tier": int(stand.watched.standing.tier),
            "is_awake": stand.key in awake,
            "event_revision": stand.event_revision,
            "journal_revision": stand.journal_revision,
            "seen_time": stand.seen_time,
            "content": msgspec.to_builtins(stand.watched),
        }
        for stand in stands
    ]
    given = upsert(standings).values(rows)
    changed = {name: given.excluded[name] for name in rows[0] if name not in {"sku", "session_id"}}
    is_next = _s.state_version == given.excluded.state_version - 1
    written = given.on_conflict_do_update(index_elements=["sku", "session_id"], set_=changed, where=is_next)
    return len((await connection.execute(written.returning(_s.sku))).all()) == len(rows)


async def remove_stands(connection: AsyncConnection, keys: Collection[Key]) -> None:
    """Remove the rows of keys that are no more: a session that is over has no units of its own."""
    if keys:
        await connection.execute(delete(standings).where(tuple_(_s.sku, _s.session_id).in_([tuple(k) for k in keys])))


# ---- what bears on keys


async def read_channel_lives(connection: ReadConnection) -> list[ChannelLife]:
    """When each channel that is not paused was heard last, and up to when its orders are in."""
    query = select(channels.c.channel, channels.c.heartbeat_time, channels.c.watermark, channels.c.paused)
    return [
        ChannelLife(row.channel, *((None, None) if row.paused else (row.heartbeat_time, row.watermark)))
        for row in await connection.execute(query)
    ]


async def read_facts(connection: ReadConnection, codes: Collection[str]) -> dict[str, SkuFacts]:
    """What the catalog says of these SKUs."""
    sellers: dict[str, set[str]] = {}
    query = select(listings.c.channel, listings.c.skus).where(listings.c.skus.overlap(_codes(codes)))
    for channel, sold in await connection.execute(query):
        for sku in sold:
            sellers.setdefault(sku, set()).add(channel)
    served = select(channels.c.channel, channels.c.locations).where(
        channels.c.channel == _any({channel for sold_by in sellers.values() for channel in sold_by})
    )
    places: dict[str, list[str]] = {row.channel: row.locations for row in await connection.execute(served)}
    columns = (skus.c.sku, skus.c.title, skus.c.lead_time_mean_days, skus.c.lead_time_deviation_days)
    rows = await connection.execute(select(*columns).where(skus.c.sku == _any(codes)))
    return {row.sku: SkuFacts(*row, *_sold_by(sellers.get(row.sku, set()), places)) for row in rows}


def _sold_by(sellers: set[str], places: dict[str, list[str]]) -> tuple[tuple[str, ...], frozenset[str] | None]:
    """The channels in order, and where they sell from; None: anywhere, for one names no place, or nobody sells it."""
    named = [places.get(channel, []) for channel in sellers]
    serving = frozenset(at for each in named for at in each) if named and all(named) else None
    return tuple(sorted(sellers)), serving


def _stands() -> Any:
    return select(
        _s.sku, _s.session_id, _s.state_version, _s.event_revision, _s.journal_revision, _s.seen_time, _s.content
    )


def _stand(row: Any) -> Stand:
    return Stand(
        Key(row.sku, row.session_id),
        _decode_watched(row.content),
        row.state_version,
        row.event_revision,
        row.journal_revision,
        row.seen_time,
    )


def _moved(row: Any, tempo: Tempo) -> Moved:
    revision, record_time, kind, *rest = row
    return Moved(revision, tempo.seconds(record_time), MovementKind(kind), *rest)


def _codes(codes: Iterable[str]) -> Any:
    return literal(sorted(codes), ARRAY(CODE))


def _any(codes: Iterable[str]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return any_(_codes(codes))
