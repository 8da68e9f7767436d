"""Alembic's entry: migrates one merchant's schema, over the connection that `gateway.store.schema` hands in.

Run by itself (`alembic revision --autogenerate ...`) it takes STOCKGATE_DATABASE_URL and the schema of `main`.
"""

import asyncio
import os

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.store.operations_tables import metadata

_SCHEMA = context.config.attributes.get("schema", "merchant_main")


def _migrate(connection: Connection) -> None:
    connection.execute(text(f'SET search_path TO "{_SCHEMA}"'))
    context.configure(connection=connection, target_metadata=metadata, version_table_schema=_SCHEMA)
    with context.begin_transaction():
        context.run_migrations()


async def _migrate_alone() -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(os.environ["STOCKGATE_DATABASE_URL"])
    )
    async with engine.begin() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    _migrate(given)
else:
    asyncio.run(_migrate_alone())
