"""Keeps what every listing may sell in step with the ledger: looks at what has changed, and decides the next pushes.

It holds no truth. What it decides is a wish that the writer checks again against the newest state, so two gateways that
allocate the same merchant do no harm; an advisory lock saves them the work. It looks when something was saved, and now
and then for what only time brings: an unknown outcome that is old enough, a pace that has slowed. What waits for orders
is looked at when its channel's watermark has passed it, and not before: it may be all that a merchant sells.
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from gateway import metrics
from gateway.decisions import Decisions
from gateway.domain.allocation import allocate
from gateway.domain.causes import Cause, Causes
from gateway.domain.division import Situation, can_change
from gateway.domain.errors import GatewayError
from gateway.domain.exposure import has_passed, has_passed_time
from gateway.domain.listings import Listing, PushKind
from gateway.domain.selling import AnySelling, LinkOrders, PlanPush
from gateway.shops import Shops
from gateway.store import selling as store
from gateway.store.database import MerchantDatabase, ReadConnection, read_time, take_lease
from gateway.store.live import Sold, read_locks
from gateway.writer import Writer

log = logging.getLogger(__name__)

# Changes gather for so long before they are looked at; then nothing is missed for longer than a tick.
GATHER_SECONDS = 0.02
TICK_SECONDS = 0.25
LINK_SECONDS = 1.0
# A merchant without channels is looked at so seldom: nothing is to be felt of us on the hot path.
IDLE_SECONDS = 1.0
# What was to be done now that the watermark has passed is looked at again so soon; what has sold so lately, on every
# tick, for its pace changes.
WATERMARK_SECONDS = 0.5
ACTIVE_SECONDS = 60.0
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

    def __init__(
        self,
        database: MerchantDatabase,
        writer: Writer,
        shops: Shops,
        is_traced: Callable[[Iterable[str]], bool] = lambda _skus: False,
    ) -> None:
        """Look through the database, decide through the writer, pause channels through the catalog.

        `is_traced`: somebody wants all about one of these SKUs traced.
        """
        self._is_traced = is_traced
        self._database = database
        self._writer = writer
        self._shops = shops
        self._woken = asyncio.Event()
        self._revision = self._version = store.NEVER
        self._open_channels: frozenset[str] = frozenset()
        self._channels_due = 0.0
        self._has_channels = True
        self._due: dict[str, float] = {}
        # By channel, SKUs that wait for its orders, and the platform's time that its watermark has to pass.
        self._waits: dict[str, dict[str, datetime]] = defaultdict(dict)
        self._marks: dict[str, datetime | None] = {}
        self._linked = 0.0
        self._zeroed: dict[str, deque[float]] = defaultdict(deque)
        self._sold: dict[int, Sold] = {}
        self._causes = Causes()
        self._heard_early: dict[str, int] = {}
        # Listings that were looked at since we began: what came before is in the database only.
        self._met: set[int] = set()
        self.sync_delay_seconds = 1.0

    @property
    def revision(self) -> int:
        """Up to which movement it has looked; below 0 before it has."""
        return self._revision

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
                log.warning("the allocator pauses", extra={"merchant": self._database.merchant, "error": str(error)})
                metrics.loop_pauses.add(1, {"loop": "allocator"})
                await asyncio.sleep(TICK_SECONDS)
            await asyncio.sleep(GATHER_SECONDS if self._has_channels else IDLE_SECONDS)

    async def look(self) -> None:
        """Look once at everything that has changed or is due, and do what follows."""
        skus = await self._skus()
        try:
            for start in range(0, len(skus), SKUS_MAX):
                await self._look_at(skus[start : start + SKUS_MAX])
        # Cancelled or failed: what was not looked at is no news any more, so nothing else would bring it back.
        except BaseException:
            self._due.update(dict.fromkeys(skus, time.monotonic()))
            raise
        if time.monotonic() - self._linked > LINK_SECONDS:
            self._linked = time.monotonic()
            await self._link()

    async def _look_at(self, skus: Sequence[str]) -> None:
        began_ns = time.time_ns()
        situation = await self._situation(skus)
        if situation is None:
            # Another gateway is at it; it may go before it has finished.
            self._due.update(dict.fromkeys(skus, time.monotonic() + TICK_SECONDS))
            return
        sold = {one.sku for listing in situation.listings for one in listing.components}
        self._causes.forget(sku for sku in skus if sku not in sold)
        if situation.listings:
            # What was not done because a channel was closed is done when it opens, however soon.
            self._open_channels &= situation.open_channels
            await self._do(situation, allocate(situation), began_ns)

    async def _skus(self) -> list[str]:
        """What has moved since the last look, first; then what is due; all of a channel that has come to life."""
        async with self._database.statements() as connection:
            moved = await store.moved_since(connection, self._revision, self._version)
            asks_channels = time.monotonic() >= self._channels_due
            awake = await self._awakened(connection) if asks_channels else frozenset()
        reached = self._reached() if asks_channels else ()
        self._revision, self._version = moved.revision, moved.version
        for sku, cause in moved.causes.items():
            if cause.revision > self._heard_early.get(sku, 0):
                self._causes.add(sku, cause)
        self._heard_early.clear()
        late = time.monotonic()
        due = [sku for sku, when in self._due.items() if when <= late and sku not in moved.skus]
        found = dict.fromkeys([*moved.skus, *due, *reached, *awake])
        for sku in found:
            self._due.pop(sku, None)
        return list(found)

    async def _awakened(self, connection: ReadConnection) -> frozenset[str]:
        """The SKUs of channels that have come to life since this was asked last."""
        now = await read_time(connection, self._database.now)
        rules, open_channels = await store.read_channels(connection, now)
        # In the beginning all channels are news, whether somebody serves them or not.
        revived = rules.keys() if self._version == store.NEVER else open_channels - self._open_channels
        awake = await store.listed_skus(connection, revived) if revived else frozenset()
        self._has_channels, self._open_channels = bool(rules), open_channels
        self._marks = {code: rule.watermark for code, rule in rules.items()}
        self._channels_due = time.monotonic() + TICK_SECONDS
        return awake

    def _reached(self) -> list[str]:
        """What need wait no more: its channel's watermark has passed it."""
        found = []
        for channel, waiting in self._waits.items():
            mark = self._marks.get(channel)
            reached = [] if mark is None else [sku for sku, until in waiting.items() if mark > until]
            for sku in reached:
                del waiting[sku]
            found += reached
        return found

    async def _situation(self, skus: Sequence[str]) -> Situation | None:
        """What bears on these SKUs; None if another gateway is looking."""
        async with self._database.transaction() as connection:
            if not await take_lease(connection, f"allocate {self._database.schema}"):
                return None
            now = await read_time(connection, self._database.now)
            locks = await read_locks(connection, self._sold)
            return await store.situation(connection, skus, now, self.sync_delay_seconds, locks)

    async def _do(self, situation: Situation, commands: Sequence[AnySelling], began_ns: int) -> None:
        listings = {listing.listing_id: listing for listing in situation.listings}
        allowed = await self._brake(situation, listings, commands)
        causes = await self._causes_of(situation, listings, allowed)
        about = listings, causes, situation.now, began_ns, self._is_traced
        with Decisions(self._database.merchant, *about) as decisions:
            allowed = decisions.sign(allowed)
            for start in range(0, len(allowed), COMMANDS_MAX):
                with decisions.current():
                    outcomes = await self._writer.apply(allowed[start : start + COMMANDS_MAX])
                decisions.made(outcomes)
                for outcome in outcomes:
                    if isinstance(outcome, GatewayError):
                        log.info("an allocation was overtaken", extra={"error": str(outcome)})
        self._causes.settle(situation, decisions.planned, causes)
        self._look_again(situation)

    async def _causes_of(
        self, situation: Situation, listings: dict[int, Listing], commands: Sequence[AnySelling]
    ) -> dict[int, Cause]:
        """What each listing's push answers, if it answers something."""
        planned = [command.listing_id for command in commands if isinstance(command, PlanPush)]
        await self._catch_up(situation, {one.sku for number in planned for one in listings[number].components})
        again = await self._come_to_nothing([listings[number] for number in planned])
        causes = ((number, self._causes.of(listings[number], again=number in again)) for number in planned)
        found = {number: cause for number, cause in causes if cause is not None}
        if unmet := [number for number in planned if number not in self._met]:
            async with self._database.transaction() as connection:
                found = await store.unanswered(connection, unmet, situation.now) | found
        self._met.update(listing.listing_id for listing in situation.listings if can_change(situation, listing))
        return found

    async def _come_to_nothing(self, planned: Sequence[Listing]) -> frozenset[int]:
        """The listings whose last push has changed nothing, of those for which that matters."""
        last = [one.state.last_push_id for one in planned if self._causes.has_promised(one.listing_id)]
        if not last:
            return frozenset()
        async with self._database.transaction() as connection:
            return await store.come_to_nothing(connection, last)

    async def _catch_up(self, situation: Situation, skus: Collection[str]) -> None:
        """Hear of what has moved between the question what has, and the look at it."""
        seen = max((level.revision for (sku, _), level in situation.levels.items() if sku in skus), default=0)
        if seen <= self._revision:
            return
        async with self._database.transaction() as connection:
            late = await store.moved_between(connection, skus, self._revision, seen)
        for sku, cause in late.items():
            self._causes.add(sku, cause)
        self._heard_early.update((sku, cause.revision) for sku, cause in late.items())

    def _look_again(self, situation: Situation) -> None:
        """Say when what waits for time to pass is due; everything else is news when it comes."""
        now = time.monotonic()
        for listing in situation.listings:
            seconds = _due_in(situation, listing)
            if seconds is not None:
                for one in listing.components:
                    self._due[one.sku] = min(self._due.get(one.sku, now + seconds), now + seconds)
            until = _waits_for(situation, listing)
            if until is not None:
                waiting = self._waits[listing.channel]
                waiting.update((one.sku, min(waiting.get(one.sku, until), until)) for one in listing.components)

    # ---- the brake

    async def _brake(
        self, situation: Situation, listings: dict[int, Listing], commands: Sequence[AnySelling]
    ) -> list[AnySelling]:
        """The commands without those of a channel that would be emptied; it is paused, and a person asked (R31)."""
        to_zero: dict[str, int] = defaultdict(int)
        for command in commands:
            if isinstance(command, PlanPush) and command.kind is PushKind.TO_ZERO:
                listing = listings[command.listing_id]
                to_zero[listing.channel] += not _gives_way(situation, listing)
        stopped = {channel for channel, count in to_zero.items() if count and await self._is_too_much(channel, count)}
        self._open_channels -= stopped
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
                log.warning(
                    "the brake has stopped a channel", extra={"channel": channel, "listings": len(recent) + count}
                )
                metrics.brakes.add(1, {"merchant": self._database.merchant, "channel": channel})
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
                log.warning("orders cannot be linked", extra={"channel": channel, "error": str(outcome)})


