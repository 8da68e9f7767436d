"""What becomes of notices whose post failed: a table over the kinds of errors, pure.

A robot that refuses is left alone for ever longer, for repeating a refusal is how bans happen. What it refused waits
with it, and is tried by itself then; an escalation is given up only if others have been taken meanwhile, so that the
fault is its own. Where nobody can say whether a post shows, it is posted again under the same numbers, a few times; an
escalation ever more seldom, as long as it matters: a group that reads a warning twice is better off than one that never
does.
"""

from typing import NamedTuple

from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.notify.robot import GUARDED, TOO_LARGE

TRANSIENT_SECONDS, TRANSIENT_SECONDS_MAX = 1.0, 30.0
UNKNOWN_SECONDS, UNKNOWN_SECONDS_MAX = 2.0, 300.0
UNKNOWN_TRIES_MAX = 4
THROTTLED_SECONDS, THROTTLED_SECONDS_MAX = 2.0, 60.0
REFUSED_SECONDS, REFUSED_SECONDS_MAX = 60.0, 900.0
REFUSED_TRIES_MAX = 3
# Refusals of the message itself: another try, or another robot, would fare no better.
ABOUT_CONTENT = frozenset({GUARDED, TOO_LARGE, "ROOM", "40058", "9499", "400", "415", "435"})


class Verdict(NamedTuple):
    """`wait_seconds` for these notices, `quiet_seconds` for the robot; `gives_up`: they are told no more.

    `may_be_told`: nobody can say. `alone`: what is tried again shares no message.
    """

    wait_seconds: float = 0.0
    quiet_seconds: float = 0.0
    may_be_told: bool = False
    alone: bool = False
    gives_up: bool = False


class Case(NamedTuple):
    """A notice with `tries` behind it, at a robot that has failed `failures` times in a row.

    `others_were_taken` since its first try.
    """

    tries: int = 0
    failures: int = 0
    is_escalation: bool = False
    others_were_taken: bool = False


def verdict(error: ConnectorError, case: Case) -> Verdict:
    """What becomes of a notice."""
    match error:
        case Throttled(retry_after_seconds=stated):
            quiet = stated or _growing(THROTTLED_SECONDS, case.failures, THROTTLED_SECONDS_MAX)
            return Verdict(quiet_seconds=quiet)
        case Transient():
            return Verdict(_growing(TRANSIENT_SECONDS, case.tries, TRANSIENT_SECONDS_MAX))
        case OutcomeUnknown():
            wait = _growing(UNKNOWN_SECONDS, case.tries, UNKNOWN_SECONDS_MAX)
            is_enough = case.tries + 1 >= UNKNOWN_TRIES_MAX and not case.is_escalation
            return Verdict(wait, may_be_told=True, gives_up=is_enough)
        case Rejected(code=code) if code in ABOUT_CONTENT:
            return Verdict(gives_up=True)
    quiet = _growing(REFUSED_SECONDS, case.failures, REFUSED_SECONDS_MAX)
    is_hopeless = not case.is_escalation or case.others_were_taken
    gives_up = case.tries + 1 >= REFUSED_TRIES_MAX and is_hopeless
    return Verdict(quiet_seconds=quiet, may_be_told=isinstance(error, Misunderstood), alone=True, gives_up=gives_up)


def _growing(seconds: float, times: int, seconds_max: float) -> float:
    return float(min(seconds * 2 ** min(times, 20), seconds_max))
