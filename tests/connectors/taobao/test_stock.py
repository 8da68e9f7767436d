"""Moving, setting and reading: what the connector books is what the platform really did."""

import asyncio
from dataclasses import replace

import pytest

from connectors.base import Applied, BelowZeroRule, Change, ListingKey, Shelf
from connectors.errors import AuthExpired, BelowZero, ConnectorError, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.sandbox import faults as sandbox_faults
from connectors.sandbox.shop import ShopFacts, TakesOn
from connectors.sandbox.taobao import Refusal, Settings
from connectors.taobao import SignMethod
from tests.connectors.taobao.stand import CUP, HASTY, MUG_BLUE, MUG_RED, SHOWN, STILL, Stand, a_stand, until

MOVE, MOVE_MANY = "taobao.item.quantity.update", "taobao.skus.quantity.update"
UNKNOWN_ITEM = ListingKey("404", "")
UNKNOWN_SKU = ListingKey(MUG_RED.item_id, "404")


@pytest.mark.parametrize("method", list(SignMethod))
async def test_every_signature_is_accepted(stand: Stand, method: SignMethod) -> None:
    """A call that is signed by any of the three methods is served."""
    platform = stand.another(replace(stand.credentials, sign_method=method))
    assert await platform.change(Change(MUG_RED, 1, "a")) == Applied(1, SHOWN + 1)


@pytest.mark.parametrize("key", [MUG_RED, CUP])
@pytest.mark.parametrize("units", [5, -5, -SHOWN])
async def test_a_change_moves_one_listing(stand: Stand, key: ListingKey, units: int) -> None:
    """By so many units, down to zero; the answer tells what is shown then. No other listing moves."""
    assert await stand.platform.change(Change(key, units, "a")) == Applied(units, SHOWN + units)
    assert stand.shown(key) == SHOWN + units
    assert stand.shown(MUG_BLUE) == SHOWN


@pytest.mark.parametrize("key", [MUG_RED, CUP])
async def test_a_change_below_zero_is_refused(stand: Stand, key: ListingKey) -> None:
    """Nothing is applied, and it says so, as the capabilities promise."""
    assert stand.platform.capabilities.below_zero is BelowZeroRule.REFUSES
    with pytest.raises(BelowZero):
        await stand.platform.change(Change(key, -SHOWN - 1, "a"))
    assert stand.shown(key) == SHOWN


async def test_a_change_of_nothing_is_no_call(stand: Stand) -> None:
    assert await stand.platform.change(Change(MUG_RED, 0, "a")) == Applied(0)
    assert stand.transport.calls == 0


async def test_a_change_is_not_known_again(stand: Stand) -> None:
    """The platform has no idempotency: the same change twice is two changes."""
    assert not stand.platform.capabilities.idempotent
    change = Change(MUG_RED, 2, "same")
    await stand.platform.change(change)
    assert await stand.platform.change(change) == Applied(2, SHOWN + 4)


@pytest.mark.parametrize("key", [UNKNOWN_ITEM, UNKNOWN_SKU, ListingKey(MUG_RED.item_id, "")])
@pytest.mark.parametrize("is_tmall", [False, True])
async def test_what_is_not_there_is_rejected(key: ListingKey, *, is_tmall: bool) -> None:
    """An unknown item, an unknown SKU, and an item by itself that has SKUs."""
    async with a_stand(settings=Settings(is_tmall=is_tmall)) as stand:
        with pytest.raises(Rejected) as caught:
            await stand.platform.change(Change(key, -1, "a"))
        assert not isinstance(caught.value, BelowZero)
        assert caught.value.code.startswith("isv.")
        with pytest.raises(Rejected):
            await stand.platform.set_shown(key, 5)


async def test_a_deleted_listing_is_rejected(stand: Stand) -> None:
    """By a write, and by a reading."""
    stand.shop.displays[CUP].deleted = stand.shop.displays[MUG_RED].deleted = True
    for key in (CUP, MUG_RED):
        with pytest.raises(Rejected):
            await stand.platform.change(Change(key, 1, "a"))
    shelves = await stand.platform.read([CUP, MUG_RED, MUG_BLUE])
    assert isinstance(shelves[CUP], Rejected)
    assert isinstance(shelves[MUG_RED], Rejected)
    assert shelves[MUG_BLUE] == Shelf(MUG_BLUE, SHOWN)


async def test_setting_is_absolute(stand: Stand) -> None:
    """The number is what was set, however often; how far it moved nobody says."""
    for key in (MUG_RED, CUP):
        assert await stand.platform.set_shown(key, 3) == Applied(None, 3)
        assert await stand.platform.set_shown(key, 0) == Applied(None, 0)
        assert stand.shown(key) == 0


