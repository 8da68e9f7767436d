"""`stockgate run`: a gateway, a session played on it, and then time to look around. What `make run` calls."""

from __future__ import annotations

import dataclasses
import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from gateway.cli import playback, server
from gateway.cli.client import ClientSettings, JsonOption
from gateway.cli.errors import EXIT_FAILED, failure
from gateway.cli.output import say

if TYPE_CHECKING:
    from gateway.cli.summary import Summary

DEMONSTRATION_SPEED = "14400x"  # four hours a second: a session with its late payments is over in eight seconds
READY_SECONDS_MAX = 120.0  # the first start unpacks PostgreSQL and makes a database
STOP_SECONDS_MAX = 30.0
LOG_LINES_SHOWN = 15

app = typer.Typer()

Once = Annotated[bool, typer.Option("--once", help="End after the summary instead of staying up.")]


@app.command()
def run(
    file: playback.File = None,
    once: Once = False,
    speed: Annotated[
        str | None,
        typer.Option(
            "--speed", metavar="SPEED", help="1000x, or max.", show_default=f"max; generated: {DEMONSTRATION_SPEED}"
        ),
    ] = None,
    units: playback.Units = None,
    sku: playback.SkuCode = None,
    seed: playback.Seed = None,
    orders: playback.Orders = None,
    page_size: playback.PageSize = 100,
    in_flight: playback.CallsInFlight = 8,
    listen: server.Listen = None,
    data_dir: server.DataDirectory = None,
    as_json: JsonOption = False,
) -> None:
    """Start everything here, play a session, print the summary, and stay up to look around. Ctrl-C ends."""
    chosen_speed = speed or ("max" if file else DEMONSTRATION_SPEED)
    plan = playback.Choice(file, chosen_speed, units, sku, seed, orders, page_size, in_flight).plan()
    settings = server.settings_for(listen, data_dir)
    server.refuse_taken_port(settings.listen)
    log = settings.data_dir / "gateway.log"
    _note("Starting the gateway" + ("" if settings.database_url else " and its PostgreSQL") + " ...", as_json=as_json)
    try:
        with _gateway(settings.listen, settings.data_dir, log) as (address, process):
            _note(f"The gateway serves on {address} (its log: {log}). Playing {plan.source} ...", as_json=as_json)
            caller = ClientSettings.from_environment(address)
            trusted = caller.tls_ca_file or settings.tls_cert_file  # a gateway with a certificate speaks TLS alone
            summary = playback.play(dataclasses.replace(caller, tls_ca_file=trusted), plan)
            playback.show(summary, as_json=as_json)
            if not once:
                _look_around(summary, address, process, log, as_json=as_json)
    except KeyboardInterrupt:
        _note("Stopped.", as_json=as_json)
        return
    raise typer.Exit(0 if summary.is_good else EXIT_FAILED)


@contextmanager
def _gateway(listen: str, data_dir: Path, log: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A gateway in a process of its own, so that it shares no event loop with its caller; stopped in the end.

    It gets a process group of its own too: Ctrl-C reaches this process alone, which stops the gateway in order.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "gateway",
        "serve",
        "--with-parent",
        "--json",
        "--listen",
        listen,
        "--data-dir",
        str(data_dir),
    ]
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own program, and arguments in a list
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    try:
        yield _address_of(process, log), process
    finally:
        _stop(process)


def _address_of(process: subprocess.Popen[str], log: Path) -> str:
    """Waits until the gateway says where it serves. Raises Failure with the end of its log if it does not."""
    assert process.stdout is not None
    give_up_at = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < give_up_at:
        if select.select([process.stdout], [], [], 0.5)[0]:
            line = process.stdout.readline()
            if not line:
                break
            return str(json.loads(line)["address"])
    raise failure("NOT_STARTED", f"the gateway did not start\n{_tail(log)}", f"Its whole log: {log}")


def _look_around(summary: Summary, address: str, process: subprocess.Popen[str], log: Path, *, as_json: bool) -> None:
    """Stays up until Ctrl-C, or until the gateway ends."""
    name = Path(sys.argv[0]).name
    program = sys.argv[0] if name == "stockgate" else f"{Path(sys.executable).name} -m gateway"
    at = "" if address == ClientSettings().address else f" --address {address}"
    tries = [
        f"stock level {summary.sku}",
        f"stock movements {summary.sku}",
        "stock watch",
        f"stock reserve {summary.sku} 2 --ttl 5m",
    ]
    _note(f"\nThe gateway stays up on {address}. In another terminal, try:", as_json=as_json)
    for each in tries:
        _note(f"  {program} {each}{at}", as_json=as_json)
    _note("Ctrl-C ends.", as_json=as_json)
    code = process.wait()
    raise failure(
        "GATEWAY_ENDED", f"the gateway ended by itself (exit code {code})\n{_tail(log)}", f"Its whole log: {log}"
    )


def _stop(process: subprocess.Popen[str]) -> None:
    """Stops the gateway in order; a second Ctrl-C does not leave it behind."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        signal.signal(signal.SIGINT, previous)


def _tail(log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as lines:
        return "".join(_last(lines, LOG_LINES_SHOWN)).rstrip()


def _last(lines: TextIO, count: int) -> list[str]:
    from collections import deque

    return list(deque(lines, maxlen=count))


def _note(text: str, *, as_json: bool) -> None:
    """What a person wants to know meanwhile; with --json stdout holds the summary alone."""
    if not as_json:
        say(text)
