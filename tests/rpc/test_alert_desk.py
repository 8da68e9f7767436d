"""The desk over the wire: what people do about the warnings of a gateway whose engine runs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from gateway import app
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import (
    AckAction,
    AlertEvent,
    AlertEventKind,
    AlertPolicy,
    IncomingUnits,
    Runbook,
    SilenceRecord,
    Tier,
)
from tests.client import Client, made, new_id
from tests.refusals import refused
from tests.rpc.desk_requests import PROFILE, profile

SKU = "tea"
HOUR = timedelta(hours=1)
WAIT_SECONDS_MAX = 20.0


async def tell(client: Client, name: str, **content: Any) -> Any:
    """Call a mutation of the desk, as "li" under a new id where nothing else is said."""
    request = made(getattr(pb, f"{name}Request"), **{"request_id": new_id(), "actor": "li", **content})
    return await getattr(client.alerts, name)(request, **client.options)


async def ask(client: Client, name: str, **content: Any) -> Any:
    """Call a reading method of the desk."""
    return await getattr(client.alerts, name)(made(getattr(pb, f"{name}Request"), **content), **client.options)


async def pages(client: Client, name: str, field: str, **content: Any) -> list[Any]:
    """A whole list, by pages of two."""
    found, token = [], ""
    while True:
        page = await ask(client, name, page_size=2, page_token=token, **content)
        found += getattr(page, field)
        token = page.next_page_token
        if not token:
            return found


async def until(state: Callable[[], Awaitable[pb.TierState]], holds: Callable[[pb.TierState], bool]) -> pb.TierState:
    """Where the SKU stands, once it stands so."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            found = await state()
            if holds(found):
                return found
            await asyncio.sleep(0.05)


@pytest.fixture
def state(client: Client) -> Callable[[], Awaitable[pb.TierState]]:
    """Where the tea stands now."""

    async def read() -> pb.TierState:
        return (await client.alerts.GetTier(pb.GetTierRequest(sku=SKU), **client.options)).state

    return read


@pytest.fixture
async def warned(client: Client, state: Callable[[], Awaitable[pb.TierState]]) -> pb.TierState:
    """The tea, at THRESHOLD by a fixed line."""
    await client.add_sku(SKU, 40)
    await tell(client, "SetAlertPolicy", policy={"sku": SKU, "fixed_line": 39})
    await client.reserve(SKU, 1)
    return await until(state, lambda found: found.tier >= Tier.TIER_THRESHOLD)


async def events(client: Client, kind: AlertEventKind.ValueType) -> list[AlertEvent]:
    """The events of a kind, oldest first."""
    found = await client.alerts.ListTierChanges(
        made(pb.ListTierChangesRequest, filter={"kinds": [kind]}), **client.options
    )
    return list(found.events)[::-1]


