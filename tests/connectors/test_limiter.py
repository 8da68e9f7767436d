"""Turns: the most urgent first, and no slower than a platform asks for."""

import asyncio

from connectors.transport import LOWERING, ONE_ORDER, ORDERS, RAISING, RATE_MIN, READING, TO_ZERO, Limiter


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
