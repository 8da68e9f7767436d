"""The parameters of a call: out of the query and the body, in whatever form, and then by type."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from urllib.parse import parse_qsl

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from connectors.sandbox.serving import BODY_BYTES_MAX
from connectors.sandbox.taobao.refusals import Refusal, invalid, missing
from connectors.taobao import times

FIELDS_MAX = 1000
INT64_MAX = 2**63 - 1
_DIGITS_MAX = len(str(INT64_MAX))


async def params_of(request: Request) -> dict[str, str]:
    """Every text parameter of the query and the body, the body's value last; raises `Refusal`."""
    body = await _body_of(request)
    params = _form(request.url.query.encode())
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        params |= await _multipart(request, body)
    elif kind in {"", "application/x-www-form-urlencoded"}:
        params |= _form(body)
    return params


async def _body_of(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refusal(41, msg="Invalid arguments:the body is too long")
    return body


def _form(text: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:  # among them: not UTF-8
        raise Refusal(41, msg="Invalid arguments:not a form in UTF-8") from None
    return dict(pairs)


async def _multipart(request: Request, body: bytes) -> dict[str, str]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(request.headers, stream(), max_fields=FIELDS_MAX).parse()
    except (MultiPartException, ValueError, KeyError):
        raise Refusal(41, msg="Invalid arguments:not a multipart form") from None
    await form.close()
    # Files are not text, and are not signed.
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


class Params:
    """One call's business parameters."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Read from these; an empty value counts as none."""
        self._texts = {name: value for name, value in texts.items() if value}

    def text(self, name: str) -> str:
        """A text that must be there."""
        if name not in self._texts:
            raise missing(name)
        return self._texts[name]

    def optional(self, name: str, default: str = "") -> str:
        """A text that may be there."""
        return self._texts.get(name, default)

    def number(self, name: str, default: int | None = None, least: int = -INT64_MAX, most: int = INT64_MAX) -> int:
        """A whole number between `least` and `most`; it must be there if there is no default."""
        if default is not None and name not in self._texts:
            return default
        return whole(self.text(name), name, least, most)

    def time(self, name: str) -> datetime:
        """A time that must be there."""
        try:
            return times.read(self.text(name))
        except ValueError:
            raise invalid(name) from None

    def fields(self) -> set[str]:
        """The names the caller wants to see."""
        return {name.strip() for name in self.text("fields").split(",")}

    def is_set(self, name: str) -> bool:
        """A flag; false unless it says true."""
        return self.optional(name).lower() == "true"


def whole(text: str, name: str, least: int = -INT64_MAX, most: int = INT64_MAX) -> int:
    """The number that a text writes; raises `Refusal`."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX and least <= int(text) <= most):
        raise invalid(name)
    return int(text)
