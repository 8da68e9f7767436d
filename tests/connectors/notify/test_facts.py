"""What people are told of each fact of the alert log, and what is kept from them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.notify.facts import Room, Surroundings, hint_of, notice_of, notice_of_state, receivers_of
from connectors.notify.notices import LINK_BYTES_MAX, Kind, Notice, Tier, entry_of
from gateway.v1 import alert_pb2 as pb
from gateway.v1 import alert_service_pb2, live_service_pb2
from tests.client import made

NOW = datetime(2026, 11, 11, 12, 0, tzinfo=UTC)
AROUND = Surroundings("红色马克杯", (Room(3, "一号直播间", "room-1"),), "https://ops.example/alerts", NOW)
TIER_CHANGE = pb.ALERT_EVENT_KIND_TIER_CHANGE
EVIDENCE = {"available": 23, "fast_rate": 4.2, "slow_rate": 1.0}
RUNBOOK = {
    "steps": [{"text": "从近仓调货", "text_en": "move units", "owner": "仓库"}, {"text": "第二步"}],
    "host_line": "库存不多了",
    "host_line_en": "few left",
    "receivers": ["ops"],
}


def event(kind: pb.AlertEventKind.ValueType = TIER_CHANGE, **content: Any) -> pb.AlertEvent:
    """Revision 128 of MUG-1, unless said otherwise."""
    usual: dict[str, Any] = {"revision": 128, "kind": kind, "sku": "MUG-1", "episode": 4}
    return pb.AlertEvent(**{**usual, **content})


def change(before: int, after: int, **content: Any) -> pb.TierChange:
    usual = {"from": before, "to": after, "evidence": EVIDENCE, "runbook": RUNBOOK}
    return made(pb.TierChange, **{**usual, **content})


def told(one: pb.AlertEvent) -> Notice:
    notice = notice_of(one, AROUND)
    assert notice is not None
    return notice


def test_a_tier_change_is_told_with_all_it_says() -> None:
    """Tiers, numbers, the first step and who does it, the host's line, the link to answer."""
    stock_out = pb.StockOut(p10_seconds=180, p50_seconds=320, p90_seconds=480)
    notice = told(event(tier_change=change(3, 4, pages=True, stock_out=stock_out), session_ids=[3]))
    assert (notice.kind, notice.tier_before, notice.tier, notice.room) == (
        Kind.TIER,
        Tier.THRESHOLD,
        Tier.URGENT,
        "一号直播间",
    )
    assert notice.is_urgent
    assert notice.link == "https://ops.example/alerts?sku=MUG-1&session=0&episode=4&tier=URGENT&revision=128"
    text = entry_of(notice)
    for words in (
        "红色马克杯 #128",
        "可用 23 件，每分钟 4.2 单，约 5 分钟售完（3–8）",
        "从近仓调货（仓库）｜move units",
    ):
        assert words in text
    assert receivers_of(event(tier_change=change(3, 4))) == {"ops"}


@pytest.mark.parametrize(("sku", "asked"), [("MUG-1", 5), ("红" * 38, 2), ("红" * 60, 1)])
def test_every_warning_has_a_link_to_answer_it(sku: str, asked: int) -> None:
    """As exact as there is room for: a long name is quoted at nine bytes a letter."""
    notice = told(event(sku=sku, tier_change=change(3, 4, pages=True)))
    assert len(notice.link) <= LINK_BYTES_MAX
    assert notice.link.count("=") == asked
    assert "revision=128" in notice.link
    assert f"认领 Acknowledge：{notice.link}" in entry_of(notice)


def test_stock_that_lasts_has_no_time() -> None:
    """Absent quantiles are no zero."""
    assert "售完" not in entry_of(told(event(tier_change=change(1, 2))))
    some = change(1, 2, stock_out=pb.StockOut(p10_seconds=60, p50_seconds=600))
    assert "最快 1" in entry_of(told(event(tier_change=some)))


