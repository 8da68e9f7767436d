"""Refusals, parameters and envelopes: the words in which every answer of the sandbox is given."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response

SUCCESS = 1
BAD_PARAMETERS = 804000
LONG_MAX = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_request_numbers = itertools.count(1)


class Refusal(Exception):
    """The platform answers with this number and these words, and has done nothing."""

    def __init__(self, code: int, words: str) -> None:
        """Keep both."""
        super().__init__(words)
        self.code = code
        self.words = words


@dataclass(frozen=True)
class Answer:
    """What a method answers: its `data`, and fields that stand beside it in the envelope."""

    data: Any = None
    beside: Mapping[str, Any] = field(default_factory=dict)


class Param:
    """The object in `param`; every reader raises `Refusal` for what the API would not take."""

    def __init__(self, text: str) -> None:
        """Parse it."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise Refusal(BAD_PARAMETERS, "param is not JSON") from None
        if not isinstance(values, dict):
            raise Refusal(BAD_PARAMETERS, "param is not an object")
        self._values: dict[str, Any] = values

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number in [low, high], as a number or as digits; `default` stands in for a missing one."""
        value = self._values.get(name, default)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(LONG_MAX)):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Refusal(BAD_PARAMETERS, f"{name} must be a whole number from {low} to {high}")
        return value

    def identity(self, name: str) -> int:
        """An id."""
        return self.integer(name, 1, LONG_MAX)

    def text(self, name: str, *, default: str | None = None, length_max: int = 128) -> str:
        """A text, not empty unless `default` is."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or (not value and default is None) or len(value) > length_max:
            raise Refusal(BAD_PARAMETERS, f"{name} must be a text of at most {length_max} characters")
        return value


def success(answer: Answer) -> dict[str, Any]:
    """The envelope of a result."""
    return {**_envelope(SUCCESS, "success"), "error_msg": "", "data": answer.data, **answer.beside}


def refused(refusal: Refusal) -> dict[str, Any]:
    """The envelope of a refusal."""
    return {**_envelope(refusal.code, refusal.words), "error_msg": refusal.words, "data": None}


def as_json(values: Mapping[str, Any]) -> Response:
    """HTTP 200, whatever it says."""
    return Response(json.dumps(values, separators=(",", ":")), media_type="application/json; charset=utf-8")


def to_milliseconds(time: datetime | None) -> int:
    """Kuaishou's times; 0 for what has not happened."""
    return 0 if time is None else (time - _EPOCH) // timedelta(milliseconds=1)


def _envelope(code: int, words: str) -> dict[str, Any]:
    return {
        "result": code,
        "code": str(code),
        "msg": words,
        "sub_code": "" if code == SUCCESS else str(code),
        "sub_msg": "" if code == SUCCESS else words,
        "request_id": f"ks-{next(_request_numbers):012d}",
    }
