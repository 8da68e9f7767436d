"""How a number went over time: steps, each value kept until the next; thinned without losing an extreme."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

# Of a stretch of time the first, the lowest, the highest and the last value are kept.
KEPT_PER_STRETCH = 4


class Point(Struct, frozen=True, array_like=True):
    """The value from a time on; in microseconds since the beginning of the series."""

    micros: int
    value: float


class Series(Struct, frozen=True):
    """What went so, and whose it is if it is a channel's; oldest first."""

    name: str
    channel: str
    points: tuple[Point, ...]


def steps(points: Sequence[Point]) -> list[Point]:
    """The same without points at which nothing changes. The first stays."""
    return [point for place, point in enumerate(points) if place == 0 or point.value != points[place - 1].value]


def thinned(points: Sequence[Point], points_max: int) -> list[Point]:
    """At most so many of the points, in their order: of each stretch of time its extremes, its first and its last."""
    if len(points) <= points_max:
        return list(points)
    stretches = max(1, points_max // KEPT_PER_STRETCH)
    begin, length = points[0].micros, points[-1].micros - points[0].micros + 1
    found: list[Point] = []
    stretch: list[Point] = []
    number = 0
    for point in points:
        own_number = (point.micros - begin) * stretches // length
        if own_number != number:
            found += _extremes(stretch)
            stretch, number = [], own_number
        stretch.append(point)
    return found + list(_extremes(stretch))


def _extremes(stretch: Sequence[Point]) -> Iterator[Point]:
    if not stretch:
        return
    places = range(len(stretch))
    lowest = min(places, key=lambda place: stretch[place].value)
    highest = max(places, key=lambda place: stretch[place].value)
    yield from (stretch[place] for place in sorted({0, lowest, highest, len(stretch) - 1}))


def rates(counts: dict[int, int], buckets: int, width_micros: int, begin_micros: int) -> list[Point]:
    """What was counted per bucket, as a rate per minute; buckets that nobody counted in are 0.

    The first begins at `begin_micros`, which may lie before the series does: it is shown from 0 on.
    """
    per_minute = 60_000_000 / width_micros
    points = [
        Point(max(0, begin_micros + number * width_micros), counts.get(number, 0) * per_minute)
        for number in range(buckets)
    ]
    return steps(points)