async def told(client: Client, kind: AlertEventKind.ValueType) -> AlertEvent:
    """The first event of a kind, when it has come."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            found = await events(client, kind)
            if found:
                return found[0]
            await asyncio.sleep(0.05)


# ---- warnings


async def test_a_warning_is_taken_on_and_everybody_sees_it(
    settings: Settings,
    client: Client,
    token: str,
    warned: pb.TierState,
    state: Callable[[], Awaitable[pb.TierState]],
) -> None:
    """With its episode and tier; it shows where the SKU stands, and who comes second, anywhere, hears who did it."""
    content = {"sku": SKU, "episode": warned.episode, "tier": warned.tier, "action": AckAction.ACK_ACTION_WATCH}
    answer = await tell(client, "Acknowledge", **content, note="看着呢")
    taken = answer.acknowledgement
    assert (taken.actor, taken.tier, taken.note) == ("li", warned.tier, "看着呢")
    assert taken.acknowledgement_id == answer.revision
    found = await until(state, lambda found: found.HasField("acknowledgement"))
    assert found.acknowledgement == taken
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        refusal = await refused(tell(Client(channel, token), "Acknowledge", **content, actor="王"))
    assert (refusal.code, refusal.reason) == (StatusCode.ALREADY_EXISTS, "ALREADY_ACKNOWLEDGED")
    assert refusal.facts == {"by": "li", "at": taken.time.ToDatetime(tzinfo=UTC).isoformat()}


async def test_two_people_at_two_gateways_press_at_once(
    settings: Settings, client: Client, token: str, warned: pb.TierState
) -> None:
    """Exactly one is first; every other hears who."""
    content = {"sku": SKU, "episode": warned.episode, "tier": warned.tier, "action": AckAction.ACK_ACTION_WATCH}
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        people = [client, Client(channel, token)] * 4
        calls = [tell(one, "Acknowledge", **content, actor=f"p{place}") for place, one in enumerate(people)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    (won,) = (answer for answer in answers if isinstance(answer, Message))
    assert isinstance(won, pb.AcknowledgeResponse)
    lost = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(lost) == len(people) - 1
    for error in lost:
        assert error.code() is StatusCode.ALREADY_EXISTS
        assert won.acknowledgement.actor in (error.details() or "")


async def test_units_on_their_way_are_seen_until_their_time_has_passed(
    client: Client, clock: Clock, warned: pb.TierState
) -> None:
    """Ordering more announces it; when the time has passed and nothing has come, it counts no more and is told."""
    arrives = datetime.now(UTC) + HOUR
    supply = {"action": AckAction.ACK_ACTION_REPLENISH, "quantity": 500, "arrive_time": arrives}
    await tell(client, "Acknowledge", sku=SKU, episode=warned.episode, tier=warned.tier, **supply)
    (units,) = (await ask(client, "ListIncoming", sku=SKU)).incoming
    assert (units.quantity, units.arrive_time.ToDatetime(tzinfo=UTC), units.actor) == (500, arrives, "li")
    assert units.reference.startswith("acknowledgement ")
    clock.offset += 2 * HOUR
    ended = await told(client, AlertEventKind.ALERT_EVENT_KIND_INCOMING_ENDED)
    assert ended.incoming.end_reason == "LATE"
    assert not (await ask(client, "ListIncoming")).incoming


@pytest.mark.parametrize(
    ("content", "code", "reason", "field"),
    [
        ({"episode": 9}, StatusCode.FAILED_PRECONDITION, "EPISODE_OVER", "episode"),
        ({"tier": Tier.TIER_TREND}, StatusCode.FAILED_PRECONDITION, "TIER_CHANGED", "tier"),
        ({"sku": "nope"}, StatusCode.NOT_FOUND, "SKU_UNKNOWN", "sku"),
        ({"session_id": 9}, StatusCode.NOT_FOUND, "SESSION_UNKNOWN", "session_id"),
        ({"drill_id": 9}, StatusCode.NOT_FOUND, "DRILL_UNKNOWN", "drill_id"),
        ({"drill_id": 9, "session_id": 1}, StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "session_id"),
        ({"quantity": 5}, StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "quantity"),
        ({"arrive_time": {"seconds": 32_472_144_000}}, StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "arrive_time"),
    ],
)
async def test_what_cannot_be_acknowledged_says_why(
    client: Client, warned: pb.TierState, content: dict[str, Any], code: StatusCode, reason: str, field: str
) -> None:
    """Each refusal has its status, its reason and the field; the rest is in the table of bad requests."""
    good = {"sku": SKU, "episode": warned.episode, "tier": warned.tier, "action": AckAction.ACK_ACTION_WATCH}
    refusal = await refused(tell(client, "Acknowledge", **{**good, **content}))
    assert (refusal.code, refusal.reason, refusal.field) == (code, reason, field)


async def test_a_step_is_ticked(client: Client, warned: pb.TierState) -> None:
    """By its place in the runbook of the tier; the event says it in the runbook's words."""
    content = {"sku": SKU, "episode": warned.episode, "tier": Tier.TIER_THRESHOLD}
    answer = await tell(client, "CompleteStep", **content, step=1)
    (event,) = await events(client, AlertEventKind.ALERT_EVENT_KIND_STEP_DONE)
    assert event.revision == answer.revision
    runbooks = {one.tier: one for one in (await ask(client, "ListRunbooks")).runbooks}
    done = event.step_done
    assert (done.step, done.actor) == (1, "li")
    assert done.text == runbooks[Tier.TIER_THRESHOLD].steps[1].text


# ---- silences


async def test_a_silence_is_answered_as_it_was_recorded(client: Client, warned: pb.TierState) -> None:
    """From now on, up to THRESHOLD, if nothing else is said; and how many it silences now."""
    assert warned.tier == Tier.TIER_THRESHOLD
    ends = datetime.now(UTC) + HOUR
    answer = await tell(client, "Silence", matcher={"skus": [SKU]}, end_time=ends, comment="彩排")
    silence = answer.silence
    assert answer.matches == 1
    assert (silence.actor, silence.comment, silence.max_tier) == ("li", "彩排", Tier.TIER_THRESHOLD)
    assert silence.end_time.ToDatetime(tzinfo=UTC) == ends
    assert silence.HasField("start_time")
    assert not silence.HasField("ended_time")
    assert list((await ask(client, "ListSilences")).silences) == [silence]
    ended = (await tell(client, "EndSilence", silence_id=silence.silence_id)).silence
    assert ended.HasField("ended_time")
    assert not (await ask(client, "ListSilences")).silences
    assert list((await ask(client, "ListSilences", include_ended=True)).silences) == [ended]


async def test_silences_are_paged(client: Client) -> None:
    """Newest first, each once."""
    made_here: list[SilenceRecord] = []
    for _ in range(5):
        answer = await tell(client, "Silence", end_time=datetime.now(UTC) + HOUR, comment="x")
        made_here.insert(0, answer.silence)
    assert await pages(client, "ListSilences", "silences") == made_here


# ---- policies, runbooks, incoming units


