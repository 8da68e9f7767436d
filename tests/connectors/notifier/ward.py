"""A merchant whose stock falls, and who is told of it: the gateway, stand-in robots, notifiers to start and stop."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.gateway_client import GatewayAddress
from connectors.notify.schedule import Tempo
from connectors.notify.serve import notify
from connectors.notify.settings import SECRETS_PREFIX, settings_of
from connectors.sandbox.robots import Hall
from connectors.sandbox.robots.hall import ROBOTS
from gateway.v1 import alert_pb2
from gateway.v1 import alert_service_pb2 as pb
from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import operations_service_pb2 as operations_pb
from gateway.v1.channel_pb2 import Platform
from tests.client import Client, made
from tests.live.rooms import open_session
from tests.rpc.shop_calls import create, link

CUP, MUG = "CUP", "MUG"
TITLES = {CUP: "红色<b>马克杯", MUG: "@所有人 茶杯"}
UNITS = 20
GROUPS = ("dingtalk", "feishu", "wecom")
QUICK = Tempo(wait_seconds=0.1, interval_seconds=0.3)
WAIT_SECONDS_MAX = 30.0
CHANGE = alert_pb2.ALERT_EVENT_KIND_TIER_CHANGE


@dataclass
class Ward:
    """Everything of one test."""

    client: Client
    gateway: str
    token: str
    hall: Hall
    robots: str
    session_id: int = 0
    _running: list[tuple[asyncio.Task[None], asyncio.Event]] = field(default_factory=list)

    # ---- the merchant

    async def open_shop(self) -> None:
        """Twenty cups and twenty mugs, on one channel, in one live session with an Agora room; a line at ten."""
        await create(self.client, channel="dy", platform=Platform.PLATFORM_DOUYIN)
        for place, sku in enumerate((CUP, MUG)):
            request = made(catalog_pb.CreateSkuRequest, sku={"sku": sku, "title": TITLES[sku]})
            await self.client.catalog.CreateSku(request, **self.client.options)
            await self.client.receive(sku, UNITS)
            await link(self.client, [(sku, 1)], channel="dy", item_id=str(place), platform_sku_id="2")
        policy = {"fixed_line": 10, "hard_floor": 4}
        await self.client.tell(self.client.alerts.SetAlertPolicy, pb.SetAlertPolicyRequest, actor="li", policy=policy)
        session = await open_session(self.client, ["dy"], {CUP: 0, MUG: 0}, agora_channel="room-1")
        self.session_id = session.session_id

    async def sell(self, sku: str, units: int) -> None:
        """So many units are promised."""
        await self.client.reserve(sku, units)

    async def changes(self, sku: str = "") -> list[alert_pb2.AlertEvent]:
        """The tier changes of the log, oldest first."""
        wanted: dict[str, Any] = {"kinds": [CHANGE], "skus": [sku] if sku else []}
        request = {"filter": wanted, "page_size": 1000}
        found = await self.client.ask(self.client.alerts.ListTierChanges, pb.ListTierChangesRequest, **request)
        return list(reversed(found.events))

    async def reached(self, sku: str, tier: int) -> alert_pb2.AlertEvent:
        """The change to this tier, when the log has it."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                for event in await self.changes(sku):
                    if event.tier_change.to == tier:
                        return event
                await asyncio.sleep(0.05)

    async def cursor(self, robot: str) -> int:
        """Up to where a robot has said to have seen to everything."""
        request = {"subscriber_id": f"notify/{robot}"}
        found = await self.client.ask(self.client.alerts.GetCursor, pb.GetCursorRequest, **request)
        return int(found.point.revision)

    # ---- notifiers

    def start(self, *robots: str, **changes: Any) -> None:
        """A notifier for these robots, or for all four, until the test is over."""
        stopping = asyncio.Event()
        at = GatewayAddress(self.gateway, self.token)
        settings = settings_of(self.document(*(robots or ROBOTS), **changes))
        running = notify(settings, at, stopping, self.environment(), QUICK)
        self._running.append((asyncio.create_task(running), stopping))

    async def followed(self, *robots: str) -> None:
        """Wait until these are in step with the log: what comes now they hear as it comes."""
        wanted = {f"notify/{robot}" for robot in robots}
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                found = await self.client.ask(self.client.operations.ListStreams, operations_pb.ListStreamsRequest)
                if wanted <= {one.subscriber_id for one in found.streams if one.state == "SYNCED"}:
                    return
                await asyncio.sleep(0.05)

    def document(self, *robots: str, **changes: Any) -> dict[str, Any]:
        """What a robots file holds."""
        return {
            "page_url": "https://ops.example/alerts",
            "robots": [
                {
                    "name": name,
                    "platform": name,
                    "base_url": f"http://{self.robots}",
                    "app_id": self.hall.settings.agora.app_id if name == "agora" else "",
                    **changes,
                }
                for name in robots
            ],
        }

    def environment(self) -> dict[str, str]:
        """The secrets, as the environment has them."""
        return {
            f"{SECRETS_PREFIX}{name.upper()}_{what.upper()}": value
            for name in ROBOTS
            for what, value in self.hall.credentials(name).items()
            if what in {"token", "secret"}
        }

    async def stop(self) -> None:
        """Every notifier ends in order."""
        for _, stopping in self._running:
            stopping.set()
        await asyncio.wait_for(asyncio.gather(*(task for task, _ in self._running)), WAIT_SECONDS_MAX)
        self._running.clear()

    # ---- what was told

    def told(self, robot: str) -> list[int]:
        """The numbers of all notices, in the order in which they were read."""
        kept = self.hall.desks[robot].kept
        if robot == "agora":
            return [notice["revision"] for one in kept for notice in json.loads(one.text)["notices"]]
        return [int(number) for one in kept for number in re.findall(r" #(\d+)$", one.text, re.MULTILINE)]

    def payloads(self) -> list[dict[str, Any]]:
        """What the room has heard."""
        return [json.loads(one.text) for one in self.hall.desks["agora"].kept]

    async def heard(self, event: alert_pb2.AlertEvent, *robots: str) -> None:
        """Wait until these have read of the event."""
        await self.until(lambda: all(event.revision in self.told(robot) for robot in robots))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what is about to happen."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not is_so():  # noqa: ASYNC110 - what is waited for is a plain value
                await asyncio.sleep(0.02)
