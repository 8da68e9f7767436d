"""Whole sessions between real processes, beside the worlds in virtual time: what is sold, and what is oversold."""

import uuid
from pathlib import Path
from statistics import median

from rich.console import Console

from connectors.session.playing import SessionSettings, play_session
from connectors.session.report import Report
from tests.bench.figures import Figure
from tests.bench.shop import running_gateway

SESSIONS = 3
SESSIONS_QUICK = 1
SECONDS = 60.0
UNITS = 500


async def whole_sessions(folder: Path, console: Console, *, quick: bool) -> list[Figure]:
    """Sessions of a minute, each on a gateway of its own: oversold by all together, sold in the median."""
    found = []
    for faults in ("none", "harsh"):
        reports = []
        for seed in range(1, 1 + (SESSIONS_QUICK if quick else SESSIONS)):
            report = await _played(folder, seed, faults)
            if not report.is_good:
                console.print(f"         not good: seed {seed}, faults {faults}: {report.json()}")
            reports.append(report)
        name = f"{len(reports)} real session{'' if len(reports) == 1 else 's'}, faults {faults}"
        oversold = sum(max(0, one.verdict.oversold_most - one.verdict.hand_edited_units) for one in reports)
        found += [
            Figure(f"{name}: oversold", oversold, "units", 0, 0, lower_is_better=True),
            Figure(f"{name}: sell-through", 100 * median(map(_sold_share, reports)), "%"),
        ]
    return found


async def _played(folder: Path, seed: int, faults: str) -> Report:
    data = folder / f"session-{uuid.uuid4().hex[:8]}"
    data.mkdir(mode=0o755)
    async with running_gateway(data) as address:
        settings = SessionSettings(address, SECONDS, UNITS, skus=1, seed=seed, faults=faults)
        return await play_session(settings, lambda _: None, lambda _: None)


def _sold_share(report: Report) -> float:
    """What came back when the buyers had gone could not be sold any more."""
    left = max(0, report.verdict.unsold - report.buyers.came_back_late)
    return 1 - left / report.verdict.units
