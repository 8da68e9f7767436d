"""What the connector makes of the platform's words, known and unknown."""

import json
from typing import Any

import pytest

from connectors.base import OrderState
from connectors.douyin.codes import AlreadyKnown, Refused, error_of
from connectors.douyin.orders import Orders, snapshot
from connectors.douyin.requests import Nothing, opened
from connectors.douyin.stock import StockNumber
from connectors.errors import (
    AuthExpired,
    ConnectorError,
    Misunderstood,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Transient,
)

OK = frozenset({10000})
TIME = 1767294245


@pytest.mark.parametrize(
    ("code", "sub_code", "kind"),
    [
        (10001, "isv.business-part-failed", Rejected),
        (20000, "isp.service-error:7", OutcomeUnknown),
        (20000, "dop.service-error", OutcomeUnknown),
        (20001, "", OutcomeUnknown),
        (30001, "isv.app-permissions-insufficient", Rejected),
        (30001, "dop.authorization-closed", AuthExpired),
        (30002, "isv.invalid_ip", Rejected),
        (40001, "isv.parameter-missing", Rejected),
        (40003, "isv.signature-invalid", Rejected),
        (40003, "isv.access-token-expired", AuthExpired),
        (40003, "isv.access-token-no-existed", AuthExpired),
        (40003, "isv.idempotent-id-existed", AlreadyKnown),
        (40003, "isv.timestamp-invalid", Transient),
        (40004, "isv.parameter-invalid:20012", Refused),
        (50001, "dop.token-generate-failed:x", Rejected),
        (50002, "isv.business-failed:31009", Refused),
        (60000, "isv.traffic-limited", Throttled),
        (70000, "isp.api-service-off", Transient),
        (80000, "", Rejected),
        (90000, "dop.unknown-error", OutcomeUnknown),
        (90000, "isv.env-suspected", Rejected),
        (12345, "isv.never-heard-of", Rejected),
        (-1, "", Rejected),
    ],
)
def test_every_code_is_a_decision(code: int, sub_code: str, kind: type[ConnectorError]) -> None:
    """The table of the official base error codes; what is not in it is `Rejected`."""
    error = error_of("sku.syncStock", code, sub_code, "words", "L1")
    assert type(error) is kind
    assert error.code == (sub_code or str(code))
    assert "L1" in error.message


def test_what_looks_secret_is_not_repeated() -> None:
    """The platform's words may echo what was sent; long opaque strings and phone numbers are left out."""
    words = "token 0123456789abcdef0123456789abcdef of 13812345678 is bad"
    message = error_of("a.b", 50002, "x", words).message
    assert "token … of … is bad" in message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"\xff",
        b'{"code":"10000"}',
        b'{"code":10000.5}',
        b'{"code":10000,"data":[]}',
        b'{"code":10000,"data":{"stock_num":"7"}}',
        b'{"code":10000,"data":{"stock_num":7.5}}',
        b'{"code":10000,"data":{"stock_num":7',
        b'{"code":10000,"data":' + b"[" * 100_000,
    ],
)
def test_an_answer_that_is_not_the_protocols_is_misunderstood(body: bytes) -> None:
    """Its beginning is kept for the log; of an answer that may name a buyer, nothing is."""
    for is_private in (True, False):
        with pytest.raises(Misunderstood) as caught:
            opened("sku.stockNum", body, StockNumber, is_private=is_private, fine=OK)
        assert caught.value.body == (b"" if is_private else body[:500])


def test_a_call_that_answers_by_its_code_needs_no_data() -> None:
    """Null, nothing and an empty object are the same."""
    for data in ("", ',"data":null', ',"data":{}', ',"sub_code":null,"sub_msg":null,"log_id":null'):
        body = f'{{"code":10000,"msg":"success"{data}}}'.encode()
        assert opened("sku.syncStock", body, Nothing, is_private=False, fine=OK) == Nothing()


def snapshot_of(status: int, main_status: int = 0, pay_time: int = 0, line: dict[str, Any] | None = None) -> Any:
    """The snapshot of an order of one line of two units."""
    lines = [{"order_id": "5", "product_id": 2**62 + 1, "sku_id": "7", "item_num": 2} | (line or {})]
    order = {
        "order_id": "4781966584901930067",
        "order_status": status,
        "main_status": main_status,
        "create_time": TIME,
        "update_time": TIME + 5,
        "pay_time": pay_time,
        "sku_order_list": lines,
        "something_new": {"of": ["the platform"]},
    }
    body = json.dumps({"code": 10000, "data": {"total": 1, "shop_order_list": [order]}}).encode()
    answer = opened("order.searchList", body, Orders, is_private=True, fine=OK)
    assert answer.shop_order_list is not None
    return snapshot(answer.shop_order_list[0])


@pytest.mark.parametrize(
    ("status", "main_status", "pay_time", "state", "refunded", "shipped"),
    [
        (1, 1, 0, OrderState.PLACED, 0, False),
        (105, 105, TIME, OrderState.PAID, 0, False),
        (2, 2, TIME, OrderState.PAID, 0, False),
        (2, 2, 0, OrderState.PAID, 0, False),  # cash on delivery
        (101, 101, TIME, OrderState.PAID, 0, False),
        (3, 3, TIME, OrderState.PAID, 0, True),
        (5, 5, TIME, OrderState.PAID, 0, True),
        (4, 4, 0, OrderState.CLOSED, 0, False),
        (4, 4, TIME, OrderState.PAID, 2, False),
        (4, 21, TIME, OrderState.PAID, 2, False),
        (5, 39, TIME, OrderState.PAID, 2, True),
        (77, 77, 0, OrderState.PAID, 0, False),  # unknown: an accepted order is owed
    ],
)
def test_every_status_is_a_state(
    status: int, main_status: int, pay_time: int, state: OrderState, refunded: int, *, shipped: bool
) -> None:
    """order_status and main_status, as the three states, with what was given back and what has left."""
    seen = snapshot_of(status, main_status, pay_time)
    [line] = seen.lines
    assert (seen.state, line.refunded, line.shipped) == (state, refunded, shipped)
    assert (seen.order_id, line.key) == ("4781966584901930067", (str(2**62 + 1), "7"))
    assert (line.given_back_time is not None) == (status == 4 or main_status == 39)


@pytest.mark.parametrize(("kind", "refunded"), [(0, 1), (1, 1), (2, 1), (3, 0), (4, 1), (6, 0), (7, 0)])
def test_not_every_after_sale_gives_units_back(kind: int, refunded: int) -> None:
    """An exchange, a compensation of the price and a resending succeed too, and the buyer keeps the goods."""
    info = {"after_sale_status": 12, "after_sale_type": kind, "refund_status": 3}
    seen = snapshot_of(3, 3, TIME, {"item_num": 1, "after_sale_info": info})
    assert seen.lines[0].refunded == refunded


def test_a_cancelled_line_of_a_living_order_is_given_back() -> None:
    """A line has a status of its own."""
    [line] = snapshot_of(2, 2, TIME, {"order_status": 4}).lines
    assert (line.refunded, line.given_back_time is not None) == (2, True)
