"""One call: signed, sent, and its envelope opened.

Public parameters go in the query and the parameters' JSON is the raw body (`core/doudian_op_api_client.go` of the
official SDK). An answer is HTTP 200 with `code`, `msg`, `sub_code`, `sub_msg`, `log_id` and `data`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import httpx
import msgspec

from connectors.attempts import Call
from connectors.base import BelowZeroRule, ListingKey, Tokens
from connectors.douyin.codes import OK, PART_FAILED, error_of
from connectors.douyin.signing import SignMethod, canonical, method_of, request_sign
from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Transient
from connectors.transport import Transport

PRODUCTION = "https://openapi-fxg.jinritemai.com"

T = TypeVar("T")
# Ids come as numbers in some fields and as strings in others.
Id = int | str
Moment = int


@dataclass(frozen=True)
class Credentials:
    """An application of the open platform, and what the seller's console says about it.

    `below_zero` is what the platform does with a lowering by more than it shows: no source says, so it is to be found
    out once, by hand. `out_warehouse_id` is for sellers whose SKUs have regional stock.
    """

    app_key: str
    app_secret: str = field(repr=False)
    base_url: str = PRODUCTION
    sign_method: SignMethod = SignMethod.HMAC_SHA256
    event_sign_method: SignMethod = SignMethod.MD5
    below_zero: BelowZeroRule = BelowZeroRule.REFUSES
    out_warehouse_id: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """What every answer comes in."""

    code: int
    msg: str | None = ""
    sub_code: str | None = ""
    sub_msg: str | None = ""
    log_id: str | None = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Nothing(msgspec.Struct, frozen=True):
    """The data of a call that answers by its code alone."""


class Caller:
    """Calls one shop's open platform with the tokens it was given last."""

    def __init__(self, transport: Transport, credentials: Credentials, tokens: Tokens) -> None:
        """Nothing is sent yet."""
        self.transport, self.credentials, self.tokens = transport, credentials, tokens

    async def read(self, path: str, params: Mapping[str, object], answer: type[T], *, priority: float) -> T:
        """A call that changes nothing: an outcome that is unknown does not matter, so it is `Transient`.

        What it answers may name a buyer or hold a token, so no error repeats it.
        """
        try:
            return await self._call(Call(method_of(path), path), params, answer, priority, writes=False)
        except OutcomeUnknown as error:
            raise Transient(error.message, code=error.code) from error

    async def write(
        self,
        path: str,
        params: Mapping[str, object],
        answer: type[T],
        *,
        priority: float,
        changes: Iterable[ListingKey],
        partly: bool = False,
    ) -> T:
        """A call that changes stock; all of ours are absolute or carry an id, so a second time does no harm.

        `partly`: it may do a part of what is asked, and its data say which. A refusal of a second try says nothing of
        the first one, which may have been applied: the outcome is unknown.
        """
        fine = frozenset({OK, PART_FAILED} if partly else {OK})
        call = Call(method_of(path), path, tuple(changes))
        return await self._call(call, params, answer, priority, writes=True, fine=fine)

    async def _call(
        self,
        call: Call,
        params: Mapping[str, object],
        answer: type[T],
        priority: float,
        *,
        writes: bool,
        fine: frozenset[int] = frozenset({OK}),
    ) -> T:
        param_json = canonical(params)

        def build() -> httpx.Request:
            return self._request(call.template, param_json)

        def read(response: httpx.Response) -> T:
            try:
                return opened(call.method, response.content, answer, is_private=not writes, fine=fine)
            except ConnectorError as error:
                raise self._discreet(error) from None

        return await self.transport.call(build, read, call, priority=priority, repeatable=True)

    def _discreet(self, error: ConnectorError) -> ConnectorError:
        """The same error; should the platform have quoted a secret, without it."""
        for secret in (self.credentials.app_secret, self.tokens.access_token, self.tokens.refresh_token):
            if secret:
                error.message, error.code = error.message.replace(secret, "***"), error.code.replace(secret, "***")
                if isinstance(error, Misunderstood):
                    error.body = error.body.replace(secret.encode(), b"***")
        error.args = (error.message,)
        return error

    def _request(self, path: str, param_json: bytes) -> httpx.Request:
        app, method = self.credentials, method_of(path)
        timestamp = str(seconds(self.transport.platform_now()))
        query = {
            "app_key": app.app_key,
            "method": method,
            "timestamp": timestamp,
            "v": "2",
            "sign_method": app.sign_method.value,
            "sign": request_sign(
                app.app_key,
                app.app_secret,
                method=method,
                param_json=param_json,
                timestamp=timestamp,
                by=app.sign_method,
            ),
        }
        # `/token/create` and `/token/refresh` are called without one.
        if not path.startswith("/token/"):
            query["access_token"] = self.tokens.access_token
        headers = {"content-type": "application/json;charset=UTF-8", "x-open-no-old-err-code": "1"}
        return httpx.Request("POST", app.base_url + path, params=query, content=param_json, headers=headers)


def opened(method: str, body: bytes, answer: type[T], *, is_private: bool, fine: frozenset[int]) -> T:
    """The data of an answer whose code is `fine`; raises what any other means."""
    kept = b"" if is_private else body
    try:
        envelope = msgspec.json.decode(body, type=Envelope)
        if envelope.code not in fine:
            words = envelope.sub_msg or envelope.msg or ""
            raise error_of(method, envelope.code, envelope.sub_code or "", words, envelope.log_id or "")
        data = bytes(envelope.data)
        return msgspec.json.decode(b"{}" if data == b"null" else data, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Misunderstood(f"{method}: {error}", body=kept) from error


def seconds(moment: datetime) -> int:
    """The platform's times are whole Unix seconds."""
    return int(moment.timestamp())
