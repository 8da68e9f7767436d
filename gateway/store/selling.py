"""What the allocator looks at, what connectors follow, and what is kept of selling."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, any_, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.causes import TRACEPARENTS_MAX, Cause
from gateway.domain.changes import LevelKey
from gateway.domain.division import Lock, Situation
from gateway.domain.listings import ChannelFacts, ChannelRule, Listing, PushResult
from gateway.domain.policies import Policy
from gateway.domain.selling import Drift, KnownLine, KnownOrder, OrderState
from gateway.domain.stock import Level
from gateway.store.shops import LISTING, listing_of
from gateway.store.tables import (
    CODE,
    channels,
    drifts,
    head,
    levels,
    listings,
    locations,
    movements,
    orders,
    policies,
    pushes,
    shortfalls,
)
from gateway.store.tables import skus as skus_table

_decode_facts = msgspec.json.Decoder(ChannelFacts).decode
_decode_policy = msgspec.json.Decoder(Policy).decode
_decode_lines = msgspec.json.Decoder(tuple[KnownLine, ...]).decode
# The version of who has never looked.
NEVER = -1
# A connector that has not been heard for so long is away.
HEARTBEAT_SECONDS_MAX = 15.0
# Who has just begun recalls this much of what has moved.
RECALLED_SECONDS = 60.0
# Kits tie SKUs together: so many steps are followed from what has changed.
KIT_STEPS_MAX = 4
_LEVEL = tuple(levels.c[name] for name in Level.__struct_fields__)

_ORDER = (
    orders.c.channel,
    orders.c.order_id,
    orders.c.state,
    orders.c.update_time,
    orders.c.placed_time,
    orders.c.paid_time,
    orders.c.lines,
)

# Movements as one cause, of a GROUP BY.
_CAUSE = (
    func.max(movements.c.revision),
    func.min(movements.c.record_time),
    func.array_agg(aggregate_order_by(movements.c.traceparent, movements.c.revision)).filter(
        movements.c.traceparent.is_not(None)
    ),
)


class Moved(Struct, frozen=True):
    """SKUs of which something changed, and up to where one has looked. `causes`: of those whose stock did, by SKU."""

    skus: frozenset[str]
    revision: int
    version: int
    causes: Mapping[str, Cause] = {}


class ConnectorState(Struct, frozen=True):
    """What a connector says of itself; stored as the JSON form of the proto's message of this name."""

    connector_id: str
    breaker_open: bool = False
    calls_per_second: float = 0.0
    ban: str = "0s"
    waiting: int = 0
    needs: str = ""
    calls: int = 0
    retries: int = 0
    forged: int = 0


async def moved_since(connection: AsyncConnection, revision: int, version: int) -> Moved:
    """The SKUs whose stock or listings changed after a revision of the journal and a version of the head.

    Nothing has changed since `NEVER`: who has never looked looks at everything.
    """
    now = (await connection.execute(select(head.c.revision, head.c.version))).one()
    if version in {now.version, NEVER}:
        return Moved(frozenset(), now.revision, now.version)
    is_news = (movements.c.revision > revision) & (movements.c.revision <= now.revision)
    by_stock = select(movements.c.sku, *_CAUSE).where(is_news).group_by(movements.c.sku)
    # By way of the channels, for which there is an index.
    is_of = listings.c.channel == channels.c.channel
    by_state = (
        select(func.unnest(listings.c.skus)).join_from(channels, listings, is_of).where(listings.c.version > version)
    )
    causes = {row[0]: _cause(row[1:]) for row in await connection.execute(by_stock)}
    return Moved(frozenset(causes.keys() | set(await connection.scalars(by_state))), now.revision, now.version, causes)


async def moved_between(connection: AsyncConnection, skus: Collection[str], after: int, upto: int) -> dict[str, Cause]:
    """What has moved of these SKUs, by SKU, after one revision and up to another."""
    query = (
        select(movements.c.sku, *_CAUSE)
        .where(movements.c.revision > after, movements.c.revision <= upto, movements.c.sku == any_(_codes(skus)))
        .group_by(movements.c.sku)
    )
    return {row[0]: _cause(row[1:]) for row in await connection.execute(query)}


async def unanswered(connection: AsyncConnection, listing_ids: Iterable[int], now: datetime) -> dict[int, Cause]:
    """By listing, what has moved since its last push was decided, a minute ago at most."""
    long_ago = now - timedelta(seconds=RECALLED_SECONDS)
    is_of = pushes.c.listing_id == listings.c.listing_id
    last = select(func.coalesce(func.max(pushes.c.create_time), long_ago)).where(is_of).scalar_subquery()
    query = (
        select(listings.c.listing_id, *_CAUSE)
        .join_from(listings, movements, movements.c.sku == any_(listings.c.skus))
        .where(listings.c.listing_id == any_(literal(sorted(listing_ids), ARRAY(BigInteger))))
        .where(movements.c.record_time > func.greatest(last, long_ago))
        .group_by(listings.c.listing_id)
    )
    return {row[0]: _cause(row[1:]) for row in await connection.execute(query)}


