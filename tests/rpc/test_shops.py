"""Channels, listings and policies: stored as they were said, changed while nothing is at stake; secrets stay secret."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import grpc.aio
import pytest
from cryptography.fernet import Fernet
from grpc import StatusCode

from gateway import app
from gateway.settings import Settings
from gateway.shops import Credentials, Tokens
from gateway.v1 import catalog_service_pb2 as pb
from gateway.v1 import channel_service_pb2 as channel_pb
from gateway.v1.channel_pb2 import Channel, Listing, Platform, PolicyKind, StockPolicy, TakesOn
from tests.client import Client
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.store.history import add_location, stop_allocating

SECRET = "a-secret-nobody-may-see"
SHOP = {
    "channel": "tb",
    "platform": Platform.PLATFORM_TAOBAO,
    "title": "Tmall flagship",
    "locations": ["north", "main"],
    "facts": {
        "takes_on": TakesOn.TAKES_ON_PAYMENT,
        "close_keeps": True,
        "refund_keeps": True,
        "payment_limit": {"seconds": 900},
        "apply_late_limit": {"nanos": 500_000_000},
        "clock_margin": {"seconds": 0},
    },
}
PLAIN = {"channel": "tb", "platform": Platform.PLATFORM_TAOBAO}


@pytest.fixture(autouse=True)
def _nobody_allocates(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen here is what callers have done."""
    stop_allocating(monkeypatch)


# ---- channels


async def test_a_channel_is_stored_as_it_was_sent(client: Client) -> None:
    """Code, platform, title, locations in their order, facts; the gateway adds that nothing is known of it yet."""
    await add_location(client, "north")
    created = await create(client, **SHOP)
    assert created == await get(client, "tb")
    assert (created.title, list(created.locations)) == ("Tmall flagship", ["north", "main"])
    facts = created.facts
    assert (facts.takes_on, facts.close_keeps, facts.refund_keeps) == (TakesOn.TAKES_ON_PAYMENT, True, True)
    limits = (facts.payment_limit, facts.apply_late_limit, facts.clock_margin)
    assert [limit.ToMilliseconds() for limit in limits] == [900_000, 500, 0]
    assert (created.paused, created.pause_reason, created.has_credentials) == (False, "", False)
    assert not created.HasField("watermark")
    assert not created.HasField("connector")


async def test_what_is_not_said_of_a_platform_is_usual(client: Client) -> None:
    """On order, gives units back, 30 minutes to pay, half a minute for what was given up, 2 s of clock margin."""
    facts = (await create(client, **PLAIN)).facts
    assert (facts.takes_on, facts.close_keeps, facts.refund_keeps) == (TakesOn.TAKES_ON_ORDER, False, False)
    limits = (facts.payment_limit, facts.apply_late_limit, facts.clock_margin)
    assert [limit.ToMilliseconds() for limit in limits] == [1_800_000, 30_000, 2_000]


