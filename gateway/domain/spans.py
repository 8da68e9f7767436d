"""Spans of traces, as they are kept for an hour: what took how long, and because of what."""

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct

TEXT_LENGTH_MAX = 1_000
NAME_LENGTH_MAX = 200
ATTRIBUTES_MAX = 64
LINKS_MAX = 128


class SpanKind(IntEnum):
    """The side of a call that a span is of. The numbers are stored, and those of OTLP."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class SpanLink(Struct, frozen=True, array_like=True):
    """A span of another trace; ids in hex."""

    trace_id: str
    span_id: str


class Span(Struct, frozen=True):
    """One span. Ids in small hex digits, `parent_span_id` "" of a root; times in nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_span_id: str
    service: str
    name: str
    kind: SpanKind
    begin_ns: int
    end_ns: int
    is_error: bool
    sku: str | None
    attributes: Mapping[str, str]
    links: tuple[SpanLink, ...] = ()


class TraceSummary(Struct, frozen=True):
    """A trace in one line: the name and process of its root, or of the earliest span that is known."""

    trace_id: str
    name: str
    service: str
    begin_ns: int
    end_ns: int
    spans: int
    is_error: bool


def plain(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """A text that any database and screen takes: no control characters, no broken letters, not too long."""
    kept = text[:length_max]
    if kept.isprintable():
        return kept
    return "".join(letter if letter.isprintable() else " " for letter in kept)
