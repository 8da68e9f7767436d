"""Everything that happened to a SKU: merged in the order of time, in pages that lose and repeat nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway.alerts.engine import Engine
from gateway.store.database import Clock
from gateway.v1 import alert_service_pb2 as alerts
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import channel_service_pb2 as channels
from gateway.v1 import live_service_pb2 as live
from gateway.v1 import operations_service_pb2 as pb
from gateway.v1.operations_pb2 import AttemptOutcome, TimelineEntry, TimelineKind
from tests.client import Client
from tests.faults.calls import until
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.rpc.played_shop import PAID, PLACED, WAIT_SECONDS, Shop, order
from tests.store.history import add_location, adjust, stop_allocating

KINDS = [number for number in TimelineKind.values() if number]
MOVEMENT, PUSH, ATTEMPT, READING, ORDER, EVENT, PERSON, SHORTFALL = KINDS


@pytest.fixture
async def shop(client: Client) -> AsyncIterator[Shop]:
    """A shop that shows all of 10 CUP as listing 1."""
    await client.add_sku("CUP", 10)
    played = Shop(client)
    await played.open()
    await played.link(("CUP", 1))
    async with played.serving():
        await played.wait_shown(L1=10)
        yield played


async def test_every_kind_of_thing_is_told(shop: Shop) -> None:
    """Movements, orders, pushes, calls, readings, tiers, people and shortfalls, newest first, in both languages."""
    await _tell_an_attempt(shop)
    await shop.report_orders(order(shop, "A-1", PAID, {"quantity": 13}))
    shop.shown[1] = 0
    await shop.report_orders(watermark=True)
    shortfall = await _first_shortfall(shop)
    request = {"shortfall_id": shortfall, "owner": "王五", "resolution": "补发"}
    await shop.client.ask(shop.client.selling.ResolveShortfall, channels.ResolveShortfallRequest, **request)
    announced = {"sku": "CUP", "quantity": 5, "arrive_time": datetime(2999, 1, 1, tzinfo=UTC), "actor": "li"}
    await shop.client.tell(shop.client.alerts.AnnounceIncoming, alerts.AnnounceIncomingRequest, **announced)

    async def is_sold_out() -> bool:
        return any("售罄" in entry.text for entry in await _timeline(shop.client))

    await until(is_sold_out, WAIT_SECONDS)
    await shop.wait(lambda one: not one.HasField("push"), 1)
    told = await _timeline(shop.client)
    assert {entry.kind for entry in told} == set(KINDS)
    times = [entry.record_time.ToNanoseconds() for entry in told]
    assert times == sorted(times, reverse=True)
    assert len({(entry.row.kind, entry.row.id, entry.text) for entry in told}) == len(told)
    assert all(entry.text and entry.text_en for entry in told)
    texts = [entry.text for entry in reversed(told)]
    _require_order(
        texts,
        "入库 10 件（main：在库 10，预占 0）",
        "tb 1/2：决定加 10",
        "tb 1/2：平台已生效 10",
        "tb 1/2：第 1 次调用没有生效",
        "tb 订单 A-1：预占 13 件",
        "缺货 3 件",
        "缺货 3 件已处理：补发",
    )
    assert _texts_en(told, SHORTFALL)[0] == "3 units short, resolved: 补发"
    attempt = next(entry for entry in told if entry.kind == ATTEMPT)
    assert (attempt.channel, attempt.attempt.http_status, attempt.trace_id) == ("tb", 503, "a" * 32)
    assert "HTTP 503 isp.busy try later" in attempt.text_en
    sold = next(entry for entry in told if entry.kind == ORDER)
    assert (sold.channel, sold.HasField("movement"), sold.row.kind) == ("tb", True, "movement")


async def test_kinds_divide_the_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind alone gives its own entries of the whole; orders are movements as well."""
    await _tell_an_attempt(shop)
    await shop.report_orders(order(shop, "A-1", PAID))
    shop.shown[1] -= 1
    await shop.wait_shown(L1=9)
    _rest(monkeypatch)
    whole = await _settled(shop.client)
    for kind in KINDS:
        alone = await _timeline(shop.client, kinds=[kind])
        wanted = {kind, ORDER} if kind == MOVEMENT else {kind}
        assert alone == [entry for entry in whole if entry.kind in wanted], TimelineKind.Name(kind)
    since = whole[4].record_time
    recent = await _timeline(shop.client, since=since)
    assert recent == [entry for entry in whole if entry.record_time.ToNanoseconds() >= since.ToNanoseconds()]
    earlier = await _timeline(shop.client, until=since)
    assert recent + earlier == whole


