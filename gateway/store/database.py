"""The way to PostgreSQL: connections with the gateway's role, and a fence that turns its failures into ours."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

import asyncpg
import sqlalchemy.exc
from sqlalchemy import ColumnElement, event, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from gateway import metrics
from gateway.domain.errors import DatabaseUnavailable
from gateway.metrics import Reading

# The role that owns nothing, and may do what `migrations/` grants it.
GATEWAY_ROLE = "stockgate_gateway"
_SCHEMA_PREFIX = "merchant_"
CONNECT_TIMEOUT_SECONDS = 3.0
# Nothing the gateway asks takes longer on a healthy server, the whole check of the journal aside.
STATEMENT_TIMEOUT_SECONDS = 5.0
READ_CONNECTIONS_MAX = 16
# Long transactions (a sweep, the whole check) keep so many connections, and open more while they need them: however
# many merchants there are, they neither wait for each other nor take a reader's place.
LONG_CONNECTIONS_KEPT = 4

_SERVER_SETTINGS = {
    "role": GATEWAY_ROLE,
    "jit": "off",
    # What we have stopped waiting for does not go on there.
    "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS:.0f}s",
    # A gateway that is frozen or cut off loses its hold of the head, so that others can go on.
    "idle_in_transaction_session_timeout": f"{STATEMENT_TIMEOUT_SECONDS:.0f}s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
# A sweeper keeps its lease while the writer frees what it has found, behind whatever else waits there.
_POOL_SETTINGS = {**_SERVER_SETTINGS, "idle_in_transaction_session_timeout": "15s"}
# Adding up ten million movements takes as long as it takes; the transaction's own limit holds.
_LONG_SETTINGS = {**_POOL_SETTINGS, "statement_timeout": "0"}
# The same from our side: a server that vanishes without a word is noticed within 25 seconds.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}

# What `MerchantDatabase.transaction` yields.
ReadConnection = AsyncConnection

# The database is away, on its way down or up, full, somebody else's standby, or has taken back what two of us did.
# In none of these cases would another command have fared better, and in all of them a later one may.
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
)


@contextmanager
def fence() -> Iterator[None]:
    """Raise `DatabaseUnavailable` for whatever says that the database is away, slow or lost."""
    try:
        yield
    except sqlalchemy.exc.TimeoutError as error:
        raise _unavailable(error) from error
    except sqlalchemy.exc.DBAPIError as error:
        cause = error.orig and error.orig.__cause__
        if error.connection_invalidated or isinstance(cause, _LOST):
            raise _unavailable(cause or error) from error
        raise
    except _LOST as error:
        raise _unavailable(error) from error


# What it was, in words that say where to look; the first that fits.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (asyncpg.DiskFullError, "the database's disk is full"),
    (asyncpg.TooManyConnectionsError, "the database has no connection left for us"),
    (asyncpg.QueryCanceledError, "the database took too long"),
    (asyncpg.ReadOnlySQLTransactionError, "the database takes no changes: it is a standby, or set to read only"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the database does not let us in"),
    (asyncpg.InvalidCatalogNameError, "there is no database of this name"),
    (asyncpg.OperatorInterventionError, "the database is starting, or stopping"),
    (sqlalchemy.exc.TimeoutError, "all our connections to the database are busy"),
    (TimeoutError, "the database does not answer in time"),
)


def _unavailable(error: BaseException) -> DatabaseUnavailable:
    why = next((words for kind, words in _WORDS if isinstance(error, kind)), "the database cannot be reached")
    return DatabaseUnavailable(f"{why}; try again with the same request_id, which is safe whatever happened")


def cause_of(error: DatabaseUnavailable) -> str:
    """For a log: the kind of error behind it, and its SQLSTATE if it has one; never what was asked, or of whom."""
    cause = error.__cause__
    if isinstance(cause, sqlalchemy.exc.DBAPIError) and cause.orig is not None:
        cause = cause.orig.__cause__ or cause
    return f"{type(cause).__name__} {getattr(cause, 'sqlstate', None) or ''}".rstrip()


class _Connection(asyncpg.Connection):
    """A connection that notices when the server has vanished, and does not wait for it to say goodbye."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        peer: socket.socket = transport.get_extra_info("socket")
        if peer.family != socket.AF_UNIX:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                if (option := getattr(socket, name, None)) is not None:
                    peer.setsockopt(socket.IPPROTO_TCP, option, value)

    async def close(self, *, timeout: float | None = None) -> None:
        self.terminate()


@dataclass
class Clock:
    """The ledger's clock: the database's, the same for all gateways, plus an offset that is zero but in tests."""

    offset: timedelta = timedelta()


