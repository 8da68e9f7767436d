"""Expiry: at its time a hold is gone for everybody, whether or not it was swept; and it is freed once (R7)."""

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import grpc.aio
import pytest

from gateway import app
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.sweeper import PAUSE_SECONDS
from gateway.v1 import stock_pb2
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client
from tests.faults.calls import batch, reason_of, reserve_of, reserves, until
from tests.faults.locks import blocked, head_held, nobody_sweeps, somebody_sweeps
from tests.faults.postgres import own_postgres
from tests.merchants import schema_of_token
from tests.store.history import add_location

TTL_MS = 3_600_000
HELD = stock_pb2.RESERVATION_STATE_HELD
EXPIRED = stock_pb2.RESERVATION_STATE_EXPIRED
MANY = 2_000
FEW = 40
BATCH = 1_000
# "Within a second", on a machine that may have others to serve.
FREED_SECONDS_MAX = 4.0
SHORT_TTL_MS = 500
TOLD_SECONDS_MAX = 30.0


@pytest.fixture
def schema(token: str) -> str:
    """The name of the merchant's schema."""
    return schema_of_token(token)


async def count_stored(owner: asyncpg.Connection, schema: str, state: int) -> int:
    """How many reservations are in this state on disk, whatever reads make of them."""
    return int(await owner.fetchval(f'SELECT count(*) FROM "{schema}".reservations WHERE state = $1', state))


async def freed(owner: asyncpg.Connection, schema: str) -> float:
    """Wait until the sweeper has freed everything; how many seconds that took."""

    async def is_so() -> bool:
        return await count_stored(owner, schema, HELD) == 0

    return await until(is_so, FREED_SECONDS_MAX)


async def hold_many(client: Client, count: int) -> None:
    """So many reservations of one unit, which is all there is."""
    await client.add_sku("CUP", count)
    for start in range(0, count, BATCH):
        results = await batch(client, reserves("CUP", min(BATCH, count - start), TTL_MS))
        assert all(result.HasField("reserve") for result in results)


async def units(client: Client) -> tuple[int, int, int]:
    """On hand, reserved, available."""
    level = await client.level("CUP")
    return level.on_hand, level.reserved, level.available


async def test_many_expire_in_one_instant(
    twins: list[Client], clock: Clock, owner: asyncpg.Connection, schema: str
) -> None:
    """Two thousand holds that run out together are free within a second; reads never show them; none is freed twice."""
    await hold_many(twins[0], MANY)
    assert await units(twins[1]) == (MANY, MANY, 0)
    clock.offset += timedelta(milliseconds=TTL_MS)
    sweeping = asyncio.create_task(freed(owner, schema))
    while not sweeping.done():
        for client in twins:
            assert await units(client) == (MANY, 0, MANY)
        await asyncio.sleep(0)
    print(f"{MANY} freed within {await sweeping:.2f} s")
    kinds = await owner.fetch(f'SELECT kind, count(*), sum(reserved_change) FROM "{schema}".movements GROUP BY kind')
    assert {row["kind"]: (row["count"], row["sum"]) for row in kinds} == {
        stock_pb2.MOVEMENT_KIND_RECEIVE: (1, 0),
        stock_pb2.MOVEMENT_KIND_RESERVE: (MANY, MANY),
        stock_pb2.MOVEMENT_KIND_EXPIRE: (MANY, -MANY),
    }
    assert await count_stored(owner, schema, EXPIRED) == MANY


