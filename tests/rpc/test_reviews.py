"""GetReview of sessions that were played: a real gateway, a shop whose connector is played by hand."""

from datetime import timedelta

import asyncpg
import pytest

from gateway import reviewing
from gateway.settings import Settings
from gateway.store.database import Database
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import live_service_pb2 as pb
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1.operations_pb2 import TimelineKind
from gateway.v1.review_pb2 import AdviceChange, AdviceSetting, Review
from tests.client import Client
from tests.faults.calls import until
from tests.live.rooms import close_session, open_session, oversell, sell, serving
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.rpc.played_shop import WAIT_SECONDS, Shop


async def review(client: Client, session_id: int) -> Review:
    """The review of a session."""
    return (await client.ask(client.live.GetReview, pb.GetReviewRequest, session_id=session_id)).review


async def play(client: Client, shops: dict[str, Shop]) -> int:
    """Two SKUs, one of which sells 12 of 20 on one of two channels; 5 more come. The session's number."""
    await client.add_sku("HAT", 30)
    session = await open_session(client, ["dy", "tb"], {"CUP": 0, "HAT": 0})
    for quantity in (5, 4, 3):
        await sell(shops["tb"], quantity)
    await client.receive("CUP", 5)
    await until(lambda: _is_shown(shops, 13), WAIT_SECONDS)
    await sell(shops["dy"], 1)
    return session.session_id


async def _is_shown(shops: dict[str, Shop], units: int) -> bool:
    """So many are for sale on all channels, and no push is under way."""
    found = [await shop.listing(listing_id) for shop in shops.values() for listing_id in shop.shown]
    return sum(one.exposure for one in found) == units and not any(one.HasField("push") for one in found)


async def test_a_played_session(client: Client) -> None:
    """Sold, left and come are those that were played; the review of a closed session is the same for ever."""
    await client.add_sku("CUP", 20)
    async with serving(client, "dy", "tb") as shops:
        for shop in shops.values():
            await shop.wait(lambda one: one.exposure > 0, *shop.shown)
        session_id = await play(client, shops)
        on = await review(client, session_id)
        assert not on.session.HasField("close_time")
        await close_session(client, session_id)
        first = await review(client, session_id)
        await sell(shops["tb"], 1)
        again = await review(client, session_id)
    assert again == first
    assert first.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)
    cup, hat = first.skus
    assert (cup.begin_available, cup.received, cup.sold, cup.unsold, cup.adjusted) == (20, 5, 13, 12, 0)
    assert (hat.begin_available, hat.sold, hat.unsold) == (30, 0, 30)
    assert not cup.HasField("stock_out_time")
    assert cup.oversold == 0
    assert {(one.channel, one.sold) for one in first.channels} == {("dy", 1), ("tb", 12)}
    assert sum(one.pushes for one in first.channels) > 0
    assert any(one.HasField("lag_p99") for one in first.channels)
    assert {one.name for one in cup.series} == {"available", "sales_per_minute", "tier", "exposure"}
    told = [(one.kind, one.actor) for one in first.happenings]
    assert told[0] == told[-1] == (TimelineKind.TIMELINE_KIND_PERSON, "小王")
    assert first.revision > on.revision - 1


