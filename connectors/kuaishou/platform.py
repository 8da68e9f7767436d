"""A Kuaishou shop as the agent sees it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

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
from connectors.errors import ConnectorError, Rejected
from connectors.kuaishou import pushes
from connectors.kuaishou.orders import ORDERS_WINDOW_MAX, Orders
from connectors.kuaishou.requests import Credentials, Requests
from connectors.kuaishou.stock import Stock
from connectors.kuaishou.times import MILLISECOND
from connectors.kuaishou.tokens import Refreshing
from connectors.transport import Transport

CAPABILITIES = Capabilities(
    platform="kuaishou",
    sets_absolute=False,
    below_zero=BelowZeroRule.REFUSES,
    idempotent=False,
    changes_at_once=1,
    reads_at_once=20,
    time_resolution=MILLISECOND,
    window_max=ORDERS_WINDOW_MAX,
    visibility_lag=timedelta(seconds=2),
)


class Kuaishou:
    """One Kuaishou shop; a `connectors.base.Platform`."""

    capabilities = CAPABILITIES

    def __init__(self, transport: Transport, credentials: Credentials, tokens: Tokens) -> None:
        """Call over `transport` as this app, for the seller who granted `tokens`."""
        self._requests = Requests(transport, credentials, tokens)
        self._stock = Stock(self._requests)
        self._orders = Orders(self._requests)
        self._refreshing = Refreshing(self._requests)

    async def change(self, change: Change) -> Applied:
        """Move what one listing shows; raises `BelowZero` where fewer units are shown, and then nothing is applied.

        In goods-inventory mode the platform clamps at zero instead, and the units really moved are the answer.
        """
        return await self._stock.change(change)

    async def change_many(self, changes: Sequence[Change]) -> list[Applied | ConnectorError]:
        """The same for several listings, one call each: Kuaishou has no batch."""
        return [await self._tried(change) for change in changes]

    async def set_shown(self, key: ListingKey, units: int) -> Applied:
        """Raises `Rejected`: Kuaishou's item stock moves by differences only."""
        raise Rejected("Kuaishou has no call that sets what a listing shows")

    async def read(self, keys: Sequence[ListingKey]) -> dict[ListingKey, Shelf | ConnectorError]:
        """What these listings show, one call per item."""
        return await self._stock.read(keys)

    def orders(self, since: datetime, until: datetime) -> AsyncIterator[list[OrderSnapshot]]:
        """Every order updated in [since, until], itself or by a refund; an order may come twice."""
        return self._orders.updated(since, until)

    async def order(self, order_id: str) -> OrderSnapshot | None:
        """One order as it is now."""
        return await self._orders.one(order_id)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """New tokens for the old, under one lock; store them at once, for the old refresh token dies."""
        return await self._refreshing.refresh(tokens)

    def use(self, tokens: Tokens) -> None:
        """From now on call with these."""
        self._requests.tokens = tokens

    def open(self, inbound: Inbound) -> list[Hint]:
        """Decrypt a push; raises `Forged`. It proves nothing: ask for the order."""
        return pushes.open_push(inbound.body, self._requests.credentials)

    def reply(self, *, taken: bool) -> Reply:
        """What ends the redelivery, or asks for it."""
        return pushes.reply(taken=taken)

    async def listen(self, heard: Callable[[Hint], Awaitable[None]]) -> None:
        """Return at once: Kuaishou has no long connection."""

    async def _tried(self, change: Change) -> Applied | ConnectorError:
        try:
            return await self.change(change)
        except ConnectorError as error:
            return error