async def test_who_needs_the_units_does_not_wait_for_the_sweeper(
    twins: list[Client], clock: Clock, owner: asyncpg.Connection, schema: str
) -> None:
    """A moment before its time a hold counts; from then on its units can be reserved although nobody has swept (R7)."""
    await hold_many(twins[0], BATCH)
    async with nobody_sweeps(owner, schema):
        clock.offset += timedelta(milliseconds=TTL_MS - 30_000)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await twins[0].reserve("CUP", 1)
        assert reason_of(caught.value) == "INSUFFICIENT_STOCK"
        clock.offset += timedelta(seconds=30)
        assert await count_stored(owner, schema, HELD) == BATCH
        held = await twins[1].stock.ListReservations(pb.ListReservationsRequest(state=HELD), **twins[1].options)
        assert not held.reservations
        taken = await asyncio.gather(*(client.reserve("CUP", BATCH // 4) for client in twins for _ in range(2)))
        assert await units(twins[0]) == (BATCH, BATCH, 0)
        assert await count_stored(owner, schema, EXPIRED) == BATCH
    assert {reservation.state for reservation in taken} == {HELD}


async def test_who_needs_all_of_the_units_gets_them(
    client: Client, clock: Clock, owner: asyncpg.Connection, schema: str
) -> None:
    """However many holds are overdue: a count of what is there opens no shortfall, and all of it is to be had (R7)."""
    await hold_many(client, BATCH)
    async with nobody_sweeps(owner, schema):
        clock.offset += timedelta(milliseconds=TTL_MS)
        counted = await client.tell(client.stock.CountStock, pb.CountStockRequest, sku="CUP", counted=FEW)
        assert not counted.HasField("shortfall")
        assert (await client.reserve("CUP", FEW)).state == HELD
        await client.receive("CUP", BATCH - FEW)
        assert await units(client) == (BATCH, FEW, BATCH - FEW)


async def test_the_sweeper_meets_who_needs_the_units(
    twins: list[Client], clock: Clock, owner: asyncpg.Connection, schema: str
) -> None:
    """The sweeper and two customers of two gateways have found the same overdue holds: each is freed once (R6)."""
    await hold_many(twins[0], FEW)
    async with head_held(owner, schema):
        clock.offset += timedelta(milliseconds=TTL_MS)
        racing = [asyncio.create_task(client.reserve("CUP", FEW // 4)) for client in twins]
        await blocked(owner, 2)
        await somebody_sweeps(owner, schema)
    taken = await asyncio.gather(*racing)

    async def only_those_are_held() -> bool:
        return await count_stored(owner, schema, HELD) == len(taken)

    await until(only_those_are_held, FREED_SECONDS_MAX)
    assert await units(twins[1]) == (FEW, FEW // 2, FEW // 2)
    expired = f'SELECT count(*) FROM "{schema}".movements WHERE kind = $1'
    assert await owner.fetchval(expired, stock_pb2.MOVEMENT_KIND_EXPIRE) == FEW


async def test_one_that_cannot_be_freed_stops_nobody(
    client: Client, clock: Clock, owner: asyncpg.Connection, schema: str
) -> None:
    """A hold whose expiry the database refuses stays; the others are freed, and so are those that run out later."""
    await hold_many(client, 10)
    await owner.execute(f"""
        ALTER TABLE "{schema}".movements ADD CONSTRAINT poison
        CHECK (kind <> {stock_pb2.MOVEMENT_KIND_EXPIRE} OR reservation_id <> 5)""")

    async def nine_are_free() -> bool:
        return await count_stored(owner, schema, EXPIRED) == 9

    clock.offset += timedelta(milliseconds=TTL_MS)
    await until(nine_are_free, FREED_SECONDS_MAX)
    assert await count_stored(owner, schema, HELD) == 1
    await owner.execute(f'ALTER TABLE "{schema}".movements DROP CONSTRAINT poison')
    await freed(owner, schema)


async def test_one_that_the_ledger_refuses_is_told_of(
    client: Client, clock: Clock, owner: asyncpg.Connection, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A hold at a place the catalog has lost cannot be freed: the log says which, once, and all others are free."""
    await add_location(client, "lost")
    await client.add_sku("CUP", 3)
    await client.receive("CUP", 2, location="lost")
    await client.reserve("CUP", 3, ttl_ms=TTL_MS)
    stuck = await client.reserve("CUP", 2, ttl_ms=TTL_MS)
    await owner.execute(f"""DELETE FROM "{schema}".locations WHERE location = 'lost'""")
    await owner.execute(f'UPDATE "{schema}".head SET version = version + 1')
    clock.offset += timedelta(milliseconds=TTL_MS)

    def told() -> list[int]:
        return [one.reservation_id for one in caplog.records if hasattr(one, "reservation_id")]

    async def is_told() -> bool:
        return bool(told()) and await count_stored(owner, schema, EXPIRED) == 1

    await until(is_told, TOLD_SECONDS_MAX)
    await asyncio.sleep(4 * PAUSE_SECONDS)
    assert await count_stored(owner, schema, HELD) == 1
    assert told() == [int(stuck.reservation_id)]


async def test_sweeping_goes_on_after_the_database_was_away(own_data_dir: Path) -> None:
    """What ran out while the database was away is freed when it is back."""
    async with own_postgres(own_data_dir) as server:
        settings = Settings(database_url=server.url, listen="127.0.0.1:0")
        token = await app.add_merchant(settings, "away")
        async with app.running_gateway(settings) as address, grpc.aio.insecure_channel(address) as channel:
            client = Client(channel, token)
            await client.add_sku("CUP", 100)
            await batch(client, reserves("CUP", 100, SHORT_TTL_MS))
            await server.stop()
            with pytest.raises(grpc.aio.AioRpcError):
                await client.stock.ReserveStock(reserve_of("CUP"), **client.options)
            await server.start()
            owner = await asyncpg.connect(server.url)
            try:
                await freed(owner, schema_of_token(token))
            finally:
                await owner.close()
            assert await units(client) == (100, 0, 100)
