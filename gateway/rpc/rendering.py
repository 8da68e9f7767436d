"""From answers to responses. Each function fills a message in place: nothing is built twice on the hot path."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from gateway import telemetry
from gateway.domain.commands import AnyAnswer, ReservationChanged, StockMoved
from gateway.domain.listings import ChannelFacts, Listing, Push
from gateway.domain.policies import Policy
from gateway.domain.reservations import Reservation
from gateway.domain.stock import Level, Movement, Shortfall
from gateway.store.catalog import Location, Sku
from gateway.store.consistency import Verdict
from gateway.store.levels import SkuLevels
from gateway.store.shops import Channel
from gateway.v1 import catalog_pb2, channel_pb2, operations_service_pb2, stock_pb2
from gateway.v1 import stock_service_pb2 as pb


@lru_cache(maxsize=1024)
def timestamp(when: datetime) -> Timestamp:
    """The same instant; shared, so never to be changed. A group's answers have few times between them."""
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp


def trace_id(traceparent: str | None) -> str:
    """The trace a span (W3C) belongs to, 32 hex digits; empty for none, and for one that is not kept."""
    return traceparent[3:35] if traceparent and telemetry.is_sampled(traceparent) else ""


def fill_moved(m: Any, answer: StockMoved) -> None:
    """Fill the response to receive, adjust or count."""
    fill_location_level(m.level, answer.level)
    _fill_recorded(m, answer)
    if answer.shortfall is not None:
        fill_shortfall(m.shortfall, answer.shortfall)


def fill_transferred(m: pb.TransferStockResponse, answer: StockMoved) -> None:
    """Fill the response to transfer."""
    assert answer.from_level is not None
    fill_location_level(m.from_level, answer.from_level)
    fill_location_level(m.to_level, answer.level)
    _fill_recorded(m, answer)


def fill_changed(m: Any, answer: ReservationChanged) -> None:
    """Fill the response to anything about a reservation."""
    fill_reservation(m.reservation, answer.reservation)
    _fill_recorded(m, answer)
    for shortfall in answer.shortfalls:
        fill_shortfall(m.shortfalls.add(), shortfall)


# By the name of the command in a batch, which is that of its response too.
FILLERS: dict[str, Callable[[Any, Any], None]] = {
    "receive": fill_moved,
    "adjust": fill_moved,
    "count": fill_moved,
    "transfer": fill_transferred,
    "reserve": fill_changed,
    "commit": fill_changed,
    "release": fill_changed,
    "extend": fill_changed,
    "resize": fill_changed,
    "return_stock": fill_changed,
}


def fill_reservation(m: stock_pb2.Reservation, reservation: Reservation, *, at_risk: bool = False) -> None:
    """Fill a reservation."""
    m.reservation_id = str(reservation.reservation_id)
    m.state = stock_pb2.ReservationState.ValueType(reservation.state)
    for line in reservation.lines:
        filled = m.lines.add(line_number=line.line_number, sku=line.sku, requested=line.requested)
        if line.location:
            filled.location = line.location
        for allotment in line.allotments:
            filled.allotments.add(
                location=allotment.location,
                held=allotment.held,
                committed=allotment.committed,
                returned=allotment.returned,
            )
    if reservation.order_id:
        m.order_id = reservation.order_id
    m.create_time.CopyFrom(timestamp(reservation.create_time))
    m.expire_time.CopyFrom(timestamp(reservation.expire_time))
    if reservation.resolve_time is not None:
        m.resolve_time.CopyFrom(timestamp(reservation.resolve_time))
    if at_risk:
        m.at_risk = True
    if reservation.replaces_reservation_id is not None:
        m.replaces_reservation_id = str(reservation.replaces_reservation_id)
    if reservation.replaced_by_reservation_id is not None:
        m.replaced_by_reservation_id = str(reservation.replaced_by_reservation_id)


