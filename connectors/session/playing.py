"""A session, from the first unit on the shelf to the judge's word.

Three quarters of its time the crowd buys, with demand well above stock. Then nobody comes any more, every order is paid
or closed, and it is waited until the gateway knows all of it: every channel's watermark is past its last order, no push
is under way, nothing is reserved.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx

from connectors.contract import PlatformName
from connectors.platforms import platform_of
from connectors.sandbox.city import PLATFORMS, City, open_city
from connectors.session.agents import SETTINGS, running_agents
from connectors.session.figures import Figures
from connectors.session.judge import Judge, Verdict
from connectors.session.live import Picture, See, every_second
from connectors.session.merchant import Merchant
from connectors.session.naive import NaivePusher, Outlet
from connectors.session.on_air import on_air
from connectors.session.report import Books, Buyers, Pushed, Report
from connectors.session.rooms import (
    OPENING_SECONDS_MAX,
    RoomSettings,
    crowd_of,
    is_open,
    picture_of,
    shop_pictures,
    shown_in,
    sku_of,
    units_by_sku,
)
from connectors.session.tasks import beside, within
from connectors.transport import Transport

SELLING_SHARE = 0.75
# Of the whole, for paying and closing what is open when the crowd has gone.
PAYING_SHARE = 0.1
# Demand over stock. Buyers who find it sold out are part of the rehearsal.
DEMAND = 2.5
# A session stands for so much of the buyers' own time, whatever its length.
OWN_SECONDS = 600.0
PAYMENT_LIMIT = timedelta(minutes=15)
SETTLING_SECONDS_MAX = 90.0
# In harsh weather one platform is away for a while, too: from where to where in the selling time.
AWAY_FROM, AWAY_SHARE = 0.4, 0.15


@dataclass(frozen=True)
class SessionSettings:
    """What is to be played; `gateway` is its address, "" for the naive baseline, which has none."""

    gateway: str
    seconds: float
    units: int
    skus: int
    seed: int
    faults: str

    @property
    def selling_seconds(self) -> float:
        """How long buyers come."""
        return self.seconds * SELLING_SHARE

    @property
    def room(self) -> RoomSettings:
        """What is sold, and to how many."""
        return RoomSettings(
            seed=self.seed,
            faults=self.faults,
            skus=self.skus,
            units_wanted_per_second=max(1, self.units) * DEMAND / self.selling_seconds,
            speed=OWN_SECONDS / self.seconds,
            payment_limit=PAYMENT_LIMIT,
        )


async def play_session(settings: SessionSettings, see: See, tell: Callable[[str], None]) -> Report:
    """Play it, through the gateway's agents; `tell` gets a line for each warning."""
    figures = Figures()
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(open_city(settings.room.city))
        merchant = Merchant(settings.gateway)
        stack.push_async_callback(merchant.close)
        units = units_by_sku(city.goods, settings.units)
        await merchant.set_up(city, units, f"session-{uuid.uuid4().hex}")
        await stack.enter_async_context(running_agents(settings.gateway, city, figures))
        await stack.enter_async_context(beside(every_second(lambda: picture_of(city, merchant, figures), see)))
        await within(OPENING_SECONDS_MAX, lambda: is_open(city, settings.units))
        judge = Judge(city.shops, sku_of(city), units)
        async with on_air(settings.gateway, city, timedelta(seconds=settings.selling_seconds), tell):
            buyers = await _sell(city, settings, judge)
        settled = await within(SETTLING_SECONDS_MAX, lambda: is_settled(city, merchant))
        verdict = judge.verdict()
        books, pushed = await books_of(merchant, list(units), verdict), pushed_of(figures)
        return Report(settings.seed, settings.seconds, settings.faults, False, verdict, buyers, settled, books, pushed)


async def books_of(merchant: Merchant, skus: list[str], verdict: Verdict) -> Books:
    """What the ledger says of these goods, beside what is true of them."""
    level = await merchant.level(skus)
    return Books(
        consistent=await merchant.is_consistent(),
        on_hand=level.on_hand,
        on_hand_expected=await merchant.units_received() - sum(verdict.sold.values()),
        reserved=level.reserved,
        shortfall_units=await merchant.shortfall_units(),
        drifts=await merchant.drifts(),
    )


def pushed_of(figures: Figures) -> Pushed:
    """What the agents did."""
    return Pushed(
        figures.sync_delays(),
        figures.intake_delays(),
        dict(figures.results),
        figures.attempts,
        figures.calls,
        figures.retries,
    )


async def play_naively(settings: SessionSettings, see: See) -> Report:
    """Play the same with the baseline: everybody is shown everything."""
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(open_city(settings.room.city))
        units = units_by_sku(city.goods, settings.units)
        await stack.enter_async_context(_naive(city, units))
        await stack.enter_async_context(beside(every_second(lambda: _picture_of(city), see)))
        await within(OPENING_SECONDS_MAX, lambda: _is_shown_everywhere(city))
        judge = Judge(city.shops, sku_of(city), units)
        buyers = await _sell(city, settings, judge)
        return Report(settings.seed, settings.seconds, settings.faults, True, judge.verdict(), buyers, settled=True)


async def _sell(city: City, settings: SessionSettings, judge: Judge) -> Buyers:
    """The crowd's time."""
    crowd = crowd_of(city, settings.room)
    crowd.hears_refusals.append(judge.refused)
    if settings.faults == "harsh":
        _plan_absence(city, settings)
    came_back = await crowd.play(settings.selling_seconds, settings.seconds * PAYING_SHARE)
    return Buyers(crowd.came, came_back, crowd.kept_pace)


def _plan_absence(city: City, settings: SessionSettings) -> None:
    chance = random.Random(f"{settings.seed}/away")  # noqa: S311 - a rehearsal's chances, no secret
    stall = city.stalls[chance.choice(PLATFORMS)]
    asyncio.get_running_loop().call_later(
        settings.selling_seconds * AWAY_FROM, stall.go_away, settings.selling_seconds * AWAY_SHARE
    )


# ---- waiting


async def is_settled(city: City, merchant: Merchant) -> bool:
    """Whether the gateway knows every order as it is now, and nothing is under way."""
    watermarks = await merchant.watermarks()
    for name, shop in city.shops.items():
        latest = max((order.update_time for order in shop.orders.values()), default=None)
        watermark = watermarks.get(name)
        if latest is not None and (watermark is None or watermark <= latest):
            return False
    if any(number.is_busy for number in await merchant.numbers()):
        return False
    level = await merchant.level([good.sku for good in city.goods])
    return level.reserved == 0


def _shows_everywhere(city: City) -> bool:
    return all(any(display.shown for display in shop.displays.values()) for shop in city.shops.values())


# ---- the baseline


@asynccontextmanager
async def _naive(city: City, units: dict[str, int]) -> AsyncIterator[None]:
    """Everybody is shown everything, meanwhile."""
    since = min(shop.time for shop in city.shops.values()).replace(microsecond=0)
    async with httpx.AsyncClient(trust_env=False) as client:
        outlets = {}
        for name, stall in city.stalls.items():
            transport = Transport(client, SETTINGS.limits)
            platform = platform_of(PlatformName(name), stall.credentials_json, transport, stall.tokens)
            outlets[name] = Outlet(platform, transport)
        async with beside(NaivePusher(outlets, city.goods, units, since).run()):
            yield


async def _is_shown_everywhere(city: City) -> bool:
    return all(any(display.shown for display in shop.displays.values()) for shop in city.shops.values())


async def _picture_of(city: City) -> Picture:
    return Picture(shop_pictures(city, shown_in(city)))