async def test_creating_the_same_channel_again_is_no_error(client: Client) -> None:
    """The same content answers with the channel as it is; other content is refused and names the field."""
    await add_location(client, "north")
    first = await create(client, **SHOP)
    assert await create(client, **SHOP) == first
    for name, other in {"platform": 2, "title": "", "locations": [], "facts": {}}.items():
        refusal = await refused(create(client, **{**SHOP, name: other}))
        assert (refusal.code, refusal.reason) == (StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
        assert refusal.field == f"channel.{name}"
    assert await get(client, "tb") == first


async def test_a_channel_is_changed_by_field(client: Client) -> None:
    """Named fields, or without a mask those that are set; the platform stays what it is."""
    await add_location(client, "north")
    first = await create(client, **SHOP)
    renamed = await update(client, ["title"], channel="tb", title="Taobao", locations=["main"], platform=2)
    assert (renamed.title, list(renamed.locations)) == ("Taobao", ["north", "main"])
    assert (renamed.platform, renamed.facts, renamed.create_time) == (first.platform, first.facts, first.create_time)
    moved = await update(client, [], channel="tb", locations=["main"], facts={"payment_limit": {"seconds": 60}})
    assert (moved.title, list(moved.locations), moved.facts.payment_limit.seconds) == ("Taobao", ["main"], 60)
    assert list((await update(client, ["locations"], channel="tb")).locations) == []
    assert (await refused(update(client, [], channel="nope", title="x"))).reason == "CHANNEL_UNKNOWN"
    refusal = await refused(update(client, [], channel="tb", locations=["main", "nope"]))
    assert (refusal.reason, refusal.field) == ("LOCATION_UNKNOWN", "channel.locations[1]")


async def test_channels_are_listed_by_code(client: Client) -> None:
    """All of them once, whatever the page's size."""
    for code in ("tb", "dy", "ks"):
        await create(client, channel=code, platform=Platform.PLATFORM_DOUYIN)
    for size in (1, 2, 3, 1000):
        found: list[str] = []
        asked: dict[str, Any] = {"page_size": size}
        while True:
            page = await client.ask(client.catalog.ListChannels, pb.ListChannelsRequest, **asked)
            found += [channel.channel for channel in page.channels]
            asked["page_token"] = page.next_page_token
            if not page.next_page_token:
                break
        assert found == ["dy", "ks", "tb"]


async def test_what_a_connector_says_is_shown(client: Client, owner: asyncpg.Connection, token: str) -> None:
    """As it was stored, with the time of its last sign of life; what a newer release adds is left out."""
    await create(client, **PLAIN)
    said = {"connector_id": "a", "calls": 7, "ban": "3s", "needs": "log in", "mood": "sunny"}
    sql = f"UPDATE {schema_of_token(token)}.channels SET connector = $1, heartbeat_time = now(), watermark = now()"
    await owner.execute(sql, json.dumps(said))
    channel = await get(client, "tb")
    state = channel.connector
    assert (state.connector_id, state.calls, state.ban.seconds, state.needs) == ("a", 7, 3, "log in")
    assert channel.watermark == state.heartbeat_time


# ---- secrets


async def test_credentials_are_for_the_connector(client: Client) -> None:
    """What was stored is handed out byte for byte, with a version; the channel only says that it has some."""
    await create(client, **PLAIN)
    refusal = await refused(credentials(client))
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "CREDENTIALS_MISSING")
    stored = await set_credentials(client, refresh_token="r", expire_time={"seconds": 1_900_000_000})
    assert stored.has_credentials
    found = await credentials(client)
    assert json.loads(found.credentials_json) == {"app_key": "12", "app_secret": SECRET}
    assert (found.access_token, found.refresh_token, found.version) == (SECRET, "r", 1)
    assert found.expire_time.seconds == 1_900_000_000
    assert (await refused(credentials(client, "nope"))).reason == "CHANNEL_UNKNOWN"


