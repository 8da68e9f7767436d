"""Silences on a real database: whom they are about, when they are over, and that nothing is hidden."""

from datetime import timedelta

import pytest

from gateway.alerts.requests import EndSilence
from gateway.domain.alerts import EventKind, Silence, SilenceMatcher
from gateway.domain.errors import (
    ChannelUnknown,
    GatewayError,
    InvalidArgument,
    SessionUnknown,
    SilenceUnknown,
    SkuUnknown,
)
from gateway.domain.tiers import Tier
from gateway.store import desk as store
from gateway.store.database import Clock
from tests.alerts.counter import HOUR, OTHER, SKU, Counter, hush, new_id

MINUTE = timedelta(minutes=1)


async def test_a_silence_is_an_event_and_is_read_by_the_engine(counter: Counter) -> None:
    """From now on unless somebody says when, with its author and why."""
    asked = hush(await counter.now(), matcher=SilenceMatcher((SKU,)), until_resolved=True)
    silence = (await counter.desk.silence(asked)).silence
    (event,) = await counter.events()
    assert (event.kind, event.body, event.revision) == (EventKind.SILENCED, silence, silence.silence_id)
    assert (event.sku, event.channels) == (SKU, ("dy",))
    assert silence.start_time == event.record_time
    assert (silence.end_time, silence.actor, silence.comment) == (asked.end_time, "li", "rehearsing")
    assert (silence.until_resolved, silence.max_tier) == (True, Tier.THRESHOLD)
    assert (await counter.state()).silences == (silence,)


@pytest.mark.parametrize(
    ("matcher", "max_tier", "count"),
    [
        (SilenceMatcher(), Tier.THRESHOLD, 3),
        (SilenceMatcher(), Tier.TREND, 1),
        (SilenceMatcher(), Tier.SOLD_OUT, 4),
        (SilenceMatcher(("tea", "calm", "cup")), Tier.URGENT, 2),
        (SilenceMatcher(("calm",)), Tier.SOLD_OUT, 0),
        (SilenceMatcher(channels=("dy",)), Tier.SOLD_OUT, 3),
        (SilenceMatcher(("own",), ("dy",)), Tier.SOLD_OUT, 0),
        (SilenceMatcher(session_ids=(1,)), Tier.SOLD_OUT, 2),
        (SilenceMatcher(("tea",), ("dy",), (1,)), Tier.TREND, 1),
        (SilenceMatcher(session_ids=(2,)), Tier.SOLD_OUT, 0),
    ],
)
async def test_a_silence_says_how_many_it_silences(
    counter: Counter, matcher: SilenceMatcher, max_tier: Tier, count: int
) -> None:
    """SKUs, each once, that are not NORMAL and no higher than its tier: by code, by who sells them, by session."""
    await counter.stock("cup", "calm")
    await counter.stock("own", is_sold=False)
    assert await counter.open_session(SKU) == 1
    assert await counter.open_session("calm") == 2
    tiers = {SKU: Tier.TREND, OTHER: Tier.THRESHOLD, "cup": Tier.URGENT, "own": Tier.SOLD_OUT, "calm": Tier.NORMAL}
    for sku, tier in tiers.items():
        await counter.stand(tier, sku=sku)
    await counter.stand(Tier.THRESHOLD, sku="own", session_id=1)
    await counter.stand(Tier.TREND, sku=SKU, session_id=1)
    answer = await counter.desk.silence(hush(await counter.now(), matcher=matcher, max_tier=max_tier))
    assert answer.matches == count


@pytest.mark.parametrize(
    ("starts", "ends", "field"),
    [
        (None, timedelta(), "end_time"),
        (None, -MINUTE, "end_time"),
        (None, 12 * HOUR + MINUTE, "end_time"),
        (HOUR, HOUR, "end_time"),
        (HOUR, 13 * HOUR + MINUTE, "end_time"),
        (-HOUR, -MINUTE, "end_time"),
        (-11 * HOUR, 2 * HOUR, "end_time"),
        (31 * 24 * HOUR, 31 * 24 * HOUR + HOUR, "start_time"),
    ],
)
async def test_no_silence_without_an_end_or_over_twelve_hours(
    counter: Counter, starts: timedelta | None, ends: timedelta, field: str
) -> None:
    """What is over, what ends before it begins, what is too long, what is too far away: the field is named."""
    now = await counter.now()
    start = None if starts is None else now + starts
    await _refused(counter, hush(now, start_time=start, end_time=now + ends), InvalidArgument, field)