async def test_setting_below_what_unpaid_orders_withhold_is_rejected() -> None:
    """Where units are taken on payment, an unpaid order withholds them; both numbers can be read."""
    async with a_stand(ShopFacts(takes_on=TakesOn.PAYMENT)) as stand:
        order = stand.shop.place({MUG_RED: 4, CUP: 2})
        with pytest.raises(Rejected, match="预扣库存"):
            await stand.platform.set_shown(MUG_RED, 3)
        assert await stand.platform.set_shown(MUG_RED, 4) == Applied(None, 4)
        shelves = await stand.platform.read([MUG_RED, CUP])
        assert shelves == {MUG_RED: Shelf(MUG_RED, 4, withheld=4), CUP: Shelf(CUP, SHOWN, withheld=2)}
        stand.shop.pay(order.order_id)
        assert await stand.platform.read([MUG_RED]) == {MUG_RED: Shelf(MUG_RED, 0)}


async def test_raises_of_one_item_are_one_call(stand: Stand) -> None:
    """Raises of SKUs go together; a lowering alone, for the list would clamp it and say success."""
    changes = [
        Change(MUG_RED, 1, "a"),
        Change(CUP, 2, "b"),
        Change(MUG_BLUE, 3, "c"),
        Change(MUG_RED, -SHOWN - 2, "d"),
    ]
    results = await stand.platform.change_many(changes)
    assert results[:3] == [Applied(1, SHOWN + 1), Applied(2, SHOWN + 2), Applied(3, SHOWN + 3)]
    assert isinstance(results[3], BelowZero)
    assert stand.sandbox.calls == {MOVE_MANY: 1, MOVE: 2}


async def test_a_lowering_never_goes_with_a_list(stand: Stand) -> None:
    """The list would stop at zero, and say success."""
    results = await stand.platform.change_many([Change(MUG_RED, 1, "a"), Change(MUG_BLUE, -SHOWN - 1, "b")])
    assert results[0] == Applied(1, SHOWN + 1)
    assert isinstance(results[1], BelowZero)
    assert stand.shown(MUG_BLUE) == SHOWN


async def test_a_list_is_never_longer_than_twenty() -> None:
    """Fifty raises of one item are three calls, and every one is booked."""
    async with a_stand() as stand:
        keys = [ListingKey(MUG_RED.item_id, str(number)) for number in range(1, 51)]
        for key in keys:
            stand.shop.put_on_sale(key)
        results = await stand.platform.change_many([Change(key, int(key.platform_sku_id), "a") for key in keys])
        assert results == [Applied(number, number) for number in range(1, 51)]
        assert stand.sandbox.calls == {MOVE_MANY: 3}


async def test_a_listing_that_is_named_twice_is_moved_twice(stand: Stand) -> None:
    """Also where both changes are raises."""
    await stand.platform.change_many([Change(MUG_RED, 1, "a"), Change(MUG_RED, 2, "b"), Change(MUG_BLUE, 1, "c")])
    assert (stand.shown(MUG_RED), stand.shown(MUG_BLUE)) == (SHOWN + 3, SHOWN + 1)
    # What a list does with a SKU that is in it twice, no document says.
    assert stand.sandbox.calls == {MOVE_MANY: 1, MOVE: 1}


async def test_a_refused_list_shows_its_guilty_listing_the_next_time(stand: Stand) -> None:
    """Nobody says whether a refused list was applied in part; so its outcome is unknown, and then they go singly."""
    changes = [Change(MUG_RED, 1, "a"), Change(UNKNOWN_SKU, 1, "b")]
    assert [type(result) for result in await stand.platform.change_many(changes)] == [OutcomeUnknown] * 2
    results = await stand.platform.change_many(changes)
    assert results[0] == Applied(1, SHOWN + 1)
    assert isinstance(results[1], Rejected)


async def test_one_refusal_does_not_spoil_the_others(stand: Stand) -> None:
    """One result each, in order, and nothing is raised."""
    stand.sandbox.inject(Refusal(40, msg="Missing required arguments"), method=MOVE_MANY)
    results = await stand.platform.change_many([Change(MUG_RED, 1, "a"), Change(MUG_BLUE, 1, "b"), Change(CUP, 1, "c")])
    assert [type(result) for result in results] == [Rejected, Rejected, Applied]
    assert await stand.platform.change_many([]) == []


async def test_reading_takes_one_call_for_forty_items(stand: Stand) -> None:
    """Whatever is not there is `Rejected` under its own key, and what is there is read."""
    keys = [ListingKey(str(number), "7") for number in range(1, 81)]
    shelves = await stand.platform.read([MUG_RED, *keys, CUP, UNKNOWN_ITEM])
    assert (shelves[MUG_RED], shelves[CUP]) == (Shelf(MUG_RED, SHOWN), Shelf(CUP, SHOWN))
    assert all(isinstance(shelves[key], Rejected) for key in [*keys, UNKNOWN_ITEM])
    assert stand.sandbox.calls == {"taobao.item.skus.get": 3, "taobao.item.seller.get": 2}
    assert await stand.platform.read([]) == {}


