"""TOP's errors as data, and what each means to the agent (developer.alibaba.com document 102707, "Error codes").

`code` is the gateway's number; where a service behind the gateway refused (15, 50), its `sub_code` decides: `isp.*` is
trouble of the platform's own, `isv.*` is ours. Trouble of its own says nothing about whether a write was applied.
"""

import re
from datetime import datetime

from connectors.errors import AuthExpired, BelowZero, ConnectorError, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.taobao.times import seconds_to_midnight

INVALID_TIMESTAMP = 31

_BY_CODE: dict[int, type[ConnectorError]] = {
    7: Throttled,  # App Call Limited
    10: OutcomeUnknown,  # Service currently unavailable
    26: AuthExpired,  # Missing session
    27: AuthExpired,  # Invalid session
    INVALID_TIMESTAMP: Transient,  # once the clock is set; see `requests`
}

_DEAD_SESSION = {
    "invalid-sessionkey",
    "session-expired",
    "session-not-exist",
    "sessionkey-not-generated-by-server",
}

# What a service says when it is overloaded but forgets to say `isp.`: "the inventory centre is busy", "remote call
# timed out", "service unavailable". Merchants' ERP systems try again on these words.
_BUSY_WORDS = re.compile(
    r"服务正忙|远程调用超时|调用超时|服务不可用|remote service timeout|service unavailable", re.IGNORECASE
)

# Answers to a lowering that say: fewer units are there, or they are withheld for unpaid orders.
_TOO_FEW = {
    "isv.invalid-parameter:quantity",
    "isv.invalid-parameter:quantity-tmall",
    "isv.error-inventory-invalid-item-quantity-tmall",
}
# "Stock cannot be less than what is withheld."
_TOO_FEW_WORDS = "预扣库存"

_BAN = re.compile(r"ban will last for (\d+) more seconds?")
_UNTIL_TOMORROW = {
    "accesscontrol.limited-by-app-access-count",  # the app's daily quota
    "accesscontrol.limited-by-app-api-access-count",  # the small quota of an app that is not launched yet
}

NO_SUCH_ORDER = "isv.trade-not-exist"


def error_of(code: int, sub_code: str, message: str, now: datetime) -> ConnectorError:
    """What the platform's refusal means; an unknown one is `Rejected`."""
    stated = sub_code or str(code)
    kind = _kind(code, sub_code, message)
    if kind is Throttled:
        return Throttled(message, code=stated, retry_after_seconds=_ban_seconds(sub_code, message, now))
    return kind(message, code=stated)


def error_of_lowering(error: ConnectorError) -> ConnectorError:
    """The same error where a lowering was refused: `BelowZero` if that is why."""
    if isinstance(error, Rejected) and (error.code in _TOO_FEW or _TOO_FEW_WORDS in error.message):
        return BelowZero(error.message, code=error.code)
    return error


def _kind(code: int, sub_code: str, message: str) -> type[ConnectorError]:
    if sub_code.removeprefix("isv.") in _DEAD_SESSION:
        return AuthExpired
    if sub_code.startswith("accesscontrol.limited-by-"):
        return Throttled
    if sub_code.startswith("isp.") or (not sub_code.startswith("isv.") and _BUSY_WORDS.search(message)):
        return OutcomeUnknown
    return _BY_CODE.get(code, Rejected)


def _ban_seconds(sub_code: str, message: str, now: datetime) -> float | None:
    if stated := _BAN.search(message):
        return float(stated[1])
    return seconds_to_midnight(now) if sub_code in _UNTIL_TOMORROW else None
