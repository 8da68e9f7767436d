"""Two merchants in one gateway share nothing: no code, no id, no number, no stream, no past."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import asyncpg
import grpc.aio
import pytest
from grpc import StatusCode

from gateway import app
from gateway.settings import Settings
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client
from tests.merchants import drop_merchant, new_merchant_name, schema_of_token
from tests.refusals import refused
from tests.store.history import add_location, moment, movements, units
from tests.streams import watching


class Street(NamedTuple):
    """Two merchants who are neighbours in one gateway, with their tokens."""

    ours: Client
    theirs: Client
    our_token: str
    their_token: str


@pytest.fixture
async def street(settings: Settings) -> AsyncIterator[Street]:
    """Two merchants, each with a SKU of the same code: ten units here, three there."""
    names = new_merchant_name(), new_merchant_name()
    ours, theirs = [await app.add_merchant(settings, name) for name in names]
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(app.running_gateway(replace(settings, listen="127.0.0.1:0")))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        neighbours = Street(Client(channel, ours), Client(channel, theirs), ours, theirs)
        await neighbours.ours.add_sku("CUP", 10)
        await neighbours.theirs.add_sku("CUP", 3)
        yield neighbours
    for name in names:
        await drop_merchant(settings, name)


async def test_the_same_code_is_another_sku(street: Street) -> None:
    """What one sells the other still has; a SKU that only one has is unknown to the other."""
    await street.ours.reserve("CUP", 10)
    assert await units(street.theirs, "CUP") == (3, 0, 3)
    await street.ours.add_sku("MUG", 1)
    assert (await refused(street.theirs.level("MUG"))).reason == "SKU_UNKNOWN"
    listed = await street.theirs.ask(street.theirs.stock.ListStockLevels, pb.ListStockLevelsRequest)
    assert [(level.sku, level.on_hand) for level in listed.levels] == [("CUP", 3)]


async def test_the_same_request_id_is_another_request(street: Street) -> None:
    """Request ids are the merchant's own: the same one with other content is no reuse (R10)."""
    first = await street.ours.reserve("CUP", 2, request_id="order-1")
    other = await street.theirs.reserve("CUP", 3, request_id="order-1")
    assert [line.requested for line in first.lines] == [2]
    assert [line.requested for line in other.lines] == [3]
    assert await street.ours.reserve("CUP", 2, request_id="order-1") == first
    assert await street.theirs.reserve("CUP", 3, request_id="order-1") == other


async def test_numbers_are_counted_apart(street: Street) -> None:
    """Reservation ids and revisions of one say nothing of the other, and open nothing there."""
    last = [await street.ours.reserve("CUP") for _ in range(4)][-1]
    theirs = await street.theirs.reserve("CUP")
    assert (last.reservation_id, theirs.reservation_id) == ("4", "1")
    assert [movement.revision for movement in await movements(street.theirs)] == [2, 1]
    refusal = await refused(street.theirs.release(last.reservation_id))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "RESERVATION_UNKNOWN")
    await street.theirs.release(theirs.reservation_id)
    assert await units(street.ours, "CUP") == (10, 4, 6)


async def test_the_journal_is_the_merchants_own(street: Street) -> None:
    """A page token of one, used by the other, shows the other's own rows only."""
    for _ in range(3):
        await street.ours.reserve("CUP")
    page = await street.ours.ask(street.ours.stock.ListMovements, pb.ListMovementsRequest, page_size=1)
    seen = await movements(street.theirs, page_token=page.next_page_token)
    assert [(movement.revision, movement.quantity) for movement in seen] == [(1, 3)]


async def test_the_past_is_the_merchants_own(street: Street) -> None:
    """A level as of a past time comes from the merchant's own journal (R19)."""
    before = moment((await street.ours.receive("CUP", 5)).record_time)
    await street.theirs.receive("CUP", 100)
    assert await units(street.ours, "CUP", before) == (15, 0, 15)
    assert await units(street.theirs, "CUP", before) == (3, 0, 3)


