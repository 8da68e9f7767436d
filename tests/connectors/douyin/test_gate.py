"""Whom the sandbox lets in, and what it says to the others: a stranger's client would be told the same."""

import json
from collections.abc import Mapping
from datetime import timedelta, timezone
from typing import Any

import pytest

from connectors.douyin.signing import SignMethod, method_of, request_sign
from connectors.sandbox.shop import ShopFacts, TakesOn
from tests.connectors.douyin.rig import CUP, Rig, rigged

CHINA = timezone(timedelta(hours=8))
NUMBER = "/sku/stockNum"
ASKED: dict[str, object] = {"sku_id": int(CUP.platform_sku_id)}
OK = (10000, "")


class Stranger:
    """A client that can be told to do anything wrong."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.token = rig.sandbox.issue_tokens().access_token

    def query(self, path: str, body: bytes, **wrong: str) -> dict[str, str]:
        """Public parameters, signed after `wrong` has spoilt them."""
        by = SignMethod(wrong.get("sign_method", SignMethod.HMAC_SHA256))
        settings = self.rig.sandbox.settings
        query = {
            "app_key": settings.app_key,
            "method": method_of(path),
            "timestamp": str(int(self.rig.clock.time.timestamp())),
            "v": "2",
            "sign_method": by.value,
            "access_token": self.token,
        } | wrong
        query["sign"] = request_sign(
            settings.app_key,
            settings.app_secret,
            method=query["method"],
            param_json=body or query.get("param_json", "").encode() or b"{}",
            timestamp=query["timestamp"],
            by=by,
        )
        return query

    async def send(
        self, path: str, body: bytes, query: dict[str, str], method: str = "POST", **headers: str
    ) -> dict[str, Any]:
        """The answer's envelope; it is always HTTP 200."""
        response = await self.rig.client.request(
            method, f"http://{self.rig.address}{path}", params=query, content=body, headers=headers
        )
        assert response.status_code == 200
        answer: dict[str, Any] = response.json()
        return answer

    async def call(self, path: str, params: Mapping[str, object] | bytes, **wrong: str) -> dict[str, Any]:
        """A call that is signed as it should be."""
        body = params if isinstance(params, bytes) else json.dumps(params).encode()
        return await self.send(path, body, self.query(path, body, **wrong))

    async def code(self, path: str, params: Mapping[str, object] | bytes, **wrong: str) -> tuple[int, str]:
        """What a call is told."""
        answer = await self.call(path, params, **wrong)
        return answer["code"], answer["sub_code"]


@pytest.fixture
def stranger(rig: Rig) -> Stranger:
    return Stranger(rig)


async def test_a_call_may_come_in_every_form_that_clients_use(rig: Rig, stranger: Stranger) -> None:
    """Any content type; MD5, named or by default; a wall clock of China; GET with the parameters in the query; none."""
    body = json.dumps(ASKED, indent=2).encode()
    answers = []
    answers.append(
        await stranger.send(NUMBER, body, stranger.query(NUMBER, body), **{"content-type": "Content-Type: x"})
    )
    by_md5 = stranger.query(NUMBER, body, sign_method="md5")
    answers.append(await stranger.send(NUMBER, body, by_md5))
    del by_md5["sign_method"]
    answers.append(await stranger.send(NUMBER, body, by_md5))
    china = f"{rig.clock.time.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
    answers.append(await stranger.send(NUMBER, body, stranger.query(NUMBER, body, timestamp=china)))
    in_query = stranger.query(NUMBER, b"", param_json=body.decode())
    answers.append(await stranger.send(NUMBER, b"", in_query, "GET"))
    # Both at once, as one client does for tokens.
    answers.append(await stranger.send(NUMBER, body, stranger.query(NUMBER, body, param_json=body.decode())))
    for answer in answers:
        assert (answer["code"], answer["msg"], answer["err_no"], answer["message"]) == (10000, "success", 0, "success")
        assert answer["data"]["stock_num"] == 10
    assert await stranger.code("/warehouse/list", b"") == (10000, "")


async def test_the_legacy_envelope_goes_on_demand_only(stranger: Stranger) -> None:
    """`err_no` and `message` are there unless the header says no; on a failure `err_no` is not 0."""
    body = json.dumps(ASKED).encode()
    answer = await stranger.send(NUMBER, body, stranger.query(NUMBER, body), **{"x-open-no-old-err-code": "1"})
    assert "err_no" not in answer
    assert "message" not in answer
    failed = await stranger.call(NUMBER, {"sku_id": 1})
    assert failed["err_no"] != 0
    assert failed["code"] == 50002
    assert failed["log_id"]


