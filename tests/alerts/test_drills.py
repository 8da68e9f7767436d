"""Drills on a real database: told once and marked as such, whoever ends them, and whatever becomes of their gateway."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from gateway.alerts import drills as use_cases
from gateway.alerts.requests import Acknowledge, CompleteStep
from gateway.domain.alerts import AckAction, Acknowledgement, DrillStep, Escalation, Event, EventKind, TierTold
from gateway.domain.drills import DrillExpectation, DrillInject, DrillSku, InjectKind
from gateway.domain.errors import DatabaseUnavailable, DrillRunning, DrillUnknown, RequestIdReused
from gateway.domain.tiers import Tier
from gateway.settings import Settings
from gateway.store.database import Clock, ReadConnection
from gateway.store.subscribers import keep_cursor
from tests.alerts.counter import Counter
from tests.alerts.drilling import Stage, changes, long_script, played_changes, script, stage_of
from tests.client import Client, new_id
from tests.rpc.alert_streams import stop_engines


@pytest.fixture
async def stage(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Stage]:
    """A gateway that plays the merchant's drills."""
    async with stage_of(settings, token, clock, "one") as found:
        yield found


@pytest.fixture
async def other(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Stage]:
    """Another gateway."""
    async with stage_of(settings, token, clock, "two") as found:
        yield found


@pytest.fixture
def _resting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways without an engine, which writes standings by itself."""
    stop_engines(monkeypatch)


def ack(event: Event, **content: object) -> Acknowledge:
    """An acknowledgement of a drill's tier change."""
    assert isinstance(event.body, TierTold)
    asked = Acknowledge(
        new_id(), event.sku, 0, event.episode, event.body.after, "li", AckAction.WATCH, drill_id=event.drill_id
    )
    return replace(asked, **content)


async def test_the_log_tells_what_the_play_says(stage: Stage) -> None:
    """Every change and inject, once, in order, at its second, between a start and an end; all of it marked (R44)."""
    played = script()
    drill = await stage.start(played)
    assert (drill.state, drill.actor, drill.score) == ("RUNNING", "li", None)
    ended = await stage.ended(drill.drill_id)
    events = await stage.log(drill.drill_id)
    assert changes(events, drill) == played_changes(played) != []
    kinds = [event.kind for event in events]
    assert (kinds[0], kinds[-1], kinds.count(EventKind.DRILL_INJECTED)) == (
        EventKind.DRILL_STARTED,
        EventKind.DRILL_ENDED,
        1,
    )
    assert drill.drill_id == events[0].revision
    for event in events:
        assert (event.drill_id, event.channels, event.session_ids) == (drill.drill_id, (), ())
        assert event.observe_time
        assert event.expire_time
        assert event.expire_time > event.observe_time
    assert (ended.state, ended.end_time) == ("ENDED", events[-1].record_time)


async def test_a_change_carries_its_runbook_and_its_numbers(stage: Stage) -> None:
    """As the merchant has laid it down; its instants are the clock's."""
    drill = await stage.start(script())
    await stage.ended(drill.drill_id)
    for event in await stage.log(drill.drill_id, EventKind.TIER_CHANGE):
        assert isinstance(event.body, TierTold)
        assert event.body.after is Tier.NORMAL or event.body.runbook
        onset = event.body.evidence.onset_time
        assert onset == 0 or 0 <= onset - drill.start_time.timestamp() <= 2.0


async def test_steps_say_who_and_what(stage: Stage) -> None:
    """Who began it; what was made to happen, with its SKU; what came of it, in words."""
    wanted = DrillExpectation("tea", Tier.SOLD_OUT, 60.0, 600.0)
    drill = await stage.start(script(room="直播间", expectations=(wanted,)))
    await stage.ended(drill.drill_id)
    steps = await stage.log(drill.drill_id, EventKind.DRILL_STARTED, EventKind.DRILL_INJECTED, EventKind.DRILL_ENDED)
    assert [event.body for event in steps] == [
        DrillStep("night", "li", detail="直播间，2款商品，600秒，300倍速"),
        DrillStep("night", inject="SURGE", detail="销量变为30倍，持续600秒"),
        DrillStep("night", passed=True, detail="演练通过：1项预期都按时出现。"),
    ]
    assert [event.sku for event in steps] == ["", "tea", ""]
    assert steps[0].expire_time
    assert steps[0].expire_time >= drill.time_at(600.0)


