"""How fast numbers follow sales between real processes: a gateway, agents, and platforms that take 30 ms a call."""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from connectors.sandbox.city import PLATFORMS
from tests.bench.figures import Figure
from tests.bench.selling_city import Falls, Town, open_town, until

GOODS = 20
UNITS = 100_000
# Every SKU sells once a second, so that two sales of it do not become one change of its number.
ORDERS_PER_SECOND = 20.0
# Large beside what the policy's buffer moves by.
QUANTITY = 5
WARM_SECONDS = 10.0
SYNC_SECONDS = 20.0
AWAY_SECONDS = 600.0
AWAY_SECONDS_QUICK = 60.0
QUIET_SECONDS_MAX = 60.0
READY_SECONDS_MAX = 120.0
# Beyond these nothing is measured any more: something is broken.
LATE_SECONDS_MAX = 120.0
CAUGHT_UP_SECONDS_MAX = 300.0


async def sale_to_lower_numbers(folder: Path, rounds: int) -> list[Figure]:
    """From a sale on one platform to lower numbers on the others, every channel showing the same."""
    p99, p50 = [], []
    async with open_town(folder, GOODS) as town:
        await _share_everything(town)
        async with town.served():
            await _all_shown(town)
            falls = Falls(town.city, UNITS)
            await _sell(falls, WARM_SECONDS)
            for _ in range(rounds):
                falls.take()
                await _sell(falls, SYNC_SECONDS)
                seconds = falls.take()
                p99.append(_p99(seconds))
                p50.append(median(seconds))
    return [
        Figure("sale to lower numbers elsewhere, p99", 1000 * median(p99), "ms", 1_000, 300, lower_is_better=True),
        Figure("sale to lower numbers elsewhere, p50", 1000 * median(p50), "ms"),
    ]


async def platform_away(folder: Path, *, quick: bool) -> list[Figure]:
    """A platform is away while its buyers go on: what the others feel, and how long it takes when it is back."""
    away_seconds = AWAY_SECONDS_QUICK if quick else AWAY_SECONDS
    async with open_town(folder, GOODS) as town:
        await _share_everything(town)
        async with town.served():
            await _all_shown(town)
            lost, falls = PLATFORMS[-1], Falls(town.city, UNITS)
            await _sell(falls, WARM_SECONDS)
            falls.left_out.add(lost)
            falls.take()
            await _sell(falls, min(away_seconds, QUIET_SECONDS_MAX))
            quiet = falls.take()
            town.city.stalls[lost].faults.away = True
            falls.unheard.add(lost)
            await _sell(falls, WARM_SECONDS)
            falls.take()
            await _sell(falls, away_seconds - WARM_SECONDS)
            meanwhile = falls.take()
            town.city.stalls[lost].faults.away = False
            back, selling = town.city.shops[lost].time, asyncio.create_task(_sell(falls, CAUGHT_UP_SECONDS_MAX))

            async def is_caught_up() -> bool:
                watermark = (await town.merchant.watermarks())[lost]
                return watermark is not None and watermark >= back and _is_in_step(town, lost)

            caught_up = await until(is_caught_up, CAUGHT_UP_SECONDS_MAX, f"{lost} in step again")
            selling.cancel()
            await asyncio.gather(selling, return_exceptions=True)
    name = f"away {away_seconds / 60:.0f} min"
    return [
        Figure(f"{name}: p99 of the others against quiet", _p99(meanwhile) / _p99(quiet), "x", 1.2, 1.05, True),
        Figure(f"{name}: p50 of the others against quiet", median(meanwhile) / median(quiet), "x"),
        Figure(f"{name}: in step again within", caught_up, "s", 60, 15, lower_is_better=True),
    ]


async def _share_everything(town: Town) -> None:
    for sku in await town.list_goods():
        await town.seller.receive([sku], UNITS)
        await town.seller.share(sku)


async def _all_shown(town: Town) -> None:
    def is_shown() -> bool:
        return all(one.shown > 0.9 * UNITS for shop in town.city.shops.values() for one in shop.displays.values())

    await until(is_shown, READY_SECONDS_MAX, "every shop shows everything")


async def _sell(falls: Falls, seconds: float) -> None:
    """Buyers in all shops, one good after the other; ends when all falls that are waited for have come."""
    started, chance = time.monotonic(), random.Random(1)
    for number in range(int(seconds * ORDERS_PER_SECOND)):
        await asyncio.sleep(started + number / ORDERS_PER_SECOND - time.monotonic())
        falls.sell(chance.choice(PLATFORMS), falls.city.goods[number % GOODS], QUANTITY)
    await until(lambda: not falls.waiting, LATE_SECONDS_MAX, "numbers follow the sales")


def _is_in_step(town: Town, name: str) -> bool:
    """What the shop shows is what the others show, but for what is on its way."""
    for good in town.city.goods:
        here = town.city.shops[name].displays[good.keys[name]].shown
        others = [town.city.shops[one].displays[good.keys[one]].shown for one in PLATFORMS if one != name]
        if not min(others) - 3 * QUANTITY <= here <= max(others) + 3 * QUANTITY:
            return False
    return True


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[98]
