"""Tabs over an evening: many of them, a session that ends, somebody who signs in again, a clock that is off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from gateway.v1 import alert_service_pb2 as alerts
from gateway.v1 import channel_service_pb2 as selling
from gateway.v1 import operations_service_pb2 as operations
from tests.rpc.played_shop import Shop
from tests.web.people import Person, Place

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAIT_MS = 30_000
# More than a browser has connections for one host.
TABS = 6
HIDE = "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
HIDDEN = HIDE + "document.dispatchEvent(new Event('visibilitychange'));"
SHOWN = HIDDEN.replace("true, c", "false, c")
AN_HOUR_AHEAD = "const now = Date.now; Date.now = () => now() + 3_600_000;"
ELSEWHERE = {"x-forwarded-for": "203.0.113.9"}


async def sold_out(place: Place, sku: str) -> None:
    """A SKU that needs a look."""
    await place.client.add_sku(sku, 5)
    await place.client.reserve(sku, 5)


async def streams_of(place: Place) -> int:
    """How many listen."""
    answer = await place.client.ask(place.client.operations.ListStreams, operations.ListStreamsRequest)
    return sum(1 for one in answer.streams if one.HasField("open_time"))


async def take_on(page: Page, sku: str) -> None:
    """Press the first button of a card."""
    await page.locator(".sku-card", has_text=sku).locator(".actions button.primary").click(timeout=WAIT_MS)


def taken(page: Page, sku: str) -> Locator:
    """What a card says of who has it."""
    return page.locator(".sku-card", has_text=sku).locator(".taken")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(open_place: Place) -> Place:
    """A merchant with one channel, which was heard just now; each test has SKUs of its own."""
    await Shop(open_place.client).open()
    return open_place


@asynccontextmanager
async def at_channels(browser: Browser, place: Place) -> AsyncIterator[Person]:
    """Somebody who looks at it from another machine."""
    async with place.person(browser) as person:
        await person.context.set_extra_http_headers(ELSEWHERE)
        await person.open("/channels")
        await person.page.locator(".channel-card").wait_for()
        yield person


async def test_tabs_in_the_background_take_no_connection(browser: Browser, shared: Place) -> None:
    """However many are opened behind the one that is looked at, it works; one that is hidden for long lets go."""
    await sold_out(shared, "TABS")
    async with shared.person(browser) as person:
        behind = []
        for _ in range(TABS):
            page = await person.context.new_page()
            person.listen(page)
            await page.add_init_script(HIDE)
            await page.goto("/", wait_until="commit")
            behind.append(page)
        page = await person.open()
        await take_on(page, "TABS")
        await expect(taken(page, "TABS")).to_contain_text(person.name, timeout=WAIT_MS)
        await page.evaluate(HIDDEN)
        async with asyncio.timeout(WAIT_MS / 1000):
            while await streams_of(shared):  # noqa: ASYNC110 - another process knows, and is asked
                await asyncio.sleep(0.1)
        await behind[0].evaluate(SHOWN)
        await behind[0].wait_for_selector("html[data-live=live]", timeout=WAIT_MS)


async def test_a_session_that_ends_leads_back_to_where_one_was(browser: Browser, shared: Place) -> None:
    """Nobody is asked again and again: the page is left for signing in, once, and comes back."""
    async with at_channels(browser, shared) as person:
        person.expect("status of 401|ERR_ABORTED")
        await person.context.clear_cookies()
        page = person.page
        await page.wait_for_url("**/login?next=%2Fchannels", timeout=WAIT_MS)
        assert await page.locator("dialog").count() == 0
        await page.fill("#name", "李敏")
        await page.fill("#token", shared.token)
        await page.keyboard.press("Enter")
        await page.locator(".channel-card").wait_for(timeout=WAIT_MS)


async def test_a_session_that_ends_under_a_dialog_costs_no_word(browser: Browser, shared: Place) -> None:
    """What was being typed stays; who confirms it is asked once who he is, and then it is done."""
    async with at_channels(browser, shared) as person:
        person.expect("status of 401")
        page = person.page
        await page.get_by_role("button", name="暂停").last.click()
        await page.get_by_label("为什么").fill("主播改了价格")
        await person.context.clear_cookies()
        async with page.expect_response(lambda answer: answer.status == 401, timeout=WAIT_MS):
            pass
        await page.get_by_role("dialog").get_by_role("button", name="暂停").click()
        await page.get_by_label("名字").fill("王芳")
        await page.get_by_label("访问令牌").fill(shared.token)
        await page.keyboard.press("Enter")
        await expect(page.locator(".channel-card .chip")).to_have_text("已暂停", timeout=WAIT_MS)
        assert await page.locator("dialog").count() == 0
        await person.call("ChannelService/ResumeChannel", {"channel": "tb"})


async def test_who_signs_in_in_another_tab_can_go_on_in_this_one(browser: Browser, shared: Place) -> None:
    """A newer session of the same browser is this tab's as well."""
    await sold_out(shared, "AGAIN")
    async with shared.person(browser) as person:
        page = await person.open()
        person.expect("status of 403")
        again = await person.context.request.post("/session", data={"name": "王芳", "token": shared.token})
        assert again.ok
        await take_on(page, "AGAIN")
        await expect(taken(page, "AGAIN")).to_contain_text("王芳", timeout=WAIT_MS)
        assert await page.locator(".notice.problem").count() == 0


async def test_a_session_that_ends_shows_nobody_elses_stock_as_his(browser: Browser, shared: Place) -> None:
    """On this machine everybody may look at the first merchant: the page says that it is his, and shows his alone."""
    await sold_out(shared, "OURS")
    async with shared.person(browser) as person:
        page = await person.open("/")
        await page.locator(".sku-card", has_text="OURS").wait_for(timeout=WAIT_MS)
        person.expect("status of 40[19]")
        await person.context.clear_cookies()
        await page.fill("input[type=search]", "OURS")
        await expect(page.locator("header .merchant")).to_have_text("main", timeout=WAIT_MS)
        await page.fill("input[type=search]", "")
        await expect(page.locator(".sku-card", has_text="OURS")).to_have_count(0, timeout=WAIT_MS)


async def test_a_computers_clock_decides_nothing(browser: Browser, shared: Place) -> None:
    """An hour ahead: a connector that was just heard is there, and a silence ends when it should."""
    await sold_out(shared, "CLOCK")
    beat = {"channel": "tb", "state": {"connector_id": "played"}}
    await shared.client.ask(shared.client.selling.Heartbeat, selling.HeartbeatRequest, **beat)
    async with shared.person(browser) as person:
        await person.context.add_init_script(AN_HOUR_AHEAD)
        page = await person.open("/channels")
        await expect(page.locator(".channel-card .chip")).to_have_text("正常")
        page = await person.go("/")
        await page.wait_for_selector("html[data-live=live]")
        card = page.locator(".sku-card", has_text="CLOCK")
        await card.locator(".actions button", has_text="静音").click(timeout=WAIT_MS)
        await page.get_by_label("为什么").fill("正在补货")
        await page.get_by_role("dialog").get_by_role("button", name="静音").click()
        await page.locator(".notice.ok").wait_for(timeout=WAIT_MS)
        answer = await shared.client.ask(shared.client.alerts.ListSilences, alerts.ListSilencesRequest)
        (silence,) = answer.silences
        left = silence.end_time.ToDatetime(UTC) - datetime.now(UTC)
        assert timedelta(minutes=10) < left <= timedelta(minutes=15, seconds=5)
