"""OperationsService: who reads the alert log and how far behind, and how each channel keeps up."""

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration

from gateway.health import ChannelHealth, StreamHealth
from gateway.rpc import rendering
from gateway.rpc.channel import fill_drift
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb


async def list_streams(call: Call, _request: pb.ListStreamsRequest) -> pb.ListStreamsResponse:
    """List readers of the alert log, by name."""
    found = await call.merchant.health.streams()
    response = pb.ListStreamsResponse(revision=found.revision)
    for stream in found.streams:
        _fill_stream(response.streams.add(), stream)
    for ending in found.closed:
        last_time = rendering.timestamp(ending.last_time)
        response.closed.add(reason=ending.reason, count=ending.count, last_time=last_time)
    return response


async def list_channel_health(call: Call, _request: pb.ListChannelHealthRequest) -> pb.ListChannelHealthResponse:
    """List channels with how they keep up, by code."""
    found, now = await call.merchant.health.channels()
    response = pb.ListChannelHealthResponse(as_of=rendering.timestamp(now))
    for health in found:
        _fill_channel(response.channels.add(), health, now)
    return response


def _fill_stream(m: operations_pb2.StreamState, stream: StreamHealth) -> None:
    for name in ("subscriber_id", "sent_revision", "cursor_revision", "waiting", "state", "coalesced"):
        setattr(m, name, getattr(stream, name))
    for name in ("open_time", "report_time"):
        if (time := getattr(stream, name)) is not None:
            getattr(m, name).CopyFrom(rendering.timestamp(time))


def _fill_channel(m: operations_pb2.ChannelHealth, health: ChannelHealth, now: datetime) -> None:
    rendering.fill_channel(m.channel, health.channel)
    for name in ("pushes", "pushes_open", "parked", "drifts", "attempts_failed"):
        setattr(m, name, getattr(health, name))
    for name in ("lag_p50", "lag_p99"):
        if (seconds := getattr(health, name)) is not None:
            getattr(m, name).CopyFrom(_duration(timedelta(seconds=seconds)))
    if health.oldest_push_time is not None:
        m.oldest_push_time.CopyFrom(rendering.timestamp(health.oldest_push_time))
    if health.last_drift is not None:
        fill_drift(m.last_drift, health.last_drift)
    if health.channel.watermark is not None:
        m.watermark_age.CopyFrom(_duration(max(timedelta(), now - health.channel.watermark)))


def _duration(interval: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(interval)
    return duration


METHODS: dict[str, Unary | Streaming] = {"ListStreams": list_streams, "ListChannelHealth": list_channel_health}
