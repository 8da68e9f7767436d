"""Every page, as people see it: in both languages, light and dark, at a desk and on a phone, busy and empty."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from gateway.rpc.status import STATUS_OF
from tests.web.evening import LONG, MARKUP, evening
from tests.web.people import PHONE, Person, Place

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = ("/", "/sku/CUP-01", "/channels", "/shortfalls", "/streams", "/drills", "/review", "/audit")
LOST = ("/nothing", "/sku/NOT-THERE", "/drills/99", "/review/99", "/trace/00000000000000000000000000000001")
# The browser says so of every answer like that.
NOT_FOUND = "the server responded with a status of 404"
SCRIPTS = Path(__file__).parent / "looking"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def busy(open_place: Place) -> AsyncIterator[Place]:
    """A merchant in the middle of his evening."""
    async with evening(open_place.client):
        yield open_place


async def look(page: Page, script: str) -> Any:
    """What a script of ours finds on the page."""
    return await page.evaluate((SCRIPTS / script).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_every_page_can_be_read(browser: Browser, busy: Place, lang: str) -> None:
    """Each page at a desk: every text stands out, light and dark, in the language that was chosen; no bare key."""
    wrong: list[str] = []
    async with busy.person(browser, lang=lang) as person:
        await person.open()
        for path in (*PATHS, *LOST):
            if path == LOST[0]:
                person.expect(NOT_FOUND)
            page = await person.go(path)
            for theme in ("light", "dark"):
                await page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
                wrong += [f"{path} {theme}: {text}" for text in await look(page, "contrast.js")]
            wrong += [f"{path}: {text}" for text in await look(page, "keys.js")]
            said = await page.inner_text("nav")
            assert any("\u4e00" <= letter <= "\u9fff" for letter in said) == (lang == "zh")
    assert not wrong, "\n".join(wrong)


async def test_every_page_fits_a_phone(browser: Browser, busy: Place) -> None:
    """At 390 pixels nothing lies beside the screen, whatever the names; what is to be tapped can be hit."""
    wrong: list[str] = []
    async with busy.person(browser, screen=PHONE) as person:
        person.expect(NOT_FOUND)
        await person.open()
        for path in (*PATHS, *LOST):
            wrong += [f"{path}: {text}" for text in await look(await person.go(path), "overflow.js")]
    assert not wrong, "\n".join(wrong)


async def test_an_empty_merchant_is_told_what_to_do(person: Person) -> None:
    """Where there is nothing yet each page says so, in words; also who comes to it from a bookmark is told."""
    person.expect(NOT_FOUND)
    wrong: list[str] = []
    for path in (*PATHS, *LOST):
        page = await (person.open(path) if path in {"/", "/audit", *LOST[:2]} else person.go(path))
        said = await page.inner_text("main")
        assert any("\u4e00" <= letter <= "\u9fff" for letter in said), path
        wrong += [f"{path}: {text}" for text in await look(page, "keys.js")]
    assert not wrong, "\n".join(wrong)


async def test_what_others_wrote_stays_text(browser: Browser, busy: Place) -> None:
    """Titles, rooms, reasons and comments with markup are shown as they were written; nothing of them is loaded."""
    seen = ""
    async with busy.person(browser) as person:
        await person.open()
        for path in (*PATHS, "/sku/A%2FB%26C%3DD%3F%231"):
            page = await person.go(path)
            assert await page.evaluate("document.querySelectorAll('main img, main script, main style').length") == 0
            seen += await page.inner_text("body")
            assert await page.title() != "1"
    assert MARKUP[0] in seen
    assert "49" not in seen.replace(MARKUP[3], "") or "7*7" in seen


async def test_words_are_there_in_both_languages(person: Person) -> None:
    """Every key that a script names has words, in Chinese and in English, with the same places to fill in."""
    wrong = await look(await person.open("/"), "words.js")
    assert not wrong, "\n".join(wrong)


async def test_every_refusal_is_told_in_ones_language(person: Person) -> None:
    """What the gateway may refuse, and what the page does by itself, has words in Chinese and in English."""
    page = await person.open("/")
    words = await page.evaluate("async () => (await import('/static/js/words.js')).allWords()")
    reasons = {reason for _, reason in STATUS_OF.values()} | {"SIGN_IN", "CSRF", "ORIGIN", "MERCHANT", "TOO_MANY_TRIES"}
    missing = [reason for reason in reasons for said in words.values() if f"error.{reason}" not in said]
    assert not missing


async def test_a_long_name_is_shown_whole_somewhere(browser: Browser, busy: Place) -> None:
    """What is cut for its length can be read on the SKU's own page."""
    async with busy.person(browser) as person:
        page = await person.open("/sku/" + "L" * 64)
        assert LONG in (await page.inner_text("main")).replace("\n", "")
