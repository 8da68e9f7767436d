"""Which movements a push answers: each listing its own, none twice, none forgotten while it cannot be answered."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.domain.causes import TRACEPARENTS_MAX, WAITING_MAX, Cause, Causes
from gateway.domain.division import Situation
from gateway.domain.listings import Component, Listing, Push, PushKind
from tests.domain.test_allocation import CHANNELS, listing, situation
from tests.selling.timeline import START

UNITS = {("CUP", "east"): 10}
TB, DY = (listing(number, code) for number, code in enumerate(CHANNELS[:2], 1))


def cause(revision: int, seconds: float = 0.0, *traceparents: str) -> Cause:
    """A movement."""
    return Cause(revision, START + timedelta(seconds=seconds), traceparents)


def look(*listings: Listing) -> Situation:
    """The allocator looks at these."""
    return situation(listings, UNITS)


def busy(one: Listing) -> Listing:
    """The same, with a push under way."""
    push = Push(1, PushKind.RAISE, (), START)
    return replace(one, state=replace(one.state, push=push))


def revision_of(found: Cause | None) -> int | None:
    """Up to where a push answers."""
    return None if found is None else found.revision


def test_a_push_answers_all_that_has_moved_since_the_last() -> None:
    """The newest revision, the oldest time, every span once."""
    causes = Causes()
    for moved in (cause(4, 2, "a"), cause(6, 1, "b", "a"), cause(9, 3)):
        causes.add("CUP", moved)
    assert causes.of(TB) == Cause(9, START + timedelta(seconds=1), ("a", "b"))
    causes.settle(look(TB, DY), {1: PushKind.RAISE})
    assert causes.of(TB) is None


def test_who_needed_no_push_has_answered() -> None:
    """What moved then is not the reason of what is done later."""
    causes = Causes()
    causes.add("CUP", cause(4))
    causes.settle(look(TB, DY), {})
    causes.add("CUP", cause(7, 60))
    assert causes.of(TB) == cause(7, 60)


def test_what_moves_while_a_push_is_under_way_waits_for_the_next() -> None:
    """Of that listing; the others go on."""
    causes = Causes()
    causes.add("CUP", cause(4))
    causes.settle(look(busy(TB), DY), {})
    causes.add("CUP", cause(7, 1))
    assert (revision_of(causes.of(TB)), causes.of(DY)) == (7, cause(7, 1))
    assert causes.of(TB) == cause(7, 0)


def test_a_push_that_came_to_nothing_has_answered_nothing() -> None:
    """The next one answers for both, and so on; as soon as none is needed, that is over."""
    causes = Causes()
    causes.add("CUP", cause(4, 0, "a"))
    for number in range(3):
        answers = causes.of(TB, again=True)
        assert answers == (cause(4, 0, "a") if number == 0 else cause(10 + number - 1, 0, "a"))
        causes.settle(look(TB, DY), {1: PushKind.RAISE}, {1: answers})
        causes.add("CUP", cause(10 + number, 60))
    assert causes.has_promised(1)
    assert causes.of(TB) == cause(12, 60)
    causes.settle(look(TB, DY), {})
    assert not causes.has_promised(1)
    assert causes.of(TB, again=True) is None


def test_what_was_overtaken_is_not_answered() -> None:
    """A push was wanted, and could not be by the time it was written down."""
    causes = Causes()
    causes.add("CUP", cause(4))
    causes.settle(look(TB, DY), {}, {1: cause(4)})
    assert (causes.of(TB), causes.of(DY)) == (cause(4), None)


@pytest.mark.parametrize("has_units", [True, False])
def test_who_waits_for_anothers_lowering_has_not_answered(has_units: bool) -> None:
    """He shows nothing, and what he could have is on its way out of the other; where there is none, he needs none."""
    causes = Causes()
    causes.add("CUP", cause(4))
    full, hungry = listing(1, "tb", exposure={"east": 10}), listing(2, "dy")
    units = UNITS if has_units else {("CUP", "east"): 0}
    seen = situation([full, hungry], units)
    causes.settle(seen, {1: PushKind.LOWER})
    assert causes.of(full) is None
    assert causes.of(hungry) == (cause(4) if has_units else None)
    pushed = replace(full.state, push=Push(1, PushKind.LOWER, (), START))
    causes.settle(situation([replace(full, state=pushed), hungry], units), {})
    assert causes.of(hungry) == (cause(4) if has_units else None)
    causes.settle(seen, {})
    assert causes.of(hungry) is None


def test_a_channel_that_is_away_answers_when_it_is_back() -> None:
    """However long that is: the time it took is what people ask for."""
    causes = Causes()
    causes.add("CUP", cause(4))
    closed = replace(look(TB, DY), open_channels=frozenset({"dy"}))
    for number in range(3):
        causes.settle(closed, {2: PushKind.RAISE})
        causes.add("CUP", cause(10 + number, 100))
    assert causes.of(TB) == cause(12, 0)
    assert causes.of(DY) == cause(12, 100)


def test_a_kit_answers_for_each_of_its_goods() -> None:
    """Whichever of them has moved."""
    kit = listing(3, "tb", (Component("CUP", 1), Component("LID", 2)))
    causes = Causes()
    causes.add("LID", cause(4, 0, "a"))
    assert causes.of(kit) == cause(4, 0, "a")
    assert causes.of(TB) is None
    causes.add("CUP", cause(5, 0, "b"))
    assert causes.of(kit) == cause(5, 0, "a", "b")


def test_goods_nobody_sells_leave_nothing() -> None:
    """They would be remembered for ever."""
    causes = Causes()
    causes.add("CUP", cause(4))
    causes.forget(["CUP"])
    assert causes.of(TB) is None


def test_what_waits_is_bounded() -> None:
    """The oldest time is kept, and the newest spans."""
    causes = Causes()
    for number in range(1, 3 * WAITING_MAX):
        causes.add("CUP", cause(number, number, f"span-{number}"))
    found = causes.of(TB)
    assert found is not None
    assert (found.revision, found.time) == (3 * WAITING_MAX - 1, START + timedelta(seconds=1))
    assert len(found.traceparents) == TRACEPARENTS_MAX
    assert found.traceparents[-1] == f"span-{3 * WAITING_MAX - 1}"
