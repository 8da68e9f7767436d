"""How channels and readers keep up: what ListChannelHealth and ListStreams say, and what the gauges and counters do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway import health
from gateway.domain.errors import DatabaseUnavailable
from gateway.settings import Settings
from gateway.store import health as store
from gateway.store.database import Clock
from gateway.v1 import alert_service_pb2 as alerts_pb
from gateway.v1 import channel_service_pb2 as selling
from gateway.v1 import operations_service_pb2 as pb
from gateway.v1.operations_pb2 import AttemptOutcome, ChannelHealth, StreamState
from tests.alerts.reading import Log, log_of, trend
from tests.client import Client
from tests.faults.calls import until
from tests.observability.conftest import samples, value_of
from tests.refusals import refused
from tests.rpc.alert_streams import AlertStream, stop_engines
from tests.rpc.played_shop import NOT_SENT, PAID, REFUSED, UNKNOWN, Shop, Watch, order

WAIT_SECONDS = 30.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gauges are read all the time."""
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(health, "SLOW_LOOK_SECONDS", 0.02)


@pytest.fixture
async def shop(client: Client) -> Shop:
    """A shop that has CUP, 10 on hand, on sale, and shows nothing yet; nobody serves it."""
    await client.add_sku("CUP", 10)
    played = Shop(client)
    await played.open()
    await played.link(("CUP", 1))
    return played


async def channel_health(client: Client) -> ChannelHealth:
    """Of the one channel there is."""
    found = await client.ask(client.operations.ListChannelHealth, pb.ListChannelHealthRequest)
    assert found.as_of.ToDatetime(UTC) <= datetime.now(UTC)
    (only,) = found.channels
    return only


async def streams(client: Client) -> pb.ListStreamsResponse:
    """Who reads the alert log."""
    return await client.ask(client.operations.ListStreams, pb.ListStreamsRequest)


async def stream_of(client: Client, name: str) -> StreamState:
    """One of them."""
    return next(one for one in (await streams(client)).streams if one.subscriber_id == name)


async def gauge(name: str, wanted: float, **labels: str) -> None:
    """Wait until a gauge has this value."""

    async def has() -> bool:
        return value_of(name, **labels) == wanted

    try:
        await until(has, WAIT_SECONDS)
    except TimeoutError:
        raise AssertionError([one for one in samples() if one.name == name]) from None


# ---- channels


async def test_a_channel_in_step_is_healthy(shop: Shop, client: Client, token: str) -> None:
    """After a sale was answered: its lag is told, nothing waits, and the lag is counted with its channel."""
    merchant = token.partition(".")[0]
    async with shop.serving():
        await shop.wait_shown(L1=10)
        await client.receive("CUP", 5)
        await shop.wait_shown(L1=15)
    found = await channel_health(client)
    assert found.channel.channel == "tb"
    assert found.pushes == 2
    assert 0 < found.lag_p50.ToTimedelta().total_seconds() <= found.lag_p99.ToTimedelta().total_seconds() < 10
    assert (found.pushes_open, found.parked, found.drifts, found.attempts_failed) == (0, 0, 0, 0)
    assert not found.HasField("oldest_push_time")
    assert found.watermark_age.ToTimedelta().total_seconds() > 3600
    labels = {"merchant": merchant, "channel": "tb"}
    # The first push answers no movement: the units were there before the listing was.
    await gauge("stockgate_sync_lag_seconds_count", 1, **labels)
    await gauge("stockgate_notes_depth", 0, **labels, consumer="pushes")
    await gauge("stockgate_breaker_state", 0, **labels)
    await gauge("stockgate_channel_paused", 0, **labels)


@pytest.mark.parametrize("how", ["not sent", "read back"])
async def test_an_outage_of_a_minute_is_a_lag_of_a_minute(
    shop: Shop, client: Client, token: str, clock: Clock, how: str
) -> None:
    """Pushes that come to nothing answer nothing: the one that does is as late as its oldest movement.

    Nothing else that moves meanwhile makes it younger.
    """
    labels = {"merchant": token.partition(".")[0], "channel": "tb"}
    async with shop.serving():
        await shop.wait_shown(L1=10)
    async with shop.watching() as watch:
        await watch.current()
        await client.receive("CUP", 5)
        for _ in range(3):
            await _fail(shop, watch, how)
            clock.offset += timedelta(seconds=20)
            await shop.beat()
            await client.receive("CUP", 1)
        await _settled(shop, watch, 18)

    async def is_late() -> bool:
        return value_of("stockgate_sync_lag_seconds_sum", **labels) >= 60

    await until(is_late, WAIT_SECONDS)
    (found,) = (await client.ask(client.operations.ListChannelHealth, pb.ListChannelHealthRequest)).channels
    # Between the slowest and the next one, if the last units went in two pushes.
    assert found.lag_p99.ToTimedelta().total_seconds() > 50


