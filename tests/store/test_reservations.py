"""Reservations as callers read them: which there are, and which of them bear a deficit."""

from datetime import timedelta

import pytest

from gateway.store.database import Clock
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import Reservation
from tests.client import Client
from tests.store.history import add_location, adjust, stop_sweeping

HELD, COMMITTED, RELEASED, EXPIRED = 1, 2, 3, 4


async def test_the_youngest_reservations_bear_a_deficit(client: Client) -> None:
    """When promised goods are gone as many of the youngest are at risk as the deficit needs, and no more (R14)."""
    await client.add_sku("CUP", 12)
    for quantity in (5, 3, 4):
        await client.reserve("CUP", quantity)
    expected = {0: [], 1: ["3"], 4: ["3"], 5: ["3", "2"], 7: ["3", "2"], 8: ["3", "2", "1"], 12: ["3", "2", "1"]}
    gone = 0
    for deficit, bearing in expected.items():
        if deficit > gone:
            await adjust(client, "CUP", gone - deficit, record_reality=True)
            gone = deficit
        assert await _at_risk(client) == bearing, deficit
        assert [await _is_at_risk(client, one) for one in ("3", "2", "1")] == [one in bearing for one in "321"]


async def test_new_goods_end_the_risk(client: Client) -> None:
    """At risk is worked out when read: goods that come, or a reservation that goes, end it (R14)."""
    await client.add_sku("CUP", 10)
    for _ in range(2):
        await client.reserve("CUP", 5)
    await adjust(client, "CUP", -4, record_reality=True)
    assert await _at_risk(client) == ["2"]
    await client.receive("CUP", 4)
    assert await _at_risk(client) == []
    await adjust(client, "CUP", -4, record_reality=True)
    await client.release("1")
    assert await _at_risk(client) == []


async def test_what_is_resolved_is_not_at_risk(client: Client) -> None:
    """A commit never fails for lack of stock (R1); sold, the reservation bears nothing any more, the others do."""
    await client.add_sku("CUP", 10)
    for _ in range(2):
        await client.reserve("CUP", 5)
    await adjust(client, "CUP", -8, record_reality=True)
    await client.commit("2")
    level = await client.level("CUP")
    assert (level.on_hand, level.reserved, level.deficit) == (-3, 5, 8)
    assert await _at_risk(client) == ["1"]


async def test_the_risk_is_of_a_place(client: Client) -> None:
    """Only who was promised units at the location that lacks them bears the deficit there (R3, R14)."""
    await add_location(client, "north")
    await client.add_sku("CUP", 5)
    await client.receive("CUP", 5, location="north")
    await client.add_sku("MUG", 5)
    for lines in (
        [{"sku": "CUP", "quantity": 5, "location": "main"}],
        [{"sku": "CUP", "quantity": 5, "location": "north"}],
        [{"sku": "MUG", "quantity": 5}],
    ):
        await client.tell(client.stock.ReserveStock, pb.ReserveStockRequest, lines=lines)
    await adjust(client, "CUP", -1, record_reality=True)
    assert await _at_risk(client) == ["1"]


async def test_an_overdue_hold_bears_nothing(client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold that has run out neither is at risk nor puts another at risk, though nobody has swept it yet (R7, R14)."""
    stop_sweeping(monkeypatch)
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 5, ttl_ms=1_000)
    await client.reserve("CUP", 3)
    await client.reserve("CUP", 2, ttl_ms=1_000)
    await adjust(client, "CUP", -6, record_reality=True)
    assert await _at_risk(client) == ["3", "2", "1"]
    clock.offset += timedelta(seconds=1)
    assert await _at_risk(client) == []
    await adjust(client, "CUP", -2, record_reality=True)
    assert await _at_risk(client) == ["2"]


async def test_every_filter_selects_what_it_says(client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """By SKU, state and order, alone and together, newest first, on pages of any size (R6, R7)."""
    stop_sweeping(monkeypatch)
    await client.add_sku("CUP", 50)
    await client.add_sku("MUG", 50)
    for order, skus in (("a", "CUP"), ("b", "CUP"), ("a", "MUG"), ("c", "CUP MUG"), ("", "MUG"), ("a", "CUP")):
        lines = [{"sku": sku, "quantity": 2} for sku in skus.split()]
        ttl_ms = 1_000 if order == "c" else 60_000
        await client.tell(client.stock.ReserveStock, pb.ReserveStockRequest, lines=lines, order_id=order, ttl_ms=ttl_ms)
    await client.commit("1")
    await client.release("2")
    clock.offset += timedelta(seconds=2)
    cases: list[tuple[dict[str, object], str]] = [
        ({}, "654321"),
        ({"sku": "CUP"}, "6421"),
        ({"sku": "MUG"}, "543"),
        ({"sku": "NOPE"}, ""),
        ({"order_id": "a"}, "631"),
        ({"order_id": "nobody"}, ""),
        ({"state": HELD}, "653"),
        ({"state": COMMITTED}, "1"),
        ({"state": RELEASED}, "2"),
        ({"state": EXPIRED}, "4"),
        ({"sku": "CUP", "state": HELD, "order_id": "a"}, "6"),
        ({"sku": "MUG", "state": EXPIRED}, "4"),
    ]
    for wanted, ids in cases:
        for size in (1, 2, 1000):
            found = await _pages(client, size, **wanted)
            assert "".join(reservation.reservation_id for reservation in found) == ids, wanted
    assert {one.reservation_id: one.state for one in await _pages(client, 1000)} == {
        "1": COMMITTED,
        "2": RELEASED,
        "3": HELD,
        "4": EXPIRED,
        "5": HELD,
        "6": HELD,
    }


async def test_those_of_a_sku_wherever_and_however_they_hold_it(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several places and lines each once, on pages of any size; a late payment that found nothing is among them."""
    stop_sweeping(monkeypatch)
    await add_location(client, "west")
    await client.add_sku("CUP", 7)
    await client.receive("CUP", 6, location="west")
    for places in (("", ""), ("west",), ("", "", ""), ("west", "west"), ("",), ("west", "main")):
        lines = [{"sku": "CUP", "quantity": 1, "location": place or "main"} for place in places]
        await client.tell(client.stock.ReserveStock, pb.ReserveStockRequest, lines=lines, ttl_ms=1_000)
    clock.offset += timedelta(seconds=2)
    await client.reserve("CUP", 13)
    late = {"reservation_id": "6", "retake_expired": True}
    paid = await client.tell(client.stock.CommitReservation, pb.CommitReservationRequest, **late)
    assert sum(one.quantity for one in paid.shortfalls) == 2
    for size in (1, 2, 3, 1000):
        found = await _pages(client, size, sku="CUP")
        assert [one.reservation_id for one in found] == ["8", "7", "6", "5", "4", "3", "2", "1"], size


async def _at_risk(client: Client) -> list[str]:
    return [one.reservation_id for one in await _pages(client, 100) if one.at_risk]


async def _is_at_risk(client: Client, reservation_id: str) -> bool:
    asked = {"reservation_id": reservation_id}
    return (await client.ask(client.stock.GetReservation, pb.GetReservationRequest, **asked)).reservation.at_risk


async def _pages(client: Client, size: int, **wanted: object) -> list[Reservation]:
    found: list[Reservation] = []
    page_token = ""
    while True:
        asked = {"page_size": size, "page_token": page_token, **wanted}
        page = await client.ask(client.stock.ListReservations, pb.ListReservationsRequest, **asked)
        assert len(page.reservations) <= size
        found += page.reservations
        page_token = page.next_page_token
        if not page_token:
            return found
