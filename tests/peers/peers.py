"""The peers: who they are, whose platform they speak to, and which script has them talk."""

from dataclasses import dataclass
from enum import Enum


class Registry(Enum):
    """Where a peer comes from, as this machine is set up to reach it."""

    PIP = "pip"
    NPM = "npm"


# Instead of a platform: a client that posts into groups.
ROBOTS = "robots"


@dataclass(frozen=True)
class Peer:
    """One third-party client. `script` is a module of this package, or a file of this folder, by its registry."""

    name: str
    version: str
    registry: Registry
    platform: str
    script: str
    # It is served messages, and ends when nothing more comes.
    takes_messages: bool = False

    @property
    def folder(self) -> str:
        """The name of the folder it is installed in."""
        return f"{self.name}-{self.version}"

    @property
    def requirement(self) -> str:
        """What its registry's client is asked for."""
        return f"{self.name}{'==' if self.registry is Registry.PIP else '@'}{self.version}"


PEERS = (
    Peer("taobao-openapi", "1.1.0", Registry.PIP, "taobao", "taobao_openapi_calls"),
    Peer("topsdk", "1.0.13", Registry.NPM, "taobao", "topsdk.mjs"),
    Peer("ali-topsdk", "2.0.5", Registry.NPM, "taobao", "ali_topsdk.mjs"),
    Peer("ali-topsdk", "2.0.5", Registry.NPM, "taobao", "ali_topsdk_messages.mjs", takes_messages=True),
    Peer("tmc.js", "0.3.64", Registry.NPM, "taobao", "tmc_js_messages.mjs", takes_messages=True),
    Peer("doudian", "0.6", Registry.PIP, "douyin", "doudian_calls"),
    Peer("doudian", "0.6", Registry.PIP, "douyin", "doudian_messages", takes_messages=True),
    Peer("DingtalkChatbot", "1.5.7", Registry.PIP, ROBOTS, "dingtalk_chatbot"),
    Peer("apprise", "2.2.0", Registry.PIP, ROBOTS, "apprise_robots"),
    Peer("kuaishou-merchant-open-api", "1.0.1", Registry.NPM, "kuaishou", "kuaishou_merchant.mjs"),
)
