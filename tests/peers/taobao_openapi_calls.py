"""taobao-openapi of PyPI, a repack of the official SDK: system parameters in the query, the others in the body."""

import importlib
import json
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.peers.desk import NotAsExpected, brief, call, expect

CHINA = timezone(timedelta(hours=8))
top: Any = importlib.import_module("top")
rest: Any = importlib.import_module("top.api.base")
TOLD = brief()


class Method(rest.RestApi):  # type: ignore[misc]  # the peer has no types
    """Any method of the platform, the way the SDK's generated classes are one."""

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        """Ask the platform of the brief."""
        super().__init__(TOLD["host"], TOLD["port"])
        self.__dict__["_RestApi__name"] = name
        for param, value in params.items():
            setattr(self, param, value)

    def getapiname(self) -> str:
        """The SDK's hook."""
        return str(self.__dict__["_RestApi__name"])


def asked(name: str, *, secret: str = "", session: str | None = None, **params: object) -> dict[str, Any]:
    """The answer, without its wrapper."""
    method = Method(name, params)
    method.set_app_info(top.appinfo(TOLD["app_key"], secret or TOLD["app_secret"]))
    answer: dict[str, dict[str, Any]] = method.getResponse(session)
    (wrapped,) = answer.values()
    return wrapped


class Visit:
    """One seller's session, from the code on."""

    session = ""
    refresh_token = ""

    def create(self) -> None:
        """A token for a code."""
        self._take(asked("taobao.top.auth.token.create", code=TOLD["code"]))

    def refresh(self) -> None:
        """A new token for the old."""
        old = self.session
        self._take(asked("taobao.top.auth.token.refresh", refresh_token=self.refresh_token))
        if self.session == old:
            raise NotAsExpected("the token is the old one")

    def set_stock(self) -> None:
        """An absolute number, then a difference."""
        item = {"num_iid": TOLD["item_id"], "session": self.session}
        pair = f"{TOLD['platform_sku_id']}:20"
        asked("taobao.skus.quantity.update", **item, skuid_quantities=pair, type=1)
        answer = asked("taobao.item.quantity.update", **item, sku_id=TOLD["platform_sku_id"], quantity=-4, type=2)
        expect("quantity", answer["item"]["skus"]["sku"][0]["quantity"], 16)

    def read_stock(self) -> None:
        """What it shows now."""
        fields = "sku_id,num_iid,quantity"
        answer = asked("taobao.item.sku.get", session=self.session, sku_id=TOLD["platform_sku_id"], fields=fields)
        expect("quantity", answer["sku"]["quantity"], 16)

    def list_orders(self) -> None:
        """The paid order is among those that were updated."""
        now = datetime.now(CHINA)
        span = {"start_modified": _written(now - timedelta(minutes=10)), "end_modified": _written(now)}
        answer = asked("taobao.trades.sold.increment.get", session=self.session, fields="tid,status", **span)
        states = {str(trade["tid"]): trade["status"] for trade in answer["trades"]["trade"]}
        expect("status", states.get(TOLD["order_id"]), "WAIT_SELLER_SEND_GOODS")

    def read_order(self) -> None:
        """The order by itself."""
        answer = asked(
            "taobao.trade.fullinfo.get", session=self.session, tid=TOLD["order_id"], fields="tid,status,orders"
        )
        expect("item", str(answer["trade"]["orders"]["order"][0]["num_iid"]), TOLD["item_id"])

    def consume(self) -> None:
        """The messages over HTTP: taken and confirmed, so that no more are there."""
        deadline = time.monotonic() + TOLD["seconds_max"]
        topics = set(TOLD["topics"])
        while topics and time.monotonic() < deadline:
            messages = asked("taobao.tmc.messages.consume", quantity=100).get("messages", {}).get("tmc_message", [])
            topics -= {message["topic"] for message in messages}
            if messages:
                ids = ",".join(str(message["id"]) for message in messages)
                asked("taobao.tmc.messages.confirm", s_message_ids=ids)
        expect("topics that never came", topics, set())

    def be_a_stranger(self) -> None:
        """A wrong secret."""
        try:
            asked("taobao.item.sku.get", secret="wrong", session=self.session, sku_id="1", fields="sku_id")
        except rest.TopException as refusal:
            expect("code", refusal.errorcode, 25)
        else:
            raise NotAsExpected("it was let in")

    def _take(self, answer: dict[str, Any]) -> None:
        grant = json.loads(answer["token_result"])
        self.session, self.refresh_token = grant["access_token"], grant["refresh_token"]


def _written(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


if __name__ == "__main__":
    visit = Visit()
    call("token create", visit.create)
    call("token refresh", visit.refresh)
    call("stock set, and changed by a difference", visit.set_stock)
    call("stock read back", visit.read_stock)
    call("orders listed", visit.list_orders)
    call("order read", visit.read_order)
    call("messages taken and confirmed over HTTP", visit.consume)
    call("wrong secret refused", visit.be_a_stranger)
