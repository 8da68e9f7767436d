"""How units are divided (R13, R21, R29): properties of every division, and what each policy says."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.allocation import allocate
from gateway.domain.division import Situation, Wants, divide
from gateway.domain.listings import (
    ChannelFacts,
    ChannelRule,
    Component,
    Listing,
    ListingState,
    PushKind,
    PushResult,
    Share,
)
from gateway.domain.policies import ChannelShare, Policy, PolicyKind, apportion
from gateway.domain.selling import PlanPush, ReportPush
from gateway.domain.stock import Level
from tests.domain.counter_desk import CUP as CUP_NUMBER
from tests.domain.counter_desk import require_exposed, selling_ledger
from tests.domain.histories import SHRINKING_TIMEOUT, bounded
from tests.selling.timeline import START

pytestmark = pytest.mark.timeout(SHRINKING_TIMEOUT)

CHANNELS = ("tb", "dy", "ks")
LOCATIONS = ("east", "west")
CUP = (Component("CUP", 1),)


def listing(
    number: int,
    channel: str,
    components: tuple[Component, ...] = CUP,
    exposure: Mapping[str, int] | None = None,
    pace: float = 0.0,
    **state: Any,
) -> Listing:
    """One that was read, and sells so many a second."""
    shares = tuple(Share(at, sales) for at, sales in (exposure or {}).items() if sales)
    known = ListingState(exposure=shares, pace=pace, pace_time=START, **state)
    return Listing(number, channel, f"item-{number}", "", components, None, known)


def situation(
    listings: Sequence[Listing],
    units: Mapping[tuple[str, str], int],
    policies: Sequence[Policy] = (),
    served_by: Mapping[str, tuple[str, ...]] | None = None,
) -> Situation:
    """All channels open, and levels that expose what the listings may sell."""
    levels = {}
    for (sku, at), on_hand in units.items():
        shown = sum(
            one.state.exposed_at(at) * part.units
            for one in listings
            if not one.state.permitted
            for part in one.components
            if part.sku == sku
        )
        levels[sku, at] = Level(sku, at, on_hand, exposed=shown)
    rules = {code: ChannelRule(code, (served_by or {}).get(code, ()), ChannelFacts()) for code in CHANNELS}
    by_sku = {policy.sku: policy for policy in policies}
    return Situation(START, listings, levels, rules, by_sku, LOCATIONS, frozenset(CHANNELS))


def three(units: int, policy: Policy, paces: Sequence[float] = (0.0, 0.0, 0.0)) -> dict[str, int]:
    """What three channels get of so many units at one place."""
    listings = [listing(n, code, pace=pace) for n, (code, pace) in enumerate(zip(CHANNELS, paces, strict=True), 1)]
    wants, _ = divide(situation(listings, {("CUP", "east"): units}, [policy]))
    return {one.channel: sum(wants[one.listing_id].values()) for one in listings}


def policy_of(kind: PolicyKind, *shares: tuple[Any, ...], **content: int) -> Policy:
    return Policy("CUP", kind, tuple(ChannelShare(*share) for share in shares), **content)


# ---- whole units by weight

WEIGHTS = st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 50)), max_size=6)


@bounded(max_examples=100)
@given(st.integers(0, 200), WEIGHTS)
def test_nothing_is_lost_while_a_limit_has_room(units: int, given_out: list[tuple[float, int]]) -> None:
    """R13: never more than there is nor than a limit, and all of it while somebody with a weight has room."""
    weights = {number: weight for number, (weight, _) in enumerate(given_out)}
    limits = {number: limit for number, (_, limit) in enumerate(given_out)}
    parts = apportion(units, weights, limits)
    assert parts.keys() == weights.keys()
    assert all(0 <= parts[one] <= (limits[one] if weights[one] > 0 else 0) for one in parts)
    assert sum(parts.values()) == min(units, sum(limits[one] for one in parts if weights[one] > 0))


@bounded(max_examples=100)
@given(st.integers(0, 10**15), st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_shares_are_in_proportion(units: int, weights: list[int]) -> None:
    """Without limits each has its share but for what rounding moves, which is less than one unit for each of them."""
    parts = apportion(units, dict(enumerate(map(float, weights))), dict.fromkeys(range(len(weights)), units))
    assert sum(parts.values()) == units
    for one, weight in enumerate(weights):
        assert abs(parts[one] - units * weight / sum(weights)) <= len(weights) + units / 10**13


# ---- the division of a SKU

PACES = st.sampled_from([0.0, 0.1, 1.0, 7.5])
KIT = (Component("CUP", 2), Component("MUG", 1))
SHARES = st.lists(st.sampled_from(CHANNELS), unique=True, min_size=1, max_size=3).flatmap(
    lambda codes: st.tuples(
        *(st.builds(ChannelShare, st.just(c), st.integers(1, 9), st.none() | st.integers(0, 9)) for c in codes)
    )
)
ESCROW_KINDS = st.sampled_from(sorted(set(PolicyKind) - {PolicyKind.SHARED}))
ESCROW = st.builds(Policy, st.sampled_from(["CUP", "MUG"]), ESCROW_KINDS, SHARES, st.integers(0, 5))
PLACES = st.fixed_dictionaries({(sku, at): st.integers(-3, 30) for sku in ("CUP", "MUG") for at in LOCATIONS})
SERVED = st.fixed_dictionaries(
    {code: st.sampled_from([(), ("east",), ("west",), ("west", "east")]) for code in CHANNELS}
)


@st.composite
def shops(draw: st.DrawFn) -> list[Listing]:
    """Up to six listings, some of them kits, that may sell something already."""
    return [
        listing(
            number,
            draw(st.sampled_from(CHANNELS)),
            draw(st.sampled_from([CUP, KIT, (Component("MUG", 3),)])),
            draw(st.fixed_dictionaries(dict.fromkeys(LOCATIONS, st.integers(0, 4)))),
            draw(PACES),
        )
        for number in range(1, draw(st.integers(1, 6)) + 1)
    ]


@bounded(max_examples=150)
@given(shops(), PLACES, st.lists(ESCROW, max_size=2), SERVED)
def test_no_more_is_given_out_than_there_is(
    listings: list[Listing], units: dict[tuple[str, str], int], policies: list[Policy], served: dict[str, Any]
) -> None:
    """R20: at no location do the shares add up to more than may be sold there, kits counted with all their parts."""
    wants, permitted = divide(situation(listings, units, policies, served))
    assert not permitted
    for place, there in units.items():
        assert given_out(listings, wants, *place) <= max(0, there)


@bounded(max_examples=150)
@given(shops(), PLACES, st.lists(ESCROW, max_size=2), SERVED)
def test_what_is_done_keeps_the_escrow(
    listings: list[Listing], units: dict[tuple[str, str], int], policies: list[Policy], served: dict[str, Any]
) -> None:
    """R20, R21: no single raise takes more than is unallocated, and no lowering more than is shown."""
    seen = situation(listings, units, policies, served)
    by_number = {one.listing_id: one for one in listings}
    for command in allocate(seen):
        if not isinstance(command, PlanPush):
            continue
        one = by_number[command.listing_id]
        for share in command.shares:
            assert share.sales > 0
            if command.kind is PushKind.RAISE:
                for part in one.components:
                    assert share.sales * part.units <= seen.levels[part.sku, share.location].unallocated
            else:
                assert share.sales <= one.state.exposed_at(share.location)


@bounded(max_examples=100)
@given(shops(), PLACES, st.lists(ESCROW, max_size=2), SERVED, st.randoms(use_true_random=False))
def test_the_order_of_listings_does_not_matter(
    listings: list[Listing],
    units: dict[tuple[str, str], int],
    policies: list[Policy],
    served: dict[str, Any],
    chance: Any,
) -> None:
    """The same listings in another order are divided the same."""
    shuffled = list(listings)
    chance.shuffle(shuffled)
    assert divide(situation(listings, units, policies, served)) == divide(situation(shuffled, units, policies, served))


@bounded(max_examples=100)
@given(st.integers(0, 60), SHARES, ESCROW_KINDS, st.integers(0, 5))
def test_nobody_who_has_room_goes_without(
    units: int, shares: tuple[ChannelShare, ...], kind: PolicyKind, stop_at: int
) -> None:
    """R13: whatever may be sold is given to somebody, unless every quota and cap is full."""
    policy = Policy("CUP", kind, shares, stop_at)
    got = three(units, policy)
    caps = {one.channel: one.cap for one in shares}
    room = max(0, units - stop_at)
    if kind is PolicyKind.EXCLUSIVE:
        # What is locked for the first is nobody else's, whether its cap lets it have all of that or not.
        first, locked = shares[0], min(room, shares[0].share)
        assert got[first.channel] == min(locked, room if first.cap is None else first.cap)
        others = [room if caps.get(code) is None else caps[code] or 0 for code in CHANNELS if code != first.channel]
        assert sum(got.values()) - got[first.channel] == min(room - locked, sum(others))
        return
    quotas = {one.channel: one.share for one in shares}
    takers = set(CHANNELS) if kind is PolicyKind.BY_DEMAND else set(quotas)
    limits = []
    for code in takers:
        cap = caps.get(code)
        most = room if cap is None else min(room, cap)
        limits.append(min(most, quotas[code]) if kind is PolicyKind.FIXED else most)
    assert sum(got.values()) == min(room, sum(limits))
    assert all(got[code] == 0 for code in set(CHANNELS) - takers)


# ---- each policy


def test_by_demand_follows_sales() -> None:
    """Shares follow each channel's own recent sales, with a little for those that have none."""
    got = three(100, policy_of(PolicyKind.BY_DEMAND), (3.0, 1.0, 0.0))
    assert got["tb"] > 2 * got["dy"] > 4 * got["ks"] > 0
    assert sum(got.values()) == 100