async def test_who_is_not_let_in_is_told_why(rig: Rig, stranger: Stranger) -> None:
    """Every public parameter that is missing or wrong has its own words."""
    body = json.dumps(ASKED).encode()
    now = int(rig.clock.time.timestamp())
    told = {name: await told_without(stranger, name, body) for name in ("app_key", "sign", "timestamp", "method", "v")}
    assert told == {
        "app_key": (40001, "isv.app-id-missing"),
        "sign": (40001, "isv.signature-missing"),
        "timestamp": (40001, "isv.parameter-missing"),
        "method": (40001, "isv.parameter-missing"),
        "v": (40001, "isv.parameter-missing"),
    }
    assert await told_without(stranger, "access_token", body) == (40001, "isv.access-token-missing")
    for wrong, expected in (
        ({"app_key": "1"}, "isv.app-id-invalid"),
        ({"v": "3"}, "isv.parameter-invalid"),
        ({"method": "sku.list"}, "isv.parameter-invalid"),
        ({"access_token": "x"}, "isv.access-token-no-existed"),
        ({"timestamp": str(now - 601)}, "isv.timestamp-invalid"),
        ({"timestamp": str(now + 601)}, "isv.timestamp-invalid"),
        ({"timestamp": "yesterday"}, "isv.timestamp-format-error"),
        ({"timestamp": "9" * 40}, "isv.timestamp-format-error"),
    ):
        assert await stranger.code(NUMBER, body, **wrong) == (40003, expected), wrong
    query = stranger.query(NUMBER, body)
    for spoilt in (query | {"sign": "0" * 64}, query | {"sign": "é"}, query | {"timestamp": str(now - 1)}):
        assert (await stranger.send(NUMBER, body, spoilt))["sub_code"] == "isv.signature-invalid"
    assert (await stranger.send(NUMBER, body + b" ", query))["sub_code"] == "isv.signature-invalid"
    assert (await stranger.send(NUMBER, body, query | {"sign_method": "rot13"}))["code"] == 40003
    assert (await stranger.send("/no/such", body, stranger.query("/no/such", body)))["code"] == 40003


async def test_parameters_that_cannot_be_are_refused_and_change_nothing(rig: Rig, stranger: Stranger) -> None:
    """Garbage of all kinds is a clear error, and the shelves stay as they were."""
    sync, batch, many = "/sku/syncStock", "/sku/syncStockBatch", "/sku/syncStockBatchMultiProducts"
    sku, product = int(CUP.platform_sku_id), int(CUP.item_id)
    for body in (b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000, b'{"sku_id":NaN}', b"9" * 5000, b"x" * 1_100_000):
        code, _ = await stranger.code(NUMBER, body)
        assert code == 40003, body[:20]
    one: dict[str, object] = {"sku_id": sku, "product_id": product}
    item = one | {"stock_num": 1}
    for path, params, code in (
        (sync, {}, 40002),
        (sync, one, 40002),
        (sync, item | {"incremental": True}, 40002),
        (sync, item | {"incremental": "yes"}, 40003),
        (sync, item | {"stock_num": 1.0}, 40003),
        (sync, item | {"stock_num": True}, 40003),
        (sync, item | {"stock_num": "many"}, 40003),
        (sync, item | {"stock_num": 10**30}, 40003),
        (sync, item | {"stock_num": -1}, 50002),
        (sync, item | {"stock_num": 10**12}, 50002),
        (sync, item | {"sku_id": 5}, 50002),
        (sync, item | {"product_id": 5}, 50002),
        (sync, item | {"out_warehouse_id": "north"}, 50002),
        (sync, item | {"sku_id": [sku]}, 40003),
        (batch, {"product_id": product}, 40002),
        (batch, {"product_id": product, "sku_sync_list": []}, 40003),
        (batch, {"product_id": product, "sku_sync_list": [1]}, 40003),
        (batch, {"product_id": product, "sku_sync_list": [item | {"sku_type": 7}]}, 40003),
        (batch, {"product_id": 5, "sku_sync_list": [item]}, 50002),
        (many, {"items": [item]}, 40002),
        (many, {"items": [item], "incremental": True}, 40002),
        (many, {"items": [item] * 51, "incremental": True, "idempotent_id": "i"}, 40003),
        (many, {"items": {}, "incremental": True, "idempotent_id": "i"}, 40003),
        ("/order/searchList", {}, 40002),
        ("/order/searchList", {"page": -1, "size": 1}, 40003),
        ("/order/searchList", {"page": 0, "size": 101}, 40003),
        ("/order/searchList", {"page": 100, "size": 100}, 40004),
        ("/order/searchList", {"page": 0, "size": 1, "order_by": "price"}, 40003),
        ("/order/searchList", {"page": 0, "size": 1, "update_time_start": 5, "update_time_end": 4}, 40003),
        ("/order/searchList", {"page": 0, "size": 1, "update_time_start": 0, "update_time_end": 10**9}, 40003),
        ("/order/searchList", {"page": 0, "size": 1, "update_time_start": 2**60}, 40003),
        ("/order/searchList", {"page": 0, "size": 1, "update_time_end": 2**63 - 1}, 40003),
        ("/order/orderDetail", {}, 40002),
        ("/order/orderDetail", {"shop_order_id": "5"}, 50002),
        ("/afterSale/List", {"page": 0, "size": 1, "update_start_time": 1}, 40003),
        ("/afterSale/List", {"page": 0, "size": 1, "order_by": "update_time asc"}, 40003),
        ("/afterSale/Detail", {"after_sale_id": "5"}, 50002),
    ):
        told, _ = await stranger.code(path, params)
        assert told == code, (path, params)
    assert [rig.shown(key) for key in rig.shop.displays] == [10, 20, 30]


