"""Recent spans: handed in by other processes over OTLP, found again with what they came from and what came of them."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc.aio
import pytest
from grpc import StatusCode
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from gateway import telemetry
from gateway.rpc.traces import SPANS_AT_ONCE_MAX
from gateway.sampling import Sampling
from gateway.settings import Settings
from gateway.store import spans as store
from gateway.store.database import Database
from gateway.store.spans import remove_spans
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb
from tests.client import Client
from tests.refusals import refused

NOW_NS = time.time_ns()
MS = 1_000_000


def span(trace: int, number: int, parent: int = 0, links: tuple[int, ...] = (), **content: Any) -> Span:
    """A span of a trace, both numbered; it links to the first spans of other traces."""
    told = {"name": f"work {number}", "kind": Span.SPAN_KIND_CONSUMER}
    times = {"start_time_unix_nano": NOW_NS + number * MS, "end_time_unix_nano": NOW_NS + (number + 5) * MS}
    parent_id = {"parent_span_id": parent.to_bytes(8)} if parent else {}
    linked = [Span.Link(trace_id=other.to_bytes(16), span_id=(1).to_bytes(8)) for other in links]
    ids = {"trace_id": trace.to_bytes(16), "span_id": number.to_bytes(8), **parent_id}
    return Span(**{**told, **times, **ids, "links": linked, **content})


def told(name: str, **value: Any) -> KeyValue:
    """An attribute."""
    return KeyValue(key=name, value=AnyValue(**value))


def hex_id(trace: int) -> str:
    """A trace's id as the API has it."""
    return f"{trace:032x}"


class Traces:
    """What a process hands in, and what is found."""

    def __init__(self, client: Client, stub: TraceServiceStub) -> None:
        self.client = client
        self._stub = stub

    async def export(self, *spans: Span, service: str = "stockgate-connect") -> ExportTraceServiceResponse:
        """Hand spans in."""
        process = Resource(attributes=[told("service.name", string_value=service)])
        given = ResourceSpans(resource=process, scope_spans=[ScopeSpans(spans=spans)])
        request = ExportTraceServiceRequest(resource_spans=[given])
        answer: ExportTraceServiceResponse = await self._stub.Export(request, **self.client.options)
        return answer

    async def get(self, trace: int, **request: Any) -> list[operations_pb2.Span]:
        """A trace's spans."""
        content = {"trace_id": hex_id(trace), **request}
        return list((await self.client.ask(self.client.operations.GetTrace, pb.GetTraceRequest, **content)).spans)

    async def list(self, **request: Any) -> list[operations_pb2.TraceSummary]:
        """Recent traces."""
        found = await self.client.ask(self.client.operations.ListTraces, pb.ListTracesRequest, **request)
        return list(found.traces)


