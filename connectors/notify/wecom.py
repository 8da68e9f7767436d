"""WeCom's group robot, as the official page on group robots has it.

Nothing is signed: the key in the URL is the secret. A robot takes 20 messages a minute, a text of 2,048 bytes; who
came too often (45009) stays silent for a minute at least.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import msgspec

from connectors.errors import Throttled
from connectors.notify.answers import OK, REJECTED, TRANSIENT, Meaning, code_of, document, refusal
from connectors.notify.robot import Limits, Message, Rate

BASE_URL = "https://qyapi.weixin.qq.com"
TOO_MANY_SECONDS = 60.0
MEANINGS: Mapping[int, Meaning] = {
    93000: REJECTED,  # no such key; older reports say it of a text that is too long as well
    40058: REJECTED,  # a parameter, or a text that is too long
    45009: Meaning(Throttled, TOO_MANY_SECONDS),
    -1: TRANSIENT,
}
LIMITS = Limits((Rate(20, 60.0),), text_bytes_max=2_048)


@dataclass(frozen=True)
class WeCom:
    """One robot; `token` is its key."""

    token: str = field(repr=False)
    base_url: str = BASE_URL
    platform: str = "wecom"
    limits: Limits = LIMITS
    clock_codes: frozenset[str] = frozenset()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told."""
        return (self.token,)

    def request(self, message: Message, now: datetime) -> httpx.Request:
        """A text message."""
        text: dict[str, Any] = {"content": message.text}
        if message.mentions_all:
            text["mentioned_list"] = ["@all"]
        url = f"{self.base_url}/cgi-bin/webhook/send"
        headers = {"content-type": "application/json;charset=utf-8"}
        content = msgspec.json.encode({"msgtype": "text", "text": text})
        return httpx.Request("POST", url, params={"key": self.token}, headers=headers, content=content)

    def read(self, response: httpx.Response) -> str:
        """An answer is HTTP 200 whatever it says; WeCom gives messages of robots no ids."""
        answer = document(response)
        code = code_of(answer, "errcode")
        if code != OK:
            raise refusal(MEANINGS, code, answer.get("errmsg", ""))
        return ""
