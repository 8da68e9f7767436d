"""Everything that is measured, under its name: one line here for who measures, and one place to look them all up.

Names and units are those of OpenTelemetry; Prometheus sees `stockgate.sync.lag` in `s` as `stockgate_sync_lag_seconds`.
Labels are few and bounded: merchant, channel, tier, outcome, reason, never a SKU. What is counted at an event is
counted by the process that it happened in, so that many of them can be added up. What is a state, and so read again and
again (`observe`), every gateway that serves the merchant says alike.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from opentelemetry import context as api_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from gateway import telemetry
from gateway.exposition import Durations

Labels = Mapping[str, str]

_meter = get_meter("stockgate", schema_url=telemetry.SCHEMA_URL)
# From a tenth of what is wanted (300 ms, 1 s) to what nobody wants.
_LAG_BUCKETS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_UNIT_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000)
_PEOPLE_BUCKETS = (5, 10, 20, 30, 60, 120, 180, 300, 600, 1_800, 3_600)


# ---- calls

rpc_server_duration = Durations(
    "rpc.server.call.duration",
    "How long unary calls took, from their arrival to their answer. Streams are not in it.",
    ("rpc.method", "rpc.response.status_code"),
    constants={"rpc.system.name": "grpc"},
)
http_client_duration = _meter.create_histogram(
    "http.client.request.duration",
    "s",
    "How long calls to platforms took; http.request.method, server.address, url.template, http.response.status_code, "
    "error.type.",
    explicit_bucket_boundaries_advisory=_LAG_BUCKETS,
)
db_client_duration = Durations(
    "db.client.operation.duration",
    "How long groups of commands took in the database; db.operation.name is `load` or `save`, error.type what failed.",
    ("db.operation.name", "error.type"),
    constants={"db.system.name": "postgresql"},
)

db_connection_wait = Durations(
    "db.client.connection.wait_time",
    "How long it took to get a connection to the database.",
    ("db.client.connection.pool.name",),
    constants={},
)
db_connection_timeouts = _meter.create_counter(
    "db.client.connection.timeouts", "{timeout}", "How often there was no connection in time, by pool."
)


# ---- selling

sync_lag = _meter.create_histogram(
    "stockgate.sync.lag",
    "s",
    "From the ledger's oldest unanswered movement to the platform's confirmation of the push that answers it.",
    explicit_bucket_boundaries_advisory=_LAG_BUCKETS,
)
push_attempts = _meter.create_counter(
    "stockgate.push.attempts", "{attempt}", "Calls to platforms that were to change a number, by channel and outcome."
)
drift_units = _meter.create_histogram(
    "stockgate.drift.units",
    "{unit}",
    "How far platforms were off where they showed what nobody had asked them to; without sign.",
    explicit_bucket_boundaries_advisory=_UNIT_BUCKETS,
)
shortfall_units = _meter.create_counter(
    "stockgate.shortfall.units", "{unit}", "Units sold that cannot be served, by channel and cause. The promise is 0."
)
invariant_breaches = _meter.create_counter(
    "stockgate.invariant.breaches", "{breach}", "Places where the ledger did not add up (R18, R20), by rule."
)
brakes = _meter.create_counter(
    "stockgate.brake.stops", "{stop}", "Channels that were paused because too much would have gone to zero (R31)."
)
rate_limit_wait = _meter.create_histogram(
    "stockgate.rate_limit.wait",
    "s",
    "How long calls to platforms waited for their turn within the platform's limits, by channel.",
    explicit_bucket_boundaries_advisory=_LAG_BUCKETS,
)


# ---- warnings

alert_transitions = _meter.create_counter(
    "stockgate.alert.transitions", "{transition}", "Tier changes, by the tier that was entered and the direction."
)
alert_detect_latency = _meter.create_histogram(
    "stockgate.alert.detect.latency",
    "s",
    "From the order in the ledger to the tier change in the alert log.",
    explicit_bucket_boundaries_advisory=_LAG_BUCKETS,
)
alert_delivery_lag = _meter.create_histogram(
    "stockgate.alert.delivery.lag",
    "s",
    "From the event in the alert log to the subscriber's word that it has read it.",
    explicit_bucket_boundaries_advisory=_LAG_BUCKETS,
)
ack_latency = _meter.create_histogram(
    "stockgate.ack.latency",
    "s",
    "From a warning to the person who took it on, by tier.",
    explicit_bucket_boundaries_advisory=_PEOPLE_BUCKETS,
)
notices = _meter.create_counter(
    "stockgate.notices",
    "{notice}",
    "Warnings for group robots and live rooms, by robot and outcome: TOLD, REHEARSED, GIVEN_UP, DROPPED (too many "
    "waited), and what failed and is tried again: REFUSED, THROTTLED, UNKNOWN, NOT_APPLIED, NOT_SENT.",
)


# ---- streams and loops

streams_closed = _meter.create_counter("stockgate.watch.closed", "{stream}", "Streams that have ended, by reason.")
streams_coalesced = _meter.create_counter(
    "stockgate.watch.coalesced", "{round}", "Rounds in which a slow reader was given the sum instead of each change."
)
loop_failures = _meter.create_counter(
    "stockgate.loop.failures", "{failure}", "Loops that failed for a reason nobody had foreseen, and began again."
)
loop_pauses = _meter.create_counter(
    "stockgate.loop.pauses", "{pause}", "Rounds that a loop left out, mostly because the database was away."
)


# ---- states, read when somebody asks


class Reading(NamedTuple):
    """One value of a gauge, by its name below."""

    gauge: str
    value: float
    labels: Labels


Source = Callable[[], Iterable[Reading]]
NOTES_DEPTH = "stockgate.notes.depth"
NOTES_AGE = "stockgate.notes.oldest_age"
STREAMS = "stockgate.watch.streams"
LAGGING = "stockgate.watch.lagging"
BRIER = "stockgate.forecast.brier"
BREAKER = "stockgate.breaker.state"
CONNECTOR_AGE = "stockgate.connector.age"
WATERMARK_AGE = "stockgate.watermark.age"
PARKED = "stockgate.listings.parked"
PAUSED = "stockgate.channel.paused"
CONNECTIONS = "db.client.connection.count"
CONNECTIONS_MAX = "db.client.connection.max"
CONNECTIONS_WANTED = "db.client.connection.pending_requests"
GAUGES = {
    NOTES_DEPTH: (
        "{note}",
        "Work that waits, by consumer: movements (of the engine: since it last said where it is), pushes, notices.",
    ),
    NOTES_AGE: ("s", "How old the oldest of that is; 0 if nothing waits. Of the engine: how far its clock is behind."),
    STREAMS: ("{stream}", "Streams that are open in this gateway, by method."),
    LAGGING: ("{stream}", "Streams of the alert log that are not in step with it."),
    BRIER: ("1", "How well warnings have said the chance of selling out, the last day; 0 is best, by tier."),
    BREAKER: ("1", "Whether calls to the channel's platform are held back because it does not answer: 1, else 0."),
    CONNECTOR_AGE: ("s", "How long the channel's connector has not been heard."),
    WATERMARK_AGE: ("s", "Up to how long ago the channel's orders are all in."),
    PARKED: ("{listing}", "Listings of the channel that wait for a person."),
    PAUSED: ("1", "Whether the channel is paused: 1, else 0."),
    CONNECTIONS: ("{connection}", "Connections of this gateway to the database, by pool and state: `used`, `idle`."),
    CONNECTIONS_MAX: ("{connection}", "How many connections a pool may have; `long` opens more when it has to."),
    CONNECTIONS_WANTED: ("{request}", "Who waits for a connection of this gateway, by pool."),
}
_sources: list[Source] = []


def observe(source: Source) -> Callable[[], None]:
    """Ask this for its readings whenever somebody wants to know; it must be quick. Returns what ends it."""
    _sources.append(source)

    def end() -> None:
        if source in _sources:
            _sources.remove(source)

    return end


def within(traceparent: str | None) -> Context:
    """The context to record a value in that belongs to this span (W3C), so that it can be an exemplar."""
    span = None if traceparent is None else telemetry.parse(traceparent)
    if span is None:
        return api_context.Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(span), api_context.Context())


def _asked(gauge: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_options: CallbackOptions) -> Iterable[Observation]:
        for source in tuple(_sources):
            for reading in source():
                if reading.gauge == gauge:
                    yield Observation(reading.value, reading.labels)

    return read


for _name, (_unit, _description) in GAUGES.items():
    _meter.create_observable_gauge(_name, [_asked(_name)], _unit, _description)
