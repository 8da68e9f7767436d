"""Hints on real streams: what a room can still sell, in numbers and words, and never a moment too late (R46)."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import grpc.aio
import pytest

from gateway import app
from gateway.alerts.engine import Engine
from gateway.domain.errors import DatabaseUnavailable
from gateway.domain.hints import Hint, RoomView, hint
from gateway.live import rooms
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import live_service_pb2 as pb
from gateway.v1.alert_pb2 import Tier
from tests.client import Client, made
from tests.live.following import following, hint_of
from tests.live.rooms import close_session, number_of, open_session, sell, serving, update_session
from tests.refusals import refused
from tests.rpc.played_shop import Shop
from tests.rpc.shop_calls import set_policy


async def update_sku(client: Client, sku: str, **content: object) -> None:
    """Change what the catalog says of a SKU."""
    request = made(catalog.UpdateSkuRequest, sku={"sku": sku, **content}, update_mask={"paths": list(content)})
    await client.catalog.UpdateSku(request, **client.options)


async def beating(*shops: Shop) -> None:
    """The shops' connectors live, and walk through the orders."""
    for shop in shops:
        await shop.beat()
        await shop.report_orders(watermark=True)


async def test_a_room_hears_what_it_can_sell(client: Client) -> None:
    """All once, then what changes with each sale, in both languages, and again before it expires."""
    await client.add_sku("CUP", 23)
    await update_sku(client, "CUP", title="马克杯")
    async with serving(client, "tb") as shops:
        number = await number_of(shops["tb"])
        await shops["tb"].wait_shown(**{f"L{number}": 23})
        session = await open_session(client, ["tb"], {"CUP": 0})
        async with following(client, session.session_id) as stream:
            first = (await stream.beginning())["CUP"]
            assert (first.sellable, first.available, first.title) == (23, 23, "马克杯")
            assert "23单" in first.host_line
            assert "23" in first.host_line_en
            assert first.chat_line
            assert first.expire_time.ToDatetime() - first.observe_time.ToDatetime() == timedelta(seconds=3)
            await sell(shops["tb"], 3)
            told = await stream.until(lambda one: one.available == 20)
            assert told.sellable <= 20
            assert not told.is_stale
            again = await stream.until(lambda one: one.observe_time.ToDatetime() > told.observe_time.ToDatetime())
            assert again.observe_time.ToDatetime() < told.expire_time.ToDatetime()


async def test_a_hint_comes_again_before_it_expires(client: Client) -> None:
    """In silence as well: there is at no moment nothing that may be spoken."""
    await client.add_sku("CUP", 5)
    async with serving(client, "tb") as shops:
        session = await open_session(client, ["tb"], {"CUP": 0})
        async with following(client, session.session_id) as stream:
            told = (await stream.beginning())["CUP"]
            for _ in range(3):
                before = told
                await stream.read()
                told = stream.hints["CUP"]
                assert told.observe_time.ToDatetime() < before.expire_time.ToDatetime()
            await beating(shops["tb"])


async def test_rooms_say_no_more_than_there_is(client: Client) -> None:
    """Each what its own channels can sell, in parts where they sell on the same, or share the units (R29, R46)."""
    await client.add_sku("CUP", 40)
    async with serving(client, "tb", "dy") as shops:
        for shop in shops.values():
            await shop.wait_shown(**{f"L{await number_of(shop)}": 20})
        first = await open_session(client, ["tb"], {"CUP": 0})
        second = await open_session(client, ["dy"], {"CUP": 0})
        said = [(await hint_of(client, one.session_id)).sellable for one in (first, second)]
        assert said == [20, 20]
        both = await open_session(client, ["tb", "dy"], {"CUP": 0})
        rooms = (first, second, both)
        told = [await hint_of(client, one.session_id) for one in rooms]
        assert [(one.sellable, one.rooms) for one in told] == [(10, 2), (10, 2), (20, 2)]
        await set_policy(client, sku="CUP", kind=6)
        for shop in shops.values():
            await shop.wait_shown(**{f"L{await number_of(shop)}": 40})
        assert [(await hint_of(client, one.session_id)).sellable for one in rooms] == [14, 13, 13]
        for one in rooms[1:]:
            await close_session(client, one.session_id)
        alone = await hint_of(client, first.session_id)
        assert (alone.sellable, alone.rooms) == (40, 1)


async def test_a_room_with_units_of_its_own_says_those(client: Client) -> None:
    """While others are still lowered, and after: what is left of its own, and nothing above it."""
    await client.add_sku("CUP", 60)
    async with serving(client, "tb", "dy") as shops:
        for shop in shops.values():
            await shop.wait_shown(**{f"L{await number_of(shop)}": 30})
        session = await open_session(client, ["tb"], {"CUP": 10})
        told = await hint_of(client, session.session_id)
        assert (told.exclusive_left, told.available) == (10, 60)
        assert told.sellable <= 10
        await shops["tb"].wait_shown(**{f"L{await number_of(shops['tb'])}": 10})
        await sell(shops["tb"], 4)
        told = await hint_of(client, session.session_id)
        assert told.exclusive_left == 6
        assert told.sellable <= 6


