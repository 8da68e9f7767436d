"""Small histories that the tests of the store begin with, and a way into one merchant's part of the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.allocator import Allocator
from gateway.settings import Settings
from gateway.store.database import Database, MerchantDatabase
from gateway.sweeper import Sweeper
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import stock_pb2
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client

MICROSECOND = timedelta(microseconds=1)


def stop_allocating(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no allocator of this process decides anything, until `monkeypatch.undo()`."""

    async def rest(_allocator: Allocator) -> None:
        pass

    monkeypatch.setattr(Allocator, "look", rest)


@asynccontextmanager
async def store_of(settings: Settings, token: str) -> AsyncIterator[MerchantDatabase]:
    """The merchant's part of the database, with the gateway's rights."""
    database = Database(str(settings.database_url))
    try:
        yield database.of(token.partition(".")[0])
    finally:
        await database.close()


def stop_sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no sweeper of this process frees anything, until `monkeypatch.undo()`."""

    async def rest(_sweeper: Sweeper) -> int:
        return 0

    monkeypatch.setattr(Sweeper, "sweep", rest)


async def add_location(client: Client, location: str, position: int = 1) -> None:
    """A place to put units."""
    content = {"location": location, "position": position}
    await client.ask(client.catalog.CreateLocation, catalog.CreateLocationRequest, location=content)


async def adjust(client: Client, sku: str, change: int, *, record_reality: bool = False) -> pb.AdjustStockResponse:
    """Correct on hand at `main`."""
    return await client.tell(
        client.stock.AdjustStock,
        pb.AdjustStockRequest,
        sku=sku,
        change=change,
        reason="a test",
        record_reality=record_reality,
    )


async def units(client: Client, sku: str, when: datetime | None = None) -> tuple[int, int, int]:
    """On hand, reserved and available, now or as of a time."""
    response = await client.ask(client.stock.GetStockLevel, pb.GetStockLevelRequest, sku=sku, as_of_time=when)
    return response.level.on_hand, response.level.reserved, response.level.available


async def movements(client: Client, **wanted: object) -> list[stock_pb2.Movement]:
    """One page of the journal, newest first."""
    return list((await client.ask(client.stock.ListMovements, pb.ListMovementsRequest, **wanted)).movements)


def moment(stamp: Timestamp) -> datetime:
    """The same instant."""
    return stamp.ToDatetime(tzinfo=UTC)
