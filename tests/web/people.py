"""Who looks at the page: a person with a browser of his own, in whose console nothing may go wrong."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize

from gateway import app
from tests.client import Client

WAIT_MS = 30_000
DESK = (1280, 800)
PHONE = (390, 844)
# Kept before any script of the page runs.
CHOOSE = "localStorage.setItem('stockgate.lang', '{lang}'); localStorage.setItem('stockgate.theme', 'light');"
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
GO = "(path) => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')); }"
REPORT = "addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective));"


@dataclass(frozen=True)
class Place:
    """A merchant, and where his page and his API are: a URL, and `host:port`."""

    url: str
    address: str
    token: str
    client: Client

    @property
    def merchant(self) -> str:
        """The merchant's name."""
        return self.token.partition(".")[0]

    @asynccontextmanager
    async def person(
        self,
        browser: Browser,
        name: str = "李敏",
        *,
        screen: tuple[int, int] = DESK,
        lang: str = "zh",
    ) -> AsyncIterator["Person"]:
        """Somebody who is signed in; in the end nothing must have gone wrong in his browser."""
        width, height = screen
        viewport: ViewportSize = {"width": width, "height": height}
        context = await browser.new_context(base_url=self.url, viewport=viewport, reduced_motion="reduce")
        context.set_default_timeout(WAIT_MS)
        await context.add_init_script(CHOOSE.format(lang=lang) + REPORT)
        signing = await context.request.post("/session", data={"name": name, "token": self.token})
        assert signing.ok, await signing.text()
        person = Person(name, self, context, await context.new_page())
        person.listen()
        try:
            yield person
        finally:
            await context.close()
        assert not person.wrong, person.wrong


@dataclass
class Person:
    """One person at one tab. `wrong`: what went wrong in the browser, but for what the test has `expected`."""

    name: str
    place: Place
    context: BrowserContext
    page: Page
    wrong: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    _asked: set[Request] = field(default_factory=set)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self, page: Page | None = None) -> None:
        """Hear of everything that goes wrong in a tab."""
        page = page or self.page
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complain(f"error: {error}"))
        page.on("request", self._ask)
        page.on("requestfinished", self._answer)
        page.on("requestfailed", self._answer)

    def expect(self, pattern: str) -> None:
        """From now on complaints that match are what the test wants."""
        self.expected.append(pattern)

    def complain(self, complaint: str) -> None:
        """Something went wrong."""
        if not any(re.search(pattern, complaint) for pattern in self.expected):
            self.wrong.append(complaint)

    async def open(self, path: str = "/") -> Page:
        """Go to a page, and wait until all that it asks for is there and shown."""
        await self.page.goto(path, wait_until="commit")
        await self.page.wait_for_selector("main > *")
        return await self.settled()

    async def go(self, path: str) -> Page:
        """Go on to another page as a link does, without loading anything anew."""
        await self.page.evaluate(GO, path)
        return await self.settled()

    async def settled(self) -> Page:
        """Wait until the page has its answers and has painted what they say."""
        while True:
            await self.page.evaluate(PAINTED)
            if not self._asked:
                return self.page
            self._answered.clear()
            async with asyncio.timeout(WAIT_MS / 1000):
                await self._answered.wait()

    async def call(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the page's API as the page does."""
        session = await (await self.context.request.get("/session")).json()
        headers = {"X-CSRF-Token": session["csrf"]}
        answer = await self.context.request.post(f"/api/{method}", data=body or {}, headers=headers)
        found: dict[str, Any] = await answer.json()
        assert answer.ok, found
        return found

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complain(f"{message.text} ({message.location.get('url')})")

    def _ask(self, request: Request) -> None:
        if "/api/" in request.url:
            self._asked.add(request)
        if not request.url.startswith((self.place.url, "data:", "blob:")):
            self.complain(f"a request to {request.url}")

    def _answer(self, request: Request) -> None:
        self._asked.discard(request)
        self._answered.set()


@asynccontextmanager
async def place_at(addresses: app.Addresses, token: str) -> AsyncIterator[Place]:
    """The merchant who has this token, at the gateway there."""
    assert addresses.page is not None
    async with grpc.aio.insecure_channel(addresses.grpc) as channel:
        yield Place(addresses.page, addresses.grpc, token, Client(channel, token))
