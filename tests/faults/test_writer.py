"""The writer's groups on a real store: poison, callers who go, races that are lost, a queue that is full.

Groups are made by hand: while somebody else holds the head's row, one call waits there to be saved, and all that come
after it gather for the next group.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from gateway import app
from gateway.settings import Settings
from gateway.store.database import STATEMENT_TIMEOUT_SECONDS, Database
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.operations_service_pb2 import GetVersionRequest
from tests.client import Client, new_id
from tests.faults.calls import batch, find_detail, reason_of, reserve_of, reserves
from tests.faults.locks import blocked, head_held
from tests.faults.shoppers import all_reservations
from tests.merchants import schema_of_token

# A quantity that the database refuses where `poisoned` says so.
POISON = 13
UNITS = 10_000
CALLS = 60
QUEUE_MAX = 50


@pytest.fixture
def schema(token: str) -> str:
    """The name of the merchant's schema."""
    return schema_of_token(token)


async def taken_in(client: Client) -> None:
    """What was sent before on this channel has reached the writer: calls are taken in order."""
    for _ in range(2):
        await client.operations.GetVersion(GetVersionRequest(), **client.options)


def begin(call: Awaitable[pb.ReserveStockResponse]) -> asyncio.Task[pb.ReserveStockResponse]:
    """Send a call now, await it later."""
    return asyncio.create_task(_await(call))


async def _await(call: Awaitable[pb.ReserveStockResponse]) -> pb.ReserveStockResponse:
    return await call


def reserving(client: Client, request: pb.ReserveStockRequest) -> asyncio.Task[pb.ReserveStockResponse]:
    """A call of ReserveStock, sent now."""
    return begin(client.stock.ReserveStock(request, **client.options))


@asynccontextmanager
async def poisoned(owner: asyncpg.Connection, schema: str) -> AsyncIterator[None]:
    """Until the block ends the database refuses movements of 13 units."""
    await owner.execute(f'ALTER TABLE "{schema}".movements ADD CONSTRAINT poison CHECK (quantity <> {POISON})')
    yield
    await owner.execute(f'ALTER TABLE "{schema}".movements DROP CONSTRAINT poison')


async def test_poison_fails_alone(client: Client, owner: asyncpg.Connection, schema: str) -> None:
    """What the database refuses fails alone; neighbours in its group succeed, and its id is not burned (R11)."""
    await client.add_sku("CUP", UNITS)
    requests = [reserve_of("CUP", POISON if number in {7, 8, CALLS - 1} else 1) for number in range(CALLS)]
    async with poisoned(owner, schema):
        async with head_held(owner, schema):
            first = reserving(client, reserve_of("CUP"))
            await blocked(owner)
            calls = [reserving(client, request) for request in requests]
            await taken_in(client)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await first
    for request, answer in zip(requests, answers, strict=True):
        if request.lines[0].quantity == POISON:
            assert isinstance(answer, grpc.aio.AioRpcError)
            assert (answer.code(), reason_of(answer)) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        else:
            assert isinstance(answer, pb.ReserveStockResponse)
    assert (await client.level("CUP")).reserved == 1 + CALLS - 3
    await reserving(client, requests[7])
    assert (await client.level("CUP")).reserved == 1 + CALLS - 3 + POISON


async def test_a_batch_with_poison_fails_whole(client: Client, owner: asyncpg.Connection, schema: str) -> None:
    """A call is saved whole or not at all; the calls beside it are saved."""
    await client.add_sku("CUP", UNITS)
    items = [*reserves("CUP", 5), pb.BatchItem(reserve=reserve_of("CUP", POISON)), *reserves("CUP", 5)]
    async with poisoned(owner, schema), asyncio.TaskGroup() as group:
        async with head_held(owner, schema):
            group.create_task(batch(client, reserves("CUP", 3)))
            await blocked(owner)
            group.create_task(batch(client, reserves("CUP", 3)))
            bad = asyncio.create_task(batch(client, items))
            group.create_task(batch(client, reserves("CUP", 3)))
            await taken_in(client)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await bad
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert (await client.level("CUP")).reserved == 9
    results = await batch(client, items)
    assert all(result.HasField("reserve") for result in results)


async def test_who_goes_before_the_group_leaves_no_trace(
    client: Client, owner: asyncpg.Connection, schema: str
) -> None:
    """A call that is cancelled, or whose deadline passes, while it waits is dropped; its id is still free (R11)."""
    await client.add_sku("CUP", UNITS)
    cancelled, late = reserve_of("CUP", 100), reserve_of("CUP", 200)
    async with head_held(owner, schema):
        first = reserving(client, reserve_of("CUP"))
        await blocked(owner)
        gone = client.stock.ReserveStock(cancelled, **client.options)
        hasty = client.stock.ReserveStock(late, **{**client.options, "timeout": 0.2})
        await taken_in(client)
        gone.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await hasty
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await taken_in(client)
    await first
    await client.reserve("CUP")
    assert (await client.level("CUP")).reserved == 2
    assert len([reservation async for reservation in all_reservations(client)]) == 2
    for request in (cancelled, late):
        request.lines[0].quantity = 1
        await reserving(client, request)
    assert (await client.level("CUP")).reserved == 4


