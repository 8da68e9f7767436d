"""`make bench`: all figures in one run, a table, and bench.json. `--quick` takes one round of less."""

import argparse
import gc
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import grpc.aio
import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench import alerts, figures, page, selling, telemetry
from tests.bench.figures import Figure
from tests.bench.history import fill
from tests.bench.shop import Shop, new_id, running_echo, running_gateway, stockgate

ROUNDS = 5
HISTORY_MOVEMENTS = 10_000_000
HISTORY_SKUS = 100_000
SKUS = [f"BENCH-{number:04d}" for number in range(1_000)]
# What is measured in `measure_stock`.
STOCK = ("unary_share", "half_peak_latency", "batch_rates", "sold_out_rush", "mass_expiry", "long_history")
console = Console(stderr=True)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one round, a history of 1,000,000, fewer seeds, shorter absences"
    )
    parser.add_argument("--only", help="only figures of the functions whose name holds this")
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    arguments = parser.parse_args()
    # The client's own collector must not stop the clock: a full round takes tens of milliseconds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)
    folder = Path(tempfile.mkdtemp(prefix="stockgate-bench-"))
    folder.chmod(0o755)
    try:
        found = uvloop.run(measure(folder, quick=arguments.quick, only=arguments.only or ""))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _print(found)
    if not arguments.only:
        arguments.output.write_text(json.dumps(_document(found), indent=2) + "\n")
    sys.exit(any(figure.verdict == "MISSED" for figure in found))


async def measure(folder: Path, *, quick: bool, only: str) -> list[Figure]:
    """All figures: of stock, against one gateway on one database; then of selling, then of warnings."""
    rounds = 1 if quick else ROUNDS
    found: list[Figure] = []
    if any(only in name for name in STOCK):
        found += await measure_stock(folder, rounds, quick=quick, only=only)
    others = telemetry.steps(folder, SKUS[0], rounds)
    others |= selling.steps(folder, SKUS, rounds, console, quick=quick) | alerts.steps(folder, rounds, quick=quick)
    others["busy_page"] = partial(page.busy_page, folder, quick=quick)
    for name, step in others.items():
        if _is_wanted(name, only):
            found += await step()
    return found


def _is_wanted(name: str, only: str) -> bool:
    """Whether the figure is to be measured; says so."""
    is_wanted = only in name
    console.print(f"{datetime.now(UTC):%H:%M:%S} {name}" + ("" if is_wanted else ": left out"))
    return is_wanted


async def measure_stock(folder: Path, rounds: int, *, quick: bool, only: str) -> list[Figure]:
    """The figures of stock."""
    tokens = {name: (await stockgate(folder, "merchant", "add", name))["token"] for name in ("young", "old")}
    async with (
        running_gateway(folder) as address,
        running_echo() as echo_address,
        grpc.aio.insecure_channel(address) as channel,
        grpc.aio.insecure_channel(echo_address) as echo_channel,
    ):
        gateway, echo = Shop(channel), Shop(echo_channel)
        url = f"postgresql://postgres@/postgres?host={folder / 'postgres'}"
        await gateway.stock_up(SKUS)
        found: list[Figure] = []

        def wanted(step: Callable[..., object]) -> bool:
            return _is_wanted(step.__name__, only)

        peak = 2_000.0
        if wanted(figures.unary_share):
            lines, peak = await figures.unary_share(gateway, echo, SKUS[0], rounds)
            found += lines
        if wanted(figures.half_peak_latency):
            found += await figures.half_peak_latency(gateway, SKUS[0], peak, rounds)
        if wanted(figures.batch_rates):
            found += await figures.batch_rates(gateway, SKUS, url, rounds)
        names = iter(new_id, "")
        if wanted(figures.sold_out_rush):
            found += await figures.sold_out_rush(gateway, address, names, rounds)
        if wanted(figures.mass_expiry):
            found += await figures.mass_expiry(gateway, names, rounds)
        if wanted(figures.long_history):
            young, old = Shop(channel, tokens["young"]), Shop(channel, tokens["old"])
            await young.stock_up(SKUS)
            movements = HISTORY_MOVEMENTS // 10 if quick else HISTORY_MOVEMENTS
            console.print(f"         making a history of {movements:,} movements, which takes minutes")
            big_skus = await fill(url, "merchant_old", movements, HISTORY_SKUS)
            found += await figures.long_history(young, old, SKUS, big_skus[: len(SKUS)], rounds)
    return found


def _print(found: list[Figure]) -> None:
    table = Table("figure", box=None, header_style="bold")
    for name in ("value", "must reach", "aim"):
        table.add_column(name, justify="right")
    table.add_column("")
    for figure in found:
        bars = ("" if bar is None else f"{bar:,g}" for bar in (figure.must, figure.aim))
        value = f"{figure.value:,.2f}" if figure.value < 100 else f"{figure.value:,.0f}"
        table.add_row(figure.name, f"{value} {figure.unit}", *bars, figure.verdict)
    Console().print(table)


def _document(found: list[Figure]) -> dict[str, object]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "figures": [{**asdict(figure), "verdict": figure.verdict} for figure in found],
    }


if __name__ == "__main__":
    main()