def test_all_is_well_again() -> None:
    """The way down is told, not as urgent, and asks nobody to do or to say anything."""
    notice = told(event(tier_change=change(4, 1)))
    assert (notice.is_urgent, notice.is_escalation) == (False, False)
    text = entry_of(notice)
    assert "正常" in text
    for words in ("处理", "主播", "认领"):
        assert words not in text


def test_a_raise_that_does_not_page_is_told_and_can_wait() -> None:
    """Who was told that all is well must hear that it is not."""
    notice = told(event(tier_change=change(1, 4, pages=False)))
    assert (notice.is_urgent, notice.is_escalation) == (False, True)


def test_stale_alone_and_with_a_change() -> None:
    """The flag alone is a notice of its own; with a change of tier it stands beside it, without numbers."""
    alone = told(event(tier_change=change(3, 3, is_stale=True)))
    assert alone.kind is Kind.STALE
    beside = told(event(tier_change=change(2, 3, is_stale=True)))
    assert beside.kind is Kind.TIER
    assert "23" not in entry_of(beside)


@pytest.mark.parametrize(("level", "is_told"), [(1, False), (2, True), (3, True)])
def test_escalations_beyond_the_console(level: int, is_told: bool) -> None:
    """The console hears the first by itself; the third calls everybody."""
    one = event(pb.ALERT_EVENT_KIND_ESCALATED, escalation={"level": level, "tier": 4})
    notice = notice_of(one, AROUND)
    assert (notice is not None) == is_told
    if notice is not None:
        assert (notice.is_urgent, notice.mentions_all) == (True, level == 3)


def test_acknowledged_and_no_more() -> None:
    """Who and what was decided; that it has run out is told, that it ended because something else is told is not."""
    taken = {"tier": 4, "actor": "王芳", "action": pb.ACK_ACTION_TRANSFER, "quantity": 200, "note": "下午到"}
    kind = pb.ALERT_EVENT_KIND_ACKNOWLEDGED
    assert "王芳：已调货 200，下午到｜units transferred 200" in entry_of(told(event(kind, acknowledgement=taken)))
    ended = pb.ALERT_EVENT_KIND_ACKNOWLEDGEMENT_ENDED
    assert "认领已失效" in entry_of(told(event(ended, acknowledgement={**taken, "end_reason": "TIMED_OUT"})))
    for reason in ("CLOSED", "RISEN"):
        assert notice_of(event(ended, acknowledgement={**taken, "end_reason": reason}), AROUND) is None


def test_proposals() -> None:
    """Proposed, decided, carried out: three notices of one thread, in its own words each."""
    proposal = {"proposal_id": 9, "kind": pb.PROPOSAL_KIND_MOVE_UNITS, "quantity": 200, "reason": "近仓有货"}
    proposed = told(event(pb.ALERT_EVENT_KIND_PROPOSED, proposal=proposal))
    assert "调货 200：近仓有货" in entry_of(proposed)
    decided = {**proposal, "state": pb.PROPOSAL_STATE_DECLINED, "actor": "李雷", "note": "不够"}
    assert "李雷：调货 200 已拒绝 不够" in entry_of(told(event(pb.ALERT_EVENT_KIND_PROPOSAL_DECIDED, proposal=decided)))
    done = {**proposal, "state": pb.PROPOSAL_STATE_DONE, "effect": "#77"}
    carried = told(event(pb.ALERT_EVENT_KIND_PROPOSAL_CARRIED_OUT, proposal=done))
    assert "已完成 #77" in entry_of(carried)
    assert carried.thread == proposed.thread


def test_drills_are_marked() -> None:
    """Begin and end are told as such, and whatever belongs to a drill has its mark."""
    begun = told(event(pb.ALERT_EVENT_KIND_DRILL_STARTED, drill_id=7, sku="", drill={"name": "双11", "actor": "王芳"}))
    assert entry_of(begun).startswith("【演练】演练｜DRILL")
    assert "王芳：双11 开始" in entry_of(begun)
    over = {"name": "双11", "passed": True}
    assert "通过" in entry_of(told(event(pb.ALERT_EVENT_KIND_DRILL_ENDED, drill_id=7, drill=over)))
    assert told(event(tier_change=change(3, 4), drill_id=7)).is_drill


