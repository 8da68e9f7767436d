"""Connections that end, sessions that may not write, values that cannot be sent: what the fence makes of each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import grpc
import grpc.aio
import psutil
import pytest
import sqlalchemy

from gateway.domain.errors import DatabaseUnavailable
from gateway.settings import Settings
from gateway.store.database import (
    READ_CONNECTIONS_MAX,
    STATEMENT_TIMEOUT_SECONDS,
    Database,
    MerchantDatabase,
    fence,
)
from tests.client import Client
from tests.faults.calls import reason_of, reserve_of, until

BACK_SECONDS_MAX = 3.0
ROUNDS = 5


@pytest.fixture
async def merchant_database(settings: Settings, token: str) -> AsyncIterator[MerchantDatabase]:
    """The merchant's part of the database, without a gateway."""
    database = Database(str(settings.database_url))
    yield database.of(token.partition(".")[0])
    await database.close()


async def end_sessions(owner: asyncpg.Connection) -> None:
    """End every session but our own, as an administrator may, and see that their clients were told."""
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    ended = await owner.fetch(f"SELECT pid, pg_terminate_backend(pid) {others}")

    async def are_gone() -> bool:
        # A session leaves the list before its process closes the socket.
        return not any(psutil.pid_exists(session["pid"]) for session in ended)

    await until(are_gone, BACK_SECONDS_MAX)
    await asyncio.sleep(0.05)


@asynccontextmanager
async def read_only(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """Until the block ends new sessions may only read, as on a server that has become somebody's standby."""
    await owner.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
    await end_sessions(owner)
    try:
        yield
    finally:
        await owner.execute("SET default_transaction_read_only = off")
        await owner.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        await end_sessions(owner)


async def test_readers_do_not_notice_that_idle_sessions_ended(client: Client, owner: asyncpg.Connection) -> None:
    """Connections that were ended while they lay in the pool are replaced; no read fails for it."""
    await client.add_sku("CUP", 10)
    for _ in range(ROUNDS):
        await asyncio.gather(*(client.level("CUP") for _ in range(2 * READ_CONNECTIONS_MAX)))
        await end_sessions(owner)
        levels = await asyncio.gather(*(client.level("CUP") for _ in range(2 * READ_CONNECTIONS_MAX)))
        assert {level.on_hand for level in levels} == {10}


async def test_writers_go_on_after_their_session_ended(client: Client, owner: asyncpg.Connection) -> None:
    """The writer's own connection is replaced too."""
    await client.add_sku("CUP", 10)
    for taken in range(1, ROUNDS + 1):
        await end_sessions(owner)
        await client.reserve("CUP")
        assert (await client.level("CUP")).reserved == taken


async def test_a_server_that_may_only_be_read(client: Client, owner: asyncpg.Connection) -> None:
    """Reads go on; writes are UNAVAILABLE, not a fault of ours, until it may be written again."""
    await client.add_sku("CUP", 10)
    request = reserve_of("CUP")
    async with read_only(owner):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stock.ReserveStock(request, **client.options)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(caught.value) == "DATABASE_UNAVAILABLE"
        assert (await client.level("CUP")).available == 10
    await client.stock.ReserveStock(request, **client.options)
    assert (await client.level("CUP")).reserved == 1


async def test_a_value_that_cannot_be_sent_is_not_an_absence(merchant_database: MerchantDatabase) -> None:
    """The fault is in the value alone, so its caller must hear of it, and nobody else."""
    connection = await merchant_database.connect()
    try:
        with pytest.raises(asyncpg.DataError, match="int64"), fence():
            await connection.fetchval("SELECT $1::bigint", 2**63)
    finally:
        connection.terminate()


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("shut down"),
        asyncpg.CrashShutdownError("crashed"),
        asyncpg.QueryCanceledError("took too long"),
        asyncpg.DiskFullError("no space left"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.PostgresIOError("could not read"),
        asyncpg.ReadOnlySQLTransactionError("a standby"),
        asyncpg.DeadlockDetectedError("victim"),
        asyncpg.SerializationError("conflict"),
        asyncpg.IdleInTransactionSessionTimeoutError("too slow"),
        asyncpg.InvalidPasswordError("changed"),
        asyncpg.InvalidCatalogNameError("no such database"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("broken protocol"),
        sqlalchemy.exc.TimeoutError(),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_what_is_an_absence(error: Exception) -> None:
    """What another try may cure is UNAVAILABLE to the caller."""
    with pytest.raises(DatabaseUnavailable), fence():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CheckViolationError("refused"),
        asyncpg.UniqueViolationError("twice"),
        asyncpg.UndefinedTableError("no such table"),
        asyncpg.InsufficientPrivilegeError("not allowed"),
        asyncpg.DataError("wrong value"),
        AssertionError("a bug"),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_what_is_not(error: Exception) -> None:
    """What another try cannot cure goes through as it is."""
    with pytest.raises(type(error)), fence():
        raise error


async def test_a_read_ends_in_time_here_and_there(merchant_database: MerchantDatabase) -> None:
    """A read that takes too long is given up, and does not go on in the database."""
    async with merchant_database.transaction() as connection:
        limit = await connection.scalar(sqlalchemy.text("SHOW statement_timeout"))
    assert limit == f"{STATEMENT_TIMEOUT_SECONDS:.0f}s"
    with pytest.raises(DatabaseUnavailable):
        async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS), merchant_database.transaction(0.2) as connection:
            await connection.execute(sqlalchemy.text("SELECT pg_sleep(60)"))


async def test_the_whole_check_may_take_long(merchant_database: MerchantDatabase) -> None:
    """A transaction with more time is not cut off by the driver after the time of a short one."""
    async with merchant_database.transaction(60.0) as connection:
        await connection.execute(sqlalchemy.text("SET LOCAL statement_timeout = 0"))
        await connection.execute(sqlalchemy.text(f"SELECT pg_sleep({STATEMENT_TIMEOUT_SECONDS + 0.5})"))


async def test_long_transactions_take_no_readers_place(merchant_database: MerchantDatabase) -> None:
    """However many sweeps and checks are under way, reads find a connection."""
    async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
        ready = [asyncio.Event() for _ in range(2 * READ_CONNECTIONS_MAX)]
        done = asyncio.Event()

        async def sweep(here: asyncio.Event) -> None:
            async with merchant_database.transaction(60.0):
                here.set()
                await done.wait()

        for event in ready:
            group.create_task(sweep(event))
        await asyncio.gather(*(event.wait() for event in ready))
        async with merchant_database.transaction() as connection:
            assert await connection.scalar(sqlalchemy.text("SELECT 1")) == 1
        done.set()
