"""What does not fit: drift, sales beyond what was shown, promises that cannot be kept (R22, R23, R30)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from grpc import StatusCode

from gateway.v1 import channel_service_pb2 as pb
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1.channel_pb2 import Drift, PushKind
from gateway.v1.stock_pb2 import Shortfall, ShortfallCause
from tests.client import Client
from tests.faults.calls import until
from tests.refusals import refusal_of_error, refused
from tests.rpc.played_shop import CLOSED, PAID, PLACED, RAISE, WAIT_SECONDS, Shop, order
from tests.rpc.shop_calls import set_policy, unlink
from tests.store.history import add_location, adjust


@pytest.fixture
async def shop(client: Client) -> AsyncIterator[Shop]:
    """A shop that shows all of 10 CUP as listing 1; in the end the ledger adds up (R18, R20)."""
    await client.add_sku("CUP", 10)
    played = Shop(client)
    await played.open()
    await played.link(("CUP", 1))
    async with played.serving():
        await played.wait_shown(L1=10)
        yield played
    verdict = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
    assert verdict.consistent, verdict.breaches


async def test_drift_upward_is_told_and_lowered(shop: Shop) -> None:
    """Somebody typed more into the console: told with its numbers, exposed as it is, and lowered at once."""
    shop.shown[1] = 14
    await _read(shop)
    drift = await _one_drift(shop)
    await shop.wait_shown(L1=10)
    assert shop.shown[1] == 10
    assert (drift.listing_id, drift.channel, drift.shown, drift.exposure_before) == (1, "tb", 14, 10)
    assert (drift.exposure_least, drift.exposure_most) == (14, 14)
    assert "told as it is" in drift.action
    assert [one.push.kind for one in shop.pushes] == [RAISE, PushKind.PUSH_KIND_LOWER]


async def test_drift_downward_is_told_and_raised(shop: Shop) -> None:
    """Somebody typed less: told, and the units are shown again; sales that came in meanwhile are no drift."""
    shop.shown[1] = 6
    begin = shop.tick()
    await shop.report_orders(order(shop, "a", PAID, {"quantity": 2}))
    shop.shown[1] -= 2
    await _read(shop, shown=6, begin_time=begin, end_time=begin)
    drift = await _one_drift(shop)
    await shop.wait_shown(L1=8)
    assert shop.shown[1] == 8
    assert (drift.shown, drift.exposure_before, drift.exposure_least, drift.exposure_most) == (6, 8, 4, 4)


async def test_a_reading_that_fits_is_no_drift(shop: Shop) -> None:
    """What was sold and not heard of yet when it was read is explained by the time the watermark has passed."""
    shop.shown[1] -= 3
    begin = shop.tick()
    sold = order(shop, "a", PAID, {"quantity": 3}, placed_time=begin, update_time=begin, paid_time=begin)
    await shop.report_reading(1)
    await shop.report_orders(sold, watermark=True)
    await shop.wait_shown(L1=7)
    assert await _drifts(shop) == []


async def test_a_number_that_cannot_be_stops_nobody_else(shop: Shop) -> None:
    """A console that shows more than any level can hold is not believed; other listings go on (R28)."""
    await shop.client.add_sku("BOX", 1)
    listing_id = await shop.link(("BOX", 1_000_000), item_id="9")
    shop.shown[listing_id] = 10**15
    await shop.report_orders(watermark=True)
    await shop.wait(lambda one: one.shown == 10**15, listing_id)
    await shop.report_orders(watermark=True)
    await shop.client.receive("CUP", 5)
    await shop.wait_shown(L1=15)
    assert not (await shop.listing(listing_id)).HasField("exposure")


async def test_below_zero_until_the_cancel_comes(shop: Shop) -> None:
    """A unit sold again before we heard that it came back: no shortfall, and the cancel makes it good (R23)."""
    await shop.report_orders(order(shop, "a", PLACED, {"quantity": 10}))
    await shop.report_orders(order(shop, "b", PAID, {"quantity": 2}))
    assert (await shop.listing(1)).exposure == -2
    assert await _shortfalls(shop) == []
    await shop.report_orders(order(shop, "a", CLOSED, {"quantity": 10}), watermark=True)
    shop.shown[1] = 8
    await shop.wait_shown(L1=8)
    assert await _shortfalls(shop) == []
    level = await shop.client.level("CUP")
    assert (level.on_hand, level.reserved, level.exposed) == (8, 0, 8)


async def test_below_zero_without_a_cancel_is_a_shortfall(shop: Shop) -> None:
    """Once the watermark has passed the order, what was sold beyond all there is gets told; the order stands (R23)."""
    await shop.report_orders(order(shop, "a", PAID, {"quantity": 13}))
    assert (await shop.listing(1)).exposure == -3
    assert await _shortfalls(shop) == []
    shop.shown[1] = 0
    await shop.report_orders(watermark=True)
    shortfall = await _one_shortfall(shop)
    assert (shortfall.cause, shortfall.quantity) == (ShortfallCause.SHORTFALL_CAUSE_SOLD_BEYOND, 3)
    assert (shortfall.sku, shortfall.location) == ("CUP", "main")
    await shop.wait_shown(L1=0)
    assert (await shop.client.level("CUP")).on_hand == -3


async def test_units_that_nobody_shows_serve_what_was_sold_beyond(shop: Shop) -> None:
    """Sold beyond what was shown, and there were more: nothing is short (R23)."""
    await set_policy(shop.client, sku="CUP", stop_at=4)
    await set_policy(shop.client, sku="CUP", stop_at=4, shares=[{"channel": "tb", "cap": 6}])
    await shop.wait_shown(L1=6)
    await shop.report_orders(order(shop, "a", PAID, {"quantity": 8}), watermark=True)
    shop.shown[1] = 0
    await shop.wait_shown(L1=0)
    assert await _shortfalls(shop) == []
    assert (await shop.client.level("CUP")).on_hand == 2


async def test_a_shortfall_is_looked_after_and_resolved(shop: Shop) -> None:
    """An owner, then a resolution, once; resolved ones are listed when asked for."""
    await adjust(shop.client, "CUP", -7)
    await shop.report_orders(order(shop, "a", PAID, {"quantity": 10}), watermark=True)
    shortfall_id = (await _one_shortfall(shop)).shortfall_id
    owned = await _resolve(shop, shortfall_id, owner="Ann")
    assert (owned.owner, owned.resolution, owned.HasField("resolve_time")) == ("Ann", "", False)
    resolved = await _resolve(shop, shortfall_id, resolution="bought elsewhere")
    assert (resolved.owner, resolved.resolution, resolved.HasField("resolve_time")) == ("Ann", "bought elsewhere", True)
    refusal = await refused(_resolve(shop, shortfall_id, resolution="again"))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "resolution")
    assert await _shortfalls(shop) == []
    assert await _shortfalls(shop, include_resolved=True) == [resolved]
    refusal = await refused(_resolve(shop, "999", owner="Ann"))
    assert refusal.reason == "SHORTFALL_UNKNOWN"


async def test_a_shortfall_is_resolved_by_one(client: Client) -> None:
    """Of many who resolve it at the same time one does; all others are told what he has said."""
    await client.add_sku("CUP", 8)
    await client.reserve("CUP", 8)
    short = await adjust(client, "CUP", -3, record_reality=True)
    resolve, number = client.selling.ResolveShortfall, short.shortfall.shortfall_id
    calls = [
        client.ask(resolve, pb.ResolveShortfallRequest, shortfall_id=number, resolution=f"by {one}")
        for one in range(12)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    (done,) = (one for one in answers if isinstance(one, pb.ResolveShortfallResponse))
    refusals = [refusal_of_error(one) for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert len(refusals) == len(calls) - 1
    assert {one.message for one in refusals} == {f"shortfall {number} was resolved before: {done.shortfall.resolution}"}
    assert {one.code for one in refusals} == {StatusCode.INVALID_ARGUMENT}


async def test_a_direct_reservation_never_takes_what_is_shown(shop: Shop) -> None:
    """Who reserves beside the platforms gets what is unallocated, and not one unit that a platform may sell (R20)."""
    refusal = await refused(shop.client.reserve("CUP", 1))
    assert (refusal.reason, refusal.facts["available"]) == ("INSUFFICIENT_STOCK", "0")
    await set_policy(shop.client, sku="CUP", shares=[{"channel": "tb", "cap": 6}])
    await shop.wait_shown(L1=6)
    assert (await refused(shop.client.reserve("CUP", 5))).facts["available"] == "4"
    await shop.client.reserve("CUP", 4)
    level = await shop.client.level("CUP")
    assert (level.reserved, level.exposed, level.unallocated) == (4, 6, 0)


async def test_shared_units_are_shown_by_everybody(shop: Shop) -> None:
    """SHARED shows all in both shops, and tells what that oversold; back to shares, each unit is shown once (R29)."""
    other = Shop(shop.client, "dy")
    await other.open()
    await other.link(("CUP", 1))
    async with other.serving():
        await set_policy(shop.client, sku="CUP", kind=6, buffer=1)
        await shop.wait_shown(L1=9)
        await other.wait_shown(L2=9)
        shop.shown[1] -= 9
        await shop.report_orders(order(shop, "a", PAID, {"quantity": 9}))
        other.shown[2] -= 3
        await other.report_orders(order(other, "b", PAID, {"quantity": 3}), watermark=True)
        shortfall = await _one_shortfall(shop)
        assert (shortfall.cause, shortfall.quantity) == (ShortfallCause.SHORTFALL_CAUSE_POLICY, 2)
        await shop.client.receive("CUP", 22)
        await set_policy(shop.client, sku="CUP", kind=2, shares=[{"channel": c, "share": 1} for c in ("tb", "dy")])
        await shop.wait_shown(L1=10)
        await other.wait_shown(L2=10)

        async def is_exposed() -> bool:
            return (await shop.client.level("CUP")).exposed == 20

        await until(is_exposed, WAIT_SECONDS)


async def test_several_locations_are_exposed_each_by_itself(shop: Shop) -> None:
    """What listings may sell is split over the locations, and never above what lies at one (R20)."""
    await add_location(shop.client, "north")
    await shop.client.receive("CUP", 5, location="north")
    await shop.wait_shown(L1=15)
    level = await shop.client.level("CUP")
    assert {one.location: one.exposed for one in level.locations} == {"main": 10, "north": 5}
    await shop.report_orders(order(shop, "a", PAID, {"quantity": 12}))
    shop.shown[1] -= 12
    level = await shop.client.level("CUP")
    assert {one.location: (one.on_hand, one.exposed) for one in level.locations} == {"main": (0, 0), "north": (3, 3)}


async def test_an_order_outlives_its_listing(shop: Shop) -> None:
    """What was sold is still paid for and returned after its listing was unlinked; no page is refused for it."""
    await shop.report_orders(order(shop, "a", PLACED, {"quantity": 10}))
    shop.shown[1] = 0
    await unlink(shop.client, 1)
    assert (await shop.report_orders(order(shop, "b", PAID), order(shop, "a", PAID, {"quantity": 10}))).unlinked == 1
    assert (await shop.client.level("CUP")).on_hand == 0
    await shop.client.add_sku("MUG", 9)
    await shop.link(("MUG", 3))
    await shop.report_orders(order(shop, "a", PAID, {"quantity": 10, "refunded": 4}))
    await shop.report_orders(order(shop, "a", PAID, {"quantity": 10, "refunded": 9}))
    assert (await shop.client.level("CUP")).on_hand == 9


async def _read(shop: Shop, **content: Any) -> None:
    """Read as the background round does, and let the watermark pass."""
    last = shop.pushes[-1].push.push_id
    assert await shop.report_reading(1, **{"after_push_id": last, **content}) == 1
    await shop.report_orders(watermark=True)


async def _drifts(shop: Shop) -> list[Drift]:
    request = {"channel": "tb"}
    return list((await shop.client.ask(shop.client.selling.ListDrift, pb.ListDriftRequest, **request)).drifts)


async def _one_drift(shop: Shop) -> Drift:
    """Wait for it; it must stay the only one."""

    async def is_there() -> bool:
        return bool(await _drifts(shop))

    await until(is_there, WAIT_SECONDS)
    (found,) = await _drifts(shop)
    return found


async def _shortfalls(shop: Shop, *, include_resolved: bool = False) -> list[Shortfall]:
    request = {"include_resolved": include_resolved}
    found = await shop.client.ask(shop.client.selling.ListShortfalls, pb.ListShortfallsRequest, **request)
    return list(found.shortfalls)


async def _one_shortfall(shop: Shop) -> Shortfall:
    """Wait for it; it must stay the only one."""

    async def is_there() -> bool:
        return bool(await _shortfalls(shop))

    await until(is_there, WAIT_SECONDS)
    (found,) = await _shortfalls(shop)
    return found


async def _resolve(shop: Shop, shortfall_id: str, **content: str) -> Shortfall:
    request = {"shortfall_id": shortfall_id, **content}
    ask = shop.client.selling.ResolveShortfall
    return (await shop.client.ask(ask, pb.ResolveShortfallRequest, **request)).shortfall
