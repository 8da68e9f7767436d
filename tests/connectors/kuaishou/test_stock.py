"""Changing and reading what listings show, against the sandbox over real HTTP."""

from datetime import timedelta

import pytest

from connectors.base import Applied, Change, ListingKey, Platform, Shelf
from connectors.errors import BelowZero, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.sandbox.faults import Weather
from connectors.sandbox.kuaishou import KuaishouSettings
from connectors.sandbox.shop import ShopFacts, TakesOn
from tests.connectors.kuaishou.conftest import BOX, CUP, LID, STILL, Bench, OpenBench

pytestmark = pytest.mark.asyncio(loop_scope="session")

INVENTORY = KuaishouSettings(goods_inventory_items=frozenset({CUP.item_id}))


async def test_it_is_a_platform(bench: Bench) -> None:
    """The connector is what the agent expects, and says what Kuaishou can do."""
    platform: Platform = bench.kuaishou
    assert platform.capabilities.platform == "kuaishou"
    assert not platform.capabilities.sets_absolute
    assert not platform.capabilities.idempotent
    assert platform.capabilities.changes_at_once == 1
    with pytest.raises(Rejected):
        await platform.set_shown(CUP, 3)


async def test_changes_add_and_subtract(bench: Bench) -> None:
    """A change moves one listing by its units, and says so; none at all makes no call."""
    assert await bench.kuaishou.change(Change(CUP, 7, "a")) == Applied(7)
    assert await bench.kuaishou.change(Change(CUP, -17, "b")) == Applied(-17)
    assert (bench.shown(CUP), bench.shown(LID)) == (0, 5)
    calls = bench.transport.calls
    assert await bench.kuaishou.change(Change(CUP, 0, "c")) == Applied(0)
    assert bench.transport.calls == calls


async def test_the_same_change_twice_applies_twice(bench: Bench) -> None:
    """Item stock has no idempotency key."""
    for _ in range(2):
        await bench.kuaishou.change(Change(CUP, -3, "same"))
    assert bench.shown() == 4


async def test_below_zero_is_refused(bench: Bench) -> None:
    """A lowering by more than is shown changes nothing and is `BelowZero`, with the platform's own number."""
    with pytest.raises(BelowZero) as caught:
        await bench.kuaishou.change(Change(CUP, -11, "a"))
    assert caught.value.code == str(bench.sandbox.settings.below_zero_code)
    assert bench.shown() == 10


async def test_an_unknown_refusal_is_not_taken_for_below_zero(bench: Bench) -> None:
    """A lowering that is refused again though enough is shown is `Rejected`, and no more."""
    for _ in range(2):
        bench.sandbox.answer_next("open.item.sku.stock.update", 999999)
    with pytest.raises(Rejected) as caught:
        await bench.kuaishou.change(Change(CUP, -10, "a"))
    assert type(caught.value) is Rejected
    assert caught.value.code == "999999"


async def test_a_refusal_that_was_true_a_moment_ago_is_none(bench: Bench) -> None:
    """A lowering that is refused, while enough is shown by the time one looks, is done after all."""
    bench.sandbox.answer_next("open.item.sku.stock.update", 999999)
    assert await bench.kuaishou.change(Change(CUP, -10, "a")) == Applied(-10)
    assert bench.shown() == 0


async def test_a_refusal_that_cannot_be_looked_into_may_be_tried_again(bench: Bench) -> None:
    """If the read-back after a refusal is throttled, the change is `Throttled`: nothing was applied."""
    bench.sandbox.answer_next("open.item.sku.list.get", 1016)
    with pytest.raises(Throttled):
        await bench.kuaishou.change(Change(CUP, -11, "a"))
    assert bench.shown() == 10


async def test_a_refused_raise_is_never_below_zero(bench: Bench) -> None:
    """A raise beyond what Kuaishou can show is `Rejected`, here or there."""
    for units in (9_999_990, 9_999_999, 10**30):
        with pytest.raises(Rejected) as caught:
            await bench.kuaishou.change(Change(CUP, units, "a"))
        assert type(caught.value) is Rejected
    assert bench.shown() == 10


