"""Agora Signaling over REST: a message into a channel, which is a live room here. Errors are HTTP 4xx.

`POST /dev/v2/project/<appid>/rtm/users/<user_id>/channel_messages`, HTTP Basic with the customer's key and secret.
"""

import base64
import hmac
from dataclasses import dataclass, field

from connectors.sandbox.robots.desk import Answer, Desk, Fault, Kept, Posted, Refused, Window
from connectors.sandbox.robots.rates import Rate, Turnstile

CHANNEL_NAME_LENGTH_MAX = 64
PAYLOAD_BYTES_MAX = 32 * 1024


@dataclass(frozen=True)
class AgoraSettings:
    """One project."""

    app_id: str = "0123456789abcdef0123456789abcdef"
    customer_key: str = field(default="a1b2c3d4e5f60718293a4b5c6d7e8f90", repr=False)
    customer_secret: str = field(default="0f1e2d3c4b5a69788796a5b4c3d2e1f0", repr=False)
    rates: tuple[Rate, ...] = (Rate(500, 1.0),)


class AgoraProject:
    """One project's channels; what is kept has the channel as its target."""

    def __init__(self, desk: Desk, settings: AgoraSettings) -> None:
        """Keep messages at the desk."""
        self.desk, self.settings = desk, settings
        self._turnstile = Turnstile(settings.rates)
        words = {
            Fault.REFUSE: _refusal(403, "the feature is not enabled for this app ID"),
            Fault.THROTTLE: _refusal(429, "too many requests"),
            Fault.BUSY: _refusal(408, "request timeout"),
        }
        self.window = Window(desk, self._judge, _sent, words)

    def _judge(self, posted: Posted) -> Kept:
        stated = posted.headers.get("authorization", "")
        if not hmac.compare_digest(stated.encode(), self._authorization().encode()):
            raise Refused(_refusal(401, "the Customer ID or Customer Secret is wrong"))
        if posted.path.get("app_id") != self.settings.app_id:
            raise Refused(_refusal(403, "the app ID does not exist"))
        if not self._turnstile.passes(self.desk.clock()):
            raise Refused(self.window.words[Fault.THROTTLE])
        if not posted.is_json:
            raise Refused(_refusal(415, "the body is not application/json"))
        body = posted.document()
        channel, payload = body.get("channel_name"), body.get("payload")
        if not isinstance(channel, str) or not 1 <= len(channel) <= CHANNEL_NAME_LENGTH_MAX:
            raise Refused(_refusal(400, "channel_name: 1 to 64 characters"))
        if not isinstance(payload, str) or not payload or len(payload.encode()) > PAYLOAD_BYTES_MAX:
            raise Refused(_refusal(435, "payload: 1 byte to 32 KB"))
        return self.desk.keep(payload, body, target=channel)

    def _authorization(self) -> str:
        pair = f"{self.settings.customer_key}:{self.settings.customer_secret}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _sent(kept: Kept) -> Answer:
    return Answer({"result": "success", "request_id": f"{kept.number}", "code": "message_sent"})


def _refusal(status: int, words: str) -> Answer:
    return Answer({"errorCode": status, "reason": words}, status)