async def test_a_silence_may_be_laid_down_ahead(counter: Counter) -> None:
    """For the rehearsal at six."""
    now = await counter.now()
    answer = await counter.desk.silence(hush(now, start_time=now + HOUR, end_time=now + 13 * HOUR))
    assert answer.silence.start_time == now + HOUR


@pytest.mark.parametrize(
    ("matcher", "kind", "field"),
    [
        (SilenceMatcher((SKU, "nope")), SkuUnknown, "matcher.skus[1]"),
        (SilenceMatcher(channels=("dy", "tb")), ChannelUnknown, "matcher.channels[1]"),
        (SilenceMatcher(session_ids=(77,)), SessionUnknown, "matcher.session_ids[0]"),
    ],
)
async def test_a_silence_names_what_there_is(
    counter: Counter, matcher: SilenceMatcher, kind: type[GatewayError], field: str
) -> None:
    """A code with a slip in it would silence nobody, and nobody would know."""
    await _refused(counter, hush(await counter.now(), matcher=matcher), kind, field)


async def test_a_silence_is_ended_once(counter: Counter) -> None:
    """By hand, with an event; who ends it again hears when it was, and nothing is told twice."""
    silence = (await counter.desk.silence(hush(await counter.now()))).silence
    ended = (await counter.desk.end_silence(EndSilence(new_id(), silence.silence_id, "王"))).silence
    _, event = await counter.events()
    assert (event.kind, event.body) == (EventKind.SILENCE_ENDED, ended)
    assert ended.ended_time == event.record_time
    assert (await counter.state()).silences == ()
    again = (await counter.desk.end_silence(EndSilence(new_id(), silence.silence_id, "li"))).silence
    assert again == ended
    assert len(await counter.events()) == 2
    with pytest.raises(SilenceUnknown) as refused:
        await counter.desk.end_silence(EndSilence(new_id(), 999, "li"))
    assert refused.value.field == "silence_id"


async def test_the_engine_ends_what_is_over(counter: Counter, clock: Clock) -> None:
    """What time has ended is kept for the engine to say so, though nobody is shown it any more."""
    silence = (await counter.desk.silence(hush(await counter.now()))).silence
    assert await _listed(counter) == [silence]
    clock.offset += 2 * HOUR
    assert await _listed(counter) == []
    assert (await counter.state()).silences == (silence,)
    now = await counter.now()
    async with counter.database.transaction() as connection:
        ended = await store.end_silence(connection, silence.silence_id, now)
        assert ended is not None
        assert ended.ended_time == now
        assert await store.end_silence(connection, silence.silence_id, now) is None
    assert (await counter.state()).silences == ()
    assert await _listed(counter, include_ended=True) == [ended]


async def test_silences_are_listed_newest_first_by_pages(counter: Counter) -> None:
    """Each once, whatever the size of the page."""
    made = [(await counter.desk.silence(hush(await counter.now()))).silence for _ in range(5)]
    found: list[Silence] = []
    before = 2**63 - 1
    while page := await counter.desk.list_silences(include_ended=False, before=before, count_max=2):
        found += page
        before = page[-1].silence_id
    assert found == made[::-1]


async def _listed(counter: Counter, *, include_ended: bool = False) -> list[Silence]:
    return await counter.desk.list_silences(include_ended=include_ended, before=2**63 - 1, count_max=10)


async def _refused(counter: Counter, asked: object, kind: type[GatewayError], field: str) -> None:
    with pytest.raises(kind) as refused:
        await counter.desk.silence(asked)  # type: ignore[arg-type]  # a BeginSilence, as `hush` makes it
    assert refused.value.field == field
    assert await counter.events() == []
    assert (await counter.ids_kept(), (await counter.state()).silences) == (0, ())
