"""Request ids at the desk: the first answer again, on any gateway; other content refused (R10-R12)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from gateway.alerts import requests as asked_for
from gateway.domain.alerts import AckAction, AlertPolicy, Runbook, RunbookStep, SilenceMatcher
from gateway.domain.errors import AlreadyAcknowledged, EpisodeOver, GatewayError, RequestIdReused
from gateway.domain.tiers import Tier
from gateway.store.database import Clock
from tests.alerts.counter import HOUR, OTHER, SKU, Counter, ack, coming, hush, step

MINUTE = timedelta(minutes=1)
ID = "the same"
# Of each mutation how it is asked.
CALLS: dict[str, Callable[[Counter, Any], Awaitable[Struct]]] = {
    "acknowledge": lambda counter, asked: counter.desk.acknowledge(asked),
    "complete_step": lambda counter, asked: counter.desk.complete_step(asked),
    "silence": lambda counter, asked: counter.desk.silence(asked),
    "end_silence": lambda counter, asked: counter.desk.end_silence(asked),
    "set_policy": lambda counter, asked: counter.rules.set_policy(asked),
    "set_runbook": lambda counter, asked: counter.rules.set_runbook(asked),
    "announce_incoming": lambda counter, asked: counter.rules.announce_incoming(asked),
    "cancel_incoming": lambda counter, asked: counter.rules.cancel_incoming(asked),
    # Only its digest is kept with the id.
    "set_profile": lambda counter, asked: counter.rules.set_profile(asked.request_id, asked.profile_json, 1),
}


async def set_up(counter: Counter) -> dict[str, Struct]:
    """A good request of each mutation."""
    now = await counter.now()
    await counter.stand(Tier.URGENT)
    silence = (await counter.desk.silence(hush(now))).silence
    incoming = (await counter.rules.announce_incoming(coming(now))).incoming
    supply = {"action": AckAction.REPLENISH, "quantity": 5, "arrive_time": now + HOUR}
    matcher = SilenceMatcher((SKU,), ("dy",))
    policy = AlertPolicy(SKU, 0.9, 50, lead_seconds=600.0)
    runbook = Runbook(Tier.URGENT, (RunbookStep("喊人", "Shout", "助播", 1),), "快", "Quick", ("ops", "shift"))
    return {
        "acknowledge": ack(request_id=ID, note="in a van", **supply),
        "complete_step": step(request_id=ID),
        "silence": hush(now, request_id=ID, matcher=matcher, start_time=now + MINUTE),
        "end_silence": asked_for.EndSilence(ID, silence.silence_id, "li"),
        "set_policy": asked_for.SetPolicy(ID, policy, "li"),
        "set_runbook": asked_for.SetRunbook(ID, runbook, "li"),
        "announce_incoming": coming(now, request_id=ID, reference="PO 7"),
        "cancel_incoming": asked_for.CancelIncoming(ID, incoming.incoming_id, "li"),
        "set_profile": asked_for.SetProfile(ID, '{"hours": []}'),
    }


# Of each kind of value how to get another one; the first that fits counts.
OTHERS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (bool, lambda value: not value),
    (AckAction, lambda _: AckAction.TRANSFER),
    (Tier, lambda _: Tier.SOLD_OUT),
    (int, lambda value: value + 1),
    (str, lambda value: f"{value}!"),
    (datetime, lambda value: value + MINUTE),
    (SilenceMatcher, lambda _: SilenceMatcher((SKU, OTHER), ("dy",))),
    (AlertPolicy, lambda value: replace(value, lead_seconds=600.5)),
    (Runbook, lambda value: replace(value, receivers=("shift", "ops"))),
)


def another(value: object) -> object:
    """Another value of the same kind."""
    return next(change(value) for kind, change in OTHERS if isinstance(value, kind))


@pytest.mark.parametrize("name", CALLS)
async def test_the_same_request_gets_its_first_answer(
    counter: Counter, elsewhere: Counter, clock: Clock, name: str
) -> None:
    """Hours later, the world changed, on another gateway: the same answer, and nothing happens again (R10, R12)."""
    asked = (await set_up(counter))[name]
    first = await CALLS[name](counter, asked)
    clock.offset += 24 * HOUR
    await counter.stand(Tier.NORMAL, episode=7)
    before = (await counter.events(), await counter.state(), await counter.settings_version())
    for gateway in (counter, elsewhere):
        assert await CALLS[name](gateway, asked) == first
    assert (await counter.events(), await counter.state(), await counter.settings_version()) == before


@pytest.mark.parametrize("name", CALLS)
async def test_other_content_under_the_same_id_is_refused(counter: Counter, name: str) -> None:
    """Whichever field differs is named, and nothing is changed (R10)."""
    asked = (await set_up(counter))[name]
    await CALLS[name](counter, asked)
    before = (await counter.events(), await counter.state(), await counter.ids_kept())
    fields = [field for field in asked.__struct_fields__ if field != "request_id"]
    for field in fields:
        other = replace(asked, **{field: another(getattr(asked, field))})
        with pytest.raises(RequestIdReused) as refused:
            await CALLS[name](counter, other)
        assert (refused.value.field, refused.value.facts["request_id"]) == (field, ID)
    assert (await counter.events(), await counter.state(), await counter.ids_kept()) == before


@pytest.mark.parametrize("name", CALLS)
async def test_an_id_is_used_once_among_all_mutations(counter: Counter, name: str) -> None:
    """The id of one cannot be that of any other (R10)."""
    good = await set_up(counter)
    await CALLS[name](counter, good[name])
    for other, call in CALLS.items():
        if other != name:
            with pytest.raises(RequestIdReused) as refused:
                await call(counter, good[other])
            assert refused.value.field == "request_id"


@pytest.mark.parametrize("name", CALLS)
async def test_two_gateways_that_are_asked_at_once_do_it_once(counter: Counter, elsewhere: Counter, name: str) -> None:
    """A caller who has lost the answer asks elsewhere while the first is still at it: one effect, one answer (R10)."""
    asked = (await set_up(counter))[name]
    before = await counter.ids_kept()
    events = len(await counter.events())
    answers = await asyncio.gather(*(CALLS[name](one, asked) for one in (counter, elsewhere) * 4))
    assert all(answer == answers[0] for answer in answers)
    assert await counter.ids_kept() == before + 1
    assert len(await counter.events()) - events == {"acknowledge": 2, "set_runbook": 0, "set_profile": 0}.get(name, 1)


@pytest.mark.parametrize("name", CALLS)
async def test_of_two_contents_at_once_one_is_first(counter: Counter, elsewhere: Counter, name: str) -> None:
    """On two gateways, under one id: one is done, and the other refused by the field that differs (R10)."""
    asked = (await set_up(counter))[name]
    field = asked.__struct_fields__[-1] if name == "set_profile" else "actor"
    other = replace(asked, **{field: another(getattr(asked, field))})
    answers = await asyncio.gather(CALLS[name](counter, asked), CALLS[name](elsewhere, other), return_exceptions=True)
    (refused,) = (answer for answer in answers if isinstance(answer, GatewayError))
    assert isinstance(refused, RequestIdReused)
    assert refused.field == {"set_profile": "profile_json"}.get(name, "actor")


async def test_a_refused_id_may_be_tried_again(counter: Counter) -> None:
    """Whatever it was refused for, the id is as good as new, even for something else (R11)."""
    with pytest.raises(EpisodeOver):
        await counter.desk.acknowledge(ack(request_id=ID))
    await counter.stand(Tier.URGENT)
    await counter.desk.acknowledge(ack())
    with pytest.raises(AlreadyAcknowledged):
        await counter.desk.acknowledge(ack(request_id=ID, actor="王"))
    assert await counter.ids_kept() == 1
    answer = await counter.desk.complete_step(step(request_id=ID))
    assert await counter.desk.complete_step(step(request_id=ID)) == answer


async def test_an_absent_time_is_other_content_than_one_that_is_said(counter: Counter) -> None:
    """From now on, and from a certain moment on, are not the same request."""
    now = await counter.now()
    await counter.desk.silence(hush(now, request_id=ID))
    with pytest.raises(RequestIdReused) as refused:
        await counter.desk.silence(hush(now, request_id=ID, start_time=now))
    assert refused.value.field == "start_time"
