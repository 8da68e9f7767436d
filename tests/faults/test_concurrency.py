"""Many callers at once, over two gateways on one database: every race has one outcome, and units are conserved.

That the ledger adds up in the end (R18) is asked by the fixture `twins` of both gateways, after every test.
"""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import grpc.aio

from gateway.store.database import Clock
from gateway.v1 import stock_pb2
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client, new_id
from tests.faults.calls import batch, reason_of, reserve_of, reserves, stock_up
from tests.faults.followers import following

LAST_UNITS = 1_000
LAST_UNITS_AT_ONCE = 50
RUSH_CALLS, RUSH_UNITS = 5_000, 1_000
SAME_IDS = 400
SAME_ID_CALLERS = 10
ORDERS = 400
ORDERED_UNITS = 120
ORDERS_AT_ONCE = 32
# Reservations that are committed before, around and after the moment in which they run out.
BEFORE, AROUND, AFTER = 40, 200, 40
BATCH = 20
TTL_MS = 3_600_000
COMMITTED = stock_pb2.RESERVATION_STATE_COMMITTED
EXPIRED = stock_pb2.RESERVATION_STATE_EXPIRED


async def test_one_of_many_gets_the_last_unit(twins: list[Client], seed: int) -> None:
    """Of eight callers who want the last unit exactly one gets it, a thousand times over (R1)."""
    skus = [f"LAST-{number:04}" for number in range(LAST_UNITS)]
    await stock_up(twins[0], skus, 1)
    chance = random.Random(seed)
    wins: Counter[str] = Counter()

    async def alone(client: Client, sku: str) -> None:
        if await reserve_or_not(client, reserve_of(sku)) is not None:
            wins[sku] += 1

    async def together(client: Client, chosen: list[str]) -> None:
        items = [pb.BatchItem(reserve=reserve_of(sku)) for sku in chance.sample(chosen, len(chosen))]
        results = await batch(client, items)
        wins.update(result.reserve.reservation.lines[0].sku for result in results if result.HasField("reserve"))

    for start in range(0, LAST_UNITS, LAST_UNITS_AT_ONCE):
        chosen = skus[start : start + LAST_UNITS_AT_ONCE]
        callers = [together(client, chosen) for client in twins for _ in range(2)]
        callers += [alone(client, sku) for sku in chosen for client in twins for _ in range(2)]
        chance.shuffle(callers)
        await asyncio.gather(*callers)
    assert len(wins) == LAST_UNITS
    assert set(wins.values()) == {1}
    levels = await twins[1].stock.BatchGetStockLevels(pb.BatchGetStockLevelsRequest(skus=skus), **twins[1].options)
    assert {(level.on_hand, level.reserved, level.available) for level in levels.levels} == {(1, 1, 0)}


async def test_a_rush(client: Client) -> None:
    """Five thousand calls at once for a thousand units: a thousand win, and every one of the others is told why not."""
    await stock_up(client, ["RUSH"], RUSH_UNITS)
    told: Counter[str] = Counter()

    async def call() -> None:
        try:
            await client.stock.ReserveStock(reserve_of("RUSH"), **client.options)
        except grpc.aio.AioRpcError as error:
            told[f"{error.code().name} {reason_of(error)}"] += 1
        else:
            told["OK"] += 1

    await asyncio.gather(*(call() for _ in range(RUSH_CALLS)))
    assert told == {"OK": RUSH_UNITS, "FAILED_PRECONDITION INSUFFICIENT_STOCK": RUSH_CALLS - RUSH_UNITS}
    level = await client.level("RUSH")
    assert (level.on_hand, level.reserved, level.available) == (RUSH_UNITS, RUSH_UNITS, 0)


async def test_one_request_from_many_callers(twins: list[Client]) -> None:
    """The same request id from ten callers at once has one effect, and all get the same answer (R10)."""
    skus = [f"SAME-{number:03}" for number in range(SAME_IDS)]
    await stock_up(twins[0], skus, 1)
    torn = Counter[str]()
    for sku in skus:
        request = reserve_of(sku)
        answers = await asyncio.gather(
            *(twins[n % 2].stock.ReserveStock(request, **twins[n % 2].options) for n in range(SAME_ID_CALLERS)),
            return_exceptions=True,
        )
        torn.update({repr(answer)[:300] for answer in answers if answer != answers[0]})
    assert not torn, "callers of one request id got different answers"
    levels = await twins[0].stock.BatchGetStockLevels(pb.BatchGetStockLevelsRequest(skus=skus), **twins[0].options)
    assert {(level.on_hand, level.reserved) for level in levels.levels} == {(1, 1)}


