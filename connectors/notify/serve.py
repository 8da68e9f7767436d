"""All robots of a notifier: each follows the warnings by itself, so that one that is refused holds up no other."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Mapping

import httpx

from connectors.backoff import Backoff
from connectors.gateway_client import GatewayAddress
from connectors.notify.follower import BACKOFF_SECONDS, BACKOFF_SECONDS_MAX, Follower
from connectors.notify.frontdoor import FrontDoor
from connectors.notify.robot import Robot
from connectors.notify.schedule import Tempo
from connectors.notify.settings import NotifySettings, RobotSettings, dialect_of
from connectors.transport import Transport, TransportLimits
from gateway import metrics

log = logging.getLogger(__name__)

# Robots are no race; what is allowed is the schedule's to know, and it counts each try, so that none is hidden here.
# The breaker of a robot that is away lets a try through every few seconds.
GROUP_LIMITS = TransportLimits(calls_per_second=5.0, deadline_seconds=5.0, tries_max=1)
ROOM_LIMITS = TransportLimits(calls_per_second=500.0, deadline_seconds=5.0, tries_max=1)
# Calls to a stand-in on this machine never go through a proxy.
DIRECT: dict[str, httpx.AsyncBaseTransport | None] = {"all://127.0.0.1": None, "all://localhost": None}


def new_claimant() -> str:
    """A name for this process that no other has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"[-128:]


def connections() -> httpx.AsyncClient:
    """What the robots of a process call over."""
    return httpx.AsyncClient(mounts=DIRECT)


def robot_of(settings: RobotSettings, environment: Mapping[str, str], client: httpx.AsyncClient) -> Robot:
    """A robot that calls over this client. Raises `SettingsError` if a secret is missing."""
    limits = ROOM_LIMITS if settings.platform == "agora" else GROUP_LIMITS
    return Robot(
        settings.name,
        dialect_of(settings, environment),
        Transport(client, limits, platform=settings.platform),
        include_drills=settings.include_drills,
        is_guarded=settings.drill_only,
    )


async def notify(
    settings: NotifySettings,
    at: GatewayAddress,
    stopping: asyncio.Event,
    environment: Mapping[str, str] | None = None,
    tempo: Tempo | None = None,
) -> None:
    """Tell the robots what the gateway warns of, until `stopping` is set. Raises `SettingsError`."""
    known = os.environ if environment is None else environment
    door = FrontDoor(at, new_claimant())
    async with connections() as client:
        robots = [robot_of(each, known, client) for each in settings.robots]
        followers = [
            Follower(each, robot, door, settings.page_url, tempo)
            for each, robot in zip(settings.robots, robots, strict=True)
        ]
        log.info("notifier begins", extra={"claimant": door.claimant, "robots": [each.name for each in robots]})
        tasks = [asyncio.create_task(_keep_running(each), name=f"robot {each.settings.name}") for each in followers]
        try:
            await stopping.wait()
            await asyncio.gather(*(each.finish() for each in followers))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(door.close(), 5.0)
    log.info("notifier ends", extra={"claimant": door.claimant})


async def _keep_running(follower: Follower) -> None:
    backoff = Backoff(BACKOFF_SECONDS, BACKOFF_SECONDS_MAX)
    metrics.loop_failures.add(0, {"loop": "robot"})
    while True:
        try:
            await follower.run()
        # A fault of ours must not end the other robots' work; this one begins anew.
        except Exception:
            log.exception("robot's follower failed", extra={"robot": follower.settings.name})
            metrics.loop_failures.add(1, {"loop": "robot"})
        await backoff.pause()
