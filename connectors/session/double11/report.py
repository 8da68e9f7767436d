"""What the case came to: for programs one document, for people a page, zh-CN first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.notify.words import TIERS, both
from connectors.session.double11 import plan
from connectors.session.double11.plan import clock_text
from connectors.session.double11.robots import Told
from connectors.session.double11.story import Story, Warned
from connectors.session.report import Report
from connectors.session.report import show as show_session
from gateway.v1 import alert_pb2

INDENT = "       "


@dataclass(frozen=True)
class Sold:
    """One SKU: what there was of it, and what each shop has sold, net."""

    units: int
    by_shop: Mapping[str, int]

    @property
    def sold(self) -> int:
        """Over all shops."""
        return sum(self.by_shop.values())

    @property
    def left(self) -> int:
        """What nobody has bought."""
        return max(0, self.units - self.sold)

    @property
    def oversold(self) -> int:
        """What was sold and is not there."""
        return max(0, self.sold - self.units)


@dataclass(frozen=True)
class CaseReport:
    """The session as any session is judged, and the story of its warnings.

    `sold` is by SKU, what everybody wanted first; `told` by robot; `refused` are answers of the operator that were.
    """

    session: Report
    speed: float
    story: Story
    sold: Mapping[str, Sold]
    told: Mapping[str, Told]
    refused: Sequence[str]

    @property
    def is_good(self) -> bool:
        """True if the session was good, and everything came in its order, nothing of it rehearsed."""
        return self.session.is_good and self.story.is_whole and not self.story.drill_events

    def document(self) -> dict[str, Any]:
        """Everything, for programs: the session's figures, and the case's under `case`."""
        case = {
            "name": "double11",
            "speed": self.speed,
            **asdict(self.story),
            "sold": {
                sku: {**asdict(each), "sold": each.sold, "left": each.left, "oversold": each.oversold}
                for sku, each in self.sold.items()
            },
            "told": {name: asdict(each) for name, each in self.told.items()},
            "refused_answers": list(self.refused),
        }
        return {**self.session.document(), "case": case, "good": self.is_good}

    def json(self) -> str:
        """The document as text."""
        return json.dumps(self.document(), ensure_ascii=False, indent=2)


def show_case(report: CaseReport, console: Console) -> None:
    """Print it for people."""
    story = report.story
    console.print(Text("\n双11 案例｜The Double-11 case\n", style="bold"))
    for moment in story.timeline:
        console.print(Text(f"{clock_text(moment.minute)}  {moment.zh}"), soft_wrap=True)
        console.print(Text(f"{INDENT}{moment.en}", style="dim"), soft_wrap=True)
    if story.later_changes:
        count = story.later_changes
        words = f"售罄之后等级又变化 {count} 次（退款回流）｜{count} more changes of tier after SOLD OUT"
        console.print(Text(f"{INDENT}{words}", style="dim"), soft_wrap=True)
    console.print()
    console.print(_warnings(story))
    if story.early_warnings:
        count = story.early_warnings
        console.print(Text(f"嘉宾上场前的误报 {count} 次｜warnings before the guest came, for nothing: {count}"))
    console.print()
    for line in _sums(report):
        console.print(Text(line), soft_wrap=True)
    console.print()
    show_session(report.session, console)
    console.print(_judgement(report))


def _warnings(story: Story) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("预警\nwarning")
    table.add_column("时间\nat", justify="right")
    table.add_column("售罄前（分钟）\nminutes before the stock-out", justify="right")
    table.add_column(
        f"比固定线 {plan.FIXED_LINE} 早（分钟）\nearlier than a line of {plan.FIXED_LINE}", justify="right"
    )
    for warned in story.warnings:
        tier = TIERS[alert_pb2.Tier.Value(f"TIER_{warned.tier}")]
        table.add_row(both(tier), *_cells(warned), _earlier(warned, story.line))
    table.add_row(f"固定线 {plan.FIXED_LINE}｜fixed line of {plan.FIXED_LINE}", *_cells(story.line), "")
    return table


def _cells(warned: Warned) -> tuple[str, str]:
    at = clock_text(warned.minute) if warned.minute is not None else "–"
    return at, f"{warned.minutes_before:.0f}" if warned.minutes_before is not None else "–"


def _earlier(warned: Warned, line: Warned) -> str:
    if warned.minutes_before is None or line.minutes_before is None:
        return "–"
    return f"{warned.minutes_before - line.minutes_before:+.0f}"


def _sums(report: CaseReport) -> list[str]:
    story, lines = report.story, []
    for place, (sku, each) in enumerate(report.sold.items()):
        shops = "、".join(f"{name} {units:,}" for name, units in each.by_shop.items())
        moved = f"（其中近仓调入 {story.units_moved:,}）" if not place else ""
        came = f" ({story.units_moved:,} of them moved from near)" if not place else ""
        sold, left, over = f"{each.sold:,}", f"{each.left:,}", f"{each.oversold:,}"
        lines += [
            f"{sku} {plan.TITLES[place]}：{each.units:,} 件{moved} = 售出 {sold}（{shops}）+ 剩余 {left}；超卖 {over}",
            f"{INDENT}{each.units:,} units{came} = sold {sold} + left {left}; oversold {over}",
        ]
    lines += ["谁做了什么｜who did what:", *(f"  {one}" for one in (*story.approvals, *story.acknowledgements))]
    told = "、".join(f"{name} {each.messages:,}" for name, each in report.told.items())
    lines.append(f"机器人收到消息｜messages the robots took: {told}")
    lines += [f"未被接受的操作｜an answer was refused: {one}" for one in report.refused]
    return lines


def _judgement(report: CaseReport) -> Text:
    missing = report.story.missing
    if missing:
        return Text(f"案例不完整，缺少｜not as planned, missing: {'; '.join(missing)}", style="bold red")
    if not report.is_good:
        return Text("案例未通过，见上｜the case has not passed: see above", style="bold red")
    gone = report.story.stock_out_minute
    at = clock_text(gone) if gone is not None else "–"
    return Text(f"案例通过：{at} 售罄，超卖 0｜as planned: sold out at {at}, oversold 0", style="bold green")
