"""The case, from the first unit on the shelf to the judge's word."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from connectors.sandbox.city import City, open_city
from connectors.session.agents import running_agents
from connectors.session.double11 import plan
from connectors.session.double11.buyers import Persuaded, crowd_of_case
from connectors.session.double11.operator import Operator
from connectors.session.double11.plan import CaseClock, CaseSettings, clock_text
from connectors.session.double11.report import CaseReport, Sold
from connectors.session.double11.robots import told_robots, what_was_told
from connectors.session.double11.stage import MANAGER, lay_down, open_room
from connectors.session.double11.story import Records, story_of
from connectors.session.figures import RECENT, Figures
from connectors.session.judge import Judge
from connectors.session.live import Picture, See, ShopPicture, every_second
from connectors.session.merchant import Merchant, refusals
from connectors.session.playing import books_of, is_settled, pushed_of
from connectors.session.report import Buyers, Report
from connectors.session.rooms import OPENING_SECONDS_MAX, is_open, sku_of
from connectors.session.tasks import beside, within
from connectors.session.telling import line_of
from gateway.client import AlertEvent, AlertsClient, LiveClient
from gateway.v1 import alert_pb2

# When the crowd has gone, every order is paid or closed within so long.
PAYING_SECONDS = 5.0
SETTLING_SECONDS_MAX = 60.0
LISTENING_SECONDS_MAX = 10.0
PAGE_SIZE = 1_000

Tell = Callable[[str], None]


async def play_case(settings: CaseSettings, see: See, tell: Tell, picture_seconds: float = 1.0) -> CaseReport:
    """Play it; pictures go to `see`, what happens to `tell`, one line each. Raises `GatewayError`."""
    with refusals():
        return await _play(settings, see, tell, picture_seconds)


async def _play(settings: CaseSettings, see: See, tell: Tell, picture_seconds: float) -> CaseReport:
    figures = Figures()
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(open_city(settings.city))
        merchant = Merchant(settings.gateway)
        stack.push_async_callback(merchant.close)
        alerts = await stack.enter_async_context(AlertsClient(settings.gateway))
        live = await stack.enter_async_context(LiveClient(settings.gateway))
        await lay_down(merchant, alerts, city)
        hall = await stack.enter_async_context(told_robots(settings.gateway))
        await stack.enter_async_context(running_agents(settings.gateway, city, figures))
        await within(OPENING_SECONDS_MAX, partial(is_open, city, plan.UNITS + plan.UNITS_OF_SUBSTITUTE))
        sold, instead = (good.sku for good in city.goods)
        units = {sold: plan.UNITS + plan.UNITS_NEAR, instead: plan.UNITS_OF_SUBSTITUTE}
        judge = Judge(city.shops, sku_of(city), units)
        session = await open_room(live, city, settings)
        clock = CaseClock(session.open_time.ToDatetime(UTC), settings.speed)
        persuaded = Persuaded(city, settings.seed)
        operator = Operator(alerts, live, session, sold, settings, _hearing(clock, persuaded, instead, tell))
        look = partial(_look, city, merchant, figures, clock)
        async with beside(operator.run()), beside(every_second(look, see, picture_seconds)):
            await asyncio.wait_for(operator.is_listening.wait(), LISTENING_SECONDS_MAX)
            async with beside(_end(live, session, clock)):
                buyers = await _sell(city, settings, judge, persuaded)
            settled = await within(SETTLING_SECONDS_MAX, partial(is_settled, city, merchant))
        movements = (await merchant.movements(sold))[::-1]
        story = story_of(Records(await _log(alerts), movements, operator.said, sold), clock)
        verdict = judge.verdict()
        report = Report(
            seed=settings.seed,
            seconds=settings.seconds(plan.MINUTES),
            faults=settings.faults,
            naive=False,
            verdict=verdict,
            buyers=buyers,
            settled=settled,
            books=await books_of(merchant, list(units), verdict),
            pushed=pushed_of(figures),
        )
        return CaseReport(report, settings.speed, story, _sold(city), what_was_told(hall), tuple(operator.refused))


async def _sell(city: City, settings: CaseSettings, judge: Judge, persuaded: Persuaded) -> Buyers:
    crowd = crowd_of_case(city, settings)
    crowd.hears_refusals += [judge.refused, persuaded.refused]
    came_back = await crowd.play(settings.seconds(plan.MINUTES), PAYING_SECONDS)
    return Buyers(crowd.came, came_back, crowd.kept_pace)


async def _end(live: LiveClient, session: alert_pb2.Session, clock: CaseClock) -> None:
    """The session ends when it was to end; what was ordered is paid or given up after that."""
    await asyncio.sleep((plan.MINUTES - clock.minute(datetime.now(UTC))) * 60 / clock.speed)
    await live.close_session(session.session_id, actor=MANAGER)


def _hearing(clock: CaseClock, persuaded: Persuaded, substitute: str, tell: Tell) -> Callable[[AlertEvent], None]:
    """Tells what is heard, and has the host offer the substitute from when it is in the session."""

    def hears(event: AlertEvent) -> None:
        if line := line_of(event):
            tell(f"{clock_text(clock.minute(event.record_time.ToDatetime(UTC)))}  {line}")
        if event.HasField("session") and any(one.sku == substitute for one in event.session.skus):
            persuaded.is_offered = True

    return hears


async def _log(alerts: AlertsClient) -> list[alert_pb2.AlertEvent]:
    """The whole log, oldest first."""
    found: list[alert_pb2.AlertEvent] = []
    token = ""
    while True:
        page = await alerts.events(page_size=PAGE_SIZE, page_token=token, include_drills=True)
        found += page.events
        token = page.next_page_token
        if not token:
            return found[::-1]


async def _look(city: City, merchant: Merchant, figures: Figures, clock: CaseClock) -> Picture:
    """What the case is about: the shops and the stock of what everybody wants."""
    good = city.goods[0]
    exposure = Counter[str]()
    for number in await merchant.numbers():
        exposure[number.channel] += (number.exposure or 0) if number.sku == good.sku else 0
    shops = tuple(
        ShopPicture(
            name=name,
            shown=stall.shop.displays[good.keys[name]].shown,
            exposure=exposure[name],
            sold=_live_units(city, name, good.sku),
            refused=stall.shop.tally.refused,
            weather="away" if stall.faults.away else stall.weather,
        )
        for name, stall in city.stalls.items()
    )
    needs = tuple(f"{channel}: {need}" for channel, need in figures.needs.items())
    note = f"{clock_text(clock.minute(datetime.now(UTC)))}  {good.sku} {plan.TITLES[0]}"
    level = await merchant.level([good.sku])
    return Picture(shops, level, figures.sync_delays(RECENT), figures.intake_delays(RECENT), needs, (note,))


def _sold(city: City) -> dict[str, Sold]:
    """By SKU."""
    there = (plan.UNITS + plan.UNITS_NEAR, plan.UNITS_OF_SUBSTITUTE)
    return {
        good.sku: Sold(units, {name: _live_units(city, name, good.sku) for name in city.stalls})
        for good, units in zip(city.goods, there, strict=True)
    }


def _live_units(city: City, name: str, sku: str) -> int:
    """What a shop's buyers are owed of a SKU, or were given."""
    keys = {good.keys[name] for good in city.goods if good.sku == sku}
    return sum(line.quantity - line.refunded for line in city.shops[name].live_lines() if line.key in keys)
