"""Does the ledger add up? (R18)

    ON_HAND    a level's on hand is the sum of its movements' changes
    RESERVED   a level's reserved is the sum of its movements' changes, and of what open reservations hold there
    CHAIN      each movement starts where the one before it at the same place ended
    REVISION   the journal is numbered 1..n without gaps, and the head says n

`check_all` adds up everything. `check_since` looks only at places that moved after a revision that was found good:
what was true up to there, and links on without a break, is true. Each runs on one snapshot of the database and stops
no writer. A breach is an alarm, never a quiet repair.
"""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Select, Subquery, and_, case, func, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.reservations import ReservationState
from gateway.store.levels import held_units
from gateway.store.tables import head, levels, movements, reservations

BREACHES_MAX = 100


class Breach(Struct, frozen=True):
    """One place where the ledger does not add up, in units (REVISION: in revisions)."""

    check: str
    sku: str
    location: str
    expected: int
    actual: int


class Verdict(Struct, frozen=True):
    """What a check has found at `revision`."""

    revision: int
    levels_checked: int
    reservations_checked: int
    breaches: tuple[Breach, ...]
    check_time: datetime

    @property
    def consistent(self) -> bool:
        """True if everything adds up."""
        return not self.breaches


async def check_all(connection: AsyncConnection) -> Verdict:
    """Add the whole journal up against levels and open reservations."""
    return await _check(connection, _against_sums(), since=0)


async def check_since(connection: AsyncConnection, revision: int) -> Verdict:
    """Check what moved after a revision up to which everything was found good."""
    return await _check(connection, _against_last(revision), since=revision)


async def _check(connection: AsyncConnection, levels_query: Select[tuple[str, str, str, int, int]], since: int) -> Verdict:
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    await connection.execute(text("SET LOCAL statement_timeout = 0"))
    found = []
    for query in (levels_query, _against_reservations(), _broken_chain(since), _missing_revisions(since)):
        for check, sku, location, expected, actual in await connection.execute(query.limit(BREACHES_MAX)):
            found.append(Breach(check, sku, location, int(expected or 0), int(actual or 0)))
    is_open = reservations.c.state == ReservationState.HELD
    counts = select(
        select(head.c.revision).scalar_subquery(),
        select(func.count()).select_from(levels).scalar_subquery(),
        select(func.count()).select_from(reservations).where(is_open).scalar_subquery(),
        func.clock_timestamp(),
    )
    revision, levels_checked, reservations_checked, now = (await connection.execute(counts)).one()
    return Verdict(revision, levels_checked, reservations_checked, tuple(found[:BREACHES_MAX]), now)


def _against_sums() -> Select[tuple[str, str, str, int, int]]:
    """ON_HAND and RESERVED: levels against the sums of all movements; a level without movements, or the reverse."""
    m = movements.c
    sums = (
        select(
            m.sku, m.location, func.sum(m.on_hand_change).label("on_hand"), func.sum(m.reserved_change).label("reserved")
        )
        .group_by(m.sku, m.location)
        .subquery()
    )
    return _compare(sums)


def _against_last(revision: int) -> Select[tuple[str, str, str, int, int]]:
    """ON_HAND and RESERVED: levels that moved since against the last movement of their place."""
    m = movements.c
    last = (
        select(m.sku, m.location, m.on_hand_after.label("on_hand"), m.reserved_after.label("reserved"))
        .where(m.revision > revision)
        .distinct(m.sku, m.location)
        .order_by(m.sku, m.location, m.revision.desc())
        .subquery()
    )
    return _compare(last, everywhere=False)


def _compare(sums: Subquery, *, everywhere: bool = True) -> Select[tuple[str, str, str, int, int]]:
    same_place = and_(levels.c.sku == sums.c.sku, levels.c.location == sums.c.location)
    on_hand, reserved = func.coalesce(levels.c.on_hand, 0), func.coalesce(levels.c.reserved, 0)
    sum_on_hand, sum_reserved = func.coalesce(sums.c.on_hand, 0), func.coalesce(sums.c.reserved, 0)
    differs = on_hand != sum_on_hand
    joined = sums.join(levels, same_place, full=True) if everywhere else sums.outerjoin(levels, same_place)
    return (
        select(
            case((differs, "ON_HAND"), else_="RESERVED"),
            func.coalesce(levels.c.sku, sums.c.sku),
            func.coalesce(levels.c.location, sums.c.location),
            case((differs, sum_on_hand), else_=sum_reserved),
            case((differs, on_hand), else_=reserved),
        )
        .select_from(joined)
        .where(or_(differs, reserved != sum_reserved))
    )


def _against_reservations() -> Select[tuple[str, str, str, int, int]]:
    """RESERVED: levels against what open reservations hold."""
    held = held_units(reservations.c.state == ReservationState.HELD)
    same_place = and_(levels.c.sku == held.c.sku, levels.c.location == held.c.location)
    return (
        select(
            literal("RESERVED"),
            func.coalesce(levels.c.sku, held.c.sku),
            func.coalesce(levels.c.location, held.c.location),
            func.coalesce(held.c.held, 0),
            func.coalesce(levels.c.reserved, 0),
        )
        .select_from(held.join(levels, same_place, full=True))
        .where(func.coalesce(held.c.held, 0) != func.coalesce(levels.c.reserved, 0))
    )


def _broken_chain(since: int) -> Select[tuple[str, str, str, int, int]]:
    """CHAIN: movements after `since` that do not start where the one before at the same place ended."""
    m = movements.c
    place = {"partition_by": (m.sku, m.location), "order_by": m.revision}
    chain = (
        select(
            m.sku,
            m.location,
            (m.on_hand_after - m.on_hand_change).label("start"),
            func.lag(m.on_hand_after, 1, 0 if not since else None).over(**place).label("end_before"),
            (m.reserved_after - m.reserved_change).label("reserved_start"),
            func.lag(m.reserved_after, 1, 0 if not since else None).over(**place).label("reserved_end_before"),
        )
        .where(m.revision > since)
        .subquery()
    )
    c = chain.c
    off = c.start != c.end_before
    return select(
        literal("CHAIN"),
        c.sku,
        c.location,
        case((off, c.end_before), else_=c.reserved_end_before),
        case((off, c.start), else_=c.reserved_start),
    ).where(or_(off, c.reserved_start != c.reserved_end_before))


def _missing_revisions(since: int) -> Select[tuple[str, str, str, int, int]]:
    """REVISION: the journal after `since` has as many rows as its numbers say, and ends at the head."""
    m = movements.c
    counted = (
        select(func.count().label("n"), func.coalesce(func.max(m.revision), since).label("last"))
        .where(m.revision > since)
        .subquery()
    )
    expected = select(head.c.revision).scalar_subquery()
    return (
        select(literal("REVISION"), literal(""), literal(""), expected, counted.c.n + since)
        .select_from(counted)
        .where(or_(counted.c.last != expected, counted.c.n + since != expected))
    )

