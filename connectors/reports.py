"""What became of pushes, on its way to the gateway: at once, many together, again until it is taken.

Single calls to the platform go along; those of pushes that are not over are told a moment after they happen. They are a
record: of a storm the newest are kept, and nothing waits for them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from opentelemetry.trace import SpanKind

from connectors.attempts import Attempt
from connectors.backoff import Backoff
from connectors.contract import GatewayError, GatewayRefused, PushReport
from connectors.gateway_client import GatewayClient
from connectors.needs import Needs
from connectors.settings import AgentSettings
from connectors.tracing import work
from gateway import telemetry

# Calls wait so long for others, if no report takes them along.
TELL_SECONDS = 0.5
# Of one listing, at a time: at most sixteen a second.
ATTEMPTS_OF_LISTING_MAX = 8
LISTINGS_TOLD_MAX = 2_000
ATTEMPTS_AT_ONCE = 500

log = logging.getLogger(__name__)


class Reports:
    """One channel's reports that the gateway does not have yet."""

    def __init__(
        self,
        gateway: GatewayClient,
        channel: str,
        needs: Needs,
        settings: AgentSettings,
        delivered: Callable[[PushReport], None],
    ) -> None:
        """`delivered` is told of every report that the gateway has."""
        self._gateway, self._channel, self._needs, self._delivered = gateway, channel, needs, delivered
        self._backoff = Backoff(settings.backoff_seconds, settings.backoff_seconds_max)
        self._waiting: list[PushReport] = []
        self._has_some = asyncio.Event()
        self._sending = 0
        # By listing, the one that was told of last at the end.
        self._attempts: dict[int, deque[Attempt]] = {}
        self._telling: asyncio.TimerHandle | None = None
        self.attempts_dropped = 0

    def are_out(self) -> bool:
        """True if the gateway has all of them; what waits for others waits no more."""
        if self._attempts:
            self._has_some.set()
        return not self._waiting and not self._sending and not self._attempts

    def put(self, report: PushReport) -> None:
        """Send it, with whatever else is said in this turn of the loop."""
        self._waiting.append(report)
        self._has_some.set()

    def tell(self, attempt: Attempt) -> None:
        """Say it with the next report, or in a moment."""
        listing_id = attempt.listing_id
        of_listing = self._attempts.pop(listing_id, None) or deque(maxlen=ATTEMPTS_OF_LISTING_MAX)
        self.attempts_dropped += len(of_listing) == ATTEMPTS_OF_LISTING_MAX
        of_listing.append(attempt)
        self._attempts[listing_id] = of_listing
        if len(self._attempts) > LISTINGS_TOLD_MAX:
            self.attempts_dropped += len(self._attempts.pop(next(iter(self._attempts))))
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._has_some.set)

    async def send(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._has_some.wait()
            self._has_some.clear()
            batch, self._waiting = self._waiting, []
            attempts = self._taken_attempts()
            self._sending = len(batch) + len(attempts)
            traceparents = [report.traceparent for report in batch]
            origin = telemetry.origin_of(traceparents, is_fresh=True)
            with work("report pushes", kind=SpanKind.PRODUCER, origin=origin, attributes=self._attributes(batch)):
                await self._deliver(batch, attempts)
            self._sending = 0

    def _attributes(self, batch: Sequence[PushReport]) -> dict[str, str | int]:
        return {"stockgate.channel": self._channel, "messaging.batch.message_count": len(batch)}

    def _taken_attempts(self) -> list[Attempt]:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        listing_ids = list(islice(self._attempts, ATTEMPTS_AT_ONCE // ATTEMPTS_OF_LISTING_MAX))
        taken = [attempt for listing_id in listing_ids for attempt in self._attempts.pop(listing_id)]
        if self._attempts:
            self._has_some.set()
        return taken

    async def _deliver(self, batch: Sequence[PushReport], attempts: Sequence[Attempt] = ()) -> None:
        while batch or attempts:
            try:
                await self._gateway.report_pushes(self._channel, batch, attempts)
            except GatewayRefused as error:
                if error.is_about_content and attempts:
                    # Nothing is decided by them, and no report waits for them.
                    self._drop(attempts, error)
                    attempts = ()
                    continue
                if error.is_about_content:
                    await self._without_the_refused(batch, error)
                    return
                await self._wait(error)
            except GatewayError as error:
                await self._wait(error)
            else:
                self._backoff.succeeded()
                self._needs.settle("reports")
                for report in batch:
                    self._needs.settle(_need(report))
                    self._delivered(report)
                return

    def _drop(self, attempts: Sequence[Attempt], error: GatewayError) -> None:
        self.attempts_dropped += len(attempts)
        fields = {"channel": self._channel, "attempts": len(attempts), "said": error.message}
        log.warning("calls to the platform not taken", extra=fields)

    async def _without_the_refused(self, batch: Sequence[PushReport], error: GatewayRefused) -> None:
        if len(batch) > 1:
            for report in batch:
                await self._deliver([report])
            return
        [report] = batch
        self._needs.want(_need(report), f"the gateway refuses the report on push {report.push_id}: {error.message}")
        # It is heard as little the next time; the listing's reading goes on.
        self._delivered(report)

    async def _wait(self, error: GatewayError) -> None:
        log.warning("reports not taken", extra={"channel": self._channel, "code": error.code, "said": error.message})
        if isinstance(error, GatewayRefused):
            self._needs.want("reports", f"the gateway refuses reports: {error.message}")
        await self._backoff.pause()


def _need(report: PushReport) -> str:
    return f"report on listing {report.listing_id}"
