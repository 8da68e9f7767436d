"""Calls that wait: deadlines, callers who leave, a full queue, a gateway that stops. The test holds up the database."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import grpc.aio
import pytest
from grpc import StatusCode

from gateway import app
from gateway.domain.changes import Limits
from gateway.domain.commands import ReceiveStock
from gateway.domain.errors import DeadlinePassed
from gateway.settings import Settings
from gateway.store.groups import GroupStore
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as pb
from gateway.writer import Writer
from tests.client import Client, made, new_id
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.store.history import movements, store_of, units

QUEUE_COMMANDS_MAX = 5


class Jam:
    """Holds the row through which every group of a merchant must pass, so that the first one waits and others queue."""

    def __init__(self, owner: asyncpg.Connection, token: str) -> None:
        self._owner = owner
        self._schema = schema_of_token(token)
        self._transaction = owner.transaction()

    async def begin(self) -> None:
        """From now on nothing is saved."""
        await self._transaction.start()
        await self._owner.execute(f'SELECT 1 FROM "{self._schema}".head FOR UPDATE')

    async def felt(self) -> None:
        """Wait until a group stands before the row; from then on it waits for five seconds at most."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND position($1 in query) > 0"

        async def is_felt() -> bool:
            # Within one transaction the database shows its activity as it first was.
            await self._owner.execute("SELECT pg_stat_clear_snapshot()")
            return bool(await self._owner.fetchval(waiting, self._schema))

        await until(is_felt)

    async def end(self) -> None:
        """Let go."""
        await self._transaction.rollback()


@pytest.fixture
def jam(owner: asyncpg.Connection, token: str) -> Jam:
    """A jam that has not begun."""
    return Jam(owner, token)


@pytest.fixture
async def small_gateway(settings: Settings, token: str) -> AsyncIterator[Client]:
    """A client of a gateway in which five commands may wait."""
    small = replace(settings, listen="127.0.0.1:0", queue_commands_max=QUEUE_COMMANDS_MAX)
    async with app.running_gateway(small) as address, grpc.aio.insecure_channel(address) as channel:
        yield Client(channel, token)


@pytest.mark.parametrize("way", ["deadline", "hang up"])
async def test_who_left_before_the_group_began_has_done_nothing(client: Client, jam: Jam, way: str) -> None:
    """A command whose caller has gone before its group starts is dropped; its id is as good as new (R11)."""
    await client.add_sku("CUP", 10)
    await jam.begin()
    first = _task(client.reserve("CUP", 1))
    await jam.felt()
    left = _reserve(client, "left", timeout=0.2 if way == "deadline" else 20)
    if way == "deadline":
        assert (await refused(left)).code is StatusCode.DEADLINE_EXCEEDED
    else:
        await _arrived(client)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        await _arrived(client)
    await jam.end()
    assert (await first).reservation_id == "1"
    assert (await client.reserve("CUP", 2)).reservation_id == "2"
    assert await units(client, "CUP") == (10, 3, 7)
    # Another content under the id that was dropped: it was not burnt.
    assert (await client.reserve("CUP", 4, request_id="left")).reservation_id == "3"


async def test_a_dropped_batch_is_dropped_whole(client: Client, jam: Jam) -> None:
    """Of a batch whose deadline passed while it waited nothing is applied, with or without groups."""
    await client.add_sku("CUP", 10)
    await jam.begin()
    first = _task(client.reserve("CUP", 1))
    await jam.felt()
    items = [{"receive": {"request_id": new_id(), "sku": "CUP", "quantity": 1}} for _ in range(10)]
    batch: Any = client.stock.ApplyBatch(made(pb.ApplyBatchRequest, items=items), **{**client.options, "timeout": 0.2})
    assert (await refused(batch)).code is StatusCode.DEADLINE_EXCEEDED
    await jam.end()
    await first
    assert len(await movements(client)) == 2


async def test_who_left_too_late_has_done_it_whole(client: Client, jam: Jam) -> None:
    """A group that has started is never half-applied: the caller has gone, the effect stands, the id knows (R10)."""
    await client.add_sku("CUP", 10)
    await jam.begin()
    left = _reserve(client, "left", timeout=20)
    sent = _task(left)
    await jam.felt()
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sent
    await _arrived(client)
    await jam.end()
    held = (await _reserve(client, "left", timeout=20)).reservation
    assert held.reservation_id == "1"
    assert [movement.request_id for movement in await movements(client, page_size=1)] == ["left"]
    assert await units(client, "CUP") == (10, 2, 8)


