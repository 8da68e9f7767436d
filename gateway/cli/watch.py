"""`stockgate stock watch`: levels as they change, resumed by itself when the gateway goes away for a while."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.cli.away import Away
from gateway.cli.client import Caller, gateway_command
from gateway.cli.errors import EXIT_USAGE, Failure, failure
from gateway.cli.output import document, local, number, print_document, say
from gateway.v1 import stock_pb2, stock_service_pb2

RESUME_PAUSE_SECONDS = 1.0

app = typer.Typer()


@dataclass
class Watching:
    """Which levels are watched, and how far the stream has come."""

    skus: tuple[str, ...]
    live_only: bool
    epoch: str = ""
    revision: int | None = None

    def request(self) -> stock_service_pb2.WatchStockLevelsRequest:
        """Opens the stream: from its start, or where the last one ended."""
        request = stock_service_pb2.WatchStockLevelsRequest(skus=self.skus)
        if self.revision is not None:
            request.after.revision, request.after.epoch = self.revision, self.epoch
        elif self.live_only:
            request.live_only = True
        else:
            request.snapshot = True
        return request

    def saw(self, message: stock_service_pb2.WatchStockLevelsResponse) -> None:
        """Remembers where to resume.

        A level proves nothing about its revision while the snapshot runs: SKUs come by code then.
        """
        match message.WhichOneof("message"):
            case "created":
                self.epoch = message.created.epoch
                if self.live_only and self.revision is None:
                    self.revision = message.created.revision
            case "level" if self.revision is not None:
                self.revision = max(self.revision, message.level.revision)
            case "snapshot_end":
                self.revision = message.snapshot_end.revision
            case "progress":
                self.revision = message.progress.revision
            case "go_away":
                self.revision = message.go_away.resume_revision


@gateway_command(app)
def watch(
    caller: Caller,
    skus: Annotated[
        list[str] | None, typer.Argument(metavar="[SKU]...", help="SKUs; none: all.", show_default=False)
    ] = None,
    after: Annotated[
        int | None, typer.Option("--after", metavar="REVISION", min=0, help="Go on after this revision.")
    ] = None,
    epoch: Annotated[str, typer.Option("--epoch", metavar="TEXT", help="The epoch that revision belongs to.")] = "",
    live_only: Annotated[bool, typer.Option("--live-only", help="Only what changes from now on.")] = False,
) -> None:
    """Watch stock levels change, until Ctrl-C. With --json one message a line."""
    if after is not None and not epoch:
        raise failure(
            "EPOCH", "--after needs the --epoch it belongs to", "`created` of the first stream said it.", EXIT_USAGE
        )
    watching = Watching(tuple(skus or ()), live_only, epoch, after)
    with contextlib.suppress(KeyboardInterrupt):
        for message in _messages(caller, watching):
            if caller.as_json:
                print_document(document(message), as_line=True)
            else:
                _say(message)


def _messages(caller: Caller, watching: Watching) -> Iterator[stock_service_pb2.WatchStockLevelsResponse]:
    """One endless stream over many: a lost one is resumed, for a bounded time."""
    away = Away()
    while True:
        try:
            with caller.fence():
                for message in _stream(caller, watching):
                    watching.saw(message)
                    away.heard()
                    yield message
        except Failure as lost:
            if not watching.epoch:
                raise
            away.lost(lost)
        time.sleep(RESUME_PAUSE_SECONDS)


def _stream(caller: Caller, watching: Watching) -> Iterator[stock_service_pb2.WatchStockLevelsResponse]:
    stream = caller.stock.WatchStockLevels(watching.request(), metadata=caller.settings.metadata)
    try:
        yield from stream
    finally:
        stream.cancel()


def _say(message: stock_service_pb2.WatchStockLevelsResponse) -> None:
    match message.WhichOneof("message"):
        case "created":
            say(
                f"watching from revision {number(message.created.revision)} · epoch {message.created.epoch}",
                style="dim",
            )
        case "level":
            _say_level(message.level)
        case "snapshot_end":
            say(f"that is all as of revision {number(message.snapshot_end.revision)}; changes follow", style="dim")
        case "go_away":
            say(f"the gateway goes away ({message.go_away.reason}); resuming", style="dim")


def _say_level(level: stock_pb2.StockLevel) -> None:
    say(
        f"{local(datetime.now(UTC))}  {level.sku}  on hand {number(level.on_hand)}  reserved {number(level.reserved)}"
        f"  available {number(level.available)}" + ("  frozen" if level.frozen else "")
    )
