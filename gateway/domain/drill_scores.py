"""How a drill went: what was expected of it, judged by what the alert log has told of it, and how fast people were.

    met          a change into the tier or over it (for NORMAL: back to it), within the expectation's span
    detect       from the last inject that may have caused it to that change; else from the span's beginning. Where that
                 is the drill's, nothing has happened that could be detected, and there is no figure
    deliver      from a rise to the report of the last subscriber who listens
    acknowledge  from a rise to the first acknowledgement of it, before it rises again
    act          from a rise to the last step that was done of its tier's runbook, before it rises again

A rise is a change to a higher tier. Figures are seconds of the clock, medians over what happened; None: it never did.
Steps are those of the runbooks that were told, once per SKU, episode and tier.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from msgspec import Struct

from gateway.domain.alerts import Event, EventKind, StepDone, TierTold
from gateway.domain.drills import DrillExpectation, DrillScript, InjectKind
from gateway.domain.tiers import Tier

# What lets a tier rise, and what lets it fall.
_PRESSING = frozenset((InjectKind.SURGE, InjectKind.SUPPLY_LATE))
_EASING = frozenset((InjectKind.RECEIPT, InjectKind.CHANNEL_BACK))
# So many expectations that were not met are told in words.
TOLD_MAX = 3

_NAMES = {
    Tier.NORMAL: "正常",
    Tier.TREND: "提速",
    Tier.THRESHOLD: "预警",
    Tier.URGENT: "紧急",
    Tier.SOLD_OUT: "售罄",
}
_FIGURES = {
    "detect_seconds": "发现",
    "deliver_seconds": "送达",
    "acknowledge_seconds": "认领",
    "act_seconds": "处置",
}
_ENDS = {"ENDED": "", "STOPPED": "演练被提前停止。", "LOST": "播放演练的网关已离线，演练中断。"}


class DrillScore(Struct, frozen=True):
    """How a drill went; `compared` is the last drill of the same name in words, empty if there was none."""

    passed: bool
    met: tuple[bool, ...] = ()
    detect_seconds: float | None = None
    deliver_seconds: float | None = None
    acknowledge_seconds: float | None = None
    act_seconds: float | None = None
    steps_done: int = 0
    steps_missed: int = 0
    compared: str = ""


class Drill(Struct, frozen=True):
    """A drill and what came of it. `state`: RUNNING, ENDED, STOPPED, LOST. Stored without the script's tape."""

    script: DrillScript
    actor: str
    start_time: datetime
    drill_id: int = 0
    state: str = "RUNNING"
    end_time: datetime | None = None
    score: DrillScore | None = None

    def time_at(self, seconds: float) -> datetime:
        """A second of the drill, on the clock."""
        return self.start_time + timedelta(seconds=seconds / self.script.speed)

    def seconds_at(self, time: datetime) -> float:
        """A time of the clock, in the drill's own."""
        return (time - self.start_time).total_seconds() * self.script.speed


class _Rise(Struct, frozen=True):
    """A rise, what it says, and what was told after it and before the next."""

    event: Event
    body: TierTold
    after: tuple[Event, ...]


def score(drill: Drill, events: Iterable[Event], delivered: Mapping[int, float]) -> DrillScore:
    """Judge what the log has told of a drill; `delivered`: seconds from a rise to its last report, by revision."""
    told: dict[str, list[Event]] = {}
    for event in events:
        told.setdefault(event.sku, []).append(event)
    expected = drill.script.expectations
    found = [_meeting(drill, one, told.get(one.sku, ())) for one in expected]
    met = [(one, at) for one, at in zip(expected, found, strict=True) if at is not None]
    rises = [rise for of_sku in told.values() for rise in _rises(of_sku)]
    done, missed = _steps(rises, told)
    return DrillScore(
        passed=len(met) == len(expected),
        met=tuple(at is not None for at in found),
        detect_seconds=_median(_detected(drill, one, at) for one, at in met),
        deliver_seconds=_median(delivered.get(rise.event.revision) for rise in rises),
        acknowledge_seconds=_median(_reaction(rise, EventKind.ACKNOWLEDGED) for rise in rises),
        act_seconds=_median(_reaction(rise, EventKind.STEP_DONE) for rise in rises),
        steps_done=done,
        steps_missed=missed,
    )


def is_rise(event: Event) -> bool:
    """True if the event tells of a higher tier."""
    return isinstance(event.body, TierTold) and event.body.after > event.body.before


# ---- what was expected


