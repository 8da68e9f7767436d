"""Errors on the wire: a status code, `google.rpc.ErrorInfo` with a reason from a closed list, and what helps to act."""

from functools import lru_cache
from typing import NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from gateway.domain import errors
from gateway.domain.errors import GatewayError

DOMAIN = "stockgate"
# Where clients look for a `google.rpc.Status`.
DETAILS_KEY = "grpc-status-details-bin"

# Every error there is, with its status code and its reason. Reasons are part of the contract: never renamed.
STATUS_OF: dict[type[GatewayError], tuple[grpc.StatusCode, str]] = {
    errors.InvalidArgument: (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    errors.SkuUnknown: (grpc.StatusCode.NOT_FOUND, "SKU_UNKNOWN"),
    errors.LocationUnknown: (grpc.StatusCode.NOT_FOUND, "LOCATION_UNKNOWN"),
    errors.ChannelUnknown: (grpc.StatusCode.NOT_FOUND, "CHANNEL_UNKNOWN"),
    errors.ListingUnknown: (grpc.StatusCode.NOT_FOUND, "LISTING_UNKNOWN"),
    errors.ListingInUse: (grpc.StatusCode.FAILED_PRECONDITION, "LISTING_IN_USE"),
    errors.CredentialsMissing: (grpc.StatusCode.FAILED_PRECONDITION, "CREDENTIALS_MISSING"),
    errors.CredentialsLocked: (grpc.StatusCode.FAILED_PRECONDITION, "CREDENTIALS_LOCKED"),
    errors.TokensChanged: (grpc.StatusCode.ABORTED, "TOKENS_CHANGED"),
    errors.ShortfallUnknown: (grpc.StatusCode.NOT_FOUND, "SHORTFALL_UNKNOWN"),
    errors.ReservationUnknown: (grpc.StatusCode.NOT_FOUND, "RESERVATION_UNKNOWN"),
    errors.MovementUnknown: (grpc.StatusCode.NOT_FOUND, "MOVEMENT_UNKNOWN"),
    errors.InsufficientStock: (grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_STOCK"),
    errors.ReservationResolved: (grpc.StatusCode.FAILED_PRECONDITION, "RESERVATION_RESOLVED"),
    errors.ReservationExpired: (grpc.StatusCode.FAILED_PRECONDITION, "RESERVATION_EXPIRED"),
    errors.ReservationNotCommitted: (grpc.StatusCode.FAILED_PRECONDITION, "RESERVATION_NOT_COMMITTED"),
    errors.RequestIdReused: (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    errors.OnHandChanged: (grpc.StatusCode.ABORTED, "ON_HAND_CHANGED"),
    errors.SkuFrozen: (grpc.StatusCode.FAILED_PRECONDITION, "SKU_FROZEN"),
    errors.BelowReserved: (grpc.StatusCode.FAILED_PRECONDITION, "BELOW_RESERVED"),
    errors.QuantityOverflow: (grpc.StatusCode.OUT_OF_RANGE, "QUANTITY_OVERFLOW"),
    errors.AboveHeld: (grpc.StatusCode.FAILED_PRECONDITION, "ABOVE_HELD"),
    errors.AlreadyExists: (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"),
    errors.AtomicGroupFailed: (grpc.StatusCode.ABORTED, "ATOMIC_GROUP_FAILED"),
    errors.QueueFull: (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    errors.DatabaseUnavailable: (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
    errors.Unauthenticated: (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    errors.ReaderTooSlow: (grpc.StatusCode.RESOURCE_EXHAUSTED, "READER_TOO_SLOW"),
    errors.EpochMismatch: (grpc.StatusCode.FAILED_PRECONDITION, "EPOCH_MISMATCH"),
    errors.RevisionFromFuture: (grpc.StatusCode.FAILED_PRECONDITION, "REVISION_FROM_FUTURE"),
    errors.RevisionCompacted: (grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED"),
    errors.SlowConsumer: (grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_CONSUMER"),
    errors.TooManyStreams: (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"),
    errors.AlreadyAcknowledged: (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_ACKNOWLEDGED"),
    errors.EpisodeOver: (grpc.StatusCode.FAILED_PRECONDITION, "EPISODE_OVER"),
    errors.TierChanged: (grpc.StatusCode.FAILED_PRECONDITION, "TIER_CHANGED"),
    errors.SilenceUnknown: (grpc.StatusCode.NOT_FOUND, "SILENCE_UNKNOWN"),
    errors.IncomingUnknown: (grpc.StatusCode.NOT_FOUND, "INCOMING_UNKNOWN"),
    errors.DrillUnknown: (grpc.StatusCode.NOT_FOUND, "DRILL_UNKNOWN"),
    errors.DrillRunning: (grpc.StatusCode.RESOURCE_EXHAUSTED, "DRILL_RUNNING"),
    errors.SessionUnknown: (grpc.StatusCode.NOT_FOUND, "SESSION_UNKNOWN"),
    errors.AdviceUnknown: (grpc.StatusCode.NOT_FOUND, "ADVICE_UNKNOWN"),
    errors.SettingChanged: (grpc.StatusCode.FAILED_PRECONDITION, "SETTING_CHANGED"),
    errors.SessionOver: (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_OVER"),
    errors.SessionConflict: (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_CONFLICT"),
    errors.TemplateUnknown: (grpc.StatusCode.NOT_FOUND, "TEMPLATE_UNKNOWN"),
    errors.ProposalUnknown: (grpc.StatusCode.NOT_FOUND, "PROPOSAL_UNKNOWN"),
    errors.ProposalSettled: (grpc.StatusCode.FAILED_PRECONDITION, "PROPOSAL_SETTLED"),
    errors.DeadlinePassed: (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    errors.ShuttingDown: (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
}
# What a caller may try again by itself, after how many milliseconds.
RETRY_AFTER_MS: dict[type[GatewayError], int] = {
    errors.QueueFull: 200,
    errors.DatabaseUnavailable: 1_000,
    errors.ShuttingDown: 1_000,
    errors.ReaderTooSlow: 1_000,
    errors.SlowConsumer: 1_000,
    errors.TooManyStreams: 5_000,
    errors.DrillRunning: 10_000,
}

# What is exhausted, of what is refused because there are too many of it.
QUOTA_OF: dict[type[GatewayError], str] = {errors.TooManyStreams: "streams"}


class Refusal(NamedTuple):
    """An error as it goes over the wire, ready to be sent; shared between equal errors, so never to be changed."""

    code: grpc.StatusCode
    reason: str
    status: Status
    trailing_metadata: tuple[tuple[str, bytes], ...]


def refusal_of(error: GatewayError) -> Refusal:
    """The error as it goes over the wire."""
    code, reason = STATUS_OF[type(error)]
    wait_ms, quota = RETRY_AFTER_MS.get(type(error)), QUOTA_OF.get(type(error), "")
    return _refusal(code, reason, error.message, error.field, tuple(error.facts.items()), wait_ms, quota)


# A sold-out SKU is refused a thousand times with the same words.
@lru_cache(maxsize=4096)
def _refusal(
    code: grpc.StatusCode,
    reason: str,
    message: str,
    field: str,
    facts: tuple[tuple[str, int | str], ...],
    wait_ms: int | None,
    quota: str = "",
) -> Refusal:
    status = Status(code=code.value[0], message=message)
    metadata = {name: str(fact) for name, fact in facts}
    status.details.add().Pack(details.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    if field:
        violation = details.BadRequest.FieldViolation(field=field, description=message, reason=reason)
        status.details.add().Pack(details.BadRequest(field_violations=[violation]))
    if quota:
        exceeded = details.QuotaFailure.Violation(subject=quota, description=message)
        status.details.add().Pack(details.QuotaFailure(violations=[exceeded]))
    if wait_ms is not None:
        delay = Duration()
        delay.FromMilliseconds(wait_ms)
        status.details.add().Pack(details.RetryInfo(retry_delay=delay))
    return Refusal(code, reason, status, ((DETAILS_KEY, status.SerializeToString()),))


# A fault of ours; what it was is in the log, not on the wire.
INTERNAL = _refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "the gateway has failed; its log says why", "", (), None)
