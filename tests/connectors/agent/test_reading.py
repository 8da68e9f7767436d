"""Readings: what a listing showed, between two times that are true."""

from datetime import UTC, timedelta

from connectors.sandbox.taobao import Refusal
from tests.connectors.agent.desk import MUG, MUG_ID, Desk, a_shop, quick, taobao_desk, until
from tests.connectors.agent.gateway import RAISE

SKUS = "taobao.item.skus.get"


async def test_a_reading_that_is_asked_for_is_made(taobao: Desk) -> None:
    """A reading says which question it answers, and what was the last push."""
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, RAISE, 2)
    await taobao.report_on(push_id)
    read_id = taobao.book.ask_reading(MUG_ID)
    await until(lambda: [reading for reading in taobao.book.readings if reading.read_id == read_id])
    reading = next(one for one in taobao.book.readings if one.read_id == read_id)
    assert (reading.shown, reading.after_push_id, reading.error) == (12, push_id, "")
    assert reading.begin_time.ToDatetime() <= reading.end_time.ToDatetime()


async def test_all_listings_are_read_in_turn(taobao: Desk) -> None:
    """Without being asked, every listing is read; what its last push was is said only if it is known."""
    await taobao.serve()
    await until(lambda: {reading.listing_id for reading in taobao.book.readings} == {1, 2, 3})
    assert {reading.after_push_id for reading in taobao.book.readings} == {0}
    assert {reading.read_id for reading in taobao.book.readings} == {0}


async def test_what_was_over_before_it_began_is_known(taobao: Desk) -> None:
    """After a restart a connector has made no push: the gateway says what was the last, or no reading would count."""
    taobao.book.last_push[MUG_ID] = 4711
    await taobao.serve()
    await until(lambda: {reading.listing_id for reading in taobao.book.readings} == {1, 2, 3})
    said = {reading.listing_id: reading.after_push_id for reading in taobao.book.readings}
    assert said == {1: 0, 2: 0, 3: 0} | {MUG_ID: 4711}


async def test_a_listing_that_is_gone_is_said_to_be(taobao: Desk) -> None:
    """A listing that the platform does not know gets a reading with its words."""
    taobao.shop.displays[MUG].deleted = True
    await taobao.serve()
    read_id = taobao.book.ask_reading(MUG_ID)
    await until(lambda: [reading for reading in taobao.book.readings if reading.read_id == read_id])
    assert next(one.error for one in taobao.book.readings if one.read_id == read_id)


async def test_a_reading_is_tried_until_there_is_one(taobao: Desk) -> None:
    """While the platform is in trouble a reading is not given up, and no error is reported."""
    taobao.sandbox.inject(Refusal(15, "isp.remote-service-error", "busy"), times=10, method=SKUS)
    read_id = taobao.book.ask_reading(MUG_ID)
    await taobao.serve()
    await until(lambda: [reading for reading in taobao.book.readings if reading.read_id == read_id])
    assert not [reading.error for reading in taobao.book.readings if reading.error]


async def test_a_number_that_somebody_has_changed_is_read(taobao: Desk) -> None:
    """When the platform tells that an item has changed, its listing is read without being asked for."""
    await taobao.serve(quick(poll_seconds=1000))
    await until(lambda: {reading.listing_id for reading in taobao.book.readings} == {1, 2, 3})
    taobao.shop.edit_by_hand(MUG, 77)
    await until(lambda: [reading for reading in taobao.book.readings if reading.shown == 77])


async def test_times_are_the_platforms_from_the_first_reading_on() -> None:
    """Where the platform's clock is behind ours, a reading never begins later than it did, on the platform's clock."""
    shop = a_shop()
    shop.skew = timedelta(seconds=-40)
    async with taobao_desk(shop) as desk:
        read_id = desk.book.ask_reading(MUG_ID)
        asked_at = shop.time
        await desk.serve(quick(poll_seconds=100))
        await until(lambda: [reading for reading in desk.book.readings if reading.read_id == read_id])
        reading = next(one for one in desk.book.readings if one.read_id == read_id)
        begin, end = reading.begin_time.ToDatetime(UTC), reading.end_time.ToDatetime(UTC)
        margin = timedelta(seconds=2)
        assert begin <= shop.time + margin
        assert end >= asked_at - margin


async def test_a_reading_says_nothing_while_the_clock_is_not_known(taobao: Desk) -> None:
    """A platform five minutes behind: no reading ends in its future, or the gateway would wait for as long."""
    taobao.shop.skew = timedelta(minutes=-5)
    await taobao.serve()
    read_id = taobao.book.ask_reading(MUG_ID)
    await until(lambda: [reading for reading in taobao.book.readings if reading.read_id == read_id])
    latest = max(reading.end_time.ToDatetime(UTC) for reading in taobao.book.readings)
    assert latest < taobao.shop.time + timedelta(seconds=5)
