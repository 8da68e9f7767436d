"""Promises: reserve, commit, release, extend, resize and return do what the contract says of them (R1-R9)."""

from datetime import timedelta
from typing import Any

from grpc import StatusCode

from gateway.store.database import Clock
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import channel_service_pb2 as channel_pb
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import Reservation, ReservationState, ShortfallCause
from tests.client import Client
from tests.refusals import refused
from tests.store.history import add_location, adjust, moment, movements, units

HELD = ReservationState.RESERVATION_STATE_HELD
COMMITTED = ReservationState.RESERVATION_STATE_COMMITTED
RELEASED = ReservationState.RESERVATION_STATE_RELEASED
EXPIRED = ReservationState.RESERVATION_STATE_EXPIRED


async def test_a_reservation_promises_units(client: Client) -> None:
    """The answer is an open reservation with its lines, order, times, and where the units are."""
    await client.add_sku("CUP", 10)
    response = await reserve(client, ("CUP", 3), order_id="order-1", ttl_ms=60_000)
    held = response.reservation
    assert (held.state, held.order_id, held.HasField("resolve_time")) == (HELD, "order-1", False)
    assert (held.lines[0].line_number, held.lines[0].requested, allotted(held)) == (1, 3, [{"main": 3}])
    assert moment(held.expire_time) - moment(held.create_time) == timedelta(minutes=1)
    assert (held.create_time, response.revision) == (response.record_time, 2)
    assert await read(client, held) == held


async def test_without_a_time_to_live_the_default_counts(client: Client) -> None:
    """No ttl_ms means the gateway's default, a quarter of an hour (R7)."""
    await client.add_sku("CUP", 10)
    held = (await reserve(client, ("CUP", 1))).reservation
    assert moment(held.expire_time) - moment(held.create_time) == timedelta(minutes=15)


async def test_all_lines_are_held_or_none(client: Client) -> None:
    """Lines with the same SKU count together; if one cannot be held nothing is (R2)."""
    await client.add_sku("CUP", 5)
    await client.add_sku("MUG", 5)
    refusal = await refused(reserve(client, ("MUG", 5), ("CUP", 3), ("CUP", 3)))
    assert (refusal.reason, refusal.field) == ("INSUFFICIENT_STOCK", "lines[2].quantity")
    assert refusal.facts["available"] == "2"
    assert await units(client, "MUG") == (5, 0, 5)
    held = (await reserve(client, ("MUG", 5), ("CUP", 3), ("CUP", 2))).reservation
    assert allotted(held) == [{"main": 5}, {"main": 3}, {"main": 2}]


async def test_a_partial_reservation_takes_what_there_is(client: Client) -> None:
    """With allow_partial each line gets what is left; only nothing at all is refused (R2)."""
    await client.add_sku("CUP", 5)
    await client.add_sku("MUG")
    held = (await reserve(client, ("CUP", 3), ("CUP", 3), ("MUG", 1), allow_partial=True)).reservation
    assert allotted(held) == [{"main": 3}, {"main": 2}, {}]
    assert [line.requested for line in held.lines] == [3, 3, 1]
    refusal = await refused(reserve(client, ("CUP", 1), ("MUG", 1), allow_partial=True))
    assert (refusal.reason, refusal.facts["available"]) == ("INSUFFICIENT_STOCK", "0")


async def test_locations_serve_in_order(client: Client) -> None:
    """A line's own location, else the request's in their order, else the catalog's; split where needed (R3)."""
    for location in ("north", "south"):
        await add_location(client, location)
    await client.add_sku("CUP", 2)
    await client.receive("CUP", 2, location="north")
    await client.receive("CUP", 2, location="south")
    own = (await reserve(client, ("CUP", 1, "south"), locations=["north"])).reservation
    assert allotted(own) == [{"south": 1}]
    named = (await reserve(client, ("CUP", 2), locations=["south", "north"])).reservation
    assert allotted(named) == [{"south": 1, "north": 1}]
    either = (await reserve(client, ("CUP", 3))).reservation
    assert allotted(either) == [{"main": 2, "north": 1}]
    refusal = await refused(reserve(client, ("CUP", 1), locations=["south", "north"]))
    assert refusal.reason == "INSUFFICIENT_STOCK"


