"""An alert log that a test writes by hand, and readers of it that a test drives step by step: no engine, no wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.alerts.hub import AlertHub
from gateway.alerts.subscriber import Entry, GoAway, Progress, Sending, Subscriber, Wanted
from gateway.domain.alerts import AckAction, Acknowledgement, Event, EventKind, News, TierTold
from gateway.domain.demand import StockOutTimes
from gateway.domain.errors import GatewayError
from gateway.domain.tiers import Evidence, Tier
from gateway.settings import Settings
from gateway.store import alert_log
from gateway.store.alert_log import AlertHead
from gateway.store.database import Clock, Database, MerchantDatabase, read_time

WAIT_SECONDS = 10.0
EVIDENCE = Evidence(9, 9, False, 0.9, 0.9, 0.9, 600.0, 5.0, 5.0, 0.0, 3.0, 0.0, 99, True, False)


def tier_news(sku: str, before: Tier, after: Tier, **other: Any) -> News:
    """A tier change."""
    body = TierTold(before, after, EVIDENCE, StockOutTimes(60.0, 90.0, 120.0))
    return News(kind=EventKind.TIER_CHANGE, body=body, sku=sku, episode=1, **other)


def trend(sku: str = "tea", **other: Any) -> News:
    """The least pressing of all changes."""
    return tier_news(sku, Tier.NORMAL, Tier.TREND, **other)


def urgent(sku: str = "tea", **other: Any) -> News:
    """An escalation that nobody may miss."""
    return tier_news(sku, Tier.THRESHOLD, Tier.URGENT, **other)


class Log:
    """One merchant's alert log, as a test writes it."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Use the merchant's part of the database."""
        self.database = database

    async def append(self, *news: News) -> list[Event]:
        """Append these together."""
        async with self.database.transaction() as connection:
            appending = await alert_log.begin_append(connection, self.database)
            return await appending.append(news)

    async def acknowledge(self, sku: str) -> Event:
        """Somebody takes a warning on."""
        async with self.database.transaction() as connection:
            now = await read_time(connection, self.database.now)
        body = Acknowledgement(Tier.URGENT, "li", now, AckAction.WATCH)
        return (await self.append(News(kind=EventKind.ACKNOWLEDGED, body=body, sku=sku, episode=1)))[0]

    async def events(self, after: int = 0) -> list[Event]:
        """What is kept."""
        async with self.database.transaction() as connection:
            return await alert_log.read_events(connection, after, 100_000)

    async def head(self) -> AlertHead:
        """The log's head."""
        async with self.database.transaction() as connection:
            return await alert_log.read_alert_head(connection)

    async def compact(self, revision: int) -> None:
        """Remove events without a word."""
        async with self.database.transaction() as connection:
            await alert_log.begin_append(connection, self.database)
            await alert_log.compact(connection, revision)


class Reader:
    """A stream without a wire: what it is given, it has sent, unless it stops reading."""

    def __init__(self, hub: AlertHub, wanted: Wanted | None = None, **other: Any) -> None:
        """Not let in yet."""
        self.hub = hub
        self.ended_by: GatewayError | None = None
        self._writing: Sending | None = None
        self.subscriber = Subscriber(wanted or Wanted(), self._end, **other)

    async def open(self, after: int | None = None) -> AlertHead:
        """Be let in; without a revision, for what comes from now on."""
        head = await self.hub.open(self.subscriber)
        self.subscriber.begin_after(head.revision if after is None else after, resumes=after is not None)
        return head

    async def next(self) -> Sending:
        """What is sent next; raises what ends the stream, `TimeoutError` if nothing comes."""
        sending = await self.begin()
        self.unstick()
        return sending

    def unstick(self) -> None:
        """What was being written is."""
        self.subscriber.written(self._writing)

    async def begin(self) -> Sending:
        """The same, and the write does not end."""
        async with asyncio.timeout(WAIT_SECONDS):
            sending = await self.hub.next(self.subscriber)
        self.subscriber.begin_writing(sending)
        self._writing = sending
        return sending

    async def until(self, revision: int) -> list[Sending]:
        """All that is sent until it is said that everything up to this revision was."""
        found: list[Sending] = []
        while not found or not isinstance(found[-1], Entry | Progress) or found[-1].revision < revision:
            found.append(await self.next())
            assert not isinstance(found[-1], GoAway)
        return found

    async def revisions(self, upto: int) -> list[int]:
        """The revisions of the events up to this one."""
        return [one.revision for one in await self.until(upto) if isinstance(one, Entry)]

    def close(self) -> None:
        """Go."""
        self.hub.drop(self.subscriber)

    def _end(self, error: GatewayError) -> None:
        self.ended_by = error


@asynccontextmanager
async def log_of(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Log]:
    """The merchant's log."""
    assert settings.database_url
    database = Database(settings.database_url, clock)
    try:
        yield Log(database.of(token.partition(".")[0]))
    finally:
        await database.close()


@asynccontextmanager
async def running_hub(database: MerchantDatabase) -> AsyncIterator[AlertHub]:
    """A hub of this merchant that nobody wakes but the clock and the test."""
    hub = AlertHub(database)
    loops = [asyncio.create_task(hub.run()), asyncio.create_task(hub.tend())]
    try:
        yield hub
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
