"""Goods: ReceiveStock, AdjustStock, CountStock and TransferStock do what the contract says of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode

from gateway.store.database import Clock
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import LocationLevel, ShortfallCause
from tests.client import Client
from tests.refusals import refused
from tests.store.history import add_location, adjust, moment, movements, units

LONG_AGO = datetime(2024, 5, 1, 8, tzinfo=UTC)


async def test_goods_that_came_in_are_on_hand(client: Client) -> None:
    """A receipt answers with the level afterwards, its number in the journal and when it was recorded."""
    await add_location(client, "north")
    await client.add_sku("CUP", 10)
    received = await receive(client, 5, location="north", reason="truck 7", occur_time=LONG_AGO)
    assert (received.level.location, received.level.on_hand, received.level.available) == ("north", 5, 5)
    (row,) = await movements(client, location="north")
    assert (row.revision, row.record_time) == (received.revision, received.record_time)
    assert (row.reason, moment(row.occur_time), row.quantity) == ("truck 7", LONG_AGO, 5)
    assert received.revision == 2


async def test_no_location_means_the_first_one(client: Client) -> None:
    """Without a location goods go to the first of the catalog's order (R3)."""
    await client.add_sku("CUP")
    assert (await receive(client, 1)).level.location == "main"
    await add_location(client, "front", -5)
    assert (await receive(client, 1)).level.location == "front"


async def test_a_level_holds_no_more_than_it_can_count(client: Client) -> None:
    """A receipt that would pass the largest quantity is refused, and changes nothing (R13)."""
    await client.add_sku("CUP", 10**15 - 1)
    refusal = await refused(receive(client, 2))
    assert (refusal.code, refusal.reason) == (StatusCode.OUT_OF_RANGE, "QUANTITY_OVERFLOW")
    assert refusal.facts == {"units_max": str(10**15)}
    assert (await receive(client, 1)).level.on_hand == 10**15


@pytest.mark.parametrize(("change", "after"), [(3, 13), (-10, 0)])
async def test_an_adjustment_is_a_difference(client: Client, change: int, after: int) -> None:
    """On hand moves by the change, down to nothing (R17)."""
    await client.add_sku("CUP", 10)
    adjusted = await adjust(client, "CUP", change)
    assert (adjusted.level.on_hand, adjusted.HasField("shortfall")) == (after, False)


async def test_expected_on_hand_compares_and_sets(client: Client) -> None:
    """An adjustment or a count that expects another quantity is refused with the one there is (R16)."""
    await client.add_sku("CUP", 10)
    change = {"sku": "CUP", "change": 1, "reason": "found", "expected_on_hand": 9}
    refusal = await refused(client.tell(client.stock.AdjustStock, pb.AdjustStockRequest, **change))
    assert (refusal.code, refusal.reason, refusal.field) == (StatusCode.ABORTED, "ON_HAND_CHANGED", "expected_on_hand")
    assert refusal.facts == {"on_hand": "10", "expected_on_hand": "9"}
    assert (await refused(count(client, 3, expected_on_hand=0))).reason == "ON_HAND_CHANGED"
    change["expected_on_hand"] = 10
    assert (await client.tell(client.stock.AdjustStock, pb.AdjustStockRequest, **change)).level.on_hand == 11
    assert (await count(client, 3, expected_on_hand=11)).level.on_hand == 3


async def test_an_adjustment_below_what_is_reserved_is_refused(client: Client) -> None:
    """Unless the caller says that the goods are really gone, promised units stay (R14)."""
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 6)
    refusal = await refused(adjust(client, "CUP", -5))
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "BELOW_RESERVED")
    assert refusal.facts == {"sku": "CUP", "on_hand": "10", "reserved": "6", "change": "-5"}
    assert (await adjust(client, "CUP", -4)).level.available == 0


async def test_reality_is_recorded_with_a_shortfall(client: Client) -> None:
    """Goods that are really gone are booked below what is reserved; what is missing is a shortfall (R14)."""
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 6)
    gone = await adjust(client, "CUP", -7, record_reality=True)
    assert (gone.level.on_hand, gone.level.available, gone.level.deficit) == (3, 0, 3)
    assert (gone.shortfall.quantity, gone.shortfall.sku, gone.shortfall.location) == (3, "CUP", "main")
    assert gone.shortfall.cause == ShortfallCause.SHORTFALL_CAUSE_GOODS_GONE
    more = await adjust(client, "CUP", -1, record_reality=True)
    assert more.shortfall.quantity == 1
    refusal = await refused(adjust(client, "CUP", -3, record_reality=True))
    assert refusal.reason == "BELOW_RESERVED"


async def test_a_correction_names_what_it_corrects(client: Client) -> None:
    """A correction is a new movement with a link; a link to what is not there is refused (R17)."""
    await client.add_sku("CUP", 10)
    content = {"sku": "CUP", "change": -1, "reason": "typing error", "corrects_revision": 1}
    await client.tell(client.stock.AdjustStock, pb.AdjustStockRequest, **content)
    newest, first = await movements(client)
    assert (newest.corrects_revision, first.on_hand_after) == (1, 10)
    content["corrects_revision"] = 3
    refusal = await refused(client.tell(client.stock.AdjustStock, pb.AdjustStockRequest, **content))
    assert (refusal.reason, refusal.facts) == ("MOVEMENT_UNKNOWN", {"revision": "2"})


