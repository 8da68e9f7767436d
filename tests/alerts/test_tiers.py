"""Where keys stand, read by any gateway: all of them, and nobody waits meanwhile."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from gateway.alerts import tiers as module
from gateway.alerts.engine import Engine
from gateway.alerts.tiers import KEYS_AT_ONCE, Tiers
from gateway.domain import vigil
from gateway.domain.alerts import FORGOTTEN_AFTER
from gateway.domain.tiers import Tier
from gateway.store.database import Clock, MerchantDatabase
from gateway.store.subscribers import longest_session
from tests.alerts.counter import HOUR, SKU, Counter

CODES = [f"SKU-{number:03d}" for number in range(55)]


@pytest.fixture
async def crowded(counter: Counter) -> Counter:
    """A merchant with fifty-five SKUs, of which every fifth is URGENT."""
    await counter.stock(*CODES, is_sold=False)
    for number, code in enumerate(CODES):
        await counter.stand(Tier.NORMAL if number % 5 else Tier.URGENT, sku=code)
    return counter


async def test_a_snapshot_is_whole_however_it_is_read(crowded: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a few rows at a time, it has every key once, the most pressing first; from a tier on, only those."""
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    tiers = Tiers(crowded.database)
    states, _ = await tiers.snapshot(None)
    urgent, normal = CODES[::5], [code for number, code in enumerate(CODES) if number % 5]
    assert [state.key.sku for state in states] == urgent + normal
    states, _ = await tiers.snapshot(None, Tier.THRESHOLD)
    assert [state.key.sku for state in states] == urgent
    states, _ = await tiers.snapshot([*CODES[3:5], "none"])
    assert [state.key.sku for state in states] == CODES[3:5]


async def test_others_have_their_turn_while_forecasts_are_made(
    crowded: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of very many SKUs keeps no call waiting for longer than some forecasts take."""
    turns, made = 0, []
    forecast = vigil.stock_out

    def note(*asked: Any) -> Any:
        made.append(turns)
        return forecast(*asked)

    async def live() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(module, "stock_out", note)
    living = asyncio.create_task(live())
    await Tiers(crowded.database).snapshot(None)
    living.cancel()
    assert len(made) == len(CODES)
    assert all(later > earlier for earlier, later in pairwise(made[KEYS_AT_ONCE - 1 :: KEYS_AT_ONCE]))


@pytest.mark.usefixtures("shelf")
async def test_what_nobody_judges_is_old_news(merchant: MerchantDatabase, clock: Clock) -> None:
    """While an engine ticks, a tier is what is; half a minute after its last tick it is what was known last."""
    assert (await Tiers(merchant).get(SKU)).is_stale
    engine = Engine(merchant, "engine")
    await engine.look()
    assert not (await Tiers(merchant).get(SKU)).is_stale
    clock.offset += timedelta(seconds=40)
    assert (await Tiers(merchant).get(SKU)).is_stale


async def test_a_forgotten_session_keeps_the_log_no_longer(counter: Counter, clock: Clock) -> None:
    """The log is kept for twice the longest session: not for ever, because nobody has closed one."""
    await counter.open_session(SKU)
    clock.offset += timedelta(days=30)
    async with counter.database.transaction() as connection:
        assert await longest_session(connection, counter.database) == HOUR + FORGOTTEN_AFTER
