"""What a write really does to a shelf, and what the connector books for it."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from connectors.base import Applied, BelowZeroRule, ListingKey, Shelf
from connectors.douyin.stock import batch_id
from connectors.errors import BelowZero, ConnectorError, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.sandbox.douyin import DouyinSettings
from connectors.sandbox.faults import Weather
from tests.connectors.douyin.rig import BOWL, CUP, PLATE, STILL, Rig, change, rigged

RAISE, LOWER = "/sku/syncStock", "/sku/syncStockBatchMultiProducts"
CLAMPING = DouyinSettings(below_zero=BelowZeroRule.CLAMPS)


async def test_a_change_moves_what_is_shown(rig: Rig) -> None:
    """A raise and a lowering move the number by their units, and say so."""
    assert await rig.douyin.change(change(5, "up")) == Applied(5)
    assert rig.shown() == 15
    assert await rig.douyin.change(change(-3, "down")) == Applied(-3)
    assert rig.shown() == 12
    assert await rig.douyin.change(change(0, "nothing")) == Applied(0)
    assert rig.shown() == 12
    assert list(rig.sandbox.calls) == [RAISE, LOWER]


async def test_a_sale_between_is_not_erased(rig: Rig) -> None:
    """A change is a delta: what buyers took meanwhile stays taken."""
    rig.sell(4)
    await rig.douyin.change(change(-3))
    assert rig.shown() == 3


async def test_a_change_is_applied_once(rig: Rig) -> None:
    """A change that is repeated with its id is one change; of a lowering nobody says again how much it took."""
    for units, booked, shown in ((5, 5, 15), (-3, None, 12)):
        await rig.douyin.change(change(units, f"c{units}"))
        assert await rig.douyin.change(change(units, f"c{units}")) == Applied(booked, shown)
        assert rig.shown() == shown


async def test_a_refused_lowering_whose_answer_was_lost_is_not_booked() -> None:
    """The platform knows the id of a lowering that it refused; the repeat must not pass for one that was applied."""
    async with rigged(deadline_seconds=0.1, tries_max=1) as rig:
        rig.faults.weather = weather("lose_answer")
        with pytest.raises(OutcomeUnknown):
            await rig.douyin.change(change(-11))
        rig.faults.weather = STILL
        assert await rig.douyin.change(change(-11)) == Applied(None, shown=10)


async def test_a_lowering_below_zero_is_refused(rig: Rig) -> None:
    """Where the platform refuses, a lowering by more than is shown does nothing and is `BelowZero`."""
    with pytest.raises(BelowZero) as caught:
        await rig.douyin.change(change(-11))
    assert caught.value.code == "31009"
    assert rig.shown() == 10


async def test_a_lowering_below_zero_is_clamped_and_booked_as_it_was() -> None:
    """Where the platform clamps, only what was really taken is booked."""
    async with rigged(CLAMPING) as rig:
        rig.sell(4)
        assert await rig.douyin.change(change(-9)) == Applied(-6)
        assert rig.shown() == 0


async def test_an_unknown_listing_is_rejected(rig: Rig) -> None:
    """A SKU that is not on sale, was deleted, or is not Douyin's is `Rejected`, never `BelowZero`."""
    rig.shop.displays[PLATE].deleted = True
    for key in (ListingKey(CUP.item_id, "1"), PLATE, ListingKey("x", "1"), ListingKey("1", ""), ListingKey("1", "²")):
        for units in (1, -1):
            with pytest.raises(Rejected) as caught:
                await rig.douyin.change(change(units, f"{key}{units}", key))
            assert not isinstance(caught.value, BelowZero)
        with pytest.raises(Rejected):
            await rig.douyin.set_shown(key, 1)
        assert isinstance((await rig.douyin.read([key]))[key], Rejected)


async def test_a_set_number_is_what_is_shown(rig: Rig) -> None:
    """An absolute write sets the plain number, zero too; a negative one is refused here."""
    for units in (7, 0):
        assert await rig.douyin.set_shown(CUP, units) == Applied(None, shown=units)
        assert rig.shown() == units
    with pytest.raises(Rejected):
        await rig.douyin.set_shown(CUP, -1)


async def test_reading_shows_all_that_would_still_be_sold(rig: Rig) -> None:
    """A reading counts promotion, stepped and channel stock too, buyers may take from each, and no lowering can."""
    aside = rig.sandbox.aside(CUP)
    aside.promotion, aside.step, aside.promotion_step, aside.channel = 1, 2, 3, 4
    rig.sell(1)
    shelves = await rig.douyin.read([CUP, BOWL])
    assert shelves == {CUP: Shelf(CUP, shown=19, withheld=10), BOWL: Shelf(BOWL, shown=30)}


