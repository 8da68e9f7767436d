"""A shop on a sandbox, a gateway's book, and agents between them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from connectors.agent import Agent
from connectors.base import ListingKey
from connectors.gateway_client import GatewayAddress, GatewayClient
from connectors.inbox import Inbox
from connectors.sandbox.douyin import DouyinSandbox, DouyinSettings
from connectors.sandbox.faults import Faults, Weather
from connectors.sandbox.kuaishou import KuaishouSandbox, KuaishouSettings
from connectors.sandbox.serving import serving
from connectors.sandbox.shop import Shop, ShopFacts
from connectors.sandbox.taobao import Settings, TaobaoSandbox
from connectors.settings import AgentSettings
from connectors.transport import TransportLimits
from gateway.v1 import channel_pb2
from tests.connectors.agent.gateway import CHANNEL, Book, serving_gateway

MUG = ListingKey("9007199254740993001", "9007199254740993101")
CUP = ListingKey("9007199254740993001", "9007199254740993103")
BOX = ListingKey("9007199254740993003", "9007199254740993105")
MUG_ID, CUP_ID, BOX_ID = 1, 2, 3
SHOWN = 10

STILL = Weather(latency_seconds=0, latency_spread_seconds=0, push_delay_seconds=0)
LIMITS = TransportLimits(calls_per_second=1000, deadline_seconds=0.5, breaker_failures=1000)
QUICK = AgentSettings(
    limits=LIMITS,
    poll_seconds=0.05,
    round_seconds=1000,
    heartbeat_seconds=0.05,
    backoff_seconds=0.02,
    backoff_seconds_max=0.1,
    refused_order_seconds=0.1,
    reread_seconds=0.05,
    fruitless_seconds=0.01,
    credentials_seconds=0.2,
    standby_seconds=0.3,
    progress_seconds=1,
)

# Waits for an answer longer than any test lasts: killed before it gives up.
PATIENT = replace(QUICK, limits=replace(LIMITS, deadline_seconds=60))

AnySandbox = TaobaoSandbox | KuaishouSandbox | DouyinSandbox


@dataclass
class Desk:
    """All that a test needs to see."""

    shop: Shop
    faults: Faults
    sandbox: Any
    book: Book
    gateway_address: str
    inbox: Inbox
    inbox_address: str
    running: dict[Agent, "asyncio.Task[None]"] = field(default_factory=dict)
    clients: list[GatewayClient] = field(default_factory=list)

    def shown(self, key: ListingKey = MUG) -> int:
        return self.shop.displays[key].shown

    def start(self, settings: AgentSettings = QUICK, inbox: Inbox | None = None) -> Agent:
        """A new process, as it were: its own connection, no memory."""
        client = GatewayClient(GatewayAddress(self.gateway_address))
        self.clients.append(client)
        agent = Agent(client, CHANNEL, settings, inbox=inbox or self.inbox)
        self.running[agent] = asyncio.create_task(agent.run())
        return agent

    async def serve(self, settings: AgentSettings = QUICK) -> Agent:
        """Start one, and wait until it follows the stream; what is pushed then nobody else has begun."""
        agent = self.start(settings)
        await until(lambda: self.book.connector.connector_id == agent.connector_id and self.book.streams)
        return agent

    async def kill(self, agent: Agent) -> None:
        """End it in the middle of whatever it does."""
        task = self.running.pop(agent)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def stop(self, agent: Agent) -> None:
        agent.stop()
        async with asyncio.timeout(8):
            await self.running.pop(agent)

    async def report_on(self, push_id: int) -> channel_pb2.PushReport:
        """The first report on a push, once there is one."""
        await until(lambda: bool(self.book.reports_on(push_id)))
        return self.book.reports_on(push_id)[0]


async def until(is_so: Callable[[], Any]) -> None:
    """Wait for what is about to happen; fail if it does not."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - what is waited for is a plain value
            await asyncio.sleep(0.005)


def a_shop(facts: ShopFacts | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Shop:
    shop = Shop(facts or ShopFacts(), now=now)
    for key, title in ((MUG, "mug"), (CUP, "cup"), (BOX, "box")):
        shop.put_on_sale(key, title=title, outer_id=title, shown=SHOWN)
    return shop


@asynccontextmanager
async def taobao_desk(shop: Shop | None = None, settings: Settings | None = None) -> AsyncIterator[Desk]:
    """On Taobao: not idempotent, refuses below zero, sets absolutely, raises twenty SKUs of an item at once."""
    shop, faults = shop or a_shop(), Faults(seed=1, weather=STILL)
    sandbox = TaobaoSandbox(shop, faults, settings)
    known = sandbox.settings
    keys = {"app_key": known.app_key, "app_secret": known.app_secret}
    async with _a_desk(sandbox, channel_pb2.PLATFORM_TAOBAO, keys) as desk:
        yield desk


@asynccontextmanager
async def kuaishou_desk(shop: Shop | None = None, settings: KuaishouSettings | None = None) -> AsyncIterator[Desk]:
    """On Kuaishou: pushes over HTTP."""
    shop, faults = shop or a_shop(), Faults(seed=1, weather=STILL)
    sandbox = KuaishouSandbox(shop, faults, settings)
    known = sandbox.settings
    names = ("app_key", "app_secret", "sign_secret", "message_secret")
    keys = {name: getattr(known, name) for name in names}
    async with _a_desk(sandbox, channel_pb2.PLATFORM_KUAISHOU, keys) as desk:
        yield desk


@asynccontextmanager
async def douyin_desk(shop: Shop | None = None, settings: DouyinSettings | None = None) -> AsyncIterator[Desk]:
    """On Douyin: a change repeated with its id is one change."""
    sandbox = DouyinSandbox(shop or a_shop(), Faults(seed=1, weather=STILL), settings)
    keys = {"app_key": sandbox.settings.app_key, "app_secret": sandbox.settings.app_secret}
    async with _a_desk(sandbox, channel_pb2.PLATFORM_DOUYIN, keys) as desk:
        yield desk


@asynccontextmanager
async def _a_desk(
    sandbox: AnySandbox, platform: channel_pb2.Platform.ValueType, keys: dict[str, str]
) -> AsyncIterator[Desk]:
    inbox, running = Inbox(), asyncio.create_task(sandbox.run())
    async with serving(sandbox.app) as address, inbox.serving("127.0.0.1", 0) as inbox_address:
        credentials = json.dumps({**keys, "base_url": f"http://{address}"})
        book = Book(platform, credentials, sandbox.issue_tokens())
        for listing_id, key in ((MUG_ID, MUG), (CUP_ID, CUP), (BOX_ID, BOX)):
            book.link(listing_id, key)
        async with serving_gateway(book) as gateway_address:
            desk = Desk(sandbox.shop, sandbox.faults, sandbox, book, gateway_address, inbox, inbox_address)
            yield desk
            for agent in list(desk.running):
                await desk.kill(agent)
            for client in desk.clients:
                await client.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def quick(**changes: Any) -> AgentSettings:
    """The quick settings, but for these."""
    return replace(QUICK, **changes)
