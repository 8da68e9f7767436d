"""Times as TOP writes them: `yyyy-MM-dd HH:mm:ss` in GMT+8, to the second."""

from datetime import UTC, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8))
_FORMAT = "%Y-%m-%d %H:%M:%S"


def written(time: datetime) -> str:
    """A time in TOP's words; fractions of a second are cut."""
    return time.astimezone(BEIJING).strftime(_FORMAT)


def read(text: str) -> datetime:
    """What TOP's words mean, in UTC; raises `ValueError`."""
    local = datetime.strptime(text, _FORMAT).replace(tzinfo=BEIJING)
    try:
        return local.astimezone(UTC)
    except OverflowError as error:  # the first hours of the year 1
        raise ValueError(text) from error


def seconds_to_midnight(now: datetime) -> float:
    """How long until the next day begins in Beijing, where daily quotas are counted."""
    local = now.astimezone(BEIJING)
    tomorrow = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (tomorrow - local).total_seconds()
