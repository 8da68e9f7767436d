"""The fault matrix, through real parts: whatever dies, lies, is late or is lost, nothing is sold that is not there.

A gateway on a real PostgreSQL, agents, the three platforms over real HTTP. Each test plays some seconds of sales amid
one kind of fault, waits until everything is known, and asks the shops and the ledger (`Market.require_exact`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.base import BelowZeroRule
from connectors.sandbox.city import City
from connectors.sandbox.douyin import DouyinSandbox
from connectors.sandbox.faults import Weather
from connectors.sandbox.kuaishou import KuaishouSandbox
from connectors.sandbox.shop import Event, EventKind
from connectors.sandbox.taobao import TaobaoSandbox
from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as pb
from gateway.v1.stock_pb2 import SHORTFALL_CAUSE_SOLD_BEYOND
from tests.selling.market import Market, agents_here, ask, eventually, open_market, opened

SELLING_SECONDS = 4.0
MEETING_SECONDS_MAX = 40.0
STILL = Weather(latency_seconds=0.005, latency_spread_seconds=0.01, push_delay_seconds=0.02)


@asynccontextmanager
async def again_and_again(
    seconds: float, do: Callable[[int], None] | Callable[[int], Awaitable[None]]
) -> AsyncIterator[None]:
    """Do it every so many seconds, with its number, until the block ends."""

    async def go_on() -> None:
        number = 0
        while True:
            await asyncio.sleep(seconds)
            done = do(number)
            if done is not None:
                await done
            number += 1

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def set_weather(city: City, weather: Weather, *names: str) -> None:
    """The same at these platforms, or at all."""
    for name in names or tuple(city.stalls):
        city.stalls[name].faults.weather = weather


async def shift(market: Market, number: int) -> None:
    """The merchant gives most of everything to another channel: the others are lowered, then that one is raised."""
    names = list(market.city.stalls)
    for good in market.city.goods:
        policy = channel_pb2.StockPolicy(sku=good.sku, kind=channel_pb2.POLICY_KIND_WEIGHTED)
        for place, name in enumerate(names):
            policy.shares.add(channel=name, share=8 if place == number % len(names) else 1)
        with suppress(TimeoutError):
            await ask(market, market.merchant._catalog.SetPolicy, catalog_pb.SetPolicyRequest(policy=policy))


async def sell_until(market: Market, has_come: Callable[[], bool]) -> None:
    """Sell on until what is to be proved has been met: on a slow machine, or by chance, it takes longer."""
    end = asyncio.get_running_loop().time() + MEETING_SECONDS_MAX
    while not has_come() and asyncio.get_running_loop().time() < end:
        await market.sell(0.5, per_second=5)


async def played(market: Market, seconds: float = SELLING_SECONDS) -> None:
    """Sales, then quiet weather, until everything is known; then everything must be exact."""
    await market.sell(seconds)
    set_weather(market.city, STILL)
    await market.settled()
    await market.require_exact()


# ---- clocks


@pytest.mark.parametrize(
    ("skews", "margin_seconds"),
    [
        ({"taobao": 2.0, "douyin": -2.0, "kuaishou": 1.0}, 4.0),
        ({"taobao": 300.0, "douyin": -300.0, "kuaishou": 299.0}, 2.0),
    ],
    ids=["two seconds", "five minutes"],
)
async def test_the_clocks_of_the_platforms_are_wrong(
    address: str, seed: int, skews: dict[str, float], margin_seconds: float
) -> None:
    """By seconds, within the margin; and by minutes, which the platforms state themselves."""
    apart = {name: timedelta(seconds=seconds) for name, seconds in skews.items()}
    async with open_market(address, seed, skews=apart, clock_margin=timedelta(seconds=margin_seconds)) as market:
        set_weather(market.city, STILL)
        async with agents_here(market, address):
            await opened(market)
            async with again_and_again(2.0, lambda number: shift(market, number)):
                await market.sell(SELLING_SECONDS)
            await played(market, 1.0)


# ---- races


@pytest.mark.parametrize("rule", list(BelowZeroRule))
async def test_buyers_come_in_the_instant_of_a_lowering(address: str, seed: int, rule: BelowZeroRule) -> None:
    """Everything is moved from channel to channel during sales, and whenever a number falls somebody orders at once.

    Douyin refuses a lowering by more than it shows, or takes what is there and says so: nobody has documented which.
    """
    async with open_market(address, seed, weather="calm") as market:
        douyin = market.city.stalls["douyin"].sandbox
        assert isinstance(douyin, DouyinSandbox)
        douyin.stocks.settings = replace(douyin.settings, below_zero=rule)
        bought = []
        is_open = True
        for name, shop in market.city.shops.items():

            def snatch(event: Event, name: str = name) -> None:
                if is_open and event.kind is EventKind.STOCK_CHANGED and event.change < 0:
                    bought.append(market.buy(name))

            shop.heard.append(snatch)
        async with agents_here(market, address):
            await opened(market)
            async with again_and_again(1.0, lambda number: shift(market, number)):
                await market.sell(SELLING_SECONDS, per_second=5)
                await sell_until(market, lambda: bool(bought))
            is_open = False
            await played(market, 0.5)
        assert bought, "no number ever fell: this would prove nothing"


async def test_subtractions_whose_answers_are_lost(address: str, seed: int) -> None:
    """At Kuaishou, which knows no change again: each is found out by a reading, and nothing is taken for granted."""
    async with open_market(address, seed) as market:
        set_weather(market.city, STILL)
        async with agents_here(market, address):
            await opened(market)
            set_weather(market.city, replace(STILL, lose_answer=0.5), "kuaishou")
            async with again_and_again(1.5, lambda number: shift(market, number)):
                await market.sell(SELLING_SECONDS, per_second=5)
                await sell_until(market, lambda: bool(market.figures.results["UNKNOWN"]))
            await played(market, 0.5)
        assert market.figures.results["UNKNOWN"], "no answer was lost: this would prove nothing"


async def test_one_listing_of_a_batch_is_gone(address: str, seed: int) -> None:
    """At Douyin, where lowerings go together: the others' are done and booked, and a person is told of the one."""
    async with open_market(address, seed, units=90, skus=3) as market:
        set_weather(market.city, STILL)
        async with agents_here(market, address):
            await opened(market)
            gone = market.good(1).keys["douyin"]
            market.shop("douyin").displays[gone].deleted = True
            async with again_and_again(1.5, lambda number: shift(market, number)):
                await market.sell(SELLING_SECONDS)
            await market.settled()
            await market.require_exact()
            listings = (await ask(market, market.merchant._selling.ListListings, pb.ListListingsRequest())).listings
            parked = {(one.channel, one.item_id) for one in listings if one.parked_reason}
            assert parked == {("douyin", gone.item_id)}
            others = {good.keys["douyin"] for good in market.city.goods} - {gone}
            assert others & {order.lines[0].key for order in market.shop("douyin").orders.values()}


