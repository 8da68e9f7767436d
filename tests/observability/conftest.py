"""What is measured in this process, to be looked at."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics import parser
from prometheus_client.samples import Sample

from gateway import exposition, health, telemetry, writer
from gateway.rpc import call_spans
from tests.observability.kept import Kept

SLOW_NS = 3_600_000_000_000
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(autouse=True)
def measured() -> None:
    """This process measures."""
    telemetry.configure("tests")


@pytest.fixture
def kept(token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """The spans of the test's merchant. None is drawn, and a busy machine is not what is slow.

    So whether one is kept is the caller's decision, or the test's.
    """
    monkeypatch.setattr(telemetry.sampling, "ratio", 0.0)
    for module in (call_spans, writer):
        monkeypatch.setattr(module, "SLOW_NS", SLOW_NS)
    monkeypatch.setattr(health, "SLOW_SYNC_SECONDS", SLOW_NS / 1e9)
    found = Kept(token.partition(".")[0])
    remove = telemetry.add_sink(found.take)
    yield found
    remove()


def samples() -> list[Sample]:
    """All that is measured, as Prometheus reads it."""
    _, text = exposition.render(OPEN_METRICS)
    return parsed(text.decode())


def parsed(text: str) -> list[Sample]:
    """The samples of an OpenMetrics text."""
    read: Any = parser.text_string_to_metric_families
    return [sample for family in read(text) for sample in family.samples]


def value_of(name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    return sum(one.value for one in samples() if one.name == name and labels.items() <= one.labels.items())


def labelled(name: str) -> list[dict[str, str]]:
    """The labels of a metric's samples."""
    return [one.labels for one in samples() if one.name == name]
