"""One call to TOP: its parameters, its signature, and what came back.

All parameters travel in the body as a form (as Alibaba's own Node.js SDK does), so that what is signed is what is sent.
The answer is `{"<method>_response": ...}` or `{"error_response": ...}`, both with HTTP status 200.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from connectors.attempts import Call
from connectors.base import ListingKey, Tokens
from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Transient
from connectors.taobao.codes import INVALID_TIMESTAMP, error_of
from connectors.taobao.signing import SignMethod, sign
from connectors.taobao.times import written
from connectors.transport import Transport

T = TypeVar("T")
PATH = "/router/rest"
# Answers to calls about these hold neither a token nor a buyer.
_ABOUT_GOODS = ("taobao.item.", "taobao.skus.")
_FORM = "application/x-www-form-urlencoded;charset=utf-8"


@dataclass(frozen=True)
class Credentials:
    """An app on the open platform.

    `messages_url` is the message channel's WebSocket; "" if messages are to be fetched over HTTP.
    """

    app_key: str
    app_secret: str = field(repr=False)
    base_url: str = "https://gw.api.taobao.com"
    messages_url: str = ""
    group_name: str = "default"
    sign_method: SignMethod = SignMethod.HMAC_SHA256


@dataclass(frozen=True)
class Pace:
    """How often the message channel is asked, in seconds; the defaults are those of Alibaba's own SDK for Node.js."""

    pull_seconds: float = 5.0
    reconnect_seconds: float = 3.0
    after_error_seconds: float = 15.0
    # Over HTTP: the pause after an answer that held nothing.
    consume_seconds: float = 1.0
    ping_seconds: float = 45.0


class _Refusal(msgspec.Struct, frozen=True):
    code: int = 0
    msg: str = ""
    sub_code: str = ""
    sub_msg: str = ""


class Requests:
    """Calls in the name of one app and one seller."""

    def __init__(self, transport: Transport, credentials: Credentials, tokens: Tokens) -> None:
        """Call with these until told otherwise."""
        self.transport, self.credentials, self.tokens = transport, credentials, tokens

    async def read(
        self, method: str, params: Mapping[str, str], kind: type[T], *, priority: float, session: bool = True
    ) -> T:
        """Call a method that changes nothing; no outcome of it is unknown."""
        try:
            return await self.call(method, params, kind, priority=priority, repeatable=True, session=session)
        except OutcomeUnknown as error:
            raise Transient(error.message, code=error.code) from error

    async def call(
        self,
        method: str,
        params: Mapping[str, str],
        kind: type[T],
        *,
        priority: float,
        repeatable: bool,
        session: bool = True,
        changes: Iterable[ListingKey] = (),
    ) -> T:
        """Call `method`; `kind` is what stands in its answer. `repeatable` and `changes` as in `Transport.call`."""
        reading = _Reading(self, method, kind)
        return await self.transport.call(
            lambda: self._build(method, params, session=session),
            reading.of,
            Call(method, PATH, tuple(changes)),
            priority=priority,
            repeatable=repeatable,
        )

    def _build(self, method: str, params: Mapping[str, str], *, session: bool) -> httpx.Request:
        sent = {
            "method": method,
            "app_key": self.credentials.app_key,
            "session": self.tokens.access_token if session else "",
            "timestamp": written(self.transport.platform_now()),
            "format": "json",
            "v": "2.0",
            "sign_method": self.credentials.sign_method.value,
            **params,
        }
        sent = {name: value for name, value in sent.items() if value}
        sent["sign"] = sign(sent, self.credentials.app_secret, self.credentials.sign_method)
        url = self.credentials.base_url.rstrip("/") + PATH
        return httpx.Request("POST", url, content=urlencode(sent).encode(), headers={"content-type": _FORM})

    def without_secrets(self, text: str) -> str:
        """The platform's words; should it have quoted a secret, without it."""
        for secret in (self.credentials.app_secret, self.tokens.access_token, self.tokens.refresh_token):
            if secret:
                text = text.replace(secret, "***")
        return text


@dataclass
class _Reading(Generic[T]):
    """The answers to the tries of one call."""

    requests: Requests
    method: str
    kind: type[T]
    clock_was_set: bool = False

    def of(self, response: httpx.Response) -> T:
        if response.status_code != HTTPStatus.OK:
            raise self._misunderstood(f"HTTP {response.status_code}", response)
        name = self.method.removeprefix("taobao.").replace(".", "_") + "_response"
        try:
            answer = msgspec.json.decode(response.content, type=dict[str, msgspec.Raw])
            if "error_response" in answer:
                raise self._error(msgspec.json.decode(answer["error_response"], type=_Refusal, strict=False))
            return msgspec.json.decode(answer[name], type=self.kind, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError) as error:
            # Not its words: they may quote the answer.
            raise self._misunderstood(f"{type(error).__name__} in the answer", response) from None

    def _misunderstood(self, what: str, response: httpx.Response) -> Misunderstood:
        is_open = self.method.startswith(_ABOUT_GOODS)
        body = self.requests.without_secrets(response.content.decode(errors="replace")) if is_open else ""
        return Misunderstood(f"{self.method}: {what}", body=body.encode())

    def _error(self, refusal: _Refusal) -> ConnectorError:
        words = self.requests.without_secrets(f"{self.method}: {refusal.sub_msg or refusal.msg}")
        if refusal.code == INVALID_TIMESTAMP and self.clock_was_set:
            return Rejected(words, code=str(refusal.code))
        # The transport has set its clock by the date of this very answer.
        self.clock_was_set = refusal.code == INVALID_TIMESTAMP
        now = self.requests.transport.platform_now()
        return error_of(refusal.code, refusal.sub_code, words, now)
