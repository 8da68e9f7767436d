"""Reading and writing channels, listings and policies.

Decisions rest on all of them, so whoever changes one says `begin_change` first, in the same transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    RowMapping,
    TableValuedAlias,
    Text,
    any_,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.listings import ChannelFacts, Component, Listing, ListingKey, ListingState, Platform, TakesOn
from gateway.domain.policies import Policy
from gateway.store.tables import CODE, channels, head, listings, policies

NOW = func.clock_timestamp()
_decode_facts = msgspec.json.Decoder(ChannelFacts).decode
_decode_components = msgspec.json.Decoder(tuple[Component, ...]).decode
_decode_state = msgspec.json.Decoder(ListingState).decode
_decode_policy = msgspec.json.Decoder(Policy).decode


class Channel(Struct, frozen=True):
    """One shop on one platform; what is secret of it is not here. `locations` () means all.

    `watermark` is the platform's time up to which its orders are all in. `connector` is what its connector last said
    of itself, as JSON; empty if none was ever heard.
    """

    channel: str
    platform: Platform
    title: str = ""
    locations: tuple[str, ...] = ()
    facts: ChannelFacts = ChannelFacts()
    paused: bool = False
    pause_reason: str = ""
    watermark: datetime | None = None
    connector: str = ""
    heartbeat_time: datetime | None = None
    has_credentials: bool = False
    create_time: datetime | None = None


class Locked(Struct, frozen=True):
    """A channel's secrets, encrypted; `token_version` counts how often the tokens were stored."""

    credentials: bytes | None
    tokens: bytes | None
    token_version: int


_CHANNEL = (
    channels.c.channel,
    channels.c.platform,
    channels.c.title,
    channels.c.locations,
    channels.c.facts,
    channels.c.paused,
    channels.c.pause_reason,
    channels.c.watermark,
    channels.c.connector,
    channels.c.heartbeat_time,
    (channels.c.credentials != null()).label("has_credentials"),
    channels.c.create_time,
)
LISTING = (
    listings.c.listing_id,
    listings.c.channel,
    listings.c.item_id,
    listings.c.platform_sku_id,
    listings.c.components,
    listings.c.takes_on,
    listings.c.state,
)

_GIVEN = ("listing_id", "channel", "item_id", "platform_sku_id", "components", "skus", "takes_on", "version")


async def begin_change(connection: AsyncConnection, schema: str) -> int:
    """Raise the head's version and return it: until this transaction ends nobody else decides anything.

    Every writer then reads anew what it knows, and streams look for what is new.
    """
    await connection.execute(select(func.pg_notify("stockgate", schema)))
    raised = update(head).values(version=head.c.version + 1).returning(head.c.version)
    version: int = (await connection.execute(raised)).scalar_one()
    return version


# ---- channels


async def create_channel(connection: AsyncConnection, channel: Channel) -> bool:
    """Store a new channel; False if the code is taken."""
    content = {"channel": channel.channel, "platform": channel.platform, **channel_content(channel)}
    statement = upsert(channels).values(content).on_conflict_do_nothing().returning(channels.c.channel)
    return (await connection.execute(statement)).scalar_one_or_none() is not None


def channel_content(channel: Channel) -> dict[str, Any]:
    """The columns that the catalog says of a channel, and may change."""
    facts = msgspec.to_builtins(channel.facts)
    return {"title": channel.title, "locations": list(channel.locations), "facts": facts}


async def update_channel(connection: AsyncConnection, code: str, content: Mapping[str, Any]) -> None:
    """Change columns of a channel."""
    await connection.execute(update(channels).where(channels.c.channel == code).values(content))


async def read_channel(connection: AsyncConnection, code: str) -> Channel | None:
    """The channel, if there is one with this code."""
    row = (await connection.execute(select(*_CHANNEL).where(channels.c.channel == code))).mappings().one_or_none()
    return None if row is None else _channel(row)


async def list_channels(connection: AsyncConnection, *, after: str, count_max: int) -> list[Channel]:
    """Up to `count_max` channels whose code comes after `after`, by code."""
    query = select(*_CHANNEL).where(channels.c.channel > after).order_by(channels.c.channel).limit(count_max)
    return [_channel(row) for row in (await connection.execute(query)).mappings()]


async def known_channels(connection: AsyncConnection, codes: Iterable[str]) -> set[str]:
    """Those of the codes that are channels."""
    return set(await connection.scalars(select(channels.c.channel).where(channels.c.channel == _any(codes))))


async def read_locked(connection: AsyncConnection, code: str) -> Locked | None:
    """The channel's encrypted secrets; None if there is no such channel."""
    columns = (channels.c.credentials, channels.c.tokens, channels.c.token_version)
    row = (await connection.execute(select(*columns).where(channels.c.channel == code))).mappings().one_or_none()
    return None if row is None else Locked(**row)


# ---- listings


async def read_listing(connection: AsyncConnection, listing_id: int) -> Listing | None:
    """The listing with this number, if there is one."""
    row = (await connection.execute(select(*LISTING).where(listings.c.listing_id == listing_id))).mappings()
    found = row.one_or_none()
    return None if found is None else listing_of(found)


