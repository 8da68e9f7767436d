"""The board: how every key that needs a look stands now, worked out once for all who look at it here.

Nothing is computed while nobody looks. While somebody does, stock is read as it changes, at most five times a second
and only that of SKUs that moved; tiers, paces and forecasts are judged anew when the alert log has grown, and every
second or so besides. Each look is given as much rest as it took, so that a board of a thousand SKUs does not keep calls
waiting. A look goes by one snapshot of the database: what is shown together was true together.

Who follows remembers the last look he has seen, and is given what changed since: whoever reads slowly skips what was
overtaken, and costs no memory.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from gateway import metrics
from gateway.alerts.surroundings import Surroundings, read_surroundings
from gateway.domain.alerts import Acknowledgement, Proposal
from gateway.domain.board import (
    PACE_MINUTES,
    BoardRow,
    ChannelNow,
    Judged,
    SoldByMinute,
    Stock,
    balances_of,
    outlook_of,
    pressing,
    stock_of,
)
from gateway.domain.demand import Pace
from gateway.domain.errors import GatewayError
from gateway.domain.listings import Listing
from gateway.domain.stock import Level
from gateway.domain.vigil import Key, Tempo, Watched, begin_watch
from gateway.store import board as store
from gateway.store.board import Heads, Pending
from gateway.store.database import MerchantDatabase, ReadConnection, take_snapshot
from gateway.store.selling import moved_since
from gateway.store.standings import first_movement_since, read_stands

log = logging.getLogger(__name__)

ROWS_MAX = 1_000
PAUSE_SECONDS = 0.2
LOOK_ANYWAY_SECONDS = 1.0
JUDGE_SECONDS = 1.0
# After so many times as long as judging took it may be done again.
JUDGE_REST, LOOK_REST = 4.0, 2.0
# After so many rows others have their turn in this process.
ROWS_AT_ONCE = 5
# A forecast of what does not move is made anew so seldom: only time changes it.
STILL_SECONDS = 5.0
SOLD_MOVEMENTS_MAX = 200_000
SOLD_SECONDS_MAX = 60.0
# Rows that are gone are remembered for so many looks, for who has not heard of it.
GONE_LOOKS = 600

# The pace of a key as the engine knows it, where it runs in this process; else its row is some seconds old.
PaceOf = Callable[[Key], Pace | None]


class BoardView(Struct, frozen=True):
    """Rows, most pressing first, as of one moment. `skus`: how many match, whether in `rows` or not."""

    rows: tuple[BoardRow, ...]
    skus: int
    heads: Heads


class Changes(Struct, frozen=True):
    """What changed since a look: rows that are new or judged anew, rows of which only the stock moved, keys gone."""

    look: int
    whole: tuple[BoardRow, ...]
    moved: tuple[BoardRow, ...]
    gone: tuple[Key, ...]


class Follower:
    """Somebody who looks. `changed` is set when there is something he has not seen, or time has gone on."""

    def __init__(self) -> None:
        """Has seen nothing."""
        self.changed = asyncio.Event()
        self.look = 0


class _Kept:
    """A row, what its outlook was made of, and the looks at which it was judged and its stock moved last."""

    __slots__ = ("basis", "due", "judged", "moved", "row")

    def __init__(self, row: BoardRow, basis: tuple[Watched, Judged], look: int) -> None:
        self.row = row
        self.judged = self.moved = look
        self.begin(basis)

    def begin(self, basis: tuple[Watched, Judged]) -> None:
        """An outlook is made of this."""
        self.basis = basis
        self.due = time.monotonic() + STILL_SECONDS


class Board:
    """One merchant's board, kept up by `run` while somebody follows it."""

    def __init__(
        self,
        database: MerchantDatabase,
        tempo: Tempo = Tempo(),  # noqa: B008 - frozen, so one for all
        pace_of: PaceOf = lambda _key: None,
    ) -> None:
        """Know nothing yet."""
        self._database = database
        self._tempo = tempo
        self._pace_of = pace_of
        self._followers: set[Follower] = set()
        self._wanted, self._woken = asyncio.Event(), asyncio.Event()
        self._looking = asyncio.Lock()
        self._surroundings: Surroundings | None = None
        self._watched: dict[Key, tuple[int, Watched]] = {}
        self._kept: dict[Key, _Kept] = {}
        self._gone: dict[Key, int] = {}
        self._sold = SoldByMinute(tempo)
        self._judging_due = 0.0
        # The look that is under way or was last, and the last that is done.
        self._look = self._done = 0
        self.heads: Heads | None = None
        self.pending = Pending(0, 0, "")
        self.channels: dict[str, ChannelNow] = {}
        self.skus = 0
        # When the last look began, on the monotonic clock.
        self.looked = float("-inf")

    def wake(self) -> None:
        """Something was saved."""
        self._woken.set()

    async def run(self) -> None:
        """Keep the board up while somebody follows it, until cancelled."""
        while True:
            await self._wanted.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_ANYWAY_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            began = time.monotonic()
            try:
                await self.look()
            except GatewayError as error:
                log.warning("the board pauses", extra={"error": str(error)})
                metrics.loop_pauses.add(1, {"loop": "board"})
            await asyncio.sleep(max(PAUSE_SECONDS, LOOK_REST * (time.monotonic() - began)))

    @contextmanager
    def followed(self) -> Iterator[Follower]:
        """The board is kept up meanwhile."""
        follower = Follower()
        self._followers.add(follower)
        self._wanted.set()
        self._woken.set()
        try:
            yield follower
        finally:
            self._followers.discard(follower)
            if not self._followers:
                self._wanted.clear()

    def changes(self, since: int) -> Changes:
        """What changed after a look; after 0: everything."""
        whole = tuple(kept.row for kept in self._kept.values() if kept.judged > since)
        moved = tuple(kept.row for kept in self._kept.values() if kept.judged <= since < kept.moved)
        gone = tuple(key for key, look in self._gone.items() if look > since)
        # Of a look that is under way only some rows are done: the others must be told in the end.
        return Changes(self._done, whole, moved, gone)

    async def view(self, rows_max: int) -> BoardView:
        """The most pressing rows, as they are now."""
        if not self._followers or time.monotonic() - self.looked > PAUSE_SECONDS:
            await self.look()
        assert self.heads is not None
        rows = sorted((kept.row for kept in self._kept.values()), key=pressing)
        return BoardView(tuple(rows[:rows_max]), self.skus, self.heads)

    async def find(self, words: str, skus: Collection[str], rows_max: int) -> BoardView:
        """The rows of these SKUs, or of those with these words in their code or title."""
        async with self._database.transaction() as connection:
            await take_snapshot(connection)
            heads = await store.read_heads(connection, self._database)
            codes = list(skus) or await store.find_codes(connection, words, rows_max)
            count = len(codes) if skus else await store.count_found(connection, words)
            surroundings = await read_surroundings(connection, codes, heads.now, self._surroundings, self._tempo)
            known = [code for code in codes if surroundings.knows(code)]
            watched = {stand.key: stand.watched for stand in await read_stands(connection, known)}
            seen = await _read_seen(connection, known, heads.now, surroundings)
        keys = [key for code in known for key in surroundings.keys_of(code)]
        for key in keys:
            if key not in watched:
                circumstances = surroundings.circumstances(key)
                watched[key] = begin_watch({}, circumstances, self._tempo.seconds(heads.now))
        rows = []
        for place, key in enumerate(keys):
            stock = _stock(key, watched[key], surroundings, seen)
            basis = self._basis(key, watched[key], surroundings, seen, heads.now)
            rows.append(BoardRow(key, stock, outlook_of(*basis, heads.now, self._tempo)))
            await _give_way(place)
        return BoardView(tuple(sorted(rows, key=pressing)[:rows_max]), count if words else len(known), heads)

    # ---- looking

    async def look(self) -> None:
        """Bring the board up to now, and tell who follows."""
        async with self._looking:
            began = time.monotonic()
            await self._look_at_all(began) if self._is_judging_due(began) else await self._look_at_moved()
            self.looked, self._done = began, self._look
        for follower in self._followers:
            follower.changed.set()

    def _is_judging_due(self, now: float) -> bool:
        return self.heads is None or now >= self._judging_due

    async def _look_at_moved(self) -> None:
        """Read the stock of what has moved; judge all anew if the alert log says so."""
        before, surroundings = self.heads, self._surroundings
        assert before is not None
        assert surroundings is not None
        async with self._database.transaction() as connection:
            await take_snapshot(connection)
            heads = await store.read_heads(connection, self._database)
            seen = None
            if _alerts_of(heads) == _alerts_of(before):
                moved = await moved_since(connection, before.revision, before.version)
                seen = await _read_seen(connection, moved.skus & self._codes(), heads.now, surroundings)
                self._sold.take(await self._read_sold(connection, before.revision))
        if seen is None:
            await self._look_at_all(time.monotonic())
            return
        self._begin_look(heads)
        for key, kept in self._kept.items():
            if key.sku in seen.levels or key.sku in seen.listings:
                stock = _stock(key, self._watched[key][1], surroundings, seen)
                if stock != kept.row.stock:
                    kept.row = BoardRow(key, stock, kept.row.outlook)
                    kept.moved = self._look

    async def _look_at_all(self, began: float) -> None:
        """Read and judge every row."""
        async with self._database.transaction() as connection:
            await take_snapshot(connection)
            heads = await store.read_heads(connection, self._database)
            marks = await store.list_marks(connection, ROWS_MAX)
            known = self._watched
            news = [mark.key for mark in marks if known.get(mark.key, (-1,))[0] != mark.state_version]
            read = {
                stand.key: (stand.state_version, stand.watched) for stand in await store.read_marked(connection, news)
            }
            watched = {mark.key: read.get(mark.key) or known[mark.key] for mark in marks}
            codes = {mark.key.sku for mark in marks}
            surroundings = await read_surroundings(connection, codes, heads.now, self._surroundings, self._tempo)
            seen = await _read_seen(connection, codes, heads.now, surroundings)
            sold = await self._read_sold(connection, self._sold_until(began))
            pending = await store.read_pending(connection)
            self.skus = await store.count_found(connection, "")
        self._surroundings, self.pending, self.channels = surroundings, pending, seen.channels
        self._watched = {
            key: kept for key, kept in watched.items() if surroundings.knows(key.sku) and surroundings.is_current(key)
        }
        self._sold.take(sold)
        self._sold.forget(heads.now)
        self._begin_look(heads)
        for place, (key, (_, remembered)) in enumerate(list(self._watched.items())):
            self._judge(key, remembered, surroundings, seen, heads.now)
            await _give_way(place)
        for key in self._kept.keys() - self._watched.keys():
            del self._kept[key]
            self._gone[key] = self._look
        took = time.monotonic() - began
        self._judging_due = time.monotonic() + max(JUDGE_SECONDS, JUDGE_REST * took)

    def _sold_until(self, now: float) -> int | None:
        """Up to which movement sales are known; None if nobody has looked for so long that they are read anew."""
        if self.heads is not None and now - self.looked < SOLD_SECONDS_MAX:
            return self.heads.revision
        self._sold = SoldByMinute(self._tempo)
        return None

    def _begin_look(self, heads: Heads) -> None:
        self.heads = heads
        self._look += 1
        self._gone = {key: look for key, look in self._gone.items() if look > self._look - GONE_LOOKS}

    def _judge(self, key: Key, watched: Watched, surroundings: Surroundings, seen: "_Seen", now: datetime) -> None:
        stock = _stock(key, watched, surroundings, seen)
        basis = self._basis(key, watched, surroundings, seen, now)
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = _Kept(BoardRow(key, stock, outlook_of(*basis, now, self._tempo)), basis, self._look)
            self._gone.pop(key, None)
            return
        if stock != kept.row.stock:
            kept.row, kept.moved = replace(kept.row, stock=stock), self._look
        if basis == kept.basis and time.monotonic() < kept.due:
            return
        kept.begin(basis)
        outlook = outlook_of(*basis, now, self._tempo)
        if outlook != kept.row.outlook:
            kept.row, kept.judged = replace(kept.row, outlook=outlook), self._look

    def _basis(
        self, key: Key, watched: Watched, surroundings: Surroundings, seen: "_Seen", now: datetime
    ) -> tuple[Watched, Judged]:
        """What an outlook is made of: while it stays the same, only time makes another of it."""
        if not key.session_id:
            watched = replace(watched, balances=balances_of(seen.levels.get(key.sku, ())))
        if (pace := self._pace_of(key)) is not None:
            watched = replace(watched, pace=pace)
        return watched, Judged(
            surroundings.title_of(key.sku),
            surroundings.circumstances(key),
            seen.held.get(key),
            surroundings.silences_of(key.sku, watched.standing.tier, now),
            self._sold.pace(key.sku, now),
            tuple(one for one in seen.proposals.get(key.sku, ()) if key.session_id in {0, one.session_id}),
            key.sku in seen.frozen,
        )

    def _codes(self) -> frozenset[str]:
        return frozenset(key.sku for key in self._kept)

    async def _read_sold(self, connection: ReadConnection, after: int | None) -> list[tuple[str, int, int]]:
        if after is None:
            now = await store.read_heads(connection, self._database)
            since = now.now - timedelta(minutes=PACE_MINUTES) / self._tempo.speed
            after = await first_movement_since(connection, since, SOLD_MOVEMENTS_MAX)
        return await store.read_sold(connection, after, self._tempo)