# ---- platforms


async def test_a_platform_is_away_for_a_while(address: str, seed: int) -> None:
    """It comes back and everything is known; meanwhile the others sell, and get what comes in."""
    async with open_market(address, seed, units=30) as market:
        set_weather(market.city, STILL)
        async with agents_here(market, address):
            await opened(market)
            market.city.stalls["douyin"].go_away(8)
            before = market.display("taobao") + market.display("kuaishou")
            await market.receive(0, 60)

            async def others_have_more() -> bool:
                return market.display("taobao") + market.display("kuaishou") > before

            await eventually(others_have_more, 8)
            assert market.city.stalls["douyin"].faults.away, "it was back before anybody had more"
            await market.sell(SELLING_SECONDS)
            market.city.stalls["douyin"].go_away(0)
            await played(market, 0.5)


async def test_the_platforms_ban_calls(address: str, seed: int) -> None:
    """Four calls a second at each, and a ban of a second for whoever makes more, while everybody buys."""
    async with open_market(address, seed) as market:
        set_weather(market.city, STILL)
        async with agents_here(market, address):
            await opened(market)
            set_weather(market.city, replace(STILL, calls_per_second_max=4.0, ban_seconds=1.0))
            async with again_and_again(2.0, lambda number: shift(market, number)):
                await market.sell(SELLING_SECONDS)
            await played(market, 0.5)


async def test_tokens_end_amid_sales(address: str, seed: int) -> None:
    """Every second and a half all access tokens die; the agents renew them, and nobody has to help."""
    async with open_market(address, seed) as market:
        set_weather(market.city, STILL)

        def end_access(number: int) -> None:
            del number
            for stall in market.city.stalls.values():
                match stall.sandbox:
                    case TaobaoSandbox(grants=grants):
                        grants.revoke_all()
                    case DouyinSandbox(grants=grants):
                        grants.expire()
                    case KuaishouSandbox(grants=grants):
                        grants.expire_access()

        async with agents_here(market, address):
            await opened(market)
            end_access(0)
            async with again_and_again(2.0, lambda number: shift(market, number)):
                await market.sell(SELLING_SECONDS)
            await played(market, 0.5)
        assert not market.figures.needs


