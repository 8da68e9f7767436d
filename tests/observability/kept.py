"""Spans that were kept in this process, to be looked at."""

import asyncio
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan

from tests.client import Client

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# A caller who is traced, and one who is not.
SAMPLED, UNSAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01", f"00-{TRACE_ID}-{SPAN_ID}-00"
WAIT_SECONDS = 30.0


class Kept:
    """The spans of one merchant, or of nobody's, since the test began."""

    def __init__(self, merchant: str) -> None:
        self.spans: list[ReadableSpan] = []
        self._merchant = merchant
        self._more = asyncio.Event()

    def take(self, spans: Sequence[ReadableSpan]) -> None:
        """A sink."""
        whose = self._merchant
        self.spans += [one for one in spans if (one.attributes or {}).get("stockgate.merchant", whose) == whose]
        self._more.set()

    def named(self, end: str) -> list[ReadableSpan]:
        """Those whose name ends so, oldest first."""
        return [one for one in self.spans if one.name.endswith(end)]

    def one(self, end: str) -> ReadableSpan:
        """The only one whose name ends so."""
        (found,) = self.named(end)
        return found

    async def wait(self, end: str, count: int = 1) -> list[ReadableSpan]:
        """Those whose name ends so, once there are so many."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.named(end)) < count:
                self._more.clear()
                await self._more.wait()
        return self.named(end)


def told(span: ReadableSpan) -> dict[str, object]:
    """Its attributes."""
    return dict(span.attributes or {})


def trace_id_of(span: ReadableSpan) -> str:
    """Its trace's id."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}"


def span_id_of(span: ReadableSpan) -> str:
    """Its id."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.span_id:016x}"


def parent_id_of(span: ReadableSpan) -> str:
    """Its parent's id; "" if it has none."""
    return f"{span.parent.span_id:016x}" if span.parent else ""


def links_of(span: ReadableSpan) -> set[str]:
    """The ids of the spans it links to."""
    return {f"{link.context.span_id:016x}" for link in span.links}


def traced(client: Client, traceparent: str = SAMPLED) -> Client:
    """The same client, called by somebody with this span."""
    caller = Client(client.channel, "")
    metadata = (*client.options["metadata"], ("traceparent", traceparent))
    caller.options = {**client.options, "metadata": metadata}
    return caller
