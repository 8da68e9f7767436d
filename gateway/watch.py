"""Streams of level changes, coalesced per SKU and resumable by revision.

The hub holds no truth. When something was saved, here or by another gateway, it reads which SKUs moved and what their
levels are now, and hands that to every subscriber: a box with at most one pending level per SKU. A subscriber that has
been handed revision r has got, or will get in a later message, everything that matched up to r; so it may resume after
any revision it has processed. One that lets its box fill up is cut off and told where to resume.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from gateway.domain.errors import EpochMismatch, GatewayError, ReaderTooSlow, RevisionFromFuture
from gateway.store import journal, levels
from gateway.store.database import MerchantDatabase, ReadConnection, fence, take_snapshot
from gateway.store.levels import Head, SkuLevels

log = logging.getLogger(__name__)

# A box with more pending SKUs than this belongs to a reader that has stopped reading.
PENDING_SKUS_MAX = 10_000
# A gap of more movements than this is bridged by reading every level instead.
GAP_MOVEMENTS_MAX = 50_000
# Changes gather for so long before they are read once for all subscribers.
GATHER_SECONDS = 0.02
LOOK_ANYWAY_SECONDS = 1.0
# So long a new subscriber waits for the hub and the database together.
SUBSCRIBE_SECONDS_MAX = 5.0
CATCH_UP_TIMEOUT_SECONDS = 60.0
_PAGE = 1_000


class Subscriber:
    """One stream's box. `skus` None means all; `revision` is what has been handed over, and so where to resume."""

    def __init__(self, skus: frozenset[str] | None) -> None:
        """Begin with an empty box."""
        self._skus = skus
        self._pending: dict[str, SkuLevels] = {}
        self._noted: dict[str, int] = {}
        self._filled = asyncio.Event()
        self._head = 0
        self.closing = False
        self.revision = 0

    def put(self, changed: Iterable[SkuLevels], head: int) -> None:
        """Take changes up to the journal's `head`; a newer level of a SKU replaces the one that waits."""
        for level in changed:
            known = max(self.revision, self._noted.get(level.sku, 0))
            if level.revision > known and (self._skus is None or level.sku in self._skus):
                self._pending[level.sku] = level
        self._head = max(self._head, head)
        if self._pending:
            self._filled.set()

    def skip_to(self, revision: int) -> None:
        """The reader gets everything up to this revision by other means."""
        self.revision = max(self.revision, revision)
        self._pending = {sku: level for sku, level in self._pending.items() if level.revision > self.revision}

    def note(self, level: SkuLevels) -> None:
        """The reader gets this level by other means: of its SKU only newer ones follow."""
        if level.revision > self.revision:
            self._noted[level.sku] = level.revision
            waiting = self._pending.get(level.sku)
            if waiting is not None and waiting.revision <= level.revision:
                del self._pending[level.sku]

    def close(self) -> None:
        """Tell the stream that the gateway stops."""
        self.closing = True
        self._filled.set()

    async def take(self, timeout_seconds: float) -> list[SkuLevels]:
        """What is pending, by revision; empty after the timeout, or when closing. Raises `ReaderTooSlow`."""
        if len(self._pending) > PENDING_SKUS_MAX:
            raise ReaderTooSlow(
                f"this reader is more than {PENDING_SKUS_MAX} SKUs behind; resume after revision {self.revision}",
                resume_revision=self.revision,
            )
        if not self._pending and not self.closing:
            self._filled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._filled.wait()
        taken, self._pending = sorted(self._pending.values(), key=lambda level: level.revision), {}
        return taken

    def handed_over(self) -> int:
        """All that was taken has been sent: the revision up to which nothing is missing."""
        if not self._pending:
            self.revision = max(self.revision, self._head)
        return self.revision


