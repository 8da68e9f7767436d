"""The buyers of the case: as many as the plan says, and some who take what the host offers instead."""

import random

from connectors.base import ListingKey
from connectors.sandbox.city import City
from connectors.sandbox.crowd import Crowd, CrowdSettings, Refusal, Visitors
from connectors.sandbox.shop import SoldOut
from connectors.session.double11.plan import ORDERS_PER_MINUTE, PACE_MAX, SHARES, CaseSettings, pace_at

# Of those who find it sold out, so many take the substitute while the host offers it.
PERSUADED_SHARE = 0.25


class PacedVisitors(Visitors):
    """Buyers whose pace is the plan's. `rate` is that of its busiest time, in orders per second of the clock."""

    def __init__(self, shop: str, key: ListingKey, rate: float, settings: CrowdSettings) -> None:
        """All of them want the same."""
        super().__init__(shop, {key: 1.0}, rate, settings)
        self._minutes_per_second = settings.speed / 60

    def rate_at(self, seconds: float) -> float:
        """Orders per second at that time."""
        return self.rate * pace_at(seconds * self._minutes_per_second) / PACE_MAX


def crowd_of_case(city: City, settings: CaseSettings) -> Crowd:
    """Everybody who comes for what the case sells."""
    wanted, how = city.goods[0], CrowdSettings(settings.seed, settings.speed, bursts=False)
    busiest = ORDERS_PER_MINUTE * PACE_MAX / settings.seconds(1.0)
    rates = {name: busiest * SHARES[name] for name in city.shops}
    crowd = Crowd(city.shops, {name: {wanted.keys[name]: 1.0} for name in city.shops}, rates, how)
    crowd.visitors = {name: PacedVisitors(name, wanted.keys[name], rates[name], how) for name in city.shops}
    return crowd


class Persuaded:
    """Those who take the substitute. Tell it of everybody who was refused (`Crowd.hears_refusals`)."""

    def __init__(self, city: City, seed: int) -> None:
        """The substitute is not offered yet."""
        self.is_offered = False
        self.units = 0
        self._shops, self._keys = city.shops, city.goods[1].keys
        self._chance = random.Random(f"{seed}/substitute")  # noqa: S311 - a rehearsal's chances, no secret

    def refused(self, refusal: Refusal) -> None:
        """Somebody found it sold out."""
        if not self.is_offered or self._chance.random() >= PERSUADED_SHARE:
            return
        shop = self._shops[refusal.shop]
        try:
            order = shop.place({self._keys[refusal.shop]: refusal.quantity})
        except SoldOut:
            return
        shop.pay(order.order_id)
        self.units += refusal.quantity
