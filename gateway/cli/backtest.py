"""The commands `stockgate learn` and `stockgate backtest`: what a log teaches, and how good warnings had been."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import arguments
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import Column, number, print_document, print_table, say

if TYPE_CHECKING:  # loaded when something is judged
    from gateway.cli.orderlog import LoggedOrder
    from gateway.cli.trials.board import Board, SessionRow, Setting, TrendRow
    from gateway.cli.trials.intervals import Figure
    from gateway.domain.profiles import Profile

app = typer.Typer()

DEFAULT_SEED = 1
PLOT_ADVICE = "Install it with `pip install 'stockgate[plot]'`, or leave --plot out."

Log = Annotated[
    Path, typer.Argument(metavar="LOG", help="An order report from Tmall, or a CSV of time, sku, quantity (or .gz).")
]
SkuCode = Annotated[
    str | None,
    typer.Option("--sku", metavar="CODE", help="Of a log with several SKUs, this one.", show_default="most orders"),
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="What `stockgate learn` has written, from other days than these.",
        show_default="each day judged with what the log's other days teach",
    ),
]
Policies = Annotated[
    list[str] | None,
    typer.Option("--policy", metavar="NAME", help="Only this policy; may be given again.", show_default="all"),
]
Units = Annotated[
    int | None,
    typer.Option(
        "--units", metavar="N", min=1, max=1_000_000, help="Stock of a session.", show_default="40, 80, 150 and 300"
    ),
]
LeadTimeOption = Annotated[
    str | None,
    typer.Option("--lead-time", metavar="DURATION", help="How long supply takes.", show_default="four settings"),
]
Compress = Annotated[
    float | None,
    typer.Option(
        "--compress",
        metavar="X",
        min=0.1,
        max=100.0,
        help="Plays the log X times as fast.",
        show_default="four settings",
    ),
]
Sessions = Annotated[int, typer.Option("--sessions", metavar="N", min=10, max=100_000, help="Sessions in a setting.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the draws.")]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Draws one session: stock, pace and tiers.", show_default=False),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to write it.", show_default="stdout")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; problems as JSON on stderr.")]


_TREND_TITLES = ("policy", "orders/min", "raises/h", "raised %", "x2 seen %", "x3 seen %", "x3 delay s", "x5 seen %")
_STOCK_TITLES = (
    *("policy", "lead", "speed", "late %", "warning/L", "needless %"),
    *("urgent right %", "urgent seen %", "urgent warning/L", "repeated %"),
)


@app.command()
def learn(log: Log, output: Output = None, as_json: AsJson = False) -> None:
    """Learn the hours of the day and the rate of each SKU from an order log.

    The gateway and `stockgate backtest --profile` take it as what to expect before the first order of a session.
    """
    import msgspec

    from gateway.domain.profiles import Sale, learned

    orders = _read(log)
    profile = learned(Sale(order.time, order.sku, order.quantity) for order in orders)
    if output is None or as_json:
        print_document(msgspec.to_builtins(profile))
    if output is None:
        return
    try:
        output.write_bytes(msgspec.json.format(msgspec.json.encode(profile), indent=2) + b"\n")
    except OSError as error:
        raise failure("FILE", f"cannot write {output}: {error.strerror}", exit_code=EXIT_USAGE) from error
    if not as_json:
        say(
            f"{output}: {number(len(orders))} orders of {number(len(profile.skus))} SKUs on {profile.days} days; "
            f"busiest hour {_busiest(profile)}:00, {max(profile.hours):.1f} times the mean."
        )


@app.command()
def backtest(
    log: Log,
    policy: Policies = None,
    units: Units = None,
    lead_time: LeadTimeOption = None,
    compress: Compress = None,
    sku: SkuCode = None,
    profile: ProfileFile = None,
    sessions: Sessions = 400,
    seed: Seed = DEFAULT_SEED,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Judge policies of warning on an order log: how early, how often for nothing, how often too late.

    Without --units, --lead-time and --compress: trends at a quarter of the log's rate, at its rate and five times it;
    stock warnings at 10 and 30 minutes of lead time, and four times as fast at 10 and 3. Each figure is followed by
    its 95 % interval. The log's thin days are left out; one row of a Tmall report is one unit.
    """
    choice = _Choice(log, policy or [], units, lead_time, compress, sku, profile, sessions, seed)
    board = choice.play()
    if as_json:
        print_document(board.document())
    else:
        _print(board)
    if plot is not None:
        _draw(choice, board, plot)


