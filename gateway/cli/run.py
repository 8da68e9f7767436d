"""`stockgate run`: a gateway, a session played on it, and then time to look around. What `make run` calls."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import playback, server
from gateway.cli.client import ClientSettings, JsonOption
from gateway.cli.errors import EXIT_FAILED, failure
from gateway.cli.output import say
from gateway.cli.starting import started_gateway, tail

if TYPE_CHECKING:
    from gateway.cli.summary import Summary

DEMONSTRATION_SPEED = "14400x"  # four hours a second: a session with its late payments is over in eight seconds

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
        with started_gateway(settings.listen, settings.data_dir, log) as (address, process):
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
        "GATEWAY_ENDED", f"the gateway ended by itself (exit code {code})\n{tail(log)}", f"Its whole log: {log}"
    )


def _note(text: str, *, as_json: bool) -> None:
    """What a person wants to know meanwhile; with --json stdout holds the summary alone."""
    if not as_json:
        say(text)
