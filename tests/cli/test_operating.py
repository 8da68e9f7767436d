"""What an operator asks while the channels sell: what does each show and why, what does not fit, who looks after it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.cli.listing import _held_up_by
from gateway.cli.output import ago
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as pb
from tests.cli.conftest import Stockgate
from tests.client import Client, made

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WAIT_SECONDS_MAX = 20.0


async def open_shop(stockgate: Stockgate, client: Client, *, units: int = 10) -> None:
    """A SKU with `units` on hand, and a listing of it on Taobao, whose connector lives."""
    await client.add_sku("TEA", units)
    await stockgate("channel", "add", "tb", "--platform", "taobao")
    await stockgate("listing", "link", "tb", "600", "TEA", "--platform-sku-id", "7")
    await beat(client)


async def beat(client: Client, **state: object) -> None:
    """A sign of life of the channel's connector."""
    await client.selling.Heartbeat(
        made(pb.HeartbeatRequest, channel="tb", state={"connector_id": "agent-1", **state}), **client.options
    )


async def read(client: Client, shown: int, *, after_push_id: int = 0) -> None:
    """The listing was read, and all orders are in."""
    now = datetime.now(UTC)
    # Long enough ago for the clock's margin, and after what was read before.
    begin, end = now - timedelta(seconds=6), now - timedelta(seconds=5)
    reading = {"listing_id": 1, "shown": shown, "after_push_id": after_push_id}
    await client.selling.ReportShelf(
        made(pb.ReportShelfRequest, channel="tb", readings=[{**reading, "begin_time": begin, "end_time": end}]),
        **client.options,
    )
    await client.selling.ReportOrders(made(pb.ReportOrdersRequest, channel="tb", watermark=now), **client.options)