async def test_catalogs_are_apart(street: Street) -> None:
    """Freezing, locations and safety stock of one do not reach the other."""
    await add_location(street.ours, "north")
    await street.ours.ask(street.ours.catalog.FreezeSku, catalog.FreezeSkuRequest, sku="CUP", reason="recall")
    change = {"sku": {"sku": "CUP", "safety_stock": 9}}
    await street.ours.ask(street.ours.catalog.UpdateSku, catalog.UpdateSkuRequest, **change)
    await street.theirs.reserve("CUP", 1)
    assert await units(street.theirs, "CUP") == (3, 1, 2)
    asked = street.theirs.ask(street.theirs.catalog.GetLocation, catalog.GetLocationRequest, location="north")
    assert (await refused(asked)).reason == "LOCATION_UNKNOWN"


async def test_streams_carry_the_merchants_own_changes(street: Street) -> None:
    """A stream has its merchant's epoch and revisions, and stays silent about the neighbour."""
    async with watching(street.ours, live_only=True) as ours, watching(street.theirs, live_only=True) as theirs:
        assert (await ours.created()).epoch != (await theirs.created()).epoch
        await street.ours.receive("CUP", 1)
        await street.theirs.receive("CUP", 1)
        levels = [await stream.level() for stream in (ours, theirs)]
        assert [(level.on_hand, level.revision) for level in levels] == [(11, 2), (4, 2)]


async def test_a_resume_point_opens_no_other_stream(street: Street) -> None:
    """One merchant's epoch is none of the other's."""
    async with watching(street.ours, live_only=True) as ours:
        after = pb.ResumePoint(revision=0, epoch=(await ours.created()).epoch)
    async with watching(street.theirs, after=after) as theirs:
        assert (await refused(theirs.drain())).reason == "EPOCH_MISMATCH"


async def test_each_is_checked_alone(street: Street, owner: asyncpg.Connection) -> None:
    """A breach at one is that one's alarm (R18)."""
    await owner.execute(f'UPDATE "{schema_of_token(street.our_token)}".levels SET on_hand = 11')
    ask = operations.CheckConsistencyRequest
    found = [await client.ask(client.operations.CheckConsistency, ask) for client in (street.ours, street.theirs)]
    assert [verdict.consistent for verdict in found] == [False, True]


async def test_a_token_opens_its_own_merchant_only(street: Street) -> None:
    """The merchant in a token cannot be exchanged; whatever is not a token given out is UNAUTHENTICATED."""
    (our_name, _, our_secret), (their_name, _, their_secret) = (
        token.partition(".") for token in (street.our_token, street.their_token)
    )
    wrong = (
        f"Bearer {our_name}.{their_secret}",
        f"Bearer {their_name}.{our_secret}",
        f"Bearer {our_name}.",
        f"Bearer {our_name}",
        f"Bearer nobody.{our_secret}",
        f"Bearer main.{our_secret}",
        f"Bearer {street.our_token} ",
        f"Bearer {street.our_token}x",
        f"Basic {street.our_token}",
        street.our_token,
        "Bearer",
        "",
    )
    for header in wrong:
        refusal = await refused(_version(street.ours, header))
        assert (refusal.code, refusal.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), header
        assert our_secret not in refusal.message
    assert await _version(street.ours, f"Bearer {street.our_token}") == our_name
    assert await _version(street.ours, f"bearer {street.their_token}") == their_name
    assert await _version(street.ours, None) == "main"


async def test_a_token_is_kept_as_a_digest_only(street: Street, owner: asyncpg.Connection) -> None:
    """The database holds a SHA-256 of each token, and no secret."""
    rows = await owner.fetch(f'SELECT token_hash, t::text FROM "{schema_of_token(street.our_token)}".access_tokens t')
    assert [len(row["token_hash"]) for row in rows] == [32]
    assert street.our_token.partition(".")[2] not in str(rows)


async def _version(client: Client, header: str | None) -> str:
    metadata = () if header is None else (("authorization", header),)
    options: dict[str, Any] = {**client.options, "metadata": metadata}
    return (await client.operations.GetVersion(operations.GetVersionRequest(), **options)).merchant
