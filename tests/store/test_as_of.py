"""Any level can be read as of any past time (R19), with the holds that were good then and no others (R7)."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.store.database import Clock
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client
from tests.refusals import refused
from tests.store.history import MICROSECOND, add_location, adjust, moment, movements, stop_sweeping, units

HOUR = timedelta(hours=1)


async def test_every_moment_of_a_history_can_be_read(client: Client, clock: Clock) -> None:
    """At each movement's time the level is what that movement left, and a microsecond before what it found (R19)."""
    await client.add_sku("CUP")
    seen = [(datetime(2020, 1, 1, tzinfo=UTC), (0, 0, 0))]

    async def happened(record_time: Timestamp) -> None:
        seen.append((moment(record_time), await units(client, "CUP")))
        clock.offset += HOUR

    await happened((await client.receive("CUP", 10)).record_time)
    held = await client.reserve("CUP", 4, ttl_ms=24 * 3600 * 1000)
    await happened(held.create_time)
    await happened((await adjust(client, "CUP", -1)).record_time)
    await happened((await client.commit(held.reservation_id)).resolve_time)
    counted = await client.tell(client.stock.CountStock, pb.CountStockRequest, sku="CUP", counted=7)
    await happened(counted.record_time)
    assert [level for _, level in seen] == [(0, 0, 0), (10, 0, 10), (10, 4, 6), (9, 4, 5), (5, 0, 5), (7, 0, 7)]
    for (_, before), (when, level) in pairwise(seen):
        assert await units(client, "CUP", when - MICROSECOND) == before
        assert await units(client, "CUP", when) == level
        assert await units(client, "CUP", when + HOUR / 2) == level


async def test_a_past_level_says_at_which_revision_it_was(client: Client, clock: Clock) -> None:
    """The revision of a level as of a time is that of the last movement by then (R19)."""
    await client.add_sku("CUP", 1)
    clock.offset += HOUR
    second = await client.receive("CUP", 1)
    clock.offset += HOUR
    await client.receive("CUP", 1)
    asked = {"sku": "CUP", "as_of_time": second.record_time}
    level = (await client.ask(client.stock.GetStockLevel, pb.GetStockLevelRequest, **asked)).level
    assert (level.revision, level.on_hand) == (second.revision, 2)


