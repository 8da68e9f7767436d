"""`stockgate live hints`: what a room can sell now, as a table that keeps itself fresh, or as lines for programs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich import box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.cli import alert_words as words
from gateway.cli.client import Caller, gateway_command
from gateway.cli.output import console, document, number, print_document, say
from gateway.cli.subscribing import live_client, run_until_interrupted
from gateway.client import HintWatch
from gateway.v1 import live_service_pb2 as pb

app = typer.Typer()

# A number disappears when it expires, not when somebody happens to look.
DRAW_SECONDS = 0.25

SessionNumber = Annotated[int, typer.Argument(metavar="SESSION", min=1, help="Its number.", show_default=False)]


@gateway_command(app)
def hints(
    caller: Caller,
    session_id: SessionNumber,
    sku: Annotated[
        list[str] | None, typer.Option("--sku", metavar="CODE", help="Only it; may be repeated.", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show them once, and end.")] = False,
) -> None:
    """Show what this room can sell now and what to say, until Ctrl-C. With --json one document a line.

    A number that has expired is not shown: it must not be spoken.
    """
    first = caller.ask(caller.live.GetHints, pb.GetHintsRequest(session_id=session_id, skus=sku or []))
    if once:
        _show_once(caller, first.hints)
        return
    run_until_interrupted(_follow(caller, session_id, sku or [], [hint.sku for hint in first.hints]))


async def _follow(caller: Caller, session_id: int, skus: list[str], order: list[str]) -> None:
    async with live_client(caller.settings) as live:
        watch = live.watch_hints(session_id, skus)
        if caller.as_json:
            async for hint in watch:
                print_document(document(hint), as_line=True)
        else:
            await _draw(watch, order)
    if not caller.as_json:
        say("The session is closed.", style="dim")


async def _draw(watch: HintWatch, order: list[str]) -> None:
    newest: dict[str, pb.Hint] = {}
    terminal = console()
    with Live(console=terminal, auto_refresh=False, transient=False) as screen:
        drawing = asyncio.ensure_future(_redraw(screen, newest, order))
        try:
            async for hint in watch:
                newest[hint.sku] = hint
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing


async def _redraw(screen: Live, newest: dict[str, pb.Hint], order: list[str]) -> None:
    while True:
        known = [newest[sku] for sku in (*order, *sorted(newest.keys() - set(order))) if sku in newest]
        screen.update(_table(known, datetime.now(UTC)), refresh=True)
        await asyncio.sleep(DRAW_SECONDS)


def _show_once(caller: Caller, found: Iterable[pb.Hint]) -> None:
    if caller.as_json:
        print_document({"hints": [document(hint) for hint in found]})
        return
    console().print(_table(found, datetime.now(UTC)))


def _table(found: Iterable[pb.Hint], now: datetime) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title, justify in (("SKU", "left"), ("can sell", "right"), ("tier", "left"), ("gone in", "left")):
        table.add_column(title, justify="right" if justify == "right" else "left", overflow="fold")
    table.add_column("host", overflow="fold", ratio=2)
    table.add_column("chat", overflow="fold", ratio=2)
    table.add_column("instead", overflow="fold")
    for hint in found:
        table.add_row(*(Text(cell, style=style) for cell, style in _cells(hint, now)))
    return table


def _cells(hint: pb.Hint, now: datetime) -> list[tuple[str, str]]:
    """Every cell with its style; of what is too old only the name and the tier are left."""
    title = f"{hint.sku} {hint.title}".rstrip()
    style = words.STYLES.get(hint.tier, "")
    is_expired = hint.HasField("expire_time") and hint.expire_time.ToDatetime(UTC) <= now
    mark = words.tier_mark(hint.tier, is_stale=hint.is_stale or is_expired)
    if is_expired:
        return [(title, "dim"), ("–", "dim"), (mark, "dim"), ("", ""), ("", ""), ("", ""), ("", "")]
    own = f" ({number(hint.exclusive_left)} own)" if hint.exclusive_left else ""
    part = f" (one of {hint.rooms} rooms)" if hint.rooms > 1 else ""
    return [
        (title, ""),
        ("–" if hint.is_stale else f"{number(hint.sellable)}{own}{part}", style),
        (mark, style),
        ("" if hint.is_stale else words.left(hint.stock_out), ""),
        (_both(hint.host_line, hint.host_line_en), ""),
        (_both(hint.chat_line, hint.chat_line_en), ""),
        (", ".join(f"{each.sku} {number(each.sellable)}" for each in hint.substitutes), ""),
    ]


def _both(chinese: str, english: str) -> str:
    return "\n".join(line for line in (chinese, english) if line)
