"""Spans of a connector's work, with `gateway.telemetry`: one rule for what is kept although it was not drawn.

Work that has failed, or was slow, is kept always, and so is the work that it was a part of. If its span was not
recorded, another one is made at its end, under the first one's name: so all are one tree.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from gateway import telemetry
from gateway.telemetry import Origin

SLOW_SECONDS = 1.0


_current: ContextVar["Work | None"] = ContextVar("current", default=None)


class Work:
    """Something that is being done, and its span."""

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        origin: Origin | None,
        attributes: Mapping[str, AttributeValue],
        slow_seconds: float,
    ) -> None:
        """Begun now: because of `origin`, or, without one, as a part of the work that is being done already."""
        self._name, self._kind, self._slow_seconds = name, kind, slow_seconds
        self._attributes = dict(attributes)
        self._begun_ns, self._begun = time.time_ns(), time.monotonic()
        self._error = ""
        self._has_kept_part = False
        self._whole = _current.get() if origin is None else None
        if origin is None:
            parent = trace.get_current_span().get_span_context()
            origin = Origin(parent, [], {}) if parent.is_valid else telemetry.NO_ORIGIN
        self._origin = origin
        self.span = telemetry.begin(name, origin=origin, kind=kind, attributes=attributes)

    @property
    def traceparent(self) -> str:
        """The span's name; "" if there is none. Once the work has failed it says that it is kept."""
        return telemetry.traceparent_of(self.span) or ""

    def tell(self, **attributes: AttributeValue) -> None:
        """Say more of it; `__` stands for the dot in a name."""
        named = {name.replace("__", "."): value for name, value in attributes.items()}
        self._attributes |= named
        self.span.set_attributes(named)

    def fail(self, error_type: str) -> None:
        """It came to nothing, for this reason: a class of errors or a code, no sentence."""
        self._error = error_type
        self.tell(error__type=error_type)

    def end(self) -> None:
        """It is over; once."""
        is_slow = time.monotonic() - self._begun > self._slow_seconds
        why = "error" if self._error else "slow" if is_slow else "part" if self._has_kept_part else ""
        if why and self._whole is not None:
            self._whole._has_kept_part = True  # noqa: SLF001 - another of our kind
        if why and telemetry.sampling.is_on and not self.span.is_recording():
            self.span = telemetry.record(
                self._name,
                self._begun_ns,
                why=why,
                origin=self._origin,
                kind=self._kind,
                attributes=self._attributes,
                instead_of=self.span,
            )
        if self._error:
            self.span.set_status(StatusCode.ERROR)
        self.span.end()


@contextmanager
def work(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    origin: Origin | None = None,
    slow_seconds: float = SLOW_SECONDS,
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Iterator[Work]:
    """Do something under a span of its own; what is raised out of it has failed.

    Without an `origin` it is a part of what is being done already. Not around a `yield`.
    """
    doing = Work(name, kind, origin, attributes or {}, slow_seconds)
    token = _current.set(doing)
    try:
        with trace.use_span(doing.span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield doing
    # Whatever it was, it is told and goes on.
    except Exception as error:
        doing.fail(type(error).__name__)
        raise
    finally:
        _current.reset(token)
        doing.end()
