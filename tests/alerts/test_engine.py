"""The engine on a real journal: nothing missed, nothing twice, whoever is the engine; and what time brings."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from gateway.alerts import engine as engine_module
from gateway.alerts.engine import Engine, LeaseLostError
from gateway.alerts.lookout import Lookout
from gateway.alerts.requests import AnnounceIncoming, SetPolicy
from gateway.alerts.rules import Rules
from gateway.alerts.surroundings import read_surroundings
from gateway.domain.alerts import AckAction, AlertPolicy, EventKind, TierTold
from gateway.domain.commands import ReceiveStock, ReserveLine, ReserveStock
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Key, Tempo
from gateway.store import standings
from gateway.store.database import Clock, MerchantDatabase, read_time
from gateway.store.standings import read_moved, read_stand
from gateway.v1 import alert_service_pb2 as pb
from gateway.writer import Writer
from tests.alerts.counter import SKU
from tests.alerts.shelves import (
    WAIT_SECONDS_MAX,
    alerts_time,
    changes,
    events,
    free_lease,
    take,
    told,
)
from tests.client import Client, new_id


@pytest.fixture
async def tea(client: Client) -> Client:
    """A client whose merchant has 100 teas, and is warned at 40."""
    await client.add_sku(SKU, 100)
    return client


async def sell(client: Client, count: int) -> None:
    """Orders of one unit, one after the other."""
    for _ in range(count):
        await client.reserve(SKU, 1)


async def warn_at(client: Client, line: int, **policy: Any) -> None:
    """Set the fixed line of all SKUs."""
    policy = {"fixed_line": line, **policy}
    await client.tell(client.alerts.SetAlertPolicy, pb.SetAlertPolicyRequest, actor="li", policy=policy)


async def reached(merchant: MerchantDatabase, tier: Tier) -> TierTold:
    """The change to this tier, when it has come."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            for change in await changes(merchant):
                if change.after is tier:
                    return change
            await asyncio.sleep(0.05)


async def test_sales_are_told_as_numbered_tier_changes(tea: Client, merchant: MerchantDatabase) -> None:
    """From the first line crossed to the last unit: every change once, with its numbers and what to do."""
    await warn_at(tea, 40)
    await sell(tea, 100)
    last = await reached(merchant, Tier.SOLD_OUT)
    assert last.evidence.available == 0
    assert last.runbook is not None
    assert last.runbook.steps
    found = await events(merchant)
    assert [event.revision for event in found] == list(range(1, len(found) + 1))
    steps = [(change.before, change.after) for change in await changes(merchant) if change.before is not change.after]
    assert all(before == after for (_, before), (after, _) in itertools.pairwise(steps))


async def test_where_a_sku_stands_is_read_with_its_numbers_and_why(tea: Client, merchant: MerchantDatabase) -> None:
    """The state of now, the event that told of it, and one sentence in each language."""
    await warn_at(tea, 40)
    await sell(tea, 100)
    await reached(merchant, Tier.SOLD_OUT)
    found = await tea.ask(tea.alerts.GetTier, pb.GetTierRequest, sku=SKU)
    assert found.state.tier == int(Tier.SOLD_OUT)
    assert found.last_change.tier_change.to == int(Tier.SOLD_OUT)
    assert found.state.evidence.available == 0
    assert "售罄" in found.why
    assert "nothing is left" in found.why_en
    listed = await tea.ask(tea.alerts.ListTiers, pb.ListTiersRequest, min_tier=Tier.URGENT)
    assert [state.sku for state in listed.states] == [SKU]


async def test_units_on_their_way_are_counted_until_they_are_late(
    tea: Client, merchant: MerchantDatabase, clock: Clock
) -> None:
    """Announced units enter the forecast; when their time has passed they are told to be late, and count no more."""
    arrive = (await alerts_time(merchant)) + timedelta(minutes=10)
    announced = {"sku": SKU, "quantity": 50, "actor": "li", "arrive_time": arrive}
    await tea.tell(tea.alerts.AnnounceIncoming, pb.AnnounceIncomingRequest, **announced)
    await sell(tea, 5)
    before = await tea.ask(tea.alerts.GetTier, pb.GetTierRequest, sku=SKU)
    assert before.state.evidence.is_booked
    clock.offset += timedelta(minutes=11)
    late = await told(merchant, EventKind.INCOMING_ENDED)
    assert late.body is not None
    assert getattr(late.body, "end_reason", "") == "LATE"
    after = await tea.ask(tea.alerts.GetTier, pb.GetTierRequest, sku=SKU)
    assert not after.state.evidence.is_booked


