"""Every figure of selling, in order: first the rules alone, then one gateway, then gateways with agents and shops."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import grpc.aio
from rich.console import Console

from tests.bench.figures import Figure
from tests.bench.selling_backlog import full_reconciliation, urgent_under_backlog
from tests.bench.selling_live import platform_away, sale_to_lower_numbers
from tests.bench.selling_orders import orders_taken_in
from tests.bench.selling_sessions import whole_sessions
from tests.bench.selling_shop import Seller
from tests.bench.selling_worlds import oversold_units, sell_through
from tests.bench.shop import running_gateway

Step = Callable[[], Awaitable[list[Figure]]]


def steps(folder: Path, skus: list[str], rounds: int, console: Console, *, quick: bool) -> dict[str, Step]:
    """What can be measured, by name; each makes what it needs in the folder, and takes it down again."""
    # A caller whose answer the weather has lost is still waiting when its server ends.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return {
        "oversold_units": partial(oversold_units, console, quick=quick),
        "sell_through": partial(sell_through, console),
        "whole_sessions": partial(whole_sessions, folder, console, quick=quick),
        "orders_taken_in": partial(_orders_taken_in, folder, skus, rounds),
        "sale_to_lower_numbers": partial(sale_to_lower_numbers, folder, rounds),
        "urgent_under_backlog": partial(urgent_under_backlog, folder, quick=quick),
        "platform_away": partial(platform_away, folder, quick=quick),
        "full_reconciliation": partial(full_reconciliation, folder, quick=quick),
    }


async def _orders_taken_in(folder: Path, skus: list[str], rounds: int) -> list[Figure]:
    data = folder / "orders"
    data.mkdir(mode=0o755)
    async with running_gateway(data) as address, grpc.aio.insecure_channel(address) as connection:
        return await orders_taken_in(Seller(connection), skus, rounds)
