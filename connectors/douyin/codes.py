"""Douyin's error codes, as data: `code` is the family, `sub_code` the precise one (guide-docs/212/1427).

A code that is not in the tables is `Rejected`. Business refusals (40004, 50002) carry a number after the colon whose
meaning no source gives, so the family decides.
"""

import re

from connectors.errors import AuthExpired, ConnectorError, OutcomeUnknown, Rejected, Throttled, Transient

OK = 10000
PART_FAILED = 10001
BUSINESS_REFUSALS = frozenset({40004, 50002})


class AlreadyKnown(Rejected):
    """An incremental write carries an idempotent_id that the platform has seen before."""

    ends_change = True


class Refused(Rejected):
    """The platform's business rules refuse it: not a fault of the protocol, and nothing was applied."""


BY_SUB_CODE: dict[str, type[ConnectorError]] = {
    "isv.access-token-expired": AuthExpired,
    "isv.access-token-no-existed": AuthExpired,
    "isv.access-token-invalid": AuthExpired,
    # The seller has taken the grant back; the refresh that follows fails, and a person is told.
    "dop.authorization-no-existed": AuthExpired,
    "dop.authorization-closed": AuthExpired,
    "isv.idempotent-id-existed": AlreadyKnown,
    # Every answer carries the platform's time, so the next try has a better clock.
    "isv.timestamp-invalid": Transient,
    "isv.env-suspected": Rejected,
}
BY_CODE: dict[int, type[ConnectorError]] = {
    # Nothing says that an error inside the platform came before the write.
    20000: OutcomeUnknown,
    20001: OutcomeUnknown,
    40004: Refused,
    50002: Refused,
    60000: Throttled,
    70000: Transient,
    90000: OutcomeUnknown,
}
# Tokens, secrets, signatures, phone numbers: whatever looks like one is not repeated.
_OPAQUE = re.compile(r"[A-Za-z0-9_+/=-]{20,}|\d{11,}")


def error_of(method: str, code: int, sub_code: str = "", words: str = "", log_id: str = "") -> ConnectorError:
    """The error that an answer other than `OK` means."""
    kind = BY_SUB_CODE.get(sub_code) or BY_CODE.get(code, Rejected)
    message = f"{method}: {code} {sub_code} {_OPAQUE.sub('…', words)[:200]} (log_id {log_id})"
    return kind(message, code=sub_code or str(code))
