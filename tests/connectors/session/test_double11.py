"""The Double-11 case: its buyers' pace, its story from the log and the journal, its report."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from connectors.base import ListingKey
from connectors.sandbox.city import CitySettings, open_city
from connectors.sandbox.crowd import CrowdSettings, Refusal
from connectors.session.double11 import plan
from connectors.session.double11.buyers import PacedVisitors, Persuaded
from connectors.session.double11.operator import Said
from connectors.session.double11.plan import CaseClock, clock_text, pace_at
from connectors.session.double11.report import CaseReport, Sold, show_case
from connectors.session.double11.robots import Told
from connectors.session.double11.story import Records, Story, story_of
from gateway.v1 import alert_pb2, stock_pb2
from tests.connectors.session.test_report import GOOD

START = datetime(2026, 11, 11, 12, tzinfo=UTC)
CLOCK = CaseClock(START, 60.0)  # a minute of the case is a second
SKU = "MUG-1"


def stamp(minute: float) -> Timestamp:
    """A minute of the case, by the ledger's clock."""
    made = Timestamp()
    made.FromDatetime(START + timedelta(seconds=minute))
    return made


def tier(minute: float, before: alert_pb2.Tier.ValueType, after: alert_pb2.Tier.ValueType) -> alert_pb2.AlertEvent:
    """A change of tier, which was recorded three minutes after it was so."""
    change = alert_pb2.TierChange(to=after, evidence=alert_pb2.Evidence(available=7, slow_rate=2.0))
    setattr(change, "from", before)
    return alert_pb2.AlertEvent(
        kind=alert_pb2.ALERT_EVENT_KIND_TIER_CHANGE,
        sku=SKU,
        observe_time=stamp(minute),
        record_time=stamp(minute + 3),
        tier_change=change,
    )


def proposal(
    minute: float, kind: alert_pb2.ProposalKind.ValueType, state: alert_pb2.ProposalState.ValueType
) -> alert_pb2.AlertEvent:
    """What is told of a proposal."""
    kinds = {
        alert_pb2.PROPOSAL_STATE_OPEN: alert_pb2.ALERT_EVENT_KIND_PROPOSED,
        alert_pb2.PROPOSAL_STATE_APPROVED: alert_pb2.ALERT_EVENT_KIND_PROPOSAL_DECIDED,
        alert_pb2.PROPOSAL_STATE_DONE: alert_pb2.ALERT_EVENT_KIND_PROPOSAL_CARRIED_OUT,
    }
    told = alert_pb2.Proposal(
        kind=kind, state=state, quantity=200, actor="Wang", reason="快没了", reason_en="soon gone"
    )
    return alert_pb2.AlertEvent(kind=kinds[state], sku=SKU, record_time=stamp(minute), proposal=told)


def approved(minute: float, kind: alert_pb2.ProposalKind.ValueType) -> list[alert_pb2.AlertEvent]:
    """Proposed, approved two minutes later, and done two minutes after that."""
    states = (
        alert_pb2.PROPOSAL_STATE_OPEN,
        alert_pb2.PROPOSAL_STATE_APPROVED,
        alert_pb2.PROPOSAL_STATE_DONE,
    )
    return [proposal(minute + 2 * place, kind, state) for place, state in enumerate(states)]


def taken_on(minute: float, of: alert_pb2.Tier.ValueType) -> alert_pb2.AlertEvent:
    """An acknowledgement."""
    ack = alert_pb2.Acknowledgement(tier=of, actor="Wang", action=alert_pb2.ACK_ACTION_CAP_SALES, note="换口播")
    return alert_pb2.AlertEvent(
        kind=alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED, sku=SKU, record_time=stamp(minute), acknowledgement=ack
    )


def moved(minute: float, after: int, *, arrived: int = 0) -> stock_pb2.Movement:
    """A movement at `main`, and what is on hand afterwards."""
    kind = stock_pb2.MOVEMENT_KIND_TRANSFER_IN if arrived else stock_pb2.MOVEMENT_KIND_RESERVE
    return stock_pb2.Movement(
        kind=kind, sku=SKU, location=plan.MAIN, on_hand_change=arrived, on_hand_after=after, record_time=stamp(minute)
    )


