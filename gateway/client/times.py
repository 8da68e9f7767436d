"""Times of callers as they go over the wire."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def stamp(moment: datetime | None) -> Timestamp | None:
    """An aware time; None stays absent. Raises `ValueError` for a time that names no zone: it could mean any."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("a time without a zone; say datetime.now(UTC) or datetime(..., tzinfo=...)")
    written = Timestamp()
    written.FromDatetime(moment)
    return written
