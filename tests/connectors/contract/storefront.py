"""A shop on any platform, over real HTTP, and its connector as the agent would have it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.base import BelowZeroRule, Change, ListingKey, OrderSnapshot, Platform, Tokens
from connectors.contract import PlatformName
from connectors.errors import ConnectorError, Misunderstood
from connectors.platforms import platform_of
from connectors.sandbox.city import Stall
from connectors.sandbox.douyin import DouyinSandbox, DouyinSettings
from connectors.sandbox.faults import Faults, Weather
from connectors.sandbox.kuaishou import KuaishouSandbox, KuaishouSettings
from connectors.sandbox.serving import serving
from connectors.sandbox.shop import Shop, ShopOrder
from connectors.sandbox.taobao import Settings as TaobaoSettings
from connectors.sandbox.taobao import TaobaoSandbox
from connectors.transport import Transport, TransportLimits

T = TypeVar("T")
Sandbox = TaobaoSandbox | DouyinSandbox | KuaishouSandbox

# Two SKUs of one item, and one of another; all platforms know such ids.
RED = ListingKey("3540000000000000001", "1760000000000001")
BLUE = ListingKey("3540000000000000001", "1760000000000002")
CUP = ListingKey("3540000000000000003", "1760000000000003")
GONE = ListingKey("3540000000000000004", "1760000000000004")
STRANGE = ListingKey("3540000000000000099", "1760000000000099")
SHOWN = 10

STILL = Weather(latency_seconds=0, latency_spread_seconds=0, push_delay_seconds=0)
LIMITS = TransportLimits(calls_per_second=1000, deadline_seconds=5, breaker_failures=1000)
# Gives up on an answer that never comes.
HASTY = replace(LIMITS, deadline_seconds=0.2)
# Reading the machine's certificates takes longer than most tests, and nothing here is encrypted.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
WAIT_SECONDS_MAX = 10.0


class HandClock:
    """A clock that a test moves; it begins in the past, so that whatever it says is over."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.time

    def pass_by(self, **units: float) -> None:
        self.time += timedelta(**units)


