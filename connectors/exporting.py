"""Spans of this process, on their way to the gateway it serves; and its metrics, for who reads them.

The gateway shows spans without a collector. Where OTEL_EXPORTER_OTLP_ENDPOINT names one they go there alone. They leave
in batches, from a thread of their own; a gateway that is away costs spans, which the log counts, and nobody's time.
"""

import logging
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import typer
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from connectors.gateway_client import GatewayAddress, credentials_of
from gateway import exposition, telemetry

log = logging.getLogger(__name__)

EXPORT_SECONDS = 5.0
# What is lost is said so often, and how much of it.
TELL_SECONDS = 60.0
_COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class _Exporter(SpanExporter):
    """The library's, but for what it says when nobody takes spans: that is nothing to wake anybody for."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._told = float("-inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if time.monotonic() - self._told > TELL_SECONDS:
                log.info("spans were lost, for nobody took them", extra={"lost": self._lost})
                self._lost, self._told = 0, time.monotonic()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def trace_to(address: GatewayAddress, service: str) -> None:
    """Trace this process from now on, under this name, and hand what is kept to the gateway or the collector."""
    telemetry.configure(service, instance=f"{socket.gethostname()}-{os.getpid()}")
    has_collector = any(os.environ.get(name, "").strip() for name in _COLLECTORS)
    if has_collector or os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    telemetry.export_to(exporter_to(address))


def expose_metrics() -> None:
    """Let Prometheus read this process, if OTEL_EXPORTER_PROMETHEUS_HOST or _PORT is set. Raises `BadParameter`."""
    try:
        at = exposition.serve_where_asked(os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except OSError as error:
        raise typer.BadParameter(f"{exposition.PORT_VARIABLE}: cannot serve there: {error.strerror}") from error
    if at:
        log.info("metrics are served", extra={"address": at})


def exporter_to(address: GatewayAddress) -> SpanExporter:
    """Hands spans to a gateway, in the name of its merchant."""
    # grpc wants a number here, whatever the library's annotation says.
    options: Any = (("grpc.enable_http_proxy", 0 if address.is_local else 1),)
    exporter = OTLPSpanExporter(
        address.address,
        insecure=address.certificate is None,
        credentials=credentials_of(address),
        headers=(("authorization", f"Bearer {address.token}"),) if address.token else (),
        timeout=EXPORT_SECONDS,
        channel_options=options,
    )
    return _Exporter(exporter)
