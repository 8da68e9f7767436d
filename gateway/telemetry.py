"""OpenTelemetry, set up once per process: its SDK is imported here and in `exposition.py`, and nowhere else.

A trace is sampled, or not, when its first span begins, and the decision travels in the flags of its `traceparent`. A
caller's decision is followed. Else: what was drawn (10 %, and no more than twenty traces a second of each name;
OTEL_TRACES_SAMPLER and its ARG say otherwise, without that bound); what links to something sampled; what somebody has
asked to see (`keep`). Sampling by what a trace will turn out to be is not possible, for traces that are linked are not
one. So what turns out to be a fault, or slow, gets its span afterwards (`record`), with the reason in `stockgate.kept`.

Kept spans go to whoever has asked for them (`add_sink`), and over OTLP where OTEL_EXPORTER_OTLP_ENDPOINT says; logs and
metrics go there as well. A collector that is away costs spans, and nobody's time.

Names are those of the semantic conventions 1.44; RPC is a release candidate there. The formats: W3C Trace Context,
https://www.w3.org/TR/trace-context-2/#traceparent-header.
"""

import atexit
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib.metadata import version
from typing import NamedTuple
from uuid import uuid4

from opentelemetry import context as api_context
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import Attributes, AttributeValue

from gateway import exposition
from gateway.sampling import Allowance, Sampling

log = logging.getLogger(__name__)

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
# An outage is not made worse by telling of each of its faults.
FAULTS_PER_SECOND_MAX = 20
LINKS_MAX = 32
# What came of one row so lately is shown as one trace.
JOIN_SECONDS = 60.0
# Who hands its spans to a gateway is looked at there, by somebody who has just seen it work.
EXPORT_DELAY_MS = 1_000
# So long the last spans may take to leave when the process ends.
EXIT_SECONDS = 2.0
SIGNALS = ("TRACES", "METRICS", "LOGS")
KEPT = "stockgate.kept"
KeptSpan = ReadableSpan
Sink = Callable[[Sequence[KeptSpan]], None]

tracer = trace.get_tracer("stockgate", version("stockgate"), schema_url=SCHEMA_URL)

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_KEEP = api_context.create_key("stockgate.keep")
_NOWHERE = Context()
# What this work has waited for, and went wrong or was slow.
_blamed: ContextVar[str | None] = ContextVar("blamed", default=None)
# Whose ids the span that is being begun shall have.
_given: ContextVar[SpanContext | None] = ContextVar("given", default=None)
_KEPT_ROOT = api_context.set_value(_KEEP, value=True, context=_NOWHERE)


class _Sampler(Sampler):
    """The rules above, for the SDK."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Keep it, or only its ids."""
        parent = trace.get_current_span(parent_context).get_span_context()
        if api_context.get_value(_KEEP, parent_context):
            is_kept = True
        elif parent.is_valid and (sampling.follows_caller or not parent.is_remote):
            is_kept = parent.trace_flags.sampled
        else:
            is_kept = any(link.context.trace_flags.sampled for link in links or ()) or sampling.draw(name)
        return SamplingResult(Decision.RECORD_AND_SAMPLE if is_kept else Decision.DROP, attributes, parent.trace_state)

    def get_description(self) -> str:
        """What it says of itself."""
        return f"stockgate{{{sampling.ratio}}}"


class _Ids(RandomIdGenerator):
    """Ids by lot, but for a span that is made in the place of one that was not kept."""

    def generate_span_id(self) -> int:
        """Called by the SDK."""
        given = _given.get()
        return super().generate_span_id() if given is None else given.span_id

    def generate_trace_id(self) -> int:
        """Called by the SDK, for a root."""
        given = _given.get()
        return super().generate_trace_id() if given is None else given.trace_id


