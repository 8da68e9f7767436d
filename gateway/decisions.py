"""The spans of what the allocator decides: one for all pushes that answer the same movements, linked to those.

Every push has one, kept or not: its name goes to the connector with the push, and is in the push's row.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from msgspec.structs import replace
from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode
from opentelemetry.util.types import AttributeValue

from gateway import telemetry
from gateway.domain.causes import Cause
from gateway.domain.groups import Outcome
from gateway.domain.listings import Listing, Push, PushKind
from gateway.domain.selling import AnySelling, ListingChanged, PlanPush
from gateway.telemetry import JOIN_SECONDS, Origin

# A span has no room for more.
PUSHES_TOLD_MAX = 32


class Decisions:
    """The pushes of one look, from its beginning (ns since 1970) to their being saved.

    `planned`: the listings that got theirs, and of which kind. A context; what fails within is an error of all its
    spans.
    """

    def __init__(
        self,
        merchant: str,
        listings: Mapping[int, Listing],
        causes: Mapping[int, Cause],
        now: datetime,
        began_ns: int,
        is_traced: Callable[[Iterable[str]], bool],
    ) -> None:
        """Nothing is decided; `causes` are of listings. `is_traced`: somebody wants all about one of these traced."""
        self._is_traced = is_traced
        self.planned: dict[int, PushKind] = {}
        self._merchant = merchant
        self._listings = listings
        self._causes = causes
        self._now = now
        self._began_ns = began_ns
        self._spans: dict[Cause | tuple[str, ...], Span] = {}
        self._of: dict[int, Span] = {}
        self._why: dict[Span, tuple[Origin, dict[str, AttributeValue]]] = {}
        self._pushes: dict[Span, list[tuple[Listing, Push]]] = defaultdict(list)

    def sign(self, commands: Iterable[AnySelling]) -> list[AnySelling]:
        """The commands; those for pushes say what they answer, and by which span they are decided."""
        return [self._signed(command) if isinstance(command, PlanPush) else command for command in commands]

    def made(self, outcomes: Iterable[Outcome]) -> None:
        """This is what the writer has made of them."""
        for outcome in outcomes:
            if isinstance(outcome, ListingChanged) and outcome.changed:
                span, push = self._of.get(outcome.listing.listing_id), outcome.listing.state.push
                if span is not None and push is not None:
                    self.planned[outcome.listing.listing_id] = push.kind
                    self._pushes[span].append((outcome.listing, push))

    def current(self) -> AbstractContextManager[Any]:
        """While it lasts, what is written is part of the span of these pushes, if it is one for all."""
        if len(self._spans) != 1:
            return nullcontext()
        (span,) = self._spans.values()
        return trace.use_span(span, record_exception=False, set_status_on_exception=False)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all spans."""
        for begun in self._spans.values():
            span = self._failed(begun, error) if isinstance(error, Exception) else begun
            span.set_attributes(_told(self._pushes[begun][:PUSHES_TOLD_MAX]))
            span.end()

    def _signed(self, command: PlanPush) -> PlanPush:
        listing = self._listings[command.listing_id]
        cause = self._causes.get(command.listing_id)
        key = cause or tuple(one.sku for one in listing.components)
        span = self._spans.get(key)
        if span is None:
            span = self._spans[key] = self._begin(cause, listing)
        self._of[command.listing_id] = span
        named = replace(command, traceparent=telemetry.traceparent_of(span) or "")
        if cause is None:
            return named
        return replace(named, origin_revision=cause.revision, origin_time=cause.time)

    def _begin(self, cause: Cause | None, listing: Listing) -> Span:
        told: dict[str, AttributeValue] = {"stockgate.merchant": self._merchant}
        skus = [one.sku for one in listing.components]
        told |= {"stockgate.sku": skus[0]} if len(skus) == 1 else {"stockgate.skus": skus}
        origin = telemetry.NO_ORIGIN
        if cause is not None:
            told["stockgate.ledger_revision"] = cause.revision
            is_fresh = (self._now - cause.time).total_seconds() < JOIN_SECONDS
            origin = telemetry.origin_of(cause.traceparents, is_fresh=is_fresh)
        keep = self._is_traced(skus)
        span = telemetry.begin("allocate", origin=origin, attributes=told, keep=keep, start_ns=self._began_ns)
        self._why[span] = origin, told
        return span

    def _failed(self, begun: Span, error: Exception) -> Span:
        """The span with what went wrong; one that was not to be kept is kept then."""
        span, (origin, told) = begun, self._why[begun]
        if not begun.is_recording() and telemetry.sampling.is_on:
            span = telemetry.record(
                "allocate", self._began_ns, why="error", origin=origin, attributes=told, instead_of=begun
            )
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(StatusCode.ERROR)
        return span


def _told(pushes: Sequence[tuple[Listing, Push]]) -> dict[str, AttributeValue]:
    """What is told of the pushes of one span; place by place of the same push."""
    if len(pushes) == 1:
        ((listing, push),) = pushes
        return {
            "stockgate.channel": listing.channel,
            "stockgate.listing": listing.listing_id,
            "stockgate.push_id": push.push_id,
            "stockgate.push.kind": push.kind.name,
            "stockgate.push.sales": push.sales,
            "stockgate.quantity.exposure": listing.state.sales_left,
        }
    return {
        "stockgate.channels": [listing.channel for listing, _ in pushes],
        "stockgate.push_ids": [push.push_id for _, push in pushes],
        "stockgate.push.kinds": [push.kind.name for _, push in pushes],
        "stockgate.push.sales": [push.sales for _, push in pushes],
    }
