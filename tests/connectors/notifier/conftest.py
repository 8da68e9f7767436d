"""A real gateway, the four stand-ins, and notifiers between them."""

import os
import random
from collections.abc import AsyncIterator

import pytest

from connectors.sandbox.robots import Hall
from connectors.sandbox.serving import serving
from tests.client import Client
from tests.connectors.notifier.ward import Ward


@pytest.fixture
async def ward(client: Client, gateway_address: str, token: str) -> AsyncIterator[Ward]:
    """A merchant that sells cups and mugs, warned early, and robots that nobody has told anything yet."""
    hall = Hall()
    async with serving(hall.app) as robots:
        ward = Ward(client, gateway_address, token, hall, robots)
        await ward.open_shop()
        yield ward
        await ward.stop()


@pytest.fixture
def seed() -> int:
    """Another one each time, printed when a test fails; set the variable to play one again."""
    chosen = int(os.environ.get("STOCKGATE_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"STOCKGATE_TEST_SEED={chosen}")
    return chosen