class _Sinks(SpanProcessor):
    """Hands spans that have ended to whoever asked; the SDK calls this in the thread that ended the span."""

    def __init__(self) -> None:
        self._sinks: tuple[Sink, ...] = ()

    def add(self, sink: Sink) -> Callable[[], None]:
        self._sinks = (*self._sinks, sink)

        def remove() -> None:
            self._sinks = tuple(one for one in self._sinks if one is not sink)

        return remove

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK."""
        for sink in self._sinks:
            try:
                sink((span,))
            # Whatever is wrong with who looks on, the work goes on.
            except Exception:
                log.exception("a span was not taken")


# Until `configure` was called there is nothing to keep.
sampling = Sampling(0.0, follows_caller=True, per_second_max=None, is_on=False)
_sinks = _Sinks()
_providers: list[TracerProvider | MeterProvider | LoggerProvider] = []
_configuring = threading.Lock()
_faults = Allowance(FAULTS_PER_SECOND_MAX)


def configure(service: str, *, instance: str = "", metric_readers: Sequence[MetricReader] = ()) -> None:
    """Set this process up; a second call changes nothing. `service` and `instance` are how it is called in traces.

    The environment has the last word: OTEL_SDK_DISABLED, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_*, OTEL_(TRACES|METRICS|LOGS)_EXPORTER=none.
    """
    global sampling  # noqa: PLW0603 - one per process, as OpenTelemetry's own providers are
    with _configuring:
        if sampling.is_on or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return
        sampling = Sampling.from_environment(os.environ)
        _warn_of_protocols()
        resource = _resource(service, instance)
        tracing = TracerProvider(_Sampler(), resource, shutdown_on_exit=False, id_generator=_Ids())
        tracing.add_span_processor(_sinks)
        if _is_exported("TRACES"):
            tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        exposition.name_target(resource.attributes)
        readers: list[MetricReader] = [exposition.reader, *metric_readers]
        if _is_exported("METRICS"):
            readers.append(PeriodicExportingMetricReader(exposition.Complete(OTLPMetricExporter())))
        measuring = MeterProvider(readers, resource, shutdown_on_exit=False)
        logging_ = LoggerProvider(resource, shutdown_on_exit=False)
        if _is_exported("LOGS"):
            logging_.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        trace.set_tracer_provider(tracing)
        metrics.set_meter_provider(measuring)
        set_logger_provider(logging_)
        _providers.extend((tracing, measuring, logging_))
        atexit.register(shut_down)


def shut_down(timeout_seconds: float = EXIT_SECONDS) -> None:
    """Send what is left, for no longer than this; there is nothing to be traced afterwards."""

    def end() -> None:
        for provider in _providers:
            provider.shutdown()

    sending = threading.Thread(target=end, daemon=True, name="the last spans")
    # A Python that is ending already starts no thread.
    with suppress(RuntimeError):
        sending.start()
        sending.join(timeout_seconds)
    atexit.unregister(shut_down)


def add_sink(sink: Sink) -> Callable[[], None]:
    """Hand spans that are kept to this, as they end, in whatever thread; returns what removes it. It must be quick."""
    return _sinks.add(sink)


def export_to(exporter: SpanExporter) -> None:
    """Send kept spans there as well, in batches, from a thread of its own. Only after `configure`."""
    for provider in _providers:
        if isinstance(provider, TracerProvider):
            provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_DELAY_MS))


def parse(traceparent: str) -> SpanContext | None:
    """Whose span it names; None if it names none, whatever it is."""
    found = _TRACEPARENT.match(traceparent)
    if found is None:
        return None
    rest = traceparent[found.end() :]
    # Versions to come may say more behind a dash; this one may not.
    if rest and (traceparent.startswith("00") or not rest.startswith("-")):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    spanned = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return spanned if spanned.is_valid else None


def is_sampled(traceparent: str) -> bool:
    """True if the trace of this span is kept; of a `traceparent` that is one."""
    return traceparent[-1:] in "13579bdf"


def traceparent_of(span: Span) -> str | None:
    """The span's W3C name; None of one that is none."""
    c = span.get_span_context()
    return f"00-{c.trace_id:032x}-{c.span_id:016x}-{c.trace_flags:02x}" if c.is_valid else None


def current_traceparent() -> str | None:
    """The name of the span whose work is being done; None if there is none."""
    span = trace.get_current_span()
    return None if span is trace.INVALID_SPAN else traceparent_of(span)


def links_of(traceparents: Iterable[str]) -> list[Link]:
    """Links to these spans, each once, the first so many of them."""
    return _links(traceparents)[0]


def _links(traceparents: Iterable[str]) -> tuple[list[Link], int]:
    """Links, and how many there would be besides."""
    found = list(dict.fromkeys(traceparents))
    contexts = [context for one in found[:LINKS_MAX] if (context := parse(one)) is not None]
    return [Link(context) for context in contexts], max(0, len(found) - LINKS_MAX)


