"""A city with its buyers, and how it looks: what a session and an open-ended rehearsal have in common."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from connectors.base import ListingKey
from connectors.contract import GatewayError
from connectors.sandbox.city import PLATFORMS, City, CitySettings, Good
from connectors.sandbox.crowd import QUANTITIES, QUANTITY_SHARES, Crowd, CrowdSettings
from connectors.session.figures import RECENT, Figures
from connectors.session.live import Picture, ShopPicture
from connectors.session.merchant import ListedNumber, Merchant

# How unequal the platforms' shares of the buyers may be.
SHARE_RANGE = (2.0, 12.0)
# The doors open when so much is on the shelves: in bad weather the last units may take their time.
OPEN_SHARE = 0.9
OPENING_SECONDS_MAX = 30.0
UNITS_PER_ORDER = sum(quantity * share for quantity, share in zip(QUANTITIES, QUANTITY_SHARES, strict=True))


@dataclass(frozen=True)
class RoomSettings:
    """What is sold, and to how many: `units_wanted_per_second` over all platforms, without bursts."""

    seed: int
    faults: str
    skus: int
    units_wanted_per_second: float
    speed: float
    payment_limit: timedelta

    @property
    def city(self) -> CitySettings:
        """The platforms."""
        return CitySettings(seed=self.seed, weather=self.faults, skus=self.skus, payment_limit=self.payment_limit)


def crowd_of(city: City, settings: RoomSettings) -> Crowd:
    """The buyers; how they are spread over the platforms is the seed's choice."""
    chance = random.Random(f"{settings.seed}/shares")  # noqa: S311 - a rehearsal's chances, no secret
    shares = {name: chance.uniform(*SHARE_RANGE) for name in PLATFORMS}
    orders = settings.units_wanted_per_second / UNITS_PER_ORDER
    rates = {name: orders * share / sum(shares.values()) for name, share in shares.items()}
    return Crowd(city.shops, city.likings(), rates, CrowdSettings(settings.seed, settings.speed))


def units_by_sku(goods: tuple[Good, ...], units: int) -> dict[str, int]:
    """So many units, divided by how much each good is liked; the rest goes to what is liked best."""
    liking = sum(good.liking for good in goods)
    divided = {good.sku: int(units * good.liking / liking) for good in goods}
    divided[goods[0].sku] += units - sum(divided.values())
    return divided


async def is_open(city: City, units: int) -> bool:
    """Whether nearly all of so many units are on the shelves."""
    shown = (display.shown for shop in city.shops.values() for display in shop.displays.values())
    return sum(shown) >= units * OPEN_SHARE


def sku_of(city: City) -> Mapping[ListingKey, str]:
    """What is sold under each listing."""
    return {key: good.sku for good in city.goods for key in good.keys.values()}


def shown_in(city: City) -> dict[str, int]:
    """What each shop shows, all listings together."""
    return {name: sum(display.shown for display in stall.shop.displays.values()) for name, stall in city.stalls.items()}


def shop_pictures(
    city: City, shown: Mapping[str, int], numbers: list[ListedNumber] | None = None
) -> tuple[ShopPicture, ...]:
    """How the shops look; `numbers` is what the gateway believes, None if there is none."""
    exposure = dict.fromkeys(city.stalls, 0)
    for number in numbers or ():
        exposure[number.channel] += number.exposure or 0
    return tuple(
        ShopPicture(
            name=name,
            shown=shown[name],
            exposure=exposure[name] if numbers is not None else None,
            sold=stall.shop.tally.units_sold,
            refused=stall.shop.tally.refused,
            weather="away" if stall.faults.away else stall.weather,
        )
        for name, stall in city.stalls.items()
    )


async def picture_of(city: City, merchant: Merchant, figures: Figures) -> Picture:
    """Everything at this moment; what the gateway does not answer is left out."""
    needs = tuple(f"{channel}: {need}" for channel, need in figures.needs.items())
    before = shown_in(city)
    try:
        numbers = await merchant.numbers()
        level = await merchant.level([good.sku for good in city.goods])
    except GatewayError:
        return Picture(shop_pictures(city, before), needs=("the gateway does not answer", *needs))
    # The gateway was asked at some moment in between: what was shown then is not less than the lower of the two.
    shown = {name: min(before[name], after) for name, after in shown_in(city).items()}
    shops = shop_pictures(city, shown, numbers)
    return Picture(shops, level, figures.sync_delays(RECENT), figures.intake_delays(RECENT), needs)
