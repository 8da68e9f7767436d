"""Why a number is what it is: the page and the command line say the same."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Browser

from gateway.v1.channel_pb2 import Platform
from tests.rpc.played_shop import Shop
from tests.rpc.shop_calls import create
from tests.web.people import Place

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMMAND_SECONDS_MAX = 60.0


async def explained(place: Place, sku: str, channel: str, at: str) -> list[dict[str, Any]]:
    """What `stockgate explain` prints, as JSON."""
    told = {"STOCKGATE_ADDRESS": place.address, "STOCKGATE_TOKEN": place.token}
    arguments = ("explain", "--sku", sku, "--channel", channel, "--at", at, "--json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments), stdout=asyncio.subprocess.PIPE, env=os.environ | told
    )
    out, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS_MAX)
    assert process.returncode == 0
    explanations: list[dict[str, Any]] = json.loads(out)["explanations"]
    return explanations


async def test_the_page_says_what_the_command_line_says(browser: Browser, place: Place) -> None:
    """Of a channel that is served and of one that is away: each sentence, and the cause."""
    for sku in ("CUP", "MUG"):
        await place.client.add_sku(sku, 20)
    shop = Shop(place.client)
    await shop.open()
    await create(place.client, channel="dy", platform=Platform.PLATFORM_DOUYIN)
    await shop.link(("CUP", 1))
    await shop.link(("MUG", 1), channel="dy", item_id="3")
    async with shop.serving():
        await shop.wait_shown(L1=20)
        at = datetime.now(UTC).isoformat()
    async with place.person(browser) as one, place.person(browser, lang="en") as other:
        asked = (("CUP", "tb"), ("MUG", "dy"))
        told = await asyncio.gather(*(explained(place, sku, channel, at) for sku, channel in asked))
        for (sku, channel), [said] in zip(asked, told, strict=True):
            for person, end in ((one, ""), (other, "_en")):
                page = await person.open(f"/sku/{sku}?channel={channel}&at={quote(at)}")
                await page.wait_for_selector(".explain-station")
                shown = await page.inner_text(".explain-one")
                stations = page.locator(".explain-station")
                assert said["headline" + end] in shown
                assert await stations.count() == len(said["deciders"])
                for number, decider in enumerate(said["deciders"]):
                    assert decider["text" + end] in await stations.nth(number).inner_text()
                causes = page.locator(".explain-station[aria-current]")
                cause = [place for place, one in enumerate(said["deciders"]) if one["kind"] == said.get("cause")]
                assert await causes.count() == len(cause)
                if cause:
                    assert said["deciders"][cause[0]]["text" + end] in await causes.inner_text()