class Origin(NamedTuple):
    """What work answers: the span of its only cause, if it is fresh; links to all; the word for which of the two."""

    parent: SpanContext | None
    links: list[Link]
    attributes: dict[str, AttributeValue]


NO_ORIGIN = Origin(None, [], {})


def origin_of(traceparents: Iterable[str], *, is_fresh: bool) -> Origin:
    """Work that was caused by these spans; `is_fresh`: less than `JOIN_SECONDS` ago.

    Of many causes none is the parent, for a span has one; where there is one only, simple backends show one trace.
    """
    links, dropped = _links(traceparents)
    if not links:
        return NO_ORIGIN
    parent = links[0].context if is_fresh and len(links) == 1 else None
    attributes: dict[str, AttributeValue] = {"stockgate.join": "link" if parent is None else "parent"}
    if dropped:
        attributes["stockgate.links.dropped"] = dropped
    return Origin(parent, links, attributes)


def begin(
    name: str,
    *,
    origin: Origin = NO_ORIGIN,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    keep: bool = False,
    start_ns: int | None = None,
) -> Span:
    """A span that was caused by `origin` and by nothing else, current or not; `keep` it whatever was drawn.

    One that is not kept costs little, and has a valid name all the same. To be ended by who began it.
    """
    context = _KEPT_ROOT if keep else _NOWHERE
    if origin.parent is not None:
        context = trace.set_span_in_context(NonRecordingSpan(origin.parent), context)
    return tracer.start_span(
        name,
        context,
        kind,
        {**origin.attributes, **(attributes or {})},
        origin.links,
        start_time=start_ns,
        record_exception=False,
        set_status_on_exception=False,
    )


@contextmanager
def doing(
    name: str,
    *,
    origin: Origin = NO_ORIGIN,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    keep: bool = False,
) -> Iterator[None]:
    """Do something under a span of its own, for the time it takes; if it fails, that is kept. Not around a `yield`."""
    began_ns = time.time_ns()
    span = begin(name, origin=origin, kind=kind, attributes=attributes, keep=keep, start_ns=began_ns)
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield
    # Whatever it was, it is told, without its text, and goes on.
    except Exception as error:
        if sampling.is_on and not span.is_recording():
            span = record(name, began_ns, why="error", origin=origin, kind=kind, attributes=attributes, instead_of=span)
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()


def blame(traceparent: str) -> None:
    """The work that is being done has waited for this span (W3C), which went wrong or was slow."""
    _blamed.set(traceparent)


def blamed() -> list[Link]:
    """A link to the span that was blamed last for what became of this work, if one was."""
    traceparent = _blamed.get()
    return [] if traceparent is None else links_of([traceparent])


def record(
    name: str,
    start_ns: int,
    *,
    why: str,
    origin: Origin = NO_ORIGIN,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    instead_of: Span = trace.INVALID_SPAN,
) -> Span:
    """A span of what has turned out to be worth one, from then (ns since 1970) on; `why` is `error`, `slow` or so.

    `instead_of` was begun for the same because of the same `origin`, and not kept. The new one has its ids: whatever
    has gone out under its name, to children, rows and other processes, leads here. Of very many in one second not all
    are kept.
    """
    told = {**(attributes or {}), KEPT: why}
    dropped = instead_of.get_span_context()
    token = _given.set(dropped if dropped.is_valid else None)
    try:
        return begin(name, origin=origin, kind=kind, attributes=told, keep=_faults.take(), start_ns=start_ns)
    finally:
        _given.reset(token)


def _resource(service: str, instance: str) -> Resource:
    ours = Resource.create(
        {
            "service.name": service,
            "service.version": version("stockgate"),
            "service.instance.id": instance or str(uuid4()),
        },
        SCHEMA_URL,
    )
    return ours.merge(OTELResourceDetector().detect())


def _is_exported(signal: str) -> bool:
    """True if this signal is to be sent: an address is set, and nobody has forbidden it."""
    if os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() == "none":
        return False
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return any(os.environ.get(name, "").strip() for name in names)


def _warn_of_protocols() -> None:
    """Say where something else than gRPC is asked for: what is sent would go nowhere, and nobody would know why."""
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", *(f"OTEL_EXPORTER_OTLP_{one}_PROTOCOL" for one in SIGNALS)):
        protocol = os.environ.get(name, "").strip().lower()
        if protocol not in {"", "grpc"}:
            log.warning("OTLP is spoken over gRPC alone, port 4317 as a rule", extra={"variable": name})