@pytest.mark.parametrize("is_parked", [True, False])
def test_who_cannot_be_changed_gets_no_share_of_what_others_could_sell(is_parked: bool) -> None:
    """An absent or parked listing keeps what it shows; nothing lies on no shelf for its sake (R28)."""
    sellers = [
        listing(1, "tb", exposure={"east": 4}, pace=5.0, parked_reason="no such item" if is_parked else ""),
        listing(2, "dy", exposure={"east": 1}, pace=1.0),
        listing(3, "ks", pace=1.0),
    ]
    seen = situation(sellers, {("CUP", "east"): 24})
    if not is_parked:
        seen = replace(seen, open_channels=frozenset({"dy", "ks"}))
    wants, _ = divide(seen)
    assert {number: sum(want.values()) for number, want in wants.items()} == {1: 4, 2: 10, 3: 10}


def test_a_listing_that_shows_nothing_gets_its_chance() -> None:
    """Who sold nothing because it showed nothing gets a share from who has plenty; not the last ones of the fast."""
    plenty = [listing(1, "tb", exposure={"east": 60}, pace=2.0), listing(2, "dy")]
    lowered = [one for one in allocate(situation(plenty, {("CUP", "east"): 60})) if isinstance(one, PlanPush)]
    assert [(one.listing_id, one.kind) for one in lowered] == [(1, PushKind.LOWER)]
    scarce = [listing(1, "tb", exposure={"east": 6}, pace=2.0), listing(2, "dy")]
    assert not [one for one in allocate(situation(scarce, {("CUP", "east"): 6})) if isinstance(one, PlanPush)]


