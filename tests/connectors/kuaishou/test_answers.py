"""What the connector makes of answers that Kuaishou would not give, and of weather that it does have."""

import json
import logging
import random
from datetime import timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.base import Applied, Change, Tokens
from connectors.errors import (
    BelowZero,
    ConnectorError,
    Misunderstood,
    OutcomeUnknown,
    Throttled,
    Transient,
)
from connectors.kuaishou import Credentials
from connectors.sandbox.faults import Weather
from connectors.sandbox.kuaishou import KuaishouSettings
from connectors.sandbox.kuaishou.answers import Answer
from tests.connectors.kuaishou.conftest import BOX, CUP, LID, STILL, Bench, OpenBench, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUGH = Weather(
    0,
    0,
    lose_request=0.02,
    lose_answer=0.02,
    apply_late=0.02,
    apply_late_seconds_max=0.05,
    error_before=0.1,
    error_after=0.05,
    bad_gateway=0.05,
)
BUYER = "13800138000"


class Liar:
    """A server that answers every call alike."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.body, self.status = body, status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await Response(self.body, self.status, {"location": "http://127.0.0.1:1/"})(scope, receive, send)


def envelope(data: Any) -> bytes:
    """A successful answer."""
    return json.dumps({"result": 1, "data": data}).encode()


def order(**base: Any) -> dict[str, Any]:
    """An order as the platform tells it, with the buyer."""
    times = {"createTime": 1767290645000, "updateTime": 1767290645000}
    return {
        "orderBaseInfo": {"oid": 9007199254740993, "status": 30, "buyerNick": BUYER, **times, **base},
        "orderItemInfo": {"itemId": 9007199254740995, "skuId": 9007199254740997, "num": 1},
        "orderAddress": {"mobile": BUYER},
    }


async def test_ids_are_exact(bench: Bench, stage: Stage) -> None:
    """Ids above 2^53 come through as the digits they are."""
    stage.on = Liar(envelope(order()))
    snapshot = await bench.kuaishou.order("9007199254740993")
    assert snapshot is not None
    assert snapshot.order_id == "9007199254740993"
    assert snapshot.lines[0].key == ("9007199254740995", "9007199254740997")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"null",
        b"[]",
        b"{}",
        b'{"result":"yes"}',
        b'{"result":null}',
        b'{"result":1.5}',
        b'{"data":{}}',
        b"\xff\xfe",
        b"[" * 50_000,
        b"<html>hello</html>",
        b'{"result":1,"data":{"orderBaseInfo":{"mobile":"' + BUYER.encode(),
        envelope([1]),
        envelope("text"),
        envelope({"orderBaseInfo": {"mobile": BUYER}}),
        envelope(order(oid="x" + BUYER)),
        envelope(order(oid=1.5)),
        envelope(order(oid=None)),
        envelope(order(status=0)),
        envelope(order(status=99)),
        envelope(order(updateTime=10**18)),
        envelope(order(createTime="yesterday")),
        envelope({**order(), "orderItemInfo": None}),
        envelope({**order(), "orderRefundList": [{"refundId": BUYER * 3}]}),
    ],
)
async def test_answers_that_are_none(bench: Bench, stage: Stage, body: bytes) -> None:
    """What is not what the documentation says is `Misunderstood`, and shows nothing of a buyer."""
    stage.on = Liar(body)
    with pytest.raises(Misunderstood) as caught:
        await bench.kuaishou.order("1")
    assert BUYER not in f"{caught.value!r}{caught.value.body!r}{caught.value.__cause__!r}"
    assert bench.transport.calls == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, Misunderstood),
        (302, Misunderstood),
        (404, Misunderstood),
        (429, Throttled),
        (500, Transient),
        (503, Transient),
    ],
)
async def test_other_http_statuses(bench: Bench, stage: Stage, status: int, kind: type[ConnectorError]) -> None:
    """Kuaishou answers 200; 429 and 5xx are a front's, no redirection is followed."""
    stage.on = Liar(b"", status)
    with pytest.raises(kind):
        await bench.kuaishou.order("1")


async def test_a_page_of_html_is_kept_for_the_log(bench: Bench, stage: Stage) -> None:
    """What a front says in HTML holds no buyer, and its beginning helps."""
    stage.on = Liar(b"<html>blocked" + b"x" * 10_000)
    with pytest.raises(Misunderstood) as caught:
        await bench.kuaishou.order("1")
    assert caught.value.body.startswith(b"<html>blocked")
    assert len(caught.value.body) <= 500


async def test_a_cursor_that_goes_in_circles(bench: Bench, stage: Stage) -> None:
    """A list that never ends is stopped."""
    until = bench.shop.time
    for cursor in ("", "again"):
        stage.on = Liar(envelope({"orderList": [], "cursor": cursor}))
        with pytest.raises(Misunderstood):
            async for _ in bench.kuaishou.orders(until - timedelta(hours=1), until):
                pass