async def test_units_that_have_come_are_no_longer_on_their_way(tea: Client, merchant: MerchantDatabase) -> None:
    """A receipt of fewer than were announced leaves the rest on its way."""
    arrive = (await alerts_time(merchant)) + timedelta(minutes=10)
    announced = {"sku": SKU, "quantity": 50, "actor": "li", "arrive_time": arrive}
    await tea.tell(tea.alerts.AnnounceIncoming, pb.AnnounceIncomingRequest, **announced)
    await tea.receive(SKU, 20)
    await told(merchant, EventKind.INCOMING_ENDED)
    listed = await tea.ask(tea.alerts.ListIncoming, pb.ListIncomingRequest, sku=SKU)
    assert [each.quantity for each in listed.incoming] == [30]


async def test_an_urgent_warning_nobody_answers_is_told_to_more_people(
    tea: Client, merchant: MerchantDatabase, clock: Clock
) -> None:
    """After a minute the shift lead, after three everybody; who takes it on ends that."""
    await warn_at(tea, 0, hard_floor=90)
    await sell(tea, 10)
    await reached(merchant, Tier.URGENT)
    clock.offset += timedelta(seconds=61)
    second = await told(merchant, EventKind.ESCALATED)
    assert getattr(second.body, "level", 0) == 2
    state = (await tea.ask(tea.alerts.GetTier, pb.GetTierRequest, sku=SKU)).state
    taken = {"sku": SKU, "episode": state.episode, "tier": state.tier, "actor": "li", "action": AckAction.WATCH}
    await tea.tell(tea.alerts.Acknowledge, pb.AcknowledgeRequest, **taken)
    clock.offset += timedelta(seconds=200)
    await asyncio.sleep(1.5)
    assert [event.kind for event in await events(merchant)].count(EventKind.ESCALATED) == 1
    clock.offset += timedelta(seconds=200)
    ended = await told(merchant, EventKind.ACKNOWLEDGEMENT_ENDED)
    assert getattr(ended.body, "end_reason", "") == "TIMED_OUT"


async def test_a_watchdog_is_told_every_half_minute(merchant: MerchantDatabase, client: Client, clock: Clock) -> None:
    """Proof that engine and log live, though nothing is sold."""
    await client.add_sku(SKU)
    await told(merchant, EventKind.WATCHDOG)
    clock.offset += timedelta(seconds=31)
    await told(merchant, EventKind.WATCHDOG, count=2)


async def test_an_engine_that_has_lost_its_lease_unnoticed_changes_nothing(
    shelf: Writer, token: str, merchant: MerchantDatabase, owner: asyncpg.Connection
) -> None:
    """It was frozen, and another went on: what it wants to say is refused, whole."""
    frozen, other = Engine(merchant, "frozen"), Engine(merchant, "other")
    await frozen.look()
    await free_lease(owner, token)
    await other.look()
    await take(shelf, 100)
    with pytest.raises(LeaseLostError):
        await frozen.look()
    assert await changes(merchant) == []
    await other.look()
    assert (await changes(merchant))[-1].after is Tier.SOLD_OUT


async def test_an_engine_that_died_between_two_checkpoints_is_followed_without_a_gap(
    shelf: Writer, token: str, merchant: MerchantDatabase, owner: asyncpg.Connection
) -> None:
    """What was told stays told, what was not is told by the next, and each order counts once."""
    for number in range(20):
        engine = Engine(merchant, f"engine {number}")
        await engine.look()
        await take(shelf, 5)
        if number % 3:
            await engine.look()
        await free_lease(owner, token)
    last = Engine(merchant, "last")
    await last.look()
    found = [change for change in await changes(merchant) if change.before is not change.after]
    assert found[0].before is Tier.NORMAL
    assert found[-1].after is Tier.SOLD_OUT
    assert all(before.after is after.before for before, after in itertools.pairwise(found))
    async with merchant.transaction() as connection:
        row = await read_stand(connection, Key(SKU))
    assert row is not None
    assert row.watched.pace.evidence_orders == 100


