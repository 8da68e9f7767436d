"""One merchant's traces: of which SKUs everything is traced now, and kept spans on their way into the database.

They are the gateway's own, and those that other processes hand in. Once in the database they are found again for an
hour.

Spans wait in memory for a second or two, no more than so many of them: when the database is away they are dropped and
counted in the log, never the work that they tell of.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AttributeValue

from gateway import metrics, telemetry
from gateway.domain.errors import GatewayError
from gateway.domain.spans import (
    ATTRIBUTES_MAX,
    LINKS_MAX,
    NAME_LENGTH_MAX,
    Span,
    SpanKind,
    SpanLink,
    TraceSummary,
    plain,
)
from gateway.store import spans as store
from gateway.store.database import MerchantDatabase
from gateway.store.traced_skus import read_traced_skus, trace_sku
from gateway.telemetry import KeptSpan

log = logging.getLogger(__name__)

# Whoever looks at a trace has just done what it tells of.
ROUND_SECONDS = 1.0
SPANS_WAITING_MAX = 5_000
SPANS_AT_ONCE = 500
MERCHANT = "stockgate.merchant"


class Tracing:
    """What is traced of one merchant, while `run` runs. `traced_skus`: calls that name one of these."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Trace what is drawn, until `run` has looked."""
        self.traced_skus: frozenset[str] = frozenset()
        self._database = database
        self._waiting: deque[KeptSpan | Span] = deque()
        self._writing = asyncio.Lock()
        self._dropped = 0

    async def run(self) -> None:
        """Go on until cancelled; then what waits is written still."""
        remove = telemetry.add_sink(self._take)
        try:
            while True:
                try:
                    await self.look()
                except GatewayError as error:
                    log.warning("spans wait", extra={"merchant": self._database.merchant, "error": str(error)})
                    metrics.loop_pauses.add(1, {"loop": "tracing"})
                await asyncio.sleep(ROUND_SECONDS)
        finally:
            remove()
            with suppress(GatewayError):
                await self._write()

    async def look(self) -> None:
        """Read what is to be traced, and write what was."""
        await self._write()
        async with self._database.statements() as connection:
            self.traced_skus = await read_traced_skus(connection, self._database)
        if self._dropped:
            log.warning(
                "spans were dropped, for too many waited",
                extra={"merchant": self._database.merchant, "dropped": self._dropped},
            )
            self._dropped = 0

    # ---- what callers ask

    def is_traced(self, skus: Iterable[str]) -> bool:
        """True if somebody wants all about one of these SKUs traced."""
        return bool(self.traced_skus) and not self.traced_skus.isdisjoint(skus)

    def hand_in(self, spans: Sequence[Span]) -> int:
        """Take spans of another process; returns how many found room."""
        # Whoever hands in very many leaves room for ours.
        room = max(0, SPANS_WAITING_MAX // 2 - len(self._waiting))
        self._waiting.extend(spans[:room])
        self._dropped += len(spans[room:])
        return len(spans[:room])

    async def trace(self, trace_id: str, *, with_linked: bool) -> list[Span]:
        """The spans of a trace that are kept, by begin; `with_linked`: also of those it came from, and came of it."""
        await self._write()
        async with self._database.transaction() as connection:
            return await store.read_trace(connection, trace_id, with_linked=with_linked)

    async def recent(self, *, sku: str, only_errors: bool, include_single: bool, count_max: int) -> list[TraceSummary]:
        """The newest traces; of those about `sku`, if it is not "", and with a failure, if that is asked.

        Those of one span that was fine are left out, unless `include_single`.
        """
        await self._write()
        async with self._database.transaction() as connection:
            return await store.list_traces(
                connection, sku=sku, only_errors=only_errors, include_single=include_single, count_max=count_max
            )

    async def trace_sku(self, sku: str, duration: timedelta) -> datetime:
        """Trace calls about a SKU for so long; returns until when. Every gateway hears of it within a second."""
        async with self._database.transaction() as connection:
            until = await trace_sku(connection, self._database, sku, duration)
            self.traced_skus = await read_traced_skus(connection, self._database)
        return until

    # ---- on their way

    async def _write(self) -> None:
        async with self._writing:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), SPANS_AT_ONCE))]
                ended = [one if isinstance(one, Span) else span_of(one) for one in batch]
                try:
                    async with self._database.transaction() as connection:
                        await store.save_spans(connection, self._database, ended)
                except GatewayError:
                    self._waiting.extendleft(reversed(batch[: SPANS_WAITING_MAX - len(self._waiting)]))
                    raise
                # Whatever is wrong with one of these, the next ones are not.
                except Exception:
                    log.exception("spans cannot be stored", extra={"merchant": self._database.merchant})

    def _take(self, spans: Sequence[KeptSpan]) -> None:
        """Called as they end, in whatever thread."""
        for span in spans:
            if (span.attributes or {}).get(MERCHANT) == self._database.merchant:
                if len(self._waiting) >= SPANS_WAITING_MAX:
                    self._dropped += 1
                else:
                    self._waiting.append(span)


def span_of(span: KeptSpan) -> Span:
    """A span of this process as it is kept."""
    context, attributes = span.get_span_context(), span.attributes or {}
    assert context is not None, "a span that has ended has its ids"
    sku = attributes.get("stockgate.sku")
    return Span(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        f"{span.parent.span_id:016x}" if span.parent else "",
        plain(str(span.resource.attributes.get("service.name", "")), NAME_LENGTH_MAX),
        plain(span.name, NAME_LENGTH_MAX),
        SpanKind(span.kind.value + 1),
        span.start_time or 0,
        span.end_time or 0,
        span.status.status_code is StatusCode.ERROR,
        plain(sku, NAME_LENGTH_MAX) if isinstance(sku, str) else None,
        {plain(name, NAME_LENGTH_MAX): said(value) for name, value in list(attributes.items())[:ATTRIBUTES_MAX]},
        tuple(
            SpanLink(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") for link in span.links[:LINKS_MAX]
        ),
    )


def said(value: AttributeValue) -> str:
    """An attribute's value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return plain(", ".join(map(str, value)))
    return plain(str(value))
