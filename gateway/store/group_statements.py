"""The SQL of a group. Set-wise throughout: one array per column, whatever the number of commands."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from msgspec.structs import astuple

from gateway.domain.changes import Changes
from gateway.domain.reservations import Reservation
from gateway.domain.selling import KnownOrder
from gateway.domain.stock import Movement


class ReadStatements(NamedTuple):
    """What `GroupStore` asks; `$1`... as said in each."""

    lock: str
    version: str
    head: str  # $1 request ids, $2 clock offset
    locations: str
    reservations: str  # $1 ids
    levels: str  # $1 SKUs
    changed_since: str  # $1 SKU, $2 location, $3 time
    due: str  # $1 now, $2 SKUs, $3 how many
    next_expiry: str
    channels: str
    listings: str  # $1 numbers, $2 channels, $3 items, $4 platform SKUs
    orders: str  # $1 channels, $2 order ids
    recent_orders: str  # $1 channel, $2 since, $3 numbers of listings


def read_statements(schema: str) -> ReadStatements:
    """The reading statements for one merchant's schema."""
    s = f'"{schema}"'
    return ReadStatements(
        lock=f"SELECT 1 FROM {s}.head FOR UPDATE",
        version=f"SELECT version FROM {s}.head",
        # The time never runs backwards, even if the server's clock does: as-of reads rest on it.
        head=f"""
            SELECT h.version, h.revision, h.reservation_number, h.shortfall_number, h.push_number, h.drift_number,
                   greatest(clock_timestamp() + $2::interval, h.record_time) AS now,
                   r.request_id, r.content, r.answer
            FROM {s}.head h LEFT JOIN {s}.requests r ON r.request_id = ANY($1::text[])""",
        locations=f"SELECT location FROM {s}.locations ORDER BY position, location",
        reservations=f"""
            SELECT reservation_id, state, lines, order_id, create_time, expire_time, resolve_time,
                   replaces_reservation_id, replaced_by_reservation_id, locations
            FROM {s}.reservations WHERE reservation_id = ANY($1::bigint[])""",
        levels=f"""
            SELECT s.sku, l.location, l.on_hand, l.reserved, l.safety_stock, l.last_count_time, l.last_count_revision,
                   l.revision, l.exposed, l.short, s.safety_stock AS rule_safety_stock, s.frozen
            FROM {s}.skus s LEFT JOIN {s}.levels l USING (sku) WHERE s.sku = ANY($1::text[])""",
        # What is on hand now, less what was then, less what has been told since of before: a look, however long ago.
        changed_since=f"""
            SELECT (coalesce((SELECT on_hand FROM {s}.levels WHERE sku = $1 AND location = $2), 0)
                - coalesce((SELECT on_hand_after FROM {s}.movements
                    WHERE sku = $1 AND location = $2 AND record_time <= $3
                    ORDER BY record_time DESC, revision DESC LIMIT 1), 0)
                - coalesce((SELECT sum(on_hand_change) FROM {s}.movements
                    WHERE sku = $1 AND location = $2 AND record_time > $3 AND occur_time <= $3
                        AND occur_time < record_time AND on_hand_change <> 0), 0))::bigint""",
        due=f"""
            SELECT reservation_id FROM {s}.reservations
            WHERE state = 1 AND expire_time <= $1 AND EXISTS (
                SELECT FROM jsonb_array_elements(lines) line WHERE line->>1 = ANY($2::text[]))
            ORDER BY expire_time LIMIT $3""",
        channels=f"SELECT channel, locations, facts, watermark FROM {s}.channels",
        listings=f"""
            SELECT listing_id, channel, item_id, platform_sku_id, components, takes_on, state
            FROM {s}.listings WHERE listing_id = ANY($1::bigint[])
            UNION
            SELECT listing_id, channel, item_id, platform_sku_id, components, takes_on, state
            FROM {s}.listings JOIN unnest($2::text[], $3::text[], $4::text[]) AS k(channel, item_id, platform_sku_id)
            USING (channel, item_id, platform_sku_id)""",
        orders=f"""
            SELECT channel, order_id, state, update_time, placed_time, paid_time, lines
            FROM {s}.orders JOIN unnest($1::text[], $2::text[]) AS k(channel, order_id) USING (channel, order_id)""",
        recent_orders=f"""
            SELECT channel, order_id, state, update_time, placed_time, paid_time, lines
            FROM {s}.orders WHERE channel = $1 AND update_time > $2 AND EXISTS (
                SELECT FROM jsonb_array_elements(lines) line WHERE CAST(line->>1 AS bigint) = ANY($3::bigint[]))""",
        next_expiry=f"""
            SELECT coalesce(min(expire_time), now() + interval '100 years') FROM {s}.reservations WHERE state = 1""",
    )


