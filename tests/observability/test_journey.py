"""From a movement to what the connector is told: one trace, or linked ones, over every row and every restart."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import grpc.aio
import pytest

from gateway import app, exposition, health, telemetry
from gateway.alerts.askers import Askers
from gateway.allocator import Allocator
from gateway.decisions import Decisions
from gateway.domain.errors import DatabaseUnavailable
from gateway.domain.selling import AnySelling, PlanPush
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Moved, Tempo
from gateway.rpc import call_spans
from gateway.sampling import Allowance
from gateway.settings import Settings
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.alert_pb2 import AlertEvent
from tests.client import Client
from tests.observability.conftest import OPEN_METRICS
from tests.observability.kept import (
    SAMPLED,
    SPAN_ID,
    TRACE_ID,
    UNSAMPLED,
    WAIT_SECONDS,
    Kept,
    links_of,
    parent_id_of,
    span_id_of,
    told,
    trace_id_of,
    traced,
)
from tests.rpc.alert_streams import AlertStream
from tests.rpc.played_shop import PAID, RAISE, Shop, order
from tests.store.history import stop_allocating


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was confirmed is looked up at once."""
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.05)


@pytest.fixture
async def shop(client: Client) -> Shop:
    """A shop that shows all of 10 cups. What is received from now on is to be shown as well."""
    await client.add_sku("CUP", 10)
    played = Shop(client)
    await played.open()
    await played.link(("CUP", 1))
    async with played.serving():
        await played.wait_shown(L1=10)
    return played


async def test_a_movement_is_followed_to_the_connector(
    shop: Shop, client: Client, kept: Kept, owner: asyncpg.Connection, token: str
) -> None:
    """What was asked, its group, the allocation and its delivery are one trace; movement and push know their spans."""
    async with shop.watching() as watch:
        await watch.current()
        kept.spans.clear()
        await traced(client).receive("CUP", 3)
        allocation = await watch.push()
        (deliver,) = await kept.wait("WatchAllocations deliver")
    asked, allocate = kept.one("ReceiveStock"), kept.one("allocate")
    assert {trace_id_of(one) for one in (asked, *kept.named("group"), allocate, deliver)} == {TRACE_ID}
    assert parent_id_of(asked) == SPAN_ID
    assert (parent_id_of(allocate), links_of(allocate)) == (span_id_of(asked), {span_id_of(asked)})
    assert (parent_id_of(deliver), links_of(deliver)) == (span_id_of(allocate), {span_id_of(allocate)})
    assert told(allocate)["stockgate.join"] == "parent"
    assert (told(allocate)["stockgate.sku"], told(allocate)["stockgate.channel"]) == ("CUP", "tb")
    assert told(allocate)["stockgate.push_id"] == allocation.push.push_id
    assert allocation.push.traceparent.split("-")[1:3] == [TRACE_ID, span_id_of(allocate)]
    (movement, *_) = (await client.ask(client.stock.ListMovements, pb.ListMovementsRequest, sku="CUP")).movements
    assert movement.traceparent.split("-")[1:3] == [TRACE_ID, span_id_of(asked)]
    schema = f"merchant_{token.partition('.')[0]}"
    row = await owner.fetchrow(
        f"SELECT traceparent, origin_revision, origin_time FROM {schema}.pushes ORDER BY push_id DESC LIMIT 1"
    )
    assert row is not None
    assert (row["traceparent"], row["origin_revision"]) == (allocation.push.traceparent, movement.revision)
    assert row["origin_time"] == movement.record_time.ToDatetime(row["origin_time"].tzinfo)


