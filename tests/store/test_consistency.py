"""The check finds whatever does not add up (R18): whole, and in what has moved since it was last found good.

Each tampering is done as the database's owner, behind the gateway's back.
"""

from typing import NamedTuple

import asyncpg
import pytest

from gateway.auditor import Auditor
from gateway.settings import Settings
from gateway.store.consistency import (
    BREACHES_MAX,
    Breach,
    Verdict,
    check_all,
    check_since_audited,
    keep_audited,
)
from gateway.store.database import MerchantDatabase
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1.channel_pb2 import Platform
from tests.client import Client
from tests.merchants import schema_of_token
from tests.rpc.shop_calls import create, link
from tests.store.history import add_location, stop_allocating, store_of

# The history of `play`: what the journal says at its end, and the revision up to which it "was found good".
HEAD = 8
GOOD_UNTIL = 4


class Case(NamedTuple):
    """A tampering, and what each of the two checks must say of it."""

    sql: str
    all: set[Breach]
    since: set[Breach]


def breach(check: str, expected: int, actual: int, place: str = "CUP main") -> Breach:
    """A breach at a place, `CUP main` if not said; the journal's own have none."""
    sku, _, location = place.partition(" ") if check != "REVISION" else ("", "", "")
    return Breach(check, sku, location, expected, actual)


def same(sql: str, *breaches: Breach) -> Case:
    """Both checks see the same."""
    return Case(sql, set(breaches), set(breaches))


CASES = {
    "a level's on hand": same(
        "UPDATE levels SET on_hand = 9 WHERE sku = 'CUP' AND location = 'main'", breach("ON_HAND", 8, 9)
    ),
    "a level's reserved": same(
        "UPDATE levels SET reserved = 2 WHERE sku = 'CUP' AND location = 'main'", breach("RESERVED", 3, 2)
    ),
    "a level gone": same(
        "DELETE FROM levels WHERE sku = 'CUP' AND location = 'main'", breach("ON_HAND", 8, 0), breach("RESERVED", 3, 0)
    ),
    "a level from nowhere": Case(
        "INSERT INTO levels VALUES ('MUG', 'north', 4, 0, 0, NULL, 0, 1)",
        {breach("ON_HAND", 0, 4, "MUG north")},
        set(),  # It has not moved: the whole check is for that.
    ),
    "a reservation's lines": same(
        "UPDATE reservations SET lines = jsonb_set(lines, '{0,4,0,1}', '4') WHERE reservation_id = 2",
        breach("RESERVED", 4, 3),
    ),
    "a reservation's SKU": same(
        "UPDATE reservations SET lines = jsonb_set(lines, '{0,1}', '\"MUG\"') WHERE reservation_id = 2",
        breach("RESERVED", 0, 3),
        breach("RESERVED", 3, 0, "MUG main"),
    ),
    "a reservation's state": same(
        "UPDATE reservations SET state = 3 WHERE reservation_id = 2", breach("RESERVED", 0, 3)
    ),
    "a reservation revived": same(
        "UPDATE reservations SET state = 1 WHERE reservation_id = 1", breach("RESERVED", 5, 3)
    ),
    "a reservation gone": same("DELETE FROM reservations WHERE reservation_id = 2", breach("RESERVED", 0, 3)),
    "a movement gone, in the middle": Case(
        "DELETE FROM movements WHERE revision = 5",
        {breach("RESERVED", 0, 3), breach("CHAIN", 2, 5), breach("REVISION", 8, 7)},
        {breach("CHAIN", 2, 5), breach("REVISION", 8, 7)},
    ),
    "a movement gone, the last": Case(
        "DELETE FROM movements WHERE revision = 8",
        {breach("ON_HAND", 5, 6, "MUG main"), breach("REVISION", 8, 7)},
        {breach("REVISION", 8, 7)},
    ),
    "a movement's after": Case(
        "UPDATE movements SET on_hand_after = 11 WHERE revision = 5",
        {breach("CHAIN", 10, 11), breach("CHAIN", 11, 10)},
        {breach("CHAIN", 10, 11), breach("CHAIN", 11, 10)},
    ),
    "a movement's reserved after": Case(
        "UPDATE movements SET reserved_after = 6 WHERE revision = 5",
        {breach("CHAIN", 2, 3), breach("CHAIN", 6, 5)},
        {breach("CHAIN", 2, 3), breach("CHAIN", 6, 5)},
    ),
    "a movement's change": Case(
        "UPDATE movements SET on_hand_change = -1 WHERE revision = 6",
        {breach("ON_HAND", 9, 8), breach("CHAIN", 10, 9)},
        {breach("CHAIN", 10, 9)},
    ),
    "a movement's place": Case(
        "UPDATE movements SET location = 'north' WHERE revision = 8",
        {breach("ON_HAND", 5, 6, "MUG main"), breach("ON_HAND", 1, 0, "MUG north"), breach("CHAIN", 0, 5, "MUG north")},
        {breach("ON_HAND", 6, 0, "MUG north"), breach("CHAIN", 0, 5, "MUG north")},
    ),
    "a movement more": Case(
        "INSERT INTO movements SELECT 9, record_time, occur_time, kind, sku, location, quantity, on_hand_change,"
        " reserved_change, on_hand_after + 1, reserved_after, safety_stock_after FROM movements WHERE revision = 8",
        {breach("ON_HAND", 7, 6, "MUG main"), breach("REVISION", 8, 9)},
        {breach("ON_HAND", 7, 6, "MUG main"), breach("REVISION", 8, 9)},
    ),
    "a revision skipped": Case(
        "UPDATE movements SET revision = 9 WHERE revision = 8; UPDATE head SET revision = 9",
        {breach("REVISION", 9, 8)},
        {breach("REVISION", 9, 8)},
    ),
    "the head one too far": same("UPDATE head SET revision = 9", breach("REVISION", 9, 8)),
    "the head one back": same("UPDATE head SET revision = 7", breach("REVISION", 7, 8)),
    "a level that was wrong when the next movement came": Case(
        "UPDATE movements SET on_hand_after = on_hand_after + 5 WHERE revision IN (5, 6);"
        "UPDATE levels SET on_hand = on_hand + 5 WHERE sku = 'CUP' AND location = 'main'",
        {breach("ON_HAND", 8, 13), breach("CHAIN", 10, 15)},
        {breach("CHAIN", 10, 15)},
    ),
    "a level that began with something": Case(
        "UPDATE movements SET on_hand_after = 3 WHERE revision = 7;"
        "UPDATE levels SET on_hand = 3 WHERE location = 'north'",
        {breach("ON_HAND", 2, 3, "CUP north"), breach("CHAIN", 0, 1, "CUP north")},
        {breach("CHAIN", 0, 1, "CUP north")},
    ),
}