class Database:
    """One PostgreSQL database; every connection it hands out has the gateway's role.

    `url` is a libpq URL (`postgresql://user:password@host/name`), several hosts allowed.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        """Open nothing yet."""
        self.url = url
        self.clock = clock or Clock()
        self._engine = self._pool(READ_CONNECTIONS_MAX, 0, _POOL_SETTINGS)
        self._long_engine = self._pool(LONG_CONNECTIONS_KEPT, -1, _LONG_SETTINGS)
        self._queues = Queues(_Queue("read", self._engine), _Queue("long", self._long_engine))
        self._unobserve: Callable[[], None] | None = None

    async def connect(self) -> asyncpg.Connection:
        """A new connection of the driver's own, with the gateway's role; the caller closes it."""
        return await self._connect(_SERVER_SETTINGS, STATEMENT_TIMEOUT_SECONDS)

    def of(self, merchant: str) -> "MerchantDatabase":
        """The part of the database that belongs to one merchant."""
        return MerchantDatabase(self, self._engine, self._long_engine, self._queues, merchant)

    def observe(self) -> None:
        """Let the gauges say how many connections there are, until it is closed."""
        self._unobserve = metrics.observe(lambda: [one for queue in self._queues for one in queue.readings()])

    async def close(self) -> None:
        """Close the pools."""
        if self._unobserve is not None:
            self._unobserve()
        await self._engine.dispose()
        await self._long_engine.dispose()

    def _pool(self, kept: int, more: int, settings: dict[str, str]) -> AsyncEngine:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            # A transaction has one time limit for all that it does.
            async_creator=lambda: self._connect(settings, None),
            pool_size=kept,
            max_overflow=more,
            pool_timeout=CONNECT_TIMEOUT_SECONDS,
            # JSON stays text: what it means is decoded by who reads it.
            json_deserializer=str,
        )
        event.listen(engine.sync_engine, "checkout", _require_open)
        return engine

    async def _connect(self, settings: dict[str, str], command_timeout_seconds: float | None) -> asyncpg.Connection:
        return await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=command_timeout_seconds,
            server_settings=settings,
            connection_class=_Connection,
        )


def _require_open(connection: Any, _record: object, _proxy: object) -> None:
    """The server has ended this connection while it lay in the pool, and so all of them: open new ones, unnoticed."""
    if connection.driver_connection.is_closed():
        raise sqlalchemy.exc.InvalidatePoolError("the server has ended the connection")


class _Queue:
    """Those who wait for a connection of one pool, counted and measured."""

    def __init__(self, name: str, engine: AsyncEngine) -> None:
        """Nobody waits."""
        self._name = name
        self._pool = cast("QueuePool", engine.pool)
        self._size = self._pool.size()
        self._waiting = 0

    @asynccontextmanager
    async def taken(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection of the pool, with the options of this engine, once there is one."""
        async with AsyncExitStack() as stack:
            with self._wait():
                connection = await stack.enter_async_context(engine.connect())
            yield connection

    def readings(self) -> list[Reading]:
        """How many are in use and at rest, how many there may be, how many are wanted."""
        labels = {"db.client.connection.pool.name": self._name}
        used, idle = self._pool.checkedout(), self._pool.checkedin()
        return [
            Reading(metrics.CONNECTIONS, used, {**labels, "db.client.connection.state": "used"}),
            Reading(metrics.CONNECTIONS, idle, {**labels, "db.client.connection.state": "idle"}),
            Reading(metrics.CONNECTIONS_MAX, self._size, labels),
            Reading(metrics.CONNECTIONS_WANTED, self._waiting, labels),
        ]

    @contextmanager
    def _wait(self) -> Iterator[None]:
        began = time.monotonic()
        self._waiting += 1
        try:
            yield
        except (sqlalchemy.exc.TimeoutError, TimeoutError):
            metrics.db_connection_timeouts.add(1, {"db.client.connection.pool.name": self._name})
            raise
        finally:
            self._waiting -= 1
        metrics.db_connection_wait.record(time.monotonic() - began, (self._name,))


class Queues(NamedTuple):
    """Those of a database's two pools."""

    read: _Queue
    long: _Queue


class MerchantDatabase:
    """One merchant's schema."""

    def __init__(
        self, database: Database, engine: AsyncEngine, long_engine: AsyncEngine, queues: "Queues", merchant: str
    ) -> None:
        """Open nothing yet."""
        self._queues = queues
        self.merchant = merchant
        self.schema = schema_of(merchant)
        self.connect = database.connect
        self.clock = database.clock
        schema = {None: self.schema}
        self._engine = engine.execution_options(schema_translate_map=schema)
        self._long_engine = long_engine.execution_options(schema_translate_map=schema)
        self._statements = engine.execution_options(schema_translate_map=schema, isolation_level="AUTOCOMMIT")

    @property
    def now(self) -> ColumnElement[datetime]:
        """The ledger's time in a query; the same all through a statement, so that an index can be searched by it."""
        return func.statement_timestamp() + literal(self.clock.offset)

    @asynccontextmanager
    async def transaction(self, timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS) -> AsyncIterator[AsyncConnection]:
        """A transaction on a pooled connection; raises `DatabaseUnavailable`, never waits longer than the timeout."""
        is_short = timeout_seconds <= STATEMENT_TIMEOUT_SECONDS
        engine, queue = (self._engine, self._queues.read) if is_short else (self._long_engine, self._queues.long)
        with fence():
            async with asyncio.timeout(timeout_seconds), queue.taken(engine) as connection, connection.begin():
                yield connection

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[AsyncConnection]:
        """A pooled connection on which each statement stands alone: a third of a transaction's round trips.

        Raises `DatabaseUnavailable`, never waits longer than the usual timeout.
        """
        with fence():
            async with (
                asyncio.timeout(STATEMENT_TIMEOUT_SECONDS),
                self._queues.read.taken(self._statements) as connection,
            ):
                yield connection


async def take_snapshot(connection: ReadConnection) -> None:
    """From here on the transaction sees the database as it is at this moment, and writes nothing. To be said first."""
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))


async def take_lease(connection: ReadConnection, name: str) -> bool:
    """True if nobody else holds the lease of this name; then it is ours until the transaction ends."""
    return bool(await connection.scalar(select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))))


async def read_time(connection: ReadConnection, now: ColumnElement[datetime]) -> datetime:
    """The ledger's time."""
    time = await connection.scalar(select(now))
    assert isinstance(time, datetime)
    return time


def schema_of(merchant: str) -> str:
    """The name of the merchant's schema."""
    return f"{_SCHEMA_PREFIX}{merchant}"


def merchant_of(schema: str) -> str:
    """The merchant whose schema this is."""
    return schema.removeprefix(_SCHEMA_PREFIX)
