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
from gateway.cli.client import AddressOption
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import number, print_document, say

if TYPE_CHECKING:  # loaded when something is judged
    from gateway.cli.orderlog import LoggedOrder
    from gateway.cli.trials.board import Board, Setting
    from gateway.domain.profiles import Profile

app = typer.Typer()

DEFAULT_SEED = 1
PLOT_ADVICE = "Install it (`.venv/bin/pip install matplotlib`), or leave --plot out."

Log = Annotated[
    Path | None,
    typer.Argument(
        metavar="LOG",
        help="An order report from Tmall, or a CSV of time, sku, quantity (or .gz).",
        show_default="--journal",
    ),
]
Journal = Annotated[bool, typer.Option("--journal", help="Instead of LOG: what was reserved in the gateway's journal.")]
Since = Annotated[
    str, typer.Option("--since", metavar="TIME", help="With --journal: recorded at or after (ISO 8601, or 7d ago).")
]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="With --journal: recorded before.")]
Trials = Annotated[
    list[str] | None,
    typer.Option(
        "--trial",
        metavar="NAME",
        help="Only this trial: trend, stock, forecast or long-lead; may be given again.",
        show_default="those the log is long and busy enough for",
    ),
]
SkuCode = Annotated[
    str | None,
    typer.Option("--sku", metavar="CODE", help="Of a log with several SKUs, this one.", show_default="most orders"),
]
OfSku = Annotated[
    str | None,
    typer.Option("--sku", metavar="CODE", help="The SKU of a log that names none.", show_default="as the log says"),
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


@app.command()
def learn(
    context: typer.Context,
    log: Log = None,
    journal: Journal = False,
    since: Since = "",
    until: Until = "",
    sku: OfSku = None,
    output: Output = None,
    address: AddressOption = None,
    as_json: AsJson = False,
) -> None:
    """Learn the hours of the day, and each SKU's rate and days, from an order log or from the gateway's journal.

    The gateway and `stockgate backtest --profile` take it as what to expect before the first order of a session.
    """
    import msgspec

    from gateway.domain.profiles import Sale, learned

    source = _Source(log, journal, since, until, _address(context, address))
    orders = source.read()
    if sku is not None and any(order.sku for order in orders):
        raise failure("SKU_NAMED", f"{source} names its SKUs", "Leave --sku out.", EXIT_USAGE)
    profile = learned(Sale(order.time, order.sku or sku or "", order.quantity) for order in orders)
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
        if "" in profile.skus:
            say("The log names no SKU: with --sku CODE the gateway can take it for that SKU's history.", style="yellow")


@app.command()
def backtest(
    context: typer.Context,
    log: Log = None,
    journal: Journal = False,
    since: Since = "",
    until: Until = "",
    trial: Trials = None,
    policy: Policies = None,
    units: Units = None,
    lead_time: LeadTimeOption = None,
    compress: Compress = None,
    sku: SkuCode = None,
    profile: ProfileFile = None,
    sessions: Sessions = 400,
    seed: Seed = DEFAULT_SEED,
    plot: Plot = None,
    address: AddressOption = None,
    as_json: AsJson = False,
) -> None:
    """Judge policies of warning on an order log or a past session: how early, how often for nothing, or too late.

    Without --units, --lead-time and --compress: trends at a quarter of the log's rate, at its rate and five times it;
    stock warnings at 10 and 30 minutes of lead time, and four times as fast at 10 and 3. Each figure is followed by
    its 95 % interval. The log's thin days are left out; one row of a Tmall report is one unit. A log of many days is
    also asked, over all its SKUs, how well lead times of 1, 3 and 5 days are foreseen.
    """
    source = _Source(log, journal, since, until, _address(context, address))
    choice = _Choice(source, trial or [], policy or [], units, lead_time, compress, sku, profile, sessions, seed)
    board = choice.play()
    if as_json:
        print_document(board.document())
    else:
        from gateway.cli.scoreboard import print_board

        print_board(board)
    if plot is not None:
        _draw(choice, board, plot)


def _address(context: typer.Context, address: str | None) -> str | None:
    return address or (context.obj or {}).get("address")


@dataclass(frozen=True)
class _Source:
    """Where the orders are: in a file, or in a gateway's journal."""

    log: Path | None
    journal: bool
    since: str
    until: str
    address: str | None

    def __post_init__(self) -> None:
        """Either, and not both."""
        if (self.log is None) != self.journal:
            raise typer.BadParameter("name a LOG, or give --journal", param_hint="LOG")
        if not self.journal and (self.since or self.until):
            raise typer.BadParameter("only with --journal", param_hint="--since" if self.since else "--until")

    def __str__(self) -> str:
        """What a person calls it."""
        return str(self.log) if self.log else "the journal"

    def read(self) -> list[LoggedOrder]:
        """Its orders. Raises Failure."""
        if self.log is not None:
            from gateway.cli.orderlog import read_log

            return read_log(self.log, datetime.now(UTC))
        from gateway.cli.client import ClientSettings, connected
        from gateway.cli.journal import read_journal

        since, until = (arguments.moment(text) if text else None for text in (self.since, self.until))
        with connected(ClientSettings.from_environment(self.address), as_json=False) as caller:
            return read_journal(caller, since, until)


@dataclass(frozen=True)
class _Choice:
    """What was asked for."""

    source: _Source
    trials: list[str]
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
        from gateway.cli.trials.board import judged, trials_of

        settings, rates = self.settings(), self.rates()
        self._require_known_names()
        profile = None if self.profile_file is None else _profile(self.profile_file)
        orders = self.source.read()
        sku = self._sku(orders)
        trials = frozenset(self.trials) or trials_of(orders, sku)
        with _progress_bar() as on_progress:
            return judged(
                orders, sku, settings, rates, self.policies, profile, self.sessions, self.seed, on_progress, trials
            )

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

    def _require_known_names(self) -> None:
        from gateway.cli.trials.board import TRIALS
        from gateway.cli.trials.long_lead import WANTS
        from gateway.domain.baselines import POLICIES

        known = {**POLICIES, **WANTS}
        for names, option, among in ((self.policies, "--policy", known), (self.trials, "--trial", TRIALS)):
            for name in names:
                if name not in among:
                    raise typer.BadParameter(f"{name!r} is none of {', '.join(among)}", param_hint=option)

    def _sku(self, orders: list[LoggedOrder]) -> str:
        counts = Counter(order.sku for order in orders)
        if self.sku is not None and self.sku not in counts:
            raise failure("SKU_UNKNOWN", f"{self.source} has no orders of {self.sku}", "Check --sku.", EXIT_USAGE)
        return counts.most_common(1)[0][0] if self.sku is None else self.sku


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
