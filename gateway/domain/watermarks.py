"""Whose orders do not come in, though its connector lives: a channel whose watermark rests. Pure.

A connector walks through the orders every two seconds, and the watermark moves with each walk, sales or none. Where it
rests, the platform's list fails, a right is missing, or old orders are being caught up; what is sold meanwhile nobody
here knows. A watermark is a time of the platform's, whose clock may be wrong: so it is not compared with ours. What
counts is for how long it has been seen to be the same.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

# As long as until `explain` says so.
RESTS = timedelta(seconds=15)


class Watermarks:
    """Since when each channel's watermark has been where it is, as far as whoever asks has looked."""

    def __init__(self) -> None:
        """None was seen yet."""
        self._seen: dict[str, tuple[datetime, datetime]] = {}

    def resting(
        self, marks: Mapping[str, datetime | None], now: datetime, longer_than: timedelta = RESTS
    ) -> frozenset[str]:
        """The channels whose watermark, now at these times, has rested for longer; none that was not walked yet."""
        for channel, mark in marks.items():
            if mark is not None and self._seen.get(channel, (None, now))[0] != mark:
                self._seen[channel] = mark, now
        found = (channel for channel, mark in marks.items() if mark is not None)
        return frozenset(channel for channel in found if now - self._seen[channel][1] > longer_than)
