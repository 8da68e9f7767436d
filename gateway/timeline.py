"""Everything that happened to a SKU, merged, in pages that lose and repeat nothing; and how its numbers went."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain import telling
from gateway.domain.errors import InvalidArgument, SkuUnknown
from gateway.domain.series import Series, rates, thinned
from gateway.domain.timeline import Entry, Kind, Place, Source, Wanted
from gateway.store import series as series_store
from gateway.store import timeline as store
from gateway.store.catalog import read_sku
from gateway.store.database import MerchantDatabase, ReadConnection, read_time, take_snapshot
from gateway.store.series import Window
from gateway.store.timeline import Scope


class _Feed(NamedTuple):
    """Where entries of some kinds come from, and how a row is told."""

    source: Source
    kinds: frozenset[Kind]
    read: Callable[[ReadConnection, Scope], Awaitable[Iterable[Any]]]
    tell: Callable[[Any, Scope], Entry]


_FEEDS = (
    _Feed(Source.PERSON, frozenset({Kind.PERSON}), store.read_audit, lambda row, _: telling.person(row)),
    _Feed(
        Source.MOVEMENT,
        frozenset({Kind.MOVEMENT, Kind.ORDER}),
        store.read_movements,
        lambda row, _: telling.movement(*row),
    ),
    _Feed(Source.SHORTFALL, frozenset({Kind.SHORTFALL}), store.read_shortfalls, lambda row, _: telling.shortfall(row)),
    _Feed(Source.EVENT, frozenset({Kind.EVENT}), store.read_events, lambda row, _: telling.event(row)),
    _Feed(Source.PUSH, frozenset({Kind.PUSH}), store.read_pushes, lambda row, at: telling.push(row, at.listings)),
    _Feed(
        Source.ATTEMPT,
        frozenset({Kind.ATTEMPT}),
        store.read_attempts,
        lambda row, at: telling.attempt(row, at.listings),
    ),
    _Feed(Source.RESULT, frozenset({Kind.PUSH}), store.read_results, lambda row, at: telling.result(row, at.listings)),
    _Feed(
        Source.READING, frozenset({Kind.READING}), store.read_shown, lambda row, at: telling.reading(row, at.listings)
    ),
    _Feed(Source.DRIFT, frozenset({Kind.READING}), store.read_drifts, lambda row, at: telling.drift(row, at.listings)),
    _Feed(
        Source.RESOLUTION,
        frozenset({Kind.SHORTFALL}),
        store.read_resolutions,
        lambda row, _: telling.resolution(row),
    ),
)


SERIES_LENGTH = timedelta(hours=1)
# A long look back at a busy SKU runs over millions of rows.
SERIES_TIMEOUT_SECONDS = 20.0
# A pace is counted over no less than a minute.
PACE_WIDTH_MICROS_MIN = 60_000_000


class History(Struct, frozen=True):
    """How a SKU's numbers went up to `until`; points count from `since`. `revision` is its newest movement by then."""

    since: datetime
    until: datetime
    revision: int
    series: tuple[Series, ...]


class Timeline:
    """One merchant's past, by SKU."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Read through the database; any gateway can."""
        self._database = database

    async def page(self, wanted: Wanted, *, before: Place | None, count_max: int) -> list[Entry]:
        """Up to `count_max` entries that stand before a place, newest first; raises `SkuUnknown`.

        Listings that are linked no more are left out, with their pushes, calls and readings.
        """
        async with self._database.transaction() as connection:
            await take_snapshot(connection)
            await _require_sku(connection, wanted.sku)
            scope = Scope(wanted, await store.listings_of(connection, wanted.sku), before, count_max)
            found = [
                feed.tell(row, scope)
                for feed in _FEEDS
                if not wanted.kinds or not wanted.kinds.isdisjoint(feed.kinds)
                for row in await feed.read(connection, scope)
            ]
        return sorted(found, key=lambda entry: entry.place, reverse=True)[:count_max]

    async def history(self, sku: str, *, since: datetime | None, until: datetime | None, points_max: int) -> History:
        """How the SKU's stock, shelves, pace and tier went; None: the last hour, up to now. Raises `SkuUnknown`,
        `InvalidArgument`.
        """
        async with self._database.transaction(SERIES_TIMEOUT_SECONDS) as connection:
            await take_snapshot(connection)
            await _require_sku(connection, sku)
            now = await read_time(connection, self._database.now)
            end = min(until or now, now)
            window = Window(sku, end - SERIES_LENGTH if since is None else since, end)
            if window.since >= window.until:
                raise InvalidArgument("since is not before until, or not before now", field="since")
            schema, listings = self._database.schema, await store.listings_of(connection, sku)
            found = [
                *await series_store.read_stock(connection, schema, window),
                *await series_store.read_shelves(connection, schema, window, listings),
                await self._pace(connection, window, points_max),
                *await series_store.read_tiers(connection, window),
            ]
            revision = await series_store.read_revision(connection, schema, window)
        series = tuple(replace(one, points=tuple(thinned(one.points, points_max))) for one in found)
        return History(window.since, window.until, revision, series)

    async def _pace(self, connection: ReadConnection, window: Window, points_max: int) -> Series:
        """Units ordered per minute, in stretches that end with the window, so that the last one is whole."""
        width = max(PACE_WIDTH_MICROS_MIN, -(-window.micros // points_max))
        buckets = -(-window.micros // width)
        counts = await series_store.read_sales(connection, self._database.schema, window, width)
        from_begin = {buckets - 1 - bucket: units for bucket, units in counts.items()}
        points = rates(from_begin, buckets, width, window.micros - buckets * width)
        return Series("sales_per_minute", "", tuple(points))


async def _require_sku(connection: ReadConnection, sku: str) -> None:
    if await read_sku(connection, sku) is None:
        raise SkuUnknown(f"no SKU has the code {sku!r}", field="sku", sku=sku)
