r"""DingTalk's group robot, as the official page on custom robots has it.

The sign is `base64(hmac-sha256(secret, timestamp "\n" secret))` in the URL, the timestamp in milliseconds and at most
an hour off. A robot takes 20 messages a minute; after one too many it refuses everything for about ten minutes, so
whatever says "too many" means ten minutes of silence.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import msgspec

from connectors.errors import Throttled
from connectors.notify.answers import OK, REJECTED, TRANSIENT, Meaning, code_of, document, refusal
from connectors.notify.robot import Limits, Message, Rate

BASE_URL = "https://oapi.dingtalk.com"
PUNISHMENT_SECONDS = 600.0
# `{"status":1111,"wait":5,"punish":"deny"}`, without an errcode: the front's words for a robot that is being punished.
PUNISHED_STATUS = 1111
_PUNISHED = Meaning(Throttled, PUNISHMENT_SECONDS)
MEANINGS: Mapping[int, Meaning] = {
    310000: REJECTED,  # sign, keyword, timestamp or address: errmsg says which
    300001: REJECTED,  # no such token; older
    300005: REJECTED,  # no such token; recent
    660026: _PUNISHED,  # too many messages in a minute
    130101: _PUNISHED,  # "send too fast, exceed 20 times per minute"; older
    90030: _PUNISHED,  # the webhook is over its limit
    -1: TRANSIENT,  # the system is busy
}
# The platform publishes no bound; ours keeps a message readable on a phone.
LIMITS = Limits((Rate(20, 60.0),), text_bytes_max=6_000)


@dataclass(frozen=True)
class DingTalk:
    """One robot. Without a `secret` nothing is signed, as for robots that are kept by a keyword or an IP list."""

    token: str = field(repr=False)
    secret: str = field(default="", repr=False)
    base_url: str = BASE_URL
    platform: str = "dingtalk"
    limits: Limits = LIMITS
    clock_codes: frozenset[str] = frozenset({"310000"})

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told."""
        return tuple(filter(None, (self.token, self.secret)))

    def request(self, message: Message, now: datetime) -> httpx.Request:
        """A text message."""
        params = {"access_token": self.token}
        if self.secret:
            timestamp = str(int(now.timestamp() * 1000))
            params |= {"timestamp": timestamp, "sign": sign(timestamp, self.secret)}
        body = {"msgtype": "text", "text": {"content": message.text}, "at": {"isAtAll": message.mentions_all}}
        url = f"{self.base_url}/robot/send"
        headers = {"content-type": "application/json;charset=utf-8"}
        return httpx.Request("POST", url, params=params, headers=headers, content=msgspec.json.encode(body))

    def read(self, response: httpx.Response) -> str:
        """An answer is HTTP 200 whatever it says; DingTalk gives messages no ids."""
        answer = document(response)
        if answer.get("status") == PUNISHED_STATUS:
            raise Throttled("1111 punished", code=str(PUNISHED_STATUS), retry_after_seconds=PUNISHMENT_SECONDS)
        code = code_of(answer, "errcode")
        if code != OK:
            raise refusal(MEANINGS, code, answer.get("errmsg", ""))
        return ""


def sign(timestamp: str, secret: str) -> str:
    """The signature, before it is written into a URL."""
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
