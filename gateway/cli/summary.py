"""What a replay came to: the counts, the speed, and whether the ledger adds up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from gateway.cli.output import console, number, say

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Summary:
    """The end of a replay. Units are units of the one SKU it was played on."""

    run_id: str
    source: str
    sku: str
    speed: str
    orders: int
    units: int
    accepted: int
    refused: int
    expired: int
    expired_expected: int
    committed: int
    returned: int
    retaken: int
    paid_too_late: int
    failed: int
    failures: Mapping[str, int]
    retries: int
    on_hand: int
    on_hand_expected: int
    reserved: int
    reserved_expected: int
    ledger_consistent: bool
    breaches: Sequence[Mapping[str, Any]]
    commands: int
    play_seconds: float
    total_seconds: float
    latency_measured: str
    latency_ms: Mapping[str, float]

    @property
    def consistent(self) -> bool:
        """True if the ledger's own check found nothing, and it has what the replay worked out from the answers."""
        return (
            self.ledger_consistent
            and self.on_hand == self.on_hand_expected
            and self.reserved == self.reserved_expected
            and self.expired == self.expired_expected
        )

    @property
    def is_good(self) -> bool:
        """True if the ledger adds up and every command was answered as a replay may expect."""
        return self.consistent and not self.failed

    @property
    def orders_per_second(self) -> float:
        """Orders played per second, the wait for expiry left out."""
        return self.orders / self.play_seconds if self.play_seconds else 0.0

    @property
    def commands_per_second(self) -> float:
        """Commands answered per second, the wait for expiry left out."""
        return self.commands / self.play_seconds if self.play_seconds else 0.0

    def document(self) -> dict[str, Any]:
        """The summary as a JSON document."""
        return {
            **dataclasses.asdict(self),
            "play_seconds": round(self.play_seconds, 3),
            "total_seconds": round(self.total_seconds, 3),
            "orders_per_second": round(self.orders_per_second, 1),
            "commands_per_second": round(self.commands_per_second, 1),
            "consistent": self.consistent,
        }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and max by nearest rank, in milliseconds; empty if nothing was measured."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    ranks = {f"p{share}": math.ceil(len(ordered) * share / 100) - 1 for share in PERCENTILES}
    return {name: round(ordered[rank] * 1_000, 2) for name, rank in ranks.items()} | {
        "max": round(ordered[-1] * 1_000, 2)
    }


def print_summary(summary: Summary) -> None:
    """Prints the summary for people."""
    say(f"Replay of {summary.source} on SKU {summary.sku}, speed {summary.speed}", style="bold")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="left")
    grid.add_column(justify="right")
    grid.add_column(justify="left", overflow="fold")
    for name, value, note in _rows(summary):
        grid.add_row(Text(name), Text(value), Text(note, style="dim"))
    console().print(grid)
    _say_verdict(summary)


def _rows(summary: Summary) -> list[tuple[str, str, str]]:
    received = f"{number(summary.units)} received"
    sold = f"{number(summary.committed)} committed + {number(summary.returned)} returned"
    counts = [
        ("orders", summary.orders, ""),
        ("accepted", summary.accepted, "reserved in the ledger"),
        ("refused", summary.refused, "nothing left to sell"),
        ("expired", summary.expired, "never paid; the ledger took the units back"),
        ("committed", summary.committed, "paid"),
        ("returned", summary.returned, "refunded"),
    ]
    unusual = [
        ("retaken", summary.retaken, "paid after the hold expired, units taken again"),
        ("paid too late", summary.paid_too_late, "units gone by then: shortfalls"),
        ("failed", summary.failed, ", ".join(f"{reason} {count}" for reason, count in summary.failures.items())),
        ("repeated", summary.retries, "calls the gateway did not answer at first"),
    ]
    counts += [row for row in unusual if row[1]]
    return [
        *((name, number(count), note) for name, count, note in counts),
        ("", "", ""),
        ("on hand", number(summary.on_hand), f"expected {number(summary.on_hand_expected)}: {received} - {sold}"),
        ("reserved", number(summary.reserved), f"expected {number(summary.reserved_expected)}"),
        ("", "", ""),
        ("orders/s", f"{summary.orders_per_second:,.0f}", _duration(summary)),
        ("commands/s", f"{summary.commands_per_second:,.0f}", ""),
        *((f"{name} ms", f"{ms:,.1f}", _measured(name, summary)) for name, ms in summary.latency_ms.items()),
        ("", "", ""),
    ]


def _duration(summary: Summary) -> str:
    return f"played in {summary.play_seconds:.1f} s; with the wait for expiry {summary.total_seconds:.1f} s"


def _measured(name: str, summary: Summary) -> str:
    return f"latency {summary.latency_measured}" if name == f"p{PERCENTILES[0]}" else ""


def _say_verdict(summary: Summary) -> None:
    if summary.consistent:
        say(
            "The ledger adds up: journal, levels and reservations agree, and so does the replay's own count.",
            style="bold green",
        )
    else:
        say("THE LEDGER DOES NOT ADD UP. `stockgate doctor` checks it again.", style="bold red")
        for breach in summary.breaches:
            place = f"{breach['check']} {breach['sku']} at {breach['location']}"
            say(f"  {place}: expected {breach['expected']}, is {breach['actual']}")
    if summary.failed:
        say(
            f"{number(summary.failed)} commands were answered with an unexpected error (see `failed`).",
            style="bold red",
        )