class Stage:
    """One server for all tests: starting and stopping one takes longer than most. Its app is whatever is on."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.address = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app, "nobody is on"
        await self.app(scope, receive, send)


@dataclass
class Storefront:
    """Both sides of the wire."""

    name: str
    clock: HandClock
    shop: Shop
    faults: Faults
    sandbox: Sandbox
    stall: Stall
    platform: Platform
    transport: Transport
    stage: Stage
    client: httpx.AsyncClient
    secrets: set[str] = field(default_factory=set)

    def another(self, limits: TransportLimits = LIMITS, tokens: Tokens | None = None) -> Platform:
        """Another connector to the same shop, with calls of its own."""
        return self._connected(Transport(self.client, limits), tokens or self.stall.tokens)

    def lose_patience(self) -> None:
        """From now on wait for an answer only as long as a test can."""
        self.transport.limits = HASTY

    def shown(self, key: ListingKey = CUP) -> int:
        """What a listing shows, by the shop itself."""
        return self.shop.displays[key].shown

    def sell(self, key: ListingKey = CUP, quantity: int = 1) -> ShopOrder:
        """A buyer orders and pays, a second apart."""
        order = self.shop.place({key: quantity})
        self.clock.pass_by(seconds=1)
        return self.shop.pay(order.order_id)

    def end_access(self) -> None:
        """All access tokens end; those that refresh live on."""
        match self.sandbox:
            case TaobaoSandbox():
                self.sandbox.grants.revoke_all()
            case DouyinSandbox():
                self.sandbox.grants.expire()
            case KuaishouSandbox():
                self.sandbox.grants.expire_access()

    async def seen(self, since: datetime, until: datetime) -> dict[str, OrderSnapshot]:
        """The orders of a span, the last word on each."""
        pages = [page async for page in self.platform.orders(since, until)]
        return {order.order_id: order for page in pages for order in page}

    async def failure(self, call: Awaitable[object]) -> ConnectorError:
        """The error that a call raises; no secret stands in it, nor in what it came of."""
        try:
            result = await call
        except ConnectorError as error:
            self.require_discreet(error)
            return error
        raise AssertionError(f"{self.name} answered {result}")

    def require_discreet(self, error: ConnectorError) -> None:
        """Fail if a secret stands in the error or in what it came of."""
        chain: BaseException | None = error
        while chain is not None:
            body = chain.body.decode(errors="replace") if isinstance(chain, Misunderstood) else ""
            text = f"{chain} {chain!r} {getattr(chain, 'code', '')} {body}"
            told = [secret[:4] for secret in self.secrets if secret in text]
            assert not told, f"{self.name}: {type(chain).__name__} tells {len(told)} secrets: {text[:300]}"
            chain = chain.__cause__

    def _connected(self, transport: Transport, tokens: Tokens) -> Platform:
        self.secrets |= {tokens.access_token, tokens.refresh_token} - {""}
        return platform_of(PlatformName(self.name), self.stall.credentials_json, transport, tokens)


@dataclass(frozen=True)
class Variant:
    """One way in which a platform may be met."""

    platform: str
    # It stops a lowering at what is there, and says so.
    clamps: bool = False
    # Orders stay out of the lists for so long.
    lag_seconds: float = 0.0

    def sandbox(self, shop: Shop, faults: Faults) -> Sandbox:
        """The platform before the shop."""
        match self.platform:
            case "taobao":
                lag = timedelta(seconds=self.lag_seconds)
                return TaobaoSandbox(shop, faults, TaobaoSettings(orders_visible_after=lag))
            case "douyin":
                rule = BelowZeroRule.CLAMPS if self.clamps else BelowZeroRule.REFUSES
                return DouyinSandbox(shop, faults, DouyinSettings(below_zero=rule))
            case _:
                items = frozenset({RED.item_id, CUP.item_id}) if self.clamps else frozenset[str]()
                settings = KuaishouSettings(goods_inventory_items=items, visibility_lag_seconds=self.lag_seconds)
                return KuaishouSandbox(shop, faults, settings)


@dataclass
class ClampingStall(Stall):
    """A Douyin shop whose owner has found out that it clamps."""

    @property
    def credentials(self) -> dict[str, str]:
        return {**super().credentials, "below_zero": "clamps"}


@asynccontextmanager
async def open_storefront(variant: Variant, stage: Stage, client: httpx.AsyncClient) -> AsyncIterator[Storefront]:
    """A shop that sells three things, ten of each, and had a fourth."""
    clock = HandClock()
    shop = Shop(now=clock)
    for key in (RED, BLUE, CUP, GONE):
        shop.put_on_sale(key, title=f"title {key.platform_sku_id}", outer_id=f"c{key.platform_sku_id}", shown=SHOWN)
    shop.displays[GONE].deleted = True
    faults = Faults(seed=1, weather=STILL)
    sandbox = variant.sandbox(shop, faults)
    kind = ClampingStall if variant.clamps and variant.platform == "douyin" else Stall
    stall = kind(variant.platform, shop, faults, sandbox, "none", sandbox.issue_tokens(), stage.address)
    transport = Transport(client, LIMITS)
    platform = platform_of(PlatformName(variant.platform), stall.credentials_json, transport, stall.tokens)
    stage.app = sandbox.app
    front = Storefront(
        variant.platform, clock, shop, faults, sandbox, stall, platform, transport, stage, client, _secrets(stall)
    )
    running = asyncio.create_task(sandbox.run())
    try:
        yield front
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        stage.app = None


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """The server of all storefronts."""
    stage = Stage()
    async with serving(stage) as stage.address:
        yield stage


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what is about to happen; fail if it does not."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not is_so():  # noqa: ASYNC110 - what is waited for is a plain value
            await asyncio.sleep(0.002)


def change(units: int, change_id: str = "77", key: ListingKey = CUP) -> Change:
    """A change of what a listing shows."""
    return Change(key, units, change_id)


def _secrets(stall: Stall) -> set[str]:
    """What must not be told: tokens, and every credential that is one."""
    known: dict[str, str] = json.loads(stall.credentials_json)
    keys = {value for name, value in known.items() if name.endswith("_secret")}
    assert keys, "a platform without a secret would prove nothing"
    return keys | {stall.tokens.access_token, stall.tokens.refresh_token}
