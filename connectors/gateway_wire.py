"""The values of `contract` as messages, and back."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from connectors.attempts import Attempt
from connectors.base import ListingKey, OrderLine, OrderSnapshot, Tokens
from connectors.contract import (
    ChannelState,
    Grant,
    KnownListing,
    ListingPage,
    PlatformName,
    Push,
    PushKind,
    PushReport,
    ReadOrder,
    ShelfReading,
    StreamBegins,
    StreamEnds,
    StreamEvent,
    StreamIsCurrent,
    Vitals,
)
from gateway.v1 import channel_pb2, operations_pb2
from gateway.v1 import channel_service_pb2 as pb

PLATFORMS = {
    channel_pb2.PLATFORM_TAOBAO: PlatformName.TAOBAO,
    channel_pb2.PLATFORM_DOUYIN: PlatformName.DOUYIN,
    channel_pb2.PLATFORM_KUAISHOU: PlatformName.KUAISHOU,
}


def event_of(message: pb.WatchAllocationsResponse) -> StreamEvent | None:
    """A message of the stream; None for a mere sign of life."""
    match message.WhichOneof("message"):
        case "created":
            event: StreamEvent | None = StreamBegins(channel_of(message.created.channel))
        case "allocation":
            event = push_of(message.allocation)
        case "read_listing":
            asked = message.read_listing
            key = ListingKey(asked.item_id, asked.platform_sku_id)
            event = ReadOrder(asked.listing_id, key, asked.read_id, asked.after_push_id)
        case "current":
            event = StreamIsCurrent()
        case "channel":
            event = channel_of(message.channel)
        case "go_away":
            event = StreamEnds(message.go_away.reason, message.go_away.retry_after_ms / 1000)
        case _:
            event = None
    return event


def push_of(allocation: pb.Allocation) -> Push:
    """What to do to a listing's number."""
    push = allocation.push
    return Push(
        listing_id=allocation.listing_id,
        key=ListingKey(allocation.item_id, allocation.platform_sku_id),
        push_id=push.push_id,
        kind=PushKind(push.kind),
        sales=push.sales,
        urgency=push.urgency,
        withdrawn=push.withdrawn,
        unknown=push.unknown,
        create_time=_time_of(push.create_time) if push.HasField("create_time") else None,
        traceparent=push.traceparent,
    )


def channel_of(channel: channel_pb2.Channel) -> ChannelState:
    """A channel."""
    connector = channel.connector
    return ChannelState(
        channel=channel.channel,
        platform=PLATFORMS[channel.platform],
        paused=channel.paused,
        watermark=_time_of(channel.watermark) if channel.HasField("watermark") else None,
        create_time=_time_of(channel.create_time),
        connector_id=connector.connector_id,
        heartbeat_time=_time_of(connector.heartbeat_time) if connector.HasField("heartbeat_time") else None,
    )


def listings_of(response: pb.ListListingsResponse) -> ListingPage:
    """A page of listings."""
    listings = [
        KnownListing(one.listing_id, ListingKey(one.item_id, one.platform_sku_id), one.push.push_id, one.last_push_id)
        for one in response.listings
    ]
    return ListingPage(listings, response.next_page_token)


def grant_of(response: pb.GetCredentialsResponse) -> Grant:
    """A channel's secrets."""
    expire_time = _time_of(response.expire_time) if response.HasField("expire_time") else None
    tokens = Tokens(response.access_token, response.refresh_token, expire_time)
    return Grant(response.credentials_json, tokens, response.version)


def report_to_wire(report: PushReport) -> channel_pb2.PushReport:
    """What became of a push."""
    message = channel_pb2.PushReport(
        listing_id=report.listing_id,
        push_id=report.push_id,
        result=channel_pb2.PushResult.ValueType(report.result),
        applied=report.applied,
        attempts=report.attempts,
        error=report.error,
    )
    message.duration.FromTimedelta(report.duration)
    return message


def attempt_to_wire(attempt: Attempt) -> operations_pb2.PushAttempt:
    """One call to the platform."""
    what = attempt.what
    message = operations_pb2.PushAttempt(
        push_id=attempt.push_id,
        listing_id=attempt.listing_id,
        number=attempt.number,
        begin_time=_stamp(what.begin_time),
        outcome=operations_pb2.AttemptOutcome.ValueType(what.outcome),
        http_status=what.http_status,
        platform_code=what.platform_code,
        platform_request_id=what.platform_request_id,
        message=what.message,
        traceparent=what.traceparent,
    )
    message.duration.FromTimedelta(what.duration)
    if what.next_try_time is not None:
        message.next_try_time.FromDatetime(what.next_try_time)
    return message


def order_to_wire(order: OrderSnapshot) -> channel_pb2.OrderSnapshot:
    """An order."""
    message = channel_pb2.OrderSnapshot(
        order_id=order.order_id,
        state=channel_pb2.OrderState.ValueType(order.state),
        lines=map(_line_to_wire, order.lines),
        placed_time=_stamp(order.placed_time),
        update_time=_stamp(order.update_time),
    )
    if order.paid_time is not None:
        message.paid_time.FromDatetime(order.paid_time)
    return message


def _line_to_wire(line: OrderLine) -> channel_pb2.OrderLine:
    message = channel_pb2.OrderLine(
        line_id=line.line_id,
        item_id=line.key.item_id,
        platform_sku_id=line.key.platform_sku_id,
        quantity=line.quantity,
        refunded=line.refunded,
        shipped=line.shipped,
    )
    if line.given_back_time is not None:
        message.given_back_time.FromDatetime(line.given_back_time)
    return message


def reading_to_wire(reading: ShelfReading) -> channel_pb2.ShelfReading:
    """What a listing showed."""
    return channel_pb2.ShelfReading(
        listing_id=reading.listing_id,
        shown=reading.shown,
        begin_time=_stamp(reading.begin_time),
        end_time=_stamp(reading.end_time),
        after_push_id=reading.after_push_id,
        read_id=reading.read_id,
        error=reading.error,
    )


def vitals_to_wire(vitals: Vitals) -> channel_pb2.ConnectorState:
    """How a connector fares."""
    message = channel_pb2.ConnectorState(
        connector_id=vitals.connector_id,
        breaker_open=vitals.breaker_open,
        calls_per_second=vitals.calls_per_second,
        waiting=vitals.waiting,
        needs=vitals.needs,
        calls=vitals.calls,
        retries=vitals.retries,
        forged=vitals.forged,
    )
    message.ban.FromTimedelta(vitals.ban)
    return message


def _time_of(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