async def listing_where(client: Client, is_so: Callable[[channel_pb2.Listing], bool]) -> channel_pb2.Listing:
    """The listing, once it is so."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            response = await client.selling.ListListings(pb.ListListingsRequest(), **client.options)
            if is_so(response.listings[0]):
                return response.listings[0]
            await asyncio.sleep(0.02)


async def report(client: Client, push_id: int, result: channel_pb2.PushResult.ValueType, **content: object) -> None:
    """What became of a push."""
    request = made(
        pb.ReportPushesRequest,
        channel="tb",
        reports=[{"listing_id": 1, "push_id": push_id, "result": result, **content}],
    )
    await client.selling.ReportPushes(request, **client.options)


async def test_a_listing_shows_what_it_may_sell_and_what_is_under_way(stockgate: Stockgate, client: Client) -> None:
    """Until it was read nothing is known; then it gets the rest, and the ledger says what is exposed."""
    await open_shop(stockgate, client)
    before = (await stockgate("listing", "list")).out
    assert "never" in before
    assert "held up by" not in before
    await read(client, 4)
    await listing_where(client, lambda listing: listing.HasField("push"))
    table = (await stockgate("listing", "list")).out.splitlines()
    assert "s ago" in table[2]
    assert "raise 6" in table[2]
    assert table[2].split()[:8] == ["1", "tb", "600", "7", "1", "x", "TEA", "10"]
    level = (await stockgate("stock", "level", "TEA")).out.splitlines()
    assert level[0].split()[-3:] == ["available", "exposed", "unallocated"]
    assert level[2].split()[-3:] == ["10", "10", "0"]


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ({}, "no connector was ever heard"),
        ({"connector": {"heartbeat_time": NOW}}, ""),
        ({"connector": {"heartbeat_time": NOW - timedelta(seconds=60)}}, ""),
        ({"connector": {"heartbeat_time": NOW - timedelta(minutes=5)}}, "connector last heard 5 min ago"),
        ({"connector": {"heartbeat_time": NOW, "breaker_open": True}}, "the platform is away"),
        ({"connector": {"heartbeat_time": NOW, "ban": {"seconds": 90}}}, "the platform bans calls for 90 s"),
        ({"connector": {"breaker_open": True, "needs": "log in"}}, "connector needs: log in"),
        ({"paused": True, "pause_reason": "lunch", "connector": {"needs": "log in"}}, "channel paused: lunch"),
    ],
)
def test_a_listing_is_held_up_by_what_is_nearest_to_it(channel: dict[str, Any], said: str) -> None:
    """Itself, its channel, the connector, the platform; and by nothing if its number could move."""
    listing, shop = channel_pb2.Listing(), made(channel_pb2.Channel, **channel)
    assert _held_up_by(listing, shop, NOW) == said
    listing.parked_reason = "no such item"
    assert _held_up_by(listing, shop, NOW) == "parked: no such item"


async def test_a_listing_says_what_holds_it_up(stockgate: Stockgate, client: Client) -> None:
    """Until nothing does."""
    await open_shop(stockgate, client)
    await read(client, 4)
    push = (await listing_where(client, lambda listing: listing.HasField("push"))).push
    await report(client, push.push_id, channel_pb2.PUSH_RESULT_REFUSED, error="no such item")
    assert "parked: no such item" in (await stockgate("listing", "list")).out
    assert "parked" not in (await stockgate("listing", "resync", "1")).out
    assert "held up by" not in (await stockgate("listing", "list")).out


async def test_a_reading_that_does_not_fit_is_shown_as_drift(stockgate: Stockgate, client: Client) -> None:
    """With what was believed, what the reading allows, and what is done; or the table says that all fits."""
    await open_shop(stockgate, client)
    assert "every reading fitted" in (await stockgate("drift")).out
    await read(client, 10)
    await listing_where(client, lambda listing: listing.HasField("exposure"))
    await read(client, 25)
    await listing_where(client, lambda listing: listing.exposure > 10)
    (drift,) = (await stockgate("drift", "--channel", "tb", "--json")).document["drifts"]
    assert (drift["shown"], drift["exposure_before"], drift["exposure_least"]) == (25, 10, 25)
    table = (await stockgate("drift", "--channel", "tb")).out.splitlines()
    assert table[2].split()[:6] == ["1", "tb", "1", "25", "10", "25"]


async def test_orders_that_nobody_has_linked_are_shown_by_line(stockgate: Stockgate, client: Client) -> None:
    """Until their listing is linked."""
    await open_shop(stockgate, client)
    assert "No orders wait" in (await stockgate("orders", "unlinked", "--channel", "tb")).out
    now = datetime.now(UTC)
    line = {"platform_sku_id": "9", "quantity": 2}
    order = {
        "order_id": "A-1",
        "state": channel_pb2.ORDER_STATE_PAID,
        "placed_time": now,
        "update_time": now,
        "paid_time": now,
        "lines": [{**line, "line_id": "1", "item_id": "601"}, {**line, "line_id": "2", "item_id": "602"}],
    }
    await client.selling.ReportOrders(made(pb.ReportOrdersRequest, channel="tb", orders=[order]), **client.options)
    rows = [row.split()[:5] for row in (await stockgate("orders", "unlinked", "--channel", "tb")).out.splitlines()[2:]]
    assert rows[0][:5] == ["A-1", "paid", "601", "9", "2"]
    assert rows[1][:3] == ["602", "9", "2"]
    whole = (await stockgate("orders", "unlinked", "--channel", "tb", "--json")).document
    assert [each["order_id"] for each in whole["orders"]] == ["A-1"]


@pytest.mark.parametrize("command", [("drift",), ("orders", "unlinked"), ("listing", "list")])
async def test_a_channel_that_is_not_there_is_no_channel_without_trouble(
    stockgate: Stockgate, command: tuple[str, ...]
) -> None:
    """A code that was typed wrong is refused; an empty list would say that all is well."""
    refused = await stockgate(*command, "--channel", "nope", "--json")
    assert (refused.exit_code, refused.error["reason"]) == (1, "CHANNEL_UNKNOWN")


async def test_a_shortfall_gets_an_owner_and_then_an_end(stockgate: Stockgate, client: Client) -> None:
    """It is open until it was resolved, and then shown only if asked for."""
    await client.add_sku("TEA", 3)
    await client.reserve("TEA", 3)
    await stockgate("stock", "adjust", "TEA", "-2", "--reason", "broken", "--record-reality")
    (opened,) = (await stockgate("shortfall", "list", "--json")).document["shortfalls"]
    number = opened["shortfall_id"]
    nothing = await stockgate("shortfall", "resolve", number)
    assert (nothing.exit_code, "--owner, --resolution or both" in nothing.err) == (2, True)
    assert "Ann" in (await stockgate("shortfall", "resolve", number, "--owner", "Ann")).out
    assert "Ann" in (await stockgate("shortfall", "list")).out
    closed = await stockgate("shortfall", "resolve", number, "--resolution", "bought elsewhere", "--json")
    shortfall = closed.document["shortfall"]
    assert (shortfall["owner"], shortfall["resolution"]) == ("Ann", "bought elsewhere")
    assert "No shortfalls" in (await stockgate("shortfall", "list")).out
    assert "bought elsewhere" in (await stockgate("stock", "shortfalls", "--resolved")).out
    again = await stockgate("shortfall", "resolve", number, "--resolution", "twice")
    assert (again.exit_code, "was resolved before" in again.err) == (1, True)
    unknown = await stockgate("shortfall", "resolve", "999999", "--owner", "Ann")
    assert (unknown.exit_code, "stockgate shortfall list" in unknown.err) == (1, True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (7_200, "2 h ago"),
        (200_000, "2 d ago"),
        (-5, "0 s ago"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(seconds: int, text: str) -> None:
    """A platform's clock that runs ahead makes nothing younger than now."""
    moment = Timestamp()
    moment.FromDatetime(NOW - timedelta(seconds=seconds))
    assert ago(moment, NOW) == text
    assert not ago(Timestamp(), NOW)
