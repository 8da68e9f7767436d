"""`stockgate connect`: agents for the channels of a platform, in a program of its own.

The gateway knows nothing of connectors; their own command line takes this one's place, options and all.
"""

from __future__ import annotations

import os
import sys

import typer

app = typer.Typer()

MODULE = "connectors"


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def connect(context: typer.Context) -> None:
    """Connect the channels of Taobao, Douyin, Kuaishou or all to the gateway: --help shows how."""
    address = (context.obj or {}).get("address")
    chosen = ["--address", address] if address else []
    command = [sys.executable, "-m", MODULE, *chosen, *context.args]
    os.execv(command[0], command)  # noqa: S606 - our own program, and arguments in a list
