"""The review of a session as CSV: one table for each part, by file name; all in one zip for who downloads it.

Times are ISO 8601 in UTC, spans seconds, what is unknown empty. What people have written and a spreadsheet might take
for a formula gets an apostrophe before it (OWASP: CSV injection).
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.v1.operations_pb2 import Series, TimelineEntry
from gateway.v1.review_pb2 import Review, ReviewSku, ReviewWarning
from gateway.web.report_words import tier_code

# Spreadsheets take a file for UTF-8 only if it begins so.
BYTE_ORDER_MARK = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# A zip of equal content is to be an equal zip.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Cell = str | int | float | bool
Row = Sequence[Cell]


def report_tables(review: Review) -> dict[str, str]:
    """The tables, by file name."""
    return {
        "session.csv": _written(_SESSION, [_session(review)]),
        "skus.csv": _written(_SKUS, map(_sku, review.skus)),
        "series.csv": _written(_SERIES, _points(review)),
        "warnings.csv": _written(_WARNINGS, map(_warning, review.warnings)),
        "policies.csv": _written(_POLICIES, map(_policy, review.policies)),
        "channels.csv": _written(_CHANNELS, map(_channel, review.channels)),
        "happenings.csv": _written(_HAPPENINGS, map(_happening, review.happenings)),
        "advice.csv": _written(
            _ADVICE, [(one.kind, one.sku, one.channel, one.text, one.text_en) for one in review.advice]
        ),
    }


def report_zip(review: Review) -> bytes:
    """The tables in one file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in report_tables(review).items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), (BYTE_ORDER_MARK + text).encode())
    return packed.getvalue()


_SESSION = ("session_id", "room", "host", "channels", "begin_time", "end_time", "is_over", "revision", "alert_revision")
_SKUS = (
    *("sku", "title", "begin_available", "received", "adjusted", "sold", "unsold", "lost", "oversold"),
    *("stock_out_time", "out_for_seconds", "peak_per_minute"),
)
_SERIES = ("sku", "name", "channel", "time", "value")
_WARNINGS = (
    *("time", "sku", "tier", "revision", "before_stock_out_seconds", "lead_times", "needless", "acknowledged_by"),
    *("acknowledge_after_seconds", "act", "act_en", "act_after_seconds", "late_cost_units"),
)
_POLICIES = ("name", "title", "title_en", "warnings", "needless", "caught", "stock_outs", "minutes_before")
_CHANNELS = (
    *("channel", "sold", "pushes", "lag_p50_seconds", "lag_p99_seconds", "lag_max_seconds"),
    *("attempts_failed", "drifts"),
)
_HAPPENINGS = ("time", "revision", "actor", "text", "text_en")
# Columns that are called otherwise than their fields.
_FIELDS = {"peak_per_minute": "peak_rate"}
_ADVICE = ("kind", "sku", "channel", "text", "text_en")


def _session(review: Review) -> Row:
    session = review.session
    return (
        session.session_id,
        session.room,
        session.host,
        " ".join(session.channels),
        _time(review.begin_time),
        _time(review.end_time),
        session.HasField("close_time"),
        review.revision,
        review.alert_revision,
    )


def _sku(one: ReviewSku) -> Row:
    return tuple(_known(one, _FIELDS.get(name, name.removesuffix("_seconds"))) for name in _SKUS)


def _points(review: Review) -> Iterable[Row]:
    for sku in review.skus:
        for series in sku.series:
            yield from _series(sku.sku, series)
    for channel in review.channels:
        for row in _series("", channel.lag):
            yield (row[0], row[1], channel.channel, *row[3:])


def _series(sku: str, series: Series) -> Iterable[Row]:
    for point in series.points:
        yield sku, series.name, series.channel, _time(point.time), round(point.value, 4)


def _warning(one: ReviewWarning) -> Row:
    return tuple(
        tier_code(one.tier) if name == "tier" else _known(one, name.removesuffix("_seconds")) for name in _WARNINGS
    )


def _policy(one: Message) -> Row:
    return tuple(_known(one, name) for name in _POLICIES)


def _channel(one: Message) -> Row:
    return tuple(_known(one, name.removesuffix("_seconds")) for name in _CHANNELS)


def _happening(one: TimelineEntry) -> Row:
    return _time(one.record_time), one.row.id, one.actor, one.text, one.text_en


def _known(message: Message, name: str) -> Cell:
    """A field as a cell; empty if it says that it is not set."""
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.has_presence and not message.HasField(name):
        return ""
    value = getattr(message, name)
    match value:
        case Timestamp():
            return _time(value)
        case Duration():
            return value.ToMicroseconds() / 1e6
        case bool():
            return value
        case float():
            return round(value, 4)
        case int() | str():
            return value
    raise TypeError(name)


def _time(time: Timestamp) -> str:
    return time.ToJsonString()


def _written(header: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