def fill_location_level(m: stock_pb2.LocationLevel, level: Level) -> None:
    """Fill the level of a SKU at one location."""
    m.location = level.location
    m.on_hand = level.on_hand
    m.reserved = level.reserved
    m.safety_stock = level.safety_stock
    m.available = level.available
    m.deficit = level.deficit
    m.exposed = level.exposed
    m.unallocated = max(0, level.unallocated)
    if level.last_count_time is not None:
        m.last_count_time.CopyFrom(timestamp(level.last_count_time))


def fill_stock_level(m: stock_pb2.StockLevel, stock: SkuLevels) -> None:
    """Fill the level of a SKU: each location, and the sums."""
    m.sku = stock.sku
    m.frozen = stock.frozen
    m.revision = stock.revision
    for level in stock.levels:
        fill_location_level(m.locations.add(), level)
        m.on_hand += level.on_hand
        m.reserved += level.reserved
        m.safety_stock += level.safety_stock
        m.available += level.available
        m.deficit += level.deficit
        m.exposed += level.exposed
        m.unallocated += max(0, level.unallocated)


def fill_movement(m: stock_pb2.Movement, movement: Movement) -> None:
    """Fill a movement."""
    m.record_time.CopyFrom(timestamp(movement.record_time))
    m.occur_time.CopyFrom(timestamp(movement.occur_time))
    m.kind = stock_pb2.MovementKind.ValueType(movement.kind)
    m.reservation_id = "" if movement.reservation_id is None else str(movement.reservation_id)
    for name in ("request_id", "reason", "channel", "traceparent"):
        setattr(m, name, getattr(movement, name) or "")
    for name in ("sku", "location", "revision", "quantity", "on_hand_change", "reserved_change"):
        setattr(m, name, getattr(movement, name))
    for name in ("on_hand_after", "reserved_after", "safety_stock_after"):
        setattr(m, name, getattr(movement, name))
    for name in ("corrects_revision", "absorbed_by_revision"):
        setattr(m, name, getattr(movement, name) or 0)


def fill_shortfall(m: stock_pb2.Shortfall, shortfall: Shortfall) -> None:
    """Fill a shortfall."""
    m.shortfall_id = str(shortfall.shortfall_id)
    m.cause = stock_pb2.ShortfallCause.ValueType(shortfall.cause)
    m.reservation_id = "" if shortfall.reservation_id is None else str(shortfall.reservation_id)
    for name in ("sku", "location", "quantity", "order_id", "owner", "resolution"):
        setattr(m, name, getattr(shortfall, name))
    m.open_time.CopyFrom(timestamp(shortfall.open_time))
    if shortfall.resolve_time is not None:
        m.resolve_time.CopyFrom(timestamp(shortfall.resolve_time))


def fill_sku(m: catalog_pb2.Sku, sku: Sku) -> None:
    """Fill a SKU."""
    for name in ("sku", "title", "safety_stock", "frozen", "freeze_reason"):
        setattr(m, name, getattr(sku, name))
    for name in ("lead_time_mean_days", "lead_time_deviation_days"):
        if getattr(sku, name) is not None:
            setattr(m, name, getattr(sku, name))
    m.substitutes.extend(sku.substitutes)
    for name in ("create_time", "update_time"):
        if (when := getattr(sku, name)) is not None:
            getattr(m, name).CopyFrom(timestamp(when))


def fill_location(m: catalog_pb2.Location, location: Location) -> None:
    """Fill a location."""
    m.location = location.location
    m.title = location.title
    m.position = location.position
    if location.create_time is not None:
        m.create_time.CopyFrom(timestamp(location.create_time))


