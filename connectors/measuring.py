"""How long calls to platforms took, by what was asked and what became of it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from gateway import metrics


class Answer(Protocol):
    """What came back."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""


class Answered(Protocol):
    """Something that has an answer once there is one."""

    @property
    def response(self) -> Answer | None:
        """The answer."""


@asynccontextmanager
async def measured(method: str, host: str, template: str, told: Answered) -> AsyncIterator[None]:
    """Measure a call: until its answer was read, or it failed; what it raises is its `error.type`."""
    # The template and never the URL itself: tokens stand in it, and every order would be a label.
    labels: dict[str, str | int] = {
        "http.request.method": method,
        "server.address": host,
        "url.template": template,
    }
    begun = time.monotonic()
    try:
        yield
    # Whatever it was, it is told and goes on.
    except Exception as error:
        labels["error.type"] = type(error).__name__
        raise
    finally:
        if told.response is not None:
            labels["http.response.status_code"] = told.response.status_code
        metrics.http_client_duration.record(time.monotonic() - begun, labels)
