"""Drills over the wire: who hears of them and who does not, what people do in them, and what comes of it."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import grpc.aio
import pytest

from gateway import app
from gateway.settings import Settings
from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import AckAction, AlertEvent, AlertEventKind, Tier
from tests.client import Client, made, new_id
from tests.refusals import refused
from tests.rpc.alert_streams import AlertStream, alerts
from tests.rpc.drill_requests import drill_script

WAIT_SECONDS = 20.0
# Half a minute of the drill in half a second, in which tea is sold out at once.
SHORT = drill_script(
    speed=60.0,
    seconds=30.0,
    skus=[{"sku": "tea", "units": 3, "lead_seconds": 600.0, "rate": 60.0}],
    tape=[],
    injects=[{"at_seconds": 0.0, "kind": "SURGE", "value": 10.0, "seconds": 30.0}],
    expectations=[{"sku": "tea", "tier": Tier.TIER_SOLD_OUT, "before_seconds": 30.0}],
)
LONG = {**SHORT, "speed": 1.0, "seconds": 3_600.0}


async def start(client: Client, script: dict[str, Any], request_id: str = "") -> pb.Drill:
    """Begin a drill."""
    request = made(pb.StartDrillRequest, request_id=request_id or new_id(), script=script, actor="li")
    return (await client.alerts.StartDrill(request, **client.options)).drill


async def get(client: Client, drill_id: int) -> pb.Drill:
    """Read a drill."""
    return (await client.ask(client.alerts.GetDrill, pb.GetDrillRequest, drill_id=drill_id)).drill


async def stop(client: Client, drill_id: int) -> pb.Drill:
    """End a drill."""
    return (await client.ask(client.alerts.StopDrill, pb.StopDrillRequest, drill_id=drill_id, actor="li")).drill


async def ended(client: Client, drill_id: int) -> pb.Drill:
    """The drill, when it is over."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            drill = await get(client, drill_id)
            if drill.state != "RUNNING":
                return drill
            await asyncio.sleep(0.05)


async def until_kind(stream: AlertStream, kind: AlertEventKind.ValueType) -> list[AlertEvent]:
    """The events up to the next one of this kind."""
    found = [await stream.event()]
    while found[-1].kind != kind:
        found.append(await stream.event())
    return found


async def test_who_asks_for_drills_hears_all_of_it(client: Client) -> None:
    """From the start to the end, every event with the drill's number, an expiry, and what is to be done."""
    async with alerts(client, live_only={}, include_drills=True) as stream:
        await stream.created()
        drill = await start(client, SHORT)
        events = await until_kind(stream, AlertEventKind.ALERT_EVENT_KIND_DRILL_ENDED)
    events = [event for event in events if event.kind != AlertEventKind.ALERT_EVENT_KIND_WATCHDOG]
    assert events[0].kind == AlertEventKind.ALERT_EVENT_KIND_DRILL_STARTED
    assert (events[0].revision, events[0].drill.name, events[0].drill.actor) == (drill.drill_id, "夜场", "li")
    assert {event.drill_id for event in events} == {drill.drill_id}
    assert all(event.HasField("expire_time") for event in events)
    changes = [event for event in events if event.HasField("tier_change")]
    assert changes[-1].tier_change.to == Tier.TIER_SOLD_OUT
    assert changes[-1].tier_change.runbook.steps
    assert changes[-1].sku == "tea"
    (inject,) = (event for event in events if event.kind == AlertEventKind.ALERT_EVENT_KIND_DRILL_INJECTED)
    assert inject.drill.inject == "SURGE"
    assert (events[-1].drill.passed, events[-1].drill.detail) == (True, "演练通过：1项预期都按时出现。")


@pytest.mark.parametrize("wanted", [{}, {"min_tier": Tier.TIER_TREND}, {"skus": ["tea"]}])
async def test_who_does_not_ask_hears_nothing_of_it(client: Client, wanted: dict[str, Any]) -> None:
    """The numbers have a gap there, and progress covers it; lists leave it out as well."""
    async with alerts(client, live_only={}, progress_interval_ms=1_000, filter=wanted) as stream:
        await stream.created()
        drill = await start(client, SHORT)
        await ended(client, drill.drill_id)
        last = (await listed(client, include_drills=True))[0].revision
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                message = await stream.read()
                if message.HasField("event"):
                    assert message.event.drill_id == 0
                elif message.progress.revision >= last:
                    break
    assert {event.drill_id for event in await listed(client)} <= {0}
    assert drill.drill_id in {event.drill_id for event in await listed(client, include_drills=True)}


async def listed(client: Client, **content: Any) -> list[AlertEvent]:
    """The log, newest first."""
    return list((await client.ask(client.alerts.ListTierChanges, pb.ListTierChangesRequest, **content)).events)


async def test_a_drill_of_a_sku_does_not_move_it(client: Client) -> None:
    """The SKU of the same code stands where it stood, and has what it had."""
    await client.add_sku("tea", 500)
    drill = await start(client, SHORT)
    assert (await ended(client, drill.drill_id)).score.passed
    state = (await client.ask(client.alerts.GetTier, pb.GetTierRequest, sku="tea")).state
    assert (state.tier, state.episode, state.revision) == (Tier.TIER_NORMAL, 0, 0)
    assert (await client.level("tea")).available == 500


