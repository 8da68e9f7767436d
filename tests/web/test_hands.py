"""What hands do on the page, and what must not happen under them: by mouse, by keyboard, back and forth."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.web.people import Person, Place

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAIT_MS = 30_000
# More than are shown as cards.
MANY = 63
CARDS_MAX = 60
# The card of one SKU comes before that of the other.
IN_ORDER = """([one, other]) => {
  const codes = [...document.querySelectorAll(".sku-card")].map((card) => card.dataset.key.split("\\n")[0]);
  return codes.indexOf(one) < codes.indexOf(other);
}"""


async def sell_out(place: Place, *skus: str) -> None:
    """SKUs that need a look."""
    for sku in skus:
        await place.client.add_sku(sku, 5)
        await place.client.reserve(sku, 5)


def card(page: Page, sku: str) -> Locator:
    """The card of a SKU."""
    return page.locator(f".sku-card[data-key^={sku}]")


@pytest_asyncio.fixture(loop_scope="session")
async def hands(browser: Browser, open_place: Place) -> AsyncIterator[Person]:
    """Somebody at the merchant's whom the tests of this file share: each has SKUs of its own."""
    async with open_place.person(browser) as found:
        yield found


async def away(route: Route) -> None:
    """The gateway does not answer."""
    await route.abort()


async def test_what_is_about_to_be_pressed_stays_in_its_place(hands: Person) -> None:
    """While a button is under the pointer a more pressing card waits behind; then it goes where it belongs."""
    await sell_out(hands.place, "HELD-2")
    page = await hands.open()
    await card(page, "HELD-2").locator(".actions button").first.hover(timeout=WAIT_MS)
    before = await card(page, "HELD-2").bounding_box()
    await sell_out(hands.place, "HELD-1")
    await card(page, "HELD-1").wait_for(timeout=WAIT_MS)
    assert await card(page, "HELD-2").bounding_box() == before
    await page.mouse.move(0, 0)
    await page.wait_for_function(IN_ORDER, arg=["HELD-1", "HELD-2"], timeout=WAIT_MS)


async def test_pressing_twice_is_pressing_once(hands: Person) -> None:
    """A double click takes a warning on, and tells nobody that he was too late himself."""
    await sell_out(hands.place, "TWICE")
    page = await hands.open()
    await card(page, "TWICE").locator(".actions button.primary").dblclick(timeout=WAIT_MS)
    await expect(card(page, "TWICE").locator(".taken")).to_contain_text(hands.name, timeout=WAIT_MS)
    await expect(page.locator(".notice")).to_have_count(1)
    assert await page.locator(".notice.problem").count() == 0


async def test_units_are_asked_for_with_what_brings_some(hands: Person) -> None:
    """Watching needs no number; replenishing does, and the dialog stays until there is one."""
    await sell_out(hands.place, "UNITS")
    page = await hands.open()
    await card(page, "UNITS").locator(".actions button", has_text="附言").click(timeout=WAIT_MS)
    dialog = page.get_by_role("dialog")
    units = dialog.get_by_label("数量")
    await expect(units).to_be_hidden()
    await dialog.get_by_text("已补货").click()
    await expect(units).to_be_visible()
    await dialog.locator("button.primary").click()
    await expect(units).to_be_visible()
    await units.fill("20")
    await dialog.locator("button.primary").click()
    await expect(card(page, "UNITS").locator(".taken")).to_contain_text("20", timeout=WAIT_MS)


