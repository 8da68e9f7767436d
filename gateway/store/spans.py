"""Keeping recent spans, and finding them again: a trace, with those it came from and those that came of it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Boolean,
    RowMapping,
    SmallInteger,
    Text,
    cast,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.spans import Span, SpanKind, SpanLink, TraceSummary
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.operations_tables import spans
from gateway.store.tables import CODE

# Half a gigabyte at worst.
SPANS_MAX = 200_000
TRACE_SPANS_MAX = 2_000
# From an order to a robot's message there are fewer.
LINK_STEPS_MAX = 8
LINKED_TRACES_MAX = 200
# Says why a span that was not drawn is there: it failed, or was slow.
KEPT = "stockgate.kept"
# A trace that is listed has so many spans, or fewer; else fewer traces are listed.
SPANS_LOOKED_AT = 200

_s = spans.c
_KINDS: dict[str, Any] = {
    "trace_id": CODE,
    "span_id": CODE,
    "parent_span_id": CODE,
    "service": Text,
    "name": Text,
    "kind": SmallInteger,
    "begin_ns": BigInteger,
    "end_ns": BigInteger,
    "is_error": Boolean,
    "sku": CODE,
    "body": JSONB,
    "linked_trace_ids": ARRAY(CODE),
}


class _Body(Struct, frozen=True):
    attributes: dict[str, str]
    links: tuple[SpanLink, ...] = ()


_decode_body = msgspec.json.Decoder(_Body).decode


async def save_spans(connection: AsyncConnection, database: MerchantDatabase, ended: Sequence[Span]) -> None:
    """Keep spans; those that are known change nothing."""
    # They are gone within an hour anyway: no reason to wait for the disk.
    await connection.execute(text("SET LOCAL synchronous_commit TO off"))
    rows = cast(literal(msgspec.json.encode([_row_of(span) for span in ended]).decode(), Text), JSON)
    columns = [column(name, kind) for name, kind in _KINDS.items()]
    given = func.json_to_recordset(rows).table_valued(*columns, name="given").render_derived(with_types=True)
    source = select(*(given.c[name] for name in _KINDS), database.now)
    await connection.execute(upsert(spans).from_select([*_KINDS, "record_time"], source).on_conflict_do_nothing())


async def read_trace(connection: ReadConnection, trace_id: str, *, with_linked: bool) -> list[Span]:
    """The spans of a trace by begin, at most 2,000; `with_linked`: of those it came from and that came of it, too.

    Those that merely came from the same as it did are not among them.
    """
    found = await _spans_of(connection, {trace_id}, TRACE_SPANS_MAX)
    if with_linked and found:
        others = await _causes(connection, found) | await _consequences(connection, trace_id)
        found += await _spans_of(connection, others - {trace_id}, TRACE_SPANS_MAX - len(found))
    return sorted(found, key=lambda span: (span.begin_ns, -span.end_ns))


async def list_traces(
    connection: ReadConnection, *, sku: str, only_errors: bool, include_single: bool, count_max: int
) -> list[TraceSummary]:
    """The newest traces, of those with a span about `sku` if it is not "", or with one that has failed.

    Those of one span that was fine and drawn by lot are left out, unless `include_single`.
    """
    newest = select(_s.trace_id, _s.record_time, _s.begin_ns, _s.is_error, _s.body).order_by(_s.record_time.desc())
    newest = newest.limit(count_max * SPANS_LOOKED_AT)
    if sku:
        newest = newest.where(_s.sku == sku)
    if only_errors:
        newest = newest.where(_s.is_error)
    looked_at = newest.subquery()
    chosen = (
        select(looked_at.c.trace_id)
        .group_by(looked_at.c.trace_id)
        .order_by(func.max(looked_at.c.record_time).desc(), func.max(looked_at.c.begin_ns).desc())
        .limit(count_max)
    )
    if not (sku or only_errors or include_single):
        was_kept = looked_at.c.body["attributes"].has_key(KEPT)
        chosen = chosen.having((func.count() > 1) | func.bool_or(looked_at.c.is_error | was_kept))
    roots_first = aggregate_order_by(_s.name, _s.parent_span_id != "", _s.begin_ns)
    services = aggregate_order_by(_s.service, _s.parent_span_id != "", _s.begin_ns)
    rows = (
        select(
            _s.trace_id,
            func.array_agg(roots_first)[1].label("name"),
            func.array_agg(services)[1].label("service"),
            func.min(_s.begin_ns).label("begin_ns"),
            func.max(_s.end_ns).label("end_ns"),
            func.count().label("spans"),
            func.bool_or(_s.is_error).label("is_error"),
        )
        .where(_s.trace_id.in_(chosen))
        .group_by(_s.trace_id)
        .order_by(func.min(_s.begin_ns).desc())
    )
    return [TraceSummary(**row) for row in (await connection.execute(rows)).mappings()]


async def remove_spans(connection: AsyncConnection, before: datetime, count_max: int, kept_max: int = SPANS_MAX) -> int:
    """Remove up to `count_max` of the oldest spans: those recorded before then, and beyond `kept_max`; how many."""
    newest = select(_s.record_time).order_by(_s.record_time.desc()).offset(kept_max).limit(1).scalar_subquery()
    too_old = or_(_s.record_time < before, _s.record_time <= newest)
    chosen = select(_s.trace_id, _s.span_id).where(too_old).order_by(_s.record_time).limit(count_max)
    removed = await connection.execute(delete(spans).where(tuple_(_s.trace_id, _s.span_id).in_(chosen)))
    return int(removed.rowcount)


async def _causes(connection: ReadConnection, of: Sequence[Span]) -> set[str]:
    """Traces that these link to, that those link to, and so on."""
    known: set[str] = set()
    found = {link.trace_id for span in of for link in span.links}
    for _ in range(LINK_STEPS_MAX):
        fresh = sorted(found - known)[: LINKED_TRACES_MAX - len(known)]
        if not fresh:
            break
        known.update(fresh)
        rows = select(func.unnest(_s.linked_trace_ids)).where(_s.trace_id.in_(fresh)).distinct()
        found = set(await connection.scalars(rows))
    return known


async def _consequences(connection: ReadConnection, trace_id: str) -> set[str]:
    """Traces that link to this one, that link to those, and so on."""
    known: set[str] = set()
    found = {trace_id}
    for _ in range(LINK_STEPS_MAX):
        fresh = sorted(found - known)[: LINKED_TRACES_MAX - len(known)]
        if not fresh:
            break
        known.update(fresh)
        rows = select(_s.trace_id).where(_s.linked_trace_ids.overlap(literal(fresh, ARRAY(CODE)))).distinct()
        found = set(await connection.scalars(rows))
    return known


async def _spans_of(connection: ReadConnection, trace_ids: Collection[str], count_max: int) -> list[Span]:
    if not trace_ids or count_max <= 0:
        return []
    rows = select(spans).where(_s.trace_id.in_(trace_ids)).order_by(_s.begin_ns).limit(count_max)
    return [_span_of(row) for row in (await connection.execute(rows)).mappings()]


def _row_of(span: Span) -> dict[str, Any]:
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "begin_ns": span.begin_ns,
        "end_ns": span.end_ns,
        "is_error": span.is_error,
        "sku": span.sku,
        "body": _Body(dict(span.attributes), span.links),
        "linked_trace_ids": sorted({link.trace_id for link in span.links} - {span.trace_id}),
    }


def _span_of(row: RowMapping) -> Span:
    body = _decode_body(row["body"])
    return Span(
        row["trace_id"],
        row["span_id"],
        row["parent_span_id"],
        row["service"],
        row["name"],
        SpanKind(row["kind"]),
        row["begin_ns"],
        row["end_ns"],
        row["is_error"],
        row["sku"],
        body.attributes,
        body.links,
    )
