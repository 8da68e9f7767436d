"""All that one room's hints are made from, read at one moment."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.domain.alerts import ProposalKind, ProposalState, Session
from gateway.domain.division import Lock
from gateway.domain.hints import Shelf, SkuFacts, parts_of
from gateway.domain.lines import Template
from gateway.domain.listings import Listing
from gateway.domain.stock import Level
from gateway.store import live
from gateway.store.alert_tables import alert_head, incoming, proposals
from gateway.store.database import ReadConnection
from gateway.store.live import Sold
from gateway.store.selling import HEARTBEAT_SECONDS_MAX, read_channels
from gateway.store.shops import LISTING, listing_of
from gateway.store.standings import is_watched
from gateway.store.tables import CODE, channels, levels, listings, skus
from gateway.store.templates import read_templates

SILENT_AFTER = timedelta(seconds=HEARTBEAT_SECONDS_MAX)
_LEVEL = tuple(levels.c[name] for name in Level.__struct_fields__)


class RoomState(Struct, frozen=True):
    """A session with what it has left, and what bears on what it can say. `slow`: SKUs to last, by the episode.

    `is_watched`: an engine goes on judging where SKUs stand.
    """

    session: Session
    shelf: Shelf
    skus: dict[str, SkuFacts]
    templates: dict[str, Template]
    silent: frozenset[str]
    slow: dict[str, int]
    revision: int
    is_watched: bool


async def read_room(connection: ReadConnection, session: Session, sold: Sold, now: datetime) -> RoomState:
    """What bears on a session's hints now; `sold` goes on as it is read."""
    session = live.left_of(session, await live.read_sold(connection, session, sold))
    facts, frozen = await _read_facts(connection, [one.sku for one in session.skus], now)
    sellers = await _read_sellers(connection, facts)
    parts = facts.keys() | {part.sku for one in sellers for part in one.components}
    rules, _ = await read_channels(connection, now)
    codes = frozenset(session.channels)
    rivals = [one for one in await live.open_sessions(connection) if not one.is_forgotten(now)]
    shelf = Shelf(
        now,
        sellers,
        {code: rule for code, rule in rules.items() if code in codes},
        {(row[0], row[1]): Level(*row) for row in await connection.execute(_of(select(*_LEVEL), levels.c.sku, parts))},
        frozen,
        {one.sku: Lock(codes, one.exclusive_left) for one in live.own(session)},
        parts_of(session, rivals, facts),
    )
    log = (await connection.execute(select(alert_head.c.revision, alert_head.c.tick_time))).one()
    return RoomState(
        session,
        shelf,
        facts,
        await read_templates(connection),
        await _read_silent(connection, codes, now),
        await _read_slow(connection, session.session_id),
        log.revision,
        is_watched(log.tick_time, now),
    )


async def _read_facts(
    connection: ReadConnection, codes: Collection[str], now: datetime
) -> tuple[dict[str, SkuFacts], frozenset[str]]:
    """The session's SKUs and their substitutes; and those of them that are frozen."""
    s = skus.c
    columns = select(s.sku, s.title, s.substitutes, s.frozen)
    rows = list(await connection.execute(_of(columns, s.sku, codes)))
    instead = {code for row in rows for code in row.substitutes} - set(codes)
    rows += list(await connection.execute(_of(columns, s.sku, instead))) if instead else []
    # What is late is nothing to promise.
    is_coming = (incoming.c.end_time.is_(None), incoming.c.arrive_time > now)
    on_the_way = select(incoming.c.sku, func.min(incoming.c.arrive_time)).where(*is_coming)
    restocks = dict((await connection.execute(_of(on_the_way, incoming.c.sku, codes).group_by(incoming.c.sku))).all())
    facts = {row.sku: SkuFacts(row.sku, row.title, tuple(row.substitutes), restocks.get(row.sku)) for row in rows}
    return facts, frozenset(row.sku for row in rows if row.frozen)


async def _read_sellers(connection: ReadConnection, codes: Iterable[str]) -> list[Listing]:
    query = select(*LISTING).where(listings.c.skus.overlap(_codes(codes))).order_by(listings.c.listing_id)
    return [listing_of(row) for row in (await connection.execute(query)).mappings()]


async def _read_silent(connection: ReadConnection, codes: Collection[str], now: datetime) -> frozenset[str]:
    query = select(channels.c.channel, channels.c.heartbeat_time)
    return frozenset(
        row.channel
        for row in await connection.execute(_of(query, channels.c.channel, codes))
        if row.heartbeat_time is None or now - row.heartbeat_time > SILENT_AFTER
    )


async def _read_slow(connection: ReadConnection, session_id: int) -> dict[str, int]:
    """The SKUs that a person wants to last in this session, and the episode in which he said so."""
    p = proposals.c
    is_slow = p.body["proposal"]["kind"].as_integer() == int(ProposalKind.SLOW_PACE)
    query = select(p.sku, p.body["episode"].as_integer()).where(
        p.session_id == session_id, p.state == int(ProposalState.DONE), is_slow
    )
    return dict((await connection.execute(query.order_by(p.proposal_id))).all())


def _of(query: Any, column: Any, codes: Iterable[str]) -> Any:
    """The query for these codes: one array, whatever its length."""
    return query.where(column == any_(_codes(codes)))


def _codes(codes: Iterable[str]) -> Any:
    return literal(sorted(codes), ARRAY(CODE))
