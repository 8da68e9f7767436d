"""Keeps what every listing may sell in step with the ledger: looks at what has changed, and decides the next pushes.

It holds no truth. What it decides is a wish that the writer checks again against the newest state, so two gateways that
allocate the same merchant do no harm; an advisory lock saves them the work. It looks when something was saved, and now
and then for what only time brings: a reading that the watermark has passed, an unknown outcome that is old enough, a
pace that has slowed.
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from gateway.domain.allocation import Situation, allocate
from gateway.domain.errors import GatewayError
from gateway.domain.listings import Listing, PushKind
from gateway.domain.selling import AnySelling, LinkOrders, PlanPush
from gateway.shops import Shops
from gateway.store import selling as store
from gateway.store.database import MerchantDatabase, read_time, take_lease
from gateway.writer import Writer

log = logging.getLogger(__name__)

# Changes gather for so long before they are looked at; then nothing is missed for longer than a tick.
GATHER_SECONDS = 0.01
TICK_SECONDS = 0.25
LINK_SECONDS = 1.0
# A SKU is looked at on every tick for so long after it has moved.
ATTENTION_SECONDS = 60.0
# SKUs looked at in one go.
SKUS_MAX = 500
COMMANDS_MAX = 500
ORDERS_LINKED_MAX = 200
# The brake (R31): more than this share of a channel's listings, and so many, to zero within so long, asks a person;
# what the person has allowed holds for so long.
BRAKE_SHARE = 0.3
BRAKE_LISTINGS_MIN = 10
BRAKE_SECONDS = 60.0
ALLOWED = timedelta(minutes=10)


class Allocator:
    """Allocates one merchant's units while `run` runs."""

    def __init__(self, database: MerchantDatabase, writer: Writer, shops: Shops) -> None:
        """Look through the database, decide through the writer, pause channels through the catalog."""
        self._database = database
        self._writer = writer
        self._shops = shops
        self._woken = asyncio.Event()
        self._revision = self._version = -1
        self._attention: dict[str, float] = {}
        self._linked = 0.0
        self._zeroed: dict[str, deque[float]] = defaultdict(deque)
        self.sync_delay_seconds = 1.0

    def wake(self) -> None:
        """Something was saved."""
        self._woken.set()

    async def run(self) -> None:
        """Allocate until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.look()
            except GatewayError as error:
                log.warning("the allocator pauses: %s", error)
                await asyncio.sleep(TICK_SECONDS)
            await asyncio.sleep(GATHER_SECONDS)

    async def look(self) -> None:
        """Look once at everything that has changed or is under attention, and do what follows."""
        skus = await self._skus()
        for start in range(0, len(skus), SKUS_MAX):
            situation = await self._situation(skus[start : start + SKUS_MAX])
            if situation is not None and situation.listings:
                await self._do(situation, allocate(situation))
        if time.monotonic() - self._linked > LINK_SECONDS:
            self._linked = time.monotonic()
            await self._link()

    async def _skus(self) -> list[str]:
        """What has moved since the last look, first; then what is under attention."""
        now = time.monotonic()
        async with self._database.transaction() as connection:
            if self._version < 0:
                moved = await store.moved_since(connection, self._revision, self._version)
                moved = store.Moved(await store.listed_skus(connection), moved.revision, moved.version)
            else:
                moved = await store.moved_since(connection, self._revision, self._version)
        self._revision, self._version = moved.revision, moved.version
        self._attention.update(dict.fromkeys(moved.skus, now + ATTENTION_SECONDS))
        self._attention = {sku: until for sku, until in self._attention.items() if until > now}
        return [*moved.skus, *(sku for sku in self._attention if sku not in moved.skus)]

    async def _situation(self, skus: Sequence[str]) -> Situation | None:
        """What bears on these SKUs; None if another gateway is looking."""
        async with self._database.transaction() as connection:
            if not await take_lease(connection, f"allocate {self._database.schema}"):
                return None
            now = await read_time(connection, self._database.now)
            return await store.situation(connection, skus, now, self.sync_delay_seconds)

    async def _do(self, situation: Situation, commands: Sequence[AnySelling]) -> None:
        listings = {listing.listing_id: listing for listing in situation.listings}
        allowed = await self._brake(listings, commands)
        for start in range(0, len(allowed), COMMANDS_MAX):
            for outcome in await self._writer.apply(allowed[start : start + COMMANDS_MAX]):
                if isinstance(outcome, GatewayError):
                    log.info("an allocation was overtaken: %s", outcome)
        self._keep_attention(situation)

    def _keep_attention(self, situation: Situation) -> None:
        """Whatever waits for time to pass is looked at again on the next tick, however long it takes."""
        until = time.monotonic() + ATTENTION_SECONDS
        for listing in situation.listings:
            state = listing.state
            waits = state.push is not None or state.reading is not None or state.read_id or state.sales_left < 0
            if waits or state.exposure is None:
                self._attention.update({one.sku: until for one in listing.components})

    # ---- the brake

    async def _brake(self, listings: dict[int, Listing], commands: Sequence[AnySelling]) -> list[AnySelling]:
        """The commands without those of a channel that would be emptied; it is paused, and a person asked (R31)."""
        to_zero: dict[str, int] = defaultdict(int)
        for command in commands:
            if isinstance(command, PlanPush) and command.kind is PushKind.TO_ZERO:
                to_zero[listings[command.listing_id].channel] += 1
        stopped = {channel for channel, count in to_zero.items() if await self._is_too_much(channel, count)}
        return [
            command
            for command in commands
            if not isinstance(command, PlanPush) or listings[command.listing_id].channel not in stopped
        ]

    async def _is_too_much(self, channel: str, count: int) -> bool:
        recent, now = self._zeroed[channel], time.monotonic()
        while recent and recent[0] < now - BRAKE_SECONDS:
            recent.popleft()
        if len(recent) + count > BRAKE_LISTINGS_MIN:
            async with self._database.transaction() as connection:
                showing = await store.count_showing(connection, channel)
                allowed_at = await store.many_to_zero_time(connection, channel)
                now_there = await read_time(connection, self._database.now)
            is_allowed = allowed_at is not None and now_there - allowed_at < ALLOWED
            if not is_allowed and len(recent) + count > BRAKE_SHARE * (showing + len(recent)):
                log.warning("channel %s is paused: %d listings would go to zero at once", channel, len(recent) + count)
                await self._shops.pause(
                    channel,
                    f"the brake: {len(recent) + count} of {showing + len(recent)} listings would go to zero within a "
                    "minute; if that is right, resume with allow_many_to_zero",
                )
                return True
        recent.extend([now] * count)
        return False

    # ---- orders that waited

    async def _link(self) -> None:
        """Take in orders whose listing has been linked since they came."""
        async with self._database.transaction() as connection:
            waiting = await store.waiting_orders(connection, self._database.schema, ORDERS_LINKED_MAX)
        for channel, order_ids in waiting.items():
            (outcome,) = await self._writer.apply([LinkOrders(channel, tuple(order_ids))])
            if isinstance(outcome, GatewayError):
                log.warning("orders of channel %s cannot be linked: %s", channel, outcome)
