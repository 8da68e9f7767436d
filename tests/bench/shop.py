"""What is measured: a gateway in a process of its own, a bare echo beside it, and a shop that loads them."""

import asyncio
import itertools
import json
import os
import random
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc.aio
from cryptography.fernet import Fernet

from gateway.v1 import catalog_pb2
from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from gateway.v1.stock_service_pb2_grpc import StockServiceStub

if TYPE_CHECKING:
    from gateway.v1.stock_service_pb2_grpc import StockServiceAsyncStub

BATCH = 100
PLENTY = 10**12
TTL_MS = 3_600_000
_run = uuid.uuid4().hex[:8]
_numbers = itertools.count(1)


def new_id() -> str:
    """A request id of this run."""
    return f"{_run}-{next(_numbers):09d}"


class Shop:
    """Callers of one merchant; `stub` may be the gateway's or the echo's."""

    def __init__(self, channel: grpc.aio.Channel, token: str = "") -> None:
        """Use the channel; it stays the caller's."""
        self.stub: StockServiceAsyncStub = StockServiceStub(channel)
        self._catalog = CatalogServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def stock_up(self, skus: list[str], units: int = PLENTY) -> None:
        """Create the SKUs and receive units of each."""
        for sku in skus:
            request = catalog_pb.CreateSkuRequest(sku=catalog_pb2.Sku(sku=sku))
            await self._catalog.CreateSku(request, metadata=self._metadata)
        receipts = [pb.ReceiveStockRequest(request_id=new_id(), sku=sku, quantity=units) for sku in skus]
        for start in range(0, len(receipts), BATCH):
            await self.apply([pb.BatchItem(receive=receipt) for receipt in receipts[start : start + BATCH]])

    async def reserve(self, sku: str, *, ttl_ms: int = TTL_MS) -> pb.ReserveStockResponse:
        """Reserve one unit in one call."""
        return await self.stub.ReserveStock(reservation_of(sku, ttl_ms), metadata=self._metadata)

    async def reserve_batch(self, skus: list[str], *, ttl_ms: int = TTL_MS) -> pb.ApplyBatchResponse:
        """Reserve one unit of each in one call."""
        return await self.apply([pb.BatchItem(reserve=reservation_of(sku, ttl_ms)) for sku in skus])

    async def apply(self, items: list[pb.BatchItem]) -> pb.ApplyBatchResponse:
        """Apply a batch."""
        return await self.stub.ApplyBatch(pb.ApplyBatchRequest(items=items), metadata=self._metadata)

    async def available(self, sku: str) -> int:
        """Units that can be sold now."""
        answer = await self.stub.GetStockLevel(pb.GetStockLevelRequest(sku=sku), metadata=self._metadata)
        return answer.level.available

    async def reserved_in_journal(self, sku: str) -> int:
        """Units reserved by the SKU's last movement, whatever has expired since."""
        request = pb.ListMovementsRequest(sku=sku, page_size=1)
        answer = await self.stub.ListMovements(request, metadata=self._metadata)
        return answer.movements[0].reserved_after


def reservation_of(sku: str, ttl_ms: int) -> pb.ReserveStockRequest:
    """A request for one unit."""
    return pb.ReserveStockRequest(request_id=new_id(), lines=[pb.ReserveLine(sku=sku, quantity=1)], ttl_ms=ttl_ms)


def zipf(skus: list[str], seed: int, count: int) -> list[str]:
    """A draw of SKUs by Zipf's law, the first the most wanted."""
    weights = [1 / rank for rank in range(1, len(skus) + 1)]
    return random.Random(seed).choices(skus, weights, k=count)


@asynccontextmanager
async def running_echo() -> AsyncIterator[str]:
    """The bare echo's address."""
    async with running([sys.executable, "-m", "tests.bench.echo"], {}) as line:
        yield line


@asynccontextmanager
async def running_gateway(data_dir: Path, **more: str) -> AsyncIterator[str]:
    """The address of a gateway with an embedded PostgreSQL in the folder, its other defaults untouched.

    `more` is added to its environment.
    """
    environment = {
        "STOCKGATE_DATA_DIR": str(data_dir),
        "STOCKGATE_LISTEN": "127.0.0.1:0",
        "STOCKGATE_PAGE_LISTEN": "off",
        "STOCKGATE_CREDENTIALS_KEY": Fernet.generate_key().decode(),
        **more,
    }
    async with running([sys.executable, "-m", "gateway", "serve", "--json"], environment) as line:
        yield str(json.loads(line)["address"])


async def stockgate(data_dir: Path, *words: str) -> dict[str, str]:
    """Run a command of the CLI; returns its JSON."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "gateway", *words, "--json"],
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "STOCKGATE_DATA_DIR": str(data_dir)},
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    return cast("dict[str, str]", json.loads(output))


@asynccontextmanager
async def running(command: list[str], environment: dict[str, str]) -> AsyncIterator[str]:
    """A process, and the first line it writes."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment}
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()
