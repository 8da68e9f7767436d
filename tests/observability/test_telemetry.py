"""What is kept and what is not; whose span a text names; a process that ends though nobody takes its spans."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from gateway import telemetry
from gateway.sampling import NAMES_MAX, RATIO, Allowance, Sampling
from gateway.telemetry import LINKS_MAX
from tests.observability.kept import (
    SAMPLED,
    SPAN_ID,
    TRACE_ID,
    UNSAMPLED,
    Kept,
    links_of,
    parent_id_of,
    span_id_of,
    told,
)

EXIT_SECONDS_MAX = 20.0
# Begins a span in a fresh process, and says what became of it.
CHILD = """
import json, sys
from gateway import telemetry
found = []
telemetry.add_sink(found.extend)
telemetry.configure("stockgate-gateway", instance="seven")
telemetry.configure("another")
span = telemetry.begin("work", keep=True)
span.end()
told = dict(found[0].resource.attributes) if found else {}
sys.stdout.write(json.dumps([told, telemetry.traceparent_of(span), telemetry.sampling.ratio]))
"""


def run(**environment: str) -> tuple[dict[str, str], str | None, float]:
    """What the child says."""
    process = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=EXIT_SECONDS_MAX,
        check=True,
    )
    return tuple(json.loads(process.stdout))


def test_a_process_says_who_it_is() -> None:
    """Name, instance and release; what it was told first holds, and OTEL_RESOURCE_ATTRIBUTES is added."""
    told, traceparent, ratio = run(OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    assert (told["service.name"], told["service.instance.id"]) == ("stockgate-gateway", "seven")
    assert told["service.version"]
    assert told["deployment.environment.name"] == "test"
    assert traceparent
    assert ratio == RATIO


def test_a_process_may_be_called_otherwise() -> None:
    """OTEL_SERVICE_NAME has the last word."""
    told, _, _ = run(OTEL_SERVICE_NAME="tills")
    assert told["service.name"] == "tills"


def test_nothing_is_traced_where_the_sdk_is_disabled() -> None:
    """OTEL_SDK_DISABLED: no span, and no name for one."""
    assert run(OTEL_SDK_DISABLED="true") == ({}, None, 0.0)


def test_a_protocol_that_we_do_not_speak_is_told() -> None:
    """Else spans would go nowhere, and nobody would know why."""
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    command = [sys.executable, "-c", CHILD]
    found = subprocess.run(command, env=environment, capture_output=True, timeout=EXIT_SECONDS_MAX, check=True)
    assert b"gRPC alone" in found.stderr


def test_a_process_ends_though_its_collector_is_away() -> None:
    """Within a few seconds, for nobody waits for the last spans longer than that."""
    began = time.monotonic()
    told, _, _ = run(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_METRICS_EXPORTER="none")
    assert told
    assert time.monotonic() - began < EXIT_SECONDS_MAX / 2


@pytest.mark.parametrize(
    ("environment", "ratio", "follows"),
    [
        ({}, RATIO, True),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, 1.0, False),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_on"}, 1.0, True),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 0.0, True),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 0.25, True),
        ({"OTEL_TRACES_SAMPLER": "traceidratio"}, 1.0, False),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"}, RATIO, False),
        ({"OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote"}, RATIO, True),
    ],
)
def test_the_environment_chooses_the_share(environment: dict[str, str], ratio: float, follows: bool) -> None:
    """The standard's variables; what they do not say right is as if it had not been said."""
    sampling = Sampling.from_environment(environment)
    assert (sampling.ratio, sampling.follows_caller) == (ratio, follows)


def test_a_crowd_is_not_traced_beyond_a_bound() -> None:
    """However large the share is, no more than so many traces of one name begin in a second."""
    sampling = Sampling(1.0, follows_caller=True, per_second_max=50)
    began = time.monotonic()
    drawn = sum(sampling.draw("ReserveStock") for _ in range(10_000))
    assert 50 <= drawn <= 50 * (2 + int(time.monotonic() - began))


def test_a_crowd_does_not_take_the_turn_of_what_is_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the very second in which a crowd has had its share, another name is drawn; names are not endless."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    sampling = Sampling(1.0, follows_caller=True, per_second_max=2)
    assert [sampling.draw("ReserveStock") for _ in range(3)] == [True, True, False]
    assert sampling.draw("allocate")
    drawn = [sampling.draw(str(number)) for number in range(2 * NAMES_MAX)]
    assert sum(drawn) <= NAMES_MAX


