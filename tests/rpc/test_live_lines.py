"""Lines for the chat and their templates: not too often, never twice the same, marked in a drill, checked."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import grpc.aio
import pytest

from gateway import app
from gateway.domain.alerts import EventKind, TakenLine
from gateway.settings import Settings
from gateway.store.alert_log import EventFilter, list_events
from gateway.store.alert_tables import drills
from gateway.store.database import Clock, read_time
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import live_service_pb2 as pb
from gateway.v1.alert_pb2 import Tier
from tests.client import Client, made, new_id
from tests.live.following import hint_of
from tests.live.rooms import WHO, close_session, number_of, open_session, serving
from tests.refusals import refused
from tests.store.history import store_of

WORDS = ["{title}还有{sellable}单", "有货，{title}可以拍", "{title}在售"]


@pytest.fixture
async def room(client: Client) -> AsyncIterator[int]:
    """A room that can sell 23 cups."""
    await client.add_sku("CUP", 23)
    content = {"sku": {"sku": "CUP", "title": "马克杯"}, "update_mask": {"paths": ["title"]}}
    await client.catalog.UpdateSku(made(catalog.UpdateSkuRequest, **content), **client.options)
    async with serving(client, "tb") as shops:
        await shops["tb"].wait_shown(**{f"L{await number_of(shops['tb'])}": 23})
        yield (await open_session(client, ["tb"], {"CUP": 0})).session_id


async def take(client: Client, session_id: int, intent: str = "STOCK", **content: Any) -> pb.TakeLineResponse:
    """Ask for a line."""
    request = {"session_id": session_id, "sku": "CUP", "intent": intent, **content}
    return await client.ask(client.live.TakeLine, pb.TakeLineRequest, **request)


async def set_template(client: Client, **content: Any) -> pb.LineTemplate:
    """Store a template."""
    template = {"intent": "STOCK", "tier": Tier.TIER_NORMAL, "language": "zh-CN", "variants": WORDS, **content}
    request = made(pb.SetTemplateRequest, request_id=new_id(), template=template, actor=WHO)
    return (await client.live.SetTemplate(request, **client.options)).template


async def test_a_line_answers_with_what_there_is(client: Client, settings: Settings, token: str, room: int) -> None:
    """It is made from the room's numbers, may be sent for three seconds, and stands in the log with its template."""
    line = await take(client, room, viewer="v1")
    assert line.text
    assert not line.quiet_reason
    assert line.template_id.startswith("STOCK/")
    told = await hint_of(client, room)
    assert line.expire_time.ToDatetime() <= told.expire_time.ToDatetime()
    async with store_of(settings, token) as database, database.transaction() as connection:
        wanted = EventFilter(kinds=frozenset({EventKind.LINE_TAKEN}))
        (event,) = await list_events(connection, wanted, before=2**62, include_drills=True, count_max=9)
    assert event.revision == line.revision
    assert event.body == TakenLine("STOCK", line.text, line.template_id, "zh-CN")
    assert (event.sku, event.session_ids, event.drill_id) == ("CUP", (room,), 0)


async def test_a_room_is_not_talked_to_all_the_time(client: Client, clock: Clock, room: int) -> None:
    """The same question every 20 s, six lines a minute; and how long to wait is said."""
    assert (await take(client, room)).text
    quiet = await take(client, room)
    assert (quiet.text, quiet.quiet_reason) == ("", "INTENT_QUIET")
    assert 15_000 < quiet.retry_after_ms <= 20_001
    assert (await take(client, room, "RESTOCK")).text
    clock.offset += timedelta(milliseconds=quiet.retry_after_ms)
    assert (await take(client, room)).text
    assert (await take(client, room, "RESTOCK")).text
    assert (await take(client, room, "SUBSTITUTE")).text
    clock.offset += timedelta(seconds=20)
    assert (await take(client, room)).text
    quiet = await take(client, room, "RESTOCK")
    assert quiet.quiet_reason == "ROOM_QUIET"
    assert 0 < quiet.retry_after_ms <= 25_000
    clock.offset += timedelta(milliseconds=quiet.retry_after_ms)
    assert (await take(client, room, "RESTOCK")).text


