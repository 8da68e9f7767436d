"""The three platforms together: a shop on each with the same goods, its server, and its weather.

A city knows nothing of a gateway. It hands out what a connector needs to know (`Stall.credentials`, `Stall.tokens`),
and lets a person do what a person could do to real shops.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from starlette.applications import Starlette

from connectors.base import ListingKey, Tokens
from connectors.sandbox.douyin import DouyinSandbox, DouyinSettings
from connectors.sandbox.faults import CALM, HARSH, Faults, Weather
from connectors.sandbox.kuaishou import KuaishouSandbox, KuaishouSettings
from connectors.sandbox.serving import serving
from connectors.sandbox.shop import Shop, ShopFacts
from connectors.sandbox.taobao import Settings as TaobaoSettings
from connectors.sandbox.taobao import TaobaoSandbox

PLATFORMS = ("taobao", "douyin", "kuaishou")
WEATHERS: Mapping[str, Weather] = {
    "none": Weather(latency_seconds=0.0, latency_spread_seconds=0.0, push_delay_seconds=0.0),
    "calm": CALM,
    "harsh": HARSH,
}
SKUS_MAX = 200
AWAY_SECONDS_MAX = 3600.0
# Of the first item and its SKUs, by platform; those of Douyin are beyond 2^53, as the real ones are.
_FIRST_ITEM = {"taobao": 652_000_000_001, "douyin": 3_540_000_000_000_000_001, "kuaishou": 405_050_000_001}
_FIRST_SKU = {"taobao": 4_910_000_000_001, "douyin": 1_760_000_000_000_001, "kuaishou": 90_000_001}
_GOODS = {
    "MUG": "马克杯",
    "BOWL": "汤碗",
    "TEAPOT": "茶壶",
    "LAMP": "小夜灯",
    "TOWEL": "毛巾",
    "APRON": "围裙",
    "BASKET": "收纳篮",
    "CANDLE": "香薰蜡烛",
    "VASE": "花瓶",
    "TRAY": "托盘",
}


class Sandbox(Protocol):
    """A platform before one shop."""

    @property
    def app(self) -> Starlette:
        """What serves its calls."""

    def issue_tokens(self) -> Tokens:
        """The seller agrees."""

    async def run(self) -> None:
        """Send what it sends, until cancelled."""


@dataclass(frozen=True)
class Good:
    """What all shops of the city sell. `liking` is its weight in a buyer's choice."""

    sku: str
    title: str
    liking: float
    keys: Mapping[str, ListingKey] = field(default_factory=dict)


@dataclass
class Stall:
    """One platform of the city, at `address` once it is open."""

    name: str
    shop: Shop
    faults: Faults
    sandbox: Sandbox
    weather: str
    tokens: Tokens
    address: str = ""
    _back: asyncio.TimerHandle | None = None
    _caches: dict[ListingKey, asyncio.TimerHandle] = field(default_factory=dict)

    @property
    def credentials(self) -> dict[str, str]:
        """The fields its connector needs, by the names that the connector gives them."""
        url = f"http://{self.address}"
        match self.sandbox:
            case TaobaoSandbox(settings=known):
                keys = {"app_key": known.app_key, "app_secret": known.app_secret}
                return {**keys, "base_url": url, "messages_url": f"ws://{self.address}/"}
            case DouyinSandbox(settings=known):
                return {"app_key": known.app_key, "app_secret": known.app_secret, "base_url": url}
            case KuaishouSandbox(settings=known):
                keys = {"app_key": known.app_key, "app_secret": known.app_secret, "sign_secret": known.sign_secret}
                return {**keys, "message_secret": known.message_secret, "base_url": url}
        raise AssertionError("a city has three platforms")

    @property
    def credentials_json(self) -> str:
        """The credentials as one JSON object."""
        return json.dumps(self.credentials)

    @property
    def push_url(self) -> str:
        """Where the platform sends its HTTP pushes; "" for nowhere, and for Taobao, which sends none."""
        return self.sandbox.push_url if isinstance(self.sandbox, DouyinSandbox | KuaishouSandbox) else ""

    @push_url.setter
    def push_url(self, url: str) -> None:
        """From now on they go there."""
        if isinstance(self.sandbox, DouyinSandbox | KuaishouSandbox):
            self.sandbox.push_url = url

    def set_weather(self, name: str) -> None:
        """From now on: `none`, `calm` or `harsh`. Raises `KeyError`."""
        self.faults.weather, self.weather = WEATHERS[name], name

    def go_away(self, seconds: float) -> None:
        """The whole platform is away for so long; 0 brings it back."""
        if self._back is not None:
            self._back.cancel()
        self.faults.away = seconds > 0
        self._back = asyncio.get_running_loop().call_later(seconds, self._come_back) if seconds > 0 else None

    def cache(self, key: ListingKey, seconds: float) -> None:
        """For so long whoever reads the listing reads the number of now; 0: the truth again."""
        if before := self._caches.pop(key, None):
            before.cancel()
        self.shop.forget_cached(key)
        if seconds > 0:
            self.shop.cache(key)
            self._caches[key] = asyncio.get_running_loop().call_later(seconds, self.cache, key, 0.0)

    def _come_back(self) -> None:
        self.faults.away = False


