"""What subscribers say of themselves, and who of them tells whom of what."""

from datetime import timedelta

from gateway import metrics
from gateway.alerts.hub import AlertHub
from gateway.alerts.resuming import require_lineage
from gateway.alerts.subscriber import Subscriber
from gateway.domain.alerts import Event, SubscriberState
from gateway.domain.errors import RevisionFromFuture
from gateway.store import subscribers as store
from gateway.store.alert_log import EventFilter, list_events, read_alert_head
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.subscribers import Claim, Cursor

SILENT = "SILENT"
NAMES_MAX = 1_000


class Subscribers:
    """The subscribers of one merchant's alert log, those of this gateway's streams and those that report."""

    def __init__(self, database: MerchantDatabase, hub: AlertHub) -> None:
        """Cursors are in the database, streams are the hub's."""
        self._database = database
        self._hub = hub
        # What each has said last, of those that were heard last.
        self._said: dict[str, int] = {}

    async def report(self, subscriber_id: str, revision: int, epoch: str) -> int:
        """Keep up to where a subscriber has processed the log; returns how many events he is behind.

        Raises `EpochMismatch`, `RevisionFromFuture`.
        """
        async with self._database.transaction() as connection:
            head = await read_alert_head(connection)
            require_lineage(head, revision, epoch, at="")
            await store.keep_cursor(connection, self._database, subscriber_id, revision)
        self._measure(subscriber_id, revision)
        return head.revision - revision

    async def cursor(self, subscriber_id: str) -> tuple[int | None, str]:
        """What he has reported last, None if nothing ever, and the lineage it belongs to."""
        async with self._database.transaction() as connection:
            head = await read_alert_head(connection)
            return await store.read_cursor(connection, subscriber_id), head.epoch

    async def states(self) -> list[SubscriberState]:
        """Who reports, or has a stream open here, by name."""
        async with self._database.transaction() as connection:
            head = await read_alert_head(connection)
            cursors = {one.subscriber_id: one for one in await store.list_cursors(connection)}
        streams = {name: found for name, found in self._hub.open_streams().items() if name}
        names = sorted(cursors.keys() | streams.keys())
        return [self._state(name, cursors.get(name), streams.get(name, []), head.revision) for name in names]

    async def events(self, wanted: EventFilter, *, before: int, include_drills: bool, count_max: int) -> list[Event]:
        """Events of the log below a revision, newest first."""
        async with self._database.transaction() as connection:
            return await list_events(
                connection, wanted, before=before, include_drills=include_drills, count_max=count_max
            )

    async def claim(self, revision: int, receiver: str, claimant: str, lease: timedelta) -> Claim:
        """Claim the telling of an event to a receiver for so long. Raises `RevisionFromFuture`."""
        async with self._database.transaction() as connection:
            await self._require_event(connection, revision)
            return await store.claim_notice(connection, self._database, revision, receiver, claimant, lease)

    async def settle(self, revision: int, receiver: str, claimant: str, *, sent: bool) -> None:
        """Say what became of a notice. Raises `RevisionFromFuture`."""
        async with self._database.transaction() as connection:
            await self._require_event(connection, revision)
            await store.settle_notice(connection, self._database, revision, receiver, claimant, sent=sent)

    def _measure(self, name: str, revision: int) -> None:
        """How long an event took to be read; that one was only told how far the log has come is no event read."""
        before = self._said.pop(name, 0)
        self._said[name] = max(before, revision)
        if len(self._said) > NAMES_MAX:
            del self._said[next(iter(self._said))]
        event = self._hub.recorded(revision)
        now = self._hub.now()
        wanted = (one.wanted for one in self._hub.open_streams().get(name, ()))
        if revision > before and event is not None and any(one.takes(event, now) for one in wanted):
            seconds = max(0.0, (now - event.record_time).total_seconds())
            metrics.alert_delivery_lag.record(seconds, {"merchant": self._database.merchant})

    def _state(self, name: str, cursor: Cursor | None, streams: list[Subscriber], head: int) -> SubscriberState:
        revision = cursor.revision if cursor is not None else min(one.resume_revision for one in streams)
        trouble = self._hub.lagging.troubles.get(name, "")
        if not streams and cursor is not None and cursor.told_silent:
            trouble = trouble or SILENT
        return SubscriberState(
            name,
            revision,
            None if cursor is None else cursor.report_time,
            len(streams),
            trouble,
            max(0, head - revision),
        )

    @staticmethod
    async def _require_event(connection: ReadConnection, revision: int) -> None:
        head = await read_alert_head(connection)
        if revision > head.revision:
            raise RevisionFromFuture(
                f"revision {revision} lies beyond the log's head", field="revision", revision=head.revision
            )
