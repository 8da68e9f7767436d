"""What happened to a SKU, and who did what, as people look it up."""

import pytest
from playwright.async_api import expect

from tests.client import Client
from tests.rpc.played_shop import PAID, Shop, order
from tests.store.history import adjust
from tests.web.people import Person

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def stock_shop(client: Client) -> Shop:
    """10 CUP, sold by the channel tb, of which an order has taken two."""
    await client.add_sku("CUP", 10)
    shop = Shop(client)
    await shop.open()
    await shop.link(("CUP", 1))
    async with shop.serving():
        await shop.wait_shown(L1=10)
        await shop.report_orders(order(shop, "A-1", PAID, {"quantity": 2}))
        shop.shown[1] -= 2
        await shop.wait_shown(L1=8)
    return shop


async def test_what_happened_is_filtered_linked_and_kept_up(person: Person) -> None:
    """One kind alone; a line's link leads to it; what happens meanwhile comes on top by itself."""
    client = person.place.client
    await stock_shop(client)
    page = await person.open("/sku/CUP")
    lines = page.locator(".past-line")
    await expect(lines.filter(has_text="tb 订单 A-1：售出 2 件")).to_have_count(1)
    await page.locator(".past-kinds button", has_text="订单").click()
    await expect(lines.locator(".past-kind")).to_have_text(["订单", "订单"])
    assert page.url.endswith("/sku/CUP?kinds=order")
    await lines.last.locator(".past-time").click()
    await expect(page.locator(".past-found")).to_contain_text("tb 订单 A-1：预占 2 件")
    # What was sold was promised at the same moment: nothing later is above.
    await expect(lines.first).to_contain_text("A-1：售出 2 件")
    await page.get_by_role("link", name="看最新的").click()
    await client.receive("CUP", 7)
    await expect(lines.filter(has_text="入库 7 件").first).to_be_visible()
    texts = await lines.locator(".past-text").all_inner_texts()
    newest, older = (next(place for place, text in enumerate(texts) if said in text) for said in ("入库 7", "售出 2"))
    assert newest < older


async def test_why_a_channel_shows_its_number_opens_beside_it(person: Person) -> None:
    """One press opens the chain of stations, another closes it; its link opens it again."""
    await stock_shop(person.place.client)
    page = await person.open("/sku/CUP")
    why = page.get_by_role("button", name="为什么")
    await why.click()
    panel = page.locator(".sku-explained")
    await expect(panel.locator(".explain-station").first).to_contain_text("账本")
    await page.get_by_role("button", name="收起").click()
    await expect(panel).to_be_hidden()
    await person.open("/sku/CUP?channel=tb")
    await expect(panel.locator(".explain-station").first).to_be_visible()


async def test_a_shortfall_is_resolved_in_somebodys_name(person: Person) -> None:
    """Taken on, resolved with a reason, gone from the open ones; the audit knows who, and how it ended."""
    client = person.place.client
    await client.add_sku("CUP", 3)
    await client.reserve("CUP", 3)
    await adjust(client, "CUP", -2, record_reality=True)
    page = await person.open("/shortfalls")
    await page.get_by_role("button", name="我来负责").click()
    row = page.locator("tbody tr")
    await expect(row).to_contain_text("李敏")
    await page.get_by_role("button", name="处理完了").click()
    await page.locator("dialog textarea").fill('补发 <b>两</b> "件"')
    await page.locator("dialog .primary").click()
    await expect(page.locator("main .empty")).to_contain_text("没有缺货")
    await page.get_by_role("link", name="看处理完的").click()
    await expect(row).to_contain_text('补发 <b>两</b> "件"')
    await person.go("/audit?actor=李敏")
    await expect(row).to_have_count(2)
    await expect(row.first).to_contain_text('补发 <b>两</b> "件"')
    await expect(row.first).to_contain_text("CUP")


async def test_the_audit_is_filtered_and_linked(person: Person) -> None:
    """By SKU; an entry's link leads to it; refusals are among them, and say their reason."""
    client = person.place.client
    for sku in ("CUP", "MUG"):
        await client.add_sku(sku, 1)
    person.expect("status of 404")
    page = await person.open("/audit")
    await page.locator("input[name=sku]").fill("CUP")
    await page.keyboard.press("Enter")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("入库")
    await rows.last.locator("td a").first.click()
    await expect(page.locator(".audit-found")).to_have_count(1)
    await expect(rows.first).to_contain_text("新建商品")
    await person.page.locator("summary", has_text="请求内容").first.click()
    await expect(page.locator(".audit-content").first).to_contain_text('"sku": "CUP"')


async def test_a_sku_is_found_by_its_title(person: Person) -> None:
    """A slash begins to search, Enter goes to the first that is found; what there is not is said."""
    await person.place.client.add_sku("CUP", 1)
    person.expect("status of 404")
    page = await person.open("/sku/NOPE")
    await expect(page.locator("main")).to_contain_text("没有编码是「NOPE」的商品")
    await page.locator("main input[type=search]").fill("cu")
    await expect(page.locator(".sku-found a")).to_contain_text("CUP")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("CUP")
    await page.keyboard.press("/")
    await expect(page.locator("input[type=search]")).to_be_focused()