@pytest.fixture
async def traces(client: Client, gateway_address: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A merchant of whom nothing is traced yet, and no lot falls on the calls made here."""
    monkeypatch.setattr(telemetry, "sampling", Sampling(0.0, follows_caller=True, per_second_max=None))
    async with grpc.aio.insecure_channel(gateway_address) as channel:
        yield Traces(client, TraceServiceStub(channel))  # type: ignore[no-untyped-call]  # generated, by others


async def test_a_span_that_is_handed_in_is_found_as_it_was(traces: Traces) -> None:
    """With its process, its parent, its failure, and its attributes as text."""
    attributes = [
        told("stockgate.sku", string_value="CUP"),
        told("said", string_value="<script>\x00\n" + "x" * 2_000),
        told("count", int_value=-7),
        told("share", double_value=0.5),
        told("is_fresh", bool_value=True),
        told("skus", array_value=ArrayValue(values=[AnyValue(string_value="A"), AnyValue(string_value="B")])),
    ]
    failed = Status(code=Status.STATUS_CODE_ERROR)
    answer = await traces.export(span(1, 1), span(1, 2, parent=1, attributes=attributes, status=failed))
    assert answer == ExportTraceServiceResponse()
    root, child = await traces.get(1)
    assert (root.name, root.service, root.parent_span_id, root.error) == ("work 1", "stockgate-connect", "", False)
    assert (child.parent_span_id, child.kind, child.error) == (root.span_id, "CONSUMER", True)
    assert child.begin_time.ToNanoseconds() == NOW_NS + 2 * MS
    assert child.duration.ToNanoseconds() == 5 * MS
    assert dict(child.attributes) == {
        "stockgate.sku": "CUP",
        "said": ("<script>  " + "x" * 2_000)[:1_000],
        "count": "-7",
        "share": "0.5",
        "is_fresh": "true",
        "skus": "A, B",
    }


async def test_a_span_about_an_endless_sku_costs_no_other(traces: Traces) -> None:
    """A code as long as no index takes is cut; what is handed in with it is found."""
    endless = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(1_000))
    await traces.export(span(1, 1), span(1, 2, attributes=[told("stockgate.sku", string_value=endless)]))
    assert len(await traces.get(1)) == 2


async def test_a_span_that_cannot_be_stored_stops_nothing(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the database has against some spans, it is asked about the next ones."""
    save = store.save_spans

    async def refuse(*_arguments: Any) -> None:
        monkeypatch.setattr(store, "save_spans", save)
        raise ZeroDivisionError

    monkeypatch.setattr(store, "save_spans", refuse)
    await traces.export(span(1, 1))
    assert await traces.get(1) == []
    await traces.export(span(2, 1))
    assert len(await traces.get(2)) == 1


async def test_a_span_is_kept_once(traces: Traces) -> None:
    """An exporter that got no answer sends it again."""
    for _ in range(2):
        await traces.export(span(1, 1))
        assert len(await traces.get(1)) == 1


async def test_a_trace_is_found_with_its_causes_and_its_consequences(traces: Traces) -> None:
    """Both ways along links, as far as they go; but not what merely came of the same cause."""
    await traces.export(span(1, 1), span(2, 1, links=(1,)), span(3, 1, links=(2,)), span(4, 1, links=(1, 5)))
    await traces.export(span(5, 1))

    async def found(trace: int, **request: Any) -> set[int]:
        return {int(one.trace_id, 16) for one in await traces.get(trace, **request)}

    assert await found(1) == {1, 2, 3, 4}
    assert await found(3) == {1, 2, 3}
    assert await found(2) == {1, 2, 3}
    assert await found(5) == {4, 5}
    assert await found(2, without_linked=True) == {2}
    (two, *_) = await traces.get(2, without_linked=True)
    assert [(link.trace_id, link.span_id) for link in two.links] == [(hex_id(1), f"{1:016x}")]


async def test_traces_that_link_in_a_ring_are_found_once(traces: Traces) -> None:
    """Whatever processes say of themselves."""
    await traces.export(span(1, 1, links=(2,)), span(2, 1, links=(1, 2)))
    assert len(await traces.get(1)) == 2


async def test_recent_traces_are_listed_by_sku_and_by_failure(traces: Traces) -> None:
    """Newest first, each by its root: whose process began it, how long all of it took, whether a part has failed."""
    cup = [told("stockgate.sku", string_value="CUP")]
    failed = Status(code=Status.STATUS_CODE_ERROR)
    await traces.export(span(1, 1, name="order"), service="stockgate-connect")
    await traces.export(span(1, 3, parent=1, status=failed), span(2, 20, attributes=cup), service="stockgate-gateway")
    second, first = await traces.list(include_single=True)
    assert (first.trace_id, first.name, first.service, first.spans, first.error) == (
        hex_id(1),
        "order",
        "stockgate-connect",
        2,
        True,
    )
    assert first.duration.ToNanoseconds() == 7 * MS
    assert first.begin_time.ToNanoseconds() == NOW_NS + MS
    assert (second.trace_id, second.error) == (hex_id(2), False)
    assert [one.trace_id for one in await traces.list(only_errors=True)] == [hex_id(1)]
    assert [one.trace_id for one in await traces.list(sku="CUP")] == [hex_id(2)]
    assert [one.trace_id for one in await traces.list(page_size=1, include_single=True)] == [hex_id(2)]
    assert await traces.list(sku="MUG") == []


async def test_a_single_span_that_was_fine_is_not_listed(traces: Traces) -> None:
    """There is nothing to see in it; one that was slow is, and whatever somebody asks for."""
    slow = [told("stockgate.kept", string_value="slow")]
    await traces.export(span(1, 1), span(2, 1, attributes=slow), span(3, 1), span(3, 2, parent=1))
    assert {one.trace_id for one in await traces.list()} == {hex_id(2), hex_id(3)}
    assert len(await traces.list(include_single=True)) == 3


async def test_what_is_no_span_is_said_and_costs_the_others_nothing(traces: Traces) -> None:
    """Ids that are none, times that are none: the good ones are kept."""
    bad = [
        span(1, 2, trace_id=b"short"),
        span(1, 2, trace_id=bytes(16)),
        span(1, 2, span_id=b""),
        span(1, 2, span_id=bytes(8)),
        span(1, 2, parent_span_id=b"x"),
        span(1, 2, start_time_unix_nano=0),
        span(1, 2, start_time_unix_nano=2**64 - 1),
        span(1, 2, end_time_unix_nano=2**64 - 1),
    ]
    answer = await traces.export(*bad, span(1, 1, end_time_unix_nano=1, kind=99))
    assert answer.partial_success.rejected_spans == len(bad)
    assert answer.partial_success.error_message
    (only,) = await traces.get(1)
    assert (only.span_id, only.kind, only.duration.ToNanoseconds()) == (f"{1:016x}", "INTERNAL", 0)


async def test_more_spans_than_are_taken_at_once_are_left_out(traces: Traces) -> None:
    """And the answer says so."""
    answer = await traces.export(*(span(1, number) for number in range(1, SPANS_AT_ONCE_MAX + 4)))
    assert answer.partial_success.rejected_spans == 3
    assert len(await traces.get(1)) == SPANS_AT_ONCE_MAX


async def test_spans_are_their_merchants(traces: Traces) -> None:
    """Without a good token none are taken."""
    traces.client.options["metadata"] = (("authorization", "Bearer nobody.secret"),)
    refusal = await refused(traces.export(span(1, 1)))
    assert refusal.code == StatusCode.UNAUTHENTICATED


async def test_old_spans_are_removed_and_those_that_are_too_many(
    traces: Traces, settings: Settings, token: str, owner: asyncpg.Connection
) -> None:
    """The oldest first, some at a time."""
    merchant = token.partition(".")[0]
    assert settings.database_url
    database = Database(settings.database_url)
    for number in range(1, 6):
        await traces.export(span(number, 1))
        await traces.get(number)
        age = timedelta(minutes=10 * (6 - number))
        await owner.execute(
            f"UPDATE merchant_{merchant}.spans SET record_time = now() - $1::interval WHERE trace_id = $2",
            age,
            hex_id(number),
        )

    async def remove(minutes: int, count_max: int, kept_max: int = 100) -> int:
        async with database.of(merchant).transaction() as connection:
            before = datetime.now(UTC) - timedelta(minutes=minutes)
            return await remove_spans(connection, before, count_max, kept_max)

    assert await remove(35, 1) == 1
    assert await remove(35, 10) == 1
    assert await remove(35, 10) == 0
    assert await remove(60, 10, kept_max=2) == 1
    await database.close()
    assert {one.trace_id for one in await traces.list(include_single=True)} == {hex_id(5), hex_id(4)}


async def test_everything_about_a_sku_is_traced_for_some_minutes(client: Client) -> None:
    """Until then, and until somebody says that it is enough."""
    await client.add_sku("CUP", 1)

    async def trace(seconds: int) -> float:
        request = {"sku": "CUP", "duration": timedelta(seconds=seconds)}
        answer = await client.ask(client.operations.TraceSku, pb.TraceSkuRequest, **request)
        return (answer.until.ToDatetime(UTC) - datetime.now(UTC)).total_seconds()

    async with asyncio.timeout(10):
        assert 595 < await trace(600) <= 601
        assert await trace(0) <= 1
