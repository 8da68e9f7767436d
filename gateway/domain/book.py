"""The ledger's working copy of one group of commands.

The writer loads what a group touches into a `Book`, the verbs of `shelves.py` and `promises.py` change it, command by
command, and the writer saves what has changed in one transaction. A book knows nothing of the database; two books with
the same content and the same commands come to the same end.

Every change goes through `_put` or an append, so that `rollback` can take back whatever came after a `mark`: a refused
command leaves nothing behind (R11), and neither does the half of an atomic group.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from gateway.domain.changes import Changes, Counters, LevelKey, Limits, Mark, OrderKey
from gateway.domain.commands import AnyAnswer, AnyCommand, CountNeed, Recorded
from gateway.domain.errors import (
    ChannelUnknown,
    ListingUnknown,
    LocationUnknown,
    QuantityOverflow,
    ReservationUnknown,
    SkuUnknown,
)
from gateway.domain.listings import ChannelRule, Listing, ListingKey
from gateway.domain.reservations import Reservation, ReservationState
from gateway.domain.selling import Drift, KnownOrder, PushRecord
from gateway.domain.stock import UNITS_MAX, Level, Movement, MovementKind, Shortfall, ShortfallCause, SkuRule

_ABSENT: Any = object()
# The field of the command whose number is at fault when a level would hold too much; elsewhere it is `quantity`.
_QUANTITY_FIELD = {MovementKind.ADJUST: "change", MovementKind.COUNT: "counted", MovementKind.RETURN: ""}


class Book:
    """What one group needs to know and what it changes. Quantities in units, times aware UTC."""

    def __init__(
        self,
        *,
        now: datetime,
        counters: Counters,
        locations: tuple[str, ...],
        skus: Mapping[str, SkuRule],
        levels: Mapping[LevelKey, Level],
        reservations: Mapping[int, Reservation] | None = None,
        recorded: Mapping[str, Recorded] | None = None,
        changed_since: Mapping[CountNeed, int] | None = None,
        limits: Limits | None = None,
        channels: Mapping[str, ChannelRule] | None = None,
        listings: Mapping[int, Listing] | None = None,
        orders: Mapping[OrderKey, KnownOrder] | None = None,
        recent_orders: Mapping[int, Sequence[KnownOrder]] | None = None,
    ) -> None:
        """Take over what was loaded; `changed_since` is for counts (R15), `recent_orders` of a listing for readings."""
        self.now = now
        self.locations = locations
        self.limits = limits or Limits()
        self.revision = counters.revision
        self.changed_since = changed_since or {}
        self.movements: list[Movement] = []
        self.newly_recorded: list[Recorded] = []
        self.shortfalls: list[Shortfall] = []
        self.pushes: list[PushRecord] = []
        self.drifts: list[Drift] = []
        self.traceparent: str | None = None  # of the call whose commands are being decided, if it is traced
        self.selling_channel: str | None = None  # whose order is being taken in: what moves meanwhile moves for it
        self._recent_orders = recent_orders or {}
        self._reservation_number = self._first_reservation_number = counters.reservation
        self._shortfall_number = counters.shortfall
        self._push_number = counters.push
        self._drift_number = counters.drift
        self._channels = dict(channels or {})
        self._listings = dict(listings or {})
        self._listing_ids = {listing.key: number for number, listing in self._listings.items()}
        self._orders = dict(orders or {})
        self._skus = dict(skus)
        self._levels = dict(levels)
        self._reservations = dict(reservations or {})
        self._recorded = dict(recorded or {})
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    # ---- what is known

    def rule(self, sku: str, field: str = "sku") -> SkuRule:
        """The SKU's rule; raises `SkuUnknown`."""
        rule = self._skus.get(sku)
        if rule is None:
            raise SkuUnknown(f"no SKU has the code {sku!r}", field=field, sku=sku)
        return rule

    def find_level(self, sku: str, location: str) -> Level | None:
        """The level, if the SKU ever lay there."""
        return self._levels.get((sku, location))

    def level(self, sku: str, location: str, field: str = "location") -> Level:
        """The level, an empty one if the SKU never lay there; raises `SkuUnknown`, `LocationUnknown`."""
        rule = self.rule(sku)
        self.require_location(location, field)
        return self._levels.get((sku, location)) or Level(sku, location, safety_stock=rule.safety_stock)

    def levels_of(self, sku: str) -> list[Level]:
        """The levels of a SKU, in the order in which locations serve."""
        found = (self._levels.get((sku, location)) for location in self.locations)
        return [level for level in found if level is not None]

    def require_location(self, location: str, field: str) -> None:
        """Raise `LocationUnknown` unless the catalog has it."""
        if location not in self.locations:
            raise LocationUnknown(f"no location has the code {location!r}", field=field, location=location)

    def reservation(self, reservation_id: int) -> Reservation:
        """The reservation; raises `ReservationUnknown`."""
        reservation = self._reservations.get(reservation_id)
        if reservation is None:
            raise ReservationUnknown(
                f"no reservation has the id {reservation_id}", field="reservation_id", reservation_id=reservation_id
            )
        return reservation

    def channel(self, channel: str) -> ChannelRule:
        """The channel's rule; raises `ChannelUnknown`."""
        if (rule := self._channels.get(channel)) is None:
            raise ChannelUnknown(f"no channel has the code {channel!r}", field="channel", channel=channel)
        return rule

    def serving(self, rule: ChannelRule) -> tuple[str, ...]:
        """The locations that serve a channel, in order."""
        return tuple(at for at in rule.locations if at in self.locations) or self.locations

    def listing(self, listing_id: int) -> Listing:
        """The listing; raises `ListingUnknown`."""
        if (listing := self._listings.get(listing_id)) is None:
            raise ListingUnknown(f"no listing has the number {listing_id}", field="listing_id", listing_id=listing_id)
        return listing

    def find_listing(self, key: ListingKey) -> Listing | None:
        """The listing with these ids, if it is linked."""
        number = self._listing_ids.get(key)
        return None if number is None else self._listings[number]

    def order(self, channel: str, order_id: str) -> KnownOrder | None:
        """The order as we know it, if we do."""
        return self._orders.get((channel, order_id))

    def orders_since_reading(self, listing: Listing) -> dict[str, KnownOrder] | None:
        """By id, the orders of its channel that may have changed since its reading; None if it was not read."""
        loaded = self._recent_orders.get(listing.listing_id)
        if loaded is None:
            return None
        here = {order_id: order for (channel, order_id), order in self._orders.items() if channel == listing.channel}
        return {order.order_id: order for order in loaded} | here

    def has_resolved(self, reservation_id: int) -> bool:
        """True if the reservation is here, and open no more."""
        reservation = self._reservations.get(reservation_id)
        return reservation is not None and reservation.state is not ReservationState.HELD

    def first_answer(self, command: AnyCommand) -> AnyAnswer | None:
        """The answer this request id got before, if it did; raises `RequestIdReused` for other content (R10)."""
        known = self._recorded.get(command.request_id)
        return None if known is None else known.answer_to(command)

    # ---- what changes

    def move(
        self,
        kind: MovementKind,
        level: Level,
        quantity: int,
        on_hand_change: int = 0,
        reserved_change: int = 0,
        *,
        reservation_id: int | None = None,
        request_id: str | None = None,
        reason: str = "",
        occur_time: datetime | None = None,
        safety_stock: int | None = None,
        corrects_revision: int = 0,
        absorbed_by_revision: int = 0,
    ) -> Level:
        """Append a movement and return the level after it; raises `QuantityOverflow` (R13)."""
        on_hand, reserved = level.on_hand + on_hand_change, level.reserved + reserved_change
        if on_hand > UNITS_MAX or reserved > UNITS_MAX:
            most = max(on_hand, reserved)
            raise QuantityOverflow(
                f"{level.sku} at {level.location} would hold {most} units; a level holds at most {UNITS_MAX}",
                field=_QUANTITY_FIELD.get(kind, "quantity"),
                units_max=UNITS_MAX,
            )
        self.revision = revision = self.revision + 1
        safety = level.safety_stock if safety_stock is None else safety_stock
        is_count = kind is MovementKind.COUNT and not absorbed_by_revision
        happened = occur_time or self.now
        after = Level(
            level.sku,
            level.location,
            on_hand,
            reserved,
            safety,
            happened if is_count else level.last_count_time,
            revision if is_count else level.last_count_revision,
            revision,
            level.exposed,
            min(level.short, max(0, reserved - on_hand)) if level.short else 0,
        )
        self._put(self._levels, (level.sku, level.location), after)
        self.movements.append(
            Movement(
                revision,
                self.now,
                happened,
                kind,
                level.sku,
                level.location,
                quantity,
                on_hand_change,
                reserved_change,
                on_hand,
                reserved,
                safety,
                reservation_id,
                request_id or None,
                reason or None,
                corrects_revision or None,
                absorbed_by_revision or None,
                self.selling_channel,
                self.traceparent,
            )
        )
        return after

    def next_reservation_id(self) -> int:
        """A number no reservation has."""
        self._reservation_number += 1
        return self._reservation_number

    def keep(self, reservation: Reservation) -> Reservation:
        """Remember the reservation as it is now."""
        self._put(self._reservations, reservation.reservation_id, reservation)
        return reservation

    def next_push_id(self) -> int:
        """A number no push has, and no reading was asked for under."""
        self._push_number += 1
        return self._push_number

    def keep_channel(self, rule: ChannelRule) -> None:
        """Remember the channel's rule as it is now."""
        self._put(self._channels, rule.channel, rule)

    def keep_order(self, order: KnownOrder) -> None:
        """Remember the order as we know it now."""
        self._put(self._orders, (order.channel, order.order_id), order)

    def keep_listing(self, listing: Listing) -> Listing:
        """Remember the listing as it is now; the levels behind it expose what it may sell, and no more."""
        self._expose(self._listings[listing.listing_id], -1)
        self._put(self._listings, listing.listing_id, listing)
        self._expose(listing, 1)
        return listing

    def _expose(self, listing: Listing, sign: int) -> None:
        if listing.state.permitted:
            return
        for share in listing.state.exposure or ():
            for component in listing.components:
                level = self.level(component.sku, share.location)
                exposed = level.exposed + sign * share.sales * component.units
                if abs(exposed) > UNITS_MAX:
                    raise QuantityOverflow(
                        f"{level.sku} at {level.location} would be exposed with {exposed} units", units_max=UNITS_MAX
                    )
                self._put(self._levels, (level.sku, level.location), replace(level, exposed=exposed))

    def record_drift(self, drift: Drift) -> None:
        """Keep a reading that does not fit, under a number of its own."""
        self._drift_number += 1
        self.drifts.append(replace(drift, drift_id=self._drift_number))

    def keep_rule(self, sku: str, rule: SkuRule) -> None:
        """Remember the SKU's rule as it is now."""
        self._put(self._skus, sku, rule)

    def open_shortfall(
        self,
        cause: ShortfallCause,
        sku: str,
        location: str,
        quantity: int,
        reservation: Reservation | None = None,
        *,
        order_id: str = "",
    ) -> Shortfall:
        """Record units sold that cannot be served; the level remembers those that are missing from its shelf."""
        if cause is not ShortfallCause.PAID_TOO_LATE:
            level = self.level(sku, location)
            self._put(self._levels, (sku, location), replace(level, short=level.short + quantity))
        self._shortfall_number += 1
        shortfall = Shortfall(
            self._shortfall_number,
            cause,
            sku,
            location,
            quantity,
            self.now,
            reservation.reservation_id if reservation else None,
            reservation.order_id if reservation else order_id,
        )
        self.shortfalls.append(shortfall)
        return shortfall

    def record(self, command: AnyCommand, answer: AnyAnswer) -> None:
        """Remember the request id with its first answer (R10); commands without an id are the ledger's own."""
        if command.request_id:
            recorded = Recorded(command, answer)
            self._put(self._recorded, command.request_id, recorded)
            self.newly_recorded.append(recorded)

    # ---- taking back, handing over

    def mark(self) -> Mark:
        """A point to roll back to."""
        return Mark(
            len(self._undo),
            len(self.movements),
            len(self.newly_recorded),
            len(self.shortfalls),
            len(self.pushes),
            len(self.drifts),
            self.counters,
        )

    def rollback(self, mark: Mark) -> None:
        """Take back everything since the mark."""
        for table, key, before in reversed(self._undo[mark.undo :]):
            if before is _ABSENT:
                del table[key]
            else:
                table[key] = before
        del self._undo[mark.undo :]
        del self.movements[mark.movements :]
        del self.newly_recorded[mark.recorded :]
        del self.shortfalls[mark.shortfalls :]
        del self.pushes[mark.pushes :]
        del self.drifts[mark.drifts :]
        self.revision = mark.counters.revision
        self._reservation_number, self._shortfall_number = mark.counters.reservation, mark.counters.shortfall
        self._push_number, self._drift_number = mark.counters.push, mark.counters.drift

    @property
    def counters(self) -> Counters:
        """The last numbers given out."""
        return Counters(
            self.revision, self._reservation_number, self._shortfall_number, self._push_number, self._drift_number
        )

    def changed(self) -> Changes:
        """What is to be saved: each level, reservation and rule once, as it is at the end."""
        tables = (self._levels, self._reservations, self._skus, self._channels, self._listings, self._orders)
        places: dict[int, dict[Any, Any]] = {id(table): {} for table in tables}
        read = set()
        for table, key, before in self._undo:
            if (place := places.get(id(table))) is not None:
                place[key] = table[key]
            if table is self._listings and before.state.read_time != table[key].state.read_time:
                read.add(key)
        levels, reservations, skus, channels, listings, orders = places.values()
        first = self._first_reservation_number
        return Changes(
            counters=self.counters,
            now=self.now,
            movements=self.movements,
            recorded=self.newly_recorded,
            shortfalls=self.shortfalls,
            levels=levels,
            reservations_new=[r for key, r in reservations.items() if key > first],
            reservations_changed=[r for key, r in reservations.items() if key <= first],
            skus=skus,
            channels=channels,
            listings=listings,
            listings_read=frozenset(read),
            orders=orders,
            pushes=self.pushes,
            drifts=self.drifts,
        )

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((table, key, table.get(key, _ABSENT)))
        table[key] = value