async def test_a_drill_is_recorded_as_it_was_asked(client: Client) -> None:
    """All of the script but the tape; the same id again gets the same bytes, also after its end (R10)."""
    request_id = new_id()
    drill = await start(client, drill_script(), request_id)
    assert (drill.state, drill.actor, drill.HasField("score"), drill.HasField("end_time")) == (
        "RUNNING",
        "li",
        False,
        False,
    )
    wanted = made(pb.DrillScript, **drill_script())
    wanted.ClearField("tape")
    assert drill.script == wanted
    assert await start(client, drill_script(), request_id) == drill
    stopped = await stop(client, drill.drill_id)
    assert (stopped.state, stopped.HasField("score"), stopped.score.passed) == ("STOPPED", True, False)
    assert await get(client, drill.drill_id) == stopped == await stop(client, drill.drill_id)
    assert await start(client, drill_script(), request_id) == drill
    other = drill_script(tape=[{"at_seconds": 61.0, "sku": "tea", "quantity": 2}])
    refusal = await refused(start(client, other, request_id))
    assert (refusal.reason, refusal.field) == ("REQUEST_ID_REUSED", "script")


async def test_too_many_drills_are_refused(client: Client) -> None:
    """The fourth at once: RESOURCE_EXHAUSTED, with the oldest's number and advice to come back."""
    first = await start(client, LONG)
    for _ in range(2):
        await start(client, LONG)
    refusal = await refused(start(client, LONG))
    assert refusal.reason == "DRILL_RUNNING"
    assert (refusal.facts["drill_id"], refusal.retry_ms) == (str(first.drill_id), 10_000)


async def test_drills_are_listed_newest_first(client: Client) -> None:
    """In pages, none twice and none left out."""
    numbers = []
    for _ in range(3):
        numbers.append((await start(client, LONG)).drill_id)
        await stop(client, numbers[-1])
    found, token = [], ""
    while True:
        page = await client.ask(client.alerts.ListDrills, pb.ListDrillsRequest, page_size=2, page_token=token)
        found += [drill.drill_id for drill in page.drills]
        token = page.next_page_token
        if not token:
            break
    assert found == numbers[::-1]


async def test_people_rehearse_what_they_would_do(client: Client) -> None:
    """Taken on, done, scored; on a stream it is all under the drill's number; afterwards nobody can act in it."""
    async with alerts(client, live_only={}, include_drills=True) as stream:
        await stream.created()
        drill = await start(client, LONG)
        change = await stream.event()
        while change.tier_change.to != Tier.TIER_SOLD_OUT:
            change = await stream.event()
        key: dict[str, Any] = {
            "sku": "tea",
            "episode": change.episode,
            "tier": Tier.TIER_SOLD_OUT,
            "drill_id": drill.drill_id,
        }
        delist = {**key, "actor": "li", "action": AckAction.ACK_ACTION_DELIST}
        await client.tell(client.alerts.Acknowledge, pb.AcknowledgeRequest, **delist)
        await client.tell(client.alerts.CompleteStep, pb.CompleteStepRequest, actor="li", step=0, **key)
        await stop(client, drill.drill_id)
        events = await until_kind(stream, AlertEventKind.ALERT_EVENT_KIND_DRILL_ENDED)
    events = [event for event in events if event.drill_id]
    assert [event.kind for event in events] == [
        AlertEventKind.ALERT_EVENT_KIND_ACKNOWLEDGED,
        AlertEventKind.ALERT_EVENT_KIND_STEP_DONE,
        AlertEventKind.ALERT_EVENT_KIND_ACKNOWLEDGEMENT_ENDED,
        AlertEventKind.ALERT_EVENT_KIND_DRILL_ENDED,
    ]
    score = (await get(client, drill.drill_id)).score
    assert 0 < score.acknowledge_seconds < WAIT_SECONDS
    assert score.acknowledge_seconds <= score.act_seconds < WAIT_SECONDS
    assert (score.steps_done, score.HasField("deliver_seconds"), score.compared) == (1, False, "")
    late = client.tell(client.alerts.Acknowledge, pb.AcknowledgeRequest, actor="li", action=5, **key)
    assert (await refused(late)).reason == "DRILL_UNKNOWN"


async def test_a_long_tape_stops_nobody(client: Client) -> None:
    """While 50,000 orders are read, others are served: no call waits for the whole tape."""
    await client.add_sku("cup", 5)
    tape = [{"at_seconds": number / 14.0, "sku": "tea"} for number in range(50_000)]
    request = made(pb.StartDrillRequest, request_id=new_id(), script={**LONG, "tape": tape}, actor="li")
    starting = asyncio.ensure_future(client.alerts.StartDrill(request, **client.options))
    waits = []
    while not starting.done():
        began = time.monotonic()
        await client.level("cup")
        waits.append(time.monotonic() - began)
    drill = (await starting).drill
    assert not drill.script.tape
    assert sorted(waits)[len(waits) // 2] < 0.25
    await stop(client, drill.drill_id)


async def test_a_drill_ends_with_its_gateway(settings: Settings, client: Client, token: str) -> None:
    """A gateway that is stopped says so itself: the drill is LOST, and every stream hears of its end."""
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    async with alerts(client, live_only={}, include_drills=True) as stream:
        await stream.created()
        async with gateway as address, grpc.aio.insecure_channel(address) as channel:
            drill = await start(Client(channel, token), LONG)
        events = await until_kind(stream, AlertEventKind.ALERT_EVENT_KIND_DRILL_ENDED)
    assert events[-1].drill_id == drill.drill_id
    assert (await get(client, drill.drill_id)).state == "LOST"