async def test_the_focus_stays_where_hands_are(hands: Person) -> None:
    """The first link leads past the frame; a drill's banner, a theme and an answer keep the focus."""
    await sell_out(hands.place, "FOCUS")
    script = {"made_up": {"name": "d", "skus": ["D"], "units": 9, "rate": 1.0, "surge": 1, "seconds": 900}, "speed": 1}
    await hands.call("AlertService/Rehearse", {"request_id": "one", "source": script})
    page = await hands.open()
    await card(page, "FOCUS").wait_for(timeout=WAIT_MS)
    await page.evaluate("document.querySelector('main > *').dataset.same = 1")
    await page.locator(".skip").focus()
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"
    assert await page.locator("main > [data-same]").count() == 1
    link = page.locator(".drill-banner a")
    await link.focus(timeout=WAIT_MS)
    await page.evaluate(
        """async () => {
          const { live } = await import("/static/js/live.js");
          for (let ticks = 0; ticks < 2; ticks += 1)
            await new Promise((done) => { const end = live.on("tick", () => done(end())); });
        }"""
    )
    await expect(link).to_be_focused()
    await page.locator(".menu-place summary").click()
    dark = page.get_by_role("button", name="深色")
    await dark.click()
    await expect(dark).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator(".menu-place summary")).to_be_focused()
    await card(page, "FOCUS").locator(".actions button.primary").press("Enter")
    await expect(card(page, "FOCUS").locator(".taken")).to_contain_text(hands.name, timeout=WAIT_MS)
    assert await page.evaluate("document.activeElement.closest('.sku-card') !== null")


async def test_back_leads_to_what_was_looked_for(hands: Person) -> None:
    """The address says what is searched; back from a SKU it is searched again."""
    await sell_out(hands.place, "BACK")
    page = await hands.open()
    await page.fill("input[type=search]", "BACK")
    await expect(page.locator(".sku-card")).to_have_count(1, timeout=WAIT_MS)
    assert page.url.endswith("/?q=BACK")
    await card(page, "BACK").locator(".card-title").click()
    await page.locator(".sku-head").wait_for(timeout=WAIT_MS)
    await page.go_back()
    await expect(page.locator("input[type=search]")).to_have_value("BACK")
    await expect(page.locator(".sku-card")).to_have_count(1, timeout=WAIT_MS)


async def test_everything_sold_out_at_once_is_still_a_page(person: Person) -> None:
    """So many cards, and the rest as lines that say their tier; each is counted."""
    place = person.place
    await sell_out(place, *(f"CUP-{number:03}" for number in range(MANY)))
    page = await person.open()
    await expect(page.locator(".sku-card")).to_have_count(CARDS_MAX, timeout=WAIT_MS)
    lines = page.locator(".sku-line", has=page.locator("[data-tier=SOLD_OUT]"))
    await expect(lines).to_have_count(MANY - CARDS_MAX, timeout=WAIT_MS)
    count = page.locator(".count", has=page.locator("[data-tier=SOLD_OUT]"))
    await expect(count).to_contain_text(str(MANY))


async def test_what_cannot_be_read_says_so_and_comes_back(person: Person) -> None:
    """A page that could not be read is read again by itself; one that cannot be kept up says that it is old."""
    person.expect("ERR_FAILED")
    health = "**/api/OperationsService/ListChannelHealth"
    page = await person.open()
    await page.route(health, away)
    await person.go("/channels")
    await page.get_by_text("没有读到").wait_for()
    await page.unroute(health)
    await page.get_by_text("还没有渠道").wait_for(timeout=WAIT_MS)
    await page.route(health, away)
    await page.wait_for_selector("[data-failed]", timeout=WAIT_MS)
    await page.unroute(health)
    await expect(page.locator("[data-failed]")).to_have_count(0, timeout=WAIT_MS)


async def test_a_drill_is_answered_where_work_is_done(person: Person) -> None:
    """While one is on, its warnings stand on Now, marked as no real ones, and can be taken on there."""
    made_up = {"name": "d", "skus": ["D"], "units": 100, "rate": 30.0, "surge": 1, "seconds": 900, "lead_seconds": 600}
    await person.call("AlertService/Rehearse", {"request_id": "one", "source": {"made_up": made_up, "speed": 20}})
    page = await person.open()
    drilled = page.locator(".drill-strip .drill-sku", has_text="D")
    await expect(drilled.locator(".chip.drill")).to_have_text("演练", timeout=WAIT_MS)
    await drilled.get_by_role("button", name="认领", exact=True).click(timeout=WAIT_MS)
    await expect(drilled).to_contain_text(f"{person.name} 已认领", timeout=WAIT_MS)
    assert await page.locator(".sku-card, .sku-line").count() == 0
