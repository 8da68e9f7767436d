"""One call: signed parameters out, the envelope back.

A method's path is its name with `/` for `.`; everything goes as urlencoded parameters, in the query of a GET and in the
body of a POST (the official "API call" page; Kuaishou's demo).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
import msgspec

from connectors.attempts import Call
from connectors.base import ListingKey, Tokens
from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.kuaishou.codes import SUCCESS, refusal
from connectors.kuaishou.signing import SignMethod, sign
from connectors.kuaishou.times import to_milliseconds
from connectors.transport import Transport

T = TypeVar("T")
VERSION = "1"
WORDS_LENGTH_MAX = 200
# A Java long.
ID_DIGITS_MAX = 19
# A call that is refused for one of these was not let in; the timestamp is one of the things that are checked.
CHECKS = frozenset({"27", "28"})
# A call is on its way for seconds at most, so that a clock that is found to be off by more was off before.
CLOCK_ERROR_MIN = timedelta(minutes=1)


@dataclass(frozen=True)
class Credentials:
    """An app's keys, and how this seller's goods inventory is named where an item uses it.

    `sign_secret` signs and is not `app_secret`; `message_secret` (Base64 of 16 bytes) decrypts pushes. `warehouse_code`
    may be "" if every ware lies in one warehouse. The words of `operationType` are not published.
    """

    app_key: str
    app_secret: str = field(repr=False)
    sign_secret: str = field(repr=False)
    message_secret: str = field(repr=False)
    base_url: str = "https://openapi.kwaixiaodian.com"
    sign_method: SignMethod = SignMethod.HMAC_SHA256
    warehouse_code: str = ""
    increase_word: str = "INCREASE"
    decrease_word: str = "DECREASE"


class Envelope(msgspec.Struct):
    """What every answer is; `data` is the method's own, and `adjust_quantity` that of `open.scm.inventory.adjust`."""

    result: int
    error_msg: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    adjust_quantity: int | None = None

    def read(self, kind: type[T]) -> T:
        """`data` as `kind`; raises `Misunderstood`, which names the place and never the value (it may be a buyer's)."""
        try:
            return msgspec.json.decode(self.data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Misunderstood(f"the data of an answer: {_place(error)}") from None

    @property
    def is_empty(self) -> bool:
        """True where the platform has nothing to say: no data, null or {}."""
        return bytes(self.data).strip() in {b"", b"null", b"{}"}


class Requests:
    """A seller's calls. `access_token` is that of `tokens`, which may be replaced at any time."""

    def __init__(self, transport: Transport, credentials: Credentials, tokens: Tokens) -> None:
        """Call over `transport`."""
        self.transport = transport
        self.credentials = credentials
        self.tokens = tokens

    async def ask(self, method: str, param: Mapping[str, Any], *, priority: float) -> Envelope:
        """A call that only reads; raises `Transient` where nobody answered."""
        try:
            return await self._sent("GET", _call(method), param, priority=priority, repeatable=True)
        except OutcomeUnknown as error:
            raise Transient(error.message, code=error.code) from error

    async def tell(
        self,
        method: str,
        param: Mapping[str, Any],
        *,
        priority: float,
        repeatable: bool = False,
        changes: Iterable[ListingKey] = (),
    ) -> Envelope:
        """A call that writes; raises `OutcomeUnknown` where nobody answered or the platform stumbled."""
        return await self._sent("POST", _call(method, changes), param, priority=priority, repeatable=repeatable)

    async def call(
        self, path: str, build: Callable[[], httpx.Request], read: Callable[[bytes], T], *, priority: float
    ) -> T:
        """A call outside the envelope and its signature (the OAuth endpoints)."""
        call = Call(path.strip("/").replace("/", "."), path)
        return await self.transport.call(
            build, lambda response: read(_content(response)), call, priority=priority, repeatable=True
        )

    def refused(self, method: str, result: int, words: str | None, *, writes: bool) -> ConnectorError:
        """The error for `result`, in the platform's words, with what must not be told blacked out."""
        text = self._without_secrets(f"{method}: {result} {words or ''}".strip())[:WORDS_LENGTH_MAX]
        return refusal(result, text, writes=writes, now=self.transport.platform_now())

    async def _sent(
        self, verb: str, call: Call, param: Mapping[str, Any], *, priority: float, repeatable: bool
    ) -> Envelope:
        method, stamped = call.method, self.transport.platform_now()

        def build() -> httpx.Request:
            nonlocal stamped
            stamped = self.transport.platform_now()
            return self._build(verb, method, param)

        def read(response: httpx.Response) -> Envelope:
            try:
                return self._read(method, response, writes=verb == "POST")
            except Rejected as error:
                # The transport has set its clock by the date of this very answer: only the timestamp was wrong.
                is_late = abs(self.transport.platform_now() - stamped) > CLOCK_ERROR_MIN
                if error.code in CHECKS and is_late:
                    raise Transient(error.message, code=error.code) from None
                raise

        return await self.transport.call(build, read, call, priority=priority, repeatable=repeatable)

    def _build(self, verb: str, method: str, param: Mapping[str, Any]) -> httpx.Request:
        params = {
            "access_token": self.tokens.access_token,
            "appkey": self.credentials.app_key,
            "method": method,
            "param": json.dumps(param, ensure_ascii=False, separators=(",", ":")),
            "signMethod": self.credentials.sign_method.value,
            "timestamp": str(to_milliseconds(self.transport.platform_now())),
            "version": VERSION,
        }
        params["sign"] = sign(params, self.credentials.sign_secret)
        url = self.credentials.base_url.rstrip("/") + _call(method).template
        if verb == "GET":
            return httpx.Request(verb, url, params=params)
        return httpx.Request(verb, url, data=params)

    def _read(self, method: str, response: httpx.Response, *, writes: bool) -> Envelope:
        try:
            envelope = msgspec.json.decode(_content(response), type=Envelope)
        except Misunderstood as error:
            raise Misunderstood(f"{method}: {error}", body=self._tellable(response.content)) from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Misunderstood(f"{method}: {_place(error)}", body=self._tellable(response.content)) from None
        if envelope.result == SUCCESS:
            return envelope
        raise self.refused(method, envelope.result, envelope.error_msg, writes=writes)

    def _tellable(self, body: bytes) -> bytes:
        """What of an answer may be logged: a front's page of HTML; JSON may hold a buyer or a token."""
        is_page = body.lstrip()[:1] == b"<"
        return self._without_secrets(body.decode(errors="replace")).encode() if is_page else b""

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets():
            text = text.replace(secret, "***")
        return text

    def _secrets(self) -> list[str]:
        credentials, tokens = self.credentials, self.tokens
        secrets = (
            tokens.access_token,
            tokens.refresh_token,
            credentials.app_secret,
            credentials.sign_secret,
            credentials.message_secret,
        )
        return [secret for secret in secrets if secret]


def number(identity: str, what: str) -> int:
    """A platform's id as the number it is in `param`; raises `Rejected` for what cannot be one."""
    if not (identity.isascii() and identity.isdecimal() and len(identity) <= ID_DIGITS_MAX):
        raise Rejected(f"{what} is not a Kuaishou id: a number of at most {ID_DIGITS_MAX} digits")
    return int(identity)


def _call(method: str, changes: Iterable[ListingKey] = ()) -> Call:
    return Call(method, "/" + method.replace(".", "/"), tuple(changes))


def _content(response: httpx.Response) -> bytes:
    """The body of an answer of the platform itself; raises what a front's answer means."""
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        raise Throttled("HTTP 429 from the platform's front", code="429")
    if response.status_code != HTTPStatus.OK:
        raise Misunderstood(f"HTTP {response.status_code}")
    return response.content


def _place(error: Exception) -> str:
    """What is wrong and where; msgspec says that without the value."""
    return f"{type(error).__name__}: {error}" if isinstance(error, msgspec.ValidationError) else "it is not JSON"
