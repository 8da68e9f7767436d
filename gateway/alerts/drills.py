"""Use cases of drills (R44): begun, ended, read; and the tasks that play those of this gateway.

A drill lives in one gateway. When that goes away the drill is LOST, which whoever looks first says: the gateway itself
if it has the time, any other when it has not been heard for 15 seconds. Its end is in the log in every case, so no
screen goes on showing a rehearsal that nobody plays.
"""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway import metrics
from gateway.alerts.answering import once
from gateway.alerts.drill_player import Player, end_drill, started
from gateway.domain.drill_scores import Drill
from gateway.domain.drills import DrillScript
from gateway.domain.errors import DrillRunning, DrillUnknown, GatewayError
from gateway.store import drills as store
from gateway.store.alert_log import Appending, begin_append
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.drills import DrillRow

log = logging.getLogger(__name__)

# So many drills of a merchant may run at once.
DRILLS_MAX = 3
# A gateway that has not been heard for so long does not play any more.
SILENCE = timedelta(seconds=15)
SEARCH_SECONDS = 5.0


class StartDrill(Struct, frozen=True):
    """What was asked: kept with the request id (R10). `script` is a digest: tapes are long."""

    request_id: str
    script: str
    actor: str


class DrillStarted(Struct, frozen=True):
    """The drill as it was recorded."""

    drill: Drill


class Drills:
    """One merchant's drills. `gateway` tells this gateway from all others."""

    def __init__(self, database: MerchantDatabase, gateway: str) -> None:
        """Play none yet."""
        self._database = database
        self._gateway = gateway
        self._playing: dict[int, asyncio.Task[None]] = {}

    async def start(self, request_id: str, script: DrillScript, actor: str, content: bytes = b"") -> Drill:
        """Begin a drill, and play it here; raises `DrillRunning`, `RequestIdReused`.

        `content`: what was asked for, where that is not the script but what it was made from.
        """
        await self._bury()
        asked = StartDrill(request_id, sha256(content or msgspec.json.encode(script)).hexdigest(), actor)
        begun: list[Drill] = []

        async def act(connection: ReadConnection, appending: Appending) -> DrillStarted:
            running = await store.running_drills(connection)
            if len(running) >= DRILLS_MAX:
                raise DrillRunning(
                    f"{len(running)} drills run, and no more than {DRILLS_MAX} may at once; drill {running[0]} is the "
                    "oldest",
                    drill_id=running[0],
                )
            drill = Drill(replace(script, tape=()), actor, appending.now, appending.next_revision)
            await store.add_drill(connection, DrillRow(drill), self._gateway)
            await appending.append([started(drill)])
            begun.append(replace(drill, script=script))
            return DrillStarted(drill)

        answer = await once(self._database, "StartDrill", asked, DrillStarted, act)
        for drill in begun:
            self._play(drill)
        return answer.drill

    async def stop(self, drill_id: int, actor: str) -> Drill:
        """End a drill, wherever it is played; of one that is over the record as it is. Raises `DrillUnknown`."""
        await self._bury()
        async with self._database.transaction() as connection:
            appending = await begin_append(connection, self._database)
            row = await store.lock_running(connection, drill_id)
            if row is not None:
                return await end_drill(connection, appending, row, "STOPPED", actor)
            return await _read(connection, drill_id)

    async def get(self, drill_id: int) -> Drill:
        """One drill; raises `DrillUnknown`."""
        await self._bury()
        async with self._database.transaction() as connection:
            return await _read(connection, drill_id)

    async def list_drills(self, *, before: int, count_max: int) -> list[Drill]:
        """Up to `count_max` drills with a number below `before`, newest first."""
        await self._bury()
        async with self._database.transaction() as connection:
            return await store.list_drills(connection, before=before, count_max=count_max)

    # ---- playing

    async def run(self) -> None:
        """Look for drills that nobody plays any more, until cancelled; then end those that are played here."""
        try:
            while True:
                with suppress(GatewayError, TimeoutError):
                    await self._bury()
                await asyncio.sleep(SEARCH_SECONDS)
        except asyncio.CancelledError:
            await self._leave()
            raise

    def _play(self, drill: Drill) -> None:
        playing = asyncio.create_task(self._play_through(drill), name=f"drill {drill.drill_id}")
        self._playing[drill.drill_id] = playing
        playing.add_done_callback(lambda _: self._playing.pop(drill.drill_id, None))

    async def _play_through(self, drill: Drill) -> None:
        try:
            await Player(self._database, self._gateway, drill).run()
        # The top of a task: nobody waits for it, and a rehearsal that fails is not to go on being shown.
        except Exception:
            log.critical("a drill has failed, and is lost", exc_info=True)
            metrics.loop_failures.add(1, {"loop": "drill"})
            await self._give_up([drill.drill_id])

    async def _leave(self) -> None:
        """The drills that are played here are over."""
        if not self._playing:
            return
        playing = dict(self._playing)
        for task in playing.values():
            task.cancel()
        await asyncio.gather(*playing.values(), return_exceptions=True)
        await self._give_up(playing)

    async def _give_up(self, drill_ids: Collection[int]) -> None:
        """Say that these are lost, if it can be said; else another gateway will."""
        with suppress(GatewayError, TimeoutError):
            async with self._database.transaction() as connection:
                appending = await begin_append(connection, self._database)
                for drill_id in drill_ids:
                    await _lose(connection, appending, drill_id)

    # ---- drills whose gateway has gone

    async def _bury(self) -> None:
        """Say of every drill whose gateway has not been heard for long that it is lost."""
        async with self._database.transaction() as connection:
            if not await self._silent(connection):
                return
        async with self._database.transaction() as connection:
            appending = await begin_append(connection, self._database)
            for drill_id in await self._silent(connection):
                told = {"drill_id": drill_id, "merchant": self._database.merchant}
                log.warning("a drill has lost its gateway", extra=told)
                await _lose(connection, appending, drill_id)

    async def _silent(self, connection: ReadConnection) -> list[int]:
        return await store.silent_drills(connection, self._database, SILENCE, without=self._playing)


async def _lose(connection: ReadConnection, appending: Appending, drill_id: int) -> None:
    row = await store.lock_running(connection, drill_id)
    if row is not None:
        await end_drill(connection, appending, row, "LOST")


async def _read(connection: ReadConnection, drill_id: int) -> Drill:
    drill = await store.read_drill(connection, drill_id)
    if drill is None:
        raise DrillUnknown(f"no drill has the number {drill_id}", field="drill_id")
    return drill