async def test_a_viewer_is_answered_once_a_minute(client: Client, clock: Clock, room: int) -> None:
    """Whatever he asks; others are answered meanwhile, and nobody hears who he is."""
    assert (await take(client, room, viewer="张三")).text
    clock.offset += timedelta(seconds=21)
    quiet = await take(client, room, "RESTOCK", viewer="张三")
    assert (quiet.quiet_reason, 50_000 < quiet.retry_after_ms <= 60_001) == ("VIEWER_QUIET", True)
    assert (await take(client, room, "RESTOCK", viewer="李四")).text


async def test_all_gateways_together_keep_to_it(settings: Settings, client: Client, token: str, room: int) -> None:
    """What was said at one gateway is known at the other."""
    first = await take(client, room)
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        assert (await take(Client(channel, token), room)).quiet_reason == "INTENT_QUIET"
    assert first.text


async def test_the_same_is_not_said_twice_in_a_row(client: Client, clock: Clock, room: int) -> None:
    """Variants take turns."""
    said = []
    for _ in range(6):
        said.append((await take(client, room)).text)
        clock.offset += timedelta(seconds=21)
        await client.ask(client.live.GetHints, pb.GetHintsRequest, session_id=room)
    assert all(said)
    assert all(one != other for one, other in pairwise(said))


async def test_a_drills_line_is_marked_and_counts_for_the_drill_alone(
    client: Client, settings: Settings, token: str, room: int
) -> None:
    """R44: rehearsed lines carry a mark in text and event, and keep no true line from being said."""
    assert (await refused(take(client, room, drill_id=7))).reason == "DRILL_UNKNOWN"
    async with store_of(settings, token) as database, database.transaction() as connection:
        now = await read_time(connection, database.now)
        row = {"drill_id": 7, "state": "RUNNING", "gateway": "x", "heard_time": now, "body": {}}
        await connection.execute(drills.insert(), [row])
    rehearsed = await take(client, room, drill_id=7)
    assert rehearsed.text.startswith("【演练】")
    assert (await take(client, room, drill_id=7, intent="RESTOCK", language="en")).text.startswith("[DRILL] ")
    assert (await take(client, room)).text[0] != "【"
    async with store_of(settings, token) as database, database.transaction() as connection:
        wanted = EventFilter(kinds=frozenset({EventKind.LINE_TAKEN}))
        events = await list_events(connection, wanted, before=2**62, include_drills=True, count_max=9)
    assert [event.drill_id for event in events] == [0, 7, 7]


async def test_who_asks_for_what_is_not_there(client: Client, room: int) -> None:
    """A session that is closed or unknown, a SKU it does not sell, an intent or a language there is not."""
    assert (await refused(take(client, 999))).reason == "SESSION_UNKNOWN"
    refusal = await refused(take(client, room, sku="MUG"))
    assert (refusal.reason, refusal.field) == ("SKU_UNKNOWN", "sku")
    assert (await refused(take(client, room, "HOST"))).field == "intent"
    assert (await refused(take(client, room, language="fr"))).field == "language"
    assert (await refused(take(client, room, viewer="x" * 129))).field == "viewer"
    await close_session(client, room)
    assert (await refused(take(client, room))).reason == "SESSION_OVER"


# ---- templates


