"""When what is sent: urgent at once, the rest together, never beyond the limit, and nothing lost."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.notify.grouping import grouped
from connectors.notify.notices import Kind, Notice, Tier
from connectors.notify.robot import Rate
from connectors.notify.schedule import Group, Outbox, Tempo, Window
from connectors.notify.words import Words
from tests.connectors.notify.chances import KINDS

MINUTE = (Rate(20, 60.0),)
BYTES_MAX = 2_048
STEPS_MAX = 2_000


def outbox(rates: Sequence[Rate] = MINUTE, tempo: Tempo | None = None) -> Outbox:
    return Outbox(tempo or Tempo(), Window(rates))


def told(revision: int, tier: Tier = Tier.THRESHOLD, *, sku: str = "", room: str = "A") -> Notice:
    """A rise to this tier, of a SKU of its own unless one is named."""
    return Notice(
        revision=revision, kind=Kind.TIER, thread=sku or f"SKU-{revision}", sku=sku, tier=tier, room=room, pages=True
    )


def send(box: Outbox, now: float, bytes_max: int = 9_000) -> list[int]:
    """Send what is due; the revisions that were told."""
    group = box.due(now)
    if group is None:
        return []
    made = grouped(group.notices, bytes_max, box.dropped)
    box.window.ended(now)
    box.sent(box.taken(made.told), now, box.dropped)
    return [notice.revision for notice in made.told]


# ---- waiting


def test_what_happens_together_is_told_together() -> None:
    """Two seconds after the first of a room, everything of that room; what comes then waits for 15 s."""
    box = outbox()
    box.add(told(1), 0.0)
    box.add(told(2), 1.5)
    assert box.wakes_at(0.0) == 2.0
    assert not send(box, 1.9)
    assert send(box, 2.0) == [1, 2]
    box.add(told(3), 3.0)
    assert box.wakes_at(3.0) == 17.0
    assert not send(box, 16.9)
    assert send(box, 17.0) == [3]
    assert box.wakes_at(17.0) is None


def test_rooms_do_not_wait_for_each_other() -> None:
    """Each has its own 15 s."""
    box = outbox()
    box.add(told(1, room="A"), 0.0)
    assert send(box, 2.0) == [1]
    box.add(told(2, room="B"), 3.0)
    assert send(box, 5.0) == [2]


def test_urgent_goes_at_once_and_takes_its_room_along() -> None:
    """Neither the wait nor the interval holds it back, and what waits of its room is told with it, after it."""
    box = outbox()
    box.add(told(1), 0.0)
    send(box, 2.0)
    box.add(told(2), 2.5)
    box.add(told(3, room="B"), 2.6)
    for revision, tier in ((4, Tier.URGENT), (5, Tier.SOLD_OUT)):
        box.add(told(revision, tier), 2.7)
    assert box.wakes_at(2.7) == 2.7
    assert send(box, 2.7) == [5, 4, 2]
    assert send(box, 4.6) == [3]


def test_a_repeated_raise_that_does_not_page_is_not_urgent() -> None:
    """It is told, but it waits as others do."""
    box = outbox()
    box.add(replace(told(1, Tier.URGENT), pages=False), 0.0)
    assert not send(box, 0.0)
    assert send(box, 2.0) == [1]


def test_drills_and_truth_never_share_a_message() -> None:
    """Not even in one room at one moment."""
    box = outbox()
    box.add(told(1, Tier.URGENT), 0.0)
    box.add(replace(told(2, Tier.URGENT), drill_id=7), 0.0)
    box.add(told(3), 0.0)
    assert [send(box, 2.0), send(box, 2.0)] == [[1, 3], [2]]


# ---- limits


def test_half_of_the_limit_is_kept_for_what_is_urgent() -> None:
    """After ten messages in a minute the rest waits; an urgent one does not."""
    box = outbox(tempo=Tempo(merges_rooms=False))
    for number in range(1, 13):
        box.add(told(number, room=str(number)), 0.0)
    sent = [send(box, 2.0) for _ in range(12)]
    assert sum(map(len, sent)) == 10
    assert box.wakes_at(2.0) == 62.0
    box.add(told(99, Tier.URGENT), 3.0)
    assert send(box, 3.0) == [99]


def test_many_rooms_share_messages_when_calls_are_few() -> None:
    """Thirty rooms at one robot: all are told within the limit, in one message or a few."""
    box = outbox()
    for number in range(1, 31):
        box.add(told(number, room=str(number)), 0.0)
    messages = [told_now for _ in range(10) if (told_now := send(box, 2.0))]
    assert sorted(revision for message in messages for revision in message) == list(range(1, 31))
    assert len(messages) < 10


def test_a_flood_of_urgent_ones_waits_for_seconds() -> None:
    """A hundred SKUs turn urgent within a minute: each is told within the spread of the last quarter of the limit."""
    box = outbox()
    arrived: dict[int, float] = {}
    delays = []
    for tick in range(1_200):
        now = tick / 10
        if tick % 6 == 0 and len(arrived) < 100:
            arrived[tick] = now
            box.add(told(tick, Tier.URGENT, room=str(tick % 7)), now)
        delays += [now - arrived[revision] for revision in send(box, now)]
    assert len(delays) == 100
    assert max(delays) <= 12.01


def test_two_notifiers_share_the_limit() -> None:
    """Who hears of another takes half, as long as the other was heard of lately."""
    window = Window(MINUTE)
    window.heard_another(0.0)
    assert (window.free(0.0), window.free(119.9), window.free(120.0)) == (5, 5, 10)
    for _ in range(10):
        window.ended(1.0)
    assert window.opens_at(2.0, urgent=True) == 61.0
    assert window.opens_at(120.0, urgent=True) <= 120.0


def test_the_first_minute_is_careful() -> None:
    """The process before this one may have used the limit up to half when it was killed."""
    window = Window(MINUTE)
    window.begin(1_000.0)
    assert (window.free(1_059.9), window.free(1_060.0)) == (5, 10)


def test_a_ban_is_silence() -> None:
    """Until it is over nothing goes out, urgent or not; then the most pressing first."""
    box = outbox()
    box.quiet_until = 600.0
    box.add(told(1), 0.0)
    box.add(told(2, Tier.URGENT), 100.0)
    assert not send(box, 599.9)
    assert box.wakes_at(100.0) == 600.0
    assert send(box, 600.0) == [2, 1]


@given(st.lists(st.floats(0, 20), max_size=120), st.sampled_from([MINUTE, (Rate(100, 60.0), Rate(5, 1.0))]))
def test_no_span_has_more_calls_than_the_platform_takes(pauses: list[float], rates: tuple[Rate, ...]) -> None:
    """Whenever calls are made as soon as they may be."""
    window, now, ends = Window(rates), 0.0, []
    for pause in pauses:
        now = max(now + pause, window.opens_at(now, urgent=True))
        window.ended(now)
        ends.append(now)
    for rate in rates:
        for first, last in zip(ends, ends[rate.calls :], strict=False):
            assert last - first >= rate.seconds - 1e-6


# ---- replacing and dropping


@pytest.mark.parametrize(
    ("tiers", "left"),
    [
        ((Tier.TREND, Tier.THRESHOLD, Tier.URGENT), [3]),
        ((Tier.URGENT, Tier.NORMAL), [1, 2]),
        ((Tier.URGENT, Tier.THRESHOLD, Tier.URGENT), [3]),
        ((Tier.SOLD_OUT, Tier.URGENT, Tier.NORMAL), [1, 2, 3]),
        ((Tier.NORMAL, Tier.NORMAL), [2]),
    ],
)
def test_newer_replaces_what_does_not_stand_higher(tiers: Iterable[Tier], left: list[int]) -> None:
    """Of one SKU; so that what is told of it is told in order."""
    box = outbox()
    for revision, tier in enumerate(tiers, start=1):
        box.add(told(revision, tier, sku="MUG"), 0.0)
    assert send(box, 2.0) == left


def test_what_replaces_an_urgent_one_is_urgent() -> None:
    """Sold out for the second time pages nobody by itself; in the place of what was urgent and not told, it does."""
    box = outbox()
    box.quiet_until = 10.0
    box.add(told(1, Tier.URGENT, sku="MUG"), 0.0)
    box.add(replace(told(2, Tier.SOLD_OUT, sku="MUG"), pages=False, tier_before=Tier.SOLD_OUT), 9.9)
    assert send(box, 10.0) == [2]


def test_old_knowledge_does_not_replace_what_it_is_about() -> None:
    """That the channels have fallen silent is told after the change that nobody has heard of yet."""
    box = outbox()
    box.quiet_until = 10.0
    box.add(told(1, Tier.URGENT, sku="MUG"), 0.0)
    box.add(replace(told(2, Tier.URGENT, sku="MUG"), kind=Kind.STALE, is_stale=True), 1.0)
    assert send(box, 10.0) == [1, 2]


def test_of_the_past_only_the_newest_is_told() -> None:
    """After hours of absence nobody needs to hear that something was urgent and is not any more."""
    box = outbox()
    for revision, tier in enumerate((Tier.URGENT, Tier.SOLD_OUT, Tier.NORMAL), start=1):
        box.add(replace(told(revision, tier, sku="MUG"), is_past=True), 0.0)
    box.add(replace(told(4, Tier.URGENT, sku="BOWL"), is_past=True), 0.0)
    assert [send(box, 2.0), send(box, 17.0)] == [[4, 3], []]


def test_the_same_notice_twice_is_one() -> None:
    """What comes again keeps the place it has."""
    box = outbox()
    box.add(told(1), 0.0)
    box.add(told(1), 1.0)
    assert send(box, 2.0) == [1]


def test_what_was_not_told_is_put_back_unless_it_is_pointless() -> None:
    """Marked if it may have been told; dropped if a newer one has come meanwhile that stands as high."""
    box = outbox()
    box.add(told(1, Tier.URGENT, sku="MUG"), 0.0)
    box.add(told(2, Tier.URGENT, sku="BOWL"), 0.0)
    group = box.due(0.0)
    assert group is not None
    taken = box.taken(group.notices)
    box.add(told(3, Tier.SOLD_OUT, sku="MUG"), 0.5)
    for each in taken:
        box.put_back(each, 5.0, may_be_told=True)
    assert send(box, 1.0) == [3]
    assert not send(box, 4.9)
    group = box.due(5.0)
    assert group is not None
    assert [(each.notice.revision, each.notice.may_be_told, each.tries) for each in group.pending] == [(2, True, 1)]


def test_what_waits_is_bounded_and_escalations_stay() -> None:
    """Beyond the bound the lowest and oldest goes, counted; no rise and no urgent one ever does."""
    box = outbox(tempo=Tempo(pending_max=10))
    for revision in range(1, 9):
        box.add(replace(told(revision, Tier.NORMAL), tier_before=Tier.URGENT), 0.0)
    for revision in range(9, 31):
        box.add(told(revision, Tier.URGENT if revision % 2 else Tier.TREND), 0.0)
    assert len(box) == 22
    assert box.dropped == 8
    assert box.oldest_revision == 9
    group = box.due(2.0)
    assert group is not None
    assert "另有 8 条未发送" in grouped(group.notices, 9_000, box.dropped).text


# ---- everything at once


def by_chance(revision: int, past_until: int, chance: random.Random) -> Notice:
    """Any fact of a few SKUs in a few rooms; up to a revision they are of the past."""
    return Notice(
        revision=revision,
        kind=chance.choice(KINDS),
        thread=chance.choice("ABC"),
        tier=chance.choice(list(Tier)),
        tier_before=chance.choice(list(Tier)),
        room=chance.choice(("", "one", "two")),
        title="杯" * chance.choice((1, 30)),
        host_line=Words("抓" * chance.choice((0, 80))),
        drill_id=chance.choice((0, 0, 0, 7)),
        pages=chance.random() < 0.5,
        is_past=revision <= past_until,
    )


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([5, 500]))
def test_nothing_is_lost_and_order_holds(seed: int, count: int, pending_max: int) -> None:
    """Whatever comes, and however often posts fail: each notice is told, or one of its thread that makes it pointless.

    What is told of a thread rises in number, also after failures. No message is beyond the bytes, and none that is not
    urgent goes while an urgent one is ready. Only what is no escalation is dropped, and each is counted. Nobody is
    woken for nothing, and it comes to an end.
    """
    chance = random.Random(seed)
    past_until = chance.choice((0, 0, 5, 30))
    given_notices = [by_chance(revision, past_until, chance) for revision in range(1, count + 1)]
    box = outbox(tempo=Tempo(pending_max=pending_max))
    waiting, now, sent, dropped = list(given_notices), 0.0, list[Notice](), 0
    for _ in range(STEPS_MAX):
        if not waiting and not len(box):
            break
        if waiting and (not len(box) or chance.random() < 0.6):
            now += chance.random() * 3
            box.add(waiting.pop(0), now)
        else:
            now = box.wakes_at(now) or now
        group = box.due(now)
        if group is None:
            later = box.wakes_at(now)
            assert later is None or later > now, "woken for nothing"
            continue
        told_now = post(box, group, now, chance)
        dropped += told_now.dropped
        sent += told_now.notices
    else:
        raise AssertionError("it goes on for ever")
    require_order(sent)
    lost = [notice for notice in given_notices if not covers(notice, sent)]
    # What was dropped may have made others pointless before.
    last = [notice for notice in lost if not covers(notice, [other for other in lost if other is not notice])]
    assert len(last) <= dropped + box.dropped
    assert not any(notice.is_escalation and not notice.is_past for notice in lost)


class ToldNow(NamedTuple):
    """What came of one post."""

    notices: Sequence[Notice] = ()
    dropped: int = 0


def post(box: Outbox, group: Group, now: float, chance: random.Random) -> ToldNow:
    """One message at a robot that fails now and then."""
    ready = [each for each in box._waiting if each.not_before <= now]
    assert group.is_urgent or not any(each.notice.is_urgent and not each.alone for each in ready)
    made = grouped(group.notices, BYTES_MAX, box.dropped)
    assert len(made.text.encode()) <= BYTES_MAX
    on_way = box.taken(made.told)
    box.window.ended(now)
    if chance.random() < 0.3:
        at, alone = now + chance.random() * 20, chance.random() < 0.5
        for each in on_way:
            box.put_back(each, at, may_be_told=chance.random() < 0.5, alone=alone)
        return ToldNow()
    dropped = box.dropped
    box.sent(on_way, now, dropped)
    return ToldNow(made.told, dropped)


def covers(notice: Notice, sent: Iterable[Notice]) -> bool:
    """It was told, or a newer one of its thread that does not stand lower; of the past any newer one will do."""
    newer = [one for one in sent if one.about == notice.about and one.revision >= notice.revision]
    return any(one.rank >= notice.rank or notice.is_past for one in newer)


def require_order(sent: Iterable[Notice]) -> None:
    """Of each thread, what is true and what is rehearsed apart, numbers rise."""
    last: dict[tuple[str, int], int] = {}
    for notice in sent:
        assert notice.revision > last.get(notice.about, 0)
        last[notice.about] = notice.revision