async def test_what_expires_is_its_orders(shop: Shop, clock: Clock) -> None:
    """A platform's order that nobody paid ends under its channel, and is found with that order's other movements."""
    await shop.report_orders(order(shop, "A-1", PLACED))
    await shop.client.add_sku("MUG", 2)
    await shop.client.reserve("MUG", 2, ttl_ms=1_000)
    clock.offset += timedelta(days=30)

    async def are_over() -> bool:
        told = [*await _timeline(shop.client), *await _timeline(shop.client, sku="MUG")]
        return sum("预占到期" in entry.text for entry in told) == 2

    await until(are_over, WAIT_SECONDS)
    orders = await _timeline(shop.client, kinds=[ORDER])
    assert [(one.channel, one.text.partition("（")[0]) for one in orders] == [
        ("tb", "tb 订单 A-1：预占到期，释放 1 件"),
        ("tb", "tb 订单 A-1：预占 1 件"),
    ]
    ours = (await _timeline(shop.client, sku="MUG", kinds=[MOVEMENT]))[0]
    assert (ours.kind, ours.channel, ours.text.partition("（")[0]) == (MOVEMENT, "", "预占到期，释放 2 件")


async def test_pages_lose_and_repeat_nothing_under_writes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes in between two pages, what was there is listed once, in its order."""
    _rest(monkeypatch)
    await add_location(shop.client, "north")
    for number in range(5):
        await shop.client.receive("CUP", 1, location="north" if number % 2 else "")
        await shop.report_orders(order(shop, f"A-{number}", PAID))
    whole = await _settled(shop.client)
    turned: list[TimelineEntry] = []
    page, number = "", 100
    while True:
        response = await _ask(shop.client, page_size=7, page_token=page)
        turned += response.entries
        number += 1
        await shop.client.receive("CUP", 1)
        await shop.report_orders(order(shop, f"A-{number}", PAID))
        if not (page := response.next_page_token):
            break
    assert len(whole) > 25
    assert turned[turned.index(whole[0]) :] == whole


async def test_things_of_one_moment_are_each_told_once(client: Client, owner: asyncpg.Connection, token: str) -> None:
    """Rows of every table recorded at the same microsecond: page by page of one, none is lost and none comes twice."""
    await client.add_sku("CUP")
    shop = Shop(client)
    await shop.open()
    await shop.link(("CUP", 1))
    await _fill_a_moment(owner, schema_of_token(token))
    at = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    whole = await _timeline(client, until=datetime(2026, 1, 3, tzinfo=UTC))
    assert {entry.record_time.ToDatetime(UTC) for entry in whole} == {at}
    assert len(whole) == 2 * 10
    assert {entry.kind for entry in whole} == set(KINDS)
    for size in (1, 3, 20):
        turned: list[TimelineEntry] = []
        page = ""
        while True:
            response = await _ask(client, page_size=size, page_token=page, until=datetime(2026, 1, 3, tzinfo=UTC))
            turned += response.entries
            if not (page := response.next_page_token):
                break
        assert turned == whole


async def test_sessions_and_silences_of_the_sku_are_in_it(client: Client) -> None:
    """A session that sells it and a silence that names it are told, those of other SKUs are not."""
    for sku in ("CUP", "MUG", "BOX"):
        await client.add_sku(sku, 5)
    for sku in ("CUP", "MUG"):
        soon = datetime.now(UTC) + timedelta(hours=1)
        silence = {"matcher": {"skus": [sku, "BOX"]}, "end_time": soon, "comment": f"盘点 {sku}", "actor": "li"}
        await client.tell(client.alerts.Silence, alerts.SilenceRequest, **silence)
        shop = Shop(client, sku.lower())
        await shop.open()
        session = {
            "room": f"{sku} 专场",
            "channels": [shop.channel],
            "skus": [{"sku": sku}, {"sku": "BOX"}],
            "planned_end_time": soon,
            "actor": "li",
        }
        await client.tell(client.live.OpenSession, live.OpenSessionRequest, **session)
    texts = [entry.text for entry in await _timeline(client, kinds=[EVENT]) if not entry.event.sku]
    assert len(texts) == 2
    assert "CUP 专场" in texts[0]
    assert "盘点 CUP" in texts[1]


async def test_what_a_channel_goes_through_is_in_it(shop: Shop) -> None:
    """Who paused the channel that sells it, and why, stands in the line; another SKU's people do not."""
    await shop.client.add_sku("MUG", 1)
    await adjust(shop.client, "MUG", -1)
    paused = {"channel": "tb", "reason": "<b>盘点</b>"}
    await shop.client.ask(shop.client.selling.PauseChannel, channels.PauseChannelRequest, **paused)
    newest = (await _timeline(shop.client, kinds=[PERSON]))[0]
    assert newest.text == "某人 请求暂停渠道。理由：<b>盘点</b>"
    assert (newest.channel, newest.audit.outcome) == ("tb", "OK")
    assert all(entry.audit.sku in {"CUP", ""} for entry in await _timeline(shop.client, kinds=[PERSON]))


async def test_an_empty_line_and_an_unknown_sku(client: Client) -> None:
    """A SKU to which nothing has happened but that it was made; one that there is not."""
    sku = {"sku": "CUP"}
    await client.ask(client.catalog.CreateSku, catalog.CreateSkuRequest, sku=sku)
    assert [entry.kind for entry in await _timeline(client)] == [PERSON]
    refusal = await refused(_timeline(client, sku="NOPE"))
    assert (refusal.reason, refusal.field) == ("SKU_UNKNOWN", "sku")


