"""The words of the printed review, zh-CN first, and English; and numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.v1.alert_pb2 import Tier
from gateway.web.report_charts import CHINA

ZH, EN = "zh-CN", "en"
# Seconds from which on a span is told in minutes, in hours; and under which tenths of a second count.
MINUTES_FROM, HOURS_FROM, TENTHS_UNTIL = 120, 7_200, 10

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("直播复盘", "Session review"),
    "session": ("场次", "Session"),
    "host": ("主播", "Host"),
    "channels": ("渠道", "Channels"),
    "is_on": ("进行中", "still on"),
    "sold": ("售出", "Sold"),
    "sold_of": ("共备 {units} 件", "of {units} units"),
    "unsold": ("剩余", "Left"),
    "unsold_of": ("{skus} 个商品", "of {skus} SKUs"),
    "lost": ("断货少卖", "Lost to stock-outs"),
    "lost_of": ("{skus} 个商品断货 {time}", "{skus} SKUs out for {time}"),
    "oversold": ("超卖", "Oversold"),
    "oversold_none": ("全场没有超卖", "nothing was oversold"),
    "oversold_some": ("卖出后无货可发", "sold, and not there"),
    "caught": ("断货前预警", "Warned in time"),
    "caught_of": ("提前 {time}（中位）", "{time} before, the median"),
    "caught_none": ("没有断货", "nothing ran out"),
    "lag": ("改数 99% 快于", "99 % of numbers within"),
    "lag_of": ("最慢渠道 {channel}", "slowest channel {channel}"),
    "lag_none": ("没有改数", "no number was changed"),
    "units": ("件", "units"),
    "advice": ("下次改什么", "What to change"),
    "advice_none": ("这一场没有要改的。", "Nothing to change."),
    "skus": ("商品", "SKUs"),
    "sku": ("商品", "SKU"),
    "begin": ("开场", "At first"),
    "received": ("到货", "Came"),
    "adjusted": ("调整", "Adjusted"),
    "stock_out": ("断货", "Ran out"),
    "out_for": ("断货时长", "Out for"),
    "peak": ("最快每分钟", "Peak per min"),
    "pictures": ("库存、销速与处置", "Stock, pace and reactions"),
    "pictures_of": ("最需要看的 {count} 个", "the {count} that most need a look"),
    "available": ("可售库存", "available"),
    "pace": ("每分钟售出", "sold per minute"),
    "exposure": ("{channel} 可卖", "for sale on {channel}"),
    "more_channels": ("另有 {count} 个渠道", "{count} more channels"),
    "person": ("有人处置（编号见“发生了什么”）", "somebody acted (numbers as in 'What happened')"),
    "warnings": ("预警与反应", "Warnings and reactions"),
    "warnings_none": ("这一场没有预警。", "There was no warning."),
    "time": ("时间", "Time"),
    "tier": ("级别", "Tier"),
    "before": ("早于断货", "Before it was gone"),
    "lead_times": ("补货周期", "Lead times"),
    "acknowledged": ("认领", "Acknowledged"),
    "acted": ("处置", "Acted"),
    "cost": ("迟到损失", "Cost of lateness"),
    "needless": ("虚惊", "needless"),
    "nobody": ("无人", "nobody"),
    "policies": ("换一种预警会怎样", "What other warnings would have done"),
    "policy": ("做法", "Way of warning"),
    "warned": ("预警次数", "Warnings"),
    "needless_count": ("虚惊", "Needless"),
    "caught_count": ("断货前发现", "Caught"),
    "minutes_before": ("提前（中位）", "Before, median"),
    "sync": ("渠道同步", "Channels"),
    "channel": ("渠道", "Channel"),
    "pushes": ("改数", "Changes"),
    "half": ("一半快于", "Half within"),
    "most": ("99% 快于", "99 % within"),
    "slowest": ("最慢", "Slowest"),
    "failed": ("失败调用", "Failed calls"),
    "drifts": ("偏差", "Drifts"),
    "lag_over_time": ("{channel}：改数用时（秒）", "{channel}: seconds until a change was confirmed"),
    "happened": ("发生了什么", "What happened"),
    "happened_none": ("没有人操作过。", "Nobody did anything."),
    "how": ("怎么算的", "How it is worked out"),
    "how_lost": (
        "断货少卖：按断货前的销速（五分钟与全场平均，快慢逐渐回到平均）乘以断货时间；不足三单不估。",
        (
            "Lost: the pace before it ran out (of five minutes, fading to the session's mean) times how long it was "
            "out; nothing is reckoned of fewer than three orders."
        ),
    ),
    "how_needless": (
        "虚惊：预警后三个补货周期内（或到下播）既没断货也没到货。各种做法用同一条标准，按本场真实订单重放。",
        (
            "Needless: within three lead times, or by the session's end, it neither ran out nor did units come. All "
            "ways of warning are judged by this, over the orders that really came."
        ),
    ),
    "how_late": (
        "迟到损失：从预警的耐心时间（紧急 5 分钟，预警 20 分钟）到有人处置之间少卖的件数。",
        (
            "Cost of lateness: units lost between the end of a warning's patience (5 min urgent, 20 min threshold) and "
            "the first reaction."
        ),
    ),
    "compacted": (
        "预警日志的一部分已按保留期清理，早先的预警和处置不在其中。",
        "Part of the alert log had been removed by its retention: early warnings and reactions are missing.",
    ),
    "made_from": (
        "由流水 {revision} 和预警日志 {alert_revision} 生成；时间为北京时间",
        "Made from movement {revision} and alert {alert_revision}; times are China's",
    ),
    "others": ("其余 {count} 个商品", "{count} more SKUs"),
    "kind.STOCK": ("备货", "Stock"),
    "kind.LEAD_TIME": ("补货时间", "Lead time"),
    "kind.POLICY": ("预警设置", "Policy"),
    "kind.SAFETY_STOCK": ("安全库存", "Safety stock"),
    "kind.REACTION": ("反应", "Reaction"),
    "kind.SYNC": ("同步", "Sync"),
    "kind.PROFILE": ("历史", "History"),
    "tier.NORMAL": ("正常", "Normal"),
    "tier.TREND": ("提速", "Trend"),
    "tier.THRESHOLD": ("预警", "Threshold"),
    "tier.URGENT": ("紧急", "Urgent"),
    "tier.SOLD_OUT": ("售罄", "Sold out"),
}


class Words(NamedTuple):
    """One language."""

    language: str

    def t(self, key: str, **values: object) -> str:
        """What a key says."""
        return _WORDS[key][self.language == EN].format(**values)

    def pick(self, zh: str, en: str) -> str:
        """Of two texts the one to show."""
        return en if self.language == EN and en else zh

    def span(self, duration: Duration) -> str:
        """How long: `0.8 秒`, `35 秒`, `12 分`, `1.5 小时`."""
        return self.seconds(duration.ToMicroseconds() / 1e6)

    def seconds(self, seconds: float) -> str:
        """The same of a number of seconds."""
        if seconds >= HOURS_FROM:
            return f"{seconds / 3_600:.1f} {self.pick('小时', 'h')}"
        if seconds >= MINUTES_FROM:
            return f"{seconds / 60:.0f} {self.pick('分', 'min')}"
        digits = 1 if 0 < seconds < TENTHS_UNTIL else 0
        return f"{seconds:.{digits}f} {self.pick('秒', 's')}"

    def tier(self, tier: Tier.ValueType) -> str:
        """A tier's name."""
        return self.t(f"tier.{tier_code(tier)}")


def tier_code(tier: Tier.ValueType) -> str:
    """`URGENT` and so on."""
    return Tier.Name(tier).removeprefix("TIER_")


def whole(value: float) -> str:
    """`1,234`."""
    return f"{value:,.0f}"


def clock(time: Timestamp) -> str:
    """`20:15:03`, in China."""
    return f"{_china(time):%H:%M:%S}"


def day_and_time(time: Timestamp) -> str:
    """`2026-11-11 20:15`, in China."""
    return f"{_china(time):%Y-%m-%d %H:%M}"


def _china(time: Timestamp) -> datetime:
    return time.ToDatetime() + CHINA
