"""`python -m connectors.up`: what `stockgate up` runs beside its gateway.

The platforms' sandbox, buyers and agents: for one session, or until Ctrl-C. Exit codes: 0 good, 1 a unit was oversold,
the ledger does not add up or something broke, 2 not typed right, 130 stopped before the session's end.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from connectors.contract import GatewayError
from connectors.exporting import trace_to
from connectors.gateway_client import GatewayAddress
from connectors.logs import log_to_stderr
from connectors.sandbox.city import SKUS_MAX, WEATHERS
from connectors.session.double11.plan import SPEED, SPEED_MAX, SPEED_MIN, CaseSettings
from connectors.session.double11.playing import play_case
from connectors.session.double11.report import CaseReport, show_case
from connectors.session.live import console, showing, teller
from connectors.session.playing import SessionSettings, play_naively, play_session
from connectors.session.rehearsing import RehearsalSettings, rehearse
from connectors.session.report import Report, show

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def up(
    gateway: Annotated[
        str, typer.Option("--gateway", metavar="HOST:PORT", help="The gateway; none: the baseline.")
    ] = "",
    session_seconds: Annotated[
        float, typer.Option("--session-seconds", metavar="N", help="0: until Ctrl-C.", min=0.0, max=86_400.0)
    ] = 0.0,
    units: Annotated[int, typer.Option("--units", metavar="N", min=0, max=10_000_000)] = 500,
    skus: Annotated[int, typer.Option("--skus", metavar="N", min=1, max=SKUS_MAX)] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="N")] = 1,
    faults: Annotated[str, typer.Option("--faults")] = "calm",
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE")] = None,
    naive: Annotated[bool, typer.Option("--naive")] = False,
    case: Annotated[str, typer.Option("--case", metavar="NAME", help="double11, or none.")] = "",
    speed: Annotated[float, typer.Option("--speed", metavar="N", min=SPEED_MIN, max=SPEED_MAX)] = SPEED,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Play Taobao, Douyin and Kuaishou, their buyers, and the agents that keep their numbers."""
    if faults not in WEATHERS:
        raise typer.BadParameter(f"{faults!r} is none of {', '.join(WEATHERS)}", param_hint="--faults")
    _set_up(gateway, with_parent=with_parent)
    # With --json stdout holds the report alone.
    terminal = console(is_error=as_json)
    try:
        result: Report | CaseReport
        if case:
            result = asyncio.run(_stoppable(_play_case(CaseSettings(gateway, speed, seed, faults), terminal)))
        elif not session_seconds:
            asyncio.run(_stoppable(_rehearse(RehearsalSettings(gateway, units, skus, seed, faults), terminal)))
            return
        else:
            settings = SessionSettings(gateway, session_seconds, units, skus, seed, faults)
            result = asyncio.run(_stoppable(_play(settings, terminal, naive=naive)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(EXIT_INTERRUPTED if session_seconds or case else 0) from None
    except (GatewayError, OSError, ExceptionGroup) as error:
        typer.echo(_said(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
    if report is not None:
        _write(report, result)
    if as_json:
        typer.echo(result.json())
    elif isinstance(result, CaseReport):
        show_case(result, terminal)
    else:
        show(result, terminal)
    raise typer.Exit(0 if result.is_good else EXIT_FAILED)


def _set_up(gateway: str, *, with_parent: bool) -> None:
    """Logs, traces, and the tie to who has started us."""
    log_to_stderr(logging.ERROR)
    # Faults are played here on purpose, by the dozen.
    logging.getLogger("connectors").setLevel(logging.ERROR)
    # A caller whose answer the weather has lost is still waiting when its server ends.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    if with_parent:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    if gateway:
        trace_to(GatewayAddress(gateway), "stockgate-connect")


def _write(report: Path, result: Report | CaseReport) -> None:
    try:
        report.write_text(result.json() + "\n", encoding="utf-8")
    except OSError as error:
        typer.echo(f"the report could not be written: {error.filename}: {error.strerror}", err=True)


async def _play(settings: SessionSettings, terminal: Console, *, naive: bool) -> Report:
    with showing(terminal, []) as see:
        return await (play_naively(settings, see) if naive else play_session(settings, see, teller(terminal)))


async def _play_case(settings: CaseSettings, terminal: Console) -> CaseReport:
    with showing(terminal, []) as see:
        # In a pipe there is one line for each picture: of every quarter of an hour.
        picture_seconds = 1.0 if terminal.is_terminal else settings.seconds(15.0)
        return await play_case(settings, see, teller(terminal), picture_seconds)


async def _rehearse(settings: RehearsalSettings, terminal: Console) -> None:
    await rehearse(settings, terminal)


async def _stoppable(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """SIGINT and SIGTERM cancel it, so that everything it has opened is closed in order."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await coroutine


def _said(error: Exception) -> str:
    """What went wrong, in one line; raises it again if it is a fault of this program."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    match error:
        case GatewayError():
            return f"the gateway: {error.code} {error.message}"
        case OSError():
            return f"{error.filename or 'this machine'}: {error.strerror or error}"
        case _:
            raise error


def _stop_with_stdin() -> None:
    """Stops this process when its parent is gone: the parent holds the other end of stdin, and never writes."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    app(prog_name="stockgate up")
