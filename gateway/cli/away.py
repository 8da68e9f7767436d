"""A gateway that goes away while somebody looks on: that is said, and waited for, but not for ever."""

from __future__ import annotations

import time

import typer

from gateway.cli.errors import Failure

# It stops, it starts again, it is too busy; what else it says will not change by waiting.
WORTH_WAITING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"})
AWAY_SECONDS_MAX = 120.0  # longer than any deploy; after that somebody should look


class Away:
    """Whether the gateway answers; each change is said on stderr, for what is on the screen looks like the present."""

    def __init__(self) -> None:
        """It answers."""
        self._since: float | None = None

    def lost(self, failed: Failure) -> None:
        """It does not answer. Raises the failure if waiting does not help, or not any more."""
        now = time.monotonic()
        if failed.problem.code not in WORTH_WAITING or (self._since and now - self._since >= AWAY_SECONDS_MAX):
            raise failed
        if self._since is None:
            self._since = now
            typer.echo(f"the gateway is away, and is asked again: {failed.problem.message}", err=True)

    def heard(self) -> None:
        """It answers."""
        if self._since is not None:
            self._since = None
            typer.echo("the gateway is back", err=True)
