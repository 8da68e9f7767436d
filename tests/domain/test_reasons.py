"""Why a SKU stands where it stands: the ground that holds, and no number that says otherwise."""

import pytest

from gateway.domain.demand import StockOutTimes
from gateway.domain.reasons import why
from gateway.domain.tiers import Evidence, Tier, TierRule

RULE = TierRule(0.98, fixed_line=10, hard_floor=3)
TIMES = StockOutTimes(600.0, 900.0, 1_800.0)


def evidence(
    available: int = 40,
    chance: float = 0.0,
    clear_chance: float = 0.0,
    urgent_chance: float = 0.0,
    rate: float = 4.0,
    *,
    has_options: bool = True,
) -> Evidence:
    """Numbers of a brisk SKU, but for what is said."""
    return Evidence(
        available,
        available,
        False,
        chance,
        clear_chance,
        urgent_chance,
        1_800.0,
        rate,
        rate,
        0.0,
        3.0,
        0.0,
        99,
        has_options,
        False,
    )


@pytest.mark.parametrize(
    ("tier", "seen", "chinese", "english"),
    [
        (Tier.THRESHOLD, evidence(9, 0.4), "不高于设定的预警线10件", "fixed line of 10"),
        (Tier.THRESHOLD, evidence(40, 0.4), "卖完的可能性为40%", "running out before is 40%"),
        (Tier.THRESHOLD, evidence(40, 0.0, 0.3), "已缓和，尚未解除", "when there is ample again"),
        (Tier.THRESHOLD, evidence(40, 0.0, 0.0), "再观察几分钟后解除", "after some minutes"),
        (Tier.URGENT, evidence(3, 0.9, 0.9, 0.9), "不高于设定的紧急线3件", "hard floor of 3"),
        (Tier.URGENT, evidence(40, 0.9, 0.9, 0.9), "最快的补货到达之前卖完的可能性为90%", "fastest supply is 90%"),
        (Tier.URGENT, evidence(40, 0.4, 0.4, 0.05, has_options=False), "没有可补的货", "no way to get more"),
        (Tier.URGENT, evidence(40, 0.6, 0.9, 0.6), "已缓和，尚未解除", "eased, and not over yet"),
        (Tier.SOLD_OUT, evidence(0, 1.0, 1.0, 1.0), "售罄前每分钟4.0单", "4.0 orders a minute before"),
        (Tier.SOLD_OUT, evidence(0, 1.0, 1.0, 1.0, rate=0.02), "已售罄", "nothing is left"),
    ],
)
def test_the_ground_that_holds_is_told(tier: Tier, seen: Evidence, chinese: str, english: str) -> None:
    """A line, a chance, no way to get more, or a warning that has eased and is not over yet."""
    said_zh, said_en = why(tier, seen, RULE, TIMES, is_stale=False)
    assert chinese in said_zh
    assert english in said_en


def test_what_is_gone_for_long_has_no_pace() -> None:
    """The rate is that of now: nobody sold 0.0 a minute before."""
    said = why(Tier.SOLD_OUT, evidence(0, 1.0, rate=0.0), RULE, TIMES, is_stale=False)
    assert said == ("已售罄", "nothing is left")


def test_old_knowledge_is_told_as_such() -> None:
    """The numbers are those that were known last."""
    said_zh, said_en = why(Tier.NORMAL, evidence(), RULE, TIMES, is_stale=True)
    assert said_zh.startswith("数据已过时")
    assert said_en.startswith("Our knowledge is old")
