"""What is rehearsed stays where it is wanted, and what people do about warnings is told."""

import asyncio
from typing import Any

from gateway.domain.alerts import Escalation, EventKind, News
from gateway.domain.tiers import Tier
from gateway.settings import Settings
from gateway.store.alert_log import begin_append
from gateway.store.database import Clock
from gateway.v1 import alert_pb2
from gateway.v1 import alert_service_pb2 as pb
from tests.alerts.counter import counter_of
from tests.client import made, new_id
from tests.connectors.notifier.ward import CUP, Ward
from tests.live.rooms import soon
from tests.rpc.drill_requests import drill_script

THRESHOLD, URGENT, SOLD_OUT = alert_pb2.TIER_THRESHOLD, alert_pb2.TIER_URGENT, alert_pb2.TIER_SOLD_OUT
# Half a minute of the drill in half a second, in which tea is sold out at once.
SHORT = drill_script(
    speed=60.0,
    seconds=30.0,
    skus=[{"sku": "tea", "units": 3, "lead_seconds": 600.0, "rate": 60.0}],
    tape=[],
    injects=[{"at_seconds": 0.0, "kind": "SURGE", "value": 10.0, "seconds": 30.0}],
    expectations=[{"sku": "tea", "tier": SOLD_OUT, "before_seconds": 30.0}],
)


async def drill(ward: Ward) -> int:
    """A drill is played to its end; its number."""
    request = made(pb.StartDrillRequest, request_id=new_id(), script=SHORT, actor="li")
    begun = (await ward.client.alerts.StartDrill(request, **ward.client.options)).drill
    async with asyncio.timeout(30):
        while True:
            found = await ward.client.ask(ward.client.alerts.GetDrill, pb.GetDrillRequest, drill_id=begun.drill_id)
            if found.drill.state != "RUNNING":
                return begun.drill_id
            await asyncio.sleep(0.05)


async def acknowledge(ward: Ward, event: alert_pb2.AlertEvent, **content: Any) -> None:
    """Somebody takes it on."""
    asked = {"sku": event.sku, "episode": event.episode, "tier": event.tier_change.to, "actor": "王芳", **content}
    await ward.client.tell(ward.client.alerts.Acknowledge, pb.AcknowledgeRequest, **asked)


async def called_by(ward: Ward, robot: str) -> str:
    """The text with which a robot calls everybody."""
    kept = ward.hall.desks[robot].kept
    await ward.until(lambda: any(one.mentions_all for one in kept))
    [called] = [one.text for one in kept if one.mentions_all]
    return called


async def test_a_drill_reaches_only_robots_that_want_drills(ward: Ward) -> None:
    """Marked there from the first letter; no call is made to a robot without drills, nor to one that only rehearses."""
    ward.start("feishu", include_drills=True)
    ward.start("wecom", drill_only=True)
    ward.start("dingtalk")
    ward.start("agora")
    await drill(ward)
    await ward.until(lambda: any("SOLD OUT" in text for text in ward.hall.desks["feishu"].texts))
    assert all(text.startswith("【演练】") for text in ward.hall.desks["feishu"].texts)
    # What happens after the drill has reached the others, so that the drill would have, too.
    await ward.sell(CUP, 17)
    await ward.heard(await ward.reached(CUP, URGENT), "dingtalk", "feishu")
    for robot in ("dingtalk", "agora"):
        assert not any("tea" in text for text in ward.hall.desks[robot].texts), robot
    assert ward.hall.desks["wecom"].calls == 0


async def test_what_people_decide_is_told(ward: Ward) -> None:
    """Who has taken it on, and what was decided, in the group that was warned."""
    ward.start("wecom")
    await ward.sell(CUP, 17)
    event = await ward.reached(CUP, URGENT)
    await ward.heard(event, "wecom")
    await acknowledge(ward, event, action=alert_pb2.ACK_ACTION_WATCH, note="看一下")
    await ward.until(lambda: any("王芳：继续观察，看一下｜watching" in text for text in ward.hall.desks["wecom"].texts))


async def test_when_nobody_answers_everybody_is_called(ward: Ward, settings: Settings, clock: Clock) -> None:
    """The third level mentions everybody, with the numbers and the step of the change that nobody has taken on."""
    ward.start("dingtalk", "wecom")
    await ward.followed("dingtalk", "wecom")
    await ward.sell(CUP, 17)
    event = await ward.reached(CUP, URGENT)
    await ward.heard(event, "dingtalk", "wecom")
    async with counter_of(settings, ward.token, clock) as counter, counter.database.transaction() as connection:
        appending = await begin_append(connection, counter.database)
        body = Escalation(3, Tier.URGENT, appending.now)
        told = News(kind=EventKind.ESCALATED, body=body, sku=CUP, episode=event.episode, channels=("dy",))
        await appending.append([told])
    for robot in ("dingtalk", "wecom"):
        called = await called_by(ward, robot)
        assert "请所有人处理" in called
        assert "可用 3 件" in called
        assert "处理 Do：" in called


async def test_a_robot_is_told_of_its_rooms_and_tiers_only(ward: Ward) -> None:
    """A room it is not for, and a tier below its line, are not told."""
    ward.start("dingtalk", rooms=["二号直播间"])
    ward.start("feishu", min_tier="SOLD_OUT")
    ward.start("wecom", rooms=["一号直播间"], min_tier="THRESHOLD")
    await ward.sell(CUP, 12)
    early = await ward.reached(CUP, THRESHOLD)
    await ward.sell(CUP, 8)
    last = await ward.reached(CUP, SOLD_OUT)
    await ward.heard(last, "feishu", "wecom")
    assert early.revision not in ward.told("feishu")
    assert not ward.hall.desks["dingtalk"].calls


async def test_a_silence_keeps_people_from_being_told(ward: Ward) -> None:
    """What is silenced is in the log and at no robot; what pierces the silence is told."""
    ward.start("wecom")
    silence = {"matcher": {"skus": [CUP]}, "actor": "li", "comment": "counting", "end_time": soon()}
    await ward.client.tell(ward.client.alerts.Silence, pb.SilenceRequest, **silence)
    await ward.sell(CUP, 12)
    early = await ward.reached(CUP, THRESHOLD)
    assert early.silenced_by
    await ward.sell(CUP, 8)
    await ward.heard(await ward.reached(CUP, SOLD_OUT), "wecom")
    assert early.revision not in ward.told("wecom")
