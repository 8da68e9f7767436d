"""What a limit of 20 calls a second allows: the urgent before the many, and a look at everything."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from connectors.sandbox.city import PLATFORMS
from connectors.session.agents import SETTINGS
from connectors.settings import AgentSettings
from connectors.transport import TransportLimits
from tests.bench.figures import Figure
from tests.bench.selling_city import AT_30_MS, AT_ONCE, Town, open_town, until

CALLS_PER_SECOND = 20.0
REAL = AgentSettings(limits=TransportLimits(calls_per_second=CALLS_PER_SECOND))
# To set up; nothing is measured meanwhile.
FAST = replace(SETTINGS, limits=replace(SETTINGS.limits, calls_per_second=10_000.0, deadline_seconds=10.0))
BACKLOG = 5_000
BACKLOG_QUICK = 1_000
# One call changes one listing there.
BACKLOG_CHANNEL = "kuaishou"
HEROES = 8
UNITS = 100
LISTINGS = 10_000
LISTINGS_QUICK = 1_000
SET_UP_SECONDS_MAX = 600.0
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
READ_SECONDS_MAX = 1_800.0


async def urgent_under_backlog(folder: Path, *, quick: bool) -> list[Figure]:
    """SKUs that go to zero while thousands of raises wait for their turn: until their shop shows 0."""
    others = BACKLOG_QUICK if quick else BACKLOG
    seconds = []
    async with open_town(folder, HEROES + others) as town:
        skus = await town.list_goods([BACKLOG_CHANNEL])
        heroes, displays = skus[:HEROES], town.city.shops[BACKLOG_CHANNEL].displays
        keys = {good.sku: good.keys[BACKLOG_CHANNEL] for good in town.city.goods}
        town.set_weather(AT_ONCE)
        async with town.served(FAST):
            await town.seller.receive(heroes, UNITS)
            await until(lambda: _all_read(town), SET_UP_SECONDS_MAX, "all listings read")
            await until(lambda: _all_show(town, heroes), SET_UP_SECONDS_MAX, "the first goods shown")
        town.set_weather(AT_30_MS)
        await town.seller.receive(skus[HEROES:], UNITS)
        async with town.served(REAL):
            await until(lambda: _shown(town) > HEROES + CALLS_PER_SECOND, SET_UP_SECONDS_MAX, "raises under way")
            for hero in heroes:
                await town.seller.lose(hero, UNITS)
                seconds.append(await until(lambda: not displays[keys[hero]].shown, 60, "0 shown"))  # noqa: B023 - at once
            assert _shown(town) < others, "the backlog was over before the last"
    name = f"to zero before {others:,} others"
    return [
        Figure(f"{name}, the slowest of {HEROES}", 1000 * max(seconds), "ms", 1_000, 300, lower_is_better=True),
        Figure(f"{name}, median", 1000 * median(seconds), "ms"),
    ]


async def full_reconciliation(folder: Path, *, quick: bool) -> list[Figure]:
    """All listings of all channels read back in the background, at 20 calls a second each."""
    listings = LISTINGS_QUICK if quick else LISTINGS
    async with open_town(folder, listings) as town:
        await town.list_goods()
        town.set_weather(AT_ONCE)
        async with town.served(FAST):
            await until(lambda: _all_read(town), SET_UP_SECONDS_MAX, "all listings read")
        town.set_weather(AT_30_MS)
        since = datetime.now(UTC)
        # The last thousand are spread over what is left of a round; of few listings that would be all there is to see.
        settings = replace(REAL, round_seconds=0.0) if quick else REAL
        async with town.served(settings) as figures:
            seconds = await until(lambda: _all_read(town, since), READ_SECONDS_MAX, "all listings read again")
            calls = figures.calls
    whole = seconds * LISTINGS / listings / 60
    aim = 1.05 * LISTINGS / CALLS_PER_SECOND / 60
    name = f"{LISTINGS:,} listings a channel read back" + (f", from {listings:,}" if quick else "")
    return [
        Figure(name, whole, "min", 10, round(aim, 2), lower_is_better=True),
        Figure(f"calls meanwhile, all {len(PLATFORMS)} channels", calls / seconds, "/s"),
    ]


async def _all_read(town: Town, since: datetime = LONG_AGO) -> bool:
    """Whether the gateway knows what every listing has shown at some time since then."""
    return all(
        listing.HasField("shown") and listing.read_time.ToDatetime(UTC) >= since
        for listing in await town.seller.listings()
    )


def _all_show(town: Town, skus: Sequence[str]) -> bool:
    shown = {
        good.sku: town.city.shops[BACKLOG_CHANNEL].displays[good.keys[BACKLOG_CHANNEL]].shown
        for good in town.city.goods
    }
    return all(shown[sku] for sku in skus)


def _shown(town: Town) -> int:
    """Listings that show something."""
    return sum(display.shown > 0 for display in town.city.shops[BACKLOG_CHANNEL].displays.values())
