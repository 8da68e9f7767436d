"""What can be wrong with a field, by the kind of field, and what the caller is told then."""

import base64
import math
from dataclasses import dataclass

from grpc import StatusCode

from gateway.domain.stock import UNITS_MAX
from tests.rpc.wire import Times, Value, element

INT64_MAX, INT64_MIN = 2**63 - 1, -(2**63)
INT32_MAX, INT32_MIN = 2**31 - 1, -(2**31)
MEGABYTE = "x" * 2**20
NOT_UTF8 = b"CUP\xff\xfe"
# Its bytes are those of a surrogate, which no text may hold.
SURROGATE = b"\xed\xa0\x80"


@dataclass(frozen=True)
class Spoil:
    """A wrong value, and the status it gets; `field` is where the blame falls if not on the field itself."""

    label: str
    value: Value
    code: StatusCode = StatusCode.INVALID_ARGUMENT
    reason: str = "INVALID_ARGUMENT"
    field: str | None = None

    @property
    def spoils_all(self) -> bool:
        """True if a batch with it can be no batch: not even protobuf can read it, or it is too large for company."""
        return self.value in {NOT_UTF8, SURROGATE, MEGABYTE}


def times(count_max: int) -> tuple[Spoil, ...]:
    """A list that is too long."""
    return tuple(Spoil(f"{count} items", Times(count)) for count in (count_max + 1, 10_001))


def token(json: str) -> str:
    """A page token that looks like one of the gateway's own."""
    return base64.urlsafe_b64encode(json.encode()).decode()


def time(seconds: int, nanos: int = 0) -> bytes:
    """A timestamp's content."""
    return element(1, seconds) + element(2, nanos)


def _overflow(label: str, value: int) -> Spoil:
    return Spoil(label, value, StatusCode.OUT_OF_RANGE, "QUANTITY_OVERFLOW")


def unknown(reason: str, value: Value = "NOPE") -> Spoil:
    """A name or number that nothing has."""
    return Spoil("unknown", value, StatusCode.NOT_FOUND, reason)


# Of each field of a request, by its path, what can be wrong with it.
Fields = dict[str, tuple[Spoil, ...]]
MISSING = Spoil("missing", None)
EMPTY = Spoil("empty", "")
BYTES = (Spoil("not UTF-8", NOT_UTF8), Spoil("a surrogate", SURROGATE))
CONTROLS = (Spoil("a NUL", "a\0b"), Spoil("a line end", "a\nb"), Spoil("a DEL", "a\x7fb"))
UNPRINTABLE = (*CONTROLS, Spoil("a right-to-left mark", "a\u202eb"), Spoil("a line separator", "a\u2028b"))
LONG = Spoil("1 MB", MEGABYTE)

OPTIONAL_ID = (*BYTES, *UNPRINTABLE, LONG, Spoil("129 characters", "x" * 129))
ID = (MISSING, EMPTY, *OPTIONAL_ID)
SPACES = (Spoil("a space before", " CUP"), Spoil("a space after", "CUP "), Spoil("a space", " "))
OPTIONAL_CODE = (*BYTES, *UNPRINTABLE, LONG, *SPACES, Spoil("65 characters", "x" * 65))
CODE = (MISSING, EMPTY, *OPTIONAL_CODE)
SKU = (*CODE, unknown("SKU_UNKNOWN"))
LOCATION = (*CODE, unknown("LOCATION_UNKNOWN"))
OPTIONAL_LOCATION = (*OPTIONAL_CODE, unknown("LOCATION_UNKNOWN"))
TEXT = (*BYTES, *CONTROLS, LONG, Spoil("201 characters", "x" * 201))
NEEDED_TEXT = (MISSING, EMPTY, *TEXT)
WORD = BYTES

