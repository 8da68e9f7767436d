"""ChannelService: what connectors report, and what operators do about it."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from gateway.domain.errors import InvalidArgument, ShortfallUnknown
from gateway.domain.selling import Drift, KnownOrder
from gateway.ledger import NO_LIMIT
from gateway.rpc import parsing, rendering, reports
from gateway.rpc.allocations import watch_allocations
from gateway.rpc.paging import CODE, NUMBER, page_size, page_token, token
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as pb

# Of what is reported at once a span tells the first so many.
TOLD_MAX = 32


async def report_pushes(call: Call, request: pb.ReportPushesRequest) -> pb.ReportPushesResponse:
    """Book what became of pushes, and keep the calls it took."""
    channel = parsing.code(request.channel, "channel")
    pushes, attempts = reports.pushes(request), reports.attempts(request, channel)
    told = pushes[:TOLD_MAX]
    _tell(
        {
            "stockgate.push_ids": [push.push_id for push in told],
            "stockgate.push.results": [push.result.name for push in told],
            "stockgate.push.applied": [push.applied for push in told],
        }
    )
    await call.merchant.selling.report_pushes(channel, pushes, attempts, call.deadline)
    return pb.ReportPushesResponse()


async def report_orders(call: Call, request: pb.ReportOrdersRequest) -> pb.ReportOrdersResponse:
    """Take in a page of orders, and the watermark."""
    orders, watermark = reports.orders(request)
    page = await call.merchant.selling.report_orders(orders, watermark, call.deadline)
    _tell({"stockgate.orders.taken": page.taken, "stockgate.orders.unlinked": page.unlinked})
    response = pb.ReportOrdersResponse(taken=page.taken, known=page.known, unlinked=page.unlinked)
    if page.watermark is not None:
        response.watermark.CopyFrom(rendering.timestamp(page.watermark))
    return response


async def report_shelf(call: Call, request: pb.ReportShelfRequest) -> pb.ReportShelfResponse:
    """Keep what listings showed."""
    channel = parsing.code(request.channel, "channel")
    readings = reports.readings(request)
    told = readings[:TOLD_MAX]
    _tell(
        {
            "stockgate.listings": [reading.listing_id for reading in told],
            "stockgate.quantity.shown": [reading.shown for reading in told],
        }
    )
    taken = await call.merchant.selling.report_shelf(channel, readings, call.deadline)
    return pb.ReportShelfResponse(taken=taken)


async def heartbeat(call: Call, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
    """Keep what a connector says of itself."""
    channel = parsing.code(request.channel, "channel")
    await call.merchant.selling.heartbeat(channel, reports.connector_state(request.state))
    return pb.HeartbeatResponse()


async def list_listings(call: Call, request: pb.ListListingsRequest) -> pb.ListListingsResponse:
    """List listings with their numbers."""
    size = page_size(request)
    found, now = await call.merchant.selling.listings(
        channel=parsing.optional_code(request.channel, "channel"),
        sku=parsing.optional_code(request.sku, "sku"),
        after=page_token(request, NUMBER, 0),
        count_max=size,
    )
    response = pb.ListListingsResponse()
    for listing in found:
        rendering.fill_listing(response.listings.add(), listing, now)
    if len(found) == size:
        response.next_page_token = token(found[-1].listing_id)
    return response


async def pause_channel(call: Call, request: pb.PauseChannelRequest) -> pb.PauseChannelResponse:
    """Stop changing a channel's numbers."""
    channel, reason = parsing.code(request.channel, "channel"), parsing.text(request.reason, "reason")
    if not reason:
        raise InvalidArgument("pausing needs a reason, for who finds it paused", field="reason")
    response = pb.PauseChannelResponse()
    rendering.fill_channel(response.channel, await call.merchant.selling.pause(channel, reason))
    return response


async def resume_channel(call: Call, request: pb.ResumeChannelRequest) -> pb.ResumeChannelResponse:
    """Let a channel's numbers be changed again."""
    channel = parsing.code(request.channel, "channel")
    found = await call.merchant.selling.resume(channel, allow_many_to_zero=request.allow_many_to_zero)
    response = pb.ResumeChannelResponse()
    rendering.fill_channel(response.channel, found)
    return response


async def resync_listing(call: Call, request: pb.ResyncListingRequest) -> pb.ResyncListingResponse:
    """Have a listing read now, and unpark it."""
    if request.listing_id <= 0:
        raise InvalidArgument("listing_id is missing", field="listing_id")
    listing, now = await call.merchant.selling.resync(request.listing_id)
    response = pb.ResyncListingResponse()
    rendering.fill_listing(response.listing, listing, now)
    return response


