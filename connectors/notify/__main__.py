"""`python -m connectors.notify`, which is `stockgate notify`: warnings to group robots and live rooms."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from connectors.arguments import DEFAULT_ADDRESS, gateway_address
from connectors.exporting import expose_metrics, trace_to
from connectors.gateway_client import GatewayAddress
from connectors.logs import log_to_stderr
from connectors.notify.serve import notify
from connectors.notify.settings import EXAMPLE, NotifySettings, SettingsError, read_settings
from connectors.notify.trial import tried

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def serve(
    robots: Annotated[
        Path | None,
        typer.Option("--robots", metavar="FILE", help="TOML: the robots, and the page where people answer."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="HOST:PORT", help=f"The gateway; else STOCKGATE_ADDRESS, else {DEFAULT_ADDRESS}."
        ),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Print such a file and end.")] = False,
    test: Annotated[
        bool, typer.Option("--test", help="Post one message by each robot, say what came of it, and end; 1 if not all.")
    ] = False,
) -> None:
    """Tell DingTalk, Feishu and WeCom groups and Agora rooms what the gateway warns of, until Ctrl-C or SIGTERM.

    A robot's secrets are STOCKGATE_ROBOT_<NAME>_TOKEN and STOCKGATE_ROBOT_<NAME>_SECRET.
    """
    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    if robots is None:
        raise typer.BadParameter("which robots? --example prints a file to begin with", param_hint="--robots")
    if test:
        _try_out(robots)
        return
    log_to_stderr()
    gateway = gateway_address(address)
    trace_to(gateway, "stockgate-notify")
    expose_metrics()
    try:
        asyncio.run(_serve(read_settings(robots), gateway))
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint="--robots") from error


def _try_out(robots: Path) -> None:
    try:
        trials = asyncio.run(tried(read_settings(robots), os.environ))
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint="--robots") from error
    for one in trials:
        typer.echo(f"{one.robot} ({one.platform}): {one.outcome}{'  ' if one.said else ''}{one.said}")
    if not all(one.is_well for one in trials):
        raise typer.Exit(1)


async def _serve(settings: NotifySettings, gateway: GatewayAddress) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await notify(settings, gateway, stopping)


if __name__ == "__main__":
    app(prog_name="stockgate notify")
