"""From a sale to what people read, through a real gateway: each change once, in order, whoever is killed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from connectors.gateway_client import GatewayAddress
from connectors.notify import follower as following
from connectors.notify.facts import Surroundings, notice_of
from connectors.notify.follower import Follower
from connectors.notify.frontdoor import FrontDoor
from connectors.notify.notices import Notice
from connectors.notify.serve import robot_of
from connectors.notify.settings import settings_of
from connectors.sandbox.robots import Fault
from gateway.client import ResumePoint
from gateway.v1 import alert_pb2
from gateway.v1 import alert_service_pb2 as pb
from tests.client import made
from tests.connectors.notifier.ward import CHANGE, CUP, GROUPS, MUG, QUICK, Ward

NOWHERE = "127.0.0.1:1"
NORMAL = alert_pb2.TIER_NORMAL
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
    """A robot that is new learns what is wrong now and what to do, if it is for whom the runbook names."""
    runbook = {"tier": URGENT, "steps": [{"text": "停讲这款"}], "receivers": ["feishu"]}
    await ward.client.tell(ward.client.alerts.SetRunbook, pb.SetRunbookRequest, actor="li", runbook=runbook)
    await ward.sell(CUP, 17)
    event = await ward.reached(CUP, URGENT)
    ward.start("feishu", "wecom")
    await ward.heard(event, "feishu")
    assert "停讲这款" in ward.hall.desks["feishu"].kept[-1].text
    await ward.followed("wecom")
    await ward.sell(MUG, 12)
    await ward.heard(await ward.reached(MUG, THRESHOLD), "wecom")
    assert event.revision not in ward.told("wecom")


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


@contextlib.asynccontextmanager
async def a_follower(ward: Ward, gateway: str, token: str = "", **changes: Any) -> AsyncIterator[Follower]:
    """DingTalk's robot, following some gateway; nothing runs yet."""
    settings = settings_of(ward.document("dingtalk", **changes)).robots[0]
    door = FrontDoor(GatewayAddress(gateway, token), "test")
    async with httpx.AsyncClient(trust_env=False) as client:
        robot = robot_of(settings, ward.environment(), client)
        yield Follower(settings, robot, door, "https://ops.example/", QUICK)
    await door.close()


def waiting(follower: Follower) -> list[int]:
    """The numbers of what waits for the group."""
    delivery = follower._spread._delivery  # type: ignore[union-attr]  # a group's robot has one
    return [pending.notice.revision for pending in delivery.outbox._waiting]


async def test_a_pipeline_that_has_died_is_told(ward: Ward) -> None:
    """Ninety seconds without a sign of life are told once, at once; and so is that the warnings are back."""
    async with a_follower(ward, NOWHERE) as follower:
        delivery = follower._spread._delivery  # type: ignore[union-attr]  # a group's robot has one
        now = time.monotonic()
        for heard in (now, now - 91, now - 91, now, now):
            follower._watchdog_heard = heard
            follower._look_after_silence()
            while await delivery.send_due():
                pass
        assert follower.resume_point is None
    [silent, back] = ward.hall.desks["dingtalk"].texts
    assert "没有收到预警系统的消息" in silent
    assert "预警系统已恢复" in back


@pytest.mark.parametrize("is_away", [True, False])
async def test_a_robot_that_is_never_let_in_says_so(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, *, is_away: bool
) -> None:
    """A gateway that is away from the beginning, and a token that is good no more: however often it tries anew."""
    monkeypatch.setattr(following, "WATCHDOG_SECONDS_MAX", 1.0)
    monkeypatch.setattr(following, "REPORT_SECONDS", 0.1)
    monkeypatch.setattr(following, "BACKOFF_SECONDS", 0.05)
    async with a_follower(ward, NOWHERE if is_away else ward.gateway, "sg_main_revoked") as follower:
        if not is_away:
            follower._point = ResumePoint(1, "an earlier life")
        running = asyncio.create_task(follower.run())
        await ward.until(lambda: any("没有收到预警系统的消息" in text for text in ward.hall.desks["dingtalk"].texts))
        running.cancel()
        await asyncio.wait([running])


async def test_what_cannot_be_told_holds_up_nothing(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """One event meets a fault of ours: the log has it, and the next ones are told."""

    def told(event: alert_pb2.AlertEvent, around: Surroundings) -> Notice | None:
        if event.sku == CUP:
            raise LookupError("nobody has foreseen it")
        return notice_of(event, around)

    monkeypatch.setattr(following, "notice_of", told)
    ward.start("dingtalk")
    await ward.followed("dingtalk")
    for sku in (CUP, MUG):
        await ward.sell(sku, 12)
    await ward.heard(await ward.reached(MUG, THRESHOLD), "dingtalk")


def event(
    revision: int, kind: alert_pb2.AlertEventKind.ValueType, sku: str = CUP, **content: Any
) -> alert_pb2.AlertEvent:
    """One fact of the log."""
    return alert_pb2.AlertEvent(revision=revision, kind=kind, sku=sku, **content)


def changed(revision: int, before: int, after: int, *receivers: str, is_stale: bool = False) -> alert_pb2.AlertEvent:
    """A tier change, for these receivers."""
    runbook = alert_pb2.Runbook(receivers=receivers)
    change = made(alert_pb2.TierChange, **{"from": before, "to": after, "is_stale": is_stale, "runbook": runbook})
    return event(revision, CHANGE, tier_change=change)


async def test_a_line_holds_for_all_that_is_told_of_tiers(ward: Ward) -> None:
    """A silent channel makes every number old: who wants URGENT hears of those that are."""
    acknowledged = alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED
    async with a_follower(ward, NOWHERE, min_tier="URGENT") as follower:
        await follower._hear(changed(1, NORMAL, NORMAL, is_stale=True))
        await follower._hear(changed(2, THRESHOLD, THRESHOLD, is_stale=True))
        await follower._hear(
            event(3, acknowledged, acknowledgement=alert_pb2.Acknowledgement(tier=THRESHOLD, actor="li"))
        )
        assert not waiting(follower)
        await follower._hear(changed(4, URGENT, URGENT, is_stale=True))
        await follower._hear(
            event(5, acknowledged, MUG, acknowledgement=alert_pb2.Acknowledgement(tier=URGENT, actor="li"))
        )
        assert waiting(follower) == [4, 5]


async def test_what_becomes_of_a_warning_is_told_where_the_warning_was(ward: Ward) -> None:
    """A runbook has named others: neither its end nor who has taken it on is told here; the next one may be ours."""
    taken_on = alert_pb2.Acknowledgement(tier=THRESHOLD, actor="li")
    async with a_follower(ward, NOWHERE) as follower:
        await follower._hear(changed(1, NORMAL, THRESHOLD, "leads"))
        await follower._hear(event(2, alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED, acknowledgement=taken_on))
        await follower._hear(changed(3, THRESHOLD, NORMAL))
        assert not waiting(follower)
        await follower._hear(event(4, alert_pb2.ALERT_EVENT_KIND_ESCALATED, escalation={"tier": URGENT, "level": 3}))
        await follower._hear(changed(5, THRESHOLD, URGENT, "leads", "dingtalk"))
        await follower._hear(changed(6, URGENT, NORMAL))
        assert 4 in waiting(follower)
        assert 6 in waiting(follower)
