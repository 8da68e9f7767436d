"""Use cases of selling: what connectors report, what operators do about it, and the streams connectors follow."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from gateway import metrics
from gateway.allocator import Allocator
from gateway.domain.attempts import Attempt
from gateway.domain.errors import ChannelUnknown, GatewayError, InvalidArgument, ShortfallUnknown
from gateway.domain.listings import Listing, PushKind, PushResult
from gateway.domain.selling import (
    AnySelling,
    AskReading,
    Drift,
    KnownOrder,
    ListingChanged,
    MoveWatermark,
    OrderTaken,
    ReportPush,
    TakeOrder,
    TakeReading,
    WatermarkMoved,
)
from gateway.domain.stock import Shortfall
from gateway.shops import Shops
from gateway.store import journal
from gateway.store import selling as store
from gateway.store import shops as shops_store
from gateway.store.attempts import save_attempts
from gateway.store.database import MerchantDatabase, read_time
from gateway.store.selling import ConnectorState
from gateway.store.shops import Channel
from gateway.store.states import keep_channel_state
from gateway.writer import Writer

log = logging.getLogger(__name__)

# How fast what is measured replaces what was believed of the sync delay.
DELAY_WEIGHT = 0.05
LOOK_ANYWAY_SECONDS = 1.0
GATHER_SECONDS = 0.005
# A pause, and another connector, are noticed within so long even where there is nothing to tell.
CHANNEL_SECONDS = 0.1


class Page(Struct, frozen=True):
    """What became of a page of orders."""

    taken: int
    known: int
    unlinked: int
    watermark: datetime | None


class Selling:
    """The selling of one merchant."""

    def __init__(
        self,
        database: MerchantDatabase,
        writer: Writer,
        shops: Shops,
        is_traced: Callable[[Iterable[str]], bool] = lambda _skus: False,
    ) -> None:
        """Read through the database; change stock and exposure through the writer, channels through the catalog.

        `is_traced`: somebody wants all about one of these SKUs traced.
        """
        self._database = database
        self._writer = writer
        self._shops = shops
        self.allocator = Allocator(database, writer, shops, is_traced)
        self._followers: set[Follower] = set()
        self._closing = False

    def wake(self) -> None:
        """Something was saved."""
        self.allocator.wake()
        for follower in self._followers:
            follower.wake()

    def close(self) -> None:
        """Tell every stream that the gateway stops."""
        self._closing = True
        for follower in self._followers:
            follower.close()

    def streams(self) -> int:
        """How many connectors follow a channel here."""
        return len(self._followers)

    # ---- connectors

    async def report_orders(
        self, orders: Sequence[TakeOrder], watermark: MoveWatermark, deadline: float | None = None
    ) -> Page:
        """Take in a page of orders and the watermark, together or not at all; raises what is wrong with the first."""
        commands: list[AnySelling] = [*orders, watermark]
        outcomes = await self._writer.apply(commands, [(0, len(commands))], deadline)
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, GatewayError) and "failed_item" not in outcome.facts:
                if place < len(orders) and not isinstance(outcome, ChannelUnknown):
                    outcome.field = f"orders[{place}]"
                raise outcome
        taken = [outcome for outcome in outcomes if isinstance(outcome, OrderTaken)]
        moved = outcomes[-1]
        assert isinstance(moved, WatermarkMoved), "the answer to the last command"
        changed = sum(one.changed for one in taken)
        return Page(changed, len(taken) - changed, sum(one.unlinked for one in taken), moved.watermark)

    async def report_pushes(
        self,
        channel: str,
        reports: Sequence[ReportPush],
        attempts: Sequence[Attempt] = (),
        deadline: float | None = None,
    ) -> None:
        """Book what became of pushes, and keep the calls to the platform; raises `ChannelUnknown`.

        A listing that is gone is no error any more.
        """
        await self._shops.channel(channel)
        if reports:
            await self._book(channel, reports, deadline)
        if attempts:
            async with self._database.transaction() as connection:
                kept = await save_attempts(connection, self._database, attempts)
            for attempt in kept:
                labels = {"channel": channel, "outcome": attempt.outcome.name}
                metrics.push_attempts.add(1, {"merchant": self._database.merchant, **labels})

    async def _book(self, channel: str, reports: Sequence[ReportPush], deadline: float | None) -> None:
        for outcome in await self._writer.apply(reports, deadline=deadline):
            if isinstance(outcome, GatewayError):
                log.warning("a report on a push is not booked", extra={"channel": channel, "error": str(outcome)})
        for report in reports:
            if report.result is PushResult.APPLIED:
                delay = self.allocator.sync_delay_seconds
                self.allocator.sync_delay_seconds += DELAY_WEIGHT * (report.duration_ms / 1000 - delay)

    async def report_shelf(self, channel: str, readings: Sequence[TakeReading], deadline: float | None = None) -> int:
        """Keep readings; returns how many can be used. Raises `ChannelUnknown`."""
        await self._shops.channel(channel)
        outcomes = await self._writer.apply(readings, deadline=deadline)
        return sum(isinstance(outcome, ListingChanged) and outcome.changed for outcome in outcomes)

    async def heartbeat(self, channel: str, state: ConnectorState) -> None:
        """Keep what a connector says of itself; raises `ChannelUnknown`."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            if not await store.store_heartbeat(connection, channel, state, now):
                raise ChannelUnknown(f"no channel has the code {channel!r}", field="channel", channel=channel)
            await keep_channel_state(connection, channel, now)
        self.allocator.wake()

    @asynccontextmanager
    async def follow(self, channel: str, connector_id: str) -> AsyncIterator["Follower"]:
        """A channel's changes from now on, whatever is under way first; raises `ChannelUnknown`.

        Whoever followed it before under another id is told nothing more: two would do the same push twice.
        """
        async with self._database.transaction() as connection:
            if not await store.store_follower(connection, channel, connector_id):
                raise ChannelUnknown(f"no channel has the code {channel!r}", field="channel", channel=channel)
            await keep_channel_state(connection, channel, await read_time(connection, self._database.now))
        follower = Follower(self._database, self._shops, channel, connector_id)
        self._followers.add(follower)
        if self._closing:
            follower.close()
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    # ---- operators

    async def pause(self, channel: str, reason: str) -> Channel:
        """Stop changing a channel's numbers; raises `ChannelUnknown`."""
        return await self._shops.pause(channel, reason)

    async def resume(self, channel: str, *, allow_many_to_zero: bool) -> Channel:
        """Let a channel's numbers be changed again; raises `ChannelUnknown`."""
        found = await self._shops.resume(channel, allow_many_to_zero=allow_many_to_zero)
        self.allocator.wake()
        return found

    async def resync(self, listing_id: int) -> tuple[Listing, datetime]:
        """Have a listing read now, and unpark it; also the ledger's time. Raises `ListingUnknown`."""
        (outcome,) = await self._writer.apply([AskReading(listing_id, unpark=True)])
        if isinstance(outcome, GatewayError):
            raise outcome
        assert isinstance(outcome, ListingChanged), "the answer to a question about a listing"
        async with self._database.transaction() as connection:
            return outcome.listing, await read_time(connection, self._database.now)

    async def listings(self, *, channel: str, sku: str, after: int, count_max: int) -> tuple[list[Listing], datetime]:
        """Up to `count_max` listings with a number above `after`, and the ledger's time."""
        async with self._database.transaction() as connection:
            found = await shops_store.list_listings(
                connection, channel=channel, sku=sku, after=after, count_max=count_max
            )
            return found, await read_time(connection, self._database.now)

    async def resolve_shortfall(self, shortfall_id: int, *, owner: str, resolution: str) -> Shortfall:
        """Say who looks after a shortfall, or how it was resolved; raises `ShortfallUnknown`, `InvalidArgument`."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            done = await store.resolve_shortfall(connection, shortfall_id, owner=owner, resolution=resolution, now=now)
            found = await journal.list_shortfalls(
                connection, before=shortfall_id + 1, include_resolved=True, count_max=1
            )
            if not found or found[0].shortfall_id != shortfall_id:
                raise ShortfallUnknown(f"no shortfall has the id {shortfall_id}", field="shortfall_id")
            if not done:
                raise InvalidArgument(
                    f"shortfall {shortfall_id} was resolved before: {found[0].resolution}", field="resolution"
                )
            return found[0]

    async def drifts(self, *, channel: str, before: int, count_max: int) -> list[Drift]:
        """Up to `count_max` drifts with a number below `before`, newest first."""
        async with self._database.transaction() as connection:
            return await store.list_drifts(connection, channel=channel, before=before, count_max=count_max)

    async def unlinked(self, *, channel: str, after: str, count_max: int) -> list[KnownOrder]:
        """Up to `count_max` orders with a line nobody has linked, by id."""
        async with self._database.transaction() as connection:
            return await store.list_unlinked(connection, channel=channel, after=after, count_max=count_max)


class Change(Struct, frozen=True):
    """A listing, and whether its push or the question for a reading is news."""

    listing: Listing
    tells_push: bool
    tells_question: bool


class News(Struct, frozen=True):
    """What a connector has not been told: its channel, if a person has changed it; listings, most pressing first."""

    channel: Channel | None
    listings: list[Change]


class Follower:
    """One connector's view of its channel: what is to be done to which listing, each thing once."""

    def __init__(self, database: MerchantDatabase, shops: Shops, channel: str, connector_id: str) -> None:
        """Begin at the beginning: all that is under way."""
        self._connector_id = connector_id
        self._database = database
        self._shops = shops
        self._channel = channel
        self._version = 0
        self._told: dict[int, tuple[tuple[int, bool, bool], int]] = {}
        self._told_of_channel: Channel | None = None
        self._woken = asyncio.Event()
        self._woken.set()
        self._channel_due = 0.0
        self.closing = self.is_replaced = False

    def wake(self) -> None:
        """Something was saved."""
        self._woken.set()

    def close(self) -> None:
        """The gateway stops."""
        self.closing = True
        self._woken.set()

    async def channel(self) -> Channel:
        """The channel as it is now, and as it need not be told again."""
        found = await self._shops.channel(self._channel)
        self._told_of_channel = _said_of(found)
        return found

    async def changes(self, timeout_seconds: float) -> News:
        """What has changed since it was told last; nothing after the timeout, or when closing."""
        ends = time.monotonic() + timeout_seconds
        while not self.closing and not self.is_replaced:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_ANYWAY_SECONDS, max(0.0, ends - time.monotonic()))):
                    await self._woken.wait()
            self._woken.clear()
            news = await self._look()
            if news.channel or news.listings or time.monotonic() >= ends:
                return news
            await asyncio.sleep(GATHER_SECONDS)
        return News(None, [])

    async def _look(self) -> News:
        async with self._database.statements() as connection:
            rows = await store.listings_since(connection, self._channel, self._version)
            news = self._news(rows)
            # Every order taken in is a change of its listing, and hardly any is news: then there is no more to ask.
            if not news and time.monotonic() < self._channel_due:
                return News(None, [])
            self._channel_due = time.monotonic() + CHANNEL_SECONDS
            channel = await shops_store.read_channel(connection, self._channel)
            # Asked last: who comes after us is told of whatever we have seen here.
            self.is_replaced = await store.read_follower(connection, self._channel) != self._connector_id
        if self.is_replaced:
            return News(None, [])
        is_changed = channel is not None and _said_of(channel) != self._told_of_channel
        self._told_of_channel = self._told_of_channel if channel is None else _said_of(channel)
        return News(channel if is_changed else None, sorted(news, key=_urgency))

    def _news(self, rows: Sequence[tuple[int, Listing]]) -> list[Change]:
        news = []
        for version, listing in rows:
            self._version = max(self._version, version)
            push, asked = self._told.get(listing.listing_id, _NOTHING)
            now = _to_tell(listing)
            self._told[listing.listing_id] = now
            one = Change(listing, now[0] not in (push, _NOTHING[0]), now[1] not in (asked, _NOTHING[1]))
            if one.tells_push or one.tells_question:
                news.append(one)
        return news


_NOTHING = ((0, False, False), 0)


def _to_tell(listing: Listing) -> tuple[tuple[int, bool, bool], int]:
    push, asked = listing.state.push, listing.state.read_id
    if push is None:
        return _NOTHING[0], asked
    return (push.push_id, push.withdrawn, push.unknown_since is not None), asked


def _said_of(channel: Channel) -> Channel:
    """Without what connectors say all the time."""
    return replace(channel, watermark=None, connector="", heartbeat_time=None)


def _urgency(change: Change) -> float:
    push = change.listing.state.push
    if push is None:
        return float(PushKind.TO_ZERO)
    return push.urgency
