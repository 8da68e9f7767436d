"""LiveService: the review of a session, and accepting what it advises."""

import asyncio
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from msgspec import Struct

from gateway.advising import Accept
from gateway.domain.review.values import Happening, Review
from gateway.rpc import live_parsing, parsing
from gateway.rpc.alert_rendering import fill, fill_event
from gateway.rpc.rendering import timestamp
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import live_service_pb2 as pb
from gateway.v1 import operations_pb2
from gateway.v1.operations_pb2 import TimelineKind


async def get_review(call: Call, request: pb.GetReviewRequest) -> pb.GetReviewResponse:
    """What happened in a session, what it cost, and what to change."""
    session_id = live_parsing.session_id(request.session_id)
    review = await call.merchant.reviewing.review(session_id)
    response = pb.GetReviewResponse()
    for advice, value in await call.merchant.advising.values(review.advice):
        response.settings.add(kind=advice.kind, sku=advice.sku, value=value)
    # Tens of thousands of points: other calls are not to wait for them.
    await asyncio.to_thread(fill_review, response.review, review)
    return response


async def accept_advice(call: Call, request: pb.AcceptAdviceRequest) -> pb.AcceptAdviceResponse:
    """Do what a review advises."""
    asked = Accept(
        parsing.request_id(request.request_id),
        live_parsing.session_id(request.session_id),
        parsing.code(request.kind, "kind"),
        parsing.code(request.sku, "sku"),
        live_parsing.name(request.actor, "actor"),
    )
    response = pb.AcceptAdviceResponse()
    _fill(response.change, await call.merchant.advising.accept(asked))
    return response


def fill_review(m: Any, review: Review) -> None:
    """Fill a review."""
    fill(m.session, review.session)
    for happening in review.happenings:
        _fill_happening(m.happenings.add(), happening)
    _fill(m, review, without=("session", "happenings"))


def _fill(m: Any, value: Struct, without: tuple[str, ...] = ()) -> None:
    """Fill a message from a value whose fields have the same names; None stays absent."""
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if name in without or field is None:
            continue
        match field:
            case datetime():
                getattr(m, name).CopyFrom(timestamp(field))
            case timedelta():
                getattr(m, name).FromTimedelta(field)
            case str() | IntEnum() | int() | float():
                setattr(m, name, field)
            case tuple():
                for one in field:
                    _fill(getattr(m, name).add(), one)
            case _:
                getattr(m, name).SetInParent()
                _fill(getattr(m, name), field)


def _fill_happening(m: operations_pb2.TimelineEntry, happening: Happening) -> None:
    event = happening.event
    m.record_time.CopyFrom(timestamp(event.record_time))
    m.kind = TimelineKind.TIMELINE_KIND_PERSON if happening.actor else TimelineKind.TIMELINE_KIND_EVENT
    m.row.kind, m.row.id = "event", str(event.revision)
    m.text, m.text_en, m.actor = happening.text, happening.text_en, happening.actor
    # A session's own events hold all that it sells.
    if event.sku:
        fill_event(m.event, event)


METHODS: dict[str, Unary | Streaming] = {"GetReview": get_review, "AcceptAdvice": accept_advice}