async def test_orders_that_name_the_same_goods_in_any_order(twins: list[Client], seed: int) -> None:
    """Lines in opposite orders never block each other; an order gets all its lines or none (R2); streams saw it all."""
    skus = [f"MIX-{number}" for number in range(6)]
    await stock_up(twins[0], skus, ORDERED_UNITS)
    chance = random.Random(seed)
    sold, held = Counter[str](), Counter[str]()
    waiting = [chance.sample(skus, chance.randint(2, len(skus))) for _ in range(ORDERS)]

    async def customer(client: Client) -> None:
        while waiting:
            chosen = waiting.pop()
            lines = [pb.ReserveLine(sku=sku, quantity=1) for sku in chosen]
            reservation = await reserve_or_not(client, pb.ReserveStockRequest(request_id=new_id(), lines=lines))
            if reservation is None:
                continue
            assert [sum(allotment.held for allotment in line.allotments) for line in reservation.lines] == [1] * len(
                lines
            )
            match chance.randrange(3):
                case 0:
                    await client.commit(reservation.reservation_id)
                    sold.update(chosen)
                case 1:
                    await client.release(reservation.reservation_id)
                case _:
                    held.update(chosen)

    async with AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(following(client)) for client in twins]
        await asyncio.gather(*(customer(twins[n % 2]) for n in range(ORDERS_AT_ONCE)))
        for sku in skus:
            level = await twins[0].level(sku)
            assert (level.on_hand, level.reserved) == (ORDERED_UNITS - sold[sku], held[sku])
            assert 0 <= level.reserved <= level.on_hand
            for follower in followers:
                await follower.until(level)
    assert sold
    assert held


async def test_commit_against_expiry(twins: list[Client], clock: Clock, seed: int) -> None:
    """Before its time a reservation is sold, afterwards it has expired, at the boundary it is one of both (R6, R7)."""
    count = BEFORE + AROUND + AFTER
    await stock_up(twins[0], ["PAID"], count)
    made = []
    for _ in range(0, count, BATCH):
        made += [result.reserve.reservation for result in await batch(twins[0], reserves("PAID", BATCH, TTL_MS))]
    random.Random(seed).shuffle(made)
    before, around, after = made[:BEFORE], made[BEFORE : BEFORE + AROUND], made[BEFORE + AROUND :]
    outcomes: dict[str, int] = {}

    async def pay(client: Client, unpaid: list[stock_pb2.Reservation]) -> None:
        while unpaid:
            number = unpaid.pop().reservation_id
            outcomes[number] = await commit_or_not(client, number)

    async def want(client: Client) -> int:
        return sum([await reserve_or_not(client, reserve_of("PAID")) is not None for _ in range(BATCH)])

    await pay(twins[0], list(before))
    boundary = min(reservation.expire_time.ToDatetime(UTC) for reservation in made)
    clock.offset = boundary - datetime.now(UTC) - timedelta(milliseconds=20)
    customers = asyncio.gather(*(want(client) for client in twins * 2))
    await asyncio.gather(*(pay(client, around) for client in twins * 4))
    clock.offset += timedelta(seconds=10)
    await pay(twins[1], list(after))
    taken_again = sum(await customers)

    assert {outcomes[reservation.reservation_id] for reservation in before} == {COMMITTED}
    assert {outcomes[reservation.reservation_id] for reservation in after} == {EXPIRED}
    assert {number: await ended_as(twins[0], number) for number in outcomes} == outcomes
    sold = Counter(outcomes.values())[COMMITTED]
    level = await twins[1].level("PAID")
    assert (level.on_hand, level.reserved, level.available) == (count - sold, taken_again, count - sold - taken_again)


async def reserve_or_not(client: Client, request: pb.ReserveStockRequest) -> stock_pb2.Reservation | None:
    """The reservation, None if there are too few units; nothing else will do."""
    try:
        return (await client.stock.ReserveStock(request, **client.options)).reservation
    except grpc.aio.AioRpcError as error:
        if reason_of(error) != "INSUFFICIENT_STOCK":
            raise
        return None


async def commit_or_not(client: Client, reservation_id: str) -> int:
    """COMMITTED, or EXPIRED if that came first; nothing else will do."""
    try:
        return (await client.commit(reservation_id)).state
    except grpc.aio.AioRpcError as error:
        if reason_of(error) != "RESERVATION_EXPIRED":
            raise
        return EXPIRED


async def ended_as(client: Client, reservation_id: str) -> int:
    """How a reservation ended, according to itself and to the journal, which agree."""
    found = await client.stock.GetReservation(pb.GetReservationRequest(reservation_id=reservation_id), **client.options)
    wanted = pb.ListMovementsRequest(reservation_id=reservation_id)
    movements = (await client.stock.ListMovements(wanted, **client.options)).movements
    ends = {COMMITTED: stock_pb2.MOVEMENT_KIND_COMMIT, EXPIRED: stock_pb2.MOVEMENT_KIND_EXPIRE}
    assert [movement.kind for movement in movements] == [ends[found.reservation.state], stock_pb2.MOVEMENT_KIND_RESERVE]
    return found.reservation.state
