"""What the agent and the gateway say to each other, as values; `gateway_client` puts them on the wire.

Quantities are sales of a listing, which is what a platform calls units; times are aware UTC, on the platform's clock
unless a name says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from connectors.base import ListingKey, Tokens


class PlatformName(StrEnum):
    """Where a shop is."""

    TAOBAO = "taobao"
    DOUYIN = "douyin"
    KUAISHOU = "kuaishou"


class PushKind(IntEnum):
    """What to do to a listing's number. The numbers are those of the proto, and the most urgent has the highest."""

    RAISE = 1
    LOWER = 2
    TO_ZERO = 3


class PushResult(IntEnum):
    """What became of a push. The numbers are those of the proto."""

    APPLIED = 1
    NOT_SENT = 2
    UNKNOWN = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Push:
    """One change of what a listing shows, to be made once."""

    listing_id: int
    key: ListingKey
    push_id: int
    kind: PushKind
    sales: int
    urgency: float = 0.0
    withdrawn: bool = False
    unknown: bool = False
    # The gateway's clock.
    create_time: datetime | None = None
    # The span that decided it; "" if there is none.
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class PushReport:
    """What became of a push; `applied` is what certainly was, whatever the result."""

    listing_id: int
    push_id: int
    result: PushResult
    applied: int = 0
    attempts: int = 0
    duration: timedelta = timedelta()
    error: str = ""
    # The span that carried it out; "" if there is none.
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """A listing is to be read by a call that begins now or later; `read_id` 0: nobody has asked by name."""

    listing_id: int
    key: ListingKey
    read_id: int = 0
    after_push_id: int = 0


@dataclass(frozen=True, slots=True)
class ShelfReading:
    """What a listing showed at some moment between two times, or why it could not be read."""

    listing_id: int
    begin_time: datetime
    end_time: datetime
    shown: int = 0
    after_push_id: int = 0
    read_id: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel as the gateway has it; `connector_id` is that of the process it heard last, "" if none."""

    channel: str
    platform: PlatformName
    paused: bool
    watermark: datetime | None
    create_time: datetime
    connector_id: str = ""
    # The gateway's clock.
    heartbeat_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class StreamBegins:
    """A stream's first message."""

    channel: ChannelState


@dataclass(frozen=True, slots=True)
class StreamIsCurrent:
    """All that was under way when the stream began has been sent."""


@dataclass(frozen=True, slots=True)
class StreamEnds:
    """The gateway ends the stream; `is_replaced`: because another process serves the channel now."""

    reason: str
    retry_after_seconds: float

    @property
    def is_replaced(self) -> bool:
        """True if another process serves the channel."""
        return self.reason == "REPLACED"


StreamEvent = StreamBegins | StreamIsCurrent | StreamEnds | ChannelState | Push | ReadOrder


@dataclass(frozen=True, slots=True)
class Grant:
    """A channel's secrets, and the version to say when its tokens are rotated."""

    credentials_json: str = field(repr=False)
    tokens: Tokens = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a connector fares."""

    connector_id: str
    breaker_open: bool = False
    calls_per_second: float = 0.0
    ban: timedelta = timedelta()
    waiting: int = 0
    needs: str = ""
    calls: int = 0
    retries: int = 0
    forged: int = 0


@dataclass(frozen=True, slots=True)
class KnownListing:
    """A listing of the channel, the push that is under way, and the last that is over; 0 if none is."""

    listing_id: int
    key: ListingKey
    push_id: int = 0
    last_push_id: int = 0


@dataclass(frozen=True, slots=True)
class ListingPage:
    """Some listings, and where the next begin; "" after the last."""

    listings: Sequence[KnownListing]
    next_page_token: str


class GatewayError(Exception):
    """A call to the gateway brought no result."""

    def __init__(self, message: str, *, code: str = "", reason: str = "", wait_seconds: float = 0.0) -> None:
        """`code` is the gRPC status, `reason` the gateway's own word for it, `wait_seconds` its wish for a pause."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.wait_seconds = wait_seconds


class GatewayAway(GatewayError):
    """It did not answer, or not in time, or asked to come again later. Everything the agent says may be said again."""


class GatewayRefused(GatewayError):
    """It answered, and will not take this."""

    @property
    def is_about_content(self) -> bool:
        """True if what was said is wrong, so that without the wrong part the rest would be taken."""
        return self.code in {"INVALID_ARGUMENT", "OUT_OF_RANGE"}
