"""The three platforms' sandbox, a gateway of its own and the real agents, and watches on what the shops show."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc.aio

from connectors.base import ListingKey
from connectors.sandbox.city import PLATFORMS, City, CitySettings, open_city
from connectors.sandbox.faults import Weather
from connectors.sandbox.shop import Event, EventKind, Shop
from connectors.session.agents import SETTINGS, running_agents
from connectors.session.figures import Figures
from connectors.session.merchant import Merchant
from connectors.settings import AgentSettings
from tests.bench.selling_shop import Seller
from tests.bench.shop import running_gateway

# Every call takes 30 ms; what a platform sends, it sends at once.
AT_30_MS = Weather(latency_seconds=0.03, latency_spread_seconds=0.0, push_delay_seconds=0.0)
AT_ONCE = Weather(latency_seconds=0.0, latency_spread_seconds=0.0, push_delay_seconds=0.0)


@dataclass(frozen=True)
class Town:
    """A city, and a gateway that has been told of its channels and of no listing yet."""

    city: City
    address: str
    seller: Seller
    merchant: Merchant

    async def list_goods(self, channels: Iterable[str] = PLATFORMS) -> list[str]:
        """Have these channels sell all goods, of which nothing is on hand; returns the SKUs."""
        skus = [good.sku for good in self.city.goods]
        await self.seller.create(skus)
        for channel in channels:
            await self.seller.link(channel, {good.sku: good.keys[channel] for good in self.city.goods})
        return skus

    @asynccontextmanager
    async def served(self, settings: AgentSettings = SETTINGS) -> AsyncIterator[Figures]:
        """All channels have their agents."""
        figures = Figures()
        async with running_agents(self.address, self.city, figures, settings):
            yield figures

    def set_weather(self, weather: Weather) -> None:
        """The same everywhere."""
        for stall in self.city.stalls.values():
            stall.faults.weather = weather


@asynccontextmanager
async def open_town(folder: Path, goods: int) -> AsyncIterator[Town]:
    """A new gateway and a new city."""
    data = folder / f"town-{uuid.uuid4().hex[:8]}"
    data.mkdir(mode=0o755)
    async with (
        running_gateway(data) as address,
        grpc.aio.insecure_channel(address) as connection,
        open_city(CitySettings(skus=goods)) as city,
    ):
        merchant = Merchant(address)
        town = Town(city, address, Seller(connection), merchant)
        town.set_weather(AT_30_MS)
        try:
            await merchant.set_up(City((), city.stalls), {}, uuid.uuid4().hex)
            yield town
        finally:
            await merchant.close()


async def until(is_so: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds_max: float, what: str) -> float:
    """Wait, and return how many seconds it took; raises `AssertionError` if it takes longer than that.

    What takes long to find out is asked for less often.
    """
    started = time.monotonic()
    while True:
        asked = time.monotonic()
        found = is_so()
        if found if isinstance(found, bool) else await found:
            return time.monotonic() - started
        now = time.monotonic()
        assert now - started < seconds_max, f"not within {seconds_max:.0f} s: {what}"
        await asyncio.sleep(max(0.005, 10 * (now - asked)))


@dataclass
class Falls:
    """How long it takes from a sale in one shop until the others show at least half of it less.

    What falls is what the shop is told to show; its own sales meanwhile do not count.
    """

    shops: dict[str, Shop]
    seconds: list[float] = field(default_factory=list)
    _waiting: dict[tuple[str, ListingKey], list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    _told: dict[tuple[str, ListingKey], int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        """Begin to look."""
        for name, shop in self.shops.items():
            shop.heard.append(partial(self._hear, name))

    def expect(self, name: str, keys: Mapping[str, ListingKey], quantity: int) -> None:
        """So many were sold in this shop just now; of a sale in a shop that is not looked at nobody may hear."""
        now = time.monotonic()
        for other in self.shops.keys() - {name} if name in self.shops else ():
            place = (other, keys[other])
            self._waiting[place].append((self._told[place] - quantity / 2, now))

    @property
    def waiting(self) -> int:
        """Falls that have not come yet."""
        return sum(map(len, self._waiting.values()))

    def take(self) -> list[float]:
        """What was measured since the last time."""
        taken, self.seconds = self.seconds, []
        return taken

    def _hear(self, name: str, event: Event) -> None:
        if event.kind is not EventKind.STOCK_CHANGED or event.key is None:
            return
        place = (name, event.key)
        self._told[place] += event.change
        now = time.monotonic()
        self.seconds += [now - begun for most, begun in self._waiting[place] if self._told[place] <= most]
        self._waiting[place] = [one for one in self._waiting[place] if self._told[place] > one[0]]
