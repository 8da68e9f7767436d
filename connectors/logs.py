"""What a process of connectors logs: as a gateway does, in one form for all that run on a machine."""

import logging

import typer

from gateway import logs


def log_to_stderr(others: int = logging.WARNING) -> None:
    """From now on: our own from INFO on, everybody else's from `others` on; the form is STOCKGATE_LOGS.

    Raises `typer.BadParameter`.
    """
    try:
        logs.log_to_stderr("connectors", others=others)
    except ValueError as error:
        raise typer.BadParameter(f"{logs.VARIABLE}: {error}") from error
