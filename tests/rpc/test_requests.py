"""Request ids: the first answer again, with its first time; other content refused; refusals burn nothing (R10-R12)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from gateway import app
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client, made, new_id
from tests.refusals import Refusal, refused
from tests.rpc.requests import mutations_of
from tests.rpc.stalls import Stall, open_stall
from tests.store.history import adjust, movements, units

METHODS = {
    "receive": "ReceiveStock",
    "adjust": "AdjustStock",
    "count": "CountStock",
    "transfer": "TransferStock",
    "reserve": "ReserveStock",
    "commit": "CommitReservation",
    "release": "ReleaseReservation",
    "extend": "ExtendReservation",
    "resize": "ResizeReservation",
    "return_stock": "ReturnStock",
}
EARLIER = {"seconds": 1_600_000_000}


def others(stall: Stall) -> dict[str, dict[str, Any]]:
    """Of each mutation, another value for each of its fields but the id."""
    place, sku, words = {"location": "main"}, {"sku": stall.substitute}, {"reason": "another"}
    when, lines = {"occur_time": EARLIER}, {"lines": [{"line_number": 1, "quantity": 2}]}
    reservation = {"reservation_id": "999"}
    return {
        "receive": {**sku, **place, "quantity": 2, **words, **when},
        "adjust": {
            **sku,
            "location": stall.location,
            "change": 2,
            **words,
            "expected_on_hand": 11,
            "record_reality": False,
            "corrects_revision": 2,
            **when,
        },
        "count": {
            **sku,
            "location": stall.location,
            "counted": 8,
            "count_time": EARLIER,
            **words,
            "expected_on_hand": 11,
        },
        "transfer": {**sku, "from_location": stall.location, "to_location": "main", "quantity": 2, **words},
        "reserve": {
            "lines": [{"sku": stall.sku, "quantity": 2, "location": "main"}],
            "ttl_ms": 60_001,
            "allow_partial": True,
            "order_id": "another",
            "locations": [stall.location],
        },
        "commit": {**reservation, **lines, "retake_expired": True},
        "release": {**reservation, **words},
        "extend": {**reservation, "ttl_ms": 60_001},
        "resize": {**reservation, **lines},
        "return_stock": {**reservation, **lines, **place, **words},
    }


@pytest.mark.parametrize("name", METHODS)
async def test_the_same_request_gets_its_first_answer(client: Client, clock: Clock, name: str) -> None:
    """Again an hour later, with the world changed: the same bytes with the first time, and nothing moves (R10, R12)."""
    stall = await open_stall(client)
    request = mutations_of(stall)[name]
    first = await call(client, name, request)
    clock.offset += timedelta(hours=1)
    await client.receive(stall.sku, 5)
    await client.receive(stall.substitute, 5)
    # What the hour itself has moved, the expiry of the stall's hold, is the gateway's own and has no request id.
    before = [movement for movement in await movements(client) if movement.request_id]
    assert await call(client, name, request) == first
    await client.ask(client.catalog.FreezeSku, catalog.FreezeSkuRequest, sku=stall.sku, reason="recall")
    assert await call(client, name, request) == first
    assert [movement for movement in await movements(client) if movement.request_id] == before


@pytest.mark.parametrize("name", METHODS)
async def test_other_content_under_the_same_id_is_refused(client: Client, name: str) -> None:
    """Whichever field differs is named, and nothing moves (R10)."""
    stall = await open_stall(client)
    request = mutations_of(stall)[name]
    await call(client, name, request)
    before = (await movements(client, page_size=1))[0].revision
    different = others(stall)[name]
    assert different.keys() | {"request_id"} == {field.name for field in request.DESCRIPTOR.fields}
    for field, value in different.items():
        other = type(request)()
        other.CopyFrom(request)
        other.ClearField(field)
        other.MergeFrom(made(type(request), **{field: value}))
        refusal = await refused(call(client, name, other))
        assert (refusal.code, refusal.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"), field
        assert (refusal.field, refusal.facts["request_id"]) == (field, request.request_id)  # type: ignore[attr-defined]  # every mutation has one
    assert (await movements(client, page_size=1))[0].revision == before


async def test_an_absent_field_is_other_content(client: Client) -> None:
    """A field left out differs from one that was there, and names itself (R10)."""
    stall = await open_stall(client)
    request = mutations_of(stall)["receive"]
    await call(client, "receive", request)
    request.ClearField("occur_time")
    assert (await refused(call(client, "receive", request))).field == "occur_time"


async def test_an_id_is_used_once_among_all_mutations(client: Client) -> None:
    """The id of a receipt cannot be that of a reservation (R10)."""
    await client.add_sku("CUP", 5)
    await client.reserve("CUP", 1, request_id="x")
    content = {"request_id": "x", "sku": "CUP", "quantity": 1}
    refusal = await refused(client.ask(client.stock.ReceiveStock, pb.ReceiveStockRequest, **content))
    assert (refusal.reason, refusal.field) == ("REQUEST_ID_REUSED", "command")


async def test_the_id_is_looked_up_before_the_state(client: Client, clock: Clock) -> None:
    """A repeated commit of what is sold, a repeated reserve of what is sold out: the first answer again (R10)."""
    await client.add_sku("CUP", 5)
    held = await client.reserve("CUP", 5, request_id="reserve", ttl_ms=1_000)
    sold = await client.commit(held.reservation_id, request_id="commit")
    clock.offset += timedelta(hours=1)
    assert await client.reserve("CUP", 5, request_id="reserve", ttl_ms=1_000) == held
    assert await client.commit(held.reservation_id, request_id="commit") == sold
    assert (await refused(client.commit(held.reservation_id))).reason == "RESERVATION_RESOLVED"
    assert await units(client, "CUP") == (0, 0, 0)


async def test_an_id_is_remembered_by_every_gateway(settings: Settings, client: Client, token: str) -> None:
    """Another gateway on the same database, started later, gives the first answer too (R10, R12)."""
    await client.add_sku("CUP", 5)
    held = await client.reserve("CUP", 2, request_id="order-1")
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        other = Client(channel, token)
        assert await other.reserve("CUP", 2, request_id="order-1") == held
        assert (await refused(other.reserve("CUP", 3, request_id="order-1"))).field == "lines"
    assert await units(client, "CUP") == (5, 2, 3)


async def test_a_refused_id_may_be_tried_again(client: Client) -> None:
    """Whatever a request was refused for, its id is as good as new, even for another command (R11)."""
    await client.add_sku("CUP", 1)
    reasons = [
        await _reason(reserve(client, "x", "NOPE", 1)),
        await _reason(reserve(client, "x", "CUP", 2)),
        await _reason(reserve(client, "x", "CUP", 0)),
        await _reason(reserve(client, "x", "CUP", 10**15 + 1)),
        await _reason(client.commit("77", request_id="x")),
        await _reason(client.commit("?", request_id="x")),
    ]
    assert reasons == [
        "SKU_UNKNOWN",
        "INSUFFICIENT_STOCK",
        "INVALID_ARGUMENT",
        "QUANTITY_OVERFLOW",
        "RESERVATION_UNKNOWN",
        "INVALID_ARGUMENT",
    ]
    assert [movement.revision for movement in await movements(client)] == [1]
    first = await reserve(client, "x", "CUP", 1)
    assert await reserve(client, "x", "CUP", 1) == first


async def test_a_refusal_may_become_an_acceptance(client: Client) -> None:
    """The same request, refused for lack of stock, is accepted once goods have come (R11)."""
    await client.add_sku("CUP", 1)
    assert await _reason(reserve(client, "x", "CUP", 2)) == "INSUFFICIENT_STOCK"
    await adjust(client, "CUP", 1)
    assert (await reserve(client, "x", "CUP", 2)).reservation.reservation_id == "1"


async def test_a_refusal_leaves_no_number_behind(client: Client) -> None:
    """Refused reservations take no id, refused movements no revision (R11)."""
    await client.add_sku("CUP", 5)
    for _ in range(3):
        await refused(client.reserve("CUP", 6))
    held = await client.reserve("CUP", 1)
    assert held.reservation_id == "1"
    assert [movement.revision for movement in await movements(client)] == [2, 1]


@pytest.mark.parametrize(
    "request_id", ["x", "x" * 128, "订单-1", "'; DROP TABLE requests; --", "a b", "%_\\", "\U0001f600"]
)
async def test_an_id_is_any_printable_text(client: Client, request_id: str) -> None:
    """1 to 128 printable characters of any script, kept as they are (R10)."""
    await client.add_sku("CUP", 5)
    held = await client.reserve("CUP", 1, request_id=request_id)
    assert await client.reserve("CUP", 1, request_id=request_id) == held
    assert (await movements(client, page_size=1))[0].request_id == request_id


async def call(client: Client, name: str, request: Message) -> Message:
    """Send a mutation."""
    method: Any = getattr(client.stock, METHODS[name])
    response: Message = await method(request, **client.options)
    return response


async def reserve(client: Client, request_id: str, sku: str, quantity: int) -> pb.ReserveStockResponse:
    """Reserve under an id."""
    content = {"request_id": request_id or new_id(), "lines": [{"sku": sku, "quantity": quantity}]}
    return await client.ask(client.stock.ReserveStock, pb.ReserveStockRequest, **content)


async def _reason(call: Any) -> str:
    refusal: Refusal = await refused(call)
    return refusal.reason
