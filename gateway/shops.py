"""Use cases of selling's catalog: channels with their secrets, listings, policies."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.errors import (
    AlreadyExists,
    ChannelUnknown,
    CredentialsMissing,
    ListingInUse,
    ListingUnknown,
    LocationUnknown,
    SkuUnknown,
    TokensChanged,
)
from gateway.domain.listings import Listing
from gateway.domain.policies import Policy
from gateway.store import catalog
from gateway.store import shops as store
from gateway.store.database import MerchantDatabase, ReadConnection, read_time
from gateway.store.shops import Channel
from gateway.store.states import keep_channel_state, keep_sku_state
from gateway.vault import Vault

_CHANNEL_CONTENT = ("platform", "title", "locations", "facts")


class Tokens(Struct, frozen=True):
    """What a platform lets us in with; `expire_time`, aware UTC, is that of the access token. Never shown."""

    access_token: str
    refresh_token: str
    expire_time: datetime | None

    def __repr__(self) -> str:
        return "Tokens(...)"


class Credentials(Struct, frozen=True):
    """A channel's secrets, for its connector only; `version` is to be said when rotated tokens are stored."""

    credentials_json: str
    tokens: Tokens
    version: int

    def __repr__(self) -> str:
        return "Credentials(...)"


class Shops:
    """The channels, listings and policies of one merchant."""

    def __init__(self, database: MerchantDatabase, vault: Vault) -> None:
        """Use the merchant's store; the vault keeps what is secret."""
        self._database = database
        self._vault = vault

    # ---- channels

    async def create_channel(self, channel: Channel) -> Channel:
        """Store a channel; the same again is no error. Raises `AlreadyExists`, `LocationUnknown`."""
        async with self._changing() as (connection, _):
            await _require_locations(connection, channel)
            created = await store.create_channel(connection, channel)
            await keep_channel_state(connection, channel.channel, await read_time(connection, self._database.now))
            stored = await _read_channel(connection, channel.channel)
        if not created:
            _require_same(channel, stored)
        return stored

    async def update_channel(self, channel: Channel, fields: Collection[str]) -> Channel:
        """Change the named fields; raises `ChannelUnknown`, `LocationUnknown`."""
        content = {name: value for name, value in store.channel_content(channel).items() if name in fields}
        async with self._changing() as (connection, version):
            await _read_channel(connection, channel.channel, "channel.channel")
            if "locations" in content:
                await _require_locations(connection, channel)
            if content:
                await store.update_channel(connection, channel.channel, content)
                await store.touch_listings(connection, version, channel=channel.channel)
            return await _read_channel(connection, channel.channel)

    async def channel(self, code: str) -> Channel:
        """One channel; raises `ChannelUnknown`."""
        async with self._database.transaction() as connection:
            return await _read_channel(connection, code)

    async def list_channels(self, *, after: str, count_max: int) -> list[Channel]:
        """Up to `count_max` channels whose code comes after `after`, by code."""
        async with self._database.transaction() as connection:
            return await store.list_channels(connection, after=after, count_max=count_max)

    async def pause(self, code: str, reason: str) -> Channel:
        """Stop changing a channel's numbers; raises `ChannelUnknown`."""
        return await self._set_paused(code, {"paused": True, "pause_reason": reason})

    async def resume(self, code: str, *, allow_many_to_zero: bool = False) -> Channel:
        """Let a channel's numbers be changed again; raises `ChannelUnknown`."""
        content: dict[str, Any] = {"paused": False, "pause_reason": ""}
        if allow_many_to_zero:
            content["many_to_zero_time"] = store.NOW
        return await self._set_paused(code, content)

    async def _set_paused(self, code: str, content: dict[str, Any]) -> Channel:
        async with self._changing() as (connection, _):
            await _read_channel(connection, code)
            await store.update_channel(connection, code, content)
            await keep_channel_state(connection, code, await read_time(connection, self._database.now))
            return await _read_channel(connection, code)

    # ---- secrets

    async def set_credentials(self, code: str, credentials_json: str, tokens: Tokens) -> Channel:
        """Store a channel's secrets instead of those it had; raises `ChannelUnknown`, `CredentialsLocked`."""
        async with self._changing() as (connection, _):
            locked = await _read_locked(connection, code)
            content = {"credentials": self._vault.lock(credentials_json), "tokens": self._lock(tokens)}
            await store.update_channel(connection, code, {**content, "token_version": locked.token_version + 1})
            return await _read_channel(connection, code)

    async def credentials(self, code: str) -> Credentials:
        """A channel's secrets; raises `ChannelUnknown`, `CredentialsMissing`, `CredentialsLocked`."""
        async with self._database.transaction() as connection:
            locked = await _read_locked(connection, code)
        if locked.credentials is None or locked.tokens is None:
            raise _credentials_missing(code)
        tokens = msgspec.json.decode(self._vault.unlock(locked.tokens), type=Tokens)
        return Credentials(self._vault.unlock(locked.credentials), tokens, locked.token_version)

    async def store_tokens(self, code: str, version: int, tokens: Tokens) -> int:
        """Store rotated tokens if nobody has since the caller read them as `version`; returns the version now.

        Raises `TokensChanged`, `ChannelUnknown`, `CredentialsMissing`, `CredentialsLocked`.
        """
        async with self._changing() as (connection, _):
            locked = await _read_locked(connection, code)
            if locked.credentials is None:
                raise _credentials_missing(code)
            if version != locked.token_version:
                raise TokensChanged(
                    f"the tokens of {code} are at version {locked.token_version} now, not {version}: read them again",
                    field="version",
                    version=locked.token_version,
                )
            content = {"tokens": self._lock(tokens), "token_version": version + 1}
            await store.update_channel(connection, code, content)
        return version + 1

    # ---- listings

    async def link_listing(self, listing: Listing) -> tuple[Listing, datetime]:
        """Say what a channel's item is made of; the same again answers with it as it is. And the ledger's time.

        Raises `ChannelUnknown`, `SkuUnknown`, and `ListingInUse` if it may still sell by what it is made of now.
        """
        async with self._changing() as (connection, version):
            await _require_parts(connection, listing)
            known = (await store.read_listings(connection, [listing.key])).get(listing.key)
            if known is None:
                (known,) = await store.link_listings(connection, [listing], version)
            elif not is_same(listing, known):
                require_idle(known, "listing")
                known = replace(known, components=listing.components, takes_on=listing.takes_on)
                await store.relink_listings(connection, [known], version)
            return known, await read_time(connection, self._database.now)

    async def unlink_listing(self, listing_id: int) -> None:
        """End the care for a listing; raises `ListingUnknown`, `ListingInUse`."""
        async with self._changing() as (connection, _):
            known = await store.read_listing(connection, listing_id)
            if known is None:
                raise ListingUnknown(
                    f"no listing has the number {listing_id}", field="listing_id", listing_id=listing_id
                )
            require_idle(known, "listing_id")
            await store.unlink_listing(connection, listing_id)

    # ---- policies

    async def set_policy(self, policy: Policy) -> Policy:
        """Say how a SKU is divided; raises `SkuUnknown`, `ChannelUnknown`."""
        async with self._changing() as (connection, version):
            await _require_sku(connection, policy.sku, "policy.sku")
            codes = [share.channel for share in policy.shares]
            known = await store.known_channels(connection, codes)
            for place, code in enumerate(codes):
                if code not in known:
                    raise _channel_unknown(code, f"policy.shares[{place}].channel")
            await store.write_policy(connection, policy)
            await keep_sku_state(connection, policy.sku, self._database.now)
            await store.touch_listings(connection, version, sku=policy.sku)
        return policy

    async def policy(self, sku: str) -> Policy:
        """How a SKU is divided; the default if nobody has said. Raises `SkuUnknown`."""
        async with self._database.transaction() as connection:
            await _require_sku(connection, sku, "sku")
            return await store.read_policy(connection, sku) or Policy(sku)

    async def list_policies(self, *, after: str, count_max: int) -> list[Policy]:
        """Up to `count_max` policies that were set, of SKUs whose code comes after `after`, by code."""
        async with self._database.transaction() as connection:
            return await store.list_policies(connection, after=after, count_max=count_max)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[tuple[ReadConnection, int]]:
        """A transaction in which nobody else decides anything, and the head's version from then on."""
        async with self._database.transaction() as connection:
            yield connection, await store.begin_change(connection, self._database.schema)

    def _lock(self, tokens: Tokens) -> bytes:
        return self._vault.lock(msgspec.json.encode(tokens).decode())


