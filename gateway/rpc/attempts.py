"""Single calls to platforms, on the wire; `reports` reads them from it."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from gateway.domain.attempts import Attempt
from gateway.rpc import rendering
from gateway.v1 import operations_pb2 as pb


def fill_attempt(m: pb.PushAttempt, attempt: Attempt) -> None:
    """Fill a call's message."""
    for name in ("push_id", "listing_id", "number", "platform_code", "platform_request_id", "message"):
        setattr(m, name, getattr(attempt, name))
    m.begin_time.CopyFrom(rendering.timestamp(attempt.begin_time))
    duration = Duration()
    duration.FromTimedelta(timedelta(milliseconds=attempt.duration_ms))
    m.duration.CopyFrom(duration)
    m.outcome = pb.AttemptOutcome.ValueType(attempt.outcome)
    m.http_status = attempt.http_status or 0
    if attempt.next_try_time is not None:
        m.next_try_time.CopyFrom(rendering.timestamp(attempt.next_try_time))
    m.traceparent = attempt.traceparent or ""
