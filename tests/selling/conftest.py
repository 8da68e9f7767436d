"""A gateway whose merchant `main` is this test's own, and a seed to repeat a run with."""

import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway import app
from gateway.rpc.auth import DEFAULT_MERCHANT
from gateway.settings import Settings
from tests.merchants import drop_merchant

SEED = "STOCKGATE_TEST_SEED"


@pytest.fixture
def seed() -> int:
    """Another one each time, printed when a test fails; set the variable to play one again."""
    chosen = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    print(f"{SEED}={chosen}")
    return chosen


@pytest.fixture
async def empty(settings: Settings) -> AsyncIterator[Settings]:
    """Settings of a gateway that has never seen anybody."""
    await drop_merchant(settings, DEFAULT_MERCHANT)
    yield replace(settings, listen="127.0.0.1:0")
    await drop_merchant(settings, DEFAULT_MERCHANT)


@pytest.fixture
async def address(empty: Settings) -> AsyncIterator[str]:
    """The address of a gateway in this process."""
    async with app.running_gateway(empty) as address:
        yield address