@pytest.mark.parametrize(
    "key",
    [
        ListingKey("405050285370", "1"),
        ListingKey("1", "9000001"),
        ListingKey("", ""),
        ListingKey("405050285370", ""),
        ListingKey("-5", "9000001"),
        ListingKey("4.05e11", "9000001"),
        ListingKey("\u0664\u0660", "9000001"),
        ListingKey("9" * 30, "9000001"),
        ListingKey("1; drop", "9000001"),
    ],
)
async def test_listings_that_are_not_there(bench: Bench, key: ListingKey) -> None:
    """An id that is unknown, or cannot be one, is `Rejected`: by a change raised, by a reading in its place."""
    with pytest.raises(Rejected):
        await bench.kuaishou.change(Change(key, 1, "a"))
    read = await bench.kuaishou.read([CUP, key])
    assert read[CUP] == Shelf(CUP, 10)
    assert isinstance(read[key], Rejected)


async def test_many_changes_are_tried_one_by_one(bench: Bench) -> None:
    """Each change has its own result, in order, and a refused one stops no other."""
    changes = [Change(CUP, -4, "a"), Change(LID, -6, "b"), Change(BOX, 1, "c")]
    first, second, third = await bench.kuaishou.change_many(changes)
    assert (first, third) == (Applied(-4), Applied(1))
    assert isinstance(second, BelowZero)
    assert [bench.shown(key) for key in (CUP, LID, BOX)] == [6, 5, 101]


async def test_reading_takes_one_call_per_item(bench: Bench) -> None:
    """Listings of one item are read together, and a deleted one is `Rejected`."""
    assert await bench.kuaishou.read([CUP, LID, BOX]) == {CUP: Shelf(CUP, 10), LID: Shelf(LID, 5), BOX: Shelf(BOX, 100)}
    assert bench.transport.calls == 2
    bench.shop.displays[LID].deleted = True
    assert isinstance((await bench.kuaishou.read([LID]))[LID], Rejected)


async def test_one_unread_item_hides_no_other(bench: Bench) -> None:
    """An item whose reading fails says why; the others are read."""
    bench.sandbox.answer_next("open.item.sku.list.get", 802000)
    read = await bench.kuaishou.read([CUP, BOX])
    assert sum(isinstance(shelf, Throttled) for shelf in read.values()) == 1
    assert sum(isinstance(shelf, Shelf) for shelf in read.values()) == 1


async def test_withheld_units_may_yet_be_sold(open_bench: OpenBench) -> None:
    """Units of unpaid orders may yet be sold, so they are `shown`; being `withheld`, no lowering reaches them."""
    bench = await open_bench(facts=ShopFacts(takes_on=TakesOn.PAYMENT))
    bench.shop.place({CUP: 4})
    assert (await bench.kuaishou.read([CUP]))[CUP] == Shelf(CUP, 10, 4)
    with pytest.raises(BelowZero):
        await bench.kuaishou.change(Change(CUP, -7, "a"))
    assert await bench.kuaishou.change(Change(CUP, -6, "b")) == Applied(-6)
    assert (await bench.kuaishou.read([CUP]))[CUP] == Shelf(CUP, 4, 4)


@pytest.mark.parametrize(
    ("weather", "shown"),
    [
        (Weather(0, 0, lose_request=1), {10}),
        (Weather(0, 0, lose_answer=1), {7}),
        (Weather(0, 0, error_before=1), {10}),
        (Weather(0, 0, error_after=1), {7}),
        (Weather(0, 0, bad_gateway=1), {10}),
    ],
)
async def test_a_write_that_is_not_answered_is_sent_once(bench: Bench, weather: Weather, shown: set[int]) -> None:
    """Lost before or after it was applied, in the platform's words or none: `OutcomeUnknown`, and no second try."""
    await bench.kuaishou.change(Change(CUP, 0, "learn"))
    await bench.kuaishou.change(Change(CUP, 3, "learn"))
    await bench.kuaishou.change(Change(CUP, -3, "learn"))
    calls = bench.transport.calls
    bench.faults.weather = weather
    bench.lose_patience()
    with pytest.raises(OutcomeUnknown):
        await bench.kuaishou.change(Change(CUP, -3, "a"))
    assert bench.transport.calls == calls + 1
    bench.faults.weather = STILL
    assert {bench.shown()} == shown