def _rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing happens by itself."""

    async def look(_engine: Engine) -> None:
        """Tell of nothing."""

    stop_allocating(monkeypatch)
    monkeypatch.setattr(Engine, "look", look)


async def _settled(client: Client) -> list[TimelineEntry]:
    """The whole line, once what was under way has come to rest."""
    before: list[TimelineEntry] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while (now := await _timeline(client)) != before:
            before = now
    return now


async def _timeline(client: Client, **content: Any) -> list[TimelineEntry]:
    return list((await _ask(client, **{"page_size": 500, **content})).entries)


async def _ask(client: Client, **content: Any) -> pb.ListTimelineResponse:
    return await client.ask(client.operations.ListTimeline, pb.ListTimelineRequest, **{"sku": "CUP", **content})


async def _tell_an_attempt(shop: Shop) -> None:
    begin = datetime.now(UTC)
    attempt = {
        "push_id": shop.pushes[0].push.push_id,
        "listing_id": 1,
        "number": 1,
        "begin_time": begin,
        "outcome": AttemptOutcome.ATTEMPT_OUTCOME_NOT_APPLIED,
        "http_status": 503,
        "platform_code": "isp.busy",
        "message": "try later",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    request = {"channel": "tb", "attempts": [attempt]}
    await shop.client.ask(shop.client.selling.ReportPushes, channels.ReportPushesRequest, **request)


async def _first_shortfall(shop: Shop) -> str:
    async def is_there() -> bool:
        return bool(await listed())

    async def listed() -> list[str]:
        found = await shop.client.ask(shop.client.selling.ListShortfalls, channels.ListShortfallsRequest)
        return [one.shortfall_id for one in found.shortfalls]

    await until(is_there, WAIT_SECONDS)
    return (await listed())[0]


async def _fill_a_moment(owner: asyncpg.Connection, schema: str) -> None:
    """Two rows for each source, all of the same microsecond."""
    state = '[[], null, null, 0, 0, 7, "2026-01-02T03:04:00.{}Z"]'
    tier = '{"type": "incoming", "sku": "CUP", "quantity": 5, "arrive_time": "2026-01-02T03:04:00Z", "actor": "li"}'
    for number in (1_000_001, 1_000_002):
        rows = {
            "movements": f"{number}, :t, :t, 6, 'CUP', 'main', 1, 0, 1, 1, 1, 0, NULL, NULL, NULL, NULL, NULL,"
            f" {'NULL' if number % 2 else chr(39) + 'tb' + chr(39)}, NULL",
            "pushes": f"{number}, 1, 1, 5, :t, :t, 1, 5, 1, 10, NULL, NULL, NULL, NULL",
            "shortfalls": f"{number}, 3, 'CUP', 'main', 1, :t, NULL, NULL, 'li', 'done', :t",
            "drifts": f"{number}, 1, 'tb', 7, 5, 7, 7, :t, :t, 'lowered'",
            "listing_states": f"1, {number}, :t, '{state.format(number)}', true",
        }
        for table, values in rows.items():
            await owner.execute(_insert(schema, table, values))
        await owner.execute(
            f'INSERT INTO "{schema}".attempts (push_id, number, listing_id, channel, begin_time, duration_ms, outcome,'
            " platform_code, platform_request_id, message, record_time)"
            f" VALUES ({number}, 1, 1, 'tb', {_AT}, 5, 1, '', '', '', {_AT})"
        )
        await owner.execute(
            f'INSERT INTO "{schema}".alert_events (revision, record_time, kind, sku, session_id, episode, tier,'
            " channels, session_ids, drill_id, silenced_by, body)"
            f" VALUES ({number}, {_AT}, 21, 'CUP', 0, 0, 0, '{{}}', '{{}}', 0, '{{}}', '{tier}')"
        )
        await owner.execute(
            f'INSERT INTO "{schema}".audit (record_time, actor, method, sku, content, outcome)'
            f" VALUES ({_AT}, 'li', 'StockService/AdjustStock', 'CUP', '{{}}', 'OK')"
        )
    await owner.execute(
        f'INSERT INTO "{schema}".levels (sku, location, on_hand, reserved, safety_stock, last_count_revision, revision)'
        " VALUES ('CUP', 'main', 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING"
    )


_AT = "timestamptz '2026-01-02T03:04:05.000006Z'"


def _insert(schema: str, table: str, values: str) -> str:
    return f'INSERT INTO "{schema}".{table} VALUES ({values.replace(":t", _AT)})'


def _require_order(texts: list[str], *wanted: str) -> None:
    """Each begins some text, one after the other."""
    place = 0
    for beginning in wanted:
        found = [at for at, text in enumerate(texts) if at >= place and text.startswith(beginning)]
        assert found, (beginning, texts)
        place = found[0] + 1


def _texts_en(entries: list[TimelineEntry], kind: int) -> list[str]:
    return [entry.text_en for entry in entries if entry.kind == kind]
