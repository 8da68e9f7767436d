"""What is proposed when a SKU will not last (R45): each kind where it helps, and nothing where it does not."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.alerts import Proposal, ProposalKind, ProposalState
from gateway.domain.proposals import OPEN_FOR, Alternative, Need, bars, gives_up, is_over, propose
from gateway.domain.tiers import Tier
from tests.domain.histories import bounded
from tests.selling.timeline import START

MOVE, RAISE = ProposalKind.MOVE_UNITS, ProposalKind.RAISE_EXCLUSIVE
LIST, SLOW = ProposalKind.LIST_SUBSTITUTE, ProposalKind.SLOW_PACE

Kinds = tuple[ProposalKind, ...]


def need(**content: Any) -> Need:
    """20 cups at 2 a minute with an hour to go, in session 7."""
    usual = {"units": 20, "rate": 2.0, "minutes": 60.0, "demand": 120, "session_id": 7, "to_location": "main"}
    return Need("CUP", "马克杯", content.pop("tier", Tier.THRESHOLD), **{**usual, **content})


def kinds(
    one: Need, barred: tuple[ProposalKind, ...] = (), pending: tuple[ProposalKind, ...] = ()
) -> list[ProposalKind]:
    """What is proposed."""
    return [found.kind for found in propose(one, barred, pending, START)]


def test_units_that_lie_free_elsewhere_are_to_be_moved() -> None:
    """As many as are missing until the end, from where most lie, at most what is there; the reason has the numbers."""
    (found,) = propose(need(elsewhere={"east": 30, "north": 200}), (), (), START)
    assert (found.kind, found.quantity, found.from_location, found.to_location) == (MOVE, 100, "north", "main")
    assert found.reason == "马克杯还有20件，每分钟约2.0单，60分钟内可能要120件；north有200件空闲，可调100件到main"
    assert "move 100 to main" in found.reason_en
    assert (found.state, found.session_id, found.propose_time) == (ProposalState.OPEN, 7, START)
    (found,) = propose(need(elsewhere={"east": 30}, tier=Tier.TREND), (), (), START)
    assert found.quantity == 30


def test_what_lasts_is_left_where_it_is() -> None:
    """Nothing missing, or nowhere to bring it: nothing to move."""
    assert kinds(need(units=120, elsewhere={"east": 30}, tier=Tier.TREND)) == []
    assert kinds(need(to_location="", elsewhere={"east": 30}, tier=Tier.TREND)) == []
    assert kinds(need(elsewhere={"east": 30}, tier=Tier.NORMAL)) == []


def test_a_room_with_its_own_gets_more_where_others_have_plenty() -> None:
    """Half of what others have is theirs in any case."""
    (found,) = propose(need(own=True, others_units=90, tier=Tier.TREND), (), (), START)
    assert (found.kind, found.quantity) == (RAISE, 45)
    assert kinds(need(own=True, others_units=1, tier=Tier.TREND)) == []
    assert kinds(need(own=False, others_units=90, tier=Tier.TREND)) == []


def test_a_substitute_is_to_be_listed_from_threshold_on() -> None:
    """The first that can be had; in a room only."""
    others = (Alternative("POT", "壶", 0), Alternative("MUG", "杯", 9))
    (found,) = propose(need(alternatives=others), (), (), START)
    assert (found.kind, found.substitute) == (LIST, "MUG")
    assert kinds(need(alternatives=others, tier=Tier.TREND)) == []
    assert kinds(need(alternatives=others, session_id=0)) == []
    assert kinds(need(alternatives=others, tier=Tier.SOLD_OUT)) == [LIST]


def test_when_nothing_else_is_possible_the_pace_is_to_be_slowed() -> None:
    """From THRESHOLD on, in a room, when all else was decided; not while something waits for a decision."""
    assert kinds(need()) == [SLOW]
    for no in (need(tier=Tier.TREND), need(session_id=0), need(tier=Tier.SOLD_OUT), need(units=120)):
        assert kinds(no) == []
    somewhere = need(elsewhere={"east": 9})
    assert kinds(somewhere) == [MOVE]
    assert kinds(somewhere, barred=(MOVE,), pending=(MOVE,)) == []
    assert kinds(somewhere, barred=(MOVE,)) == [SLOW]
    assert kinds(somewhere, barred=(MOVE, SLOW)) == []


@pytest.mark.parametrize("state", ProposalState)
def test_what_was_decided_is_not_asked_again(state: ProposalState) -> None:
    """In the same episode: unless it lapsed, or was done and more is needed."""
    asks_again = {ProposalState.LAPSED, ProposalState.DONE}
    assert bars(MOVE, state) == (state not in asks_again)
    assert bars(SLOW, state) == (state is not ProposalState.LAPSED)


def test_nobody_is_asked_for_ever() -> None:
    """It lapses when all is well again, the session is over, or after half an hour; so is what was approved."""
    one = Proposal(MOVE, ProposalState.OPEN, "CUP", START)
    later = START + OPEN_FOR
    assert not is_over(one, is_warned=True, is_on=True, now=later - timedelta(seconds=1))
    assert is_over(one, is_warned=True, is_on=True, now=later)
    assert is_over(one, is_warned=False, is_on=True, now=START)
    assert is_over(one, is_warned=True, is_on=False, now=START)
    decided = replace(one, decide_time=later)
    assert not gives_up(decided, is_on=True, now=later)
    assert gives_up(decided, is_on=False, now=later)
    assert gives_up(decided, is_on=True, now=later + OPEN_FOR)


@bounded(max_examples=200)
@given(
    st.builds(
        need,
        tier=st.sampled_from(Tier),
        units=st.integers(0, 500),
        rate=st.floats(0, 50),
        minutes=st.floats(0, 1440),
        demand=st.integers(0, 2000),
        session_id=st.integers(0, 1),
        own=st.booleans(),
        others_units=st.integers(0, 500),
        elsewhere=st.dictionaries(st.sampled_from(["east", "west"]), st.integers(0, 500)),
    ),
    st.sets(st.sampled_from(ProposalKind)),
)
def test_never_more_than_there_is_and_never_what_is_barred(one: Need, barred: set[ProposalKind]) -> None:
    """A quantity is positive, at most what is missing and at most what lies there; kinds come once."""
    found = propose(one, barred, (), START)
    assert len({each.kind for each in found}) == len(found)
    for each in found:
        assert each.kind not in barred
        if each.kind in {MOVE, RAISE}:
            assert 0 < each.quantity <= one.missing
        if each.kind is MOVE:
            assert each.quantity <= one.elsewhere[each.from_location]
        if each.kind is RAISE:
            assert each.quantity <= one.others_units / 2
