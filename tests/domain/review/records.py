"""A session as it might have been recorded: made by hand, in seconds after its beginning."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.domain.alerts import Body, Event, EventKind, Session, SessionSku, TierTold
from gateway.domain.chances import LeadTime
from gateway.domain.demand import StockOutTimes
from gateway.domain.review.record import SessionRecord, SkuRecord
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Evidence, Tier
from gateway.domain.vigil import Circumstances, Moved, Tempo

OPENED = datetime(2026, 11, 11, 12, tzinfo=UTC)
BEGIN = OPENED.timestamp()
LEAD_SECONDS = 600.0
LENGTH_SECONDS = 3_600.0
SESSION_ID = 5


class Tape:
    """The movements of one SKU at one place, as they are booked."""

    def __init__(self, sku: str = "TEA", units: int = 60) -> None:
        self.sku, self.begin_units, self.units = sku, units, units
        self.movements: list[Moved] = []
        self.taken: dict[int, int] = {}

    def order(self, at: float, quantity: int = 1, channel: str = "tb") -> int:
        """An order takes units; the number of its reservation."""
        self.units -= quantity
        number = len(self.movements) + 1
        self.taken[number] = quantity
        self._book(at, MovementKind.RESERVE, quantity, 0, quantity, number, channel)
        return number

    def release(self, at: float, number: int, channel: str | None = "tb") -> None:
        """An order gives its units back."""
        quantity = self.taken.pop(number)
        self.units += quantity
        self._book(at, MovementKind.RELEASE, quantity, 0, -quantity, number, channel)

    def commit(self, at: float, number: int) -> None:
        """An order's units leave."""
        quantity = self.taken[number]
        self._book(at, MovementKind.COMMIT, quantity, -quantity, -quantity, number, "tb")

    def receive(self, at: float, quantity: int) -> None:
        """Units come."""
        self.units += quantity
        self._book(at, MovementKind.RECEIVE, quantity, quantity, 0, None, None)

    def adjust(self, at: float, change: int) -> None:
        """Somebody corrects what is on hand."""
        self.units += change
        self._book(at, MovementKind.ADJUST, abs(change), change, 0, None, None)

    def record(self, title: str = "", **content: Any) -> SkuRecord:
        """The SKU as it was recorded."""
        known: dict[str, Any] = {"session_end": BEGIN + LENGTH_SECONDS, "sold_in": True}
        circumstances = Circumstances(LeadTime(LEAD_SECONDS), **(known | content.pop("circumstances", {})))
        balances = {"main": self.begin_units}
        return SkuRecord(self.sku, title or self.sku, balances, tuple(self.movements), circumstances, **content)

    def _book(
        self,
        at: float,
        kind: MovementKind,
        quantity: int,
        on_hand: int,
        reserved: int,
        reservation_id: int | None,
        channel: str | None,
    ) -> None:
        number = len(self.movements) + 1
        movement = Moved(
            number, BEGIN + at, kind, self.sku, "main", quantity, on_hand, reserved, self.units, reservation_id, channel
        )
        self.movements.append(movement)


def told(at: float, before: Tier, after: Tier, sku: str = "TEA", revision: int = 0) -> Event:
    """A change of a SKU's tier."""
    evidence = Evidence(1, 1, False, 0.5, 0.5, 0.5, LEAD_SECONDS, 1.0, 1.0, 0.0, 3.0, BEGIN, 9, True, False)
    body = TierTold(before, after, evidence, StockOutTimes(None, None, None))
    return event(at, EventKind.TIER_CHANGE, body, sku, revision)


def event(at: float, kind: EventKind, body: Body, sku: str = "TEA", revision: int = 0) -> Event:
    """Something the log has told."""
    time = OPENED + timedelta(seconds=at)
    number = revision or 10 + int(at)
    return Event(revision=number, record_time=time, observe_time=time, kind=kind, body=body, sku=sku)


def record(
    *skus: SkuRecord, events: Sequence[Event] = (), length: float = LENGTH_SECONDS, is_over: bool = True, **content: Any
) -> SessionRecord:
    """A session of these SKUs, an hour long."""
    close_time = OPENED + timedelta(seconds=length) if is_over else None
    session = Session(
        "一号直播间",
        ("tb", "dy"),
        tuple(SessionSku(sku.sku) for sku in skus),
        OPENED,
        OPENED + timedelta(seconds=LENGTH_SECONDS),
        SESSION_ID,
        close_time,
        "小王",
    )
    return SessionRecord(session, Tempo(), BEGIN, BEGIN + length, 100, 200, tuple(skus), tuple(events), **content)
