"""The whole judgement: every policy in every setting, as rows for people and as a document for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from gateway.cli.orderlog import LoggedOrder
from gateway.cli.trials.days import Day, busy_days
from gateway.cli.trials.intervals import Figure
from gateway.cli.trials.policies import POLICIES, THRESHOLD, TREND, URGENT, Policy
from gateway.cli.trials.sessions import STOCKS, SessionScore, coverage_trial, session_trial
from gateway.cli.trials.surges import SurgeScore, surge_trial
from gateway.domain.profiles import Profile


@dataclass(frozen=True)
class Setting:
    """One setting of the stock trial."""

    lead_seconds: float
    compression: float
    stocks: tuple[int, ...] = STOCKS


SETTINGS = (Setting(600, 1), Setting(1_800, 1), Setting(600, 4), Setting(180, 4))
TREND_RATES = (0.25, 1.0, 5.0)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrendRow:
    """One policy at one rate."""

    policy: str
    orders_per_minute: float
    score: SurgeScore


@dataclass(frozen=True)
class SessionRow:
    """One policy in one setting."""

    policy: str
    setting: Setting
    score: SessionScore


@dataclass(frozen=True)
class Board:
    """All the rows, and the days they come from."""

    days: dict[float, list[Day]]
    trends: list[TrendRow]
    sessions: list[SessionRow]
    coverage: dict[float, Figure]

    @property
    def headline(self) -> str:
        """What was judged."""
        days = next(iter(self.days.values()))
        orders = sum(len(day.selling) for day in days)
        return (
            f"{len(days)} selling days, {orders} orders between 9:00 and 24:00, each day judged by what others teach."
        )

    def busiest(self, compression: float) -> Day:
        """The day with the most orders, at that speed."""
        return max(self.days[compression], key=lambda day: len(day.orders))

    def document(self) -> dict[str, object]:
        """As JSON; every figure with its interval."""
        return {
            "days": len(next(iter(self.days.values()))),
            "trends": [asdict(row) for row in self.trends],
            "sessions": [asdict(row) for row in self.sessions],
            "coverage": [{"compression": speed, **asdict(figure)} for speed, figure in self.coverage.items()],
        }


def judged(
    orders: Sequence[LoggedOrder],
    sku: str,
    settings: Sequence[Setting],
    rates: Sequence[float],
    names: Sequence[str],
    profile: Profile | None,
    sessions: int,
    seed: int,
    on_progress: Progress,
) -> Board:
    """Plays everything; the same arguments give the same board."""
    policies = [policy for policy in POLICIES.values() if not names or policy.name in names]
    speeds = sorted({max(rate, 1.0) for rate in rates} | {setting.compression for setting in settings})
    days = {speed: busy_days(orders, sku, speed, profile) for speed in speeds}
    for_trend = [policy for policy in policies if TREND in policy.warns_of]
    for_stock = [policy for policy in policies if policy.warns_of & {THRESHOLD, URGENT}]
    steps = _Steps(
        len(rates) * len(for_trend) * len(days[speeds[0]]) * 10
        + len(settings) * len(for_stock) * (2 * sessions + sessions // 2),
        on_progress,
    )
    trends = [_trend(days[max(rate, 1.0)], rate, policy, seed, steps) for rate in rates for policy in for_trend]
    rows = [_session(days, setting, policy, sessions, seed, steps) for setting in settings for policy in for_stock]
    coverage = {
        speed: coverage_trial(days[speed], seed, sessions)
        for speed in sorted({setting.compression for setting in settings})
        if "tiers" in {policy.name for policy in policies}
    }
    return Board(days, trends, rows, coverage)


def _trend(days: list[Day], rate: float, policy: Policy, seed: int, steps: _Steps) -> TrendRow:
    played = [day.thinned(rate, seed) for day in days] if rate < 1 else days
    minutes = sum((day.ends - day.opens) / 60 for day in played)
    score = surge_trial(played, policy, seed, lambda: steps.advance(policy.name, 10))
    return TrendRow(policy.name, sum(len(day.selling) for day in played) / minutes, score)


def _session(
    days: dict[float, list[Day]], setting: Setting, policy: Policy, sessions: int, seed: int, steps: _Steps
) -> SessionRow:
    played = days[setting.compression]
    score = session_trial(
        played, policy, setting.lead_seconds, seed, lambda: steps.advance(policy.name, 1), setting.stocks, sessions
    )
    return SessionRow(policy.name, setting, score)


class _Steps:
    """Counts what has been done, and tells."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self._total, self._done, self._on_progress = total, 0, on_progress

    def advance(self, name: str, steps: int) -> None:
        """So many more."""
        self._done += steps
        self._on_progress(name, self._done, self._total)
