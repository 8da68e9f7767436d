"""What every platform promises the agent (`connectors.base.Platform`): the shelf, and the seller's tokens."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from connectors.base import Applied, BelowZeroRule, Change, ListingKey, Shelf, Tokens
from connectors.errors import AuthExpired, BelowZero, ConnectorError, Rejected
from tests.connectors.contract.storefront import (
    BLUE,
    CUP,
    GONE,
    RED,
    SHOWN,
    STILL,
    STRANGE,
    Stage,
    Storefront,
    Variant,
    change,
    open_storefront,
)

CLAMPING = [Variant("douyin", clamps=True), Variant("kuaishou", clamps=True)]


@pytest_asyncio.fixture(loop_scope="session", params=CLAMPING, ids=lambda variant: variant.platform)
async def clamping(
    request: pytest.FixtureRequest, stage: Stage, client: httpx.AsyncClient
) -> AsyncIterator[Storefront]:
    """A shop whose platform stops a lowering at zero."""
    async with open_storefront(request.param, stage, client) as one:
        yield one


# ---- changes


@pytest.mark.parametrize("units", [1, 5, 1000])
async def test_a_raise_shows_more_and_says_how_much(front: Storefront, units: int) -> None:
    """What is booked is what was applied; what else it says of the shelf is true."""
    applied = await front.platform.change(change(units))
    assert applied.units == units
    assert front.shown() == SHOWN + units
    assert applied.shown in {None, front.shown()}


@pytest.mark.parametrize("units", [1, 4, SHOWN])
async def test_a_lowering_takes_and_says_how_much(front: Storefront, units: int) -> None:
    """The same downwards, to zero at most."""
    applied = await front.platform.change(change(-units))
    assert applied.units == -units
    assert front.shown() == SHOWN - units
    assert applied.shown in {None, front.shown()}


async def test_a_change_touches_no_other_listing(front: Storefront) -> None:
    """Neither its item's other SKU nor another item."""
    await front.platform.change(change(3, key=RED))
    assert (front.shown(RED), front.shown(BLUE), front.shown(CUP)) == (SHOWN + 3, SHOWN, SHOWN)


async def test_a_change_by_nothing_is_nothing(front: Storefront) -> None:
    """It is answered as applied, and the shelf is as it was."""
    assert (await front.platform.change(change(0))).units == 0
    assert front.shown() == SHOWN


@pytest.mark.parametrize("units", [SHOWN + 1, 5000])
async def test_a_lowering_below_zero_is_refused_whole(front: Storefront, units: int) -> None:
    """Where the platform refuses, nothing is applied, and it can be told from every other refusal."""
    assert front.platform.capabilities.below_zero is BelowZeroRule.REFUSES
    assert isinstance(await front.failure(front.platform.change(change(-units))), BelowZero)
    assert front.shown() == SHOWN


async def test_a_lowering_that_clamps_is_booked_as_what_it_took(clamping: Storefront) -> None:
    """Nothing is left, and the answer is ten, not twelve: two units too many would be sold twice."""
    applied = await clamping.platform.change(change(-SHOWN - 2))
    assert applied.units == -SHOWN
    assert clamping.shown() == 0


async def test_a_lowering_of_nothing_shown_takes_nothing(clamping: Storefront) -> None:
    """A clamp at zero from zero is booked as none."""
    clamping.shop.show(CUP, 0)
    assert (await clamping.platform.change(change(-3))).units == 0


async def test_a_change_sent_again_counts_as_the_capabilities_say(front: Storefront) -> None:
    """Where it is one change, it is applied once and booked once; elsewhere it is another."""
    first = await front.platform.change(change(4))
    again = await front.platform.change(change(4))
    times = 1 if front.platform.capabilities.idempotent else 2
    assert front.shown() == SHOWN + 4 * times
    assert (first.units, again.units) == (4, 4)


async def test_a_lowering_sent_again_never_books_more_than_it_took(front: Storefront) -> None:
    """A repeat may say that it does not know; it must not say that it took what it did not."""
    first = await front.platform.change(change(-4))
    again = await front.platform.change(change(-4))
    if not front.platform.capabilities.idempotent:
        assert (front.shown(), first.units, again.units) == (SHOWN - 8, -4, -4)
        return
    assert front.shown() == SHOWN - 4
    assert first.units == -4
    assert again.units in {None, -4}
    assert again.units is not None or again.shown == SHOWN - 4


