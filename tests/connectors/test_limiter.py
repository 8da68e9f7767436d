"""Turns: the most urgent first, and no slower than a platform asks for."""

import asyncio

import pytest

from connectors.errors import Throttled
from connectors.pacing import BAN_SECONDS_MAX, RATE_MIN, Limiter
from connectors.transport import LOWERING, ONE_ORDER, ORDERS, RAISING, READING, TO_ZERO


async def test_calls_that_meet_one_ban_slow_down_once() -> None:
    """Fifty calls are on their way when the platform bans: the rate is halved, not brought down to nothing."""
    limiter = Limiter(calls_per_second=64)
    for _ in range(50):
        limiter.throttled(30.0)
    assert limiter.rate == 32
    assert 29 < limiter.banned_seconds <= 30


async def test_every_ban_slows_down() -> None:
    """One after the other, down to the least there is."""
    limiter = Limiter(calls_per_second=64)
    for halved in (32, 16, 8, 4, 2, 1, RATE_MIN, RATE_MIN):
        limiter.throttled(0.0)
        assert limiter.rate == halved


async def test_a_longer_ban_counts() -> None:
    """Of two that are told at once, the one that ends later."""
    limiter = Limiter(calls_per_second=64)
    limiter.throttled(30.0)
    limiter.throttled(1.0)
    assert limiter.banned_seconds > 29
    limiter.throttled(60.0)
    assert limiter.banned_seconds > 59


async def test_the_most_urgent_goes_first_and_hints_go_last() -> None:
    """Whatever stood in line before: to zero, the walk through the orders, lower, raise, read, single orders."""
    limiter = Limiter(calls_per_second=200)
    # The burst is used up.
    for _ in range(200):
        await limiter.turn(READING)
    went: list[float] = []

    async def call(priority: float) -> None:
        await limiter.turn(priority)
        went.append(priority)

    wanted = [TO_ZERO, ORDERS, LOWERING, RAISING, READING, ONE_ORDER]
    calls = [asyncio.create_task(call(priority)) for priority in reversed(wanted)]
    async with asyncio.timeout(10):
        await asyncio.gather(*calls)
    assert went == wanted


async def test_a_day_without_calls_is_looked_at_again() -> None:
    """A quota may be reset by hand, or raised: one call now and then finds it out."""
    limiter = Limiter(calls_per_second=64)
    limiter.throttled(40_000.0)
    assert BAN_SECONDS_MAX - 5 < limiter.banned_seconds <= BAN_SECONDS_MAX


async def test_nobody_waits_in_line_for_a_long_ban_to_end() -> None:
    """Neither who is there when it begins, nor who comes later; after a short one the line goes on."""
    limiter = Limiter(calls_per_second=1)
    await limiter.turn(RAISING)
    waits = [asyncio.create_task(limiter.turn(priority)) for priority in (RAISING, LOWERING)]
    await asyncio.sleep(0)
    limiter.throttled(600.0)
    results = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 20)
    assert [type(result) for result in results] == [Throttled, Throttled]
    with pytest.raises(Throttled) as caught:
        await limiter.turn(TO_ZERO)
    assert 590 < (caught.value.retry_after_seconds or 0) <= 600
    assert limiter.waiting == 0
    limiter.forgive()
    await asyncio.wait_for(limiter.turn(TO_ZERO), 20)


async def test_who_gives_up_leaves_the_line() -> None:
    """A night of hints that were given up leaves nothing behind."""
    limiter = Limiter(calls_per_second=1)
    await limiter.turn(RAISING)
    for _ in range(100):
        waits = asyncio.create_task(limiter.turn(ONE_ORDER))
        await asyncio.sleep(0)
        assert limiter.waiting == 1
        waits.cancel()
        await asyncio.wait([waits])
    assert limiter.waiting == 0
    await asyncio.wait_for(limiter.turn(RAISING), 20)
