"""Channels and Streams in a browser: what holds a channel up, what hands do about it, and who listens."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway.v1 import channel_service_pb2 as selling
from tests.rpc.alert_streams import AlertStream
from tests.rpc.played_shop import REFUSED, Shop
from tests.web.evening import MARKUP
from tests.web.people import Person, Place

pytestmark = pytest.mark.asyncio(loop_scope="session")

REASON = "主播改了价格"


async def open_shop(place: Place) -> Shop:
    """A Taobao shop whose connector lives, with CUP on sale."""
    shop = Shop(place.client)
    await place.client.add_sku("CUP", 10)
    await shop.open()
    await shop.link(("CUP", 1))
    return shop


def card(page: Page) -> Any:
    """The only channel's card."""
    return page.locator(".channel-card")


async def test_a_channel_is_paused_with_a_reason_and_resumed(person: Person, place: Place) -> None:
    """One dialog each; the card says who may sell what meanwhile, and the gateway has done it."""
    await open_shop(place)
    page = await person.open("/channels")
    await expect(card(page).locator(".chip")).to_have_text("正常")
    await card(page).get_by_role("button", name="暂停").click()
    await page.get_by_label("为什么").fill(REASON)
    await page.get_by_role("dialog").get_by_role("button", name="暂停").click()
    await expect(card(page).locator(".chip")).to_have_text("已暂停")
    await expect(card(page).locator(".channel-advice")).to_contain_text(REASON)
    (found,) = (await person.call("CatalogService/ListChannels"))["channels"]
    assert (found["paused"], found["pause_reason"]) == (True, REASON)
    await card(page).get_by_role("button", name="恢复").click()
    await page.get_by_role("dialog").get_by_role("button", name="恢复").click()
    await expect(card(page).locator(".chip")).to_have_text("正常")
    said = (await person.call("OperationsService/ListAudit", {"channel": "tb"}))["entries"]
    assert [(one["method"].rpartition("/")[2], one["actor"]) for one in said[:2]] == [
        ("ResumeChannel", person.name),
        ("PauseChannel", person.name),
    ]


async def test_what_the_platform_will_not_have_is_shown_and_read_again(person: Person, place: Place) -> None:
    """A parked listing waits with the platform's own words, as text; one click has it read, and parked no more."""
    shop = await open_shop(place)
    async with shop.watching() as watch:
        await shop.report(await watch.push(), REFUSED, error=MARKUP[0])
    page = await person.open("/channels")
    await expect(card(page).locator(".chip")).to_have_text("待人工处理")
    await card(page).get_by_role("button", name="待人工处理 1").click()
    await expect(card(page).locator("tbody tr")).to_contain_text(["CUP"])
    await expect(card(page).locator("tbody")).to_contain_text(MARKUP[0])
    await card(page).get_by_role("button", name="重新读取").click()
    await expect(card(page)).to_contain_text("没有待人工处理的商品")
    assert (await shop.listing(1)).parked_reason == ""


async def test_what_holds_a_channel_up_is_said_with_what_to_do(person: Person, place: Place) -> None:
    """A platform that does not answer, and a connector that needs somebody: the gravest is the card's sentence."""
    shop = await open_shop(place)

    async def beat(**state: Any) -> None:
        request = {"channel": shop.channel, "state": {"connector_id": "played", **state}}
        await place.client.ask(place.client.selling.Heartbeat, selling.HeartbeatRequest, **request)

    await beat(breaker_open=True)
    page = await person.open("/channels")
    await expect(card(page).locator(".chip")).to_have_text("平台没有应答")
    await beat(needs="sign in again at the platform")
    await expect(card(page).locator(".channel-advice")).to_contain_text("sign in again at the platform")


async def test_who_listens_is_listed_and_why_streams_ended(person: Person, place: Place) -> None:
    """A reader appears with its name and state, and once it hangs up the reason is counted."""
    stream = AlertStream(place.client, subscriber_id="主播大屏", live_only={})
    await stream.created()
    page = await person.open("/streams")
    await expect(page.locator("tbody tr", has_text="主播大屏")).to_contain_text("同步")
    stream.cancel()
    await expect(page.locator("tbody tr", has_text="CLIENT_GONE")).to_contain_text("客户端自己断开")
