"""The tables of `stockgate backtest`."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.cli.output import Column, print_table, say
from gateway.cli.trials.board import Board, ForecastRow, SessionRow, TrendRow
from gateway.cli.trials.intervals import Figure
from gateway.cli.trials.long_lead import LongLeadRow

GAINED_OVER = "static-20"  # what most shops have

TREND_TITLES = ("policy", "orders/min", "raises/h", "raised %", "x2 seen %", "x3 seen %", "x3 delay s", "x5 seen %")
STOCK_TITLES = (
    *("policy", "lead", "speed", "late %", "warning/L", "gained min", "needless %"),
    *("urgent right %", "urgent seen %", "urgent warning/L", "repeated %"),
)
FORECAST_TITLES = ("policy", "lead", "speed", "Brier", "80 % holds %", "loss min")
LONG_TITLES = ("policy", "lead", "stock-outs %", "held", "loss")


def print_board(board: Board) -> None:
    """Every trial that was played, each figure with its 95 % interval."""
    say(board.headline)
    if board.trends:
        say("\nTrend: has it accelerated?", style="bold")
        print_table(_columns(TREND_TITLES), map(_trend_cells, board.trends), "None.")
    if board.sessions:
        say("\nStock: is what is left too little?", style="bold")
        print_table(_columns(STOCK_TITLES), _session_rows(board.sessions), "None.")
        for speed, figure in board.coverage.items():
            say(f"Time to stock-out, speed {speed:g}x: {_percent(figure)} % lie in the 80 % interval told.")
        say(f"gained: minutes of warning more than {GAINED_OVER} gives, in the median.", style="dim")
    if board.forecasts:
        say("\nForecast: is it true what is told?", style="bold")
        print_table(_columns(FORECAST_TITLES), map(_forecast_cells, board.forecasts), "None.")
        for row in board.forecasts:
            if row.policy == "tiers":
                say(_told(row))
    if board.long_leads:
        say("\nLead times of days: do 95 % of orders last, as promised?", style="bold")
        print_table(_columns(LONG_TITLES), map(_long_cells, board.long_leads), "None.")
        say("held: in mean demands over the lead time; loss: of the 95 % quantile, in mean days.", "dim")


def _columns(titles: tuple[str, ...]) -> list[Column]:
    return [Column(title, is_number=place > 0) for place, title in enumerate(titles)]


def _trend_cells(row: TrendRow) -> list[str]:
    score = row.score
    return [
        row.policy,
        f"{row.orders_per_minute:.1f}",
        _plain(score.raises_per_hour, 2),
        _percent(score.raised_share),
        _percent(score.recall[2]),
        _percent(score.recall[3]),
        _plain(score.delay_seconds[3], 0),
        _percent(score.recall[5]),
    ]


def _session_rows(rows: Sequence[SessionRow]) -> list[list[str]]:
    plain = {row.setting: row.score.warning.value for row in rows if row.policy == GAINED_OVER}
    return [_session_cells(row, plain.get(row.setting)) for row in rows]


def _session_cells(row: SessionRow, plain: float | None) -> list[str]:
    score, minutes = row.score, row.setting.lead_seconds / 60
    gained = None if plain is None or score.warning.value is None else (score.warning.value - plain) * minutes
    return [
        row.policy,
        f"{minutes:g} min",
        f"{row.setting.compression:g}x",
        _percent(score.late),
        _plain(score.warning, 2),
        "-" if gained is None else f"{gained:+.1f}",
        _percent(score.needless),
        _percent(score.urgent_precision),
        _percent(score.urgent_recall),
        _plain(score.urgent_warning, 2),
        _percent(score.repeated),
    ]


def _forecast_cells(row: ForecastRow) -> list[str]:
    score = row.score
    return [
        row.policy,
        f"{row.setting.lead_seconds / 60:g} min",
        f"{row.setting.compression:g}x",
        _plain(score.brier, 3),
        _percent(score.covers),
        _plain(score.loss_minutes, 1),
    ]


def _told(row: ForecastRow) -> str:
    """The reliability of the chances told, in words."""
    bins = ", ".join(f"{each.told:.0%} came {each.came:.0%} ({each.cases})" for each in row.score.bins)
    return f"{row.policy}, {row.setting.lead_seconds / 60:g} min at {row.setting.compression:g}x; told: {bins}"


def _long_cells(row: LongLeadRow) -> list[str]:
    return [
        row.policy,
        f"{row.lead_days} d",
        _percent(row.stock_outs),
        _plain(row.held, 2),
        _plain(row.loss, 3),
    ]


def _percent(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "-"
    return f"{100 * figure.value:.1f} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _plain(figure: Figure, digits: int) -> str:
    if figure.value is None:
        return "-"
    return f"{figure.value:.{digits}f} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"
