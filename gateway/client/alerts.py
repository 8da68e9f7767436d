"""Warnings as an internal service uses them: the stream, and the calls of `AlertService`."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence

from gateway.client.alert_calls import alert_filter
from gateway.client.alert_settings import AlertSettings
from gateway.client.connection import DEADLINE_SECONDS, PATIENCE_SECONDS, Connection
from gateway.client.points import ResumePoint, Start, WhenLost
from gateway.client.watching import AlertWatch, Subscription
from gateway.v1 import alert_pb2, alert_service_pb2

REPORT_SECONDS = 5.0
PROGRESS_SECONDS = 10.0


class AlertsClient(AlertSettings):
    """The gateway's `AlertService` for one caller: one connection, as many watches and calls as wanted.

    `async with AlertsClient(address, token) as alerts:` closes everything in the end.
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        certificate: bytes | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Sends nothing yet.

        `certificate`: the authority's, in PEM, for a gateway with TLS. Each try of a call ends after
        `deadline_seconds`; while the gateway is away, a call is tried for `patience_seconds`.
        """
        super().__init__(
            Connection(
                address,
                token,
                certificate=certificate,
                deadline_seconds=deadline_seconds,
                patience_seconds=patience_seconds,
            )
        )
        self._watches: weakref.WeakSet[AlertWatch] = weakref.WeakSet()
        self._reporting: asyncio.Task[None] | None = None

    def watch(
        self,
        *,
        skus: Sequence[str] = (),
        channels: Sequence[str] = (),
        session_ids: Sequence[int] = (),
        min_tier: alert_pb2.Tier.ValueType = alert_pb2.TIER_UNSPECIFIED,
        kinds: Sequence[alert_pb2.AlertEventKind.ValueType] = (),
        include_drills: bool = False,
        with_watchdogs: bool = False,
        subscriber_id: str = "",
        start: ResumePoint | Start = Start.CURSOR_OR_SNAPSHOT,
        on_compacted: WhenLost = WhenLost.SNAPSHOT,
        on_mismatch: WhenLost = WhenLost.RAISE,
        on_lag: alert_service_pb2.OnLag.ValueType = alert_service_pb2.ON_LAG_CUT_OFF,
        progress_seconds: float = PROGRESS_SECONDS,
        event_age_seconds_max: float = 0.0,
        on_point: Callable[[ResumePoint], None] | None = None,
    ) -> AlertWatch:
        """Subscribe: an endless iterator of events that resumes by itself. To be called where a loop runs.

        It begins when the first item is asked for: with `Start.LIVE`, what came before that does not come.

        - What: `skus`, `channels`, `session_ids`, `min_tier` (tier changes only), `kinds`; nothing said: everything.
          Drills and watchdogs come only if asked for. `event_age_seconds_max`: what was recorded longer ago is not
          sent; 0: all is.
        - From where: `start` is a `ResumePoint` that you kept, or a `Start`. With a `subscriber_id` (a name you make
          for yourself, the same after every restart) the gateway keeps the point as well: it is reported every 5 s.
        - `on_compacted`: the point is no longer kept: a `Snapshot` marked `is_after_loss`, or `ResumePointLost`.
          `on_mismatch`: the point is of another database (a restored backup), or ahead of the log: by default
          `ResumePointLost`, for somebody should look.
        - `on_lag`: a reader that cannot keep up is cut off and resumes, so that nothing is lost; with
          `ON_LAG_COALESCE` it gets a `PassedOver` and the newest instead.
        - `progress_seconds`: how often the gateway gives a sign of life, 1 to 3,600. A stream without three is opened
          anew.
        - `on_point` is called whenever the point has moved; what it raises comes out of the iterator.
        """
        request = alert_service_pb2.WatchTierChangesRequest(
            on_compacted=_ON_COMPACTED[on_compacted],
            on_lag=on_lag,
            progress_interval_ms=round(progress_seconds * 1000),
            subscriber_id=subscriber_id,
            include_drills=include_drills,
            max_event_age_ms=round(event_age_seconds_max * 1000),
        )
        wanted = alert_filter(skus, channels, session_ids, min_tier, kinds)
        if wanted.ByteSize():
            request.filter.CopyFrom(wanted)
        subscription = Subscription(request, start, on_mismatch, with_watchdogs, on_point)
        watch = AlertWatch(self._connection, self._stub, subscription)
        self._watches.add(watch)
        if subscriber_id and self._reporting is None:
            self._reporting = asyncio.get_running_loop().create_task(self._report(), name="cursors of alert watches")
        return watch

    async def aclose(self) -> None:
        """End the watches, the calls and the connection."""
        try:
            if self._reporting is not None:
                self._reporting.cancel()
                await asyncio.wait([self._reporting])
            await asyncio.gather(*(watch.aclose() for watch in list(self._watches)))
        finally:
            await super().aclose()

    async def _report(self) -> None:
        """Say how far each watch has come: from it the gateway knows who is behind, and who has fallen silent."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            await asyncio.gather(*(watch.report() for watch in list(self._watches)))


_ON_COMPACTED = {
    WhenLost.RAISE: alert_service_pb2.ON_COMPACTED_FAIL,
    WhenLost.SNAPSHOT: alert_service_pb2.ON_COMPACTED_RESNAPSHOT,
}