async def test_a_deadline_counts_though_the_caller_still_waits(settings: Settings, client: Client, token: str) -> None:
    """A command whose deadline passes while it waits is dropped by the clock alone, whatever grpc notices."""
    await client.add_sku("CUP", 10)
    async with store_of(settings, token) as store:
        writer = Writer(GroupStore(store, Limits()), QUEUE_COMMANDS_MAX)
        late, in_time = (ReceiveStock(name, "CUP", "main", 1) for name in ("late", "in time"))
        now = time.monotonic()
        calls = [_task(writer.apply([late], deadline=now)), _task(writer.apply([in_time], deadline=now + 60))]
        await asyncio.sleep(0)
        writer.close()
        await writer.run()
        with pytest.raises(DeadlinePassed):
            await calls[0]
        await calls[1]
    assert [movement.request_id for movement in await movements(client, page_size=1)] == ["in time"]
    assert await units(client, "CUP") == (11, 0, 11)


async def test_a_full_queue_says_so_at_once(small_gateway: Client, jam: Jam) -> None:
    """More than the queue takes is RESOURCE_EXHAUSTED with RetryInfo, at once; what was taken in is answered."""
    client = small_gateway
    await client.add_sku("CUP", 100)
    await jam.begin()
    calls = [_task(_reserve(client, "0", timeout=20))]
    await jam.felt()
    began = time.monotonic()
    calls += [_task(_reserve(client, str(number), timeout=20)) for number in range(1, 30)]
    refused_calls = await _first_refused(calls)
    refusal = await refused(refused_calls[0])
    assert time.monotonic() - began < 4, "what is jammed fails after five seconds: it did not say so at once"
    assert (refusal.code, refusal.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert (refusal.retry_ms, refusal.facts["retry_after_ms"]) == (200, "200")
    assert await units(client, "CUP") == (100, 0, 100)
    await jam.end()
    done = await asyncio.gather(*calls, return_exceptions=True)
    accepted = [number for number, answer in enumerate(done) if not isinstance(answer, BaseException)]
    assert len(accepted) >= QUEUE_COMMANDS_MAX + 1
    assert len(accepted) + len(refused_calls) == len(calls)
    assert await units(client, "CUP") == (100, 2 * len(accepted), 100 - 2 * len(accepted))
    again = [await _reserve(client, str(number), timeout=20) for number in range(30)]
    assert len({one.reservation.reservation_id for one in again}) == 30
    assert await units(client, "CUP") == (100, 60, 40)


async def test_a_jam_of_one_merchant_is_nobody_elses(client: Client, jam: Jam) -> None:
    """While one merchant's groups wait, its reads and the other merchants' calls are answered."""
    await client.add_sku("CUP", 10)
    await jam.begin()
    waiting = _task(client.reserve("CUP", 1))
    await jam.felt()
    assert await units(client, "CUP") == (10, 0, 10)
    options = {**client.options, "metadata": ()}
    answer = await client.operations.CheckConsistency(operations.CheckConsistencyRequest(), **options)
    assert answer.consistent
    await jam.end()
    await waiting


async def test_a_stopping_gateway_answers_what_it_took_in(settings: Settings, token: str, jam: Jam) -> None:
    """Calls that were waiting when the gateway was told to stop get their answers; new ones are UNAVAILABLE."""
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
        client = Client(grpc.aio.insecure_channel(await stack.enter_async_context(gateway)), token)
        await client.add_sku("CUP", 10)
        await jam.begin()
        taken_in = [_task(_reserve(client, "0", timeout=20))]
        await jam.felt()
        taken_in += [_task(_reserve(client, str(number), timeout=20)) for number in range(1, 4)]
        await _arrived(client)
        stopping = _task(stack.aclose())
        await until(lambda: _is_turned_away(client))
        await jam.end()
        await stopping
        held = [(await call).reservation.lines[0].requested for call in taken_in]
        assert held == [2, 2, 2, 2]


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it is true, but not for ever."""
    for _ in range(1000):
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true in time")


def _task(call: Any) -> "asyncio.Task[Any]":
    async def wait() -> Any:
        return await call

    return asyncio.create_task(wait())


def _reserve(client: Client, request_id: str, *, timeout: float) -> Any:
    """A call that reserves two cups."""
    request = made(pb.ReserveStockRequest, request_id=request_id, lines=[{"sku": "CUP", "quantity": 2}])
    return client.stock.ReserveStock(request, **{**client.options, "timeout": timeout})


async def _arrived(client: Client) -> None:
    """What was sent before on this connection has reached the gateway: it has answered a call sent after."""
    for _ in range(2):
        await client.operations.GetVersion(operations.GetVersionRequest(), **client.options)


async def _first_refused(calls: list["asyncio.Task[Any]"]) -> list["asyncio.Task[Any]"]:
    """The calls that failed, once all have that will: the jam keeps the others waiting."""
    done = 0
    for _ in range(100):
        before, done = done, sum(call.done() for call in calls)
        if done and done == before:
            break
        await asyncio.sleep(0.1)
    return [call for call in calls if call.done()]


async def _is_turned_away(client: Client) -> bool:
    try:
        await client.operations.GetVersion(operations.GetVersionRequest(), **{**client.options, "timeout": 1})
    except grpc.aio.AioRpcError as error:
        return error.code() is StatusCode.UNAVAILABLE
    return False
