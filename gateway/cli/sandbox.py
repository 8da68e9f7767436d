"""`stockgate sandbox`: the three platforms on this machine, in a program of its own.

The gateway knows nothing of connectors; their sandbox's own command line takes this one's place, options and all.
"""

from __future__ import annotations

import os
import sys

import typer

app = typer.Typer()

MODULE = "connectors.sandbox"


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def sandbox(context: typer.Context) -> None:
    """Play Taobao, Douyin and Kuaishou on this machine, for rehearsals: --help shows how."""
    command = [sys.executable, "-m", MODULE, *context.args]
    os.execv(command[0], command)  # noqa: S606 - our own program, and arguments in a list
