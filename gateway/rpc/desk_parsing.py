"""From requests about warnings to what the desk is asked; an error names the field by its path, as in `parsing.py`."""

import re
from datetime import datetime
from enum import IntEnum
from math import isfinite
from typing import Any, TypeVar

from gateway.alerts.desk import SUPPLYING
from gateway.domain.alerts import AckAction, AlertPolicy, Runbook, RunbookStep, SilenceMatcher
from gateway.domain.errors import InvalidArgument
from gateway.domain.tiers import Tier
from gateway.rpc import parsing
from gateway.v1 import alert_pb2
from gateway.v1 import alert_service_pb2 as pb

E = TypeVar("E", bound=IntEnum)

ACTOR_LENGTH_MAX = 100
WORDS_LENGTH_MAX = 500
OWNER_LENGTH_MAX = 100
RECEIVER_LENGTH_MAX = 100
SKUS_MAX, CHANNELS_MAX, SESSIONS_MAX = 1_000, 100, 100
STEPS_MAX, RECEIVERS_MAX = 20, 20
MINUTES_MAX = 10_080
# Of each number of a policy: the least and the most.
SERVICE_LEVEL_RANGE = (0.5, 0.999)
LEAD_SECONDS_RANGE = (1.0, 3_650 * 86_400.0)
FALSE_RAISE_SECONDS_RANGE = (600.0, 604_800.0)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


# ---- parts of requests


def require_supply(request: pb.AcknowledgeRequest, action: AckAction, arrive_time: datetime | None) -> None:
    """Raise `InvalidArgument` unless how many and when are said where units come, and nowhere else."""
    if action in SUPPLYING:
        parsing.units(request.quantity, "quantity")
        if arrive_time is None:
            raise InvalidArgument(
                f"arrive_time is missing: when do the units of {action.name} arrive?", field="arrive_time"
            )
        return
    for field, is_said in (("quantity", request.quantity != 0), ("arrive_time", arrive_time is not None)):
        if is_said:
            raise InvalidArgument(f"{field} is said of REPLENISH and TRANSFER only, not of {action.name}", field=field)


def drill_id(request: pb.AcknowledgeRequest | pb.CompleteStepRequest) -> int:
    """The drill it belongs to, which has no sessions; 0: it is true."""
    drill_id = number(request.drill_id, "drill_id", least=0)
    if drill_id and request.session_id:
        raise InvalidArgument("a drill has no sessions", field="session_id")
    return drill_id


def matcher(m: alert_pb2.SilenceMatcher) -> SilenceMatcher:
    """Whom a silence is about."""
    for name, most in (("skus", SKUS_MAX), ("channels", CHANNELS_MAX), ("session_ids", SESSIONS_MAX)):
        if len(getattr(m, name)) > most:
            raise InvalidArgument(f"at most {most} {name} may be named", field=f"matcher.{name}")
    return SilenceMatcher(
        tuple(parsing.code(one, f"matcher.skus[{place}]") for place, one in enumerate(m.skus)),
        tuple(parsing.code(one, f"matcher.channels[{place}]") for place, one in enumerate(m.channels)),
        tuple(number(one, f"matcher.session_ids[{place}]") for place, one in enumerate(m.session_ids)),
    )


def policy(m: alert_pb2.AlertPolicy) -> AlertPolicy:
    """What to be warned of."""
    policy = AlertPolicy(
        parsing.optional_code(m.sku, "policy.sku"),
        _share(m, "service_level", SERVICE_LEVEL_RANGE),
        parsing.units(m.fixed_line, "policy.fixed_line", least=0) if m.HasField("fixed_line") else None,
        parsing.units(m.hard_floor, "policy.hard_floor", least=0) if m.HasField("hard_floor") else None,
        _share(m, "lead_seconds", LEAD_SECONDS_RANGE),
        _share(m, "fastest_lead_seconds", LEAD_SECONDS_RANGE),
        _share(m, "false_raise_seconds", FALSE_RAISE_SECONDS_RANGE),
        m.no_supply if m.HasField("no_supply") else None,
    )
    fastest, usual = policy.fastest_lead_seconds, policy.lead_seconds
    if fastest is not None and usual is not None and fastest > usual:
        raise InvalidArgument(
            f"fastest_lead_seconds is {fastest:g}: the fastest way is no slower than the usual one ({usual:g})",
            field="policy.fastest_lead_seconds",
        )
    return policy