def _gives_way(situation: Situation, listing: Listing) -> bool:
    """True if a live session has its SKU's units for itself: a person has said so, and need not be asked again."""
    locks = (situation.locks.get(one.sku) for one in listing.components)
    return any(lock is not None and listing.channel not in lock.channels for lock in locks)


def _due_in(situation: Situation, listing: Listing) -> float | None:
    """In how many seconds time alone may change what is to be done about a listing; None: never."""
    state = listing.state
    if (state.reading is not None or state.sales_left < 0) and _waits_for(situation, listing) is None:
        return WATERMARK_SECONDS
    if state.push is not None and state.push.unknown_since is not None:
        waited = (situation.now - state.push.unknown_since).total_seconds()
        return max(TICK_SECONDS, situation.channels[listing.channel].facts.apply_late_ms / 1000 - waited)
    if state.pace_time is not None and (situation.now - state.pace_time).total_seconds() < ACTIVE_SECONDS:
        return TICK_SECONDS
    return None


def _waits_for(situation: Situation, listing: Listing) -> datetime | None:
    """The platform's time that the watermark has to pass before there is something to do; None: it has, or need not."""
    rule, state = situation.channels[listing.channel], listing.state
    times = []
    if state.reading is not None and not has_passed(rule, state.reading):
        times.append(state.reading.end_time + rule.facts.margin)
    if state.sales_left < 0 and state.below_zero_time is not None and not has_passed_time(rule, state):
        times.append(state.below_zero_time + rule.facts.margin)
    return min(times, default=None)
