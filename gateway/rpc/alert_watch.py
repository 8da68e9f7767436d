"""AlertService: the stream of the alert log, and what its subscribers say of themselves.

A stream is created first, then a snapshot or what was missed, then events in order, and progress when silent. It ends
honestly (G5): a GoAway before the gateway stops and before grpc would cut the connection for its age, SLOW_CONSUMER for
a reader that does not keep up; each says from where to resume. A client that goes away shows here as a cancellation,
or, while it is being written to, as an error in the write; either way the `finally` lets go of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.alerts.endings import GONE
from gateway.alerts.hub import AlertHub, Snapshot
from gateway.alerts.resuming import compacted, require_lineage
from gateway.alerts.subscriber import Entry, GoAway, Lagged, Progress, Sending, Subscriber, Wanted
from gateway.alerts.tiers import KeyState
from gateway.domain.alerts import EventKind
from gateway.domain.errors import GatewayError, InvalidArgument
from gateway.domain.tiers import Tier
from gateway.ledger import NO_LIMIT
from gateway.rpc import alert_rendering, parsing
from gateway.rpc.alert_filters import event_filter
from gateway.rpc.alert_tiers import fill_tier_state
from gateway.rpc.paging import NUMBER, page_size, page_token, token
from gateway.rpc.rendering import timestamp
from gateway.rpc.server import Call, Streaming, Unary
from gateway.rpc.status import STATUS_OF
from gateway.rpc.watch import progress_interval_ms
from gateway.store.alert_log import AlertHead, EventFilter
from gateway.v1 import alert_service_pb2 as pb

RETRY_AFTER_MS = 500
# A snapshot of very many SKUs is made in turns with other calls.
ITEMS_PER_TURN = 50
LEASE_MS_MIN, LEASE_MS_MAX = 1_000, 600_000
Message = pb.WatchTierChangesResponse


async def watch_tier_changes(call: Call, request: pb.WatchTierChangesRequest) -> AsyncIterator[Message | bytes]:
    """Stream the alert log."""
    hub = call.merchant.alert_hub
    subscriber = _subscriber(call, request)
    start, after = request.WhichOneof("start"), request.after
    resnapshots = _on_compacted(request) == pb.ON_COMPACTED_RESNAPSHOT
    if after.revision < 0:
        raise InvalidArgument("a revision is 0 or more", field="after.revision")
    # A stream may last for half an hour, and a filter be long.
    del request
    head = await hub.open(subscriber)
    ended = GONE
    try:
        is_lost = start == "after" and _is_compacted(head, after, resnapshots=resnapshots)
        yield _created(head, subscriber, is_lost=is_lost)
        if start == "after" and not is_lost:
            subscriber.begin_after(after.revision, resumes=True)
        elif start == "live_only":
            subscriber.begin_after(head.revision)
        else:
            async for message in _snapshot(call, hub, subscriber):
                yield message
        call.opened()
        while True:
            sending = await hub.next(subscriber)
            subscriber.begin_writing(sending)
            began_ns = time.time_ns()
            yield _message(sending, hub)
            subscriber.written(sending)
            if isinstance(sending, Entry) and sending.event.traceparent:
                cause_ns = round(sending.event.record_time.timestamp() * 1e9)
                call.delivered((sending.event.traceparent,), cause_ns, began_ns)
            if isinstance(sending, GoAway):
                ended = sending.reason
                return
    except GatewayError as error:
        ended = STATUS_OF[type(error)][1]
        raise
    finally:
        hub.drop(subscriber, ended)


async def list_tier_changes(call: Call, request: pb.ListTierChangesRequest) -> pb.ListTierChangesResponse:
    """List events of the alert log, newest first."""
    size = page_size(request)
    found = await call.merchant.subscribers.events(
        event_filter(request.filter),
        before=page_token(request, NUMBER, NO_LIMIT),
        include_drills=request.include_drills,
        count_max=size,
    )
    response = pb.ListTierChangesResponse()
    for event in found:
        alert_rendering.fill_event(response.events.add(), event)
    if len(found) == size:
        response.next_page_token = token(found[-1].revision)
    return response


async def report_cursor(call: Call, request: pb.ReportCursorRequest) -> pb.ReportCursorResponse:
    """Keep how far a subscriber has come."""
    name = parsing.identifier(request.subscriber_id, "subscriber_id")
    if request.revision < 0:
        raise InvalidArgument("a revision is 0 or more", field="revision")
    return pb.ReportCursorResponse(lag=await call.merchant.subscribers.report(name, request.revision, request.epoch))


async def get_cursor(call: Call, request: pb.GetCursorRequest) -> pb.GetCursorResponse:
    """Read how far a subscriber has come."""
    name = parsing.identifier(request.subscriber_id, "subscriber_id")
    revision, epoch = await call.merchant.subscribers.cursor(name)
    response = pb.GetCursorResponse()
    if revision is not None:
        response.point.revision, response.point.epoch = revision, epoch
    return response


async def list_subscribers(call: Call, _request: pb.ListSubscribersRequest) -> pb.ListSubscribersResponse:
    """List subscribers, by name."""
    response = pb.ListSubscribersResponse()
    for state in await call.merchant.subscribers.states():
        alert_rendering.fill(response.subscribers.add(), state)
    return response


async def claim_notice(call: Call, request: pb.ClaimNoticeRequest) -> pb.ClaimNoticeResponse:
    """Claim the sending of a notice."""
    revision, receiver, claimant = _notice(request)
    if not LEASE_MS_MIN <= request.lease_ms <= LEASE_MS_MAX:
        raise InvalidArgument(
            f"lease_ms is {request.lease_ms}; it must be {LEASE_MS_MIN} to {LEASE_MS_MAX}", field="lease_ms"
        )
    lease = timedelta(milliseconds=request.lease_ms)
    claim = await call.merchant.subscribers.claim(revision, receiver, claimant, lease)
    return pb.ClaimNoticeResponse(granted=claim.granted, sent=claim.sent, possible_duplicate=claim.possible_duplicate)


async def settle_notice(call: Call, request: pb.SettleNoticeRequest) -> pb.SettleNoticeResponse:
    """Say what became of a notice."""
    revision, receiver, claimant = _notice(request)
    await call.merchant.subscribers.settle(revision, receiver, claimant, sent=request.sent)
    return pb.SettleNoticeResponse()


def _notice(request: pb.ClaimNoticeRequest | pb.SettleNoticeRequest) -> tuple[int, str, str]:
    if request.revision <= 0:
        raise InvalidArgument("revision is missing: which event is told of?", field="revision")
    receiver = parsing.identifier(request.receiver, "receiver")
    return request.revision, receiver, parsing.identifier(request.claimant, "claimant")


def _subscriber(call: Call, request: pb.WatchTierChangesRequest) -> Subscriber:
    if request.max_event_age_ms < 0:
        raise InvalidArgument("max_event_age_ms is negative", field="max_event_age_ms")
    if request.on_lag not in pb.OnLag.values():
        raise InvalidArgument(f"on_lag is {request.on_lag}; there is no such choice", field="on_lag")
    wanted = Wanted(event_filter(request.filter), request.include_drills, request.max_event_age_ms / 1000)
    return Subscriber(
        wanted,
        call.end,
        name=parsing.identifier(request.subscriber_id, "subscriber_id") if request.subscriber_id else "",
        coalesces=request.on_lag == pb.ON_LAG_COALESCE,
        progress_seconds=progress_interval_ms(request) / 1000,
    )


def _on_compacted(request: pb.WatchTierChangesRequest) -> pb.OnCompacted.ValueType:
    if request.on_compacted not in pb.OnCompacted.values():
        raise InvalidArgument(f"on_compacted is {request.on_compacted}; there is no such choice", field="on_compacted")
    return request.on_compacted


def _is_compacted(head: AlertHead, after: pb.AlertResumePoint, *, resnapshots: bool) -> bool:
    """True if a snapshot is to replace what is no longer kept. Raises what is wrong with the resume point (G4)."""
    require_lineage(head, after.revision, after.epoch, at="after")
    if after.revision >= head.compact_revision:
        return False
    if not resnapshots:
        raise compacted(head, after.revision)
    return True


async def _snapshot(call: Call, hub: AlertHub, subscriber: Subscriber) -> AsyncIterator[Message | bytes]:
    """Where everything stands; then its end, and that it is all there is up to its revision."""
    wanted = subscriber.wanted.events
    asked = wanted.skus, wanted.min_tier
    items, revision = await hub.snapshots.next(asked, lambda: _read_snapshot(call, *asked))
    for state, item in items:
        if _is_wanted(state, wanted):
            subscriber.begin_writing()
            yield item
    del items
    subscriber.begin_writing()
    yield Message(snapshot_end=pb.AlertSnapshotEnd(revision=revision))
    yield _message(Progress(revision), hub)
    # Not before: half a snapshot is no point to resume after.
    subscriber.begin_after(revision)
    subscriber.written()


async def _read_snapshot(call: Call, skus: frozenset[str], min_tier: Tier) -> Snapshot:
    states, revision = await call.merchant.tiers.snapshot(skus or None, min_tier)
    items = []
    for place, state in enumerate(states):
        item = Message()
        fill_tier_state(item.snapshot_item, state)
        items.append((state, item.SerializeToString()))
        if place % ITEMS_PER_TURN == 0:
            await asyncio.sleep(0)
    return items, revision


def _is_wanted(state: KeyState, wanted: EventFilter) -> bool:
    if wanted.kinds and EventKind.TIER_CHANGE not in wanted.kinds:
        return False
    if wanted.channels and wanted.channels.isdisjoint(state.channels):
        return False
    return not wanted.session_ids or not wanted.session_ids.isdisjoint(state.session_ids)


def _created(head: AlertHead, subscriber: Subscriber, *, is_lost: bool) -> Message:
    created = pb.AlertsCreated(
        epoch=head.epoch,
        revision=head.revision,
        compact_revision=head.compact_revision,
        progress_interval_ms=round(subscriber.progress_seconds * 1000),
        resnapshot=is_lost,
    )
    return Message(created=created)


def _message(sending: Sending, hub: AlertHub) -> Message | bytes:
    match sending:
        case Entry():
            return _payload(sending)
        case Progress(revision):
            return Message(progress=pb.AlertProgress(revision=revision, server_time=_now(hub)))
        case Lagged(revision, to_revision):
            return Message(lagged=pb.AlertLagged(from_revision=revision, to_revision=to_revision))
        case GoAway(resume_revision, reason):
            return Message(
                go_away=pb.AlertGoAway(resume_revision=resume_revision, reason=reason, retry_after_ms=RETRY_AFTER_MS)
            )


def _payload(entry: Entry) -> bytes:
    """An event as it goes over the wire, made once for all who get it."""
    if entry.payload is None:
        message = Message()
        alert_rendering.fill_event(message.event, entry.event)
        entry.payload = message.SerializeToString()
    return entry.payload


def _now(hub: AlertHub) -> Timestamp:
    return timestamp(hub.now())


METHODS: dict[str, Unary | Streaming] = {
    "WatchTierChanges": watch_tier_changes,
    "ListTierChanges": list_tier_changes,
    "ReportCursor": report_cursor,
    "GetCursor": get_cursor,
    "ListSubscribers": list_subscribers,
    "ClaimNotice": claim_notice,
    "SettleNotice": settle_notice,
}