class _Part(NamedTuple):
    """One INSERT, or with `update_key` UPDATE, of the writing statement: its table, its columns with their types.

    `now_column` is not sent at all: it gets the group's time. So does an `occur_time` that is sent as NULL.
    """

    table: str
    columns: tuple[tuple[str, str], ...]
    conflict: str = ""
    update_key: str = ""
    now_column: str = ""


_MOVEMENTS = _Part(
    "movements",
    (
        ("revision", "bigint"),
        ("occur_time", "timestamptz"),
        ("kind", "smallint"),
        ("sku", "text"),
        ("location", "text"),
        ("quantity", "bigint"),
        ("on_hand_change", "bigint"),
        ("reserved_change", "bigint"),
        ("on_hand_after", "bigint"),
        ("reserved_after", "bigint"),
        ("safety_stock_after", "bigint"),
        ("reservation_id", "bigint"),
        ("request_id", "text"),
        ("reason", "text"),
        ("corrects_revision", "bigint"),
        ("absorbed_by_revision", "bigint"),
        ("channel", "text"),
        ("traceparent", "text"),
    ),
    now_column="record_time",
)
_LEVELS = _Part(
    "levels",
    (
        ("sku", "text"),
        ("location", "text"),
        ("on_hand", "bigint"),
        ("reserved", "bigint"),
        ("safety_stock", "bigint"),
        ("last_count_time", "timestamptz"),
        ("last_count_revision", "bigint"),
        ("revision", "bigint"),
        ("exposed", "bigint"),
        ("short", "bigint"),
    ),
    conflict="""ON CONFLICT (sku, location) DO UPDATE SET on_hand = excluded.on_hand, reserved = excluded.reserved,
        safety_stock = excluded.safety_stock, last_count_time = excluded.last_count_time,
        last_count_revision = excluded.last_count_revision, revision = excluded.revision,
        exposed = excluded.exposed, short = excluded.short""",
)
_RESERVATIONS_NEW = _Part(
    "reservations",
    (
        ("reservation_id", "bigint"),
        ("state", "smallint"),
        ("lines", "jsonb"),
        ("order_id", "text"),
        ("expire_time", "timestamptz"),
        ("resolve_time", "timestamptz"),
        ("replaces_reservation_id", "bigint"),
        ("locations", "jsonb"),
    ),
    now_column="create_time",
)
_RESERVATIONS_CHANGED = _Part(
    "reservations",
    (
        ("reservation_id", "bigint"),
        ("state", "smallint"),
        ("lines", "jsonb"),
        ("expire_time", "timestamptz"),
        ("resolve_time", "timestamptz"),
        ("replaced_by_reservation_id", "bigint"),
    ),
    update_key="reservation_id",
)
_REQUESTS = _Part("requests", (("request_id", "text"), ("content", "bytea"), ("answer", "bytea")))
_SHORTFALLS = _Part(
    "shortfalls",
    (
        ("shortfall_id", "bigint"),
        ("cause", "smallint"),
        ("sku", "text"),
        ("location", "text"),
        ("quantity", "bigint"),
        ("open_time", "timestamptz"),
        ("reservation_id", "bigint"),
        ("order_id", "text"),
    ),
)
_CHANNELS = _Part("channels", (("channel", "text"), ("watermark", "timestamptz")), update_key="channel")
_LISTINGS = _Part(
    "listings", (("listing_id", "bigint"), ("state", "jsonb"), ("version", "bigint")), update_key="listing_id"
)
_LISTING_STATES = _Part(
    "listing_states",
    (("listing_id", "bigint"), ("state", "jsonb"), ("version", "bigint"), ("is_read", "boolean")),
    now_column="record_time",
)
_ORDERS = _Part(
    "orders",
    (
        ("channel", "text"),
        ("order_id", "text"),
        ("state", "smallint"),
        ("update_time", "timestamptz"),
        ("placed_time", "timestamptz"),
        ("paid_time", "timestamptz"),
        ("lines", "jsonb"),
        ("unlinked", "boolean"),
    ),
    conflict="""ON CONFLICT (channel, order_id) DO UPDATE SET state = excluded.state,
        update_time = excluded.update_time, placed_time = excluded.placed_time, paid_time = excluded.paid_time,
        lines = excluded.lines, unlinked = excluded.unlinked""",
)
_PUSHES = _Part(
    "pushes",
    (
        ("push_id", "bigint"),
        ("listing_id", "bigint"),
        ("kind", "smallint"),
        ("sales", "bigint"),
        ("create_time", "timestamptz"),
        ("settle_time", "timestamptz"),
        ("result", "smallint"),
        ("applied", "bigint"),
        ("attempts", "integer"),
        ("duration_ms", "bigint"),
        ("error", "text"),
        ("traceparent", "text"),
        ("origin_revision", "bigint"),
        ("origin_time", "timestamptz"),
    ),
    conflict="""ON CONFLICT (push_id) DO UPDATE SET settle_time = excluded.settle_time, result = excluded.result,
        applied = excluded.applied, attempts = excluded.attempts, duration_ms = excluded.duration_ms,
        error = excluded.error""",
)
_DRIFTS = _Part(
    "drifts",
    (
        ("drift_id", "bigint"),
        ("listing_id", "bigint"),
        ("channel", "text"),
        ("shown", "bigint"),
        ("exposure_before", "bigint"),
        ("exposure_least", "bigint"),
        ("exposure_most", "bigint"),
        ("read_time", "timestamptz"),
        ("judge_time", "timestamptz"),
        ("action", "text"),
    ),
)
_SKUS = _Part("skus", (("sku", "text"), ("safety_stock", "bigint"), ("frozen", "boolean")), update_key="sku")