@pytest.mark.parametrize(
    "weather",
    [Weather(0, 0, lose_answer=1), Weather(0, 0, error_before=1), Weather(0, 0, bad_gateway=1)],
)
async def test_a_reading_that_is_not_answered_is_transient(bench: Bench, weather: Weather) -> None:
    """What only reads certainly did nothing: it is tried again, and then `Transient`."""
    bench.faults.weather = weather
    bench.lose_patience()
    assert isinstance((await bench.kuaishou.read([CUP]))[CUP], Transient)
    assert bench.transport.retries == 2
    with pytest.raises(Transient):
        await bench.kuaishou.order("2000000000000000001")


async def test_nobody_there(bench: Bench) -> None:
    """A platform that is away: what reads is `Transient`, a change whose mode is not known never leaves."""
    bench.faults.away = True
    with pytest.raises(Transient):
        await bench.kuaishou.change(Change(CUP, -3, "a"))
    assert bench.shown() == 10


# ---- goods inventory


async def test_goods_inventory_clamps_and_says_so(open_bench: OpenBench) -> None:
    """In goods-inventory mode a change is an adjustment; what was really moved is booked."""
    bench = await open_bench(INVENTORY)
    assert await bench.kuaishou.change(Change(CUP, 5, "a")) == Applied(5)
    assert await bench.kuaishou.change(Change(CUP, -40, "b")) == Applied(-15)
    assert await bench.kuaishou.change(Change(CUP, -1, "c")) == Applied(0)
    assert (bench.shown(CUP), bench.shown(LID)) == (0, 5)


async def test_goods_inventory_knows_a_change_again(open_bench: OpenBench) -> None:
    """An adjustment repeated with its id is applied once, and answers what the first one did."""
    bench = await open_bench(INVENTORY)
    for _ in range(3):
        assert await bench.kuaishou.change(Change(CUP, -4, "same")) == Applied(-4)
    assert bench.shown() == 6


async def test_goods_inventory_is_tried_again(open_bench: OpenBench) -> None:
    """An adjustment whose answer is lost is repeated with its id by itself, and moves the listing once."""
    bench = await open_bench(INVENTORY)
    await bench.kuaishou.change(Change(CUP, 1, "learn"))
    bench.faults.weather = Weather(0, 0, error_after=1)
    with pytest.raises(OutcomeUnknown):
        await bench.kuaishou.change(Change(CUP, -4, "a"))
    assert bench.transport.retries == 2
    assert bench.shown() == 7
    bench.faults.weather = STILL
    assert await bench.kuaishou.change(Change(CUP, -4, "a")) == Applied(-4)
    assert bench.shown() == 7


async def test_the_mode_is_asked_for_once(open_bench: OpenBench) -> None:
    """An item's mode and its goods are remembered: the second change is one call."""
    for settings, first in ((KuaishouSettings(), 2), (INVENTORY, 3)):
        bench = await open_bench(settings)
        await bench.kuaishou.change(Change(CUP, 1, "a"))
        assert bench.transport.calls == first
        await bench.kuaishou.change(Change(CUP, 1, "b"))
        assert bench.transport.calls == first + 1


async def test_a_mode_that_changed_is_learned_again(open_bench: OpenBench) -> None:
    """A refusal makes the connector ask for the item's mode again, and go the new way at once if there is one."""
    bench = await open_bench(INVENTORY)
    bench.kuaishou._stock._goods[CUP.item_id] = None
    assert await bench.kuaishou.change(Change(CUP, -4, "a")) == Applied(-4)
    bench.kuaishou._stock._goods[BOX.item_id] = {BOX.platform_sku_id: ["ware-old"]}
    assert await bench.kuaishou.change(Change(BOX, -4, "b")) == Applied(-4)
    assert (bench.shown(CUP), bench.shown(BOX)) == (6, 96)


async def test_a_refusal_is_not_repeated_where_nothing_is_new(bench: Bench) -> None:
    """If the mode is what it was, the refused change is not sent again; nor is it where the mode was just learned."""
    bench.sandbox.answer_next("open.item.sku.stock.update", 999999, 999999)
    for calls in (2, 2 + 2):
        with pytest.raises(Rejected):
            await bench.kuaishou.change(Change(CUP, 1, "a"))
        assert bench.transport.calls == calls
    assert await bench.kuaishou.change(Change(CUP, 1, "a")) == Applied(1)
    bench.sandbox.answer_next("open.item.sku.stock.update", 999999, 999999)
    calls = bench.transport.calls
    with pytest.raises(Rejected):
        await bench.kuaishou.change(Change(CUP, 1, "b"))
    assert bench.transport.calls == calls + 2
    assert bench.shown() == 11


