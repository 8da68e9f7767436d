"""What the operators' page costs, and whether it keeps up: 500 SKUs that change five times a second, 10,000 in all.

A real gateway with its page, and Debian's Chromium beside it on the same machine: what is measured is shared by all.
"""

import asyncio
import json
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import grpc.aio
import psutil
from cryptography.fernet import Fernet
from playwright.async_api import CDPSession, Page, async_playwright

from tests.bench.figures import Figure
from tests.bench.load import open_loop
from tests.bench.shop import Shop
from tests.web.conftest import QUIET

CATALOG_SKUS, LIVE_SKUS = 10_000, 500
CHANGES_PER_SECOND = 5
BATCH = 50
STOCKERS = 32
SECONDS, SECONDS_QUICK = 20.0, 10.0
SETTLE_SECONDS = 4.0
UNITS = 100_000
# A frame later than this after the one before it was dropped: two of sixty a second.
LATE_MS = 50.0
# Notes when every frame was painted; and when the number of a SKU was last put on the screen.
WATCH = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const note = (now) => { window.frames_ms.push(now - last); last = now; requestAnimationFrame(note); };
  requestAnimationFrame(note);
}"""


class Running(NamedTuple):
    """A gateway with a page; its processes are those whose work is counted."""

    address: str
    page: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """What it has worked so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def running_with_page(data_dir: Path) -> AsyncIterator[Running]:
    """A gateway with an embedded PostgreSQL in the folder, and its page."""
    environment = {
        "STOCKGATE_DATA_DIR": str(data_dir),
        "STOCKGATE_LISTEN": "127.0.0.1:0",
        "STOCKGATE_PAGE_LISTEN": "127.0.0.1:0",
        "STOCKGATE_CREDENTIALS_KEY": Fernet.generate_key().decode(),
        "PATH": "/usr/bin:/bin",
    }
    command = (sys.executable, "-m", "gateway", "serve", "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    assert process.stdout is not None
    try:
        said = json.loads(await process.stdout.readline())
        yield Running(said["address"], said["page"], psutil.Process(process.pid))
    finally:
        process.terminate()
        await process.wait()


async def busy_page(folder: Path, *, quick: bool) -> list[Figure]:
    """The gateway's work with a tab and without, and the tab's frames."""
    data = folder / "page"
    data.mkdir(mode=0o755)
    seconds = SECONDS_QUICK if quick else SECONDS
    async with running_with_page(data) as gateway, grpc.aio.insecure_channel(gateway.address) as connection:
        shop = Shop(connection)
        live = [f"LIVE-{number:04d}" for number in range(LIVE_SKUS)]
        rest = [f"REST-{number:05d}" for number in range(CATALOG_SKUS - LIVE_SKUS)]
        shares = (rest[start::STOCKERS] for start in range(STOCKERS))
        await asyncio.gather(shop.stock_up(live, UNITS), *(shop.stock_up(share, UNITS) for share in shares))
        alone = await _worked(gateway, shop, live, seconds)
        async with _tab(gateway.page) as page:
            await page.wait_for_selector(".sku-line, .sku-card", timeout=120_000)
            await page.evaluate(WATCH)
            chrome = await page.context.new_cdp_session(page)
            # Of the thread itself: what other programs take from the machine is not the page's.
            await chrome.send("Performance.enable", {"timeDomain": "threadTicks"})
            before, began = await _task_seconds(chrome), time.monotonic()
            watched = await _worked(gateway, shop, live, seconds)
            busy = (await _task_seconds(chrome) - before) / (time.monotonic() - began) * 100
            frames: list[float] = await page.evaluate("() => window.frames_ms")
            rows = await page.evaluate("() => document.querySelectorAll('.sku-line, .sku-card').length")
            assert rows >= LIVE_SKUS, rows
    late = sum(frame > LATE_MS for frame in frames) / len(frames) * 100
    return [
        Figure("page: gateway's CPU for a tab, 500 SKUs, 2,500 changes/s", (watched - alone) * 100, "%", 60, 35, True),
        Figure("page: the same changes without a tab", alone * 100, "%"),
        Figure("page: the tab's main thread is busy", busy, "%", 50, 25, True),
        Figure("page: p99 between two frames", quantiles(frames, n=100)[98], "ms", LATE_MS, 20, True),
        Figure("page: frames later than 50 ms", late, "%", 1, 0.1, True),
    ]


async def _task_seconds(chrome: CDPSession) -> float:
    """What the tab's main thread has worked so far."""
    metrics = (await chrome.send("Performance.getMetrics"))["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


async def _worked(gateway: Running, shop: Shop, skus: list[str], seconds: float) -> float:
    """The share of a core that the gateway works while its SKUs change so fast."""
    chance = random.Random(5)

    async def sell() -> None:
        await shop.reserve_batch(chance.choices(skus, k=BATCH))

    per_second = LIVE_SKUS * CHANGES_PER_SECOND / BATCH
    await open_loop(sell, per_second, SETTLE_SECONDS)
    began, before = time.monotonic(), gateway.cpu_seconds()
    await open_loop(sell, per_second, seconds)
    return (gateway.cpu_seconds() - before) / (time.monotonic() - began)


@asynccontextmanager
async def _tab(url: str) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        options: dict[str, Any] = {"executable_path": shutil.which("chromium"), "args": list(QUIET)}
        browser = await playwright.chromium.launch(**options)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(url)
        yield page
        await browser.close()