NORMAL, TREND, THRESHOLD = alert_pb2.TIER_NORMAL, alert_pb2.TIER_TREND, alert_pb2.TIER_THRESHOLD
URGENT, SOLD_OUT = alert_pb2.TIER_URGENT, alert_pb2.TIER_SOLD_OUT
SCRIPT = alert_pb2.AlertEvent(
    kind=alert_pb2.ALERT_EVENT_KIND_STEP_DONE,
    sku=SKU,
    record_time=stamp(164),
    step_done=alert_pb2.StepDone(tier=THRESHOLD, text="换口播", actor="Li"),
)
EVENTS = [
    tier(130, NORMAL, TREND),
    *approved(132, alert_pb2.PROPOSAL_KIND_MOVE_UNITS),
    tier(160, TREND, THRESHOLD),
    taken_on(162, THRESHOLD),
    SCRIPT,
    *approved(164, alert_pb2.PROPOSAL_KIND_LIST_SUBSTITUTE),
    tier(240, THRESHOLD, URGENT),
    taken_on(242, URGENT),
    tier(280, URGENT, SOLD_OUT),
    tier(282, SOLD_OUT, URGENT),
    tier(284, URGENT, SOLD_OUT),
]
MOVEMENTS = [moved(0, 500), moved(136, 600, arrived=200), moved(265, 50), moved(280, 0), moved(282, 1), moved(283, 0)]
SAID = [Said(161, THRESHOLD, "还能卖约90单", "about 90"), Said(170, THRESHOLD, "还能卖约80单", "about 80")]


def told(events: list[alert_pb2.AlertEvent]) -> Story:
    """The story of these events."""
    return story_of(Records(events, MOVEMENTS, SAID, SKU), CLOCK)


def test_a_whole_story_is_whole() -> None:
    """Every step has its minute; each warning says how long before the stock-out it came, and so does the line."""
    story = told(EVENTS)
    assert story.is_whole
    assert [(warned.tier, warned.minute, warned.minutes_before) for warned in story.warnings] == [
        ("TREND", 130, 150),
        ("THRESHOLD", 160, 120),
        ("URGENT", 240, 40),
    ]
    assert (story.line.minute, story.line.minutes_before) == (265, 15)
    assert (story.stock_out_minute, story.units_moved, story.later_changes) == (280, 200, 2)
    assert story.milestones["units arrived"] == 136
    minutes = [moment.minute for moment in story.timeline]
    assert minutes == sorted(minutes)
    assert sum("还能卖" in moment.zh for moment in story.timeline) == 1, "the same line with other numbers is not news"


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        (0, {"trend"}),
        (2, {"move approved"}),
        (5, {"threshold acknowledged"}),
        (6, {"script changed"}),
        (9, {"substitute listed"}),
        (10, {"urgent"}),
    ],
)
def test_what_did_not_happen_is_missed(left_out: int, missing: set[str]) -> None:
    """A step that did not come is named."""
    assert set(told([*EVENTS[:left_out], *EVENTS[left_out + 1 :]]).missing) == missing


def test_what_came_too_soon_is_missed() -> None:
    """An acknowledgement of what had not been warned of yet is not the plan's."""
    early = [taken_on(100, THRESHOLD), *EVENTS[:5], *EVENTS[6:]]
    assert told(early).missing == ["threshold acknowledged, after threshold"]


def test_a_warning_before_there_was_anything_to_warn_of_is_no_merit() -> None:
    """It is counted as one for nothing, and the minutes are those of the next."""
    story = told([tier(50, NORMAL, TREND), tier(52, TREND, NORMAL), *EVENTS])
    assert (story.early_warnings, told(EVENTS).early_warnings) == (1, 0)
    assert story.warnings[0].minute == 130


def test_without_a_stock_out_no_warning_has_a_worth() -> None:
    """Nothing is said of minutes before what never came."""
    story = story_of(Records(EVENTS[:10], MOVEMENTS[:2], SAID, SKU), CLOCK)
    assert not story.is_whole
    assert {warned.minutes_before for warned in (*story.warnings, story.line)} == {None}
    assert story.stock_out_minute is None


