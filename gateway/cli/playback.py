"""The command `stockgate replay`: its options, its progress bar, its summary and exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import arguments
from gateway.cli.client import Caller, ClientSettings, gateway_command
from gateway.cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Failure, Problem, Violation, failure
from gateway.cli.output import number, print_document

if TYPE_CHECKING:  # loaded when something is played
    from gateway.cli.player import Player
    from gateway.cli.replay import Plan
    from gateway.cli.summary import Summary
    from gateway.cli.tape import Order

app = typer.Typer()

GENERATED_ORDERS = 600
GENERATED_UNITS_SHARE = 5 / 6  # 500 units for 600 orders: the shelf runs empty, and refusals are seen
DEFAULT_SEED = 1
TAPE_ADVICE = (
    "A tape is the order report (CSV, UTF-8 or GB18030) as Tmall exports it, with the columns "
    "订单编号, 订单创建时间, 订单付款时间, 退款金额. Export it again, or correct the lines."
)

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="An order report as exported from Tmall (CSV); none: a generated session.",
        show_default=False,
    ),
]
Speed = Annotated[
    str | None,
    typer.Option("--speed", metavar="SPEED", help="1000x, or max: as fast as the gateway answers.", show_default="max"),
]
Units = Annotated[
    int | None,
    typer.Option(
        "--units", metavar="N", min=0, help="Units to receive first.", show_default="one per order; generated: 5 for 6"
    ),
]
SkuCode = Annotated[
    str | None,
    typer.Option(
        "--sku", metavar="CODE", help="Play on this SKU, which nobody else moves meanwhile.", show_default="a fresh one"
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Of the generated session.", show_default=str(DEFAULT_SEED))
]
Orders = Annotated[
    int | None,
    typer.Option(
        "--orders",
        metavar="N",
        min=1,
        max=10_000_000,
        help="Of the generated session.",
        show_default=str(GENERATED_ORDERS),
    ),
]
PageSize = Annotated[
    int, typer.Option("--page-size", metavar="N", min=1, max=1_000, help="Commands in a call, at most.")
]
CallsInFlight = Annotated[
    int, typer.Option("--in-flight", metavar="N", min=1, max=256, help="Calls in flight, at most.")
]


@dataclass(frozen=True)
class Choice:
    """What was asked to be played."""

    file: Path | None
    speed: str
    units: int | None
    sku: str | None
    seed: int | None
    orders: int | None
    page_size: int
    calls_in_flight: int

    def plan(self) -> Plan:
        """Reads or makes the tape, all of it. Raises Failure if it cannot be played; nothing was sent by then."""
        from gateway.cli.player import Pace
        from gateway.cli.replay import Plan

        pace = Pace(arguments.speed(self.speed), self.page_size, self.calls_in_flight)
        orders = self._orders()
        units_by_default = len(orders) if self.file else round(len(orders) * GENERATED_UNITS_SHARE)
        return Plan(
            source=self.file.name if self.file else f"a generated session (seed {self._seed})",
            orders=orders,
            units=units_by_default if self.units is None else self.units,
            pace=pace,
            sku=self.sku,
        )

    @property
    def _seed(self) -> int:
        return DEFAULT_SEED if self.seed is None else self.seed

    def _orders(self) -> list[Order]:
        if self.file is None:
            from gateway.cli.generate import generated_session

            return generated_session(self.orders or GENERATED_ORDERS, self._seed)
        if self.orders is not None or self.seed is not None:
            raise typer.BadParameter("--orders and --seed are for the generated session; they do not go with a FILE")
        return _read(self.file)


@gateway_command(app)
def replay(
    caller: Caller,
    file: File = None,
    speed: Speed = None,
    units: Units = None,
    sku: SkuCode = None,
    seed: Seed = None,
    orders: Orders = None,
    page_size: PageSize = 100,
    in_flight: CallsInFlight = 8,
) -> None:
    """Play an order report: created reserves, paid commits, unpaid expires, refunded returns.

    The whole report is checked before anything is sent. One row is one unit of one SKU. A hold lives for 24 hours of
    tape time; with --speed max there is no tape clock, and holds that are never paid get 2 seconds. The report has no
    time of refund: goods come back one hour of tape time after the payment. Exit code 1 if the ledger does not add up.
    """
    choice = Choice(file, speed or "max", units, sku, seed, orders, page_size, in_flight)
    try:
        summary = play(caller.settings, choice.plan())
    except KeyboardInterrupt as stop:
        message = "stopped before the end; what was played stays in the ledger, and open holds run out by themselves"
        raise failure("INTERRUPTED", message, exit_code=EXIT_INTERRUPTED) from stop
    show(summary, as_json=caller.as_json)
    raise typer.Exit(0 if summary.is_good else EXIT_FAILED)


def play(settings: ClientSettings, plan: Plan) -> Summary:
    """Plays a plan under a progress bar. Raises Failure if it cannot be played to its end."""
    from gateway.cli.loop import run_to_end
    from gateway.cli.replay import replay

    with _progress_bar() as on_progress:
        return run_to_end(replay(settings, plan, on_progress))


def show(summary: Summary, *, as_json: bool) -> None:
    """Prints the summary on stdout, for people or for programs."""
    from gateway.cli.summary import print_summary

    if as_json:
        print_document(summary.document())
    else:
        print_summary(summary)


def _read(file: Path) -> list[Order]:
    from gateway.cli.tape import FAULTS_MAX, TapeError, read_tape

    try:
        return read_tape(file, datetime.now(UTC))
    except OSError as error:
        raise failure("FILE", f"cannot read {file}: {error.strerror}", exit_code=EXIT_USAGE) from error
    except TapeError as error:
        faults = tuple(Violation(fault.place, fault.text) for fault in error.faults)
        more = f" (the first {FAULTS_MAX})" if len(faults) == FAULTS_MAX else ""
        message = f"{file} cannot be played; nothing was changed{more}"
        raise Failure(Problem("TAPE", message, violations=faults, advice=TAPE_ADVICE)) from error


@contextmanager
def _progress_bar() -> Iterator[Callable[[Player], None]]:
    """A bar on stderr if that is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[counts]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("playing", total=None, counts="")

        def on_progress(player: Player) -> None:
            is_played = player.schedule.is_finished
            progress.update(
                bar,
                description="waiting for holds to expire" if is_played else "playing",
                total=player.events_count,
                completed=player.schedule.settled,
                counts=_counts(player),
            )

        yield on_progress


def _counts(player: Player) -> str:
    tally = player.tally
    counts = {"accepted": tally.accepted, "refused": tally.refused, "sold": tally.committed, "returned": tally.returned}
    return " · ".join(f"{number(count)} {name}" for name, count in counts.items() if count)