async def test_regional_stock_is_of_its_warehouse(rig: Rig) -> None:
    """With a warehouse set, that warehouse is read and changed; without one a regional SKU is `Rejected`."""
    rig.sandbox.aside(CUP).warehouses.update(north=6, south=4)
    assert isinstance((await rig.douyin.read([CUP]))[CUP], Rejected)
    with pytest.raises(Rejected):
        await rig.douyin.change(change(1))
    rig.douyin._caller.credentials = replace(rig.credentials, out_warehouse_id="south")
    assert await rig.douyin.change(change(-3, "south")) == Applied(-3)
    assert rig.sandbox.aside(CUP).warehouses == {"north": 6, "south": 1}
    assert getattr((await rig.douyin.read([CUP]))[CUP], "shown", None) == 1


# ---- many at once


async def test_many_lowerings_are_one_call(rig: Rig) -> None:
    """Lowerings of several products share a call, each raise has its own; results keep the order of the changes."""
    changes = [change(-1, "a"), change(2, "b", PLATE), change(-3, "c", BOWL)]
    assert await rig.douyin.change_many(changes) == [Applied(-1), Applied(2), Applied(-3)]
    assert (rig.shown(CUP), rig.shown(PLATE), rig.shown(BOWL)) == (9, 22, 27)
    assert sorted(rig.sandbox.calls) == [RAISE, LOWER]


async def test_one_refusal_does_not_hold_up_the_others(rig: Rig) -> None:
    """A batch is partial: what is refused in it is told for its change alone."""
    changes = [change(-99, "a"), change(-1, "b", PLATE), change(-1, "c", ListingKey("5", "6"))]
    first, second, third = await rig.douyin.change_many(changes)
    assert isinstance(first, BelowZero)
    assert second == Applied(-1)
    assert isinstance(third, Rejected)
    assert not isinstance(third, BelowZero)


async def test_a_batch_that_is_refused_as_a_whole_is_sent_apart(rig: Rig) -> None:
    """A refusal of the whole batch did nothing, so each of its changes is tried by itself."""
    rig.sandbox.inject(LOWER, 40003, "isv.parameter-invalid")
    changes = [change(-1, "a"), change(-1, "b", PLATE)]
    assert await rig.douyin.change_many(changes) == [Applied(-1), Applied(-1)]
    assert (rig.shown(CUP), rig.shown(PLATE)) == (9, 19)


async def test_two_changes_of_a_listing_are_two_calls(rig: Rig) -> None:
    """The same listing twice is lowered twice, in two batches."""
    changes = [change(-1, "a"), change(-2, "b"), change(-3, "c", PLATE)]
    assert await rig.douyin.change_many(changes) == [Applied(-1), Applied(-2), Applied(-3)]
    assert rig.shown() == 7
    assert list(rig.sandbox.calls) == [LOWER, LOWER]


async def test_a_change_of_a_lost_batch_goes_with_its_batch() -> None:
    """After a lost batch its changes are applied once, even if they are repeated one by one."""
    async with rigged(deadline_seconds=0.2, tries_max=1) as rig:
        rig.faults.weather = replace(STILL, lose_answer=1.0)
        changes = [change(-1, "a"), change(-2, "b", PLATE)]
        results = await rig.douyin.change_many(changes)
        assert all(isinstance(result, OutcomeUnknown) for result in results)
        rig.faults.weather = STILL
        assert await rig.douyin.change(changes[0]) == Applied(None, shown=9)
        # The repeat has settled the batch for its other change as well, so that may be sent alone again.
        assert (rig.shown(CUP), rig.shown(PLATE)) == (9, 18)


async def test_the_id_of_a_batch_does_not_depend_on_order() -> None:
    """A batch's id is made of its changes' ids in sorted order; a batch of one has the change's own."""
    one, two = change(-1, "a"), change(-1, "b", PLATE)
    assert batch_id([one, two]) == batch_id([two, one]) != batch_id([one, change(-1, "c")])
    assert batch_id([one]) == "a"


# ---- faults


FAULTS = ["lose_answer", "error_after", "lose_request", "error_before", "bad_gateway"]