class _Seen(Struct, frozen=True):
    """What was read of some SKUs at one moment."""

    levels: dict[str, list[Level]]
    listings: dict[str, list[Listing]]
    channels: dict[str, ChannelNow]
    proposals: Mapping[str, list[Proposal]]
    frozen: frozenset[str]
    held: Mapping[Key, Acknowledgement]


async def _read_seen(
    connection: ReadConnection, codes: Collection[str], now: datetime, surroundings: Surroundings
) -> _Seen:
    channels = await store.read_channels_now(connection, now)
    if not codes:
        return _Seen({}, {}, channels, {}, frozenset(), {})
    acknowledgements = surroundings.desk.acknowledgements
    return _Seen(
        await store.read_levels_of(connection, codes),
        await store.read_sellers_of(connection, codes),
        channels,
        await store.read_open_proposals(connection),
        await store.read_frozen(connection, codes),
        {Key(held.sku, held.session_id): held.acknowledgement for held in acknowledgements if not held.drill_id},
    )


async def _give_way(place: int) -> None:
    """Let others have their turn, every few rows: a forecast takes its time."""
    if place % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
        await asyncio.sleep(0)


def _alerts_of(heads: Heads) -> tuple[str, int, int]:
    """What judgements rest on, beside time and stock."""
    return heads.epoch, heads.alert_revision, heads.settings_version


def _stock(key: Key, watched: Watched, surroundings: Surroundings, seen: _Seen) -> Stock:
    places = seen.levels.get(key.sku, [])
    if not key.session_id:
        watched = replace(watched, balances=balances_of(places))
    available = watched.available(surroundings.circumstances(key))
    return stock_of(key.sku, places, available, seen.listings.get(key.sku, []), seen.channels)
