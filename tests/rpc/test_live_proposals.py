"""Proposals on a real gateway (R45): made for what is warned of, decided once, carried out once, whoever dies."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from grpc import StatusCode

from gateway import app
from gateway.domain.alerts import EventKind, Proposal
from gateway.live.proposing import Proposing
from gateway.settings import Settings
from gateway.store.alert_log import read_events
from gateway.store.database import Clock
from gateway.v1 import alert_service_pb2 as alert_pb
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import live_service_pb2 as pb
from gateway.v1 import stock_service_pb2 as stock
from gateway.v1.alert_pb2 import ProposalKind as Kind
from gateway.v1.alert_pb2 import ProposalState as State
from tests.client import Client, made, new_id
from tests.faults.calls import until
from tests.live.following import hint_of
from tests.live.rooms import WHO, close_session, get_session, open_session, serving
from tests.refusals import refused
from tests.rpc.played_shop import PAID, Shop, order
from tests.store.history import add_location, movements, store_of

WAIT_SECONDS = 25.0
MOVE, RAISE = Kind.PROPOSAL_KIND_MOVE_UNITS, Kind.PROPOSAL_KIND_RAISE_EXCLUSIVE
LIST, SLOW = Kind.PROPOSAL_KIND_LIST_SUBSTITUTE, Kind.PROPOSAL_KIND_SLOW_PACE
OPEN, APPROVED = State.PROPOSAL_STATE_OPEN, State.PROPOSAL_STATE_APPROVED
DONE, FAILED = State.PROPOSAL_STATE_DONE, State.PROPOSAL_STATE_FAILED
LAPSED, DECLINED = State.PROPOSAL_STATE_LAPSED, State.PROPOSAL_STATE_DECLINED


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops look often."""
    monkeypatch.setattr("gateway.live.proposing.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("gateway.live.proposing.LOOK_ANYWAY_SECONDS", 0.3)


@pytest.fixture
async def short(client: Client) -> Client:
    """Thirty cups at main, where tb is served and nobody pushes numbers; a location that does not serve it."""
    await client.add_sku("CUP", 30)
    await add_location(client, "north")
    await warned(client)
    shop = Shop(client)
    await shop.open(locations=["main"])
    await shop.link(("CUP", 1))
    return client


async def warned(client: Client) -> None:
    """From now on cups are warned of, however many there are."""
    policy = {"sku": "CUP", "fixed_line": 150}
    request = made(alert_pb.SetAlertPolicyRequest, request_id=new_id(), policy=policy, actor=WHO)
    await client.alerts.SetAlertPolicy(request, **client.options)


async def sell(client: Client, count: int = 10) -> None:
    """So many orders of one cup, all at one moment: how fast that is does not depend on the machine."""
    shop = Shop(client)
    await shop.report_orders(*(order(shop, new_id(), PAID) for _ in range(count)))


async def proposals(client: Client, **content: Any) -> list[Any]:
    """All proposals, newest first."""
    return list((await client.ask(client.live.ListProposals, pb.ListProposalsRequest, **content)).proposals)


async def proposed(client: Client, kind: Kind.ValueType, state: State.ValueType = OPEN) -> Any:
    """The newest proposal of a kind, once there is one in this state."""
    found: list[Any] = []

    async def is_there() -> bool:
        found[:] = [one for one in await proposals(client) if (one.kind, one.state) == (kind, state)]
        return bool(found)

    try:
        await until(is_there, WAIT_SECONDS)
    except TimeoutError:
        raise AssertionError(await proposals(client)) from None
    return found[0]


async def decide(client: Client, proposal_id: int, *, approve: bool = True, **content: Any) -> Any:
    """Approve or decline."""
    request = {"request_id": new_id(), "proposal_id": proposal_id, "approve": approve, "actor": WHO, **content}
    return (await client.ask(client.live.DecideProposal, pb.DecideProposalRequest, **request)).proposal


async def lying(client: Client, location: str) -> int:
    """Units on hand of the cup at a location."""
    request = stock.GetStockLevelRequest(sku="CUP", location=location)
    return (await client.stock.GetStockLevel(request, **client.options)).level.on_hand


async def test_units_are_moved_when_a_person_says_so(short: Client, settings: Settings, token: str) -> None:
    """Proposed with the numbers, approved by a name, moved once, and each step is in the log."""
    client = short
    session = await open_session(client, ["tb"], {"CUP": 0})
    await sell(client)
    # Only now: how many are needed is seen from all ten orders.
    await client.receive("CUP", 40, location="north")
    found = await proposed(client, MOVE)
    assert (found.sku, found.session_id, found.from_location, found.to_location) == (
        "CUP",
        session.session_id,
        "north",
        "main",
    )
    assert found.quantity == 40
    await open_session(client, ["tb"], {"CUP": 0})
    await asyncio.sleep(1)
    waiting = [one.proposal_id for one in await proposals(client) if (one.kind, one.state) == (MOVE, OPEN)]
    assert waiting == [found.proposal_id], "who sells them as well needs no other units"
    assert "40件" in found.reason
    assert "move 40" in found.reason_en
    approved = await decide(client, found.proposal_id, quantity=30, note="先调30")
    assert (approved.state, approved.quantity, approved.actor, approved.note) == (APPROVED, 30, WHO, "先调30")
    done = await proposed(client, MOVE, DONE)
    assert (await lying(client, "main"), await lying(client, "north")) == (50, 10)
    moved = [one for one in await movements(client) if one.request_id == f"proposal-{found.proposal_id}"]
    assert len(moved) == 2
    assert str(moved[0].revision) in done.effect
    assert WHO in moved[0].reason
    async with store_of(settings, token) as database, database.transaction() as connection:
        events = [one for one in await read_events(connection, 0, 200) if isinstance(one.body, Proposal)]
    of_it = [one.kind for one in events if isinstance(one.body, Proposal) and one.body.proposal_id == found.proposal_id]
    assert of_it == [EventKind.PROPOSED, EventKind.PROPOSAL_DECIDED, EventKind.PROPOSAL_CARRIED_OUT]
    assert events[0].episode > 0
    assert events[0].session_ids == (session.session_id,)


async def test_what_is_for_no_session_is_told_to_who_hears_its_channels(
    short: Client, settings: Settings, token: str
) -> None:
    """A console that follows one shop hears what is proposed for what it sells, live room or not."""
    client = short
    await client.receive("CUP", 40, location="north")
    await sell(client)
    assert (await proposed(client, MOVE)).session_id == 0
    async with store_of(settings, token) as database, database.transaction() as connection:
        told = [one for one in await read_events(connection, 0, 200) if one.kind is EventKind.PROPOSED]
    assert {one.channels for one in told} == {("tb",)}


async def test_it_is_asked_once_in_an_episode(short: Client) -> None:
    """While it is open, and after it was declined, nobody is asked the same again; the pace is what is left."""
    client = short
    await client.receive("CUP", 40, location="north")
    await open_session(client, ["tb"], {"CUP": 0})
    await sell(client)
    found = await proposed(client, MOVE)
    declined = await decide(client, found.proposal_id, approve=False, note="不用")
    assert declined.state == DECLINED
    await proposed(client, SLOW)
    await asyncio.sleep(1)
    assert sorted(one.kind for one in await proposals(client)) == sorted([MOVE, SLOW])


async def test_the_first_decision_stands(short: Client, settings: Settings, token: str) -> None:
    """Two people at two gateways at once: one wins, the other hears who; the winner may ask again (R10)."""
    client = short
    await client.receive("CUP", 40, location="north")
    await open_session(client, ["tb"], {"CUP": 0})
    await sell(client)
    number = (await proposed(client, MOVE)).proposal_id
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        people = {"小王": client, "小李": Client(channel, token)}
        answers = await asyncio.gather(
            *(decide(there, number, approve=who == "小王", actor=who, request_id=who) for who, there in people.items()),
            return_exceptions=True,
        )
        won = [who for who, answer in zip(people, answers, strict=True) if not isinstance(answer, BaseException)]
        assert len(won) == 1
        loser = next(who for who in people if who not in won)
        refusal = await refused(decide(people[loser], number, approve=loser == "小王", actor=loser, request_id=loser))
        assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "PROPOSAL_SETTLED")
        assert refusal.facts["by"] == won[0]
        again = await decide(people[loser], number, approve=won[0] == "小王", actor=won[0], request_id=won[0])
        assert again == answers[list(people).index(won[0])]
        refusal = await refused(decide(client, number, approve=won[0] != "小王", actor=won[0], request_id=won[0]))
        assert (refusal.reason, refusal.field) == ("REQUEST_ID_REUSED", "approve")


