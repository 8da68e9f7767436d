"""What each room can say now: worked out once for all who follow it here, and told as it changes.

A room is looked at when something was saved, at most twice a second, and now and then in any case: a number may be
spoken for three seconds, so whoever follows hears it again before. A box holds one hint per SKU, so a slow reader costs
what there are SKUs and never hears old numbers after new ones. Versions come from the ledger's clock: they rise from
one gateway to the next as well.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from msgspec.structs import replace

from gateway import metrics
from gateway.alerts.tiers import KeyState
from gateway.domain.alerts import Session
from gateway.domain.errors import GatewayError, SkuUnknown
from gateway.domain.hints import SPOKEN_WITHIN, Hint, RoomView, TierNow, hint
from gateway.domain.tiers import Tier
from gateway.domain.watermarks import Watermarks
from gateway.live.sessions import require_open
from gateway.store.database import MerchantDatabase, read_time, take_snapshot
from gateway.store.live import Sold, read_session
from gateway.store.rooms import RoomState, read_room

log = logging.getLogger(__name__)

# Between two looks at a room; and without news so often. What has not changed is told again after so long.
PAUSE_SECONDS = 0.5
LOOK_ANYWAY_SECONDS = 1.0
TELL_AGAIN_SECONDS = 1.0
# Tiers are asked again after so long, and after so many times as long as that took: a room may sell a thousand SKUs.
TIERS_SECONDS = 1.0
TIERS_REST = 5.0
# After so many hints others have their turn.
HINTS_AT_ONCE = 50
# Rooms that somebody asks about and nobody follows.
ASKED_MAX = 100

_NEVER = datetime(1, 1, 1, tzinfo=UTC)

# The tiers of these SKUs: of their whole stock, and of sessions' own units.
ReadTiers = Callable[[Collection[str]], Awaitable[list[KeyState]]]


class Watcher:
    """One stream's box. `reason` says why it ends: CLOSED, SHUTDOWN; empty while it goes on."""

    def __init__(self, skus: frozenset[str]) -> None:
        """Begin with an empty box; no SKUs: all of the session."""
        self._skus = skus
        self._pending: dict[str, tuple[float, Hint]] = {}
        self._taken: dict[str, int] = {}
        self._filled = asyncio.Event()
        self.reason = ""

    def put(self, hints: Iterable[Hint]) -> None:
        """Take hints; a newer one of a SKU replaces the one that waits."""
        for one in hints:
            is_wanted = not self._skus or one.sku in self._skus
            if is_wanted and one.version > self._taken.get(one.sku, 0):
                self._pending[one.sku] = (time.monotonic(), one)
        if self._pending:
            self._filled.set()

    def begin(self, hints: Iterable[Hint]) -> None:
        """The reader gets these by other means: of each SKU only newer ones follow."""
        self._taken = {one.sku: one.version for one in hints}
        self._pending = {sku: kept for sku, kept in self._pending.items() if kept[1].version > self._taken.get(sku, 0)}

    def end(self, reason: str) -> None:
        """Tell the stream that it ends."""
        self.reason = self.reason or reason
        self._filled.set()

    async def take(self, timeout_seconds: float) -> list[Hint]:
        """What waits and may still be spoken; empty after the timeout, or at the end."""
        if not self._pending and not self.reason:
            self._filled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._filled.wait()
        taken, self._pending = self._pending, {}
        since = time.monotonic() - SPOKEN_WITHIN.total_seconds()
        return [one for put, one in taken.values() if put > since]


