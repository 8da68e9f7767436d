r"""Feishu's custom bot, as the official page on custom bots has it; Lark's is the same at another address.

The sign is `base64(hmac-sha256(timestamp "\n" secret, ""))`: both are the key, and the message is empty. It stands in
the body, the timestamp in seconds and at most an hour off. A bot takes 100 messages a minute and 5 a second, with a
body of 20 KB.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import msgspec

from connectors.errors import ConnectorError, Misunderstood, Rejected, Throttled
from connectors.notify.answers import OK, REJECTED, Meaning, code_of, document, json_object, refusal, require_heard
from connectors.notify.robot import TOO_LARGE, Limits, Message, Rate

BASE_URL = "https://open.feishu.cn"
TOO_MANY = Meaning(Throttled)
FRONT_TOO_MANY = 99991400
MEANINGS: Mapping[int, Meaning] = {
    19021: REJECTED,  # the sign, or a timestamp too old
    19022: REJECTED,  # the address
    19024: REJECTED,  # the keyword
    9499: REJECTED,  # a bad request
    11232: TOO_MANY,
    FRONT_TOO_MANY: TOO_MANY,  # HTTP 429
}
MENTION_ALL = '<at user_id="all">所有人</at>'
# 20 KB; nobody says whether of 1,000 or 1,024 bytes.
BODY_BYTES_MAX = 20_000
# In JSON a line's end and a quote take two bytes.
LIMITS = Limits((Rate(100, 60.0), Rate(5, 1.0)), text_bytes_max=9_000)


@dataclass(frozen=True)
class Feishu:
    """One bot; `token` is the last part of its webhook. Without a `secret` nothing is signed."""

    token: str = field(repr=False)
    secret: str = field(default="", repr=False)
    base_url: str = BASE_URL
    platform: str = "feishu"
    limits: Limits = LIMITS
    clock_codes: frozenset[str] = frozenset({"19021"})

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told."""
        return tuple(filter(None, (self.token, self.secret)))

    def request(self, message: Message, now: datetime) -> httpx.Request:
        """A text message; raises `Rejected` for a body that is too large."""
        text = f"{MENTION_ALL}\n{message.text}" if message.mentions_all else message.text
        body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
        if self.secret:
            timestamp = str(int(now.timestamp()))
            body = {"timestamp": timestamp, "sign": sign(timestamp, self.secret), **body}
        url = f"{self.base_url}/open-apis/bot/v2/hook/{self.token}"
        headers = {"content-type": "application/json;charset=utf-8"}
        content = msgspec.json.encode(body)
        if len(content) > BODY_BYTES_MAX:
            raise Rejected(f"a body of {len(content)} bytes, where {BODY_BYTES_MAX} are taken", code=TOO_LARGE)
        return httpx.Request("POST", url, headers=headers, content=content)

    def read(self, response: httpx.Response) -> str:
        """An answer is HTTP 200 but for the front's own limit; Feishu gives messages of bots no ids."""
        if error := _front_error(response):
            raise error
        answer = document(response)
        code = code_of(answer, "code")
        if code != OK:
            raise refusal(MEANINGS, code, answer.get("msg", ""))
        return ""


def sign(timestamp: str, secret: str) -> str:
    """The signature: an empty message, under a key of both."""
    return base64.b64encode(hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def _front_error(response: httpx.Response) -> ConnectorError | None:
    """HTTP 429 with the front's code, if it is readable."""
    try:
        require_heard(response)
    except Throttled as throttled:
        try:
            code = json_object(response).get("code")
        except Misunderstood:
            return throttled
        if code != FRONT_TOO_MANY:
            return throttled
        return Throttled("99991400", code=str(code), retry_after_seconds=throttled.retry_after_seconds)
    return None
