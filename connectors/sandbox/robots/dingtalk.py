"""DingTalk's group robot: `POST /robot/send?access_token=...&timestamp=...&sign=...`.

Errors are HTTP 200 with `errcode`. The words for a robot that came too often, and the code of an unknown token, are
known from single reports only; the settings choose among them.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sandbox.robots.desk import Answer, Desk, Fault, Kept, Posted, Refused, Window
from connectors.sandbox.robots.rates import Rate, Turnstile

SKEW_MAX = timedelta(hours=1)
TIMESTAMP_DIGITS_MAX = 15
MILLISECONDS = 1000
FORBIDDEN, BUSY = 310000, -1
# What a body that cannot be read gets; no source says.
BAD_PARAMETERS = 40035
PUNISHED: Mapping[str, Any] = {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "0"}


@dataclass(frozen=True)
class DingTalkSettings:
    """One robot; `secret` "" and `keyword` "" switch those two checks off."""

    access_token: str = field(default="0123456789abcdef0123456789abcdef", repr=False)
    secret: str = field(default="SEC0123456789abcdef0123456789abcdef", repr=False)
    keyword: str = ""
    rates: tuple[Rate, ...] = (Rate(20, 60.0),)
    punish_seconds: float = 600.0
    unknown_token_code: int = 300005
    too_many_code: int = 660026
    # A message of this size is beyond every report; the true bound is not published.
    content_bytes_max: int = 20_000


class DingTalkRobot:
    """One robot of one group."""

    def __init__(self, desk: Desk, settings: DingTalkSettings) -> None:
        """Keep messages at the desk."""
        self.desk, self.settings = desk, settings
        self._turnstile = Turnstile(settings.rates, settings.punish_seconds)
        words = {
            Fault.REFUSE: _refusal(FORBIDDEN, "keywords not in content"),
            Fault.THROTTLE: Answer(PUNISHED),
            Fault.BUSY: _refusal(BUSY, "system busy"),
        }
        self.window = Window(desk, self._judge, lambda _: Answer({"errcode": 0, "errmsg": "ok"}), words)

    def _judge(self, posted: Posted) -> Kept:
        self._admit(posted)
        body = posted.document() if posted.is_json else {}
        text = _text(body)
        if not text:
            raise _refused(BAD_PARAMETERS, "no content of a known msgtype, or not application/json")
        if len(text.encode()) > self.settings.content_bytes_max:
            raise _refused(BAD_PARAMETERS, "content is too long")
        if self.settings.keyword not in text:
            raise _refused(FORBIDDEN, "keywords not in content")
        at = body.get("at")
        return self.desk.keep(text, body, mentions_all=isinstance(at, dict) and at.get("isAtAll") is True)

    def _admit(self, posted: Posted) -> None:
        settings, now = self.settings, self.desk.clock()
        if posted.query.get("access_token") != settings.access_token:
            raise _refused(settings.unknown_token_code, "token is not exist")
        if self._turnstile.is_punishing(now):
            raise Refused(Answer(PUNISHED))
        if not self._turnstile.passes(now):
            raise _refused(settings.too_many_code, "send too fast, exceed 20 times per minute")
        if settings.secret and (wrong := self._unsigned(posted, now)):
            raise _refused(FORBIDDEN, wrong)

    def _unsigned(self, posted: Posted, now: datetime) -> str:
        stated = posted.query.get("timestamp", "")
        if not (stated.isascii() and stated.isdecimal() and len(stated) <= TIMESTAMP_DIGITS_MAX):
            return "timestamp is invalid"
        signed_at = datetime.fromtimestamp(int(stated) / MILLISECONDS, UTC)
        if abs(now - signed_at) > SKEW_MAX:
            return "invalid timestamp"
        expected = sign_of(stated, self.settings.secret)
        return "" if hmac.compare_digest(posted.query.get("sign", "").encode(), expected.encode()) else "sign not match"


def sign_of(timestamp: str, secret: str) -> str:
    """The signature, before it is written into a URL."""
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _text(body: Mapping[str, Any]) -> str:
    """What a group sees; "" if there is nothing."""
    kind = body.get("msgtype")
    part = body.get(kind) if isinstance(kind, str) else None
    if not isinstance(part, dict):
        return ""
    text = part.get("content" if kind == "text" else "text")
    return text if isinstance(text, str) else ""


def _refusal(code: int, words: str) -> Answer:
    return Answer({"errcode": code, "errmsg": words})


def _refused(code: int, words: str) -> Refused:
    return Refused(_refusal(code, words))
