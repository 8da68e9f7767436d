"""What the gateway's role may do in the database: append to the journal, never change it (R12, R17)."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.settings import Settings
from gateway.store.database import GATEWAY_ROLE, Database
from gateway.store.operations_tables import metadata
from tests.client import Client
from tests.merchants import schema_of_token

APPEND_ONLY = ("movements", "requests")
EVERY_TABLE = sorted((*metadata.tables, "alembic_version"))
# What the gateway needs. What is old or over may be deleted; so may the alert log, which is never changed.
FOREVER = {
    "movements",
    "requests",
    "alert_requests",
    "alert_events",
    "drifts",
    "access_tokens",
    "alembic_version",
    "reviews",
}
RECORDS = {"listing_states", "channel_states", "sku_states", "spans"}
# Of the audit the columns that say what became of it, and no other.
MAY_CHANGE = {*EVERY_TABLE} - FOREVER - RECORDS - {"audit"}
AUDIT_ENDS = {"outcome", "sku", "channel"}
MAY_DELETE = {"listings", "alert_events", "standings", "alert_policies", "templates", "cursors", "notices"}
MAY_DELETE |= RECORDS | {"attempts", "page_sessions", "traced_skus", "access_tokens"}
MAY_ADD = {*metadata.tables} - {"head", "alert_head"}

CHANGES = (
    "UPDATE {} SET request_id = 'x'",
    "UPDATE {} SET request_id = request_id WHERE false",
    "DELETE FROM {}",
    "DELETE FROM {} WHERE false",
    "TRUNCATE {}",
    "TRUNCATE {} CASCADE",
    "ALTER TABLE {} ADD COLUMN x int",
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "DROP TABLE {}",
    "CREATE INDEX ON {} (request_id)",
    "CREATE RULE r AS ON INSERT TO {} DO INSTEAD NOTHING",
    "SELECT 1 FROM {} FOR UPDATE",
    "COPY {} FROM '/dev/null'",
    "INSERT INTO {0} SELECT * FROM {0} ON CONFLICT DO NOTHING RETURNING 1; DELETE FROM {0}",
)


@pytest.fixture
async def gateway_connection(settings: Settings, client: Client, token: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the gateway opens it, in a merchant's schema with a movement and a request id."""
    await client.add_sku("CUP", 10)
    database = Database(str(settings.database_url))
    connection = await database.connect()
    await connection.execute(f'SET search_path TO "{schema_of_token(token)}"')
    yield connection
    await connection.close()
    await database.close()


async def test_the_gateway_acts_under_its_own_role(gateway_connection: asyncpg.Connection) -> None:
    """The role owns nothing, cannot log in, and has no attribute that would let it past a privilege."""
    assert await gateway_connection.fetchval("SELECT current_user") == GATEWAY_ROLE
    role = await gateway_connection.fetchrow(
        "SELECT rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolbypassrls, rolreplication"
        " FROM pg_roles WHERE rolname = $1",
        GATEWAY_ROLE,
    )
    assert role is not None
    assert [name for name, has in role.items() if has] == ["rolinherit"]
    owned = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = $1"
    assert await gateway_connection.fetchval(owned, GATEWAY_ROLE) == 0


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_what_is_written_stays_written(gateway_connection: asyncpg.Connection, table: str) -> None:
    """Whatever the gateway's role tries to change in movements and request ids, the database refuses (R12, R17)."""
    before = await gateway_connection.fetch(f"SELECT * FROM {table}")
    assert before
    for change in CHANGES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await gateway_connection.execute(change.format(table))
        assert await gateway_connection.fetch(f"SELECT * FROM {table}") == before, change


async def test_an_upsert_cannot_change_a_movement(gateway_connection: asyncpg.Connection) -> None:
    """INSERT ... ON CONFLICT DO UPDATE is an update, and refused as one (R17)."""
    statement = (
        "INSERT INTO requests (request_id, content, answer) SELECT request_id, content, '\\x00' FROM requests"
        " ON CONFLICT (request_id) DO UPDATE SET answer = excluded.answer"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await gateway_connection.execute(statement)


async def test_every_privilege_is_one_the_gateway_needs(gateway_connection: asyncpg.Connection, token: str) -> None:
    """Table by table: read all, add, change and delete only where work asks for it."""
    where = {"SELECT": EVERY_TABLE, "INSERT": MAY_ADD, "UPDATE": MAY_CHANGE, "DELETE": MAY_DELETE}
    wanted = {table: {kind for kind, tables in where.items() if table in tables} for table in EVERY_TABLE}
    kinds = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    found = {
        table: {kind for kind in kinds if await _may(gateway_connection, f'"{schema_of_token(token)}".{table}', kind)}
        for table in EVERY_TABLE
    }
    assert found == wanted


async def test_no_column_is_an_exception(gateway_connection: asyncpg.Connection) -> None:
    """No column of an append-only table may be updated on its own."""
    for table in APPEND_ONLY:
        may = "SELECT has_any_column_privilege($1, $2, 'UPDATE')"
        assert not await gateway_connection.fetchval(may, GATEWAY_ROLE, table)


async def test_of_the_audit_only_what_became_of_it_is_written_later(
    gateway_connection: asyncpg.Connection, token: str
) -> None:
    """Who asked what, when and why, stays as it was written down."""
    columns = metadata.tables["audit"].columns.keys()
    may = "SELECT has_column_privilege($1, $2, $3, 'UPDATE')"
    table = f'"{schema_of_token(token)}".audit'
    found = {name for name in columns if await gateway_connection.fetchval(may, GATEWAY_ROLE, table, name)}
    assert found == AUDIT_ENDS


async def test_the_gateway_makes_nothing_in_a_schema(gateway_connection: asyncpg.Connection) -> None:
    """The gateway's role cannot put a table of its own, which would be found first, into a merchant's schema."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await gateway_connection.execute("CREATE TABLE spare (x int)")


async def test_nothing_acts_behind_the_ledgers_back(owner: asyncpg.Connection, token: str) -> None:
    """There is no trigger, no rule and no function in a merchant's schema: privileges alone protect the journal."""
    schema = schema_of_token(token)
    triggers = (
        "SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE c.relnamespace = to_regnamespace($1)"
    )
    rules = "SELECT rulename FROM pg_rules WHERE schemaname = $1"
    functions = "SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace($1)"
    for question in (triggers, rules, functions):
        assert await owner.fetch(question, schema) == []


async def _may(connection: asyncpg.Connection, table: str, kind: str) -> bool:
    return bool(await connection.fetchval("SELECT has_table_privilege($1, $2, $3)", GATEWAY_ROLE, table, kind))
