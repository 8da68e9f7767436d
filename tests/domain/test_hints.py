"""What a room may be told that it can sell (R46): never more than R20 has room for, alone or all rooms together."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.alerts import Session, SessionSku
from gateway.domain.division import Lock, units_in
from gateway.domain.hints import RoomView, Shelf, SkuFacts, TierNow, available, hint, on_the_way, parts_of, sellable
from gateway.domain.listings import ChannelFacts, ChannelRule, Component, Listing, Share
from gateway.domain.stock import Level
from gateway.domain.tiers import Tier
from tests.domain.histories import SHRINKING_TIMEOUT, bounded
from tests.domain.test_allocation import CHANNELS, CUP, KIT, LOCATIONS, PACES, listing
from tests.selling.timeline import START

pytestmark = pytest.mark.timeout(SHRINKING_TIMEOUT)

SECOND = timedelta(seconds=1)


def shelf(
    listings: list[Listing],
    units: Mapping[tuple[str, str], int],
    channels: tuple[str, ...] = CHANNELS,
    age: float | None = 0.0,
    reserved: int = 0,
    **content: Any,
) -> Shelf:
    """What a room on these channels sees of all listings and levels; watermarks are so many seconds old."""
    levels = {}
    for (sku, at), on_hand in units.items():
        exposed = sum(
            one.state.exposed_at(at) * part.units
            for one in listings
            if not one.state.permitted
            for part in one.components
            if part.sku == sku
        )
        levels[sku, at] = Level(sku, at, on_hand, reserved, exposed=exposed)
    passed = None if age is None else START - age * SECOND
    rules = {code: ChannelRule(code, (), ChannelFacts(), passed) for code in channels}
    return Shelf(START, listings, rules, levels, **content)


def test_it_is_what_its_own_listings_may_sell() -> None:
    """23 more on the room's channels, whatever others show and whatever lies on no shelf."""
    listings = [listing(1, "tb", exposure={"east": 20}), listing(2, "dy", exposure={"east": 3, "west": 0})]
    seen = shelf([*listings, listing(3, "ks", exposure={"east": 40})], {("CUP", "east"): 100}, ("tb", "dy"))
    assert sellable(seen, "CUP") == 23
    assert available(seen, "CUP") == 100
    assert sellable(seen, "MUG") == 0


@pytest.mark.parametrize(
    ("pace", "age", "left"), [(1.0, 2.0, 18), (1.0, 2.1, 17), (0.5, 60.0, 15), (5.0, 9.0, 0), (0.001, 9.0, 20)]
)
def test_orders_on_their_way_are_taken_off(pace: float, age: float, left: int) -> None:
    """The channel's pace times the age of its watermark, ten seconds at most, rounded up; never below zero."""
    assert (
        sellable(shelf([listing(1, "tb", exposure={"east": 20}, pace=pace)], {("CUP", "east"): 20}, age=age), "CUP")
        == left
    )


def test_a_watermark_of_tomorrow_or_none() -> None:
    """A platform's clock may run ahead of ours; where nobody has said anything the most is taken off."""
    sellers, units = [listing(1, "tb", exposure={"east": 20}, pace=1.0)], {("CUP", "east"): 20}
    assert sellable(shelf(sellers, units, age=-3600.0), "CUP") == 20
    assert sellable(shelf(sellers, units, age=None), "CUP") == 10


def test_what_is_shared_counts_once() -> None:
    """R29: listings that all show the same units can sell them once."""
    listings = [listing(n, code, exposure={"east": 30}, permitted=True) for n, code in enumerate(CHANNELS, 1)]
    assert sellable(shelf(listings, {("CUP", "east"): 30}), "CUP") == 30
    assert sellable(shelf(listings, {("CUP", "east"): 8}), "CUP") == 8
    escrowed = [listing(9, "tb", exposure={"east": 5}), *listings]
    assert sellable(shelf(escrowed, {("CUP", "east"): 8}), "CUP") == 8


def test_where_goods_are_gone_each_counts_its_part() -> None:
    """R14, R20: with 30 shown and 10 left, two thirds of these are the room's that shows two thirds."""
    listings = [listing(1, "tb", exposure={"east": 20}), listing(2, "dy", exposure={"east": 10})]
    units = {("CUP", "east"): 10}
    assert sellable(shelf(listings, units, ("tb",)), "CUP") == 6
    assert sellable(shelf(listings, units, ("dy",)), "CUP") == 3
    assert sellable(shelf(listings, units, ("tb",), reserved=30), "CUP") == 0


def room(number: int, *channels: str, sku: str = "CUP") -> Session:
    """An open room that sells cups."""
    return Session(f"room {number}", channels, (SessionSku(sku),), START, START, number)


def said_in(number: int, sessions: list[Session], listings: list[Listing], units: Any, age: float = 0.0) -> int:
    """What one of these rooms says."""
    ours = next(one for one in sessions if one.session_id == number)
    parts = parts_of(ours, sessions, ["CUP"])
    return sellable(shelf(listings, units, ours.channels, age, parts=parts), "CUP")


