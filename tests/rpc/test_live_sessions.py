"""Live sessions: open, change, close; units of their own; who asks twice, who asks for what cannot be (R10, R29)."""

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from grpc import StatusCode

from gateway import app
from gateway.domain.alerts import EventKind
from gateway.domain.errors import DatabaseUnavailable
from gateway.settings import Settings
from gateway.store import live
from gateway.store.alert_log import read_events
from gateway.store.database import Clock
from gateway.v1 import live_service_pb2 as pb
from gateway.v1.channel_pb2 import Platform
from tests.client import Client
from tests.faults.calls import until
from tests.live.rooms import (
    HOUR,
    WHO,
    close_session,
    get_session,
    left,
    number_of,
    open_session,
    sell,
    serving,
    soon,
    update_session,
)
from tests.refusals import refused
from tests.rpc.played_shop import CLOSED, PLACED, Shop, order
from tests.rpc.shop_calls import create, get, set_policy
from tests.store.history import add_location, store_of


async def corner(client: Client, units: int = 100) -> None:
    """Cups, mugs without units, and two channels nobody serves."""
    await client.add_sku("CUP", units)
    await client.add_sku("MUG")
    for code in ("tb", "dy"):
        await create(client, channel=code, platform=Platform.PLATFORM_TAOBAO)


async def test_a_session_is_opened_changed_and_closed(client: Client, settings: Settings, token: str) -> None:
    """It is kept as asked, listed newest first, and each step is an event with the session in it."""
    await corner(client)
    first = await open_session(client, ["tb"], {"CUP": 0}, host="阿明", agora_channel="room-1")
    assert (first.room, first.host, first.agora_channel) == ("一号直播间", "阿明", "room-1")
    assert list(first.channels) == ["tb"]
    later = soon(2 * HOUR)
    changed = await update_session(client, first.session_id, skus=[{"sku": "MUG"}], planned_end_time=later)
    assert [one.sku for one in changed.skus] == ["CUP", "MUG"]
    assert abs(changed.planned_end_time.ToDatetime() - later.replace(tzinfo=None)) < timedelta(milliseconds=1)
    second = await open_session(client, ["dy"], {"CUP": 0})
    closed = await close_session(client, first.session_id)
    assert closed.HasField("close_time")
    assert await get_session(client, first.session_id) == closed
    listed = await client.ask(client.live.ListSessions, pb.ListSessionsRequest, page_size=1)
    assert [one.session_id for one in listed.sessions] == [second.session_id]
    rest = await client.ask(client.live.ListSessions, pb.ListSessionsRequest, page_token=listed.next_page_token)
    assert [one.session_id for one in rest.sessions] == [first.session_id]
    opened = await client.ask(client.live.ListSessions, pb.ListSessionsRequest, open_only=True)
    assert [one.session_id for one in opened.sessions] == [second.session_id]
    async with store_of(settings, token) as database, database.transaction() as connection:
        events = [one for one in await read_events(connection, 0, 100) if one.session_ids]
    kinds = [EventKind.SESSION_OPENED, EventKind.SESSION_CHANGED, EventKind.SESSION_OPENED, EventKind.SESSION_CLOSED]
    assert [one.kind for one in events] == kinds
    assert [one.session_ids for one in events] == [(n,) for n in (first.session_id,) * 2 + (second.session_id,)] + [
        (first.session_id,)
    ]
    assert events[0].revision == first.session_id


async def test_the_same_request_gets_its_first_answer(settings: Settings, client: Client, token: str) -> None:
    """R10: again, later, at another gateway: the first answer; with other content it is refused, naming the field."""
    await corner(client)
    end = soon()
    first = await open_session(client, ["tb"], {"CUP": 10}, request_id="a", planned_end_time=end)
    changed = await update_session(client, first.session_id, request_id="b", remove_skus=[], skus=[{"sku": "MUG"}])
    closed = await close_session(client, first.session_id, request_id="c")
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    async with gateway as address, grpc.aio.insecure_channel(address) as channel:
        other = Client(channel, token)
        assert await open_session(other, ["tb"], {"CUP": 10}, request_id="a", planned_end_time=end) == first
        again = {"request_id": "b", "remove_skus": [], "skus": [{"sku": "MUG"}]}
        assert await update_session(other, first.session_id, **again) == changed
        assert await close_session(other, first.session_id, request_id="c") == closed
        for content in ({"room": "x"}, {"host": "x"}, {"actor": "x"}, {"agora_channel": "x"}):
            request: dict[str, Any] = {"request_id": "a", "planned_end_time": end, **content}
            refusal = await refused(open_session(other, ["tb"], {"CUP": 10}, **request))
            assert (refusal.reason, refusal.field) == ("REQUEST_ID_REUSED", next(iter(content)))
        refusal = await refused(open_session(other, ["tb"], {"CUP": 9}, request_id="a", planned_end_time=end))
        assert (refusal.code, refusal.field) == (StatusCode.ALREADY_EXISTS, "skus")


