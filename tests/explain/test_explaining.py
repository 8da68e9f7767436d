"""What is asked and cannot be explained; kits, several listings of one SKU, what happens next; in both languages."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest

from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import operations_pb2 as pb
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1.channel_pb2 import Platform
from tests.client import Client, made
from tests.faults.calls import until
from tests.live.rooms import close_session, number_of, open_session, sell, serving
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.rpc.played_shop import Shop
from tests.rpc.shop_calls import create

STATIONS = list(range(1, 15))


@pytest.fixture
async def shop(client: Client) -> AsyncIterator[Shop]:
    """A shop with 20 cups on its shelf, all there are."""
    await client.add_sku("CUP", 20)
    shop = Shop(client)
    await shop.open()
    await shop.link(("CUP", 1))
    async with shop.serving():
        await shop.wait_shown(L1=20)
        yield shop


async def explained(client: Client, **asked: object) -> list[pb.Explanation]:
    """All explanations."""
    response = await client.ask(client.operations.ExplainListing, operations.ExplainListingRequest, **asked)
    return list(response.explanations)


async def parked(shop: Shop, after_push_id: int) -> bool:
    """True once a reading that tells of a deleted item was of use, which depends on what else is under way."""
    pushes = [one.push.push_id for one in shop.pushes if one.listing_id == 2]
    await shop.report_reading(2, error="deleted", after_push_id=max([after_push_id, *pushes]))
    return bool((await shop.listing(2)).parked_reason)


async def test_a_listing_in_step_has_no_cause(shop: Shop) -> None:
    """All fourteen stations say something, in both languages, and none is to blame."""
    [found] = await explained(shop.client, sku="CUP", channel="tb")
    assert (found.verdict, found.cause) == (pb.EXPLANATION_VERDICT_IN_STEP, pb.DECIDER_KIND_UNSPECIFIED)
    assert (found.available, found.wanted, found.listing.exposure, found.revision) == (20, 20, 20, 1)
    assert [one.kind for one in found.deciders] == STATIONS
    assert all(one.text and one.text_en and one.text.isascii() is False for one in found.deciders)
    assert all(one.text_en.isascii() for one in found.deciders)
    assert "20" in found.headline
    assert "in step" in found.headline_en
    assert [(one.kind, one.id) for one in found.deciders[0].evidence] == [("movement", "1")]


async def test_a_listing_is_found_by_its_number_alone(shop: Shop) -> None:
    """Then neither SKU nor channel has to be said; its first component is what is asked about."""
    [found] = await explained(shop.client, listing_id=1)
    assert (found.sku, found.listing.channel) == ("CUP", "tb")


async def test_what_cannot_be_explained_is_said(client: Client) -> None:
    """Which of what was asked is unknown; nothing is guessed."""
    for sku in ("CUP", "MUG"):
        await client.add_sku(sku)
    shop = Shop(client)
    await shop.open()
    await create(client, channel="dy", platform=Platform.PLATFORM_DOUYIN)
    await shop.link(("CUP", 1))
    for asked, code, field in (
        ({"sku": "NOPE", "channel": "tb"}, grpc.StatusCode.NOT_FOUND, "sku"),
        ({"sku": "CUP", "channel": "nope"}, grpc.StatusCode.NOT_FOUND, "channel"),
        ({"sku": "CUP", "channel": "dy"}, grpc.StatusCode.NOT_FOUND, "sku"),
        ({"sku": "CUP"}, grpc.StatusCode.INVALID_ARGUMENT, "channel"),
        ({"channel": "tb"}, grpc.StatusCode.INVALID_ARGUMENT, "sku"),
        ({"listing_id": 99}, grpc.StatusCode.NOT_FOUND, "listing_id"),
        ({"listing_id": 1, "channel": "dy"}, grpc.StatusCode.NOT_FOUND, "listing_id"),
        ({"listing_id": 1, "sku": "MUG"}, grpc.StatusCode.NOT_FOUND, "listing_id"),
    ):
        request = made(operations.ExplainListingRequest, **asked)
        refusal = await refused(client.operations.ExplainListing(request, **client.options))
        assert (refusal.code, refusal.field) == (code, field), asked


async def test_what_was_before_its_link_and_before_what_is_kept_is_refused(shop: Shop) -> None:
    """Both name `at`; a moment of the future is like now."""
    now = datetime.now(UTC)
    for age in (timedelta(hours=1), timedelta(days=8)):
        request = operations.ExplainListingRequest(sku="CUP", channel="tb")
        request.at.FromDatetime(now - age)
        refusal = await refused(shop.client.operations.ExplainListing(request, **shop.client.options))
        assert refusal.field == "at"
    request = operations.ExplainListingRequest(sku="CUP", channel="tb")
    request.at.FromDatetime(now + timedelta(hours=1))
    [found] = (await shop.client.operations.ExplainListing(request, **shop.client.options)).explanations
    assert found.as_of.ToDatetime(UTC) < now + timedelta(minutes=1)


async def test_a_past_moment_of_a_session_knows_its_own_units(client: Client) -> None:
    """After it was closed, what is explained of a moment while it was on is what was explained then."""
    await client.add_sku("CUP", 20)
    async with serving(client, "tb", "dy") as shops:
        session = await open_session(client, ["dy"], {"CUP": 12})
        await shops["dy"].wait(
            lambda one: one.exposure == 12 and not one.HasField("push"), await number_of(shops["dy"])
        )
        await sell(shops["dy"], 2)
        await shops["tb"].wait(lambda one: one.exposure == 8 and not one.HasField("push"), await number_of(shops["tb"]))
        [then] = await explained(client, sku="CUP", channel="dy")
        await close_session(client, session.session_id)
        [now] = await explained(client, sku="CUP", channel="dy")
        [past] = await explained(client, sku="CUP", channel="dy", at=then.as_of)
    policy = pb.DECIDER_KIND_POLICY - 1
    assert (then.wanted, past.wanted) == (10, 10)
    assert "10" in then.deciders[policy].text
    assert past.deciders[policy].text == then.deciders[policy].text != now.deciders[policy].text


async def test_what_was_before_states_were_kept_is_not_made_up(
    shop: Shop, owner: asyncpg.Connection, token: str
) -> None:
    """Of a listing that was there before the upgrade it is said from when on its past is known."""
    schema = schema_of_token(token)
    await owner.execute(f"""UPDATE "{schema}".listings SET create_time = create_time - interval '1 hour'""")
    await owner.execute(f'DELETE FROM "{schema}".listing_states')
    await owner.execute(f"""
        INSERT INTO "{schema}".listing_states
        SELECT listing_id, version, clock_timestamp(), state, false FROM "{schema}".listings""")
    request = operations.ExplainListingRequest(sku="CUP", channel="tb")
    request.at.FromDatetime(datetime.now(UTC) - timedelta(minutes=10))
    refusal = await refused(shop.client.operations.ExplainListing(request, **shop.client.options))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "at")
    assert "kept since" in refusal.message


async def test_several_listings_of_a_sku_are_explained_each(shop: Shop) -> None:
    """The gravest first: the one that the platform refuses, before the one that has its share."""
    await shop.link(("CUP", 1), item_id="2")
    await shop.wait(lambda one: one.HasField("exposure"), 2)
    last = (await shop.listing(2)).push.push_id
    await until(lambda: parked(shop, last), 15)
    found = await explained(shop.client, sku="CUP", channel="tb")
    assert [one.listing.listing_id for one in found] == [2, 1]
    assert (found[0].cause, found[0].verdict) == (pb.DECIDER_KIND_READING, pb.EXPLANATION_VERDICT_BLOCKED)
    assert "deleted" in found[0].headline


async def test_a_kit_is_as_short_as_its_scarcest_part(client: Client) -> None:
    """Ten of one and none of the other: the ledger is the cause, and names the part that is missing."""
    await client.add_sku("CUP", 10)
    await client.add_sku("LID")
    shop = Shop(client)
    await shop.open()
    await shop.link(("CUP", 1), ("LID", 1))
    async with shop.serving():
        await shop.wait(lambda one: one.HasField("exposure"), 1)
        [found] = await explained(client, sku="CUP", channel="tb")
    assert (found.cause, found.verdict) == (pb.DECIDER_KIND_LEDGER, pb.EXPLANATION_VERDICT_RULE_INTENDED)
    assert "LID" in found.headline
    assert (found.available, found.wanted) == (10, 0)


async def test_goods_that_lie_elsewhere_are_named(client: Client) -> None:
    """The channel is served from one location, and everything lies in another."""
    for place in ("north", "south"):
        location = {"location": place, "position": 1}
        await client.ask(client.catalog.CreateLocation, catalog.CreateLocationRequest, location=location)
    await client.add_sku("CUP", 10, location="south")
    shop = Shop(client)
    await shop.open(locations=["north"])
    await shop.link(("CUP", 1))
    async with shop.serving():
        await shop.wait(lambda one: one.HasField("exposure"), 1)
        [found] = await explained(client, sku="CUP", channel="tb")
    assert found.cause == pb.DECIDER_KIND_LEDGER
    assert "south 10" in found.headline
    assert "south 10" in found.headline_en
