"""The only way out: HTTP with a deadline, a rate, few tries and a breaker.

What a failure means is decided by how far the call got. A connection that was never made carried nothing
(`Transient`); a request that was sent and not answered may have been applied (`OutcomeUnknown`), unless it only reads.
A call is tried again here only if it certainly did nothing, or is safe to repeat; minutes and hours are the gateway's.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
import tenacity
from opentelemetry.trace import SpanKind

from connectors.attempts import Call, Try, listeners, request_id_in
from connectors.errors import AuthExpired, ConnectorError, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.measuring import measured
from connectors.pacing import Breaker, Limiter
from connectors.tracing import Work, work
from gateway import metrics

log = logging.getLogger(__name__)
# At INFO it tells every URL, and the tokens and signatures of some platforms stand in theirs.
logging.getLogger("httpx").setLevel(logging.WARNING)
T = TypeVar("T")

# Nothing of the request has left this machine.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
# Of the deadline: for a connection, which a network that swallows packets never gives.
CONNECT_SHARE = 0.6
FIRST_YEAR, LAST_YEAR = 2000, 2100
# Most urgent first; see `Limiter.turn`. One order by itself comes last: the walk through all of them brings it anyway,
# so that where calls are few, hints must not take them from everything else.
TO_ZERO, ORDERS, LOWERING, RAISING, READING, ONE_ORDER = 0, 1, 2, 3, 4, 5


@dataclass(frozen=True)
class TransportLimits:
    """Bounds of one channel's calls."""

    calls_per_second: float = 20.0
    deadline_seconds: float = 5.0
    tries_max: int = 3
    # So many failures in a row open the breaker; it lets one call through after a while.
    breaker_failures: int = 8
    breaker_seconds: float = 5.0


@dataclass
class _Told:
    """What is to be told of a try, as far as it is known."""

    doing: Work | None = None
    response: httpx.Response | None = None

    def facts(self) -> dict[str, Any]:
        traceparent = self.doing.traceparent if self.doing else ""
        if self.response is None:
            return {"traceparent": traceparent}
        return {
            "http_status": self.response.status_code,
            "platform_request_id": request_id_in(self.response.content),
            "traceparent": traceparent,
        }


def _of_request(request: httpx.Request, call: Call, number: int) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "http__request__method": request.method,
        # Never the URL itself: tokens stand in it.
        "url__template": call.template,
        "server__address": request.url.host,
        "stockgate__platform__method": call.method,
    }
    if request.url.port is not None:
        told["server__port"] = request.url.port
    if number > 1:
        told["http__request__resend_count"] = number - 1
    return told


def _tell_of_response(doing: Work, response: httpx.Response) -> None:
    doing.tell(http__response__status_code=response.status_code)
    if doing.span.is_recording() and (request_id := request_id_in(response.content)):
        doing.tell(stockgate__platform__request_id=request_id)


def _is_of_its_try(error: ConnectorError, call: Call) -> bool:
    """True if it says nothing of an earlier try of the same call, where that matters."""
    if isinstance(error, Rejected) and error.ends_change:
        return False
    return isinstance(error, Transient | Throttled) or (
        bool(call.changes) and isinstance(error, Rejected | AuthExpired)
    )


def _tell_of_next(call: Call, state: tenacity.RetryCallState) -> None:
    """There will be another try, and it is known when."""
    for each in listeners(call):
        each.again_in(state.next_action.sleep if state.next_action else None)