@pytest.mark.parametrize(
    ("content", "reason", "field"),
    [
        ({"planned_end_time": {"seconds": 1}}, "INVALID_ARGUMENT", "planned_end_time"),
        ({"planned_end_time": soon(timedelta(hours=25))}, "INVALID_ARGUMENT", "planned_end_time"),
        ({"channels": ["tb", "nope"]}, "CHANNEL_UNKNOWN", "channels[1]"),
        ({"channels": ["tb", "tb"]}, "INVALID_ARGUMENT", "channels"),
        ({"skus": [{"sku": "CUP"}, {"sku": "NOPE"}]}, "SKU_UNKNOWN", "skus[1].sku"),
        ({"skus": [{"sku": "CUP"}, {"sku": "CUP"}]}, "INVALID_ARGUMENT", "skus"),
        ({"skus": [{"sku": "CUP", "exclusive_units": 101}]}, "INSUFFICIENT_STOCK", "skus[0].exclusive_units"),
        ({"room": "  "}, "INVALID_ARGUMENT", "room"),
        ({"room": "a\u202eb"}, "INVALID_ARGUMENT", "room"),
        ({"room": "x" * 101}, "INVALID_ARGUMENT", "room"),
    ],
)
async def test_what_cannot_be_opened(client: Client, content: dict[str, Any], reason: str, field: str) -> None:
    """It is refused with the field, and there is no session (R11)."""
    await corner(client)
    refusal = await refused(open_session(client, ["tb"], {"CUP": 0}, **content))
    assert (refusal.reason, refusal.field) == (reason, field)
    assert not (await client.ask(client.live.ListSessions, pb.ListSessionsRequest)).sessions


async def test_what_cannot_be_changed(client: Client) -> None:
    """An unknown or closed session, a SKU it does not sell, the last one, one that is added as well."""
    await corner(client)
    session = await open_session(client, ["tb"], {"CUP": 0})
    number = session.session_id
    assert (await refused(update_session(client, 999))).reason == "SESSION_UNKNOWN"
    refusal = await refused(update_session(client, number, remove_skus=["MUG"]))
    assert (refusal.reason, refusal.field) == ("INVALID_ARGUMENT", "remove_skus[0]")
    refusal = await refused(update_session(client, number, remove_skus=["CUP"]))
    assert (refusal.reason, refusal.field) == ("INVALID_ARGUMENT", "remove_skus")
    refusal = await refused(update_session(client, number, remove_skus=["CUP"], skus=[{"sku": "CUP"}]))
    assert refusal.field == "skus[0].sku"
    assert [one.sku for one in (await get_session(client, number)).skus] == ["CUP"]
    await close_session(client, number)
    for call in (update_session(client, number), close_session(client, number)):
        assert (await refused(call)).reason == "SESSION_OVER"
    assert (await refused(close_session(client, 999))).reason == "SESSION_UNKNOWN"