async def test_writes_do_what_the_platform_does(rig: Rig, stranger: Stranger) -> None:
    """Absolute by default; a delta once per id; one product all or nothing; several products each by itself."""
    sku, product = int(CUP.platform_sku_id), int(CUP.item_id)
    plate = sku + 1
    sync, batch, many = "/sku/syncStock", "/sku/syncStockBatch", "/sku/syncStockBatchMultiProducts"
    one: dict[str, object] = {"sku_id": str(sku), "stock_num": 7}
    assert (await stranger.call(sync, one))["data"] == {}
    assert rig.shown() == 7
    assert await stranger.code(sync, {"code": f"code-{sku}", "stock_num": 8}) == (10000, "")
    assert rig.shown() == 8
    delta = one | {"incremental": True, "idempotent_id": "i-1", "stock_num": -2}
    assert await stranger.code(sync, delta) == (10000, "")
    assert await stranger.code(sync, delta) == (40003, "isv.idempotent-id-existed")
    assert rig.shown() == 6
    items: list[dict[str, object]] = [{"sku_id": sku, "stock_num": -6}, {"sku_id": plate, "stock_num": -21}]
    both = {"product_id": product, "sku_sync_list": items, "incremental": True, "idempotent_id": "i-2"}
    assert (await stranger.code(batch, both))[0] == 50002
    assert [rig.shown(key) for key in rig.shop.displays] == [6, 20, 30]
    answer = await stranger.call(
        many,
        {
            "items": [item | {"product_id": product} for item in items],
            "incremental": True,
            "idempotent_id": "i-3",
        },
    )
    assert (answer["code"], answer["sub_code"]) == (10001, "isv.business-part-failed")
    first, second = answer["data"]["results"]
    assert (first["sku_id"], first["change_num"], first["stock_num"], first["status_code"]) == (sku, -6, 0, 0)
    assert (second["sku_id"], second["change_num"], second["status_code"]) == (plate, 0, 31009)
    assert [rig.shown(key) for key in rig.shop.displays] == [0, 20, 30]


async def test_what_is_sold_and_not_final_is_kept_apart(rig: Rig, stranger: Stranger) -> None:
    """prehold counts unpaid orders, prom stays as it is, and an absolute write changes the plain number only."""
    rig.sandbox.aside(CUP).promotion = 5
    order = rig.shop.place({CUP: 3})
    await stranger.call("/sku/syncStock", ASKED | {"stock_num": 2})
    data = (await stranger.call(NUMBER, ASKED))["data"]
    assert (data["stock_num"], data["prehold_stock_num"], data["prom_stock_num"]) == (2, 3, 5)
    rig.shop.pay(order.order_id)
    assert (await stranger.call(NUMBER, ASKED))["data"]["prehold_stock_num"] == 0


async def test_units_taken_on_payment_are_prehold_until_they_are_shipped() -> None:
    """Where a listing takes units on payment, an unpaid order moves nothing, and payment moves them aside."""
    async with rigged(facts=ShopFacts(takes_on=TakesOn.PAYMENT)) as rig:
        stranger = Stranger(rig)
        order = rig.shop.place({CUP: 3})
        told = []
        for step in (lambda _: None, rig.shop.pay, rig.shop.ship):
            step(order.order_id)
            data = (await stranger.call(NUMBER, ASKED))["data"]
            told.append((data["stock_num"], data["prehold_stock_num"]))
        assert told == [(10, 0), (7, 3), (7, 0)]


