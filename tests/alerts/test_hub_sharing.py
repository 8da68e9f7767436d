"""A crowd shares its readings: nobody gets an old one, and nobody's leaving or failing is another's harm."""

import asyncio
from typing import Any

import pytest

from gateway.alerts.sharing import Sharing
from gateway.alerts.tiers import Tiers
from tests.client import Client
from tests.rpc.alert_streams import AlertStream, stop_engines

CROWD = 50


class Library:
    """Readings that take as long as a test wants, numbered."""

    def __init__(self) -> None:
        """Nothing was read."""
        self.begun = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def read(self) -> int:
        """The number of this reading."""
        self.begun += 1
        number = self.begun
        await self.may_end.wait()
        if number == 13:
            raise OSError("gone")
        return number


async def test_a_reading_begins_after_it_was_asked_for() -> None:
    """Who asks while a reading runs gets the next one, and shares it with all who asked meanwhile."""
    sharing: Sharing[int] = Sharing(asyncio.Lock())
    library = Library()
    assert [await sharing.next("", library.read) for _ in range(2)] == [1, 2]
    library.may_end.clear()
    first = asyncio.create_task(sharing.next("", library.read))
    await _turns()
    crowd = [asyncio.create_task(sharing.next("", library.read)) for _ in range(CROWD)]
    other = asyncio.create_task(sharing.next("another", library.read))
    await _turns()
    library.may_end.set()
    assert await first == 3
    assert set(await asyncio.gather(*crowd)) == {4}
    assert await other == 5


async def test_who_leaves_harms_nobody() -> None:
    """One who asked and went leaves the reading to the others; and if nobody is left, the next is read all the same."""
    sharing: Sharing[int] = Sharing(asyncio.Lock())
    library = Library()
    library.may_end.clear()
    crowd = [asyncio.create_task(sharing.next("", library.read)) for _ in range(3)]
    await _turns()
    crowd[0].cancel()
    library.may_end.set()
    assert await asyncio.gather(*crowd[1:]) == [1, 1]
    alone = asyncio.create_task(sharing.next("", library.read))
    await _turns()
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    assert await sharing.next("", library.read) > 1


async def test_a_failure_is_of_one_reading() -> None:
    """All who shared it hear of it; who asks again is read to again."""
    sharing: Sharing[int] = Sharing(asyncio.Semaphore(2))
    library = Library()
    library.begun = 12
    crowd = [sharing.next("", library.read) for _ in range(3)]
    assert {type(one) for one in await asyncio.gather(*crowd, return_exceptions=True)} == {OSError}
    assert await sharing.next("", library.read) == 14


async def test_a_crowd_begins_with_one_snapshot(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty streams that begin at the same time with where everything stands cost a few readings."""
    stop_engines(monkeypatch)
    readings = 0
    all_have_begun = asyncio.Event()
    snapshot = Tiers.snapshot

    async def count(tiers: Tiers, *arguments: Any) -> Any:
        nonlocal readings
        readings += 1
        await all_have_begun.wait()
        return await snapshot(tiers, *arguments)

    monkeypatch.setattr(Tiers, "snapshot", count)
    await client.add_sku("CUP", 3)
    streams = [AlertStream(client) for _ in range(CROWD)]
    for stream in streams:
        await stream.created()
    all_have_begun.set()
    for stream in streams:
        while (await stream.read()).WhichOneof("message") != "snapshot_end":
            pass
        stream.cancel()
    assert readings < 6


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
