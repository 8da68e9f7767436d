"""Douyin as the agent sees it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from connectors.base import (
    Applied,
    Capabilities,
    Change,
    Hint,
    Inbound,
    ListingKey,
    OrderSnapshot,
    Reply,
    Shelf,
    Tokens,
)
from connectors.douyin import orders, pushes
from connectors.douyin.paging import WINDOW_SECONDS
from connectors.douyin.requests import Caller, Credentials
from connectors.douyin.stock import BATCH_MAX, Stock
from connectors.errors import AuthExpired, ConnectorError, Rejected
from connectors.transport import TO_ZERO, Transport


class Grant(msgspec.Struct, frozen=True):
    """The data of `/token/create` and `/token/refresh`: about 7 days for the access token, 14 for the refresh token."""

    access_token: str
    refresh_token: str
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Douyin:
    """One Douyin shop. Every method may raise any `ConnectorError`."""

    def __init__(self, transport: Transport, credentials: Credentials, tokens: Tokens) -> None:
        """Nothing is sent yet."""
        self.capabilities = Capabilities(
            platform="douyin",
            sets_absolute=True,
            below_zero=credentials.below_zero,
            idempotent=True,
            changes_at_once=BATCH_MAX,
            reads_at_once=1,
            time_resolution=timedelta(seconds=1),
            window_max=timedelta(seconds=WINDOW_SECONDS),
            visibility_lag=timedelta(seconds=2),
        )
        self._credentials = credentials
        self._caller = Caller(transport, credentials, tokens)
        self._stock = Stock(self._caller)

    async def change(self, change: Change) -> Applied:
        """Move what one listing shows; raises `BelowZero` where the platform refuses."""
        return await self._stock.change(change)

    async def change_many(self, changes: Sequence[Change]) -> list[Applied | ConnectorError]:
        """The same for up to `changes_at_once` listings; one result each, never raised."""
        return await self._stock.change_many(changes)

    async def set_shown(self, key: ListingKey, units: int) -> Applied:
        """Set what a listing shows. Sales that came between are overwritten."""
        return await self._stock.set_shown(key, units)

    async def read(self, keys: Sequence[ListingKey]) -> dict[ListingKey, Shelf | ConnectorError]:
        """What these listings show, one call each; one that is gone is `Rejected`."""

        async def one(key: ListingKey) -> Shelf | ConnectorError:
            try:
                return await self._stock.read(key)
            except AuthExpired:  # no other listing could be read either
                raise
            except ConnectorError as error:
                return error

        return dict(zip(keys, await asyncio.gather(*map(one, keys)), strict=True))

    def orders(self, since: datetime, until: datetime) -> AsyncIterator[list[OrderSnapshot]]:
        """Every order that was updated, or refunded, in [since, until], in pages; whole once the iteration ends."""
        return orders.updated_between(self._caller, since, until)

    async def order(self, order_id: str) -> OrderSnapshot | None:
        """One order as it is now; None if the platform has none."""
        return await orders.detail(self._caller, order_id)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """New tokens for the old; raises `AuthExpired` if the grant is over."""
        params = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        asked_time = self._caller.transport.platform_now()
        try:
            grant = await self._caller.read("/token/refresh", params, Grant, priority=TO_ZERO)
        except Rejected as error:
            raise AuthExpired(error.message, code=error.code) from error
        return Tokens(grant.access_token, grant.refresh_token, asked_time + timedelta(seconds=grant.expires_in))

    def use(self, tokens: Tokens) -> None:
        """From now on call with these."""
        self._caller.tokens = tokens

    def open(self, inbound: Inbound) -> list[Hint]:
        """Check and read an HTTP push; [] for the probe and for what is about no order. Raises `Forged`."""
        return pushes.opened(self._credentials, inbound)

    def reply(self, *, taken: bool) -> Reply:
        """What to answer an HTTP push."""
        return pushes.reply(taken=taken)

    async def listen(self, heard: Callable[[Hint], Awaitable[None]]) -> None:
        """Douyin has no long connection: returns at once."""
