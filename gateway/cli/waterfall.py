"""A trace as a picture: what came of what, line under line, and when each took its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

from rich import box
from rich.table import Table
from rich.text import Text

from gateway.v1 import operations_pb2

SERVICE_PREFIX = "stockgate-"
BAR_COLUMNS = 28
NAME_COLUMNS_MAX = 64
# From here on milliseconds are noise.
SECONDS_FROM_NS = 10 * 10**9
# What says most about a span beside its name, in this order; the rest is in --json.
DETAILS = (
    "error.type",
    "stockgate.platform.error_code",
    "http.response.status_code",
    "rpc.response.status_code",
    "stockgate.channel",
    "stockgate.sku",
    "stockgate.listing",
    "stockgate.push.kind",
    "stockgate.push.sales",
    "stockgate.push.result",
)
# Said of nearly every span: no news.
FINE = {"OK", "200", "APPLIED"}
# A trace's and a span's id: the second alone is not unique.
SpanId = tuple[str, str]


@dataclass(frozen=True)
class Line:
    """A span, how far it is indented, and whether it goes on from another trace."""

    span: operations_pb2.Span
    depth: int
    is_linked: bool


def lines(spans: Sequence[operations_pb2.Span]) -> list[Line]:
    """Every span once, under its parent if that is known, else under the first span that it links to."""
    known = {_id(span.trace_id, span.span_id): span for span in spans}
    below: dict[SpanId | None, list[Line]] = {}
    for span in sorted(spans, key=lambda span: span.begin_time.ToNanoseconds()):
        above = _above(span, known)
        is_linked = above is not None and above != _id(span.trace_id, span.parent_span_id)
        below.setdefault(above, []).append(Line(span, 0, is_linked))
    found = list(_walk(below))
    seen = {id(line.span) for line in found}
    # Spans that are above each other, whoever says so, are under nobody.
    return [*found, *(Line(span, 0, is_linked=False) for span in spans if id(span) not in seen)]


def picture(spans: Sequence[operations_pb2.Span]) -> Table:
    """The waterfall, as a table."""
    begin_ns = min(span.begin_time.ToNanoseconds() for span in spans)
    whole_ns = max(1, max(_end_ns(span) for span in spans) - begin_ns)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("process", "what", "when", "detail"):
        table.add_column(title, overflow="fold" if title == "detail" else "ellipsis", no_wrap=title != "detail")
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    for line in lines(spans):
        span, colour = line.span, "red" if line.span.error else ""
        offset_ns = span.begin_time.ToNanoseconds() - begin_ns
        table.add_row(
            Text(span.service.removeprefix(SERVICE_PREFIX), style="dim"),
            _name(line),
            _bar(offset_ns / whole_ns, span.duration.ToNanoseconds() / whole_ns, colour or "cyan"),
            Text(_detail(span), style=colour or "dim"),
            Text(milliseconds(offset_ns), style="dim"),
            Text(milliseconds(span.duration.ToNanoseconds()), style=colour),
        )
    return table


def heading(spans: Sequence[operations_pb2.Span], trace_id: str) -> Text:
    """Which trace, how many spans of how many traces, when, and how much of it has failed."""
    first = min(spans, key=lambda span: span.begin_time.ToNanoseconds())
    traces = {span.trace_id for span in spans}
    whole_ns = max(_end_ns(span) for span in spans) - first.begin_time.ToNanoseconds()
    failed = sum(span.error for span in spans)
    head = Text(trace_id, style="bold")
    linked = f" ({len(traces) - 1} linked)" if len(traces) > 1 else ""
    moment = first.begin_time.ToDatetime(UTC).astimezone()
    head.append(f"  {len(spans)} spans, {len(traces)} traces{linked}, {milliseconds(whole_ns)}  ", style="")
    head.append(f"{moment:%Y-%m-%d %H:%M:%S.%f %Z}", style="dim")
    if failed:
        head.append(f"  {failed} failed", style="bold red")
    return head


def milliseconds(nanoseconds: int) -> str:
    """A length of time, in as many digits as matter."""
    return f"{nanoseconds / 1e9:,.2f} s" if nanoseconds >= SECONDS_FROM_NS else f"{nanoseconds / 1e6:,.1f} ms"


def _id(trace_id: str, span_id: str) -> SpanId:
    return trace_id, span_id


def _above(span: operations_pb2.Span, known: dict[SpanId, operations_pb2.Span]) -> SpanId | None:
    parent = _id(span.trace_id, span.parent_span_id)
    if parent in known and known[parent] is not span:
        return parent
    linked = (_id(link.trace_id, link.span_id) for link in span.links if link.trace_id != span.trace_id)
    return next((other for other in linked if other in known), None)


def _walk(below: dict[SpanId | None, list[Line]]) -> Iterator[Line]:
    """Without recursion: a trace is as deep as whoever sent it made it."""
    waiting = [(line, 0) for line in reversed(below.pop(None, []))]
    while waiting:
        line, depth = waiting.pop()
        yield Line(line.span, depth, line.is_linked)
        under = below.pop(_id(line.span.trace_id, line.span.span_id), [])
        waiting += [(each, depth + 1) for each in reversed(under)]


def _name(line: Line) -> Text:
    text = Text("  " * min(line.depth, 20))
    text.append("↪ " if line.is_linked else "", style="magenta")
    text.append(_short(line.span.name), style="bold red" if line.span.error else "")
    text.append(" failed" if line.span.error else "", style="bold red")
    text.truncate(NAME_COLUMNS_MAX, overflow="ellipsis")
    return text


def _short(name: str) -> str:
    """An RPC's name without the package that all of ours have."""
    return name.removeprefix("gateway.v1.")


def _detail(span: operations_pb2.Span) -> str:
    said = [span.attributes[name] for name in DETAILS if name in span.attributes]
    return " ".join(dict.fromkeys(word for word in said if word not in FINE))


def _bar(offset: float, share: float, colour: str) -> Text:
    start = min(int(offset * BAR_COLUMNS), BAR_COLUMNS - 1)
    length = max(1, min(round(share * BAR_COLUMNS), BAR_COLUMNS - start))
    return Text("·" * start + "█" * length + "·" * (BAR_COLUMNS - start - length), style=colour)


def _end_ns(span: operations_pb2.Span) -> int:
    return int(span.begin_time.ToNanoseconds() + span.duration.ToNanoseconds())
