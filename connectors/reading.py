"""What the channel's listings show: read when somebody asks, and one after the other all the time.

The times of a reading are on the platform's clock, and on the safe side of it: the clock is learned from the platform's
answers, so what it was when a call began is known better when the answer is there.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from connectors.access import Access
from connectors.backoff import Backoff
from connectors.base import ListingKey, Shelf
from connectors.contract import GatewayError, KnownListing, ReadOrder, ShelfReading
from connectors.errors import ConnectorError, Misunderstood, Rejected
from connectors.gateway_client import GatewayClient
from connectors.needs import words
from connectors.pacing import LINE_SECONDS_MAX
from connectors.settings import AgentSettings
from connectors.tracing import Work, work
from connectors.transport import Transport
from gateway import telemetry

log = logging.getLogger(__name__)

# An answer that makes no sense is asked for again so often, then it is what a person must look at.
MISUNDERSTOOD_MAX = 3
LOOKS_WAITING_MAX = 1_000
# A round is as fast as the calls that are allowed, and not as one call after the other is.
ROUND_CALLS_AT_ONCE = 4
# A round takes what calls are left over, and waits for them.
READ_SLOW_SECONDS = 30.0
# By how much the platform's clock may turn out to be other than was thought, for a reading to be of use.
CLOCK_MOVED_MAX = timedelta(seconds=10)


class Span(NamedTuple):
    """A time before a call began, and one after it ended."""

    begin_time: datetime
    end_time: datetime


class Stopwatch:
    """When a call was made, on the platform's clock, told once its answer is there."""

    def __init__(self, transport: Transport) -> None:
        """The call begins now."""
        self._transport = transport
        self._begin_time, self._begun = transport.platform_now(), time.monotonic()

    def span(self) -> Span:
        """The call has ended: the widest span that the clock as known before or now allows."""
        elapsed = timedelta(seconds=time.monotonic() - self._begun)
        now = self._transport.platform_now()
        return Span(min(self._begin_time, now - elapsed), max(now, self._begin_time + elapsed))

    def clock_moved(self) -> timedelta:
        """By how much the platform's clock is other than was thought when the call began."""
        elapsed = timedelta(seconds=time.monotonic() - self._begun)
        return abs(self._transport.platform_now() - elapsed - self._begin_time)


class PushesKnown(Protocol):
    """What is known of a listing's pushes."""

    def is_busy_with(self, listing_id: int) -> bool:
        """True while a push is in this process's hands."""

    def last_over(self, listing_id: int) -> int:
        """The last push known to be over; 0: none."""