async def test_an_unswept_hold_is_not_counted_at_its_expiry(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold that is overdue but still written down as held is gone from its expiry on, and was there before (R7)."""
    stop_sweeping(monkeypatch)
    await client.add_sku("CUP", 10)
    expires = moment((await client.reserve("CUP", 4, ttl_ms=10_000)).expire_time)
    clock.offset += timedelta(seconds=30)
    assert await units(client, "CUP", expires - MICROSECOND) == (10, 4, 6)
    assert await units(client, "CUP", expires) == (10, 0, 10)
    assert await units(client, "CUP", expires + timedelta(seconds=5)) == (10, 0, 10)


async def test_a_hold_swept_late_is_not_counted_at_its_expiry(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold that was freed twenty seconds late counts as gone from its expiry on, not from its sweep on (R7, R19)."""
    with monkeypatch.context() as sleeping:
        stop_sweeping(sleeping)
        await client.add_sku("CUP", 10)
        held = await client.reserve("CUP", 4, ttl_ms=10_000)
        clock.offset += timedelta(seconds=30)
    expires = moment(held.expire_time)
    # Selling everything makes the writer free what is overdue, at the present time of the ledger.
    await client.reserve("CUP", 10)
    (freed,) = [movement for movement in await movements(client) if movement.reserved_change == -4]
    assert moment(freed.record_time) > expires + timedelta(seconds=15)
    assert await units(client, "CUP", expires - MICROSECOND) == (10, 4, 6)
    assert await units(client, "CUP", expires) == (10, 0, 10)
    assert await units(client, "CUP", moment(freed.record_time) - MICROSECOND) == (10, 0, 10)


async def test_a_hold_swept_after_an_outage_is_not_counted_at_its_expiry(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No gateway has been running for two days: holds of before count as gone from their expiry on (R7, R19)."""
    with monkeypatch.context() as sleeping:
        stop_sweeping(sleeping)
        await client.add_sku("CUP", 10)
        expires = moment((await client.reserve("CUP", 4, ttl_ms=10_000)).expire_time)
        clock.offset += timedelta(days=2)
        await client.reserve("CUP", 10)
    assert await units(client, "CUP", expires - MICROSECOND) == (10, 4, 6)
    for later in (timedelta(), timedelta(hours=5), timedelta(days=1)):
        assert await units(client, "CUP", expires + later) == (10, 0, 10)


async def test_a_hold_extended_or_resolved_in_time_was_no_expiry(client: Client, clock: Clock) -> None:
    """Of two holds one was extended and one sold before they ran out: both count at what was to be their end (R8)."""
    await client.add_sku("CUP", 10)
    extended = await client.reserve("CUP", 1, ttl_ms=10_000)
    sold = await client.reserve("CUP", 2, ttl_ms=10_000)
    clock.offset += timedelta(seconds=5)
    await client.tell(
        client.stock.ExtendReservation,
        pb.ExtendReservationRequest,
        reservation_id=extended.reservation_id,
        ttl_ms=3_600_000,
    )
    await client.commit(sold.reservation_id)
    clock.offset += timedelta(seconds=30)
    assert await units(client, "CUP", moment(extended.expire_time)) == (8, 1, 7)
    assert await units(client, "CUP", moment(sold.create_time)) == (10, 3, 7)


async def test_safety_stock_is_that_of_the_time(client: Client, clock: Clock) -> None:
    """What was available then is worked out with the safety stock in force then (R19)."""
    await client.add_sku("CUP", 10, safety_stock=1)
    before = moment((await movements(client))[0].record_time)
    clock.offset += HOUR
    content = {"sku": "CUP", "safety_stock": 4}
    await client.ask(client.catalog.UpdateSku, catalog.UpdateSkuRequest, sku=content)
    assert await units(client, "CUP", before) == (10, 0, 9)
    assert await units(client, "CUP") == (10, 0, 6)


async def test_locations_are_read_as_of_a_time_too(client: Client, clock: Clock) -> None:
    """A transfer is in the past of both its locations; a location that held nothing yet is not among them (R19)."""
    await add_location(client, "north")
    await client.add_sku("CUP", 10)
    before = moment((await movements(client))[0].record_time)
    clock.offset += HOUR
    await client.tell(
        client.stock.TransferStock,
        pb.TransferStockRequest,
        sku="CUP",
        from_location="main",
        to_location="north",
        quantity=3,
    )
    for when, there in ((before, {"main": 10}), (before + 2 * HOUR, {"main": 7, "north": 3})):
        read = await client.ask(client.stock.GetStockLevel, pb.GetStockLevelRequest, sku="CUP", as_of_time=when)
        assert {level.location: level.on_hand for level in read.level.locations} == there
        assert read.level.on_hand == 10
    asked = {"sku": "CUP", "location": "north", "as_of_time": before}
    read = await client.ask(client.stock.GetStockLevel, pb.GetStockLevelRequest, **asked)
    assert (read.level.on_hand, list(read.level.locations)) == (0, [])


async def test_many_skus_are_read_as_of_one_time(client: Client, clock: Clock) -> None:
    """BatchGetStockLevels answers in the order asked, each SKU as it was at that time, doubles and all (R19)."""
    for sku, quantity in (("CUP", 1), ("MUG", 2), ("JUG", 3)):
        await client.add_sku(sku, quantity)
    when = moment((await movements(client))[0].record_time)
    clock.offset += HOUR
    await client.receive("MUG", 10)
    await client.add_sku("POT", 5)
    read = await client.ask(
        client.stock.BatchGetStockLevels,
        pb.BatchGetStockLevelsRequest,
        skus=["MUG", "POT", "CUP", "MUG"],
        as_of_time=when,
    )
    assert [(level.sku, level.on_hand) for level in read.levels] == [("MUG", 2), ("POT", 0), ("CUP", 1), ("MUG", 2)]
    asked = client.ask(
        client.stock.BatchGetStockLevels, pb.BatchGetStockLevelsRequest, skus=["MUG", "NOPE"], as_of_time=when
    )
    refusal = await refused(asked)
    assert (refusal.reason, refusal.field) == ("SKU_UNKNOWN", "skus[1]")


@pytest.mark.parametrize("year", [2900, 9999])
async def test_the_future_is_like_now(client: Client, year: int) -> None:
    """A time that has not come yet is answered with what is known now, up to the last day of the calendar (R19)."""
    await client.add_sku("CUP", 10)
    await client.reserve("CUP", 4)
    assert await units(client, "CUP", datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == (10, 4, 6)


async def test_before_all_time_there_was_nothing(client: Client) -> None:
    """The first day of the calendar is a past time like any other (R19)."""
    await client.add_sku("CUP", 10)
    assert await units(client, "CUP", datetime(1, 1, 1, tzinfo=UTC)) == (0, 0, 0)