@pytest.mark.usefixtures("_resting")
async def test_a_drill_touches_nothing_that_is_true(stage: Stage, client: Client) -> None:
    """Of a SKU that there is: stock, journal, standings, all that bears on them is byte for byte as before."""
    await client.add_sku("tea", 100)
    await client.reserve("tea", 1)
    await Counter(stage.database).stand(Tier.THRESHOLD)
    before = await stage.truth()
    assert all(before[name] for name in ("levels", "movements", "reservations", "standings"))
    drill = await stage.start(script())
    assert (await stage.ended(drill.drill_id)).state == "ENDED"
    assert await stage.log(drill.drill_id, EventKind.TIER_CHANGE)
    assert await stage.truth() == before


async def test_three_at_once_and_no_more(stage: Stage, other: Stage) -> None:
    """Whichever gateways play them; the fourth hears of the oldest, and may begin when one is over."""
    begun = [await one.start(long_script()) for one in (stage, other, stage)]
    with pytest.raises(DrillRunning) as caught:
        await other.start(long_script())
    assert caught.value.facts == {"drill_id": begun[0].drill_id}
    await stage.drills.stop(begun[1].drill_id, "li")
    await other.start(long_script())


async def test_a_drill_is_begun_once(stage: Stage, other: Stage) -> None:
    """The same id and script: the first answer, on any gateway and after the end; another script is refused (R10)."""
    request_id = new_id()
    first = await stage.drills.start(request_id, script(), "li")
    assert await other.drills.start(request_id, script(), "li") == first
    await stage.ended(first.drill_id)
    assert await stage.drills.start(request_id, script(), "li") == first
    for another, actor, field in ((script(seed=4), "li", "script"), (script(), "wang", "actor")):
        with pytest.raises(RequestIdReused) as caught:
            await stage.drills.start(request_id, another, actor)
        assert caught.value.field == field
    assert len(await stage.drills.list_drills(before=2**63 - 1, count_max=10)) == 1


async def test_any_gateway_can_stop_it(stage: Stage, other: Stage) -> None:
    """At once, with a score; nothing is told of it afterwards, and stopping again changes nothing."""
    drill = await stage.start(long_script(expectations=(DrillExpectation("tea", Tier.TREND, 80_000, 86_000),)))
    await stage.told(drill.drill_id, EventKind.TIER_CHANGE)
    stopped = await other.drills.stop(drill.drill_id, "wang")
    events = await stage.log(drill.drill_id)
    assert (stopped.state, stopped.end_time) == ("STOPPED", events[-1].record_time)
    assert events[-1].body == DrillStep(
        "night",
        "wang",
        detail="演练被提前停止。演练未通过：1项预期中有1项没有按时出现：tea应在第80000至86000秒到达“提速”。",
    )
    assert await stage.drills.stop(drill.drill_id, "li") == stopped
    await stage.left(drill.drill_id)
    assert await stage.log(drill.drill_id) == events


async def test_unknown_drills_are_unknown(stage: Stage) -> None:
    """To be read, to be stopped."""
    for call in (stage.drills.get(99), stage.drills.stop(99, "li")):
        with pytest.raises(DrillUnknown):
            await call


async def test_a_gateway_that_goes_says_so(settings: Settings, token: str, clock: Clock, other: Stage) -> None:
    """A gateway that has the time ends its drills itself: LOST, and nobody waits for 15 seconds."""
    async with stage_of(settings, token, clock, "going") as going:
        drill = await going.start(long_script())
        await going.told(drill.drill_id, EventKind.TIER_CHANGE)
    found = await other.drills.get(drill.drill_id)
    assert found.state == "LOST"
    last = (await other.log(drill.drill_id))[-1]
    assert isinstance(last.body, DrillStep)
    assert last.body.detail.startswith("播放演练的网关已离线，演练中断。")