async def test_a_commit_sells_the_whole(client: Client) -> None:
    """Sold units leave on hand and reserved together."""
    await client.add_sku("CUP", 10)
    held = await client.reserve("CUP", 3)
    sold = (await commit(client, held)).reservation
    assert (sold.state, sold.HasField("resolve_time")) == (COMMITTED, True)
    assert (sold.lines[0].allotments[0].held, sold.lines[0].allotments[0].committed) == (3, 3)
    assert await units(client, "CUP") == (7, 0, 7)


async def test_a_commit_of_some_lines_returns_the_rest_at_once(client: Client) -> None:
    """A named quantity is sold, a line left out sells nothing, and what is left is available again (R4)."""
    await client.add_sku("CUP", 10)
    await client.add_sku("MUG", 10)
    held = (await reserve(client, ("CUP", 5), ("MUG", 4))).reservation
    sold = (await commit(client, held, {"line_number": 1, "quantity": 2})).reservation
    assert [line.allotments[0].committed for line in sold.lines] == [2, 0]
    assert [await units(client, sku) for sku in ("CUP", "MUG")] == [(8, 0, 8), (10, 0, 10)]


async def test_a_commit_of_more_than_is_held_has_no_effect(client: Client) -> None:
    """More than a line holds is an error that names the line, and the reservation stays open (R4)."""
    await client.add_sku("CUP", 10)
    held = await client.reserve("CUP", 3)
    refusal = await refused(commit(client, held, {"line_number": 1, "quantity": 4}))
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "ABOVE_HELD")
    assert (refusal.facts["held"], refusal.facts["asked"]) == ("3", "4")
    assert (await read(client, held)).state == HELD


async def test_a_commit_never_fails_for_lack_of_stock(client: Client) -> None:
    """The check was at reserve: goods that are gone since do not stop a commit (R1)."""
    await client.add_sku("CUP", 10)
    held = await client.reserve("CUP", 6)
    await adjust(client, "CUP", -8, record_reality=True)
    assert (await commit(client, held)).reservation.state == COMMITTED
    assert await units(client, "CUP") == (-4, 0, 0)


async def test_a_release_is_whole(client: Client) -> None:
    """Everything held is available again, and the journal knows why (R5)."""
    await client.add_sku("CUP", 10)
    held = await client.reserve("CUP", 3)
    content = {"reservation_id": held.reservation_id, "reason": "changed mind"}
    response = await client.tell(client.stock.ReleaseReservation, pb.ReleaseReservationRequest, **content)
    assert response.reservation.state == RELEASED
    assert await units(client, "CUP") == (10, 0, 10)
    assert (await movements(client))[0].reason == "changed mind"


async def test_final_is_final(client: Client, clock: Clock) -> None:
    """Sold, released, expired: every later resolution is refused and says which came first (R6)."""
    await client.add_sku("CUP", 10)
    sold, released, expired = [await client.reserve("CUP", 1, ttl_ms=60_000) for _ in range(3)]
    await commit(client, sold)
    await client.release(released.reservation_id)
    clock.offset += timedelta(minutes=1)
    for one, state, reason in (
        (sold, "COMMITTED", "RESERVATION_RESOLVED"),
        (released, "RELEASED", "RESERVATION_RESOLVED"),
        (expired, "EXPIRED", "RESERVATION_EXPIRED"),
    ):
        for attempt in (
            commit(client, one),
            client.release(one.reservation_id),
            extend(client, one, 60_000),
            resize(client, one, 2),
        ):
            refusal = await refused(attempt)
            assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, reason)
            assert refusal.facts["state"] == state


async def test_an_extension_moves_the_expiry_later_only(client: Client, clock: Clock) -> None:
    """The new time counts from now, and an expiry that is already later stays (R8)."""
    await client.add_sku("CUP", 10)
    held = await client.reserve("CUP", 1, ttl_ms=60_000)
    clock.offset += timedelta(seconds=30)
    extended = await extend(client, held, 60_000)
    assert moment(extended.reservation.expire_time) - moment(extended.record_time) == timedelta(minutes=1)
    assert (await extend(client, held, 1)).reservation.expire_time == extended.reservation.expire_time
    clock.offset += timedelta(seconds=59)
    assert (await read(client, held)).state == HELD
    clock.offset += timedelta(seconds=2)
    assert (await read(client, held)).state == EXPIRED