def write_statement(
    schema: str, version: int, changes: Changes, to_json: Callable[[Any], bytes], to_bytes: Callable[[Any], bytes]
) -> tuple[str, list[Any]]:
    """The statement that saves these changes, and its values; `version` is the head's version that was read.

    It returns one row if it has saved everything, none if the head has another version by now.
    """
    rows_of = _rows(changes, to_json, to_bytes) + _selling_rows(changes, version + 1, to_json)
    filled = [(part, rows) for part, rows in rows_of if rows]
    counters = changes.counters
    values: list[Any] = [
        version,
        counters.revision,
        counters.reservation,
        counters.shortfall,
        changes.now,
        counters.push,
        counters.drift,
    ]
    for _, rows in filled:
        values += [list(column) for column in zip(*rows, strict=True)]
    return _statement(schema, tuple(part for part, _ in filled)), values


@cache
def _statement(schema: str, parts: tuple[_Part, ...]) -> str:
    s = f'"{schema}"'
    gate = f"""
        UPDATE {s}.head SET version = version + 1, revision = $2, reservation_number = $3, shortfall_number = $4,
            record_time = $5, push_number = $6, drift_number = $7
        WHERE version = $1 RETURNING revision"""
    steps = [f"gate AS ({gate})"]
    first_value = 8
    for number, part in enumerate(parts):
        steps.append(f"part_{number} AS ({_write_part(s, part, first_value)})")
        first_value += len(part.columns)
    # Wakes whoever follows the journal, on this gateway and on others; nobody depends on it arriving.
    return f"WITH {', '.join(steps)} SELECT pg_notify('stockgate', '{schema}') FROM gate"


