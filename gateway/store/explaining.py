"""What explains a listing's number, read from rows: now, and as of a past time."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, ColumnElement, and_, any_, cast, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.domain.explanation.cases import Hold
from gateway.domain.listings import ListingState, PushKind, PushResult
from gateway.domain.reservations import ReservationState
from gateway.domain.selling import Drift, PushRecord
from gateway.domain.stock import Movement, MovementKind
from gateway.store.database import ReadConnection
from gateway.store.journal import movement_of
from gateway.store.levels import elements
from gateway.store.operations_tables import listing_states
from gateway.store.tables import CODE, drifts, levels, listings, movements, policies, pushes, reservations, skus

PUSHES_MAX = 20
HOLDS_MAX = 100
# Reservations live for two days at most where platforms make them; of a past time none older is looked for.
HOLDS_WITHIN = timedelta(days=2)
# Where `ListingState` has when it was read, as it lies in JSON.
_READ_TIME = 6
_decode_state = msgspec.json.Decoder(ListingState).decode


class StateThen(Struct, frozen=True):
    """A listing's state, and since when it had been so."""

    state: ListingState
    record_time: datetime


async def states_then(connection: ReadConnection, listing_ids: Sequence[int], at: datetime) -> dict[int, StateThen]:
    """The states of these listings as they were then; those of which nothing is kept are missing."""
    c = listing_states.c
    wanted = select(func.unnest(_numbers(listing_ids)).label("listing_id")).subquery()
    newest = (
        select(c.state, c.record_time)
        .where(c.listing_id == wanted.c.listing_id, c.record_time <= at)
        .order_by(c.version.desc())
        .limit(1)
        .correlate(wanted)
        .lateral("newest")
    )
    query = select(wanted.c.listing_id, newest.c.state, newest.c.record_time).select_from(wanted.join(newest, true()))
    rows = await connection.execute(query)
    return {listing_id: StateThen(_decode_state(state), when) for listing_id, state, when in rows}


async def read_kept_since(connection: ReadConnection, listing_ids: Sequence[int]) -> datetime | None:
    """From when on states of all these are kept; None if that is from when they were linked.

    What is kept of a listing that was there before states were begins with one that knows of a reading, and was none.
    """
    c = listing_states.c
    wanted = select(func.unnest(_numbers(listing_ids)).label("listing_id")).subquery()
    own = select(c.record_time, c.is_read, c.state).where(c.listing_id == wanted.c.listing_id)
    first = own.order_by(c.version).limit(1).correlate(wanted).lateral("first")
    is_later = and_(~first.c.is_read, first.c.state[_READ_TIME].astext.is_not(None))
    query = select(func.max(first.c.record_time)).select_from(wanted.join(first, true())).where(is_later)
    found: datetime | None = await connection.scalar(query)
    return found


async def create_times(connection: ReadConnection, listing_ids: Sequence[int]) -> Mapping[int, datetime]:
    """When each of these listings was linked."""
    c = listings.c
    query = select(c.listing_id, c.create_time).where(c.listing_id == any_(_numbers(listing_ids)))
    return {row.listing_id: row.create_time for row in await connection.execute(query)}


async def rules_changed_time(connection: ReadConnection, codes: Collection[str], at: datetime) -> datetime | None:
    """When, up to `at`, a policy or the catalog last said something else of these SKUs."""
    is_sku = any_(literal(sorted(codes), ARRAY(CODE)))
    newest = [
        select(func.max(table.c.update_time)).where(table.c.sku == is_sku, table.c.update_time <= at).scalar_subquery()
        for table in (policies, skus)
    ]
    found: datetime | None = await connection.scalar(select(func.greatest(*newest)))
    return found


async def read_movements(connection: ReadConnection, revisions: Collection[int]) -> list[Movement]:
    """The movements with these revisions, newest first."""
    m = movements.c
    query = select(*(m[name] for name in Movement.__struct_fields__)).where(m.revision == any_(_numbers(revisions)))
    return [movement_of(row) for row in await connection.execute(query.order_by(m.revision.desc()))]


async def open_holds(connection: ReadConnection, sku: str, now: datetime) -> list[Hold]:
    """Reservations that keep units of the SKU, soonest to expire first; at most `HOLDS_MAX`."""
    r = reservations.c
    return await _holds(connection, sku, and_(r.state == ReservationState.HELD, r.expire_time > now))


async def holds_then(connection: ReadConnection, sku: str, at: datetime) -> list[Hold]:
    """Reservations that kept units of the SKU then, as far as they still have the lines they had."""
    m, r = movements.c, reservations.c
    is_made = and_(m.sku == sku, m.kind == MovementKind.RESERVE, m.reservation_id.is_not(None))
    is_recent = and_(m.record_time <= at, m.record_time > at - HOLDS_WITHIN)
    # Of each location by the index that has the order already.
    made = select(m.reservation_id).where(is_made, is_recent, m.location == levels.c.location)
    own = made.order_by(m.record_time.desc(), m.revision.desc()).limit(HOLDS_MAX * 5).correlate(levels).lateral("own")
    newest = select(own.c.reservation_id).select_from(levels).join(own, true()).where(levels.c.sku == sku)
    was_open = and_(r.create_time <= at, r.expire_time > at, or_(r.resolve_time.is_(None), r.resolve_time > at))
    return await _holds(connection, sku, and_(r.reservation_id.in_(newest), was_open))


async def _holds(connection: ReadConnection, sku: str, condition: ColumnElement[bool]) -> list[Hold]:
    r, lines = reservations.c, elements(reservations.c.lines, "line")
    allotments = elements(lines.c.value[4], "allotment")
    # Held, and what has become of it since: of the past, either was held then.
    parts = (cast(allotments.c.value[place].astext, BigInteger) for place in (1, 2))
    units = func.sum(next(parts) + next(parts))
    query = (
        select(r.reservation_id, cast(units, BigInteger), func.coalesce(r.order_id, ""), r.create_time, r.expire_time)
        .select_from(reservations.join(lines, true()).join(allotments, true()))
        .where(condition, lines.c.value[1].astext == sku)
        .group_by(r.reservation_id)
        .order_by(r.expire_time)
        .limit(HOLDS_MAX)
    )
    return [Hold(*row) for row in await connection.execute(query)]


async def pushes_then(connection: ReadConnection, listing_id: int, at: datetime) -> list[PushRecord]:
    """The listing's newest changes, newest first, as they were known then."""
    p = pushes.c
    query = select(*(p[name] for name in PushRecord.__struct_fields__))
    query = query.where(p.listing_id == listing_id, p.create_time <= at).order_by(p.push_id.desc()).limit(PUSHES_MAX)
    return [_push(row, at) for row in (await connection.execute(query)).mappings()]


def _push(row: Any, at: datetime) -> PushRecord:
    content = dict(row)
    if content["settle_time"] is not None and content["settle_time"] > at:
        content |= dict.fromkeys(("settle_time", "result", "applied", "attempts", "duration_ms", "error"))
    content["kind"] = PushKind(content["kind"])
    content["result"] = None if content["result"] is None else PushResult(content["result"])
    return PushRecord(**content)


async def newest_drift(connection: ReadConnection, channel: str, listing_id: int, at: datetime) -> Drift | None:
    """The listing's last drift up to then."""
    d = drifts.c
    query = select(drifts).where(d.channel == channel, d.listing_id == listing_id, d.judge_time <= at)
    row = (await connection.execute(query.order_by(d.drift_id.desc()).limit(1))).one_or_none()
    return None if row is None else Drift(*row)


def _numbers(numbers: Collection[int]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return literal(list(numbers), ARRAY(BigInteger))
