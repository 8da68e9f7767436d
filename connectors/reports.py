"""What became of pushes, on its way to the gateway: at once, many together, again until it is taken."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from connectors.backoff import Backoff
from connectors.contract import GatewayError, GatewayRefused, PushReport
from connectors.gateway_client import GatewayClient
from connectors.needs import Needs
from connectors.settings import AgentSettings

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

    @property
    def are_out(self) -> bool:
        """True if the gateway has all of them."""
        return not self._waiting and not self._sending

    def put(self, report: PushReport) -> None:
        """Send it, with whatever else is said in this turn of the loop."""
        self._waiting.append(report)
        self._has_some.set()

    async def send(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._has_some.wait()
            self._has_some.clear()
            batch, self._waiting = self._waiting, []
            self._sending = len(batch)
            await self._deliver(batch)
            self._sending = 0

    async def _deliver(self, batch: Sequence[PushReport]) -> None:
        while batch:
            try:
                await self._gateway.report_pushes(self._channel, batch)
            except GatewayRefused as error:
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
                    self._delivered(report)
                return

    async def _without_the_refused(self, batch: Sequence[PushReport], error: GatewayRefused) -> None:
        if len(batch) > 1:
            for report in batch:
                await self._deliver([report])
            return
        self._needs.want("report", f"the gateway refuses the report on push {batch[0].push_id}: {error.message}")

    async def _wait(self, error: GatewayError) -> None:
        log.warning("reports not taken", extra={"channel": self._channel, "code": error.code, "said": error.message})
        if isinstance(error, GatewayRefused):
            self._needs.want("reports", f"the gateway refuses reports: {error.message}")
        await self._backoff.pause()