@pytest.mark.parametrize("seconds", [10, 16])
async def test_a_gateway_that_died_is_missed(
    settings: Settings, token: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """Not heard for 15 seconds: whoever reads says LOST, once, with the acknowledgements ended; before that nobody."""
    monkeypatch.setattr(use_cases, "SEARCH_SECONDS", 3_600.0)
    async with stage_of(settings, token, clock, "one") as stage, stage_of(settings, token, clock, "two") as other:
        drill = await stage.start(long_script())
        change = await _sold_out(stage, drill.drill_id)
        held = await Counter(other.database).desk.acknowledge(ack(change))
        await stage.die(drill.drill_id)
        clock.offset += timedelta(seconds=seconds)
        states = await asyncio.gather(*(other.drills.get(drill.drill_id) for _ in range(4)))
        is_lost = seconds > use_cases.SILENCE.total_seconds()
        assert {found.state for found in states} == {"LOST" if is_lost else "RUNNING"}
        ends = await other.log(drill.drill_id, EventKind.ACKNOWLEDGEMENT_ENDED, EventKind.DRILL_ENDED)
        assert [event.kind for event in ends] == (
            [EventKind.ACKNOWLEDGEMENT_ENDED, EventKind.DRILL_ENDED] if is_lost else []
        )
        if is_lost:
            assert isinstance(ends[0].body, Acknowledgement)
            ended = (ends[0].body.acknowledgement_id, ends[0].body.end_reason)
            assert ended == (held.acknowledgement.acknowledgement_id, "CLOSED")


async def test_nothing_is_told_twice_or_lost_when_connections_break(stage: Stage, owner: asyncpg.Connection) -> None:
    """Every connection is cut again and again, in the middle of commits too: the log is as if nothing had been."""
    played = script(seconds=1_800.0, speed=300.0)
    drill = await stage.start(played)
    cut = 0
    for _ in range(60):
        cut += await owner.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.08)
    assert cut > 4
    ended = await stage.ended(drill.drill_id)
    assert ended.state == "ENDED"
    events = await stage.log(drill.drill_id)
    assert changes(events, drill) == played_changes(played)
    assert [event.kind for event in events].count(EventKind.DRILL_ENDED) == 1


