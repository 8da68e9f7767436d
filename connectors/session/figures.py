"""How fast both directions are, decisions out and orders in, and how often the platforms were asked."""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.attempts import Attempt
from connectors.base import OrderSnapshot
from connectors.contract import PushReport, PushResult, Vitals
from connectors.gateway_client import GatewayAddress, GatewayClient
from connectors.sandbox.shop import Shop

# Beyond that, the figures are those of the latest.
_DELAYS_MAX = 100_000
RECENT = 200
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Delays:
    """Quantiles in seconds; 0 of nothing."""

    p50: float
    p90: float
    p99: float
    longest: float


class Figures:
    """Counts what agents report."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.results: Counter[str] = Counter()
        self.attempts = 0
        self._pushed: deque[float] = deque(maxlen=_DELAYS_MAX)
        self._heard: deque[float] = deque(maxlen=_DELAYS_MAX)
        self._seen: set[int] = set()
        self._known: dict[tuple[str, str], datetime] = {}
        self._vitals: dict[str, Vitals] = {}

    @property
    def retries(self) -> int:
        """Calls to platforms that were repeated."""
        return sum(vitals.retries for vitals in self._vitals.values())

    @property
    def calls(self) -> int:
        """Calls to platforms."""
        return sum(vitals.calls for vitals in self._vitals.values())

    @property
    def needs(self) -> dict[str, str]:
        """What a person must do, by channel."""
        return {channel: vitals.needs for channel, vitals in self._vitals.items() if vitals.needs}

    def report(self, report: PushReport) -> None:
        """A push is over. A report may be repeated."""
        if report.push_id in self._seen:
            return
        self._seen.add(report.push_id)
        self.results[report.result.name] += 1
        self.attempts += report.attempts
        if report.result is PushResult.APPLIED:
            self._pushed.append(report.duration.total_seconds())

    def known(self, channel: str, order_id: str, update_time: datetime) -> None:
        """The gateway knows of an order's last change by now; it may have known before."""
        if update_time > self._known.get((channel, order_id), _LONG_AGO):
            self._known[channel, order_id] = update_time
            self._heard.append((datetime.now(UTC) - update_time).total_seconds())

    def heard(self, channel: str, vitals: Vitals) -> None:
        """A connector says how it fares."""
        self._vitals[channel] = vitals

    def sync_delays(self, latest: int = 0) -> Delays:
        """From the gateway's decision to the platform's answer: of all pushes applied, or of the latest so many."""
        return _delays(self._pushed, latest)

    def intake_delays(self, latest: int = 0) -> Delays:
        """From an order's change on the platform until the gateway knows it: of all, or of the latest so many."""
        return _delays(self._heard, latest)


def _delays(measured: Sequence[float] | deque[float], latest: int) -> Delays:
    chosen = sorted(list(measured)[-latest:])
    return Delays(*(quantile(chosen, share) for share in (0.5, 0.9, 0.99, 1.0)))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; 0 of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


class WatchedGateway(GatewayClient):
    """A client whose reports are counted on their way."""

    def __init__(self, address: GatewayAddress, figures: Figures, shops: Mapping[str, Shop]) -> None:
        """Count into `figures`; the shops say when things really happened, to the microsecond."""
        super().__init__(address)
        self._figures, self._shops = figures, shops

    async def report_pushes(
        self, channel: str, reports: Sequence[PushReport], attempts: Sequence[Attempt] = ()
    ) -> None:
        """Say what became of pushes."""
        for report in reports:
            self._figures.report(report)
        await super().report_pushes(channel, reports, attempts)

    async def report_orders(
        self, channel: str, orders: Sequence[OrderSnapshot], watermark: datetime | None = None
    ) -> None:
        """Say how orders are."""
        await super().report_orders(channel, orders, watermark)
        for order in orders:
            true = self._shops[channel].orders.get(order.order_id)
            # What has changed again since then was not what was reported.
            if true is not None and true.update_time.replace(microsecond=0) <= order.update_time:
                self._figures.known(channel, order.order_id, true.update_time)

    async def heartbeat(self, channel: str, vitals: Vitals) -> None:
        """Say how the connector fares."""
        self._figures.heard(channel, vitals)
        await super().heartbeat(channel, vitals)
