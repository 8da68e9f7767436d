"""What being observed costs: the same calls to a gateway that measures and traces, and to one that does neither."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import grpc.aio

from tests.bench.figures import UNARY_IN_FLIGHT, Figure
from tests.bench.load import closed_loop
from tests.bench.shop import Shop, running_gateway

# Short ones, many of them and in turns: a busy machine is then busy for both.
RUN_SECONDS = 0.5
TURNS = 24
WARM_SECONDS = 2.0
Step = Callable[[], Awaitable[list[Figure]]]


def steps(folder: Path, sku: str, rounds: int) -> dict[str, Step]:
    """The figures by name, to be measured."""

    async def telemetry_cost() -> list[Figure]:
        return await _cost(folder, sku, rounds)

    return {"telemetry_cost": telemetry_cost}


async def _cost(folder: Path, sku: str, rounds: int) -> list[Figure]:
    """Unary reserves with everything on, as it is by default, against OTEL_SDK_DISABLED."""
    for name in ("observed", "unobserved"):
        (folder / name).mkdir(mode=0o755)
    async with (
        running_gateway(folder / "observed") as observed_address,
        running_gateway(folder / "unobserved", OTEL_SDK_DISABLED="true") as unobserved_address,
        grpc.aio.insecure_channel(observed_address) as observed_channel,
        grpc.aio.insecure_channel(unobserved_address) as unobserved_channel,
    ):
        observed, unobserved = Shop(observed_channel), Shop(unobserved_channel)
        for shop in (observed, unobserved):
            await shop.stock_up([sku])
            await _rate(shop, sku, WARM_SECONDS)
        shares = []
        for turn in range(TURNS * rounds):
            # Who comes second has the other's dirty pages to share the disk with: each is second as often.
            first, second = (observed, unobserved) if turn % 2 else (unobserved, observed)
            rates = {first: await _rate(first, sku, RUN_SECONDS)}
            rates[second] = await _rate(second, sku, RUN_SECONDS)
            shares.append(rates[observed] / rates[unobserved])
    return [Figure("unary reserve, traced and measured, share of neither", median(shares), "x", 0.90, 0.95)]


async def _rate(shop: Shop, sku: str, seconds: float) -> float:
    return (await closed_loop(lambda: shop.reserve(sku), UNARY_IN_FLIGHT, seconds)).rate
