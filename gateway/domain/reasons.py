"""Why a SKU stands where it stands, in one sentence, in zh-CN and in English."""

from math import ceil

from gateway.domain.demand import StockOutTimes
from gateway.domain.tiers import (
    URGENT_CHANCE,
    Evidence,
    Tier,
    TierRule,
    is_ample,
    is_eased,
    is_pressing,
    is_short,
)

_HOUR_MINUTES = 60
_DAY_HOURS = 24
# Of what is sold out: orders a minute, below which nothing is said of a pace.
PACE_TOLD_MIN = 0.1


def why(tier: Tier, evidence: Evidence, rule: TierRule, stock_out: StockOutTimes, *, is_stale: bool) -> tuple[str, str]:
    """The reason with its numbers; (zh-CN, English)."""
    chinese, english = _REASONS[tier](evidence, rule, stock_out)
    if is_stale:
        return f"数据已过时，以下为最后所知：{chinese}", f"Our knowledge is old; as last known: {english}"
    return chinese, english


def _normal(evidence: Evidence, _rule: TierRule, _times: StockOutTimes) -> tuple[str, str]:
    pace_zh, pace_en = _pace(evidence)
    return (
        (
            f"可售{evidence.available}件，{pace_zh}，在{_span_zh(evidence.lead_seconds)}的补货时间内卖完的可能性为"
            f"{evidence.chance:.0%}"
        ),
        (
            f"{evidence.available} available, {pace_en}; the chance of running out before more can come, within "
            f"{_span(evidence.lead_seconds)}, is {evidence.chance:.0%}"
        ),
    )


def _trend(evidence: Evidence, _rule: TierRule, times: StockOutTimes) -> tuple[str, str]:
    pace_zh, pace_en = _pace(evidence)
    return (
        f"销售明显加快：{pace_zh}，此前每分钟{evidence.slow_rate:.1f}单；可售{evidence.available}件{_left_zh(times)}",
        (
            f"sales have accelerated: {pace_en}, {evidence.slow_rate:.1f} before; {evidence.available} available"
            f"{_left(times)}"
        ),
    )


def _threshold(evidence: Evidence, rule: TierRule, times: StockOutTimes) -> tuple[str, str]:
    if evidence.available <= rule.fixed_line:
        return (
            f"可售{evidence.available}件，不高于设定的预警线{rule.fixed_line}件{_left_zh(times)}",
            f"{evidence.available} available, at or below the fixed line of {rule.fixed_line}{_left(times)}",
        )
    if not is_short(evidence, rule):
        return _held(evidence, evidence.chance, times, is_over=is_ample(evidence, rule))
    pace_zh, pace_en = _pace(evidence)
    return (
        (
            f"可售{evidence.available}件，{pace_zh}，补货需{_span_zh(evidence.lead_seconds)}，在此之前卖完的可能性为"
            f"{evidence.chance:.0%}{_left_zh(times)}"
        ),
        (
            f"{evidence.available} available, {pace_en}; more can come within {_span(evidence.lead_seconds)}, and "
            f"the chance of running out before is {evidence.chance:.0%}{_left(times)}"
        ),
    )


def _urgent(evidence: Evidence, rule: TierRule, times: StockOutTimes) -> tuple[str, str]:
    if evidence.available <= rule.hard_floor:
        return (
            f"可售{evidence.available}件，不高于设定的紧急线{rule.hard_floor}件{_left_zh(times)}",
            f"{evidence.available} available, at or below the hard floor of {rule.hard_floor}{_left(times)}",
        )
    if not is_pressing(evidence, rule):
        return _held(evidence, evidence.urgent_chance, times, is_over=is_eased(evidence, rule))
    pace_zh, pace_en = _pace(evidence)
    if evidence.urgent_chance < URGENT_CHANCE:
        return (
            (
                f"可售{evidence.available}件，{pace_zh}，没有可补的货，{_span_zh(evidence.lead_seconds)}内卖完的可能性为"
                f"{evidence.chance:.0%}{_left_zh(times)}"
            ),
            (
                f"{evidence.available} available, {pace_en}; there is no way to get more, and the chance of running "
                f"out within {_span(evidence.lead_seconds)} is {evidence.chance:.0%}{_left(times)}"
            ),
        )
    return (
        (
            f"可售{evidence.available}件，{pace_zh}，在最快的补货到达之前卖完的可能性为{evidence.urgent_chance:.0%}"
            f"{_left_zh(times)}"
        ),
        (
            f"{evidence.available} available, {pace_en}; the chance of running out before the fastest supply is "
            f"{evidence.urgent_chance:.0%}{_left(times)}"
        ),
    )


def _held(evidence: Evidence, chance: float, times: StockOutTimes, *, is_over: bool) -> tuple[str, str]:
    """The tier's bar is not passed any more. Either the lower bar is not yet, or it must stay for a while."""
    pace_zh, pace_en = _pace(evidence)
    why_zh, why_en = ("再观察几分钟后解除", "it is left after some minutes") if is_over else _STILL
    return (
        (
            f"已缓和，尚未解除：可售{evidence.available}件，{pace_zh}，在补货到达之前卖完的可能性为{chance:.0%}"
            f"{_left_zh(times)}；{why_zh}"
        ),
        (
            f"eased, and not over yet: {evidence.available} available, {pace_en}; the chance of running out before "
            f"more can come is {chance:.0%}{_left(times)}; {why_en}"
        ),
    )


def _sold_out(evidence: Evidence, _rule: TierRule, _times: StockOutTimes) -> tuple[str, str]:
    if evidence.sellable > 0:
        return (
            f"刚有{evidence.sellable}件可售，此前已售罄",
            f"nothing was left; {evidence.sellable} can be sold again",
        )
    # Once it is gone the pace fades: it is that of before for some minutes only.
    if evidence.fast_rate < PACE_TOLD_MIN:
        return "已售罄", "nothing is left"
    pace_zh, pace_en = _pace(evidence)
    return f"已售罄，售罄前{pace_zh}", f"nothing is left; {pace_en} before"


_STILL = ("余量再宽裕些才解除", "it is left when there is ample again")
_REASONS = {
    Tier.NORMAL: _normal,
    Tier.TREND: _trend,
    Tier.THRESHOLD: _threshold,
    Tier.URGENT: _urgent,
    Tier.SOLD_OUT: _sold_out,
}


def _pace(evidence: Evidence) -> tuple[str, str]:
    return f"每分钟{evidence.fast_rate:.1f}单", f"{evidence.fast_rate:.1f} orders a minute"


def _left(times: StockOutTimes) -> str:
    if times.p50 is None:
        return ""
    return f"; gone in about {_span(times.p50)} ({_span(times.p10)} to {_span(times.p90)})"


def _left_zh(times: StockOutTimes) -> str:
    if times.p50 is None:
        return ""
    return f"，预计{_span_zh(times.p50)}后卖完（{_span_zh(times.p10)}至{_span_zh(times.p90)}）"


def _span(seconds: float | None) -> str:
    return _told(seconds, (" min", " h", " days"), "more than a week")


def _span_zh(seconds: float | None) -> str:
    return _told(seconds, ("分钟", "小时", "天"), "一周以上")


def _told(seconds: float | None, units: tuple[str, str, str], beyond: str) -> str:
    if seconds is None:
        return beyond
    minutes = ceil(seconds / 60)
    if minutes < 2 * _HOUR_MINUTES:
        return f"{minutes}{units[0]}"
    hours = round(minutes / _HOUR_MINUTES)
    return f"{hours}{units[1]}" if hours < 2 * _DAY_HOURS else f"{round(hours / _DAY_HOURS)}{units[2]}"
