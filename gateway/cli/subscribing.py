"""The command line as a subscriber: the SDK's clients with its settings, and their errors as problems."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from typing import Any

from gateway.cli.client import ClientSettings
from gateway.cli.errors import Failure, Problem, Violation
from gateway.client import AlertsClient, ClientError, LiveClient


def alerts_client(settings: ClientSettings) -> AlertsClient:
    """A client of the warnings of the chosen gateway."""
    return AlertsClient(settings.address, settings.token, certificate=settings.certificate())


def live_client(settings: ClientSettings) -> LiveClient:
    """A client of the live rooms of the chosen gateway."""
    return LiveClient(settings.address, settings.token, certificate=settings.certificate())


def run_until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end, or to Ctrl-C or SIGTERM, which are a good end for what has none. Raises Failure."""

    async def run() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with fence():
        asyncio.run(run())


@contextlib.contextmanager
def fence() -> Iterator[None]:
    """Turns the SDK's errors into Failure."""
    try:
        yield
    except ClientError as error:
        raise Failure(_problem_of(error)) from error


def _problem_of(error: ClientError) -> Problem:
    return Problem(
        code=error.code or "DATA_LOSS",
        message=error.message,
        reason=error.reason,
        metadata=error.metadata,
        violations=(Violation(error.field, error.message),) if error.field else (),
        retry_after_seconds=error.retry_after_seconds or None,
        request_id=error.request_id,
    )