async def test_secrets_are_nowhere_to_be_read(
    client: Client, owner: asyncpg.Connection, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the database, in a channel, in a log, in an error, in the text of the objects that hold them."""
    caplog.set_level(logging.DEBUG)
    await create(client, **PLAIN)
    shown = [str(await set_credentials(client)), str(await get(client, "tb"))]
    wrong = (f'{{"app_secret": "{SECRET}"', f'["{SECRET}"]', json.dumps({"a": SECRET * 1000}))
    shown += [str(await refused(set_credentials(client, credentials_json=text))) for text in wrong]
    shown.append(str(await refused(set_credentials(client, access_token=f"{SECRET}\n"))))
    shown.append(str(await refused(store_tokens(client, 9, access_token=SECRET))))
    row = await owner.fetchrow(f"SELECT * FROM {schema_of_token(token)}.channels")
    shown += [str(row), caplog.text, repr(Tokens(SECRET, SECRET, None))]
    shown.append(repr(Credentials(SECRET, Tokens(SECRET, SECRET, None), 1)))
    assert not [text for text in shown if SECRET in text]


async def test_rotated_tokens_are_stored_once(client: Client) -> None:
    """Who has read the newest version stores the next; everybody else is told which it is, and changes nothing."""
    await create(client, **PLAIN)
    assert (await refused(store_tokens(client, 1))).reason == "CREDENTIALS_MISSING"
    await set_credentials(client)
    assert (await store_tokens(client, 1, access_token="new", refresh_token="next")).version == 2
    refusal = await refused(store_tokens(client, 1, access_token="newer"))
    assert (refusal.code, refusal.reason) == (StatusCode.ABORTED, "TOKENS_CHANGED")
    assert (refusal.field, refusal.facts["version"]) == ("version", "2")
    found = await credentials(client)
    assert (found.access_token, found.refresh_token, found.version) == ("new", "next", 2)
    assert not found.HasField("expire_time")
    await set_credentials(client)
    assert (await refused(store_tokens(client, 2))).facts["version"] == "3"


async def test_without_a_key_all_but_credentials_works(settings: Settings, token: str) -> None:
    """A gateway without a key says which setting is missing, and how to make one; with the key changed, likewise."""
    first, second = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    async with _gateway(settings, token, None) as client:
        await create(client, **PLAIN)
        refusal = await refused(set_credentials(client))
        assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "CREDENTIALS_LOCKED")
        assert "STOCKGATE_CREDENTIALS_KEY" in refusal.message
        assert "stockgate channel key" in refusal.message
    async with _gateway(settings, token, first) as client:
        await set_credentials(client)
    async with _gateway(settings, token, second) as client:
        assert (await refused(credentials(client))).reason == "CREDENTIALS_LOCKED"
    async with _gateway(settings, token, f"{second}, {first}") as client:
        assert (await credentials(client)).access_token == SECRET
        await set_credentials(client)
    async with _gateway(settings, token, second) as client:
        assert (await credentials(client)).access_token == SECRET
    async with _gateway(settings, token, None) as client:
        assert (await refused(credentials(client))).reason == "CREDENTIALS_LOCKED"
        assert (await get(client, "tb")).has_credentials


# ---- listings


async def test_a_listing_is_linked_once(client: Client, owner: asyncpg.Connection, token: str) -> None:
    """It gets the next number; the same again, in whatever order, answers with it as it is."""
    await stock(client)
    linked = await link(client, [("CUP", 1), ("MUG", 2)], takes_on=TakesOn.TAKES_ON_PAYMENT)
    assert (linked.listing_id, linked.takes_on) == (1, TakesOn.TAKES_ON_PAYMENT)
    assert [(each.sku, each.units) for each in linked.components] == [("CUP", 1), ("MUG", 2)]
    assert not linked.HasField("exposure")
    assert not linked.HasField("push")
    assert await link(client, [("MUG", 2), ("CUP", 1)], takes_on=TakesOn.TAKES_ON_PAYMENT) == linked
    assert (await link(client, [("CUP", 1)], platform_sku_id="")).listing_id == 2
    (head,) = await owner.fetch(f"SELECT version, listing_number FROM {schema_of_token(token)}.head")
    assert head["listing_number"] == 2
    versions = [row["version"] for row in await owner.fetch(f"SELECT version FROM {schema_of_token(token)}.listings")]
    assert 0 < min(versions) <= max(versions) <= head["version"]


async def test_a_change_makes_every_writer_read_anew(client: Client, owner: asyncpg.Connection, token: str) -> None:
    """Each change of a channel, a listing or a policy raises the head's version; a refused one leaves it alone."""
    await stock(client)
    sql = f"SELECT version FROM {schema_of_token(token)}.head"
    version = await owner.fetchval(sql)
    for change in (
        update(client, [], channel="tb", title="x"),
        set_credentials(client),
        store_tokens(client, 1, access_token="x"),
        link(client, [("CUP", 1)]),
        link(client, [("CUP", 2)]),
        set_policy(client, sku="CUP"),
        unlink(client, 1),
    ):
        await change
        before, version = version, await owner.fetchval(sql)
        assert version == before + 1
    await refused(link(client, [("NOPE", 1)]))
    assert await owner.fetchval(sql) == version


async def test_an_untouched_listing_may_become_another(client: Client) -> None:
    """Before the gateway has ever touched its number it can be linked anew, and unlinked; then its key is free."""
    await stock(client)
    first = await link(client, [("CUP", 1)])
    again = await link(client, [("MUG", 3)], takes_on=TakesOn.TAKES_ON_ORDER)
    assert (again.listing_id, again.takes_on, again.components[0].sku) == (first.listing_id, 1, "MUG")
    await unlink(client, first.listing_id)
    refusal = await refused(unlink(client, first.listing_id))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "LISTING_UNKNOWN")
    assert (await link(client, [("CUP", 1)])).listing_id == first.listing_id + 1