async def test_when_it_is_gone_something_else_is_offered(client: Client) -> None:
    """Substitutes of the catalog that this room can sell now, best first; the words name one."""
    for sku, units in (("CUP", 50), ("MUG", 9), ("POT", 0)):
        await client.add_sku(sku, units)
    await update_sku(client, "MUG", title="陶瓷杯")
    await update_sku(client, "CUP", substitutes=["POT", "MUG"])
    async with serving(client, "tb") as shops:
        mug = await shops["tb"].link(("MUG", 1), item_id="2")
        await shops["tb"].wait_shown(**{f"L{await number_of(shops['tb'])}": 50, f"L{mug}": 9})
        session = await open_session(client, ["tb"], {"CUP": 0})
        assert not (await hint_of(client, session.session_id)).substitutes
        await client.ask(client.catalog.FreezeSku, catalog.FreezeSkuRequest, sku="CUP", reason="recall")
        told = await hint_of(client, session.session_id)
        assert told.sellable == 0
        assert [(one.sku, one.title, one.sellable) for one in told.substitutes] == [("MUG", "陶瓷杯", 9)]
        assert "单" not in told.host_line


async def test_old_knowledge_has_no_numbers(client: Client, clock: Clock) -> None:
    """A channel of the room that has not been heard for three heartbeats: no number is spoken."""
    await client.add_sku("CUP", 23)
    async with serving(client, "tb") as shops:
        await shops["tb"].wait_shown(**{f"L{await number_of(shops['tb'])}": 23})
        session = await open_session(client, ["tb"], {"CUP": 0})
        assert not (await hint_of(client, session.session_id)).is_stale
        shops["tb"].is_heard = False
        clock.offset += timedelta(seconds=16)
        told = await hint_of(client, session.session_id)
        assert told.is_stale
        for text in (told.host_line, told.host_line_en, told.chat_line, told.chat_line_en):
            assert text
            assert not any(char.isdigit() for char in text)
        await beating(shops["tb"])
        assert not (await hint_of(client, session.session_id)).is_stale


async def test_orders_that_do_not_come_in_leave_no_numbers(client: Client, clock: Clock) -> None:
    """A connector that beats, and whose walk through the orders has stood still for 15 seconds, sells unseen."""
    await client.add_sku("CUP", 23)
    async with serving(client, "tb") as shops:
        await shops["tb"].wait_shown(**{f"L{await number_of(shops['tb'])}": 23})
        session = await open_session(client, ["tb"], {"CUP": 0})
        shops["tb"].walks = False
        await shops["tb"].report_orders(watermark=True)
        assert not (await hint_of(client, session.session_id)).is_stale
        clock.offset += timedelta(seconds=16)
        await shops["tb"].beat()
        told = await hint_of(client, session.session_id)
        assert told.is_stale
        assert not any(char.isdigit() for char in told.host_line)
        await shops["tb"].report_orders(watermark=True)
        assert not (await hint_of(client, session.session_id)).is_stale


