"""Every call of the client against a real gateway, and every call of the contract in the client and on the menu."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import gateway
from gateway.client import AlertEvent, AlertsClient, GatewayRefused, LiveClient, ResumePoint
from gateway.v1 import alert_pb2, alert_service_pb2, channel_pb2, live_service_pb2
from gateway.v1 import catalog_service_pb2 as pb
from tests.client import Client
from tests.sdk.log import Log
from tests.sdk.reading import following, read_to_the_end

SOON = timedelta(minutes=15)
SOURCES = Path(gateway.__file__).parent
# A program says these of itself; people have no use for them.
FOR_PROGRAMS = {"ReportCursor", "GetCursor", "ClaimNotice", "SettleNotice"}
# On the menu these are followed with the client.
STREAMS = {"WatchTierChanges", "WatchHints"}


def now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


@pytest.fixture
async def alerts(gateway_address: str, token: str) -> AsyncIterator[AlertsClient]:
    """A client of the warnings."""
    async with AlertsClient(gateway_address, token) as alerts:
        yield alerts


@pytest.fixture
async def live(gateway_address: str, token: str) -> AsyncIterator[LiveClient]:
    """A client of the rooms."""
    async with LiveClient(gateway_address, token) as live:
        yield live


@pytest.mark.parametrize("folder", ["client", "cli"])
def test_every_call_can_be_made(folder: str) -> None:
    """The client has each method of both services, the command line each that is for people."""
    services = (
        alert_service_pb2.DESCRIPTOR.services_by_name["AlertService"],
        live_service_pb2.DESCRIPTOR.services_by_name["LiveService"],
    )
    methods = {method.name for service in services for method in service.methods}
    if folder == "cli":
        methods -= FOR_PROGRAMS | STREAMS
    assert len(methods) > 30
    text = "\n".join(file.read_text(encoding="utf-8") for file in (SOURCES / folder).glob("*.py"))
    assert {method for method in methods if f".{method}" not in text} == set()


async def test_what_people_do_is_told(client: Client, alerts: AlertsClient, log: Log) -> None:
    """Silences, units on their way, policies, runbooks: done once, listed, and on the stream."""
    await client.add_sku("TEA", 60)
    head = await log.head()
    silence = (await alerts.silence(skus=["TEA"], end_time=now() + SOON, actor="li", comment="known")).silence
    assert [each.silence_id for each in (await alerts.silences()).silences] == [silence.silence_id]
    assert (await alerts.end_silence(silence.silence_id, actor="li")).HasField("ended_time")
    arrive = now() + SOON
    twice = [
        await alerts.announce_incoming("TEA", 200, arrive_time=arrive, actor="li", request_id="truck-7") for _ in "12"
    ]
    assert twice[0] == twice[1]
    assert len((await alerts.incoming("TEA")).incoming) == 1
    assert (await alerts.cancel_incoming(twice[0].incoming_id, actor="li")).end_reason == "CANCELLED"
    policy = await alerts.set_policy(alert_pb2.AlertPolicy(sku="TEA", fixed_line=50), actor="li")
    assert policy in (await alerts.policies(sku_prefix="TEA")).policies
    watch = alerts.watch(start=ResumePoint(head.revision, head.epoch), skus=["TEA"])
    told = [await following(watch) for _ in range(5)]
    assert [item.kind for item in told if isinstance(item, AlertEvent)] == [
        alert_pb2.ALERT_EVENT_KIND_SILENCED,
        alert_pb2.ALERT_EVENT_KIND_SILENCE_ENDED,
        alert_pb2.ALERT_EVENT_KIND_INCOMING_ANNOUNCED,
        alert_pb2.ALERT_EVENT_KIND_INCOMING_ENDED,
        alert_pb2.ALERT_EVENT_KIND_POLICY_CHANGED,
    ]
    steps = [alert_pb2.RunbookStep(text="补货")]
    await alerts.set_runbook(alert_pb2.Runbook(tier=alert_pb2.TIER_URGENT, steps=steps), actor="li")
    assert next(book for book in await alerts.runbooks() if book.tier == alert_pb2.TIER_URGENT).steps[0].text == "补货"


async def test_where_things_stand(client: Client, alerts: AlertsClient) -> None:
    """One SKU with its reasons, all of them, and the log behind it."""
    await client.add_sku("TEA", 60)
    assert (await alerts.tier("TEA")).state.tier == alert_pb2.TIER_NORMAL
    with pytest.raises(GatewayRefused, match="SKU_UNKNOWN"):
        await alerts.tier("NOPE")
    await alerts.tiers(min_tier=alert_pb2.TIER_TREND)
    await alerts.set_policy(alert_pb2.AlertPolicy(sku="TEA", fixed_line=50), actor="li")
    listed = (await alerts.events(kinds=[alert_pb2.ALERT_EVENT_KIND_POLICY_CHANGED])).events
    assert [event.sku for event in listed] == ["TEA"]
    with pytest.raises(GatewayRefused, match="EPISODE_OVER"):
        await alerts.acknowledge(
            "TEA", episode=1, tier=alert_pb2.TIER_URGENT, actor="li", action=alert_pb2.ACK_ACTION_WATCH
        )
    with pytest.raises(GatewayRefused):
        await alerts.complete_step("TEA", episode=1, tier=alert_pb2.TIER_URGENT, step=0, actor="li")


async def test_a_notice_is_claimed_once(alerts: AlertsClient, log: Log) -> None:
    """The second who claims it may not send it; after it was sent nobody may."""
    revision = await log.append()
    first = await alerts.claim_notice(revision, receiver="ops", claimant="a", lease_seconds=20)
    second = await alerts.claim_notice(revision, receiver="ops", claimant="b", lease_seconds=20)
    assert (first.granted, second.granted) == (True, False)
    await alerts.settle_notice(revision, receiver="ops", claimant="a", sent=True)
    assert (await alerts.claim_notice(revision, receiver="ops", claimant="b", lease_seconds=20)).sent


async def test_a_drill_is_played(alerts: AlertsClient) -> None:
    """It is started, found, and stopped."""
    script = alert_service_pb2.DrillScript(
        name="rehearsal", seconds=600, speed=1, skus=[alert_service_pb2.DrillSku(sku="TEA", units=50, rate=2)]
    )
    drill = await alerts.start_drill(script, actor="li")
    assert (await alerts.drill(drill.drill_id)).state == "RUNNING"
    assert (await alerts.stop_drill(drill.drill_id, actor="li")).state == "STOPPED"
    assert [each.drill_id for each in (await alerts.drills()).drills] == [drill.drill_id]
    ours = alert_service_pb2.RehearsalSource(built_in=(await alerts.rehearsals()).rehearsals[0].name)
    assert (await alerts.preview_rehearsal(ours)).script.skus
    again = await alerts.rehearse(ours, actor="li")
    assert (await alerts.stop_drill(again.drill_id, actor="li")).state == "STOPPED"


async def test_the_profile_is_kept(alerts: AlertsClient) -> None:
    """None at first; what is none is refused by its field."""
    assert not (await alerts.demand_profile()).profile_json
    with pytest.raises(GatewayRefused) as refused:
        await alerts.set_demand_profile("{}")
    assert refused.value.field.startswith("profile_json")


async def test_a_room_from_beginning_to_end(client: Client, live: LiveClient) -> None:
    """Opened, changed, followed, spoken in, and closed, which ends who follows."""
    await client.add_sku("TEA", 60)
    await client.add_sku("CUP", 60)
    await open_channel(client)
    session = await live.open_session(
        "main room", channels=["dy"], skus={"TEA": 0}, planned_end_time=now() + SOON, actor="li", host="Li"
    )
    number = session.session_id
    changed = await live.update_session(number, skus={"CUP": 5}, actor="li")
    assert [(sold.sku, sold.exclusive_units) for sold in changed.skus] == [("TEA", 0), ("CUP", 5)]
    assert (await live.session(number)).room == "main room"
    assert (await live.review(number)).session.room == "main room"
    with pytest.raises(GatewayRefused, match="ADVICE_UNKNOWN"):
        await live.accept_advice(number, "LEAD_TIME", "TEA", actor="li")
    assert [each.session_id for each in (await live.sessions(open_only=True)).sessions] == [number]
    assert {hint.sku for hint in await live.hints(number)} == {"TEA", "CUP"}
    watch = live.watch_hints(number, ["TEA"])
    hint = await following(watch)
    assert hint.sku == "TEA"
    assert now() < hint.expire_time.ToDatetime(UTC)
    assert (await live.take_line(number, "TEA", "STOCK")).text
    await live.close_session(number, actor="li")
    await read_to_the_end(watch)
    with pytest.raises(GatewayRefused, match="SESSION_OVER"):
        await live.update_session(number, remove_skus=["CUP"], actor="li")


async def test_words_and_proposals(live: LiveClient) -> None:
    """Templates are previewed, stored, listed and given back; nothing is proposed in an empty shop."""
    template = live_service_pb2.LineTemplate(
        intent="HOST", tier=alert_pb2.TIER_URGENT, language="en", variants=["{sellable} left"]
    )
    assert await live.preview_template(template)
    stored = await live.set_template(template, actor="li")
    assert not stored.is_built_in
    assert stored in await live.templates("en")
    assert (await live.delete_template(stored.template_id, actor="li")).is_built_in
    assert not (await live.proposals()).proposals
    with pytest.raises(GatewayRefused, match="PROPOSAL_UNKNOWN"):
        await live.decide_proposal(7, approve=True, actor="li")


async def open_channel(client: Client) -> None:
    """A channel that sells tea."""
    channel = channel_pb2.Channel(channel="dy", platform=channel_pb2.PLATFORM_DOUYIN)
    await client.catalog.CreateChannel(pb.CreateChannelRequest(channel=channel), **client.options)
    for item, sku in (("900", "TEA"), ("901", "CUP")):
        component = channel_pb2.Component(sku=sku, units=1)
        listing = channel_pb2.Listing(channel="dy", item_id=item, components=[component])
        await client.catalog.LinkListing(pb.LinkListingRequest(listing=listing), **client.options)
