"""What tests of the page stand on: a real gateway with its page, and Debian's Chromium. One loop for all of them."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from gateway import app
from gateway.settings import Settings
from tests.merchants import Blueprint, drop_merchant, new_merchant_name
from tests.web.people import WAIT_MS, Person, Place, place_at

# Whatever is waited for comes by an event; how long that takes says nothing on a busy machine.
expect.set_options(timeout=WAIT_MS)

# Chromium talks to its makers otherwise.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
session = pytest_asyncio.fixture(scope="session", loop_scope="session")
each = pytest_asyncio.fixture(loop_scope="session")


@session
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests of this process; a person has a context of his own in it."""
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if chromium is None:
        says = "no chromium here: tests/packages.sh installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(says)
        pytest.skip(says)
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=chromium, args=list(QUIET))


@asynccontextmanager
async def new_place(settings: Settings, blueprint: Blueprint) -> AsyncIterator[Place]:
    """A merchant, and a gateway with its page that serves him; both go in the end."""
    name = new_merchant_name()
    token = await blueprint.add_merchant(name)
    with_page = replace(settings, listen="127.0.0.1:0", page_listen="127.0.0.1:0")
    async with app.running(with_page) as addresses, place_at(addresses, token) as place:
        yield place
    await drop_merchant(settings, name)


@each
async def place(settings: Settings, blueprint: Blueprint) -> AsyncIterator[Place]:
    """A merchant and a gateway of this test's own."""
    async with new_place(settings, blueprint) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def open_place(settings: Settings, blueprint: Blueprint) -> AsyncIterator[Place]:
    """A merchant and a gateway that all tests of a file share."""
    async with new_place(settings, blueprint) as found:
        yield found


@each
async def person(browser: Browser, place: Place) -> AsyncIterator[Person]:
    """Somebody at a desk who is signed in, and in whose browser nothing goes wrong."""
    async with place.person(browser) as found:
        yield found
