"""A reading from before a push: what it proves, and that it says nothing of the push (R22, R25)."""

import pytest

from gateway.domain.listings import ChannelFacts, PushKind, PushResult, Share
from gateway.domain.selling import (
    JudgeReading,
    MoveWatermark,
    OrderLine,
    OrderState,
    PlanPush,
    ReportPush,
    TakeOrder,
    TakeReading,
)
from tests.domain.counter_desk import CUP, ITEMS, at, require_exposed, selling_ledger


@pytest.mark.parametrize("kind", [PushKind.RAISE, PushKind.LOWER])
def test_a_push_under_way_outlives_a_reading_from_before(kind: PushKind) -> None:
    """The reading is judged, with what the push may add; the push stays until it is reported, and nobody reads amid it.

    Were it taken for done, the next reading would be believed although the call may come to its end after it.
    """
    ledger = selling_ledger(ChannelFacts(clock_margin_ms=0))
    before = ledger.listings[CUP].state
    ledger.apply(TakeReading(CUP, 5, at(1), at(1), after_push_id=before.last_push_id))
    ledger.apply(PlanPush(CUP, kind, (Share("east", 2),)))
    push = ledger.listings[CUP].state.push
    assert push is not None
    ledger.apply(MoveWatermark("tb", at(2)))
    ledger.apply(JudgeReading(CUP))
    state = ledger.listings[CUP].state
    assert (state.push, state.reading) == (push, None)
    assert state.sales_left == (7 if kind is PushKind.RAISE else 5)
    ledger.apply(TakeReading(CUP, 5, at(3), at(3), after_push_id=push.push_id))
    assert ledger.listings[CUP].state.reading is None
    ledger.apply(ReportPush(CUP, push.push_id, PushResult.APPLIED, 1))
    state = ledger.listings[CUP].state
    assert (state.push, state.sales_left) == (None, 6 if kind is PushKind.RAISE else 4)
    require_exposed(ledger)


def test_a_push_under_way_may_still_get_lost() -> None:
    """Judged amid it, reported as unknown afterwards: it counts until a reading that was asked for says what it did."""
    ledger = selling_ledger(ChannelFacts(clock_margin_ms=0))
    ledger.apply(TakeReading(CUP, 5, at(1), at(1), after_push_id=ledger.listings[CUP].state.last_push_id))
    ledger.apply(PlanPush(CUP, PushKind.RAISE, (Share("east", 2),)))
    ledger.apply(MoveWatermark("tb", at(2)))
    ledger.apply(JudgeReading(CUP))
    push = ledger.listings[CUP].state.push
    assert push is not None
    ledger.apply(ReportPush(CUP, push.push_id, PushResult.UNKNOWN))
    state = ledger.listings[CUP].state
    assert state.push is not None
    assert state.push.unknown_since is not None
    assert state.sales_left == 7
    require_exposed(ledger)


def test_a_reading_waits_for_its_orders_and_not_for_ever() -> None:
    """Where orders are late the first reading stays, so that one is judged at last; after ten minutes it gives way.

    The newer one then proves what it saw: five at the second -398, of which one was sold later.
    """
    ledger = selling_ledger(ChannelFacts(clock_margin_ms=0))
    last = ledger.listings[CUP].state.last_push_id
    for second, shown, kept in ((-999, 4, -999), (-700, 3, -999), (-399, 3, -999), (-398, 5, -398), (-397, 2, -398)):
        ledger.apply(TakeReading(CUP, shown, at(second), at(second), after_push_id=last))
        reading = ledger.listings[CUP].state.reading
        assert reading is not None
        assert reading.begin_time == at(kept), second
    line = OrderLine("1", ITEMS[CUP], "", 1)
    ledger.apply(TakeOrder("tb", "a", OrderState.PAID, (line,), at(-390), at(-390), at(-390)))
    ledger.apply(MoveWatermark("tb", at(0)), JudgeReading(CUP))
    state = ledger.listings[CUP].state
    assert (state.reading, state.sales_left) == (None, 4)
    require_exposed(ledger)