async def come_to_nothing(connection: AsyncConnection, push_ids: Iterable[int]) -> frozenset[int]:
    """The listings of those of these pushes that were not sent, or not applied as far as a reading tells."""
    is_void = (pushes.c.result == int(PushResult.NOT_SENT)) | (
        (pushes.c.result == int(PushResult.READ_BACK)) & (pushes.c.applied <= 0)
    )
    query = select(pushes.c.listing_id).where(
        pushes.c.push_id == any_(literal(list(push_ids), ARRAY(BigInteger))), is_void
    )
    return frozenset(await connection.scalars(query))


def _cause(row: Sequence[Any]) -> Cause:
    """What these columns say, which are `_CAUSE`."""
    revision, time, traceparents = row
    return Cause(revision, time, tuple(traceparents or ())[-TRACEPARENTS_MAX:])


async def listed_skus(connection: AsyncConnection, channels_named: Iterable[str]) -> frozenset[str]:
    """Every SKU that some listing of these channels sells."""
    of_them = listings.c.channel == any_(_codes(channels_named))
    return frozenset(await connection.scalars(select(func.unnest(listings.c.skus)).where(of_them).distinct()))


async def situation(
    connection: AsyncConnection,
    skus: Iterable[str],
    now: datetime,
    sync_delay_seconds: float,
    locks: Mapping[str, Lock],
) -> Situation:
    """All listings that sell these SKUs, or share a kit with one that does, and what bears on them."""
    wanted, known = set(skus), set[str]()
    rows: list[Listing] = []
    for _ in range(KIT_STEPS_MAX):
        if wanted == known:
            break
        known = set(wanted)
        query = select(*LISTING).where(listings.c.skus.overlap(_codes(wanted))).order_by(listings.c.listing_id)
        rows = [listing_of(row) for row in (await connection.execute(query)).mappings()]
        wanted.update(one.sku for listing in rows for one in listing.components)
    rules, open_channels = await read_channels(connection, now)
    return Situation(
        now,
        rows,
        await _levels(connection, wanted) if rows else {},
        rules,
        await _policies(connection, wanted) if rows else {},
        tuple(
            await connection.scalars(select(locations.c.location).order_by(locations.c.position, locations.c.location))
        ),
        open_channels,
        sync_delay_seconds,
        await _frozen(connection, wanted) if rows else frozenset(),
        locks,
    )


async def waiting_orders(connection: AsyncConnection, schema: str, count_max: int) -> dict[str, list[str]]:
    """Orders by channel with a line whose listing has been linked since they came."""
    rows = await connection.execute(
        text(f"""
            SELECT DISTINCT o.channel, o.order_id
            FROM "{schema}".orders o, jsonb_array_elements(o.lines) AS line, "{schema}".listings l
            WHERE o.unlinked AND CAST(line->>1 AS bigint) = 0 AND l.channel = o.channel
                  AND l.item_id = line->0->>1 AND l.platform_sku_id = line->0->>2
            LIMIT :count_max"""),
        {"count_max": count_max},
    )
    found: dict[str, list[str]] = {}
    for channel, order_id in rows:
        found.setdefault(channel, []).append(order_id)
    return found


async def listings_since(connection: AsyncConnection, channel: str, version: int) -> list[tuple[int, Listing]]:
    """A channel's listings whose state was saved after a version of the head, with that version, oldest first."""
    query = (
        select(listings.c.version, *LISTING)
        .where(listings.c.channel == channel, listings.c.version > version)
        .order_by(listings.c.version)
    )
    return [(row["version"], listing_of(row)) for row in (await connection.execute(query)).mappings()]


async def count_showing(connection: AsyncConnection, channel: str) -> int:
    """How many of a channel's listings may still sell something."""
    shows = func.jsonb_array_length(func.coalesce(func.nullif(listings.c.state[0], text("'null'")), text("'[]'"))) > 0
    query = select(func.count()).where(listings.c.channel == channel, func.jsonb_array_length(listings.c.state) > 0)
    return int(await connection.scalar(query.where(shows)) or 0)


