"""The figures. Each takes what it compares side by side, several times, and keeps medians: machines are noisy."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from tests.bench.load import Load, closed_loop, open_loop
from tests.bench.rowlock import row_lock_load
from tests.bench.rush import rush_elsewhere
from tests.bench.shop import BATCH, Shop, zipf

RUN_SECONDS = 3.0
UNARY_IN_FLIGHT = 64
BATCH_IN_FLIGHT = 16
EXPIRING = 20_000
EXPIRE_AFTER_SECONDS = 6.0
HOT_PER_SECOND = 200.0
SWEEP_SECONDS = 1.0
RUSH_CALLERS = 256
RUSH_UNITS = 1_000
OTHERS_PER_SECOND = 100.0
CROWD_STARTS_SECONDS = 3.0


@dataclass(frozen=True)
class Figure:
    """One line of the table. Higher is better unless `lower_is_better`; no bar: for orientation."""

    name: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    lower_is_better: bool = False

    @property
    def verdict(self) -> str:
        """How the value stands against its bars."""
        if self.must is None or self.aim is None:
            return ""
        sign = -1 if self.lower_is_better else 1
        if self.value * sign >= self.aim * sign:
            return "aim"
        return "ok" if self.value * sign >= self.must * sign else "MISSED"


async def unary_share(gateway: Shop, echo: Shop, sku: str, rounds: int) -> tuple[list[Figure], float]:
    """Unary reserves against the bare wire; also returns the peak rate."""
    shares, rates, wires = [], [], []
    for _ in range(rounds):
        wire = await closed_loop(lambda: echo.reserve(sku), UNARY_IN_FLIGHT, RUN_SECONDS)
        ours = await closed_loop(lambda: gateway.reserve(sku), UNARY_IN_FLIGHT, RUN_SECONDS)
        shares.append(ours.rate / wire.rate)
        rates.append(ours.rate)
        wires.append(wire.rate)
    peak = median(rates)
    return [
        Figure("unary reserve, share of a bare echo", median(shares), "x", 0.60, 0.80),
        Figure("unary reserve", peak, "/s"),
        Figure("bare echo", median(wires), "/s"),
    ], peak


async def half_peak_latency(gateway: Shop, sku: str, peak: float, rounds: int) -> list[Figure]:
    """Latency of unary reserves at half the peak rate."""
    loads = [await open_loop(lambda: gateway.reserve(sku), peak / 2, RUN_SECONDS) for _ in range(rounds)]
    return [
        Figure("unary p99 at half the peak", median(x.percentile_ms(99) for x in loads), "ms", 25, 10, True),
        Figure("unary p50 at half the peak", median(x.percentile_ms(50) for x in loads), "ms"),
    ]


async def batch_rates(gateway: Shop, skus: list[str], url: str, rounds: int) -> list[Figure]:
    """Batched reserves on one SKU against a row lock per request, and against 1,000 SKUs."""
    one, locked, spread = [], [], []
    draws = _batches(zipf(skus, 1, 100_000))
    for _ in range(rounds):
        load = await closed_loop(lambda: gateway.reserve_batch([skus[0]] * BATCH), BATCH_IN_FLIGHT, RUN_SECONDS)
        one.append(load.rate * BATCH)
        load = await closed_loop(lambda: gateway.reserve_batch(next(draws)), BATCH_IN_FLIGHT, RUN_SECONDS)
        spread.append(load.rate * BATCH)
        locked.append((await row_lock_load(url, skus[0], BATCH_IN_FLIGHT, RUN_SECONDS)).rate)
    return [
        Figure("batched reserves against a row lock each", median(map(_ratio, one, locked)), "x", 25, 50),
        Figure("batched reserves, one SKU", median(one), "/s", 10_000, 16_000),
        Figure("row lock per request", median(locked), "/s"),
        Figure("1,000 SKUs (Zipf) against one", median(map(_ratio, spread, one)), "x", 0.9, 1.0),
    ]


async def sold_out_rush(gateway: Shop, address: str, names: Iterator[str], rounds: int) -> list[Figure]:
    """256 callers at 1,000 units: how fast the rest is refused, and what the callers of other SKUs feel of it."""
    faster, felt = [], []
    for _ in range(rounds):
        plenty, scarce, calm = next(names), next(names), next(names)
        await gateway.stock_up([plenty, calm])
        await gateway.stock_up([scarce], RUSH_UNITS)

        async def others() -> Load:
            return await open_loop(lambda: gateway.reserve(calm), OTHERS_PER_SECOND, RUN_SECONDS)  # noqa: B023 - run at once

        accepted = await rush_elsewhere(address, plenty, RUSH_CALLERS, RUN_SECONDS)
        quiet = await others()
        crowd = asyncio.create_task(rush_elsewhere(address, scarce, RUSH_CALLERS, RUN_SECONDS + CROWD_STARTS_SECONDS))
        await asyncio.sleep(CROWD_STARTS_SECONDS)
        meanwhile = await others()
        refused = await crowd
        assert refused["calls"] - refused["refused"] == RUSH_UNITS
        faster.append(refused["rate"] / accepted["rate"])
        felt.append(meanwhile.percentile_ms(99) / quiet.percentile_ms(99))
    return [
        Figure("sold out: refusals against accepted", median(faster), "x", 1, 2),
        Figure("sold out: p99 of other SKUs against quiet", median(felt), "x", 2, 1.2, True),
    ]


async def long_history(empty: Shop, big: Shop, empty_skus: list[str], big_skus: list[str], rounds: int) -> list[Figure]:
    """What a reservation costs with millions of movements behind it, against an empty ledger."""
    costs = []
    few, many = _batches(zipf(empty_skus, 2, 100_000)), _batches(zipf(big_skus, 2, 100_000))
    for _ in range(rounds):
        young = await closed_loop(lambda: empty.reserve_batch(next(few)), BATCH_IN_FLIGHT, RUN_SECONDS)
        old = await closed_loop(lambda: big.reserve_batch(next(many)), BATCH_IN_FLIGHT, RUN_SECONDS)
        costs.append(young.rate / old.rate)
    return [Figure("cost per reservation, long history against none", median(costs), "x", 1.2, 1.05, True)]


async def mass_expiry(gateway: Shop, names: Iterator[str], rounds: int) -> list[Figure]:
    """20,000 reservations expire in one instant."""
    seconds, felt = [], []
    for _ in range(rounds):
        doomed, hot = next(names), next(names)
        await gateway.stock_up([doomed], EXPIRING)
        await gateway.stock_up([hot])
        expires = time.monotonic() + EXPIRE_AFTER_SECONDS
        for _start in range(0, EXPIRING, BATCH * BATCH_IN_FLIGHT):
            ttl_ms = int((expires - time.monotonic()) * 1000)
            calls = (gateway.reserve_batch([doomed] * BATCH, ttl_ms=ttl_ms) for _ in range(BATCH_IN_FLIGHT))
            await asyncio.gather(*calls)
        assert time.monotonic() < expires, "too slow to fill: the first have expired already"
        assert await gateway.available(doomed) <= 0

        async def hot_path(seconds: float) -> Load:
            return await open_loop(lambda: gateway.reserve(hot), HOT_PER_SECOND, seconds)  # noqa: B023 - run at once

        quiet = await hot_path(expires - time.monotonic() - 0.3)
        await asyncio.sleep(expires - time.monotonic())
        freed = asyncio.create_task(_until_swept(gateway, doomed))
        meanwhile = await hot_path(SWEEP_SECONDS)
        seconds.append(await freed)
        felt.append(meanwhile.percentile_ms(99) / quiet.percentile_ms(99))
    return [
        Figure("20,000 expire at once: all swept within", median(seconds), "s", 3, 1, True),
        Figure("mass expiry: p99 of the hot path against quiet", median(felt), "x", 2, 1.2, True),
    ]


async def _until_swept(gateway: Shop, sku: str) -> float:
    """Seconds until the journal has freed the units; reads show them at once, so the journal is asked."""
    started = time.monotonic()
    while await gateway.reserved_in_journal(sku) > 0:  # noqa: ASYNC110 - it looks at another process
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def _batches(draw: list[str]) -> Iterator[list[str]]:
    pages = [draw[start : start + BATCH] for start in range(0, len(draw), BATCH)]
    return itertools.cycle(pages)


def _ratio(above: float, below: float) -> float:
    return above / below