class LevelHub:
    """Fans one merchant's level changes out while `run` runs."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Have no subscribers yet."""
        self._database = database
        self._subscribers: set[Subscriber] = set()
        self._woken = asyncio.Event()
        self._revision = 0
        self._reading = asyncio.Lock()
        self._closing = False

    def wake(self) -> None:
        """Something was saved."""
        self._woken.set()

    def close(self) -> None:
        """Tell every stream that the gateway stops, those too that are just being opened."""
        self._closing = True
        for subscriber in self._subscribers:
            subscriber.close()

    def streams(self) -> int:
        """How many are open."""
        return len(self._subscribers)

    async def run(self) -> None:
        """Fan out until cancelled: when woken, and now and then in case a wake-up was lost."""
        while True:
            with suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it may swallow a cancellation, and this loop would never end.
                async with asyncio.timeout(LOOK_ANYWAY_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self._fan_out()
            except GatewayError as error:
                log.warning("level streams pause", extra={"merchant": self._database.merchant, "error": str(error)})
            await asyncio.sleep(GATHER_SECONDS)

    @asynccontextmanager
    async def subscribe(self, skus: frozenset[str] | None) -> AsyncIterator[tuple[Subscriber, Head]]:
        """A box that fills from now on, and the journal's head at this moment."""
        subscriber = Subscriber(skus)
        with fence():
            async with (
                asyncio.timeout(SUBSCRIBE_SECONDS_MAX),
                self._reading,
                self._database.transaction() as connection,
            ):
                head = await levels.read_head(connection)
                if not self._subscribers:
                    self._revision = head.revision
                self._subscribers.add(subscriber)
        if self._closing:
            subscriber.close()
        try:
            yield subscriber, head
        finally:
            self._subscribers.discard(subscriber)

    async def snapshot(self, skus: frozenset[str] | None) -> AsyncIterator[list[SkuLevels]]:
        """All levels as they are, by SKU, in pages; changes meanwhile come to the box as well."""
        if skus is not None:
            async with self._database.transaction() as connection:
                found = await levels.read_levels(connection, sorted(skus), self._database.now)
            yield list(found.values())
            return
        page: list[SkuLevels] = []
        while True:
            async with self._database.transaction() as connection:
                page = await self._page_after(connection, page)
            if not page:
                return
            yield page

    @staticmethod
    def require_resumable(head: Head, revision: int, epoch: str) -> None:
        """Raise `EpochMismatch` or `RevisionFromFuture` unless the journal has been at this point."""
        if epoch != head.epoch:
            raise EpochMismatch(
                "this resume point belongs to another lineage of the database; start with a snapshot",
                field="after.epoch",
                epoch=head.epoch,
            )
        if revision > head.revision:
            raise RevisionFromFuture(
                f"revision {revision} lies beyond the journal's head; start with a snapshot",
                field="after.revision",
                revision=head.revision,
            )

    async def catch_up(self, skus: frozenset[str] | None, revision: int) -> tuple[list[SkuLevels], int]:
        """What moved after `revision`, by revision, and the journal's head up to which that is all."""
        head, moved = await self._moved_since(revision)
        wanted = [level for level in moved if skus is None or level.sku in skus]
        return sorted(wanted, key=lambda level: level.revision), head

    async def _fan_out(self) -> None:
        if not self._subscribers:
            return
        async with self._reading:
            head, moved = await self._moved_since(self._revision)
            for subscriber in list(self._subscribers):
                subscriber.put(moved, head)
            self._revision = head

    async def _moved_since(self, revision: int) -> tuple[int, list[SkuLevels]]:
        """The journal's head, and the levels of the SKUs that moved after the revision, both at one moment."""
        async with self._database.transaction(CATCH_UP_TIMEOUT_SECONDS) as connection:
            await take_snapshot(connection)
            head = await levels.read_head(connection)
            if head.revision == revision:
                return revision, []
            moved = await journal.skus_moved_since(connection, revision, GAP_MOVEMENTS_MAX)
            if moved is not None:
                return head.revision, list((await levels.read_levels(connection, moved, self._database.now)).values())
            found: list[SkuLevels] = []
            page: list[SkuLevels] = []
            while page := await self._page_after(connection, page):
                found += [level for level in page if level.revision > revision]
            return head.revision, found

    async def _page_after(self, connection: ReadConnection, page: list[SkuLevels]) -> list[SkuLevels]:
        after = page[-1].sku if page else ""
        return await levels.list_levels(connection, levels.Page("", after, _PAGE), self._database.now)
