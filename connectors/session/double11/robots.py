"""The notifier of the case: it tells the robots' stand-ins, and here is counted what they were told."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connectors.gateway_client import GatewayAddress
from connectors.notify.schedule import Tempo
from connectors.notify.serve import notify
from connectors.notify.settings import SECRETS_PREFIX, NotifySettings, RobotSettings
from connectors.sandbox.robots import Hall
from connectors.sandbox.serving import serving
from connectors.session.tasks import beside

# Where people would answer; nothing is there in a rehearsal.
PAGE_URL = "https://stockgate.example/alerts"
# Messages of a case that is played fast cannot wait as long as those of a day.
TEMPO = Tempo(wait_seconds=0.5, interval_seconds=4.0)


@dataclass(frozen=True)
class Told:
    """What one robot was told: messages it took, and calls it refused; and the last words."""

    messages: int
    refused: int
    last: str


@asynccontextmanager
async def told_robots(gateway: str) -> AsyncIterator[Hall]:
    """The four robots, and a notifier that tells them what the gateway warns of."""
    hall, stopping = Hall(), asyncio.Event()
    async with serving(hall.app) as address:
        settings = NotifySettings(PAGE_URL, tuple(_robot(hall, name, address) for name in hall.desks))
        notifying = notify(settings, GatewayAddress(gateway), stopping, _secrets(hall), TEMPO)
        async with beside(notifying, stopping):
            yield hall


def what_was_told(hall: Hall) -> dict[str, Told]:
    """By robot."""
    return {
        name: Told(len(desk.kept), desk.refused, desk.kept[-1].text if desk.kept else "")
        for name, desk in hall.desks.items()
    }


def _robot(hall: Hall, name: str, address: str) -> RobotSettings:
    app_id = hall.credentials(name).get("app_id", "")
    return RobotSettings(name, name, base_url=f"http://{address}", app_id=app_id)


def _secrets(hall: Hall) -> Mapping[str, str]:
    """As a notifier reads them from its environment."""
    return {
        f"{SECRETS_PREFIX}{name.upper()}_{field.upper()}": value
        for name in hall.desks
        for field, value in hall.credentials(name).items()
        if field in {"token", "secret"}
    }
