"""Holds whose time has come while the sweeper has not: they are in nobody's way (R7)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from gateway.domain import commands as c
from gateway.domain.groups import Outcome, decide, needs, short_skus
from gateway.domain.stock import SkuRule
from tests.domain.audit import audit, overdue
from tests.domain.histories import LOCATIONS, SKUS, START
from tests.domain.saved import SavedLedger

NOW = START + timedelta(milliseconds=1000)


@pytest.mark.parametrize(
    "command",
    [
        c.ReserveStock("x", (c.ReserveLine("A", 3),)),
        c.ReserveStock("x", (c.ReserveLine("B", 1), c.ReserveLine("A", 2)), allow_partial=True),
        c.ResizeReservation("x", 2, (c.LineQuantity(1, 3),)),
        c.TransferStock("x", "A", "east", "west", 3),
        c.AdjustStock("x", "A", "east", -3),
        c.AdjustStock("x", "A", "east", -4, record_reality=True),
        c.CountStock("x", "A", "east", 1),
        c.CommitReservation("x", 3, retake_expired=True),
        c.CommitReservation("x", 1, retake_expired=True),
    ],
    ids=["reserve", "in part", "resize", "transfer", "adjust", "gone", "count", "retake", "retake it"],
)
def test_an_overdue_hold_is_in_nobodys_way(command: c.AnyCommand) -> None:
    """R7: an expired hold is never counted, even before the sweeper ran: the outcome is as if it had.

    Of a SKU that `short_skus` names, what is overdue is freed and the group decided anew, as `gateway/writer.py` does.
    """
    swept, unswept = shop(), shop()
    swept.apply(NOW, [c.ExpireReservation("", 1)])
    assert apply_freeing(unswept, NOW, [command]) == swept.apply(NOW, [command])
    assert state(unswept) == state(swept)


@pytest.mark.parametrize(
    "command",
    [
        c.ReserveStock("x", (c.ReserveLine("A", 4),)),
        c.ReserveStock("x", (c.ReserveLine("A", 4),), allow_partial=True),
        c.TransferStock("x", "A", "east", "west", 4),
        c.AdjustStock("x", "A", "east", -4),
    ],
)
def test_what_is_still_held_stays_in_the_way(command: c.AnyCommand) -> None:
    """R7: a hold whose time has not come, by a millisecond, is counted."""
    before = NOW - timedelta(milliseconds=1)
    freeing, plain = shop(), shop()
    assert str(apply_freeing(freeing, before, [command])) == str(plain.apply(before, [command]))
    assert freeing.reservations[1] == plain.reservations[1]


def shop() -> SavedLedger:
    """Five units of A: three in reservation 1, overdue at `NOW`; one each in 2 and 4, open; 3 is EXPIRED."""
    saved = SavedLedger(LOCATIONS, {sku: SkuRule() for sku in SKUS})
    saved.apply(START, [c.ReceiveStock("a", "A", "east", 5), c.ReceiveStock("b", "B", "east", 5)])
    saved.apply(START, [_reserve("r1", 3, 1000), _reserve("r2", 1, 60_000), _reserve("r3", 1, 500)])
    saved.apply(START + timedelta(milliseconds=500), [c.ExpireReservation("", 3), _reserve("r4", 1, 60_000)])
    return saved


def _reserve(request_id: str, units: int, ttl_ms: int) -> c.ReserveStock:
    return c.ReserveStock(request_id, (c.ReserveLine("A", units),), ttl_ms)


def apply_freeing(saved: SavedLedger, now: datetime, commands: Sequence[c.AnyCommand]) -> list[Outcome]:
    """Decide; if someone is short of a SKU, free what is overdue of it and decide anew; then save."""
    needed = needs(commands)
    book = saved.load(now, needed)
    outcomes = decide(book, commands)
    if short := short_skus(outcomes):
        late = [r for r in overdue(saved.reservations.values(), now) if any(line.sku in short for line in r.lines)]
        needed.reservation_ids.update(reservation.reservation_id for reservation in late)
        book = saved.load(now, needed)
        decide(book, [c.ExpireReservation("", reservation.reservation_id) for reservation in late])
        outcomes = decide(book, commands)
    saved.save(book.changed())
    audit(saved.levels, saved.reservations, saved.journal, saved.counters.revision)
    return outcomes


def state(saved: SavedLedger) -> SavedLedger:
    """What is kept, once the sweeper has been everywhere."""
    saved.apply(NOW, [c.ExpireReservation("", 1)])
    return saved
