"""Channels and their secrets: stored as they were said, changed by field; what is secret stays secret."""

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
from gateway.v1.channel_pb2 import Platform, TakesOn
from tests.client import Client
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.rpc.shop_calls import SECRET, create, credentials, get, set_credentials, store_tokens, update
from tests.store.history import add_location, stop_allocating

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


@asynccontextmanager
async def _gateway(settings: Settings, token: str, key: str | None) -> AsyncIterator[Client]:
    gateway = app.running_gateway(replace(settings, credentials_key=key))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        yield Client(channel, token)
