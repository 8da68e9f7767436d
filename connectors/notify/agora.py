"""Agora Signaling over REST: a payload into a channel, which is a live room (docs.agora.io, Signaling).

Refusals are HTTP 4xx with `errorCode` and `reason`. Delivery is at most once and without history: who joins late has
heard nothing, so payloads carry a version, and all there is to say is said again from time to time (`rooms.py`).
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from connectors.errors import Misunderstood, Rejected
from connectors.notify.answers import REJECTED, Meaning, json_object, refusal, require_heard
from connectors.notify.robot import Limits, Message, Rate

BASE_URL = "https://api.agora.io"
CHANNEL_NAME_LENGTH_MAX = 64
SUCCESS = "success"
MEANINGS: Mapping[int, Meaning] = {
    400: REJECTED,  # a bad request
    401: REJECTED,  # the key or the secret
    403: REJECTED,  # the app ID, or the feature is not enabled
    415: REJECTED,  # not JSON
    435: REJECTED,  # an illegal payload
}
# 500 calls a second for the whole app ID; a payload of 32 KB.
LIMITS = Limits((Rate(500, 1.0),), text_bytes_max=32_000)


@dataclass(frozen=True)
class Agora:
    """One project. `token` and `secret` are the customer's key and secret; `user_id` is who seems to speak."""

    app_id: str
    token: str = field(repr=False)
    secret: str = field(repr=False)
    user_id: str = "stockgate"
    base_url: str = BASE_URL
    platform: str = "agora"
    limits: Limits = LIMITS
    clock_codes: frozenset[str] = frozenset()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told; the two as they stand in a header as well."""
        return (self.secret, self.token, self._pair)

    @property
    def _pair(self) -> str:
        return base64.b64encode(f"{self.token}:{self.secret}".encode()).decode()

    def request(self, message: Message, now: datetime) -> httpx.Request:
        """A channel message; raises `Rejected` for a room that no channel can be named after."""
        if not 1 <= len(message.room) <= CHANNEL_NAME_LENGTH_MAX:
            raise Rejected(f"a room's name has 1 to {CHANNEL_NAME_LENGTH_MAX} characters", code="ROOM")
        body = {"channel_name": message.room, "payload": message.text, "enable_historical_messaging": False}
        path = (
            f"/dev/v2/project/{quote(self.app_id, safe='')}/rtm/users/{quote(self.user_id, safe='')}/channel_messages"
        )
        headers = {"content-type": "application/json;charset=utf-8", "authorization": f"Basic {self._pair}"}
        return httpx.Request("POST", f"{self.base_url}{path}", headers=headers, content=msgspec.json.encode(body))

    def read(self, response: httpx.Response) -> str:
        """The id of the request; the word in `code` is not looked at, for it has changed before."""
        require_heard(response)
        if HTTPStatus.BAD_REQUEST <= response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise refusal(MEANINGS, response.status_code, _reason(response))
        if not response.is_success:
            raise Misunderstood(f"HTTP {response.status_code}")
        answer = json_object(response)
        if answer.get("result") == SUCCESS:
            return str(answer.get("request_id", ""))
        if "result" not in answer:
            raise Misunderstood("an answer without a result")
        raise Rejected(f"{answer['result']}: {answer.get('code', '')}", code=str(answer.get("code", "")))


def _reason(response: httpx.Response) -> str:
    """The platform's words, as far as they can be read; its page on errors and older ones disagree on the name."""
    try:
        answer: dict[str, Any] = json_object(response)
    except Misunderstood:
        return ""
    return str(answer.get("reason") or answer.get("message") or "")
