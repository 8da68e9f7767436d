"""The review as a whole: from what was recorded to what is told. Equal records give equal reviews."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from gateway.domain.review.advice import advised
from gateway.domain.review.reactions import tier_changes, warnings_of
from gateway.domain.review.record import PushTold, SessionRecord
from gateway.domain.review.replays import compared
from gateway.domain.review.stories import Story, paces, peak_rate, told
from gateway.domain.review.telling import happenings
from gateway.domain.review.values import Review, ReviewChannel, ReviewSku, Series, SeriesPoint
from gateway.domain.tiers import Tier

# So many points all series have together: a review is one message, and 4 MB are what a client takes.
POINTS_MAX = 60_000
SERIES_POINTS_MIN, SERIES_POINTS_MAX = 12, 240

Points = Sequence[tuple[float, float]]


def review_of(record: SessionRecord) -> Review:
    """What happened in a session, what it cost, and what to change."""
    stories = [told(record, sku) for sku in record.skus]
    warnings = sorted(
        (one for story in stories for one in warnings_of(record, story)), key=lambda one: (one.time, one.revision)
    )
    channels = _channels(record, stories)
    policies = compared(record, stories)
    points = points_max(record)
    return Review(
        session=record.session,
        begin_time=record.time(record.begin),
        end_time=record.time(record.end),
        alert_revision=record.alert_revision,
        revision=record.revision,
        skus=tuple(_sku(record, story, points) for story in stories),
        channels=channels,
        warnings=tuple(warnings),
        policies=policies,
        happenings=happenings(record),
        advice=advised(record, stories, warnings, channels, policies),
        compact_revision=record.compact_revision,
    )


def points_max(record: SessionRecord) -> int:
    """So many points a series of the review has at most."""
    channels = {shown.channel for sku in record.skus for shown in sku.shown} | set(record.session.channels)
    series = max(1, len(record.skus)) * (3 + len(channels))
    return max(SERIES_POINTS_MIN, min(SERIES_POINTS_MAX, POINTS_MAX // series))


def thinned(points: Points, begin: float, end: float, points_max: int) -> list[tuple[float, float]]:
    """The same steps with fewer points: of each stretch of time the last; and wherever it falls to 0, or leaves it.

    Turns to 0 come on top of `points_max`, up to as many again.
    """
    if len(points) <= points_max:
        return list(points)
    stretch = max(1e-9, (end - begin) / points_max)
    found: list[tuple[float, float]] = [points[0]]
    turns = 0
    for place, (time, value) in enumerate(points[1:], start=1):
        is_turn = (value <= 0) != (points[place - 1][1] <= 0) and turns < points_max
        turns += is_turn
        following = points[place + 1][0] if place + 1 < len(points) else None
        is_last = following is None or int((following - begin) / stretch) > int((time - begin) / stretch)
        if is_turn or is_last:
            found.append((time, value))
    return found


# ---- SKUs


def _sku(record: SessionRecord, story: Story, points: int) -> ReviewSku:
    outs = story.ran_out
    return ReviewSku(
        sku=story.record.sku,
        title=story.record.title,
        begin_available=story.begin_available,
        received=story.received,
        sold=story.sold,
        unsold=story.unsold,
        lost=story.lost,
        oversold=story.record.oversold,
        stock_out_time=record.time(outs[0].begin) if outs else None,
        out_for=record.span(sum(out.seconds for out in story.outs)),
        peak_rate=peak_rate(record, story),
        series=tuple(_series(record, story, points)),
        adjusted=story.adjusted,
    )


def _series(record: SessionRecord, story: Story, points: int) -> list[Series]:
    stock = [(record.begin, float(story.begin_available))]
    stock += [(moment.time, float(moment.available)) for moment in story.moments]
    changes = tier_changes(record, story)
    first = changes[0][2].before if changes else Tier.NORMAL
    tiers = [(record.begin, float(first)), *((time, float(told.after)) for time, _, told in changes)]

    def series(name: str, steps: Points, channel: str = "") -> Series:
        kept = thinned(steps, record.begin, record.end, points)
        return Series(name, tuple(SeriesPoint(record.time(time), value) for time, value in kept), channel)

    found = [
        series("available", stock),
        series("sales_per_minute", paces(record, story, points)),
        series("tier", tiers),
    ]
    shown: dict[str, list[tuple[float, float]]] = {}
    for each in story.record.shown:
        shown.setdefault(each.channel, []).append((max(record.begin, each.time), float(each.units)))
    return [*found, *(series("exposure", shown[channel], channel) for channel in sorted(shown))]


# ---- channels


def _channels(record: SessionRecord, stories: Sequence[Story]) -> tuple[ReviewChannel, ...]:
    """The session's channels in its order, then others that have sold something of its SKUs."""
    sold: dict[str, int] = {}
    for story in stories:
        for channel, units in story.sold_by.items():
            sold[channel] = sold.get(channel, 0) + units
    others = {push.channel for push in record.pushes} | sold.keys() | record.drifts.keys()
    codes = [*record.session.channels, *sorted(others - set(record.session.channels))]
    return tuple(_channel(record, code, sold.get(code, 0)) for code in codes)


def _channel(record: SessionRecord, channel: str, sold: int) -> ReviewChannel:
    pushes = sorted((push for push in record.pushes if push.channel == channel), key=lambda push: push.settled)
    applied = [push for push in pushes if push.is_applied]
    lags = sorted(max(0.0, push.settled - push.due) for push in applied)
    return ReviewChannel(
        channel=channel,
        sold=sold,
        pushes=len(applied),
        lag_p50=_quantile(record.span, lags, 0.5),
        lag_p99=_quantile(record.span, lags, 0.99),
        lag_max=_quantile(record.span, lags, 1.0),
        attempts_failed=sum(push.failed for push in pushes),
        drifts=record.drifts.get(channel, 0),
        lag=_lag(record, applied),
    )


def _quantile(span: Callable[[float], timedelta], lags: Sequence[float], share: float) -> timedelta | None:
    """The smallest lag that so many are no longer than (the nearest rank)."""
    if not lags:
        return None
    rank = max(1, -int(-share * len(lags) // 1))
    return span(lags[min(rank, len(lags)) - 1])


def _lag(record: SessionRecord, applied: Sequence[PushTold]) -> Series:
    """The longest lag of each stretch of time, in seconds of the ledger's clock."""
    stretch = max(1e-9, (record.end - record.begin) / SERIES_POINTS_MAX)
    longest: dict[int, tuple[float, float]] = {}
    for push in applied:
        place, lag = int((push.settled - record.begin) / stretch), max(0.0, push.settled - push.due)
        if place not in longest or lag > longest[place][1]:
            longest[place] = (push.settled, lag)
    points = (SeriesPoint(record.time(at), record.span(lag).total_seconds()) for at, lag in sorted(longest.values()))
    return Series("lag_seconds", tuple(points))
