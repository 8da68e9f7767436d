"""The whole judgement: every policy in every setting, as rows for people and as a document for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from gateway.cli.orderlog import LoggedOrder
from gateway.cli.trials.days import Day, busy_days, date_of
from gateway.cli.trials.forecasts import ForecastScore, forecast_trial
from gateway.cli.trials.intervals import Figure
from gateway.cli.trials.long_lead import LongLeadRow, can_be_judged, long_lead_trial
from gateway.cli.trials.sessions import STOCKS, SessionScore, coverage_trial, session_trial
from gateway.cli.trials.surges import SurgeScore, surge_trial
from gateway.domain.baselines import POLICIES, THRESHOLD, TREND, URGENT, Policy
from gateway.domain.profiles import Profile


@dataclass(frozen=True)
class Setting:
    """One setting of the stock trial."""

    lead_seconds: float
    compression: float
    stocks: tuple[int, ...] = STOCKS


SETTINGS = (Setting(600, 1), Setting(1_800, 1), Setting(600, 4), Setting(180, 4))
TREND_RATES = (0.25, 1.0, 5.0)
TRENDS, STOCK, FORECAST, LONG_LEAD = TRIALS = ("trend", "stock", "forecast", "long-lead")
# A log whose busiest day of one SKU has fewer orders says nothing about minutes; one of fewer days nothing of days.
MINUTES_ORDERS_MIN = 100

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
class ForecastRow:
    """One policy in one setting."""

    policy: str
    setting: Setting
    score: ForecastScore


@dataclass(frozen=True)
class Board:
    """All the rows, and the days they come from."""

    days: dict[float, list[Day]]
    trends: list[TrendRow]
    sessions: list[SessionRow]
    coverage: dict[float, Figure]
    forecasts: list[ForecastRow] = field(default_factory=list)
    long_leads: list[LongLeadRow] = field(default_factory=list)

    @property
    def headline(self) -> str:
        """What was judged."""
        days = next(iter(self.days.values()))
        orders = sum(len(day.selling) for day in days)
        opens = int(days[0].opens_seconds / 3_600)
        return (
            f"{len(days)} selling days, {orders} orders between {opens}:00 and 24:00, "
            "each day judged by what others teach."
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
            "forecasts": [asdict(row) for row in self.forecasts],
            "long_leads": [asdict(row) for row in self.long_leads],
        }


def trials_of(orders: Sequence[LoggedOrder], sku: str) -> frozenset[str]:
    """The trials that such a log can be put to; of minutes at least."""
    busiest = max(Counter(date_of(order) for order in orders if order.sku == sku).values())
    days = {LONG_LEAD} if can_be_judged(orders) else set()
    return frozenset(days if days and busiest < MINUTES_ORDERS_MIN else {TRENDS, STOCK, FORECAST} | days)


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
    trials: frozenset[str] = frozenset(TRIALS),
) -> Board:
    """Plays everything; the same arguments give the same board."""
    policies = [policy for policy in POLICIES.values() if not names or policy.name in names]
    speeds = sorted({max(rate, 1.0) for rate in rates} | {setting.compression for setting in settings})
    days = {speed: busy_days(orders, sku, speed, profile) for speed in speeds}
    for_trend = [policy for policy in policies if TREND in policy.warns_of and TRENDS in trials]
    for_stock = [policy for policy in policies if policy.warns_of & {THRESHOLD, URGENT} and STOCK in trials]
    for_forecast = [policy for policy in policies if policy.forecasts and FORECAST in trials]
    steps = _Steps(
        len(rates) * len(for_trend) * len(days[speeds[0]]) * 10
        + len(settings) * len(for_stock) * (2 * sessions + sessions // 2)
        + len(settings) * len(for_forecast) * sessions,
        on_progress,
    )
    return Board(
        days,
        [_trend(days[max(rate, 1.0)], rate, policy, seed, steps) for rate in rates for policy in for_trend],
        [_session(days, setting, policy, sessions, seed, steps) for setting in settings for policy in for_stock],
        {
            speed: coverage_trial(days[speed], seed, sessions)
            for speed in sorted({setting.compression for setting in settings})
            if "tiers" in {policy.name for policy in for_stock}
        },
        [_forecast(days, setting, policy, sessions, seed, steps) for setting in settings for policy in for_forecast],
        [row for row in long_lead_trial(orders) if not names or row.policy in names] if LONG_LEAD in trials else [],
    )


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


def _forecast(
    days: dict[float, list[Day]], setting: Setting, policy: Policy, count: int, seed: int, steps: _Steps
) -> ForecastRow:
    score = forecast_trial(days[setting.compression], policy, setting.lead_seconds, seed, count)
    steps.advance(policy.name, count)
    return ForecastRow(policy.name, setting, score)


class _Steps:
    """Counts what has been done, and tells."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self._total, self._done, self._on_progress = total, 0, on_progress

    def advance(self, name: str, steps: int) -> None:
        """So many more."""
        self._done += steps
        self._on_progress(name, self._done, self._total)