async def test_a_resize_compares_only_the_difference(client: Client) -> None:
    """A caller's own hold never blocks it; smaller gives back, larger takes the difference (R5)."""
    await client.add_sku("CUP", 10)
    held = await client.reserve("CUP", 6)
    assert allotted((await resize(client, held, 10)).reservation) == [{"main": 10}]
    refusal = await refused(resize(client, held, 11))
    assert (refusal.reason, refusal.facts["asked"], refusal.facts["available"]) == ("INSUFFICIENT_STOCK", "1", "0")
    assert allotted((await resize(client, held, 2)).reservation) == [{"main": 2}]
    assert await units(client, "CUP") == (10, 2, 8)
    assert (await refused(resize(client, held, 0))).field == "lines"


async def test_a_resize_to_nothing_needs_another_line_with_something(client: Client) -> None:
    """A line may shrink to nothing as long as one unit of the reservation stays held (R5)."""
    await client.add_sku("CUP", 10)
    held = (await reserve(client, ("CUP", 2), ("CUP", 3))).reservation
    assert allotted((await resize(client, held, 0)).reservation) == [{"main": 0}, {"main": 3}]
    assert await units(client, "CUP") == (10, 3, 7)


async def test_sold_goods_come_back(client: Client) -> None:
    """By line or all that is left, to where they had left or to a named location, and never more than was sold."""
    await add_location(client, "returns", 9)
    await client.add_sku("CUP", 10)
    sold = await client.commit((await client.reserve("CUP", 5)).reservation_id)
    back = await return_(client, sold, [{"line_number": 1, "quantity": 2}], location="returns", reason="torn")
    assert (back.reservation.state, back.reservation.lines[0].allotments[0].returned) == (COMMITTED, 2)
    level = await client.level("CUP")
    assert {one.location: one.on_hand for one in level.locations} == {"main": 5, "returns": 2}
    refusal = await refused(return_(client, sold, [{"line_number": 1, "quantity": 4}]))
    assert (refusal.reason, refusal.facts["held"]) == ("ABOVE_HELD", "3")
    await return_(client, sold)
    assert await units(client, "CUP") == (10, 0, 10)
    assert (await refused(return_(client, sold))).reason == "ABOVE_HELD"


async def test_only_what_was_sold_comes_back(client: Client) -> None:
    """An open reservation has nothing to return."""
    await client.add_sku("CUP", 10)
    refusal = await refused(return_(client, await client.reserve("CUP", 5)))
    assert (refusal.reason, refusal.facts["state"]) == ("RESERVATION_NOT_COMMITTED", "HELD")


async def test_a_late_payment_takes_the_units_again(client: Client, clock: Clock) -> None:
    """With retake_expired a new, linked reservation takes and sells what there is (R9)."""
    await client.add_sku("CUP", 10)
    expired = (await reserve(client, ("CUP", 4), order_id="order-1", ttl_ms=1_000)).reservation
    clock.offset += timedelta(seconds=1)
    assert (await refused(commit(client, expired))).reason == "RESERVATION_EXPIRED"
    response = await commit(client, expired, retake_expired=True)
    sold = response.reservation
    assert (sold.state, sold.order_id, allotted(sold)) == (COMMITTED, "order-1", [{"main": 4}])
    assert (sold.replaces_reservation_id, list(response.shortfalls)) == (expired.reservation_id, [])
    old = await read(client, expired)
    assert (old.state, old.replaced_by_reservation_id) == (EXPIRED, sold.reservation_id)
    assert await units(client, "CUP") == (6, 0, 6)
    refusal = await refused(commit(client, expired, retake_expired=True))
    assert refusal.reason == "RESERVATION_EXPIRED"


async def test_a_late_payment_for_what_is_gone_is_a_shortfall(client: Client, clock: Clock) -> None:
    """What cannot be taken again is a shortfall of that order, per line; the rest is sold (R9)."""
    await client.add_sku("CUP", 5)
    expired = (await reserve(client, ("CUP", 4), order_id="order-1", ttl_ms=1_000)).reservation
    clock.offset += timedelta(seconds=1)
    await client.reserve("CUP", 3)
    response = await commit(client, expired, retake_expired=True)
    (missing,) = response.shortfalls
    assert (missing.quantity, missing.order_id, missing.sku) == (2, "order-1", "CUP")
    assert missing.cause == ShortfallCause.SHORTFALL_CAUSE_PAID_TOO_LATE
    assert missing.reservation_id == response.reservation.reservation_id
    assert allotted(response.reservation) == [{"main": 2}]
    assert await units(client, "CUP") == (3, 3, 0)
    listed = await client.ask(client.selling.ListShortfalls, channel_pb.ListShortfallsRequest)
    assert list(listed.shortfalls) == [missing]