def _share(m: alert_pb2.AlertPolicy, name: str, bounds: tuple[float, float]) -> float | None:
    """A number of a policy, if it is said."""
    if not m.HasField(name):  # type: ignore[arg-type]  # the stubs want a literal
        return None
    value, (low, high) = float(getattr(m, name)), bounds
    if not isfinite(value) or not low <= value <= high:
        raise InvalidArgument(f"{name} is {value:g}; it must be {low:g} to {high:g}", field=f"policy.{name}")
    return value


def runbook(m: alert_pb2.Runbook) -> Runbook:
    """What to do in a tier."""
    for name, most in (("steps", STEPS_MAX), ("receivers", RECEIVERS_MAX)):
        if len(getattr(m, name)) > most:
            raise InvalidArgument(f"at most {most} {name} are kept", field=f"runbook.{name}")
    receivers = tuple(
        who(one, f"runbook.receivers[{place}]", RECEIVER_LENGTH_MAX) for place, one in enumerate(m.receivers)
    )
    if len(set(receivers)) < len(receivers):
        raise InvalidArgument("each receiver is named once", field="runbook.receivers")
    return Runbook(
        warned_tier(m.tier, "runbook.tier"),
        tuple(_step(step, f"runbook.steps[{place}]") for place, step in enumerate(m.steps)),
        _host_line(m.host_line, "runbook.host_line"),
        _host_line(m.host_line_en, "runbook.host_line_en"),
        receivers,
    )


def _step(m: alert_pb2.RunbookStep, path: str) -> RunbookStep:
    if not m.text:
        raise InvalidArgument("text is missing: what is to be done?", field=f"{path}.text")
    if not 0 <= m.minutes_max <= MINUTES_MAX:
        raise InvalidArgument(
            f"minutes_max is {m.minutes_max}; it must be 0 to {MINUTES_MAX}", field=f"{path}.minutes_max"
        )
    return RunbookStep(
        parsing.text(m.text, f"{path}.text"),
        parsing.text(m.text_en, f"{path}.text_en"),
        words(m.owner, f"{path}.owner", most=OWNER_LENGTH_MAX),
        m.minutes_max,
    )


def _host_line(value: str, field: str) -> str:
    """What the host should say, without numbers: by the time it is said they would be others."""
    if any(letter.isdecimal() for letter in value):
        name = field.rpartition(".")[2]
        raise InvalidArgument(
            f"{name} holds a number; those come from the hints, which know how old they are", field=field
        )
    return parsing.text(value, field)


# ---- single fields


def choice(kind: type[E], value: int, field: str) -> E:
    """The value of an enumeration that is meant; raises `InvalidArgument` if it has none such."""
    try:
        return kind(value)
    except ValueError:
        name = field.rpartition(".")[2]
        known = ", ".join(one.name for one in kind)
        problem = f"{value} is none of {known}" if value else f"is missing; it is one of {known}"
        raise InvalidArgument(f"{name} {problem}", field=field) from None


def warned_tier(value: int, field: str) -> Tier:
    """A tier of which people are warned."""
    tier = choice(Tier, value, field)
    if tier is Tier.NORMAL:
        raise InvalidArgument("NORMAL is nothing to be warned of", field=field)
    return tier


def number(value: int, field: str, *, least: int = 1) -> int:
    """The number of a thing, or a place in a list."""
    if value < least:
        name = field.rpartition(".")[2]
        raise InvalidArgument(f"{name} is {value}; it must be {least} or more", field=field)
    return value


def time(message: Any, field: str) -> datetime:
    """A time that must be said."""
    found = parsing.time_of(message, field)
    if found is None:
        raise InvalidArgument(f"{field} is missing", field=field)
    return found


def who(value: str, field: str, most: int = ACTOR_LENGTH_MAX) -> str:
    """Who: 1 to so many printable characters, not all of them spaces."""
    name = field.rpartition(".")[2]
    if not value.strip():
        raise InvalidArgument(f"{name} is missing", field=field)
    if len(value) > most or not value.isprintable():
        raise InvalidArgument(f"{name} is longer than {most} characters, or one cannot be printed", field=field)
    return value


def words(value: str, field: str, *, least: int = 0, most: int = WORDS_LENGTH_MAX) -> str:
    """What a person has written, without control characters."""
    name = field.rpartition(".")[2]
    if len(value.strip()) < least:
        raise InvalidArgument(f"{name} is missing", field=field)
    if len(value) > most:
        raise InvalidArgument(f"{name} has {len(value)} characters; at most {most} are kept", field=field)
    if _CONTROL.search(value):
        raise InvalidArgument(f"{name} holds a control character", field=field)
    return value
