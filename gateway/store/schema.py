"""Merchants' schemas: which there are, and bringing each to the newest migration, one gateway at a time."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from gateway.store.database import CONNECT_TIMEOUT_SECONDS, GATEWAY_ROLE, fence, merchant_of, schema_of

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
# Any number will do, as long as nobody else on the database uses it.
_LOCK = 7_310_579_112_804_213
_PREFIX = schema_of("")


@dataclass(frozen=True)
class Migrated:
    """What happened to one merchant's schema; `from_revision` is None if it was created."""

    merchant: str
    from_revision: str | None
    to_revision: str


async def migrate(url: str, *, create: str | None = None) -> list[Migrated]:
    """Bring every merchant's schema to the newest migration, first creating that of `create` if there is none.

    Needs the rights to create roles, schemas and tables. Waits while another gateway does the same.
    """
    with fence():
        engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: _connect_as_owner(url))
        try:
            async with engine.connect() as connection:
                await connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({_LOCK})"))
                await connection.commit()
                await _create_role(connection)
                if create is not None:
                    await connection.execute(sqlalchemy.text(f'CREATE SCHEMA IF NOT EXISTS "{schema_of(create)}"'))
                await connection.commit()
                newest = await newest_revision()
                return [await _migrate_one(connection, merchant, newest) for merchant in await merchants(connection)]
        finally:
            await engine.dispose()


async def merchants(connection: AsyncConnection) -> list[str]:
    """The merchants that have a schema, by name."""
    found = await connection.scalars(
        sqlalchemy.text("SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, :prefix) ORDER BY 1"),
        {"prefix": _PREFIX},
    )
    return [merchant_of(name) for name in found]


async def revision_of(connection: AsyncConnection, merchant: str) -> str | None:
    """The migration at which a merchant's schema is."""
    return await connection.run_sync(_revision, schema_of(merchant))


async def _connect_as_owner(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)


async def _create_role(connection: AsyncConnection) -> None:
    known = await connection.scalar(
        sqlalchemy.text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": GATEWAY_ROLE}
    )
    if not known:
        await connection.execute(sqlalchemy.text(f"CREATE ROLE {GATEWAY_ROLE} NOLOGIN"))
        await connection.execute(sqlalchemy.text(f"GRANT {GATEWAY_ROLE} TO CURRENT_USER"))


async def _migrate_one(connection: AsyncConnection, merchant: str, newest: str) -> Migrated:
    schema = schema_of(merchant)
    before = await connection.run_sync(_revision, schema)
    if before != newest:  # to find that there is nothing to do takes Alembic longer than all else
        await connection.run_sync(_upgrade, schema)
    await connection.commit()
    after = await connection.run_sync(_revision, schema)
    await connection.commit()
    assert after is not None
    return Migrated(merchant, before, after)


def _upgrade(connection: sqlalchemy.Connection, schema: str) -> None:
    config = Config(attributes={"connection": connection, "schema": schema})
    config.set_main_option("script_location", str(_MIGRATIONS))
    command.upgrade(config, "head")


def _revision(connection: sqlalchemy.Connection, schema: str) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_revision()


async def newest_revision() -> str:
    """The newest migration this release knows."""
    found = await asyncio.to_thread(ScriptDirectory(str(_MIGRATIONS)).get_current_head)
    assert found is not None
    return found
