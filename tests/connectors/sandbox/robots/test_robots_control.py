"""Steering the robots over HTTP, beside the shops."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from connectors.sandbox.city import CitySettings, open_city
from connectors.sandbox.control import control_app
from connectors.sandbox.robots import Fault, Hall
from connectors.sandbox.robots.control import robot_routes
from connectors.sandbox.serving import serving


@dataclass
class Door:
    """The control door, and the robots behind it."""

    hall: Hall
    client: httpx.AsyncClient


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    hall = Hall()
    async with (
        open_city(CitySettings(weather="none")) as city,
        serving(hall.app) as robots,
        serving(control_app(city, None, robot_routes(hall, robots))) as address,
        httpx.AsyncClient(trust_env=False, base_url=f"http://{address}") as client,
    ):
        yield Door(hall, client)


async def test_what_robots_have_kept_is_shown_and_forgotten(door: Door) -> None:
    """With text, room and number; the shops are there as before."""
    desk = door.hall.desks["agora"]
    desk.kept.append(desk.keep("还能卖23单", {}, target="room-1"))
    shown = (await door.client.get("/robots")).json()
    assert set(shown) == {"dingtalk", "feishu", "wecom", "agora"}
    assert shown["agora"]["messages"][0] | {"text": "还能卖23单", "target": "room-1"} == shown["agora"]["messages"][0]
    assert (await door.client.post("/robots/agora/forget", json={})).json()["kept"] == 0
    assert "taobao" in (await door.client.get("/shops")).json()


async def test_faults_are_ordered_and_taken_back(door: Door) -> None:
    """For so many calls, for all, for none."""
    desk = door.hall.desks["feishu"]
    answer = await door.client.post("/robots/feishu/fault", json={"fault": "lose-answer", "calls": 3})
    assert (answer.json()["fault"], answer.json()["fault_calls"]) == ("lose-answer", 3)
    assert (desk.fault, desk.fault_calls) == (Fault.LOSE_ANSWER, 3)
    await door.client.post("/robots/feishu/fault", json={"fault": "hang"})
    assert (desk.fault, desk.fault_calls) == (Fault.HANG, None)
    await door.client.post("/robots/feishu/fault", json={"fault": None})
    assert desk.fault is None


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/robots/icq/fault", b'{"fault": "hang"}', 404),
        ("/robots/feishu/fault", b"", 400),
        ("/robots/feishu/fault", b'{"fault": "rain"}', 400),
        ("/robots/feishu/fault", b'{"fault": "hang", "calls": 0}', 400),
        ("/robots/feishu/fault", b'{"fault": "hang", "wind": 1}', 400),
        ("/robots/feishu/forget", b'{"all": true}', 400),
        ("/robots/feishu/forget", b" " * 20_000, 413),
        ("/robots", b"{}", 405),
    ],
)
async def test_what_makes_no_sense_is_refused(door: Door, path: str, body: bytes, status: int) -> None:
    """With its status, and nothing goes wrong therefore."""
    assert (await door.client.post(path, content=body)).status_code == status
    assert door.hall.desks["feishu"].fault is None


async def test_the_command_says_where_robots_are() -> None:
    """`stockgate sandbox --json` prints each robot's address and keys, and the control door shows them."""
    command = (sys.executable, "-m", "gateway", "sandbox", "--ports", "0", "--skus", "1", "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        printed = json.loads(await process.stdout.readline())
        assert {name: set(known) for name, known in printed["robots"].items()} == {
            "dingtalk": {"base_url", "token", "secret"},
            "feishu": {"base_url", "token", "secret"},
            "wecom": {"base_url", "token"},
            "agora": {"base_url", "app_id", "token", "secret"},
        }
        async with httpx.AsyncClient(trust_env=False) as client:
            assert set((await client.get(f"{printed['control']}/robots")).json()) == set(printed["robots"])
            url, token = printed["robots"]["wecom"]["base_url"], printed["robots"]["wecom"]["token"]
            body = {"msgtype": "text", "text": {"content": "库存"}}
            answer = await client.post(f"{url}/cgi-bin/webhook/send", params={"key": token}, json=body)
            assert answer.json()["errcode"] == 0
            assert (await client.get(f"{printed['control']}/robots")).json()["wecom"]["kept"] == 1
        process.terminate()
        assert await process.wait() == 0
