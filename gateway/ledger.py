"""Use cases of stock: commands go to the writer, questions to the store.

A read is one transaction. What the caller asks for and cannot be raises `GatewayError`.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.commands import AnyCommand
from gateway.domain.errors import LocationUnknown, ReservationUnknown, SkuUnknown
from gateway.domain.groups import Outcome, Span
from gateway.domain.reservations import Reservation, ReservationState
from gateway.domain.stock import Movement, Shortfall
from gateway.store import catalog, consistency, journal, levels, reservations
from gateway.store.consistency import Verdict
from gateway.store.database import MerchantDatabase, ReadConnection, read_time
from gateway.store.journal import MovementFilter
from gateway.store.levels import SkuLevels
from gateway.store.reservations import ReservationFilter
from gateway.writer import Writer

# Adding up ten million movements takes a few seconds.
CHECK_TIMEOUT_SECONDS = 600.0
NO_LIMIT = 2**63 - 1


class FoundReservation(Struct, frozen=True):
    """A reservation as it is now, and whether the goods behind it are gone."""

    reservation: Reservation
    at_risk: bool


class Ledger:
    """The stock of one merchant."""

    def __init__(self, database: MerchantDatabase, writer: Writer) -> None:
        """Commands go to the writer, questions to the database."""
        self._database = database
        self._writer = writer

    async def apply(
        self, commands: Sequence[AnyCommand], atomic_spans: Sequence[Span] = (), deadline: float | None = None
    ) -> list[Outcome]:
        """Apply commands in order, one outcome each; see `Writer.apply`."""
        return await self._writer.apply(commands, atomic_spans, deadline)

    async def level(self, sku: str, *, location: str = "", as_of: datetime | None = None) -> SkuLevels:
        """The levels of one SKU, now or as of a past time; raises `SkuUnknown`, `LocationUnknown`."""
        found = await self._read_levels([sku], location, as_of)
        if sku not in found:
            raise _sku_unknown(sku, "sku")
        return found[sku]

    async def levels(self, skus: Sequence[str], *, as_of: datetime | None = None) -> list[SkuLevels]:
        """The levels of these SKUs, in this order, now or as of a past time; raises `SkuUnknown`."""
        found = await self._read_levels(skus, "", as_of)
        for place, sku in enumerate(skus):
            if sku not in found:
                raise _sku_unknown(sku, f"skus[{place}]")
        return [found[sku] for sku in skus]

    async def list_levels(self, *, prefix: str, after: str, location: str, count_max: int) -> list[SkuLevels]:
        """Up to `count_max` SKUs' levels, by code, after the code `after`; raises `LocationUnknown`."""
        async with self._database.transaction() as connection:
            if location and await catalog.read_location(connection, location) is None:
                raise _location_unknown(location)
            page = levels.Page(prefix, after, count_max)
            return await levels.list_levels(connection, page, self._database.now, location=location)

    async def reservation(self, reservation_id: int) -> FoundReservation:
        """One reservation as it is now; raises `ReservationUnknown`."""
        async with self._database.transaction() as connection:
            found = await reservations.read_reservation(connection, reservation_id)
            if found is None:
                raise _reservation_unknown(reservation_id)
            now = await read_time(connection, self._database.now)
            (seen,) = await _as_seen(connection, [found], now)
            return seen

    async def list_reservations(
        self, wanted: ReservationFilter, *, before: int = NO_LIMIT, count_max: int
    ) -> list[FoundReservation]:
        """Up to `count_max` reservations with an id below `before`, newest first."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            found = await reservations.list_reservations(connection, wanted, now, before=before, count_max=count_max)
            return await _as_seen(connection, found, now)

    async def list_movements(
        self, wanted: MovementFilter, *, reservation_id: int | None = None, before: int = NO_LIMIT, count_max: int
    ) -> list[Movement]:
        """Up to `count_max` movements with a revision below `before`, newest first; raises `ReservationUnknown`."""
        async with self._database.transaction() as connection:
            if reservation_id is not None:
                reservation = await reservations.read_reservation(connection, reservation_id)
                if reservation is None:
                    raise _reservation_unknown(reservation_id)
                wanted = replace(wanted, reservation=reservation)
            return await journal.list_movements(connection, wanted, before=before, count_max=count_max)

    async def list_shortfalls(
        self, *, before: int = NO_LIMIT, include_resolved: bool, count_max: int
    ) -> list[Shortfall]:
        """Up to `count_max` shortfalls with an id below `before`, newest first."""
        async with self._database.transaction() as connection:
            return await journal.list_shortfalls(
                connection, before=before, include_resolved=include_resolved, count_max=count_max
            )

    async def check(self) -> Verdict:
        """Does the ledger add up (R18)? All of it."""
        async with self._database.transaction(CHECK_TIMEOUT_SECONDS) as connection:
            return await consistency.check_all(connection)

    async def check_on(self) -> Verdict:
        """Does what has moved since the last such check add up (R18)? If so the next one begins here."""
        async with self._database.transaction(CHECK_TIMEOUT_SECONDS) as connection:
            verdict = await consistency.check_since_audited(connection)
        if verdict.consistent:
            async with self._database.transaction() as connection:
                await consistency.keep_audited(connection, verdict.revision)
        return verdict

    async def _read_levels(self, skus: Sequence[str], location: str, as_of: datetime | None) -> dict[str, SkuLevels]:
        async with self._database.transaction() as connection:
            if location and await catalog.read_location(connection, location) is None:
                raise _location_unknown(location)
            if as_of is None:
                return await levels.read_levels(connection, skus, self._database.now, location=location)
            return await levels.read_levels_as_of(connection, skus, as_of, self._database.now, location=location)


async def _as_seen(connection: ReadConnection, found: list[Reservation], now: datetime) -> list[FoundReservation]:
    bearing = await reservations.at_risk(connection, found, now)
    return [FoundReservation(_at(r, now), r.reservation_id in bearing) for r in found]


def _at(reservation: Reservation, now: datetime) -> Reservation:
    """As it is at `now`: overdue means expired, whether or not the sweeper has been there (R7)."""
    if reservation.state is reservation.state_at(now):
        return reservation
    return replace(reservation, state=ReservationState.EXPIRED, resolve_time=reservation.expire_time)


def _sku_unknown(sku: str, field: str) -> SkuUnknown:
    return SkuUnknown(f"no SKU has the code {sku!r}", field=field, sku=sku)


def _location_unknown(location: str) -> LocationUnknown:
    return LocationUnknown(f"no location has the code {location!r}", field="location", location=location)


def _reservation_unknown(reservation_id: int) -> ReservationUnknown:
    return ReservationUnknown(
        f"no reservation has the id {reservation_id}", field="reservation_id", reservation_id=reservation_id
    )
