"""A session as a live room of the gateway's: it is opened, its warnings are told as they come, and it is closed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from connectors.sandbox.city import City
from connectors.session.merchant import refusals
from connectors.session.tasks import beside
from connectors.session.telling import line_of
from gateway.client import AlertEvent, AlertsClient, LiveClient, Start

ROOM, ACTOR = "彩排直播间", "stockgate up"


@asynccontextmanager
async def on_air(gateway: str, city: City, duration: timedelta, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """A live session with all goods of the city on all its channels; `tell` gets a line for each warning.

    Raises `GatewayError`.
    """
    async with AlertsClient(gateway) as alerts, LiveClient(gateway) as live:
        with refusals():
            session = await live.open_session(
                ROOM,
                channels=list(city.stalls),
                skus={good.sku: 0 for good in city.goods},
                planned_end_time=datetime.now(UTC) + duration,
                actor=ACTOR,
            )
        async with beside(_listen(alerts, tell)):
            yield
        with refusals():
            await live.close_session(session.session_id, actor=ACTOR)


async def _listen(alerts: AlertsClient, tell: Callable[[str], None]) -> None:
    async for item in alerts.watch(start=Start.LIVE):
        if isinstance(item, AlertEvent) and not item.drill_id and (line := line_of(item)):
            at = item.record_time.ToDatetime(UTC).astimezone()
            tell(f"{at:%H:%M:%S}  {line}")
