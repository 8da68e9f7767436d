"""OperationsService.ExplainListing."""

from datetime import datetime

from gateway.domain.errors import InvalidArgument
from gateway.domain.explanation.said import Decider, Explanation
from gateway.explaining import Question
from gateway.rpc import parsing, rendering
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb


async def explain_listing(call: Call, request: pb.ExplainListingRequest) -> pb.ExplainListingResponse:
    """Say why a listing shows what it shows."""
    found, as_of = await call.merchant.explaining.explain(_question(request))
    response = pb.ExplainListingResponse()
    for one in found:
        fill_explanation(response.explanations.add(), one, as_of)
    return response


def _question(r: pb.ExplainListingRequest) -> Question:
    if r.listing_id < 0:
        raise InvalidArgument(f"listing_id is {r.listing_id}; it must be 0 or more", field="listing_id")
    is_any = r.listing_id == 0
    sku = parsing.code(r.sku, "sku") if r.sku or is_any else ""
    channel = parsing.code(r.channel, "channel") if r.channel or is_any else ""
    return Question(sku, channel, r.listing_id, parsing.time_of(r, "at"))


def fill_explanation(m: operations_pb2.Explanation, explanation: Explanation, as_of: datetime) -> None:
    """Fill an explanation."""
    rendering.fill_listing(m.listing, explanation.listing, as_of)
    m.sku = explanation.sku
    m.as_of.CopyFrom(rendering.timestamp(explanation.as_of))
    m.revision = explanation.revision
    m.available = explanation.available
    if explanation.wanted is not None:
        m.wanted = explanation.wanted
    m.verdict = operations_pb2.ExplanationVerdict.ValueType(explanation.verdict)
    m.cause = operations_pb2.DeciderKind.ValueType(explanation.cause or 0)
    m.headline, m.headline_en = explanation.headline.zh, explanation.headline.en
    for one in explanation.deciders:
        _fill_decider(m.deciders.add(), one)


def _fill_decider(m: operations_pb2.Decider, decider: Decider) -> None:
    m.kind = operations_pb2.DeciderKind.ValueType(decider.kind)
    m.verdict = operations_pb2.DeciderVerdict.ValueType(decider.verdict)
    for name in ("text", "next", "action"):
        said = getattr(decider, name)
        setattr(m, name, said.zh)
        setattr(m, f"{name}_en", said.en)
    for name in ("since", "next_time"):
        if (when := getattr(decider, name)) is not None:
            getattr(m, name).CopyFrom(rendering.timestamp(when))
    for one in decider.evidence:
        m.evidence.add(kind=one.kind, id=one.id)
    m.trace_id = rendering.trace_id(decider.traceparent)


METHODS: dict[str, Unary | Streaming] = {"ExplainListing": explain_listing}