def test_what_is_silenced_or_bookkeeping_is_not_told() -> None:
    """Silences keep notices from people; most kinds are for programs."""
    assert notice_of(event(tier_change=change(1, 3), silenced_by=[5]), AROUND) is None
    told_kinds = {kind for kind in pb.AlertEventKind.values() if notice_of(event(kind), AROUND) is not None}
    assert pb.ALERT_EVENT_KIND_WATCHDOG not in told_kinds
    assert pb.ALERT_EVENT_KIND_LINE_TAKEN not in told_kinds


def test_a_tier_of_a_newer_gateway_is_told_as_something_to_look_at() -> None:
    """A number that this notifier does not know is no reason to be silent."""
    assert told(event(tier_change=change(1, 9))).tier is Tier.THRESHOLD


@pytest.mark.parametrize(("minutes", "is_past"), [(0, False), (9, False), (11, True), (600, True)])
def test_what_comes_late_is_of_the_past(minutes: int, is_past: bool) -> None:
    """By the time at which it was recorded."""
    one = event(tier_change=change(1, 3))
    one.record_time.FromDatetime(NOW - timedelta(minutes=minutes))
    assert told(one).is_past is is_past


@pytest.mark.parametrize(
    ("content", "is_told"),
    [
        ({}, True),
        ({"tier": pb.TIER_NORMAL}, False),
        ({"revision": 0}, False),
        ({"silenced_by": [3]}, False),
        ({"acknowledgement": {"actor": "王芳"}}, False),
    ],
)
def test_where_things_stand_is_told_to_who_is_new(content: dict[str, Any], is_told: bool) -> None:
    """Under the number of the event that told of it, unless all is well, silenced or taken on."""
    usual: dict[str, Any] = {"sku": "MUG-1", "tier": pb.TIER_URGENT, "revision": 77, "evidence": EVIDENCE}
    notice = notice_of_state(alert_service_pb2.TierState(**{**usual, **content}), AROUND)
    assert (notice is not None) == is_told
    if notice is not None:
        assert (notice.revision, notice.is_urgent) == (77, True)


@pytest.mark.parametrize(
    ("tier", "hours", "is_told", "is_urgent"),
    [
        (pb.TIER_SOLD_OUT, 0.1, True, True),
        (pb.TIER_SOLD_OUT, 3, True, False),
        (pb.TIER_SOLD_OUT, 30, False, False),
        (pb.TIER_URGENT, 30, True, False),
        (pb.TIER_THRESHOLD, 0.1, True, False),
    ],
)
def test_what_has_stood_so_for_long_is_no_news(tier: int, hours: float, *, is_told: bool, is_urgent: bool) -> None:
    """Who is new is not flooded: the old can wait and is dropped first, and what sold out days ago is not told."""
    state = made(alert_service_pb2.TierState, sku="MUG-1", tier=tier, revision=77, evidence=EVIDENCE)
    state.since_time.FromDatetime(NOW - timedelta(hours=hours))
    notice = notice_of_state(state, AROUND)
    assert (notice is not None) == is_told
    if notice is not None:
        assert notice.is_urgent == is_urgent
        assert notice.is_escalation == (hours < 1)


def test_a_hint_is_said_without_numbers_when_it_is_old() -> None:
    """What a room hears of a SKU, with the time after which it is not to be said."""
    hint = live_service_pb2.Hint(sku="MUG-1", sellable=23, tier=pb.TIER_URGENT, rate=4.256, host_line="还能卖23单")
    hint.expire_time.FromDatetime(NOW)
    said = hint_of(hint)
    body = json.loads(said.body)
    assert (body["sellable"], body["tier"], body["per_minute"], body["host_line"]) == (23, "URGENT", 4.26, "还能卖23单")
    assert said.expires == NOW.timestamp() == body["expire_time"]
    hint.is_stale = True
    assert json.loads(hint_of(hint).body)["sellable"] is None
