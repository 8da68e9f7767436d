"""Who did what, when and why: an entry before the deed, and its outcome after."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from gateway.rpc.auditing import AUDITED, CHARACTERS_MAX, content_of
from gateway.rpc.services import SERVICES
from gateway.v1 import alert_service_pb2 as alerts
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import channel_service_pb2 as channels
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as stock
from gateway.v1.channel_pb2 import Platform
from gateway.v1.operations_pb2 import AuditEntry
from tests.client import Client, made, new_id
from tests.faults.calls import until
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.rpc.drill_requests import drill_script

WAIT_SECONDS = 10.0
# What programs do, not people; it is told by the journal, by orders, pushes, attempts and the alert log.
OF_PROGRAMS = {
    *("ReserveStock", "CommitReservation", "ReleaseReservation", "ExtendReservation", "ResizeReservation"),
    *("ApplyBatch", "ReportPushes", "ReportOrders", "ReportShelf", "StoreTokens", "Heartbeat"),
    *("ReportCursor", "ClaimNotice", "SettleNotice", "TakeLine"),
}
READING = ("Get", "BatchGet", "List", "Watch", "Check", "Explain", "Export", "Preview")


def test_every_method_is_audited_or_is_known_not_to_be() -> None:
    """What neither reads nor is a program's leaves an entry, so a new method must be thought about."""
    for service, _ in SERVICES:
        changing = {method.name for method in service.methods if not method.name.startswith(READING)}
        assert changing - OF_PROGRAMS == AUDITED.get(service.name, frozenset())


async def test_a_deed_is_told_with_actor_and_reason(client: Client) -> None:
    """Who, what, about which SKU, why, and that it was done; the actor of the request goes before the caller's."""
    await client.add_sku("CUP", 5)
    client.options["metadata"] += (("stockgate-actor", quote("李四")),)
    await client.tell(client.stock.AdjustStock, stock.AdjustStockRequest, sku="CUP", change=-1, reason="碎了")
    runbook = {"tier": 3, "steps": [{"text": "打电话"}]}
    await client.tell(client.alerts.SetRunbook, alerts.SetRunbookRequest, runbook=runbook, actor="王五")
    second, first = (await _audit(client))[:2]
    assert (first.actor, first.method, first.sku, first.outcome) == ("李四", "StockService/AdjustStock", "CUP", "OK")
    assert (first.reason, json.loads(first.content_json)["change"]) == ("碎了", -1)
    assert first.request_id
    assert first.HasField("record_time")
    assert (second.actor, second.method) == ("王五", "AlertService/SetRunbook")


async def test_what_a_person_does_to_a_reservation_is_told(client: Client) -> None:
    """An order system's reservations leave no entry; who says who he is and releases one does, with his reason."""
    await client.add_sku("CUP", 5)
    held = await client.reserve("CUP", 2)
    assert "StockService/ReserveStock" not in {entry.method for entry in await _audit(client)}
    client.options["metadata"] += (("stockgate-actor", quote("李四")),)
    content = {"reservation_id": held.reservation_id, "reason": "买家不要了"}
    await client.tell(client.stock.ReleaseReservation, stock.ReleaseReservationRequest, **content)
    [entry] = [one for one in await _audit(client) if one.method == "StockService/ReleaseReservation"]
    assert (entry.actor, entry.sku, entry.reason, entry.outcome) == ("李四", "CUP", "买家不要了", "OK")


async def test_what_it_was_about_is_read_from_the_answer(client: Client) -> None:
    """Where a request has a number only, the entry has the SKU and the channel that the answer names."""
    await client.add_sku("CUP", 5)
    sold = await client.commit((await client.reserve("CUP", 2)).reservation_id)
    await client.tell(client.stock.ReturnStock, stock.ReturnStockRequest, reservation_id=sold.reservation_id)
    shop = {"channel": "dy", "platform": Platform.PLATFORM_DOUYIN}
    await client.catalog.CreateChannel(made(catalog.CreateChannelRequest, channel=shop), **client.options)
    listing = {"channel": "dy", "item_id": "1", "components": [{"sku": "CUP", "units": 1}]}
    linked = await client.catalog.LinkListing(made(catalog.LinkListingRequest, listing=listing), **client.options)
    listing_id = linked.listing.listing_id
    await client.ask(client.selling.ResyncListing, channels.ResyncListingRequest, listing_id=listing_id)
    told = {entry.method: (entry.sku, entry.channel) for entry in await _audit(client)}
    assert told["StockService/ReturnStock"] == ("CUP", "")
    assert told["CatalogService/CreateChannel"] == ("", "dy")
    assert told["CatalogService/LinkListing"] == ("CUP", "dy")
    assert told["ChannelService/ResyncListing"] == ("CUP", "dy")