async def _fail(shop: Shop, watch: Watch, how: str) -> None:
    """A push comes to nothing: it was never sent, or nobody knows, and a reading shows that nothing has changed."""
    push = await watch.push()
    if how == "not sent":
        await shop.report(push, NOT_SENT, error="no connection")
        return
    await shop.report(push, UNKNOWN, error="no answer")
    await shop.answer(await watch.asked())


async def _settled(shop: Shop, watch: Watch, shown: int) -> None:
    """Apply pushes until so many are shown."""
    while shop.shown[1] != shown:
        await shop.apply(await watch.push())


async def test_what_waits_is_seen_with_its_age(shop: Shop, client: Client, token: str) -> None:
    """A push that nobody does is open, with its time; refused, its listing is parked, and the call counts as failed."""
    labels = {"merchant": token.partition(".")[0], "channel": "tb"}
    async with shop.watching() as watch:
        allocation = await watch.push()
        found = await channel_health(client)
        assert (found.pushes_open, found.pushes) == (1, 0)
        assert abs((datetime.now(UTC) - found.oldest_push_time.ToDatetime(UTC)).total_seconds()) < WAIT_SECONDS
        await gauge("stockgate_notes_depth", 1, **labels, consumer="pushes")
        assert value_of("stockgate_notes_oldest_age_seconds", **labels, consumer="pushes") > 0
        attempt = {
            "push_id": allocation.push.push_id,
            "listing_id": 1,
            "number": 1,
            "begin_time": datetime.now(UTC),
            "outcome": AttemptOutcome.ATTEMPT_OUTCOME_REFUSED,
        }
        await _tell(shop, attempt)
        await shop.report(allocation, REFUSED, error="item is banned")
        found = await channel_health(client)
    assert (found.pushes_open, found.parked, found.attempts_failed) == (0, 1, 1)
    await gauge("stockgate_listings_parked", 1, **labels)
    assert value_of("stockgate_push_attempts_total", **labels, outcome="REFUSED") == 1


async def _tell(shop: Shop, attempt: dict[str, object]) -> None:
    request = {"channel": shop.channel, "attempts": [attempt]}
    await shop.client.ask(shop.client.selling.ReportPushes, selling.ReportPushesRequest, **request)


async def test_drift_and_shortfall_are_counted(shop: Shop, client: Client, token: str) -> None:
    """What a platform shows of its own accord is a drift of units; what it oversells is a shortfall of its channel."""
    labels = {"merchant": token.partition(".")[0], "channel": "tb"}
    await gauge("stockgate_shortfall_units_total", 0, **labels)
    async with shop.serving():
        await shop.wait_shown(L1=10)
        shop.shown[1] = 30
        await shop.report_reading(1, after_push_id=shop.pushes[-1].push.push_id)
        await shop.report_orders(watermark=True)

        async def has_drifted() -> bool:
            return (await channel_health(client)).drifts == 1

        await until(has_drifted, WAIT_SECONDS)
    found = await channel_health(client)
    assert found.last_drift.shown == 30
    assert value_of("stockgate_drift_units_count", **labels) == 1
    assert value_of("stockgate_drift_units_sum", **labels) == 20
    await shop.report_orders(order(shop, "1", PAID, {"quantity": 12}), watermark=True)
    await gauge("stockgate_shortfall_units_total", 2, **labels)


