"""The desk on a real database: warnings are taken on once, by whoever is first, as they stand at that moment."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.alerts.requests import Acknowledged
from gateway.domain.alerts import AckAction, Acknowledgement, EventKind, IncomingUnits
from gateway.domain.errors import (
    AlreadyAcknowledged,
    DrillUnknown,
    EpisodeOver,
    GatewayError,
    InvalidArgument,
    SessionOver,
    SessionUnknown,
    SkuUnknown,
    TierChanged,
)
from gateway.domain.tiers import Tier
from gateway.store import desk as store
from gateway.store.database import Clock
from tests.alerts.counter import HOUR, OTHER, SKU, Counter, ack, step


async def test_an_acknowledgement_is_an_event_and_holds(counter: Counter) -> None:
    """Who, when, what was decided: recorded, numbered, read by the engine, and found where the SKU is sold."""
    session = await counter.open_session(SKU)
    await counter.stand(Tier.URGENT, episode=3)
    version = await counter.settings_version()
    answer = await counter.desk.acknowledge(ack(episode=3, action=AckAction.CAP_SALES, note="限购两件"))
    (event,) = await counter.events(EventKind.ACKNOWLEDGED)
    told = answer.acknowledgement
    assert (answer.revision, told.acknowledgement_id) == (event.revision, event.revision)
    assert event.body == told
    assert (told.tier, told.actor, told.action, told.note) == (Tier.URGENT, "li", AckAction.CAP_SALES, "限购两件")
    assert told.time == event.record_time == event.observe_time
    assert (event.sku, event.session_id, event.episode, event.drill_id) == (SKU, 0, 3, 0)
    assert (event.channels, event.session_ids) == (("dy",), (session,))
    (held,) = (await counter.state()).acknowledgements
    assert (held.sku, held.session_id, held.episode, held.acknowledgement) == (SKU, 0, 3, told)
    assert await counter.settings_version() > version


@pytest.mark.parametrize("action", [AckAction.REPLENISH, AckAction.TRANSFER])
async def test_what_was_ordered_enters_the_forecast(counter: Counter, action: AckAction) -> None:
    """The quantity and the arrival that were said are announced with the acknowledgement, or neither is."""
    await counter.stand(Tier.URGENT)
    arrives = await counter.now() + HOUR
    answer = await counter.desk.acknowledge(ack(action=action, quantity=200, arrive_time=arrives))
    acknowledged, announced = await counter.events()
    assert (acknowledged.kind, announced.kind) == (EventKind.ACKNOWLEDGED, EventKind.INCOMING_ANNOUNCED)
    reference = f"acknowledgement {answer.revision}"
    when = announced.record_time
    units = IncomingUnits(SKU, 200, arrives, "li", announced.revision, reference, announce_time=when)
    units = replace(units, is_ordered=action is AckAction.REPLENISH)
    assert announced.body == units
    assert (await counter.state()).incoming == (units,)


async def test_an_arrival_that_is_past_is_refused(counter: Counter) -> None:
    """What is here is received, not announced; and nothing is left behind."""
    await counter.stand(Tier.URGENT)
    late = ack(action=AckAction.REPLENISH, quantity=1, arrive_time=await counter.now())
    await _refused(counter, late, InvalidArgument, "arrive_time")


async def test_of_two_people_on_two_gateways_one_is_first(counter: Counter, elsewhere: Counter) -> None:
    """Both press at once, again and again: exactly one wins, and every other hears who and when."""
    for episode in range(1, 9):
        await counter.stand(Tier.URGENT, episode=episode)
        gateways = (counter, elsewhere) * 3
        asked = [ack(actor=f"person {place}", episode=episode) for place in range(len(gateways))]
        calls = [one.desk.acknowledge(each) for one, each in zip(gateways, asked, strict=True)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        (won,) = (answer for answer in answers if isinstance(answer, Acknowledged))
        lost = [answer for answer in answers if isinstance(answer, AlreadyAcknowledged)]
        assert len(lost) == len(gateways) - 1
        first = won.acknowledgement
        assert {(error.facts["by"], error.facts["at"]) for error in lost} == {(first.actor, first.time.isoformat())}
    assert len(await counter.events(EventKind.ACKNOWLEDGED)) == 8


@pytest.mark.parametrize(("tier", "episode"), [(None, 0), (Tier.NORMAL, 1), (Tier.URGENT, 2)])
async def test_what_is_over_is_refused(counter: Counter, tier: Tier | None, episode: int) -> None:
    """Never warned of, NORMAL again, another episode by now: EPISODE_OVER, naming the episode it is in."""
    if tier is not None:
        await counter.stand(tier, episode=episode)
    error = await _refused(counter, ack(), EpisodeOver, "episode")
    assert error.facts["episode"] == episode


async def test_what_has_risen_is_refused(counter: Counter) -> None:
    """Who has seen a THRESHOLD has not taken on an URGENT."""
    await counter.stand(Tier.URGENT)
    error = await _refused(counter, ack(tier=Tier.THRESHOLD), TierChanged, "tier")
    assert error.facts["tier"] == "URGENT"
    await counter.desk.acknowledge(ack())


async def test_what_has_fallen_is_taken_on_as_it_stands(counter: Counter) -> None:
    """The tier recorded is the one that is: should it rise again, people are told again."""
    await counter.stand(Tier.THRESHOLD, peak=Tier.URGENT)
    answer = await counter.desk.acknowledge(ack(tier=Tier.URGENT))
    assert answer.acknowledgement.tier is Tier.THRESHOLD


@pytest.mark.parametrize(
    ("tier", "episode", "later", "reason"),
    [
        (Tier.SOLD_OUT, 1, timedelta(), "RISEN"),
        (Tier.URGENT, 2, timedelta(), "CLOSED"),
        (Tier.URGENT, 1, timedelta(minutes=5), "TIMED_OUT"),
    ],
)
async def test_what_holds_no_more_stands_in_nobodys_way(
    counter: Counter, clock: Clock, tier: Tier, episode: int, later: timedelta, reason: str
) -> None:
    """One that the engine has not ended yet is ended by who comes next; the log has its end before the new one."""
    await counter.stand(Tier.URGENT)
    first = (await counter.desk.acknowledge(ack())).acknowledgement
    clock.offset += later
    await counter.stand(tier, episode=episode)
    second = await counter.desk.acknowledge(ack(tier=tier, episode=episode, actor="王"))
    _, ended, event = await counter.events()
    assert (ended.kind, ended.episode) == (EventKind.ACKNOWLEDGEMENT_ENDED, 1)
    assert ended.body == replace(first, end_time=second.acknowledgement.time, end_reason=reason)
    assert event.body == second.acknowledgement
    (held,) = (await counter.state()).acknowledgements
    assert held.acknowledgement == second.acknowledgement


async def test_an_acknowledgement_ends_once(counter: Counter) -> None:
    """Who ends what has ended changes nothing, and is told so."""
    await counter.stand(Tier.URGENT)
    number = (await counter.desk.acknowledge(ack())).revision
    now = await counter.now()
    async with counter.database.transaction() as connection:
        ended = await store.end_acknowledgement(connection, number, now, "TIMED_OUT")
        assert isinstance(ended, Acknowledgement)
        assert (ended.end_time, ended.end_reason) == (now, "TIMED_OUT")
        assert await store.end_acknowledgement(connection, number, now + HOUR, "CLOSED") is None
    assert (await counter.state()).acknowledgements == ()


async def test_unknown_things_are_named(counter: Counter) -> None:
    """A SKU that there is not, a session that there is not."""
    await _refused(counter, ack(sku="nope"), SkuUnknown, "sku")
    await _refused(counter, ack(session_id=999), SessionUnknown, "session_id")
    await _refused(counter, ack(drill_id=999), DrillUnknown, "drill_id")
    with pytest.raises(SkuUnknown):
        await counter.desk.complete_step(step(sku="nope"))


async def test_a_sessions_own_units_are_a_warning_of_their_own(counter: Counter) -> None:
    """The session's and the whole stock's are taken on one by one; a closed session's not, nor one without the SKU."""
    session = await counter.open_session(SKU)
    for key in (0, session):
        await counter.stand(Tier.URGENT, session_id=key)
        await counter.desk.acknowledge(ack(session_id=key))
    assert len((await counter.state([SKU])).acknowledgements) == 2
    assert (await counter.state([OTHER])).acknowledgements == ()
    closed = await counter.open_session(SKU, close_time=await counter.now())
    await _refused(counter, ack(session_id=closed), SessionOver, "session_id")
    without = await counter.open_session(OTHER)
    await counter.stand(Tier.URGENT, session_id=without)
    await _refused(counter, ack(session_id=without), EpisodeOver, "episode")


