"""How a SKU's numbers went: against what a person would work out from the journal by hand."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.v1 import operations_service_pb2 as pb
from gateway.v1 import stock_service_pb2 as stock
from gateway.v1.operations_pb2 import Series
from gateway.v1.stock_pb2 import Movement
from tests.client import Client
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.rpc.played_shop import PAID, Shop, order
from tests.store.history import add_location, adjust, movements, stop_allocating

Steps = list[tuple[int, float]]


async def test_stock_goes_as_the_journal_says(client: Client) -> None:
    """At every movement's time on hand, reserved and available are the sums over the locations, by hand."""
    await _live(client, seed=7)
    journal = list(reversed(await movements(client, sku="CUP", page_size=1000)))
    series = _by_name(await _series(client))
    for name, value in (("on_hand", _on_hand), ("reserved", _reserved), ("available", _available)):
        last: dict[str, Movement] = {}
        for movement in journal:
            last[movement.location] = movement
            is_last = all(
                other.record_time != movement.record_time for other in journal if other.revision > movement.revision
            )
            if is_last:
                assert _at(series[name], movement.record_time) == sum(map(value, last.values())), (name, movement)
    level = (await client.stock.GetStockLevel(stock.GetStockLevelRequest(sku="CUP"), **client.options)).level
    ends = {name: series[name].points[-1].value for name in ("on_hand", "reserved", "available")}
    assert ends == {"on_hand": level.on_hand, "reserved": level.reserved, "available": level.available}


async def test_a_window_begins_with_what_was_so(client: Client) -> None:
    """From the middle on, the first value is that of before, at the window's beginning; the end is left out."""
    await _live(client, seed=8)
    journal = list(reversed(await movements(client, sku="CUP", page_size=1000)))
    since, until = journal[10].record_time, journal[-5].record_time
    response = await _ask(client, since=since, until=until)
    series = _by_name(response.series)
    assert series["on_hand"].points[0].time == since
    last = {movement.location: movement for movement in journal if _nanos(movement.record_time) <= _nanos(since)}
    assert series["on_hand"].points[0].value == sum(map(_on_hand, last.values()))
    assert response.as_of == until
    assert response.revision == max(m.revision for m in journal if _nanos(m.record_time) <= _nanos(until))
    assert all(_nanos(point.time) <= _nanos(until) for one in response.series for point in one.points)


async def test_shelves_and_pace(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a channel showed and might sell, in units of the SKU, and the units ordered in the last minute."""
    await client.add_sku("CUP", 30)
    shop = Shop(client)
    await shop.open()
    await shop.link(("CUP", 3))
    async with shop.serving():
        await shop.wait_shown(L1=10)
    stop_allocating(monkeypatch)
    await shop.report_orders(order(shop, "A", PAID, {"quantity": 2}))
    assert await shop.report_reading(1, 8, after_push_id=shop.pushes[-1].push.push_id) == 1
    series = {(one.name, one.channel): one for one in await _series(client)}
    exposure = [point.value for point in series["exposure", "tb"].points]
    assert exposure[-2:] == [30, 24]
    assert series["shown", "tb"].points[-1].value == 24
    assert series["sales_per_minute", ""].points[-1].value == 6
    assert ("tier", "") not in series


async def test_long_histories_are_thinned_and_keep_their_extremes(
    client: Client, owner: asyncpg.Connection, token: str
) -> None:
    """Twenty thousand movements in twenty points: the lowest and the highest moment are among them, to the second."""
    await client.add_sku("CUP", 1)
    await owner.execute(_JOURNAL.format(schema=schema_of_token(token)))
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    whole = await _ask(client, since=begin, until=begin + timedelta(seconds=20_000), points_max=20)
    on_hand = _by_name(whole.series)["on_hand"]
    assert len(on_hand.points) <= 20
    told = {point.value: point.time.ToDatetime(UTC) for point in on_hand.points}
    assert told[9_999] == begin + timedelta(seconds=7_777)
    assert told[-5] == begin + timedelta(seconds=13_001)
    assert on_hand.points[-1].value == 20_000 % 100


async def test_an_odd_window_is_refused(client: Client) -> None:
    """Nothing lies between a time and an earlier one, nor in the future; a SKU there is not has no numbers."""
    await client.add_sku("CUP", 1)
    now = datetime.now(UTC)
    for window in ({"since": now, "until": now - timedelta(hours=1)}, {"since": now + timedelta(days=1)}):
        refusal = await refused(_ask(client, **window))
        assert refusal.field == "since"
    assert (await refused(_ask(client, sku="NOPE"))).reason == "SKU_UNKNOWN"


_JOURNAL = """
    INSERT INTO "{schema}".movements (revision, record_time, occur_time, kind, sku, location, quantity, on_hand_change,
        reserved_change, on_hand_after, reserved_after, safety_stock_after)
    SELECT 1000000 + n, at, at, 2, 'CUP', 'main', 1, 1, 0,
           CASE n WHEN 7777 THEN 9999 WHEN 13001 THEN -5 ELSE n % 100 END, 0, 0
    FROM generate_series(1, 20000) n,
         LATERAL (SELECT timestamptz '2026-01-01T00:00:00Z' + n * interval '1 second') a(at)"""


async def _live(client: Client, seed: int) -> None:
    """Fifty things at two locations, in groups and alone."""
    chance = random.Random(seed)
    await client.add_sku("CUP", 20, safety_stock=3)
    await add_location(client, "north")
    held: list[str] = []
    for number in range(50):
        match chance.randrange(5):
            case 0:
                await client.receive("CUP", chance.randint(1, 9), location=chance.choice(("main", "north")))
            case 1:
                await adjust(client, "CUP", 1 + number % 3)
            case 2 if held:
                await client.commit(held.pop())
            case 3 if held:
                await client.release(held.pop())
            case _:
                held.append((await client.reserve("CUP", 1)).reservation_id)


async def _series(client: Client) -> list[Series]:
    return list((await _ask(client, points_max=2000)).series)


async def _ask(client: Client, **content: object) -> pb.GetSeriesResponse:
    return await client.ask(client.operations.GetSeries, pb.GetSeriesRequest, **{"sku": "CUP", **content})


def _by_name(series: Iterable[Series]) -> dict[str, Series]:
    return {one.name: one for one in series if not one.channel}


def _at(series: Series, when: Timestamp) -> float:
    return [point.value for point in series.points if _nanos(point.time) <= _nanos(when)][-1]


def _nanos(when: Timestamp) -> int:
    return when.ToNanoseconds()


def _on_hand(movement: Movement) -> int:
    return movement.on_hand_after


def _reserved(movement: Movement) -> int:
    return movement.reserved_after


def _available(movement: Movement) -> int:
    return max(0, movement.on_hand_after - movement.reserved_after - movement.safety_stock_after)
