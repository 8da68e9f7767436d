"""Levels as they are now: overdue holds, safety stock, deficits, locations, pages."""

from datetime import timedelta

import pytest

from gateway.store.database import Clock
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import ReservationState, StockLevel
from tests.client import Client
from tests.refusals import refused
from tests.store.history import MICROSECOND, add_location, adjust, stop_sweeping, units
from tests.streams import watching


async def test_reads_never_count_an_overdue_hold(client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its last microsecond on a hold is gone from every read, though no sweeper has been there (R7)."""
    stop_sweeping(monkeypatch)
    await client.add_sku("CUP", 10)
    held = await client.reserve("CUP", 4, ttl_ms=10_000)
    clock.offset += timedelta(seconds=10)
    assert await units(client, "CUP") == (10, 0, 10)
    assert [level.available for level in await _listed(client)] == [10]
    many = await client.ask(client.stock.BatchGetStockLevels, pb.BatchGetStockLevelsRequest, skus=["CUP"])
    assert [(level.reserved, level.locations[0].reserved) for level in many.levels] == [(0, 0)]
    async with watching(client) as stream:
        await stream.created()
        assert [level.available for level in await stream.snapshot()] == [10]
    asked = {"reservation_id": held.reservation_id}
    read = (await client.ask(client.stock.GetReservation, pb.GetReservationRequest, **asked)).reservation
    assert read.state == ReservationState.RESERVATION_STATE_EXPIRED
    assert read.resolve_time == held.expire_time
    for state, ids in ((1, []), (4, [held.reservation_id])):
        found = await client.ask(client.stock.ListReservations, pb.ListReservationsRequest, state=state)
        assert [reservation.reservation_id for reservation in found.reservations] == ids


async def test_an_overdue_hold_can_be_sold_again_at_once(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads call available can be reserved, sweeper or not, and the ledger adds up afterwards (R7, R18)."""
    stop_sweeping(monkeypatch)
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 9, ttl_ms=1_000)
    clock.offset += timedelta(seconds=1)
    await client.reserve("CUP", 10)
    assert await units(client, "CUP") == (10, 10, 0)
    verdict = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
    assert (verdict.consistent, verdict.reservations_checked) == (True, 1)


