"""What tests stand on: a real PostgreSQL, real gateways on free ports, real stubs."""

import asyncio
import gc
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import grpc.aio
import pytest
from cryptography.fernet import Fernet

from gateway import allocator, app, telemetry
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.store.embedded import EmbeddedPostgres
from tests.client import Client
from tests.merchants import CONNECT_SECONDS_MAX, Blueprint, drop_merchant, new_merchant_name

# These wait more than they compute: begun first, they are done when the others are.
LONG_FILES = (
    "test_resuming.py",
    "test_faults.py",
    "test_kills.py",
    "test_escrow.py",
    "test_up.py",
    "test_database_away.py",
    "test_up_case.py",
    "test_alert_kills.py",
    "test_bad_input.py",
    "test_command.py",
    "test_alert_watch_ends.py",
    "test_hub_slow.py",
    "test_fault_matrix.py",
    "test_whole_journey.py",
    "test_now.py",
    "test_looks.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: a worker takes whole files, and the last one is not to keep the others waiting."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


def pytest_collection_finish() -> None:
    """Five thousand tests are a million objects: whoever collects garbage need not look at them, while loops wait."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """A data folder of this test process, where the embedded PostgreSQL's user can reach it."""
    path = Path(tempfile.mkdtemp(prefix="stockgate-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def settings(data_dir: Path) -> Iterator[Settings]:
    """Settings of a gateway on a free port, with a database that runs as long as the tests."""
    postgres = EmbeddedPostgres(data_dir)
    asyncio.run(_start(postgres))
    yield Settings(
        database_url=postgres.url,
        data_dir=data_dir,
        listen="127.0.0.1:0",
        credentials_key=Fernet.generate_key().decode(),
    )
    asyncio.run(_discard(postgres))


async def _start(postgres: EmbeddedPostgres) -> None:
    """Start the server, and have it spare the disk: whoever pulls plugs has a server of his own."""
    await postgres.start()
    connection = await asyncpg.connect(postgres.url, timeout=CONNECT_SECONDS_MAX)
    for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '4GB'"):
        await connection.execute(f"ALTER SYSTEM SET {setting}")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


async def _discard(postgres: EmbeddedPostgres) -> None:
    """Stop the server without writing down what nobody will read."""
    await asyncio.to_thread(postgres._pg_ctl, "stop", "-w", "-m", "immediate")
    await postgres.stop()


@pytest.fixture(autouse=True, scope="session")
def _eager() -> Iterator[None]:
    """A merchant's first channel is seen at once: outside of tests nobody notices that second.

    And no lots are drawn: whoever wants to see traces asks for them.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(allocator, "IDLE_SECONDS", allocator.GATHER_SECONDS)
        patched.setattr(telemetry.sampling, "ratio", 0.0)
        yield


@pytest.fixture(scope="session")
def blueprint(settings: Settings) -> Blueprint:
    """Makes merchants."""
    return Blueprint(settings)


@pytest.fixture
async def token(settings: Settings, blueprint: Blueprint) -> AsyncIterator[str]:
    """The access token of a merchant that only this test knows, and that goes with it."""
    name = new_merchant_name()
    yield await blueprint.add_merchant(name)
    await drop_merchant(settings, name)


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the database's owner, who may do what the gateway may not."""
    connection = await asyncpg.connect(settings.database_url, timeout=CONNECT_SECONDS_MAX)
    yield connection
    await connection.close()


@pytest.fixture
def clock() -> Clock:
    """The ledger's clock, to be moved by hand."""
    return Clock()


@pytest.fixture
async def gateway_address(settings: Settings, token: str, clock: Clock) -> AsyncIterator[str]:
    """The address of a gateway that knows the test's merchant."""
    assert token
    async with app.running_gateway(replace(settings, listen="127.0.0.1:0"), clock) as address:
        yield address


@pytest.fixture
async def client(gateway_address: str, token: str) -> AsyncIterator[Client]:
    """A client that acts for the test's merchant."""
    async with grpc.aio.insecure_channel(gateway_address) as channel:
        yield Client(channel, token)
