"""A robot: who posts into one group, or into live rooms, and the guard that keeps drills from strangers.

`Robot` is the same for every platform; a `Dialect` is the platform's words: how a message is signed and written, what
an answer means, how much is allowed. None of the four platforms knows an idempotency key, so a post that got no
readable answer is `OutcomeUnknown`, and only the caller may decide to post it again, under the same numbers.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import httpx

from connectors.attempts import Call
from connectors.errors import ConnectorError, Misunderstood, Rejected, Transient
from connectors.transport import Transport

# A post is on its way for seconds at most, so that a clock that is found to be off by more was off before.
CLOCK_ERROR_MIN = timedelta(minutes=1)
GUARDED = "DRILL_GUARD"
TOO_LARGE = "TOO_LARGE"


class Rate(NamedTuple):
    """So many posts in any `seconds`."""

    calls: int
    seconds: float


@dataclass(frozen=True)
class Limits:
    """What a platform takes: all of `rates`, and so many bytes of a message's text in UTF-8."""

    rates: tuple[Rate, ...]
    text_bytes_max: int


@dataclass(frozen=True, slots=True)
class Message:
    """What a group or a room reads. `room` is the platform's name of a room, "" where there is one group only.

    `is_urgent` goes before others that wait for the same limit.
    """

    text: str
    room: str = ""
    is_drill: bool = False
    is_urgent: bool = False
    mentions_all: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message was taken; `is_rehearsed`: it was written and not sent. `message_id` is the platform's, "" if none."""

    time: datetime
    message_id: str = ""
    is_rehearsed: bool = False


class Dialect(Protocol):
    """One platform's words for one robot's posts."""

    @property
    def platform(self) -> str:
        """Its name, for logs."""

    @property
    def limits(self) -> Limits:
        """What it takes."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told."""

    @property
    def clock_codes(self) -> frozenset[str]:
        """Refusals that a wrong timestamp brings, among others."""

    def request(self, message: Message, now: datetime) -> httpx.Request:
        """The post, signed at `now` by the platform's clock."""

    def read(self, response: httpx.Response) -> str:
        """The platform's id of what it took, "" if it gives none; raises what its words mean."""


class Robot:
    """Posts messages of one robot."""

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        transport: Transport,
        *,
        include_drills: bool = False,
        is_guarded: bool = False,
    ) -> None:
        """`include_drills` lets rehearsed messages out; a guarded robot writes what it would post, and keeps it."""
        self.name = name
        self.dialect = dialect
        self.include_drills = include_drills
        self.is_guarded = is_guarded
        self._transport = transport

    @property
    def limits(self) -> Limits:
        """What the platform takes."""
        return self.dialect.limits

    @property
    def banned_seconds(self) -> float:
        """How long the platform wants to hear nothing; 0 if it listens."""
        return self._transport.limiter.banned_seconds

    async def post(self, message: Message) -> Receipt:
        """Post once; raises any `ConnectorError`, and `Rejected` with DRILL_GUARD or TOO_LARGE before anything is sent.

        `OutcomeUnknown` and `Misunderstood` leave open whether the message shows.
        """
        self._require_allowed(message)
        if self.is_guarded:
            stamped = self._transport.platform_now()
            self.dialect.request(message, stamped)
            return Receipt(stamped, is_rehearsed=True)
        priority = 0.0 if message.is_urgent else 1.0
        return await _Post(self.dialect, self._transport, message).sent(priority)

    def _require_allowed(self, message: Message) -> None:
        if message.is_drill and not (self.include_drills or self.is_guarded):
            raise Rejected(f"{self.name}: a drill's message stays inside", code=GUARDED)
        size = len(message.text.encode())
        if not 0 < size <= self.limits.text_bytes_max:
            said = f"{self.name}: a text of {size} bytes, where 1 to {self.limits.text_bytes_max} are taken"
            raise Rejected(said, code=TOO_LARGE)


class _Post:
    """One post, with the time it was signed at."""

    def __init__(self, dialect: Dialect, transport: Transport, message: Message) -> None:
        self._dialect, self._transport, self._message = dialect, transport, message
        self._stamped = transport.platform_now()

    async def sent(self, priority: float) -> Receipt:
        # A robot's own path is its secret.
        call = Call(f"{self._dialect.platform}.post", "/{robot}")
        return await self._transport.call(self._build, self._read, call, priority=priority, repeatable=False)

    def _build(self) -> httpx.Request:
        self._stamped = self._transport.platform_now()
        return self._dialect.request(self._message, self._stamped)

    def _read(self, response: httpx.Response) -> Receipt:
        try:
            return Receipt(self._transport.platform_now(), self._dialect.read(response))
        except ConnectorError as error:
            self._black_out(error)
            # The transport has set its clock by the date of this very answer: only the timestamp was wrong.
            is_late = abs(self._transport.platform_now() - self._stamped) > CLOCK_ERROR_MIN
            if is_late and error.code in self._dialect.clock_codes:
                raise Transient(error.message, code=error.code) from None
            raise

    def _black_out(self, error: ConnectorError) -> None:
        """The platform's words are told on, but for what must not be told."""
        for secret in self._dialect.secrets:
            error.message = error.message.replace(secret, "***")
            if isinstance(error, Misunderstood):
                error.body = error.body.replace(secret.encode(), b"***")
        error.args = (error.message,)
