"""Three platforms, a real agent each, one gateway; of every fault a SKU of its own in each shop.

So a fault is injected at all three platforms at once, and one that is not over yet bears on no other's SKUs.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc.aio

from connectors.agent import Agent
from connectors.base import ListingKey
from connectors.gateway_client import GatewayAddress, GatewayClient
from connectors.inbox import Inbox
from connectors.sandbox.city import PLATFORMS, City, CitySettings, Stall, open_city
from connectors.sandbox.faults import Weather
from connectors.sandbox.shop import Shop
from connectors.settings import AgentSettings
from connectors.transport import TransportLimits
from gateway.store.database import Clock
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as selling
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as stock
from gateway.v1.operations_pb2 import Explanation
from tests.client import Client, made

UNITS = 30
MORE = 10
STILL = Weather(latency_seconds=0, latency_spread_seconds=0, push_delay_seconds=0)
# Failures do not open the breaker here, unless that is what the test is about.
LIMITS = TransportLimits(calls_per_second=200, deadline_seconds=8.0, tries_max=1, breaker_failures=100_000)
QUICK = AgentSettings(
    limits=LIMITS,
    poll_seconds=0.5,
    round_seconds=1000,
    heartbeat_seconds=0.25,
    backoff_seconds=0.05,
    backoff_seconds_max=0.3,
    reread_seconds=0.1,
    fruitless_seconds=0.05,
    fruitless_seconds_max=0.3,
    credentials_seconds=0.5,
    standby_seconds=30,
    progress_seconds=1,
)
# Who has no answer by then takes it for lost.
IMPATIENT = replace(QUICK, limits=replace(LIMITS, deadline_seconds=1.0))
BREAKS_SOON = replace(QUICK, limits=replace(LIMITS, breaker_failures=2, breaker_seconds=30))
# Nobody walks through the orders: they come in by pushes alone.
WALKS_NEVER = replace(QUICK, poll_seconds=3_600)
_PLATFORM = {
    "taobao": channel_pb2.PLATFORM_TAOBAO,
    "douyin": channel_pb2.PLATFORM_DOUYIN,
    "kuaishou": channel_pb2.PLATFORM_KUAISHOU,
}
WAIT_SECONDS = 25.0


@dataclass
class World:
    """What a fault is injected into."""

    client: Client
    address: str
    city: City
    clock: Clock
    inbox: Inbox
    faults: tuple[str, ...]
    agents: dict[str, tuple[Agent, "asyncio.Task[None]"]] = field(default_factory=dict)
    gateway: GatewayClient | None = None
    asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(3))

    # ---- what there is

    def sku(self, fault: str, platform: str) -> str:
        return f"{fault}-{platform}"

    def key(self, fault: str, platform: str) -> ListingKey:
        return self.city.goods[self.faults.index(fault)].keys[platform]

    def shop(self, platform: str) -> Shop:
        return self.city.shops[platform]

    def stall(self, platform: str) -> Stall:
        return self.city.stalls[platform]

    def shown(self, fault: str, platform: str) -> int:
        return self.shop(platform).displays[self.key(fault, platform)].shown

    async def explain(self, sku: str, channel: str, at: datetime | None = None) -> Explanation:
        request = operations.ExplainListingRequest(sku=sku, channel=channel)
        if at is not None:
            request.at.FromDatetime(at)
        # Not more at once than people would ask: the machine has other work.
        async with self.asking:
            try:
                [found] = (await self.client.operations.ExplainListing(request, **self.client.options)).explanations
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return await self._asked_again(request)
        return found

    async def _asked_again(self, request: operations.ExplainListingRequest) -> Explanation:
        """A busy machine's database may have been too slow for once."""
        [found] = (await self.client.operations.ExplainListing(request, **self.client.options)).explanations
        return found

    # ---- what is done

    async def link(self, sku: str, channel: str, key: ListingKey) -> None:
        listing = {"channel": channel, "item_id": key.item_id, "platform_sku_id": key.platform_sku_id}
        content = {**listing, "components": [{"sku": sku, "units": 1}]}
        await self.client.ask(self.client.catalog.LinkListing, catalog.LinkListingRequest, listing=content)

    async def relink(self, sku: str, channel: str, other: str) -> None:
        """The channel's listing of one SKU sells another from now on."""
        fault = sku.removesuffix(f"-{channel}")

        async def is_idle() -> bool:
            found = (await self.explain(sku, channel)).listing
            return found.exposure == 0 and not found.HasField("push")

        await eventually(is_idle)
        await self.link(other, channel, self.key(fault, channel))

    async def receive(self, sku: str, units: int = MORE) -> None:
        await self.client.receive(sku, units)

    async def lose(self, sku: str, units: int) -> None:
        await self.client.tell(
            self.client.stock.AdjustStock, stock.AdjustStockRequest, sku=sku, change=-units, reason="gone"
        )

    async def divide(self, sku: str, **policy: Any) -> None:
        content = {"sku": sku, **policy}
        await self.client.ask(self.client.catalog.SetPolicy, catalog.SetPolicyRequest, policy=content)

    async def resync(self, sku: str, channel: str) -> None:
        asked = selling.ListListingsRequest(sku=sku, channel=channel)
        [listing] = (await self.client.selling.ListListings(asked, **self.client.options)).listings
        request = selling.ResyncListingRequest(listing_id=listing.listing_id)
        await self.client.selling.ResyncListing(request, **self.client.options)

    async def authorise(self, platform: str) -> None:
        stall = self.stall(platform)
        tokens = stall.sandbox.issue_tokens()
        request = made(
            catalog.SetCredentialsRequest,
            channel=platform,
            credentials_json=stall.credentials_json,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
        )
        if tokens.expire_time is not None:
            request.expire_time.FromDatetime(tokens.expire_time)
        await self.client.catalog.SetCredentials(request, **self.client.options)

    def set_weather(self, weather: Weather = STILL, platforms: Iterable[str] = PLATFORMS) -> None:
        for platform in platforms:
            self.stall(platform).faults.weather = weather

    # ---- agents

    def start(self, settings: AgentSettings = QUICK) -> None:
        """An agent for each platform."""
        self.gateway = self.gateway or GatewayClient(GatewayAddress(self.address))
        for platform in PLATFORMS:
            agent = Agent(self.gateway, platform, settings, inbox=self.inbox)
            self.agents[platform] = (agent, asyncio.create_task(agent.run()))

    async def kill(self) -> None:
        """All agents, in the middle of whatever they do."""
        for _, task in self.agents.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self.agents.values()), return_exceptions=True)
        self.agents.clear()

    async def restart(self, settings: AgentSettings = QUICK) -> None:
        """Others, and wait until they serve."""
        await self.kill()
        self.start(settings)

        async def is_served() -> bool:
            page = await self.client.ask(self.client.catalog.ListChannels, catalog.ListChannelsRequest)
            heard = {one.connector.connector_id for one in page.channels}
            return heard == {agent.connector_id for agent, _ in self.agents.values()}

        await eventually(is_served)


