"""The judge: sees every shop and every unit there ever was, and nothing of what the gateway believes.

A buyer is owed what is ordered and neither closed nor refunded, paid or not. Oversold is what buyers are owed on all
platforms beyond the units there ever were, SKU by SKU. Units that somebody put up for sale by typing a number into a
seller's console are counted apart: no gateway can keep a person from that.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.base import ListingKey
from connectors.sandbox.crowd import Refusal
from connectors.sandbox.shop import Event, Shop, ShopOrder


@dataclass(frozen=True)
class Verdict:
    """What was sold. `oversold_most` is the most that was oversold at any one moment, unpaid orders included.

    `refused_with_stock` counts buyers who found it sold out on their platform while there was as much left as they
    wanted: the price of keeping units apart.
    """

    units: int
    sold: Mapping[str, int]
    unsold: int
    oversold: int
    oversold_most: int
    hand_edited_units: int
    orders: Mapping[str, int]
    refused: Mapping[str, int]
    refused_with_stock: Mapping[str, int]


class Judge:
    """Looks on from the moment it is made."""

    def __init__(self, shops: Mapping[str, Shop], sku_of: Mapping[ListingKey, str], units: Mapping[str, int]) -> None:
        """`sku_of` says what is sold under a listing, one unit a sale; `units` what there is of each SKU."""
        self._shops, self._sku_of = shops, sku_of
        self._units = Counter(units)
        self._owed: Counter[str] = Counter()
        self._live: dict[str, Counter[str]] = {}
        self._oversold_most = 0
        self._refused_with_stock: Counter[str] = Counter()
        for shop in shops.values():
            shop.heard.append(self._hear)

    def received(self, sku: str, units: int) -> None:
        """More units came in."""
        self._units[sku] += units

    def refused(self, refusal: Refusal) -> None:
        """A buyer found too little."""
        sku = self._sku_of[refusal.key]
        if self._units[sku] - self._owed[sku] >= refusal.quantity:
            self._refused_with_stock[refusal.shop] += 1

    @property
    def unsold(self) -> int:
        """Units that are owed to nobody."""
        return sum(max(0, units - self._owed[sku]) for sku, units in self._units.items())

    def verdict(self) -> Verdict:
        """As things are now."""
        return Verdict(
            units=self._units.total(),
            sold={name: _total(_live_units(shop.orders.values())) for name, shop in self._shops.items()},
            unsold=self.unsold,
            oversold=self._oversold(self._owed_by_counting()),
            oversold_most=self._oversold_most,
            hand_edited_units=sum(shop.tally.hand_edited_units for shop in self._shops.values()),
            orders={name: shop.tally.orders for name, shop in self._shops.items()},
            refused={name: shop.tally.refused for name, shop in self._shops.items()},
            refused_with_stock={name: self._refused_with_stock[name] for name in self._shops},
        )

    def _hear(self, event: Event) -> None:
        if event.order is None:
            return
        before, now = self._live.get(event.order.order_id, Counter()), self._by_sku([event.order])
        self._owed.subtract(before)
        self._owed.update(now)
        self._live[event.order.order_id] = now
        self._oversold_most = max(self._oversold_most, self._oversold(self._owed))

    def _owed_by_counting(self) -> Counter[str]:
        """From the orders themselves, and not from what was heard."""
        owed: Counter[str] = Counter()
        for shop in self._shops.values():
            owed.update(self._by_sku(shop.orders.values()))
        return owed

    def _oversold(self, owed: Counter[str]) -> int:
        return sum(max(0, owed[sku] - self._units[sku]) for sku in owed)

    def _by_sku(self, orders: Iterable[ShopOrder]) -> Counter[str]:
        counted: Counter[str] = Counter()
        for key, units in _live_units(orders).items():
            counted[self._sku_of[key]] += units
        return counted


def _live_units(orders: Iterable[ShopOrder]) -> Counter[ListingKey]:
    """What buyers are owed, by listing."""
    counted: Counter[ListingKey] = Counter()
    for order in orders:
        if order.live_units:
            for line in order.lines:
                counted[line.key] += line.quantity - line.refunded
    return counted


def _total(counted: Counter[ListingKey]) -> int:
    return counted.total()
