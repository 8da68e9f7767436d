"""Orders against a small model of their table, and in groups: the grouping must not show."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.groups import Wish
from gateway.domain.listings import ChannelFacts, PushKind, PushResult, Share
from gateway.domain.selling import (
    AskReading,
    JudgeReading,
    MoveWatermark,
    OrderLine,
    OrderState,
    PlanPush,
    ReportPush,
    TakeOrder,
    TakeReading,
)
from tests.domain.counter_desk import (
    CUP,
    ITEMS,
    KIT,
    ON_HAND,
    PAID_FOR,
    at,
    require_accepted,
    require_exposed,
    selling_ledger,
)
from tests.domain.histories import SHRINKING_TIMEOUT, bounded
from tests.selling.ledger import Ledger

pytestmark = pytest.mark.timeout(SHRINKING_TIMEOUT)

PLACED, PAID, CLOSED = OrderState.PLACED, OrderState.PAID, OrderState.CLOSED
UNITS_OF_CUP = {CUP: 1, KIT: 2, PAID_FOR: 1}
FACTS = st.builds(
    ChannelFacts,
    close_restores=st.booleans(),
    refund_restores=st.booleans(),
    clock_margin_ms=st.sampled_from([0, 1000]),
)


@dataclass(frozen=True)
class Snapshot:
    """What a platform says of an order of one line, at a second."""

    second: int
    state: OrderState
    quantity: int
    refunded: int
    shipped: bool


SNAPSHOTS = st.builds(
    lambda second, state, quantity, part, shipped: Snapshot(second, state, quantity, min(part, quantity), shipped),
    st.integers(1, 6),
    st.sampled_from(OrderState),
    st.integers(1, 4),
    st.integers(0, 4),
    st.booleans(),
)


def command_of(listing: int, one: Snapshot, order_id: str = "a") -> TakeOrder:
    back = at(one.second) if one.refunded or one.state is CLOSED else None
    line = OrderLine("1", ITEMS[listing], "", one.quantity, one.refunded, one.shipped, back)
    paid = at(one.second) if one.state is PAID else None
    return TakeOrder("tb", order_id, one.state, (line,), at(0), at(one.second), paid)


# ---- the model


@dataclass
class Model:
    """One order of one line, and what it has done: sales promised and sold, and what its listing may still sell."""

    on_payment: bool
    close_restores: bool
    refund_restores: bool
    known: Snapshot | None = None
    is_taken: bool = False
    promised: int = 0
    sold: int = 0
    exposure: int = 5

    def take(self, now: Snapshot) -> None:
        known = self.known
        if known is not None:
            if now.second < known.second:
                return
            quantity = now.quantity if now.second > known.second else min(now.quantity, known.quantity)
            refunded, shipped = min(quantity, max(now.refunded, known.refunded)), now.shipped or known.shipped
            now = Snapshot(now.second, max(now.state, known.state), quantity, refunded, shipped)
        self.known = now
        if self.is_taken:
            self._bring_up(now)
        else:
            self._first(now)

    def _first(self, now: Snapshot) -> None:
        if self.on_payment and now.state is not PAID:
            return
        self.is_taken = True
        back = now.quantity if now.state is CLOSED else 0 if now.shipped else now.refunded
        restored = back if (self.close_restores if now.state is CLOSED else self.refund_restores) else 0
        self.exposure -= now.quantity - restored
        if now.state is PAID:
            self.sold = now.quantity - back
        else:
            self.promised = now.quantity - back

    def _bring_up(self, now: Snapshot) -> None:
        if now.state is PAID:
            self.sold, self.promised = self.sold + self.promised, 0
        restores = self.refund_restores if self.sold and now.state is not CLOSED else self.close_restores
        wanted = 0 if now.state is CLOSED else now.quantity - (0 if now.shipped else now.refunded)
        back = max(0, self.sold + self.promised - wanted)
        self.exposure += back if restores else 0
        if self.sold:
            self.sold -= back
        else:
            self.promised -= back


def said_by_ledger(ledger: Ledger, listing: int) -> tuple[int, int, int]:
    """Sales promised, sold, and still to be sold, by what lies on the shelves."""
    levels = [level for (sku, _), level in ledger.levels.items() if sku == "CUP"]
    reserved, on_hand = sum(level.reserved for level in levels), sum(level.on_hand for level in levels)
    units = UNITS_OF_CUP[listing]
    gone = 2 * ON_HAND - on_hand
    assert reserved % units == gone % units == 0
    return reserved // units, gone // units, ledger.listings[listing].state.sales_left


@bounded(max_examples=400)
@given(st.sampled_from([CUP, KIT, PAID_FOR]), FACTS, st.lists(SNAPSHOTS, max_size=7))
def test_the_ledger_does_what_the_table_says(listing: int, facts: ChannelFacts, told: list[Snapshot]) -> None:
    """Whatever snapshots come, however old: promises, sales and exposure are those of the table, at every step."""
    ledger = selling_ledger(facts)
    model = Model(listing == PAID_FOR, facts.close_restores, facts.refund_restores)
    for one in told:
        require_accepted(ledger.apply(command_of(listing, one)))
        model.take(one)
        assert said_by_ledger(ledger, listing) == (model.promised, model.sold, model.exposure)
        require_exposed(ledger)


@bounded(max_examples=150)
@given(FACTS, st.permutations([Snapshot(1, PLACED, 3, 0, False), Snapshot(2, PLACED, 2, 0, False)]), st.data())
def test_the_order_of_arrival_does_not_matter(facts: ChannelFacts, early: list[Snapshot], data: st.DataObject) -> None:
    """A life told in any order, some of it twice, has one end: only the platform's time counts."""
    ends = [
        [Snapshot(3, PAID, 2, 0, False), Snapshot(4, PAID, 2, 1, False), Snapshot(5, PAID, 2, 2, False)],
        [Snapshot(3, PAID, 2, 0, False), Snapshot(4, PAID, 2, 0, True), Snapshot(5, PAID, 2, 2, True)],
        [Snapshot(3, CLOSED, 2, 0, False)],
    ]
    life = early + data.draw(st.sampled_from(ends))
    in_order, shuffled = selling_ledger(facts), selling_ledger(facts)
    for one in sorted(life, key=lambda each: each.second):
        in_order.apply(command_of(CUP, one))
    for one in data.draw(st.permutations(life + life[:2])):
        shuffled.apply(command_of(CUP, one))
    promised, sold, left = said_by_ledger(in_order, CUP)
    assert said_by_ledger(shuffled, CUP)[:2] == (promised, sold)
    if facts.close_restores and facts.refund_restores:
        # Elsewhere a platform has kept what nobody has seen to come and go.
        assert said_by_ledger(shuffled, CUP)[2] == left


