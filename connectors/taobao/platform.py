"""Taobao to the agent: one seller's shop, spoken to through one app."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from connectors.base import (
    Applied,
    BelowZeroRule,
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
from connectors.errors import AuthExpired, ConnectorError, Forged, Misunderstood, Rejected
from connectors.taobao.answers import Grant, TokenAnswer
from connectors.taobao.orders import WINDOW_MAX, Orders
from connectors.taobao.pushes import Messages
from connectors.taobao.requests import Credentials, Pace, Requests
from connectors.taobao.stock import ITEMS_AT_ONCE, SKUS_AT_ONCE, Stock
from connectors.transport import TO_ZERO, Transport


class Taobao:
    """The `Platform` that is Taobao or Tmall."""

    capabilities = Capabilities(
        platform="taobao",
        sets_absolute=True,
        below_zero=BelowZeroRule.REFUSES,
        idempotent=False,
        changes_at_once=SKUS_AT_ONCE,
        reads_at_once=ITEMS_AT_ONCE,
        time_resolution=timedelta(seconds=1),
        window_max=WINDOW_MAX,
        visibility_lag=timedelta(seconds=2),
    )

    def __init__(
        self, transport: Transport, credentials: Credentials, tokens: Tokens, pace: Pace | None = None
    ) -> None:
        """Speak for the seller whose `tokens` these are."""
        self._requests = Requests(transport, credentials, tokens)
        self._stock = Stock(self._requests)
        self._orders = Orders(self._requests)
        self._messages = Messages(self._requests, pace or Pace())

    async def change(self, change: Change) -> Applied:
        """`taobao.item.quantity.update`, type 2. Raises `BelowZero`; never sent twice."""
        return await self._stock.change(change)

    async def change_many(self, changes: Sequence[Change]) -> list[Applied | ConnectorError]:
        """Lowerings one by one; raises of one item's SKUs by `taobao.skus.quantity.update`, type 2."""
        return await self._stock.change_many(changes)

    async def set_shown(self, key: ListingKey, units: int) -> Applied:
        """`taobao.item.quantity.update`, type 1. `Rejected` if unpaid orders withhold more than that."""
        return await self._stock.set_shown(key, units)

    async def read(self, keys: Sequence[ListingKey]) -> dict[ListingKey, Shelf | ConnectorError]:
        """`taobao.item.skus.get`, and `taobao.item.seller.get` for items without SKUs."""
        return await self._stock.read(keys)

    def orders(self, since: datetime, until: datetime) -> AsyncIterator[list[OrderSnapshot]]:
        """`taobao.trades.sold.increment.get`, in windows of half an hour, each from its last page to its first."""
        return self._orders.between(since, until)

    async def order(self, order_id: str) -> OrderSnapshot | None:
        """`taobao.trade.fullinfo.get`."""
        return await self._orders.one(order_id)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """`taobao.top.auth.token.refresh`, which apps of the service market may call; `AuthExpired` for the others."""
        if not tokens.refresh_token:
            raise AuthExpired("this kind of app holds a token of fixed length; the seller must authorise it again")
        params = {"refresh_token": tokens.refresh_token}
        method = "taobao.top.auth.token.refresh"
        try:
            answer = await self._requests.call(
                method, params, TokenAnswer, priority=TO_ZERO, repeatable=False, session=False
            )
        except Rejected as error:
            raise AuthExpired(error.message, code=error.code) from error
        try:
            grant = msgspec.json.decode(answer.token_result, type=Grant, strict=False)
        except msgspec.DecodeError:
            raise Misunderstood(f"{method}: a token_result that is no grant") from None
        return self._tokens_of(grant, tokens)

    def use(self, tokens: Tokens) -> None:
        """Every call that is built from now on carries these."""
        self._requests.tokens = tokens

    def open(self, inbound: Inbound) -> list[Hint]:
        """Raise `Forged`: Taobao sends no HTTP pushes, its messages come over a connection of ours."""
        raise Forged("Taobao sends no HTTP pushes; whoever sent this is somebody else")

    def reply(self, *, taken: bool) -> Reply:
        """An answer for whoever sent it."""
        return Reply(200, b"{}") if taken else Reply(404, b"{}")

    async def listen(self, heard: Callable[[Hint], Awaitable[None]]) -> None:
        """The message channel: TopLink v2 if the credentials have its address, else polled over HTTP."""
        await self._messages.listen(heard)

    def _tokens_of(self, grant: Grant, old: Tokens) -> Tokens:
        lifetime = None if grant.expires_in is None else timedelta(seconds=grant.expires_in)
        expires = None if lifetime is None else self._requests.transport.platform_now() + lifetime
        return Tokens(grant.access_token, grant.refresh_token or old.refresh_token, expires)
