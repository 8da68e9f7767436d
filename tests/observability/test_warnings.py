"""What is measured of warnings: how soon they were told, read and taken on, and how well they foretold."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.calibration import Warned, brier
from gateway.domain.tiers import Tier
from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import AckAction, AlertEventKind
from gateway.v1.alert_pb2 import Tier as WireTier
from tests.client import Client
from tests.faults.calls import until
from tests.observability.conftest import value_of
from tests.rpc.alert_streams import AlertStream

WAIT_SECONDS = 30.0
NOW = datetime(2026, 11, 11, 20, tzinfo=UTC)
HORIZON = 600.0


@pytest.fixture
async def stream(client: Client) -> AsyncIterator[AlertStream]:
    """Tier changes of a merchant who has 10 teas, and is warned at 5."""
    await client.add_sku("tea", 10)
    policy = {"fixed_line": 5}
    await client.tell(client.alerts.SetAlertPolicy, pb.SetAlertPolicyRequest, actor="li", policy=policy)
    found = AlertStream(client, live_only={}, filter={"min_tier": WireTier.TIER_THRESHOLD, "skus": ["tea"]})
    await found.created()
    yield found
    found.cancel()


async def test_a_warning_is_counted_with_how_soon_it_was_told(
    client: Client, stream: AlertStream, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each rise of a tier counts once with its latency, and is an event; so does who takes it on."""
    merchant = token.partition(".")[0]
    caplog.set_level(logging.INFO, "gateway.alerts")
    await client.reserve("tea", 6)
    async with asyncio.timeout(WAIT_SECONDS):
        while (event := await stream.event()).kind != AlertEventKind.ALERT_EVENT_KIND_TIER_CHANGE:
            pass

    async def is_counted() -> bool:
        return value_of("stockgate_alert_transitions_total", merchant=merchant, tier="THRESHOLD", direction="up") == 1

    await until(is_counted, WAIT_SECONDS)
    assert value_of("stockgate_alert_detect_latency_seconds_count", merchant=merchant) == 1
    assert value_of("stockgate_alert_detect_latency_seconds_sum", merchant=merchant) < WAIT_SECONDS
    lines = [vars(one) for one in caplog.records if getattr(one, "event", "") == "stockgate.alert.transition"]
    mine = [one for one in lines if (one["merchant"], one["tier"]) == (merchant, "THRESHOLD")]
    assert [(one["sku"], one["tier_before"], one["alert_revision"]) for one in mine] == [
        ("tea", "NORMAL", event.revision)
    ]
    content = {"sku": "tea", "episode": event.episode, "tier": WireTier.TIER_THRESHOLD, "actor": "li"}
    action = AckAction.ACK_ACTION_WATCH
    await client.tell(client.alerts.Acknowledge, pb.AcknowledgeRequest, **content, action=action)
    assert value_of("stockgate_ack_latency_seconds_count", merchant=merchant, tier="THRESHOLD") == 1


def warned(minute: float, tier: Tier, chance: float = 0.8, sku: str = "tea") -> Warned:
    """A warning, so many minutes before now."""
    return Warned((sku, 0), NOW - timedelta(minutes=minute), tier, chance, HORIZON)


def test_the_score_is_the_square_of_what_was_said_less_what_came() -> None:
    """Sold out within the time that was meant is 1, later or not at all 0; each tier by itself, 0 is best."""
    came = [warned(30, Tier.THRESHOLD, 0.8), warned(25, Tier.URGENT, 1.0), warned(24, Tier.SOLD_OUT)]
    assert brier(came, NOW) == {Tier.THRESHOLD: pytest.approx(0.04), Tier.URGENT: 0.0}
    late = [warned(30, Tier.THRESHOLD, 0.8), warned(15, Tier.SOLD_OUT)]
    assert brier(late, NOW) == {Tier.THRESHOLD: pytest.approx(0.64)}
    other = [warned(30, Tier.THRESHOLD, 0.5), warned(25, Tier.SOLD_OUT, sku="mug")]
    assert brier(other, NOW) == {Tier.THRESHOLD: 0.25}


def test_what_is_not_known_yet_is_not_scored() -> None:
    """A warning whose time has not passed counts only once it came true; without any there is no score."""
    assert brier([warned(5, Tier.THRESHOLD)], NOW) == {}
    assert brier([warned(5, Tier.THRESHOLD, 1.0), warned(1, Tier.SOLD_OUT)], NOW) == {Tier.THRESHOLD: 0.0}
    assert brier([warned(30, Tier.TREND), warned(20, Tier.SOLD_OUT)], NOW) == {}