class Reader:
    """Reads one channel's listings and reports what they show."""

    def __init__(self, gateway: GatewayClient, channel: str, access: Access, settings: AgentSettings) -> None:
        """Nothing is read yet."""
        self._gateway, self._channel, self._access, self._settings = gateway, channel, access, settings
        self._asked: dict[int, ReadOrder] = {}
        self._has_asked = asyncio.Event()
        self._listing_ids: dict[ListingKey, int] = {}
        # What the gateway says: a push that was over before this process began is known to no other part of it.
        self._last_over: dict[int, int] = {}
        self._misunderstood: dict[int, int] = {}
        self._failing: dict[int, Backoff] = {}

    def ask(self, order: ReadOrder) -> None:
        """Read a listing by a call that begins from now on; a later wish for the same listing counts instead."""
        self.know(order.key, order.listing_id)
        waiting = self._asked.get(order.listing_id)
        if waiting is None or order.read_id >= waiting.read_id:
            self._asked[order.listing_id] = order
        self._has_asked.set()

    def know(self, key: ListingKey, listing_id: int) -> None:
        """Remember a listing's number."""
        self._listing_ids[key] = listing_id

    def look(self, key: ListingKey) -> None:
        """Read a listing if it is ours; somebody says that its number has changed."""
        listing_id = self._listing_ids.get(key)
        if listing_id is not None and listing_id not in self._asked and len(self._asked) < LOOKS_WAITING_MAX:
            self.ask(ReadOrder(listing_id, key))

    # ---- loops

    async def answer(self, pushes: PushesKnown) -> None:
        """Read what is asked for, until cancelled."""
        while True:
            await self._has_asked.wait()
            await self._access.open()
            orders = self._next_asked(self._access.platform.capabilities.reads_at_once)
            left = await self._read(orders, pushes)
            for order in orders:
                if order.listing_id not in left:
                    self._failing.pop(order.listing_id, None)
                elif order.read_id:
                    self._ask_later(order)
            if not self._asked:
                self._has_asked.clear()

    async def go_round(self, pushes: PushesKnown) -> None:
        """Read all listings, again and again, as fast as the round is long and spare calls allow; until cancelled."""
        backoff = Backoff(self._settings.reread_seconds, self._settings.round_seconds)
        while True:
            begun = time.monotonic()
            try:
                count = await self._round(pushes)
                backoff.succeeded()
            except (GatewayError, ConnectorError) as error:
                log.info("round broken off", extra={"channel": self._channel, "error": type(error).__name__})
                await backoff.pause()
                continue
            log.debug("round done", extra={"channel": self._channel, "listings": count})
            await asyncio.sleep(max(0.0, self._settings.round_seconds - (time.monotonic() - begun)))

    async def _round(self, pushes: PushesKnown) -> int:
        token, count = "", 0
        while True:
            page = await self._gateway.listings(self._channel, token)
            await self._read_page(page.listings, pushes, is_last=not page.next_page_token)
            count += len(page.listings)
            token = page.next_page_token
            if not token:
                return count

    async def _read_page(self, listings: Sequence[KnownListing], pushes: PushesKnown, *, is_last: bool) -> None:
        """A page, spread over its part of the round: background reading leaves the calls to those in a hurry."""
        for listing in listings:
            self.know(listing.key, listing.listing_id)
            self._last_over[listing.listing_id] = listing.last_push_id
        idle = [one for one in listings if not one.push_id and not pushes.is_busy_with(one.listing_id)]
        await self._access.open()
        size = self._access.platform.capabilities.reads_at_once
        batches = [idle[start : start + size] for start in range(0, len(idle), size)]
        pause_seconds = self._settings.round_seconds / (len(batches) + 1) if is_last else 0.0
        for start in range(0, len(batches), ROUND_CALLS_AT_ONCE):
            await self._spare_calls()
            together = batches[start : start + ROUND_CALLS_AT_ONCE]
            await asyncio.gather(
                *(self._read([ReadOrder(one.listing_id, one.key) for one in batch], pushes) for batch in together)
            )
            # Half of the pace that would fill the round: it is over in time even if calls are slow.
            await asyncio.sleep(min(pause_seconds * len(together) / 2, 1.0))

    async def _spare_calls(self) -> None:
        """Wait while others wait for their turn."""
        limiter = self._access.transport.limiter
        while limiter.banned_seconds or limiter.waiting:
            await limiter.lifted()
            await asyncio.sleep(1 / limiter.rate)

    # ---- one reading

    def _next_asked(self, count_max: int) -> list[ReadOrder]:
        """Those that the gateway waits for come before those that are of use."""
        chosen = sorted(self._asked.values(), key=lambda order: not order.read_id)[:count_max]
        for order in chosen:
            del self._asked[order.listing_id]
        return chosen

    def _ask_later(self, order: ReadOrder) -> None:
        """One listing that cannot be read at present holds up no other."""
        settings = self._settings
        backoff = self._failing.setdefault(
            order.listing_id, Backoff(settings.reread_seconds, settings.backoff_seconds_max)
        )
        seconds = max(backoff.failed(), min(self._access.transport.limiter.banned_seconds, LINE_SECONDS_MAX))
        asyncio.get_running_loop().call_later(seconds, self._ask_again, order)

    def _ask_again(self, order: ReadOrder) -> None:
        self._asked.setdefault(order.listing_id, order)
        self._has_asked.set()

    async def _read(self, orders: Sequence[ReadOrder], pushes: PushesKnown) -> set[int]:
        """Read and report; the listings that are still to be read."""
        # What was over when the platform had not been asked yet.
        orders = [replace(one, after_push_id=self._over_before(one, pushes)) for one in orders]
        with work("read listings", origin=telemetry.NO_ORIGIN, slow_seconds=READ_SLOW_SECONDS) as doing:
            doing.tell(stockgate__channel=self._channel, stockgate__listings=len(orders))
            return await self._read_and_report(orders, doing)

    def _over_before(self, order: ReadOrder, pushes: PushesKnown) -> int:
        known = self._last_over.get(order.listing_id, 0)
        return max(order.after_push_id, pushes.last_over(order.listing_id), known)

    async def _read_and_report(self, orders: Sequence[ReadOrder], doing: Work) -> set[int]:
        watch = Stopwatch(self._access.transport)
        try:
            shelves = await self._access.read([order.key for order in orders])
        except ConnectorError as error:
            doing.fail(type(error).__name__)
            shelves = dict.fromkeys((order.key for order in orders), error)
        if watch.clock_moved() > CLOCK_MOVED_MAX:
            # The gateway waits until all orders up to a reading's end are in: here, that could be minutes.
            log.info("clock learned; reading anew", extra={"channel": self._channel})
            return {order.listing_id for order in orders}
        span = watch.span()
        readings, left = [], set()
        for order in orders:
            reading = self._reading(order, shelves[order.key], span)
            if reading is None:
                left.add(order.listing_id)
            else:
                readings.append(reading)
        if readings and not await self._report(readings):
            return {order.listing_id for order in orders}
        return left

    def _reading(self, order: ReadOrder, shelf: Shelf | ConnectorError, span: Span) -> ShelfReading | None:
        """What to report; None if another try may tell more."""
        shown, said = 0, ""
        if isinstance(shelf, Shelf):
            shown = shelf.shown
            self._misunderstood.pop(order.listing_id, None)
        elif self._is_final(order.listing_id, shelf):
            said = words(f"{shelf.code} {shelf.message}" if shelf.code else shelf.message)
            fields = {"channel": self._channel, "listing_id": order.listing_id, "said": said}
            log.warning("listing cannot be read", extra=fields)
        else:
            return None
        return ShelfReading(
            listing_id=order.listing_id,
            begin_time=span.begin_time,
            end_time=span.end_time,
            shown=shown,
            after_push_id=order.after_push_id,
            read_id=order.read_id,
            error=said,
        )

    def _is_final(self, listing_id: int, error: ConnectorError) -> bool:
        if isinstance(error, Misunderstood):
            self._misunderstood[listing_id] = self._misunderstood.get(listing_id, 0) + 1
            return self._misunderstood[listing_id] >= MISUNDERSTOOD_MAX
        return isinstance(error, Rejected)

    async def _report(self, readings: Sequence[ShelfReading]) -> bool:
        try:
            await self._gateway.report_shelf(self._channel, readings)
        except GatewayError as error:
            fields = {"channel": self._channel, "code": error.code, "said": error.message}
            log.warning("readings not taken", extra=fields)
            return False
        return True