async def test_a_merchants_words_are_said(client: Client, room: int) -> None:
    """From the next line on, and the built-in ones again when they are deleted."""
    content = {"intent": "HOST", "variants": ["{title}：{sellable}"]}
    for tier in ("NORMAL", "TREND", "THRESHOLD", "URGENT"):
        await set_template(client, **content, tier=Tier.Value(f"TIER_{tier}"))
    told = await hint_of(client, room)
    assert told.host_line == f"马克杯：{told.sellable}"
    listed = (await client.ask(client.live.ListTemplates, pb.ListTemplatesRequest, language="zh-CN")).templates
    own = [one for one in listed if not one.is_built_in]
    assert own[0].template_id == "HOST/NORMAL/zh-CN"
    assert len(own) == 4
    assert len(listed) == 30
    for one in own:
        request = {"request_id": new_id(), "template_id": one.template_id, "actor": WHO}
        back = await client.ask(client.live.DeleteTemplate, pb.DeleteTemplateRequest, **request)
        assert back.template.is_built_in
    assert (await hint_of(client, room)).host_line != told.host_line
    request = {"request_id": new_id(), "template_id": "HOST/NORMAL/zh-CN", "actor": WHO}
    refusal = await refused(client.ask(client.live.DeleteTemplate, pb.DeleteTemplateRequest, **request))
    assert (refusal.reason, refusal.field) == ("TEMPLATE_UNKNOWN", "template_id")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"variants": [*WORDS, "还有{stock}单"]}, "template.variants[3]"),
        ({"variants": [*WORDS, "还有{sellable单"]}, "template.variants[3]"),
        ({"variants": ["<i>{title}</i>", *WORDS]}, "template.variants[0]"),
        ({"variants": [*WORDS, "a\tb"]}, "template.variants[3]"),
        ({"variants": [*WORDS, "x" * 201]}, "template.variants[3]"),
        ({"variants": WORDS[:2]}, "template.variants"),
        ({"variants": WORDS * 7}, "template.variants"),
        ({"is_stale": True, "tier": 0}, "template.variants[0]"),
        ({"is_stale": True}, "template.tier"),
        ({"tier": 0}, "template.tier"),
        ({"tier": 9}, "template.tier"),
        ({"intent": "SHOUT"}, "template.intent"),
        ({"language": "fr"}, "template.language"),
    ],
)
async def test_a_bad_template_is_refused_when_it_is_saved(client: Client, content: dict[str, Any], field: str) -> None:
    """With the field, down to the variant; and nothing is kept."""
    refusal = await refused(set_template(client, **content))
    assert (refusal.reason, refusal.field) == ("INVALID_ARGUMENT", field)
    listed = (await client.ask(client.live.ListTemplates, pb.ListTemplatesRequest)).templates
    assert len(listed) == 60
    assert all(one.is_built_in for one in listed)


async def test_the_same_template_request_gets_its_first_answer(client: Client) -> None:
    """R10: also after it was deleted; other words under the same id are refused."""
    template = {"intent": "STOCK", "tier": Tier.TIER_URGENT, "language": "en", "variants": ["a", "b", "c"]}
    request = made(pb.SetTemplateRequest, request_id="t", template=template, actor=WHO)
    first = await client.live.SetTemplate(request, **client.options)
    delete = {"request_id": "d", "template_id": first.template.template_id, "actor": WHO}
    gone = await client.ask(client.live.DeleteTemplate, pb.DeleteTemplateRequest, **delete)
    assert await client.live.SetTemplate(request, **client.options) == first
    assert await client.ask(client.live.DeleteTemplate, pb.DeleteTemplateRequest, **delete) == gone
    other = made(pb.SetTemplateRequest, request_id="t", template={**template, "variants": ["a", "b", "d"]}, actor=WHO)
    refusal = await refused(client.live.SetTemplate(other, **client.options))
    assert (refusal.reason, refusal.field) == ("REQUEST_ID_REUSED", "template")


async def test_a_template_can_be_tried(client: Client, room: int) -> None:
    """With made-up numbers, or with a room's; nothing is kept, and what is wrong is refused as when saved."""
    template = {"intent": "HOST", "tier": Tier.TIER_URGENT, "language": "zh-CN"}
    words = ["{title}还能卖{sellable}单", "{minutes}分钟", "{restock}后补货，先看{substitute}"]
    request: dict[str, Any] = {"template": {**template, "variants": words}}
    made_up = await client.live.PreviewTemplate(made(pb.PreviewTemplateRequest, **request), **client.options)
    assert list(made_up.lines) == ["马克杯还能卖23单", "10到25分钟", "约20分钟后补货，先看陶瓷杯"]
    request |= {"session_id": room, "sku": "CUP"}
    real = await client.live.PreviewTemplate(made(pb.PreviewTemplateRequest, **request), **client.options)
    assert real.lines[0].startswith("马克杯还能卖")
    assert real.lines[2] == ""
    request = {"template": {**template, "variants": ["{nope}"]}}
    refusal = await refused(client.live.PreviewTemplate(made(pb.PreviewTemplateRequest, **request), **client.options))
    assert refusal.field == "template.variants[0]"
