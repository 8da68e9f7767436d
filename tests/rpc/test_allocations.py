"""What a connector is told to do: the stream, its order, its repetitions, its end, and who is told nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import grpc.aio
import pytest
from grpc import StatusCode

from gateway import allocator, app
from gateway.allocator import Allocator
from gateway.domain.errors import DatabaseUnavailable
from gateway.settings import Settings
from gateway.store.database import Clock
from gateway.v1 import channel_service_pb2 as pb
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1.channel_pb2 import PushKind
from tests.client import Client
from tests.faults.calls import until
from tests.refusals import refused
from tests.rpc.played_shop import NOT_SENT, PAID, RAISE, REFUSED, UNKNOWN, WAIT_SECONDS, Shop, Watch, order
from tests.rpc.shop_calls import get, set_policy
from tests.store.history import adjust

TO_ZERO = PushKind.PUSH_KIND_TO_ZERO
# After so long nothing is due any more at the allocator's: what it looks at then, it looks at for the test's reason.
STILL_SECONDS = 2 * max(allocator.TICK_SECONDS, allocator.WATERMARK_SECONDS)


@pytest.fixture
async def shop(client: Client) -> AsyncIterator[Shop]:
    """A shop that has CUP, 10 on hand, on sale as listing 1; in the end the ledger adds up (R18, R20)."""
    await client.add_sku("CUP", 10)
    played = Shop(client)
    await played.open()
    await played.link(("CUP", 1))
    yield played
    verdict = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
    assert verdict.consistent, verdict.breaches


async def test_a_listing_is_read_then_raised(shop: Shop) -> None:
    """Nothing is raised before it was read; a raise counts from the moment it is decided, and is decided once."""
    async with shop.watching() as watch:
        assert (await watch.read()).created.channel.channel == "tb"
        asked = await watch.asked()
        assert (asked.listing_id, asked.item_id, asked.platform_sku_id, asked.after_push_id) == (1, "1", "2", 0)
        assert not (await shop.listing(1)).HasField("exposure")
        await shop.answer(asked)
        allocation = await watch.push()
        assert (allocation.listing_id, allocation.push.kind, allocation.push.sales) == (1, RAISE, 10)
        assert ((await shop.listing(1)).exposure, await _exposed(shop)) == (10, 10)
        await shop.apply(allocation)
        assert ((await shop.listing(1)).exposure, await _exposed(shop)) == (10, 10)
        assert (await shop.listing(1)).last_push_id == allocation.push.push_id


async def test_what_waits_for_orders_is_left_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading is judged once its channel's orders up to then are in; until they are nobody looks again and again."""
    looks = 0
    look_at = Allocator._look_at

    async def counted(one: Allocator, skus: Sequence[str]) -> None:
        nonlocal looks
        looks += "CUP" in skus
        await look_at(one, skus)

    async with shop.watching() as watch:
        asked = await watch.asked()
        assert await shop.report_reading(1, 0, read_id=asked.read_id)
        await asyncio.sleep(STILL_SECONDS)
        monkeypatch.setattr(Allocator, "_look_at", counted)
        await asyncio.sleep(4 * allocator.WATERMARK_SECONDS)
        assert looks < 3, "a tick that was late, or a beat, is no more than that"
        await shop.report_orders(watermark=True)
        assert (await watch.push()).push.sales == 10
        assert looks


async def test_a_stream_begins_with_what_is_under_way(shop: Shop) -> None:
    """A second stream, and one that comes back, hear of the same push before `current`, and of it once."""
    async with shop.watching() as first, shop.watching() as second:
        push = await first.push()
        assert await second.push() == push
        async with shop.watching() as third:
            (message,) = await third.current()
            assert message.allocation == push
            await shop.apply(push)
            await shop.apply(push)
            await shop.wait_shown(L1=10)
            assert (await third.until("progress")).progress.HasField("server_time")
        async with shop.watching() as fourth:
            assert await fourth.current() == []


