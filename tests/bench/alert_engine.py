"""How soon a sale is a tier change at a subscriber, and what the engine's rules cost per order."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import grpc.aio

from gateway.alerts.lookout import TICK_SECONDS, Lookout
from gateway.alerts.surroundings import Surroundings
from gateway.domain.alerts import AlertPolicy
from gateway.domain.stock import MovementKind
from gateway.domain.vigil import Key, Moved, Tempo
from gateway.store.desk import DeskState
from gateway.store.standings import SkuFacts
from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import AlertEventKind
from gateway.v1.alert_service_pb2_grpc import AlertServiceStub
from tests.bench.figures import Figure
from tests.bench.load import open_loop
from tests.bench.shop import Shop, running_gateway

LIVE_SKUS = 500
ORDERS_PER_SECOND = 1_000
BATCH = 20
SECONDS = 30.0
SECONDS_QUICK = 12.0
ORDERS = 40_000
START = 1_700_000_000.0


async def order_cost(rounds: int) -> list[Figure]:
    """The engine's rules, decide included, over 500 SKUs in turn; no database."""
    costs = [await _cost() for _ in range(rounds)]
    return [Figure("engine: cost per order, decide included", median(costs), "us", 50, 15, lower_is_better=True)]


async def sale_to_tier_change(folder: Path, *, quick: bool) -> list[Figure]:
    """From the moment a sale was recorded to its tier change at a subscriber, at 1,000 orders/s over 500 SKUs."""
    data = folder / "alerts"
    data.mkdir(mode=0o755)
    async with running_gateway(data) as address, grpc.aio.insecure_channel(address) as connection:
        shop = Shop(connection)
        skus = [f"LIVE-{number:03d}" for number in range(LIVE_SKUS)]
        chance = random.Random(7)
        # Some are gone within seconds, some last: tiers change all the time, and for every reason.
        for units in (20, 40, 80, 160):
            await shop.stock_up([sku for sku in skus if chance.random() < 0.5 or units == 160], units)
        delays: list[float] = []
        listening = asyncio.create_task(_listen(connection, delays))
        await asyncio.sleep(1.0)

        async def sell() -> None:
            await shop.reserve_batch(chance.choices(skus, k=BATCH))

        await open_loop(sell, ORDERS_PER_SECOND / BATCH, SECONDS_QUICK if quick else SECONDS)
        await asyncio.sleep(2.0)
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
    return [
        Figure("sale to tier change, 1,000 orders/s, p99", 1000 * _p99(delays), "ms", 1_000, 250, lower_is_better=True),
        Figure("sale to tier change, p50", 1000 * median(delays), "ms"),
        Figure("tier changes measured", len(delays), ""),
    ]


async def _listen(connection: grpc.aio.Channel, delays: list[float]) -> None:
    filter_ = pb.AlertFilter(kinds=[AlertEventKind.ALERT_EVENT_KIND_TIER_CHANGE])
    request = pb.WatchTierChangesRequest(filter=filter_, live_only=pb.AlertLiveOnly())
    async for message in AlertServiceStub(connection).WatchTierChanges(request):
        heard = time.time()
        if message.WhichOneof("message") == "event":
            at = message.event.observe_time.ToDatetime(UTC).timestamp()
            # A change that a tick has brought follows from no sale.
            if at % TICK_SECONDS:
                delays.append(heard - at)


async def _cost() -> float:
    skus = [f"LIVE-{number:03d}" for number in range(LIVE_SKUS)]
    desk = DeskState({"": AlertPolicy()}, {}, (), (), (), "", None)
    facts = {sku: SkuFacts(sku, "", None, None, ("dy",)) for sku in skus}
    surroundings = Surroundings(desk, (), facts, (), datetime.fromtimestamp(START, UTC))
    lookout = Lookout(0, START, Tempo())
    for sku in skus:
        lookout.begin(Key(sku), {"main": 2_000}, surroundings, START)
    batch = list(_orders(skus))
    begun = time.perf_counter()
    await lookout.take(batch, surroundings, batch[-1].time)
    return (time.perf_counter() - begun) / len(batch) * 1e6


def _orders(skus: Sequence[str]) -> list[Moved]:
    chance, left, found = random.Random(1), dict.fromkeys(skus, 2_000), []
    for number in range(1, ORDERS + 1):
        sku = chance.choice(skus)
        left[sku] -= 1
        at = START + number / ORDERS_PER_SECOND
        found.append(Moved(number, at, MovementKind.RESERVE, sku, "main", 1, 0, 1, left[sku], number, "dy"))
    return found


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[98]