async def list_shortfalls(call: Call, request: pb.ListShortfallsRequest) -> pb.ListShortfallsResponse:
    """List shortfalls, newest first."""
    size = page_size(request)
    found = await call.merchant.ledger.list_shortfalls(
        before=page_token(request, NUMBER, NO_LIMIT), include_resolved=request.include_resolved, count_max=size
    )
    response = pb.ListShortfallsResponse()
    for shortfall in found:
        rendering.fill_shortfall(response.shortfalls.add(), shortfall)
    if len(found) == size:
        response.next_page_token = token(found[-1].shortfall_id)
    return response


async def resolve_shortfall(call: Call, request: pb.ResolveShortfallRequest) -> pb.ResolveShortfallResponse:
    """Say who looks after a shortfall, or how it was resolved."""
    try:
        number = parsing.reservation_id(request.shortfall_id, "shortfall_id")
    except InvalidArgument:
        if not request.shortfall_id:
            raise
        raise ShortfallUnknown("no shortfall has this id; ListShortfalls shows them", field="shortfall_id") from None
    owner, resolution = parsing.text(request.owner, "owner"), parsing.text(request.resolution, "resolution")
    if not owner and not resolution:
        raise InvalidArgument("say who looks after it, or how it was resolved", field="owner")
    found = await call.merchant.selling.resolve_shortfall(number, owner=owner, resolution=resolution)
    response = pb.ResolveShortfallResponse()
    rendering.fill_shortfall(response.shortfall, found)
    return response


async def list_drift(call: Call, request: pb.ListDriftRequest) -> pb.ListDriftResponse:
    """List readings that did not fit, newest first."""
    size = page_size(request)
    found = await call.merchant.selling.drifts(
        channel=parsing.optional_code(request.channel, "channel"),
        before=page_token(request, NUMBER, NO_LIMIT),
        count_max=size,
    )
    response = pb.ListDriftResponse()
    for drift in found:
        fill_drift(response.drifts.add(), drift)
    if len(found) == size:
        response.next_page_token = token(found[-1].drift_id)
    return response


async def list_unlinked_orders(call: Call, request: pb.ListUnlinkedOrdersRequest) -> pb.ListUnlinkedOrdersResponse:
    """List orders for listings nobody has linked."""
    size = page_size(request)
    found = await call.merchant.selling.unlinked(
        channel=parsing.code(request.channel, "channel"), after=page_token(request, CODE, ""), count_max=size
    )
    response = pb.ListUnlinkedOrdersResponse()
    for order in found:
        _fill_order(response.orders.add(), order)
    if len(found) == size:
        response.next_page_token = token(found[-1].order_id)
    return response


def fill_drift(m: channel_pb2.Drift, drift: Drift) -> None:
    """Fill a drift."""
    names = ("drift_id", "listing_id", "channel", "shown", "exposure_before", "exposure_least", "exposure_most")
    for name in (*names, "action"):
        setattr(m, name, getattr(drift, name))
    m.read_time.CopyFrom(rendering.timestamp(drift.read_time))
    m.judge_time.CopyFrom(rendering.timestamp(drift.judge_time))


def _fill_order(m: channel_pb2.OrderSnapshot, order: KnownOrder) -> None:
    m.order_id = order.order_id
    m.state = channel_pb2.OrderState.ValueType(order.state)
    for known in order.lines:
        line = m.lines.add()
        for name in ("line_id", "item_id", "platform_sku_id", "quantity", "refunded", "shipped"):
            setattr(line, name, getattr(known.line, name))
        if known.line.given_back_time is not None:
            line.given_back_time.CopyFrom(rendering.timestamp(known.line.given_back_time))
    m.placed_time.CopyFrom(rendering.timestamp(order.placed_time))
    m.update_time.CopyFrom(rendering.timestamp(order.update_time))
    if order.paid_time is not None:
        m.paid_time.CopyFrom(rendering.timestamp(order.paid_time))


def _tell(attributes: Mapping[str, AttributeValue]) -> None:
    """Tell the call's span, if it has one."""
    trace.get_current_span().set_attributes(attributes)


METHODS: dict[str, Unary | Streaming] = {
    "WatchAllocations": watch_allocations,
    "ReportPushes": report_pushes,
    "ReportOrders": report_orders,
    "ReportShelf": report_shelf,
    "Heartbeat": heartbeat,
    "ListListings": list_listings,
    "PauseChannel": pause_channel,
    "ResumeChannel": resume_channel,
    "ResyncListing": resync_listing,
    "ListShortfalls": list_shortfalls,
    "ResolveShortfall": resolve_shortfall,
    "ListDrift": list_drift,
    "ListUnlinkedOrders": list_unlinked_orders,
}
