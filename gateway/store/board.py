"""What the board shows, read for many SKUs at once."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import any_, cast, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT

from gateway.domain.alerts import Proposal, ProposalState
from gateway.domain.board import ChannelNow
from gateway.domain.listings import Listing
from gateway.domain.stock import Level, MovementKind
from gateway.domain.vigil import Key, Tempo
from gateway.store.alert_log import read_alert_head
from gateway.store.alert_tables import alert_head, drills, proposals, standings
from gateway.store.database import MerchantDatabase, ReadConnection, read_time
from gateway.store.proposals import decode_kept
from gateway.store.selling import HEARTBEAT_SECONDS_MAX
from gateway.store.shops import LISTING, listing_of
from gateway.store.standings import Stand, stands_of
from gateway.store.tables import CODE, channels, head, levels, listings, movements, shortfalls, skus

_LEVEL = tuple(levels.c[name] for name in Level.__struct_fields__)
_s, _m = standings.c, movements.c
_MINUTE_SECONDS = 60


class Heads(Struct, frozen=True):
    """How far everything has come. `is_watched`: an engine has the lease of warnings, and keeps it up."""

    now: datetime
    revision: int
    version: int
    alert_revision: int
    epoch: str
    settings_version: int
    is_watched: bool


class Mark(Struct, frozen=True):
    """A key's row, and which version of it there is."""

    key: Key
    state_version: int


class Pending(Struct, frozen=True):
    """What waits for somebody, beside warnings: open shortfalls; the drill that runs, 0 if none does."""

    shortfalls: int
    drill_id: int
    drill_name: str


async def read_heads(connection: ReadConnection, database: MerchantDatabase) -> Heads:
    """How far the journal, the listings and the alert log have come."""
    now = await read_time(connection, database.now)
    ledger = (await connection.execute(select(head.c.revision, head.c.version))).one()
    alerts = await read_alert_head(connection)
    engine_until = await connection.scalar(select(alert_head.c.engine_until))
    is_watched = engine_until is not None and engine_until > now
    return Heads(
        now,
        ledger.revision,
        ledger.version,
        alerts.revision,
        alerts.epoch,
        alerts.settings_version,
        is_watched,
    )


async def list_marks(connection: ReadConnection, count_max: int) -> list[Mark]:
    """Up to `count_max` keys: by tier, those that are awake first, then by code."""
    order = (_s.tier.desc(), _s.is_awake.desc(), _s.sku, _s.session_id)
    query = select(_s.sku, _s.session_id, _s.state_version).order_by(*order).limit(count_max)
    return [Mark(Key(row.sku, row.session_id), row.state_version) for row in await connection.execute(query)]


async def read_marked(connection: ReadConnection, keys: Collection[Key]) -> list[Stand]:
    """The rows of these keys."""
    return await stands_of(connection, tuple_(_s.sku, _s.session_id).in_([tuple(key) for key in keys])) if keys else []


async def read_levels_of(connection: ReadConnection, codes: Iterable[str]) -> dict[str, list[Level]]:
    """The levels of each of these SKUs that has any."""
    found: dict[str, list[Level]] = {}
    for row in await connection.execute(select(*_LEVEL).where(levels.c.sku == any_(_codes(codes)))):
        found.setdefault(row[0], []).append(Level(*row))
    return found


async def read_sellers_of(connection: ReadConnection, codes: Collection[str]) -> dict[str, list[Listing]]:
    """The listings that sell each of these SKUs."""
    query = select(*LISTING).where(listings.c.skus.overlap(_codes(codes))).order_by(listings.c.listing_id)
    found: dict[str, list[Listing]] = {}
    for row in (await connection.execute(query)).mappings():
        listing = listing_of(row)
        for code in {part.sku for part in listing.components}:
            found.setdefault(code, []).append(listing)
    return found


async def read_channels_now(connection: ReadConnection, now: datetime) -> dict[str, ChannelNow]:
    """What keeps channels from being served."""
    away_since = now - timedelta(seconds=HEARTBEAT_SECONDS_MAX)
    query = select(channels.c.channel, channels.c.paused, channels.c.heartbeat_time)
    return {
        row.channel: ChannelNow(row.channel, row.paused, row.heartbeat_time is None or row.heartbeat_time < away_since)
        for row in await connection.execute(query)
    }


async def read_frozen(connection: ReadConnection, codes: Iterable[str]) -> frozenset[str]:
    """Those of these SKUs that are frozen."""
    query = select(skus.c.sku).where(skus.c.frozen, skus.c.sku == any_(_codes(codes)))
    return frozenset(await connection.scalars(query))


async def read_open_proposals(connection: ReadConnection) -> dict[str, list[Proposal]]:
    """What waits for a person, by SKU."""
    p = proposals.c
    query = select(p.body).where(p.state == int(ProposalState.OPEN)).order_by(p.proposal_id)
    found: dict[str, list[Proposal]] = {}
    for body in await connection.scalars(query):
        proposal = decode_kept(body).proposal
        found.setdefault(proposal.sku, []).append(proposal)
    return found


async def read_sold(connection: ReadConnection, after: int, tempo: Tempo) -> list[tuple[str, int, int]]:
    """Units asked for after a movement: (SKU, minute since 1970 in the tempo's time, units)."""
    seconds = func.extract("epoch", _m.record_time) * tempo.speed
    minute = cast(func.floor(seconds / _MINUTE_SECONDS), BIGINT)
    is_order = _m.kind == int(MovementKind.RESERVE)
    query = select(_m.sku, minute, func.sum(_m.quantity)).where(_m.revision > after, is_order)
    query = query.group_by(_m.sku, minute)
    return [(row[0], int(row[1]), int(row[2])) for row in await connection.execute(query)]


async def read_pending(connection: ReadConnection) -> Pending:
    """What waits for somebody, beside warnings."""
    open_ones = select(func.count()).select_from(shortfalls).where(shortfalls.c.resolve_time.is_(None))
    d = drills.c
    name = d.body["drill"]["script"]["name"].astext
    running = select(d.drill_id, name.label("name")).where(d.state == "RUNNING").order_by(d.drill_id.desc()).limit(1)
    drill = (await connection.execute(running)).one_or_none()
    shortfall_count = int(await connection.scalar(open_ones) or 0)
    return Pending(shortfall_count, *((0, "") if drill is None else (drill.drill_id, drill.name or "")))


async def count_found(connection: ReadConnection, words: str) -> int:
    """How many SKUs have this in their code or title; nothing: how many there are."""
    query = select(func.count()).select_from(skus)
    return int(await connection.scalar(query.where(_has(words)) if words else query) or 0)


async def find_codes(connection: ReadConnection, words: str, count_max: int) -> list[str]:
    """Up to `count_max` SKUs with this in their code or title, by tier and code."""
    tier = select(func.max(_s.tier)).where(_s.sku == skus.c.sku).scalar_subquery()
    query = select(skus.c.sku).where(_has(words)).order_by(func.coalesce(tier, 0).desc(), skus.c.sku)
    return list(await connection.scalars(query.limit(count_max)))


def _has(words: str) -> Any:
    return or_(skus.c.sku.icontains(words, autoescape=True), skus.c.title.icontains(words, autoescape=True))


def _codes(codes: Iterable[str]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return literal(sorted(codes), ARRAY(CODE))
