"""The journal as callers read it: every filter, every page, newest first; and the shortfalls beside it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.rpc.paging import token
from gateway.store.database import Clock
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import channel_service_pb2 as channel_pb
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import Movement, MovementKind, Shortfall
from tests.client import Client
from tests.refusals import refused
from tests.store.history import add_location, adjust, moment, movements

Condition = Callable[[Movement], bool]


async def play(client: Client, clock: Clock) -> dict[str, Any]:
    """A history with every kind of movement, over two SKUs, two locations and several seconds."""
    await add_location(client, "north")
    await client.add_sku("CUP", 20)
    await client.add_sku("MUG", 20)
    clock.offset += timedelta(seconds=10)
    sold = await client.reserve("CUP", 4)
    await client.commit(sold.reservation_id)
    await client.tell(client.stock.ReturnStock, pb.ReturnStockRequest, reservation_id=sold.reservation_id)
    clock.offset += timedelta(seconds=10)
    lines = [{"sku": "MUG", "quantity": 2}, {"sku": "CUP", "quantity": 1}]
    both = (await client.tell(client.stock.ReserveStock, pb.ReserveStockRequest, lines=lines)).reservation
    change = {"reservation_id": both.reservation_id, "lines": [{"line_number": 1, "quantity": 3}]}
    await client.tell(client.stock.ResizeReservation, pb.ResizeReservationRequest, **change)
    await client.release(both.reservation_id)
    clock.offset += timedelta(seconds=10)
    away = {"sku": "CUP", "from_location": "main", "to_location": "north", "quantity": 5}
    await client.tell(client.stock.TransferStock, pb.TransferStockRequest, **away)
    await adjust(client, "MUG", -1)
    await client.tell(client.stock.CountStock, pb.CountStockRequest, sku="MUG", counted=18)
    content = {"sku": "CUP", "safety_stock": 2}
    await client.ask(client.catalog.UpdateSku, catalog.UpdateSkuRequest, sku=content)
    await client.reserve("MUG", 1, ttl_ms=1)
    clock.offset += timedelta(seconds=10)
    await client.reserve("MUG", 18)
    return {"sold": sold.reservation_id, "both": both.reservation_id}


async def test_every_filter_selects_what_it_says(client: Client, clock: Clock) -> None:
    """SKU, location, kind, reservation and time, alone and together, by pages of any size: the same as by hand."""
    known = await play(client, clock)
    everything = await _pages(client, 1000)
    assert [movement.revision for movement in everything] == list(range(len(everything), 0, -1))
    assert {movement.kind for movement in everything} == set(range(1, 13))
    middle = everything[len(everything) // 2].record_time
    first, late = everything[-1].record_time, everything[2].record_time
    cases: list[tuple[dict[str, Any], Condition]] = [
        ({}, lambda _: True),
        ({"sku": "CUP"}, lambda m: m.sku == "CUP"),
        ({"location": "north"}, lambda m: m.location == "north"),
        ({"sku": "CUP", "location": "main"}, lambda m: (m.sku, m.location) == ("CUP", "main")),
        ({"sku": "MUG", "location": "north"}, lambda _: False),
        ({"sku": "NOPE"}, lambda _: False),
        ({"kinds": [6]}, lambda m: m.kind == MovementKind.MOVEMENT_KIND_RESERVE),
        ({"kinds": [1, 11, 11]}, lambda m: m.kind in {1, 11}),
        ({"reservation_id": known["sold"]}, lambda m: m.reservation_id == known["sold"]),
        ({"reservation_id": known["both"]}, lambda m: m.reservation_id == known["both"]),
        (
            {"reservation_id": known["both"], "sku": "CUP"},
            lambda m: (m.reservation_id, m.sku) == (known["both"], "CUP"),
        ),
        ({"start_time": middle}, lambda m: moment(m.record_time) >= moment(middle)),
        ({"end_time": middle}, lambda m: moment(m.record_time) < moment(middle)),
        ({"start_time": middle, "end_time": late, "sku": "MUG"}, _between(middle, late, "MUG")),
        ({"start_time": late, "end_time": first}, lambda _: False),
        ({"kinds": [6, 7], "location": "main", "start_time": first}, lambda m: m.kind in {6, 7}),
    ]
    for wanted, condition in cases:
        by_hand = [movement for movement in everything if condition(movement)]
        for size in (1, 2, 3, 1000):
            assert await _pages(client, size, **wanted) == by_hand, wanted


async def test_a_movement_says_all_about_itself(client: Client) -> None:
    """Request, reason, link, reservation and what was there afterwards are in the row (R17)."""
    await client.add_sku("CUP", 10)
    wrong = await adjust(client, "CUP", -3)
    await client.tell(
        client.stock.AdjustStock,
        pb.AdjustStockRequest,
        request_id="correction-1",
        sku="CUP",
        change=3,
        reason="miscounted",
        corrects_revision=wrong.revision,
    )
    held = await client.reserve("CUP", 2, request_id="order-1")
    reserve, correction = (await movements(client))[:2]
    assert (correction.request_id, correction.reason) == ("correction-1", "miscounted")
    assert (correction.corrects_revision, correction.reservation_id) == (wrong.revision, "")
    assert (correction.quantity, correction.on_hand_change, correction.on_hand_after) == (3, 3, 10)
    assert (reserve.reservation_id, reserve.request_id) == (held.reservation_id, "order-1")
    assert (reserve.reserved_change, reserve.reserved_after, reserve.on_hand_change) == (2, 2, 0)
    assert reserve.occur_time == reserve.record_time


async def test_new_movements_do_not_shift_pages(client: Client) -> None:
    """Who reads page by page while the journal grows sees each movement that was there once."""
    await client.add_sku("CUP", 10)
    for _ in range(5):
        await client.receive("CUP", 1)
    first = await client.ask(client.stock.ListMovements, pb.ListMovementsRequest, page_size=2)
    await client.receive("CUP", 1)
    rest = await movements(client, page_token=first.next_page_token)
    assert [movement.revision for movement in [*first.movements, *rest]] == [6, 5, 4, 3, 2, 1]


async def test_an_end_that_fits_a_page_is_an_end(client: Client) -> None:
    """A last page that is exactly full may promise another one, which is empty and says so."""
    await client.add_sku("CUP", 10)
    await client.receive("CUP", 1)
    assert [movement.revision for movement in await _pages(client, 2)] == [2, 1]
    assert await movements(client, page_token=token(1)) == []


@pytest.mark.parametrize("key", [0, 1, 2**63 - 1])
async def test_a_made_up_token_reads_nothing_but_the_journal(client: Client, key: int) -> None:
    """A token is a place in the list, not a secret: one that was made up reads from its place on."""
    await client.add_sku("CUP", 10)
    assert len(await movements(client, page_token=token(key))) == (1 if key > 1 else 0)


async def test_a_token_of_another_list_is_refused(client: Client) -> None:
    """A token of the list of SKUs opens no page of the journal, and the other way round."""
    of_journal, of_skus = token(7), token("CUP")
    for method, kind, wrong in (
        (client.stock.ListMovements, pb.ListMovementsRequest, of_skus),
        (client.selling.ListShortfalls, channel_pb.ListShortfallsRequest, of_skus),
        (client.stock.ListReservations, pb.ListReservationsRequest, of_skus),
        (client.stock.ListStockLevels, pb.ListStockLevelsRequest, of_journal),
        (client.catalog.ListSkus, catalog.ListSkusRequest, of_journal),
        (client.catalog.ListLocations, catalog.ListLocationsRequest, of_skus),
    ):
        call: Any = method
        refusal = await refused(call(kind(page_token=wrong), **client.options))
        assert (refusal.reason, refusal.field) == ("INVALID_ARGUMENT", "page_token")


async def test_shortfalls_are_listed_newest_first(client: Client) -> None:
    """Each time promised goods go there is a numbered shortfall with its place and units (R14)."""
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 10)
    opened = [(await adjust(client, "CUP", -units, record_reality=True)).shortfall for units in (1, 2, 3)]
    assert [(one.quantity, one.sku, one.location) for one in opened] == [(n, "CUP", "main") for n in (1, 2, 3)]
    found: list[Shortfall] = []
    page_token = ""
    for _ in range(2):
        asked = {"page_size": 2, "page_token": page_token}
        page = await client.ask(client.selling.ListShortfalls, channel_pb.ListShortfallsRequest, **asked)
        found += page.shortfalls
        page_token = page.next_page_token
    assert found == opened[::-1]
    assert page_token == ""


def _between(start: Any, end: Any, sku: str) -> Condition:
    return lambda m: m.sku == sku and moment(start) <= moment(m.record_time) < moment(end)


async def _pages(client: Client, size: int, **wanted: Any) -> list[Movement]:
    found: list[Movement] = []
    page_token = ""
    while True:
        asked = {"page_size": size, "page_token": page_token, **wanted}
        page = await client.ask(client.stock.ListMovements, pb.ListMovementsRequest, **asked)
        assert len(page.movements) <= size
        found += page.movements
        page_token = page.next_page_token
        if not page_token:
            return found
