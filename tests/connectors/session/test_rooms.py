"""What a session and an open-ended rehearsal have in common."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import PushReport, PushResult, Vitals
from connectors.sandbox.city import PLATFORMS, City, CitySettings, goods_of, open_city
from connectors.session.figures import Figures
from connectors.session.merchant import ListedNumber
from connectors.session.rooms import (
    RoomSettings,
    crowd_of,
    is_open,
    shop_pictures,
    shown_in,
    sku_of,
    units_by_sku,
)
from connectors.session.tasks import beside, within

ROOM = RoomSettings(
    seed=3, faults="none", skus=2, units_wanted_per_second=10.0, speed=1.0, payment_limit=timedelta(minutes=1)
)


@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("units", [0, 1, 7, 1_000])
def test_every_unit_is_divided_and_none_twice(count: int, units: int) -> None:
    """The sum is what there is, and nothing is below zero; what is liked best gets most."""
    divided = units_by_sku(goods_of(count), units)
    assert sum(divided.values()) == units
    assert min(divided.values()) >= 0
    assert max(divided.values()) == divided[goods_of(count)[0].sku]


async def test_the_crowd_wants_as_much_as_was_said() -> None:
    """The platforms' shares are the seed's choice, their sum is not."""
    async with open_city(ROOM.city) as city:
        rates = {name: visitors.rate for name, visitors in crowd_of(city, ROOM).visitors.items()}
        again = {name: visitors.rate for name, visitors in crowd_of(city, ROOM).visitors.items()}
    assert sum(rates.values()) * 1.25 == pytest.approx(10.0)
    assert rates == again
    assert set(rates) == set(PLATFORMS)


async def test_a_city_is_open_when_nearly_all_is_on_the_shelves() -> None:
    """Nine of ten units are enough; and the picture shows what is shown, and what is believed."""
    async with open_city(CitySettings(weather="none", skus=1, shown=30)) as city:
        assert await is_open(city, 100)
        assert not await is_open(city, 101)
        numbers = [ListedNumber("douyin", 31, False, ""), ListedNumber("taobao", None, True, "")]
        pictures = {picture.name: picture for picture in shop_pictures(city, shown_in(city), numbers)}
        assert [(pictures[name].shown, pictures[name].exposure) for name in ("douyin", "taobao")] == [(30, 31), (30, 0)]
        assert set(sku_of(city).values()) == {good.sku for good in city.goods}
        assert _unpictured(city) == {None}


def _unpictured(city: City) -> set[int | None]:
    return {picture.exposure for picture in shop_pictures(city, shown_in(city))}


def test_a_report_that_is_repeated_is_counted_once() -> None:
    """Delays are those of pushes that were applied; calls are those of all connectors together."""
    figures = Figures()
    applied = PushReport(1, 7, PushResult.APPLIED, 5, attempts=2, duration=timedelta(seconds=0.2))
    for report in (applied, applied, PushReport(1, 8, PushResult.UNKNOWN, attempts=1, duration=timedelta(seconds=9))):
        figures.report(report)
    assert (dict(figures.results), figures.attempts) == ({"APPLIED": 1, "UNKNOWN": 1}, 3)
    assert figures.sync_delays().longest == 0.2
    figures.heard("taobao", Vitals("a", calls=10, retries=1))
    figures.heard("taobao", Vitals("a", calls=12, retries=2, needs="a person"))
    figures.heard("douyin", Vitals("b", calls=5))
    assert (figures.calls, figures.retries, figures.needs) == (17, 2, {"taobao": "a person"})


def test_an_order_is_known_once_for_each_of_its_changes() -> None:
    """Only the first word on a change counts; a later change is another."""
    figures, changed = Figures(), datetime.now(UTC) - timedelta(seconds=5)
    figures.known("taobao", "1", changed)
    figures.known("taobao", "1", changed)
    assert figures.intake_delays().p50 == pytest.approx(5, abs=1)
    figures.known("taobao", "1", changed + timedelta(seconds=4))
    assert figures.intake_delays().p50 == pytest.approx(1, abs=1)


async def test_what_fails_beside_ends_what_it_was_beside() -> None:
    """A session does not go on without its agents."""

    async def fails() -> None:
        raise OSError("gone")

    with pytest.raises(ExceptionGroup, match="TaskGroup"):
        async with beside(fails()):
            await asyncio.get_running_loop().create_future()


async def test_what_runs_beside_is_told_to_stop_and_given_time() -> None:
    """With an event it ends by itself, and is not cut off."""
    stopping, ended_in_order = asyncio.Event(), asyncio.Event()

    async def goes_on() -> None:
        await stopping.wait()
        await asyncio.sleep(0)
        ended_in_order.set()

    async with beside(goes_on(), stopping):
        pass
    assert ended_in_order.is_set()


async def test_waiting_ends_when_it_is_so_or_when_time_is_up() -> None:
    """True if it came to be so."""
    looks = iter([False, False, True])

    async def is_so() -> bool:
        return next(looks)

    async def never() -> bool:
        return False

    assert await within(10, is_so)
    assert not await within(0.0, never)
