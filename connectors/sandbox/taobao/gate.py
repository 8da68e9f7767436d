"""Who may call: app key, timestamp, signature, session, and the day's quota, in this order (a choice)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hmac import compare_digest

from connectors.sandbox.taobao.refusals import DEAD_SESSION, Refusal
from connectors.sandbox.taobao.settings import Settings
from connectors.sandbox.taobao.tokens import Grants
from connectors.taobao import times
from connectors.taobao.signing import SignMethod, sign

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_MAX = 10**14


class Gate:
    """The system parameters of a call, checked."""

    def __init__(self, settings: Settings, grants: Grants) -> None:
        """Let in whoever has a grant."""
        self._settings, self._grants = settings, grants
        self._day, self._calls = "", 0

    def require_call(self, params: Mapping[str, str], now: datetime) -> None:
        """Raise `Refusal` unless the call is made by the app, now, and as it was signed."""
        self._require_form(params)
        self._require_app(params)
        self._require_time(params, now)
        self._require_version(params)
        self._require_signature(params)
        self._require_quota(now)

    def require_session(self, params: Mapping[str, str], now: datetime) -> None:
        """Raise `Refusal` unless the seller has allowed it."""
        session = params.get("session", "")
        if not session:
            raise Refusal(26)
        if not self._grants.is_alive(session, now):
            raise Refusal(27, DEAD_SESSION, "SessionKey非法")

    def _require_form(self, params: Mapping[str, str]) -> None:
        if not params.get("method"):
            raise Refusal(21)
        if params.get("format", "xml") not in {"json", "xml", ""}:
            raise Refusal(23)

    def _require_app(self, params: Mapping[str, str]) -> None:
        if not params.get("app_key"):
            raise Refusal(28)
        if params["app_key"] != self._settings.app_key:
            raise Refusal(29)

    def _require_time(self, params: Mapping[str, str], now: datetime) -> None:
        if not params.get("timestamp"):
            raise Refusal(30)
        stated = time_of(params["timestamp"])
        if stated is None or abs(now - stated) > self._settings.skew_max:
            raise Refusal(31)

    def _require_version(self, params: Mapping[str, str]) -> None:
        if not params.get("v"):
            raise Refusal(32)
        if params["v"] != "2.0":
            raise Refusal(33)

    def _require_signature(self, params: Mapping[str, str]) -> None:
        stated = params.get("sign", "")
        if not stated:
            raise Refusal(24)
        method = params.get("sign_method") or SignMethod.MD5.value
        if method not in set(SignMethod):
            raise Refusal(25)
        if not compare_digest(stated.encode(), sign(params, self._settings.app_secret, SignMethod(method)).encode()):
            raise Refusal(25)

    def _require_quota(self, now: datetime) -> None:
        day = times.written(now)[:10]
        self._calls = self._calls + 1 if day == self._day else 1
        self._day = day
        if 0 < self._settings.daily_calls_max < self._calls:
            raise Refusal(7, "accesscontrol.limited-by-app-access-count", "This app has used up its calls of today")


def time_of(text: str) -> datetime | None:
    """A timestamp in either form: `yyyy-MM-dd HH:mm:ss` in GMT+8, or milliseconds since 1970; None if neither."""
    if text.isascii() and text.isdigit():
        return _EPOCH + timedelta(milliseconds=int(text)) if int(text) < _MILLISECONDS_MAX else None
    try:
        return times.read(text)
    except ValueError:
        return None