async def test_ages_grow_while_nothing_can_be_read(client: Client, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the database away the engine's age goes on as if nothing had been heard."""
    await client.add_sku("CUP", 1)
    engine = {"merchant": token.partition(".")[0], "consumer": "engine"}
    age = "stockgate_notes_oldest_age_seconds"

    async def is_read() -> bool:
        return value_of(age, **engine) > 0

    await until(is_read, WAIT_SECONDS)

    async def away(*_arguments: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(store, "read_backlog", away)
    frozen = value_of(age, **engine)

    async def has_grown() -> bool:
        return value_of(age, **engine) > frozen + 2

    await until(has_grown, WAIT_SECONDS)


async def test_a_lag_that_could_not_be_looked_up_is_looked_up_later(
    shop: Shop, client: Client, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away for a moment after a confirmation: the lag counts all the same, once."""
    labels = {"merchant": token.partition(".")[0], "channel": "tb"}
    read = store.read_lags
    refusals: list[object] = []

    async def away(*_arguments: object) -> None:
        refusals.append(_arguments)
        monkeypatch.setattr(store, "read_lags", read)
        raise DatabaseUnavailable("away")

    async with shop.serving():
        await shop.wait_shown(L1=10)
        monkeypatch.setattr(store, "read_lags", away)
        await client.receive("CUP", 5)
        await shop.wait_shown(L1=15)
        await gauge("stockgate_sync_lag_seconds_count", 1, **labels)
    assert len(refusals) == 1


# ---- readers


@pytest.fixture
async def log(settings: Settings, token: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    """The log of the test's merchant, with five events; nobody but the test appends."""
    stop_engines(monkeypatch)
    async with log_of(settings, token, clock) as found:
        await found.append(*[trend() for _ in range(5)])
        yield found


async def test_readers_are_listed_with_how_far_they_are(log: Log, client: Client, token: str) -> None:
    """Who is connected is SYNCED with its revision; who has only reported is told apart; each says what it lacks."""
    merchant = token.partition(".")[0]
    after = {"revision": 0, "epoch": (await log.head()).epoch}
    stream = AlertStream(client, subscriber_id="screen", after=after)
    await stream.created()
    assert await stream.revisions(5) == [1, 2, 3, 4, 5]

    async def is_synced() -> bool:
        return (await stream_of(client, "screen")).sent_revision == 5

    await until(is_synced, WAIT_SECONDS)
    report = {"subscriber_id": "robot", "revision": 2, "epoch": after["epoch"]}
    await client.ask(client.alerts.ReportCursor, alerts_pb.ReportCursorRequest, **report)
    found = await streams(client)
    screen, robot = await stream_of(client, "screen"), await stream_of(client, "robot")
    assert found.revision == 5
    assert (screen.state, screen.waiting, screen.HasField("open_time")) == ("SYNCED", 0, True)
    assert (robot.state, robot.waiting, robot.cursor_revision, robot.HasField("open_time")) == ("LAGGING", 3, 2, False)
    await gauge("stockgate_watch_streams", 1, merchant=merchant, method="WatchTierChanges")
    stream.cancel()


async def test_how_long_an_event_took_to_be_read_is_measured_once(log: Log, client: Client, token: str) -> None:
    """The first word that an event was read is the measure; said again, or of what he has not asked for, it is none."""
    merchant = token.partition(".")[0]
    stream = AlertStream(client, subscriber_id="screen", live_only={}, filter={"skus": ["tea"]})
    await stream.created()
    await log.append(trend("tea"))
    event = await stream.event()
    await log.append(trend("cup"))

    async def report(revision: int) -> None:
        content = {"subscriber_id": "screen", "revision": revision, "epoch": (await log.head()).epoch}
        await client.ask(client.alerts.ReportCursor, alerts_pb.ReportCursorRequest, **content)

    for revision in (event.revision, event.revision, event.revision + 1):
        await report(revision)
    assert value_of("stockgate_alert_delivery_lag_seconds_count", merchant=merchant) == 1
    stream.cancel()


@pytest.mark.usefixtures("log")
async def test_streams_that_ended_are_counted_by_reason(client: Client, token: str) -> None:
    """Who hangs up is CLIENT_GONE, who resumes in another lineage EPOCH_MISMATCH; each with its count."""
    merchant = token.partition(".")[0]
    stream = AlertStream(client, subscriber_id="screen", live_only={})
    await stream.created()
    stream.cancel()
    lost = AlertStream(client, after={"revision": 1, "epoch": "another"})
    assert (await refused(lost.read())).reason == "EPOCH_MISMATCH"

    async def are_counted() -> bool:
        closed = {one.reason: one.count for one in (await streams(client)).closed}
        return closed == {"CLIENT_GONE": 1, "EPOCH_MISMATCH": 1}

    await until(are_counted, WAIT_SECONDS)
    assert value_of("stockgate_watch_closed_total", merchant=merchant, reason="CLIENT_GONE") == 1
