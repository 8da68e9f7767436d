"""Streams of level changes, held open while the world around them shakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.stock_pb2 import StockLevel
from tests.client import Client

# A look that was under way when the database froze holds on for its own five seconds, and so may the next.
ARRIVE_SECONDS_MAX = 15.0


@dataclass
class Follower:
    """What one stream has said last of each SKU; `levels_seen` counts what it said in all."""

    levels: dict[str, StockLevel] = field(default_factory=dict)
    levels_seen: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, client: Client) -> None:
        """Take what comes, until cancelled; a stream that ends raises."""
        options = {"metadata": client.options["metadata"]}
        async for message in client.stock.WatchStockLevels(pb.WatchStockLevelsRequest(), **options):
            if message.HasField("level"):
                self._take(message.level)
        raise AssertionError("the stream has ended")

    async def until(self, wanted: StockLevel) -> None:
        """Wait until the stream has said what this level says."""
        async with asyncio.timeout(ARRIVE_SECONDS_MAX):
            while (seen := self.levels.get(wanted.sku)) is None or seen.revision < wanted.revision:
                self.changed.clear()
                await self.changed.wait()
        assert self.levels[wanted.sku] == wanted

    def _take(self, level: StockLevel) -> None:
        before = self.levels.get(level.sku)
        assert before is None or before.revision <= level.revision, "the stream went back in time"
        assert level.on_hand >= level.reserved >= 0
        self.levels[level.sku] = level
        self.levels_seen += 1
        self.changed.set()


@asynccontextmanager
async def following(client: Client) -> AsyncIterator[Follower]:
    """A stream that must stay open until the block ends."""
    follower = Follower()
    task = asyncio.create_task(follower.follow(client))
    try:
        yield follower
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
