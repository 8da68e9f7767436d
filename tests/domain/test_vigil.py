"""What is remembered of each key: a fold over the journal and the clock, the same however it is cut."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.alerts import lookout as lookout_module
from gateway.alerts.lookout import Lookout, Told
from gateway.alerts.surroundings import Surroundings
from gateway.domain.alerts import AlertPolicy, Session, SessionSku
from gateway.domain.chances import LeadTime
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Circumstances, Key, Moved, Tempo, Watched, begin_watch, looked, moved
from gateway.store.desk import DeskState
from gateway.store.standings import SkuFacts

START = datetime(2026, 11, 11, 20, 0, tzinfo=UTC).timestamp()
HALF_HOUR = Circumstances(LeadTime(1_800.0))
POOL = Key("tea")
ROOM = Key("tea", 7)
_numbers = itertools.count(1)


def around(*sessions: Session, fixed_line: int | None = None) -> Surroundings:
    """What bears on the SKU `tea`: a policy, sessions, nothing else."""
    desk = DeskState({"": AlertPolicy(fixed_line=fixed_line)}, {}, (), (), (), "", None)
    return Surroundings(desk, sessions, {"tea": SkuFacts("tea", "茶", None, None, ("dy",))}, (), Tempo().time(START))


def order(at: float, left: int, units: int = 1, **fields: Any) -> Moved:
    """An order after which so much is left."""
    number = next(_numbers)
    content: dict[str, Any] = {"reservation_id": number, "location": "main", "balance": left, "reserved_change": units}
    content |= fields
    return Moved(number, at, MovementKind.RESERVE, "tea", quantity=units, on_hand_change=0, **content)


def goods(kind: MovementKind, at: float, change: int, left: int, location: str = "main") -> Moved:
    """Units that came or went."""
    return Moved(next(_numbers), at, kind, "tea", location, abs(change), change, 0, left)


def test_one_reservation_from_two_locations_is_one_order() -> None:
    """What each location gives has a movement of its own; the customer has ordered once."""
    watched = begin_watch({"main": 1, "near": 5}, HALF_HOUR, START)
    watched = moved(watched, order(START + 9, 0, reservation_id=5), HALF_HOUR)
    watched = moved(watched, order(START + 9, 4, reservation_id=5, location="near"), HALF_HOUR)
    assert watched.pace.evidence_orders == 1
    assert watched.available(HALF_HOUR) == 4


async def test_an_order_has_all_its_units_whichever_places_give_them() -> None:
    """Ten from one place, or six and four from two: as many are expected of the next."""
    paces = []
    for parts in ((10,), (6, 4)):
        lookout, surroundings = Lookout(0, START), around()
        lookout.begin(POOL, {"main": 60, "near": 40}, surroundings, START)
        moment = [
            order(START + 1, 50, units, reservation_id=5, location=at)
            for units, at in zip(parts, ("main", "near"), strict=False)
        ]
        await lookout.take([*moment, order(START + 1, 49, 1)], surroundings, START + 2)
        paces.append(lookout.entries[POOL].watched.pace)
    assert paces[0] == paces[1]
    assert paces[0].evidence_orders == 2


async def test_who_catches_up_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand orders that are read at once are looked at in turns with the gateway's calls."""
    turns, looked_at = 0, []

    def note(*asked: Any) -> Any:
        looked_at.append(turns)
        return looked(*asked)

    async def live() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(lookout_module, "looked", note)
    lookout, surroundings = Lookout(0, START), around()
    lookout.begin(POOL, {"main": 2_000}, surroundings, START)
    living = asyncio.create_task(live())
    await asyncio.sleep(0)
    await lookout.take([order(START + n / 1_000, 2_000 - n) for n in range(1_000)], surroundings, START + 1)
    living.cancel()
    assert len(looked_at) == 1_000
    assert len(set(looked_at)) >= 1_000 // lookout_module.KEYS_AT_ONCE


def test_paying_for_an_order_is_no_second_order() -> None:
    """A commit takes from on hand what was reserved: nothing is asked for, and nothing less is available."""
    watched = moved(begin_watch({"main": 5}, HALF_HOUR, START), order(START + 9, 4), HALF_HOUR)
    paid = Moved(99, START + 20, MovementKind.COMMIT, "tea", "main", 1, -1, -1, 4, 1)
    assert moved(watched, paid, HALF_HOUR) is watched


