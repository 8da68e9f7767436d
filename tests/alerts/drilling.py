"""Drills on a real database, as the gateways of one merchant play them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace
from sqlalchemy import select

from gateway.alerts.drills import Drills
from gateway.domain.alerts import Event, EventKind, TierTold
from gateway.domain.drill_scores import Drill
from gateway.domain.drills import DrillInject, DrillScript, DrillSku, Happening, InjectKind, Play
from gateway.domain.tiers import TierChange
from gateway.settings import Settings
from gateway.store import alert_log
from gateway.store import drills as store
from gateway.store.database import Clock, Database, MerchantDatabase
from gateway.store.operations_tables import metadata
from tests.client import new_id

WAIT_SECONDS = 30.0
# What a drill may write, and the auditor's note of how far he is; all else is the truth.
WRITTEN = frozenset(("alert_head", "alert_events", "alert_requests", "drills", "acknowledgements", "head"))
SURGE = DrillInject(60.0, InjectKind.SURGE, "tea", 30.0, 600.0)


def script(**content: Any) -> DrillScript:
    """Ten minutes in two seconds, in which a surge empties the shelf, but for what is said."""
    usual: dict[str, Any] = {
        "name": "night",
        "speed": 300.0,
        "seconds": 600.0,
        "skus": (DrillSku("tea", 400, 600.0, 6.0), DrillSku("not in the catalog", 100, 600.0)),
        "injects": (SURGE,),
        "seed": 3,
    }
    return DrillScript(**(usual | content))


def long_script(**content: Any) -> DrillScript:
    """A day at its own speed, sold out from its first minute on."""
    first = replace(SURGE, at_seconds=0.0, value=1_000.0)
    skus = (DrillSku("tea", 5, 600.0, 6.0),)
    return script(**{"speed": 1.0, "seconds": 86_400.0, "skus": skus, "injects": (first,), **content})


def expected(played: DrillScript) -> list[Happening]:
    """What the play itself says there is to tell."""
    return Play(played).advance(played.seconds, 10**9)


class Stage:
    """One gateway's part in a merchant's drills."""

    def __init__(self, database: MerchantDatabase, name: str) -> None:
        """Play nothing yet."""
        self.database = database
        self.drills = Drills(database, name)

    async def start(self, played: DrillScript) -> Drill:
        """Begin a drill here."""
        return await self.drills.start(new_id(), played, "li")

    async def log(self, drill_id: int, *kinds: EventKind) -> list[Event]:
        """What the log has told of a drill; of these kinds, if any is named."""
        async with self.database.transaction() as connection:
            events = await alert_log.read_drill_events(connection, drill_id)
        return [event for event in events if not kinds or event.kind in kinds]

    async def ended(self, drill_id: int) -> Drill:
        """The drill, when it is over."""
        found = await self.drills.get(drill_id)

        async def is_over() -> bool:
            nonlocal found
            found = await self.drills.get(drill_id)
            return found.state != "RUNNING"

        await until(is_over)
        return found

    async def told(self, drill_id: int, kind: EventKind, count: int = 1) -> Event:
        """The `count`-th event of this kind, when it has come."""
        events: list[Event] = []

        async def is_there() -> bool:
            nonlocal events
            events = await self.log(drill_id, kind)
            return len(events) >= count

        await until(is_there)
        return events[count - 1]

    async def delivered(self, drill_id: int, revision: int) -> None:
        """Wait until the player has seen that all who listen have this event."""

        async def is_delivered() -> bool:
            async with self.database.transaction() as connection:
                row = await store.lock_running(connection, drill_id)
            return row is not None and revision in row.progress.delivered

        await until(is_delivered)

    async def die(self, drill_id: int) -> None:
        """The drill is played no more, and nobody says so."""
        for task in _players(drill_id):
            task.cancel()
        await self.left(drill_id)

    async def left(self, drill_id: int) -> None:
        """Wait until nobody of this process plays the drill any more."""

        async def is_left() -> bool:
            return not _players(drill_id)

        await until(is_left)

    async def truth(self) -> dict[str, list[str]]:
        """Every row that no drill may touch."""
        found = {}
        async with self.database.transaction() as connection:
            for name, table in metadata.tables.items():
                if name not in WRITTEN:
                    found[name] = sorted(str(tuple(row)) for row in await connection.execute(select(table)))
        return found


def changes(events: list[Event], drill: Drill) -> list[tuple[str, float, int, int, int]]:
    """Tier changes as a drill's own: SKU, second, from, to, episode."""
    return [
        (
            event.sku,
            round(drill.seconds_at(event.observe_time or event.record_time), 2),
            event.body.before,
            event.body.after,
            event.episode,
        )
        for event in events
        if isinstance(event.body, TierTold)
    ]


def played_changes(played: DrillScript) -> list[tuple[str, float, int, int, int]]:
    """The same, from the play itself."""
    return [
        (one.sku, round(one.at_seconds, 2), one.what.before, one.what.after, one.what.episode)
        for one in expected(played)
        if isinstance(one.what, TierChange)
    ]


def _players(drill_id: int) -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == f"drill {drill_id}"]


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so, but not for ever."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def stage_of(settings: Settings, token: str, clock: Clock, name: str) -> AsyncIterator[Stage]:
    """A gateway that plays this merchant's drills, and looks for those that nobody plays."""
    assert settings.database_url
    database = Database(settings.database_url, clock)
    stage = Stage(database.of(token.partition(".")[0]), name)
    running = asyncio.create_task(stage.drills.run())
    try:
        yield stage
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await database.close()
