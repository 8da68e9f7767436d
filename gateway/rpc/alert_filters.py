"""What a stream or a list of alerts is to contain, as callers say it."""

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from gateway.domain.alerts import EventKind
from gateway.domain.errors import InvalidArgument
from gateway.domain.tiers import Tier
from gateway.rpc import parsing
from gateway.rpc.alert_tiers import tier_of
from gateway.store.alert_log import EventFilter
from gateway.v1 import alert_service_pb2 as pb

SKUS_MAX = 1_000
CHANNELS_MAX = 100
SESSIONS_MAX = 100
KINDS_MAX = 100
T = TypeVar("T")
U = TypeVar("U")


def event_filter(m: pb.AlertFilter) -> EventFilter:
    """An `EventFilter`; raises `InvalidArgument`."""
    return EventFilter(
        frozenset(_each(m.skus, "filter.skus", SKUS_MAX, parsing.code)),
        frozenset(_each(m.channels, "filter.channels", CHANNELS_MAX, parsing.code)),
        frozenset(_each(m.session_ids, "filter.session_ids", SESSIONS_MAX, _session_id)),
        tier_of(m.min_tier, "filter.min_tier") or Tier.NORMAL,
        frozenset(_each([int(kind) for kind in m.kinds], "filter.kinds", KINDS_MAX, _kind)),
    )


def _each(values: Collection[T], field: str, count_max: int, parse: Callable[[T, str], U]) -> Iterable[U]:
    if len(values) > count_max:
        raise InvalidArgument(f"at most {count_max} may be named; name none to get all", field=field)
    return [parse(value, f"{field}[{place}]") for place, value in enumerate(values)]


def _session_id(value: int, field: str) -> int:
    if value <= 0:
        raise InvalidArgument(f"{field} is {value}; sessions are numbered from 1", field=field)
    return value


def _kind(value: int, field: str) -> EventKind:
    if value not in EventKind.__members__.values():
        raise InvalidArgument(f"{field} is {value}; kinds are 1 to {max(EventKind)}", field=field)
    return EventKind(value)
