"""Merchants for tests: each test has its own, and takes it along when it goes."""

import asyncio
import itertools
import os
from asyncio.subprocess import PIPE

import asyncpg

from gateway import app
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.database import schema_of
from gateway.store.embedded import EmbeddedPostgres

_numbers = itertools.count(1)
# A machine that does much else takes its time to open a connection.
CONNECT_SECONDS_MAX = 20.0


def new_merchant_name() -> str:
    """A merchant's name nobody has."""
    return f"test_{os.getpid()}_{next(_numbers)}"


def schema_of_token(token: str) -> str:
    """The name of the schema of the merchant who has this token."""
    return schema_of(token.partition(".")[0])


async def drop_merchant(settings: Settings, name: str) -> None:
    """Forget a merchant: every gateway serves all there are, so those of past tests would slow the next."""
    connection = await asyncpg.connect(settings.database_url, timeout=CONNECT_SECONDS_MAX)
    try:
        await connection.execute(f'DROP SCHEMA IF EXISTS "{schema_of(name)}" CASCADE')
    except asyncpg.DeadlockDetectedError:
        # A transaction that its gateway gave up a moment ago was still at it; now it is not.
        await connection.execute(f'DROP SCHEMA IF EXISTS "{schema_of(name)}" CASCADE')
    await connection.close()


class Blueprint:
    """What a new merchant's schema is made of, drawn from one that the migrations have made.

    Migrating an empty schema takes half a second, and more than a thousand tests want one.
    """

    def __init__(self, settings: Settings) -> None:
        """Draw nothing yet."""
        self._settings = settings
        self._schema = ""
        self._statements = ""

    async def add_merchant(self, name: str) -> str:
        """Make a merchant as `app.add_merchant` does, and return an access token of his."""
        if not self._statements:
            await self._draw()
        connection = await asyncpg.connect(self._settings.database_url, timeout=CONNECT_SECONDS_MAX)
        await connection.execute(self._statements.replace(self._schema, schema_of(name)))
        # The lineage is each merchant's own.
        begun = "epoch = gen_random_uuid(), record_time = clock_timestamp()"
        await connection.execute(f'UPDATE "{schema_of(name)}".head SET {begun}')
        await connection.close()
        return await app.new_token(self._settings, name)

    async def _draw(self) -> None:
        name = new_merchant_name()
        await schema.migrate(str(self._settings.database_url), create=name)
        self._schema = schema_of(name)
        options = (f"--schema={self._schema}", "--inserts", f"--dbname={self._settings.database_url}")
        postgres = EmbeddedPostgres(self._settings.data_dir)
        pg_dump = postgres._server(postgres._pgdata).bin_path / "pg_dump"
        dump = await asyncio.create_subprocess_exec(pg_dump, *options, stdout=PIPE)
        written, _ = await dump.communicate()
        assert dump.returncode == 0
        # Lines that begin so are for psql.
        lines = (line for line in written.decode().splitlines() if not line.startswith("\\"))
        self._statements = "\n".join(lines)
        await drop_merchant(self._settings, name)
