"""Spans on their way to the gateway: one that is away costs them, and nothing else."""

import logging
import socket
import time

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from connectors import exporting
from connectors.exporting import exporter_to
from connectors.gateway_client import GatewayAddress
from gateway import telemetry
from tests.observability.kept import Kept


def test_spans_that_nobody_takes_are_counted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once a minute how many were lost; their token is never said."""
    monkeypatch.setattr(exporting, "EXPORT_SECONDS", 0.2)
    telemetry.configure("tests")
    kept = Kept("nobody")
    remove = telemetry.add_sink(kept.take)
    telemetry.begin("work", keep=True).end()
    remove()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        exporter = exporter_to(GatewayAddress(f"127.0.0.1:{taken.getsockname()[1]}", "main.secret"))
        begun = time.monotonic()
        with caplog.at_level(logging.INFO, "connectors"):
            assert exporter.export(kept.spans) is SpanExportResult.FAILURE
            assert exporter.export(kept.spans) is SpanExportResult.FAILURE
        assert time.monotonic() - begun < 5
        exporter.shutdown()
    lost = [record for record in caplog.records if record.name == exporting.__name__]
    assert [vars(record)["lost"] for record in lost] == [len(kept.spans)]
    assert "secret" not in caplog.text
