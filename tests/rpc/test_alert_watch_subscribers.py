"""What subscribers say of themselves, and who of them may tell whom: cursors, their list, claims of notices."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from grpc import StatusCode

from gateway.alerts.hub import AlertHub
from gateway.alerts.tending import KEEP, SILENCE, Tending
from gateway.settings import Settings
from gateway.store import alert_log
from gateway.store import subscribers as store
from gateway.store.database import Clock
from gateway.v1 import alert_service_pb2 as pb
from tests.alerts.reading import Log, log_of, trend
from tests.client import Client
from tests.refusals import refused
from tests.rpc.alert_streams import alerts, stop_engines

LEASE_MS = 10_000


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the test appends."""
    stop_engines(monkeypatch)


@pytest.fixture
async def log(settings: Settings, token: str, clock: Clock) -> AsyncIterator[Log]:
    """The log of the test's merchant, with five events."""
    async with log_of(settings, token, clock) as found:
        await found.append(*[trend() for _ in range(5)])
        yield found


async def report(client: Client, log: Log, name: str, revision: int) -> int:
    """Report a cursor; how far behind it is."""
    epoch = (await log.head()).epoch
    request = pb.ReportCursorRequest(subscriber_id=name, revision=revision, epoch=epoch)
    return (await client.alerts.ReportCursor(request, **client.options)).lag


async def states(client: Client) -> dict[str, tuple[int, int, int, str]]:
    """Of each subscriber its revision, lag, streams and trouble."""
    found = await client.alerts.ListSubscribers(pb.ListSubscribersRequest(), **client.options)
    return {one.subscriber_id: (one.revision, one.lag, one.streams, one.trouble) for one in found.subscribers}


async def claim(client: Client, claimant: str, *, revision: int = 1, receiver: str = "ops") -> tuple[bool, bool, bool]:
    """Claim a notice: granted, sent, possibly a duplicate."""
    request = pb.ClaimNoticeRequest(revision=revision, receiver=receiver, claimant=claimant, lease_ms=LEASE_MS)
    answer = await client.alerts.ClaimNotice(request, **client.options)
    return answer.granted, answer.sent, answer.possible_duplicate


async def settle(client: Client, claimant: str, *, sent: bool) -> None:
    """Say what became of it."""
    request = pb.SettleNoticeRequest(revision=1, receiver="ops", claimant=claimant, sent=sent)
    await client.alerts.SettleNotice(request, **client.options)


async def test_a_cursor_is_kept(client: Client, log: Log) -> None:
    """What was reported last is where to resume, with the lineage; who never reported has none."""
    request = pb.GetCursorRequest(subscriber_id="console")
    assert not (await client.alerts.GetCursor(request, **client.options)).HasField("point")
    assert await report(client, log, "console", 2) == 3
    assert await report(client, log, "console", 4) == 1
    point = (await client.alerts.GetCursor(request, **client.options)).point
    assert point == pb.AlertResumePoint(revision=4, epoch=(await log.head()).epoch)
    async with alerts(client, after=point) as stream:
        await stream.created()
        assert await stream.revisions(1) == [5]
    # Who begins again further back, because its own state was lost, is believed.
    assert await report(client, log, "console", 1) == 4
    assert (await client.alerts.GetCursor(request, **client.options)).point.revision == 1


async def test_subscribers_are_listed(client: Client, log: Log) -> None:
    """By name: who reports, and who has streams here under a name, with how far each is behind."""
    await report(client, log, "robot", 3)
    async with (
        alerts(client, live_only={}, subscriber_id="console") as one,
        alerts(client, live_only={}, subscriber_id="console") as two,
        alerts(client, live_only={}) as nameless,
    ):
        for stream in (one, two, nameless):
            await stream.created()
        assert await states(client) == {"console": (5, 0, 2, ""), "robot": (3, 2, 0, "")}
        await report(client, log, "console", 4)
        assert list(await states(client)) == ["console", "robot"]
        assert (await states(client))["console"] == (4, 1, 2, "")


