"""The three platforms' sandbox, a gateway of its own and the real agents, and watches on what the shops show."""

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc.aio

from connectors.base import ListingKey
from connectors.sandbox.city import PLATFORMS, City, CitySettings, Good, open_city
from connectors.sandbox.faults import Weather
from connectors.sandbox.shop import Event, EventKind
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
    """How long it takes from a sale in one shop until the others show no more than what is left.

    Where a shop has shown less than that already, nothing is measured. What falls is what a shop is told to show; its
    own sales meanwhile do not count. Shops in `left_out` are not measured; of sales in `unheard` ones nobody can know.
    """

    city: City
    units: int
    left_out: set[str] = field(default_factory=set)
    unheard: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    _sold: Counter[str] = field(default_factory=Counter)
    _waiting: dict[tuple[str, ListingKey], list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    _told: Counter[tuple[str, ListingKey]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Begin to look."""
        for name, shop in self.city.shops.items():
            shop.heard.append(partial(self._hear, name))

    def sell(self, name: str, good: Good, quantity: int) -> None:
        """Somebody buys."""
        self.city.shops[name].place({good.keys[name]: quantity})
        if name in self.unheard:
            return
        self._sold[good.sku] += quantity
        now, left = time.monotonic(), self.units - self._sold[good.sku]
        for other, shop in self.city.shops.items():
            too_many = shop.displays[good.keys[other]].shown - left
            if other != name and other not in self.left_out and too_many > 0:
                place = (other, good.keys[other])
                self._waiting[place].append((self._told[place] - too_many, now))

    @property
    def waiting(self) -> int:
        """Falls that have not come yet."""
        return sum(map(len, self._waiting.values()))

    def take(self) -> list[float]:
        """What was measured since the last time; what is waited for is forgotten."""
        taken, self.seconds = self.seconds, []
        self._waiting.clear()
        return taken

    def _hear(self, name: str, event: Event) -> None:
        if event.kind is not EventKind.STOCK_CHANGED or event.key is None:
            return
        place = (name, event.key)
        self._told[place] += event.change
        now = time.monotonic()
        self.seconds += [now - begun for most, begun in self._waiting[place] if self._told[place] <= most]
        self._waiting[place] = [one for one in self._waiting[place] if self._told[place] > one[0]]