async def test_who_goes_during_the_group_finds_it_done(client: Client, owner: asyncpg.Connection, schema: str) -> None:
    """A call that is cancelled while it is saved has its whole effect; repeated, it gets the first answer (R10)."""
    await client.add_sku("CUP", UNITS)
    await client.add_sku("POT", UNITS)
    lines = [pb.ReserveLine(sku=sku, quantity=5) for sku in ("CUP", "POT")]
    request = pb.ReserveStockRequest(request_id=new_id(), lines=lines)
    async with head_held(owner, schema):
        call = client.stock.ReserveStock(request, **client.options)
        await blocked(owner)
        call.cancel()
        await taken_in(client)
    await client.reserve("CUP")
    assert [(await client.level(sku)).reserved for sku in ("CUP", "POT")] == [6, 5]
    stored = [reservation async for reservation in all_reservations(client)]
    assert len(stored) == 2
    answer = await client.stock.ReserveStock(request, **client.options)
    assert answer.reservation == stored[1]
    assert answer.record_time == stored[1].create_time
    assert [(await client.level(sku)).reserved for sku in ("CUP", "POT")] == [6, 5]


async def test_a_lost_race_is_run_again(twins: list[Client], owner: asyncpg.Connection, schema: str) -> None:
    """Two groups of two gateways were decided on the same state: one is saved, the other decided anew; both hold."""
    await twins[0].add_sku("CUP", UNITS)
    for client in twins:
        await client.reserve("CUP")
    async with head_held(owner, schema):
        racing = [reserving(client, reserve_of("CUP", 10)) for client in twins]
        await blocked(owner, 2)
    answers = await asyncio.gather(*racing)
    assert sorted(answer.reservation.reservation_id for answer in answers) == ["3", "4"]
    assert (await twins[0].level("CUP")).reserved == 22


async def test_a_lost_race_for_the_last_unit(twins: list[Client], owner: asyncpg.Connection, schema: str) -> None:
    """Both gateways have decided to give the last unit away; one of them finds out in time (R1)."""
    await twins[0].add_sku("CUP", 1)
    async with head_held(owner, schema):
        racing = [reserving(client, reserve_of("CUP")) for client in twins]
        await blocked(owner, 2)
    answers = await asyncio.gather(*racing, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert [reason_of(error) for error in refused] == ["INSUFFICIENT_STOCK"]
    assert (await twins[0].level("CUP")).reserved == 1


async def test_the_queue_is_bounded(settings: Settings, token: str, owner: asyncpg.Connection, schema: str) -> None:
    """What does not fit in the queue is refused: RESOURCE_EXHAUSTED, and when to come back; nothing is done."""
    small = replace(settings, queue_commands_max=QUEUE_MAX)
    async with app.running_gateway(small) as address, grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, token)
        await client.add_sku("CUP", UNITS)
        too_much = reserve_of("CUP", 1_000)
        async with asyncio.TaskGroup() as group, head_held(owner, schema):
            group.create_task(batch(client, reserves("CUP", 1)))
            await blocked(owner)
            group.create_task(batch(client, reserves("CUP", QUEUE_MAX)))
            await taken_in(client)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await reserving(client, too_much)
        retry = RetryInfo()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(caught.value) == "QUEUE_FULL"
        assert find_detail(caught.value, retry)
        assert 0 < retry.retry_delay.ToMilliseconds() <= 1_000
        assert (await client.level("CUP")).reserved == 1 + QUEUE_MAX
        await reserving(client, too_much)
        assert (await client.level("CUP")).reserved == 1 + QUEUE_MAX + 1_000


async def test_a_queue_takes_what_alone_is_too_much(settings: Settings, token: str) -> None:
    """A batch heavier than the queue is taken where nobody waits: to come back later would be of no use."""
    small = replace(settings, queue_commands_max=QUEUE_MAX)
    async with app.running_gateway(small) as address, grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, token)
        await client.add_sku("CUP", UNITS)
        results = await batch(client, reserves("CUP", 4 * QUEUE_MAX))
        assert all(result.HasField("reserve") for result in results)


async def test_a_gateway_that_hangs_with_the_head_in_its_hands(client: Client, settings: Settings, schema: str) -> None:
    """A gateway that was frozen while it held the head's row loses it; others wait a few seconds, and go on."""
    await client.add_sku("CUP", UNITS)
    database = Database(str(settings.database_url))
    frozen = await database.connect()
    try:
        await frozen.execute("BEGIN")
        await frozen.execute(f'SELECT FROM "{schema}".head FOR UPDATE')
        request = reserve_of("CUP", 5)
        async with asyncio.timeout(3 * STATEMENT_TIMEOUT_SECONDS):
            while not await reserved(client, request):
                # What timed out may have been done all the same: UNAVAILABLE says that nobody knows.
                assert (await client.level("CUP")).reserved in {0, 5}
    finally:
        frozen.terminate()
        await database.close()
    assert (await client.level("CUP")).reserved == 5


async def reserved(client: Client, request: pb.ReserveStockRequest) -> bool:
    """Try once; UNAVAILABLE is the one refusal that may be."""
    try:
        await client.stock.ReserveStock(request, **client.options)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True