async def test_units_are_one_sessions_own(client: Client) -> None:
    """Another session of the SKU may sell beside it elsewhere, but neither have units of its own, nor its channels."""
    await corner(client)
    first = await open_session(client, ["tb"], {"CUP": 30})
    for channels, units in ((["dy"], 1), (["tb"], 0), (["dy", "tb"], 0)):
        refusal = await refused(open_session(client, channels, {"CUP": units}))
        assert (refusal.code, refusal.reason, refusal.field) == (
            StatusCode.FAILED_PRECONDITION,
            "SESSION_CONFLICT",
            "skus[0].sku",
        )
        assert refusal.facts["session_id"] == str(first.session_id)
    second = await open_session(client, ["dy"], {"CUP": 0})
    refusal = await refused(update_session(client, second.session_id, skus=[{"sku": "CUP", "exclusive_units": 1}]))
    assert refusal.reason == "SESSION_CONFLICT"
    await close_session(client, first.session_id)
    await update_session(client, second.session_id, skus=[{"sku": "CUP", "exclusive_units": 100}])


async def test_units_of_its_own_must_lie_where_it_is_served(client: Client) -> None:
    """What is elsewhere cannot be a room's own: it would have to be moved first."""
    await add_location(client, "north")
    await client.add_sku("CUP", 10)
    await client.receive("CUP", 50, location="north")
    await create(client, channel="tb", platform=Platform.PLATFORM_TAOBAO, locations=["main"])
    refusal = await refused(open_session(client, ["tb"], {"CUP": 11}))
    assert (refusal.reason, refusal.facts["available"]) == ("INSUFFICIENT_STOCK", "10")
    await open_session(client, ["tb"], {"CUP": 10})


# ---- their own units, on real streams


async def test_others_are_lowered_before_the_room_is_raised_and_get_all_back(client: Client) -> None:
    """R21, R29: the room's channel gets its own units as others let go of them; in the end they are everybody's."""
    await client.add_sku("CUP", 90)
    async with serving(client, "tb", "dy", "ks") as shops:
        numbers = {code: await number_of(shop) for code, shop in shops.items()}
        for code, shop in shops.items():
            await shop.wait_shown(**{f"L{numbers[code]}": 30})
        session = await open_session(client, ["tb"], {"CUP": 60})
        await shops["tb"].wait_shown(**{f"L{numbers['tb']}": 60})
        assert sum(shops[code].shown[numbers[code]] for code in ("dy", "ks")) == 30
        await close_session(client, session.session_id)
        await sell(shops["dy"], shops["dy"].shown[numbers["dy"]])
        await shops["dy"].wait(lambda one: one.exposure > 0, numbers["dy"])


async def test_what_a_room_sells_is_its_own(client: Client) -> None:
    """Sales of its channels, and only theirs, take from its units; what is given up comes back."""
    await client.add_sku("CUP", 90)
    async with serving(client, "tb", "dy") as shops:
        numbers = {code: await number_of(shop) for code, shop in shops.items()}
        await shops["tb"].wait_shown(**{f"L{numbers['tb']}": 45})
        await sell(shops["tb"], 5)
        session = await open_session(client, ["tb"], {"CUP": 40})
        await shops["tb"].wait_shown(**{f"L{numbers['tb']}": 40})
        await sell(shops["tb"], 7)
        await sell(shops["dy"], 3)
        assert left(await get_session(client, session.session_id)) == {"CUP": 33}
        await shops["tb"].report_orders(order(shops["tb"], "given-up", PLACED, {"quantity": 4}))
        assert left(await get_session(client, session.session_id)) == {"CUP": 29}
        await shops["tb"].report_orders(order(shops["tb"], "given-up", CLOSED, {"quantity": 4}))
        assert left(await get_session(client, session.session_id)) == {"CUP": 33}
        raised = await update_session(client, session.session_id, skus=[{"sku": "CUP", "exclusive_units": 50}])
        assert left(raised) == {"CUP": 43}
        assert left(await close_session(client, session.session_id)) == {"CUP": 0}


