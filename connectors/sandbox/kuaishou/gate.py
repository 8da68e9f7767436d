"""What every call passes before its method: merged parameters, app, signature, time, token, scope, the day's quota."""

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta, timezone
from urllib.parse import parse_qsl

from starlette.requests import Request

from connectors.sandbox.kuaishou.answers import BAD_PARAMETERS, Param, Refusal, to_milliseconds
from connectors.sandbox.kuaishou.grants import Grants
from connectors.sandbox.kuaishou.settings import KuaishouSettings
from connectors.sandbox.serving import BODY_BYTES_MAX
from connectors.sandbox.shop import Clock

FORM = "application/x-www-form-urlencoded"
FIELDS_MAX = 50
DAILY_QUOTA = 1017
REQUIRED = ("appkey", "method", "version", "param", "timestamp", "signMethod", "sign")
BEIJING = timezone(timedelta(hours=8))


class Gate:
    """Lets in the calls of the app, and counts them."""

    def __init__(self, settings: KuaishouSettings, grants: Grants, clock: Clock) -> None:
        """Guard with these keys and tokens."""
        self.settings = settings
        self._grants = grants
        self._clock = clock
        # By a day's or a second's name: the calls of each method in it.
        self._calls: dict[str, tuple[str, Counter[str]]] = {}

    def admit(self, method: str, fields: Mapping[str, str]) -> Param:
        """The call's `param`; raises `Refusal` for the first thing that is wrong."""
        settings = self.settings
        missing = [name for name in REQUIRED if not fields.get(name)]
        if missing:
            raise Refusal(BAD_PARAMETERS, f"missing parameter: {missing[0]}")
        if fields["method"] != method or fields["version"] != "1":
            raise Refusal(BAD_PARAMETERS, "method or version is not that of the path")
        if fields["appkey"] != settings.app_key:
            raise Refusal(settings.unknown_app_code, "the app does not exist")
        self._require_signature(fields)
        self._require_recent(fields["timestamp"])
        self._require_token(method, fields.get("access_token", ""))
        self._require_quota(method)
        return Param(fields["param"])

    def _require_signature(self, fields: Mapping[str, str]) -> None:
        expected = signature(fields, self.settings.sign_secret)
        if not hmac.compare_digest(expected.encode(), fields["sign"].encode()):
            raise Refusal(self.settings.wrong_sign_code, "the sign is wrong")

    def _require_recent(self, timestamp: str) -> None:
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= len("1767294245000")):
            raise Refusal(BAD_PARAMETERS, "timestamp must be milliseconds")
        age = abs(to_milliseconds(self._clock()) - int(timestamp))
        if age > self.settings.timestamp_window_seconds * 1000:
            raise Refusal(self.settings.stale_timestamp_code, "the timestamp is too far from ours")

    def _require_token(self, method: str, access_token: str) -> None:
        if not access_token:
            raise Refusal(self.settings.missing_token_code, "access_token is missing")
        scopes = self._grants.scopes_of(access_token)
        if scopes is None:
            raise Refusal(self.settings.dead_token_code, "access_token is invalid or has expired")
        if scope_of(method) not in scopes:
            raise Refusal(self.settings.missing_scope_code, "the seller has not granted this")

    def _require_quota(self, method: str) -> None:
        now, settings = self._clock().astimezone(BEIJING), self.settings
        if 0 < settings.calls_per_second_max < self._count("second", now.isoformat(timespec="seconds"), method):
            raise Refusal(settings.throttle_code, "too many calls in this second")
        if 0 < settings.calls_per_day_max < self._count("day", now.date().isoformat(), method):
            raise Refusal(DAILY_QUOTA, "the day's calls are used up")

    def _count(self, kind: str, name: str, method: str) -> int:
        if self._calls.get(kind, ("",))[0] != name:
            self._calls[kind] = (name, Counter())
        calls = self._calls[kind][1]
        calls[method] += 1
        return calls[method]


def signature(fields: Mapping[str, str], sign_secret: str) -> str:
    """The sign over all that was received but itself, by the call's own method."""
    names = sorted(fields.keys() - {"sign"})
    text = "&".join([f"{name}={fields[name]}" for name in names] + [f"signSecret={sign_secret}"]).encode()
    match fields["signMethod"]:
        case "MD5":
            return hashlib.md5(text, usedforsecurity=False).hexdigest()
        case "HMAC_SHA256":
            return base64.b64encode(hmac.new(sign_secret.encode(), text, hashlib.sha256).digest()).decode()
        case _:
            raise Refusal(BAD_PARAMETERS, "signMethod must be MD5 or HMAC_SHA256")


def scope_of(method: str) -> str:
    """What a seller must have granted for a method."""
    if ".refund." in method:
        return "merchant_refund"
    return "merchant_order" if method.startswith("open.order.") else "merchant_item"


async def fields_of(request: Request) -> dict[str, str]:
    """Query and urlencoded body together; the body wins. Raises `Refusal` for what is too long or not readable."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refusal(BAD_PARAMETERS, "the body is too long")
    if not request.headers.get("content-type", "").lower().startswith(FORM):
        body = b""
    try:
        query = _pairs(request.scope["query_string"])
        return {**query, **_pairs(body)}
    except ValueError:
        raise Refusal(BAD_PARAMETERS, "the parameters are not urlencoded UTF-8") from None


def _pairs(text: bytes) -> dict[str, str]:
    decoded = text.decode("ascii")
    return dict(parse_qsl(decoded, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX))