async def play(client: Client) -> None:
    """Eight movements; MUG lies still after the fourth but for the last, CUP comes to `north` late."""
    await add_location(client, "north")
    await client.add_sku("CUP", 10)
    await client.add_sku("MUG", 5)
    sold = await client.reserve("CUP", 2)
    await client.add_sku("JUG", 1)
    held = await client.reserve("CUP", 3)
    await client.commit(sold.reservation_id)
    await client.receive("CUP", 2, location="north")
    await client.receive("MUG", 1)
    assert held.reservation_id == "2"


@pytest.fixture
def resting_auditor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found good is what the test says, not what the gateway finds meanwhile."""

    async def rest(_auditor: Auditor) -> bool:
        return True

    monkeypatch.setattr(Auditor, "audit", rest)


@pytest.mark.usefixtures("resting_auditor")
@pytest.mark.parametrize("name", CASES)
async def test_a_breach_is_found(
    settings: Settings, client: Client, token: str, owner: asyncpg.Connection, name: str
) -> None:
    """Both checks find exactly what was tampered with, at its place, with what should be and what is (R18)."""
    await play(client)
    async with store_of(settings, token) as store:
        await _found_good(store, GOOD_UNTIL)
        good = await _check(store), await _check(store, everything=False)
        assert [(verdict.revision, verdict.breaches) for verdict in good] == [(HEAD, ()), (HEAD, ())]
        await owner.execute(f'SET search_path TO "{schema_of_token(token)}"; {CASES[name].sql}')
        assert set((await _check(store)).breaches) == CASES[name].all
        assert set((await _check(store, everything=False)).breaches) == CASES[name].since


# What the listing (a kit of one CUP and two MUGs) may still sell, tampered with; and what must be said of it.
EXPOSED: dict[str, tuple[str, set[Breach]]] = {
    "a listing that may sell more": (
        """UPDATE listings SET state = jsonb_set(state, '{0}', '[["main", 1], ["north", 3]]')""",
        {breach("EXPOSED", 3, 4, "CUP north"), breach("EXPOSED", 6, 8, "MUG north")},
    ),
    "a listing that was never read": (
        "UPDATE listings SET state = '[]'",
        {breach("EXPOSED", 0, 1), breach("EXPOSED", 0, 2, "MUG main")}
        | {breach("EXPOSED", 0, 4, "CUP north"), breach("EXPOSED", 0, 8, "MUG north")},
    ),
    "a listing that may show others' units": (
        "UPDATE listings SET state = jsonb_set(state, '{8}', 'true')",
        {breach("EXPOSED", 0, 1), breach("EXPOSED", 0, 2, "MUG main")}
        | {breach("EXPOSED", 0, 4, "CUP north"), breach("EXPOSED", 0, 8, "MUG north")},
    ),
    "a level": (
        "UPDATE levels SET exposed = exposed + 1 WHERE sku = 'CUP' AND location = 'main'",
        {breach("EXPOSED", 1, 2)},
    ),
    "what is made of what": (
        """UPDATE listings SET components = '[["CUP", 1], ["MUG", 1]]'""",
        {breach("EXPOSED", 1, 2, "MUG main"), breach("EXPOSED", 4, 8, "MUG north")},
    ),
}


@pytest.mark.usefixtures("resting_auditor")
@pytest.mark.parametrize("name", EXPOSED)
async def test_exposure_that_does_not_add_up_is_found(
    settings: Settings,
    client: Client,
    token: str,
    owner: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """R20: what listings may still sell is what levels say that they expose; the two checks and the caller hear it."""
    stop_allocating(monkeypatch)
    sql, breaches = EXPOSED[name]
    await play(client)
    await client.receive("MUG", 9, location="north")
    await create(client, channel="tb", platform=Platform.PLATFORM_TAOBAO)
    await link(client, [("CUP", 1), ("MUG", 2)])
    await owner.execute(f'SET search_path TO "{schema_of_token(token)}"; {_SHOWN}')
    async with store_of(settings, token) as store:
        assert (await _check(store)).breaches == (await _check(store, everything=False)).breaches == ()
        await owner.execute(sql)
        assert set((await _check(store)).breaches) == breaches
        assert set((await _check(store, everything=False)).breaches) == breaches
    found = (await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)).breaches
    assert {Breach(b.check, b.sku, b.location, b.expected, b.actual) for b in found} == breaches


_SHOWN = """
    UPDATE listings SET state = '[[["main", 1], ["north", 4]], null, null, 0, 0, null, null, null, false, 0, null, ""]';
    UPDATE levels SET exposed = CASE WHEN location = 'main' THEN 1 ELSE 4 END * CASE WHEN sku = 'CUP' THEN 1 ELSE 2 END
    WHERE sku <> 'JUG'"""


@pytest.mark.usefixtures("resting_auditor")
async def test_a_good_ledger_is_counted(settings: Settings, client: Client, token: str) -> None:
    """A verdict says what was looked at, so that "nothing found" is not "nothing checked"."""
    async with store_of(settings, token) as store:
        empty = await _check(store)
        assert (empty.consistent, empty.revision, empty.levels_checked) == (True, 0, 0)
        await play(client)
        verdict = await _check(store)
        assert verdict.consistent
        assert (verdict.revision, verdict.levels_checked, verdict.reservations_checked) == (HEAD, 4, 1)
        await _found_good(store, HEAD)
        later = await _check(store, everything=False)
        assert (later.consistent, later.revision) == (True, HEAD)


async def test_many_breaches_are_cut(settings: Settings, client: Client, token: str, owner: asyncpg.Connection) -> None:
    """A ledger that is wrong everywhere says so with at most a hundred places."""
    schema = schema_of_token(token)
    await owner.execute(
        f"INSERT INTO \"{schema}\".levels SELECT 'S' || n, 'main', 1, 0, 0, NULL, 0, 1 FROM generate_series(1, 300) n"
    )
    async with store_of(settings, token) as store:
        verdict = await _check(store)
    assert not verdict.consistent
    assert len(verdict.breaches) == BREACHES_MAX
    response = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
    assert not response.consistent
    assert len(response.breaches) == BREACHES_MAX


async def test_a_breach_reaches_the_caller(client: Client, token: str, owner: asyncpg.Connection) -> None:
    """CheckConsistency names the place, what the journal says and what the level says (R18)."""
    await play(client)
    await owner.execute(f"UPDATE \"{schema_of_token(token)}\".levels SET on_hand = 9 WHERE sku = 'MUG'")
    response = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
    (found,) = response.breaches
    assert (found.check, found.sku, found.location, found.expected, found.actual) == ("ON_HAND", "MUG", "main", 6, 9)
    assert (response.consistent, response.revision, response.levels_checked) == (False, HEAD, 4)


async def test_a_check_does_not_mend(client: Client, token: str, owner: asyncpg.Connection) -> None:
    """A breach is an alarm, never a quiet repair: the next check finds it again, and the row is as it was (R18)."""
    await play(client)
    await owner.execute(f"UPDATE \"{schema_of_token(token)}\".levels SET on_hand = 9 WHERE sku = 'MUG'")
    ask = client.operations.CheckConsistency
    found = [list((await client.ask(ask, operations.CheckConsistencyRequest)).breaches) for _ in range(2)]
    assert found[0] == found[1] != []
    assert await owner.fetchval(f"SELECT on_hand FROM \"{schema_of_token(token)}\".levels WHERE sku = 'MUG'") == 9


async def _check(store: MerchantDatabase, *, everything: bool = True) -> Verdict:
    async with store.transaction() as connection:
        return await (check_all if everything else check_since_audited)(connection)


async def _found_good(store: MerchantDatabase, revision: int) -> None:
    async with store.transaction() as connection:
        await keep_audited(connection, revision)
