"""Orders come in: what the ledger does for each, exactly once, in whatever order they come (R23, R26, R33)."""

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import grpc.aio
import pytest
from grpc import StatusCode

from gateway import app
from gateway.settings import Settings
from gateway.v1 import channel_service_pb2 as pb
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1.channel_pb2 import TakesOn
from tests.client import Client
from tests.faults.calls import until
from tests.refusals import refused
from tests.rpc.played_shop import CLOSED, PAID, PLACED, Shop, order
from tests.rpc.shop_calls import update
from tests.store.history import add_location, stop_allocating

Life = Callable[[Shop], list[dict[str, Any]]]
ON_HAND = 10


@pytest.fixture(autouse=True)
def _nobody_allocates(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen here is what orders do."""
    stop_allocating(monkeypatch)


@pytest.fixture
async def shop(client: Client) -> AsyncIterator[Shop]:
    """A shop that sells CUP as item 1, and pays on order; in the end the ledger adds up (R18)."""
    await client.add_sku("CUP", ON_HAND)
    played = Shop(client)
    await played.open()
    await played.link(("CUP", 1))
    yield played
    verdict = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
    assert verdict.consistent, verdict.breaches


def life(*steps: tuple[Any, dict[str, Any]]) -> Life:
    """The snapshots of one order of item 1, one after the other; each step is a state and a line."""

    def snapshots(shop: Shop) -> list[dict[str, Any]]:
        placed = shop.tick()
        found = []
        for state, line in steps:
            now = shop.tick()
            times = {"placed_time": placed, "update_time": now}
            back = {"given_back_time": now} if line.get("refunded") or state == CLOSED else {}
            found.append(order(shop, "a", state, {**line, **back}, **times))
        return found

    return snapshots


THREE = {"quantity": 3}
TWO_OF_THREE = {"quantity": 3, "refunded": 2}
ALL_THREE = {"quantity": 3, "refunded": 3}
SHIPPED = {"shipped": True}
# What becomes of 10 on hand: on hand and reserved in the end.
ON_ORDER: dict[str, tuple[Life, tuple[int, int]]] = {
    "placed": (life((PLACED, THREE)), (10, 3)),
    "placed, paid": (life((PLACED, THREE), (PAID, THREE)), (7, 0)),
    "paid at once": (life((PAID, THREE)), (7, 0)),
    "placed, closed": (life((PLACED, THREE), (CLOSED, THREE)), (10, 0)),
    "closed before it was seen": (life((CLOSED, THREE)), (10, 0)),
    "paid, refunded": (life((PAID, THREE), (PAID, ALL_THREE)), (10, 0)),
    "paid, refunded in part": (life((PAID, THREE), (PAID, TWO_OF_THREE)), (9, 0)),
    "refunded in part, then whole": (life((PAID, THREE), (PAID, TWO_OF_THREE), (PAID, ALL_THREE)), (10, 0)),
    "placed, paid, refunded in part": (life((PLACED, THREE), (PAID, THREE), (PAID, TWO_OF_THREE)), (9, 0)),
    "refunded before it was seen": (life((PAID, ALL_THREE)), (10, 0)),
    "refunded in part before it was seen": (life((PAID, TWO_OF_THREE)), (9, 0)),
    "shipped, refunded": (life((PAID, THREE), (PAID, THREE | SHIPPED), (PAID, ALL_THREE | SHIPPED)), (7, 0)),
    "shipped and refunded before it was seen": (life((PAID, ALL_THREE | SHIPPED)), (7, 0)),
    "fewer, unpaid": (life((PLACED, THREE), (PLACED, {"quantity": 2})), (10, 2)),
    "fewer, unpaid, told again": (
        life((PLACED, THREE), (PLACED, {"quantity": 2}), (PLACED, {"quantity": 2}), (PLACED, {"quantity": 2})),
        (10, 2),
    ),
    "fewer, unpaid, then paid": (life((PLACED, THREE), (PLACED, {"quantity": 2}), (PAID, {"quantity": 2})), (8, 0)),
    "fewer, unpaid, then paid, then refunded": (
        life(
            (PLACED, THREE),
            (PLACED, {"quantity": 1}),
            (PAID, {"quantity": 1}),
            (PAID, {"quantity": 1, "refunded": 1}),
        ),
        (10, 0),
    ),
    "more than there is": (life((PAID, {"quantity": 12})), (-2, 0)),
}
ON_PAYMENT: dict[str, tuple[Life, tuple[int, int]]] = {
    "placed": (life((PLACED, THREE)), (10, 0)),
    "placed, paid": (life((PLACED, THREE), (PAID, THREE)), (7, 0)),
    "paid at once": (life((PAID, THREE)), (7, 0)),
    "placed, closed": (life((PLACED, THREE), (CLOSED, THREE)), (10, 0)),
    "closed before it was seen": (life((CLOSED, THREE)), (10, 0)),
    "paid, refunded in part": (life((PAID, THREE), (PAID, TWO_OF_THREE)), (9, 0)),
    "shipped, refunded": (life((PAID, THREE), (PAID, THREE | SHIPPED), (PAID, ALL_THREE | SHIPPED)), (7, 0)),
    "fewer, unpaid, then paid": (life((PLACED, THREE), (PLACED, {"quantity": 2}), (PAID, {"quantity": 2})), (8, 0)),
}


async def test_the_table_of_orders(shop: Shop) -> None:
    """Where the platform takes units on order: each row of the table, and told twice the same."""
    for number, (name, (snapshots_of, wanted)) in enumerate(ON_ORDER.items()):
        sku = await _put_on_sale(shop, number)
        snapshots = [_of(snapshot, number) for snapshot in snapshots_of(shop)]
        for told in (1, 0):
            for snapshot in snapshots:
                answer = await shop.report_orders(snapshot)
                assert (answer.taken, answer.known) == (told, 1 - told), name
            assert await _units(shop, sku) == wanted, name


async def test_the_table_of_orders_on_payment(shop: Shop) -> None:
    """Where it takes them on payment an unpaid order takes nothing; payment does it all in one step (R33)."""
    for number, (name, (snapshots_of, wanted)) in enumerate(ON_PAYMENT.items()):
        sku = await _put_on_sale(shop, number, takes_on=TakesOn.TAKES_ON_PAYMENT)
        for snapshot in snapshots_of(shop):
            await shop.report_orders(_of(snapshot, number))
            assert (await _units(shop, sku))[1] == 0, name
        assert await _units(shop, sku) == wanted, name


@pytest.mark.parametrize("table", [ON_ORDER, ON_PAYMENT], ids=["on order", "on payment"])
async def test_the_order_of_arrival_does_not_matter(shop: Shop, table: dict[str, tuple[Life, tuple[int, int]]]) -> None:
    """In whatever order the snapshots of a life come, in pages or singly, some twice: the same ledger in the end."""
    chance = random.Random(_seed())
    if table is ON_PAYMENT:
        await shop.link(("CUP", 1), takes_on=TakesOn.TAKES_ON_PAYMENT)
    number = itertools.count()
    wanted_on_hand, wanted_reserved = ON_HAND, 0
    for name, (snapshots_of, (on_hand, reserved)) in table.items():
        for _ in range(6):
            order_id = f"order-{next(number)}"
            snapshots = [snapshot | {"order_id": order_id} for snapshot in snapshots_of(shop)]
            shuffled = chance.sample(snapshots, len(snapshots)) + chance.sample(snapshots, 1)
            while shuffled:
                page = [shuffled.pop() for _ in range(chance.randint(1, len(shuffled)))]
                await shop.report_orders(*page)
            wanted_on_hand += on_hand - ON_HAND
            wanted_reserved += reserved
            level = await shop.client.level("CUP")
            assert (level.on_hand, level.reserved) == (wanted_on_hand, wanted_reserved), name


async def test_more_in_a_snapshot_of_the_same_time_counts(shop: Shop) -> None:
    """A platform's times may be whole seconds: what has come to an order since counts, what has not gone does not."""
    now = shop.tick()
    times = {"placed_time": now, "update_time": now}
    await shop.report_orders(order(shop, "a", PLACED, THREE, **times))
    assert (await shop.report_orders(order(shop, "a", PAID, THREE, **times))).taken == 1
    assert (await shop.report_orders(order(shop, "a", PLACED, THREE, **times))).known == 1
    assert (await shop.report_orders(order(shop, "a", PAID, TWO_OF_THREE, **times))).taken == 1
    assert (await shop.report_orders(order(shop, "a", PAID, THREE, **times))).known == 1
    level = await shop.client.level("CUP")
    assert (level.on_hand, level.reserved) == (9, 0)


async def test_several_lines_and_a_kit(shop: Shop) -> None:
    """Each line by itself; a kit takes from every component, and gives back to each."""
    await shop.client.add_sku("MUG", 20)
    await shop.link(("CUP", 1), ("MUG", 2), item_id="9")
    lines: list[dict[str, Any]] = [{"quantity": 2}, {"item_id": "9", "quantity": 3}]
    await shop.report_orders(order(shop, "a", PLACED, *lines))
    assert [await _units(shop, sku) for sku in ("CUP", "MUG")] == [(10, 5), (20, 6)]
    await shop.report_orders(order(shop, "a", PAID, *lines))
    assert [await _units(shop, sku) for sku in ("CUP", "MUG")] == [(5, 0), (14, 0)]
    await shop.report_orders(order(shop, "a", PAID, lines[0], lines[1] | {"refunded": 2}))
    assert [await _units(shop, sku) for sku in ("CUP", "MUG")] == [(7, 0), (18, 0)]


async def test_several_locations_serve(client: Client) -> None:
    """A channel's own locations serve it, and what comes back goes where it was taken."""
    await add_location(client, "north")
    await add_location(client, "south", 2)
    await client.add_sku("CUP")
    for location, units in (("main", 5), ("north", 4), ("south", 3)):
        await client.receive("CUP", units, location=location)
    shop = Shop(client)
    await shop.open(locations=["north", "south"])
    await shop.link(("CUP", 1))
    await shop.report_orders(order(shop, "a", PAID, {"quantity": 3}), order(shop, "b", PAID, {"quantity": 2}))
    level = await client.level("CUP")
    at = {one.location: one.on_hand for one in level.locations}
    assert (at["main"], at["north"] + at["south"]) == (5, 2)
    await shop.report_orders(order(shop, "a", PAID, ALL_THREE), order(shop, "b", PAID, {"quantity": 2, "refunded": 2}))
    level = await client.level("CUP")
    assert {one.location: one.on_hand for one in level.locations} == {"main": 5, "north": 4, "south": 3}


async def test_an_order_for_an_unknown_listing_waits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept, listed and told; once its listing is linked it is taken in as it is by then."""
    monkeypatch.undo()
    lines: list[dict[str, Any]] = [{"quantity": 2, "item_id": "9"}, {"quantity": 1}]
    first = order(shop, "a", PLACED, *lines)
    assert (await shop.report_orders(first)).unlinked == 1
    answer = await shop.report_orders(first, order(shop, "b", CLOSED, lines[0]), order(shop, "c", PAID, lines[0]))
    assert (answer.taken, answer.known, answer.unlinked) == (2, 1, 2)
    assert await _units(shop, "CUP") == (10, 1)
    await shop.report_orders(order(shop, "a", PAID, *lines))
    assert await _unlinked(shop) == ["a", "c"]
    await shop.client.add_sku("MUG", 10)
    await shop.link(("MUG", 2), item_id="9")

    async def is_taken() -> bool:
        return await _units(shop, "MUG") == (2, 0)

    await until(is_taken, 10)
    assert await _unlinked(shop) == []
    assert await _units(shop, "CUP") == (9, 0)


async def test_a_bad_page_changes_nothing(shop: Shop) -> None:
    """One order that cannot be: nothing of its page is taken in, nor its watermark, and the order is named."""
    good = order(shop, "a", PAID)
    before = await shop.report_orders(watermark=True)
    await shop.client.add_sku("BOX", 1)
    await shop.link(("BOX", 1_000_000), item_id="9")
    for bad, code, field in (
        (order(shop, "b", PAID, {"quantity": 0}), StatusCode.INVALID_ARGUMENT, "orders[1].lines[0].quantity"),
        (order(shop, "", PAID), StatusCode.INVALID_ARGUMENT, "orders[1].order_id"),
        (order(shop, "b", PAID, {"item_id": "9", "quantity": 10**15}), StatusCode.OUT_OF_RANGE, "orders[1]"),
    ):
        refusal = await refused(shop.report_orders(good, bad, good, watermark=True))
        assert (refusal.code, refusal.field) == (code, field)
        assert await _units(shop, "CUP") == (10, 0)
    after = await shop.report_orders(good)
    assert (after.taken, after.watermark) == (1, before.watermark)


async def test_the_watermark_never_falls(shop: Shop) -> None:
    """An earlier one changes nothing, one from the future is refused; the channel and the answer say where it is."""
    earlier = shop.tick()
    answer = await shop.report_orders(watermark=True)
    request = {"channel": "tb", "watermark": earlier}
    again = await shop.client.ask(shop.client.selling.ReportOrders, pb.ReportOrdersRequest, **request)
    assert again.watermark == answer.watermark
    assert (await update(shop.client, [], channel="tb")).watermark == answer.watermark
    refusal = await refused(_from_the_future(shop))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "watermark")
    assert (await shop.report_orders()).watermark == answer.watermark


async def test_the_same_page_ten_times_at_once_over_two_gateways(settings: Settings, token: str) -> None:
    """Exactly once: of ten calls with one page one takes it in, the others find it known; twice over two gateways."""
    chance = random.Random(_seed())
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            address = await stack.enter_async_context(app.running_gateway(replace(settings, listen="127.0.0.1:0")))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            clients.append(Client(channel, token))
        shop = Shop(clients[0])
        await clients[0].add_sku("CUP", 1_000)
        await shop.open()
        await shop.link(("CUP", 1))
        shops = [shop, Shop(clients[1])]
        for page_number in range(5):
            page = [
                order(shop, f"{page_number}-{number}", chance.choice([PLACED, PAID]), {"quantity": 2})
                for number in range(20)
            ]
            pages = [chance.sample(page, len(page)) for _ in range(10)]
            calls = [shops[place % 2].report_orders(*each) for place, each in enumerate(pages)]
            answers = await asyncio.gather(*calls)
            assert sum(answer.taken for answer in answers) == 20
            assert sum(answer.known for answer in answers) == 180
        for client in clients:
            level = await client.level("CUP")
            assert level.on_hand - level.reserved == 800
            verdict = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
            assert verdict.consistent, verdict.breaches


async def _from_the_future(shop: Shop) -> object:
    request = {"channel": "tb", "watermark": shop.time.replace(year=shop.time.year + 1)}
    return await shop.client.ask(shop.client.selling.ReportOrders, pb.ReportOrdersRequest, **request)


async def _put_on_sale(shop: Shop, number: int, **content: Any) -> str:
    """A SKU with 10 on hand, on sale as an item of its own."""
    sku = f"CUP-{number}"
    await shop.client.add_sku(sku, ON_HAND)
    await shop.link((sku, 1), item_id=f"item-{number}", **content)
    return sku


def _of(snapshot: dict[str, Any], number: int) -> dict[str, Any]:
    """The same of an order of its own, for an item of its own."""
    lines = [line | {"item_id": f"item-{number}"} for line in snapshot["lines"]]
    return snapshot | {"order_id": f"order-{number}", "lines": lines}


async def _units(shop: Shop, sku: str) -> tuple[int, int]:
    level = await shop.client.level(sku)
    return level.on_hand, level.reserved


async def _unlinked(shop: Shop) -> list[str]:
    """Ids of the orders that wait, page by page."""
    found: list[str] = []
    page_token = ""
    while True:
        request = {"channel": "tb", "page_size": 1, "page_token": page_token}
        page = await shop.client.ask(shop.client.selling.ListUnlinkedOrders, pb.ListUnlinkedOrdersRequest, **request)
        found += [one.order_id for one in page.orders]
        page_token = page.next_page_token
        if not page_token:
            return found


def _seed() -> int:
    """Another one each time, printed when a test fails; set the variable to play one again."""
    seed = int(os.environ.get("STOCKGATE_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"STOCKGATE_TEST_SEED={seed}")
    return seed
