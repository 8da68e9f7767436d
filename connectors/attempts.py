"""Single calls to a platform that are to change a number, told to who asked for the change.

The transport sees every try, and knows what it was about; what it meant is known a station up (a refusal may mean "less
is shown than that"). So the last try is held until the next one, or until the push that it was for has heard its
meaning.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

from connectors.base import ListingKey
from connectors.errors import AuthExpired, BelowZero, ConnectorError, Rejected, Throttled, Transient

MESSAGE_LENGTH_MAX = 500
CODE_LENGTH_MAX = 128
# The front refuses by itself: nothing has left this process.
BREAKER_OPEN, PARKED, BANNED = "BREAKER_OPEN", "PARKED", "BANNED"
# As Taobao, Kuaishou and Douyin call a request's number in an answer.
_REQUEST_ID = re.compile(rb'"(?:request_id|log_id)"\s*:\s*"([\w.:-]{1,128})"', re.ASCII)


class AttemptOutcome(IntEnum):
    """What became of one call. The numbers are those of the proto."""

    APPLIED = 1
    NOT_APPLIED = 2
    UNKNOWN = 3
    REFUSED = 4
    THROTTLED = 5
    NOT_SENT = 6


class Call(NamedTuple):
    """What is called: the platform's name of the method, and the path without what varies in it.

    `changes` are the listings whose number it is to change; () of a call that only reads.
    """

    method: str
    template: str
    changes: tuple[ListingKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a call, as the transport saw it; `http_status` 0: no answer. Times are this machine's."""

    begin_time: datetime
    duration: timedelta = timedelta()
    outcome: AttemptOutcome = AttemptOutcome.APPLIED
    http_status: int = 0
    platform_code: str = ""
    platform_request_id: str = ""
    message: str = ""
    next_try_time: datetime | None = None
    traceparent: str = ""

    def meaning(self, error: ConnectorError) -> "Try":
        """The same try, which has come to this error."""
        return replace(
            self,
            outcome=outcome_of_try(error),
            platform_code=one_line(error.code, CODE_LENGTH_MAX),
            message=one_line(error.message, MESSAGE_LENGTH_MAX),
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that was for a push; `number` counts those of the push in this process."""

    push_id: int
    listing_id: int
    number: int
    what: Try


class Tries:
    """The tries for one push."""

    def __init__(self, push_id: int, listing_id: int, key: ListingKey, tell: Callable[[Attempt], None]) -> None:
        """`tell` is told of each, once it is known what it meant and what comes after it."""
        self._push_id, self._listing_id, self.key, self._tell = push_id, listing_id, key, tell
        self._last: Try | None = None
        self._number = 0

    @contextmanager
    def heard(self) -> Iterator[None]:
        """The calls that are made in here, and that change our listing, are tries for the push.

        An error that comes out of here is what the last of them meant; without any, it was never sent.
        """
        self._told()
        begin_time = datetime.now(UTC)
        try:
            with hearing(self):
                yield
        except ConnectorError as error:
            self.meant(error, begin_time)
            raise

    def tried(self, one: Try) -> None:
        """The transport has tried."""
        self._told()
        self._number += 1
        self._last = one

    def meant(self, error: ConnectorError, begin_time: datetime | None = None) -> None:
        """What the last call has come to in the end."""
        if self._last is None:
            self.tried(Try(begin_time or datetime.now(UTC)))
        assert self._last is not None
        self._last = self._last.meaning(error)

    def again_in(self, seconds: float | None) -> None:
        """The last try is over, and there will be another after so long; None: nobody knows, or there is none."""
        if self._last is not None and seconds is not None:
            self._last = replace(self._last, next_try_time=datetime.now(UTC) + timedelta(seconds=seconds))
        self._told()

    def _told(self) -> None:
        if self._last is not None:
            self._tell(Attempt(self._push_id, self._listing_id, self._number, self._last))
            self._last = None


_listeners: ContextVar[tuple[Tries, ...]] = ContextVar("listeners", default=())


@contextmanager
def hearing(*tries: Tries) -> Iterator[None]:
    """The calls that are made in here are told to these, each of what concerns it."""
    token = _listeners.set(tries)
    try:
        yield
    finally:
        _listeners.reset(token)


def listeners(call: Call) -> list[Tries]:
    """Those whose listing is changed by the call that is made now."""
    return [tries for tries in _listeners.get() if tries.key in call.changes] if call.changes else []


def outcome_of_try(error: ConnectorError) -> AttemptOutcome:
    """What an error says of the call that it came from; only what is certain."""
    if error.code in {BREAKER_OPEN, PARKED, BANNED}:
        return AttemptOutcome.NOT_SENT
    match error:
        case Throttled():
            outcome = AttemptOutcome.THROTTLED
        # The same, with less of it or with another token, follows.
        case Transient() | AuthExpired() | BelowZero():
            outcome = AttemptOutcome.NOT_APPLIED
        case Rejected():
            outcome = AttemptOutcome.REFUSED
        case _:
            outcome = AttemptOutcome.UNKNOWN
    return outcome


def request_id_in(answer: bytes) -> str:
    """The platform's number of a request, from its answer; "" if there is none."""
    found = _REQUEST_ID.search(answer)
    return found[1].decode() if found else ""


def one_line(text: str, length_max: int) -> str:
    """A platform's words, fit for a log and a screen: one line, not too long."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:length_max]
