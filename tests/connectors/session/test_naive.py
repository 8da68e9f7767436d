"""The baseline: shows everybody everything, through the real connectors, and oversells as one would expect."""

from collections.abc import AsyncIterator

import httpx
import pytest

from connectors.contract import PlatformName
from connectors.platforms import platform_of
from connectors.sandbox.city import City, CitySettings, open_city
from connectors.session.naive import NaivePusher, Outlet
from connectors.transport import Transport

UNITS = {"MUG-1": 10}


@pytest.fixture
async def city() -> AsyncIterator[City]:
    """Three platforms that show nothing yet."""
    async with open_city(CitySettings(weather="none")) as opened:
        yield opened


@pytest.fixture
async def pusher(city: City) -> AsyncIterator[NaivePusher]:
    """Ten mugs for all of them."""
    since = city.stalls["taobao"].shop.time.replace(microsecond=0)
    async with httpx.AsyncClient(trust_env=False) as client:
        outlets = {}
        for name, stall in city.stalls.items():
            transport = Transport(client)
            platform = platform_of(PlatformName(name), stall.credentials_json, transport, stall.tokens)
            outlets[name] = Outlet(platform, transport)
        yield NaivePusher(outlets, city.goods, UNITS, since)


def shown(city: City) -> list[int]:
    """What each shop shows."""
    return [shop.displays[city.goods[0].keys[name]].shown for name, shop in city.shops.items()]


async def test_every_platform_shows_the_same_number(city: City, pusher: NaivePusher) -> None:
    """All ten, three times; after a sale that is known, what is left, three times."""
    await pusher.round()
    assert shown(city) == [10, 10, 10]
    city.stalls["douyin"].shop.place({city.goods[0].keys["douyin"]: 4})
    await pusher.round()
    assert shown(city) == [6, 6, 6]


async def test_what_is_sold_between_two_rounds_can_be_too_much(city: City, pusher: NaivePusher) -> None:
    """Nothing keeps three platforms from selling the same ten mugs; afterwards all show none."""
    await pusher.round()
    for name, shop in city.shops.items():
        shop.place({city.goods[0].keys[name]: 8})
    await pusher.round()
    assert shown(city) == [0, 0, 0]
    assert sum(order.live_units for shop in city.shops.values() for order in shop.orders.values()) == 24


async def test_a_platform_that_is_away_stops_nobody(city: City, pusher: NaivePusher) -> None:
    """The others are shown their number; the one that was away is written when it is back."""
    city.stalls["taobao"].go_away(60)
    await pusher.round()
    assert shown(city)[1:] == [10, 10]
    city.stalls["taobao"].go_away(0)
    await pusher.round()
    assert shown(city) == [10, 10, 10]
