"""Of every RPC of AlertService for subscribers a good request, and what can be wrong with each of its fields."""

from google.protobuf.message import Message
from grpc import StatusCode

from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import AlertEventKind, Tier
from tests.client import made
from tests.rpc import spoils as wrong
from tests.rpc.spoils import FREE, MISSING, Fields, Spoil, times
from tests.rpc.stalls import Stall


def alerts_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name. The log has some events."""
    wanted = {
        "skus": [stall.sku],
        "channels": [stall.channel],
        "session_ids": [stall.session_id],
        "min_tier": Tier.TIER_TREND,
        "kinds": [AlertEventKind.ALERT_EVENT_KIND_TIER_CHANGE],
    }
    after = pb.AlertResumePoint(revision=1, epoch=stall.epoch)
    notice = {"revision": 1, "receiver": "ops", "claimant": "robot-1"}
    return {
        "WatchTierChanges": made(
            pb.WatchTierChangesRequest,
            filter=wanted,
            after=after,
            on_compacted=pb.ON_COMPACTED_FAIL,
            on_lag=pb.ON_LAG_COALESCE,
            progress_interval_ms=1_000,
            subscriber_id="console",
            max_event_age_ms=60_000,
        ),
        "ListTierChanges": made(pb.ListTierChangesRequest, filter=wanted, page_size=1, page_token=""),
        "ReportCursor": made(pb.ReportCursorRequest, subscriber_id="console", revision=1, epoch=stall.epoch),
        "GetCursor": made(pb.GetCursorRequest, subscriber_id="console"),
        "ListSubscribers": made(pb.ListSubscribersRequest),
        "ClaimNotice": made(pb.ClaimNoticeRequest, **notice, lease_ms=1_000),
        "SettleNotice": made(pb.SettleNoticeRequest, **notice, sent=True),
    }


def _refused(label: str, value: int | str | None, reason: str) -> Spoil:
    return Spoil(label, value, StatusCode.FAILED_PRECONDITION, reason)


def _numbers(*numbers: int) -> tuple[Spoil, ...]:
    return tuple(Spoil(str(number), number) for number in numbers)


_FUTURE = _refused("the largest number", wrong.INT64_MAX, "REVISION_FROM_FUTURE")
_REVISION = (*wrong.NEGATIVE, _FUTURE)
_EPOCH = (
    *wrong.BYTES,
    _refused("missing", None, "EPOCH_MISMATCH"),
    _refused("another", "x", "EPOCH_MISMATCH"),
    _refused("1 MB", wrong.MEGABYTE, "EPOCH_MISMATCH"),
)
_CHOICE = _numbers(-1, 3, wrong.INT32_MAX)
_EVENT = (MISSING, Spoil("zero", 0), *_REVISION)
_FILTER: Fields = {
    "filter.skus": times(1_000),
    "filter.skus[0]": wrong.CODE[1:],
    "filter.channels": times(100),
    "filter.channels[0]": wrong.CODE[1:],
    "filter.session_ids": times(100),
    "filter.session_ids[0]": _numbers(0, -1, wrong.INT64_MIN),
    "filter.min_tier": _numbers(-1, 6, wrong.INT32_MAX),
    "filter.kinds": times(100),
    "filter.kinds[0]": _numbers(0, -1, 25, wrong.INT32_MAX),
}
# By the name of the RPC.
ALERTS: dict[str, Fields] = {
    "WatchTierChanges": {
        **_FILTER,
        "after.revision": _REVISION,
        "after.epoch": _EPOCH,
        "on_compacted": _CHOICE,
        "on_lag": _CHOICE,
        "progress_interval_ms": wrong.PROGRESS,
        "subscriber_id": wrong.OPTIONAL_ID,
        "include_drills": FREE,
        "max_event_age_ms": wrong.NEGATIVE,
    },
    "ListTierChanges": {
        **_FILTER,
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
        "include_drills": FREE,
    },
    "ReportCursor": {
        "subscriber_id": wrong.ID,
        "revision": (_FUTURE, *wrong.NEGATIVE),
        "epoch": _EPOCH,
    },
    "GetCursor": {"subscriber_id": wrong.ID},
    "ListSubscribers": {},
    "ClaimNotice": {
        "revision": _EVENT,
        "receiver": wrong.ID,
        "claimant": wrong.ID,
        "lease_ms": (MISSING, *_numbers(0, 999, 600_001, -1, wrong.INT64_MAX)),
    },
    "SettleNotice": {
        "revision": _EVENT,
        "receiver": wrong.ID,
        "claimant": wrong.ID,
        "sent": FREE,
    },
}
