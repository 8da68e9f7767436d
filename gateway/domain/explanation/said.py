"""What is said of a number: fourteen deciders in order, a cause, a verdict, one sentence (R32). Chinese and English.

From the ledger to what a platform shows there are fourteen stations. Each says whether it is the reason why the number
is not what one would expect, and the first that is not OK is the cause. Which says what: `inner.py`, `calls.py` and
`shelf.py`; how they are put together: `explaining.py`.
"""

from datetime import datetime, timedelta
from enum import IntEnum

from msgspec import Struct

from gateway.domain.listings import Listing

_MINUTE, _HOUR, _NAMES_MAX = 60, 3_600, 5


class DeciderKind(IntEnum):
    """A station on the way from the ledger to what a platform shows. The numbers are those of the proto."""

    LEDGER = 1
    RESERVATIONS = 2
    ALLOCATOR = 3
    POLICY = 4
    EXPOSURE = 5
    GUARD = 6
    PUSH = 7
    DELIVERY = 8
    RATE_LIMIT = 9
    BREAKER = 10
    ATTEMPT = 11
    READING = 12
    ORDERS = 13
    RECONCILIATION = 14


class DeciderVerdict(IntEnum):
    """What a decider says. The numbers are those of the proto."""

    OK = 1
    # It goes on by itself.
    WAITS = 2
    # It is stopped here.
    BLOCKS = 3
    # It does not say.
    UNKNOWN = 4
    # The number is what this rule makes of it, and nothing is wrong.
    DECIDES = 5


class ExplanationVerdict(IntEnum):
    """Why a listing shows what it shows. The numbers are those of the proto."""

    IN_STEP = 1
    IN_FLIGHT = 2
    DELAYED = 3
    BLOCKED = 4
    DRIFTED = 5
    PLATFORM_CACHED = 6
    RULE_INTENDED = 7


class Said(Struct, frozen=True):
    """The same twice: in Chinese and in English."""

    zh: str = ""
    en: str = ""


NOTHING = Said()


class EvidenceRow(Struct, frozen=True):
    """A row that proves what is said, named as the API names it."""

    kind: str
    id: str


class Decider(Struct, frozen=True):
    """What one station says; `next` is what happens by itself, `action` what a person can do.

    `traceparent` (W3C) is the span of what it goes by, "" if that is not traced.
    """

    kind: DeciderKind
    text: Said
    verdict: DeciderVerdict = DeciderVerdict.OK
    since: datetime | None = None
    evidence: tuple[EvidenceRow, ...] = ()
    traceparent: str = ""
    next: Said = NOTHING
    next_time: datetime | None = None
    action: Said = NOTHING

    @property
    def is_fine(self) -> bool:
        """False if it is, or comes after, the reason why the number is not what one would expect."""
        return self.verdict in {DeciderVerdict.OK, DeciderVerdict.UNKNOWN}


class Explanation(Struct, frozen=True):
    """Why a listing shows what it shows, as of one moment.

    `available` is in units of the SKU, at the locations that serve the channel; `wanted` in sales of the listing, None
    if it is not known. `cause` is None if nothing is to be explained.
    """

    listing: Listing
    sku: str
    as_of: datetime
    revision: int
    available: int
    wanted: int | None
    verdict: ExplanationVerdict
    cause: DeciderKind | None
    headline: Said
    deciders: tuple[Decider, ...]


def row(kind: str, number: int | str) -> EvidenceRow:
    """A row by its kind and its number or id."""
    return EvidenceRow(kind, str(number))


# ---- words for times and numbers


def lasting(length: timedelta) -> Said:
    """A length of time, as people say it: whole seconds, then minutes, hours, days; never below zero."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < _MINUTE:
        return Said(f"{seconds} 秒", f"{seconds} s")
    if seconds < _HOUR:
        return Said(f"{seconds // 60} 分 {seconds % 60} 秒", f"{seconds // 60} min {seconds % 60} s")
    minutes = seconds // 60
    if minutes < 48 * 60:
        return Said(f"{minutes // 60} 小时 {minutes % 60} 分", f"{minutes // 60} h {minutes % 60} min")
    return Said(f"{minutes // 1_440} 天", f"{minutes // 1_440} days")


def listed(names: list[str]) -> str:
    """Up to five names, and how many more there are."""
    return ", ".join(names[:_NAMES_MAX]) + (f" +{len(names) - _NAMES_MAX}" if len(names) > _NAMES_MAX else "")
