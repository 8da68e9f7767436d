"""Pictures of a review as plain SVG paths: stock with its tiers, pace, what people did, and how late platforms were.

Only numbers of ours go into a path; words stand in the page, which escapes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from gateway.v1.alert_pb2 import Tier
from gateway.v1.operations_pb2 import Series
from gateway.v1.review_pb2 import Review, ReviewChannel, ReviewSku

WIDTH, LEFT, RIGHT = 720.0, 44.0, 8.0
STOCK_TOP, STOCK_HEIGHT = 22.0, 118.0
PACE_TOP, PACE_HEIGHT = 162.0, 44.0
LAG_TOP, LAG_HEIGHT = 10.0, 70.0
TICKS_MAX = 7
# More lines than these nobody tells apart.
CHANNELS_MAX = 4
# Times that people read are China's.
CHINA = timedelta(hours=8)
_STEPS_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 86_400)
_ROUND = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
# Nearer to each other, two numbers in circles would lie on one another.
MARKS_APART = 17.0

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Tick:
    """A line across, or upright, and what it says."""

    at: float
    label: str


@dataclass(frozen=True)
class Band:
    """How long the SKU stood in a tier."""

    x: float
    width: float
    tier: str


@dataclass(frozen=True)
class Mark:
    """Something that happened: its number in the list of what people did, or none."""

    x: float
    label: str
    kind: str

    @property
    def width(self) -> float:
        """How wide its label is drawn."""
        return 9.0 + 6.0 * len(self.label)


@dataclass(frozen=True)
class Chart:
    """One picture. `paths` by what they are; `x_ticks` and `y_ticks` in the picture's own units.

    `channels` are all that sold the SKU; the first `CHANNELS_MAX` of them have a line.
    """

    paths: dict[str, str]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    bands: list[Band] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    pace_ticks: list[Tick] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)


class Clock:
    """From times to places across the picture."""

    def __init__(self, begin: float, end: float) -> None:
        """From a session's beginning to its end, in seconds since the Unix epoch."""
        self.begin, self.end = begin, max(end, begin + 1.0)

    def x(self, time: float) -> float:
        """Where a time is."""
        share = (min(max(time, self.begin), self.end) - self.begin) / (self.end - self.begin)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[Tick]:
        """Round times, in China's."""
        step = next(
            (each for each in _STEPS_SECONDS if (self.end - self.begin) / each <= TICKS_MAX), _STEPS_SECONDS[-1]
        )
        offset = CHINA.total_seconds()
        first = -int(-(self.begin + offset) // step) * step - offset
        times = [first + count * step for count in range(TICKS_MAX + 1) if first + count * step <= self.end]
        form = "%H:%M:%S" if step < 60 else "%H:%M"  # noqa: PLR2004 - seconds of a minute
        return [Tick(self.x(time), f"{datetime.fromtimestamp(time, UTC) + CHINA:{form}}") for time in times]


class Scale:
    """From values to heights."""

    def __init__(self, most: float, top: float, height: float) -> None:
        """From 0 to at least `most`, at a round number."""
        self.most, self._top, self._height = _rounded_up(most), top, height

    def y(self, value: float) -> float:
        """Where a value is."""
        return self._top + self._height * (1 - min(max(value, 0.0), self.most) / self.most)

    def ticks(self, count: int = 2) -> list[Tick]:
        """Round values from 0 on."""
        values = [self.most * place / count for place in range(count + 1)]
        return [Tick(self.y(value), f"{value:,.10g}") for value in values]


def sku_chart(review: Review, sku: ReviewSku) -> Chart:
    """Stock, tiers and pace of one SKU, with what was done about it."""
    clock = clock_of(review)
    stock, pace = points_of(sku.series, "available"), points_of(sku.series, "sales_per_minute")
    sellers = [one for one in sku.series if one.name == "exposure" and one.points]
    shown = [points_of([one], "exposure") for one in sellers[:CHANNELS_MAX]]
    values = [value for steps in (stock, *shown) for _, value in steps]
    units = Scale(max(values, default=0.0), STOCK_TOP, STOCK_HEIGHT)
    rates = Scale(max((value for _, value in pace), default=0.0), PACE_TOP, PACE_HEIGHT)
    line = stepped(clock, units, stock)
    paths = {"stock": line, "pace": straight(clock, rates, pace)}
    if line:
        bottom = f"{units.y(0):.1f}"
        paths["area"] = f"{line}V{bottom}H{clock.x(stock[0][0]):.1f}Z"
    for place, steps in enumerate(shown):
        paths[f"channel{place}"] = stepped(clock, units, steps)
    return Chart(
        paths,
        clock.ticks(),
        units.ticks(),
        _bands(clock, points_of(sku.series, "tier")),
        _marks(clock, review, sku),
        rates.ticks(1),
        [one.channel for one in sellers],
    )


def lag_chart(review: Review, channel: ReviewChannel) -> Chart:
    """How late a channel's numbers were, over time."""
    clock, points = clock_of(review), points_of([channel.lag], channel.lag.name)
    scale = Scale(max((value for _, value in points), default=0.0), LAG_TOP, LAG_HEIGHT)
    bottom = f"{scale.y(0):.1f}"
    bars = "".join(f"M{clock.x(time):.1f} {bottom}V{scale.y(value):.1f}" for time, value in points)
    return Chart({"lag": bars}, clock.ticks(), scale.ticks())


def clock_of(review: Review) -> Clock:
    """The review's time."""
    return Clock(review.begin_time.ToMicroseconds() / 1e6, review.end_time.ToMicroseconds() / 1e6)


def points_of(series: Sequence[Series], name: str) -> list[tuple[float, float]]:
    """The points of the first series of that name, in seconds since the Unix epoch."""
    found = next((one for one in series if one.name == name), None)
    return [] if found is None else [(point.time.ToMicroseconds() / 1e6, point.value) for point in found.points]


def stepped(clock: Clock, scale: Scale, points: Points) -> str:
    """A path that keeps each value until the next, and the last to the end."""
    if not points:
        return ""
    start = f"M{clock.x(points[0][0]):.1f} {scale.y(points[0][1]):.1f}"
    steps = "".join(f"H{clock.x(time):.1f}V{scale.y(value):.1f}" for time, value in points[1:])
    return f"{start}{steps}H{clock.x(clock.end):.1f}"


def straight(clock: Clock, scale: Scale, points: Points) -> str:
    """A path from point to point."""
    return "".join(
        f"{'L' if place else 'M'}{clock.x(time):.1f} {scale.y(value):.1f}" for place, (time, value) in enumerate(points)
    )


def _bands(clock: Clock, tiers: Points) -> list[Band]:
    ends = [*tiers, (clock.end, 0.0)]
    return [
        Band(clock.x(begin), max(0.8, clock.x(end) - clock.x(begin)), Tier.Name(Tier.ValueType(int(tier)))[5:])
        for (begin, tier), (end, _) in pairwise(ends)
        if tier > Tier.TIER_NORMAL
    ]


def _marks(clock: Clock, review: Review, sku: ReviewSku) -> list[Mark]:
    """What people did about the SKU, numbered as in the list; and units that came."""
    marks = _numbered(
        [
            (clock.x(entry.record_time.ToMicroseconds() / 1e6), number)
            for number, entry in enumerate(review.happenings, start=1)
            if entry.event.sku == sku.sku and entry.actor
        ]
    )
    stock = points_of(sku.series, "available")
    if sku.received > 0:
        rises = [(after[0], after[1] - before[1]) for before, after in pairwise(stock) if after[1] > before[1]]
        most = max((rise for _, rise in rises), default=0.0)
        marks += [Mark(clock.x(time), f"+{rise:.0f}", "came") for time, rise in rises if rise >= max(2.0, most / 2)]
    return marks


def _numbered(places: Sequence[tuple[float, int]]) -> list[Mark]:
    """One mark for what lies close together: the first and the last number of it."""
    groups: list[list[tuple[float, int]]] = []
    for x, number in places:
        if groups and x - groups[-1][0][0] < MARKS_APART:
            groups[-1].append((x, number))
        else:
            groups.append([(x, number)])
    return [
        Mark(group[0][0], str(group[0][1]) if len(group) == 1 else f"{group[0][1]}–{group[-1][1]}", "person")
        for group in groups
    ]


def _rounded_up(value: float) -> float:
    """The next round number, 1 at least."""
    if value <= 1:
        return 1.0
    power = 10.0 ** (len(str(int(value))) - 1)
    return next(power * each for each in _ROUND if power * each >= value)
