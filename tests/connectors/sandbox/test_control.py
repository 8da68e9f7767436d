"""Steering a city over HTTP, and what it refuses."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connectors.sandbox.city import PLATFORMS, City, CitySettings, open_city
from connectors.sandbox.control import control_app
from connectors.sandbox.crowd import Crowd, CrowdSettings
from connectors.sandbox.serving import serving


@dataclass
class Door:
    """A city, and a caller at its control API."""

    city: City
    crowd: Crowd
    client: httpx.AsyncClient

    @property
    def listing(self) -> dict[str, str]:
        """Taobao's first listing, by its ids."""
        return self.city.goods[0].keys["taobao"]._asdict()

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Ask, and expect that it is done."""
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A city of one good, five shown, with a crowd that stays at home."""
    async with open_city(CitySettings(weather="none", shown=5)) as city:
        crowd = Crowd(city.shops, city.likings(), dict.fromkeys(PLATFORMS, 0.0), CrowdSettings())
        async with (
            serving(control_app(city, crowd)) as address,
            httpx.AsyncClient(trust_env=False, base_url=f"http://{address}") as client,
        ):
            yield Door(city, crowd, client)


async def test_shops_are_shown(door: Door) -> None:
    """GET /shops says what each shop shows, has sold and has refused."""
    shops = (await door.client.get("/shops")).json()
    assert set(shops) == set(PLATFORMS)
    assert shops["taobao"]["listings"][0] | door.listing == shops["taobao"]["listings"][0]
    assert shops["douyin"]["listings"][0]["shown"] == 5


async def test_an_order_lives_through_the_api(door: Door) -> None:
    """Placed, paid, refunded in part, shipped; another one placed and cancelled."""
    placed = await door.post("/shops/taobao/orders", **door.listing, quantity=3)
    path = f"/shops/taobao/orders/{placed['order_id']}"
    assert (await door.post(f"{path}/pay"))["state"] == "PAID"
    back = await door.post(f"{path}/refund", line_id=placed["lines"][0]["line_id"], quantity=1)
    assert back["lines"][0]["refunded"] == 1
    assert (await door.post(f"{path}/ship"))["lines"][0]["shipped"] is True
    other = await door.post("/shops/taobao/orders", **door.listing, quantity=1)
    assert (await door.post(f"/shops/taobao/orders/{other['order_id']}/cancel"))["state"] == "CLOSED"
    assert (await door.client.get(path)).json()["state"] == "PAID"
    assert (await door.client.get("/shops")).json()["taobao"]["listings"][0]["shown"] == 3


async def test_a_buyer_who_finds_it_sold_out_is_refused_and_counted(door: Door) -> None:
    """409, and the tally says one."""
    answer = await door.client.post("/shops/taobao/orders", json={**door.listing, "quantity": 6})
    assert (answer.status_code, "shows 5" in answer.json()["error"]) == (409, True)
    assert (await door.client.get("/shops")).json()["taobao"]["refused"] == 1


async def test_an_old_number_is_told_for_a_while(door: Door) -> None:
    """It sells from what it really shows, while whoever asks is told what it showed; then the truth again."""
    told = await door.post("/shops/taobao/cached", **door.listing, seconds=3600)
    assert (told["shown"], told["told"]) == (5, 5)
    await door.post("/shops/taobao/orders", **door.listing, quantity=5)
    one = (await door.client.get("/shops")).json()["taobao"]["listings"][0]
    assert (one["shown"], one["told"]) == (0, 5)
    answer = await door.client.post("/shops/taobao/orders", json={**door.listing, "quantity": 1})
    assert answer.status_code == 409
    told = await door.post("/shops/taobao/cached", **door.listing, seconds=0.01)
    assert (told["shown"], told["told"]) == (0, 0)
    await door.post("/shops/taobao/hand-edit", **door.listing, shown=7)
    async with asyncio.timeout(20):
        while (await door.client.get("/shops")).json()["taobao"]["listings"][0]["told"] != 7:  # noqa: ASYNC110 - asked over HTTP
            await asyncio.sleep(0.02)