def _write_part(s: str, part: _Part, first_value: int) -> str:
    names = [name for name, _ in part.columns]
    arrays = ", ".join(f"${first_value + place}::{kind}[]" for place, (_, kind) in enumerate(part.columns))
    values = f"unnest({arrays}) AS v({', '.join(names)}), gate"
    if part.update_key:
        assignments = ", ".join(f"{name} = v.{name}" for name in names if name != part.update_key)
        return (
            f"UPDATE {s}.{part.table} t SET {assignments} FROM {values} WHERE t.{part.update_key} = v.{part.update_key}"
        )
    chosen = [f"coalesce(v.{name}, $5)" if name == "occur_time" else f"v.{name}" for name in names]
    if part.now_column:
        names.append(part.now_column)
        chosen.append("$5")
    return f"INSERT INTO {s}.{part.table} ({', '.join(names)}) SELECT {', '.join(chosen)} FROM {values} {part.conflict}"


def _rows(
    changes: Changes, to_json: Callable[[Any], bytes], to_bytes: Callable[[Any], bytes]
) -> list[tuple[_Part, list[tuple[Any, ...]]]]:
    return [
        (_MOVEMENTS, [_movement(movement) for movement in changes.movements]),
        (_LEVELS, [astuple(level) for level in changes.levels.values()]),
        (_RESERVATIONS_NEW, [_new_reservation(r, to_json) for r in changes.reservations_new]),
        (_RESERVATIONS_CHANGED, [_changed_reservation(r, to_json) for r in changes.reservations_changed]),
        (_REQUESTS, [(r.command.request_id, to_bytes(r.command), to_bytes(r.answer)) for r in changes.recorded]),
        (_SHORTFALLS, [(*astuple(shortfall)[:7], shortfall.order_id or None) for shortfall in changes.shortfalls]),
        (_SKUS, [(sku, rule.safety_stock, rule.frozen) for sku, rule in changes.skus.items()]),
    ]


def _selling_rows(
    changes: Changes, version: int, to_json: Callable[[Any], bytes]
) -> list[tuple[_Part, list[tuple[Any, ...]]]]:
    pushes = {push.push_id: push for push in changes.pushes}
    listings = [(one.listing_id, to_json(one.state).decode(), version) for one in changes.listings.values()]
    return [
        (_CHANNELS, [(rule.channel, rule.watermark) for rule in changes.channels.values()]),
        (_LISTINGS, listings),
        (_LISTING_STATES, [(*row, row[0] in changes.listings_read) for row in listings]),
        (_ORDERS, [_order(order, to_json) for order in changes.orders.values()]),
        (_PUSHES, [astuple(push) for push in pushes.values()]),
        (_DRIFTS, [astuple(drift) for drift in changes.drifts]),
    ]


def _order(order: KnownOrder, to_json: Callable[[Any], bytes]) -> tuple[Any, ...]:
    *content, lines = astuple(order)
    return (*content, to_json(lines).decode(), order.is_waiting)


def _movement(m: Movement) -> tuple[Any, ...]:
    revision, record_time, occur_time, *rest = astuple(m)
    return (revision, None if occur_time is record_time else occur_time, *rest)


def _new_reservation(r: Reservation, to_json: Callable[[Any], bytes]) -> tuple[Any, ...]:
    return (
        r.reservation_id,
        r.state,
        to_json(r.lines).decode(),
        r.order_id or None,
        r.expire_time,
        r.resolve_time,
        r.replaces_reservation_id,
        to_json(r.locations).decode() if r.locations else None,
    )


def _changed_reservation(r: Reservation, to_json: Callable[[Any], bytes]) -> tuple[Any, ...]:
    return (
        r.reservation_id,
        r.state,
        to_json(r.lines).decode(),
        r.expire_time,
        r.resolve_time,
        r.replaced_by_reservation_id,
    )
