"""What the numbers in `result` mean, as data.

The official list of return codes cannot be read in public; these are the ones on which independent clients agree. The
numbers of business refusals ("stock below zero", "SKU not found") are not published: every other number is `Rejected`.
"""

from datetime import datetime, timedelta, timezone

from connectors.errors import (
    AuthExpired,
    ConnectorError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Transient,
)

SUCCESS = 1
DAILY_QUOTA = 1017
OAUTH_SERVER_ERROR = 100200500

# A quota of the day comes back with the next day; the platform's days are those of Beijing.
PLATFORM_ZONE = timezone(timedelta(hours=8))

MEANINGS: dict[int, type[ConnectorError]] = {
    **dict.fromkeys((21, 24), AuthExpired),  # not authenticated; the token is invalid or expired
    **dict.fromkeys((22, 25, 26), Rejected),  # no permission, not authorised
    **dict.fromkeys((27, 28), Rejected),  # the signature; the token, signature or scope check
    **dict.fromkeys((15, 16, 17), Throttled),
    **dict.fromkeys((1016, DAILY_QUOTA), Throttled),  # calls per second; calls per day
    **dict.fromkeys(range(802000, 802010), Throttled),  # the front protects itself
    **dict.fromkeys((803000, 805000, 806000), Transient),  # of a write: read back first
    **dict.fromkeys(range(804000, 804010), Rejected),  # bad parameters
}

# Refusals of the OAuth endpoints; the "APP authorisation" page lists them.
OAUTH_MEANINGS: dict[int, type[ConnectorError]] = {
    100200100: Rejected,  # invalid_request
    100200101: Rejected,  # unauthorized_client
    100200102: AuthExpired,  # access_denied
    100200104: Rejected,  # unsupported_grant_type
    100200105: AuthExpired,  # invalid_grant
    100200106: Rejected,  # invalid_scope
    100200107: Rejected,  # invalid_openid
    OAUTH_SERVER_ERROR: Transient,
}


def is_published(code: str) -> bool:
    """True for numbers whose meaning is known; the others are the business refusals."""
    return code.isdecimal() and int(code) in MEANINGS | OAUTH_MEANINGS


def refusal(result: int, words: str, *, writes: bool, now: datetime) -> ConnectorError:
    """The error that `result` (not 1) is; a call that `writes` may have been applied where the platform stumbled."""
    kind, code = (MEANINGS | OAUTH_MEANINGS).get(result, Rejected), str(result)
    if kind is Transient and writes:
        return OutcomeUnknown(words, code=code)
    if kind is Throttled:
        seconds = seconds_to_tomorrow(now) if result == DAILY_QUOTA else None
        return Throttled(words, code=code, retry_after_seconds=seconds)
    return kind(words, code=code)


def seconds_to_tomorrow(now: datetime) -> float:
    """How long the platform's day still lasts."""
    local = now.astimezone(PLATFORM_ZONE)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - local).total_seconds()
