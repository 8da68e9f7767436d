"""A snapshot of WatchTierChanges: where everything that was asked for stands, and what follows fits it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.domain.tiers import Tier
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1 import alert_pb2
from gateway.v1 import alert_service_pb2 as pb
from tests.alerts.counter import OTHER, SKU, Counter, counter_of
from tests.client import Client
from tests.rpc.alert_streams import AlertStream, alerts, stop_engines


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the test appends."""
    stop_engines(monkeypatch)


@pytest.fixture
async def counter(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Counter]:
    """A merchant with two SKUs, one of which is URGENT and sold in a session."""
    async with counter_of(settings, token, clock) as found:
        await found.stock(SKU, OTHER)
        await found.stand(Tier.URGENT)
        await found.stand(Tier.NORMAL, sku=OTHER)
        yield found


async def snapshot(stream: AlertStream) -> tuple[list[pb.TierState], int]:
    """The items of a snapshot, and its revision, which is also that of the progress after it."""
    await stream.created()
    items: list[pb.TierState] = []
    while (message := await stream.read()).WhichOneof("message") == "snapshot_item":
        items.append(message.snapshot_item)
    assert message.WhichOneof("message") == "snapshot_end", message
    assert await stream.progress() == message.snapshot_end.revision
    return items, message.snapshot_end.revision


async def test_a_snapshot_is_where_everything_stands(client: Client, counter: Counter) -> None:
    """Each key once, with its tier, its numbers and who sells it; the events that follow come after its revision."""
    session_id = await counter.open_session(SKU)
    async with alerts(client) as stream:
        items, revision = await snapshot(stream)
        found = {item.sku: item for item in items}
        assert len(items) == len(found) == 2
        assert (found[SKU].tier, found[OTHER].tier) == (alert_pb2.TIER_URGENT, alert_pb2.TIER_NORMAL)
        assert list(found[SKU].channels) == ["dy"]
        assert list(found[SKU].session_ids) == [session_id]
        assert revision == session_id
        await counter.open_session(OTHER)
        assert (await stream.event()).revision == revision + 1


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        ({}, {SKU, OTHER}),
        ({"skus": [OTHER, "none"]}, {OTHER}),
        ({"min_tier": alert_pb2.TIER_THRESHOLD}, {SKU}),
        ({"channels": ["dy"]}, {SKU, OTHER}),
        ({"channels": ["tb"]}, set()),
        ({"session_ids": [1]}, {SKU}),
        ({"session_ids": [9]}, set()),
        ({"kinds": [alert_pb2.ALERT_EVENT_KIND_TIER_CHANGE]}, {SKU, OTHER}),
        ({"kinds": [alert_pb2.ALERT_EVENT_KIND_SILENCED]}, set()),
    ],
)
async def test_a_snapshot_keeps_to_the_filter(
    client: Client, counter: Counter, asked: dict[str, Any], codes: set[str]
) -> None:
    """What the stream will not tell of, its snapshot does not show; and it ends even if it is empty."""
    assert await counter.open_session(SKU) == 1
    async with alerts(client, filter=asked) as stream:
        items, revision = await snapshot(stream)
    assert ({item.sku for item in items}, revision) == (codes, 1)
