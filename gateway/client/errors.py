"""What can go wrong between a service and the gateway, as exceptions with a reason a program can act on."""

from collections.abc import Mapping
from contextlib import suppress

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

# Where a `google.rpc.Status` travels.
DETAILS_KEY = "grpc-status-details-bin"

# The gateway could not answer now, or its answer was lost: the same again, later, may succeed.
PASSING_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)
# A broken connection under an open stream may also be reported as one of these.
PASSING_STREAM_CODES = PASSING_CODES | {
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
# Why a resume point is of no use any more, in the words of ErrorInfo.reason.
COMPACTED = "REVISION_COMPACTED"
MISMATCHES = frozenset({"EPOCH_MISMATCH", "REVISION_FROM_FUTURE"})


class ClientError(Exception):
    """A call or a stream has failed.

    `code` is the name of the gRPC status ("UNAVAILABLE"), `reason` the gateway's own word from a closed list
    ("ALREADY_ACKNOWLEDGED"; empty if gRPC itself has failed), `field` the field of the request that is wrong,
    `metadata` the facts (who was first, what the tier is now), `request_id` the mutation's, to repeat it with.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        field: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_seconds: float = 0.0,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.field = field
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id

    def __str__(self) -> str:
        label = self.reason or self.code
        return f"{label}: {self.message}" if label else self.message


class GatewayAway(ClientError):
    """No answer within the caller's patience. It may have been applied: repeating it with the same id is safe."""


class GatewayRefused(ClientError):
    """The gateway has said no; the same again would be refused again."""


class ResumePointLost(GatewayRefused):
    """The stream cannot go on where it stopped: compacted, another database, or ahead of the log."""


class LogBroken(ClientError):
    """A stream without a filter has left a revision out, or a stream said one twice: a defect, never to be passed over.

    `metadata` has `after`, the last revision that was in order, and `revision`, what came instead of the next.
    """


def error_of(error: grpc.aio.AioRpcError, request_id: str = "") -> GatewayAway | GatewayRefused:
    """What a failed call says."""
    info, bad_request, retry = _details_of(error)
    reason = info.reason
    kind: type[GatewayAway | GatewayRefused] = GatewayAway if error.code() in PASSING_CODES else GatewayRefused
    if reason == COMPACTED or reason in MISMATCHES:
        kind = ResumePointLost
    return kind(
        error.details() or "",
        code=error.code().name,
        reason=reason,
        field=bad_request.field_violations[0].field if bad_request.field_violations else "",
        metadata=dict(info.metadata),
        retry_after_seconds=retry.retry_delay.ToTimedelta().total_seconds(),
        request_id=request_id,
    )


def is_passing(error: grpc.aio.AioRpcError) -> bool:
    """True if a stream that ended so is to be opened again."""
    return error.code() in PASSING_STREAM_CODES


def _details_of(
    error: grpc.aio.AioRpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo]:
    info, bad_request, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    status = status_pb2.Status()
    for name, value in error.trailing_metadata() or ():
        if name == DETAILS_KEY and isinstance(value, bytes):
            with suppress(ValueError):
                status.ParseFromString(value)
    for detail in status.details:
        for known in (info, bad_request, retry):
            if detail.TypeName() == known.DESCRIPTOR.full_name:
                detail.Unpack(known)
    return info, bad_request, retry
