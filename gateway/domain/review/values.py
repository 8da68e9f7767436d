"""What a review says: the values of `proto/gateway/v1/review.proto`, with the names of its fields.

Times are aware UTC, spans of the ledger's clock, quantities units, rates units per minute.
"""

from datetime import datetime, timedelta
from enum import IntEnum

from msgspec import Struct

from gateway.domain.alerts import Event, Session
from gateway.domain.tiers import Tier


class SeriesPoint(Struct, frozen=True, gc=False):
    """From when on, and what."""

    time: datetime
    value: float


class Series(Struct, frozen=True):
    """How something went: each value holds until the next."""

    name: str
    points: tuple[SeriesPoint, ...]
    channel: str = ""


class ReviewWarning(Struct, frozen=True):
    """A warning, and what people did about it."""

    sku: str
    tier: Tier
    revision: int
    time: datetime
    before_stock_out: timedelta | None = None
    lead_times: float | None = None
    needless: bool = False
    acknowledge_after: timedelta | None = None
    acknowledged_by: str = ""
    act_after: timedelta | None = None
    act: str = ""
    act_en: str = ""
    late_cost_units: float = 0.0


class ReviewSku(Struct, frozen=True):
    """One SKU of the session."""

    sku: str
    title: str
    begin_available: int
    received: int
    sold: int
    unsold: int
    lost: float
    oversold: int
    stock_out_time: datetime | None
    out_for: timedelta
    peak_rate: float
    series: tuple[Series, ...]
    adjusted: int


class ReviewChannel(Struct, frozen=True):
    """How one channel kept up."""

    channel: str
    sold: int
    pushes: int
    lag_p50: timedelta | None
    lag_p99: timedelta | None
    lag_max: timedelta | None
    attempts_failed: int
    drifts: int
    lag: Series


class ReviewPolicy(Struct, frozen=True):
    """What one way of warning did, or would have done."""

    name: str
    title: str
    title_en: str
    warnings: int
    needless: int
    caught: int
    stock_outs: int
    minutes_before: float | None = None


class Setting(IntEnum):
    """What advice may set, of a SKU. The numbers are those of the proto and are stored."""

    LEAD_SECONDS = 1
    LEAD_DAYS = 2
    SAFETY_STOCK = 3
    SERVICE_LEVEL = 4


class Change(Struct, frozen=True):
    """A setting as it was when the session was looked back upon, and as it is to be."""

    setting: Setting
    before: float
    after: float


class Advice(Struct, frozen=True):
    """Something to change, and the numbers that say so; `change`: what would be set, if it is a setting of the SKU."""

    kind: str
    text: str
    text_en: str
    sku: str = ""
    channel: str = ""
    change: Change | None = None


class Happening(Struct, frozen=True):
    """Something people did, or were proposed."""

    event: Event
    text: str
    text_en: str
    actor: str = ""


class Review(Struct, frozen=True):
    """A session, looked back upon."""

    session: Session
    begin_time: datetime
    end_time: datetime
    alert_revision: int
    revision: int
    skus: tuple[ReviewSku, ...]
    channels: tuple[ReviewChannel, ...]
    warnings: tuple[ReviewWarning, ...]
    policies: tuple[ReviewPolicy, ...]
    happenings: tuple[Happening, ...]
    advice: tuple[Advice, ...]
    compact_revision: int = 0
