"""The words of notices, zh-CN and English."""

from collections.abc import Mapping
from typing import NamedTuple

MINUTE, HOUR = 60.0, 3600.0
# Above so many minutes, hours are easier to read.
MINUTES_MAX = 120
# The level of an escalation at which everybody is told.
LEVELS = 3


class Words(NamedTuple):
    """The same in two languages; "" where there is nothing to say."""

    zh: str = ""
    en: str = ""


NOTHING = Words()
# By tier: a shape as well as a word, for not everybody sees colours.
SYMBOLS: Mapping[int, str] = {1: "✓", 2: "▲", 3: "◆", 4: "‼", 5: "✖"}
TIERS: Mapping[int, Words] = {
    1: Words("正常", "NORMAL"),
    2: Words("提速", "TREND"),
    3: Words("预警", "THRESHOLD"),
    4: Words("紧急", "URGENT"),
    5: Words("售罄", "SOLD OUT"),
}
KINDS: Mapping[str, Words] = {
    "stale": Words("⌛ 数据过期", "STALE"),
    "old": Words("渠道无消息，数字暂不可用", "its channels are not heard: no number holds"),
    "gone": Words("已无可售", "nothing left to sell"),
    "flapping": Words("变化频繁，将保持更久", "changes all the time, held longer"),
    "acknowledged": Words("☑ 已认领", "ACKNOWLEDGED"),
    "unacknowledged": Words("☐ 认领已失效，请重新认领", "ACKNOWLEDGEMENT TIMED OUT"),
    "proposed": Words("？建议待批准", "PROPOSED"),
    "decided": Words("☑ 已决定", "DECIDED"),
    "carried out": Words("☑ 已执行", "CARRIED OUT"),
    "drill": Words("演练", "DRILL"),
    "outage": Words("⚠ 库存预警系统", "STOCK WARNINGS"),
}
ESCALATED: Mapping[int, Words] = {
    1: Words("无人认领", "nobody has acknowledged"),
    2: Words("1 分钟无人认领，请班组长处理", "nobody has acknowledged: shift lead"),
    3: Words("3 分钟无人认领，请所有人处理", "nobody has acknowledged: everybody"),
}
REHEARSAL = Words("【演练】", "DRILL")
TRIAL = Words("【测试】", "TEST")
TRIAL_LINE = Words("能看到这条消息，就能收到预警，无需处理", "who reads this will be warned; nothing to do")
MAYBE_AGAIN = Words("（可能重复 maybe again）", "maybe again")
NAME = Words("库存预警", "stockgate")
SILENT = Words("超过 90 秒没有收到预警系统的消息，请直接查看库存", "no sign of life for 90 s: look at the stock itself")
BACK = Words("预警系统已恢复", "warnings are back")


def both(words: Words) -> str:
    """Chinese first, then English, whatever there is."""
    return "｜".join(filter(None, words))


def more(count: int, dropped: int) -> str:
    """What is not in this message: `count` notices that follow in others, `dropped` ones that are not told."""
    parts = []
    if count:
        parts.append(f"还有 {count} 条，稍后发送｜{count} more to come")
    if dropped:
        parts.append(f"另有 {dropped} 条未发送｜{dropped} not told")
    return "；".join(parts)


def gone_in(p10: float | None, p50: float | None, p90: float | None) -> Words:
    """How long until nothing is left, with its interval; nothing if it lasts."""
    if p50 is None:
        return NOTHING
    low, high = _number(p10 or 0.0, p50), _number(p90, p50) if p90 is not None else ""
    middle = _number(p50, p50)
    chinese = f"{low}–{high}" if high else f"最快 {low}"
    english = f"{low}-{high}" if high else f"{low} or more"
    zh, en = ("小时", "h") if _in_hours(p50) else ("分钟", "min")
    return Words(f"，约 {middle} {zh}售完（{chinese}）", f", gone in about {middle} {en} ({english})")


def _in_hours(seconds: float) -> bool:
    return seconds > MINUTES_MAX * MINUTE


def _number(seconds: float, like: float) -> str:
    """In the unit that `like` is told in; below one it is at most one."""
    amount = seconds / (HOUR if _in_hours(like) else MINUTE)
    return f"{amount:.0f}" if amount >= 1 else "≤1"
