"""A message to each group, so that a wrong token or a missing keyword is found out before it matters."""

import asyncio
import json
from collections.abc import Mapping
from typing import NamedTuple

from connectors.attempts import outcome_of_try
from connectors.errors import ConnectorError
from connectors.notify.robot import Message, Robot
from connectors.notify.serve import connections, robot_of
from connectors.notify.settings import NotifySettings, RobotSettings
from connectors.notify.words import NAME, TRIAL, TRIAL_LINE, both

# A channel of its own, in which nobody is: what is tried are the keys.
ROOM = "stockgate-test"


class Trial(NamedTuple):
    """What a robot's platform answered; `said` is "" where there is nothing to say."""

    robot: str
    platform: str
    outcome: str
    said: str = ""

    @property
    def is_well(self) -> bool:
        """True if the robot would tell warnings."""
        return self.outcome in {"TAKEN", "NOT SENT: drill_only"}


async def tried(settings: NotifySettings, environment: Mapping[str, str]) -> list[Trial]:
    """Post one message by each robot, all at once. Raises `SettingsError` if a secret is missing."""
    async with connections() as client:
        robots = [robot_of(each, environment, client) for each in settings.robots]
        return list(await asyncio.gather(*map(_tried, settings.robots, robots)))


async def _tried(settings: RobotSettings, robot: Robot) -> Trial:
    text = f"{TRIAL.zh}{both(NAME)} · {settings.name}\n{both(TRIAL_LINE)}"
    if settings.platform == "agora":
        text = json.dumps({"type": "test", "robot": settings.name})
    try:
        receipt = await robot.post(Message(text, ROOM if settings.platform == "agora" else ""))
    except ConnectorError as error:
        return Trial(settings.name, settings.platform, outcome_of_try(error).name, error.message)
    return Trial(settings.name, settings.platform, "NOT SENT: drill_only" if receipt.is_rehearsed else "TAKEN")
