"""Does the ledger add up (R18).

    ON_HAND    a level's on hand is the sum of its movements' changes
    RESERVED   a level's reserved is the sum of its movements' changes, and of what open reservations hold there
    CHAIN      each movement starts where the one before it at the same place ended
    REVISION   the journal is numbered 1..n without gaps, and the head says n
    EXPOSED    a level's exposed is what its listings may still sell there, those aside that may show others' units

`check_all` adds up everything. `check_since_audited` looks only at places that moved after a revision that was found
good: what was true up to there, and links on without a break, is true. That revision is kept in the head, so that a
gateway that starts does not begin anew. Exposure has no journal: it is added up every time. Each check runs on one
snapshot of the database and stops no writer. A breach is an alarm, never a quiet repair.
"""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import BigInteger, Select, Subquery, and_, case, column, func, literal, not_, or_, select, true, update
from sqlalchemy.dialects.postgresql import JSONB, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.listings import Component, ListingState, Share
from gateway.domain.reservations import ReservationState
from gateway.store.database import take_snapshot
from gateway.store.levels import held_units
from gateway.store.tables import head, levels, listings, movements, reservations

BREACHES_MAX = 100
# Columns check, sku, location, expected, actual.
BreachQuery = Select[str, str, str, int, int]
_CHAINED = (
    movements.c.on_hand_change,
    movements.c.on_hand_after,
    movements.c.reserved_change,
    movements.c.reserved_after,
)


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
    await take_snapshot(connection)
    return await _check(connection, _against_sums(), since=0)


async def check_since_audited(connection: AsyncConnection) -> Verdict:
    """Check what moved after the revision up to which everything was found good."""
    await take_snapshot(connection)
    audited = (await connection.execute(select(head.c.audited_revision))).scalar_one()
    return await _check(connection, _against_last(audited), since=audited)


async def keep_audited(connection: AsyncConnection, revision: int) -> None:
    """Everything up to this revision was found good."""
    await connection.execute(update(head).values(audited_revision=revision))


async def _check(connection: AsyncConnection, levels_query: BreachQuery, since: int) -> Verdict:
    found = []
    queries = (levels_query, _against_reservations(), _broken_chain(since), _missing_revisions(since))
    for query in (*queries, _against_listings()):
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


def _against_sums() -> BreachQuery:
    """ON_HAND and RESERVED: levels against the sums of all movements; a level without movements, or the reverse."""
    m = movements.c
    sums = (
        select(
            m.sku,
            m.location,
            func.sum(m.on_hand_change).label("on_hand"),
            func.sum(m.reserved_change).label("reserved"),
        )
        .group_by(m.sku, m.location)
        .subquery()
    )
    return _compare(sums)


def _against_last(revision: int) -> BreachQuery:
    """ON_HAND and RESERVED: levels that moved since against the last movement of their place."""
    m = movements.c
    last = (
        select(m.sku, m.location, m.on_hand_after.label("on_hand"), m.reserved_after.label("reserved"))
        .where(m.revision > revision)
        .ext(distinct_on(m.sku, m.location))
        .order_by(m.sku, m.location, m.revision.desc())
        .subquery()
    )
    return _compare(last, everywhere=False)


def _compare(sums: Subquery, *, everywhere: bool = True) -> BreachQuery:
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


def _against_reservations() -> BreachQuery:
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


def _against_listings() -> BreachQuery:
    """EXPOSED: levels against what listings may still sell."""
    shown = _shown_units()
    same_place = and_(levels.c.sku == shown.c.sku, levels.c.location == shown.c.location)
    expected, actual = func.coalesce(shown.c.units, 0), func.coalesce(levels.c.exposed, 0)
    return (
        select(
            literal("EXPOSED"),
            func.coalesce(levels.c.sku, shown.c.sku),
            func.coalesce(levels.c.location, shown.c.location),
            expected,
            actual,
        )
        .select_from(shown.join(levels, same_place, full=True))
        .where(expected != actual)
    )


def _shown_units() -> Subquery:
    """Units that listings may still sell, by SKU and location; the columns are arrays (`domain/listings.py`)."""
    state = listings.c.state
    exposure = state[_place(ListingState, "exposure")]
    is_permitted = state[_place(ListingState, "permitted")] == literal(value=True, type_=JSONB)
    is_read = func.jsonb_typeof(exposure) == "array"
    shares = func.jsonb_array_elements(case((is_read, exposure))).table_valued(column("value", JSONB), name="shares")
    parts = func.jsonb_array_elements(listings.c.components).table_valued(column("value", JSONB), name="parts")
    sales = shares.c.value[_place(Share, "sales")].astext.cast(BigInteger)
    units = parts.c.value[_place(Component, "units")].astext.cast(BigInteger)
    sku, location = parts.c.value[_place(Component, "sku")].astext, shares.c.value[_place(Share, "location")].astext
    return (
        select(sku.label("sku"), location.label("location"), func.sum(sales * units).label("units"))
        .select_from(listings.join(shares, true()).join(parts, true()))
        .where(not_(func.coalesce(is_permitted, False)))
        .group_by(sku, location)
        .subquery()
    )


def _place(kind: type[Struct], name: str) -> int:
    return kind.__struct_fields__.index(name)


def _broken_chain(since: int) -> BreachQuery:
    """CHAIN: movements after `since` that do not start where the one before at the same place ended."""
    m = movements.c
    recent = select(m.revision, m.sku, m.location, *_CHAINED).where(m.revision > since)
    links = (recent.union_all(_last_links(since)) if since else recent).subquery()
    by_place = {"partition_by": (links.c.sku, links.c.location), "order_by": links.c.revision}
    on_hand_start = links.c.on_hand_after - links.c.on_hand_change
    reserved_start = links.c.reserved_after - links.c.reserved_change
    chain = select(
        links.c.revision,
        links.c.sku,
        links.c.location,
        on_hand_start.label("on_hand_start"),
        reserved_start.label("reserved_start"),
        func.lag(links.c.on_hand_after, 1, 0).over(**by_place).label("on_hand_before"),  # type: ignore[arg-type]  # the stubs do not know these keywords in a dict
        func.lag(links.c.reserved_after, 1, 0).over(**by_place).label("reserved_before"),  # type: ignore[arg-type]  # as above
    ).subquery()
    c = chain.c
    on_hand_off = c.on_hand_start != c.on_hand_before
    return select(
        literal("CHAIN"),
        c.sku,
        c.location,
        case((on_hand_off, c.on_hand_before), else_=c.reserved_before),
        case((on_hand_off, c.on_hand_start), else_=c.reserved_start),
    ).where(c.revision > since, or_(on_hand_off, c.reserved_start != c.reserved_before))


def _last_links(revision: int) -> Select[int, str, str, int, int, int, int]:
    """Per place that moved after the revision: its last movement up to it."""
    m = movements.c
    places = select(m.sku, m.location).where(m.revision > revision).distinct().subquery()
    last = (
        select(m.revision, *_CHAINED)
        .where(m.sku == places.c.sku, m.location == places.c.location, m.revision <= revision)
        .order_by(m.record_time.desc(), m.revision.desc())
        .limit(1)
        .correlate(places)
        .lateral("last")
    )
    columns = [last.c[column.name] for column in _CHAINED]
    return select(last.c.revision, places.c.sku, places.c.location, *columns).select_from(places.join(last, true()))


def _missing_revisions(since: int) -> BreachQuery:
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
