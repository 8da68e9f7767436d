"""GetBoard: how things stand, as they are now, whoever asks and however often."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest

from gateway import app, board
from gateway.domain.board import PACE_MINUTES, outlook_of
from gateway.settings import Settings
from gateway.store.database import Clock, Database
from gateway.v1 import alert_service_pb2 as alerts
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb
from gateway.v1.alert_pb2 import Tier
from gateway.v1.channel_pb2 import Platform
from tests.client import Client
from tests.faults.calls import until
from tests.rpc.shop_calls import create, link

WAIT_SECONDS = 15.0
TWO_MINUTES = timedelta(minutes=2)


async def rows_of(client: Client) -> dict[str, operations_pb2.BoardRow]:
    """The board, by SKU."""
    return {row.sku: row for row in (await client.ask(client.operations.GetBoard, pb.GetBoardRequest)).rows}


async def row_of(client: Client, sku: str = "CUP") -> operations_pb2.BoardRow:
    """One row, as soon as there is one."""

    async def is_there() -> bool:
        return sku in await rows_of(client)

    await until(is_there, WAIT_SECONDS)
    return (await rows_of(client))[sku]


async def test_what_was_sold_is_told_by_the_minute(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an hour of minutes, each order in its own, whether somebody has looked all the time or nobody for long."""
    await client.add_sku("CUP", 10)
    await row_of(client)
    await client.reserve("CUP", 3)
    clock.offset += TWO_MINUTES
    monkeypatch.setattr(board, "PAUSE_SECONDS", 0.0)
    for seconds_max in (60.0, 0.0, 0.0):
        monkeypatch.setattr(board, "SOLD_SECONDS_MAX", seconds_max)
        monkeypatch.setattr(board, "JUDGE_SECONDS", 0.0)
        monkeypatch.setattr(board, "JUDGE_REST", 0.0)

        async def is_judged() -> bool:
            return bool((await row_of(client)).pace)

        await until(is_judged, WAIT_SECONDS)
        pace = list((await row_of(client)).pace)
        assert (len(pace), sum(pace), 3 in pace[-3:]) == (PACE_MINUTES, 3, True)


async def test_stock_is_as_of_now(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer takes in whatever was committed before the question, with its revision."""
    monkeypatch.setattr(board, "PAUSE_SECONDS", 0.0)
    await client.add_sku("CUP", 10)
    await row_of(client)
    for left in (9, 8, 7):
        await client.reserve("CUP")
        row = await row_of(client)
        assert (row.available, row.on_hand, row.revision) == (left, 10, 11 - left)
    answer = await client.ask(client.operations.GetBoard, pb.GetBoardRequest)
    assert answer.revision == 4
    assert not answer.alerts_stale


async def test_a_channel_shows_what_it_may_sell(client: Client) -> None:
    """One that nobody serves is away; what was never read shows nothing."""
    await client.add_sku("CUP", 10)
    await create(client, channel="tb", platform=Platform.PLATFORM_TAOBAO)
    await link(client, [("CUP", 2)])
    (channel,) = (await row_of(client)).channels
    assert (channel.channel, channel.problem, channel.exposure, channel.HasField("shown")) == ("tb", "AWAY", 0, False)


async def test_what_presses_comes_first_and_says_why(client: Client) -> None:
    """A warning stands above what is calm, with its tier, its reason in two languages, and who has taken it on."""
    for sku in ("BOWL", "CUP"):
        await client.add_sku(sku, 10)
    policy = {"sku": "CUP", "fixed_line": 20}
    await client.tell(client.alerts.SetAlertPolicy, alerts.SetAlertPolicyRequest, actor="li", policy=policy)
    await client.reserve("CUP")

    async def is_warned() -> bool:
        return (await row_of(client)).tier == Tier.TIER_THRESHOLD

    await until(is_warned, WAIT_SECONDS)
    (first, _second) = (await client.ask(client.operations.GetBoard, pb.GetBoardRequest)).rows
    assert (first.sku, first.episode, bool(first.why), bool(first.why_en)) == ("CUP", 1, True, True)
    taken = {"sku": "CUP", "episode": 1, "tier": first.tier, "actor": "李敏", "action": 5}
    await client.tell(client.alerts.Acknowledge, alerts.AcknowledgeRequest, **taken)
    answer = await client.ask(client.operations.GetBoard, pb.GetBoardRequest, rows_max=1)
    assert [row.acknowledgement.actor for row in answer.rows] == ["李敏"]
    assert answer.skus == 2


async def test_who_asks_in_the_middle_of_a_look_misses_nothing(settings: Settings, token: str) -> None:
    """What is judged later in the same look is told with the next answer."""
    merchant = token.partition(".")[0]
    async with app.running_gateway(replace(settings, listen="127.0.0.1:0")) as address:
        async with grpc.aio.insecure_channel(address) as channel:
            client = Client(channel, token)
            skus = [f"CUP-{number:02d}" for number in range(2 * board.ROWS_AT_ONCE)]
            for sku in skus:
                await client.add_sku(sku, 5)
            await row_of(client, skus[-1])
        database = Database(settings.database_url or "")
        mine = board.Board(database.of(merchant))
        looking = asyncio.create_task(mine.look())
        told, look = set[str](), 0
        with mine.followed() as follower:
            while not follower.changed.is_set():
                changes = mine.changes(look)
                told |= {row.key.sku for row in changes.whole}
                look = changes.look
                await asyncio.sleep(0)
        await looking
        told |= {row.key.sku for row in mine.changes(look).whole}
        await database.close()
    assert told == set(skus)


async def test_a_search_lets_others_have_their_turn(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many SKUs it finds, no more than a few are judged at once: nobody's reservation waits for all of them."""
    for number in range(23):
        await client.add_sku(f"CUP{number}")
    turns = 0
    judged: Counter[int] = Counter()

    def counted(*about: Any) -> Any:
        judged[turns] += 1
        return outlook_of(*about)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    monkeypatch.setattr(board, "outlook_of", counted)
    try:
        found = await client.ask(client.operations.GetBoard, pb.GetBoardRequest, query="CUP")
    finally:
        turning.cancel()
    assert len(found.rows) == 23
    assert max(judged.values()) <= board.ROWS_AT_ONCE
