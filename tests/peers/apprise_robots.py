"""apprise of PyPI: one call for every kind of robot. It signs nothing for Feishu, and looks at the HTTP status alone.

Its DingTalk is left out: it writes the sign into the address twice encoded, which nobody says the platform undoes.
"""

import importlib
from typing import Any

from tests.peers.desk import brief, call, expect

apprise: Any = importlib.import_module("apprise")
TOLD = brief()
# The peer knows the addresses of the platforms only.
PLUGINS = {"feishu": "NotifyFeishu", "wecombot": "NotifyWeComBot"}
HOSTS = ("https://open.feishu.cn", "https://qyapi.weixin.qq.com")


def sent_here() -> None:
    """From now on its plugins call us."""
    for module, name in PLUGINS.items():
        plugin = getattr(importlib.import_module(f"apprise.plugins.{module}"), name)
        for host in HOSTS:
            plugin.notify_url = plugin.notify_url.replace(host, TOLD["base_url"])


def told(url: str) -> None:
    """A text by the robot of this address."""
    robots = apprise.Apprise()
    expect("address understood", bool(robots.add(url)), True)
    expect("taken", bool(robots.notify(body="库存预警 7", title="stockgate")), True)


if __name__ == "__main__":
    sent_here()
    call("feishu shows a text", lambda: told(f"feishu://{TOLD['feishu']['token']}/"))
    call("wecom shows a text", lambda: told(f"wecombot://{TOLD['wecom']['token']}/"))
