"""Units that some channels alone may sell (R29 exclusive): a live session's own, or a policy's."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.allocation import RAISE_SHARE_MIN, RAISE_WAITS_ABOVE, allocate
from gateway.domain.division import Lock, Situation, divide
from gateway.domain.listings import Listing, PushKind
from gateway.domain.policies import ChannelShare, Policy, PolicyKind
from gateway.domain.selling import PlanPush
from tests.domain.histories import SHRINKING_TIMEOUT, bounded
from tests.domain.test_allocation import (
    CHANNELS,
    CUP,
    ESCROW,
    LOCATIONS,
    PACES,
    PLACES,
    SERVED,
    given_out,
    listing,
    policy_of,
    shops,
    situation,
)

pytestmark = pytest.mark.timeout(SHRINKING_TIMEOUT)

LOCKS = st.builds(Lock, st.sets(st.sampled_from(CHANNELS), min_size=1).map(frozenset), st.integers(0, 40))


def locked(seen: Situation, channels: Sequence[str], units: int) -> Situation:
    """The same with so many cups for these channels alone."""
    return replace(seen, locks={"CUP": Lock(frozenset(channels), units)})


def got(seen: Situation) -> dict[str, int]:
    """What each channel is to have, in sales."""
    wants, _ = divide(seen)
    found = dict.fromkeys(CHANNELS, 0)
    for one in seen.listings:
        found[one.channel] += sum(wants[one.listing_id].values())
    return found


def pushes(seen: Situation) -> dict[int, PushKind]:
    """What is done, by listing."""
    return {one.listing_id: one.kind for one in allocate(seen) if isinstance(one, PlanPush)}


def shop(paces: Mapping[str, float], exposure: Mapping[str, int] | None = None) -> list[Listing]:
    """One listing on each channel."""
    return [
        listing(number, code, exposure={"east": (exposure or {}).get(code, 0)}, pace=paces.get(code, 0.0))
        for number, code in enumerate(CHANNELS, 1)
    ]


def test_locked_units_are_theirs_and_the_rest_everybody_elses() -> None:
    """A session with 30 of its own on tb: tb gets these 30 and no more, the others divide what is left."""
    seen = locked(situation(shop({"tb": 9.0, "dy": 1.0, "ks": 1.0}), {("CUP", "east"): 100}), ["tb"], 30)
    assert got(seen) == {"tb": 30, "dy": 35, "ks": 35}


def test_a_sessions_channels_share_its_units_by_demand() -> None:
    """Two channels of one room divide its own units in proportion to what they sell."""
    seen = locked(situation(shop({"tb": 3.0, "dy": 1.0}), {("CUP", "east"): 100}), ["tb", "dy"], 40)
    assert got(seen) == {"tb": 30, "dy": 10, "ks": 60}


def test_when_its_own_are_gone_it_sells_nothing() -> None:
    """Units of its own are all that a session may sell."""
    seen = locked(situation(shop({"tb": 9.0}), {("CUP", "east"): 20}), ["tb"], 0)
    assert got(seen) == {"tb": 0, "dy": 10, "ks": 10}


def test_a_policy_locks_units_too() -> None:
    """EXCLUSIVE with a share: so many for the first, the rest by demand; with 0, all for the first."""
    some = policy_of(PolicyKind.EXCLUSIVE, ("dy", 25))
    seen = situation(shop({"tb": 1.0, "dy": 5.0, "ks": 1.0}), {("CUP", "east"): 45}, [some])
    assert got(seen) == {"tb": 10, "dy": 25, "ks": 10}
    everything = policy_of(PolicyKind.EXCLUSIVE, ("dy", 0))
    assert got(situation(shop({}), {("CUP", "east"): 45}, [everything])) == {"tb": 0, "dy": 45, "ks": 0}


def test_a_session_comes_before_a_policy() -> None:
    """While a session has units of its own, the policy divides the rest."""
    weighted = policy_of(PolicyKind.WEIGHTED, ("tb", 1), ("dy", 1), ("ks", 3))
    seen = locked(situation(shop({}), {("CUP", "east"): 100}, [weighted]), ["tb"], 20)
    assert got(seen) == {"tb": 20, "dy": 20, "ks": 60}
    own = policy_of(PolicyKind.EXCLUSIVE, ("dy", 50))
    seen = locked(situation(shop({}), {("CUP", "east"): 100}, [own]), ["tb"], 20)
    assert got(seen) == {"tb": 20, "dy": 40, "ks": 40}


def test_what_all_share_is_what_is_not_locked() -> None:
    """Under SHARED the others show all but the locked units; a shown minimum shows none of them either."""
    shared = policy_of(PolicyKind.SHARED)
    assert got(locked(situation(shop({}), {("CUP", "east"): 100}, [shared]), ["tb"], 70)) == {
        "tb": 70,
        "dy": 30,
        "ks": 30,
    }
    least = policy_of(PolicyKind.BY_DEMAND, shown_min=5)
    assert got(locked(situation(shop({}), {("CUP", "east"): 10}, [least]), ["tb"], 10)) == {"tb": 10, "dy": 0, "ks": 0}


def test_others_are_lowered_first_and_only_as_far_as_they_must() -> None:
    """R21: who shows locked units is lowered; who was promised them is raised when they are free."""
    shown = shop({"tb": 1.0, "dy": 1.0, "ks": 1.0}, {"tb": 20, "dy": 20, "ks": 20})
    seen = locked(situation(shown, {("CUP", "east"): 60}), ["tb"], 40)
    assert pushes(seen) == {2: PushKind.LOWER, 3: PushKind.LOWER}
    lowered = shop({"tb": 1.0, "dy": 1.0, "ks": 1.0}, {"tb": 20, "dy": 10, "ks": 10})
    assert pushes(locked(situation(lowered, {("CUP", "east"): 60}), ["tb"], 40)) == {1: PushKind.RAISE}


def test_units_do_not_travel_within_a_room_for_a_little_more_demand() -> None:
    """What is shown on a room's channels stays as long as the room has no more than its own."""
    uneven = shop({"tb": 3.0, "dy": 1.0, "ks": 1.0}, {"tb": 20, "dy": 20, "ks": 20})
    assert not pushes(locked(situation(uneven, {("CUP", "east"): 60}), ["tb", "dy"], 40))


