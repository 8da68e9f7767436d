"""The baseline: every platform is shown the same number, the whole stock less the orders known so far.

It is what a script does that asks for new orders now and then and writes what is left to each shop. It goes through the
same connectors as the agents do, and is told nothing that they are not told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from connectors.base import Change, ListingKey, OrderSnapshot, OrderState, Platform, Shelf
from connectors.errors import ConnectorError
from connectors.sandbox.city import Good
from connectors.transport import Transport

log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
# Orders are stated to the second: what was placed in this one is asked for too.
AHEAD = timedelta(seconds=1)


@dataclass(frozen=True)
class Outlet:
    """One shop's way out."""

    platform: Platform
    transport: Transport


class NaivePusher:
    """Keeps some shops at the same number."""

    def __init__(
        self, outlets: Mapping[str, Outlet], goods: tuple[Good, ...], units: Mapping[str, int], since: datetime
    ) -> None:
        """`units` are those there are of each SKU; no order is older than `since`."""
        self._outlets, self._goods, self._units, self._since = outlets, goods, units, since
        self._known: dict[tuple[str, str], OrderSnapshot] = {}
        self._written: dict[tuple[str, ListingKey], int] = {}
        self.writes = 0

    async def run(self) -> None:
        """Go on until cancelled; no platform waits for another."""
        async with asyncio.TaskGroup() as group:
            for name in self._outlets:
                group.create_task(_again_and_again(partial(self._take_in, name)))
                group.create_task(_again_and_again(partial(self._write_all, name)))

    async def round(self) -> None:
        """Ask every platform for its orders, then write what is left to each."""
        await asyncio.gather(*map(self._take_in, self._outlets))
        await asyncio.gather(*map(self._write_all, self._outlets))

    async def _write_all(self, name: str) -> None:
        for good in self._goods:
            left = max(0, self._units[good.sku] - self._sold(good))
            if self._written.get((name, good.keys[name])) != left:
                await self._write(name, good.keys[name], left)

    async def _take_in(self, name: str) -> None:
        outlet = self._outlets[name]
        try:
            async for page in outlet.platform.orders(self._since, outlet.transport.platform_now() + AHEAD):
                self._known.update({(name, snapshot.order_id): snapshot for snapshot in page})
        except ConnectorError as error:
            log.info("orders could not be read: %s", error, extra={"platform": name})

    def _sold(self, good: Good) -> int:
        return sum(
            line.quantity - line.refunded
            for (name, _), order in self._known.items()
            if order.state is not OrderState.CLOSED
            for line in order.lines
            if line.key == good.keys[name]
        )

    async def _write(self, name: str, key: ListingKey, units: int) -> None:
        platform = self._outlets[name].platform
        self.writes += 1
        try:
            if platform.capabilities.sets_absolute:
                await platform.set_shown(key, units)
            else:
                await self._move_to(platform, key, units)
        except ConnectorError as error:
            log.info("a number could not be written: %s", error, extra={"platform": name})
            return
        self._written[name, key] = units

    async def _move_to(self, platform: Platform, key: ListingKey, units: int) -> None:
        """Where a platform only takes differences, a script reads first."""
        shelf = (await platform.read([key]))[key]
        if not isinstance(shelf, Shelf):
            raise shelf
        if units != shelf.shown:
            await platform.change(Change(key, units - shelf.shown, f"naive-{self.writes}"))


async def _again_and_again(act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await act()
        await asyncio.sleep(ROUND_SECONDS)
