"""DingtalkChatbot of PyPI: it signs a webhook's address, and posts texts and markdown."""

import importlib
from typing import Any

from tests.peers.desk import NotAsExpected, brief, call, expect

chatbot: Any = importlib.import_module("dingtalkchatbot.chatbot")
TOLD = brief()
WEBHOOK = f"{TOLD['base_url']}/robot/send?access_token={TOLD['dingtalk']['token']}"


def bot_of(secret: str) -> Any:
    """The peer, with this secret."""
    return chatbot.DingtalkChatbot(WEBHOOK, secret=secret)


def told() -> None:
    """A text, signed."""
    expect("answer", bot_of(TOLD["dingtalk"]["secret"]).send_text(msg="库存预警 7")["errcode"], 0)


def told_everybody() -> None:
    """A text that calls all, and markdown."""
    bot = bot_of(TOLD["dingtalk"]["secret"])
    expect("answer", bot.send_text(msg="库存预警 8", is_at_all=True)["errcode"], 0)
    expect("answer", bot.send_markdown(title="库存", text="# 库存预警 9")["errcode"], 0)


def wrong_secret() -> None:
    """Another secret's sign is refused, in the platform's words."""
    answer = bot_of("SECwrong").send_text(msg="库存预警 10")
    if answer["errcode"] != 310000:
        raise NotAsExpected(f"{answer}")


if __name__ == "__main__":
    call("dingtalk shows a signed text", told)
    call("dingtalk shows what calls everybody, and markdown", told_everybody)
    call("wrong secret refused", wrong_secret)