def test_who_cannot_be_lowered_now_keeps_what_it_shows() -> None:
    """A lock gives a room nothing that an absent channel may still sell (R28)."""
    shown = shop({}, {"tb": 10, "dy": 50})
    seen = locked(situation(shown, {("CUP", "east"): 60}), ["tb"], 40)
    assert got(replace(seen, open_channels=frozenset({"tb", "ks"})))["tb"] == 10


def test_locked_units_lie_where_the_room_is_served() -> None:
    """A location that does not serve the room gives it nothing and keeps all of its own for others."""
    units = {("CUP", "east"): 10, ("CUP", "west"): 90}
    seen = locked(situation(shop({}), units, served_by={"tb": ("east",)}), ["tb"], 40)
    assert got(seen) == {"tb": 10, "dy": 45, "ks": 45}


@bounded(max_examples=150)
@given(shops(), PLACES, st.lists(ESCROW, max_size=2), SERVED, LOCKS)
def test_nobody_else_is_to_have_locked_units(
    listings: list[Listing], units: dict[tuple[str, str], int], policies: list[Policy], served: Any, lock: Lock
) -> None:
    """R20, R29: shares never exceed what is there; those of others leave every locked unit that can be had."""
    seen = replace(situation(listings, units, policies, served), locks={"CUP": lock})
    wants, permitted = divide(seen)
    assert not permitted
    for place, there in units.items():
        assert given_out(listings, wants, *place) <= max(0, there)
    ours = [one for one in listings if one.channel in lock.channels and one.components[0].sku == "CUP"]
    others = [one for one in listings if one.channel not in lock.channels]
    assert sum(given_out(ours, wants, "CUP", at) for at in LOCATIONS) <= lock.units
    stop_at = seen.policies["CUP"].stop_at if "CUP" in seen.policies else 0
    reachable = {at for one in ours for at in (served[one.channel] or LOCATIONS) if max(0, units["CUP", at]) > 0}
    free = sum(max(0, units["CUP", at]) for at in LOCATIONS) - stop_at
    kept = min(lock.units, max(0, sum(max(0, units["CUP", at]) for at in reachable) - stop_at))
    assert sum(given_out(others, wants, "CUP", at) for at in LOCATIONS) <= max(0, free - kept)


@bounded(max_examples=100)
@example(22, 22, 0.0, 1)
@given(st.integers(0, 60), st.integers(0, 60), PACES, st.integers(0, 60))
def test_what_is_done_ends(units: int, own: int, pace: float, shown: int) -> None:
    """Carrying out what is wished until nothing is: the room has its own, the others the rest, and it stays so."""
    listings = shop({"tb": pace, "dy": 1.0, "ks": 1.0}, {"dy": min(shown, units)})
    for _ in range(20):
        seen = locked(situation(listings, {("CUP", "east"): units}), ["tb"], own)
        planned = {one.listing_id: one for one in allocate(seen) if isinstance(one, PlanPush)}
        if not planned:
            break
        for place, one in enumerate(listings):
            for share in planned[one.listing_id].shares if one.listing_id in planned else ():
                sign = 1 if planned[one.listing_id].kind is PushKind.RAISE else -1
                listings[place] = replace(one, state=one.state.moved(share.location, sign * share.sales))
    else:
        pytest.fail("there was always something to do")
    shown_at_last = listings[0].state.sales_left
    # A raise that is not worth a call waits.
    waits = RAISE_SHARE_MIN * shown_at_last if shown_at_last > RAISE_WAITS_ABOVE else 0
    assert min(own, units) - waits <= shown_at_last <= min(own, units)
    assert sum(one.state.sales_left for one in listings[1:]) <= units - min(own, units)


def test_a_channel_may_be_named_with_a_cap() -> None:
    """The cap of a policy holds for a room's channels as well."""
    capped = Policy("CUP", PolicyKind.BY_DEMAND, (ChannelShare("tb", 0, 5),))
    seen = locked(situation([listing(1, "tb", CUP), listing(2, "dy", CUP)], {("CUP", "east"): 40}, [capped]), ["tb"], 9)
    assert got(seen) == {"tb": 5, "dy": 31, "ks": 0}