async def test_what_a_transfer_moves_was_never_gone() -> None:
    """Both halves of a transfer are of one moment, and nobody looks between them."""
    lookout = Lookout(0, START)
    surroundings = around()
    lookout.begin(POOL, {"main": 9}, surroundings, START)
    batch = [
        goods(MovementKind.TRANSFER_OUT, START + 1, -9, 0),
        goods(MovementKind.TRANSFER_IN, START + 1, 9, 9, "near"),
    ]
    assert await lookout.take(batch, surroundings, START + 2) == []
    assert lookout.entries[POOL].watched.available(HALF_HOUR) == 9


def test_a_session_has_what_it_was_given_less_what_its_channels_took() -> None:
    """Orders of other channels are the others' business, and what is given back can be sold again."""
    own = Circumstances(LeadTime(1_800.0), exclusive_units=20)
    watched = begin_watch({}, own, START)
    watched = moved(watched, order(START + 1, 100, 3, channel="dy"), own)
    released = Moved(50, START + 2, MovementKind.RELEASE, "tea", "main", 1, 0, -1, 101, 1, "dy")
    watched = moved(watched, released, own)
    assert watched.available(own) == 18


async def test_a_sessions_own_units_are_watched_beside_the_whole_stock() -> None:
    """Twenty of five hundred are the room's: when they are gone the room is sold out, and the shop is not."""
    session = Session("room", ("dy",), (SessionSku("tea", 20, 20),), Tempo().time(START), Tempo().time(START + 7200), 7)
    surroundings = around(session)
    lookout = Lookout(0, START)
    for key in surroundings.keys_of("tea"):
        lookout.begin(key, {"main": 500}, surroundings, START)
    batch = [order(START + n * 5, 500 - n, channel="dy") for n in range(1, 21)]
    batch.append(order(START + 120, 470, 10, channel="tb"))
    told = await lookout.take(batch, surroundings, START + 130)
    rooms = [change.after for key, change in told if key == ROOM]
    assert rooms[-1] is Tier.SOLD_OUT
    assert lookout.entries[POOL].watched.standing.tier < Tier.SOLD_OUT
    assert lookout.entries[POOL].watched.pace.evidence_orders == 21
    assert lookout.entries[ROOM].watched.pace.evidence_orders == 20


async def test_what_comes_back_of_older_orders_is_none_of_a_sessions_own() -> None:
    """An order of yesterday's that closes unpaid, or is sent back, gives a room nothing that it was not given."""
    sold = SessionSku("tea", 20, 20, open_revision=0, open_reservation=900)
    session = Session("room", ("dy",), (sold,), Tempo().time(START), Tempo().time(START + 7200), 7)
    surroundings = around(session)
    lookout = Lookout(0, START)
    lookout.begin(ROOM, {}, surroundings, START)
    lookout.begin(POOL, {"main": 500}, surroundings, START)
    batch = [
        order(START + 1, 497, 3, channel="dy", reservation_id=901),
        Moved(next(_numbers), START + 2, MovementKind.RELEASE, "tea", "main", 5, 0, -5, 502, 900, "dy"),
        Moved(next(_numbers), START + 3, MovementKind.RETURN, "tea", "main", 2, 2, 0, 504, 800, "dy"),
        # Of three that were held two are paid, and one returns at once.
        Moved(next(_numbers), START + 4, MovementKind.COMMIT, "tea", "main", 2, -2, -3, 505, 901, "dy"),
    ]
    await lookout.take(batch, surroundings, START + 5)
    assert lookout.entries[ROOM].watched.available(surroundings.circumstances(ROOM)) == 18


def test_a_session_that_nobody_closed_cuts_no_warning_short() -> None:
    """The rest of a session is as far as its SKUs need last; of one that was to end two hours ago there is none."""

    def ends(minutes_ago: float) -> float | None:
        planned = Tempo().time(START - minutes_ago * 60)
        session = Session("room", ("dy",), (SessionSku("tea"),), Tempo().time(START - 9_999), planned, 7)
        return around(session).circumstances(POOL).session_end

    assert ends(119.0) == START - 119 * 60
    assert ends(121.0) is None


