"""What a call leaves behind in traces: unary calls and streams, however they end."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from gateway import telemetry
from gateway.domain.errors import DatabaseUnavailable
from gateway.ledger import Ledger
from gateway.rpc import call_spans
from gateway.sampling import Allowance
from gateway.store.groups import GroupStore
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client, new_id
from tests.observability.conftest import value_of
from tests.observability.kept import (
    SPAN_ID,
    TRACE_ID,
    UNSAMPLED,
    Kept,
    links_of,
    parent_id_of,
    span_id_of,
    told,
    trace_id_of,
    traced,
)
from tests.refusals import refused
from tests.streams import EndOfStream, Stream

RESERVE = "gateway.v1.StockService/ReserveStock"
WATCH = "gateway.v1.StockService/WatchStockLevels"
SECRET_WORDS = ("bearer", "authorization", "secret", "token")


async def test_a_traced_call_is_a_span_of_its_callers_trace(client: Client, kept: Kept) -> None:
    """With the conventions' names, what it is about, and nothing else of the request."""
    await client.add_sku("CUP", 5)
    await traced(client).reserve("CUP", request_id="order-7")
    span = kept.one(RESERVE)
    assert (trace_id_of(span), parent_id_of(span), span.kind) == (TRACE_ID, SPAN_ID, SpanKind.SERVER)
    attributes = told(span)
    assert all(attributes.pop(name) for name in ("network.peer.port", "server.port", "stockgate.merchant"))
    assert attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": RESERVE,
        "rpc.response.status_code": "OK",
        "server.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "stockgate.request_id": "order-7",
        "stockgate.sku": "CUP",
    }
    assert span.resource.schema_url == telemetry.SCHEMA_URL


async def test_a_call_that_is_not_traced_has_no_span(client: Client, kept: Kept) -> None:
    """Neither one whose caller says so nor, as nothing is drawn here, one whose caller says nothing."""
    await client.add_sku("CUP", 5)
    await client.reserve("CUP")
    await traced(client, UNSAMPLED).reserve("CUP")
    assert kept.spans == []


