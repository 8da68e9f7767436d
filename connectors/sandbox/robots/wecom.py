"""WeCom's group robot: `POST /cgi-bin/webhook/send?key=...`. Nothing is signed. Errors are HTTP 200 with `errcode`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.robots.desk import Answer, Desk, Fault, Kept, Posted, Refused, Window
from connectors.sandbox.robots.rates import Rate, Turnstile

BAD_KEY, TOO_MANY, BAD_PARAMETERS, BUSY = 93000, 45009, 40058, -1
CONTENT_BYTES_MAX: Mapping[str, int] = {"text": 2048, "markdown": 4096}
EVERYBODY = "@all"
MORE = "more info at https://open.work.weixin.qq.com/devtool/query?e=93000"


@dataclass(frozen=True)
class WeComSettings:
    """One robot."""

    key: str = field(default="693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa", repr=False)
    rates: tuple[Rate, ...] = (Rate(20, 60.0),)


class WeComRobot:
    """One robot of one group."""

    def __init__(self, desk: Desk, settings: WeComSettings) -> None:
        """Keep messages at the desk."""
        self.desk, self.settings = desk, settings
        self._turnstile = Turnstile(settings.rates)
        words = {
            Fault.REFUSE: _refusal(BAD_KEY, f"invalid webhook url, hint: [0], from ip: 127.0.0.1, {MORE}"),
            Fault.THROTTLE: _refusal(TOO_MANY, "api freq out of limit"),
            Fault.BUSY: _refusal(BUSY, "system busy"),
        }
        self.window = Window(desk, self._judge, lambda _: Answer({"errcode": 0, "errmsg": "ok"}), words)

    def _judge(self, posted: Posted) -> Kept:
        if posted.query.get("key") != self.settings.key:
            raise Refused(self.window.words[Fault.REFUSE])
        if not self._turnstile.passes(self.desk.clock()):
            raise Refused(self.window.words[Fault.THROTTLE])
        body = posted.document() if posted.is_json else {}
        kind, content = _content(body)
        if not content:
            raise Refused(_refusal(BAD_PARAMETERS, "invalid parameter: no content, or not application/json"))
        if len(content.encode()) > CONTENT_BYTES_MAX[kind]:
            raise Refused(_refusal(BAD_PARAMETERS, "content exceed max length"))
        listed = body[kind].get("mentioned_list")
        return self.desk.keep(content, body, mentions_all=isinstance(listed, list) and EVERYBODY in listed)


def _content(body: Mapping[str, Any]) -> tuple[str, str]:
    """The kind and what a group sees; "" if there is nothing that this stand-in reads."""
    kind = body.get("msgtype")
    if not isinstance(kind, str) or kind not in CONTENT_BYTES_MAX:
        return "", ""
    part = body.get(kind)
    content = part.get("content") if isinstance(part, dict) else None
    return kind, content if isinstance(content, str) else ""


def _refusal(code: int, words: str) -> Answer:
    return Answer({"errcode": code, "errmsg": words})
