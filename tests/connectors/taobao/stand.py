"""A shop on the sandbox's Taobao over real HTTP, and the connector before it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.base import ListingKey, Tokens
from connectors.sandbox.faults import Faults, Weather
from connectors.sandbox.serving import serving
from connectors.sandbox.shop import Shop, ShopFacts
from connectors.sandbox.taobao import Settings, TaobaoSandbox
from connectors.taobao import Credentials, Pace, Taobao
from connectors.transport import Transport, TransportLimits

# Ids beyond 2^53: a float would spoil them.
MUG_RED = ListingKey("9007199254740993001", "9007199254740993101")
MUG_BLUE = ListingKey("9007199254740993001", "9007199254740993103")
CUP = ListingKey("9007199254740993003", "")
SHOWN = 10

STILL = Weather(latency_seconds=0, latency_spread_seconds=0, push_delay_seconds=0)
LIMITS = TransportLimits(calls_per_second=1000, deadline_seconds=5, breaker_failures=1000)
# Gives up on an answer that never comes.
HASTY = replace(LIMITS, deadline_seconds=0.2)
PACE = Pace(pull_seconds=0.05, reconnect_seconds=0.01, after_error_seconds=0.02, consume_seconds=0.02)


# Reading the machine's certificates takes longer than most tests, and nothing here is encrypted.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_by(self, **units: float) -> None:
        self.time += timedelta(**units)


@dataclass
class Stand:
    """Both sides of the wire."""

    shop: Shop
    faults: Faults
    sandbox: TaobaoSandbox
    platform: Taobao
    transport: Transport
    credentials: Credentials
    tokens: Tokens
    client: httpx.AsyncClient

    @property
    def url(self) -> str:
        return self.credentials.base_url + "/router/rest"

    def another(
        self,
        credentials: Credentials | None = None,
        tokens: Tokens | None = None,
        limits: TransportLimits = LIMITS,
    ) -> Taobao:
        """Another connector to the same sandbox."""
        transport = Transport(self.client, limits)
        return Taobao(transport, credentials or self.credentials, tokens or self.tokens, PACE)

    def shown(self, key: ListingKey) -> int:
        return self.shop.displays[key].shown


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what is about to happen; fail if it does not."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - what is waited for is a plain value
            await asyncio.sleep(0.002)


class Door:
    """One server and one client for all tests, as starting and stopping them takes longer than most tests.

    Behind it stands the sandbox of whichever test is running.
    """

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.address = ""
        self.client: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app, "no stand is open"
        await self.app(scope, receive, send)


DOOR = Door()


@asynccontextmanager
async def an_open_door() -> AsyncIterator[None]:
    """Serve, for as many stands as there will be."""
    async with serving(DOOR) as DOOR.address, httpx.AsyncClient(verify=PLAIN) as DOOR.client:
        yield


@asynccontextmanager
async def a_stand(
    facts: ShopFacts | None = None, settings: Settings | None = None, shop: Shop | None = None
) -> AsyncIterator[Stand]:
    """A shop that sells two mugs of one item and a cup that has no SKUs, ten of each."""
    shop = shop or Shop(facts or ShopFacts())
    shop.put_on_sale(MUG_RED, title="mug", outer_id="MUG-R", shown=SHOWN)
    shop.put_on_sale(MUG_BLUE, title="mug", outer_id="MUG-B", shown=SHOWN)
    shop.put_on_sale(CUP, title="cup", outer_id="CUP", shown=SHOWN)
    faults = Faults(seed=1, weather=STILL)
    sandbox = TaobaoSandbox(shop, faults, settings)
    known, address, client = sandbox.settings, DOOR.address, DOOR.client
    assert client, "the door is closed"
    credentials = Credentials(known.app_key, known.app_secret, f"http://{address}", f"ws://{address}/")
    tokens, transport = sandbox.issue_tokens(), Transport(client, LIMITS)
    platform = Taobao(transport, credentials, tokens, PACE)
    DOOR.app = sandbox.app
    running = asyncio.create_task(sandbox.run())
    try:
        yield Stand(shop, faults, sandbox, platform, transport, credentials, tokens, client)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        DOOR.app = None
