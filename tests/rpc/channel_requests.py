"""Of every RPC of ChannelService a good request, and what can be wrong with each of its fields."""

import math

from google.protobuf.message import Message
from grpc import StatusCode

from gateway.v1 import channel_service_pb2 as channel
from gateway.v1.channel_pb2 import OrderState, PushResult
from tests.client import made
from tests.rpc import spoils as wrong
from tests.rpc.spoils import FREE, MISSING, Fields, Spoil, times
from tests.rpc.stalls import Stall
from tests.rpc.wire import Times

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def channel_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name."""
    past, page, soon = {"seconds": 1_700_000_000}, {"page_size": 1, "page_token": ""}, {"seconds": 60}
    line = {"line_id": "1", "item_id": "7", "platform_sku_id": "8", "quantity": 2, "refunded": 1}
    order = {"order_id": "100", "state": OrderState.ORDER_STATE_PAID, "placed_time": past, "update_time": past}
    lines = [{**line, "shipped": True, "given_back_time": past}]
    push = {"listing_id": stall.listing_id, "push_id": 1, "result": PushResult.PUSH_RESULT_APPLIED, "applied": 1}
    reading = {"listing_id": stall.listing_id, "shown": 3, "begin_time": past, "end_time": past}
    state = {"connector_id": "a", "heartbeat_time": past, "calls_per_second": 1.5, "ban": soon, "needs": "sleep"}
    return {
        "WatchAllocations": made(
            channel.WatchAllocationsRequest, channel=stall.channel, connector_id="a", progress_interval_ms=1000
        ),
        "ReportPushes": made(
            channel.ReportPushesRequest,
            channel=stall.channel,
            reports=[{**push, "attempts": 1, "duration": soon, "error": "slow"}],
            attempts=[_attempt(stall)],
        ),
        "ReportOrders": made(
            channel.ReportOrdersRequest,
            channel=stall.channel,
            orders=[{**order, "lines": lines, "paid_time": past}],
            watermark=past,
        ),
        "ReportShelf": made(
            channel.ReportShelfRequest,
            channel=stall.channel,
            readings=[{**reading, "after_push_id": 0, "read_id": 1, "error": "lost"}],
        ),
        "GetCredentials": made(channel.GetCredentialsRequest, channel=stall.channel),
        "StoreTokens": made(
            channel.StoreTokensRequest,
            channel=stall.channel,
            version=1,
            access_token="a",
            refresh_token="b",
            expire_time=past,
        ),
        "Heartbeat": made(channel.HeartbeatRequest, channel=stall.channel, state=state),
        "ListListings": made(channel.ListListingsRequest, **page, channel=stall.channel, sku=stall.sku),
        "PauseChannel": made(channel.PauseChannelRequest, channel=stall.channel, reason="lunch"),
        "ResumeChannel": made(channel.ResumeChannelRequest, channel=stall.channel),
        "ResyncListing": made(channel.ResyncListingRequest, listing_id=stall.listing_id),
        "ListShortfalls": made(channel.ListShortfallsRequest, **page),
        "ResolveShortfall": made(
            channel.ResolveShortfallRequest, shortfall_id=stall.shortfall, owner="Ann", resolution="bought elsewhere"
        ),
        "ListDrift": made(channel.ListDriftRequest, **page, channel=stall.channel),
        "ListUnlinkedOrders": made(channel.ListUnlinkedOrdersRequest, **page, channel=stall.channel),
    }


def _attempt(stall: Stall) -> dict[str, object]:
    past = {"seconds": 1_700_000_000}
    said = {"platform_code": "isv.busy", "platform_request_id": "r1", "message": "busy", "http_status": 200}
    call = {"begin_time": past, "duration": {"seconds": 1}, "next_try_time": past, "traceparent": TRACEPARENT}
    return {"listing_id": stall.listing_id, "push_id": 1, "number": 1, "outcome": 2, **said, **call}


_CHANNEL = (*wrong.CODE, wrong.unknown("CHANNEL_UNKNOWN"))
_NUMBER = (MISSING, Spoil("zero", 0), *wrong.NEGATIVE)
_CHOICE = (MISSING, *(Spoil(str(number), number) for number in (0, -1, wrong.INT32_MAX)))
# Years that no platform states, and from which a margin would lead out of all calendars.
_TIME = (
    *wrong.TIME,
    Spoil("the year 1", wrong.time(-62_135_596_800)),
    Spoil("the year 1969", wrong.time(-1)),
    Spoil("the year 9999", wrong.time(253_402_300_799)),
)
_NEEDED_TIME = (MISSING, *_TIME)
_DURATION = tuple(
    Spoil(label, wrong.time(seconds, nanos))
    for label, seconds, nanos in (
        ("negative", -1, 0),
        ("a hair below zero", 0, -1),
        ("two signs", 1, -1),
        ("a second of nanoseconds", 0, 10**9),
        ("the largest number", wrong.INT64_MAX, 0),
        ("the smallest number", wrong.INT64_MIN, wrong.INT32_MIN),
    )
)
_TOKEN = (*wrong.BYTES, *wrong.UNPRINTABLE, wrong.LONG, Spoil("4,097 characters", "x" * 4_097))
_SHORTFALL = (
    MISSING,
    wrong.EMPTY,
    *wrong.BYTES,
    *(wrong.unknown("SHORTFALL_UNKNOWN", text) for text in ("x", "-1", "0", "9" * 18, "9" * 19, wrong.MEGABYTE)),
)
# By the name of the RPC.
CHANNEL: dict[str, Fields] = {
    "WatchAllocations": {
        "channel": _CHANNEL,
        "connector_id": wrong.ID,
        "progress_interval_ms": wrong.PROGRESS,
    },
    "ReportPushes": {
        "channel": _CHANNEL,
        "reports": times(1_000),
        "reports[0].listing_id": _NUMBER,
        "reports[0].push_id": _NUMBER,
        "reports[0].result": (*_CHOICE, Spoil("the gateway's own", 5)),
        "reports[0].applied": wrong.UNITS_OR_NONE,
        "reports[0].attempts": (Spoil("negative", -1), Spoil("the smallest number", wrong.INT32_MIN)),
        "reports[0].duration": _DURATION,
        "reports[0].error": wrong.TEXT,
        "attempts": times(500),
        "attempts[0].push_id": _NUMBER,
        "attempts[0].listing_id": _NUMBER,
        "attempts[0].number": (MISSING, Spoil("zero", 0), Spoil("negative", -1)),
        "attempts[0].begin_time": _NEEDED_TIME,
        "attempts[0].duration": _DURATION,
        "attempts[0].outcome": (*_CHOICE, Spoil("7", 7)),
        "attempts[0].http_status": (Spoil("99", 99), Spoil("1000", 1_000), Spoil("negative", -1)),
        "attempts[0].platform_code": wrong.OPTIONAL_ID,
        "attempts[0].platform_request_id": wrong.OPTIONAL_ID,
        "attempts[0].message": (*wrong.BYTES, *wrong.CONTROLS, wrong.LONG, Spoil("501 characters", "x" * 501)),
        "attempts[0].next_try_time": _TIME,
        "attempts[0].traceparent": (
            *wrong.BYTES,
            *(Spoil(repr(text[:9]), text) for text in ("x", TRACEPARENT[:-1], TRACEPARENT.upper(), TRACEPARENT + "0")),
        ),
    },
    "ReportOrders": {
        "channel": _CHANNEL,
        "orders": times(1_000),
        "orders[0].order_id": wrong.ID,
        "orders[0].state": (*_CHOICE, Spoil("4", 4)),
        "orders[0].lines": (MISSING, Spoil("the same line twice", Times(2)), *times(100)),
        "orders[0].lines[0].line_id": wrong.ID,
        "orders[0].lines[0].item_id": wrong.ID,
        "orders[0].lines[0].platform_sku_id": wrong.OPTIONAL_ID,
        "orders[0].lines[0].quantity": wrong.UNITS,
        "orders[0].lines[0].refunded": (Spoil("negative", -1), Spoil("more than there were", 3)),
        "orders[0].lines[0].shipped": FREE,
        "orders[0].lines[0].given_back_time": _TIME,
        "orders[0].placed_time": _NEEDED_TIME,
        "orders[0].update_time": _NEEDED_TIME,
        "orders[0].paid_time": _TIME,
        "watermark": (*_TIME, Spoil("the year 2999", wrong.time(32_472_144_000))),
    },
    "ReportShelf": {
        "channel": _CHANNEL,
        "readings": (MISSING, *times(1_000)),
        "readings[0].listing_id": _NUMBER,
        "readings[0].shown": wrong.UNITS_OR_NONE,
        "readings[0].begin_time": (
            *_NEEDED_TIME,
            Spoil("later", wrong.time(1_700_000_001), field="readings[0].end_time"),
        ),
        "readings[0].end_time": (*_NEEDED_TIME, Spoil("before", wrong.time(1_600_000_000))),
        "readings[0].after_push_id": wrong.NEGATIVE,
        "readings[0].read_id": wrong.NEGATIVE,
        "readings[0].error": wrong.TEXT,
    },
    "GetCredentials": {"channel": _CHANNEL},
    "StoreTokens": {
        "channel": _CHANNEL,
        "version": (*_NUMBER, Spoil("another", 7, StatusCode.ABORTED, "TOKENS_CHANGED")),
        "access_token": (MISSING, wrong.EMPTY, *_TOKEN),
        "refresh_token": _TOKEN,
        "expire_time": wrong.TIME,
    },
    "Heartbeat": {
        "channel": _CHANNEL,
        "state": (Spoil("missing", None, field="state.connector_id"),),
        "state.connector_id": wrong.ID,
        "state.heartbeat_time": FREE,
        "state.breaker_open": FREE,
        "state.calls_per_second": tuple(Spoil(str(rate), rate) for rate in (-0.1, math.nan, math.inf, -math.inf)),
        "state.ban": _DURATION,
        "state.waiting": wrong.NEGATIVE,
        "state.needs": wrong.TEXT,
        "state.calls": wrong.NEGATIVE,
        "state.retries": wrong.NEGATIVE,
        "state.forged": wrong.NEGATIVE,
    },
    "ListListings": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
        "channel": wrong.OPTIONAL_CODE,
        "sku": wrong.OPTIONAL_CODE,
    },
    "PauseChannel": {"channel": _CHANNEL, "reason": wrong.NEEDED_TEXT},
    "ResumeChannel": {"channel": _CHANNEL, "allow_many_to_zero": FREE},
    "ResyncListing": {
        "listing_id": (*_NUMBER, Spoil("unknown", 10**9, StatusCode.NOT_FOUND, "LISTING_UNKNOWN")),
    },
    "ListShortfalls": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
        "include_resolved": FREE,
    },
    "ResolveShortfall": {
        "shortfall_id": _SHORTFALL,
        "owner": wrong.TEXT,
        "resolution": wrong.TEXT,
    },
    "ListDrift": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
        "channel": wrong.OPTIONAL_CODE,
    },
    "ListUnlinkedOrders": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_TEXT,
        "channel": wrong.CODE,
    },
}
