"""`stockgate notify`: warnings to group robots and live rooms, in a program of its own.

The gateway knows nothing of notifiers; their own command line takes this one's place, options and all.
"""

from __future__ import annotations

import os
import sys

import typer

app = typer.Typer()

MODULE = "connectors.notify"


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def notify(context: typer.Context) -> None:
    """Tell DingTalk, Feishu and WeCom groups and Agora rooms of warnings: --help shows how."""
    address = (context.obj or {}).get("address")
    chosen = ["--address", address] if address else []
    command = [sys.executable, "-m", MODULE, *chosen, *context.args]
    os.execv(command[0], command)  # noqa: S606 - our own program, and arguments in a list