async def test_one_connector_at_a_time_is_told_what_to_do(shop: Shop) -> None:
    """Two that did the same push would show units twice: who comes later is told, who came before is sent away."""
    async with shop.watching() as first:
        push = await first.push()
        async with shop.watching(connector_id="other") as second:
            assert await second.push() == push
            assert (await first.until("go_away")).go_away.reason == "REPLACED"
            assert await first.call.read() is grpc.aio.EOF
            await shop.apply(push)
            await shop.client.receive("CUP", 5)
            await shop.beat()
            assert (await second.push()).push.sales == 5


async def test_a_question_is_asked_again_until_it_is_answered(shop: Shop) -> None:
    """A reading that was asked for and lost is asked for again by the next stream, under the same number."""
    async with shop.watching() as first:
        asked = await first.asked()
    async with shop.watching() as second:
        (message,) = await second.current()
        assert message.read_listing == asked


async def test_a_gateway_that_stops_says_go_away(settings: Settings, shop: Shop) -> None:
    """The stream of a stopping gateway ends with SHUTDOWN and when to come back."""
    token = dict(shop.client.options["metadata"])["authorization"].removeprefix("Bearer ")
    async with asyncio.timeout(60):
        async with app.running_gateway(replace(settings, listen="127.0.0.1:0")) as address:
            channel = grpc.aio.insecure_channel(address)
            watch = Watch(Shop(Client(channel, token)))
            assert (await watch.read()).WhichOneof("message") == "created"
        while (message := await watch.read()).WhichOneof("message") != "go_away":
            pass
        assert message.go_away.reason == "SHUTDOWN"
        assert message.go_away.retry_after_ms > 0
        assert await watch.call.read() is grpc.aio.EOF
        await channel.close()


async def test_without_a_heartbeat_nothing_is_pushed(shop: Shop, clock: Clock) -> None:
    """A connector that was not heard for a while gets no new pushes (R28); once it is heard it gets them."""
    async with shop.serving():
        await shop.wait_shown(L1=10)
        await _fall_silent(shop, clock)
        await shop.client.receive("CUP", 5)
        await _other_shop_gets_some(shop)
        assert (await shop.listing(1)).exposure == 10
        await shop.client.receive("CUP", 4)
        await shop.beat()
        await shop.wait_shown(L1=14)


async def test_a_channel_that_comes_back_is_looked_at(shop: Shop, clock: Clock) -> None:
    """However long it was away or paused, and however still its SKUs: once it can be changed again it is."""
    async with shop.serving():
        await shop.wait_shown(L1=10)
        for away, back in ((_fall_silent, _speak), (_pause, _resume)):
            await away(shop, clock)
            await shop.client.receive("CUP", 5)
            await asyncio.sleep(STILL_SECONDS)
            shown = shop.shown[1]
            assert (await shop.listing(1)).exposure == shown
            await back(shop)
            await shop.wait_shown(L1=shown + 5)


async def test_a_policy_of_a_still_sku_is_followed(shop: Shop) -> None:
    """A policy is followed at once, although nothing of its SKU has moved for long."""
    async with shop.serving():
        await shop.wait_shown(L1=10)
        await asyncio.sleep(STILL_SECONDS)
        await set_policy(shop.client, sku="CUP", stop_at=4)
        await set_policy(shop.client, sku="CUP", shares=[{"channel": "tb", "cap": 3}])
        await shop.wait_shown(L1=3)


