"""Which robots there are: what is wrong in a file is named, all at once, and no secret is told."""

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.notify.notices import Tier
from connectors.notify.settings import (
    EXAMPLE,
    RobotSettings,
    SettingsError,
    dialect_of,
    min_tier_of,
    read_settings,
    settings_of,
)
from gateway.web import site

PAGE = "https://ops.example/alerts"
SECRETS = {
    "STOCKGATE_ROBOT_ROOMS_2_TOKEN": "key-of-rooms-2",
    "STOCKGATE_ROBOT_ROOMS_2_SECRET": "secret-of-rooms-2",
    "STOCKGATE_ROBOT_OPS_TOKEN": "token-of-ops",
    "STOCKGATE_ROBOT_OPS_SECRET": "secret-of-ops",
    "STOCKGATE_ROBOT_ROOMS_TOKEN": "key-of-rooms",
    "STOCKGATE_ROBOT_ROOMS_SECRET": "secret-of-rooms",
}


def one(**content: Any) -> dict[str, Any]:
    """A file with one robot."""
    return {"page_url": PAGE, "robots": [{"name": "ops", "platform": "wecom", **content}]}


async def test_a_file_is_read(tmp_path: Path) -> None:
    """The example, with what it says, and defaults for what it does not."""
    path = tmp_path / "robots.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    settings = read_settings(path)
    ops, rooms = settings.robots
    assert (ops.rooms, min_tier_of(ops), ops.include_drills, ops.drill_only) == (
        ("一号直播间",),
        Tier.THRESHOLD,
        True,
        False,
    )
    assert min_tier_of(rooms) is Tier.TREND
    assert dialect_of(ops, SECRETS).platform == "dingtalk"
    assert dialect_of(rooms, SECRETS).secrets[:2] == ("secret-of-rooms", "key-of-rooms")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "page_url"),
        ({"page_url": PAGE}, "robots"),
        ({"page_url": PAGE, "robots": []}, "1 to 50"),
        ({**one(), "page_url": "ops.example"}, "page_url"),
        ({**one(), "page_url": f"{PAGE}?a=1"}, "page_url"),
        ({**one(), "page_url": "http://[::1"}, "page_url"),
        (one(name="Ops"), "robots[0].name"),
        (one(name="a_b"), "robots[0].name"),
        (one(name=""), "robots[0].name"),
        (one(platform="icq"), "robots[0].platform: 'icq'"),
        (one(min_tier="LOUD"), "robots[0].min_tier"),
        (one(base_url="ftp://x"), "robots[0].base_url"),
        (one(base_url="http://h:99999"), "robots[0].base_url"),
        (one(base_url=f"http://{'h' * 64}"), "robots[0].base_url"),
        (one(platform="agora"), "robots[0].app_id"),
        (one(token="secret!"), "token"),
        (one(rooms="all"), "rooms"),
        ({"page_url": PAGE, "robots": [*one()["robots"]] * 2}, "two are called 'ops'"),
    ],
)
async def test_what_is_wrong_is_named(document: dict[str, Any], words: str) -> None:
    """The place and what is wrong there."""
    with pytest.raises(SettingsError) as caught:
        settings_of(document)
    assert words in str(caught.value)
    assert "secret!" not in str(caught.value)


async def test_everything_that_is_wrong_is_named_at_once() -> None:
    """One line each."""
    with pytest.raises(SettingsError) as caught:
        settings_of({**one(platform="icq", min_tier="LOUD"), "page_url": "x"})
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("content", [b"page_url = ", b"\xff\xfe"])
async def test_a_file_that_is_no_toml_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    """And one that is not there, too."""
    path = tmp_path / "robots.toml"
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(path)
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="no TOML"):
        read_settings(path)


async def test_secrets_come_from_the_environment_and_stay_there() -> None:
    """A missing one is named, a broken one is not quoted, and neither stands in a text of the robot's."""
    robot = RobotSettings("rooms-2", "agora", app_id="0123")
    with pytest.raises(SettingsError, match="STOCKGATE_ROBOT_ROOMS_2_TOKEN is not set"):
        dialect_of(robot, {})
    with pytest.raises(SettingsError, match="STOCKGATE_ROBOT_ROOMS_2_SECRET is not set"):
        dialect_of(robot, {"STOCKGATE_ROBOT_ROOMS_2_TOKEN": "x"})
    with pytest.raises(SettingsError) as caught:
        dialect_of(RobotSettings("ops", "wecom"), {"STOCKGATE_ROBOT_OPS_TOKEN": "two words"})
    assert "two words" not in str(caught.value)
    told = repr(dialect_of(robot, SECRETS)) + str(dialect_of(robot, SECRETS)) + repr(robot)
    assert not [secret for secret in SECRETS.values() if secret in told]


async def test_robots_that_sign_nothing_need_no_secret() -> None:
    """DingTalk and Feishu with a keyword, WeCom always."""
    for platform in ("dingtalk", "feishu", "wecom"):
        dialect = dialect_of(RobotSettings("ops", platform), {"STOCKGATE_ROBOT_OPS_TOKEN": "t"})
        assert dialect.secrets == ("t",)


async def test_the_example_leads_to_the_page() -> None:
    """The link of every notice is the gateway's page, at a path that it serves."""
    settings = settings_of(tomllib.loads(EXAMPLE))
    assert urlsplit(settings.page_url).path in site._PAGES