class Transport:
    """One channel's calls to its platform."""

    def __init__(
        self, client: httpx.AsyncClient, limits: TransportLimits | None = None, *, platform: str = "", channel: str = ""
    ) -> None:
        """Use the client's connections; `platform` and `channel` (none for a robot) are how traces name the calls."""
        self.limits = limits or TransportLimits()
        self.limiter = Limiter(self.limits.calls_per_second)
        self.breaker = Breaker(self.limits.breaker_failures, self.limits.breaker_seconds)
        self.calls = 0
        self.retries = 0
        self._client = client
        self._channel = channel
        self._told_of_all = {"stockgate.platform.name": platform} | ({"stockgate.channel": channel} if channel else {})
        self._offset = timedelta()

    def platform_now(self) -> datetime:
        """The platform's clock, as far as its answers tell it (to the second)."""
        return datetime.now(UTC) + self._offset

    async def call(
        self,
        build: Callable[[], httpx.Request],
        read: Callable[[httpx.Response], T],
        call: Call,
        *,
        priority: float,
        repeatable: bool,
    ) -> T:
        """Send what `build` makes (anew for each try, so that its timestamp is fresh) and `read` the answer.

        `read` raises what the platform's words mean. `repeatable` says that a second time does no harm: the call only
        reads, is absolute, or carries an id. Then an unknown outcome is tried again here, and is `Transient` if it only
        reads; otherwise it is raised as `OutcomeUnknown` at once. A later try that is refused says nothing of it.
        """
        again = (Transient, OutcomeUnknown) if repeatable else (Transient,)
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(again),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1.0),
            stop=tenacity.stop_after_attempt(self.limits.tries_max),
            before_sleep=lambda state: _tell_of_next(call, state),
            reraise=True,
        )
        may_be_applied = False
        try:
            async for attempt in tries:
                with attempt:
                    number = attempt.retry_state.attempt_number
                    self.retries += number > 1
                    try:
                        return await self._once(build, read, call, priority, number)
                    except OutcomeUnknown:
                        may_be_applied = True
                        raise
        except ConnectorError as error:
            # "Not applied" is true of this try alone.
            if may_be_applied and _is_of_its_try(error, call):
                raise OutcomeUnknown(f"after a try that may be applied: {error.message}", code=error.code) from error
            raise
        raise AssertionError("tenacity ends with a result or an error")

    async def _once(
        self,
        build: Callable[[], httpx.Request],
        read: Callable[[httpx.Response], T],
        call: Call,
        priority: float,
        number: int,
    ) -> T:
        self.breaker.require_closed()
        with self._told(call) as told:
            begun = time.monotonic()
            await self.limiter.turn(priority)
            if self._channel:
                metrics.rate_limit_wait.record(time.monotonic() - begun, {"channel": self._channel})
            self.calls += 1
            request = build()
            with work(f"{request.method} {call.template}", kind=SpanKind.CLIENT, attributes=self._told_of_all) as doing:
                told.doing = doing
                doing.tell(**_of_request(request, call, number))
                async with measured(request.method, request.url.host, call.template, told), self._watched():
                    response = told.response = await self._send(request)
                    _tell_of_response(doing, response)
                    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        raise OutcomeUnknown(f"HTTP {response.status_code} from the platform's front")
                    try:
                        return read(response)
                    except ConnectorError as error:
                        doing.tell(stockgate__platform__error_code=error.code)
                        raise

    @contextmanager
    def _told(self, call: Call) -> Iterator["_Told"]:
        """Tell of a try to who has asked for the change; the wait for its turn is a part of it."""
        heard_by = listeners(call)
        told = _Told()
        begin_time, begun, failure = datetime.now(UTC), time.monotonic(), None
        try:
            yield told
        except ConnectorError as error:
            failure = error
            raise
        finally:
            # One that is cancelled has never come to an end that could be told.
            if heard_by and (failure is not None or told.response is not None):
                one = Try(begin_time, timedelta(seconds=time.monotonic() - begun), **told.facts())
                for each in heard_by:
                    each.tried(one if failure is None else one.meaning(failure))

    async def _send(self, request: httpx.Request) -> httpx.Response:
        # Else the deadline would end what never got through as well, and nobody could say that it was never sent.
        getting_through = self.limits.deadline_seconds * CONNECT_SHARE
        request.extensions["timeout"] = httpx.Timeout(None, connect=getting_through, pool=getting_through).as_dict()
        try:
            async with asyncio.timeout(self.limits.deadline_seconds):
                response = await self._client.send(request)
        except _NEVER_SENT as error:
            raise Transient(f"no connection to the platform: {type(error).__name__}") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise OutcomeUnknown(f"no answer from the platform: {type(error).__name__}") from error
        self._hear_time(response)
        return response

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        try:
            yield
        except Throttled as error:
            self.limiter.throttled(error.retry_after_seconds)
            self.breaker.succeeded()
            raise
        except (Transient, OutcomeUnknown):
            self.breaker.failed()
            raise
        except ConnectorError:
            self.breaker.succeeded()
            raise
        else:
            self.breaker.succeeded()
            self.limiter.answered()

    def _hear_time(self, response: httpx.Response) -> None:
        try:
            stated = parsedate_to_datetime(response.headers["date"])
        except (KeyError, ValueError):
            return
        # A time that no platform has; sums with it would leave the calendar.
        if not FIRST_YEAR <= stated.year <= LAST_YEAR:
            return
        # Without a zone it is UTC, as HTTP demands of all.
        stated = stated.replace(tzinfo=stated.tzinfo or UTC)
        offset = stated - datetime.now(UTC)
        # A second's granularity: keep to the old reading while the new one agrees with it.
        if abs(offset - self._offset) > timedelta(seconds=1.5):
            self._offset = offset
