"""How a SKU's numbers went, reduced in the database: however many rows there are, few come over.

Levels and states of listings are steps per location or listing. Their sums are built by running over the steps in the
order of time. Up to `STRETCHES` of them are given as they are; more are divided into so many stretches, and of each the
lowest, the highest and the last are kept, with their times.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import text

from gateway.domain.alerts import EventKind, TierTold
from gateway.domain.listings import Listing
from gateway.domain.series import Point, Series, steps
from gateway.domain.stock import MovementKind
from gateway.store.alert_log import newest_events
from gateway.store.alert_tables import alert_events
from gateway.store.database import ReadConnection

STRETCHES = 2_000
_STOCK = ("on_hand", "reserved", "available")
_SHELF = ("shown", "exposure")
_TIER_CHANGES_MAX = 5_000
MICROSECOND = timedelta(microseconds=1)


class Window(Struct, frozen=True):
    """What is read: of a SKU, what was recorded from `since` to `until`."""

    sku: str
    since: datetime
    until: datetime

    @property
    def micros(self) -> int:
        """Its length."""
        return (self.until - self.since) // MICROSECOND

    @property
    def values(self) -> dict[str, Any]:
        """As values of a statement."""
        return {"sku": self.sku, "since": self.since, "until": self.until}

    def point(self, time: datetime, value: float) -> Point:
        """A value from a time on; what was so before the window counts from its beginning."""
        return Point(max(0, (time - self.since) // MICROSECOND), value)


async def read_stock(connection: ReadConnection, schema: str, window: Window) -> list[Series]:
    """What was on hand, reserved and available, at all locations together."""
    own = f"""
        SELECT '' AS channel, l.location AS key, m.record_time AS time, m.revision AS tie, m.on_hand_after AS v0,
               m.reserved_after AS v1, greatest(0, m.on_hand_after - m.reserved_after - m.safety_stock_after) AS v2
        FROM "{schema}".levels l CROSS JOIN LATERAL (
            (SELECT * FROM "{schema}".movements m
             WHERE m.sku = :sku AND m.location = l.location AND m.record_time <= :since
             ORDER BY m.record_time DESC, m.revision DESC LIMIT 1)
            UNION ALL
            SELECT * FROM "{schema}".movements m
            WHERE m.sku = :sku AND m.location = l.location AND m.record_time > :since AND m.record_time <= :until
        ) m WHERE l.sku = :sku"""
    return await _summed(connection, own, _STOCK, window, {})


async def read_shelves(
    connection: ReadConnection, schema: str, window: Window, listings: Mapping[int, Listing]
) -> list[Series]:
    """What each channel's listings showed, and what they might still sell, in units of the SKU."""
    if not listings:
        return []
    given = [
        {
            "listing_id": listing.listing_id,
            "channel": listing.channel,
            "units": sum(part.units for part in listing.components if part.sku == window.sku),
        }
        for listing in listings.values()
    ]
    # States are found by version, the head's, which rises with time.
    version_at = f"""
        coalesce((SELECT version FROM "{schema}".listing_states WHERE record_time <= {{time}}
                  ORDER BY record_time DESC, version DESC LIMIT 1), 0)"""
    state = f"""
        SELECT s.record_time, s.version, s.state FROM "{schema}".listing_states s WHERE s.listing_id = g.listing_id"""
    own = f"""
        SELECT g.channel, g.listing_id AS key, s.record_time AS time, s.version AS tie,
               coalesce((s.state->>5)::bigint, 0) * g.units AS v0, e.sales * g.units AS v1
        FROM json_to_recordset(CAST(:given AS json)) AS g(listing_id bigint, channel text, units bigint)
        CROSS JOIN LATERAL (
            ({state} AND s.version <= {version_at.format(time=":since")} ORDER BY s.version DESC LIMIT 1)
            UNION ALL
            {state} AND s.version > {version_at.format(time=":since")}
                AND s.version <= {version_at.format(time=":until")}
        ) s CROSS JOIN LATERAL (
            SELECT coalesce(sum((share->>1)::bigint), 0) AS sales
            FROM jsonb_array_elements(CASE jsonb_typeof(s.state->0) WHEN 'array' THEN s.state->0 ELSE '[]' END) share
        ) e"""
    return await _summed(connection, own, _SHELF, window, {"given": msgspec.json.encode(given).decode()})