def _meeting(drill: Drill, expected: DrillExpectation, told: Iterable[Event]) -> float | None:
    """When an expectation was met, in the drill's time, by what was told of its SKU."""
    for event in told:
        if not isinstance(event.body, TierTold) or not _reaches(event.body, expected.tier):
            continue
        at = drill.seconds_at(event.observe_time or event.record_time)
        if expected.after_seconds <= at <= expected.before_seconds:
            return at
    return None


def _reaches(change: TierTold, tier: Tier) -> bool:
    if tier is Tier.NORMAL:
        return change.after is Tier.NORMAL and change.before is not Tier.NORMAL
    return change.before < tier <= change.after


def _detected(drill: Drill, expected: DrillExpectation, at: float) -> float | None:
    """Seconds of the clock from what happened to the change at this second of the drill; None if nothing did."""
    causes = _EASING if expected.tier is Tier.NORMAL else _PRESSING
    injects = [
        each.at_seconds
        for each in drill.script.injects
        if each.kind in causes and each.concerns(expected.sku) and each.at_seconds <= at
    ]
    since = max(injects, default=expected.after_seconds)
    return (at - since) / drill.script.speed if injects or since else None


# ---- what people have done


def _rises(told: Sequence[Event]) -> Iterator[_Rise]:
    """Every rise of one SKU, with what was told of its episode before the next."""
    places = [place for place, event in enumerate(told) if is_rise(event)]
    for place, end in pairwise([*places, len(told)]):
        event, later = told[place], told[place + 1 : end]
        assert isinstance(event.body, TierTold)
        yield _Rise(event, event.body, tuple(one for one in later if one.episode == event.episode))


def _reaction(rise: _Rise, kind: EventKind) -> float | None:
    """Seconds until it was acknowledged, or until the last step of its runbook was done."""
    times = [
        event.record_time
        for event in rise.after
        if event.kind is kind and (not isinstance(event.body, StepDone) or event.body.tier is rise.body.after)
    ]
    if not times:
        return None
    end = min(times) if kind is EventKind.ACKNOWLEDGED else max(times)
    return (end - rise.event.record_time).total_seconds()


def _steps(rises: Iterable[_Rise], told: Mapping[str, Sequence[Event]]) -> tuple[int, int]:
    """Steps of the runbooks that were told: done, missed."""
    asked = {
        (rise.event.sku, rise.event.episode, rise.body.after, step)
        for rise in rises
        if rise.body.runbook is not None
        for step in range(len(rise.body.runbook.steps))
    }
    ticked = {
        (sku, event.episode, event.body.tier, event.body.step)
        for sku, events in told.items()
        for event in events
        if isinstance(event.body, StepDone)
    }
    return len(asked & ticked), len(asked - ticked)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


# ---- in words


def verdict(drill: Drill, state: str, score: DrillScore) -> str:
    """What came of it and what did not (zh-CN)."""
    expected = drill.script.expectations
    if not expected:
        return f"{_ENDS[state]}演练结束，没有设定预期。"
    missed = [one for one, is_met in zip(expected, score.met, strict=True) if not is_met]
    if not missed:
        return f"{_ENDS[state]}演练通过：{len(expected)}项预期都按时出现。"
    told = "；".join(
        f"{one.sku}应在第{one.after_seconds:g}至{one.before_seconds:g}秒到达“{_NAMES[one.tier]}”"
        for one in missed[:TOLD_MAX]
    )
    more = f"；另有{len(missed) - TOLD_MAX}项" if len(missed) > TOLD_MAX else ""
    return f"{_ENDS[state]}演练未通过：{len(expected)}项预期中有{len(missed)}项没有按时出现：{told}{more}。"


def comparison(score: DrillScore, last: Drill) -> str:
    """The figures of the last drill of this name, and how this one differs (zh-CN)."""
    before = last.score
    if before is None:
        return ""
    steps = before.steps_done + before.steps_missed
    parts = [
        f"上次演练（{last.drill_id}号）{'通过' if before.passed else '未通过'}",
        *(f"{word}{_difference(getattr(before, name), getattr(score, name))}" for name, word in _FIGURES.items()),
        f"步骤完成{before.steps_done}/{steps}",
    ]
    return "，".join(parts) + "。"


def _difference(before: float | None, now: float | None) -> str:
    told = "无" if before is None else f"{before:.1f}秒"
    if now is None:
        return told if before is None else f"{told}（这次无）"
    if before is None:
        return f"{told}（这次{now:.1f}秒）"
    change = now - before
    if abs(change) < 0.05:  # noqa: PLR2004 - what would be shown as 0.0
        return f"{told}（这次相同）"
    return f"{told}（这次{'慢' if change > 0 else '快'}{abs(change):.1f}秒）"