async def eventually(is_so: Any, seconds_max: float = WAIT_SECONDS) -> None:
    """Wait for what is about to be so; fail if it does not come."""
    async with asyncio.timeout(seconds_max):
        while not await is_so():  # noqa: ASYNC110 - the gateway is asked
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_world(address: str, clock: Clock, faults: tuple[str, ...]) -> AsyncIterator[World]:
    """A world in which nobody serves the channels yet; every SKU is on hand."""
    async with (
        open_city(CitySettings(weather="none", skus=len(faults))) as city,
        grpc.aio.insecure_channel(address) as channel,
        _served(Inbox()) as (inbox, door),
    ):
        world = World(Client(channel, ""), address, city, clock, inbox, faults)
        world.client.options.pop("metadata")
        world.set_weather()
        for platform, stall in city.stalls.items():
            stall.push_url = f"http://{door}/inbox/{platform}"
            await _open_channel(world, platform)
        for fault in faults:
            for platform in PLATFORMS:
                await world.client.add_sku(world.sku(fault, platform), UNITS)
                await world.link(world.sku(fault, platform), platform, world.key(fault, platform))
        try:
            yield world
        finally:
            await world.kill()
            if world.gateway is not None:
                await world.gateway.close()


@asynccontextmanager
async def _served(inbox: Inbox) -> AsyncIterator[tuple[Inbox, str]]:
    async with inbox.serving("127.0.0.1", 0) as door:
        yield inbox, door


async def _open_channel(world: World, platform: str) -> None:
    facts = {"apply_late_limit": {"nanos": 200_000_000}, "clock_margin": {}}
    channel = {"channel": platform, "platform": _PLATFORM[platform], "facts": facts}
    await world.client.ask(world.client.catalog.CreateChannel, catalog.CreateChannelRequest, channel=channel)
    await world.authorise(platform)


def as_of(explanation: Explanation) -> datetime:
    """When it was so."""
    return explanation.as_of.ToDatetime(UTC)
