"""Load from a client: closed loops (so many calls in flight, always) and open ones (so many calls a second)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import quantiles

Call = Callable[[], Awaitable[object]]


@dataclass
class Load:
    """What a load has seen: calls and seconds, and each call's latency in seconds."""

    calls: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds

    def percentile_ms(self, percent: int) -> float:
        """A percentile of the latencies, in milliseconds."""
        return quantiles(self.latencies, n=100)[percent - 1] * 1000


async def closed_loop(call: Call, in_flight: int, seconds: float) -> Load:
    """Keep `in_flight` calls going for so long."""
    load = Load()
    started = time.perf_counter()
    ends = started + seconds

    async def caller() -> None:
        while (begun := time.perf_counter()) < ends:
            await call()
            load.latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    load.calls, load.seconds = len(load.latencies), time.perf_counter() - started
    return load


async def open_loop(call: Call, rate: float, seconds: float) -> Load:
    """Start `rate` calls a second for so long, whatever becomes of them; latency counts from when each was due."""
    load = Load()
    started = time.perf_counter()
    running: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        await call()
        load.latencies.append(time.perf_counter() - due)

    for number in range(int(rate * seconds)):
        due = started + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    load.calls, load.seconds = len(load.latencies), time.perf_counter() - started
    return load