async def read_sales(connection: ReadConnection, schema: str, window: Window, width_micros: int) -> dict[int, int]:
    """Units that were ordered per stretch of this width; 0 is the last, that before it is 1 ..."""
    rows = await connection.execute(
        text(f"""
            SELECT CAST(extract(epoch FROM CAST(:until AS timestamptz) - m.record_time) * 1000000 AS bigint)
                   / CAST(:width AS bigint) AS bucket, CAST(sum(m.quantity) AS bigint)
            FROM "{schema}".levels l JOIN "{schema}".movements m ON m.sku = l.sku AND m.location = l.location
            WHERE l.sku = :sku AND m.kind = :kind AND m.record_time > :since AND m.record_time <= :until
            GROUP BY bucket"""),
        {**window.values, "width": width_micros, "kind": int(MovementKind.RESERVE)},
    )
    return {int(bucket): int(units) for bucket, units in rows}


async def read_tiers(connection: ReadConnection, window: Window) -> list[Series]:
    """The tier of the whole stock, as its number; nothing if none was ever told."""
    e = alert_events.c
    such = (e.sku == window.sku, e.session_id == 0, e.drill_id == 0, e.kind == int(EventKind.TIER_CHANGE))
    before = await newest_events(connection, *such, e.record_time <= window.since, count_max=1)
    within = await newest_events(
        connection, *such, e.record_time > window.since, e.record_time <= window.until, count_max=_TIER_CHANGES_MAX
    )
    told = [(event.record_time, event.body) for event in reversed([*within, *before])]
    points = [window.point(time, int(body.after)) for time, body in told if isinstance(body, TierTold)]
    if not before and told and isinstance(told[0][1], TierTold):
        points.insert(0, Point(0, int(told[0][1].before)))
    return [Series("tier", "", tuple(steps(points)))] if points else []


async def read_revision(connection: ReadConnection, schema: str, window: Window) -> int:
    """The SKU's newest movement up to the end of the window, 0 if there is none."""
    found = await connection.scalar(
        text(f"""
            SELECT max(m.revision) FROM "{schema}".levels l CROSS JOIN LATERAL (
                SELECT revision FROM "{schema}".movements m
                WHERE m.sku = l.sku AND m.location = l.location AND m.record_time <= :until
                ORDER BY m.record_time DESC, m.revision DESC LIMIT 1
            ) m WHERE l.sku = :sku"""),
        {"sku": window.sku, "until": window.until},
    )
    return int(found or 0)


async def _summed(
    connection: ReadConnection, own: str, names: tuple[str, ...], window: Window, values: Mapping[str, Any]
) -> list[Series]:
    """The sums over all keys of a channel; `own` gives channel, key, time, tie and a value for each name."""
    places = range(len(names))
    deltas = ", ".join(f"v{n} - lag(v{n}, 1, CAST(0 AS bigint)) OVER each AS v{n}" for n in places)
    totals = ", ".join(f"CAST(sum(v{n}) OVER (PARTITION BY channel ORDER BY time) AS bigint) AS v{n}" for n in places)
    # An array sorts by its first number, so the extreme brings its time along.
    kept = ", ".join(f"min(ARRAY[v{n}, micros]), max(ARRAY[v{n}, micros]), max(ARRAY[micros, v{n}])" for n in places)
    rows = await connection.execute(
        text(f"""
            WITH own AS ({own}),
            changed AS (
                SELECT channel, greatest(time, :since) AS time, {deltas} FROM own
                WINDOW each AS (PARTITION BY channel, key ORDER BY time, tie)),
            summed AS (
                SELECT channel, CAST(extract(epoch FROM time - CAST(:since AS timestamptz)) * 1000000 AS bigint)
                       AS micros, {totals}, count(*) OVER (PARTITION BY channel) AS steps,
                       row_number() OVER (PARTITION BY channel ORDER BY time) - 1 AS step FROM changed)
            SELECT channel, {kept} FROM summed
            GROUP BY channel, CASE WHEN steps <= {STRETCHES} THEN step ELSE step * {STRETCHES} / steps END
            ORDER BY channel, min(micros)"""),
        {**window.values, **values},
    )
    found: dict[str, list[tuple[Any, ...]]] = {}
    for channel, *arrays in rows:
        found.setdefault(channel, []).append(tuple(arrays))
    return [
        Series(name, channel, tuple(steps(_points(part[3 * n : 3 * n + 3] for part in parts))))
        for channel, parts in found.items()
        for n, name in enumerate(names)
    ]


def _points(stretches: Iterable[tuple[list[int], list[int], list[int]]]) -> list[Point]:
    points: list[Point] = []
    for (lowest, low_micros), (highest, high_micros), (last_micros, last) in stretches:
        kept = {(low_micros, lowest), (high_micros, highest), (last_micros, last)}
        points += [Point(micros, value) for micros, value in sorted(kept)]
    # Of what happened at one moment only what it came to is a step.
    return [
        point
        for point, later in zip(points, [*points[1:], None], strict=True)
        if later is None or later.micros != point.micros
    ]
