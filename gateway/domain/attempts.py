"""What became of single calls to platforms that were to change a number. A record: nothing is decided by it."""

from datetime import datetime
from enum import IntEnum

from msgspec import Struct


class AttemptOutcome(IntEnum):
    """What became of one call. The numbers are stored, and those of the proto."""

    APPLIED = 1
    # Certainly not done; tried again.
    NOT_APPLIED = 2
    # Sent, and nobody knows.
    UNKNOWN = 3
    REFUSED = 4
    THROTTLED = 5
    # The breaker is open, a token is missing.
    NOT_SENT = 6


class Attempt(Struct, frozen=True, gc=False):
    """One call, as its connector tells; `begin_time` is by the connector's clock, `record_time` by the ledger's.

    `number` counts the calls of a push in one process; another process that goes on with the push counts anew.
    `duration_ms` includes the wait for the call's turn. `http_status` is None if there was no answer. `traceparent` is
    the call's own span.
    """

    push_id: int
    listing_id: int
    channel: str
    number: int
    begin_time: datetime
    duration_ms: int
    outcome: AttemptOutcome
    http_status: int | None = None
    platform_code: str = ""
    platform_request_id: str = ""
    message: str = ""
    next_try_time: datetime | None = None
    traceparent: str | None = None
    record_time: datetime | None = None
