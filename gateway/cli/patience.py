"""A caller that outlasts a restart of the gateway.

What may not have been applied is repeated with the same request id, for a bounded time, with backoff and jitter, and
never before the gateway's own RetryInfo says so. Everything else is a failure at once.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TypeVar

import grpc
import tenacity

from gateway.cli.client import DEADLINE_SECONDS, ClientSettings
from gateway.cli.errors import Failure, Problem
from gateway.cli.refusals import problem_of_call
from gateway.v1 import catalog_service_pb2_grpc, operations_service_pb2_grpc, stock_service_pb2_grpc

# A gateway that stops cancels what takes too long.
WORTH_REPEATING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"})
PATIENCE_SECONDS = 120.0  # a restart takes seconds, a failover of the database up to a minute

Request = TypeVar("Request")
Response = TypeVar("Response")


class NotYet(Failure):
    """The call may not have been applied; the same again, later, is safe and may succeed."""


class PatientCaller:
    """Asks the gateway without blocking, and repeats what is worth repeating."""

    def __init__(
        self, settings: ClientSettings, channel: grpc.aio.Channel, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.stock = stock_service_pb2_grpc.StockServiceStub(channel)
        self.catalog = catalog_service_pb2_grpc.CatalogServiceStub(channel)
        self.operations = operations_service_pb2_grpc.OperationsServiceStub(channel)
        self.retries_count = 0
        # A replay is a program: its thousands of reservations are no deeds of whoever has started it.
        self._settings = replace(settings, actor="")
        self._patience_seconds = patience_seconds

    async def ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout_seconds: float = DEADLINE_SECONDS,
    ) -> Response:
        """Calls, again and again if that is worth it. Raises Failure."""
        async for attempt in self.attempts():
            with attempt:
                return (await self.ask_once(method, request, timeout_seconds))[0]
        raise AssertionError("the last attempt returns or raises")

    async def ask_once(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout_seconds: float = DEADLINE_SECONDS,
    ) -> tuple[Response, float]:
        """The response and how many seconds it took. Raises NotYet where another attempt is worth it, or Failure."""
        started = time.perf_counter()
        try:
            response = await method(request, timeout=timeout_seconds, metadata=self._settings.metadata)
        except grpc.aio.AioRpcError as error:
            raise refused(problem_of_call(error, self._settings.address)) from error
        return response, time.perf_counter() - started

    def attempts(self) -> tenacity.AsyncRetrying:
        """Attempts at one thing, paused in between; the last NotYet comes out when patience ends."""
        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(NotYet),
            stop=tenacity.stop_after_delay(self._patience_seconds),
            wait=_pause_seconds,
            before_sleep=self._count,
            reraise=True,
        )

    def _count(self, _: tenacity.RetryCallState) -> None:
        self.retries_count += 1


def refused(problem: Problem) -> Failure:
    """The problem as NotYet if repeating is worth it, else as a failure."""
    return NotYet(problem) if problem.code in WORTH_REPEATING else Failure(problem)


_BACKOFF = tenacity.wait_random_exponential(multiplier=0.1, max=2.0)


def _pause_seconds(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_seconds = error.problem.retry_after_seconds if isinstance(error, NotYet) else None
    return (asked_seconds or 0.0) + _BACKOFF(state)