# ---- steps


async def test_a_step_is_an_event(counter: Counter) -> None:
    """Which step of which runbook, in its own words, and who; also in the lull after it."""
    await counter.stand(Tier.URGENT)
    answer = await counter.desk.complete_step(step())
    await counter.stand(Tier.NORMAL)
    await counter.desk.complete_step(step(step=0))
    event, later = await counter.events(EventKind.STEP_DONE)
    assert event.revision == answer.revision
    body = event.body
    assert body is not None
    steps = (await counter.state()).runbooks[Tier.URGENT].steps
    assert (body.tier, body.step, body.text, body.actor) == (Tier.URGENT, 1, steps[1].text, "li")  # type: ignore[union-attr]  # it is a StepDone, or this fails
    assert (later.sku, later.episode, later.channels) == (SKU, 1, ("dy",))


@pytest.mark.parametrize("place", [4, 99, 2**31 - 1])
async def test_a_step_that_there_is_not_is_refused(counter: Counter, place: int) -> None:
    """Counted from 0, up to what the runbook has."""
    await counter.stand(Tier.URGENT)
    with pytest.raises(InvalidArgument, match="counted from 0") as refused:
        await counter.desk.complete_step(step(step=place))
    assert refused.value.field == "step"


@pytest.mark.parametrize("episode", [None, 2])
async def test_a_step_of_another_episode_is_refused(counter: Counter, episode: int | None) -> None:
    """What was never warned of, and what another episode has followed."""
    if episode is not None:
        await counter.stand(Tier.URGENT, episode=episode)
    with pytest.raises(EpisodeOver):
        await counter.desk.complete_step(step())
    assert await counter.events() == []


