"""`python -m tests.peers`: install the peers, have each talk to its sandbox, and tell how every call went.

Exit code 1 if a sandbox refuses a peer that could be installed; what cannot be installed is skipped, and named.
"""

import argparse
import asyncio
import sys
from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.sandbox.city import City, CitySettings, open_city
from connectors.sandbox.robots import Hall, HallSettings
from connectors.sandbox.robots.feishu import FeishuSettings
from connectors.sandbox.serving import serving
from tests.peers.installing import NotInstalled, installed
from tests.peers.peers import PEERS, ROBOTS, Peer
from tests.peers.talking import Result, Row, talk, talk_to_robots

STYLES = {Result.ACCEPTED: "green", Result.REFUSED: "bold red", Result.SKIPPED: "yellow"}
PIPE_WIDTH_COLUMNS = 160


async def play(peers: list[Peer]) -> list[Row]:
    """One after another, before platforms that are slow at nothing."""
    # Not every client of Feishu's robots signs.
    hall = Hall(HallSettings(feishu=FeishuSettings(secret="")))
    async with open_city(CitySettings(weather="none", shown=10)) as city, serving(hall.app) as robots:
        return [row for peer in peers for row in await _rows(peer, city, hall, robots)]


async def _rows(peer: Peer, city: City, hall: Hall, robots: str) -> list[Row]:
    try:
        folder = await installed(peer)
    except NotInstalled as error:
        return [Row(peer, "all", Result.SKIPPED, f"cannot be installed: {error}")]
    if peer.platform == ROBOTS:
        return await talk_to_robots(peer, folder, hall, robots)
    return await talk(peer, folder, city.stalls[peer.platform], city.goods[0])


def show(rows: list[Row]) -> None:
    """A table: peer, call, result."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH_COLUMNS)
    table = Table("peer", "platform", "call", "result", "said")
    for row in rows:
        result = Text(row.result.value, STYLES[row.result])
        table.add_row(f"{row.peer.name} {row.peer.version}", row.peer.platform, row.call, result, Text(row.said))
    console.print(table)
    counts = Counter(row.result for row in rows)
    console.print(", ".join(f"{counts[result]} {result.value}" for result in Result))


def main() -> int:
    """Play, show, and say whether all was well."""
    parser = argparse.ArgumentParser(prog="make peers", description=__doc__)
    names = sorted({peer.name for peer in PEERS})
    parser.add_argument("--only", metavar="NAME", choices=names, help=f"one of {', '.join(names)}")
    only = parser.parse_args().only
    rows = asyncio.run(play([peer for peer in PEERS if only in {None, peer.name}]))
    show(rows)
    return int(any(row.result is Result.REFUSED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