@pytest.mark.parametrize(
    ("state", "is_in_use"),
    [
        ([], False),
        ([None], False),
        ([[]], False),
        ([[["main", 0]]], False),
        ([[["main", 2], ["north", 3]]], True),
        ([[["main", -1], ["north", 1]]], True),
        ([[["main", -1]]], True),
        ([[], [7, 1, [["main", 2]], "2026-11-22T08:00:00Z"]], True),
        ([None, [7, 1, [["main", 2]], "2026-11-22T08:00:00Z"]], True),
    ],
)
async def test_what_may_still_sell_stays_what_it_is(
    client: Client, owner: asyncpg.Connection, token: str, state: list[Any], *, is_in_use: bool
) -> None:
    """A listing with exposure or a push under way keeps its parts (R20), and is told how to be lowered."""
    await stock(client)
    listing_id = (await link(client, [("CUP", 1)])).listing_id
    await owner.execute(f"UPDATE {schema_of_token(token)}.listings SET state = $1", json.dumps(state))
    same = await link(client, [("CUP", 1)])
    if not is_in_use:
        assert (await link(client, [("CUP", 2)])).components[0].units == 2
        await unlink(client, listing_id)
        return
    for change in (link(client, [("CUP", 2)]), link(client, [("CUP", 1)], takes_on=2), unlink(client, listing_id)):
        refusal = await refused(change)
        assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "LISTING_IN_USE")
        assert "cap of 0" in refusal.message
    assert await link(client, [("CUP", 1)]) == same


async def test_a_listing_stands_on_what_there_is(client: Client) -> None:
    """Its channel and each of its SKUs exist, and a SKU is named once."""
    await stock(client)
    for components, channel, reason, field in (
        ([("CUP", 1)], "nope", "CHANNEL_UNKNOWN", "listing.channel"),
        ([("CUP", 1), ("NOPE", 1)], "tb", "SKU_UNKNOWN", "listing.components[1].sku"),
        ([("CUP", 1), ("CUP", 2)], "tb", "INVALID_ARGUMENT", "listing.components"),
        ([], "tb", "INVALID_ARGUMENT", "listing.components"),
    ):
        refusal = await refused(link(client, components, channel=channel))
        assert (refusal.reason, refusal.field) == (reason, field)


# ---- policies


async def test_a_policy_is_kept_as_it_was_said(client: Client) -> None:
    """Shares in their order, caps of nothing apart from none; the last word counts."""
    await stock(client)
    assert await get_policy(client, "CUP") == StockPolicy(sku="CUP", kind=PolicyKind.POLICY_KIND_BY_DEMAND)
    shares = [{"channel": "tb", "share": 3, "cap": 0}, {"channel": "dy", "share": 1}]
    weighted = await set_policy(client, sku="CUP", kind=2, shares=shares, stop_at=5, shown_min=1)
    assert weighted == await get_policy(client, "CUP")
    assert [share.channel for share in weighted.shares] == ["tb", "dy"]
    assert [share.HasField("cap") for share in weighted.shares] == [True, False]
    shared = await set_policy(client, sku="CUP", kind=6, buffer=2, escrow_below=10)
    assert await get_policy(client, "CUP") == shared
    await set_policy(client, sku="MUG")
    for size in (1, 2, 1000):
        page = await client.ask(client.catalog.ListPolicies, pb.ListPoliciesRequest, page_size=size)
        assert [policy.sku for policy in page.policies] == ["CUP", "MUG"][:size]
        if page.next_page_token:
            asked = {"page_token": page.next_page_token}
            rest = await client.ask(client.catalog.ListPolicies, pb.ListPoliciesRequest, **asked)
            assert [policy.sku for policy in rest.policies] == ["CUP", "MUG"][size:]


