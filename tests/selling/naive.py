"""What is usually done instead: a script that shows every platform all that is left, by absolute writes.

It hears of orders exactly as our gateway does, looks as often, and meets the same faults. What it lacks is only the
rules: it shows every unit everywhere, and a write erases the sales it has not heard of.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from connectors.base import ListingKey
from gateway.domain.commands import ReserveLine, ReserveStock
from gateway.domain.errors import GatewayError, InsufficientStock
from gateway.domain.groups import Wish
from gateway.domain.listings import Listing
from gateway.domain.selling import MoveWatermark, OrderState, OrderTaken, TakeOrder, WatermarkMoved
from tests.selling.platforms import Platform
from tests.selling.timeline import Timeline


class NaiveScript:
    """Shows on hand less the orders it knows of, on every platform alike."""

    def __init__(self, timeline: Timeline, listings: dict[int, Listing], units: dict[str, int]) -> None:
        """So many units of each SKU are on hand; `listings` may be filled later."""
        self.timeline, self.listings, self.units = timeline, listings, units
        self._orders: dict[tuple[str, str], TakeOrder] = {}
        self._sold: Counter[tuple[str, ListingKey]] = Counter()
        self._written: dict[int, int] = {}
        self._writing: set[int] = set()

    def apply(self, *commands: Wish) -> list[Any]:
        """Take orders in; a script keeps no other books."""
        return [self._take(command) for command in commands]

    def write(self, platforms: Iterable[Platform]) -> None:
        """Write what is left to every listing whose number is another one; one write at a time each."""
        by_name = {platform.name: platform for platform in platforms}
        left = self._left()
        for number, listing in self.listings.items():
            platform, shown = by_name[listing.channel], min(left[one.sku] // one.units for one in listing.components)
            if self._written.get(number) != shown and number not in self._writing and not platform.is_away:
                self._writing.add(number)
                self._write(platform, number, listing, shown)

    def _write(self, platform: Platform, number: int, listing: Listing, shown: int) -> None:
        def answered(*, is_done: bool) -> None:
            self._writing.discard(number)
            if is_done:
                self._written[number] = shown

        key = ListingKey(listing.item_id, listing.platform_sku_id)
        platform.write(key, shown, lambda is_done: answered(is_done=is_done))

    def _take(self, command: Wish) -> Any:
        match command:
            case TakeOrder():
                key = (command.channel, command.order_id)
                known = self._orders.get(key)
                if known is None or (command.update_time, command.state) >= (known.update_time, known.state):
                    self._count(known, -1)
                    self._count(command, 1)
                    self._orders[key] = command
                return OrderTaken(changed=known != command)
            case MoveWatermark(watermark=watermark):
                return WatermarkMoved(watermark)
            case ReserveStock(lines=lines):
                return self._reserve(lines)
        return None

    def _reserve(self, lines: Iterable[ReserveLine]) -> GatewayError | None:
        """Somebody beside the platforms takes what he finds."""
        left = self._left()
        if any(left[line.sku] < line.quantity for line in lines):
            return InsufficientStock("the script knows of no more")
        for line in lines:
            self.units[line.sku] -= line.quantity
        return None

    def _count(self, order: TakeOrder | None, sign: int) -> None:
        if order is None or order.state is OrderState.CLOSED:
            return
        for line in order.lines:
            key = ListingKey(line.item_id, line.platform_sku_id)
            self._sold[order.channel, key] += sign * (line.quantity - line.refunded)

    def _left(self) -> Counter[str]:
        left = Counter(self.units)
        for listing in self.listings.values():
            sold = self._sold[listing.channel, ListingKey(listing.item_id, listing.platform_sku_id)]
            for one in listing.components:
                left[one.sku] -= sold * one.units
        return Counter({sku: max(0, units) for sku, units in left.items()})
