"""What the alert log needs beside being read: slow and silent subscribers are noted in it, and the old is removed.

Events are kept for seven days, and never for less than 24 hours or twice the longest live session (G7). Before events
are removed, every reader in step here is told that he has had them. Readers of other gateways know it too: they hear
how far the log has come once an hour at least, and what is removed is a day old at least. So nobody who stays connected
is ever caught, however quiet his filter. Who reads that far back finds a gap, and is told REVISION_COMPACTED.
"""

import asyncio
import logging
import time
from datetime import datetime, timedelta

from gateway.alerts.hub import AlertHub
from gateway.alerts.subscribers import SILENT
from gateway.domain.alerts import Compaction, EventKind, News, SubscriberState
from gateway.domain.errors import GatewayError
from gateway.store import subscribers as store
from gateway.store.alert_log import begin_append, compact, last_before, read_alert_head
from gateway.store.database import MerchantDatabase, read_time, take_lease

log = logging.getLogger(__name__)

KEEP = timedelta(days=7)
KEEP_MIN = timedelta(hours=24)
NOTE_SECONDS = 1.0
LOOK_FOR_SILENT_SECONDS = 10.0
COMPACT_SECONDS = 3_600.0
# Who reports says something every 5 s.
SILENCE = timedelta(seconds=90)
# So many events are removed at once, while whoever wants to append waits.
REMOVED_AT_ONCE = 5_000


class Tending:
    """Tends one merchant's alert log while `run` runs. Every gateway may; they do not disturb each other."""

    def __init__(self, database: MerchantDatabase, hub: AlertHub) -> None:
        """Note what the hub knows of its readers."""
        self._database = database
        self._hub = hub
        self._silent_due = 0.0
        # Not at once: a gateway that starts has more urgent things to do.
        self._compact_due = time.monotonic() + NOTE_SECONDS * 60

    async def run(self) -> None:
        """Tend until cancelled."""
        while True:
            try:
                await self._tend(time.monotonic())
            except GatewayError as error:
                log.warning("the alert log is not tended", extra={"error": str(error)})
            await asyncio.sleep(NOTE_SECONDS)

    async def note_slow(self) -> None:
        """Append who was cut off or has passed over something."""
        notes = self._hub.lagging.take()
        if not notes:
            return
        try:
            async with self._database.transaction() as connection:
                appending = await begin_append(connection, self._database)
                await appending.append([News(kind=EventKind.SUBSCRIBER_LAGGED, body=note) for note in notes])
        except GatewayError:
            self._hub.lagging.keep(notes)
            raise

    async def note_silent(self) -> None:
        """Append who has reported his cursor and then fallen silent, each once."""
        async with self._database.transaction() as connection:
            if not await store.has_fallen_silent(connection, self._database, SILENCE):
                return
            appending = await begin_append(connection, self._database)
            silent = await store.mark_silent(connection, self._database, SILENCE)
            states = [
                SubscriberState(
                    one.subscriber_id,
                    one.revision,
                    one.report_time,
                    trouble=SILENT,
                    lag=max(0, appending.revision - one.revision),
                )
                for one in silent
            ]
            await appending.append([News(kind=EventKind.SUBSCRIBER_SILENT, body=state) for state in states])

    async def compact(self) -> int:
        """Remove what need not be kept; returns the revision up to which everything was removed, now or before."""
        while True:
            since, compacted, removable = await self._removable()
            upto = min(removable, compacted + REMOVED_AT_ONCE)
            if upto <= compacted:
                return compacted
            await self._hub.tell_before_compaction(upto)
            if not await self._remove(since, upto):
                return compacted

    async def _tend(self, now: float) -> None:
        await self.note_slow()
        if now >= self._silent_due:
            self._silent_due = now + LOOK_FOR_SILENT_SECONDS
            await self.note_silent()
        if now >= self._compact_due:
            self._compact_due = now + COMPACT_SECONDS
            await self.compact()

    async def _removable(self) -> tuple[datetime, int, int]:
        """Since when events are kept; up to where they were removed; up to where they may be."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            longest = await store.longest_session(connection, self._database)
            since = now - max(KEEP, KEEP_MIN, 2 * longest)
            head = await read_alert_head(connection)
            return since, head.compact_revision, await last_before(connection, since)

    async def _remove(self, since: datetime, upto: int) -> bool:
        """Remove the events up to a revision; False if somebody else is at it."""
        async with self._database.transaction() as connection:
            if not await take_lease(connection, f"{self._database.schema} alert log"):
                return False
            appending = await begin_append(connection, self._database)
            if (await read_alert_head(connection)).compact_revision >= upto:
                return True
            await appending.append([News(kind=EventKind.COMPACTED, body=Compaction(upto))])
            await compact(connection, upto)
            await store.forget_before(connection, since, upto)
            return True
