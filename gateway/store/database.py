"""The way to PostgreSQL: connections with the gateway's role, and a fence that turns its failures into ours."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import sqlalchemy.exc
from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.domain.errors import DatabaseUnavailable

# The role that owns nothing, and may do what `migrations/` grants it.
GATEWAY_ROLE = "stockgate_gateway"
CONNECT_TIMEOUT_SECONDS = 3.0
# Nothing the gateway asks takes longer on a healthy server, the whole check of the journal aside.
STATEMENT_TIMEOUT_SECONDS = 5.0
READ_CONNECTIONS_MAX = 8

# What `MerchantDatabase.transaction` yields.
ReadConnection = AsyncConnection

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
)


@contextmanager
def fence() -> Iterator[None]:
    """Raise `DatabaseUnavailable` for whatever says that the database is away, slow or lost."""
    try:
        yield
    except _LOST as error:
        raise _unavailable() from error
    except sqlalchemy.exc.TimeoutError as error:
        raise _unavailable() from error
    except sqlalchemy.exc.DBAPIError as error:
        if error.connection_invalidated or isinstance(error.orig and error.orig.__cause__, _LOST):
            raise _unavailable() from error
        raise


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "the database cannot be reached; try again with the same request_id, which is safe whatever happened"
    )


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
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.connect,
            pool_size=READ_CONNECTIONS_MAX,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_SECONDS,
            # JSON stays text: what it means is decoded by who reads it.
            json_deserializer=str,
        )

    async def connect(self) -> asyncpg.Connection:
        """A new connection of the driver's own, with the gateway's role; the caller closes it."""
        return await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=STATEMENT_TIMEOUT_SECONDS,
            server_settings={"role": GATEWAY_ROLE, "jit": "off"},
        )

    def of(self, merchant: str) -> "MerchantDatabase":
        """The part of the database that belongs to one merchant."""
        return MerchantDatabase(self, self._engine, merchant)

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()


class MerchantDatabase:
    """One merchant's schema."""

    def __init__(self, database: Database, engine: AsyncEngine, merchant: str) -> None:
        """Open nothing yet."""
        self.merchant = merchant
        self.schema = schema_of(merchant)
        self.connect = database.connect
        self.clock = database.clock
        self._engine = engine.execution_options(schema_translate_map={None: self.schema})

    @property
    def now(self) -> ColumnElement[datetime]:
        """The ledger's time in a query; the same all through a statement, so that an index can be searched by it."""
        return func.statement_timestamp() + literal(self.clock.offset)

    @asynccontextmanager
    async def transaction(self, timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS) -> AsyncIterator[AsyncConnection]:
        """A transaction on a pooled connection; raises `DatabaseUnavailable`, never waits longer than the timeout."""
        with fence():
            async with asyncio.timeout(timeout_seconds + CONNECT_TIMEOUT_SECONDS), self._engine.begin() as connection:
                yield connection


async def read_time(connection: ReadConnection, now: ColumnElement[datetime]) -> datetime:
    """The ledger's time."""
    time = await connection.scalar(select(now))
    assert isinstance(time, datetime)
    return time


def schema_of(merchant: str) -> str:
    """The name of the merchant's schema."""
    return f"merchant_{merchant}"