def fill_channel(m: channel_pb2.Channel, channel: Channel) -> None:
    """Fill a channel; what is secret of it is not in what we are given."""
    m.channel = channel.channel
    m.platform = channel_pb2.Platform.ValueType(channel.platform)
    m.title = channel.title
    m.locations.extend(channel.locations)
    _fill_facts(m.facts, channel.facts)
    m.paused = channel.paused
    m.pause_reason = channel.pause_reason
    if channel.connector:
        # Another release may know more of its connectors.
        json_format.Parse(channel.connector, m.connector, ignore_unknown_fields=True)
    if channel.heartbeat_time is not None:
        m.connector.heartbeat_time.CopyFrom(timestamp(channel.heartbeat_time))
    if channel.watermark is not None:
        m.watermark.CopyFrom(timestamp(channel.watermark))
    m.has_credentials = channel.has_credentials
    if channel.create_time is not None:
        m.create_time.CopyFrom(timestamp(channel.create_time))


def _fill_facts(m: channel_pb2.ChannelFacts, facts: ChannelFacts) -> None:
    m.takes_on = channel_pb2.TakesOn.ValueType(facts.takes_on)
    m.close_keeps = not facts.close_restores
    m.refund_keeps = not facts.refund_restores
    m.payment_limit.FromMilliseconds(facts.payment_limit_ms)
    m.apply_late_limit.FromMilliseconds(facts.apply_late_ms)
    m.clock_margin.FromMilliseconds(facts.clock_margin_ms)


def fill_listing(m: channel_pb2.Listing, listing: Listing, now: datetime) -> None:
    """Fill a listing; its pace is that of `now`, the ledger's time."""
    m.listing_id = listing.listing_id
    m.channel = listing.channel
    m.item_id = listing.item_id
    m.platform_sku_id = listing.platform_sku_id
    for component in listing.components:
        m.components.add(sku=component.sku, units=component.units)
    if listing.takes_on is not None:
        m.takes_on = channel_pb2.TakesOn.ValueType(listing.takes_on)
    state = listing.state
    if state.exposure is not None:
        m.exposure = state.sales_left
    if state.shown is not None:
        m.shown = state.shown
    if state.read_time is not None:
        m.read_time.CopyFrom(timestamp(state.read_time))
    if state.push is not None:
        fill_push(m.push, state.push)
    m.sales_per_minute = 60 * state.pace_at(now)
    m.parked_reason = state.parked_reason
    m.last_push_id = state.last_push_id


def fill_push(m: channel_pb2.Push, push: Push) -> None:
    """Fill a change that is under way."""
    m.push_id = push.push_id
    m.kind = channel_pb2.PushKind.ValueType(push.kind)
    m.sales = push.sales
    m.withdrawn = push.withdrawn
    m.create_time.CopyFrom(timestamp(push.create_time))
    m.urgency = push.urgency
    m.unknown = push.unknown_since is not None
    m.traceparent = push.traceparent


def fill_policy(m: channel_pb2.StockPolicy, policy: Policy) -> None:
    """Fill how a SKU is divided."""
    m.sku = policy.sku
    m.kind = channel_pb2.PolicyKind.ValueType(policy.kind)
    for share in policy.shares:
        m.shares.add(channel=share.channel, share=share.share, cap=share.cap)
    m.stop_at = policy.stop_at
    m.shown_min = policy.shown_min
    m.buffer = policy.buffer
    m.escrow_below = policy.escrow_below


def fill_verdict(m: operations_service_pb2.CheckConsistencyResponse, verdict: Verdict) -> None:
    """Fill what a consistency check has found."""
    m.consistent = verdict.consistent
    m.revision = verdict.revision
    m.levels_checked = verdict.levels_checked
    m.reservations_checked = verdict.reservations_checked
    m.check_time.CopyFrom(timestamp(verdict.check_time))
    for breach in verdict.breaches:
        m.breaches.add(
            check=breach.check,
            sku=breach.sku,
            location=breach.location,
            expected=breach.expected,
            actual=breach.actual,
        )


def _fill_recorded(m: Any, answer: AnyAnswer) -> None:
    m.revision = answer.revision
    m.record_time.CopyFrom(timestamp(answer.record_time))
