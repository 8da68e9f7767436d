"""What of a connector's work is kept although nobody drew it."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from connectors.errors import Rejected
from connectors.tracing import work
from gateway import telemetry
from gateway.telemetry import NO_ORIGIN
from tests.observability.kept import (
    SAMPLED,
    SPAN_ID,
    TRACE_ID,
    UNSAMPLED,
    Kept,
    links_of,
    parent_id_of,
    span_id_of,
    told,
    trace_id_of,
)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """The spans of a process in which none is drawn."""
    telemetry.configure("tests")
    monkeypatch.setattr(telemetry.sampling, "ratio", 0.0)
    found = Kept("nobody")
    remove = telemetry.add_sink(found.take)
    yield found
    remove()


def test_work_that_was_fine_is_not_kept(kept: Kept) -> None:
    """But it has a name, by which the gateway can speak of it."""
    with work("take order", origin=NO_ORIGIN) as doing:
        assert telemetry.current_traceparent() == doing.traceparent
    assert telemetry.parse(doing.traceparent)
    assert kept.spans == []


def test_work_that_failed_is_kept_with_the_work_it_was_a_part_of(kept: Kept) -> None:
    """In one tree, under the names by which all had been known, with what was told before and after."""
    with work("walk orders", origin=NO_ORIGIN) as whole:
        whole.tell(stockgate__orders=3)
        with work("POST /fine"):
            pass
        with suppress(Rejected), work("POST /bad", attributes={"stockgate.channel": "tb"}) as part:
            known_as = [doing.traceparent.split("-")[2] for doing in (part, whole)]
            part.tell(http__response__status_code=200)
            raise Rejected("no")
    bad, walk = kept.spans
    assert (bad.name, walk.name, trace_id_of(bad)) == ("POST /bad", "walk orders", trace_id_of(walk))
    assert (parent_id_of(bad), parent_id_of(walk)) == (span_id_of(walk), "")
    assert [span_id_of(bad), span_id_of(walk)] == known_as
    assert (told(bad)["stockgate.kept"], told(walk)["stockgate.kept"]) == ("error", "part")
    assert (told(bad)["error.type"], told(bad)["http.response.status_code"]) == ("Rejected", 200)
    assert (told(bad)["stockgate.channel"], told(walk)["stockgate.orders"]) == ("tb", 3)
    assert (bad.status.is_ok, walk.status.is_ok) == (False, True)
    assert part.traceparent.split("-")[1:3] == [trace_id_of(bad), span_id_of(bad)]


def test_work_that_was_slow_is_kept(kept: Kept) -> None:
    """From its begin on, not from when it was found out."""
    with work("read listings", origin=NO_ORIGIN, slow_seconds=0.0):
        pass
    (slow,) = kept.spans
    assert told(slow)["stockgate.kept"] == "slow"
    assert slow.start_time is not None
    assert slow.end_time is not None
    assert slow.start_time < slow.end_time


def test_work_that_failed_goes_on_from_what_caused_it(kept: Kept) -> None:
    """Its parent and its links are those that it had, though neither was kept."""
    origin = telemetry.origin_of([UNSAMPLED], is_fresh=True)
    with suppress(Rejected), work("process push", origin=origin) as doing:
        before = doing.traceparent
        raise Rejected("no")
    (push,) = kept.spans
    assert (trace_id_of(push), parent_id_of(push), links_of(push)) == (TRACE_ID, SPAN_ID, {SPAN_ID})
    assert doing.traceparent.split("-")[:3] == before.split("-")[:3]
    assert [telemetry.is_sampled(one) for one in (before, doing.traceparent)] == [False, True]


@pytest.mark.parametrize("is_fresh", [True, False])
def test_work_goes_on_from_what_caused_it(kept: Kept, is_fresh: bool) -> None:
    """A fresh cause is the parent too; an old one is linked alone. What was drawn there is drawn here."""
    for cause in (UNSAMPLED, SAMPLED):
        with work("process push", origin=telemetry.origin_of([cause], is_fresh=is_fresh)):
            pass
    (push,) = kept.spans
    assert links_of(push) == {SPAN_ID}
    assert (trace_id_of(push) == TRACE_ID, parent_id_of(push) == SPAN_ID) == (is_fresh, is_fresh)
    assert told(push)["stockgate.join"] == ("parent" if is_fresh else "link")