def test_weighted_is_in_fixed_proportions() -> None:
    """Whatever sells how fast; those not named get nothing."""
    policy = policy_of(PolicyKind.WEIGHTED, ("tb", 3), ("dy", 1))
    assert three(80, policy, (0.0, 9.0, 9.0)) == {"tb": 60, "dy": 20, "ks": 0}


def test_fixed_is_a_quota() -> None:
    """At most its quota each, in listings' order; the rest is nobody's."""
    policy = policy_of(PolicyKind.FIXED, ("tb", 30), ("dy", 50))
    assert three(100, policy) == {"tb": 30, "dy": 50, "ks": 0}
    assert sum(three(40, policy).values()) == 40


def test_priority_is_in_the_order_of_the_policy() -> None:
    """The first has all up to its cap, then the next."""
    policy = policy_of(PolicyKind.PRIORITY, ("ks", 0, 30), ("tb", 0, None), ("dy", 0, None))
    assert three(100, policy) == {"ks": 30, "tb": 70, "dy": 0}
    assert three(20, policy) == {"ks": 20, "tb": 0, "dy": 0}


def test_exclusive_is_one_channels() -> None:
    """Only the first sells it, whoever else is named."""
    policy = policy_of(PolicyKind.EXCLUSIVE, ("dy", 0, None), ("tb", 0, None))
    assert three(100, policy) == {"tb": 0, "dy": 100, "ks": 0}