async def test_two_engines_that_race_tell_what_one_would_have_told(shelf: Writer, merchant: MerchantDatabase) -> None:
    """Both look all the time; the log is as if there were one."""
    engines = [asyncio.create_task(Engine(merchant, name).run()) for name in ("one", "two")]
    await take(shelf, 100)
    await reached(merchant, Tier.SOLD_OUT)
    for engine in engines:
        engine.cancel()
    await asyncio.gather(*engines, return_exceptions=True)
    found = [change for change in await changes(merchant) if change.before is not change.after]
    assert found[0].before is Tier.NORMAL
    assert all(before.after is after.before for before, after in itertools.pairwise(found))
    numbers = [event.revision for event in await events(merchant)]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_the_log_is_what_the_journal_says(shelf: Writer, merchant: MerchantDatabase) -> None:
    """Equal input, equal output: the whole journal, read again at once, gives the log that was written bit by bit."""
    engine = Engine(merchant, "engine")
    await engine.look()
    for _ in range(25):
        await take(shelf, 4)
        await engine.look()
    async with merchant.transaction() as connection:
        now = await read_time(connection, merchant.now)
        journal, _ = await read_moved(connection, 0, 10_000, Tempo())
        surroundings = await read_surroundings(connection, [SKU], now)
    again = Lookout(0, journal[0].time)
    again.begin(Key(SKU), {}, surroundings, journal[0].time)
    replayed = await again.take(journal, surroundings, now.timestamp())
    written = [(change.before, change.after, change.evidence) for change in await changes(merchant)]
    assert written == [(change.before, change.after, change.evidence) for _, change in replayed]
    assert written


async def test_an_engine_that_fails_midway_loses_nothing(
    shelf: Writer, merchant: MerchantDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours between taking movements in and telling of them: the loop begins anew, and all is told."""
    engine = Engine(merchant, "engine")
    await engine.look()
    await take(shelf, 100)
    with monkeypatch.context() as fault:
        fault.setattr(engine, "_save", _fails)
        with pytest.raises(ZeroDivisionError):
            await engine.run()
    assert await changes(merchant) == []
    again = asyncio.create_task(engine.run())
    await reached(merchant, Tier.SOLD_OUT)
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    async with merchant.transaction() as connection:
        row = await read_stand(connection, Key(SKU))
    assert row is not None
    assert row.watched.pace.evidence_orders == 100


async def test_a_look_takes_in_all_there_is(
    shelf: Writer, merchant: MerchantDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that would end within a moment ends before it: there is more, and ticks wait until it is taken in."""
    monkeypatch.setattr(engine_module, "MOVEMENTS_MAX", 5)
    engine = Engine(merchant, "engine")
    await engine.look()
    for _ in range(25):
        await shelf.apply([ReserveStock(new_id(), (ReserveLine(SKU, 1),)) for _ in range(4)])
    await engine.look()
    assert (await changes(merchant))[-1].after is Tier.SOLD_OUT


async def test_what_has_arrived_is_told_though_the_engine_dies_while_it_catches_up(
    shelf: Writer, token: str, merchant: MerchantDatabase, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that has seen a receipt is written with what follows from it, or nobody would look at it again."""
    dying, rules = Engine(merchant, "dying"), Rules(merchant)
    await dying.look()
    arrive = await alerts_time(merchant) + timedelta(hours=1)
    announced = (await rules.announce_incoming(AnnounceIncoming(new_id(), SKU, 50, arrive, "li"))).incoming
    await rules.set_policy(SetPolicy(new_id(), AlertPolicy(SKU, fixed_line=1_000), "li"))
    await shelf.apply([ReceiveStock(new_id(), SKU, "", 20)])
    await take(shelf, 20)
    reading, begun = standings.read_moved, itertools.count()

    async def read_once(*asked: Any) -> Any:
        return await reading(*asked) if next(begun) == 0 else await _fails()

    monkeypatch.setattr(engine_module, "MOVEMENTS_MAX", 5)
    with monkeypatch.context() as fault:
        fault.setattr(standings, "read_moved", read_once)
        with pytest.raises(ZeroDivisionError):
            await dying.look()
    assert (await changes(merchant))[-1].after is Tier.THRESHOLD
    await free_lease(owner, token)
    await Engine(merchant, "next").look()
    (left,) = await rules.list_incoming(sku=SKU, after=None, count_max=10)
    assert (left.incoming_id, left.quantity) == (announced.incoming_id, 30)


async def _fails(*_: object, **__: object) -> None:
    raise ZeroDivisionError