def test_the_pace_is_the_plans() -> None:
    """Steady at first, four times as many while the guest speaks; equal seeds make equal buyers."""
    assert [pace_at(minute) for minute in (-1.0, 0.0, 124.9, 125.0, 184.0, 359.0)] == [1.0, 1.0, 1.0, 4.0, 4.0, 3.2]
    how, key = CrowdSettings(3, speed=60.0, bursts=False), ListingKey("1", "2")
    crowds = [PacedVisitors("taobao", key, 4.0, how) for _ in range(2)]
    came: list[list[float]] = [[], []]
    for place, visitors in enumerate(crowds):
        while (moment := visitors.next()).seconds < 180.0:
            came[place] += [moment.seconds] if moment.visit else []
    assert came[0] == came[1]
    before = sum(1 for seconds in came[0] if seconds < plan.GUEST_MINUTE)
    after = len(came[0]) - before
    assert before / plan.GUEST_MINUTE == pytest.approx(1.0, rel=0.3)
    assert after / (180.0 - plan.GUEST_MINUTE) == pytest.approx(4.0, rel=0.2)


async def test_the_substitute_is_bought_once_it_is_offered() -> None:
    """Nobody takes what the host does not offer yet; then some of those who were refused do, and pay."""
    async with open_city(CitySettings(skus=2, weather="none", shown=100)) as city:
        persuaded = Persuaded(city, seed=1)
        refusal = Refusal("douyin", city.goods[0].keys["douyin"], 1)
        for _ in range(40):
            persuaded.refused(refusal)
        assert persuaded.units == 0
        persuaded.is_offered = True
        for _ in range(40):
            persuaded.refused(refusal)
        shop = city.shops["douyin"]
        assert 0 < persuaded.units < 40
        assert shop.displays[city.goods[1].keys["douyin"]].shown == 100 - persuaded.units == 100 - shop.tally.units_sold


def test_the_clock_is_the_cases() -> None:
    """Minutes are counted from the beginning, in the case's own time."""
    assert CLOCK.minute(START + timedelta(seconds=127)) == 127.0
    assert [clock_text(minute) for minute in (-3.0, 0.0, 59.9, 127.2, 360.0)] == [
        *("00:00", "00:00", "00:59", "02:07", "06:00")
    ]


def test_the_report_says_it_to_people_and_to_programs() -> None:
    """Timeline, warnings, sums and what robots were told, zh-CN first; the JSON has the session's figures as well."""
    sold = {SKU: Sold(700, {"taobao": 400, "douyin": 300}), "BOWL-1": Sold(300, {"taobao": 20, "douyin": 0})}
    report = CaseReport(GOOD, 60.0, told(EVENTS), sold, {"dingtalk": Told(9, 0, "…")}, ())
    assert report.is_good
    console = Console(file=io.StringIO(), width=160)
    show_case(report, console)
    assert isinstance(console.file, io.StringIO)
    page = console.file.getvalue()
    for words in (
        "02:10  ▲ 提速",
        "近仓 200 件到位",
        "700 件（其中近仓调入 200） = 售出 700（taobao 400、douyin 300）+ 剩余 0；超卖 0",
        "sold out at 04:40, oversold 0",
        "dingtalk 9",
        "+105",
    ):
        assert words in page
    document = json.loads(report.json())
    assert (document["good"], document["oversold"], document["case"]["name"]) == (True, 0, "double11")
    assert document["case"]["sold"][SKU] == {
        "units": 700,
        "by_shop": {"taobao": 400, "douyin": 300},
        "sold": 700,
        "left": 0,
        "oversold": 0,
    }


def test_a_story_with_a_hole_is_no_good_case() -> None:
    """The exit code says so, and the last line what is missing; so does a drill among it."""
    holed = CaseReport(GOOD, 60.0, told(EVENTS[1:]), {SKU: Sold(700, {"taobao": 700})}, {}, ())
    assert not holed.is_good
    console = Console(file=io.StringIO(), width=160)
    show_case(holed, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().rstrip().endswith("missing: trend")
    drilled = tier(10, NORMAL, TREND)
    drilled.drill_id = 4
    assert not CaseReport(GOOD, 60.0, told([*EVENTS, drilled]), {}, {}, ()).is_good
