"""Which robots there are: a TOML file without secrets (`EXAMPLE`), and the secrets from the environment.

A robot's secrets are `STOCKGATE_ROBOT_<NAME>_TOKEN` (DingTalk's access token, the last part of Feishu's webhook,
WeCom's key, Agora's customer key) and `STOCKGATE_ROBOT_<NAME>_SECRET` (what signs; none for WeCom), the name in
capitals and with `_` for `-`.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from connectors.addresses import is_address
from connectors.notify import agora, dingtalk, feishu, wecom
from connectors.notify.agora import Agora
from connectors.notify.dingtalk import DingTalk
from connectors.notify.feishu import Feishu
from connectors.notify.notices import Tier
from connectors.notify.robot import Dialect
from connectors.notify.wecom import WeCom

EXAMPLE = """\
# The gateway's page as people reach it, for they answer there; sku, session, episode, tier and revision are added.
page_url = "https://ops.example/"

# A group. Its secrets are STOCKGATE_ROBOT_<NAME>_TOKEN and STOCKGATE_ROBOT_<NAME>_SECRET; <NAME> is OPS here.
[[robots]]
name = "ops"                  # as runbooks name receivers
platform = "dingtalk"         # dingtalk, feishu, wecom, agora
rooms = ["一号直播间"]        # only what concerns these rooms; none named: everything
min_tier = "THRESHOLD"        # changes from or to this tier or a higher one; not said: TREND
include_drills = true         # rehearsals, too; not said: none
drill_only = false            # a rehearsal itself: texts are written and never sent

# Every live session that has an Agora channel.
[[robots]]
name = "rooms"
platform = "agora"
app_id = "0123456789abcdef0123456789abcdef"
"""
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
SECRETS_PREFIX = "STOCKGATE_ROBOT_"
PLATFORMS = ("dingtalk", "feishu", "wecom", "agora")
URL_BYTES_MAX = 200
ROBOTS_MAX = 50


class RobotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One robot, without its secrets."""

    name: str
    platform: str
    rooms: tuple[str, ...] = ()
    min_tier: str = "TREND"
    include_drills: bool = False
    drill_only: bool = False
    base_url: str = ""
    app_id: str = ""
    user_id: str = "stockgate"


class NotifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All robots of a notifier, and the page where people answer."""

    page_url: str
    robots: tuple[RobotSettings, ...]


class SettingsError(Exception):
    """Settings that make no sense; each line of the message names the place. No secret stands in it."""


def read_settings(path: Path) -> NotifySettings:
    """The settings in a file. Raises `SettingsError` with all that is wrong."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: it is no TOML: {error}") from error
    return settings_of(document)


def settings_of(document: Mapping[str, object]) -> NotifySettings:
    """The settings in a document. Raises `SettingsError` with all that is wrong."""
    try:
        settings = msgspec.convert(document, NotifySettings)
    except msgspec.ValidationError as error:
        raise SettingsError(str(error)) from error
    wrong = [*_wrong_page(settings.page_url), *_wrong_names(settings.robots)]
    for place, robot in enumerate(settings.robots):
        wrong += [f"robots[{place}].{line}" for line in _wrong_robot(robot)]
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def dialect_of(robot: RobotSettings, environment: Mapping[str, str]) -> Dialect:
    """The platform's words with the robot's secrets. Raises `SettingsError` if one is missing."""
    token = _secret(robot, "TOKEN", environment)
    match robot.platform:
        case "dingtalk":
            secret = _secret(robot, "SECRET", environment, is_optional=True)
            return DingTalk(token, secret, _url(robot.base_url or dingtalk.BASE_URL))
        case "feishu":
            secret = _secret(robot, "SECRET", environment, is_optional=True)
            return Feishu(token, secret, _url(robot.base_url or feishu.BASE_URL))
        case "wecom":
            return WeCom(token, _url(robot.base_url or wecom.BASE_URL))
    secret = _secret(robot, "SECRET", environment)
    return Agora(robot.app_id, token, secret, robot.user_id, _url(robot.base_url or agora.BASE_URL))


def min_tier_of(robot: RobotSettings) -> Tier:
    """The lowest tier the robot tells of."""
    return Tier[robot.min_tier]


def _secret(robot: RobotSettings, what: str, environment: Mapping[str, str], *, is_optional: bool = False) -> str:
    name = f"{SECRETS_PREFIX}{robot.name.upper().replace('-', '_')}_{what}"
    value = environment.get(name, "").strip()
    if not value and not is_optional:
        raise SettingsError(f"{name} is not set; robot {robot.name} cannot post without it")
    if not value.isprintable() or not value.isascii() or any(map(str.isspace, value)):
        raise SettingsError(f"{name} has characters that no such secret has")
    return value


def _url(url: str) -> str:
    return url.rstrip("/")


def _wrong_page(url: str) -> list[str]:
    if not is_address(url) or len(url.encode()) > URL_BYTES_MAX or urlsplit(url).query or urlsplit(url).fragment:
        return [f"page_url: {url!r} is no http(s) address without ? and # of at most {URL_BYTES_MAX} bytes"]
    return []


def _wrong_names(robots: tuple[RobotSettings, ...]) -> list[str]:
    names = [robot.name for robot in robots]
    wrong = (
        [] if 1 <= len(names) <= ROBOTS_MAX else [f"robots: there are {len(names)}; 1 to {ROBOTS_MAX} can be served"]
    )
    # "a-b" and "a_b" would share their secrets; "_" is in no name.
    return wrong + [f"robots: two are called {name!r}" for name in sorted({n for n in names if names.count(n) > 1})]


def _wrong_robot(robot: RobotSettings) -> list[str]:
    wrong = []
    if not NAME.fullmatch(robot.name):
        wrong.append(f"name: {robot.name!r} is not 1 to 40 of a-z, 0-9 and - in the middle")
    if robot.platform not in PLATFORMS:
        wrong.append(f"platform: {robot.platform!r} is none of {', '.join(PLATFORMS)}")
    if robot.min_tier not in Tier.__members__:
        wrong.append(f"min_tier: {robot.min_tier!r} is none of {', '.join(Tier.__members__)}")
    if robot.base_url and not is_address(robot.base_url):
        wrong.append(f"base_url: {robot.base_url!r} is no http(s) address")
    if robot.platform == "agora" and not robot.app_id:
        wrong.append("app_id: Agora needs one")
    return wrong