TOO_MANY_UNITS = (_overflow("one too many", UNITS_MAX + 1), _overflow("the largest number", INT64_MAX))
NEGATIVE = (Spoil("negative", -1), Spoil("the smallest number", INT64_MIN))
UNITS_OR_NONE = (*NEGATIVE, *TOO_MANY_UNITS)
UNITS = (MISSING, Spoil("zero", 0), *UNITS_OR_NONE)
CHANGE = (
    MISSING,
    Spoil("zero", 0),
    *TOO_MANY_UNITS,
    _overflow("far too many gone", -UNITS_MAX - 1),
    _overflow("the smallest number", INT64_MIN),
)
EXPECTED = tuple(
    Spoil(label, value, StatusCode.ABORTED, "ON_HAND_CHANGED")
    for label, value in (("another", 7), ("negative", -1), ("largest", INT64_MAX), ("smallest", INT64_MIN))
)
REVISION = (*NEGATIVE, unknown("MOVEMENT_UNKNOWN", 10**9), unknown("MOVEMENT_UNKNOWN", INT64_MAX))
TTL_OR_NONE = (*NEGATIVE, Spoil("above the bound", 7 * 24 * 3600 * 1000 + 1), Spoil("the largest number", INT64_MAX))
TTL = (MISSING, Spoil("zero", 0), *TTL_OR_NONE)
RESERVATION = (
    MISSING,
    EMPTY,
    *BYTES,
    *UNPRINTABLE,
    LONG,
    *(Spoil(repr(text), text) for text in ("x", "-1", "+1", "1.5", "1e3", "0x1", " 1", "\uff11", "\xb2", "1" * 19)),
    unknown("RESERVATION_UNKNOWN", "9" * 18),
    unknown("RESERVATION_UNKNOWN", "0"),
)
LINE = (MISSING, *(Spoil(str(number), number) for number in (0, -1, 2, INT32_MAX, INT32_MIN)))
OF_LINE = (
    *UNITS_OR_NONE,
    Spoil("more than is held", 4, StatusCode.FAILED_PRECONDITION, "ABOVE_HELD"),
    Spoil("far more", UNITS_MAX, StatusCode.FAILED_PRECONDITION, "ABOVE_HELD"),
)
PAGE_SIZE = (Spoil("negative", -1), Spoil("the smallest number", INT32_MIN))
PAGE_TOKEN = (
    *BYTES,
    LONG,
    *(Spoil(repr(text), text) for text in ("x", "!", "\0", "ÿ")),
    *(Spoil(json, token(json)) for json in ("{}", "null", "[]", "1.5", "true", "[1]", '["a", "b"]', "\0")),
)
TOKEN_OF_TEXT = (*PAGE_TOKEN, *(Spoil(json, token(json)) for json in ("1", '"\\u0000"', '"CUP\\u0000"', '"\\ud800"')))
TOKEN_OF_NUMBER = (
    *PAGE_TOKEN,
    *(Spoil(json, token(json)) for json in ('"CUP"', str(2**63), f"-{10**30}", str(10**30))),
)
TOKEN_OF_PLACE = (
    *PAGE_TOKEN,
    *(Spoil(json, token(json)) for json in ('[99999999999, "a"]', '[1, "\\u0000"]', '[1, "a", 2]', "[1, 2]")),
)
DAYS = tuple(Spoil(str(days), days) for days in (-0.1, 3650.1, 1e308, math.nan, math.inf, -math.inf))
STATE = tuple(Spoil(str(number), number) for number in (5, -1, INT32_MAX))
KIND = tuple(Spoil(str(number), number) for number in (0, 13, -1, INT32_MIN))
PROGRESS = tuple(Spoil(str(ms), ms) for ms in (1, 999, 3_600_001, -1, INT64_MAX, INT64_MIN))


TIME = tuple(
    Spoil(label, time(seconds, nanos))
    for label, seconds, nanos in (
        ("the year 0", -62_135_596_801, 0),
        ("the year 10000", 253_402_300_800, 0),
        ("the largest number", INT64_MAX, 0),
        ("the smallest number", INT64_MIN, 0),
        ("a second of nanoseconds", 0, 10**9),
        ("negative nanoseconds", 0, -1),
        ("nonsense", INT64_MIN, INT32_MIN),
    )
)
PAST_TIME = (*TIME, Spoil("the year 2999", time(32_472_144_000)), Spoil("the year 9999", time(253_402_300_799)))

# Nothing that can be written there is wrong.
FREE: tuple[Spoil, ...] = ()