@dataclass(frozen=True)
class CitySettings:
    """`ports` are those of the three platforms, in the order of `PLATFORMS`; 0 for any free one.

    `shown` is what every listing shows in the beginning.
    """

    seed: int = 1
    weather: str = "calm"
    skus: int = 1
    shown: int = 0
    ports: tuple[int, int, int] = (0, 0, 0)
    payment_limit: timedelta = timedelta(minutes=15)


@dataclass(frozen=True)
class City:
    """Three platforms that are open."""

    goods: tuple[Good, ...]
    stalls: Mapping[str, Stall]

    @property
    def shops(self) -> dict[str, Shop]:
        """The shops by platform."""
        return {name: stall.shop for name, stall in self.stalls.items()}

    def likings(self) -> dict[str, dict[ListingKey, float]]:
        """How much each listing is liked, by platform."""
        return {name: {good.keys[name]: good.liking for good in self.goods} for name in self.stalls}

    def set_weather(self, name: str) -> None:
        """The same weather everywhere."""
        for stall in self.stalls.values():
            stall.set_weather(name)


@asynccontextmanager
async def open_city(settings: CitySettings) -> AsyncIterator[City]:
    """A city whose platforms answer; raises `OSError` if a port is taken."""
    goods = goods_of(settings.skus)
    async with AsyncExitStack() as stack:
        stalls = {}
        for name, port in zip(PLATFORMS, settings.ports, strict=True):
            stall = stalls[name] = _stall(name, goods, settings)
            stall.address = await stack.enter_async_context(serving(stall.sandbox.app, port=port))
            running = asyncio.create_task(stall.sandbox.run(), name=f"sandbox {name}")
            stack.push_async_callback(_ended, running)
        yield City(goods, stalls)
        for stall in stalls.values():
            stall.go_away(0)


def goods_of(count: int) -> tuple[Good, ...]:
    """So many goods; the first is liked best."""
    return tuple(_good(place) for place in range(count))


def _good(place: int) -> Good:
    (kind, title), series = list(_GOODS.items())[place % len(_GOODS)], place // len(_GOODS) + 1
    keys = {name: ListingKey(str(_FIRST_ITEM[name] + place), str(_FIRST_SKU[name] + place)) for name in PLATFORMS}
    return Good(f"{kind}-{series}", f"{title} {series} 号", 1 / (place + 1), keys)


def _stall(name: str, goods: tuple[Good, ...], settings: CitySettings) -> Stall:
    # A city that is opened again must not give the numbers of old orders to new ones: they go on from the time.
    first_order_number = 2_000_000_000_000_000_000 + time.time_ns() // 1_000_000 * 100_000 + PLATFORMS.index(name)
    shop = Shop(ShopFacts(payment_limit=settings.payment_limit), first_order_number=first_order_number)
    for good in goods:
        shop.put_on_sale(good.keys[name], title=good.title, outer_id=good.sku, shown=settings.shown)
    faults = Faults(settings.seed * len(PLATFORMS) + PLATFORMS.index(name), WEATHERS[settings.weather])
    sandbox = _sandbox(name, shop, faults)
    return Stall(name, shop, faults, sandbox, settings.weather, sandbox.issue_tokens())


def _sandbox(name: str, shop: Shop, faults: Faults) -> Sandbox:
    match name:
        case "taobao":
            return TaobaoSandbox(shop, faults, TaobaoSettings())
        case "douyin":
            return DouyinSandbox(shop, faults, DouyinSettings())
        case _:
            return KuaishouSandbox(shop, faults, KuaishouSettings())


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