async def read_listings(connection: AsyncConnection, keys: Iterable[ListingKey]) -> dict[ListingKey, Listing]:
    """Those of the keys that are listings."""
    wanted = set(keys)
    is_near = (listings.c.channel == _any({key[0] for key in wanted})) & (
        listings.c.item_id == _any({key[1] for key in wanted})
    )
    rows = (await connection.execute(select(*LISTING).where(is_near))).mappings()
    found = {listing.key: listing for listing in map(listing_of, rows)}
    return {key: listing for key, listing in found.items() if key in wanted}


async def list_listings(
    connection: AsyncConnection, *, after: int, count_max: int, channel: str = "", sku: str = ""
) -> list[Listing]:
    """Up to `count_max` listings with a number above `after`, by number; of one channel or with one SKU, if named."""
    query = select(*LISTING).where(listings.c.listing_id > after)
    if channel:
        query = query.where(listings.c.channel == channel)
    if sku:
        query = query.where(listings.c.skus.contains([sku]))
    rows = await connection.execute(query.order_by(listings.c.listing_id).limit(count_max))
    return [listing_of(row) for row in rows.mappings()]


async def link_listings(connection: AsyncConnection, linked: Sequence[Listing], version: int) -> list[Listing]:
    """Store new listings; returns them with their numbers."""
    if not linked:
        return []
    count = len(linked)
    raised = update(head).values(listing_number=head.c.listing_number + count).returning(head.c.listing_number)
    last = (await connection.execute(raised)).scalar_one()
    numbered = [
        msgspec.structs.replace(listing, listing_id=number)
        for number, listing in enumerate(linked, start=last - count + 1)
    ]
    given = _table_of(numbered, version)
    chosen = select(*(given.c[name] for name in _GIVEN))
    await connection.execute(insert(listings).from_select(_GIVEN, chosen))
    return numbered


async def relink_listings(connection: AsyncConnection, linked: Sequence[Listing], version: int) -> None:
    """Change what listings are made of, and when they take units."""
    if not linked:
        return
    given = _table_of(linked, version)
    content = {name: given.c[name] for name in ("components", "skus", "takes_on", "version")}
    await connection.execute(update(listings).where(listings.c.listing_id == given.c.listing_id).values(content))


async def touch_listings(connection: AsyncConnection, version: int, *, sku: str = "", channel: str = "") -> None:
    """Have the allocator look at the listings with a SKU, or of a channel, again: what bears on them has changed."""
    touched = update(listings).values(version=version)
    touched = touched.where(listings.c.skus.contains([sku]) if sku else listings.c.channel == channel)
    await connection.execute(touched)


async def unlink_listing(connection: AsyncConnection, listing_id: int) -> None:
    """Forget a listing."""
    await connection.execute(delete(listings).where(listings.c.listing_id == listing_id))


# ---- policies


async def write_policy(connection: AsyncConnection, policy: Policy) -> None:
    """Store a SKU's policy, instead of the one it had."""
    content = {"policy": msgspec.to_builtins(policy), "update_time": func.clock_timestamp()}
    statement = upsert(policies).values(sku=policy.sku, **content)
    await connection.execute(statement.on_conflict_do_update(index_elements=["sku"], set_=content))


async def read_policy(connection: AsyncConnection, sku: str) -> Policy | None:
    """The SKU's policy, if one was ever set."""
    found = await connection.scalar(select(policies.c.policy).where(policies.c.sku == sku))
    return None if found is None else _decode_policy(found)


async def list_policies(connection: AsyncConnection, *, after: str, count_max: int) -> list[Policy]:
    """Up to `count_max` policies of SKUs whose code comes after `after`, by code."""
    query = select(policies.c.policy).where(policies.c.sku > after).order_by(policies.c.sku).limit(count_max)
    return [_decode_policy(found) for found in await connection.scalars(query)]


def _channel(row: RowMapping) -> Channel:
    return Channel(
        **{
            **row,
            "platform": Platform(row["platform"]),
            "locations": tuple(row["locations"]),
            "facts": _decode_facts(row["facts"]),
            "connector": row["connector"] or "",
        }
    )


def listing_of(row: Any) -> Listing:
    """A listing from its row."""
    takes_on = row["takes_on"]
    return Listing(
        row["listing_id"],
        row["channel"],
        row["item_id"],
        row["platform_sku_id"],
        _decode_components(row["components"]),
        None if takes_on is None else TakesOn(takes_on),
        _decode_state(row["state"]),
    )


def _table_of(several: Sequence[Listing], version: int) -> TableValuedAlias:
    """The listings as a table of the statement: one value, whatever their number."""
    content = [
        {
            "listing_id": listing.listing_id,
            "channel": listing.channel,
            "item_id": listing.item_id,
            "platform_sku_id": listing.platform_sku_id,
            "components": listing.components,
            "skus": [component.sku for component in listing.components],
            "takes_on": listing.takes_on,
            "version": version,
        }
        for listing in several
    ]
    columns = (column(name, listings.c[name].type) for name in _GIVEN)
    rows = cast(literal(msgspec.json.encode(content).decode(), Text), JSON)
    return func.json_to_recordset(rows).table_valued(*columns, name="given").render_derived(with_types=True)


def _any(codes: Iterable[str]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return any_(literal(list(codes), ARRAY(CODE)))
