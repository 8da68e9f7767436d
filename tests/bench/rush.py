"""A crowd in a process of its own: so many callers reserve one SKU as fast as they are answered."""

import asyncio
import json
import sys

import grpc
import grpc.aio
import uvloop

from tests.bench.load import closed_loop
from tests.bench.shop import Shop


async def rush(address: str, sku: str, callers: int, seconds: float) -> dict[str, float]:
    """Calls per second, and how many of them were refused."""
    refused = 0

    async with grpc.aio.insecure_channel(address) as channel:
        shop = Shop(channel)

        async def call() -> None:
            nonlocal refused
            try:
                await shop.reserve(sku)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                refused += 1

        load = await closed_loop(call, callers, seconds)
    return {"rate": load.rate, "calls": load.calls, "refused": refused}


async def rush_elsewhere(address: str, sku: str, callers: int, seconds: float) -> dict[str, float]:
    """The same, in another process."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.bench.rush", address, sku, str(callers), str(seconds)],
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return dict(json.loads(output))


if __name__ == "__main__":
    found = uvloop.run(rush(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
    sys.stdout.write(json.dumps(found) + "\n")
