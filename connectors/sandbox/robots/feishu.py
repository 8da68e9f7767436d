"""Feishu's custom bot: `POST /open-apis/bot/v2/hook/<id>`, signed in the body. Errors are HTTP 200 with `code`."""

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
TIMESTAMP_DIGITS_MAX = 12
BODY_BYTES_MAX = 20 * 1024
SIGN, KEYWORD, BAD_REQUEST, TOO_MANY = 19021, 19024, 9499, 11232
# The front's own limit, which is HTTP 429.
FRONT_TOO_MANY = 99991400
# What an unknown hook gets; no source says.
UNKNOWN_HOOK = 19001
# What an error of its own is; no source says.
BUSY = 19000
DONE: Mapping[str, Any] = {
    "code": 0,
    "msg": "success",
    "data": {},
    "StatusCode": 0,
    "StatusMessage": "success",
    "Extra": None,
}
MENTION_ALL = '<at user_id="all">'


@dataclass(frozen=True)
class FeishuSettings:
    """One bot; `secret` "" and `keyword` "" switch those two checks off."""

    hook: str = field(default="01234567-89ab-cdef-0123-456789abcdef", repr=False)
    secret: str = field(default="feishu-secret-0123456789", repr=False)
    keyword: str = ""
    rates: tuple[Rate, ...] = (Rate(100, 60.0), Rate(5, 1.0))


class FeishuBot:
    """One bot of one group."""

    def __init__(self, desk: Desk, settings: FeishuSettings) -> None:
        """Keep messages at the desk."""
        self.desk, self.settings = desk, settings
        self._turnstile = Turnstile(settings.rates)
        words = {
            Fault.REFUSE: _refusal(KEYWORD, "Key Words Not Found"),
            Fault.THROTTLE: Answer({"code": FRONT_TOO_MANY, "msg": "request trigger frequency limit"}, 429),
            Fault.BUSY: _refusal(BUSY, "internal error"),
        }
        self.window = Window(desk, self._judge, lambda _: Answer(DONE), words)

    def _judge(self, posted: Posted) -> Kept:
        if posted.path.get("hook") != self.settings.hook:
            raise _refused(UNKNOWN_HOOK, "param invalid: incoming webhook access token invalid")
        if not self._turnstile.passes(self.desk.clock()):
            raise _refused(TOO_MANY, "frequency limited")
        body = posted.document() if posted.is_json and len(posted.body) <= BODY_BYTES_MAX else {}
        if body and self.settings.secret and not self._is_signed(body):
            raise _refused(SIGN, "sign match fail or timestamp is not within one hour from current time")
        text = _text(body)
        if not text:
            raise _refused(BAD_REQUEST, "Bad Request")
        if self.settings.keyword not in text:
            raise _refused(KEYWORD, "Key Words Not Found")
        return self.desk.keep(text, body, mentions_all=MENTION_ALL in text)

    def _is_signed(self, body: Mapping[str, Any]) -> bool:
        stated, sign = body.get("timestamp"), body.get("sign")
        if not isinstance(stated, str) or not isinstance(sign, str):
            return False
        if not (stated.isascii() and stated.isdecimal() and len(stated) <= TIMESTAMP_DIGITS_MAX):
            return False
        if abs(self.desk.clock() - datetime.fromtimestamp(int(stated), UTC)) > SKEW_MAX:
            return False
        return hmac.compare_digest(sign.encode(), sign_of(stated, self.settings.secret).encode())


def sign_of(timestamp: str, secret: str) -> str:
    """The signature: an empty message, under a key of both."""
    return base64.b64encode(hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def _text(body: Mapping[str, Any]) -> str:
    """What a group sees; "" if there is nothing that this stand-in reads."""
    content = body.get("content")
    if body.get("msg_type") != "text" or not isinstance(content, dict):
        return ""
    text = content.get("text")
    return text if isinstance(text, str) else ""


def _refusal(code: int, words: str) -> Answer:
    return Answer({"code": code, "msg": words, "data": {}})


def _refused(code: int, words: str) -> Refused:
    return Refused(_refusal(code, words))
