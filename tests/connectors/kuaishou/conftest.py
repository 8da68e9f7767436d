"""Kuaishou sandboxes on a free port, and connectors that call them over real HTTP.

One server serves whichever sandbox is on, since starting and stopping one takes longer than most tests; so all of them
run on one loop.
"""

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx
import pytest_asyncio
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.base import ListingKey, OrderSnapshot, Tokens
from connectors.kuaishou import Credentials, Kuaishou
from connectors.sandbox.faults import Faults, Weather
from connectors.sandbox.kuaishou import KuaishouSandbox, KuaishouSettings
from connectors.sandbox.serving import serving
from connectors.sandbox.shop import Shop, ShopFacts
from connectors.transport import Transport, TransportLimits

CUP = ListingKey("405050285370", "9000001")
LID = ListingKey("405050285370", "9000002")
BOX = ListingKey("405050285999", "9100001")

SETTINGS = KuaishouSettings()
FACTS = ShopFacts()
LIMITS = TransportLimits(calls_per_second=1000)
STILL = Weather(latency_seconds=0, latency_spread_seconds=0, push_delay_seconds=0)


@dataclass
class Bench:
    """A sandbox, and a seller's connector before it."""

    sandbox: KuaishouSandbox
    kuaishou: Kuaishou
    transport: Transport
    client: httpx.AsyncClient
    credentials: Credentials
    tokens: Tokens
    url: str

    @property
    def shop(self) -> Shop:
        return self.sandbox.shop

    @property
    def faults(self) -> Faults:
        return self.sandbox.faults

    def lose_patience(self) -> None:
        """From now on wait for an answer only as long as a test can."""
        self.transport.limits = replace(LIMITS, deadline_seconds=0.25)

    def shown(self, key: ListingKey = CUP) -> int:
        """What a listing shows, by the shop itself."""
        return self.shop.displays[key].shown

    async def orders(self, span: timedelta = timedelta(hours=1)) -> dict[str, OrderSnapshot]:
        """The orders of the last hour, the last word on each."""
        until = self.shop.time + timedelta(seconds=1)
        found: dict[str, OrderSnapshot] = {}
        async for page in self.kuaishou.orders(until - span, until):
            for snapshot in page:
                found[snapshot.order_id] = snapshot
        return found


class Clock:
    """The platform's clock: real time, or stopped at one; moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.stopped: datetime | None = None

    def __call__(self) -> datetime:
        return (self.stopped or datetime.now(UTC)) + self.ahead


class OpenBench(Protocol):
    """Makes a bench."""

    def __call__(
        self,
        settings: KuaishouSettings = ...,
        *,
        weather: Weather = ...,
        seed: int = ...,
        facts: ShopFacts = ...,
        clock: Clock | None = ...,
    ) -> Awaitable[Bench]: ...


class Stage:
    """The one server's app: the sandbox that was put on last, and below `/seller` the seller's own server."""

    def __init__(self) -> None:
        self.url = ""
        self.on: ASGIApp | None = None
        self.seller: ASGIApp | None = None
        self.client = httpx.AsyncClient(trust_env=False, verify=False)  # making one takes longer than most tests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.seller if scope["path"].startswith("/seller") else self.on
        assert app is not None, "nobody is on"
        await app(scope, receive, send)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage() -> AsyncIterator[Stage]:
    """The server of all benches."""
    stage = Stage()
    async with serving(stage) as address, stage.client:
        stage.url = f"http://{address}"
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def open_bench(stage: Stage) -> OpenBench:
    """Makes benches; the one opened last is on."""

    async def make(
        settings: KuaishouSettings = SETTINGS,
        *,
        weather: Weather = STILL,
        seed: int = 1,
        facts: ShopFacts = FACTS,
        clock: Clock | None = None,
    ) -> Bench:
        print(f"seed {seed}")
        shop = Shop(facts, now=clock or Clock())
        for key, shown in ((CUP, 10), (LID, 5), (BOX, 100)):
            shop.put_on_sale(key, title=f"title {key.platform_sku_id}", outer_id=key.platform_sku_id, shown=shown)
        sandbox = KuaishouSandbox(shop, Faults(seed, weather), settings)
        stage.on = sandbox.app
        credentials = credentials_of(settings, stage.url)
        transport, tokens = Transport(stage.client, LIMITS), sandbox.issue_tokens()
        kuaishou = Kuaishou(transport, credentials, tokens)
        return Bench(sandbox, kuaishou, transport, stage.client, credentials, tokens, stage.url)

    return make


@pytest_asyncio.fixture(loop_scope="session")
async def bench(open_bench: OpenBench) -> Bench:
    """A shop in calm weather."""
    return await open_bench()


def credentials_of(settings: KuaishouSettings, url: str) -> Credentials:
    """The keys of the sandbox's app."""
    return Credentials(
        app_key=settings.app_key,
        app_secret=settings.app_secret,
        sign_secret=settings.sign_secret,
        message_secret=settings.message_secret,
        base_url=url,
    )
