"""A gateway whose merchant `main` is the test's own, and its clock."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway import app
from gateway.rpc.auth import DEFAULT_MERCHANT
from gateway.settings import Settings
from gateway.store.database import Clock
from tests.merchants import drop_merchant


@pytest.fixture
async def address(settings: Settings, clock: Clock) -> AsyncIterator[str]:
    """The address of a gateway that has never seen anybody; its clock goes on by itself, and is moved by hand."""
    await drop_merchant(settings, DEFAULT_MERCHANT)
    async with app.running_gateway(replace(settings, listen="127.0.0.1:0"), clock) as address:
        yield address
    await drop_merchant(settings, DEFAULT_MERCHANT)