async def test_a_count_is_what_lies_there(client: Client) -> None:
    """A count sets on hand, up or down, and says when it was taken."""
    await client.add_sku("CUP", 10)
    for counted in (12, 0, 4):
        level = (await count(client, counted)).level
        assert (level.on_hand, level.HasField("last_count_time")) == (counted, True)


async def test_a_count_below_what_is_promised_stands(client: Client) -> None:
    """A count is reality: what is promised and not there is a shortfall, once (R14, R15)."""
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 6)
    first = await count(client, 2)
    assert (first.shortfall.quantity, first.level.deficit) == (4, 4)
    assert not (await count(client, 2)).HasField("shortfall")


async def test_what_happened_before_a_count_does_not_change_it(client: Client) -> None:
    """Movements older than the count are written down, change nothing and name the count, however late (R15)."""
    await client.add_sku("CUP", 10)
    counted = await count(client, 7, count_time=LONG_AGO + timedelta(hours=1))
    # The receipt of 10 was recorded now, which is after the count was taken: it comes on top.
    assert counted.level.on_hand == 17
    late = await receive(client, 100, occur_time=LONG_AGO)
    assert late.level.on_hand == 17
    (row, *_) = await movements(client)
    assert (row.quantity, row.on_hand_change, row.absorbed_by_revision) == (100, 0, counted.revision)
    assert (await receive(client, 2, occur_time=LONG_AGO + timedelta(hours=2))).level.on_hand == 19


async def test_the_order_of_arrival_does_not_matter_to_a_count(client: Client) -> None:
    """An older count that arrives after a newer one changes nothing (R15)."""
    await client.add_sku("CUP", 0)
    newer = await count(client, 7, count_time=LONG_AGO + timedelta(hours=2))
    older = await count(client, 3, count_time=LONG_AGO)
    assert older.level.on_hand == newer.level.on_hand == 7
    assert moment(older.level.last_count_time) == LONG_AGO + timedelta(hours=2)


async def test_a_time_in_the_future_is_refused_with_a_little_patience(client: Client, clock: Clock) -> None:
    """A caller's clock may run a moment ahead; an hour ahead is a mistake."""
    await client.add_sku("CUP", 0)
    now = moment((await receive(client, 1)).record_time)
    assert (await receive(client, 1, occur_time=now + timedelta(seconds=30))).level.on_hand == 2
    refusal = await refused(receive(client, 1, occur_time=now + timedelta(hours=1)))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "occur_time")
    clock.offset += timedelta(hours=2)
    assert (await receive(client, 1, occur_time=now + timedelta(hours=1))).level.on_hand == 3


async def test_a_transfer_is_two_movements_together(client: Client) -> None:
    """What leaves one location reaches the other; the answer has both, and the number of the second movement."""
    await add_location(client, "north")
    await client.add_sku("CUP", 10)
    moved = await transfer(client, 4)
    assert (moved.from_level.location, moved.from_level.on_hand) == ("main", 6)
    assert (moved.to_level.location, moved.to_level.on_hand) == ("north", 4)
    reached, left = (await movements(client))[:2]
    assert [left.on_hand_change, reached.on_hand_change] == [-4, 4]
    assert (reached.revision, left.revision) == (moved.revision, moved.revision - 1)
    assert left.request_id == reached.request_id
    assert await units(client, "CUP") == (10, 0, 10)


async def test_only_units_that_nobody_was_promised_are_moved(client: Client) -> None:
    """A transfer leaves what is reserved; safety stock may be moved: it is a promise to nobody."""
    await add_location(client, "north")
    await client.add_sku("CUP", 10, safety_stock=3)
    await client.reserve("CUP", 2)
    refusal = await refused(transfer(client, 9))
    assert (refusal.reason, refusal.field) == ("INSUFFICIENT_STOCK", "quantity")
    assert refusal.facts == {"sku": "CUP", "location": "main", "available": "8", "asked": "9"}
    moved = await transfer(client, 8)
    assert (moved.from_level.on_hand, moved.from_level.deficit) == (2, 3)


async def test_the_ledger_adds_up_after_all_kinds_of_movements(client: Client) -> None:
    """However goods moved, levels are the sum of their movements (R18)."""
    await test_what_happened_before_a_count_does_not_change_it(client)
    await add_location(client, "north")
    await transfer(client, 4)
    await client.reserve("CUP", 15)
    await count(client, 5)
    verdict = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
    assert (verdict.consistent, verdict.levels_checked) == (True, 2)


async def test_a_level_is_the_same_in_an_answer_and_in_a_read(client: Client) -> None:
    """The level that a mutation answers with is the one that a read right after it shows."""
    await client.add_sku("CUP", 10, safety_stock=1)
    await client.reserve("CUP", 2)
    answered: LocationLevel = (await count(client, 8)).level
    assert list((await client.level("CUP")).locations) == [answered]


async def receive(client: Client, quantity: int, **content: Any) -> pb.ReceiveStockResponse:
    """Receive CUP."""
    return await client.tell(client.stock.ReceiveStock, pb.ReceiveStockRequest, sku="CUP", quantity=quantity, **content)


async def count(client: Client, counted: int, **content: Any) -> pb.CountStockResponse:
    """Count CUP at `main`."""
    return await client.tell(client.stock.CountStock, pb.CountStockRequest, sku="CUP", counted=counted, **content)


async def transfer(client: Client, quantity: int) -> pb.TransferStockResponse:
    """Move CUP from `main` to `north`."""
    places = {"from_location": "main", "to_location": "north"}
    return await client.tell(
        client.stock.TransferStock, pb.TransferStockRequest, sku="CUP", quantity=quantity, **places
    )