async def test_an_answer_that_is_lost_is_no_second_telling(
    stage: Stage, other: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other transaction is committed, and the player hears of a failure: the log has everything once."""
    played = script(seconds=1_800.0, speed=300.0)
    drill = await stage.start(played)
    whole, numbers = stage.database.transaction, itertools.count()

    @asynccontextmanager
    async def forgetful() -> AsyncIterator[ReadConnection]:
        async with whole() as connection:
            yield connection
        if next(numbers) % 2:
            raise DatabaseUnavailable("the answer was lost")

    monkeypatch.setattr(stage.database, "transaction", forgetful)
    assert (await other.ended(drill.drill_id)).state == "ENDED"
    events = await other.log(drill.drill_id)
    assert next(numbers) > 4
    assert changes(events, drill) == played_changes(played)
    assert [event.kind for event in events].count(EventKind.DRILL_INJECTED) == 1
    assert [event.kind for event in events].count(EventKind.DRILL_ENDED) == 1


# ---- what people do


async def test_an_acknowledgement_holds_until_it_rises(stage: Stage) -> None:
    """In a drill as in truth: RISEN when the tier does, and the log says so under the drill's number."""
    later = DrillInject(8.0, InjectKind.SURGE, "tea", 1_000.0, 600.0)
    skus = (DrillSku("tea", 60, 6_000.0, 6.0),)
    drill = await stage.start(long_script(skus=skus, injects=(later,)))
    change = await stage.told(drill.drill_id, EventKind.TIER_CHANGE)
    held = await Counter(stage.database).desk.acknowledge(ack(change))
    ended = await stage.told(drill.drill_id, EventKind.ACKNOWLEDGEMENT_ENDED)
    assert isinstance(ended.body, Acknowledgement)
    assert (ended.body.acknowledgement_id, ended.body.end_reason) == (held.revision, "RISEN")
    assert (ended.sku, ended.episode, ended.drill_id) == ("tea", change.episode, drill.drill_id)


async def test_an_acknowledgement_runs_out_on_the_clock(stage: Stage, clock: Clock) -> None:
    """People are rehearsed at their own speed: five minutes are five minutes."""
    drill = await stage.start(long_script())
    change = await _sold_out(stage, drill.drill_id)
    await Counter(stage.database).desk.acknowledge(ack(change))
    clock.offset += timedelta(minutes=5)
    ended = await stage.told(drill.drill_id, EventKind.ACKNOWLEDGEMENT_ENDED)
    assert isinstance(ended.body, Acknowledgement)
    assert ended.body.end_reason == "TIMED_OUT"


async def test_who_does_not_answer_is_passed_over(stage: Stage, clock: Clock) -> None:
    """An URGENT of a drill climbs the ladder on the clock, unless somebody takes it on."""
    skus = (DrillSku("tea", 60, 6_000.0, 60.0), DrillSku("mug", 60, 6_000.0, 60.0))
    drill = await stage.start(long_script(skus=skus, injects=()))
    urgent = [await stage.told(drill.drill_id, EventKind.TIER_CHANGE, count) for count in (1, 2)]
    assert {(event.sku, event.tier) for event in urgent} == {("tea", Tier.URGENT), ("mug", Tier.URGENT)}
    mug = next(event for event in urgent if event.sku == "mug")
    await Counter(stage.database).desk.acknowledge(ack(mug))
    clock.offset += timedelta(seconds=61)
    first = await stage.told(drill.drill_id, EventKind.ESCALATED)
    clock.offset += timedelta(seconds=120)
    second = await stage.told(drill.drill_id, EventKind.ESCALATED, 2)
    for event, level in ((first, 2), (second, 3)):
        assert isinstance(event.body, Escalation)
        assert (event.sku, event.drill_id, event.body.level, event.body.tier) == (
            "tea",
            drill.drill_id,
            level,
            Tier.URGENT,
        )
    await stage.drills.stop(drill.drill_id, "li")
    assert len(await stage.log(drill.drill_id, EventKind.ESCALATED)) == 2


async def test_the_score_says_how_fast_people_were(stage: Stage, clock: Clock) -> None:
    """Delivered when the last who listens has reported; acknowledged, acted; steps done and missed; and compared."""
    names = {"name": "evening"}
    before = await stage.start(long_script(**names))
    await stage.drills.stop(before.drill_id, "li")
    drill = await stage.start(long_script(expectations=(DrillExpectation("tea", Tier.SOLD_OUT, 0.0, 60.0),), **names))
    change = await _sold_out(stage, drill.drill_id)
    desk = Counter(stage.database).desk
    clock.offset += timedelta(seconds=4)
    for name, revision in (("early", change.revision + 100), ("late", change.revision - 1)):
        await _report(stage, name, revision)
    clock.offset += timedelta(seconds=4)
    await desk.acknowledge(ack(change))
    clock.offset += timedelta(seconds=4)
    await _report(stage, "late", change.revision)
    step = CompleteStep(new_id(), "tea", 0, 1, Tier.SOLD_OUT, 2, "li", drill.drill_id)
    await desk.complete_step(step)
    await stage.delivered(drill.drill_id, change.revision)
    score = (await stage.drills.stop(drill.drill_id, "li")).score
    assert score
    assert (score.passed, score.met) == (True, (True,))
    assert score.detect_seconds is not None
    assert 0 <= score.detect_seconds < 30
    assert score.deliver_seconds == pytest.approx(12.0, abs=2.0)
    assert score.acknowledge_seconds == pytest.approx(8.0, abs=2.0)
    assert score.act_seconds == pytest.approx(12.0, abs=2.0)
    assert (score.steps_done, score.steps_missed > 0) == (1, True)
    assert score.compared.startswith(f"上次演练（{before.drill_id}号）")


async def _sold_out(stage: Stage, drill_id: int) -> Event:
    """The change of tea into SOLD_OUT."""
    count = 1
    while (event := await stage.told(drill_id, EventKind.TIER_CHANGE, count)).tier != Tier.SOLD_OUT:
        count += 1
    return event


async def _report(stage: Stage, name: str, revision: int) -> None:
    async with stage.database.transaction() as connection:
        await keep_cursor(connection, stage.database, name, revision)