@pytest.mark.parametrize(
    ("content", "reason", "field"),
    [
        ({"kind": 2, "shares": [{"channel": "tb"}]}, "INVALID_ARGUMENT", "shares[0].share"),
        ({"kind": 2, "shares": [{"channel": "tb", "share": 1_001}]}, "INVALID_ARGUMENT", "shares[0].share"),
        ({"kind": 3, "shares": [{"channel": "tb", "share": -1}]}, "INVALID_ARGUMENT", "shares[0].share"),
        ({"kind": 3, "shares": [{"channel": "tb", "share": 10**15 + 1}]}, "QUANTITY_OVERFLOW", "shares[0].share"),
        ({"shares": [{"channel": "tb", "cap": -1}]}, "INVALID_ARGUMENT", "shares[0].cap"),
        ({"shares": [{"channel": "tb"}, {"channel": "tb"}]}, "INVALID_ARGUMENT", "shares[1].channel"),
        ({"shares": [{"channel": "tb"}, {"channel": "nope"}]}, "CHANNEL_UNKNOWN", "shares[1].channel"),
        *(({"kind": kind}, "INVALID_ARGUMENT", "shares") for kind in (2, 3, 4, 5)),
        *(({name: -1}, "INVALID_ARGUMENT", name) for name in ("stop_at", "shown_min", "buffer", "escrow_below")),
        *(({name: 1}, "INVALID_ARGUMENT", name) for name in ("buffer", "escrow_below")),
        ({"sku": "NOPE"}, "SKU_UNKNOWN", "sku"),
    ],
    ids=str,
)
async def test_a_policy_that_cannot_be_meant_is_refused(
    client: Client, content: dict[str, Any], reason: str, field: str
) -> None:
    """The field is named, and the policy stays as it was."""
    await stock(client)
    before = await set_policy(client, sku="CUP", stop_at=1)
    refusal = await refused(set_policy(client, **{"sku": "CUP", **content}))
    assert (refusal.reason, refusal.field) == (reason, f"policy.{field}")
    assert await get_policy(client, "CUP") == before


# ---- calls


async def stock(client: Client) -> None:
    """Two SKUs and two channels."""
    for sku in ("CUP", "MUG"):
        await client.add_sku(sku)
    for code in ("tb", "dy"):
        await create(client, channel=code, platform=Platform.PLATFORM_TAOBAO)


async def create(client: Client, **content: Any) -> Channel:
    """Create a channel."""
    return (await client.ask(client.catalog.CreateChannel, pb.CreateChannelRequest, channel=content)).channel


async def update(client: Client, mask: list[str], **content: Any) -> Channel:
    """Change a channel."""
    request = {"channel": content, "update_mask": {"paths": mask}}
    return (await client.ask(client.catalog.UpdateChannel, pb.UpdateChannelRequest, **request)).channel


async def get(client: Client, channel: str) -> Channel:
    """Read a channel."""
    return (await client.ask(client.catalog.GetChannel, pb.GetChannelRequest, channel=channel)).channel


async def set_credentials(client: Client, **content: Any) -> Channel:
    """Store the secrets of the channel tb."""
    usual = {"channel": "tb", "access_token": SECRET}
    secrets = json.dumps({"app_key": "12", "app_secret": SECRET})
    request = {**usual, "credentials_json": secrets, **content}
    return (await client.ask(client.catalog.SetCredentials, pb.SetCredentialsRequest, **request)).channel


async def credentials(client: Client, channel: str = "tb") -> channel_pb.GetCredentialsResponse:
    """Read a channel's secrets, as its connector does."""
    return await client.ask(client.selling.GetCredentials, channel_pb.GetCredentialsRequest, channel=channel)


async def store_tokens(client: Client, version: int, **content: Any) -> channel_pb.StoreTokensResponse:
    """Store rotated tokens of the channel tb."""
    request = {"channel": "tb", "version": version, "access_token": "rotated", **content}
    return await client.ask(client.selling.StoreTokens, channel_pb.StoreTokensRequest, **request)


async def link(client: Client, components: list[tuple[str, int]], **content: Any) -> Listing:
    """Link the listing tb/1/2, or another."""
    parts = [{"sku": sku, "units": units} for sku, units in components]
    listing = {"channel": "tb", "item_id": "1", "platform_sku_id": "2", "components": parts, **content}
    return (await client.ask(client.catalog.LinkListing, pb.LinkListingRequest, listing=listing)).listing


async def unlink(client: Client, listing_id: int) -> pb.UnlinkListingResponse:
    """Unlink a listing."""
    return await client.ask(client.catalog.UnlinkListing, pb.UnlinkListingRequest, listing_id=listing_id)


async def set_policy(client: Client, **content: Any) -> StockPolicy:
    """Set a policy."""
    return (await client.ask(client.catalog.SetPolicy, pb.SetPolicyRequest, policy=content)).policy


async def get_policy(client: Client, sku: str) -> StockPolicy:
    """Read a policy."""
    return (await client.ask(client.catalog.GetPolicy, pb.GetPolicyRequest, sku=sku)).policy


@asynccontextmanager
async def _gateway(settings: Settings, token: str, key: str | None) -> AsyncIterator[Client]:
    gateway = app.running_gateway(replace(settings, credentials_key=key))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        yield Client(channel, token)
