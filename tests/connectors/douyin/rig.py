"""A Douyin shop, its platform on a free port, and a connector to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.base import Change, ListingKey, OrderSnapshot
from connectors.douyin import Credentials, Douyin
from connectors.sandbox import faults as faults_module
from connectors.sandbox.douyin import DouyinSandbox, DouyinSettings
from connectors.sandbox.faults import Faults, Weather
from connectors.sandbox.serving import serving
from connectors.sandbox.shop import Shop, ShopFacts, ShopOrder
from connectors.transport import Transport, TransportLimits

CUP = ListingKey("3539925204033339668", "1736502463777799")
PLATE = ListingKey("3539925204033339668", "1736502463777800")
BOWL = ListingKey("3539925204033339669", "1736502463777801")
STILL = Weather(latency_seconds=0, latency_spread_seconds=0, push_delay_seconds=0)
SEED = 20260102


@dataclass
class HandClock:
    """A clock that stands until it is moved."""

    time: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


@dataclass
class Rig:
    """All of it."""

    clock: HandClock
    shop: Shop
    faults: Faults
    sandbox: DouyinSandbox
    douyin: Douyin
    transport: Transport
    credentials: Credentials
    client: httpx.AsyncClient
    address: str

    def shown(self, key: ListingKey = CUP) -> int:
        """What the shop shows."""
        return self.shop.displays[key].shown

    def sell(self, quantity: int = 1, key: ListingKey = CUP) -> ShopOrder:
        """A buyer orders and pays."""
        return self.shop.pay(self.shop.place({key: quantity}).order_id)

    async def seen(self, since: datetime, until: datetime | None = None) -> dict[str, OrderSnapshot]:
        """The orders of a span, each as it was seen last."""
        pages = [page async for page in self.douyin.orders(since, until or self.clock.time)]
        return {order.order_id: order for page in pages for order in page}


@asynccontextmanager
async def rigged(
    settings: DouyinSettings | None = None,
    *,
    facts: ShopFacts | None = None,
    deadline_seconds: float = 5.0,
    tries_max: int = 3,
) -> AsyncIterator[Rig]:
    """Everything, for one test; three listings that show 10, 20 and 30."""
    settings, clock = settings or DouyinSettings(), HandClock()
    shop = Shop(facts or ShopFacts(), now=clock)
    for key, shown in ((CUP, 10), (PLATE, 20), (BOWL, 30)):
        shop.put_on_sale(key, outer_id=f"code-{key.platform_sku_id}", shown=shown)
    faults = Faults(SEED, STILL)
    sandbox = DouyinSandbox(shop, faults, settings)
    limits = TransportLimits(calls_per_second=1000, deadline_seconds=deadline_seconds, tries_max=tries_max)
    # A call that is not answered hangs for longer than the connector waits, and not so long that the server must wait.
    hang_seconds = 4 * deadline_seconds if deadline_seconds < 1 else faults_module.HANG_SECONDS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults_module, "HANG_SECONDS", hang_seconds)
        async with serving(sandbox.app) as address, httpx.AsyncClient(verify=False) as client:
            credentials = Credentials(
                settings.app_key,
                settings.app_secret,
                base_url=f"http://{address}",
                event_sign_method=settings.event_sign_method,
                below_zero=settings.below_zero,
            )
            transport = Transport(client, limits)
            douyin = Douyin(transport, credentials, sandbox.issue_tokens())
            yield Rig(clock, shop, faults, sandbox, douyin, transport, credentials, client, address)


def change(units: int, change_id: str = "c-1", key: ListingKey = CUP) -> Change:
    """A change of what a listing shows."""
    return Change(key, units, change_id)