def test_two_rooms_on_one_channel_do_not_promise_the_same_units() -> None:
    """R46: each says its part, the rest is the older room's, so the last unit is said by one; the others are alone."""
    sessions = [room(3, "tb"), room(5, "tb", "dy"), room(8, "tb", sku="MUG"), room(9, "ks")]
    listings = [listing(1, "tb", exposure={"east": 23}), listing(2, "dy", exposure={"east": 4})]
    units = {("CUP", "east"): 60}
    assert [said_in(number, sessions, listings, units) for number in (3, 5, 9)] == [12, 11 + 4, 0]
    last = [listing(1, "tb", exposure={"east": 1})]
    assert [said_in(number, sessions, last, units) for number in (3, 5)] == [1, 0]
    paced = [listing(1, "tb", exposure={"east": 3}, pace=1.0)]
    assert [said_in(number, sessions, paced, units, age=1.0) for number in (3, 5)] == [1, 1]


def test_what_is_shared_is_shared_by_rooms_of_all_channels() -> None:
    """R29: where all channels show the same units, so do the rooms on them."""
    listings = [listing(n, code, exposure={"east": 30}, permitted=True) for n, code in enumerate(CHANNELS, 1)]
    sessions = [room(3, "tb"), room(5, "dy"), room(6, "ks")]
    units = {("CUP", "east"): 31}
    assert [said_in(one.session_id, sessions, listings, units) for one in sessions] == [10, 10, 10]


def test_how_many_rooms_sell_it_is_told() -> None:
    """Why 23 has become 12 can be seen."""
    sessions = [room(3, "tb"), room(5, "tb", "dy"), room(7, "dy", "tb")]
    listings = [listing(1, "tb", exposure={"east": 9}), listing(2, "dy", exposure={"east": 9})]
    for ours, rooms in zip(sessions, (3, 3, 3), strict=True):
        seen = shelf(listings, {("CUP", "east"): 20}, ours.channels, parts=parts_of(ours, sessions, ["CUP"]))
        assert seen.rooms("CUP") == rooms
    assert shelf(listings, {("CUP", "east"): 20}).rooms("CUP") == 1


def test_a_kit_counts_as_its_listing() -> None:
    """Two cups and a mug in a kit: it can be sold four times, and that is what both can."""
    seen = shelf([listing(1, "tb", KIT, {"east": 4})], {("CUP", "east"): 8, ("MUG", "east"): 4})
    assert sellable(seen, "CUP") == sellable(seen, "MUG") == 4


def test_its_own_units_are_the_most() -> None:
    """While others are still being lowered a room says no more than it has of its own."""
    own = {units: {"CUP": Lock(frozenset({"tb"}), units)} for units in (40, 31)}
    singly = listing(1, "tb", exposure={"east": 50})
    assert sellable(shelf([singly], {("CUP", "east"): 60}, own=own[40]), "CUP") == 40
    pairs = listing(1, "tb", (Component("CUP", 2),), {"east": 20})
    assert sellable(shelf([pairs], {("CUP", "east"): 60}, own=own[31]), "CUP") == 15


def test_nothing_that_is_frozen_unread_or_oversold() -> None:
    """A recall sells nothing; nor does a listing nobody has read, or one a cancel is on its way for."""
    seen = shelf([listing(1, "tb", exposure={"east": 5})], {("CUP", "east"): 5}, frozen=frozenset({"CUP"}))
    assert sellable(seen, "CUP") == 0
    unread = listing(1, "tb")
    assert (
        sellable(shelf([replace(unread, state=replace(unread.state, exposure=None))], {("CUP", "east"): 5}), "CUP") == 0
    )
    below = listing(1, "tb", exposure={"east": -2, "west": 5})
    assert sellable(shelf([below], {("CUP", "east"): 5, ("CUP", "west"): 5}), "CUP") == 3


# ---- properties

EXPOSURES = st.fixed_dictionaries(dict.fromkeys(LOCATIONS, st.integers(-2, 12)))
EITHER = st.booleans()
PARTS = st.sampled_from([CUP, CUP, KIT, (Component("CUP", 3),)])


@st.composite
def listed(draw: st.DrawFn, parts: Any = PARTS, permitted: Any = EITHER) -> list[Listing]:
    """Up to six listings that may sell something."""
    return [
        listing(
            n, draw(st.sampled_from(CHANNELS)), draw(parts), draw(EXPOSURES), draw(PACES), permitted=draw(permitted)
        )
        for n in range(1, draw(st.integers(1, 6)) + 1)
    ]


UNITS = st.fixed_dictionaries({(sku, at): st.integers(0, 60) for sku in ("CUP", "MUG") for at in LOCATIONS})


