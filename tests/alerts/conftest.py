"""The desk of a test's own merchant."""

from collections.abc import AsyncIterator

import pytest

from gateway.settings import Settings
from gateway.store.database import Clock
from tests.alerts.counter import OTHER, SKU, Counter, counter_of


@pytest.fixture
async def counter(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Counter]:
    """A merchant with two SKUs, as a gateway sees it whose engine does nothing."""
    async with counter_of(settings, token, clock) as found:
        await found.stock(SKU, OTHER)
        yield found


@pytest.fixture
async def elsewhere(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Counter]:
    """The same merchant, as another gateway sees it."""
    async with counter_of(settings, token, clock) as found:
        yield found
