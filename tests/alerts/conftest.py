"""The desk of a test's own merchant."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.catalog import Catalog
from gateway.domain.changes import Limits
from gateway.domain.commands import ReceiveStock
from gateway.settings import Settings
from gateway.store.catalog import Sku
from gateway.store.database import Clock, Database, MerchantDatabase
from gateway.store.groups import GroupStore
from gateway.writer import Writer
from tests.alerts.counter import OTHER, SKU, Counter, counter_of
from tests.client import new_id


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


@pytest.fixture
async def merchant(settings: Settings, token: str, clock: Clock) -> AsyncIterator[MerchantDatabase]:
    """The merchant's part of the database, with a ledger's clock to be moved by hand."""
    assert settings.database_url
    database = Database(settings.database_url, clock)
    yield database.of(token.partition(".")[0])
    await database.close()


@pytest.fixture
async def shelf(merchant: MerchantDatabase) -> AsyncIterator[Writer]:
    """The merchant's ledger without a gateway around it, and so without an engine; with 100 teas."""
    writer = Writer(GroupStore(merchant, Limits()), 1_000)
    running = asyncio.create_task(writer.run())
    await Catalog(merchant, writer).create_sku(Sku(SKU))
    await writer.apply([ReceiveStock(new_id(), SKU, "", 100)])
    yield writer
    writer.close()
    await running
