"""Calls that outlast a gateway that is away, and happen once all the same."""

import itertools
from datetime import UTC, datetime

import grpc
import pytest

from gateway.client import GatewayAway, GatewayRefused, ResumePoint
from gateway.client.backoff import FIRST_SECONDS, LONGEST_SECONDS, Backoff
from gateway.v1 import alert_pb2
from tests.sdk.scripted import Refusal, Script, alerts_of, live_of

AWAY = Refusal(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", retry_ms=100)


async def test_a_mutation_keeps_its_id() -> None:
    """However often it is sent, it is the same request; and it waits as long as the gateway asks."""
    script = Script()
    script.answers = [AWAY, Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED), None]
    async with alerts_of(script) as alerts:
        response = await alerts.acknowledge(
            "TEA",
            episode=3,
            tier=alert_pb2.TIER_URGENT,
            actor="li",
            action=alert_pb2.ACK_ACTION_REPLENISH,
            quantity=200,
            arrive_time=datetime(2026, 11, 11, 20, 15, tzinfo=UTC),
        )
    assert response.revision == 5
    assert len(script.asked) == 3
    first = script.asked[0]
    assert first.request_id
    assert script.asked[1:] == [first, first]
    assert (first.quantity, first.arrive_time.ToDatetime(UTC).minute) == (200, 15)
    waits = [later - earlier for earlier, later in itertools.pairwise(script.times)]
    assert waits[0] >= 0.1


async def test_patience_ends() -> None:
    """Then the caller hears that it may have happened, and with which id to ask again."""
    script = Script()
    script.answers = [AWAY] * 100
    async with alerts_of(script, patience_seconds=0.3) as alerts:
        with pytest.raises(GatewayAway, match="SHUTTING_DOWN") as away:
            await alerts.acknowledge(
                "TEA",
                episode=1,
                tier=alert_pb2.TIER_TREND,
                actor="li",
                action=alert_pb2.ACK_ACTION_WATCH,
                request_id="mine",
            )
    assert (away.value.request_id, away.value.retry_after_seconds) == ("mine", 0.1)
    assert {request.request_id for request in script.asked} == {"mine"}


async def test_a_call_has_a_deadline() -> None:
    """A gateway that does not answer is as good as away."""
    script = Script()
    script.delay_seconds = 30.0
    async with alerts_of(script, deadline_seconds=0.1, patience_seconds=0.2) as alerts:
        with pytest.raises(GatewayAway, match="DEADLINE_EXCEEDED"):
            await alerts.cursor("night-shift")


async def test_a_refusal_is_not_repeated() -> None:
    """It comes with its reason and its facts."""
    script = Script()
    script.answers = [Refusal(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_ACKNOWLEDGED", by="wang")]
    async with alerts_of(script) as alerts:
        with pytest.raises(GatewayRefused) as refused:
            await alerts.acknowledge(
                "TEA", episode=1, tier=alert_pb2.TIER_TREND, actor="li", action=alert_pb2.ACK_ACTION_WATCH
            )
    assert (refused.value.reason, refused.value.metadata) == ("ALREADY_ACKNOWLEDGED", {"by": "wang"})
    assert "shop.secret" not in str(refused.value)
    assert len(script.asked) == 1


async def test_a_line_is_taken_once() -> None:
    """It has no request id: a second try would take a second line."""
    script = Script()
    script.answers = [AWAY]
    async with live_of(script) as live:
        with pytest.raises(GatewayAway):
            await live.take_line(7, "TEA", "STOCK")
    assert len(script.asked) == 1


async def test_a_time_names_its_zone() -> None:
    """One that does not could mean any."""
    async with alerts_of(Script()) as alerts:
        with pytest.raises(ValueError, match="without a zone"):
            await alerts.announce_incoming("TEA", 5, arrive_time=datetime(2026, 11, 11, 8, 0), actor="li")  # noqa: DTZ001 - that is the mistake


def test_waits_grow_and_end() -> None:
    """Full jitter: anything from nothing to 0.2 s, doubled with each failure, 5 s at most; reset begins anew."""
    backoff = Backoff()
    longest = [FIRST_SECONDS * 2**failures for failures in range(5)] + [LONGEST_SECONDS] * 200
    waits = [backoff.next_seconds() for _ in longest]
    assert all(0.0 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert max(waits) > LONGEST_SECONDS * 0.8
    assert min(waits[5:]) < LONGEST_SECONDS * 0.2
    backoff.reset()
    assert backoff.next_seconds(2.0) <= 2.0 + FIRST_SECONDS


def test_a_point_is_written_and_read() -> None:
    """As one word; what is none is refused."""
    point = ResumePoint(1234, "a-b-c")
    assert ResumePoint.parse(str(point)) == point
    for wrong in ("", "12", "@epoch", "-1@epoch", "1.5@epoch", "12@"):
        with pytest.raises(ValueError, match="no resume point"):
            ResumePoint.parse(wrong)
