"""What the faults of this folder stand on: folders for servers of their own, and a seed to repeat a run with."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SEED = "STOCKGATE_TEST_SEED"


@pytest.fixture
def seed() -> int:
    """Another one each time, printed when a test fails; set the variable to play one again."""
    chosen = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    print(f"{SEED}={chosen}")
    return chosen


@pytest.fixture
def own_data_dir() -> Iterator[Path]:
    """A data folder of this test's own, where the embedded PostgreSQL's user can reach it."""
    path = Path(tempfile.mkdtemp(prefix="stockgate-fault-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)
