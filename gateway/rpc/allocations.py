"""WatchAllocations: what a channel's numbers should become, what is under way first, then every change."""

import time
from collections.abc import AsyncIterator

from gateway.rpc import parsing, rendering
from gateway.rpc.server import Call
from gateway.rpc.watch import RETRY_AFTER_MS, STREAM_AGE_MAX_SECONDS, progress_interval_ms
from gateway.selling import Change, Follower, News
from gateway.v1 import channel_service_pb2 as pb

Message = pb.WatchAllocationsResponse


async def watch_allocations(call: Call, request: pb.WatchAllocationsRequest) -> AsyncIterator[Message]:
    """Stream a channel's pushes and questions, most pressing first."""
    channel = parsing.code(request.channel, "channel")
    connector_id = parsing.identifier(request.connector_id, "connector_id")
    progress_seconds = progress_interval_ms(request) / 1000
    async with call.merchant.selling.follow(channel, connector_id) as follower:
        message = Message()
        rendering.fill_channel(message.created.channel, await follower.channel())
        yield message
        for message in _messages(await follower.changes(0.0)):
            began_ns = time.time_ns()
            yield message
            _tell(call, message, began_ns)
        yield Message(current=pb.AllocationsCurrent())
        call.opened()
        async for message in _changes(follower, progress_seconds):
            began_ns = time.time_ns()
            yield message
            _tell(call, message, began_ns)


def _tell(call: Call, message: Message, began_ns: int) -> None:
    """A push was sent: that is part of its trace."""
    push = message.allocation.push
    if push.traceparent:
        call.delivered((push.traceparent,), push.create_time.ToNanoseconds(), began_ns)


async def _changes(follower: Follower, progress_seconds: float) -> AsyncIterator[Message]:
    ends = time.monotonic() + STREAM_AGE_MAX_SECONDS
    while True:
        messages = _messages(await follower.changes(progress_seconds))
        for message in messages:
            yield message
        if follower.closing or follower.is_replaced or time.monotonic() >= ends:
            reason = "REPLACED" if follower.is_replaced else "SHUTDOWN" if follower.closing else "MAX_AGE"
            yield Message(go_away=pb.AllocationsGoAway(reason=reason, retry_after_ms=RETRY_AFTER_MS))
            return
        if not messages:
            progress = pb.AllocationsProgress()
            progress.server_time.GetCurrentTime()
            yield Message(progress=progress)


def _messages(news: News) -> list[Message]:
    messages = [message for change in news.listings for message in _news(change)]
    if news.channel is not None:
        messages.insert(0, Message())
        rendering.fill_channel(messages[0].channel, news.channel)
    return messages


def _news(change: Change) -> list[Message]:
    news = []
    listing, state = change.listing, change.listing.state
    if change.tells_push and state.push is not None:
        message = Message()
        m = message.allocation
        m.listing_id, m.item_id, m.platform_sku_id = listing.listing_id, listing.item_id, listing.platform_sku_id
        rendering.fill_push(m.push, state.push)
        news.append(message)
    if change.tells_question:
        read = pb.ReadListing(
            listing_id=listing.listing_id,
            item_id=listing.item_id,
            platform_sku_id=listing.platform_sku_id,
            read_id=state.read_id,
            after_push_id=state.last_push_id,
        )
        news.append(Message(read_listing=read))
    return news