async def test_a_refusal_is_told_with_its_reason(client: Client) -> None:
    """What was asked and refused stands there as well, malformed requests included."""
    await client.add_sku("CUP", 1)
    taken = {"sku": "CUP", "change": -2, "reason": "lost"}
    refusal = await refused(client.tell(client.stock.AdjustStock, stock.AdjustStockRequest, **taken))
    assert refusal.code is not StatusCode.OK
    await refused(client.ask(client.catalog.FreezeSku, catalog.FreezeSkuRequest, sku="NOPE", reason="recall"))
    await refused(client.ask(client.catalog.FreezeSku, catalog.FreezeSkuRequest, sku="C\0P" * 100_000, reason="x"))
    entries = await _audit(client)
    assert [entry.outcome for entry in entries[:3]] == ["INVALID_ARGUMENT", "SKU_UNKNOWN", refusal.reason]
    assert "\0" not in entries[0].sku + entries[0].content_json
    assert [entry.method for entry in await _audit(client, sku="NOPE")] == ["CatalogService/FreezeSku"]


async def test_the_entry_comes_before_the_deed(client: Client, owner: asyncpg.Connection, token: str) -> None:
    """While it is not done its outcome is empty, and stays so if the caller leaves before it is."""
    await client.add_sku("CUP", 5)
    schema = schema_of_token(token)
    async with owner.transaction():
        await owner.execute(f'SELECT 1 FROM "{schema}".skus WHERE sku = $1 FOR UPDATE', "CUP")
        request = catalog.FreezeSkuRequest(sku="CUP", reason="recall")
        asked: Any = client.catalog.FreezeSku(request, **client.options)

        async def is_there() -> bool:
            return (await _audit(client))[0].method == "CatalogService/FreezeSku"

        await until(is_there, WAIT_SECONDS)
        assert (await _audit(client))[0].outcome == ""
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await client.receive("CUP", 1)
    assert [entry.outcome for entry in (await _audit(client))[:2]] == ["OK", ""]


async def test_no_secret_is_kept(client: Client, owner: asyncpg.Connection, token: str) -> None:
    """Credentials and tokens are in no column of any entry, done or refused."""
    shop = {"channel": "dy", "platform": Platform.PLATFORM_DOUYIN}
    await client.catalog.CreateChannel(made(catalog.CreateChannelRequest, channel=shop), **client.options)
    secrets = {
        "credentials_json": json.dumps({"app_secret": "hush-1"}),
        "access_token": "hush-2",
        "refresh_token": "hush-3",
    }
    request = made(catalog.SetCredentialsRequest, channel="dy", **secrets)
    await client.catalog.SetCredentials(request, **client.options)
    request.channel = "nowhere"
    await refused(client.catalog.SetCredentials(request, **client.options))
    rows = await owner.fetch(f'SELECT to_jsonb(a)::text AS row FROM "{schema_of_token(token)}".audit a')
    kept = [row["row"] for row in rows]
    assert sum("SetCredentials" in row for row in kept) == 2
    assert not any("hush" in row or token in row for row in kept)


def test_what_is_kept_of_a_request_is_bounded() -> None:
    """Megabytes of text, thousands of items, times and numbers there are not: a few thousand characters of JSON."""
    tape = [{"at_seconds": 60.0, "sku": "tea\0" * 100, "quantity": 2}] * 20_000
    script = drill_script(name="n" * 10**6, tape=tape, seconds=float("nan"))
    huge: list[Message] = [
        made(alerts.StartDrillRequest, request_id=new_id(), actor="li", script=script),
        catalog.ImportCatalogRequest(csv="sku,title\n" * 100_000),
        made(alerts.SilenceRequest, matcher={"skus": ["x" * 64] * 10_000}, end_time={"seconds": 2**62}),
    ]
    for request in huge:
        written = json.dumps(content_of(request), allow_nan=False)
        assert len(written) < 3 * CHARACTERS_MAX
        assert "\\u0000" not in written


async def test_entries_are_found_and_turned_over(client: Client) -> None:
    """By SKU, by channel, by person, from a number on; page after page without a gap or a repetition."""
    for sku in ("CUP", "MUG"):
        await client.add_sku(sku, 5)
    await client.receive("MUG", 1)
    paused = {"channel": "tb", "reason": "stocktaking"}
    await refused(client.ask(client.selling.PauseChannel, channels.PauseChannelRequest, **paused))
    everything = await _audit(client)
    assert [entry.audit_id for entry in everything] == sorted((e.audit_id for e in everything), reverse=True)
    assert {entry.sku for entry in await _audit(client, sku="MUG")} == {"MUG"}
    assert [entry.reason for entry in await _audit(client, channel="tb")] == ["stocktaking"]
    assert await _audit(client, actor="nobody") == []
    third = everything[2]
    assert await _audit(client, up_to_audit_id=third.audit_id) == everything[2:]
    turned: list[AuditEntry] = []
    page = ""
    while True:
        response = await _ask(client, page_size=2, page_token=page)
        turned += response.entries
        await client.receive("CUP", 1)
        if not (page := response.next_page_token):
            break
    assert turned == everything


async def _audit(client: Client, **content: Any) -> list[AuditEntry]:
    return list((await _ask(client, **content)).entries)


async def _ask(client: Client, **content: Any) -> operations.ListAuditResponse:
    return await client.ask(client.operations.ListAudit, operations.ListAuditRequest, **content)
