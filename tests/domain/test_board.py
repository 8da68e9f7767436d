"""A row of the board: what is shown of a SKU, and how its stock may go."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.alerts import AckAction, Acknowledgement
from gateway.domain.board import (
    FAN_MINUTES_MAX,
    BoardRow,
    ChannelNow,
    Judged,
    balances_of,
    fan,
    outlook_of,
    pressing,
    stock_of,
)
from gateway.domain.chances import LeadTime
from gateway.domain.listings import Component, Listing, ListingState, Push, PushKind, Share
from gateway.domain.stock import Level, MovementKind
from gateway.domain.tiers import Standing, Tier
from gateway.domain.vigil import Circumstances, Key, Moved, Tempo, Watched, begin_watch, moved, stock_out

NOW = datetime(2026, 11, 11, 20, 0, tzinfo=UTC)
START = NOW.timestamp()
HALF_HOUR = Circumstances(LeadTime(1_800.0))
SHELF = (Level("tea", "main", 50, 8, 2, revision=7), Level("tea", "near", 3, 4, 0, revision=9))


def listing(units: int = 1, *, left: int = 10, shown: int | None = 12, **state: Any) -> Listing:
    """A listing of so many of `tea` in each sale."""
    read_time = None if shown is None else NOW - timedelta(seconds=len(state) + units)
    known = ListingState((Share("main", left),), shown=shown, read_time=read_time, **state)
    return Listing(units, "dy", "1", str(units), (Component("tea", units), Component("cup", 1)), None, known)


def sold(rate: float, left: int) -> Watched:
    """A key that has sold so many a minute for half an hour, and has so much left now."""
    watched, between = begin_watch({"main": 10_000}, HALF_HOUR, START - 1_800), 60 / rate
    for number in range(int(1_800 / between)):
        at = START - 1_800 + (number + 1) * between
        order = Moved(number + 1, at, MovementKind.RESERVE, "tea", "main", 1, 0, 1, left, number + 1)
        watched = moved(watched, order, HALF_HOUR)
    return watched


def test_stock_is_what_its_levels_and_listings_are() -> None:
    """On hand over all locations; a kit with two of it counts twice; the newest movement of any level."""
    stock = stock_of("tea", SHELF, 40, [listing(), listing(2)], {"dy": ChannelNow("dy", False, False)})
    (channel,) = stock.channels
    assert (stock.on_hand, stock.available, stock.revision) == (53, 40, 9)
    assert (channel.exposure, channel.shown, channel.moving, channel.problem) == (30, 36, False, "")
    assert channel.read_time == NOW - timedelta(seconds=2), "the older of the two"
    assert balances_of(SHELF) == {"main": 40, "near": -1}


def test_what_was_never_read_shows_nothing() -> None:
    """None is not zero."""
    (channel,) = stock_of("tea", SHELF, 40, [listing(shown=None)], {}).channels
    assert (channel.shown, channel.read_time) == (None, None)


@pytest.mark.parametrize(
    ("now", "state", "problem"),
    [
        (ChannelNow("dy", True, True), {}, "PAUSED"),
        (ChannelNow("dy", False, True), {}, "AWAY"),
        (None, {}, "AWAY"),
        (ChannelNow("dy", False, False), {"parked_reason": "no such item"}, "PARKED"),
        (ChannelNow("dy", True, False), {"parked_reason": "no such item"}, "PAUSED"),
        (ChannelNow("dy", False, False), {}, ""),
    ],
)
def test_a_channel_says_why_its_number_stands_still(
    now: ChannelNow | None, state: dict[str, Any], problem: str
) -> None:
    """What a person has done comes before what is broken."""
    (channel,) = stock_of("tea", SHELF, 40, [listing(**state)], {} if now is None else {"dy": now}).channels
    assert channel.problem == problem


def test_a_push_under_way_is_told_and_never_less_than_none_can_be_sold() -> None:
    """An exposure below zero (a cancel on its way) is shown as none."""
    push = Push(1, PushKind.LOWER, (Share("main", 3),), NOW)
    (channel,) = stock_of("tea", SHELF, 40, [listing(left=-3, push=push)], {}).channels
    assert (channel.moving, channel.exposure) == (True, 0)


@given(rate=st.floats(0.2, 40), left=st.integers(1, 5_000))
def test_a_fan_opens_and_falls(rate: float, left: int) -> None:
    """It begins with what there is; less is left as time goes on; the unlucky case is never above the lucky one."""
    watched = sold(rate, left)
    points = fan(watched, stock_out(watched, START, HALF_HOUR), START, HALF_HOUR)
    assert (points[0].minutes, points[0].p10, points[0].p50, points[0].p90) == (0, left, left, left)
    assert all(0 <= point.p10 <= point.p50 <= point.p90 <= left for point in points)
    for before, after in pairwise(points):
        assert after.minutes > before.minutes
        assert after.p10 <= before.p10
        assert after.p50 <= before.p50
        assert after.p90 <= before.p90
    assert points[-1].minutes <= FAN_MINUTES_MAX


def test_the_fan_and_the_forecast_agree() -> None:
    """When it is gone half the time is where the fan's middle meets the floor, to an eighth of the picture."""
    watched = sold(10.0, 200)
    times = stock_out(watched, START, HALF_HOUR)
    points = fan(watched, times, START, HALF_HOUR)
    assert times.p50 is not None
    gone = next(point.minutes for point in points if point.p50 == 0)
    assert abs(gone - times.p50 / 60) <= points[1].minutes


def test_what_is_gone_has_no_fan() -> None:
    """There is nothing to draw."""
    assert fan(sold(10.0, 0), stock_out(sold(10.0, 0), START, HALF_HOUR), START, HALF_HOUR) == ()


def row(sku: str, tier: Tier, minutes: float | None = None, *, taken: bool = False) -> BoardRow:
    """A row in this tier."""
    held = Acknowledgement(tier, "li", NOW, AckAction.WATCH) if taken else None
    about = Judged("茶", HALF_HOUR, held, (), (), (), frozen=False)
    watched = Watched(sold(1.0, 5).pace, Standing(tier), {"main": 5})
    outlook = outlook_of(watched, about, NOW, Tempo())
    return BoardRow(Key(sku), stock_of(sku, (), 5, (), {}), replace(outlook, minutes_p50=minutes))


def test_rows_stand_by_what_presses() -> None:
    """The tier first; then what nobody has taken on; then what is gone sooner; then by code."""
    rows = [
        row("g", Tier.NORMAL),
        row("f", Tier.NORMAL, 500),
        row("e", Tier.URGENT, 1, taken=True),
        row("d", Tier.URGENT),
        row("c", Tier.URGENT, 9),
        row("b", Tier.URGENT, 9),
        row("a", Tier.SOLD_OUT, 0),
    ]
    assert [one.key.sku for one in sorted(rows, key=pressing)] == ["a", "b", "c", "d", "e", "f", "g"]