def test_an_allowance_is_renewed_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many in one second, and as many in the next."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    allowance = Allowance(2)
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now = 101.0
    assert allowance.take()


def test_a_span_knows_what_caused_it(kept: Kept) -> None:
    """Of one fresh cause it is a child; of an old one, or of several, it is a root that links to them."""
    others = [f"00-{TRACE_ID}-{number:016x}-01" for number in (1, 2)]
    for origins, is_fresh in (([SAMPLED], True), ([SAMPLED], False), (others, True), ([SAMPLED, SAMPLED], True)):
        origin = telemetry.origin_of(origins, is_fresh=is_fresh)
        telemetry.begin("work", origin=origin, kind=SpanKind.CONSUMER).end()
    assert [parent_id_of(one) for one in kept.spans] == [SPAN_ID, "", "", SPAN_ID]
    assert [told(one)["stockgate.join"] for one in kept.spans] == ["parent", "link", "link", "parent"]
    assert [len(links_of(one)) for one in kept.spans] == [1, 1, 2, 1]


def test_work_for_something_sampled_is_sampled(kept: Kept) -> None:
    """By link as by parent; what is linked to nothing sampled is not."""
    for origins in ([UNSAMPLED, SAMPLED], [UNSAMPLED]):
        telemetry.begin("work", origin=telemetry.origin_of(origins, is_fresh=False)).end()
    (span,) = kept.spans
    assert len(span.links) == 2


def test_links_are_bounded_and_the_rest_is_counted(kept: Kept) -> None:
    """A push may settle hundreds of movements."""
    origins = [f"00-{TRACE_ID}-{number:016x}-01" for number in range(1, LINKS_MAX + 9)]
    telemetry.begin("work", origin=telemetry.origin_of(origins, is_fresh=True)).end()
    (span,) = kept.spans
    assert len(span.links) == LINKS_MAX
    assert told(span)["stockgate.links.dropped"] == 8
    assert len(telemetry.links_of([*origins, "nonsense"])) == LINKS_MAX


def test_a_span_that_is_not_kept_has_a_name_all_the_same(kept: Kept) -> None:
    """So that what it causes elsewhere has a parent."""
    span = telemetry.begin("work")
    traceparent = telemetry.traceparent_of(span)
    assert traceparent is not None
    assert telemetry.parse(traceparent) is not None
    assert not telemetry.is_sampled(traceparent)
    span.end()
    assert kept.spans == []


def test_what_failed_is_kept_under_the_name_it_went_by(kept: Kept) -> None:
    """Its class is told and nothing of its text: a driver's has what was written, and spans leave the house."""
    names = []
    with suppress(ZeroDivisionError), telemetry.doing("work", origin=telemetry.origin_of([UNSAMPLED], is_fresh=True)):
        names.append(telemetry.current_traceparent())
        raise ZeroDivisionError("a word of the inside")
    (span,) = kept.spans
    assert names == [f"00-{TRACE_ID}-{span_id_of(span)}-00"]
    assert (parent_id_of(span), told(span)["error.type"]) == (SPAN_ID, "ZeroDivisionError")
    assert (span.status.status_code, span.status.description, len(span.events)) == (StatusCode.ERROR, None, 0)
    with telemetry.doing("work"):
        pass
    assert len(kept.spans) == 1


def test_a_name_is_read_as_it_was_written() -> None:
    """Also one of a version to come; the flags are kept."""
    for text in (SAMPLED, UNSAMPLED, SAMPLED.replace("00-", "cc-", 1) + "-more"):
        context: Any = telemetry.parse(text)
        assert (f"{context.trace_id:032x}", f"{context.span_id:016x}") == (TRACE_ID, SPAN_ID)
        assert context.trace_flags.sampled == telemetry.is_sampled(text[:55])


def test_a_sink_that_fails_hinders_nobody(kept: Kept) -> None:
    """Neither the work nor the other sinks."""

    def fail(_spans: object) -> None:
        raise ZeroDivisionError

    remove = telemetry.add_sink(fail)
    telemetry.begin("work", keep=True).end()
    remove()
    assert len(kept.spans) == 1