async def test_weather_absence_rates_hand_edits_and_pushes_are_steered(door: Door) -> None:
    """Each takes effect at once, and is shown."""
    assert (await door.post("/weather", weather="harsh"))["douyin"]["weather"] == "harsh"
    assert (await door.post("/shops/taobao/weather", weather="none"))["weather"] == "none"
    assert (await door.post("/shops/douyin/away", seconds=30))["away"] is True
    assert (await door.post("/shops/douyin/away", seconds=0))["away"] is False
    assert (await door.post("/shops/taobao/rate", orders_per_minute=90))["orders_per_minute"] == 90
    assert door.crowd.visitors["taobao"].rate == 1.5
    assert (await door.post("/shops/taobao/hand-edit", **door.listing, shown=50))["shown"] == 50
    assert door.city.stalls["taobao"].shop.tally.hand_edited_units == 45
    url = "http://127.0.0.1:9/inbox/douyin"
    assert (await door.post("/shops/douyin/push-url", url=url))["push_url"] == url


KEYS = {"item_id": "652000000001", "platform_sku_id": "4910000000001"}


NONSENSE = (
    ("/weather", b"", 400),
    ("/weather", b"not json", 400),
    ("/weather", b'{"weather": "snow"}', 400),
    ("/weather", b'{"weather": "calm", "wind": 3}', 400),
    ("/weather", b"\xff\xfe", 400),
    ("/weather", b"[" * 5_000, 400),
    ("/weather", b" " * 20_000, 413),
    ("/shops/ebay/weather", b'{"weather": "calm"}', 404),
    ("/shops/taobao/away", b'{"seconds": -1}', 400),
    ("/shops/taobao/away", b'{"seconds": 1e9}', 400),
    ("/shops/taobao/away", b'{"seconds": NaN}', 400),
    ("/shops/taobao/rate", b'{"orders_per_minute": "many"}', 400),
    ("/shops/taobao/push-url", b'{"url": "http://example.com/"}', 400),
    ("/shops/taobao/push-url", b'{"url": "file:///etc/passwd"}', 400),
    ("/shops/taobao/hand-edit", json.dumps({**KEYS, "shown": -1}).encode(), 400),
    ("/shops/taobao/hand-edit", json.dumps({**KEYS, "shown": 1.5}).encode(), 400),
    ("/shops/taobao/hand-edit", json.dumps({**KEYS, "item_id": "1", "shown": 1}).encode(), 404),
    ("/shops/taobao/orders", json.dumps({**KEYS, "quantity": 0}).encode(), 400),
    ("/shops/taobao/orders", json.dumps({**KEYS, "quantity": 10**30}).encode(), 400),
    ("/shops/taobao/orders", json.dumps({**KEYS, "quantity": 99}).encode(), 409),
    ("/shops/taobao/orders/77/pay", b"", 404),
    ("/shops/taobao/orders/77/refund", b'{"line_id": "1", "quantity": 1}', 404),
    ("/nothing", b"", 404),
    ("/shops", b"", 405),
)


async def test_what_makes_no_sense_is_refused_and_changes_nothing(door: Door) -> None:
    """Every refusal has its status, and the city is as it was but for the buyers it has counted as refused."""
    before = (await door.client.get("/shops")).json()
    for path, body, status in NONSENSE:
        answer = await door.client.post(path, content=body)
        assert answer.status_code == status, f"{path} {body[:80]!r}: {answer.text}"
    after = (await door.client.get("/shops")).json()
    for shop in (*before.values(), *after.values()):
        del shop["refused"]
    assert before == after


async def test_a_strangers_page_cannot_steer(door: Door) -> None:
    """A name that resolves to this machine is not this machine's name."""
    answer = await door.client.post("/weather", json={"weather": "harsh"}, headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert door.city.stalls["taobao"].weather == "none"


async def test_the_command_prints_one_document_and_ends_on_request() -> None:
    """`stockgate sandbox --json` says where everything is; SIGTERM ends it with 0."""
    command = (sys.executable, "-m", "gateway", "sandbox", "--ports", "0", "--skus", "1", "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        printed = json.loads(await process.stdout.readline())
        async with httpx.AsyncClient(trust_env=False) as client:
            assert set((await client.get(f"{printed['control']}/shops")).json()) == set(printed["shops"])
        process.terminate()
        assert await process.wait() == 0