def test_shared_shows_everybody_all_but_the_buffer() -> None:
    """Every channel shows the same, less the buffer and what is sold while the news travels; below a limit, escrow."""
    assert three(100, policy_of(PolicyKind.SHARED, buffer=10)) == dict.fromkeys(CHANNELS, 90)
    assert three(100, policy_of(PolicyKind.SHARED, buffer=10), (4.0, 3.0, 0.0)) == dict.fromkeys(CHANNELS, 83)
    assert three(100, policy_of(PolicyKind.SHARED, ("dy", 0, 7))) == {"tb": 100, "dy": 7, "ks": 100}
    assert sum(three(20, policy_of(PolicyKind.SHARED, escrow_below=20)).values()) == 20
    assert three(21, policy_of(PolicyKind.SHARED, escrow_below=20)) == dict.fromkeys(CHANNELS, 21)


def test_caps_stop_at_and_shown_min_refine_any_policy() -> None:
    """A cap goes to the others, what is kept to nobody; a shown minimum is shown even of nothing, and permitted."""
    capped = three(90, policy_of(PolicyKind.BY_DEMAND, ("tb", 0, 10)))
    assert capped == {"tb": 10, "dy": 40, "ks": 40}
    assert sum(three(90, policy_of(PolicyKind.BY_DEMAND, stop_at=60)).values()) == 30
    listings = [listing(number, code) for number, code in enumerate(CHANNELS, 1)]
    wants, permitted = divide(situation(listings, {("CUP", "east"): 0}, [policy_of(PolicyKind.BY_DEMAND, shown_min=2)]))
    assert {sum(want.values()) for want in wants.values()} == {2}
    assert permitted == {1, 2, 3}


def test_a_cap_holds_over_all_locations() -> None:
    """A cap is of the channel, not of each place that serves it."""
    units = dict.fromkeys([("CUP", at) for at in LOCATIONS], 20)
    for kind, share in (
        (PolicyKind.BY_DEMAND, 0),
        (PolicyKind.FIXED, 9),
        (PolicyKind.PRIORITY, 0),
        (PolicyKind.SHARED, 0),
    ):
        wants, _ = divide(situation([listing(1, "tb")], units, [policy_of(kind, ("tb", share, 7))]))
        assert sum(wants[1].values()) == 7, kind


def test_a_cap_holds_over_all_listings_of_a_channel() -> None:
    """A cap, a quota is of the channel, not of each of its listings."""
    listings = [listing(1, "tb"), listing(2, "tb")]
    for kind, share in ((PolicyKind.BY_DEMAND, 0), (PolicyKind.FIXED, 9), (PolicyKind.PRIORITY, 0)):
        policy = policy_of(kind, ("tb", share, 7))
        wants, _ = divide(situation(listings, {("CUP", "east"): 20}, [policy]))
        assert sum(sum(want.values()) for want in wants.values()) == 7, kind


def test_what_was_shared_counts_again_once_it_fits() -> None:
    """R20: back from SHARED, a listing that shows just its share is exposed again although nothing is to be raised."""
    shared = listing(1, "tb", exposure={"east": 10}, permitted=True)
    for on_hand in (10, 9):
        seen = situation([shared], {("CUP", "east"): on_hand})
        raises = [one for one in allocate(seen) if isinstance(one, PlanPush) and one.kind is PushKind.RAISE]
        assert raises == ([PlanPush(1, PushKind.RAISE, (), raises[0].urgency)] if on_hand == 10 else [])
    ledger = selling_ledger(ChannelFacts())
    ledger.apply(PlanPush(CUP_NUMBER, PushKind.RAISE, (Share("east", 1),), permitted=True))
    require_exposed(ledger)
    push = ledger.listings[CUP_NUMBER].state.push
    assert push is not None
    ledger.apply(ReportPush(CUP_NUMBER, push.push_id, PushResult.APPLIED, 1))
    before = ledger.levels["CUP", "east"].exposed
    ledger.apply(PlanPush(CUP_NUMBER, PushKind.RAISE, ()))
    assert ledger.levels["CUP", "east"].exposed == before + 4
    assert ledger.listings[CUP_NUMBER].state.push is None
    require_exposed(ledger)


def given_out(listings: Sequence[Listing], wants: Wants, sku: str, at: str) -> int:
    return sum(
        wants[one.listing_id].get(at, 0) * part.units for one in listings for part in one.components if part.sku == sku
    )
