"""The box of one reader of hints: one per SKU, never older after newer, nothing that may not be spoken any more."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.domain.demand import StockOutTimes
from gateway.domain.hints import SPOKEN_WITHIN, Hint
from gateway.domain.tiers import Tier
from gateway.live.rooms import Watcher
from tests.selling.timeline import START

CUP = Hint(
    "CUP",
    "Cup",
    23,
    40,
    Tier.NORMAL,
    False,
    1.0,
    StockOutTimes(None, None, None),
    "还能卖23单",
    "23 left",
    "",
    "",
    (),
    0,
    START,
    START + SPOKEN_WITHIN,
    7,
    1,
)
MUG = replace(CUP, sku="MUG")


async def test_a_slow_reader_has_one_hint_of_each_sku() -> None:
    """Ten thousand hints later there is one of each, the newest."""
    box = Watcher(frozenset())
    for version in range(1, 10_001):
        box.put([replace(CUP, version=version), replace(MUG, version=version)])
    taken = await box.take(0)
    assert [(one.sku, one.version) for one in taken] == [("CUP", 10_000), ("MUG", 10_000)]
    assert await box.take(0) == []


async def test_what_the_reader_began_with_does_not_come_again() -> None:
    """Nor anything older; and only what was asked for."""
    box = Watcher(frozenset({"CUP"}))
    box.put([replace(CUP, version=3), replace(MUG, version=3)])
    box.begin([replace(CUP, version=4)])
    assert await box.take(0) == []
    box.put([replace(CUP, version=4)])
    assert await box.take(0) == []
    box.put([replace(CUP, version=5)])
    assert [one.version for one in await box.take(0)] == [5]


async def test_what_may_not_be_spoken_any_more_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that was frozen wakes up and hears nothing old."""
    now = [100.0]
    monkeypatch.setattr("gateway.live.rooms.time.monotonic", lambda: now[0])
    box = Watcher(frozenset())
    box.put([CUP])
    now[0] += SPOKEN_WITHIN / timedelta(seconds=1)
    box.put([MUG])
    # While something waits nobody has to, so the loop's own clock, which stands still here, is not asked.
    assert [one.sku for one in await box.take(0)] == ["MUG"]


async def test_the_end_wakes_who_waits() -> None:
    """A stream that waits for news hears that it ends, and the first reason stands."""
    box = Watcher(frozenset())
    waiting = asyncio.create_task(box.take(10))
    await asyncio.sleep(0)
    box.end("CLOSED")
    box.end("SHUTDOWN")
    async with asyncio.timeout(5):
        assert await waiting == []
    assert box.reason == "CLOSED"
