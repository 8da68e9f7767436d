"""What a call was refused with, read from the wire as a caller in any language would."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Refusal:
    """A rich status. What it does not carry is empty; `retry_ms` is None without advice to come back."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    facts: Mapping[str, str]
    fields: tuple[str, ...]
    retry_ms: int | None
    quotas: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The one field at fault, empty if none is named."""
        assert len(self.fields) <= 1
        return self.fields[0] if self.fields else ""


async def refused(call: Awaitable[object]) -> Refusal:
    """The refusal of a call that must be refused."""
    __tracebackhide__ = True
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal_of_error(caught.value)


def refusal_of_error(error: grpc.aio.AioRpcError) -> Refusal:
    """The refusal behind a failed call; of a status of grpc's own only code and message."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # the stubs know only the synchronous kind of call
    return refusal_of(status or Status(code=error.code().value[0], message=error.details() or ""))


def refusal_of(status: Status) -> Refusal:
    """The refusal in a status, from a call or from an item of a batch."""
    info, bad, retry, quota = ErrorInfo(), BadRequest(), RetryInfo(), QuotaFailure()
    has_retry = False
    for detail in status.details:
        known = detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(quota)
        has_retry = detail.Unpack(retry) or has_retry
        assert known or has_retry, f"a detail of an unknown kind: {detail.type_url}"
    return Refusal(
        CODES[status.code],
        status.message,
        info.reason,
        info.domain,
        dict(info.metadata),
        tuple(violation.field for violation in bad.field_violations),
        retry.retry_delay.ToMilliseconds() if has_retry else None,
        tuple(violation.subject for violation in quota.violations),
    )