async def test_nothing_is_taken_for_an_adjustment_that_is_none(open_bench: OpenBench) -> None:
    """Units withheld for unpaid orders are occupied: an adjustment leaves them."""
    bench = await open_bench(INVENTORY, facts=ShopFacts(takes_on=TakesOn.PAYMENT))
    bench.shop.place({CUP: 4})
    assert await bench.kuaishou.change(Change(CUP, -10, "a")) == Applied(-6)
    assert (await bench.kuaishou.read([CUP]))[CUP] == Shelf(CUP, 4, 4)


@pytest.mark.parametrize("code", [804000, 22, 28, 21, 1016])
async def test_a_refusal_after_a_try_that_may_be_applied_says_nothing_of_it(open_bench: OpenBench, code: int) -> None:
    """A raise whose first try may be there is no refused raise: its units could be promised to somebody else."""
    bench = await open_bench(INVENTORY)
    await bench.kuaishou.change(Change(CUP, 1, "learn"))
    bench.sandbox.answer_next("open.scm.inventory.adjust", 803000, code)
    calls = bench.transport.calls
    with pytest.raises(OutcomeUnknown) as caught:
        await bench.kuaishou.change(Change(CUP, 3, "a"))
    assert caught.value.code == str(code)
    assert bench.transport.calls == calls + 2


# ---- throttling


@pytest.mark.parametrize("code", [15, 16, 17, 1016, 802000, 802005])
async def test_throttling_is_heard(bench: Bench, code: int) -> None:
    """Every number for too many calls is `Throttled`, nothing is applied, and the channel slows down."""
    rate = bench.transport.limiter.rate
    bench.sandbox.answer_next("open.item.get", code)
    with pytest.raises(Throttled) as caught:
        await bench.kuaishou.change(Change(CUP, -1, "a"))
    assert caught.value.code == str(code)
    assert bench.transport.limiter.rate == rate / 2
    assert bench.shown() == 10


async def test_the_days_quota_lasts_until_tomorrow(open_bench: OpenBench) -> None:
    """1017 bans calls for as long as the platform's day lasts, at most 24 hours."""
    bench = await open_bench(KuaishouSettings(calls_per_day_max=1))
    await bench.kuaishou.order("1")
    with pytest.raises(Throttled) as caught:
        await bench.kuaishou.order("1")
    assert caught.value.code == "1017"
    assert caught.value.retry_after_seconds is not None
    assert 0 < caught.value.retry_after_seconds <= timedelta(days=1).total_seconds()
    assert bench.transport.limiter.banned_seconds > 0


async def test_a_rate_limit_is_answered_in_the_platforms_words(open_bench: OpenBench) -> None:
    """Too many calls in a second are answered with 1016."""
    bench = await open_bench(weather=Weather(0, 0, calls_per_second_max=2, ban_seconds=0.5))
    keys = [CUP, BOX, ListingKey("1", "1"), ListingKey("2", "1"), ListingKey("3", "1")]
    read = await bench.kuaishou.read(keys)
    caught = [error for error in read.values() if isinstance(error, Throttled)]
    assert {error.code for error in caught} == {"1016"}


@pytest.mark.parametrize(("code", "kind"), [(22, Rejected), (27, Rejected), (804000, Rejected), (31415926, Rejected)])
async def test_other_numbers_are_refusals(bench: Bench, code: int, kind: type[Exception]) -> None:
    """What is forbidden, badly signed, badly put or unknown is `Rejected` and not repeated."""
    bench.sandbox.answer_next("open.order.detail", code)
    with pytest.raises(kind):
        await bench.kuaishou.order("1")
    assert bench.transport.calls == 1


@pytest.mark.parametrize("code", [803000, 805000, 806000])
async def test_stumbles_are_unknown_for_writes_and_transient_for_reads(bench: Bench, code: int) -> None:
    """The transient numbers ask for a read-back where something was written."""
    await bench.kuaishou.change(Change(CUP, 1, "learn"))
    bench.sandbox.answer_next("open.item.sku.stock.update", code)
    with pytest.raises(OutcomeUnknown) as caught:
        await bench.kuaishou.change(Change(CUP, 1, "a"))
    assert caught.value.code == str(code)
    bench.sandbox.answer_next("open.item.sku.list.get", code)
    assert (await bench.kuaishou.read([CUP]))[CUP] == Shelf(CUP, 11)
