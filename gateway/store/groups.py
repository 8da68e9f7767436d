"""Loading what a group needs, and saving what it changed, in as few round trips as can be.

Reading takes no lock. Writing is ONE statement that begins by raising `head.version` from the value that was read; if
another gateway has written in between, that raises nothing, so nothing at all is written, and the group is decided
anew on fresh state. So the groups of a merchant form one sequence, revisions are gapless in commit order, no two
gateways can deadlock, and nobody holds a lock while Python thinks. After a lost race the next attempt takes the row
lock first (`exclusive`), so that a busy neighbour cannot starve us.

Because every write passes that gate, levels read once stay true as long as `head.version` is the one we know: they are
kept in memory between groups.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from asyncpg.transaction import Transaction
from msgspec import Struct

from gateway.domain.book import Book
from gateway.domain.changes import Changes, Counters, LevelKey, Limits, OrderKey
from gateway.domain.commands import AnyAnswer, AnyCommand, CountNeed, Recorded
from gateway.domain.errors import DatabaseUnavailable
from gateway.domain.groups import Needs
from gateway.domain.listings import (
    ChannelFacts,
    ChannelRule,
    Listing,
    ListingKey,
)
from gateway.domain.reservations import Line, Reservation, ReservationState
from gateway.domain.selling import KnownLine, KnownOrder, OrderState
from gateway.domain.stock import Level, SkuRule
from gateway.store.database import MerchantDatabase, fence
from gateway.store.group_statements import read_statements, write_statement
from gateway.store.shops import listing_of

# Levels kept in memory between groups; beyond it all are forgotten and read again.
LEVELS_KEPT_MAX = 200_000

_decode_lines = msgspec.json.Decoder(tuple[Line, ...]).decode
_decode_codes = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_facts = msgspec.json.Decoder(ChannelFacts).decode
_decode_known_lines = msgspec.json.Decoder(tuple[KnownLine, ...]).decode
_encode_json = msgspec.json.Encoder().encode
_decode_command = msgspec.msgpack.Decoder(AnyCommand).decode
_decode_answer = msgspec.msgpack.Decoder(AnyAnswer).decode
_encode = msgspec.msgpack.Encoder().encode


class Known(Struct):
    """What is true as long as the head's version is this one. Nothing expires before `next_expiry`.

    `levels` by SKU, then location: a SKU lies at few of many. `levels_read` says how many there were.
    """

    version: int = -1
    locations: tuple[str, ...] = ()
    next_expiry: datetime | None = None
    skus: dict[str, SkuRule] = {}
    levels: dict[str, dict[str, Level]] = {}
    levels_read: int = 0
    channels: dict[str, ChannelRule] | None = None
    listings: dict[int, Listing] = {}
    listing_ids: dict[ListingKey, int] = {}


class GroupStore:
    """One merchant's groups over one connection, used by one writer at a time."""

    def __init__(self, database: MerchantDatabase, limits: Limits) -> None:
        """Connect on first use."""
        self.merchant = database.merchant
        self._database = database
        self._limits = limits
        self._sql = read_statements(database.schema)
        self._connection: asyncpg.Connection | None = None
        self._transaction: Transaction | None = None
        self._known = Known()

    async def load(self, needs: Needs, *, exclusive: bool = False) -> Book:
        """Everything a group needs, as of one moment; with `exclusive` nobody else writes until `save` or `give_up`.

        A session that has ended while nobody looked is replaced unnoticed: reading again changes nothing.
        """
        kept = self._connection
        try:
            return await self._load(needs, exclusive)
        except DatabaseUnavailable:
            if kept is None or kept is not self._connection or not kept.is_closed():
                raise
        await self.close()
        return await self._load(needs, exclusive)

    async def _load(self, needs: Needs, exclusive: bool) -> Book:
        with fence():
            connection = await self._open()
            if exclusive:
                self._transaction = connection.transaction()
                await self._transaction.start()
                await connection.execute(self._sql.lock)
            while True:
                book, is_of_one_moment = await self._read(connection, needs)
                if is_of_one_moment or await connection.fetchval(self._sql.version) == self._known.version:
                    return book

    async def due(self, now: datetime, skus: Iterable[str], count_max: int) -> list[int]:
        """Reservations whose time has come and that hold some of these SKUs, longest due first."""
        if self._known.next_expiry is not None and now < self._known.next_expiry:
            return []
        with fence():
            connection = await self._open()
            rows = await connection.fetch(self._sql.due, now, sorted(skus), count_max)
            if not rows:
                self._known.next_expiry = await connection.fetchval(self._sql.next_expiry)
            return [row["reservation_id"] for row in rows]

    async def save(self, changes: Changes) -> bool:
        """Save everything in one statement and commit; False, and nothing saved, if another gateway was faster."""
        version = self._known.version
        statement, values = write_statement(self._database.schema, version, changes, _encode_json, _encode)
        with fence():
            connection = await self._open()
            saved = await connection.fetchrow(statement, *values)
            if self._transaction is not None:
                await self._transaction.commit()
                self._transaction = None
        if saved is None:
            self._known = Known()
            return False
        self._remember(changes)
        return True

    async def give_up(self) -> None:
        """End an exclusive load that saves nothing."""
        if self._transaction is not None:
            with fence():
                await self._transaction.rollback()
            self._transaction = None

    async def close(self) -> None:
        """Drop the connection and what is known; the next use connects again."""
        connection, self._connection, self._transaction = self._connection, None, None
        self._known = Known()
        if connection is not None:
            connection.terminate()

    async def _open(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            await self.close()
            self._connection = await self._database.connect()
        return self._connection

    async def _read(self, connection: asyncpg.Connection, needs: Needs) -> tuple[Book, bool]:
        """A book, and whether one statement was enough for it.

        If it was not, another gateway may have written in between: then a request id is not known yet whose effect is
        in the levels already, and its caller would be refused what he has.
        """
        rows = await connection.fetch(self._sql.head, needs.request_ids, self._database.clock.offset)
        head = rows[0]
        is_known = head["version"] == self._known.version
        if not is_known:
            self._known = Known(head["version"], await self._read_locations(connection))
        selling = await self._read_selling(connection, needs) if needs.is_selling else _NOTHING
        ids = needs.reservation_ids.union(
            line.reservation_id for order in selling.orders.values() for line in order.lines if line.reservation_id
        )
        reservations = await self._read_reservations(connection, ids)
        skus = needs.skus.union(
            [line.sku for r in reservations.values() for line in r.lines],
            [one.sku for listing in selling.listings.values() for one in listing.components],
        )
        is_complete = await self._read_levels(connection, skus)
        book = Book(
            now=head["now"],
            counters=Counters(*head[1:6]),
            locations=self._known.locations,
            skus={sku: rule for sku in skus if (rule := self._known.skus.get(sku))},
            levels=self._levels_of(skus),
            reservations=reservations,
            recorded={row["request_id"]: _recorded(row) for row in rows if row["request_id"] is not None},
            changed_since=await self._changed_since(connection, needs),
            limits=self._limits,
            channels=selling.channels,
            listings=selling.listings,
            orders=selling.orders,
            recent_orders=selling.recent_orders,
        )
        is_one_read = not ids and not needs.counts and not needs.is_selling
        return book, is_known and is_complete and is_one_read

    async def _read_selling(self, connection: asyncpg.Connection, needs: Needs) -> "_Selling":
        """Channels and listings, from memory where they are known; orders as they are."""
        known = self._known
        if known.channels is None:
            known.channels = {row["channel"]: _channel_of(row) for row in await connection.fetch(self._sql.channels)}
        rows = await self._read_orders(connection, needs.orders)
        orders = {(order.channel, order.order_id): order for order in rows}
        ids = needs.listing_ids.union(line.listing_id for order in rows for line in order.lines if line.listing_id)
        keys = needs.listing_keys.union(
            (order.channel, line.line.item_id, line.line.platform_sku_id)
            for order in rows
            for line in order.lines
            if not line.listing_id
        )
        listings = await self._read_listings(connection, ids, keys)
        recent = await self._read_recent(connection, [listings[one] for one in needs.readings if one in listings])
        return _Selling(known.channels, listings, orders, recent)

    async def _read_recent(
        self, connection: asyncpg.Connection, judged: Iterable[Listing]
    ) -> dict[int, list[KnownOrder]]:
        """Of listings whose reading is judged, their orders that may have changed since.

        One question per channel, for when a watermark moves, all that waits for it is judged at once.
        """
        assert self._known.channels is not None, "read before"
        found: dict[int, list[KnownOrder]] = {}
        since: dict[str, datetime] = {}
        for listing in judged:
            if listing.state.reading is not None:
                begin = listing.state.reading.begin_time - self._known.channels[listing.channel].facts.margin
                since[listing.channel] = min(begin, since.get(listing.channel, begin))
                found[listing.listing_id] = []
        for channel, begin in since.items():
            for row in await connection.fetch(self._sql.recent_orders, channel, begin, list(found)):
                order = _order_of(row)
                for listing_id in found.keys() & {line.listing_id for line in order.lines}:
                    found[listing_id].append(order)
        return found

    async def _read_orders(self, connection: asyncpg.Connection, keys: Iterable[OrderKey]) -> list[KnownOrder]:
        asked = list(keys)
        if not asked:
            return []
        rows = await connection.fetch(self._sql.orders, *(list(column) for column in zip(*asked, strict=True)))
        return [_order_of(row) for row in rows]

    async def _read_listings(
        self, connection: asyncpg.Connection, ids: Iterable[int], keys: Iterable[ListingKey]
    ) -> dict[int, Listing]:
        known = self._known
        ids, keys = set(ids), set(keys)
        missing = [one for one in ids if one not in known.listings]
        unknown = [key for key in keys if key not in known.listing_ids]
        if missing or unknown:
            columns = zip(*unknown, strict=True) if unknown else ((), (), ())
            for row in await connection.fetch(self._sql.listings, missing, *(list(column) for column in columns)):
                listing = listing_of(row)
                known.listings[listing.listing_id] = listing
                known.listing_ids[listing.key] = listing.listing_id
        ids.update(known.listing_ids[key] for key in keys if key in known.listing_ids)
        return {one: known.listings[one] for one in ids if one in known.listings}

    async def _read_locations(self, connection: asyncpg.Connection) -> tuple[str, ...]:
        return tuple(row["location"] for row in await connection.fetch(self._sql.locations))

    async def _read_reservations(self, connection: asyncpg.Connection, ids: Iterable[int]) -> dict[int, Reservation]:
        if not ids:
            return {}
        rows = await connection.fetch(self._sql.reservations, list(ids))
        found = {row["reservation_id"]: reservation_of(row) for row in rows}
        # What has taken the place of one stands for it.
        successors = {one.replaced_by_reservation_id for one in found.values() if one.replaced_by_reservation_id}
        return found | await self._read_reservations(connection, successors - found.keys())

    async def _read_levels(self, connection: asyncpg.Connection, skus: Iterable[str]) -> bool:
        """Make sure that these SKUs' levels are known; True if they were."""
        known = self._known
        missing = [sku for sku in skus if sku not in known.skus]
        if not missing:
            return True
        if known.levels_read + len(missing) > LEVELS_KEPT_MAX:
            known.levels.clear()
            known.levels_read = 0
            known.skus.clear()
            missing = list(skus)
        for row in await connection.fetch(self._sql.levels, missing):
            known.skus[row["sku"]] = SkuRule(row["rule_safety_stock"], row["frozen"])
            if row["location"] is not None:
                level = Level(*row[: len(Level.__struct_fields__)])
                known.levels.setdefault(level.sku, {})[level.location] = level
                known.levels_read += 1
        return False

    def _levels_of(self, skus: Iterable[str]) -> dict[LevelKey, Level]:
        levels = self._known.levels
        return {(sku, at): level for sku in skus for at, level in levels.get(sku, {}).items()}

    async def _changed_since(self, connection: asyncpg.Connection, needs: Needs) -> dict[CountNeed, int]:
        found = {}
        for count in needs.counts:
            location = count.location or self._known.locations[0]
            found[count] = await connection.fetchval(self._sql.changed_since, count.sku, location, count.since)
        return found

    def _remember(self, changes: Changes) -> None:
        self._known.version += 1
        for (sku, location), level in changes.levels.items():
            self._known.levels.setdefault(sku, {})[location] = level
        self._known.skus.update(changes.skus)
        self._known.listings.update(changes.listings)
        if self._known.channels is not None:
            self._known.channels.update(changes.channels)
        if self._known.next_expiry is not None:
            held = (r.expire_time for r in changes.reservations_new if r.state is ReservationState.HELD)
            self._known.next_expiry = min((self._known.next_expiry, *held))


def reservation_of(row: Any) -> Reservation:
    """A reservation from its row."""
    return Reservation(
        row["reservation_id"],
        ReservationState(row["state"]),
        _decode_lines(row["lines"]),
        row["order_id"] or "",
        row["create_time"],
        row["expire_time"],
        row["resolve_time"],
        row["replaces_reservation_id"],
        row["replaced_by_reservation_id"],
        _decode_codes(row["locations"]) if row["locations"] else (),
    )


class _Selling(Struct, frozen=True):
    """What selling needs of a group."""

    channels: dict[str, ChannelRule]
    listings: dict[int, Listing]
    orders: dict[OrderKey, KnownOrder]
    recent_orders: dict[int, list[KnownOrder]]


_NOTHING = _Selling({}, {}, {}, {})


def _channel_of(row: Any) -> ChannelRule:
    return ChannelRule(row["channel"], tuple(row["locations"]), _decode_facts(row["facts"]), row["watermark"])


def _order_of(row: Any) -> KnownOrder:
    channel, order_id, state, update_time, placed_time, paid_time, lines = row
    return KnownOrder(
        channel, order_id, OrderState(state), update_time, placed_time, paid_time, _decode_known_lines(lines)
    )


def _recorded(row: Any) -> Recorded:
    return Recorded(_decode_command(row["content"]), _decode_answer(row["answer"]))