async def test_whatever_happens_to_a_change_a_repeat_settles_it() -> None:
    """A change that meets a fault is unknown, and its repeat in better weather leaves it applied once."""
    async with rigged(deadline_seconds=0.1, tries_max=1) as rig:
        for units in (4, -4):
            for fault in FAULTS:
                before, asked = rig.shown(), change(units, f"{fault} {units}")
                rig.faults.weather = weather(fault)
                with pytest.raises(OutcomeUnknown):
                    await rig.douyin.change(asked)
                rig.faults.weather = STILL
                assert (await rig.douyin.change(asked)).units in {units, None if units < 0 else units}
                assert rig.shown() == before + units, fault


async def test_a_write_that_is_applied_late_counts_once() -> None:
    """The first try that arrives after its repeat does nothing."""
    async with rigged(deadline_seconds=0.1, tries_max=1) as rig:
        rig.faults.weather = replace(STILL, apply_late=1.0, apply_late_seconds_max=6.0)
        with pytest.raises(OutcomeUnknown):
            await rig.douyin.change(change(-4))
        rig.faults.weather = STILL
        assert await rig.douyin.change(change(-4)) == Applied(-4)
        await asyncio.gather(*rig.faults._late)
        assert rig.shown() == 6


async def test_a_reading_that_fails_is_transient() -> None:
    """A reading changes nothing, so its unknown outcome is `Transient`."""
    async with rigged(deadline_seconds=0.1, tries_max=1) as rig:
        for fault in FAULTS:
            rig.faults.weather = weather(fault)
            assert isinstance((await rig.douyin.read([CUP]))[CUP], Transient), fault


async def test_a_try_that_was_not_applied_does_not_vouch_for_the_one_before(rig: Rig) -> None:
    """A change whose first try was lost and whose second was refused for its rate is unknown, not refused."""
    rig.sandbox.inject(RAISE, 20001, is_applied=True)
    rig.sandbox.inject(RAISE, 60000, "isv.traffic-limited")
    with pytest.raises(OutcomeUnknown):
        await rig.douyin.change(change(4))
    assert rig.shown() == 14


async def test_the_platforms_own_errors_are_tried_again_under_the_same_id(rig: Rig) -> None:
    """An internal error or timeout, before the write or after it, ends as one change."""
    cases = itertools.product((3, -3), (20000, 20001), (True, False))
    for units, code, is_applied in cases:
        rig.sandbox.inject(RAISE if units > 0 else LOWER, code, "isp.service-error:1", is_applied=is_applied)
        before = rig.shown()
        applied = await rig.douyin.change(change(units, f"{units} {code} {is_applied}"))
        says = units > 0 or not is_applied
        assert applied == Applied(units if says else None, rig.shown() if is_applied else None)
        assert rig.shown() == before + units


async def test_a_refusal_does_not_vouch_for_the_try_before(rig: Rig) -> None:
    """A raise that was lost and then refused may have been applied: it is unknown, until its repeat says so."""
    rig.sandbox.inject(RAISE, 20001, is_applied=True)
    rig.sandbox.inject(RAISE, 30002, "isv.invalid_ip")
    with pytest.raises(OutcomeUnknown):
        await rig.douyin.change(change(4))
    assert await rig.douyin.change(change(4)) == Applied(4, shown=14)


async def test_a_change_that_was_refused_for_its_rate_was_not_applied(rig: Rig) -> None:
    """Too many calls is `Throttled`; the platform does not say for how long."""
    rig.faults.weather = replace(STILL, calls_per_second_max=1, ban_seconds=5)
    await rig.douyin.change(change(1, "a"))
    with pytest.raises(Throttled) as caught:
        await rig.douyin.change(change(1, "b"))
    assert caught.value.retry_after_seconds is None
    assert caught.value.code == "isv.traffic-limited"
    assert rig.shown() == 11


async def test_a_throttled_batch_is_told_for_each_change(rig: Rig) -> None:
    """`change_many` raises nothing."""
    rig.sandbox.inject(LOWER, 60000, "isv.traffic-limited")
    results: list[Applied | ConnectorError] = await rig.douyin.change_many([change(-1, "a"), change(-1, "b", PLATE)])
    assert [type(result) for result in results] == [Throttled, Throttled]


async def test_a_refusal_that_cannot_be_looked_into_may_be_tried_again(rig: Rig) -> None:
    """A refused lowering was not applied; if the look at the shelf fails, the reason is open."""
    for _ in range(3):
        rig.sandbox.inject("/sku/stockNum", 70000, "isp.api-service-off")
    with pytest.raises(Transient):
        await rig.douyin.change(change(-11))
    assert rig.shown() == 10


def weather(fault: str) -> Weather:
    """Still air but for one fault, which always happens."""
    return replace(STILL, **{fault: 1.0})
