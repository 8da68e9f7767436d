"""What pushes took: how long after the gateway's decision a platform shows it, and how often it was asked."""

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from connectors.contract import PushReport, PushResult, Vitals
from connectors.gateway_client import GatewayAddress, GatewayClient

# Beyond that, the figures are those of the latest.
_DELAYS_MAX = 100_000
RECENT = 200


@dataclass(frozen=True)
class Delays:
    """Quantiles in seconds; 0 if there was no push."""

    p50: float
    p90: float
    p99: float
    longest: float


class PushFigures:
    """Counts what agents report."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.results: Counter[str] = Counter()
        self.attempts = 0
        self._delays: deque[float] = deque(maxlen=_DELAYS_MAX)
        self._seen: set[int] = set()
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
            self._delays.append(report.duration.total_seconds())

    def heard(self, channel: str, vitals: Vitals) -> None:
        """A connector says how it fares."""
        self._vitals[channel] = vitals

    def delays(self, latest: int | None = None) -> Delays:
        """Of all pushes that were applied, or of the latest so many."""
        delays = list(self._delays)
        chosen = sorted(delays if latest is None else delays[-latest:])
        return Delays(*(quantile(chosen, share) for share in (0.5, 0.9, 0.99, 1.0)))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; 0 of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


class WatchedGateway(GatewayClient):
    """A client whose reports on pushes are counted on their way."""

    def __init__(self, address: GatewayAddress, figures: PushFigures) -> None:
        """Count into `figures`."""
        super().__init__(address)
        self._figures = figures

    async def report_pushes(self, channel: str, reports: Sequence[PushReport]) -> None:
        """Say what became of pushes."""
        for report in reports:
            self._figures.report(report)
        await super().report_pushes(channel, reports)

    async def heartbeat(self, channel: str, vitals: Vitals) -> None:
        """Say how the connector fares."""
        self._figures.heard(channel, vitals)
        await super().heartbeat(channel, vitals)
