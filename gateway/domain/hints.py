"""What one room can still sell right now (R46). Pure.

    base       what the room's listings may still sell: their exposure, in sales, never below zero. A listing that may
               show others' units (SHARED) counts at most what no other has for itself; where more is exposed than there
               is (goods are gone, a cancel is on its way), each listing counts its part of what is left
    on the way orders that the platform may have taken and we have not: a channel's pace times the age of its
               watermark, ten seconds at most, rounded up
    sellable   base - on the way, never below zero; of units of its own never more than are left

So it is never more than R20 allows: exposures of all listings add up to what is available at most. Releases that are
expected are not counted. A kit is a listing like any other: what it may sell counts for each SKU in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import ceil

from gateway.domain.changes import LevelKey
from gateway.domain.division import Lock, units_in
from gateway.domain.listings import ChannelRule, Component, Listing
from gateway.domain.stock import Level

ON_THE_WAY_SECONDS_MAX = 10.0


class Shelf:
    """All that bears on what a room can sell; `channels` are its own, `listings` all that sell its SKUs.

    `levels` has every level of every SKU in these listings; `own` the SKUs of which it has units of its own.
    """

    def __init__(
        self,
        now: datetime,
        listings: Sequence[Listing],
        channels: Mapping[str, ChannelRule],
        levels: Mapping[LevelKey, Level],
        frozen: frozenset[str] = frozenset(),
        own: Mapping[str, Lock] | None = None,
    ) -> None:
        """Everything as it was at one moment."""
        self.now = now
        self.channels = channels
        self.frozen = frozen
        self.own = own or {}
        self.levels: dict[str, dict[str, Level]] = {}
        for (sku, at), level in levels.items():
            self.levels.setdefault(sku, {})[at] = level
        self._exposed: dict[LevelKey, int] = {}
        self._sellers: dict[str, list[Listing]] = {}
        for one in listings:
            for part in one.components if one.channel in channels else ():
                self._sellers.setdefault(part.sku, []).append(one)
            if not one.state.permitted:
                self._expose(one)

    def sellers(self, sku: str) -> Sequence[Listing]:
        """The room's listings that sell a SKU."""
        return self._sellers.get(sku, ())

    def there(self, sku: str, at: str) -> int:
        """Units available at a location."""
        level = self.levels.get(sku, {}).get(at)
        return 0 if level is None else level.available

    def exposed(self, sku: str, at: str) -> int:
        """Units that listings may sell there. What one below zero will give back is not there yet."""
        return self._exposed.get((sku, at), 0)

    def _expose(self, listing: Listing) -> None:
        for share in listing.state.exposure or ():
            for part in listing.components:
                key = part.sku, share.location
                self._exposed[key] = self._exposed.get(key, 0) + max(0, share.sales) * part.units


def sellable(shelf: Shelf, sku: str) -> int:
    """Sales of a SKU that the room can still make."""
    sellers = shelf.sellers(sku)
    if not sellers or sku in shelf.frozen:
        return 0
    sales = base(shelf, sellers) - on_the_way(shelf, sellers)
    if (lock := shelf.own.get(sku)) is not None:
        sales = min(sales, lock.units // min(units_in(one, sku) for one in sellers))
    return max(0, sales)


def available(shelf: Shelf, sku: str) -> int:
    """Units of the whole stock that are available, wherever they are shown."""
    return sum(level.available for level in shelf.levels.get(sku, {}).values())


def base(shelf: Shelf, sellers: Iterable[Listing]) -> int:
    """Sales that these listings may still make, all together."""
    escrowed, shared, most_shared = 0, 0, 0
    for one in sellers:
        if one.state.permitted:
            shared += max(0, one.state.sales_left)
            most_shared = max(most_shared, _unallocated(shelf, one.components))
        else:
            escrowed += _backed(shelf, one)
    return escrowed + min(shared, most_shared)


def on_the_way(shelf: Shelf, sellers: Iterable[Listing]) -> int:
    """Sales that the platforms may have made and we have not heard of."""
    paces: dict[str, float] = {}
    for one in sellers:
        paces[one.channel] = paces.get(one.channel, 0.0) + one.state.pace_at(shelf.now)
    return sum(ceil(pace * _age_seconds(shelf, code)) for code, pace in paces.items())


def _age_seconds(shelf: Shelf, channel: str) -> float:
    """How long ago the channel's orders were all in. Its clock may differ from ours; ten seconds are the most."""
    watermark = shelf.channels[channel].watermark
    if watermark is None:
        return ON_THE_WAY_SECONDS_MAX
    return min(ON_THE_WAY_SECONDS_MAX, max(0.0, (shelf.now - watermark).total_seconds()))


def _backed(shelf: Shelf, listing: Listing) -> int:
    """Sales of a listing behind which there are units: its part, where there are fewer than all listings may sell."""
    backed = 0
    for share in listing.state.exposure or ():
        sales = share.sales
        for part in listing.components:
            there, exposed = shelf.there(part.sku, share.location), shelf.exposed(part.sku, share.location)
            if exposed > there:
                sales = min(sales, share.sales * part.units * there // exposed // part.units)
        backed += max(0, sales)
    return max(0, min(backed, listing.state.sales_left))


def _unallocated(shelf: Shelf, components: Sequence[Component]) -> int:
    """Sales for which there are units that no listing has for itself."""
    return sum(
        min(max(0, shelf.there(part.sku, at) - shelf.exposed(part.sku, at)) // part.units for part in components)
        for at in shelf.levels.get(components[0].sku, {})
    )