def test_sales_of_a_sku_nobody_knows_are_no_acceleration() -> None:
    """At first there is only a guess to compare with: faster than a guess is no news."""
    watched: Watched = begin_watch({"main": 10_000}, HALF_HOUR, START)
    for n in range(25):
        watched = moved(watched, order(START + n * 2, 10_000 - n), HALF_HOUR)
        watched, change = looked(watched, START + n * 2, HALF_HOUR)
        assert change is None


@pytest.mark.parametrize("lead_days", [0.02, 3.0])
def test_nobody_is_warned_of_a_sku_that_nobody_buys(lead_days: float) -> None:
    """A catalog's long tail: few units, no history, no orders, whatever the lead time."""
    slow = Circumstances(LeadTime(lead_days * 86_400))
    for units in (1, 3, 9):
        watched = begin_watch({"main": units}, slow, START)
        assert looked(watched, START + 60, slow) == (watched, None)


def test_a_sku_that_nobody_knew_is_warned_of_when_it_sells() -> None:
    """Five orders a minute, thirty minutes until more can come: eighty units are too few, and that is seen early."""
    watched = begin_watch({"main": 100}, HALF_HOUR, START)
    for n in range(1, 20):
        watched = moved(watched, order(START + n * 12, 100 - n), HALF_HOUR)
        watched, _ = looked(watched, START + n * 12, HALF_HOUR)
    assert watched.standing.tier >= Tier.THRESHOLD


@st.composite
def journals(draw: st.DrawFn) -> list[Moved]:
    """Orders, receipts and returns at random moments, several at once too."""
    at, left, journal = START, draw(st.integers(0, 60)), []
    for _ in range(draw(st.integers(1, 60))):
        at += draw(st.sampled_from([0.0, 0.0, 0.3, 2.0, 7.0, 40.0]))
        units = draw(st.integers(1, 3))
        if draw(st.booleans()) or left >= units:
            left -= min(units, left)
            journal.append(order(at, left, units))
        else:
            left += 20
            journal.append(goods(MovementKind.RECEIVE, at, 20, left))
    return journal


@settings(deadline=None)
@given(journals(), st.lists(st.integers(1, 60), max_size=6))
def test_the_same_journal_tells_the_same_however_it_is_cut(journal: list[Moved], cuts: list[int]) -> None:
    """Equal input, equal output: batches may end between any two moments."""
    moments = [list(group) for _, group in itertools.groupby(journal, key=lambda movement: movement.time)]
    whole = play([journal])
    places = [0, *sorted({cut for cut in cuts if cut < len(moments)}), len(moments)]
    batches = [
        [movement for group in moments[start:stop] for movement in group] for start, stop in itertools.pairwise(places)
    ]
    assert play(batches) == whole


@settings(deadline=None)
@given(journals(), st.data())
def test_who_goes_on_from_a_row_misses_nothing_and_counts_nothing_twice(
    journal: list[Moved], data: st.DataObject
) -> None:
    """A key taken over from its row, with the journal from any place before it, comes to the same end."""
    whole = play([journal])
    stop = data.draw(st.integers(0, len(journal)))
    while 0 < stop < len(journal) and journal[stop].time == journal[stop - 1].time:
        stop += 1
    first = data.draw(st.integers(0, stop))
    assert play([journal[:stop]]) + resumed(journal, stop, first) == whole


def play(batches: list[list[Moved]]) -> list[Told]:
    """What is told of the SKU's whole stock."""
    return asyncio.run(_play(batches)) if batches else []


async def _play(batches: list[list[Moved]]) -> list[Told]:
    surroundings, lookout = around(fixed_line=12), Lookout(0, START)
    lookout.begin(POOL, {"main": 60}, surroundings, START)
    return [told for batch in batches for told in await lookout.take(batch, surroundings, START + 600)]


def resumed(journal: list[Moved], stop: int, first: int) -> list[Told]:
    """What is told by one who has the row as of `stop`, and reads the journal again from `first` on."""

    async def play_on() -> list[Told]:
        surroundings, before = around(fixed_line=12), Lookout(0, START)
        before.begin(POOL, {"main": 60}, surroundings, START)
        await before.take(journal[:stop], surroundings, START + 600)
        row = before.stand(POOL)
        place = journal[first - 1].revision if first else 0
        after = Lookout(place, journal[first].time - 5 if first < len(journal) else before.ticked)
        after.ticked = min(after.ticked, before.ticked)
        after.keep([row])
        return await after.take(journal[first:], surroundings, START + 600)

    return asyncio.run(play_on())