# ---- groups


def steps() -> st.SearchStrategy[Wish]:
    """Whatever may reach a listing: orders, watermarks, readings and questions, pushes and reports on them."""
    numbers = st.sampled_from([CUP, KIT, PAID_FOR])
    seconds = st.integers(0, 8)
    shares = st.lists(st.builds(Share, st.sampled_from(["east", "west"]), st.integers(1, 3)), min_size=1, max_size=2)
    return st.one_of(
        st.builds(command_of, numbers, SNAPSHOTS, st.sampled_from(["a", "b", "c"])),
        st.builds(lambda second: MoveWatermark("tb", at(second)), seconds),
        st.builds(
            lambda n, shown, s: TakeReading(n, shown, at(s), at(s), after_push_id=n),
            numbers,
            st.integers(0, 6),
            seconds,
        ),
        st.builds(JudgeReading, numbers),
        st.builds(AskReading, numbers),
        st.builds(lambda n, kind, s: PlanPush(n, kind, tuple(s)), numbers, st.sampled_from(PushKind), shares),
        st.builds(
            ReportPush,
            numbers,
            st.integers(4, 9),
            st.sampled_from(sorted(set(PushResult) - {PushResult.READ_BACK})),
            st.integers(0, 4),
        ),
    )


@bounded(max_examples=300)
@given(FACTS, st.lists(steps(), max_size=16), st.lists(st.booleans(), min_size=16, max_size=16))
def test_the_grouping_does_not_show(facts: ChannelFacts, told: list[Wish], cuts: list[bool]) -> None:
    """Cut into groups anyhow, the same comes of it as one by one; and levels expose what listings may sell."""
    singly, grouped = selling_ledger(facts), selling_ledger(facts)
    for one in told:
        require_accepted(singly.apply(one))
        require_exposed(singly)
    group: list[Wish] = []
    for one, is_cut in zip(told, cuts, strict=False):
        # A reading is judged once it was seen to be there, so never in the group that brought it.
        has_reading = any(isinstance(wish, TakeReading) for wish in group)
        if is_cut or (has_reading and isinstance(one, TakeReading | JudgeReading)):
            require_accepted(grouped.apply(*group))
            group = []
        group.append(one)
    require_accepted(grouped.apply(*group))
    assert state_of(grouped) == state_of(singly)


@pytest.mark.parametrize("is_together", [True, False])
def test_orders_that_come_with_the_watermark_count(*, is_together: bool) -> None:
    """A reading is judged with the orders of its own group: sold since, and given back since, is neither drift."""
    ledger = selling_ledger(ChannelFacts(clock_margin_ms=0))
    require_accepted(ledger.apply(command_of(CUP, Snapshot(1, PLACED, 2, 0, shipped=False), "a")))
    require_accepted(ledger.apply(TakeReading(CUP, 3, at(2), at(2), after_push_id=CUP)))
    group: list[Wish] = [
        command_of(CUP, Snapshot(3, CLOSED, 2, 0, shipped=False), "a"),
        TakeOrder("tb", "b", PAID, (OrderLine("1", ITEMS[CUP], "", 4),), at(4), at(4), at(4)),
        MoveWatermark("tb", at(5)),
        JudgeReading(CUP),
    ]
    for part in [group] if is_together else [[one] for one in group]:
        require_accepted(ledger.apply(*part))
    state = ledger.listings[CUP].state
    assert (state.sales_left, state.reading) == (1, None)
    assert ledger.counters.drift == 0


def state_of(ledger: Ledger) -> dict[str, Any]:
    return {
        "levels": ledger.levels,
        "listings": ledger.listings,
        "orders": ledger.orders,
        "channels": ledger.channels,
        "shortfalls": ledger.shortfalls,
        "reservations": ledger.reservations,
    }
