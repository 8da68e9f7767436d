"""`stockgate channel health` and `stockgate streams`: how channels and readers keep up."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from google.protobuf.duration_pb2 import Duration

from gateway.cli.channel import app as channel_app
from gateway.cli.client import Caller, gateway_command
from gateway.cli.output import Column, ago, document, number, print_document, print_table, say
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb

app = typer.Typer()

CHANNEL_COLUMNS = (
    Column("channel"),
    Column("state"),
    Column("lag p50"),
    Column("p99"),
    Column("confirmed", is_number=True, worth=3),
    Column("under way", is_number=True),
    Column("oldest", worth=6),
    Column("parked", is_number=True, worth=7),
    Column("failed", is_number=True, worth=5),
    Column("drifts", is_number=True, worth=4),
    Column("orders behind", worth=2),
    Column("connector heard", worth=1),
)
STREAM_COLUMNS = (
    Column("subscriber"),
    Column("state"),
    Column("behind", is_number=True),
    Column("sent", is_number=True, worth=3),
    Column("read", is_number=True, worth=4),
    Column("connected", worth=2),
    Column("reported", worth=5),
    Column("coalesced", is_number=True, worth=1),
)
END_COLUMNS = (Column("ended because"), Column("count", is_number=True), Column("last"))
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
# Below this, tenths of a second matter.
_SHORT_SECONDS = 10


@gateway_command(channel_app, "health")
def channel_health(caller: Caller) -> None:
    """Show how each channel keeps up: its lag and calls of the last ten minutes, its drifts of the last day."""
    response = caller.ask(caller.operations.ListChannelHealth, pb.ListChannelHealthRequest())
    if caller.as_json:
        print_document(document(response))
        return
    now = response.as_of.ToDatetime(UTC)
    print_table(CHANNEL_COLUMNS, [_channel_row(one, now) for one in response.channels], "No channels yet.")


@gateway_command(app)
def streams(caller: Caller) -> None:
    """Show who reads the warnings, how far behind, and why streams of this gateway have ended."""
    response = caller.ask(caller.operations.ListStreams, pb.ListStreamsRequest())
    if caller.as_json:
        print_document(document(response))
        return
    now = datetime.now(UTC)
    say(f"The alert log is at revision {number(response.revision)}.")
    print_table(STREAM_COLUMNS, [_stream_row(one, now) for one in response.streams], "Nobody reads it.")
    if response.closed:
        rows = [(one.reason, one.count, ago(one.last_time, now)) for one in response.closed]
        print_table(END_COLUMNS, rows, "")


def _channel_row(one: operations_pb2.ChannelHealth, now: datetime) -> tuple[str | int, ...]:
    return (
        one.channel.channel,
        _state(one),
        _span(one.lag_p50) if one.HasField("lag_p50") else "–",
        _span(one.lag_p99) if one.HasField("lag_p99") else "–",
        one.pushes,
        one.pushes_open,
        ago(one.oldest_push_time, now),
        one.parked,
        one.attempts_failed,
        one.drifts,
        _span(one.watermark_age) if one.HasField("watermark_age") else "nothing yet",
        ago(one.channel.connector.heartbeat_time, now) or "never",
    )


def _state(one: operations_pb2.ChannelHealth) -> str:
    channel, connector = one.channel, one.channel.connector
    if channel.paused:
        return f"paused: {channel.pause_reason}"
    if connector.needs:
        return f"needs: {connector.needs}"
    if connector.breaker_open:
        return "platform away"
    if connector.ban.ToMilliseconds():
        return f"banned for {_span(connector.ban)}"
    return "open" if channel.HasField("connector") else "no connector"


def _stream_row(one: operations_pb2.StreamState, now: datetime) -> tuple[str | int, ...]:
    return (
        one.subscriber_id or "(unnamed)",
        one.state.lower(),
        one.waiting,
        one.sent_revision,
        one.cursor_revision,
        ago(one.open_time, now) or "not at this gateway",
        ago(one.report_time, now),
        one.coalesced,
    )


def _span(duration: Duration) -> str:
    """A length of time with two figures or so: `0.35 s`, `12 s`, `4 min`, `6 h`, `3 d`."""
    seconds = duration.ToMilliseconds() / 1000
    if seconds < _SHORT_SECONDS:
        return f"{seconds:.2g} s"
    for length, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