async def test_what_is_left_is_counted_in_steps_and_on_from_there(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal of hours takes more than one look; nothing is lost, or counted twice, on the way."""
    await corner(client)
    shops = [Shop(client, code) for code in ("tb", "dy")]
    for shop in shops:
        await shop.link(("CUP", 1))
    session = await open_session(client, ["tb"], {"CUP": 60})
    monkeypatch.setattr(live, "SOLD_REVISIONS_MAX", 3)
    read, looks = live._read_taken, itertools.count()

    async def tires(*rest: Any) -> list[Any]:
        if next(looks) >= 2:
            raise DatabaseUnavailable("it took too long")
        return await read(*rest)

    for number in range(6):
        await shops[0].report_orders(order(shops[0], f"tb-{number}", PLACED, {"quantity": 2}))
        await shops[1].report_orders(order(shops[1], f"dy-{number}", PLACED))
    monkeypatch.setattr(live, "_read_taken", tires)
    assert (await refused(get_session(client, session.session_id))).code == StatusCode.UNAVAILABLE
    monkeypatch.setattr(live, "_read_taken", read)
    assert left(await get_session(client, session.session_id)) == {"CUP": 48}
    await shops[0].report_orders(order(shops[0], "tb-0", CLOSED, {"quantity": 2}))
    asked = {"skus": [{"sku": "MUG", "exclusive_units": 5}], "remove_skus": ["CUP"]}
    assert (await refused(update_session(client, session.session_id, **asked))).reason == "INSUFFICIENT_STOCK"
    assert left(await get_session(client, session.session_id)) == {"CUP": 50}


async def test_a_rooms_channels_never_show_more_than_its_own(client: Client) -> None:
    """Whatever all sell and in whichever order: once settled, others show none of the room's units (R20)."""
    await client.add_sku("CUP", 80)
    async with serving(client, "tb", "dy", "ks") as shops:
        numbers = {code: await number_of(shop) for code, shop in shops.items()}
        session = await open_session(client, ["tb", "dy"], {"CUP": 50})
        for number in range(8):
            code = ("tb", "ks", "dy", "tb")[number % 4]
            listing = await shops[code].listing(numbers[code])
            if shops[code].shown.get(numbers[code], 0) > 1 and not listing.HasField("push"):
                await sell(shops[code], 2)
            own = left(await get_session(client, session.session_id))["CUP"]
            available = (await client.level("CUP")).available

            async def is_kept(others: int = available - own, own: int = own) -> bool:
                theirs = (await shops["ks"].listing(numbers["ks"])).exposure
                ours = sum([(await shops[each].listing(numbers[each])).exposure for each in ("tb", "dy")])
                return theirs <= others and ours <= own

            await until(is_kept, 15)


async def test_a_policy_may_lock_units_without_a_session(client: Client) -> None:
    """EXCLUSIVE with a share: the first channel gets so many, the others the rest."""
    await client.add_sku("CUP", 60)
    async with serving(client, "tb", "dy", "ks") as shops:
        await set_policy(client, sku="CUP", kind=5, shares=[{"channel": "dy", "share": 40}])
        numbers = {code: await number_of(shop) for code, shop in shops.items()}
        await shops["dy"].wait_shown(**{f"L{numbers['dy']}": 40})
        for code in ("tb", "ks"):
            await shops[code].wait_shown(**{f"L{numbers[code]}": 10})


async def test_a_room_that_has_it_all_stops_no_channel(client: Client) -> None:
    """R31 asks a person before many listings go to zero; who opens a session with all units of them has said so."""
    codes = [f"CUP-{number}" for number in range(12)]
    for code in codes:
        await client.add_sku(code, 4)
    shops = {code: Shop(client, code) for code in ("tb", "dy")}
    numbers: dict[str, list[int]] = {}
    for code, shop in shops.items():
        await shop.open()
        numbers[code] = [await shop.link((sku, 1), item_id=sku) for sku in codes]
    async with shops["tb"].serving(), shops["dy"].serving():
        for code, shop in shops.items():
            await shop.wait_shown(**{f"L{number}": 2 for number in numbers[code]})
        await open_session(client, ["tb"], dict.fromkeys(codes, 4))
        await shops["tb"].wait_shown(**{f"L{number}": 4 for number in numbers["tb"]})
        await shops["dy"].wait_shown(**{f"L{number}": 0 for number in numbers["dy"]})
    assert not (await get(client, "dy")).paused


async def test_a_session_past_its_planned_end_is_on(client: Client, clock: Clock) -> None:
    """It ends when it is closed."""
    await corner(client)
    session = await open_session(client, ["tb"], {"CUP": 0}, actor=WHO)
    clock.offset += 3 * HOUR
    opened = await client.ask(client.live.ListSessions, pb.ListSessionsRequest, open_only=True)
    assert [one.session_id for one in opened.sessions] == [session.session_id]