async def test_a_hold_counts_until_its_boundary(client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold with time left counts, however little: only at the boundary it is expired (R7)."""
    stop_sweeping(monkeypatch)
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 4, ttl_ms=60_000)
    clock.offset += timedelta(seconds=55)
    assert await units(client, "CUP") == (10, 4, 6)
    clock.offset += timedelta(seconds=5) + MICROSECOND
    assert await units(client, "CUP") == (10, 0, 10)


async def test_safety_stock_is_never_offered(client: Client) -> None:
    """Available is on hand less reserved less safety stock at each location, and no reservation gets at the rest."""
    await add_location(client, "north")
    await client.add_sku("CUP", 10, safety_stock=3)
    await client.receive("CUP", 2, location="north")
    level = await client.level("CUP")
    assert (level.on_hand, level.safety_stock, level.available, level.deficit) == (12, 6, 7, 1)
    assert [(one.location, one.available, one.deficit) for one in level.locations] == [("main", 7, 0), ("north", 0, 1)]
    refusal = await refused(client.reserve("CUP", 8))
    assert (refusal.reason, refusal.facts["available"]) == ("INSUFFICIENT_STOCK", "7")
    await client.reserve("CUP", 7)


async def test_a_new_safety_stock_counts_from_now_on(client: Client) -> None:
    """Raised above what is there it shows as a deficit and takes nothing from open reservations (R1)."""
    await client.add_sku("CUP", 10)
    held = await client.reserve("CUP", 8)
    content = {"sku": "CUP", "safety_stock": 5}
    await client.ask(client.catalog.UpdateSku, catalog.UpdateSkuRequest, sku=content)
    level = await client.level("CUP")
    assert (level.available, level.deficit, level.reserved) == (0, 3, 8)
    await client.commit(held.reservation_id)
    assert await units(client, "CUP") == (2, 0, 0)


async def test_a_deficit_is_shown_beside_nothing_available(client: Client) -> None:
    """When promised goods are gone available is 0, never negative, and the deficit says by how much (R14)."""
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 8)
    await adjust(client, "CUP", -5, record_reality=True)
    level = await client.level("CUP")
    assert (level.on_hand, level.reserved, level.available, level.deficit) == (5, 8, 0, 3)


async def test_one_locations_deficit_takes_nothing_from_another(client: Client) -> None:
    """Available is the sum over locations of what each can sell, not the sum of all balances (R3)."""
    await add_location(client, "north")
    await client.add_sku("CUP", 4)
    await client.reserve("CUP", 4)
    await adjust(client, "CUP", -2, record_reality=True)
    await client.receive("CUP", 5, location="north")
    level = await client.level("CUP")
    assert (level.on_hand, level.reserved, level.available, level.deficit) == (7, 4, 5, 2)
    await client.reserve("CUP", 5)


async def test_locations_come_in_the_order_in_which_they_serve(client: Client) -> None:
    """Position first, then code; a location that never held the SKU is not there."""
    for location, position in (("b", 5), ("a", 5), ("front", -1), ("unused", 0)):
        await add_location(client, location, position)
    await client.add_sku("CUP")
    for location in ("b", "main", "a", "front"):
        await client.receive("CUP", 1, location=location)
    level = await client.level("CUP")
    assert [one.location for one in level.locations] == ["front", "main", "a", "b"]
    at_one = await client.ask(client.stock.GetStockLevel, pb.GetStockLevelRequest, sku="CUP", location="a")
    assert ([one.location for one in at_one.level.locations], at_one.level.on_hand) == (["a"], 1)


async def test_pages_of_levels_are_whole_and_in_order(client: Client) -> None:
    """All SKUs by code, each once, whatever the page's size; SKUs without stock too."""
    codes = ["A", "A%", "A_", "AB", "Ab", "B\\", "a", "Ä", "杯"]
    for code in reversed(codes):
        await client.add_sku(code, 1 if code != "AB" else 0)
    expected = sorted(codes, key=str.encode)
    for size in (1, 2, 3, len(codes), 100):
        assert [level.sku for level in await _pages(client, size)] == expected
    assert [level.sku for level in await _pages(client, 2, sku_prefix="A")] == ["A", "A%", "AB", "A_", "Ab"]
    for prefix, found in (("A%", ["A%"]), ("A_", ["A_"]), ("B\\", ["B\\"]), ("杯", ["杯"]), ("C", [])):
        assert [level.sku for level in await _pages(client, 2, sku_prefix=prefix)] == found


async def test_a_page_asked_for_one_location_shows_only_that(client: Client) -> None:
    """Sums are of the named location; SKUs that never lay there are listed with nothing."""
    await add_location(client, "north")
    await client.add_sku("CUP", 4)
    await client.add_sku("MUG", 1)
    await client.receive("CUP", 5, location="north")
    found = await _pages(client, 1, location="north")
    assert [(level.sku, level.on_hand, len(level.locations)) for level in found] == [("CUP", 5, 1), ("MUG", 0, 0)]


async def test_a_large_page_is_cut(client: Client) -> None:
    """A page has at most 1,000 SKUs whatever is asked, 100 if nothing is; the rest comes with the token."""
    for number in range(101):
        await client.add_sku(f"S{number:03}")
    by_default = await client.ask(client.stock.ListStockLevels, pb.ListStockLevelsRequest)
    assert (len(by_default.levels), bool(by_default.next_page_token)) == (100, True)
    all_of_them = await client.ask(client.stock.ListStockLevels, pb.ListStockLevelsRequest, page_size=2**31 - 1)
    assert (len(all_of_them.levels), all_of_them.next_page_token) == (101, "")


async def _listed(client: Client) -> list[StockLevel]:
    return list((await client.ask(client.stock.ListStockLevels, pb.ListStockLevelsRequest)).levels)


async def _pages(client: Client, size: int, **wanted: str) -> list[StockLevel]:
    """All levels, page by page; no page is larger than asked."""
    found: list[StockLevel] = []
    token = ""
    while True:
        asked = {"page_size": size, "page_token": token, **wanted}
        page = await client.ask(client.stock.ListStockLevels, pb.ListStockLevelsRequest, **asked)
        assert len(page.levels) <= size
        found += page.levels
        token = page.next_page_token
        if not token:
            return found
