"""What the platform answers: always HTTP 200, with its own envelope and, unless told not to, the legacy one too."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

from starlette.responses import Response

from connectors.douyin.codes import OK

Data = Mapping[str, object]


class Refusal(Exception):
    """The platform's answer is an error. `data` is what a batch did all the same."""

    def __init__(self, code: int, sub_code: str = "", words: str = "", data: Data | None = None) -> None:
        """Say which."""
        super().__init__(f"{code} {sub_code}")
        self.code, self.sub_code, self.words, self.data = code, sub_code, words, data


def missing(name: str) -> Refusal:
    """A field that must be there is not."""
    return Refusal(40002, "isv.parameter-missing", f"{name} is required")


def invalid(name: str) -> Refusal:
    """A field does not hold what it should."""
    return Refusal(40003, "isv.parameter-invalid", f"{name} is invalid")


@dataclass
class Envelopes:
    """Makes answers; numbers them."""

    legacy_failure_number: int
    _number: "itertools.count[int]" = field(default_factory=itertools.count)

    def fine(self, data: object, time: datetime, *, has_legacy: bool) -> Response:
        """A success."""
        legacy = {"err_no": 0, "message": "success"} if has_legacy else {}
        return self._made({"code": OK, "msg": "success", "sub_code": "", "sub_msg": "", "data": data} | legacy, time)

    def refused(self, refusal: Refusal, time: datetime, *, has_legacy: bool) -> Response:
        """An error."""
        said = {"code": refusal.code, "sub_code": refusal.sub_code, "sub_msg": refusal.words, "data": refusal.data}
        legacy = {"err_no": self.legacy_failure_number, "message": refusal.words or "failed"} if has_legacy else {}
        return self._made(said | {"msg": refusal.words or "failed"} | legacy, time)

    def _made(self, content: Data, time: datetime) -> Response:
        log_id = f"{time:%Y%m%d%H%M%S}{next(self._number):018X}"
        body = json.dumps({**content, "log_id": log_id}, ensure_ascii=False, separators=(",", ":"))
        date = format_datetime(time, usegmt=True)
        return Response(body.encode(errors="replace"), 200, {"date": date}, "application/json; charset=utf-8")
