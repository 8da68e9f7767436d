"""How an explanation is rendered."""

from datetime import UTC, datetime

import pytest

from gateway.domain.explanation.said import (
    Decider,
    DeciderKind,
    Explanation,
    ExplanationVerdict,
    Said,
)
from gateway.domain.listings import Component, Listing
from gateway.rpc.explanations import fill_explanation
from gateway.v1 import operations_pb2

NOW = datetime(2026, 11, 11, 12, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(("flags", "trace_id"), [("01", TRACE), ("00", "")])
def test_only_a_trace_that_is_kept_is_named(flags: str, trace_id: str) -> None:
    """Every push knows its span, and nine of ten are not kept: a link to one of those would lead nowhere."""
    said = Decider(DeciderKind.PUSH, Said("改动", "push"), traceparent=f"00-{TRACE}-b7ad6b7169203331-{flags}")
    listing = Listing(1, "tb", "I1", "", (Component("CUP", 1),))
    verdict = ExplanationVerdict.IN_STEP
    message = operations_pb2.Explanation()
    fill_explanation(message, Explanation(listing, "CUP", NOW, 1, 2, 2, verdict, None, Said(), (said,)), NOW)
    assert [one.trace_id for one in message.deciders] == [trace_id]
