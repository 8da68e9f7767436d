"""What an answer means: HTTP's status first, then the platform's own code, from a table that is data."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import httpx
import msgspec

from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Throttled, Transient

OK = 0
# Codes are small; a number beyond this is none.
CODE_MAX = 2**63
WORDS_LENGTH_MAX = 200
RETRY_AFTER_SECONDS_MAX = 3_600.0


class Meaning(NamedTuple):
    """A refusal's class, and how long the platform wants to hear nothing (None: it does not say)."""

    kind: type[ConnectorError]
    quiet_seconds: float | None = None


REJECTED = Meaning(Rejected)
TRANSIENT = Meaning(Transient)


def document(response: httpx.Response) -> dict[str, Any]:
    """The answer as a JSON object; raises what the status of a robot's front means, and `Misunderstood`."""
    require_heard(response)
    if response.status_code != HTTPStatus.OK:
        raise Misunderstood(f"HTTP {response.status_code}", body=_page(response.content))
    return json_object(response)


def require_heard(response: httpx.Response) -> None:
    """Raise for the statuses that mean the same everywhere: asked too often, and given up in the middle."""
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        raise Throttled("HTTP 429", code="429", retry_after_seconds=_retry_after(response))
    if response.status_code == HTTPStatus.REQUEST_TIMEOUT:
        raise OutcomeUnknown("HTTP 408", code="408")


def json_object(response: httpx.Response) -> dict[str, Any]:
    """The body; raises `Misunderstood` for anything but a JSON object."""
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Misunderstood(f"it is no JSON object: {type(error).__name__}", body=_page(response.content)) from None


def code_of(answer: Mapping[str, Any], name: str) -> int:
    """The platform's code; raises `Misunderstood` where there is no whole number of that name."""
    code = answer.get(name)
    if type(code) is not int or abs(code) > CODE_MAX:
        raise Misunderstood(f"an answer without {name}")
    return code


def refusal(meanings: Mapping[int, Meaning], code: int, words: object) -> ConnectorError:
    """The error that a platform's code is. A code that nobody has described is `Rejected`."""
    meaning = meanings.get(code, REJECTED)
    said = f"{code} {words}".strip()[:WORDS_LENGTH_MAX]
    if meaning.kind is Throttled:
        return Throttled(said, code=str(code), retry_after_seconds=meaning.quiet_seconds)
    return meaning.kind(said, code=str(code))


def _retry_after(response: httpx.Response) -> float | None:
    stated = response.headers.get("retry-after", "")
    if not (stated.isascii() and stated.isdecimal()):
        return None
    return min(float(stated), RETRY_AFTER_SECONDS_MAX)


def _page(content: bytes) -> bytes:
    """A front's page may be logged; whatever else was sent may hold what we sent."""
    return content if content.lstrip()[:1] == b"<" else b""