class Room:
    """One session as this gateway sees it while somebody follows it."""

    def __init__(self, database: MerchantDatabase, read_tiers: ReadTiers, session_id: int) -> None:
        """Look at nothing yet."""
        self._database = database
        self._read_tiers = read_tiers
        self._session_id = session_id
        self._about = {"merchant": database.merchant, "session_id": session_id}
        self._sold = Sold()
        self._tiers: dict[str, TierNow] = {}
        self._tiers_due = 0.0
        self._looking = asyncio.Lock()
        self._woken = asyncio.Event()
        self._watermarks = Watermarks()
        self._told: dict[str, tuple[float, Hint]] = {}
        self._version = 0
        self._recent: tuple[float, Session, list[Hint]] | None = None
        self._beginning = asyncio.Lock()
        self.watchers: set[Watcher] = set()

    def wake(self) -> None:
        """Something was saved."""
        self._woken.set()

    def hear(self) -> None:
        """The alert log has grown: tiers may have changed."""
        self._tiers_due = min(self._tiers_due, time.monotonic() + PAUSE_SECONDS)
        self._woken.set()

    async def run(self) -> None:
        """Tell all who follow what changes, until cancelled or the session is closed."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_ANYWAY_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self._tell()
            except GatewayError as error:
                log.warning("a room pauses", extra={**self._about, "error": str(error)})
                metrics.loop_pauses.add(1, {"loop": "rooms"})
            # The top of a loop: who follows hears nothing, and that is how he knows that numbers are old.
            except Exception:
                log.exception("a room has failed", extra=self._about)
                metrics.loop_failures.add(1, {"loop": "rooms"})
            await asyncio.sleep(PAUSE_SECONDS)

    async def view(self) -> tuple[Session, RoomView]:
        """The room as it is now; raises `SessionUnknown`, `SessionOver`."""
        async with self._looking:
            async with self._database.transaction() as connection:
                await take_snapshot(connection)
                now = await read_time(connection, self._database.now)
                session = await require_open(connection, self._session_id)
                state = await read_room(connection, session, self._sold, now)
            begun = time.monotonic()
            if begun >= self._tiers_due:
                self._tiers = _tiers_of(state.session, await self._read_tiers(list(state.skus)))
                spent = time.monotonic() - begun
                self._tiers_due = begun + max(TIERS_SECONDS, TIERS_REST * spent)
            marks = {code: rule.watermark for code, rule in state.shelf.channels.items()}
            silent = state.silent | self._watermarks.resting(marks, now)
            return state.session, _view(state, self._tiers, silent)

    async def hints(self, skus: Collection[str] = ()) -> list[Hint]:
        """The hints of these SKUs, or all, in the session's order; raises what `view` does, and `SkuUnknown`."""
        session, view = await self.view()
        require_sold(session, skus)
        told = self._numbered(await _worked_out(view, [one.sku for one in session.skus if not skus or one.sku in skus]))
        if not skus:
            self._recent = time.monotonic(), session, told
        return told

    async def begin(self, watcher: Watcher, skus: Collection[str]) -> list[Hint]:
        """The hints with which a reader begins: those that were worked out a moment ago, if there are any."""
        async with self._beginning:
            if self._recent is None or time.monotonic() - self._recent[0] > PAUSE_SECONDS:
                await self.hints()
            assert self._recent is not None
            _, session, hints = self._recent
        require_sold(session, skus)
        first = [one for one in hints if not skus or one.sku in skus]
        watcher.begin(first)
        return first

    def _numbered(self, hints: list[Hint]) -> list[Hint]:
        """With versions above all that were given before."""
        numbered = []
        for one in hints:
            self._version = max(self._version + 1, round(one.observe_time.timestamp() * 1_000_000))
            numbered.append(replace(one, version=self._version))
        return numbered

    async def _tell(self) -> None:
        if not await self._is_on():
            self._recent = None
            for watcher in self.watchers:
                watcher.end("CLOSED")
            return
        hints = await self.hints()
        news = [one for one in hints if self._is_news(one)]
        now = time.monotonic()
        self._told = {one.sku: self._told.get(one.sku, (now, one)) for one in hints}
        self._told |= {one.sku: (now, one) for one in news}
        for watcher in self.watchers:
            watcher.put(news)

    async def _is_on(self) -> bool:
        async with self._database.transaction() as connection:
            session = await read_session(connection, self._session_id)
        return session is not None and session.close_time is None

    def _is_news(self, one: Hint) -> bool:
        told = self._told.get(one.sku)
        if told is None or time.monotonic() - told[0] >= TELL_AGAIN_SECONDS:
            return True
        return _said(one) != _said(told[1])


