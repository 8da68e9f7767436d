"""A rehearsal without end: buyers come and go, the agents keep the numbers, and somebody looks on and meddles."""

import asyncio
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console

from connectors.sandbox.city import City, open_city
from connectors.sandbox.control import control_app
from connectors.sandbox.serving import serving
from connectors.session.agents import running_agents
from connectors.session.figures import Figures
from connectors.session.live import every_second, showing, teller
from connectors.session.merchant import Merchant
from connectors.session.on_air import on_air
from connectors.session.rooms import OPENING_SECONDS_MAX, RoomSettings, crowd_of, is_open, picture_of, units_by_sku
from connectors.session.tasks import beside, within

# Over all platforms, without bursts: a stock of 500 lasts some minutes.
UNITS_PER_SECOND = 1.5
SPEED = 10.0
PAYMENT_LIMIT = timedelta(minutes=3)
# It ends when somebody has seen enough.
PLANNED = timedelta(hours=4)


@dataclass(frozen=True)
class RehearsalSettings:
    """What is to be rehearsed, on the gateway at this address."""

    gateway: str
    units: int
    skus: int
    seed: int
    faults: str

    @property
    def room(self) -> RoomSettings:
        """What is sold, and to how many."""
        return RoomSettings(self.seed, self.faults, self.skus, UNITS_PER_SECOND, SPEED, PAYMENT_LIMIT)


async def rehearse(settings: RehearsalSettings, terminal: Console) -> None:
    """Go on until cancelled."""
    figures = Figures()
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(open_city(settings.room.city))
        merchant = Merchant(settings.gateway)
        stack.push_async_callback(merchant.close)
        await merchant.set_up(city, units_by_sku(city.goods, settings.units), f"rehearsal-{uuid.uuid4().hex}")
        await stack.enter_async_context(running_agents(settings.gateway, city, figures))
        crowd = crowd_of(city, settings.room)
        control = await stack.enter_async_context(serving(control_app(city, crowd)))
        hints = hints_of(city, settings.gateway, control)
        if not terminal.is_terminal:
            terminal.print("\n".join(hints), markup=False, soft_wrap=True)
        see = stack.enter_context(showing(terminal, hints))
        await stack.enter_async_context(beside(every_second(lambda: picture_of(city, merchant, figures), see)))
        await within(OPENING_SECONDS_MAX, lambda: is_open(city, settings.units))
        await stack.enter_async_context(on_air(settings.gateway, city, PLANNED, teller(terminal)))
        await stack.enter_async_context(beside(crowd.run()))
        await asyncio.get_running_loop().create_future()


def hints_of(city: City, gateway: str, control: str) -> list[str]:
    """What to try next."""
    sku = city.goods[0].sku
    at = f"--address {gateway}"
    return [
        "",
        "In another terminal, try:",
        f"  stockgate {at} live list --open                        # the room's number, for the next",
        f"  stockgate {at} live hints NUMBER                       # what its host may say now",
        f"  stockgate {at} live proposals                          # what could be done; approve one",
        f"  stockgate {at} explain --sku {sku} --channel douyin",
        f"  stockgate {at} stock receive {sku} 200",
        f"  stockgate {at} alert show {sku}",
        f"  stockgate {at} drill start --script evening-peak       # a rehearsal that touches no stock",
        f"""  curl -s http://{control}/weather -d '{{"weather": "harsh"}}'""",
        f"""  curl -s http://{control}/shops/douyin/away -d '{{"seconds": 20}}'""",
        f"  curl -s http://{control}/shops",
        "Ctrl-C ends.",
    ]