@pytest.mark.parametrize("moved", [None, 6, -6])
async def test_an_adjustment_that_cannot_be(bench: Bench, moved: int | None) -> None:
    """An adjustment that does not say what it did, or did more than was asked, is `Misunderstood`."""
    goods = {CUP.platform_sku_id: ["ware-1"]}
    bench.kuaishou._stock._goods[CUP.item_id] = goods
    bench.sandbox._methods["open.scm.inventory.detail"] = lambda _: Answer({"itemList": [{"warehouseOutCode": "w"}]})
    bench.sandbox._methods["open.scm.inventory.adjust"] = lambda _: Answer(beside={"adjust_quantity": moved})
    with pytest.raises(Misunderstood):
        await bench.kuaishou.change(Change(CUP, -5, "a"))


async def test_a_refund_of_an_order_that_is_gone(open_bench: OpenBench) -> None:
    """A refund whose order the platform has no more stops no walk."""
    bench = await open_bench(KuaishouSettings(refund_moves_order=False))
    gone, here = bench.shop.place({LID: 1}), bench.shop.place({LID: 1})
    for each in (gone, here):
        bench.shop.pay(each.order_id)
    begin = bench.shop.time + timedelta(milliseconds=2)
    while bench.shop.time < begin:
        await bench.kuaishou.order(here.order_id)
    for each in (gone, here):
        bench.shop.refund(each.order_id, each.order_id, 1)
    tell = bench.sandbox._methods["open.order.detail"]
    bench.sandbox._methods["open.order.detail"] = lambda param: (
        Answer() if param.identity("oid") == int(gone.order_id) else tell(param)
    )
    pages = [page async for page in bench.kuaishou.orders(begin, bench.shop.time)]
    assert [snapshot.order_id for page in pages for snapshot in page] == [here.order_id]


async def test_no_token_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """With everything logged that can be, no token, secret or signature is."""
    caplog.set_level(logging.INFO)
    tokens = await bench.kuaishou.refresh(bench.tokens)
    bench.kuaishou.use(tokens)
    assert await bench.kuaishou.change(Change(CUP, -1, "a")) == Applied(-1)
    assert await bench.kuaishou.order("1") is None
    bench.kuaishou.use(Tokens("dead-token"))
    await bench.kuaishou.change_many([Change(CUP, -1, "a")])
    # What the sandbox's server logs is the platform's own business.
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn"))
    for secret in (tokens.access_token, tokens.refresh_token, bench.credentials.app_secret, "dead-token", "sign="):
        assert secret not in ours


async def test_what_is_booked_is_what_was_done(open_bench: OpenBench) -> None:
    """In rough weather: applied changes were applied once, refused ones never, the unknown ones once or never."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    bench = await open_bench(weather=ROUGH, seed=seed)
    bench.transport.limiter._rate_max = bench.transport.limiter.rate = 1e6
    bench.transport.breaker._failures_max = 10**9
    bench.lose_patience()
    bench.shop.show(BOX, 40)
    known, unknown, kinds = 0, [0], set[str]()
    for number in range(100):
        units = chance.choice([-9, -5, -1, 1, 4, 8])
        try:
            known += (await bench.kuaishou.change(Change(BOX, units, f"c{number}"))).units or 0
        except OutcomeUnknown:
            unknown.append(units)
        except (BelowZero, Transient) as error:
            kinds.add(type(error).__name__)
    bench.faults.weather = STILL
    low, high = (sum(units for units in unknown if units * way > 0) for way in (-1, 1))
    assert 40 + known + low <= bench.shown(BOX) <= 40 + known + high
    assert "BelowZero" in kinds or len(unknown) > 1


async def test_every_order_is_found_in_rough_weather(open_bench: OpenBench) -> None:
    """A walk either fails or is whole: begun again until it ends, it has every order as it is."""
    seed = random.randrange(2**32)
    bench = await open_bench(weather=ROUGH, seed=seed)
    bench.transport.breaker._failures_max = 10**9
    bench.lose_patience()
    placed = [bench.shop.place({BOX: 1}).order_id for _ in range(90)]
    for order_id in placed[::9]:
        bench.shop.pay(order_id)
        bench.shop.refund(order_id, order_id, 1)
    for _ in range(20):
        try:
            found = await bench.orders()
            break
        except Transient:
            continue
    else:
        pytest.fail("no walk came to its end")
    assert set(found) == set(placed)
    assert [order_id for order_id in placed if found[order_id].lines[0].refunded] == placed[::9]


async def test_credentials_are_checked_by_nobody_but_the_platform(bench: Bench) -> None:
    """A base URL may end with a slash."""
    credentials = Credentials(**{**vars(bench.credentials), "base_url": bench.url + "/"})
    bench.kuaishou._requests.credentials = credentials
    assert await bench.kuaishou.order("1") is None
    assert (await bench.kuaishou.refresh(bench.tokens)).access_token
