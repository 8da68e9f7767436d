"""A market of real parts: a gateway on a real PostgreSQL, three platforms, agents, buyers, and a judge over all.

The judge sees every shop at every event and nothing of what the gateway believes. He looks for the worst there is: not
only what is owed, but what is owed and still shown, which is what could be owed the next moment.
"""

import asyncio
import os
import random
import socket
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.agent import run_agents
from connectors.base import OrderState
from connectors.gateway_client import GatewayAddress
from connectors.inbox import Inbox
from connectors.sandbox.city import City, CitySettings, Good, open_city
from connectors.sandbox.shop import Event, Shop, ShopOrder, SoldOut
from connectors.session import merchant as merchant_module
from connectors.session.agents import SETTINGS
from connectors.session.figures import Figures, WatchedGateway
from connectors.session.judge import Judge
from connectors.session.merchant import Merchant
from connectors.session.rooms import sku_of, units_by_sku
from connectors.settings import AgentSettings
from gateway.v1 import stock_service_pb2 as stock_pb

# Rehearsals wait longer; a test has seconds.
QUICK = replace(SETTINGS, poll_seconds=0.3, heartbeat_seconds=0.3, round_seconds=3.0, standby_seconds=2.0)
LOOK_SECONDS = 0.1
OPENING_SECONDS_MAX = 40.0
SETTLING_SECONDS_MAX = 60.0
ORDERS_PER_SECOND = 10.0


@dataclass
class Market:
    """All of it. `could_be_owed` is the most that was owed and shown at any moment beyond what there is, by SKU."""

    seed: int
    city: City
    merchant: Merchant
    units: dict[str, int]
    judge: Judge
    figures: Figures
    chance: random.Random
    could_be_owed: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    refused: int = 0

    # ---- what there is

    def good(self, place: int = 0) -> Good:
        return self.city.goods[place]

    def shop(self, name: str) -> Shop:
        return self.city.shops[name]

    def display(self, name: str, place: int = 0) -> int:
        """What a shop shows of a good."""
        return self.shop(name).displays[self.good(place).keys[name]].shown

    @property
    def shown(self) -> int:
        """What all shops show."""
        return sum(display.shown for shop in self.city.shops.values() for display in shop.displays.values())

    @property
    def hand_edited(self) -> int:
        return sum(shop.tally.hand_edited_units for shop in self.city.shops.values())

    # ---- buyers

    def buy(self, name: str, place: int = 0, quantity: int = 1) -> ShopOrder | None:
        """Somebody orders, or finds it sold out."""
        try:
            order = self.shop(name).place({self.good(place).keys[name]: quantity})
        except SoldOut:
            self.refused += 1
            return None
        self.orders += 1
        return order

    async def sell(self, seconds: float, *, per_second: float = ORDERS_PER_SECOND) -> None:
        """Buyers come, pay, give up, and want some of their money back."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self.chance.expovariate(per_second))
            name, place = self.chance.choice(list(self.city.stalls)), self.chance.randrange(len(self.city.goods))
            order = self.buy(name, place, self.chance.choice((1, 1, 1, 2, 3)))
            if order is not None:
                loop.call_later(self.chance.expovariate(2), self._decide, name, order.order_id)

    def _decide(self, name: str, order_id: str) -> None:
        shop, fate = self.shop(name), self.chance.random()
        if fate < 0.2:
            shop.close(order_id)
            return
        order = shop.pay(order_id)
        if fate < 0.3 and order.state is OrderState.PAID:
            shop.refund(order_id, order.lines[0].line_id, 1)

    # ---- the end

    async def settled(self) -> None:
        """Everything is paid, the gateway knows all of it, and no push is under way; fails if that takes too long."""
        begun = asyncio.get_running_loop().time()
        for shop in self.city.shops.values():
            for order_id in list(shop.orders):
                shop.pay(order_id)
        await eventually(self._is_settled, SETTLING_SECONDS_MAX, self._describe)
        print(f"settled in {asyncio.get_running_loop().time() - begun:.1f} s")

    async def require_exact(self, *, shortfall_units: int = 0) -> None:
        """Nothing was lost, doubled or oversold, at no moment could it have been, and the ledger knows all of it."""
        verdict = self.judge.verdict()
        context = f"seed {self.seed}: {verdict}, {dict(self.figures.results)}"
        assert verdict.oversold <= self.hand_edited, context
        assert verdict.oversold_most <= self.hand_edited, context
        assert max(self.could_be_owed.values(), default=0) <= self.hand_edited, f"{self.could_be_owed} {context}"
        assert self.orders > 0, context
        level = await self.merchant.level(list(self.units))
        received, owed = await self.merchant.units_received(), sum(verdict.sold.values())
        assert received == sum(self.units.values()), context
        assert await self.merchant.shortfall_units() == shortfall_units, context
        # Below zero it says what is owed.
        assert level.on_hand == received - owed, f"{level} {context}"
        assert level.reserved == 0, f"{level} {context}"
        assert await self.merchant.is_consistent(), context
        print(f"seed {self.seed}: {self.orders} orders, {self.refused} refused; {dict(self.figures.results)}")

    async def receive(self, place: int, units: int) -> None:
        """Goods come in."""
        sku = self.good(place).sku
        self.units[sku] += units
        self.judge.received(sku, units)
        request = stock_pb.ReceiveStockRequest(request_id=uuid.uuid4().hex, sku=sku, quantity=units, reason="more")
        await self.merchant._ask(self.merchant._stock.ReceiveStock, request)

    async def _is_settled(self) -> bool:
        marks = await self.merchant.watermarks()
        for name, shop in self.city.shops.items():
            latest = max((order.update_time for order in shop.orders.values()), default=None)
            mark = marks.get(name)
            if latest is not None and (mark is None or mark <= latest):
                return False
        if any(number.is_busy and not number.parked_reason for number in await self.merchant.numbers()):
            return False
        return (await self.merchant.level(list(self.units))).reserved == 0

    async def _describe(self) -> str:
        level = await self.merchant.level(list(self.units))
        numbers, marks = await self.merchant.numbers(), await self.merchant.watermarks()
        return f"seed {self.seed}: {level} {numbers} {marks} {dict(self.figures.results)} {self.figures.needs}"

    def _look(self, event: Event) -> None:
        owed: Counter[str] = Counter()
        skus = sku_of(self.city)
        for shop in self.city.shops.values():
            for key, display in shop.displays.items():
                owed[skus[key]] += display.shown
            for order in shop.orders.values():
                if order.live_units:
                    for line in order.lines:
                        owed[skus[line.key]] += line.quantity - line.refunded
        for sku, units in owed.items():
            self.could_be_owed[sku] = max(self.could_be_owed[sku], units - self.units[sku])


async def eventually(
    is_so: Callable[[], Awaitable[bool]], seconds_max: float, describe: Callable[[], Awaitable[str]] | None = None
) -> None:
    """Wait for what is about to be so; fail if it does not come."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds_max
    while not await is_so():
        if loop.time() > end:
            pytest.fail(f"not in {seconds_max} s: {await describe() if describe else ''}")
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def open_market(
    address: str,
    seed: int,
    *,
    units: int = 60,
    skus: int = 1,
    weather: str = "none",
    skews: dict[str, timedelta] | None = None,
    clock_margin: timedelta = merchant_module.CLOCK_MARGIN,
) -> AsyncIterator[Market]:
    """A market whose goods are on hand and on no shelf yet: nobody serves the channels."""
    print(f"seed {seed}")
    async with open_city(CitySettings(seed=seed, weather=weather, skus=skus)) as city:
        for name, skew in (skews or {}).items():
            city.shops[name].skew = skew
        merchant = Merchant(address)
        try:
            divided = units_by_sku(city.goods, units)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(merchant_module, "CLOCK_MARGIN", clock_margin)
                await merchant.set_up(city, divided, uuid.uuid4().hex)
            judge = Judge(city.shops, sku_of(city), divided)
            market = Market(seed, city, merchant, divided, judge, Figures(), random.Random(seed))
            for shop in city.shops.values():
                shop.heard.append(market._look)
            yield market
        finally:
            await merchant.close()


