"""What was measured, as Prometheus reads it and as a collector is sent it.

OpenTelemetry's own exporter for Prometheus (0.66) writes no exemplars, so the text is made here, of the SDK's data:
names as https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ has them, exemplars in
OpenMetrics (https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars), which is sent to who asks for it.

One histogram is filled with every call. The SDK takes some 10 us to record a value, a twentieth of a call; `Durations`
takes less than 1 us, and is put beside the SDK's data wherever that goes.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.exporter.prometheus._mapping import map_unit, sanitize_attribute, sanitize_full_name
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Exemplar as PrometheusExemplar

# Seconds; the conventions' own for `rpc.server.call.duration`.
CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# More than so many combinations of labels are one, as in the SDK: a fault of ours must not fill anybody's memory.
LABELLINGS_MAX = 2_000
# The standard's names and defaults: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
HOST_VARIABLE, PORT_VARIABLE = "OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"
DEFAULT_PORT = 9464
PORT_MAX = 65_535
OVERFLOW = "otel.metric.overflow"
MERCHANT = "merchant"
_SCOPE = InstrumentationScope("stockgate")
_BEGAN_NS = time.time_ns()


class _Seen(NamedTuple):
    """A value, and the span in which it was measured."""

    value: float
    time_ns: int
    span: SpanContext


class _Row:
    """Of one combination of labels: how many values in each bucket, their sum, and the last traced one of each."""

    __slots__ = ("counts", "least", "most", "seen", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum = 0.0
        self.least, self.most = float("inf"), 0.0
        self.seen: dict[int, _Seen] = {}


class Durations:
    """A histogram of seconds for what happens at every call.

    `labels` are the names of the attributes that differ, `constants` those that are the same for all.
    """

    def __init__(
        self,
        name: str,
        description: str,
        labels: tuple[str, ...],
        *,
        constants: Mapping[str, str],
        bounds: Sequence[float] = CALL_BUCKETS,
    ) -> None:
        """Empty; from now on it is part of what is exported."""
        self.name = name
        self.description = description
        self._labels = labels
        self._constants = dict(constants)
        self._bounds = tuple(bounds)
        self._rows: dict[tuple[str, ...], _Row] = {}
        _quick[name] = self

    def record(self, seconds: float, values: tuple[str, ...], span: SpanContext | None = None) -> None:
        """Count a duration; `values` are those of the labels, in order, "" of one that is not said.

        `span` is an exemplar if it is sampled.
        """
        row = self._rows.get(values)
        if row is None:
            row = self._new_row(values)
        place = bisect_left(self._bounds, seconds)
        row.counts[place] += 1
        row.sum += seconds
        row.most = max(row.most, seconds)
        row.least = min(row.least, seconds)
        if span is not None and span.trace_flags.sampled:
            row.seen[place] = _Seen(seconds, time.time_ns(), span)

    def metric(self) -> Metric:
        """What was counted since the process began, as the SDK has it."""
        now = time.time_ns()
        points = [self._point(values, row, now) for values, row in list(self._rows.items())]
        histogram = Histogram(points, AggregationTemporality.CUMULATIVE)
        return Metric(self.name, self.description, "s", histogram)

    def _new_row(self, values: tuple[str, ...]) -> _Row:
        if len(self._rows) >= LABELLINGS_MAX:
            values = ()
        return self._rows.setdefault(values, _Row(len(self._bounds) + 1))

    def _point(self, values: tuple[str, ...], row: _Row, now_ns: int) -> HistogramDataPoint:
        found = {OVERFLOW: "true"}
        if values:
            found = {name: value for name, value in zip(self._labels, values, strict=True) if value}
        attributes = {**self._constants, **found}
        counts = list(row.counts)
        exemplars = [
            Exemplar({}, seen.value, seen.time_ns, seen.span.span_id, seen.span.trace_id)
            for _, seen in sorted(row.seen.items())
        ]
        return HistogramDataPoint(
            attributes, _BEGAN_NS, now_ns, sum(counts), row.sum, counts, self._bounds, row.least, row.most, exemplars
        )


class Complete(MetricExporter):
    """Sends the SDK's metrics on, and ours with them."""

    def __init__(self, exporter: MetricExporter) -> None:
        """Send through this one."""
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001 - as its reader does
        self._exporter = exporter

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **options: Any) -> MetricExportResult:
        """Called by the SDK."""
        return self._exporter.export(_completed(metrics_data), timeout_millis, **options)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Called by the SDK."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **options: Any) -> None:
        """Called by the SDK."""
        self._exporter.shutdown(timeout_millis, **options)


_quick: dict[str, Durations] = {}
# There is one meter provider in a process, and what it has is read here.
reader = InMemoryMetricReader()
_process = ProcessCollector(registry=None)
_resource: dict[str, Any] = {}
# By metric and labels, and by bucket.
_exemplars: dict[tuple[str, tuple[tuple[str, Any], ...]], dict[int, Exemplar]] = {}


def name_target(attributes: Mapping[str, Any]) -> None:
    """Say who is measured: the attributes of this process' resource."""
    _resource.update(attributes)


def render(accept: str = "", merchant: str | None = None) -> tuple[str, bytes]:
    """What was measured as (content type, text), in the format that an Accept header asks for.

    With `merchant` only what is that merchant's, or nobody's.
    """
    encoder, content_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_Exposed(merchant))
    return content_type, encoder(registry)