async def test_in_time_retake_is_a_plain_commit(client: Client) -> None:
    """retake_expired changes nothing for a reservation that is still open (R9)."""
    await client.add_sku("CUP", 5)
    held = await client.reserve("CUP", 4)
    sold = (await commit(client, held, retake_expired=True)).reservation
    assert (sold.reservation_id, sold.replaces_reservation_id) == (held.reservation_id, "")


async def test_a_frozen_sku_is_not_promised_and_promises_are_kept(client: Client) -> None:
    """Frozen: no new reservation and no larger one; what is open may be sold, released, kept longer or made smaller."""
    await client.add_sku("CUP", 20)
    await client.add_sku("MUG", 20)
    sold, released, kept = [await client.reserve("CUP", 3) for _ in range(3)]
    await client.ask(client.catalog.FreezeSku, catalog.FreezeSkuRequest, sku="CUP", reason="recall")
    for attempt in (reserve(client, ("CUP", 1)), reserve(client, ("MUG", 1), ("CUP", 1)), resize(client, kept, 4)):
        refusal = await refused(attempt)
        assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "SKU_FROZEN")
        assert refusal.facts == {"sku": "CUP"}
    assert (await client.level("CUP")).frozen
    await client.receive("CUP", 1)
    await commit(client, sold)
    await return_(client, sold)
    await client.release(released.reservation_id)
    await extend(client, kept, 3_600_000)
    await resize(client, kept, 1)
    await client.reserve("MUG", 1)
    await client.ask(client.catalog.UnfreezeSku, catalog.UnfreezeSkuRequest, sku="CUP")
    await client.reserve("CUP", 20)
    assert not (await client.level("CUP")).frozen


async def reserve(client: Client, *lines: tuple[Any, ...], **content: Any) -> pb.ReserveStockResponse:
    """Reserve lines of (SKU, quantity, location or nothing)."""
    named = [dict(zip(("sku", "quantity", "location"), line, strict=False)) for line in lines]
    return await client.tell(client.stock.ReserveStock, pb.ReserveStockRequest, lines=named, **content)


async def commit(client: Client, one: Reservation, *lines: dict[str, int], **content: Any) -> Any:
    """Sell a reservation."""
    content = {"reservation_id": one.reservation_id, "lines": lines, **content}
    return await client.tell(client.stock.CommitReservation, pb.CommitReservationRequest, **content)


async def extend(client: Client, one: Reservation, ttl_ms: int) -> pb.ExtendReservationResponse:
    """Let it live for so long."""
    content = {"reservation_id": one.reservation_id, "ttl_ms": ttl_ms}
    return await client.tell(client.stock.ExtendReservation, pb.ExtendReservationRequest, **content)


async def resize(client: Client, one: Reservation, quantity: int) -> pb.ResizeReservationResponse:
    """Change the quantity of its first line."""
    content = {"reservation_id": one.reservation_id, "lines": [{"line_number": 1, "quantity": quantity}]}
    return await client.tell(client.stock.ResizeReservation, pb.ResizeReservationRequest, **content)


async def return_(client: Client, one: Reservation, lines: Any = (), **content: Any) -> pb.ReturnStockResponse:
    """Take goods back."""
    content = {"reservation_id": one.reservation_id, "lines": lines, **content}
    return await client.tell(client.stock.ReturnStock, pb.ReturnStockRequest, **content)


async def read(client: Client, one: Reservation) -> Reservation:
    """The reservation as it is now."""
    asked = {"reservation_id": one.reservation_id}
    return (await client.ask(client.stock.GetReservation, pb.GetReservationRequest, **asked)).reservation


def allotted(one: Reservation) -> list[dict[str, int]]:
    """Per line, the units held by location."""
    return [{place.location: place.held for place in line.allotments} for line in one.lines]