# ---- pushes


@pytest.mark.parametrize(
    "pushes",
    [
        {"push_lose": 1.0},
        {"push_repeat": 1.0, "push_delay_seconds": 1.5, "push_lose": 0.2},
    ],
    ids=["lost", "doubled and overtaken"],
)
async def test_pushes_are_hints_and_nothing_more(address: str, seed: int, pushes: dict[str, float]) -> None:
    """Lost altogether, doubled, in another order: each order is taken in once, as it is."""
    async with open_market(address, seed) as market:
        set_weather(market.city, replace(STILL, **pushes))
        async with agents_here(market, address):
            await opened(market)
            await market.sell(SELLING_SECONDS)
            # The weather stays: it must end well without a single push that comes as it should.
            await market.settled()
            await market.require_exact()


async def test_forged_pushes_are_counted_and_bring_nothing(
    address: str, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Pushes of strangers about orders that are not there: each is logged with its number, and sales go on."""
    async with open_market(address, seed) as market:
        set_weather(market.city, STILL)
        douyin, kuaishou = (market.city.stalls[name].sandbox for name in ("douyin", "kuaishou"))
        assert isinstance(douyin, DouyinSandbox)
        assert isinstance(kuaishou, KuaishouSandbox)
        async with agents_here(market, address):
            await opened(market)
            for number in range(20):
                assert not await douyin.pushes.forge(f"20000000000000000{number:02}")
                kuaishou.pushes.forge(2_000_000_000_000_000_000 + number)
            await played(market, 2.0)
        counts = {
            name: max((vars(r)["count"] for r in caplog.records if _is_forged(vars(r), name)), default=0)
            for name in ("douyin", "kuaishou")
        }
        assert counts == {"douyin": 20, "kuaishou": 20}


def _is_forged(record: dict[str, object], channel: str) -> bool:
    return record["msg"] == "forged push" and record["channel"] == channel


# ---- people


async def test_somebody_types_numbers_into_a_console(address: str, seed: int) -> None:
    """What was put up for sale by hand is the hand's: counted apart, told as drift and as units sold beyond."""
    async with open_market(address, seed, units=30) as market:
        set_weather(market.city, STILL)
        async with agents_here(market, address):
            await opened(market)
            key = market.good().keys["taobao"]
            taobao = market.shop("taobao")
            taobao.edit_by_hand(key, taobao.displays[key].shown + 15)
            # All of it is sold before anybody looks.
            while market.buy("taobao"):
                pass
            for name in ("douyin", "kuaishou"):
                while market.buy(name):
                    pass

            async def all_told() -> bool:
                return await market.merchant.shortfall_units() == 15

            await market.settled()
            await eventually(all_told, 20, market._describe)
            await market.require_exact(shortfall_units=15)
            assert market.judge.verdict().oversold == market.hand_edited == 15
            found = await ask(market, market.merchant._selling.ListShortfalls, pb.ListShortfallsRequest())
            assert {one.cause for one in found.shortfalls} == {SHORTFALL_CAUSE_SOLD_BEYOND}


async def test_a_hand_edit_that_is_read_before_it_is_sold_is_drift(address: str, seed: int) -> None:
    """It is listed with both numbers, and taken back as far as it has not been sold."""
    async with open_market(address, seed, units=30) as market:
        set_weather(market.city, STILL)
        async with agents_here(market, address):
            await opened(market)
            key = market.good().keys["kuaishou"]
            kuaishou = market.shop("kuaishou")
            before = kuaishou.displays[key].shown
            kuaishou.edit_by_hand(key, before + 20)

            async def is_back() -> bool:
                return market.shown <= 30

            await eventually(is_back, 30, market._describe)
            drifts = (await ask(market, market.merchant._selling.ListDrift, pb.ListDriftRequest())).drifts
            assert [(one.channel, one.shown, one.exposure_before) for one in drifts] == [
                ("kuaishou", before + 20, before)
            ]
            market.buy("kuaishou")
            await market.sell(1.0)
            await market.settled()
            await market.require_exact()
