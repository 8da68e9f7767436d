"""`stockgate trace`: a waterfall in a terminal, recent traces, and everything about a SKU for some minutes."""

from collections.abc import AsyncIterator

import grpc.aio
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from gateway.cli.waterfall import lines
from gateway.v1.operations_pb2 import Span
from tests.cli.conftest import Stockgate
from tests.client import Client
from tests.rpc.test_traces import Traces, hex_id, span, told


@pytest.fixture
async def traces(client: Client, gateway_address: str) -> AsyncIterator[Traces]:
    """One order's trace, and a push of another trace that goes on from it and has failed."""
    async with grpc.aio.insecure_channel(gateway_address) as channel:
        found = Traces(client, TraceServiceStub(channel))  # type: ignore[no-untyped-call]  # generated, by others
        sku = told("stockgate.sku", string_value="TEA")
        failed = Status(code=Status.STATUS_CODE_ERROR)
        said = told("error.type", string_value="Throttled")
        await found.export(span(1, 1, name="take order"), span(1, 2, parent=1, name="POST /router/rest"))
        await found.export(span(2, 1, links=(1,), name="process push", attributes=[sku]))
        await found.export(span(2, 3, parent=1, name="[red]<POST>", status=failed, attributes=[said]))
        yield found


@pytest.mark.usefixtures("traces")
async def test_a_trace_is_a_waterfall(quick_stockgate: Stockgate) -> None:
    """What came of what is indented; what goes on from another trace, and what has failed, says so in words too."""
    out = (await quick_stockgate("trace", hex_id(1))).out
    head, _, _, *rows = [line.rstrip() for line in out.splitlines() if line.strip()]
    assert "4 spans, 2 traces (1 linked)" in head
    assert "1 failed" in head
    assert "take order" in rows[0]
    assert any("  POST /router/rest" in row for row in rows)
    assert any("  ↪ process push" in row and "TEA" in row for row in rows)
    assert any("    [red]<POST> failed" in row and "Throttled" in row for row in rows)
    alone = (await quick_stockgate("trace", f"00-{hex_id(2)}-{1:016x}-01", "--alone", "--json")).document["spans"]
    assert [one["attributes"].get("stockgate.sku") for one in alone] == ["TEA", None]


@pytest.mark.usefixtures("traces")
async def test_recent_traces(quick_stockgate: Stockgate) -> None:
    """Newest first; only those about a SKU, only those that failed."""
    every = (await quick_stockgate("trace", "--json")).document["traces"]
    assert {one["trace_id"] for one in every} == {hex_id(1), hex_id(2)}
    assert hex_id(1) not in (await quick_stockgate("trace", "--recent", "--errors")).out
    assert hex_id(2) in (await quick_stockgate("trace", "--sku", "TEA")).out
    assert "No trace is kept." in (await quick_stockgate("trace", "--sku", "MUG")).out


async def test_a_trace_that_is_gone(quick_stockgate: Stockgate) -> None:
    """Is no error; what is no id is."""
    assert "kept for an hour" in (await quick_stockgate("trace", hex_id(9))).out
    wrong = await quick_stockgate("trace", "nonsense", "--json")
    assert (wrong.exit_code, wrong.error["violations"][0]["field"]) == (1, "trace_id")


async def test_a_sku_is_traced_for_some_minutes(quick_stockgate: Stockgate, client: Client) -> None:
    """Until then, or until it is enough; only with a SKU, and only one there is."""
    await client.add_sku("TEA")
    assert (
        "Everything about TEA is traced until" in (await quick_stockgate("trace", "--sku", "TEA", "--minutes", "5")).out
    )
    assert "as everything else" in (await quick_stockgate("trace", "--sku", "TEA", "--minutes", "0")).out
    assert (await quick_stockgate("trace", "--minutes", "5", "--json")).exit_code == 2
    unknown = await quick_stockgate("trace", "--sku", "MUG", "--minutes", "5", "--json")
    assert (unknown.exit_code, unknown.error["reason"]) == (1, "SKU_UNKNOWN")


def test_whatever_spans_say_of_each_other_each_is_a_line() -> None:
    """Rings, spans above themselves, and thousands under each other."""
    ring = [Span(trace_id="t", span_id="a", parent_span_id="b"), Span(trace_id="t", span_id="b", parent_span_id="a")]
    itself = [Span(trace_id="t", span_id="c", parent_span_id="c")]
    deep = [Span(trace_id="t", span_id=f"d{n}", parent_span_id=f"d{n - 1}") for n in range(2_000)]
    found = lines([*ring, *itself, *deep])
    assert sorted(line.span.span_id for line in found) == sorted(one.span_id for one in (*ring, *itself, *deep))