async def test_a_look_that_failed_is_made_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that was away for a moment costs nobody a change: what was not decided then is decided later."""
    look_at = allocator.Allocator._look_at
    failed: list[Sequence[str]] = []

    async def fail_twice(self: allocator.Allocator, skus: Sequence[str]) -> None:
        if len(failed) < 2:
            failed.append(skus)
            raise DatabaseUnavailable("a moment")
        await look_at(self, skus)

    async with shop.serving():
        await shop.wait_shown(L1=10)
        await asyncio.sleep(STILL_SECONDS)
        monkeypatch.setattr(allocator.Allocator, "_look_at", fail_twice)
        await shop.client.receive("CUP", 5)
        await shop.wait_shown(L1=15)
    assert len(failed) == 2


async def test_a_paused_channel_is_left_alone(shop: Shop) -> None:
    """Paused, it gets no push, its orders are taken in, and its connector is told; resumed, it goes on."""
    async with shop.serving(), shop.watching() as watch:
        await shop.wait_shown(L1=10)
        await _pause(shop)
        assert ((await get(shop.client, "tb")).paused, (await get(shop.client, "tb")).pause_reason) == (True, "a test")
        assert (await watch.until("channel")).channel.paused
        await shop.client.receive("CUP", 5)
        await _other_shop_gets_some(shop)
        await shop.report_orders(order(shop, "a", PAID, {"quantity": 2}))
        assert (await shop.listing(1)).exposure == 8
        await shop.client.receive("CUP", 2)
        await _resume(shop)
        shop.shown[1] -= 2
        assert not (await watch.until("channel")).channel.paused
        await shop.wait_shown(L1=10)


async def test_a_connector_hears_at_once_that_its_channel_was_paused(shop: Shop) -> None:
    """Whatever else is told, and however seldom there is progress; what nobody has changed is not told."""
    async with shop.watching(progress_interval_ms=60_000) as watch:
        push = await watch.push()
        await _pause(shop)
        message = await watch.read()
        assert (message.channel.paused, message.channel.pause_reason) == (True, "a test")
        await shop.beat()
        await shop.apply(push)
        await _resume(shop)
        message = await watch.read()
        assert message.HasField("channel")
        assert not message.channel.paused


async def test_a_raise_in_the_way_is_withdrawn(shop: Shop) -> None:
    """Goods that are gone are lowered first: a raise that was not begun is called back (R21, R27)."""
    async with shop.watching() as watch:
        push = await watch.push()
        await adjust(shop.client, "CUP", -4)
        again = await watch.push()
        assert (again.push.push_id, again.push.withdrawn) == (push.push.push_id, True)
        await shop.report(push, NOT_SENT)
        smaller = await watch.push()
        assert (smaller.push.kind, smaller.push.sales, smaller.push.push_id > push.push.push_id) == (RAISE, 6, True)
        await shop.apply(smaller)
    assert await _exposed(shop) == 6


async def test_reports_that_say_nothing_new(shop: Shop) -> None:
    """Repeated, for a push that is over, for another one or for no listing at all: nothing changes (R10)."""
    async with shop.watching() as watch:
        push = await watch.push()
        for push_id in (push.push.push_id + 1, 10**12):
            await shop.report(push, REFUSED, push_id=push_id, applied=3)
        await shop.report(push, REFUSED, listing_id=99)
        assert (await shop.listing(1)).push.push_id == push.push.push_id
        await shop.apply(push)
        for result in (NOT_SENT, UNKNOWN, REFUSED):
            await shop.report(push, result)
        listing = await shop.listing(1)
        assert (listing.exposure, listing.parked_reason, listing.HasField("push")) == (10, "", False)
    refusal = await refused(Shop(shop.client, "nope").report(push, NOT_SENT))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "CHANNEL_UNKNOWN")


@pytest.mark.parametrize("arrived", [0, 10])
async def test_a_reading_decides_what_nobody_knows(shop: Shop, arrived: int) -> None:
    """An unknown raise stays exposed until a reading asked for afterwards is judged; then that counts (R25)."""
    async with shop.watching() as watch:
        push = await watch.push()
        await shop.report(push, UNKNOWN)
        known = await watch.push()
        assert (known.push.push_id, known.push.unknown) == (push.push.push_id, True)
        assert ((await shop.listing(1)).exposure, await _exposed(shop)) == (10, 10)
        shop.shown[1] = arrived
        assert await shop.report_reading(1, after_push_id=0) == 0
        asked = await watch.asked()
        await shop.report_reading(1, read_id=asked.read_id)
        assert (await shop.listing(1)).push.unknown
        await shop.report_orders(watermark=True)
        if not arrived:
            await shop.apply(await watch.push())
        await shop.wait_shown(L1=10)
    drifts = (await shop.client.ask(shop.client.selling.ListDrift, pb.ListDriftRequest)).drifts
    assert not drifts, shop.time


async def test_a_refusal_parks_until_a_person_has_looked(shop: Shop) -> None:
    """A platform that refuses a listing gets no more pushes for it, in its own words, until ResyncListing (R27)."""
    async with shop.watching() as watch:
        await shop.report(await watch.push(), REFUSED, error="the item is banned")
        listing = await shop.listing(1)
        assert (listing.parked_reason, listing.exposure, listing.HasField("push")) == ("the item is banned", 0, False)
        await shop.client.receive("CUP", 5)
        await _other_shop_gets_some(shop)
        assert not (await shop.listing(1)).HasField("push")
        request = {"listing_id": 1}
        resynced = await shop.client.ask(shop.client.selling.ResyncListing, pb.ResyncListingRequest, **request)
        assert not resynced.listing.parked_reason
        await shop.client.receive("CUP", 4)
        assert (await watch.push()).push.kind == RAISE


async def test_a_reading_that_failed_parks(shop: Shop) -> None:
    """A listing that cannot be read is told, with why, and left alone."""
    async with shop.watching() as watch:
        asked = await watch.asked()
        assert await shop.report_reading(1, read_id=asked.read_id, error="no such item") == 1
        listing = await shop.listing(1)
        assert (listing.parked_reason, listing.HasField("exposure")) == ("no such item", False)


async def test_many_to_zero_asks_a_person(shop: Shop) -> None:
    """R31: twelve listings that would be emptied at once pause their channel; a person lets it go on."""
    numbers = range(2, 14)
    for number in numbers:
        await shop.client.add_sku(f"MUG-{number}", 5)
        await shop.link((f"MUG-{number}", 1), item_id=f"item-{number}")
    async with shop.serving():
        await shop.wait_shown(L1=10, **{f"L{number}": 5 for number in numbers})
        before = len(shop.pushes)
        await asyncio.gather(*(adjust(shop.client, f"MUG-{number}", -5) for number in numbers))

        async def is_paused() -> bool:
            return (await get(shop.client, "tb")).paused

        await until(is_paused, WAIT_SECONDS)
        assert "brake" in (await get(shop.client, "tb")).pause_reason
        assert len([push for push in shop.pushes[before:] if push.push.kind == TO_ZERO]) <= 10
        await _resume(shop, allow_many_to_zero=True)
        await shop.wait_shown(L1=10, **{f"L{number}": 0 for number in numbers})
        assert not (await get(shop.client, "tb")).paused


async def _exposed(shop: Shop) -> int:
    return (await shop.client.level("CUP")).exposed


async def _other_shop_gets_some(shop: Shop) -> None:
    """Wait until another channel has got some of what is free: so the allocator has looked. Then all is `tb`'s."""
    other = Shop(shop.client, "other")
    await other.open()
    listing_id = await other.link(("CUP", 1))
    async with other.serving():
        await other.wait(lambda one: one.exposure > 0 and not one.HasField("push"), listing_id)
    await set_policy(shop.client, sku="CUP", kind=4, shares=[{"channel": "tb"}])


async def _pause(shop: Shop, _clock: Clock | None = None) -> None:
    request = {"channel": "tb", "reason": "a test"}
    await shop.client.ask(shop.client.selling.PauseChannel, pb.PauseChannelRequest, **request)


async def _resume(shop: Shop, *, allow_many_to_zero: bool = False) -> None:
    await shop.beat()
    request = {"channel": "tb", "allow_many_to_zero": allow_many_to_zero}
    await shop.client.ask(shop.client.selling.ResumeChannel, pb.ResumeChannelRequest, **request)


async def _fall_silent(shop: Shop, clock: Clock) -> None:
    shop.is_heard = False
    clock.offset += timedelta(seconds=60)


async def _speak(shop: Shop) -> None:
    await shop.beat()