async def test_nobody_says_plenty_while_the_engine_stands_still(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are those of a tier: where nobody has judged it for half a minute they have no number, nor a tier."""

    async def falters(_engine: Engine, _lookout: object) -> bool:
        raise DatabaseUnavailable("so it seems")

    await client.add_sku("CUP", 23)
    async with serving(client, "tb") as shops:
        await shops["tb"].wait_shown(**{f"L{await number_of(shops['tb'])}": 23})
        session = await open_session(client, ["tb"], {"CUP": 0})
        async with following(client, session.session_id) as stream:
            await stream.until(lambda one: not one.is_stale)
            monkeypatch.setattr(Engine, "_look", falters)
            clock.offset += timedelta(seconds=40)
            await beating(shops["tb"])
            told = await stream.until(lambda one: one.is_stale)
            assert "先不要报数字" in told.host_line
            monkeypatch.undo()
            await stream.until(lambda one: not one.is_stale)


@pytest.mark.parametrize("title", ["{sellable}<b>x</b>", "a\u202eb", "x" * 200, "{" * 60])
async def test_a_hostile_title_is_text(client: Client, title: str) -> None:
    """Whatever a title holds is shown as it is, on one line."""
    await client.add_sku("CUP", 5)
    await update_sku(client, "CUP", title=title)
    async with serving(client, "tb") as shops:
        await shops["tb"].wait_shown(**{f"L{await number_of(shops['tb'])}": 5})
        session = await open_session(client, ["tb"], {"CUP": 0})
        told = await hint_of(client, session.session_id)
        assert told.title.isprintable()
        assert told.title in told.host_line
        assert told.host_line.isprintable()


async def test_what_a_session_sells_may_change_under_its_readers(client: Client) -> None:
    """What is added comes without being asked for; what is asked for by name comes alone."""
    await client.add_sku("CUP", 5)
    await client.add_sku("MUG", 5)
    async with serving(client, "tb"):
        session = await open_session(client, ["tb"], {"CUP": 0})
        async with following(client, session.session_id) as stream, following(client, session.session_id, "CUP") as one:
            assert (await stream.beginning()).keys() == {"CUP"}
            await one.beginning()
            await update_session(client, session.session_id, skus=[{"sku": "MUG"}])
            await stream.until(lambda _: True, "MUG")
            await one.read()
            assert one.hints.keys() == {"CUP"}


async def test_streams_end_honestly(client: Client, settings: Settings, token: str) -> None:
    """CLOSED when the session is, whoever closes it; SHUTDOWN when the gateway stops."""
    await client.add_sku("CUP", 5)
    async with serving(client, "tb"):
        session = await open_session(client, ["tb"], {"CUP": 0})
        async with following(client, session.session_id) as stream, AsyncExitStack() as elsewhere:
            await stream.beginning()
            gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
            address = await elsewhere.enter_async_context(gateway)
            async with (
                grpc.aio.insecure_channel(address) as channel,
                following(Client(channel, token), session.session_id) as there,
            ):
                await there.beginning()
                ending = asyncio.create_task(there.end())
                await elsewhere.aclose()
                assert (await ending).reason == "SHUTDOWN"
            await close_session(client, session.session_id)
            assert (await stream.end()).reason == "CLOSED"
        assert (await refused(_read_once(client, session.session_id))).reason == "SESSION_OVER"


async def test_a_stream_ends_before_its_connection_is_too_old(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """MAX_AGE, and when to come back; grpc would cut the connection without a word."""
    monkeypatch.setattr("gateway.rpc.live_hints.STREAM_AGE_MAX_SECONDS", 1.0)
    await client.add_sku("CUP", 5)
    async with serving(client, "tb"):
        session = await open_session(client, ["tb"], {"CUP": 0})
        async with following(client, session.session_id) as stream:
            ended = await stream.end()
            assert (ended.reason, ended.retry_after_ms > 0) == ("MAX_AGE", True)


async def test_who_asks_for_what_is_not_there(client: Client) -> None:
    """An unknown session, a SKU that it does not sell."""
    await client.add_sku("CUP", 5)
    async with serving(client, "tb"):
        session = await open_session(client, ["tb"], {"CUP": 0})
        assert (await refused(hint_of(client, 999))).reason == "SESSION_UNKNOWN"
        refusal = await refused(hint_of(client, session.session_id, "MUG"))
        assert (refusal.reason, refusal.field) == ("SKU_UNKNOWN", "skus[0]")
        assert (await refused(_read_once(client, 999))).reason == "SESSION_UNKNOWN"


async def test_a_room_is_worked_out_once_for_all_its_readers(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty readers cost what one costs, and no more than twice a second."""
    await client.add_sku("CUP", 50)
    looks: list[str] = []

    def counted(view: RoomView, sku: str) -> Hint:
        looks.append(sku)
        return hint(view, sku)

    monkeypatch.setattr(rooms, "hint", counted)
    async with serving(client, "tb") as shops:
        session = await open_session(client, ["tb"], {"CUP": 0})
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(_read_for(client, session.session_id, 3.0)) for _ in range(50)]
            await asyncio.sleep(0.5)
            looks.clear()
            for _ in range(10):
                await sell(shops["tb"], 1)
        assert len(looks) <= 8
        assert all(reader.result() >= 2 for reader in readers)


async def _read_for(client: Client, session_id: int, seconds: float) -> int:
    count = 0
    async with following(client, session_id) as stream:
        await stream.beginning()
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends:
            await stream.read()
            count += 1
    return count


async def _read_once(client: Client, session_id: int) -> None:
    call = client.live.WatchHints(pb.WatchHintsRequest(session_id=session_id), **client.options)
    await anext(aiter(call))


async def test_the_tier_is_told_too(client: Client) -> None:
    """The engine's judgement comes along: sold out everywhere is SOLD_OUT here."""
    await client.add_sku("CUP", 2)
    async with serving(client, "tb") as shops:
        await shops["tb"].wait_shown(**{f"L{await number_of(shops['tb'])}": 2})
        session = await open_session(client, ["tb"], {"CUP": 0})
        async with following(client, session.session_id) as stream:
            await stream.beginning()
            await sell(shops["tb"], 2)
            told = await stream.until(lambda one: one.tier == Tier.TIER_SOLD_OUT)
            assert told.sellable == 0
            assert told.revision > session.session_id
