"""Calls as faults meet them: many commands in one batch, and why one was refused."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import grpc.aio
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client, new_id

BATCH_ITEMS_MAX = 1_000
CALLS_AT_ONCE = 16
POLL_SECONDS = 0.01


def reserve_of(sku: str, quantity: int = 1, *, request_id: str = "", ttl_ms: int = 0) -> pb.ReserveStockRequest:
    """A reservation of one line."""
    lines = [pb.ReserveLine(sku=sku, quantity=quantity)]
    return pb.ReserveStockRequest(request_id=request_id or new_id(), lines=lines, ttl_ms=ttl_ms)


def reserves(sku: str, count: int, ttl_ms: int = 0) -> list[pb.BatchItem]:
    """So many reservations of one unit."""
    return [pb.BatchItem(reserve=reserve_of(sku, ttl_ms=ttl_ms)) for _ in range(count)]


async def batch(client: Client, items: Iterable[pb.BatchItem]) -> list[pb.BatchResult]:
    """Apply a batch."""
    response = await client.stock.ApplyBatch(pb.ApplyBatchRequest(items=items), **client.options)
    return list(response.results)


async def stock_up(client: Client, skus: Sequence[str], units: int) -> None:
    """Make SKUs with so many units of each."""
    unmade = iter(skus)

    async def make() -> None:
        for sku in unmade:
            await client.add_sku(sku)

    await asyncio.gather(*(make() for _ in range(CALLS_AT_ONCE)))
    receipts = [pb.ReceiveStockRequest(request_id=new_id(), sku=sku, quantity=units) for sku in skus]
    for start in range(0, len(receipts), BATCH_ITEMS_MAX):
        page = receipts[start : start + BATCH_ITEMS_MAX]
        results = await batch(client, [pb.BatchItem(receive=receipt) for receipt in page])
        assert not any(result.HasField("error") for result in results)


async def until(is_so: Callable[[], Awaitable[bool]], seconds_max: float) -> float:
    """Ask until it is so; how many seconds that took. Raises `TimeoutError`.

    Where asking takes long, and may keep the loop from everybody else, it rests for twice as long.
    """
    begun = time.monotonic()
    async with asyncio.timeout(seconds_max):
        while True:
            asked = time.monotonic()
            if await is_so():
                return time.monotonic() - begun
            await asyncio.sleep(max(POLL_SECONDS, 2 * (time.monotonic() - asked)))


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason that an error carries, "" if it carries none."""
    info = ErrorInfo()
    return info.reason if find_detail(error, info) else ""


def find_detail(error: grpc.aio.AioRpcError, wanted: Message) -> bool:
    """Fill in the detail of this kind that an error carries; False if it carries none."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # the stubs forget that an error is a call too
    return status is not None and any(detail.Unpack(wanted) for detail in status.details)
