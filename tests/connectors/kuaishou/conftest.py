"""A Kuaishou sandbox on a free port, and a connector that calls it over real HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx
import pytest

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
    """The platform's clock: real time, moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class OpenBench(Protocol):
    """Makes a bench."""

    def __call__(
        self,
        settings: KuaishouSettings = ...,
        *,
        weather: Weather = ...,
        seed: int = ...,
        facts: ShopFacts = ...,
        limits: TransportLimits = ...,
        clock: Callable[[], datetime] = ...,
    ) -> Awaitable[Bench]: ...


@pytest.fixture
async def open_bench() -> AsyncIterator[OpenBench]:
    """Benches that end with the test."""
    async with AsyncExitStack() as stack:

        async def make(
            settings: KuaishouSettings = KuaishouSettings(),
            *,
            weather: Weather = STILL,
            seed: int = 1,
            facts: ShopFacts = ShopFacts(),
            limits: TransportLimits = TransportLimits(calls_per_second=1000, deadline_seconds=0.3),
            clock: Callable[[], datetime] = Clock(),
        ) -> Bench:
            print(f"seed {seed}")
            shop = Shop(facts, now=clock)
            for key, shown in ((CUP, 10), (LID, 5), (BOX, 100)):
                shop.put_on_sale(key, title=f"title {key.platform_sku_id}", outer_id=key.platform_sku_id, shown=shown)
            sandbox = KuaishouSandbox(shop, Faults(seed, weather), settings)
            address = await stack.enter_async_context(serving(sandbox.app))
            client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            credentials = credentials_of(settings, f"http://{address}")
            transport, tokens = Transport(client, limits), sandbox.issue_tokens()
            kuaishou = Kuaishou(transport, credentials, tokens)
            return Bench(sandbox, kuaishou, transport, client, credentials, tokens, f"http://{address}")

        yield make


@pytest.fixture
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


def stock(settings: KuaishouSettings, **changes: object) -> KuaishouSettings:
    """The same settings but for these."""
    return replace(settings, **changes)  # type: ignore[arg-type]  # a test's own words