async def store_heartbeat(connection: AsyncConnection, channel: str, state: ConnectorState, now: datetime) -> bool:
    """Keep what a connector says; False if there is no such channel."""
    content = {"connector": msgspec.to_builtins(state), "heartbeat_time": now}
    done = await connection.execute(update(channels).values(content).where(channels.c.channel == channel))
    return done.rowcount > 0


async def store_follower(connection: AsyncConnection, channel: str, connector_id: str) -> bool:
    """From now on this connector is told what to do, and no other; False if there is no such channel."""
    claimed = update(channels).values(follower=connector_id).where(channels.c.channel == channel)
    return (await connection.execute(claimed)).rowcount > 0


async def read_follower(connection: AsyncConnection, channel: str) -> str | None:
    """The connector that is told what to do."""
    found: str | None = await connection.scalar(select(channels.c.follower).where(channels.c.channel == channel))
    return found


async def many_to_zero_time(connection: AsyncConnection, channel: str) -> datetime | None:
    """When a person last let many listings of the channel go to zero."""
    found: datetime | None = await connection.scalar(
        select(channels.c.many_to_zero_time).where(channels.c.channel == channel)
    )
    return found


async def list_drifts(connection: AsyncConnection, *, channel: str, before: int, count_max: int) -> list[Drift]:
    """Up to `count_max` drifts with a number below `before`, newest first; of one channel, if named."""
    query = select(drifts).where(drifts.c.drift_id < before)
    if channel:
        query = query.where(drifts.c.channel == channel)
    rows = await connection.execute(query.order_by(drifts.c.drift_id.desc()).limit(count_max))
    return [Drift(*row) for row in rows]


async def list_unlinked(connection: AsyncConnection, *, channel: str, after: str, count_max: int) -> list[KnownOrder]:
    """Up to `count_max` orders of a channel with a line nobody has linked, with an id after `after`, by id."""
    query = (
        select(*_ORDER)
        .where(orders.c.unlinked, orders.c.channel == channel, orders.c.order_id > after)
        .order_by(orders.c.order_id)
        .limit(count_max)
    )
    return [
        KnownOrder(row[0], row[1], OrderState(row[2]), row[3], row[4], row[5], _decode_lines(row[6]))
        for row in await connection.execute(query)
    ]


async def resolve_shortfall(
    connection: AsyncConnection, shortfall_id: int, *, owner: str, resolution: str, now: datetime
) -> bool:
    """Keep who looks after a shortfall and how it was resolved.

    False if there is no such shortfall, or it is to be resolved and somebody was faster.
    """
    content: dict[str, Any] = {}
    if owner:
        content["owner"] = owner
    if resolution:
        content |= {"resolution": resolution, "resolve_time": now}
    changed = update(shortfalls).values(content or {"owner": shortfalls.c.owner})
    changed = changed.where(shortfalls.c.shortfall_id == shortfall_id)
    if resolution:
        changed = changed.where(shortfalls.c.resolve_time.is_(None))
    return (await connection.execute(changed)).rowcount > 0


async def read_channels(connection: AsyncConnection, now: datetime) -> tuple[dict[str, ChannelRule], frozenset[str]]:
    """The rules of all channels, and those whose numbers can be changed now."""
    query = select(
        channels.c.channel,
        channels.c.locations,
        channels.c.facts,
        channels.c.watermark,
        channels.c.paused,
        channels.c.heartbeat_time,
    )
    rules, open_ones = {}, set()
    for row in await connection.execute(query):
        rules[row.channel] = ChannelRule(row.channel, tuple(row.locations), _decode_facts(row.facts), row.watermark)
        heard = row.heartbeat_time
        if not row.paused and heard is not None and now - heard < timedelta(seconds=HEARTBEAT_SECONDS_MAX):
            open_ones.add(row.channel)
    return rules, frozenset(open_ones)


async def _levels(connection: AsyncConnection, skus: Collection[str]) -> dict[LevelKey, Level]:
    rows = await connection.execute(select(*_LEVEL).where(levels.c.sku == any_(_codes(skus))))
    return {(row[0], row[1]): Level(*row) for row in rows}


async def _policies(connection: AsyncConnection, skus: Collection[str]) -> dict[str, Policy]:
    found = await connection.scalars(select(policies.c.policy).where(policies.c.sku == any_(_codes(skus))))
    return {policy.sku: policy for policy in map(_decode_policy, found)}


async def _frozen(connection: AsyncConnection, codes: Collection[str]) -> frozenset[str]:
    is_one = skus_table.c.sku == any_(_codes(codes))
    return frozenset(await connection.scalars(select(skus_table.c.sku).where(skus_table.c.frozen, is_one)))


def _codes(codes: Iterable[str]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return literal(sorted(codes), ARRAY(CODE))
