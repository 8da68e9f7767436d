"""`stockgate up`: everything on one machine, in one command. What `make run` calls.

A database, a gateway, Taobao, Douyin and Kuaishou as local servers, their buyers, and the agents that keep their
numbers. The ledger is a fresh one in a folder of its own, which goes when it ends: a rehearsal never touches what is
real, and the platforms of the next one know nothing of this one's orders. The platforms, buyers and agents are a
program of their own, for the gateway knows nothing of connectors.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import arguments, server
from gateway.cli.client import JsonOption
from gateway.cli.errors import EXIT_INTERRUPTED, EXIT_USAGE, failure
from gateway.cli.output import say
from gateway.cli.starting import started_gateway, stop

MODULE = "connectors.up"
WEATHERS = ("none", "calm", "harsh")
CASES = ("double11",)
UNITS, SKUS = 500, 1
# A case's six hours take three minutes.
SPEED = 120
SESSION_SECONDS_MAX = 86_400.0
SESSION_SECONDS_MIN = 4.0
CREDENTIALS_KEY_BYTES = 32

app = typer.Typer()


@app.command()
def up(
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="DURATION", help="Play one live session of 60s, 5m ..., judge it, and end."),
    ] = None,
    units: Annotated[int, typer.Option("--units", metavar="N", help="Units on hand.", min=0, max=10_000_000)] = UNITS,
    skus: Annotated[
        int, typer.Option("--skus", metavar="N", help="Goods they are divided among.", min=1, max=200)
    ] = SKUS,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the buyers and the weather.")] = 1,
    faults: Annotated[
        str | None,
        typer.Option(
            "--faults",
            metavar="WEATHER",
            help=f"How the platforms fare: {', '.join(WEATHERS)}; calm if not said, none in a case.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write the session's report there, as JSON.")
    ] = None,
    naive: Annotated[
        bool, typer.Option("--naive", help="The baseline: no gateway, every platform shows the same number.")
    ] = False,
    case: Annotated[
        str | None, typer.Option("--case", metavar="NAME", help=f"Play a case, judge it, and end: {', '.join(CASES)}.")
    ] = None,
    speed: Annotated[
        int | None,
        typer.Option(
            "--speed", metavar="N", help=f"Of a case: seconds of it in one; {SPEED} if not said.", min=30, max=600
        ),
    ] = None,
    listen: server.Listen = None,
    as_json: JsonOption = False,
) -> None:
    """Start everything here, and let buyers in: until Ctrl-C, or for one judged --session or --case.

    `--case double11`: six hours of a live room in three minutes: a guest brings a surge, warnings come, people answer.

    Exit code of a session: 0 if no unit was oversold and the ledger adds up, else 1. Of a case: if all of its story
    came in its order as well.
    """
    seconds = _seconds(session)
    # A delay of the platforms' is some minutes of a case, and would be told as its warnings'.
    faults = faults or ("none" if case else "calm")
    _refuse_nonsense(seconds, faults, report, naive=naive, as_json=as_json, is_case=case is not None)
    _refuse_what_a_case_has_of_its_own(case, speed, is_session=bool(seconds), is_plain=(units, skus) == (UNITS, SKUS))
    played_speed = speed or SPEED
    play = [
        *(("--case", case, "--speed", str(played_speed)) if case else ()),
        *("--session-seconds", str(seconds), "--units", str(units), "--skus", str(skus)),
        *("--seed", str(seed), "--faults", faults),
        *(("--report", str(report)) if report else ()),
        *(("--json",) if as_json else ()),
    ]
    if naive:
        raise typer.Exit(_run([*play, "--naive"]))
    is_judged = bool(seconds or case)
    address, page = _addresses(listen, is_judged=is_judged)
    try:
        code = _play(play, address, page, played_speed if case else 1, is_quiet=as_json)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED if is_judged else 0
    raise typer.Exit(code)


def _play(play: list[str], address: str, page: str | None, speed: int, *, is_quiet: bool) -> int:
    """Starts a gateway on a fresh ledger, and runs the rest to its end; returns the exit code."""
    # Whatever ends this, ends it in order, and takes the folder along.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with _folder() as folder:
        if not is_quiet:
            say("Starting PostgreSQL and the gateway ...")
        with started_gateway(address, folder, folder / "gateway.log", _environment(speed, page)) as gateway:
            if not is_quiet:
                say(f"The page: {gateway.page}" if gateway.page else "No page: STOCKGATE_PAGE_LISTEN is off.")
            return _run([*play, "--gateway", gateway.address])


def _addresses(listen: str | None, *, is_judged: bool) -> tuple[str, str | None]:
    """Where to serve calls, and the page; both are free."""
    settings = server.settings_for(listen, None)
    if not settings.listens_on_loopback:
        raise typer.BadParameter("a rehearsal is for this machine alone: 127.0.0.1:PORT", param_hint="--listen")
    # A session is nobody else's business, and must not fail because a gateway runs already.
    address = "127.0.0.1:0" if is_judged and listen is None else settings.listen
    server.refuse_taken_port(address)
    page = "127.0.0.1:0" if is_judged and settings.page_listen is not None else settings.page_listen
    server.refuse_taken_page(page)
    return address, page


def _seconds(session: str | None) -> float:
    """How long a session lasts; 0 if there is none."""
    if session is None:
        return 0.0
    seconds = arguments.duration(session).total_seconds()
    if not SESSION_SECONDS_MIN <= seconds <= SESSION_SECONDS_MAX:
        raise typer.BadParameter(f"a session lasts {SESSION_SECONDS_MIN:g} seconds to a day", param_hint="--session")
    return seconds


def _refuse_nonsense(
    seconds: float, faults: str, report: Path | None, *, naive: bool, as_json: bool, is_case: bool
) -> None:
    if faults not in WEATHERS:
        raise typer.BadParameter(f"{faults!r} is none of {', '.join(WEATHERS)}", param_hint="--faults")
    if not seconds and naive:
        raise typer.BadParameter("--naive goes with a --session")
    if not (seconds or is_case) and (report or as_json):
        raise typer.BadParameter("--report and --json go with a --session or a --case")
    if report is not None and not report.resolve().parent.is_dir():
        raise failure("FILES", f"there is no folder {report.resolve().parent}", "Make it first.", EXIT_USAGE)


def _refuse_what_a_case_has_of_its_own(
    case: str | None, speed: int | None, *, is_session: bool, is_plain: bool
) -> None:
    if case is None:
        if speed is not None:
            raise typer.BadParameter("--speed goes with a --case")
        return
    if case not in CASES:
        raise typer.BadParameter(f"{case!r} is none of {', '.join(CASES)}", param_hint="--case")
    if is_session or not is_plain:
        raise typer.BadParameter("a case has its own length and its own goods: no --session, --units or --skus")


@contextmanager
def _folder() -> Iterator[Path]:
    """A data folder that goes in the end."""
    folder = Path(tempfile.mkdtemp(prefix="stockgate-up-"))
    folder.chmod(0o755)  # the embedded PostgreSQL may run as another user, who must reach it
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(speed: int, page: str | None) -> dict[str, str]:
    """For a gateway that has a database of its own, no TLS, and a key made on the fly; its clock is so much faster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOCKGATE_")}
    key = base64.urlsafe_b64encode(secrets.token_bytes(CREDENTIALS_KEY_BYTES)).decode()
    return {
        **kept,
        "STOCKGATE_CREDENTIALS_KEY": key,
        "STOCKGATE_REHEARSAL_SPEED": str(speed),
        "STOCKGATE_PAGE_LISTEN": page or "off",
    }


def _run(play: list[str]) -> int:
    """Runs the platforms, buyers and agents to their end; Ctrl-C is handed on, once. Returns the exit code."""
    command = [sys.executable, "-m", MODULE, "--with-parent", *play]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own program
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        code = process.wait()
    finally:
        stop(process)
    if code < 0:
        raise failure("ENDED", f"the platforms, buyers and agents were ended by {signal.Signals(-code).name}")
    return code