class Rooms:
    """The rooms of one merchant that somebody follows here."""

    def __init__(self, database: MerchantDatabase, read_tiers: ReadTiers) -> None:
        """Follow none yet."""
        self._database = database
        self._read_tiers = read_tiers
        self._rooms: dict[int, tuple[Room, asyncio.Task[None]]] = {}
        self._asked: dict[int, Room] = {}
        self._closing = False

    def wake(self) -> None:
        """Something was saved."""
        for room, _ in self._rooms.values():
            room.wake()

    def hear(self) -> None:
        """The alert log has grown."""
        for room, _ in self._rooms.values():
            room.hear()

    def close(self) -> None:
        """Tell every stream that the gateway stops."""
        self._closing = True
        for room, _ in self._rooms.values():
            for watcher in room.watchers:
                watcher.end("SHUTDOWN")

    async def hints(self, session_id: int, skus: Collection[str]) -> list[Hint]:
        """What a room can say of these SKUs now, or of all; raises `SessionUnknown`, `SessionOver`, `SkuUnknown`."""
        return await self._room(session_id).hints(skus)

    async def view(self, session_id: int) -> tuple[Session, RoomView]:
        """A room as it is now; raises `SessionUnknown`, `SessionOver`."""
        return await self._room(session_id).view()

    @asynccontextmanager
    async def watch(self, session_id: int, skus: Collection[str]) -> AsyncIterator[tuple[Watcher, list[Hint]]]:
        """A box that fills from now on, and the hints as they are now; raises what `hints` does."""
        watcher = Watcher(frozenset(skus))
        room = self._room(session_id)
        if session_id not in self._rooms:
            self._rooms[session_id] = room, asyncio.create_task(room.run(), name=f"room {session_id}")
        room.watchers.add(watcher)
        if self._closing:
            watcher.end("SHUTDOWN")
        try:
            yield watcher, await room.begin(watcher, skus)
        finally:
            room.watchers.discard(watcher)
            if not room.watchers and (kept := self._rooms.pop(session_id, None)) is not None:
                kept[1].cancel()

    def _room(self, session_id: int) -> Room:
        """The room; one that nobody follows is remembered for a while, for what it knows of past sales."""
        if session_id in self._rooms:
            return self._rooms[session_id][0]
        room = self._asked.pop(session_id, None) or Room(self._database, self._read_tiers, session_id)
        self._asked[session_id] = room
        if len(self._asked) > ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        return room


async def _worked_out(view: RoomView, skus: list[str]) -> list[Hint]:
    found = []
    for number, sku in enumerate(skus, start=1):
        found.append(hint(view, sku))
        if number % HINTS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


def require_sold(session: Session, skus: Iterable[str], field: str = "") -> None:
    """Raise `SkuUnknown` for what the session does not sell; `field` if it is not one of `skus`."""
    sold = {one.sku for one in session.skus}
    for place, sku in enumerate(skus):
        if sku not in sold:
            raise SkuUnknown(
                f"session {session.session_id} does not sell {sku!r}", field=field or f"skus[{place}]", sku=sku
            )


def _tiers_of(session: Session, states: list[KeyState]) -> dict[str, TierNow]:
    """Where the session's SKUs stand: its own units where it has any, else the whole stock; the rate is of both."""
    own = {one.sku for one in session.skus if one.exclusive_units}
    rates = {state.key.sku: state.evidence.fast_rate for state in states if not state.key.session_id}
    return {
        state.key.sku: TierNow(
            state.tier,
            state.is_stale,
            rates.get(state.key.sku, state.evidence.fast_rate),
            state.stock_out,
            state.watched.standing.episode,
        )
        for state in states
        if state.key.session_id == (session.session_id if state.key.sku in own else 0)
    }


def _view(state: RoomState, tiers: dict[str, TierNow], silent: frozenset[str]) -> RoomView:
    # What a person has said of an episode holds while it lasts.
    slow = frozenset(
        sku
        for sku, episode in state.slow.items()
        if (stands := tiers.get(sku)) is not None and stands.tier > Tier.NORMAL and stands.episode == episode
    )
    return RoomView(state.shelf, state.skus, tiers, state.templates, silent, slow, state.revision, state.is_watched)


def _said(one: Hint) -> Hint:
    """What makes a hint news: not the times, nor a pace that is a little different."""
    return replace(
        one,
        version=0,
        revision=0,
        rate=0.0,
        stock_out=TierNow().stock_out,
        observe_time=_NEVER,
        expire_time=_NEVER,
    )