def serve_where_asked(environment: Mapping[str, str]) -> str:
    """Serve /metrics from a thread where OTEL_EXPORTER_PROMETHEUS_HOST and _PORT say, for a process without a page.

    Returns `host:port`; "" if neither is set. Raises `ValueError` that names the variable at fault, `OSError` if the
    port is taken.
    """
    host, raw = (environment.get(name, "").strip() for name in (HOST_VARIABLE, PORT_VARIABLE))
    if not host and not raw:
        return ""
    if raw and not (raw.isdecimal() and int(raw) <= PORT_MAX):
        raise ValueError(f"{PORT_VARIABLE}: {raw[:50]!r} should be a port, 0 for any free one")
    registry = CollectorRegistry()
    registry.register(_Exposed(None))
    server, _ = start_http_server(int(raw or DEFAULT_PORT), host or "localhost", registry)
    return f"{host or 'localhost'}:{server.server_port}"


class _Exposed:
    """The families of one answer."""

    def __init__(self, merchant: str | None) -> None:
        self._merchant = merchant

    def describe(self) -> Iterable[Family]:
        """None beforehand: a registry asks, to find names that are taken."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Called by the registry."""
        data = reader.get_metrics_data()
        yield from _process.collect()
        yield _target(_resource)
        for metric in _metrics_of(_completed(data)):
            yield _family(metric, self._merchant)


def _completed(data: MetricsData | None) -> MetricsData:
    """The SDK's data and ours."""
    ours = ScopeMetrics(_SCOPE, [one.metric() for one in _quick.values()], "")
    if data is None or not data.resource_metrics:
        return MetricsData([ResourceMetrics(Resource.get_empty(), [ours], "")])
    first, *rest = data.resource_metrics
    return MetricsData([ResourceMetrics(first.resource, [*first.scope_metrics, ours], first.schema_url), *rest])


def _metrics_of(data: MetricsData) -> Iterator[Metric]:
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def _target(attributes: Mapping[str, Any]) -> Family:
    """Who was measured."""
    info = {sanitize_attribute(name): str(value) for name, value in attributes.items()}
    return InfoMetricFamily("target", "Who was measured.", info)


def _family(metric: Metric, merchant: str | None) -> Family:
    """A metric under Prometheus' name, with the points that may be seen."""
    points = [one for one in metric.data.data_points if _is_seen(one.attributes or {}, merchant)]
    labels = sorted({sanitize_attribute(name) for point in points for name in point.attributes or {}})
    name, text = sanitize_full_name(metric.name), metric.description or ""
    unit = map_unit(metric.unit or "")
    match metric.data:
        case Histogram():
            histogram = HistogramMetricFamily(name, text, labels=labels, unit=unit)
            for point in points:
                assert isinstance(point, HistogramDataPoint), "the points of a histogram"
                # Whose spans those of nobody in particular are, is not known: they are for who sees everything.
                leads = merchant is None or MERCHANT in (point.attributes or {})
                buckets = [one if leads else one[:2] for one in _buckets(name, point)]
                histogram.add_metric(_values(point.attributes, labels), buckets, point.sum)
            return histogram
        case Sum(is_monotonic=True):
            family: CounterMetricFamily | GaugeMetricFamily = CounterMetricFamily(name, text, labels=labels, unit=unit)
        case _:
            family = GaugeMetricFamily(name, text, labels=labels, unit=unit)
    for point in points:
        assert isinstance(point, NumberDataPoint), "the points of a number"
        family.add_metric(_values(point.attributes, labels), point.value)
    return family


def _is_seen(attributes: Mapping[str, Any], merchant: str | None) -> bool:
    return merchant is None or attributes.get(MERCHANT, merchant) == merchant


def _values(attributes: Mapping[str, Any] | None, labels: Sequence[str]) -> list[str]:
    found = {sanitize_attribute(name): str(value) for name, value in (attributes or {}).items()}
    return [found.get(label, "") for label in labels]


def _buckets(name: str, point: HistogramDataPoint) -> list[tuple[str, float] | tuple[str, float, PrometheusExemplar]]:
    """The counts up to each bound, each with the newest traced value of its bucket."""
    bounds = [*point.explicit_bounds, float("inf")]
    # The SDK forgets its exemplars as soon as somebody has asked; whoever asks next is to have them too.
    seen = _exemplars.setdefault((name, tuple(sorted((point.attributes or {}).items()))), {})
    seen |= {bisect_left(point.explicit_bounds, one.value): one for one in point.exemplars if one.trace_id}
    found: list[tuple[str, float] | tuple[str, float, PrometheusExemplar]] = []
    total = 0
    for place, (bound, count) in enumerate(zip(bounds, point.bucket_counts, strict=True)):
        total += count
        counted = "+Inf" if bound == float("inf") else repr(float(bound)), float(total)
        exemplar = _exemplar(seen.get(place))
        found.append(counted if exemplar is None else (*counted, exemplar))
    return found


def _exemplar(seen: Exemplar | None) -> PrometheusExemplar | None:
    if seen is None or seen.trace_id is None or seen.span_id is None:
        return None
    ids = {"trace_id": f"{seen.trace_id:032x}", "span_id": f"{seen.span_id:016x}"}
    return PrometheusExemplar(ids, seen.value, seen.time_unix_nano / 1e9)