async def test_a_movement_is_followed_though_the_gateway_is_replaced(
    settings: Settings, kept: Kept, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One gateway writes it down and ends; the next reads from the rows for whom it allocates."""
    async with asyncio.timeout(60):
        async with _gateway(settings, token) as client:
            await client.add_sku("CUP", 10)
            shop = Shop(client)
            await shop.open()
            await shop.link(("CUP", 1))
            async with shop.serving():
                await shop.wait_shown(L1=10)
            look = Allocator.look
            stop_allocating(monkeypatch)
            await traced(client).receive("CUP", 3)
        monkeypatch.setattr(Allocator, "look", look)
        async with _gateway(settings, token) as client:
            shop.client = client
            await shop.beat()
            async with shop.watching() as watch:
                allocation = await watch.push()
            await kept.wait("WatchAllocations deliver")
    asked, allocate = kept.one("ReceiveStock"), kept.named("allocate")[-1]
    assert (trace_id_of(allocate), parent_id_of(allocate)) == (TRACE_ID, span_id_of(asked))
    assert allocation.push.traceparent.split("-")[1] == TRACE_ID


async def test_a_push_for_several_movements_links_to_each(shop: Shop, client: Client, kept: Kept) -> None:
    """What waits while a push is under way is answered by one; it has many causes, and so none is its parent."""
    async with shop.watching() as watch:
        await watch.current()
        await client.receive("CUP", 1)
        first = await watch.push()
        kept.spans.clear()
        for number in range(1, 4):
            await traced(client, f"00-{number:032x}-{number:016x}-01").receive("CUP", 1)
        await shop.apply(first)
        second = await watch.push()
        (allocate,) = await kept.wait("allocate")
    assert (second.push.kind, second.push.sales) == (RAISE, 3)
    assert links_of(allocate) == {span_id_of(one) for one in kept.named("ReceiveStock")}
    assert len(allocate.links) == 3
    assert (told(allocate)["stockgate.join"], parent_id_of(allocate)) == ("link", "")
    assert allocate.parent is None


async def test_a_push_that_nobody_traces_has_a_name_and_no_span(shop: Shop, client: Client, kept: Kept) -> None:
    """So the connector's own spans have a parent, and the flags say that it is not kept."""
    async with shop.watching() as watch:
        await watch.current()
        await traced(client, UNSAMPLED).receive("CUP", 3)
        allocation = await watch.push()
    assert telemetry.parse(allocation.push.traceparent) is not None
    assert not telemetry.is_sampled(allocation.push.traceparent)
    # What was asked for by a trace that is not kept is of that trace all the same.
    assert allocation.push.traceparent.split("-")[1] == TRACE_ID
    # On a busy machine something may be slow, and is told of for that alone.
    assert [span for span in kept.spans if telemetry.KEPT not in told(span)] == []


async def test_a_push_that_could_not_be_decided_is_kept(
    shop: Shop, client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody had traced it: its span is told with what it was about, under the name that its writing went by."""
    begun: list[str] = []
    sign = Decisions.sign

    def signed(decisions: Decisions, commands: Iterable[AnySelling]) -> list[AnySelling]:
        found = sign(decisions, commands)
        begun.extend(one.traceparent for one in found if isinstance(one, PlanPush))
        if not begun:
            return found
        monkeypatch.setattr(Decisions, "sign", sign)
        raise DatabaseUnavailable("away")

    async with shop.watching() as watch:
        await watch.current()
        monkeypatch.setattr(Decisions, "sign", signed)
        await traced(client, UNSAMPLED).receive("CUP", 3)
        await watch.push()
    failed = next(one for one in kept.named("allocate") if telemetry.KEPT in told(one))
    assert (told(failed)["error.type"], told(failed)["stockgate.sku"]) == ("DatabaseUnavailable", "CUP")
    assert (trace_id_of(failed), span_id_of(failed)) == tuple(begun[0].split("-")[1:3])


async def test_what_is_decided_for_a_sku_that_is_traced_is_kept(
    shop: Shop, client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever caused it: a call that was not traced, or none at all."""
    await client.ask(client.operations.TraceSku, operations.TraceSkuRequest, sku="CUP", duration={"seconds": 60})
    monkeypatch.setattr(call_spans, "_asked_for", Allowance(0))
    async with shop.watching() as watch:
        await watch.current()
        kept.spans.clear()
        await client.receive("CUP", 3)
        allocation = await watch.push()
        (allocate, *_) = await kept.wait("allocate")
    assert kept.named("ReceiveStock") == []
    assert allocation.push.traceparent.split("-")[2] == span_id_of(allocate)
    assert telemetry.is_sampled(allocation.push.traceparent)


async def test_a_report_is_told_with_its_channel(shop: Shop, client: Client, kept: Kept) -> None:
    """What connectors report is traced like any call, with what it says."""
    shop.client = traced(client)
    await shop.report_orders(order(shop, "order-1", PAID), watermark=True)
    span = kept.one("ReportOrders")
    assert (told(span)["stockgate.channel"], told(span)["stockgate.orders.taken"]) == ("tb", 1)
    assert "order-1" not in str(told(span))
    await shop.report_reading(1, 9)
    span = kept.one("ReportShelf")
    assert (told(span)["stockgate.listings"], told(span)["stockgate.quantity.shown"]) == ((1,), (9,))


@pytest.mark.parametrize("is_slow", [True, False])
async def test_the_way_to_the_platforms_word_is_a_span(
    shop: Shop, client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch, is_slow: bool
) -> None:
    """From the movement's commit to the confirmation: of what is traced, and of everything that took too long."""
    if is_slow:
        monkeypatch.setattr(health, "SLOW_SYNC_SECONDS", 0.0)
    async with shop.watching() as watch:
        await watch.current()
        kept.spans.clear()
        caller = client if is_slow else traced(client)
        await caller.receive("CUP", 3)
        allocation = await watch.push()
        await shop.apply(allocation)
    (sync, *_) = await kept.wait("sync")
    assert told(sync).get("stockgate.kept") == ("slow" if is_slow else None)
    assert (told(sync)["stockgate.push_id"], told(sync)["stockgate.sku"]) == (allocation.push.push_id, "CUP")
    assert allocation.push.traceparent.split("-")[2] in links_of(sync)
    # Who looks at the histogram is led to this very span.
    (_, text) = exposition.render(OPEN_METRICS)
    assert f'span_id="{span_id_of(sync)}"' in text.decode()
    if not is_slow:
        assert links_of(sync) == {span_id_of(kept.one("ReceiveStock")), span_id_of(kept.one("allocate"))}


async def test_a_warning_is_followed_from_the_sale_to_the_reader(client: Client, kept: Kept) -> None:
    """The event knows the span that told it, which links to the sales, and to which every delivery links."""
    await client.add_sku("CUP", 2)
    stream = AlertStream(client, live_only={})
    await stream.created()
    for number in range(1, 3):
        await traced(client, f"00-{number:032x}-{number:016x}-01").reserve("CUP", 1)
    event = await _sold_out(stream)
    alert = next(one for one in await kept.wait("alert") if span_id_of(one) == event.traceparent.split("-")[2])
    assert links_of(alert) <= {span_id_of(one) for one in kept.named("ReserveStock")}
    assert alert.links
    assert told(alert)["stockgate.sku"] == "CUP"
    assert told(alert)["stockgate.alert_revision"] == event.revision
    deliveries = await kept.wait("WatchTierChanges deliver")
    assert span_id_of(alert) in set().union(*map(links_of, deliveries))


async def test_what_is_delivered_late_is_linked_only(
    client: Client, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who resumes after an hour does not make the trace of then an hour long."""
    await client.add_sku("CUP", 2)
    stream = AlertStream(client, live_only={})
    created = await stream.created()
    await traced(client).reserve("CUP", 2)
    event = await _sold_out(stream)
    await kept.wait("WatchTierChanges deliver")
    kept.spans.clear()
    monkeypatch.setattr(call_spans, "JOIN_SECONDS", 0.0)
    again = AlertStream(client, after={"revision": event.revision - 1, "epoch": created.epoch})
    await again.created()
    (deliver, *_) = await kept.wait("WatchTierChanges deliver")
    assert (told(deliver)["stockgate.join"], parent_id_of(deliver)) == ("link", "")
    assert links_of(deliver) == {event.traceparent.split("-")[2]}


def test_a_warning_is_part_of_a_sale_of_just_now_only() -> None:
    """One of long ago is linked to; of a case that is played faster a minute is as many seconds more."""
    for speed, seconds, is_fresh in ((1.0, 59.0, True), (1.0, 61.0, False), (10.0, 599.0, True), (10.0, 601.0, False)):
        askers = Askers(Tempo(speed))
        sold = Moved(1, 1_000.0, MovementKind.RESERVE, "CUP", "main", 1, 0, 1, 1, traceparent=SAMPLED)
        askers.note([sold])
        origin = askers.take(["CUP"], 1_000.0 + seconds)
        assert [f"{link.context.span_id:016x}" for link in origin.links] == [SPAN_ID]
        assert (origin.parent is not None) == is_fresh
        assert askers.take(["CUP"], 1_000.0) == telemetry.NO_ORIGIN


async def test_a_grave_warning_is_kept_though_nobody_traces(client: Client, kept: Kept) -> None:
    """SOLD_OUT always has its span, whoever bought."""
    await client.add_sku("CUP", 2)
    stream = AlertStream(client, live_only={})
    await stream.created()
    for _ in range(2):
        await client.reserve("CUP", 1)
    event = await _sold_out(stream)
    assert telemetry.is_sampled(event.traceparent)
    assert event.traceparent.split("-")[2] in {span_id_of(one) for one in kept.named("alert")}


async def _sold_out(stream: AlertStream) -> AlertEvent:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            message = await stream.read()
            if message.event.tier_change.to == int(Tier.SOLD_OUT):
                return message.event


@asynccontextmanager
async def _gateway(settings: Settings, token: str) -> AsyncIterator[Client]:
    async with (
        app.running_gateway(replace(settings, listen="127.0.0.1:0")) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Client(channel, token)