async def test_who_dies_before_or_after_moving_moves_once(
    short: Client, settings: Settings, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approved and then killed; moved and then killed before it was said: the next one finds it, and moves once."""
    client = short
    await open_session(client, ["tb"], {"CUP": 0})
    await sell(client)
    await client.receive("CUP", 40, location="north")
    found = await proposed(client, MOVE)
    settle = Proposing._settle
    deaths = []

    async def dies(proposing: Proposing, *rest: Any, **content: Any) -> None:
        if DONE in rest:
            deaths.append(rest[0].proposal_id)
            raise ConnectionResetError("killed")
        await settle(proposing, *rest, **content)

    monkeypatch.setattr(Proposing, "_settle", dies)
    monkeypatch.setattr("gateway.merchants.RESTART_SECONDS", 0.05)
    await decide(client, found.proposal_id)

    async def has_died_twice() -> bool:
        return len(deaths) >= 2

    await until(has_died_twice, WAIT_SECONDS)
    assert (await lying(client, "main"), await lying(client, "north")) == (60, 0)
    assert (await proposals(client, state=APPROVED))[0].proposal_id == found.proposal_id
    monkeypatch.setattr(Proposing, "_settle", settle)
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        await proposed(Client(channel, token), MOVE, DONE)
    assert (await lying(client, "main"), await lying(client, "north")) == (60, 0)
    moved = [one for one in await movements(client) if one.request_id == f"proposal-{found.proposal_id}"]
    assert len(moved) == 2


async def test_what_cannot_be_moved_yet_is_tried_until_it_makes_no_sense(short: Client) -> None:
    """Units that were taken meanwhile: it says so, tries again, and fails when the session is over."""
    client = short
    session = await open_session(client, ["tb"], {"CUP": 0})
    await sell(client)
    await client.receive("CUP", 40, location="north")
    found = await proposed(client, MOVE)
    line = {"sku": "CUP", "quantity": 40, "location": "north"}
    request = made(stock.ReserveStockRequest, request_id=new_id(), lines=[line], ttl_ms=60_000)
    held = (await client.stock.ReserveStock(request, **client.options)).reservation
    await decide(client, found.proposal_id)

    async def says_so() -> bool:
        one = next(one for one in await proposals(client) if one.proposal_id == found.proposal_id)
        return one.state == APPROVED and "再试" in one.effect

    await until(says_so, WAIT_SECONDS)
    assert await lying(client, "north") == 40
    await client.release(held.reservation_id)
    await proposed(client, MOVE, DONE)
    # How many are needed depends on how fast the ten orders came.
    assert await lying(client, "north") == 40 - found.quantity
    await client.receive("CUP", found.quantity, location="north")
    again = await proposed(client, MOVE)
    request = made(stock.ReserveStockRequest, request_id=new_id(), lines=[line], ttl_ms=60_000)
    await client.stock.ReserveStock(request, **client.options)
    await decide(client, again.proposal_id)
    await close_session(client, session.session_id)
    failed = await proposed(client, MOVE, FAILED)
    assert failed.proposal_id == again.proposal_id
    assert failed.effect.startswith("未能执行：north只有0件可用")
    assert "0 there are free" in failed.effect
    assert failed.HasField("effect_time")


async def test_fewer_units_than_approved_are_better_than_none(short: Client) -> None:
    """What was taken meanwhile is not waited for: what is free is moved, and both numbers are told."""
    client = short
    await open_session(client, ["tb"], {"CUP": 0})
    await sell(client)
    await client.receive("CUP", 40, location="north")
    found = await proposed(client, MOVE)
    line = {"sku": "CUP", "quantity": 41 - found.quantity, "location": "north"}
    request = made(stock.ReserveStockRequest, request_id=new_id(), lines=[line], ttl_ms=60_000)
    await client.stock.ReserveStock(request, **client.options)
    await decide(client, found.proposal_id)
    done = await proposed(client, MOVE, DONE)
    fewer = found.quantity - 1
    assert (done.proposal_id, done.quantity) == (found.proposal_id, fewer)
    assert done.effect.startswith(f"批准{found.quantity}件，已调拨{fewer}件")
    assert await lying(client, "north") == 40 - fewer


async def test_it_lapses(short: Client, clock: Clock) -> None:
    """When half an hour has passed, or the session is closed; then it cannot be decided any more."""
    client = short
    await client.receive("CUP", 40, location="north")
    session = await open_session(client, ["tb"], {"CUP": 0})
    await sell(client)
    found = await proposed(client, MOVE)
    clock.offset += timedelta(minutes=31)
    lapsed = await proposed(client, MOVE, LAPSED)
    assert lapsed.proposal_id == found.proposal_id
    refusal = await refused(decide(client, found.proposal_id))
    assert (refusal.reason, refusal.facts["state"]) == ("PROPOSAL_SETTLED", "LAPSED")
    await sell(client)
    again = await proposed(client, MOVE)
    await close_session(client, session.session_id)

    async def has_lapsed() -> bool:
        return any(one.proposal_id == again.proposal_id for one in await proposals(client, state=LAPSED))

    await until(has_lapsed, WAIT_SECONDS)


async def test_a_room_gets_more_of_its_own_and_a_substitute(short: Client) -> None:
    """Both in one transaction with saying so: the session afterwards has them."""
    client = short
    await client.add_sku("MUG", 50)
    content = {"sku": {"sku": "CUP", "substitutes": ["MUG"]}, "update_mask": {"paths": ["substitutes"]}}
    await client.catalog.UpdateSku(made(catalog.UpdateSkuRequest, **content), **client.options)
    await client.receive("CUP", 90)
    # Where the room is not served nobody can give it any.
    await client.receive("CUP", 900, location="north")
    session = await open_session(client, ["tb"], {"CUP": 20})
    await sell(client)
    more = await proposed(client, RAISE)
    # What is missing, at most half of what others have; some of the ten orders may still be on their way in.
    assert 5 <= more.quantity <= 55
    await proposed(client, MOVE)
    assert not [one for one in await proposals(client) if one.kind == LIST], "the room's channel does not sell it"
    await Shop(client).link(("MUG", 1), item_id="2")
    listed = await proposed(client, LIST)
    assert listed.substitute == "MUG"
    refusal = await refused(decide(client, listed.proposal_id, quantity=1))
    assert (refusal.reason, refusal.field) == ("INVALID_ARGUMENT", "quantity")
    assert (await refused(decide(client, more.proposal_id, quantity=more.quantity + 1))).field == "quantity"
    await decide(client, more.proposal_id, quantity=5)
    await decide(client, listed.proposal_id)
    assert "25" in (await proposed(client, RAISE, DONE)).effect
    await proposed(client, LIST, DONE)
    after = {one.sku: one.exclusive_units for one in (await get_session(client, session.session_id)).skus}
    assert after == {"CUP": 25, "MUG": 0}
    await asyncio.sleep(1)
    kinds = [found.kind for found in await proposals(client)]
    assert kinds.count(LIST) == 1, "what the room sells is not proposed"
    assert kinds.count(MOVE) == 1, "for its own units and for all together units are moved once"


async def test_a_slow_pace_changes_what_the_host_is_told(client: Client) -> None:
    """While the warning holds the host's line says so; nothing moves."""
    await client.add_sku("CUP", 30)
    await warned(client)
    async with serving(client, "tb") as shops:
        session = await open_session(client, ["tb"], {"CUP": 0})
        await sell(client)
        found = await proposed(client, SLOW)
        await decide(client, found.proposal_id)
        await proposed(client, SLOW, DONE)

        async def is_slow() -> bool:
            await shops["tb"].beat()
            told = await hint_of(client, session.session_id)
            return "放慢" in told.host_line or "不催单" in told.host_line

        await until(is_slow, WAIT_SECONDS)
    assert [one.kind for one in await proposals(client, session_id=session.session_id)] == [SLOW]


async def test_who_decides_what_is_not_there(client: Client) -> None:
    """An unknown number, a page token of somebody else's."""
    assert (await refused(decide(client, 999))).reason == "PROPOSAL_UNKNOWN"
    assert (await refused(proposals(client, page_token="x"))).field == "page_token"
    assert (await refused(proposals(client, state=9))).field == "state"
