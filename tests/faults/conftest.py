"""What the faults of this folder stand on: folders for servers of their own, and a seed to repeat a run with."""

import os
import random
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import grpc.aio
import pytest

from gateway import app
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1.operations_service_pb2 import CheckConsistencyRequest
from tests.client import Client
from tests.faults.postgres import Postmaster

SEED = "STOCKGATE_TEST_SEED"
MEMORY_BYTES_MIN = 4 * 1024**3


@pytest.fixture
def seed() -> int:
    """Another one each time, printed when a test fails; set the variable to play one again."""
    chosen = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    print(f"{SEED}={chosen}")
    return chosen


@contextmanager
def data_folder() -> Iterator[Path]:
    """A data folder where the embedded PostgreSQL's user can reach it; a server left in it is killed in the end."""
    path = Path(tempfile.mkdtemp(prefix="stockgate-fault-", dir=_quick_disk()))
    path.chmod(0o755)
    yield path
    postmaster = Postmaster(path)
    if postmaster.is_running:
        postmaster.signal(signal.SIGKILL)
    shutil.rmtree(path, ignore_errors=True)


def _quick_disk() -> Path | None:
    """Memory, if there is plenty: what kill -9 leaves behind is the same there, and fsync waits for nobody's disk."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_BYTES_MIN else None


@pytest.fixture
def own_data_dir() -> Iterator[Path]:
    """A data folder of this test's own."""
    with data_folder() as path:
        yield path


@pytest.fixture(scope="module")
def shared_data_dir() -> Iterator[Path]:
    """A data folder of this module's own: making a cluster takes a second or two."""
    with data_folder() as path:
        yield path


@pytest.fixture
async def twins(settings: Settings, token: str, clock: Clock) -> AsyncIterator[list[Client]]:
    """Clients of two gateways on one database, for the same merchant; in the end the ledger adds up (R18)."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            address = await stack.enter_async_context(app.running_gateway(settings, clock))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            clients.append(Client(channel, token))
        yield clients
        for client in clients:
            verdict = await client.operations.CheckConsistency(CheckConsistencyRequest(), **client.options)
            assert verdict.consistent, verdict.breaches