async def test_what_is_absent_of_a_policy_stays_absent(client: Client) -> None:
    """A zero that was said is not the same as nothing; the engine fills in what was not said."""
    await client.add_sku(SKU, 5)
    for_all = AlertPolicy(service_level=0.9, fixed_line=50)
    own = AlertPolicy(sku=SKU, fixed_line=0, no_supply=False, lead_seconds=600.0)
    for policy in (own, for_all):
        assert (await tell(client, "SetAlertPolicy", policy=policy)).policy == policy
    assert await pages(client, "ListAlertPolicies", "policies") == [for_all, own]
    assert await pages(client, "ListAlertPolicies", "policies", sku_prefix="t") == [own]
    filled = (await ask(client, "GetTier", sku=SKU)).policy
    assert (filled.service_level, filled.fixed_line, filled.lead_seconds) == (0.9, 0, 600.0)
    changes = await events(client, AlertEventKind.ALERT_EVENT_KIND_POLICY_CHANGED)
    assert [event.policy for event in changes] == [own, for_all]


async def test_a_runbook_is_laid_down(client: Client) -> None:
    """Four runbooks from the first day on; what the merchant lays down replaces the one of its tier."""
    before = list((await ask(client, "ListRunbooks")).runbooks)
    assert [one.tier for one in before] == [2, 3, 4, 5]
    step = {"text": "喊人", "text_en": "Shout", "owner": "助播", "minutes_max": 1}
    lines = {"host_line": "手快有", "host_line_en": "Be quick", "receivers": ["ops"]}
    own = made(Runbook, tier=Tier.TIER_URGENT, steps=[step], **lines)
    assert (await tell(client, "SetRunbook", runbook=own)).runbook == own
    assert list((await ask(client, "ListRunbooks")).runbooks) == [before[0], before[1], own, before[3]]


@pytest.mark.parametrize("line", ["还剩3单", "还剩３单", "only 7 left"])
async def test_a_host_line_has_no_numbers(client: Client, line: str) -> None:
    """By the time it is said the number would be another one."""
    refusal = await refused(tell(client, "SetRunbook", runbook={"tier": Tier.TIER_URGENT, "host_line": line}))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "runbook.host_line")


async def test_each_receiver_is_named_once(client: Client) -> None:
    """Told twice is told badly."""
    runbook = {"tier": Tier.TIER_URGENT, "receivers": ["ops", "shift", "ops"]}
    refusal = await refused(tell(client, "SetRunbook", runbook=runbook))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "runbook.receivers")


async def test_incoming_units_are_paged_by_arrival_and_cancelled(client: Client) -> None:
    """In the order in which they come, also those of the same moment; what will not come is no longer listed."""
    await client.add_sku(SKU)
    now = datetime.now(UTC)
    announced: list[IncomingUnits] = []
    for hours in (3, 1, 1, 1, 2):
        content = {"sku": SKU, "quantity": hours, "arrive_time": now + hours * HOUR, "reference": "PO 7"}
        announced.append((await tell(client, "AnnounceIncoming", **content)).incoming)
    by_arrival = [announced[1], announced[2], announced[3], announced[4], announced[0]]
    assert await pages(client, "ListIncoming", "incoming") == by_arrival
    cancelled = (await tell(client, "CancelIncoming", incoming_id=announced[2].incoming_id)).incoming
    assert cancelled.end_reason == "CANCELLED"
    assert await pages(client, "ListIncoming", "incoming", sku=SKU) == [
        units for units in by_arrival if units != announced[2]
    ]


# ---- what history says


async def test_a_profile_comes_back_as_it_was_sent(client: Client) -> None:
    """Its text, and since when; the first of all days there is none."""
    empty = await ask(client, "GetDemandProfile")
    assert (empty.profile_json, empty.HasField("update_time")) == ("", False)
    text = json.dumps({**PROFILE, "of_a_later_release": [1, 2.5]}, indent=1)
    request = pb.SetDemandProfileRequest(request_id="x", profile_json=text)
    for _ in range(2):
        assert (await client.alerts.SetDemandProfile(request, **client.options)).skus == 1
    found = await ask(client, "GetDemandProfile")
    assert found.profile_json == text
    assert found.HasField("update_time")
    request.profile_json = profile(days=8)
    refusal = await refused(client.alerts.SetDemandProfile(request, **client.options))
    assert (refusal.reason, refusal.field) == ("REQUEST_ID_REUSED", "profile_json")


async def test_a_profile_of_three_megabytes_is_kept(client: Client) -> None:
    """A shop of 25,000 SKUs has one; it is read back whole, and others are answered meanwhile."""
    learned = PROFILE["skus"]["tea"]
    text = profile(skus={f"a SKU with a rather long code {place}": learned for place in range(25_000)})
    assert 2.5 < len(text) / 2**20 < 3
    request = pb.SetDemandProfileRequest(request_id="x", profile_json=text)
    stored = client.alerts.SetDemandProfile(request, **client.options)
    await client.add_sku(SKU)
    assert (await stored).skus == 25_000
    assert (await ask(client, "GetDemandProfile")).profile_json == text
