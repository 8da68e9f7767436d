"""Whom the platform lets in: the public parameters, the signature over the received bytes, the clock, the token."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from starlette.requests import Request

from connectors.douyin.signing import SignMethod, method_of, request_sign
from connectors.sandbox.douyin.answers import Refusal, invalid
from connectors.sandbox.douyin.grants import Grants
from connectors.sandbox.douyin.params import Params
from connectors.sandbox.douyin.settings import DouyinSettings
from connectors.sandbox.serving import BODY_BYTES_MAX

CHINA = timezone(timedelta(hours=8))
TIMESTAMP_DIGITS_MAX = 10
# What is asked for first is missed first.
REQUIRED = {
    "app_key": "isv.app-id-missing",
    "method": "isv.parameter-missing",
    "sign": "isv.signature-missing",
    "timestamp": "isv.parameter-missing",
    "v": "isv.parameter-missing",
}


@dataclass(frozen=True)
class Arrival:
    """A request as it came in."""

    path: str
    query: Mapping[str, str]
    body: bytes
    has_legacy: bool


async def arrival_of(request: Request) -> Arrival:
    """Read a request, to the first byte too many."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            break
    has_legacy = request.headers.get("x-open-no-old-err-code") != "1"
    return Arrival(request.url.path, dict(request.query_params), body, has_legacy)


def admitted(arrival: Arrival, settings: DouyinSettings, grants: Grants, now: datetime) -> Params:
    """The parameters of a call that may be made; raises `Refusal`."""
    query = arrival.query
    for name, sub_code in REQUIRED.items():
        if not query.get(name):
            raise Refusal(40001, sub_code, f"{name} is required")
    if query["app_key"] != settings.app_key:
        raise Refusal(40003, "isv.app-id-invalid", "app_key is unknown")
    if query["v"] != "2":
        raise invalid("v")
    if query["method"] != method_of(arrival.path):
        raise invalid("method")
    _require_signature(arrival, settings)
    _require_fresh(query["timestamp"], settings, now)
    if not arrival.path.startswith("/token/"):
        if not query.get("access_token"):
            raise Refusal(40001, "isv.access-token-missing", "access_token is required")
        grants.require_access(query["access_token"])
    return Params(_fields(query.get("param_json", "").encode(errors="replace")) | _fields(arrival.body))


def _require_signature(arrival: Arrival, settings: DouyinSettings) -> None:
    try:
        by = SignMethod(arrival.query.get("sign_method") or SignMethod.MD5)
    except ValueError:
        raise invalid("sign_method") from None
    if len(arrival.body) > BODY_BYTES_MAX:
        raise Refusal(40003, "isv.parameter-format-invalid", "the body is too large")
    param_json = arrival.body or arrival.query.get("param_json", "").encode(errors="replace") or b"{}"
    sign = request_sign(
        settings.app_key,
        settings.app_secret,
        method=arrival.query["method"],
        param_json=param_json,
        timestamp=arrival.query["timestamp"],
        by=by,
    )
    if not hmac.compare_digest(sign.encode(), arrival.query["sign"].encode(errors="replace")):
        raise Refusal(40003, "isv.signature-invalid", "the signature does not match")


def _require_fresh(timestamp: str, settings: DouyinSettings, now: datetime) -> None:
    """Unix seconds, or the wall clock of China."""
    try:
        if timestamp.isdecimal() and len(timestamp) <= TIMESTAMP_DIGITS_MAX:
            time = datetime.fromtimestamp(int(timestamp), UTC)
        else:
            time = datetime.strptime(timestamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError:
        raise Refusal(40003, "isv.timestamp-format-error", "timestamp is not a time") from None
    if abs((now - time).total_seconds()) > settings.timestamp_window_seconds:
        raise Refusal(40003, "isv.timestamp-invalid", "timestamp is too far from now")


def _fields(text: bytes) -> dict[str, object]:
    try:
        fields = json.loads(text or b"{}", parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Refusal(40003, "isv.parameter-format-invalid", "the parameters are not JSON") from None
    if not isinstance(fields, dict):
        raise Refusal(40003, "isv.parameter-format-invalid", "the parameters are not an object")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(constant)
