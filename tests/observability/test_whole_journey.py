"""One order, from the platform's message to the other platforms' numbers and to who is warned: every hop is there.

Real parts: three sandbox platforms, three connectors, a gateway with its database, a subscriber.
"""

import asyncio
from typing import Any

import asyncpg
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from connectors.exporting import exporter_to
from connectors.gateway_client import GatewayAddress
from connectors.sandbox.city import City, CitySettings, open_city
from gateway import telemetry
from gateway.domain.tiers import Tier
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as stock
from gateway.v1.alert_pb2 import AlertEvent
from gateway.v1.channel_pb2 import PolicyKind
from tests.client import Client
from tests.connectors.agent.test_escrow import UNITS, crews, set_up
from tests.observability.kept import Kept, links_of, parent_id_of, span_id_of, told, trace_id_of
from tests.rpc.alert_streams import AlertStream
from tests.rpc.shop_calls import set_policy

SECONDS_MAX = 80
# Platforms whose numbers follow.
OTHERS = 2


@pytest.fixture(autouse=True)
def _everything_is_kept(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is begun is drawn."""
    assert kept.spans == []
    monkeypatch.setattr(telemetry.sampling, "ratio", 1.0)
    monkeypatch.setattr(telemetry.sampling, "per_second_max", None)


async def test_an_order_is_followed_from_the_platform_to_everywhere(
    client: Client, kept: Kept, owner: asyncpg.Connection, gateway_address: str, token: str
) -> None:
    """Order, report, ledger, allocation, push, call, report; warning and delivery: each names or links to the last."""
    async with asyncio.timeout(SECONDS_MAX), open_city(CitySettings(seed=1, weather="none", skus=1)) as city:
        await set_up(client, city)
        [good] = city.goods
        await set_policy(client, sku=good.sku, kind=PolicyKind.POLICY_KIND_SHARED)
        async with crews(gateway_address, token, city, seed=1):
            await _until_all_show(city, UNITS)
            stream = AlertStream(client, live_only={})
            await stream.created()
            city.shops["taobao"].place({good.keys["taobao"]: UNITS})
            event = await _sold_out(stream)
            await _until_all_show(city, 0)
            rows = await _lowering_calls(owner, token)
            await kept.wait("WatchTierChanges deliver")

    spans = {span_id_of(one): one for one in kept.spans}
    # The order: the connector took it, and the ledger knows for whose request it moved.
    movements = (await client.ask(client.stock.ListMovements, stock.ListMovementsRequest, sku=good.sku)).movements
    reported = spans[movements[0].traceparent.split("-")[2]]
    assert reported.name.endswith("ChannelService/ReportOrders")
    taken = spans[parent_id_of(reported)]
    assert taken.name in {"take order", "walk orders"}
    assert told(taken)["stockgate.channel"] == "taobao"
    assert _above(spans, reported) == [taken]
    fetched = [one for one in spans.values() if parent_id_of(one) == span_id_of(taken) and "router" in one.name]
    assert all(told(one)["stockgate.platform.request_id"] for one in fetched)
    group = next(one for one in kept.named("group") if span_id_of(reported) in {parent_id_of(one), *links_of(one)})
    assert trace_id_of(group) == trace_id_of(reported)

    # The numbers: every call to a platform knows its span, and goes back to the order.
    assert {row["channel"] for row in rows} == {"douyin", "kuaishou"}
    for row in rows:
        call = spans[row["traceparent"].split("-")[2]]
        assert told(call)["stockgate.platform.name"] == row["channel"]
        assert told(call)["stockgate.platform.request_id"] == row["platform_request_id"]
        assert told(call)["http.response.status_code"] == row["http_status"] == 200
        push = spans[parent_id_of(call)]
        assert push.name == "process push"
        assert told(push)["messaging.message.id"] == str(row["push_id"])
        allocate = spans[row["decided"].split("-")[2]]
        assert allocate.name == "allocate"
        assert links_of(push) == {span_id_of(allocate)}
        assert links_of(allocate) == {span_id_of(reported)}
        reports = [one for one in kept.named("report pushes") if span_id_of(push) in links_of(one)]
        booked = [one for one in kept.named("ReportPushes") if parent_id_of(one) in map(span_id_of, reports)]
        assert booked

    # The warning: it goes back to the order too, and its delivery to it.
    alert = spans[event.traceparent.split("-")[2]]
    assert (alert.name, told(alert)["stockgate.sku"]) == ("alert", good.sku)
    assert span_id_of(reported) in links_of(alert)
    assert any(span_id_of(alert) in links_of(one) for one in kept.named("WatchTierChanges deliver"))

    await _is_found_whole(client, kept, GatewayAddress(gateway_address, token), trace_id_of(taken))


async def _is_found_whole(client: Client, kept: Kept, address: GatewayAddress, trace_id: str) -> None:
    """What the connectors hand in and what the gateway keeps is one story, told by the order's trace."""
    strangers = [one for one in kept.spans if "stockgate.merchant" not in told(one)]
    assert await asyncio.to_thread(_hand_in, address, strangers) is SpanExportResult.SUCCESS
    found = await client.ask(client.operations.GetTrace, operations.GetTraceRequest, trace_id=trace_id)
    names = {span.name.rpartition("/")[2] for span in found.spans}
    assert names >= {"ReportOrders", "group", "allocate", "process push", "report pushes", "ReportPushes", "alert"}
    assert names >= {"WatchAllocations deliver", "WatchTierChanges deliver", "syncStockBatchMultiProducts"}
    assert not any(span.error for span in found.spans)


def _hand_in(address: GatewayAddress, spans: list[ReadableSpan]) -> SpanExportResult:
    exporter = exporter_to(address)
    try:
        return exporter.export(spans)
    finally:
        exporter.shutdown()


def _above(spans: dict[str, ReadableSpan], span: ReadableSpan) -> list[ReadableSpan]:
    """Its parent, that one's parent, and so on."""
    found = []
    while (above := spans.get(parent_id_of(span))) is not None:
        found.append(above)
        span = above
    return found


async def _until_all_show(city: City, units: int) -> None:
    [good] = city.goods
    displays = [shop.displays[good.keys[name]] for name, shop in city.shops.items()]
    while {display.shown for display in displays} != {units}:  # noqa: ASYNC110 - what is waited for is a plain value
        await asyncio.sleep(0.02)


async def _sold_out(stream: AlertStream) -> AlertEvent:
    while True:
        message = await stream.read(SECONDS_MAX)
        if message.event.tier_change.to == int(Tier.SOLD_OUT):
            return message.event


async def _lowering_calls(owner: asyncpg.Connection, token: str) -> list[Any]:
    """The calls that have lowered the other platforms' numbers, with what decided them, once both are known."""
    schema = f"merchant_{token.partition('.')[0]}"
    query = f"""SELECT a.*, p.traceparent AS decided FROM {schema}.attempts a JOIN {schema}.pushes p USING (push_id)
        WHERE p.kind <> 1 AND a.outcome = 1"""
    rows: list[Any] = []
    while len({row["channel"] for row in rows}) < OTHERS:
        await asyncio.sleep(0.02)
        rows = list(await owner.fetch(query))
    return rows
