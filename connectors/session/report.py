"""What a session came to: one document for programs, one page for people, and whether it was good."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from connectors.session.figures import Delays
from connectors.session.judge import Verdict


@dataclass(frozen=True)
class Books:
    """What the ledger says in the end. `on_hand_expected` is what was received less what buyers were given."""

    consistent: bool
    on_hand: int
    on_hand_expected: int
    reserved: int
    shortfall_units: int
    drifts: Sequence[str]

    @property
    def add_up(self) -> bool:
        """Whether the journal is sound, and says of the goods what is true."""
        return self.consistent and self.reserved == 0 and self.on_hand == self.on_hand_expected


@dataclass(frozen=True)
class Pushed:
    """What the agents did; results of pushes are counted by their names."""

    sync: Delays
    intake: Delays
    results: Mapping[str, int]
    attempts: int
    calls: int
    retries: int


@dataclass(frozen=True)
class Buyers:
    """`came` tried to order; `came_back_late` units came back after the last of them had left.

    `all_came` is False if this machine was too slow for as many as were to come.
    """

    came: int
    came_back_late: int
    all_came: bool


@dataclass(frozen=True)
class Report:
    """One session. `books` and `pushed` are None without a gateway."""

    seed: int
    seconds: float
    faults: str
    naive: bool
    verdict: Verdict
    buyers: Buyers
    settled: bool
    books: Books | None = None
    pushed: Pushed | None = None

    @property
    def is_good(self) -> bool:
        """True if no unit was oversold but by hand, everything settled, and the ledger adds up."""
        oversold_by_us = self.verdict.oversold - self.verdict.hand_edited_units
        return oversold_by_us <= 0 and self.settled and (self.books is None or self.books.add_up)

    def document(self) -> dict[str, Any]:
        """Everything, for programs; the figures of the verdict stand at the top."""
        rest: dict[str, Any] = {"books": None, "pushed": None}
        if self.books is not None:
            rest["books"] = {**asdict(self.books), "add_up": self.books.add_up}
        if self.pushed is not None:
            rest["pushed"] = asdict(self.pushed)
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "faults": self.faults,
            "naive": self.naive,
            **asdict(self.verdict),
            **asdict(self.buyers),
            "settled": self.settled,
            **rest,
            "good": self.is_good,
        }

    def json(self) -> str:
        """The document as text."""
        return json.dumps(self.document(), ensure_ascii=False, indent=2)


def show(report: Report, console: Console) -> None:
    """Print it for people."""
    console.print(Group(_platforms(report), Text(""), *(Text(line) for line in _sentences(report)), _judgement(report)))


def _platforms(report: Report) -> Table:
    verdict = report.verdict
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("platform")
    for title in ("orders", "units sold", "refused", "while units were left"):
        table.add_column(title, justify="right")
    columns = (verdict.orders, verdict.sold, verdict.refused, verdict.refused_with_stock)
    for name in verdict.sold:
        table.add_row(name, *(f"{column[name]:,}" for column in columns))
    table.add_section()
    table.add_row("all", *(f"{sum(column.values()):,}" for column in columns))
    return table


def _sentences(report: Report) -> list[str]:
    verdict = report.verdict
    lines = [
        f"{verdict.units:,} units, {report.buyers.came:,} buyers, seed {report.seed}, faults {report.faults}.",
        f"Unsold {verdict.unsold:,}, of which {report.buyers.came_back_late:,} came back after the crowd had left.",
    ]
    if verdict.hand_edited_units:
        lines.append(f"{verdict.hand_edited_units:,} units were put up for sale by hand, in sellers' consoles.")
    if report.pushed is not None:
        pushed = report.pushed
        results = ", ".join(f"{count:,} {name.lower().replace('_', ' ')}" for name, count in pushed.results.items())
        lines += [
            f"Sync delay, from a decision to the platform's answer: {_quantiles(pushed.sync)}.",
            f"Intake delay, from an order's change until the gateway knows: {_quantiles(pushed.intake)}.",
            f"Pushes: {results or 'none'}; {pushed.attempts:,} attempts.",
            f"Calls to platforms: {pushed.calls:,}, of which {pushed.retries:,} were repetitions.",
        ]
    if report.books is not None:
        books = report.books
        lines.append(
            f"The ledger: {'consistent' if books.consistent else 'NOT CONSISTENT'}, on hand {books.on_hand:,} "
            f"(should be {books.on_hand_expected:,}), reserved {books.reserved:,}, "
            f"shortfalls {books.shortfall_units:,}, drift {len(books.drifts):,}."
        )
        lines += [f"Drift: {drift}." for drift in books.drifts]
    if not report.buyers.all_came:
        lines.append("This machine was too slow for as many buyers as were to come: fewer did.")
    if not report.settled:
        lines.append("It did NOT SETTLE in time: a push, a reading or an order was still under way.")
    return lines


def _judgement(report: Report) -> Text:
    verdict = report.verdict
    if verdict.oversold:
        return Text(
            f"OVERSOLD BY {verdict.oversold:,} (at the worst moment {verdict.oversold_most:,})", style="bold red"
        )
    if not report.is_good:
        return Text("Nothing was oversold, but it is not all right: see above.", style="bold red")
    worst = f"; at the worst moment {verdict.oversold_most:,}" if verdict.oversold_most else ""
    return Text(f"Nothing was oversold{worst}.", style="bold green")


def _quantiles(delays: Delays) -> str:
    return f"p50 {_ms(delays.p50)}, p90 {_ms(delays.p90)}, p99 {_ms(delays.p99)}, at most {_ms(delays.longest)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
