"""What was recorded of a session: all that a review is made from, and nothing that was not.

Times are the model's seconds since the Unix epoch (`vigil.py: Tempo`), so that a case that is played faster is judged
like any other; what people read is on the ledger's clock again.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from gateway.domain.alerts import Event, Session
from gateway.domain.review.values import Setting
from gateway.domain.vigil import Circumstances, Moved, Tempo


class Shown(Struct, frozen=True, gc=False):
    """What a channel could still sell of a SKU from a time on, in its units (R22: its exposure)."""

    time: float
    channel: str
    units: int


class Settings(Struct, frozen=True):
    """What a SKU's warnings go by, and its safety stock; `lead_days` is the catalog's lead time, which comes first."""

    service_level: float
    lead_seconds: float
    lead_days: float | None
    safety_stock: int

    def value(self, setting: Setting) -> float | None:
        """What a setting is; None if nobody has said."""
        return {
            Setting.LEAD_SECONDS: self.lead_seconds,
            Setting.LEAD_DAYS: self.lead_days,
            Setting.SAFETY_STOCK: self.safety_stock,
            Setting.SERVICE_LEVEL: self.service_level,
        }[setting]


class SkuRecord(Struct, frozen=True):
    """One SKU: units by location when the session began, its movements since, what it was sold under.

    `circumstances.exclusive_units` are the session's own units; then only its channels' movements count.
    """

    sku: str
    title: str
    balances: dict[str, int]
    movements: tuple[Moved, ...]
    circumstances: Circumstances
    shown: tuple[Shown, ...] = ()
    oversold: int = 0
    settings: Settings | None = None


class PushTold(Struct, frozen=True, gc=False):
    """A change of a platform's number that was settled: since when it was due, when it was, how many calls failed."""

    channel: str
    due: float
    settled: float
    is_applied: bool
    failed: int


class SessionRecord(Struct, frozen=True):
    """A session from `begin` to `end`; the newest movement and the newest event that are in it.

    `compact_revision`: events up to it were removed from the log before this was read; 0 if none of the session's were.
    `drifts` are counted by channel.
    """

    session: Session
    tempo: Tempo
    begin: float
    end: float
    revision: int
    alert_revision: int
    skus: tuple[SkuRecord, ...]
    events: tuple[Event, ...] = ()
    pushes: tuple[PushTold, ...] = ()
    drifts: dict[str, int] = {}
    compact_revision: int = 0

    @property
    def is_over(self) -> bool:
        """True when nothing more can happen in it."""
        return self.session.close_time is not None

    def time(self, seconds: float) -> datetime:
        """A time of the model, on the ledger's clock."""
        return self.tempo.time(seconds)

    def span(self, seconds: float) -> timedelta:
        """A span of the model, on the ledger's clock."""
        return timedelta(seconds=seconds / self.tempo.speed)

    def seconds(self, time: datetime) -> float:
        """A time of the ledger's clock, in the model's seconds."""
        return self.tempo.seconds(time)
