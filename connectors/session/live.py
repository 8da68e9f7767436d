"""How it goes, once a second: a table where somebody watches, plain lines elsewhere."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connectors.session.figures import Delays
from connectors.session.merchant import Level

PIPE_WIDTH_COLUMNS = 160


@dataclass(frozen=True)
class ShopPicture:
    """One shop; `exposure` is what the gateway believes it may still sell, None if there is no gateway."""

    name: str
    shown: int
    exposure: int | None
    sold: int
    refused: int
    weather: str


@dataclass(frozen=True)
class Picture:
    """Everything at one moment; `notes` stand above the rest."""

    shops: tuple[ShopPicture, ...]
    level: Level | None = None
    sync: Delays | None = None
    intake: Delays | None = None
    needs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


See = Callable[[Picture], None]


def console(*, is_error: bool = False) -> Console:
    """Where people read: the terminal's width, or a wide page."""
    stream = sys.stderr if is_error else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else PIPE_WIDTH_COLUMNS)


@contextmanager
def showing(terminal: Console, hints: list[str]) -> Iterator[See]:
    """Shows each picture it is given; `hints` say what to try next."""
    if not terminal.is_terminal:
        yield lambda picture: terminal.print(Text(_line(picture)), soft_wrap=True)
        return
    with Live(console=terminal, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield lambda picture: live.update(_page(picture, hints), refresh=True)


def teller(terminal: Console) -> Callable[[str], None]:
    """Prints one line; above the picture, where there is one that stays."""
    return lambda line: terminal.print(Text(line), soft_wrap=True)


async def every_second(look: Callable[[], Awaitable[Picture]], see: See, seconds: float = 1.0) -> None:
    """Show what `look` sees, once in so many seconds, until cancelled."""
    while True:
        see(await look())
        await asyncio.sleep(seconds)


def _page(picture: Picture, hints: list[str]) -> Group:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("platform")
    for title in ("shown", "exposure", "sold", "refused"):
        table.add_column(title, justify="right")
    table.add_column("weather")
    for shop in picture.shops:
        exposure = "" if shop.exposure is None else f"{shop.exposure:,}"
        table.add_row(shop.name, f"{shop.shown:,}", exposure, f"{shop.sold:,}", f"{shop.refused:,}", shop.weather)
    lines = [Text(line) for line in _below(picture)]
    return Group(*map(Text, picture.notes), table, Text(""), *lines, *(Text(hint, style="dim") for hint in hints))


def _below(picture: Picture) -> list[str]:
    lines = []
    if picture.level is not None:
        level = picture.level
        lines.append(
            f"on hand {level.on_hand:,}   reserved {level.reserved:,}   available {level.available:,}   "
            f"on no shelf {level.unallocated:,}"
        )
    lines += [
        f"{name} delay p50 {delays.p50 * 1000:,.0f} ms   p99 {delays.p99 * 1000:,.0f} ms"
        for name, delays in (("sync", picture.sync), ("intake", picture.intake))
        if delays is not None
    ]
    return [*lines, *(f"needs you: {need}" for need in picture.needs)]


def _line(picture: Picture) -> str:
    shops = "; ".join(
        f"{shop.name} shows {shop.shown}"
        + ("" if shop.exposure is None else f" (exposure {shop.exposure})")
        + f", sold {shop.sold}, refused {shop.refused}"
        for shop in picture.shops
    )
    return " | ".join([*picture.notes, shops, *_below(picture)])