async def test_silence_shows_until_the_next_report(client: Client, log: Log, clock: Clock) -> None:
    """Who has not reported for 90 s is SILENT in the list, until he speaks."""
    await report(client, log, "robot", 5)
    clock.offset += SILENCE + timedelta(seconds=1)
    await Tending(log.database, AlertHub(log.database)).note_silent()
    assert (await states(client))["robot"][3] == "SILENT"
    await report(client, log, "robot", 5)
    assert (await states(client))["robot"][3] == ""


async def test_what_is_too_old_is_forgotten(client: Client, log: Log, clock: Clock) -> None:
    """With the events go the notices of them, and the cursors of who has not been heard for as long."""
    await report(client, log, "robot", 5)
    assert await claim(client, "a") == (True, False, False)
    clock.offset += KEEP + timedelta(hours=1)
    await report(client, log, "console", 5)
    assert await Tending(log.database, AlertHub(log.database)).compact() == 5
    assert list(await states(client)) == ["console"]
    async with log.database.transaction() as connection:
        assert (await alert_log.read_alert_head(connection)).compact_revision == 5
        assert await store.read_cursor(connection, "robot") is None
    assert await claim(client, "b") == (True, False, False)


async def test_a_notice_is_sent_by_one(client: Client, log: Log) -> None:
    """The first claim is granted, the second is not; the same claimant may ask again; others' notices are others'."""
    assert await claim(client, "a") == (True, False, False)
    assert await claim(client, "b") == (False, False, False)
    assert await claim(client, "a") == (True, False, False)
    assert await claim(client, "b", receiver="shift") == (True, False, False)
    assert await claim(client, "b", revision=2) == (True, False, False)
    await settle(client, "a", sent=True)
    assert await claim(client, "a") == (False, True, False)
    assert await claim(client, "b") == (False, True, False)
    assert (await log.head()).revision == 5


async def test_an_unsent_notice_may_be_claimed_again(client: Client, log: Log) -> None:
    """Who could not send says so, and anybody may try, who need not fear a duplicate."""
    assert await claim(client, "a") == (True, False, False)
    await settle(client, "b", sent=False)
    assert await claim(client, "b") == (False, False, False)
    await settle(client, "a", sent=False)
    assert await claim(client, "b") == (True, False, False)
    assert (await log.head()).revision == 5


async def test_a_claim_that_ran_out_may_be_a_duplicate(client: Client, log: Log, clock: Clock) -> None:
    """After its lease a claim may be taken over, by whoever knows then that it may have been sent."""
    assert await claim(client, "a") == (True, False, False)
    clock.offset += timedelta(milliseconds=LEASE_MS + 1)
    assert await claim(client, "b") == (True, False, True)
    assert await claim(client, "a") == (False, False, False)
    # The first was only slow: sent is sent.
    await settle(client, "a", sent=True)
    assert await claim(client, "b") == (False, True, False)
    assert (await log.head()).revision == 5


async def test_a_notice_of_nothing_is_refused(client: Client, log: Log) -> None:
    """An event that is not there yet cannot be told of."""
    assert (await log.head()).revision == 5
    refusal = await refused(claim(client, "a", revision=6))
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "REVISION_FROM_FUTURE")
    assert (refusal.field, refusal.facts) == ("revision", {"revision": "5"})


async def test_a_silent_stream_speaks(client: Client, log: Log) -> None:
    """Progress comes at the interval that was asked for, with the revision and the ledger's time (G3)."""
    async with alerts(client, live_only={}, progress_interval_ms=1_000) as stream:
        await stream.created()
        began = time.monotonic()
        message = await stream.read()
        assert 0.9 < time.monotonic() - began < 8.0  # and not the ten seconds of who has not asked
    assert message.progress.revision == (await log.head()).revision
    assert abs(message.progress.server_time.ToSeconds() - time.time()) < 60
