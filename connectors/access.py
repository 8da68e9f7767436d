"""A channel's way to its platform, kept open: tokens are renewed before they end and when they are refused.

Rotated tokens are stored in the gateway before the first call is made with them: a process that dies in between must
not take the only good ones with it. Several processes may renew at once; whoever stores first wins, and the others take
what is stored. When nothing helps, the channel is parked: no calls are made until a person has acted, but now and then
it is tried again.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from connectors.attempts import PARKED
from connectors.backoff import Backoff
from connectors.base import Applied, Change, ListingKey, OrderSnapshot, Platform, Shelf, Tokens
from connectors.contract import GatewayError, GatewayRefused, Grant, PlatformName
from connectors.errors import AuthExpired, ConnectorError
from connectors.gateway_client import GatewayClient
from connectors.needs import Needs
from connectors.platforms import BadCredentials, PlatformOf
from connectors.settings import AgentSettings
from connectors.transport import Transport

log = logging.getLogger(__name__)
T = TypeVar("T")

PAUSE_SECONDS_MIN = 0.2
# Tokens that are refused so soon after they were renewed are not what is wrong.
RENEWED_JUST_NOW_SECONDS = 30.0
_NEED = "authorization"


class Access:
    """One channel's platform, with the tokens of the day."""

    def __init__(
        self,
        gateway: GatewayClient,
        channel: str,
        name: PlatformName,
        transport: Transport,
        needs: Needs,
        settings: AgentSettings,
        platform_of: PlatformOf,
    ) -> None:
        """Parked until `open` has been called."""
        self.transport = transport
        # Set when the credentials are others than before: who holds a connection must make it anew.
        self.rebuilt = asyncio.Event()
        self._gateway, self._channel, self._name = gateway, channel, name
        self._needs, self._settings, self._platform_of = needs, settings, platform_of
        self._grant: Grant | None = None
        self._platform: Platform | None = None
        self._lock = asyncio.Lock()
        self._is_open = asyncio.Event()
        self._unsaved: Tokens | None = None
        self._lifetime_seconds = float("inf")
        self._renewed_at = float("-inf")

    @property
    def platform(self) -> Platform:
        """The platform; there is one once the channel has been open."""
        assert self._platform is not None, "not before open()"
        return self._platform

    @property
    def has_platform(self) -> bool:
        """True if the stored credentials are fit to speak to the platform."""
        return self._platform is not None

    @property
    def is_parked(self) -> bool:
        """True while no call may be made."""
        return not self._is_open.is_set()

    async def open(self) -> None:
        """Wait until the channel can be called."""
        await self._is_open.wait()

    # ---- calls

    async def change(self, change: Change) -> Applied:
        """`Platform.change`."""
        return await self._through(lambda: self.platform.change(change))

    async def change_many(self, changes: Sequence[Change]) -> list[Applied | ConnectorError]:
        """`Platform.change_many`; changes that met a dead token are sent again with the next one."""
        used = self._tokens()
        results = await self.platform.change_many(changes)
        again = [place for place, result in enumerate(results) if isinstance(result, AuthExpired)]
        if again and await self._renewed(used):
            repeated = await self.platform.change_many([changes[place] for place in again])
            for place, result in zip(again, repeated, strict=True):
                results[place] = result
        return results

    async def set_shown(self, key: ListingKey, units: int) -> Applied:
        """`Platform.set_shown`."""
        return await self._through(lambda: self.platform.set_shown(key, units))

    async def read(self, keys: Sequence[ListingKey]) -> dict[ListingKey, Shelf | ConnectorError]:
        """`Platform.read`."""

        async def once() -> dict[ListingKey, Shelf | ConnectorError]:
            shelves = await self.platform.read(keys)
            for shelf in shelves.values():
                if isinstance(shelf, AuthExpired):
                    raise shelf
            return shelves

        return await self._through(once)

    async def order(self, order_id: str) -> OrderSnapshot | None:
        """`Platform.order`."""
        return await self._through(lambda: self.platform.order(order_id))

    async def orders(self, since: datetime, until: datetime) -> AsyncIterator[list[OrderSnapshot]]:
        """`Platform.orders`; a token that dies on the way ends the walk, with the next one in place."""
        used = self._tokens()
        try:
            async for page in self.platform.orders(since, until):
                yield page
        except AuthExpired:
            await self._renewed(used)
            raise

    # ---- tokens

    async def tend(self) -> None:
        """Take what is stored, renew it early, and notice when somebody stores other credentials; until cancelled."""
        backoff = Backoff(self._settings.backoff_seconds, self._settings.credentials_seconds)
        while True:
            try:
                await self._look()
                backoff.succeeded()
                self._needs.settle("credentials")
            except GatewayRefused as error:
                # What we have may do for a while; if we have nothing, nothing is open.
                self._needs.want("credentials", f"the gateway hands out none: {error.message}")
                await backoff.pause()
            except (GatewayError, ConnectorError) as error:
                log.warning("tokens not tended", extra={"channel": self._channel, "error": type(error).__name__})
                await backoff.pause()
            else:
                await asyncio.sleep(self._pause_seconds())

    async def _look(self) -> None:
        async with self._lock:
            await self._take_stored()
            if self.is_parked or self._remaining_seconds() <= self._early_seconds():
                await self._renew_or_say()

    async def _renew_or_say(self) -> None:
        """A refusal while the token should still work is a warning; if it does not, the next call parks us again."""
        try:
            await self._renew()
        except AuthExpired as error:
            if self._remaining_seconds() <= 0:
                self._park(f"the seller must authorise the app again: {error.message}")
            else:
                self._needs.want(_NEED, f"the seller must authorise the app again: {error.message}")
                self._is_open.set()

    async def _through(self, call: Callable[[], Awaitable[T]]) -> T:
        used = self._tokens()
        try:
            return await call()
        except AuthExpired:
            if not await self._renewed(used):
                raise
        return await call()

    def _tokens(self) -> Tokens:
        """Those that a call is made with; raises `AuthExpired` while parked, so that no call is made."""
        if self._grant is None or self.is_parked:
            raise AuthExpired("the channel is parked", code=PARKED)
        return self._grant.tokens

    async def _renewed(self, used: Tokens) -> bool:
        """True if there are other tokens than these now; False if the channel is parked."""
        async with self._lock:
            try:
                if self._grant is not None and self._grant.tokens == used:
                    await self._take_stored()
                if self._grant is not None and self._grant.tokens == used:
                    self._require_old_enough()
                    await self._renew()
            except AuthExpired as error:
                self._park(f"the seller must authorise the app again: {error.message}")
            except (GatewayError, ConnectorError) as error:
                log.warning("tokens not renewed", extra={"channel": self._channel, "error": type(error).__name__})
                return False
            return not self.is_parked

    async def _take_stored(self) -> None:
        """Use what the gateway has, if it is not what we have."""
        if self._unsaved is not None:
            await self._save(self._unsaved)
        grant = await self._gateway.grant(self._channel)
        if self._grant is not None and grant.version == self._grant.version and self._platform is not None:
            return
        if self._platform is None or self._grant is None or grant.credentials_json != self._grant.credentials_json:
            self._build(grant)
        else:
            self._platform.use(grant.tokens)
        self._keep(grant)
        if self._platform is not None:
            self._unpark()

    def _require_old_enough(self) -> None:
        if time.monotonic() - self._renewed_at < RENEWED_JUST_NOW_SECONDS:
            raise AuthExpired("the platform refuses tokens that it has just issued")

    def _build(self, grant: Grant) -> None:
        if self._grant is not None:  # another application, with limits of its own
            self.transport.limiter.forgive()
        try:
            self._platform = self._platform_of(self._name, grant.credentials_json, self.transport, grant.tokens)
        except BadCredentials as error:
            self._platform = None
            self._park(str(error))
            return
        self.rebuilt.set()
        self.rebuilt = asyncio.Event()

    async def _renew(self) -> None:
        """New tokens for those we have, stored, then used. Raises what the platform and the gateway raise."""
        if self._grant is None or self._platform is None:
            return
        try:
            new = await self._platform.refresh(self._grant.tokens)
        except AuthExpired:
            version = self._grant.version
            await self._take_stored()
            # Somebody else may have renewed with the same refresh token, which is good for one only.
            if self._grant.version != version:
                return
            raise
        await self._save(new)
        log.info("tokens renewed", extra={"channel": self._channel, "version": self._grant.version})

    async def _save(self, new: Tokens) -> None:
        assert self._grant is not None
        assert self._platform is not None
        self._unsaved = new
        try:
            version = await self._gateway.store_tokens(self._channel, self._grant.version, new)
        except GatewayRefused as error:
            self._unsaved = None
            if error.reason != "TOKENS_CHANGED":
                raise
            log.info("tokens were renewed by somebody else", extra={"channel": self._channel})
            await self._take_stored()
            return
        self._unsaved = None
        self._platform.use(new)
        self._keep(Grant(self._grant.credentials_json, new, version))
        self._renewed_at = time.monotonic()
        self._unpark()

    def _keep(self, grant: Grant) -> None:
        self._grant = grant
        self._lifetime_seconds = self._remaining_seconds()

    # ---- parking

    def _park(self, text: str) -> None:
        self._is_open.clear()
        self._needs.want(_NEED, text)

    def _unpark(self) -> None:
        self._is_open.set()
        self._needs.settle(_NEED)

    # ---- times

    def _remaining_seconds(self) -> float:
        """Until the access token ends."""
        expire_time = self._grant.tokens.expire_time if self._grant else None
        if expire_time is None:
            return float("inf")
        return (expire_time - self.transport.platform_now()).total_seconds()

    def _early_seconds(self) -> float:
        """How long before its end a token is renewed; never more than half of the time we have had it for."""
        return min(self._settings.refresh_early_seconds, self._lifetime_seconds / 2)

    def _pause_seconds(self) -> float:
        """Not beyond the time to renew; with some chance, so that two processes seldom renew at once."""
        until_renewal = max(self._remaining_seconds() - self._early_seconds(), PAUSE_SECONDS_MIN)
        pause = min(self._settings.credentials_seconds, until_renewal)
        return pause * random.uniform(0.8, 1.0)  # noqa: S311 - no secret depends on it
