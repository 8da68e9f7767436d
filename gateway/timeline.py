"""Everything that happened to a SKU, merged, in pages that lose and repeat nothing while more comes in."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from gateway.domain import telling
from gateway.domain.errors import SkuUnknown
from gateway.domain.timeline import Entry, Kind, Place, Source, Wanted
from gateway.store import timeline as store
from gateway.store.catalog import read_sku
from gateway.store.database import MerchantDatabase, ReadConnection, take_snapshot
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
            if await read_sku(connection, wanted.sku) is None:
                raise SkuUnknown(f"no SKU has the code {wanted.sku!r}", field="sku", sku=wanted.sku)
            scope = Scope(wanted, await store.listings_of(connection, wanted.sku), before, count_max)
            found = [
                feed.tell(row, scope)
                for feed in _FEEDS
                if not wanted.kinds or not wanted.kinds.isdisjoint(feed.kinds)
                for row in await feed.read(connection, scope)
            ]
        return sorted(found, key=lambda entry: entry.place, reverse=True)[:count_max]