# ---- drills


async def test_a_drill_is_acknowledged_as_the_log_has_told_of_it(counter: Counter) -> None:
    """Marked as a drill, beside the true warning, and no units are announced: nothing of it is true."""
    drill = await counter.play_drill(Tier.THRESHOLD, Tier.URGENT)
    await counter.stand(Tier.URGENT)
    await counter.desk.acknowledge(ack())
    arrives = await counter.now() + HOUR
    rehearsed = ack(drill_id=drill, action=AckAction.REPLENISH, quantity=9, arrive_time=arrives, sku=SKU)
    await counter.desk.acknowledge(rehearsed)
    true, event = await counter.events(EventKind.ACKNOWLEDGED)
    assert (true.drill_id, event.drill_id) == (0, drill)
    assert event.channels == ("dy",)
    assert (await counter.state()).incoming == ()
    await counter.desk.complete_step(step(drill_id=drill))
    assert (await counter.events(EventKind.STEP_DONE))[0].drill_id == drill
    await _refused(counter, replace(rehearsed, request_id="again"), AlreadyAcknowledged, "")


async def test_a_drills_warning_is_over_when_it_is(counter: Counter) -> None:
    """NORMAL again, never told, ended: refused as of a true one; what has fallen is taken on as it stands."""
    calm = await counter.play_drill(Tier.URGENT, Tier.NORMAL)
    await _refused(counter, ack(drill_id=calm), EpisodeOver, "episode")
    silent = await counter.play_drill()
    await _refused(counter, ack(drill_id=silent), EpisodeOver, "episode")
    ended = await counter.play_drill(Tier.URGENT, state="ENDED")
    await _refused(counter, ack(drill_id=ended), DrillUnknown, "drill_id")
    fallen = await counter.play_drill(Tier.URGENT, Tier.THRESHOLD)
    answer = await counter.desk.acknowledge(ack(drill_id=fallen))
    assert answer.acknowledgement.tier is Tier.THRESHOLD


async def test_a_drills_sku_need_not_be_in_the_catalog(counter: Counter) -> None:
    """What is rehearsed may be made up; outside the drill there is no such thing."""
    drill = await counter.play_drill(Tier.URGENT, sku="made-up")
    await counter.desk.acknowledge(ack(drill_id=drill, sku="made-up"))
    (event,) = await counter.events(EventKind.ACKNOWLEDGED)
    assert (event.drill_id, event.sku) == (drill, "made-up")
    await _refused(counter, ack(sku="made-up"), SkuUnknown, "sku")


async def _refused(counter: Counter, asked: object, kind: type[GatewayError], field: str) -> GatewayError:
    """The refusal of an acknowledgement, which must leave nothing behind."""
    before = (await counter.events(), await counter.ids_kept(), await counter.state())
    with pytest.raises(kind) as refused:
        await counter.desk.acknowledge(asked)  # type: ignore[arg-type]  # an Acknowledge, as `ack` makes it
    assert refused.value.field == field
    assert (await counter.events(), await counter.ids_kept(), await counter.state()) == before
    return refused.value