@dataclass(frozen=True)
class _Choice:
    """What was asked for."""

    log: Path
    policies: list[str]
    units: int | None
    lead_time: str | None
    compress: float | None
    sku: str | None
    profile_file: Path | None
    sessions: int
    seed: int

    def play(self) -> Board:
        """Reads the log and plays it. Raises Failure."""
        from gateway.cli.trials.board import judged

        settings, rates = self.settings(), self.rates()
        self._require_known_policies()
        profile = None if self.profile_file is None else _profile(self.profile_file)
        orders = _read(self.log)
        sku = self._sku(orders)
        with _progress_bar() as on_progress:
            return judged(orders, sku, settings, rates, self.policies, profile, self.sessions, self.seed, on_progress)

    def settings(self) -> list[Setting]:
        """The settings of the stock trial."""
        from gateway.cli.trials.board import SETTINGS, Setting
        from gateway.cli.trials.sessions import STOCKS

        stocks = STOCKS if self.units is None else (self.units,)
        if self.lead_time is None and self.compress is None:
            return [Setting(each.lead_seconds, each.compression, stocks) for each in SETTINGS]
        lead_seconds = arguments.duration(self.lead_time or "10m").total_seconds()
        if lead_seconds <= 0:
            raise typer.BadParameter("a lead time is more than nothing", param_hint="--lead-time")
        return [Setting(lead_seconds, self.compress or 1.0, stocks)]

    def rates(self) -> list[float]:
        """The speeds of the trend trial; below 1 a share of the orders."""
        from gateway.cli.trials.board import TREND_RATES

        return list(TREND_RATES) if self.compress is None else [self.compress]

    def _require_known_policies(self) -> None:
        from gateway.cli.trials.policies import POLICIES

        for name in self.policies:
            if name not in POLICIES:
                raise typer.BadParameter(f"{name!r} is none of {', '.join(POLICIES)}", param_hint="--policy")

    def _sku(self, orders: list[LoggedOrder]) -> str:
        counts = Counter(order.sku for order in orders)
        if self.sku is not None and self.sku not in counts:
            raise failure("SKU_UNKNOWN", f"{self.log} has no orders of {self.sku}", "Check --sku.", EXIT_USAGE)
        return counts.most_common(1)[0][0] if self.sku is None else self.sku


def _read(log: Path) -> list[LoggedOrder]:
    from gateway.cli.orderlog import read_log

    return read_log(log, datetime.now(UTC))


def _profile(path: Path) -> Profile:
    import msgspec

    from gateway.domain.profiles import Profile

    try:
        return msgspec.json.decode(path.read_bytes(), type=Profile)
    except OSError as error:
        raise failure("FILE", f"cannot read {path}: {error.strerror}", exit_code=EXIT_USAGE) from error
    except msgspec.DecodeError as error:
        message = f"{path} is no profile: {error}"
        raise failure("PROFILE", message, "`stockgate learn LOG -o FILE` writes one.", EXIT_USAGE) from error


def _busiest(profile: Profile) -> int:
    return max(range(len(profile.hours)), key=lambda hour: profile.hours[hour])


def _print(board: Board) -> None:
    say(board.headline)
    say("\nTrend: has it accelerated?", style="bold")
    print_table(_columns(_TREND_TITLES), map(_trend_cells, board.trends), "None.")
    say("\nStock: is what is left too little?", style="bold")
    print_table(_columns(_STOCK_TITLES), map(_session_cells, board.sessions), "None.")
    for speed, figure in board.coverage.items():
        say(f"Time to stock-out, speed {speed:g}x: {_percent(figure)} % lie in the 80 % interval told.")


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


def _session_cells(row: SessionRow) -> list[str]:
    score = row.score
    return [
        row.policy,
        f"{row.setting.lead_seconds / 60:g} min",
        f"{row.setting.compression:g}x",
        _percent(score.late),
        _plain(score.warning, 2),
        _percent(score.needless),
        _percent(score.urgent_precision),
        _percent(score.urgent_recall),
        _plain(score.urgent_warning, 2),
        _percent(score.repeated),
    ]


def _percent(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "-"
    return f"{100 * figure.value:.1f} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _plain(figure: Figure, digits: int) -> str:
    if figure.value is None:
        return "-"
    return f"{figure.value:.{digits}f} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"


def _draw(choice: _Choice, board: Board, path: Path) -> None:
    try:
        from gateway.cli.trials.picture import draw
    except ModuleNotFoundError as error:
        raise failure("PLOT", f"a picture needs {error.name}, which is not installed", PLOT_ADVICE) from error
    setting = choice.settings()[0]
    try:
        draw(board.busiest(setting.compression), setting.lead_seconds, choice.units, path)
    except (OSError, ValueError) as error:
        raise failure("FILE", f"cannot write {path}: {error}", exit_code=EXIT_USAGE) from error


@contextmanager
def _progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr if that is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield lambda _name, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("judging", total=None)
        yield lambda name, done, total: progress.update(bar, description=name, completed=done, total=total)
