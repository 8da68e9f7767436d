"""The city: three platforms that connectors can be pointed at, and that a person can steer."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import msgspec
import pytest

from connectors import douyin, kuaishou, taobao
from connectors.base import Change, Platform
from connectors.sandbox.city import PLATFORMS, WEATHERS, City, CitySettings, Stall, open_city
from connectors.transport import Transport


@pytest.fixture
async def city() -> AsyncIterator[City]:
    """Three platforms without weather, two goods, ten shown of each."""
    async with open_city(CitySettings(weather="none", skus=2, shown=10)) as opened:
        yield opened


def connector(stall: Stall, client: httpx.AsyncClient) -> Platform:
    """The platform's connector, made of what the stall hands out."""
    transport, raw = Transport(client), stall.credentials_json
    match stall.name:
        case "taobao":
            known = msgspec.json.decode(raw, type=taobao.Credentials)
            return taobao.Taobao(transport, known, stall.tokens)
        case "douyin":
            keys = msgspec.json.decode(raw, type=douyin.Credentials)
            return douyin.Douyin(transport, keys, stall.tokens)
        case _:
            given = msgspec.json.decode(raw, type=kuaishou.Credentials)
            return kuaishou.Kuaishou(transport, given, stall.tokens)


@pytest.mark.parametrize("name", PLATFORMS)
async def test_a_connector_works_with_what_the_city_hands_out(city: City, name: str) -> None:
    """Credentials, tokens and listings fit: numbers are read and moved, orders are seen."""
    stall, key = city.stalls[name], city.goods[0].keys[name]
    order = stall.shop.place({key: 3})
    async with httpx.AsyncClient(trust_env=False) as client:
        platform = connector(stall, client)
        assert (await platform.read([key]))[key].shown == 7  # type: ignore[union-attr]  # an error fails here as well
        await platform.change(Change(key, 5, "1"))
        now = stall.shop.time
        pages = platform.orders(now - timedelta(minutes=1), now + timedelta(seconds=1))
        seen = {snapshot.order_id async for page in pages for snapshot in page}
    assert stall.shop.displays[key].shown == 12
    assert seen == {order.order_id}


async def test_all_shops_sell_the_same_goods_under_ids_of_their_own(city: City) -> None:
    """Every good has a listing in each shop, and no listing is two goods."""
    for good in city.goods:
        assert {city.stalls[name].shop.displays[good.keys[name]].outer_id for name in PLATFORMS} == {good.sku}
    keys = [key for good in city.goods for key in good.keys.values()]
    assert len(set(keys)) == len(keys) == len(city.goods) * len(PLATFORMS)


async def test_a_platform_can_be_away_for_a_while(city: City) -> None:
    """While it is away it answers nobody; it comes back by itself, or when it is told to."""
    stall = city.stalls["douyin"]
    async with httpx.AsyncClient(trust_env=False, base_url=f"http://{stall.address}") as client:
        stall.go_away(60.0)
        assert (await client.get("/sku/stockNum")).status_code == 503
        stall.go_away(0.0)
        assert (await client.get("/sku/stockNum")).status_code == 200
        stall.go_away(0.05)
        async with asyncio.timeout(10):
            while (await client.get("/sku/stockNum")).status_code == 503:  # noqa: ASYNC110 - a real server, over HTTP
                await asyncio.sleep(0.02)
    assert not stall.faults.away


async def test_weather_changes_while_it_runs(city: City) -> None:
    """One word changes a platform's chances, or all of them."""
    city.stalls["taobao"].set_weather("harsh")
    assert [stall.weather for stall in city.stalls.values()] == ["harsh", "none", "none"]
    city.set_weather("calm")
    assert all(stall.faults.weather is WEATHERS["calm"] for stall in city.stalls.values())


async def test_a_city_that_is_opened_again_takes_other_order_numbers() -> None:
    """An order's number is never given twice, so that a ledger that remembers is not confused."""
    numbers: list[str] = []
    for _ in range(2):
        async with open_city(CitySettings(shown=1)) as opened:
            for name, shop in opened.shops.items():
                numbers.append(shop.place({opened.goods[0].keys[name]: 1}).order_id)
    assert len(set(numbers)) == len(numbers)


async def test_a_taken_port_is_refused() -> None:
    """Two cities cannot have one port."""
    async with open_city(CitySettings()) as opened:
        port = int(opened.stalls["taobao"].address.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with open_city(CitySettings(ports=(port, 0, 0))):
                pass
