"""The agents of all three channels, in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connectors.agent import run_agents
from connectors.gateway_client import GatewayAddress
from connectors.inbox import Inbox
from connectors.sandbox.city import City
from connectors.session.figures import Figures, WatchedGateway
from connectors.session.tasks import beside
from connectors.settings import AgentSettings
from connectors.transport import TransportLimits

# A rehearsal is short: what waits for minutes at a real platform waits for seconds here.
SETTINGS = AgentSettings(
    limits=TransportLimits(calls_per_second=50.0, deadline_seconds=2.0, breaker_seconds=1.0),
    poll_seconds=0.5,
    round_seconds=20.0,
    heartbeat_seconds=1.0,
    channels_seconds=1.0,
    fruitless_seconds_max=2.0,
    backoff_seconds_max=2.0,
)


@asynccontextmanager
async def running_agents(
    gateway: str, city: City, figures: Figures, settings: AgentSettings = SETTINGS
) -> AsyncIterator[None]:
    """An agent for each platform of the city; what they report is counted in `figures`."""
    client = WatchedGateway(GatewayAddress(gateway), figures, city.shops)
    inbox, stopping = Inbox(), asyncio.Event()
    try:
        async with inbox.serving("127.0.0.1", 0) as door:
            for name, stall in city.stalls.items():
                stall.push_url = f"http://{door}/inbox/{name}"
            async with beside(run_agents(client, _everybody, stopping, settings, inbox=inbox), stopping):
                yield
    finally:
        await client.close()


def _everybody(_: object) -> bool:
    return True
