"""Migrations build exactly the tables that `gateway/store/tables.py` declares, once, whoever starts first."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from gateway import app
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.database import schema_of
from gateway.store.operations_tables import metadata
from tests.merchants import drop_merchant, new_merchant_name, schema_of_token

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"

# What the database itself says of a schema's tables. Alembic compares neither checks nor collations nor storage.
COLUMNS = """
    SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, l.collname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"""
CONSTRAINTS = """
    SELECT c.relname, n.conname, n.contype::text, pg_get_constraintdef(n.oid), n.convalidated
    FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid WHERE n.connamespace = to_regnamespace($1)"""
INDEXES = """
    SELECT tablename, indexname, replace(indexdef, ' ' || quote_ident($1) || '.', ' ')
    FROM pg_indexes WHERE schemaname = $1"""
STORAGE = """
    SELECT relname, relpersistence::text, array_to_string(reloptions, ',')
    FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'"""


@pytest.fixture
async def connection(settings: Settings, token: str) -> AsyncIterator[AsyncConnection]:
    """The owner's connection, at home in a freshly migrated merchant's schema."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(settings.database_url, timeout=5)
    )
    async with engine.connect() as opened:
        await opened.execute(sqlalchemy.text(f'SET search_path TO "{schema_of_token(token)}"'))
        yield opened
    await engine.dispose()


async def test_alembic_finds_nothing_to_migrate(connection: AsyncConnection) -> None:
    """Autogenerate, with types and server defaults, sees no difference between migrations and tables."""

    def differences(migrated: sqlalchemy.Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(migrated, opts=options), metadata))

    assert await connection.run_sync(differences) == []


async def test_alembic_would_find_a_difference(connection: AsyncConnection) -> None:
    """The comparison above can fail: a column more, a default less and another type are all seen."""
    for change in (
        "ALTER TABLE skus ADD COLUMN colour text",
        "ALTER TABLE head ALTER COLUMN version DROP DEFAULT",
        "ALTER TABLE levels ALTER COLUMN on_hand TYPE integer",
    ):
        await connection.execute(sqlalchemy.text(change))
    options = {"compare_type": True, "compare_server_default": True}
    found = await connection.run_sync(
        lambda migrated: compare_metadata(MigrationContext.configure(migrated, opts=options), metadata)
    )
    kinds = {change[0] if isinstance(change, tuple) else change[0][0] for change in found}
    assert kinds == {"remove_column", "modify_default", "modify_type"}


@pytest.mark.parametrize(
    "question", [COLUMNS, CONSTRAINTS, INDEXES, STORAGE], ids=["columns", "constraints", "indexes", "storage"]
)
async def test_the_database_sees_the_same_tables(
    owner: asyncpg.Connection, connection: AsyncConnection, token: str, question: str
) -> None:
    """Columns, defaults, collations, checks, keys, indexes and storage are those that the tables declare."""
    declared = f"{schema_of_token(token)}_declared"
    translated = await connection.execution_options(schema_translate_map={None: declared})
    await translated.execute(sqlalchemy.schema.CreateSchema(declared))
    await translated.run_sync(metadata.create_all)
    await translated.commit()
    try:
        wanted = await _rows(owner, question, declared)
        assert wanted
        assert [
            row for row in await _rows(owner, question, schema_of_token(token)) if row[0] != "alembic_version"
        ] == wanted
    finally:
        await owner.execute(f'DROP SCHEMA "{declared}" CASCADE')


def test_there_is_one_newest_migration() -> None:
    """Migrations form one line: one base, one head, and nothing beside it."""
    script = ScriptDirectory(str(MIGRATIONS))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1
    assert len(list(script.walk_revisions())) == len(list((MIGRATIONS / "versions").glob("*.py")))


async def test_migrating_twice_changes_nothing(settings: Settings, owner: asyncpg.Connection, token: str) -> None:
    """A second migration finds every merchant at the newest one, and touches neither tables nor rows."""
    before = await _everything(owner, schema_of_token(token))
    done = await app.migrate(settings)
    assert await _everything(owner, schema_of_token(token)) == before
    newest = await schema.newest_revision()
    (ours,) = (one for one in done if schema_of(one.merchant) == schema_of_token(token))
    assert (ours.from_revision, ours.to_revision) == (newest, newest)


@pytest.mark.usefixtures("token")
async def test_what_there_was_has_a_past_from_the_upgrade_on(settings: Settings, owner: asyncpg.Connection) -> None:
    """Listings that were read and SKUs that somebody divided or froze are kept as they are; others never had a past."""
    name = new_merchant_name()
    at = schema_of(name)
    await owner.execute(f"CREATE SCHEMA {at}")
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(settings.database_url, timeout=5)
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.text(f"SET search_path TO {at}"))
            await connection.run_sync(_migrate_to, at, "0003")
        for statement in (
            """INSERT INTO skus (sku, title, safety_stock, substitutes, frozen)
               VALUES ('A', '', 0, '{}', true), ('B', '', 0, '{}', false)""",
            """INSERT INTO listings (listing_id, channel, item_id, platform_sku_id, components, skus, state)
               VALUES (1, 'tb', '1', '', '[["A", 1]]', '{A}', '[[["main", 7]]]'),
                      (2, 'tb', '2', '', '[["B", 1]]', '{B}', '[]')""",
        ):
            await owner.execute(f"SET search_path TO {at}; {statement}")
        await app.migrate(settings)
        states = await owner.fetch("SELECT state, is_read FROM listing_states")
        assert [tuple(row) for row in states] == [('[[["main", 7]]]', False)]
        assert [row["sku"] for row in await owner.fetch("SELECT sku FROM sku_states")] == ["A"]
    finally:
        await owner.execute("RESET search_path")
        await engine.dispose()
        await drop_merchant(settings, name)


async def test_many_may_migrate_at_once(settings: Settings, owner: asyncpg.Connection) -> None:
    """Of several that create one merchant at the same moment one does it, and the others find it done."""
    name = new_merchant_name()
    url = str(settings.database_url)
    try:
        async with asyncio.timeout(60):
            done = await asyncio.gather(*(schema.migrate(url, create=name) for _ in range(4)))
        seen = [one.from_revision for migrated in done for one in migrated if one.merchant == name]
        newest = await schema.newest_revision()
        assert sorted(seen, key=str) == sorted([None, newest, newest, newest], key=str)
        assert await owner.fetchval(f"SELECT count(*) FROM {schema_of(name)}.head") == 1
        assert await owner.fetchval(f"SELECT count(*) FROM {schema_of(name)}.locations") == 1
    finally:
        await drop_merchant(settings, name)


async def test_two_gateways_may_start_at_once(settings: Settings, owner: asyncpg.Connection) -> None:
    """Gateways that find a schema without tables migrate it in turn, and both come up."""
    name = new_merchant_name()
    await owner.execute(f"CREATE SCHEMA {schema_of(name)}")
    both_up = asyncio.Barrier(2)

    async def start() -> None:
        async with app.running_gateway(settings):
            await both_up.wait()

    try:
        async with asyncio.timeout(60):
            await asyncio.gather(start(), start())
        assert await owner.fetchval(f"SELECT count(*) FROM {schema_of(name)}.head") == 1
        diagnosis = {(found.check, found.ok) for found in await app.doctor(settings) if found.merchant == name}
        assert diagnosis == {("schema", True), ("ledger", True)}
    finally:
        await drop_merchant(settings, name)


def _migrate_to(connection: sqlalchemy.Connection, schema_name: str, revision: str) -> None:
    config = Config(attributes={"connection": connection, "schema": schema_name})
    config.set_main_option("script_location", str(MIGRATIONS))
    command.upgrade(config, revision)


async def _rows(owner: asyncpg.Connection, question: str, schema_name: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in await owner.fetch(question, schema_name)), key=repr)


async def _everything(owner: asyncpg.Connection, schema_name: str) -> list[Any]:
    """All that can be seen of a schema: its tables, their rights and their rows."""
    found: list[Any] = [await _rows(owner, question, schema_name) for question in (COLUMNS, CONSTRAINTS, INDEXES)]
    rights = "SELECT relname, relacl::text FROM pg_class WHERE relnamespace = to_regnamespace($1)"
    found.append(await _rows(owner, rights, schema_name))
    for table in (*metadata.tables, "alembic_version"):
        found.append(await owner.fetch(f'SELECT * FROM "{schema_name}".{table}'))  # noqa: PERF401 - an await each
    return found
