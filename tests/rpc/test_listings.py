"""Listings and policies: linked and set as they were said, and changed while nothing is at stake."""

import json
from typing import Any

import asyncpg
import pytest
from grpc import StatusCode

from gateway.v1 import catalog_service_pb2 as pb
from gateway.v1.channel_pb2 import PolicyKind, StockPolicy, TakesOn
from tests.client import Client
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.rpc.shop_calls import get_policy, link, set_credentials, set_policy, stock, store_tokens, unlink, update
from tests.store.history import stop_allocating


@pytest.fixture(autouse=True)
def _nobody_allocates(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen here is what callers have done."""
    stop_allocating(monkeypatch)


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
