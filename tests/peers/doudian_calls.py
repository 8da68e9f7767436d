"""doudian of PyPI: hmac-sha256 over sorted JSON, legacy `err_no` in every answer, tokens that it keeps itself."""

import importlib
import time
import uuid
from typing import Any

from tests.peers.desk import NotAsExpected, brief, call, expect

doudian: Any = importlib.import_module("doudian")
TOLD = brief()
PRODUCT = {"product_id": int(TOLD["item_id"]), "sku_id": int(TOLD["platform_sku_id"])}


def client_of(secret: str) -> Any:
    """The peer, sent to our address: it knows that of the platform only."""
    client = doudian.DouDian(TOLD["app_key"], secret, doudian.AppType.TOOL)
    client._gate_way = TOLD["base_url"]
    return client


class Visit:
    """One shop's session, from the code on."""

    def __init__(self) -> None:
        """Begin without a token."""
        self.client = client_of(TOLD["app_secret"])

    def create(self) -> None:
        """A token for a code."""
        expect("init_token", self.client.init_token(TOLD["code"]), True)

    def create_for_ourselves(self) -> None:
        """A token for an application of the seller's own, without a code."""
        own = client_of(TOLD["app_secret"])
        own._app_type, own._shop_id = doudian.AppType.SELF, TOLD["shop_id"]
        expect("init_token", own.init_token(), True)

    def refresh(self) -> None:
        """The peer renews a token that is about to end by itself, before a call."""
        old = self.client._token["access_token"]
        self.client._token["expires_in"] = 0
        self.read_number()
        if self.client._token["access_token"] == old:
            raise NotAsExpected("the token is the old one")

    def set_stock(self) -> None:
        """An absolute number, then a difference under an id."""
        self._asked("/sku/syncStock", {**PRODUCT, "stock_num": 50, "incremental": False})
        change = {"stock_num": -8, "incremental": True, "idempotent_id": str(uuid.uuid4())}
        self._asked("/sku/syncStock", {**PRODUCT, **change})

    def read_stock(self) -> None:
        """What it shows now."""
        expect("stock_num", self.read_number(), 42)

    def read_number(self) -> int:
        """What the platform shows."""
        return int(self._asked("/sku/stockNum", {"sku_id": PRODUCT["sku_id"]})["stock_num"])

    def list_orders(self) -> None:
        """The paid order is among those that were updated."""
        now = int(time.time())
        span = {"update_time_start": now - 600, "update_time_end": now + 60}
        found = self._asked("/order/searchList", {**span, "page": 0, "size": 100, "order_by": "update_time"})
        states = {order["order_id"]: order["order_status"] for order in found["shop_order_list"]}
        expect("order_status", states.get(TOLD["order_id"]), 2)

    def read_order(self) -> None:
        """The order by itself."""
        found = self._asked("/order/orderDetail", {"shop_order_id": TOLD["order_id"]})["shop_order_detail"]
        expect("product_id", found["sku_order_list"][0]["product_id"], PRODUCT["product_id"])

    def be_a_stranger(self) -> None:
        """A wrong secret."""
        stranger = client_of("wrong")
        stranger._token = self.client._token
        answer = stranger.request("/sku/stockNum", {"sku_id": PRODUCT["sku_id"]})
        expect("sub_code", answer and answer["sub_code"], "isv.signature-invalid")

    def _asked(self, path: str, params: dict[str, object]) -> dict[str, Any]:
        answer = self.client.request(path, params)
        if not answer or answer.get("err_no") != 0:
            raise NotAsExpected(f"{path}: {answer and answer.get('sub_code')} {answer and answer.get('sub_msg')}")
        data: dict[str, Any] = answer["data"]
        return data


if __name__ == "__main__":
    visit = Visit()
    call("token create", visit.create)
    call("token create for an own application", visit.create_for_ourselves)
    call("stock set, and changed by a difference", visit.set_stock)
    call("stock read back", visit.read_stock)
    call("token refresh", visit.refresh)
    call("orders listed", visit.list_orders)
    call("order read", visit.read_order)
    call("wrong secret refused", visit.be_a_stranger)
