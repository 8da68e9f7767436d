"""Reviews and drills in Chromium: what is shown of a session, its files, a drill from its beginning to its end."""

import io
import zipfile

import pytest
from playwright.async_api import expect

from gateway.v1.channel_pb2 import Platform
from tests.live.rooms import close_session, open_session
from tests.rpc.shop_calls import create
from tests.web.people import Person

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOM = "<b>一号</b>直播间"
DRILL_MS = 60_000
ACCEPT_MS = 30_000


async def a_session(person: Person) -> int:
    """A session that sold out its cups and is over."""
    client = person.place.client
    await client.add_sku("CUP", 9)
    await create(client, channel="tb", platform=Platform.PLATFORM_TAOBAO)
    session = await open_session(client, ["tb"], {"CUP": 0}, room=ROOM)
    for _ in range(3):
        await client.reserve("CUP", 3)
    await close_session(client, session.session_id)
    return session.session_id


async def test_a_session_is_looked_back_upon(person: Person) -> None:
    """It is listed; its page has the figures, the picture and what people did; markup in its name is text."""
    number = await a_session(person)
    page = await person.open("/review")
    await page.get_by_role("link", name=ROOM).click()
    await page.wait_for_url(f"**/review/{number}")
    await person.settled()
    await expect(page.locator("h1")).to_have_text(ROOM)
    assert await page.locator(".figure b").first.inner_text() == "9"
    assert await page.locator(".story svg").count() == 1
    assert await page.locator("main b", has_text="一号").count() == 0
    assert await page.locator(".happened li").count() == 2


async def test_advice_is_accepted_by_a_click(person: Person) -> None:
    """What it would set stands on the button; afterwards, and whenever the review is opened again, that it is so."""
    number = await a_session(person)
    page = await person.open(f"/review/{number}")
    button = page.get_by_role("button", name="CUP: 服务水平")
    before, _, after = (await button.get_attribute("title") or "").removeprefix("服务水平：").partition(" → ")
    await expect(button).to_have_text(f"采纳：{after}")
    assert before != after
    await button.click()
    accepted = page.locator(".advice .accept", has_text=f"已采纳：{after}")
    await expect(accepted).to_be_visible(timeout=ACCEPT_MS)
    await person.open(f"/review/{number}")
    await expect(accepted).to_be_visible(timeout=ACCEPT_MS)
    [entry] = (await person.call("OperationsService/ListAudit", {"sku": "CUP", "page_size": 1}))["entries"]
    assert (entry["method"], entry["outcome"]) == ("LiveService/AcceptAdvice", "OK")


async def test_a_review_is_taken_away(person: Person) -> None:
    """To print, as JSON, as tables: attachments, which a browser saves and does not run."""
    number = await a_session(person)
    found = {form: await download(person, number, form) for form in ("html", "json", "zip")}
    assert "直播复盘" in found["html"].decode()
    assert ROOM not in found["html"].decode()
    assert zipfile.ZipFile(io.BytesIO(found["zip"])).testzip() is None
    answer = await person.context.request.get(f"/review/{number}/report.json")
    assert (await answer.json())["skus"][0]["sold"] == 9
    for path, status in (
        ("/review/999/report.html", 404),
        ("/review/x/report.html", 400),
        (f"/review/{number}/report.exe", 404),
    ):
        assert (await person.context.request.get(path)).status == status


async def download(person: Person, number: int, form: str) -> bytes:
    """What a link of the page gives."""
    answer = await person.context.request.get(f"/review/{number}/report.{form}")
    assert answer.ok, await answer.text()
    assert answer.headers["content-disposition"] == f'attachment; filename="session-{number}.{form}"'
    return await answer.body()


async def test_a_drill_is_begun_and_passed(person: Person) -> None:
    """A made-up drill is previewed, begun, marked on every page while it runs, and scored in the end."""
    page = await person.open("/drills")
    await page.get_by_role("button", name="自己编").click()
    await page.locator("#drill-name").fill("晚场 <i>演练</i>")
    await page.locator("#drill-rate").fill("60")
    await page.locator("#drill-minutes").fill("10")
    await page.locator("#drill-speed").select_option("200")
    await expect(page.locator(".preview")).to_contain_text("应当在断货前预警")
    await page.get_by_role("button", name="开始演练").click()
    await page.wait_for_url("**/drills/*")
    await expect(page.locator(".drill-banner")).to_be_visible()
    await expect(page.locator("h1 .chip")).to_have_text("通过", timeout=DRILL_MS)
    await expect(page.locator("h1")).to_contain_text("晚场 <i>演练</i>")
    assert await page.locator(".expectations .chip.good").count() == 3
    await expect(page.locator(".drill-banner")).to_be_hidden()


async def test_a_recorded_session_can_be_rehearsed_from_its_review(person: Person) -> None:
    """The review leads to the drills with this session chosen; what is wrong with a wish is said at once."""
    number = await a_session(person)
    page = await person.open(f"/review/{number}")
    await page.get_by_role("link", name="拿这场演练").click()
    await expect(page.locator("#drill-session")).to_have_value(str(number))
    await expect(page.locator(".preview")).to_contain_text("3 笔录下的订单")
    person.expect("400")
    await page.get_by_role("button", name="自己编").click()
    await page.locator("#drill-skus").fill("A A")
    await expect(page.locator(".preview .problem")).to_be_visible()
    await expect(page.get_by_role("button", name="开始演练")).to_be_disabled()