async def test_changes_with_other_ids_are_other_changes(front: Storefront) -> None:
    """Two raises by as much are two raises."""
    for number in ("1", "2", "1-1"):
        await front.platform.change(change(2, number))
    assert front.shown() == SHOWN + 6


@pytest.mark.parametrize("key", [STRANGE, GONE, ListingKey(CUP.item_id, "1760000000000077")])
@pytest.mark.parametrize("units", [3, -3])
async def test_a_change_of_what_is_not_sold_is_rejected(front: Storefront, key: ListingKey, units: int) -> None:
    """An unknown item, a deleted one, an unknown SKU: a person must look, and another try would not help."""
    if key == GONE:
        # A platform whose deleted items vanish altogether.
        del front.shop.displays[GONE]
    error = await front.failure(front.platform.change(Change(key, units, "77")))
    assert isinstance(error, Rejected)
    assert not isinstance(error, BelowZero)


async def test_many_changes_have_one_result_each_in_their_order(front: Storefront) -> None:
    """Up and down, of one item and of two: what each result books is what its shelf has moved by."""
    size = front.platform.capabilities.changes_at_once
    wanted = [change(5, "1", RED), change(-2, "2", CUP), change(7, "3", BLUE)][: max(3, size)]
    results = await front.platform.change_many(wanted)
    assert [result.units for result in results if isinstance(result, Applied)] == [5, -2, 7]
    assert [front.shown(one.key) - SHOWN for one in wanted] == [5, -2, 7]


async def test_one_bad_change_among_many_spoils_no_other(front: Storefront) -> None:
    """Its error is its own result; none is raised, and what the others book is what happened to them."""
    alien = ListingKey(RED.item_id, "1760000000000077")
    wanted = [change(5, "1", RED), change(1, "2", alien), change(-SHOWN - 5, "3", CUP), change(-1, "4", BLUE)]
    results = await front.platform.change_many(wanted)
    assert len(results) == len(wanted)
    assert isinstance(results[1], ConnectorError)
    assert isinstance(results[2], BelowZero)
    for one, result in zip(wanted, results, strict=True):
        moved = front.shown(one.key) - SHOWN if one.key != alien else 0
        if isinstance(result, Applied):
            assert result.units == moved
        else:
            front.require_discreet(result)
    assert results[3] == Applied(-1, results[3].shown if isinstance(results[3], Applied) else None)
    assert front.shown(CUP) == SHOWN


async def test_no_changes_are_no_calls(front: Storefront) -> None:
    """An empty list is an empty list."""
    assert await front.platform.change_many([]) == []
    assert front.transport.calls == 0


async def test_a_lowering_and_a_sale_in_one_instant_take_each_unit_once(front: Storefront) -> None:
    """Units that a buyer took while the call was on its way are not taken again."""
    front.faults.weather = replace(STILL, latency_seconds=0.02)
    lowering = asyncio.create_task(front.platform.change(change(-6)))
    await asyncio.sleep(0)
    front.shop.place({CUP: 3})
    applied = await lowering
    assert applied.units == -6
    assert front.shown() == SHOWN - 9
    front.shop.place({CUP: 1})
    assert isinstance(await front.failure(front.platform.change(change(-1, "78"))), BelowZero)


async def test_a_number_is_set_where_the_platform_can(front: Storefront) -> None:
    """Twice the same is the same; elsewhere it is rejected, and no call is made."""
    if not front.platform.capabilities.sets_absolute:
        assert isinstance(await front.failure(front.platform.set_shown(CUP, 3)), Rejected)
        assert front.transport.calls == 0
        return
    for units in (3, 3, 0, 50):
        await front.platform.set_shown(CUP, units)
        assert front.shown() == units
    assert (front.shown(RED), front.shown(BLUE)) == (SHOWN, SHOWN)


# ---- readings


async def test_what_listings_show_is_read(front: Storefront) -> None:
    """Many at once: each as it is; what is unknown or gone is rejected, and spoils no other."""
    front.shop.show(RED, 0)
    front.shop.show(BLUE, 123_456)
    shelves = await front.platform.read([RED, STRANGE, BLUE, GONE, CUP])
    assert set(shelves) == {RED, STRANGE, BLUE, GONE, CUP}
    assert (shelves[RED], shelves[BLUE], shelves[CUP]) == (Shelf(RED, 0), Shelf(BLUE, 123_456), Shelf(CUP, SHOWN))
    assert isinstance(shelves[STRANGE], Rejected)
    assert isinstance(shelves[GONE], Rejected)