async def test_a_review_outlives_its_log_and_todays_settings(
    client: Client, owner: asyncpg.Connection, token: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is kept it is the same, whatever is removed of the log and however titles and lead times change."""
    await client.add_sku("CUP", 20)
    async with serving(client, "dy", "tb") as shops:
        for shop in shops.values():
            await shop.wait(lambda one: one.exposure > 0, *shop.shown)
        session_id = await play(client, shops)
        await close_session(client, session_id)
    first = await review(client, session_id)
    merchant, schema = token.partition(".")[0], schema_of_token(token)
    database = Database(str(settings.database_url))
    keeping = reviewing.Reviewing(database.of(merchant))
    assert await keeping.keep() == [], "something may be on its way still"
    monkeypatch.setattr(reviewing, "KEEP_AFTER", timedelta(0))
    await keeping.keep()
    assert [row[0] for row in await owner.fetch(f'SELECT session_id FROM "{schema}".reviews')] == [session_id]
    await owner.execute(f'DELETE FROM "{schema}".alert_events; DELETE FROM "{schema}".listing_states')
    await owner.execute(f'UPDATE "{schema}".alert_head SET compact_revision = revision')
    await owner.execute(f"""UPDATE "{schema}".skus SET title = 'another', lead_time_mean_days = 9""")
    assert await review(client, session_id) == first
    again = reviewing.Reviewing(database.of(merchant))
    assert await again.review(session_id) == await keeping.review(session_id)
    await database.close()


async def test_a_session_that_is_on_is_reviewed_up_to_what_is_newest(client: Client) -> None:
    """As long as nothing happens, its review stays the same too."""
    await client.add_sku("CUP", 20)
    async with serving(client, "tb"):
        session = await open_session(client, ["tb"], {"CUP": 0})
        first = await review(client, session.session_id)
        again = await review(client, session.session_id)
    assert (first.revision, first.alert_revision) <= (again.revision, again.alert_revision)
    if (first.revision, first.alert_revision) == (again.revision, again.alert_revision):
        assert first == again
    assert first.skus[0].sold == 0
    assert first.policies[0].name == "as_it_was"


async def test_a_session_nobody_opened(client: Client) -> None:
    """It is not found, and the error names the field."""
    refusal = await refused(review(client, 999))
    assert (refusal.reason, refusal.field) == ("SESSION_UNKNOWN", "session_id")


async def test_accepted_advice_is_set_once(client: Client, owner: asyncpg.Connection, token: str) -> None:
    """What was oversold is kept as safety stock from then on; who accepts it again changes nothing, and it is audited.

    Once somebody has set something else it is refused.
    """
    await client.add_sku("CUP", 20)
    await Shop(client).open()
    session_id = (await open_session(client, ["tb"], {"CUP": 0})).session_id
    await oversell(owner, schema_of_token(token), session_id, "CUP")
    await close_session(client, session_id)
    response = await client.ask(client.live.GetReview, pb.GetReviewRequest, session_id=session_id)
    [advice] = [one for one in response.review.advice if one.HasField("change")]
    safety_stock = AdviceSetting.ADVICE_SETTING_SAFETY_STOCK
    assert (advice.kind, advice.change.setting, advice.change.before, advice.change.after) == (
        "SAFETY_STOCK",
        safety_stock,
        0,
        3,
    )
    assert [(one.kind, one.sku, one.value) for one in response.settings] == [("SAFETY_STOCK", "CUP", 0)]
    for _ in range(2):
        assert await _accept(client, session_id) == advice.change
        assert await _safety_stock(client) == 3
    [now] = (await client.ask(client.live.GetReview, pb.GetReviewRequest, session_id=session_id)).settings
    assert now.value == 3
    listed = await client.ask(client.operations.ListAudit, operations.ListAuditRequest, sku="CUP", actor="小王")
    accepted = [one for one in listed.entries if one.method == "LiveService/AcceptAdvice"]
    assert [one.outcome for one in accepted] == ["OK", "OK"]
    sku = {"sku": "CUP", "safety_stock": 1}
    mask = {"paths": ["safety_stock"]}
    await client.ask(client.catalog.UpdateSku, catalog.UpdateSkuRequest, sku=sku, update_mask=mask)
    assert (await refused(_accept(client, session_id))).reason == "SETTING_CHANGED"
    assert (await refused(_accept(client, session_id, kind="LEAD_TIME"))).reason == "ADVICE_UNKNOWN"
    assert await _safety_stock(client) == 1


async def _accept(client: Client, session_id: int, kind: str = "SAFETY_STOCK") -> AdviceChange:
    content = {"session_id": session_id, "kind": kind, "sku": "CUP", "actor": "小王"}
    return (await client.tell(client.live.AcceptAdvice, pb.AcceptAdviceRequest, **content)).change


async def _safety_stock(client: Client) -> int:
    return (await client.ask(client.catalog.GetSku, catalog.GetSkuRequest, sku="CUP")).sku.safety_stock
