"""WatchStockLevels: created, then a snapshot or what was missed, then changes; a heartbeat when silent.

A stream ends honestly. Before the gateway stops, and on our own timer before grpc would cut the connection for its
age, a GoAway says from where to resume; a reader that is too slow gets READER_TOO_SLOW with the same.
"""

import time
from collections.abc import AsyncIterator
from typing import Any

from gateway.domain.errors import InvalidArgument
from gateway.rpc import parsing, rendering
from gateway.rpc.server import Call
from gateway.store.levels import Head, SkuLevels
from gateway.v1 import stock_service_pb2 as pb
from gateway.watch import LevelHub, Subscriber

PROGRESS_DEFAULT_MS = 10_000
PROGRESS_MIN_MS = 1_000
PROGRESS_MAX_MS = 3_600_000
STREAM_AGE_MAX_SECONDS = 27 * 60.0
RETRY_AFTER_MS = 500
SKUS_MAX = 1_000
Message = pb.WatchStockLevelsResponse


async def watch_stock_levels(call: Call, request: pb.WatchStockLevelsRequest) -> AsyncIterator[Message]:
    """Stream level changes, coalesced per SKU."""
    if len(request.skus) > SKUS_MAX:
        raise InvalidArgument(f"at most {SKUS_MAX} SKUs may be named; name none to watch all", field="skus")
    chosen = [parsing.code(sku, f"skus[{place}]") for place, sku in enumerate(request.skus)]
    skus = frozenset(chosen) or None
    progress_ms = progress_interval_ms(request)
    if request.after.revision < 0:
        raise InvalidArgument("a revision is 0 or more", field="after.revision")
    hub = call.merchant.hub
    if chosen:
        await call.merchant.ledger.levels(chosen)
    async with hub.subscribe(skus) as (subscriber, head):
        if request.WhichOneof("start") == "after":
            hub.require_resumable(head, request.after.revision, request.after.epoch)
        created = pb.WatchCreated(epoch=head.epoch, revision=head.revision, progress_interval_ms=progress_ms)
        yield Message(created=created)
        async for message in _beginning(request, hub, subscriber, head, skus):
            yield message
        call.opened()
        async for message in _changes(subscriber, progress_ms / 1000):
            yield message


def progress_interval_ms(request: Any) -> int:
    """How often to speak in silence; raises `InvalidArgument`."""
    asked = request.progress_interval_ms or PROGRESS_DEFAULT_MS
    if not PROGRESS_MIN_MS <= asked <= PROGRESS_MAX_MS:
        raise InvalidArgument(
            f"progress_interval_ms is {asked}; it must be {PROGRESS_MIN_MS} to {PROGRESS_MAX_MS}",
            field="progress_interval_ms",
        )
    return asked


async def _beginning(
    request: pb.WatchStockLevelsRequest,
    hub: LevelHub,
    subscriber: Subscriber,
    head: Head,
    skus: frozenset[str] | None,
) -> AsyncIterator[Message]:
    match request.WhichOneof("start"):
        case "after":
            missed, revision = await hub.catch_up(skus, request.after.revision)
            subscriber.skip_to(revision)
            for level in missed:
                yield _level(level)
        case "live_only":
            subscriber.skip_to(head.revision)
        case _:
            # What changes while the snapshot is read is in the box as well, and follows unless it was in the snapshot.
            subscriber.skip_to(head.revision)
            async for page in hub.snapshot(skus):
                for level in page:
                    subscriber.note(level)
                    yield _level(level)
            yield Message(snapshot_end=pb.WatchSnapshotEnd(revision=head.revision))


async def _changes(subscriber: Subscriber, progress_seconds: float) -> AsyncIterator[Message]:
    ends = time.monotonic() + STREAM_AGE_MAX_SECONDS
    while True:
        levels = await subscriber.take(progress_seconds)
        for level in levels:
            yield _level(level)
        revision = subscriber.handed_over()
        if subscriber.closing or time.monotonic() >= ends:
            reason = "SHUTDOWN" if subscriber.closing else "MAX_AGE"
            go_away = pb.WatchGoAway(resume_revision=revision, reason=reason, retry_after_ms=RETRY_AFTER_MS)
            yield Message(go_away=go_away)
            return
        if not levels:
            progress = pb.WatchProgress(revision=revision)
            progress.server_time.GetCurrentTime()
            yield Message(progress=progress)


def _level(level: SkuLevels) -> Message:
    message = Message()
    rendering.fill_stock_level(message.level, level)
    return message
