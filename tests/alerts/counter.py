"""A merchant whose SKUs stand where a test wants them, and its desk: a real database, and no engine."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select

from gateway.alerts import requests as asked_for
from gateway.alerts.desk import Desk
from gateway.domain.alerts import (
    AckAction,
    Event,
    EventKind,
    News,
    Session,
    SessionSku,
    SilenceMatcher,
    TierTold,
)
from gateway.domain.demand import Prior, StockOutTimes, begin
from gateway.domain.listings import Component, Listing, Platform
from gateway.domain.tiers import Evidence, Standing, Tier
from gateway.domain.vigil import Key, Watched
from gateway.settings import Settings
from gateway.store import alert_log, catalog, live, shops, standings
from gateway.store.alert_tables import alert_head, alert_requests, drills
from gateway.store.catalog import Sku
from gateway.store.database import Clock, Database, MerchantDatabase, read_time
from gateway.store.desk import DeskState, read_desk
from gateway.store.shops import Channel
from gateway.store.standings import Stand

HOUR = timedelta(hours=1)
SKU, OTHER = "tea", "mug"
EVIDENCE = Evidence(9, 9, False, 0.9, 0.9, 0.9, 600.0, 5.0, 5.0, 0.0, 3.0, 0.0, 99, True, False)
_numbers = itertools.count(1)


def new_id() -> str:
    """A request id nobody has used."""
    return f"desk-{next(_numbers)}"


class Counter:
    """One merchant as one gateway sees it: its desk, and what a test looks at behind it."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Use the merchant's part of the database."""
        self.database = database
        self.desk = Desk(database)
        self.rules = self.desk.rules

    async def stock(self, *codes: str, is_sold: bool = True) -> None:
        """SKUs that channel "dy" sells, if they are sold."""
        async with self.database.transaction() as connection:
            await catalog.create_skus(connection, [Sku(code) for code in codes])
            if not is_sold:
                return
            await shops.create_channel(connection, Channel("dy", Platform.DOUYIN))
            version = await shops.begin_change(connection, self.database.schema)
            listings = [Listing(0, "dy", code, "", (Component(code, 1),)) for code in codes]
            await shops.link_listings(connection, listings, version)

    async def stand(
        self, tier: Tier, *, sku: str = SKU, session_id: int = 0, episode: int = 1, peak: Tier | None = None
    ) -> None:
        """From now on the key stands there."""
        async with self.database.transaction() as connection:
            found = await standings.read_stand(connection, Key(sku, session_id))
            version = found.state_version if found else 0
            standing = Standing(tier, episode=episode, peak=peak or tier)
            watched = Watched(begin(Prior(0.1), 0.0), standing)
            stand = Stand(Key(sku, session_id), watched, version + 1, 0, 0, datetime.now(UTC))
            assert await standings.write_stands(connection, [stand], [])

    async def open_session(self, *codes: str, close_time: datetime | None = None) -> int:
        """A session that sells these SKUs on "dy"; returns its number."""
        async with self.database.transaction() as connection:
            appending = await alert_log.begin_append(connection, self.database)
            number, now = appending.next_revision, appending.now
            skus = tuple(map(SessionSku, codes))
            session = Session("room", ("dy",), skus, now, now + HOUR, number, close_time)
            await live.write_session(connection, session)
            await appending.append([News(kind=EventKind.SESSION_OPENED, body=session)])
            return number

    async def play_drill(self, *tiers: Tier, sku: str = SKU, state: str = "RUNNING") -> int:
        """A drill in which a SKU has gone through these tiers; returns its number."""
        async with self.database.transaction() as connection:
            appending = await alert_log.begin_append(connection, self.database)
            number, now = appending.next_revision, appending.now
            row = {"drill_id": number, "state": state, "gateway": "g", "heard_time": now, "body": {}}
            await connection.execute(insert(drills), [row])
            await appending.append([News(kind=EventKind.DRILL_STARTED, drill_id=number)])
            for before, after in itertools.pairwise((Tier.NORMAL, *tiers)):
                body = TierTold(before, after, EVIDENCE, StockOutTimes(1.0, 2.0, 3.0))
                news = News(
                    kind=EventKind.TIER_CHANGE, body=body, sku=sku, episode=1, drill_id=number, channels=("dy",)
                )
                await appending.append([news])
            return number

    async def events(self, *kinds: EventKind) -> list[Event]:
        """The alert log, oldest first; of these kinds, if any is named."""
        async with self.database.transaction() as connection:
            found = await alert_log.read_events(connection, 0, 10_000)
        return [event for event in found if not kinds or event.kind in kinds]

    async def state(self, skus: Sequence[str] | None = None) -> DeskState:
        """What the engine reads."""
        async with self.database.transaction() as connection:
            return await read_desk(connection, skus)

    async def now(self) -> datetime:
        """The ledger's time."""
        async with self.database.transaction() as connection:
            return await read_time(connection, self.database.now)

    async def settings_version(self) -> int:
        """Rises with all that the engine has to read anew."""
        async with self.database.transaction() as connection:
            return int(await connection.scalar(select(alert_head.c.settings_version)) or 0)

    async def ids_kept(self) -> int:
        """How many request ids have taken effect."""
        async with self.database.transaction() as connection:
            return int(await connection.scalar(select(func.count()).select_from(alert_requests)) or 0)


@asynccontextmanager
async def counter_of(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Counter]:
    """The merchant of this token as another gateway sees it, with connections of its own."""
    assert settings.database_url
    database = Database(settings.database_url, clock)
    try:
        yield Counter(database.of(token.partition(".")[0]))
    finally:
        await database.close()


def ack(**content: Any) -> asked_for.Acknowledge:
    """A good acknowledgement of an URGENT tea, but for what is said."""
    usual = {
        "request_id": new_id(),
        "sku": SKU,
        "session_id": 0,
        "episode": 1,
        "tier": Tier.URGENT,
        "actor": "li",
        "action": AckAction.WATCH,
    }
    return asked_for.Acknowledge(**{**usual, **content})


def step(**content: Any) -> asked_for.CompleteStep:
    """A good step of the runbook of URGENT, but for what is said."""
    usual = {
        "request_id": new_id(),
        "sku": SKU,
        "session_id": 0,
        "episode": 1,
        "tier": Tier.URGENT,
        "step": 1,
        "actor": "li",
    }
    return asked_for.CompleteStep(**{**usual, **content})


def hush(now: datetime, **content: Any) -> asked_for.BeginSilence:
    """A good silence of an hour from now, but for what is said."""
    usual = {
        "request_id": new_id(),
        "matcher": SilenceMatcher(),
        "start_time": None,
        "end_time": now + HOUR,
        "actor": "li",
        "comment": "rehearsing",
        "until_resolved": False,
        "max_tier": Tier.THRESHOLD,
    }
    return asked_for.BeginSilence(**{**usual, **content})


def coming(now: datetime, **content: Any) -> asked_for.AnnounceIncoming:
    """Good news of 200 teas within an hour, but for what is said."""
    usual = {"request_id": new_id(), "sku": SKU, "quantity": 200, "arrive_time": now + HOUR, "actor": "li"}
    return asked_for.AnnounceIncoming(**{**usual, **content})