async def opened(market: Market) -> None:
    """Wait until everything is on some shelf."""

    async def is_open() -> bool:
        return market.shown >= sum(market.units.values())

    begun = asyncio.get_running_loop().time()
    await eventually(is_open, OPENING_SECONDS_MAX, market._describe)
    print(f"opened in {asyncio.get_running_loop().time() - begun:.1f} s")


# ---- agents


@asynccontextmanager
async def agents_here(market: Market, address: str, settings: AgentSettings = QUICK) -> AsyncIterator[None]:
    """Agents of all three, in this process; in the end they stop in order."""
    client = WatchedGateway(GatewayAddress(address), market.figures, market.city.shops)
    inbox, stopping = Inbox(), asyncio.Event()
    async with inbox.serving("127.0.0.1", 0) as door:
        for name, stall in market.city.stalls.items():
            stall.push_url = f"http://{door}/inbox/{name}"
        running = asyncio.create_task(run_agents(client, lambda _: True, stopping, settings, inbox=inbox))
        try:
            yield
        finally:
            stopping.set()
            await asyncio.wait((running,), timeout=10)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await client.close()


class AgentProcess:
    """`python -m connectors all`: to be killed."""

    def __init__(self, address: str, market: Market, log: Path) -> None:
        self._port, self._log = free_port(), log
        inbox = ("--inbox", f"127.0.0.1:{self._port}")
        self._command = (sys.executable, "-m", "connectors", "all", "--address", address, *inbox)
        self._process: asyncio.subprocess.Process | None = None
        for name, stall in market.city.stalls.items():
            stall.push_url = f"http://127.0.0.1:{self._port}/inbox/{name}"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stderr=log, env=dict(os.environ))

    async def kill(self) -> None:
        """Kill -9."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ask(market: Market, method: Any, request: Any) -> Any:
    """A call of the merchant's."""
    return await market.merchant._ask(method, request)
