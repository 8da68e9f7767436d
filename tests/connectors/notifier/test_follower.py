"""From a sale to what people read, through a real gateway: each change once, in order, whoever is killed."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

import httpx

from connectors.gateway_client import GatewayAddress
from connectors.notify.follower import Follower
from connectors.notify.frontdoor import FrontDoor
from connectors.notify.serve import robot_of
from connectors.notify.settings import settings_of
from connectors.sandbox.robots import Fault
from gateway.v1 import alert_pb2
from tests.connectors.notifier.ward import CUP, GROUPS, MUG, Ward

THRESHOLD, URGENT, SOLD_OUT = alert_pb2.TIER_THRESHOLD, alert_pb2.TIER_URGENT, alert_pb2.TIER_SOLD_OUT


async def test_a_tier_change_appears_at_each_of_the_four_once_and_in_order(ward: Ward) -> None:
    """With SKU, tier, what to do, the host's line and the link; the room hears it too, and nothing comes twice."""
    ward.start()
    for units, tier in ((12, THRESHOLD), (5, URGENT), (3, SOLD_OUT)):
        await ward.sell(CUP, units)
        event = await ward.reached(CUP, tier)
        await ward.heard(event, *ward.hall.desks)
    expected = [event.revision for event in await ward.changes() if event.tier_change.to >= alert_pb2.TIER_TREND]
    for robot in ward.hall.desks:
        numbers = [number for number in ward.told(robot) if number in expected]
        assert numbers == sorted(set(numbers)), robot
    for robot in GROUPS:
        text = ward.hall.desks[robot].texts[-1]
        for words in (
            "✖ 售罄 SOLD OUT",
            CUP,
            "一号直播间",
            "处理 Do：",
            "主播 Host：",
            "https://ops.example/alerts?sku=CUP",
        ):
            assert words in text, robot


async def test_the_room_hears_what_it_can_sell(ward: Ward) -> None:
    """Payloads have rising versions, and the newest of each SKU; a second lies between any two."""
    ward.start("agora")
    await ward.until(lambda: any(payload["snapshot"] for payload in ward.payloads()))
    await ward.sell(MUG, 7)
    await ward.until(lambda: len(ward.payloads()) >= 4)
    payloads = ward.payloads()
    versions = [payload["version"] for payload in payloads]
    assert versions == sorted(set(versions))
    assert {hint["sku"] for payload in payloads for hint in payload["hints"]} == {CUP, MUG}
    kept = list(ward.hall.desks["agora"].kept)
    assert all(one.target == "room-1" for one in kept)
    gaps = [(after.time - before.time).total_seconds() for before, after in pairwise(kept)]
    assert min(gaps) > 0.9


async def test_a_notifier_that_comes_back_goes_on_where_it_stopped(ward: Ward) -> None:
    """Stopped in order, it has said how far it came; what happened meanwhile is told, and nothing again."""
    ward.start("dingtalk")
    await ward.sell(CUP, 12)
    first = await ward.reached(CUP, THRESHOLD)
    await ward.heard(first, "dingtalk")
    await ward.stop()
    assert await ward.cursor("dingtalk") >= first.revision
    await ward.sell(CUP, 8)
    last = await ward.reached(CUP, SOLD_OUT)
    ward.start("dingtalk")
    await ward.heard(last, "dingtalk")
    assert ward.told("dingtalk").count(first.revision) == 1


async def test_two_notifiers_tell_each_change_once(ward: Ward) -> None:
    """Both follow the log, and each notice is claimed by one."""
    ward.start(*GROUPS)
    ward.start(*GROUPS)
    for sku in (CUP, MUG):
        await ward.sell(sku, 12)
    events = [await ward.reached(sku, THRESHOLD) for sku in (CUP, MUG)]
    for event in events:
        await ward.heard(event, *GROUPS)
    await asyncio.sleep(1.0)
    for robot in GROUPS:
        assert len(ward.told(robot)) == len(set(ward.told(robot)))


async def test_who_hears_for_the_first_time_is_told_where_things_stand(ward: Ward) -> None:
    """A robot that is new learns what is wrong now, under the number of the change that told of it."""
    await ward.sell(CUP, 17)
    event = await ward.reached(CUP, URGENT)
    ward.start("feishu")
    await ward.heard(event, "feishu")


async def test_one_robot_that_is_away_holds_up_no_other(ward: Ward) -> None:
    """Each follows by itself, and what one could not be told waits for it."""
    ward.hall.desks["feishu"].go_wrong(Fault.ERROR)
    ward.start(*GROUPS)
    await ward.sell(CUP, 17)
    event = await ward.reached(CUP, URGENT)
    await ward.heard(event, "dingtalk", "wecom")
    await ward.until(lambda: ward.hall.desks["feishu"].calls > 0)
    assert await ward.cursor("feishu") < event.revision
    ward.hall.desks["feishu"].go_wrong(None)
    await ward.heard(event, "feishu")


@dataclass
class Watch:
    """A stream that hears of the watchdog, or does not."""

    is_alive: bool = True


async def test_a_pipeline_that_has_died_is_told(ward: Ward) -> None:
    """Ninety seconds without a sign of life are told once, at once; and so is that the warnings are back."""
    settings = settings_of(ward.document("dingtalk")).robots[0]
    door = FrontDoor(GatewayAddress("127.0.0.1:1"), "test")
    async with httpx.AsyncClient(trust_env=False) as client:
        follower = Follower(settings, robot_of(settings, ward.environment(), client), door, "https://ops.example")
        delivery = follower._spread._delivery  # type: ignore[union-attr]  # a group's robot has one
        watch = Watch()
        follower._watch = watch  # type: ignore[assignment]  # what a follower asks of it, and no more
        for is_alive in (True, False, False, True, True):
            watch.is_alive = is_alive
            follower._look_after_silence()
            while await delivery.send_due():
                pass
    await door.close()
    [silent, back] = ward.hall.desks["dingtalk"].texts
    assert "没有收到预警系统的消息" in silent
    assert "预警系统已恢复" in back
    assert follower.resume_point is None