async def test_a_refused_list_of_items_is_read_one_by_one(stand: Stand) -> None:
    """One bad item hides no good one."""
    other = ListingKey("77", "78")
    stand.sandbox.inject(Refusal(15, "isv.item-get-service-error:ITEM_NOT_FOUND"))
    assert (await stand.platform.read([MUG_RED, other]))[MUG_RED] == Shelf(MUG_RED, SHOWN)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal(27, "invalid-sessionkey"), AuthExpired),
        (Refusal(7, "accesscontrol.limited-by-dynamic-access-count"), Throttled),
        (Refusal(11), Rejected),
    ],
)
async def test_a_reading_that_fails_says_so_of_every_key(
    stand: Stand, refusal: Refusal, kind: type[ConnectorError]
) -> None:
    stand.sandbox.inject(refusal, times=2)
    shelves = await stand.platform.read([MUG_RED, CUP])
    assert [type(shelf) for shelf in shelves.values()] == [kind, kind]


@pytest.mark.parametrize("is_applied", [False, True])
async def test_trouble_of_the_platform_leaves_a_change_unknown(stand: Stand, *, is_applied: bool) -> None:
    """`isp.` says nothing about whether the change was applied, and it is not sent again."""
    stand.sandbox.inject(Refusal(15, "isp.remote-service-timeout"), is_applied=is_applied)
    with pytest.raises(OutcomeUnknown):
        await stand.platform.change(Change(MUG_RED, 1, "a"))
    assert stand.sandbox.calls == {MOVE: 1}
    assert stand.shown(MUG_RED) == SHOWN + is_applied


@pytest.mark.parametrize("is_applied", [False, True])
async def test_trouble_of_the_platform_leaves_a_list_unknown(stand: Stand, *, is_applied: bool) -> None:
    stand.sandbox.inject(Refusal(10), is_applied=is_applied)
    results = await stand.platform.change_many([Change(MUG_RED, 1, "a"), Change(MUG_BLUE, 1, "b")])
    assert [type(result) for result in results] == [OutcomeUnknown] * 2
    assert stand.shown(MUG_RED) == SHOWN + is_applied


async def test_setting_is_tried_again(stand: Stand) -> None:
    """The same number once more does no harm."""
    stand.sandbox.inject(Refusal(15, "isp.unknown-error"), times=2, is_applied=True)
    assert await stand.platform.set_shown(MUG_RED, 0) == Applied(None, 0)
    assert stand.sandbox.calls == {MOVE: 3}


@pytest.mark.parametrize(
    ("weather", "is_applied"),
    [({"lose_request": 1.0}, False), ({"lose_answer": 1.0}, True), ({"apply_late": 1.0}, True)],
)
async def test_a_lost_answer_leaves_a_change_unknown(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, weather: dict[str, float], *, is_applied: bool
) -> None:
    """It is not sent again: afterwards it was applied once, or not at all."""
    monkeypatch.setattr(sandbox_faults, "HANG_SECONDS", 0.3)
    stand.faults.weather = replace(STILL, apply_late_seconds_max=0.3, **weather)
    with pytest.raises(OutcomeUnknown):
        await stand.another(limits=HASTY).change(Change(MUG_RED, -4, "a"))
    stand.faults.weather = STILL
    await until(lambda: not is_applied or stand.shown(MUG_RED) == SHOWN - 4)
    assert stand.shown(MUG_RED) == (SHOWN - 4 if is_applied else SHOWN)
    assert stand.sandbox.calls.get(MOVE, 0) == is_applied


async def test_a_lost_reading_is_transient(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """It changed nothing, so nothing is unknown."""
    monkeypatch.setattr(sandbox_faults, "HANG_SECONDS", 0.3)
    stand.faults.weather = replace(STILL, lose_answer=1.0)
    shelves = await stand.another(limits=replace(HASTY, tries_max=1)).read([MUG_RED, CUP])
    assert [type(shelf) for shelf in shelves.values()] == [Transient, Transient]


@pytest.mark.parametrize(("weather", "is_applied"), [({"error_before": 1.0}, False), ({"error_after": 1.0}, True)])
async def test_busy_words_leave_a_change_unknown(stand: Stand, weather: dict[str, float], *, is_applied: bool) -> None:
    stand.faults.weather = replace(STILL, **weather)
    with pytest.raises(OutcomeUnknown, match="服务正忙"):
        await stand.platform.change(Change(MUG_RED, 1, "a"))
    assert stand.shown(MUG_RED) == SHOWN + is_applied


async def test_a_broken_front_leaves_a_change_unknown(stand: Stand) -> None:
    """HTTP 502 or 503 and a page of HTML."""
    stand.faults.weather = replace(STILL, bad_gateway=1.0)
    with pytest.raises(OutcomeUnknown):
        await stand.platform.change(Change(MUG_RED, 1, "a"))
    stand.faults.weather, stand.faults.away = STILL, True
    with pytest.raises(OutcomeUnknown):
        await stand.platform.change(Change(MUG_RED, 1, "a"))


async def test_changes_at_the_same_time_are_all_booked(stand: Stand) -> None:
    """Each answer tells what its own change did; together they explain what is shown."""
    changes = [Change(MUG_RED, units, str(units)) for units in (3, -2, 5, -1, 4)]
    results = await asyncio.gather(*(stand.platform.change(change) for change in changes))
    assert sum(result.units or 0 for result in results) == stand.shown(MUG_RED) - SHOWN
