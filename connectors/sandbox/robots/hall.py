"""The four stand-ins together, behind one address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.routing import Route

from connectors.sandbox.robots.agora import AgoraProject, AgoraSettings
from connectors.sandbox.robots.desk import Desk
from connectors.sandbox.robots.dingtalk import DingTalkRobot, DingTalkSettings
from connectors.sandbox.robots.feishu import FeishuBot, FeishuSettings
from connectors.sandbox.robots.wecom import WeComRobot, WeComSettings

ROBOTS = ("dingtalk", "feishu", "wecom", "agora")


@dataclass(frozen=True)
class HallSettings:
    """The four, each with its keys and limits."""

    dingtalk: DingTalkSettings = field(default_factory=DingTalkSettings)
    feishu: FeishuSettings = field(default_factory=FeishuSettings)
    wecom: WeComSettings = field(default_factory=WeComSettings)
    agora: AgoraSettings = field(default_factory=AgoraSettings)


class Hall:
    """The stand-ins. Serve `app`; `desks` holds what each has kept, and takes what is to go wrong."""

    def __init__(
        self, settings: HallSettings | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """All of them go by this clock."""
        self.settings = settings or HallSettings()
        self.desks = {name: Desk(name, clock) for name in ROBOTS}
        dingtalk = DingTalkRobot(self.desks["dingtalk"], self.settings.dingtalk)
        feishu = FeishuBot(self.desks["feishu"], self.settings.feishu)
        wecom = WeComRobot(self.desks["wecom"], self.settings.wecom)
        agora = AgoraProject(self.desks["agora"], self.settings.agora)
        room = "/dev/v2/project/{app_id}/rtm/users/{user_id}/channel_messages"
        self.app = Starlette(
            routes=[
                Route("/robot/send", dingtalk.window.answer, methods=["POST"]),
                Route("/open-apis/bot/v2/hook/{hook}", feishu.window.answer, methods=["POST"]),
                Route("/cgi-bin/webhook/send", wecom.window.answer, methods=["POST"]),
                Route(room, agora.window.answer, methods=["POST"]),
            ]
        )

    def credentials(self, name: str) -> dict[str, str]:
        """What a notifier needs to know of a robot, by the names that the notifier gives them."""
        match name:
            case "dingtalk":
                return {"token": self.settings.dingtalk.access_token, "secret": self.settings.dingtalk.secret}
            case "feishu":
                return {"token": self.settings.feishu.hook, "secret": self.settings.feishu.secret}
            case "wecom":
                return {"token": self.settings.wecom.key}
            case "agora":
                known = self.settings.agora
                return {"app_id": known.app_id, "token": known.customer_key, "secret": known.customer_secret}
        raise KeyError(name)
