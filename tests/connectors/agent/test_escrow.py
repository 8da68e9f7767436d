"""The whole way, on a real gateway: three platforms in harsh weather, buyers, and agents that are killed all the time.

A judge who sees all shops looks at every event: what is sold and could still be sold never exceeds what is on hand,
however often an agent dies, and however many serve one channel.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from connectors.agent import Agent
from connectors.gateway_client import GatewayAddress, GatewayClient
from connectors.inbox import Inbox
from connectors.sandbox.city import City, CitySettings, open_city
from connectors.sandbox.shop import Event, SoldOut
from connectors.settings import AgentSettings
from connectors.transport import TransportLimits
from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as pb
from tests.client import Client, made

UNITS = 60
PLATFORMS = {
    "taobao": channel_pb2.PLATFORM_TAOBAO,
    "douyin": channel_pb2.PLATFORM_DOUYIN,
    "kuaishou": channel_pb2.PLATFORM_KUAISHOU,
}
SETTINGS = AgentSettings(
    limits=TransportLimits(calls_per_second=50, deadline_seconds=0.5, breaker_seconds=0.5),
    poll_seconds=0.2,
    round_seconds=3,
    heartbeat_seconds=0.2,
    backoff_seconds=0.05,
    backoff_seconds_max=0.5,
    fruitless_seconds_max=0.5,
    standby_seconds=1.0,
)
# The sandbox applies late calls within two seconds.
APPLY_LATE_LIMIT = timedelta(seconds=3)


@dataclass
class Judge:
    """Sees every shop at every event."""

    city: City
    most: int = 0
    sales: int = 0
    refused: int = 0
    verdicts: list[str] = field(default_factory=list)

    def watch(self) -> None:
        for shop in self.city.shops.values():
            shop.heard.append(self._look)

    def _look(self, event: Event) -> None:
        shops = self.city.shops.values()
        sold = sum(order.live_units for shop in shops for order in shop.orders.values())
        shown = sum(display.shown for shop in shops for display in shop.displays.values())
        self.most = max(self.most, sold + shown)
        if sold + shown > UNITS:
            self.verdicts.append(f"{event.kind} at {event.time}: {sold} sold and {shown} shown of {UNITS}")


async def set_up(client: Client, city: City) -> None:
    """Goods on hand, and every shop of the city sells them."""
    [good] = city.goods
    await client.add_sku(good.sku, UNITS)
    for name, stall in city.stalls.items():
        facts = channel_pb2.ChannelFacts()
        facts.apply_late_limit.FromTimedelta(APPLY_LATE_LIMIT)
        channel = made(catalog_pb.CreateChannelRequest, channel={"channel": name, "platform": PLATFORMS[name]})
        channel.channel.facts.CopyFrom(facts)
        await client.catalog.CreateChannel(channel, **client.options)
        tokens = stall.tokens
        credentials = catalog_pb.SetCredentialsRequest(
            channel=name,
            credentials_json=stall.credentials_json,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
        )
        assert tokens.expire_time is not None
        credentials.expire_time.FromDatetime(tokens.expire_time)
        await client.catalog.SetCredentials(credentials, **client.options)
        key = good.keys[name]
        listing = {
            "channel": name,
            "item_id": key.item_id,
            "platform_sku_id": key.platform_sku_id,
            "components": [{"sku": good.sku, "units": 1}],
        }
        await client.catalog.LinkListing(made(catalog_pb.LinkListingRequest, listing=listing), **client.options)


@dataclass
class Crew:
    """The agents of one channel, who do not live long."""

    gateway: GatewayClient
    channel: str
    inbox: Inbox
    chance: random.Random
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def hire(self) -> None:
        agent = Agent(self.gateway, self.channel, SETTINGS, inbox=self.inbox)
        self.tasks.append(asyncio.create_task(agent.run()))

    async def kill(self) -> None:
        """End whichever, in the middle of whatever."""
        task = self.tasks.pop(self.chance.randrange(len(self.tasks)))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def churn(self) -> None:
        """Kill and hire, sometimes with two at once, until cancelled."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.3, 2.0))
            if self.chance.random() < 0.3:
                self.hire()
                await asyncio.sleep(self.chance.uniform(0.0, 0.5))
            await self.kill()
            if not self.tasks:
                self.hire()


@asynccontextmanager
async def crews(address: str, token: str, city: City, seed: int) -> AsyncIterator[list[Crew]]:
    gateway = GatewayClient(GatewayAddress(address, token))
    found = [Crew(gateway, name, Inbox(), random.Random(f"{seed} {name}")) for name in city.stalls]
    for crew in found:
        crew.hire()
    try:
        yield found
    finally:
        for crew in found:
            while crew.tasks:
                await crew.kill()
        await gateway.close()


async def shop_around(city: City, judge: Judge, seconds: float, chance: random.Random) -> None:
    """Buyers come, pay, give up and want their money back."""
    [good] = city.goods
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(chance.expovariate(10))
        name = chance.choice(list(city.stalls))
        shop = city.shops[name]
        try:
            order = shop.place({good.keys[name]: chance.choice((1, 1, 1, 2))})
            judge.sales += 1
        except SoldOut:
            judge.refused += 1
            continue
        if chance.random() < 0.3:
            shop.close(order.order_id)
        elif chance.random() < 0.9:
            shop.pay(order.order_id)
            if chance.random() < 0.2:
                shop.refund(order.order_id, order.lines[0].line_id, 1)


def any_shown(city: City) -> bool:
    return any(display.shown for shop in city.shops.values() for display in shop.displays.values())


async def all_known(client: Client, city: City) -> None:
    """Wait until the gateway has every order of every shop."""
    [good] = city.goods
    wanted = UNITS - sum(order.live_units for shop in city.shops.values() for order in shop.orders.values())
    async with asyncio.timeout(40):
        while (await client.level(good.sku)).available != wanted:  # noqa: ASYNC110 - the gateway is asked
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_oversold_while_agents_die(
    gateway_address: str, token: str, client: Client, seed: int
) -> None:
    """However often agents are killed, at no moment could a unit too many be sold, and every order gets in."""
    print(f"seed {seed}")
    async with open_city(CitySettings(seed=seed, weather="harsh")) as city:
        judge = Judge(city)
        judge.watch()
        await set_up(client, city)
        async with crews(gateway_address, token, city, seed) as found:
            async with asyncio.timeout(40):
                while not any_shown(city):  # noqa: ASYNC110 - what is waited for is a plain value
                    await asyncio.sleep(0.1)
            churning = [asyncio.create_task(crew.churn()) for crew in found]
            await shop_around(city, judge, 15, random.Random(seed))
            for task in churning:
                task.cancel()
            await asyncio.gather(*churning, return_exceptions=True)
            for crew in found:
                if not crew.tasks:
                    crew.hire()
            city.set_weather("calm")
            await all_known(client, city)
        shortfalls = await client.selling.ListShortfalls(pb.ListShortfallsRequest(), **client.options)
        assert not judge.verdicts
        assert not shortfalls.shortfalls
        assert judge.sales > UNITS / 4
        print(f"{judge.sales} sales, {judge.refused} refused, at most {judge.most} of {UNITS}")
