"""How a drill went: every figure from the log, by hand; and in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain.alerts import AckAction, Acknowledgement, Event, EventKind, Runbook, RunbookStep, StepDone, TierTold
from gateway.domain.demand import StockOutTimes
from gateway.domain.drill_scores import Drill, DrillScore, comparison, score, verdict
from gateway.domain.drills import DrillExpectation, DrillInject, DrillScript, DrillSku, InjectKind
from gateway.domain.tiers import Evidence, Tier

START = datetime(2026, 11, 11, 20, 0, tzinfo=UTC)
SPEED = 10.0
EVIDENCE = Evidence(9, 9, False, 0.9, 0.9, 0.9, 600.0, 5.0, 5.0, 0.0, 3.0, 0.0, 99, True, False)
TWO_STEPS = (RunbookStep("看现货"), RunbookStep("调货"))


def drill(*expectations: DrillExpectation, injects: tuple[DrillInject, ...] = ()) -> Drill:
    """A drill of tea and mugs, ten times as fast as the clock."""
    skus = (DrillSku("tea", 100), DrillSku("mug", 100))
    script = DrillScript("night", SPEED, 600.0, skus, injects=injects, expectations=expectations)
    return Drill(script, "li", START, 7)


def change(at: float, before: Tier, after: Tier, sku: str = "tea", **content: Any) -> Event:
    """A tier change at a second of the drill, recorded a tenth of a second of the clock later."""
    time = START + timedelta(seconds=at / SPEED)
    body = TierTold(before, after, EVIDENCE, StockOutTimes(1.0, 2.0, 3.0), runbook=Runbook(after, TWO_STEPS))
    usual: dict[str, Any] = {"kind": EventKind.TIER_CHANGE, "episode": 1, "drill_id": 7, "observe_time": time}
    recorded = {"revision": 8 + int(at), "record_time": time + timedelta(seconds=0.1)}
    return Event(body=body, sku=sku, **(usual | recorded | content))


def reaction(clock_seconds: float, body: Acknowledgement | StepDone, sku: str = "tea", episode: int = 1) -> Event:
    """What somebody has done, so many seconds of the clock after the start."""
    kind = EventKind.STEP_DONE if isinstance(body, StepDone) else EventKind.ACKNOWLEDGED
    time = START + timedelta(seconds=clock_seconds)
    return Event(revision=1_000, record_time=time, kind=kind, body=body, sku=sku, episode=episode, drill_id=7)


def ack(clock_seconds: float, tier: Tier, **content: Any) -> Event:
    """An acknowledgement."""
    return reaction(clock_seconds, Acknowledgement(tier, "li", START, AckAction.WATCH), **content)


def step(clock_seconds: float, tier: Tier, number: int, **content: Any) -> Event:
    """A step."""
    return reaction(clock_seconds, StepDone(tier, number, "x", "li"), **content)


RISES = (
    change(100, Tier.NORMAL, Tier.TREND),
    change(200, Tier.TREND, Tier.URGENT),
    change(300, Tier.URGENT, Tier.THRESHOLD),
    change(400, Tier.THRESHOLD, Tier.NORMAL),
)


@pytest.mark.parametrize(
    ("sku", "tier", "after", "before", "is_met"),
    [
        ("tea", Tier.TREND, 50, 150, True),
        ("tea", Tier.TREND, 100, 101, True),
        ("tea", Tier.TREND, 99, 100, True),
        ("tea", Tier.TREND, 101, 150, False),
        ("tea", Tier.TREND, 0, 99, False),
        ("tea", Tier.URGENT, 150, 250, True),
        ("tea", Tier.THRESHOLD, 150, 250, True),
        ("tea", Tier.THRESHOLD, 250, 350, False),
        ("tea", Tier.SOLD_OUT, 0, 600, False),
        ("tea", Tier.NORMAL, 350, 450, True),
        ("tea", Tier.NORMAL, 0, 350, False),
        ("mug", Tier.TREND, 0, 600, False),
    ],
)
def test_a_tier_is_reached_from_below_and_in_time(
    sku: str, tier: Tier, after: float, before: float, *, is_met: bool
) -> None:
    """Into it or over it, within the span, bounds included; NORMAL is reached by coming back to it."""
    found = score(drill(DrillExpectation(sku, tier, after, before)), RISES, {})
    assert (found.passed, found.met) == (is_met, (is_met,))


def test_all_that_was_expected_must_come() -> None:
    """One that did not come fails the drill, and is told in words."""
    missed = DrillExpectation("mug", Tier.URGENT, 100, 200)
    played = drill(DrillExpectation("tea", Tier.TREND, 50, 150), missed)
    found = score(played, RISES, {})
    assert (found.passed, found.met) == (False, (True, False))
    assert verdict(played, "ENDED", found) == (
        "演练未通过：2项预期中有1项没有按时出现：mug应在第100至200秒到达“紧急”。"
    )
    assert verdict(played, "STOPPED", found).startswith("演练被提前停止。")
    assert verdict(played, "LOST", found).startswith("播放演练的网关已离线，演练中断。")


def test_many_failures_are_told_in_few_words() -> None:
    """A hundred failed expectations make no page."""
    played = drill(*[DrillExpectation("mug", Tier.URGENT, 100, 200)] * 100)
    assert len(verdict(played, "ENDED", score(played, (), {}))) < 150


def test_what_expects_nothing_passes() -> None:
    """A drill may be played for its people alone."""
    found = score(drill(), RISES, {})
    assert found.passed
    assert verdict(drill(), "ENDED", found) == "演练结束，没有设定预期。"


def test_detection_is_counted_from_its_cause() -> None:
    """From the last surge or delay of that SKU before it; else from the span's beginning, if it is not the drill's."""
    assert score(drill(DrillExpectation("tea", Tier.TREND, 0, 150)), RISES, {}).detect_seconds is None
    expectations = (DrillExpectation("tea", Tier.TREND, 50, 150), DrillExpectation("tea", Tier.NORMAL, 310, 500))
    assert score(drill(*expectations[:1]), RISES, {}).detect_seconds == pytest.approx(5.0)
    injects = (
        DrillInject(20, InjectKind.SURGE, "tea", 2.0, 60.0),
        DrillInject(70, InjectKind.SUPPLY_LATE, "", 60.0),
        DrillInject(80, InjectKind.SURGE, "mug", 2.0, 60.0),
        DrillInject(90, InjectKind.RECEIPT, "tea", 2.0),
        DrillInject(101, InjectKind.SURGE, "tea", 2.0, 60.0),
        DrillInject(330, InjectKind.RECEIPT, "tea", 2.0),
    )
    assert score(drill(*expectations[:1], injects=injects), RISES, {}).detect_seconds == pytest.approx(3.0)
    assert score(drill(*expectations[1:], injects=injects), RISES, {}).detect_seconds == pytest.approx(7.0)
    assert score(drill(*expectations, injects=injects), RISES, {}).detect_seconds == pytest.approx(5.0)


def test_what_never_happened_has_no_figure() -> None:
    """Nobody reported, acknowledged or did anything: absent, not 0."""
    found = score(drill(DrillExpectation("tea", Tier.SOLD_OUT, 0, 600)), RISES, {})
    assert (found.detect_seconds, found.deliver_seconds) == (None, None)
    assert (found.acknowledge_seconds, found.act_seconds) == (None, None)
    assert (found.steps_done, found.steps_missed) == (0, 4)


def test_delivery_is_the_median_over_rises() -> None:
    """What went down again is good news, and may take its time."""
    delivered = {108: 2.0, 208: 4.0, 308: 99.0}
    assert score(drill(), RISES, delivered).deliver_seconds == 3.0


def test_reactions_belong_to_the_rise_before_them() -> None:
    """An acknowledgement counts for the rise it follows; a step for the rise into its tier."""
    told = (
        RISES[0],
        RISES[1],
        step(20.5, Tier.TREND, 0),
        ack(24.1, Tier.URGENT),
        ack(29.0, Tier.URGENT),
        step(26.1, Tier.URGENT, 0),
        step(28.1, Tier.URGENT, 1),
        step(28.2, Tier.URGENT, 1, episode=2),
        *RISES[2:],
        ack(41.0, Tier.URGENT, sku="mug"),
    )
    found = score(drill(), told, {})
    assert found.acknowledge_seconds == pytest.approx(4.0)
    assert found.act_seconds == pytest.approx(8.0)
    assert (found.steps_done, found.steps_missed) == (3, 1)


def test_a_tier_that_was_entered_twice_has_its_steps_once() -> None:
    """Within one episode a runbook is gone through once; a new episode is a new one."""
    again = change(500, Tier.NORMAL, Tier.TREND)
    assert score(drill(), (*RISES, again), {}).steps_missed == 4
    assert score(drill(), (*RISES, change(500, Tier.NORMAL, Tier.TREND, episode=2)), {}).steps_missed == 6


def test_the_last_drill_is_compared_in_words() -> None:
    """Each figure of the last one, and how this one differs; what there was none of is said so."""
    before = DrillScore(False, (), 12.0, None, 40.0, 90.04, 5, 2)
    last = Drill(drill().script, "li", START, 3, "ENDED", START, before)
    now = DrillScore(True, (), 9.0, 3.0, None, 90.0, 7, 0)
    assert comparison(now, last) == (
        "上次演练（3号）未通过，发现12.0秒（这次快3.0秒），送达无（这次3.0秒），认领40.0秒（这次无），"
        "处置90.0秒（这次相同），步骤完成5/7。"
    )