async def test_no_listings_are_no_readings(front: Storefront) -> None:
    """An empty list is an empty answer."""
    assert await front.platform.read([]) == {}


async def test_as_many_listings_as_may_be_are_read_at_once(front: Storefront) -> None:
    """`reads_at_once` of them, of different items; the same key twice is one."""
    keys = [ListingKey(str(3_550_000_000_000_000_000 + n), str(1_770_000_000_000_000 + n)) for n in range(60)]
    for place, key in enumerate(keys):
        front.shop.put_on_sale(key, shown=place)
    chosen = keys[: front.platform.capabilities.reads_at_once]
    shelves = await front.platform.read([*chosen, chosen[0]])
    assert shelves == {key: Shelf(key, place) for place, key in enumerate(chosen)}


async def test_a_sale_lowers_what_is_read_and_a_close_raises_it(front: Storefront) -> None:
    """The shelf is the platform's own, not what we have written."""
    order = front.shop.place({CUP: 4})
    assert (await front.platform.read([CUP]))[CUP] == Shelf(CUP, SHOWN - 4)
    front.shop.close(order.order_id)
    assert (await front.platform.read([CUP]))[CUP] == Shelf(CUP, SHOWN)


# ---- tokens and clocks


async def test_a_refresh_rotates_the_tokens(front: Storefront) -> None:
    """Others come, and work from the moment they are used."""
    old = front.stall.tokens
    new = await front.platform.refresh(old)
    front.secrets |= {new.access_token, new.refresh_token}
    assert (new.access_token, new.refresh_token) != (old.access_token, old.refresh_token)
    assert new.access_token != old.access_token
    assert new.expire_time is None or new.expire_time > front.clock()
    front.platform.use(new)
    assert (await front.platform.change(change(1))).units == 1


async def test_access_that_has_ended_does_nothing_and_says_so(front: Storefront) -> None:
    """Whatever is called: `AuthExpired`. With what the refresh token brings, all goes on."""
    front.end_access()
    now = front.clock()
    for call in (
        front.platform.change(change(1)),
        front.platform.change(change(-1)),
        front.platform.order("2000000000000000001"),
        front.seen(now, now),
    ):
        assert isinstance(await front.failure(call), AuthExpired)
    [result] = await front.platform.change_many([change(1)])
    assert isinstance(result, AuthExpired)
    assert isinstance(await _reading(front), AuthExpired)
    front.platform.use(await front.platform.refresh(front.stall.tokens))
    assert (await front.platform.change(change(1))).units == 1
    assert front.shown() == SHOWN + 1


@pytest.mark.parametrize("refresh_token", ["", "stolen-or-ended", "x" * 4000, "令牌"])
async def test_a_refresh_token_that_is_not_good_ends_it(front: Storefront, refresh_token: str) -> None:
    """A person must authorise the app anew, and nothing less."""
    error = await front.failure(front.platform.refresh(Tokens("gone", refresh_token)))
    assert isinstance(error, AuthExpired)


async def test_a_refresh_whose_answer_was_lost_can_be_repeated(front: Storefront) -> None:
    """The platform has rotated and nobody knows the new tokens: asking again with the old ones must still help."""
    front.lose_patience()
    front.faults.weather = replace(STILL, lose_answer=1.0)
    await front.failure(front.platform.refresh(front.stall.tokens))
    front.faults.weather = STILL
    front.platform.use(await front.platform.refresh(front.stall.tokens))
    assert (await front.platform.change(change(1))).units == 1


async def test_a_machine_whose_clock_is_wrong_is_not_turned_away(front: Storefront) -> None:
    """By an hour or two: the first answer states the platform's time, and the call is repeated with it."""
    for hours in (1, -2):
        front.clock.pass_by(hours=hours)
        assert (await front.another().change(change(1, f"{hours}"))).units == 1
        assert (await front.another().read([CUP]))[CUP] == Shelf(CUP, front.shown())
    assert front.shown() == SHOWN + 2


async def _reading(front: Storefront) -> Shelf | ConnectorError:
    """What is read of the cup; an error may be raised, or stand in its place."""
    try:
        return (await front.platform.read([CUP]))[CUP]
    except ConnectorError as error:
        front.require_discreet(error)
        return error
