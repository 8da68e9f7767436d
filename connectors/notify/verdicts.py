"""What becomes of notices whose post failed: a table over the kinds of errors, pure.

A robot that refuses is left alone for ever longer, for repeating a refusal is how bans happen; what it refused waits
with it if it is an escalation. Where nobody can say whether a post shows, it is posted again under the same numbers,
a few times: a group that reads a warning twice is better off than one that never does, and worse off the third time.
"""

from typing import NamedTuple

from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.notify.robot import GUARDED, TOO_LARGE

TRANSIENT_SECONDS, TRANSIENT_SECONDS_MAX = 1.0, 30.0
UNKNOWN_SECONDS, UNKNOWN_SECONDS_MAX = 2.0, 60.0
UNKNOWN_TRIES_MAX = 4
THROTTLED_SECONDS, THROTTLED_SECONDS_MAX = 2.0, 60.0
REFUSED_SECONDS, REFUSED_SECONDS_MAX = 60.0, 900.0
REFUSED_TRIES_MAX = 3
# Refusals of the message itself: another try, or another robot, would fare no better.
ABOUT_CONTENT = frozenset({GUARDED, TOO_LARGE, "ROOM", "40058", "9499", "400", "415", "435"})


class Verdict(NamedTuple):
    """`wait_seconds` for these notices, `quiet_seconds` for the robot; `gives_up`: they are told no more."""

    wait_seconds: float = 0.0
    quiet_seconds: float = 0.0
    may_be_told: bool = False
    gives_up: bool = False


def verdict(error: ConnectorError, tries: int, failures: int, *, is_escalation: bool) -> Verdict:
    """What becomes of a notice with `tries` behind it, at a robot that has failed `failures` times in a row."""
    match error:
        case Throttled(retry_after_seconds=stated):
            quiet = stated or _growing(THROTTLED_SECONDS, failures, THROTTLED_SECONDS_MAX)
            return Verdict(quiet_seconds=quiet)
        case OutcomeUnknown() | Misunderstood():
            wait = _growing(UNKNOWN_SECONDS, tries, UNKNOWN_SECONDS_MAX)
            return Verdict(wait, may_be_told=True, gives_up=tries + 1 >= UNKNOWN_TRIES_MAX)
        case Transient():
            return Verdict(_growing(TRANSIENT_SECONDS, tries, TRANSIENT_SECONDS_MAX))
        case Rejected(code=code) if code in ABOUT_CONTENT:
            return Verdict(gives_up=True)
    quiet = _growing(REFUSED_SECONDS, failures, REFUSED_SECONDS_MAX)
    return Verdict(quiet_seconds=quiet, gives_up=tries + 1 >= REFUSED_TRIES_MAX and not is_escalation)


def _growing(seconds: float, times: int, seconds_max: float) -> float:
    return float(min(seconds * 2 ** min(times, 20), seconds_max))
