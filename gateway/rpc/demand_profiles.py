"""What "stockgate learn" writes, as it comes over the wire: held to what the model can go by."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

import msgspec

from gateway.domain.curves import DAY_SECONDS, HOURS
from gateway.domain.errors import InvalidArgument
from gateway.domain.profiles import Profile
from gateway.rpc.parsing import code

FIELD = "profile_json"
PROFILE_BYTES_MAX = 3 * 1024 * 1024
# An hour in which next to nothing is sold still has some shop seconds, for the model divides by them.
HOUR_FACTOR_RANGE = (0.001, 1_000.0)
SPREAD_MAX = 100.0
RATE_MAX = 100_000.0  # orders per second of one SKU
QUANTITY_MAX = 1e9
SHOWN_MAX = 100  # characters of what was sent
_decode = msgspec.json.Decoder(Profile).decode


def require_sound(text: str) -> Profile:
    """The profile in a JSON text; raises `InvalidArgument` that says what in it cannot be."""
    size = len(text.encode())
    if not text:
        raise InvalidArgument(f"{FIELD} is missing", field=FIELD)
    if size > PROFILE_BYTES_MAX:
        raise InvalidArgument(f"{FIELD} has {size} bytes; at most {PROFILE_BYTES_MAX} are kept", field=FIELD)
    try:
        profile = _decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidArgument(f"{FIELD} is no profile: {_short(str(error))}", field=FIELD) from None
    for problem in _problems(profile):
        raise InvalidArgument(f"{FIELD} is no profile: {problem}", field=FIELD)
    return profile


def _problems(profile: Profile) -> Iterator[str]:
    low, high = HOUR_FACTOR_RANGE
    if len(profile.hours) != HOURS or not all(low <= factor <= high for factor in profile.hours):
        yield f"hours are {HOURS} factors of {low:g} to {high:g}"
    if not 0 <= profile.spread <= SPREAD_MAX:
        yield f"spread is 0 to {SPREAD_MAX:g}"
    if profile.days < 1:
        yield "days is 1 or more"
    if abs(profile.offset_seconds) > DAY_SECONDS:
        yield "offset_seconds is less than a day"
    if not profile.skus:
        yield "skus names at least one"
    for sku, learned in profile.skus.items():
        yield from _problems_of_sku(sku, learned)
    # Whatever else the model has learned to learn.
    if not all(map(isfinite, _numbers(msgspec.to_builtins(profile)))):
        yield "it holds a number that is none"


def _problems_of_sku(sku: str, learned: Any) -> Iterator[str]:
    try:
        code(sku, FIELD)
    except InvalidArgument:
        yield "a name among skus is no SKU's code"
        return
    name = _short(sku)
    if not 0 < learned.rate <= RATE_MAX:
        yield f"the rate of {name} is above 0 and at most {RATE_MAX:g} orders per second"
    if not 1 <= learned.quantity_mean <= QUANTITY_MAX:
        yield f"the quantity_mean of {name} is 1 to {QUANTITY_MAX:g}"
    # No mean of squares is below the square of the mean, but for rounding.
    least = learned.quantity_mean**2 * (1 - 1e-9)
    if not least <= learned.quantity_square <= QUANTITY_MAX**2:
        yield f"the quantity_square of {name} is at least the square of its quantity_mean"
    if min(learned.orders, learned.day_mean, learned.day_variance) < 0:
        yield f"the orders, day_mean and day_variance of {name} are 0 or more"


def _numbers(value: Any) -> Iterator[float]:
    match value:
        case dict():
            for inner in value.values():
                yield from _numbers(inner)
        case list() | tuple():
            for inner in value:
                yield from _numbers(inner)
        case float():
            yield value


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."
