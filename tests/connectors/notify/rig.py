"""A robot of any of the four, its stand-in behind real HTTP, and a clock for the stand-in."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace

import httpx

from connectors.errors import ConnectorError, Misunderstood
from connectors.notify.agora import Agora
from connectors.notify.dingtalk import DingTalk
from connectors.notify.feishu import Feishu
from connectors.notify.robot import Dialect, Message, Robot
from connectors.notify.wecom import WeCom
from connectors.sandbox.robots import Desk, Hall, HallSettings
from connectors.transport import Transport, TransportLimits
from tests.connectors.contract.storefront import HandClock, Stage

ROOM = "room-1"
LIMITS = TransportLimits(calls_per_second=1000, deadline_seconds=5, tries_max=1, breaker_failures=1000)
# Gives up on an answer that never comes.
HASTY = replace(LIMITS, deadline_seconds=0.3)


@dataclass
class Rig:
    """Both sides of the wire."""

    name: str
    hall: Hall
    clock: HandClock
    stage: Stage
    client: httpx.AsyncClient
    transport: Transport
    robot: Robot = field(init=False)

    def __post_init__(self) -> None:
        self.robot = self.another()

    @property
    def desk(self) -> Desk:
        return self.hall.desks[self.name]

    @property
    def dialect(self) -> Dialect:
        return self.robot.dialect

    def another(
        self, keys: Mapping[str, str] | None = None, *, include_drills: bool = False, is_guarded: bool = False
    ) -> Robot:
        """A robot of the same platform, some of its keys replaced."""
        known = {**self.hall.credentials(self.name), **(keys or {})}
        dialect = dialect_of(self.name, self.stage.address, known)
        return Robot(self.name, dialect, self.transport, include_drills=include_drills, is_guarded=is_guarded)

    def lose_patience(self) -> None:
        """From now on wait for an answer only as long as a test can."""
        self.transport.limits = HASTY

    def message(self, text: str = "库存 #7 ok", *, is_drill: bool = False, mentions_all: bool = False) -> Message:
        return Message(text, room=ROOM, is_drill=is_drill, mentions_all=mentions_all)

    async def failure(self, call: Awaitable[object]) -> ConnectorError:
        """The error that a call raises; no secret stands in it, nor in what it came of."""
        try:
            result = await call
        except ConnectorError as error:
            self.require_discreet(error)
            return error
        raise AssertionError(f"{self.name} answered {result}")

    def require_discreet(self, error: BaseException | None) -> None:
        while error is not None:
            body = error.body.decode(errors="replace") if isinstance(error, Misunderstood) else ""
            text = f"{error} {error!r} {getattr(error, 'code', '')} {body}"
            told = [secret[:4] for secret in self.dialect.secrets if secret in text]
            assert not told, f"{self.name}: {type(error).__name__} tells {len(told)} secrets"
            error = error.__cause__


def rigged(name: str, stage: Stage, client: httpx.AsyncClient, settings: HallSettings | None = None) -> Rig:
    """The robot and its stand-in, which is on stage from now on."""
    clock = HandClock()
    hall = Hall(settings, clock)
    stage.app = hall.app
    return Rig(name, hall, clock, stage, client, Transport(client, LIMITS))


def dialect_of(name: str, address: str, known: Mapping[str, str]) -> Dialect:
    """The platform's words, with the stand-in's keys."""
    url = f"http://{address}"
    match name:
        case "dingtalk":
            return DingTalk(known["token"], known["secret"], base_url=url)
        case "feishu":
            return Feishu(known["token"], known["secret"], base_url=url)
        case "wecom":
            return WeCom(known["token"], base_url=url)
        case _:
            return Agora(known["app_id"], known["token"], known["secret"], base_url=url)