def is_same(wanted: Listing, known: Listing) -> bool:
    """True if both are made of the same, and take units at the same time."""
    return set(wanted.components) == set(known.components) and wanted.takes_on == known.takes_on


def require_idle(listing: Listing, field: str) -> None:
    """Raise `ListingInUse` if the listing may still sell, or is about to: then its exposure stands for its parts."""
    state = listing.state
    if state.push is None and not any(share.sales for share in state.exposure or ()):
        return
    why = f"may still sell {state.sales_left}" if state.sales_left > 0 else "has a change under way"
    raise ListingInUse(
        f"listing {listing.listing_id} {why}: give its channel a cap of 0 in the policy of "
        "its SKUs, wait until it shows nothing, then try again",
        field=field,
        listing_id=listing.listing_id,
        exposure=state.sales_left,
    )


async def _read_channel(connection: ReadConnection, code: str, field: str = "channel") -> Channel:
    found = await store.read_channel(connection, code)
    if found is None:
        raise _channel_unknown(code, field)
    return found


async def _read_locked(connection: ReadConnection, code: str) -> store.Locked:
    found = await store.read_locked(connection, code)
    if found is None:
        raise _channel_unknown(code, "channel")
    return found


async def _require_locations(connection: ReadConnection, channel: Channel) -> None:
    known = await catalog.known_locations(connection, channel.locations)
    for place, code in enumerate(channel.locations):
        if code not in known:
            field = f"channel.locations[{place}]"
            raise LocationUnknown(f"no location has the code {code!r}", field=field, location=code)


async def _require_parts(connection: ReadConnection, listing: Listing) -> None:
    if not await store.known_channels(connection, [listing.channel]):
        raise _channel_unknown(listing.channel, "listing.channel")
    known = await catalog.known_skus(connection, [component.sku for component in listing.components])
    for place, component in enumerate(listing.components):
        if component.sku not in known:
            raise _sku_unknown(component.sku, f"listing.components[{place}].sku")


async def _require_sku(connection: ReadConnection, code: str, field: str) -> None:
    if not await catalog.known_skus(connection, [code]):
        raise _sku_unknown(code, field)


def _require_same(asked: Channel, stored: Channel) -> None:
    for name in _CHANNEL_CONTENT:
        if getattr(asked, name) != getattr(stored, name):
            raise AlreadyExists(
                f"the channel exists already, with another {name}; update it instead", field=f"channel.{name}"
            )


def _channel_unknown(code: str, field: str) -> ChannelUnknown:
    return ChannelUnknown(f"no channel has the code {code!r}", field=field, channel=code)


def _sku_unknown(code: str, field: str) -> SkuUnknown:
    return SkuUnknown(f"no SKU has the code {code!r}", field=field, sku=code)


def _credentials_missing(code: str) -> CredentialsMissing:
    return CredentialsMissing(f"channel {code} has no credentials yet", field="channel", channel=code)