async def test_regional_stock_is_in_the_map(rig: Rig, stranger: Stranger) -> None:
    """Without a warehouse a regional SKU's number is empty and its map is filled; buyers take from the warehouses."""
    rig.sandbox.aside(CUP).warehouses.update(north=6, south=4)
    rig.sell(7)
    data = (await stranger.call(NUMBER, ASKED))["data"]
    assert (data["sku_type"], data["stock_num"], data["stock_num_map"]) == (1, None, {"north": 0, "south": 3})
    south = ASKED | {"out_warehouse_id": "south"}
    assert (await stranger.call(NUMBER, south))["data"]["stock_num"] == 3
    stock_map = [{"out_warehouse_id": "north", "stock_num": 5}, {"out_warehouse_id": "south", "stock_num": 2}]
    listed = [ASKED | {"sku_type": 1, "stock_map": stock_map}]
    assert await stranger.code("/sku/syncStockBatch", {"product_id": CUP.item_id, "sku_sync_list": listed}) == OK
    assert rig.shown() == 7
    assert await stranger.code("/sku/syncStock", ASKED | {"stock_num": 1}) == (50002, "isv.business-failed:20012")
    names = (await stranger.call("/warehouse/list", {}))["data"]["warehouses"]
    assert [name["out_warehouse_id"] for name in names] == ["north", "south"]


async def test_stepped_stock_is_apart_from_the_plain(stranger: Stranger) -> None:
    """step_stock_num is a number of its own, absolute or a delta."""
    assert await stranger.code("/sku/syncStock", ASKED | {"stock_num": 4, "step_stock_num": 9}) == OK
    delta = ASKED | {"stock_num": 0, "step_stock_num": -2, "incremental": True, "idempotent_id": "s"}
    assert await stranger.code("/sku/syncStock", delta) == OK
    data = (await stranger.call(NUMBER, ASKED))["data"]
    assert (data["sku_type"], data["stock_num"], data["step_stock_num"]) == (10, 4, 7)


async def test_products_are_listed(rig: Rig, stranger: Stranger) -> None:
    """SKUs of a product, one SKU, products in pages; what was deleted is not there."""
    skus = (await stranger.call("/sku/list", {"product_id": CUP.item_id}))["data"]
    assert [sku["stock_num"] for sku in skus] == [10, 20]
    assert (await stranger.call("/sku/detail", ASKED))["data"]["code"] == f"code-{CUP.platform_sku_id}"
    assert (await stranger.call("/product/listV2", {"page": 2, "size": 1}))["data"]["total"] == 2
    for display in rig.shop.displays.values():
        display.deleted = True
    assert (await stranger.code("/sku/list", {"product_id": CUP.item_id}))[0] == 50002
    assert (await stranger.code("/sku/detail", ASKED))[0] == 50002


async def test_orders_are_filtered_as_asked(rig: Rig, stranger: Stranger) -> None:
    """Newest first unless asked otherwise; by status and by product; in pages from 0."""
    made = []
    for _ in range(3):
        made.append(rig.sell().order_id)
        rig.clock.move(1)
    unpaid = rig.shop.place({CUP: 1}).order_id
    search = "/order/searchList"

    async def found(**params: object) -> list[str]:
        answer = await stranger.call(search, {"page": 0, "size": 10} | params)
        return [order["order_id"] for order in answer["data"]["shop_order_list"]]

    assert await found() == [unpaid, *reversed(made)]
    assert await found(order_asc=True, order_by="update_time") == [*made, unpaid]
    assert await found(page=1, size=3, order_asc=True) == [unpaid]
    assert await found(combine_status=[{"order_status": "1,4"}]) == [unpaid]
    assert await found(product="5") == []
    start = int(rig.clock.time.timestamp())
    assert await found(create_time_start=start - 3, create_time_end=start - 3) == [made[0]]


async def told_without(stranger: Stranger, name: str, body: bytes) -> tuple[int, str]:
    """What a call is told that lacks one public parameter."""
    query = stranger.query(NUMBER, body)
    del query[name]
    answer = await stranger.send(NUMBER, body, query)
    return answer["code"], answer["sub_code"]


async def test_a_front_that_is_down_speaks_html(rig: Rig) -> None:
    """While the platform is away its front answers with a page of HTML."""
    rig.faults.away = True
    response = await rig.client.post(f"http://{rig.address}{NUMBER}")
    assert response.status_code == 503
    assert response.text.startswith("<html>")