async def test_a_share_of_calls_is_drawn(client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of nobody's trace begins one, if it is drawn."""
    monkeypatch.setattr(telemetry.sampling, "ratio", 1.0)
    await client.add_sku("CUP", 5)
    (span,) = kept.named("CatalogService/CreateSku")
    assert parent_id_of(span) == ""
    assert trace_id_of(span) != TRACE_ID


async def test_a_refusal_is_an_answer_and_no_error(client: Client, kept: Kept) -> None:
    """The span says why; the caller gets his rich status as ever."""
    await client.add_sku("CUP", 1)
    refusal = await refused(traced(client).reserve("CUP", 2))
    assert refusal.reason == "INSUFFICIENT_STOCK"
    span = kept.one(RESERVE)
    assert told(span)["rpc.response.status_code"] == "FAILED_PRECONDITION"
    assert told(span)["stockgate.reason"] == "INSUFFICIENT_STOCK"
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in told(span)


async def test_a_refusal_nobody_traces_leaves_nothing(client: Client, kept: Kept) -> None:
    """A crowd at a sold-out shelf is not thousands of spans."""
    await client.add_sku("CUP", 1)
    await refused(client.reserve("CUP", 2))
    await refused(client.reserve("NO-SUCH"))
    assert kept.spans == []


async def test_a_fault_is_kept_though_it_was_not_traced(
    client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody has foreseen is INTERNAL to the caller, and a span with its beginning afterwards."""

    async def fail(_ledger: Ledger) -> None:
        raise ZeroDivisionError("a word of the inside")

    monkeypatch.setattr(Ledger, "check", fail)
    refusal = await refused(client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest))
    assert refusal.reason == "INTERNAL"
    span = kept.one("CheckConsistency")
    assert (told(span)["stockgate.kept"], told(span)["error.type"]) == ("error", "INTERNAL")
    assert span.status.status_code is StatusCode.ERROR
    assert "inside" not in str(told(span))


async def test_a_slow_call_is_kept_though_it_was_not_traced(
    client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as long as the call was."""
    monkeypatch.setattr(call_spans, "SLOW_NS", 0)
    await traced(client, UNSAMPLED).add_sku("CUP")
    span = kept.one("CreateSku")
    assert (told(span)["stockgate.kept"], told(span)["stockgate.merchant"]) == ("slow", kept_merchant(client))
    assert (trace_id_of(span), parent_id_of(span)) == (TRACE_ID, SPAN_ID)
    assert _seconds(span) > 0


@pytest.mark.parametrize("how", ["deadline", "cancel"])
async def test_a_call_whose_caller_has_gone_says_how(
    client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A deadline that has passed is a fault, and kept; a caller who cancels is none."""
    begun = asyncio.Event()

    async def hang(_ledger: Ledger) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Ledger, "check", hang)
    caller = client if how == "deadline" else traced(client)
    # Long enough for the call to begin, on however busy a machine.
    options = {**caller.options, "timeout": 2 if how == "deadline" else 40}
    call: Any = client.operations.CheckConsistency(operations.CheckConsistencyRequest(), **options)
    async with asyncio.timeout(40):
        await begun.wait()
    if how == "cancel":
        call.cancel()
    (span,) = await kept.wait("CheckConsistency")
    expected = "DEADLINE_EXCEEDED" if how == "deadline" else "CANCELLED"
    assert told(span)["rpc.response.status_code"] == expected
    assert (span.status.status_code is StatusCode.ERROR) == (how == "deadline")


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "01",
        "x" * 4_000,
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-zz",
    ],
)
async def test_a_broken_traceparent_is_none(client: Client, kept: Kept, traceparent: str) -> None:
    """The call is done as if nothing had been sent."""
    await traced(client, traceparent).add_sku("CUP", 5)
    assert kept.spans == []


async def test_a_refused_token_leaves_no_secret(gateway_address: str, client: Client, kept: Kept) -> None:
    """Nor does anything else that was sent: no attribute of any span holds a token or a word of one."""
    stranger = traced(Client(client.channel, "nobody.very-secret-token"))
    refusal = await refused(stranger.reserve("CUP"))
    assert refusal.reason == "UNAUTHENTICATED"
    await traced(client).add_sku("CUP", 1)
    await traced(client).reserve("CUP", request_id=new_id())
    assert gateway_address
    assert len(kept.spans) >= 3
    for span in kept.spans:
        assert not any(word in str(told(span)).lower() for word in SECRET_WORDS)


async def test_a_sku_that_is_traced_is_traced_in_every_call_that_names_it(client: Client, kept: Kept) -> None:
    """Wherever in the request it stands; and others are not."""
    for sku in ("CUP", "MUG"):
        await client.add_sku(sku, 9)
    await client.ask(client.operations.TraceSku, operations.TraceSkuRequest, sku="CUP", duration={"seconds": 60})
    kept.spans.clear()
    await client.reserve("MUG")
    await client.receive("MUG", 1)
    assert kept.spans == []
    await client.receive("CUP", 1)
    line = pb.ReserveLine(sku="CUP", quantity=1)
    item = pb.BatchItem(reserve=pb.ReserveStockRequest(request_id=new_id(), lines=[line]))
    await client.ask(client.stock.ApplyBatch, pb.ApplyBatchRequest, items=[item])
    await client.ask(client.stock.BatchGetStockLevels, pb.BatchGetStockLevelsRequest, skus=["MUG", "CUP"])
    server = [one for one in kept.spans if one.kind is SpanKind.SERVER]
    assert [one.name.rpartition("/")[2] for one in server] == ["ReceiveStock", "ApplyBatch", "BatchGetStockLevels"]
    assert told(server[1])["stockgate.sku"] == "CUP"
    assert told(server[2])["stockgate.skus"] == ("MUG", "CUP")


async def test_what_becomes_of_a_reservation_is_traced_with_its_sku(client: Client, kept: Kept) -> None:
    """Commit and release name none: they are traced as long as any is, and say of which SKU it was."""
    await client.add_sku("CUP", 9)
    first, second = await client.reserve("CUP"), await client.reserve("CUP")
    await client.ask(client.operations.TraceSku, operations.TraceSkuRequest, sku="CUP", duration={"seconds": 60})
    kept.spans.clear()
    await client.commit(first.reservation_id)
    await client.release(second.reservation_id)
    item = pb.BatchItem(extend=pb.ExtendReservationRequest(request_id=new_id(), reservation_id=first.reservation_id))
    await client.ask(client.stock.ApplyBatch, pb.ApplyBatchRequest, items=[item])
    server = [one for one in kept.spans if one.kind is SpanKind.SERVER]
    assert [one.name.rpartition("/")[2] for one in server] == ["CommitReservation", "ReleaseReservation", "ApplyBatch"]
    assert [told(one).get("stockgate.sku") for one in server[:2]] == ["CUP", "CUP"]


async def test_a_crowd_at_a_sku_that_is_traced_is_not_traced_whole(
    client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many a second its calls are drawn like any others: being looked at must not be felt."""
    monkeypatch.setattr(call_spans, "_asked_for", Allowance(0))
    await client.add_sku("CUP", 9)
    await client.ask(client.operations.TraceSku, operations.TraceSkuRequest, sku="CUP", duration={"seconds": 60})
    await client.reserve("CUP")
    assert kept.named("ReserveStock") == []


# ---- groups


async def test_a_group_is_part_of_its_call(client: Client, kept: Kept) -> None:
    """It says how long its parts took, and which revisions it has written."""
    await client.add_sku("CUP", 5)
    await traced(client).reserve("CUP")
    group, call = kept.one("group"), kept.one(RESERVE)
    assert parent_id_of(group) == span_id_of(call)
    assert links_of(group) == {span_id_of(call)}
    attributes = told(group)
    assert (attributes["stockgate.group.units"], attributes["stockgate.ledger_revision"]) == (1, 2)
    assert {"stockgate.group.load_seconds", "stockgate.group.save_seconds"} <= attributes.keys()


@pytest.mark.parametrize("is_named", [True, False])
async def test_calls_that_failed_with_their_group_lead_to_it(
    client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    """Nobody had drawn them; the group is of its callers' traces as far as those have one, and they link to it."""
    await client.add_sku("CUP", 5)
    kept.spans.clear()

    async def away(*_arguments: Any, **_options: Any) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(GroupStore, "load", away)
    caller = traced(client, UNSAMPLED) if is_named else client
    refusal = await refused(caller.reserve("CUP", request_id=new_id()))
    assert refusal.reason == "DATABASE_UNAVAILABLE"
    call = (await kept.wait(RESERVE))[0]
    assert telemetry.KEPT in told(call)
    groups = [one for one in kept.named("group") if span_id_of(one) in links_of(call)]
    assert [told(one)["error.type"] for one in groups] == ["DatabaseUnavailable"]
    assert (trace_id_of(groups[0]) == trace_id_of(call)) == is_named
    assert value_of("db_client_operation_duration_seconds_count", error_type="DatabaseUnavailable") > 0


# ---- streams


async def test_a_stream_is_an_opening_and_a_close(client: Client, kept: Kept) -> None:
    """The opening ends with what the stream begins with; the close says that its client has gone."""
    await client.add_sku("CUP", 5)
    stream = Stream(traced(client), skus=["CUP"])
    await stream.created()
    await stream.snapshot()
    await client.receive("CUP", 1)
    await stream.level()
    opening = kept.one(f"{WATCH} open")
    assert kept.named("close") == []
    stream.call.cancel()
    (close,) = await kept.wait(f"{WATCH} close")
    assert told(close)["stockgate.stream.reason"] == "CANCELLED"
    assert (trace_id_of(opening), parent_id_of(opening)) == (TRACE_ID, SPAN_ID)
    assert (trace_id_of(close), parent_id_of(close)) == (TRACE_ID, span_id_of(opening))
    assert _seconds(opening) < 5
    assert _seconds(close) < 5


async def test_a_stream_that_is_refused_says_why(client: Client, kept: Kept) -> None:
    """Its close has the reason that its client got."""
    stream = Stream(traced(client), skus=["NO-SUCH"])
    await refused(stream.read())
    (close,) = await kept.wait("close")
    assert told(close)["stockgate.stream.reason"] == "SKU_UNKNOWN"
    assert close.status.status_code is StatusCode.UNSET


async def test_a_stream_that_fails_is_kept(client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nobody has traced it."""

    async def fail(_ledger: Ledger, _skus: list[str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Ledger, "levels", fail)
    await refused(Stream(client, skus=["CUP"]).read())
    (close,) = await kept.wait("close")
    assert told(close)["stockgate.kept"] == "error"
    assert (told(close)["stockgate.stream.reason"], close.status.status_code) == ("INTERNAL", StatusCode.ERROR)


async def test_a_stream_that_is_sent_away_says_go_away(client: Client, kept: Kept, monkeypatch: Any) -> None:
    """The close has the goodbye's reason."""
    monkeypatch.setattr("gateway.rpc.watch.STREAM_AGE_MAX_SECONDS", 0.0)
    await client.add_sku("CUP", 5)
    stream = Stream(traced(client), skus=["CUP"], progress_interval_ms=1_000)
    await stream.created()
    await stream.snapshot()
    await client.receive("CUP", 1)
    while (await stream.read()).WhichOneof("message") != "go_away":
        pass
    with pytest.raises(EndOfStream):
        await stream.read()
    (close,) = await kept.wait("close")
    assert told(close)["stockgate.stream.reason"] == "MAX_AGE"
    assert told(close)["rpc.response.status_code"] == "OK"


def kept_merchant(client: Client) -> str:
    """Whom the client acts for."""
    header: str = dict(client.options["metadata"])["authorization"]
    return header.removeprefix("Bearer ").partition(".")[0]


def _seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9
