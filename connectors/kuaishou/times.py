"""Kuaishou's times are milliseconds since 1970."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_milliseconds(time: datetime) -> int:
    """The last whole millisecond that is not after `time`."""
    return (time - _EPOCH) // MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """The time; raises `OverflowError` beyond the year 9999."""
    return _EPOCH + milliseconds * MILLISECOND