@bounded(max_examples=200)
@given(listed(), UNITS, st.floats(0, 20), st.integers(0, 5))
def test_a_hint_is_never_above_what_the_room_may_sell(
    listings: list[Listing], units: dict[tuple[str, str], int], age: float, reserved: int
) -> None:
    """R46: 0 or more, at most what its listings may sell less what is on its way, and at most what is available."""
    for channels in (("tb",), ("dy", "ks"), CHANNELS):
        seen = shelf(listings, units, channels, age, reserved)
        ours = [one for one in listings if one.channel in channels and units_in(one, "CUP")]
        said = sellable(seen, "CUP")
        exposed = sum(max(0, one.state.sales_left) for one in ours)
        assert 0 <= said <= max(0, exposed - on_the_way(seen, ours))
        assert said <= available(seen, "CUP")


@bounded(max_examples=200)
@example([listing(1, "tb", exposure={"east": -2}), listing(2, "dy", exposure={"east": 12})], {("CUP", "east"): 10}, 0)
@given(listed(st.just(CUP), st.just(False)), UNITS, st.integers(0, 5))
def test_all_rooms_together_say_no_more_than_there_is(
    listings: list[Listing], units: dict[tuple[str, str], int], reserved: int
) -> None:
    """Under escrow the hints of rooms on different channels add up to what is available at most, goods gone or not."""
    said = sum(sellable(shelf(listings, units, (code,), 0.0, reserved), "CUP") for code in CHANNELS)
    assert said <= available(shelf(listings, units, CHANNELS, 0.0, reserved), "CUP")


ROOMS = st.lists(st.sets(st.sampled_from(CHANNELS), min_size=1), min_size=1, max_size=4)


@bounded(max_examples=200)
@given(listed(st.just(CUP), st.just(False)), UNITS, ROOMS, st.floats(0, 20), st.integers(0, 5))
def test_rooms_on_the_same_channels_say_no_more_than_there_is(
    listings: list[Listing],
    units: dict[tuple[str, str], int],
    rooms: list[set[str]],
    age: float,
    reserved: int,
) -> None:
    """However many rooms sell it wherever: their hints add up to what is available at most."""
    sessions = [room(number, *sorted(channels)) for number, channels in enumerate(rooms, 1)]
    said = [
        sellable(shelf(listings, units, one.channels, age, reserved, parts=parts_of(one, sessions, ["CUP"])), "CUP")
        for one in sessions
    ]
    assert min(said) >= 0
    assert sum(said) <= available(shelf(listings, units, CHANNELS, age, reserved), "CUP")


@bounded(max_examples=100)
@given(listed(st.just(CUP), st.just(False)), UNITS, st.integers(1, 5))
def test_a_sale_that_is_taken_in_lowers_the_hint(
    listings: list[Listing], units: dict[tuple[str, str], int], sold: int
) -> None:
    """What is sold is not said again."""
    first = listings[0]
    share = next((each for each in first.state.exposure or () if each.sales >= sold), None)
    if share is None:
        return
    before = sellable(shelf(listings, units, (first.channel,)), "CUP")
    after_sale = replace(first, state=first.state.moved(share.location, -sold))
    level = {**units, ("CUP", share.location): units["CUP", share.location] - sold}
    if min(level.values()) < 0:
        return
    after = sellable(shelf([after_sale, *listings[1:]], level, (first.channel,)), "CUP")
    assert after <= before
    assert Share(share.location, share.sales) in (first.state.exposure or ())


@pytest.mark.parametrize(
    ("tier", "on_hand", "words"),
    [
        (Tier.NORMAL, 50, "先不要报数字"),
        (Tier.THRESHOLD, 50, "先不要报数字"),
        (Tier.URGENT, 1, "卖完了"),
        (Tier.SOLD_OUT, 0, "卖完了"),
    ],
)
def test_nobody_hears_that_it_is_gone_while_units_are_on_their_way(tier: Tier, on_hand: int, words: str) -> None:
    """A room that shows none of many units says no number; one that shows none of the last says that it is sold out."""
    seen = shelf([listing(1, "tb", exposure={"east": 0})], {("CUP", "east"): on_hand})
    view = RoomView(seen, {"CUP": SkuFacts("CUP", "茶杯")}, {"CUP": TierNow(tier)}, {}, frozenset(), frozenset(), 1)
    told = hint(view, "CUP")
    assert (told.sellable, words in told.host_line) == (0, True)


def test_what_was_never_on_sale_here_is_not_sold_out() -> None:
    """A SKU of the session that no listing of its channels sells: nobody is told that it is gone."""
    seen = shelf([listing(1, "dy", exposure={"east": 9})], {("CUP", "east"): 9}, ("tb",))
    view = RoomView(seen, {"CUP": SkuFacts("CUP", "茶杯")}, {}, {}, frozenset(), frozenset(), 1)
    told = hint(view, "CUP")
    assert told.sellable == 0
    assert "先不要报数字" in told.host_line
    assert "卖完" not in told.chat_line
