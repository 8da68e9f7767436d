"""The sandbox's front before a stranger's client: who is let in, and that nothing breaks it."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.sandbox.faults import Weather
from connectors.sandbox.kuaishou import KuaishouSettings
from tests.connectors.kuaishou.conftest import BOX, CUP, LID, STILL, Bench, Clock, OpenBench
from tests.connectors.kuaishou.strangers import call, change, envelope_of, fields_of, refund_listing

pytestmark = pytest.mark.asyncio(loop_scope="session")

UPDATE = "open.item.sku.stock.update"
DETAIL = "open.order.detail"
REFUNDS = "open.seller.order.refund.pcursor.list"
BAD = 804000


@pytest.mark.parametrize("sign_method", ["MD5", "HMAC_SHA256"])
@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_both_verbs_and_both_signatures(bench: Bench, verb: str, sign_method: str) -> None:
    """Every method is served on GET and POST, signed by MD5 or HMAC."""
    assert (await call(bench, UPDATE, change(), verb=verb, signMethod=sign_method))["result"] == 1
    assert (await call(bench, REFUNDS, refund_listing(bench), verb=verb, signMethod=sign_method))["result"] == 1
    assert bench.shown() == 11


async def test_parameters_may_stand_anywhere(bench: Bench) -> None:
    """Query and body are one before the sign is checked: all in a POST's query, or only some of them."""
    fields = fields_of(bench, UPDATE, change())
    url = f"{bench.url}/open/item/sku/stock/update"
    names = list(fields)
    for count in range(len(names) + 1):
        query = {name: fields[name] for name in names[:count]}
        body = {name: fields[name] for name in names[count:]}
        assert envelope_of(await bench.client.post(url, params=query, data=body))["result"] == 1
    assert bench.shown() == 10 + len(names) + 1


async def test_an_untidy_param_is_verified_as_it_came(bench: Bench) -> None:
    """The sign is over the received text of param, whatever its spaces and the order of its keys."""
    text = '{ "changeType":1,\n"skuId" : 9000001, "skuChangeStock":"2", "kwaiItemId":405050285370, "more":"库存"}'
    assert (await call(bench, UPDATE, text))["result"] == 1
    assert bench.shown() == 12


@pytest.mark.parametrize(
    ("others", "result"),
    [
        ({"sign": "AAAA"}, 27),
        ({"sign": "签"}, 27),
        ({"access_token": "stranger"}, 24),
        ({"access_token": ""}, 21),
        ({"appkey": "ks1"}, 22),
        ({"timestamp": "1767294245000"}, 28),
        ({"timestamp": "0"}, 28),
        ({"timestamp": "-1"}, BAD),
        ({"timestamp": "9" * 400}, BAD),
        ({"timestamp": "2026-01-02 03:04:05"}, BAD),
        ({"signMethod": "SHA1"}, BAD),
        ({"signMethod": "hmac_sha256"}, BAD),
        ({"version": "2"}, BAD),
        ({"method": "open.order.detail"}, BAD),
        ({"param": ""}, BAD),
        ({"appkey": ""}, BAD),
    ],
)
async def test_calls_that_are_not_let_in(bench: Bench, others: dict[str, str], result: int) -> None:
    """A wrong sign, token, app, time, method or version is refused with its number, and nothing is done."""
    url = f"{bench.url}/{UPDATE.replace('.', '/')}"
    sign = {"sign": others["sign"]} if "sign" in others else {}
    method = others.get("method", UPDATE)
    if "signMethod" in others:
        sign, fields = {}, fields_of(bench, UPDATE, change()) | others
    else:
        rest = {name: value for name, value in others.items() if name not in {"sign", "method"}}
        param = rest.pop("param", None)
        fields = fields_of(bench, method, change() if param is None else param, **rest, **sign)
    assert envelope_of(await bench.client.post(url, data=fields))["result"] == result
    assert bench.shown() == 10


async def test_a_sign_does_not_fit_another_call(bench: Bench) -> None:
    """Changing any signed parameter after the signing breaks the sign."""
    fields = fields_of(bench, UPDATE, change())
    url = f"{bench.url}/open/item/sku/stock/update"
    for name, value in (("param", json.dumps(change(9))), ("timestamp", str(int(fields["timestamp"]) + 1)), ("x", "1")):
        assert envelope_of(await bench.client.post(url, data={**fields, name: value}))["result"] == 27
    other = bench.sandbox.issue_tokens().access_token
    assert envelope_of(await bench.client.post(url, data={**fields, "access_token": other}))["result"] == 27
    assert bench.shown() == 10


async def test_paths_that_are_not_there(bench: Bench) -> None:
    """What is no method is refused in the envelope; what is no API at all is HTTP 404; other verbs 405."""
    assert (await call(bench, "open.item.delete", {}))["result"] == BAD
    for path in ("", "/", "/openx", "/oauth2/nothing", "/../etc/passwd"):
        assert (await bench.client.get(bench.url + path)).status_code == 404
    assert (await bench.client.delete(f"{bench.url}/open/order/detail")).status_code == 405


async def test_bodies_that_are_no_forms(bench: Bench) -> None:
    """JSON, nothing, noise, an endless body and thousands of fields are bad parameters."""
    url = f"{bench.url}/open/item/sku/stock/update"
    form = {"content-type": "application/x-www-form-urlencoded"}
    fields = fields_of(bench, UPDATE, change())
    answers = [
        await bench.client.post(url, json=fields),
        await bench.client.post(url),
        await bench.client.post(url, content=b"\xff\xfe=\x00", headers=form),
        await bench.client.post(url, content=b"a=%ff%fe", headers=form),
        await bench.client.post(url, content=b"a=" + b"x" * 2_000_000, headers=form),
        await bench.client.post(url, content=b"&".join(b"a%d=1" % i for i in range(2000)), headers=form),
    ]
    assert {envelope_of(answer)["result"] for answer in answers} == {BAD}
    assert bench.shown() == 10


@pytest.mark.parametrize(
    "param",
    ["null", "[]", "1", '"x"', "{", "nonsense", "[" * 20_000, '{"oid":' + "9" * 5000 + "}", '{"oid":NaN}', "{}"],
)
async def test_params_that_are_no_objects(bench: Bench, param: str) -> None:
    """A param that is no JSON object, or holds no id, is a bad parameter."""
    assert (await call(bench, DETAIL, param, verb="POST"))["result"] == BAD


@pytest.mark.parametrize("oid", [None, True, 1.5, -1, 0, "", "x", "-7", "\uff11", [1], {"a": 1}, 2**63, "9" * 30])
async def test_ids_that_are_none(bench: Bench, oid: object) -> None:
    """An id is a positive whole number that fits a Java long."""
    assert (await call(bench, DETAIL, {"oid": oid}))["result"] == BAD


async def test_noise_never_breaks_it(bench: Bench) -> None:
    """Whatever stands in a rightly signed param: an answer in the envelope, and no listing below zero."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    names = ["kwaiItemId", "skuId", "skuChangeStock", "changeType", "oid", "beginTime", "endTime", "pageSize", "cursor"]
    names += ["orderViewStatus", "queryType", "sort", "pcursor", "type", "currentPage", "wareOutCode", "idempotentId"]
    values: list[Any] = [
        None,
        True,
        -1,
        0,
        1,
        2,
        50,
        9,
        10**13,
        2**70,
        1.5,
        "",
        "1",
        "x" * 200,
        "\ud800",
        [],
        {},
        "9000001",
        405050285370,
    ]
    for method in [*bench.sandbox._methods] * 15:
        param = {name: chance.choice(values) for name in chance.sample(names, chance.randrange(len(names)))}
        answer = await call(bench, method, param, verb="POST")
        assert answer["result"] in {1, BAD} or answer["result"] >= 120_000
    assert min(bench.shown(key) for key in (CUP, LID, BOX)) >= 0


# ---- limits and faults


async def test_the_days_quota_comes_back(open_bench: OpenBench) -> None:
    """1017 per method for the rest of Beijing's day."""
    clock = Clock()
    clock.stopped = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    bench = await open_bench(KuaishouSettings(calls_per_day_max=2, access_token_seconds=1e6), clock=clock)
    assert [(await call(bench, DETAIL, {"oid": 1}))["result"] for _ in range(4)] == [1, 1, 1017, 1017]
    assert (await call(bench, "open.item.get", {"kwaiItemId": int(CUP.item_id)}))["result"] == 1
    clock.ahead = timedelta(days=1)
    assert (await call(bench, DETAIL, {"oid": 1}))["result"] == 1


async def test_injected_numbers_do_nothing(bench: Bench) -> None:
    """Any number can be asked for, in turn; the call does nothing then."""
    codes = (15, 16, 17, 1016, 802000, 803000, 805000, 806000)
    bench.sandbox.answer_next(UPDATE, *codes)
    results = [(await call(bench, UPDATE, change()))["result"] for _ in range(len(codes) + 1)]
    assert results == [*codes, 1]
    assert bench.shown() == 11


@pytest.mark.parametrize("busy_code", [803000, 805000, 806000])
async def test_busy_before_and_after(open_bench: OpenBench, busy_code: int) -> None:
    """The platform's busy words come before a write was applied, or after."""
    bench = await open_bench(KuaishouSettings(busy_code=busy_code))
    for weather, shown in ((Weather(0, 0, error_before=1), 10), (Weather(0, 0, error_after=1), 11)):
        bench.faults.weather = weather
        assert (await call(bench, UPDATE, change()))["result"] == busy_code
        assert bench.shown() == shown


async def test_a_refusal_can_be_lost_too(bench: Bench) -> None:
    """A refused write in busy weather is answered with the busy words, and a broken front is not HTTP 200."""
    bench.faults.weather = Weather(0, 0, error_after=1)
    assert (await call(bench, UPDATE, change(11, 2)))["result"] == 803000
    bench.faults.weather = Weather(0, 0, bad_gateway=1)
    answer = await bench.client.get(bench.url + "/open/order/detail", params=fields_of(bench, DETAIL, {"oid": 1}))
    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert "date" in answer.headers
    bench.faults.weather = STILL


async def test_the_limit_of_a_second_is_each_methods_own(open_bench: OpenBench) -> None:
    """1016 for a method called too often in a second; others go on, and the next second is free."""
    stopped = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    clock = Clock()
    clock.stopped = stopped
    bench = await open_bench(KuaishouSettings(calls_per_second_max=2), clock=clock)
    assert [(await call(bench, DETAIL, {"oid": 1}))["result"] for _ in range(3)] == [1, 1, 1016]
    assert (await call(bench, "open.item.get", {"kwaiItemId": int(CUP.item_id)}))["result"] == 1
    clock.ahead = timedelta(seconds=1)
    assert (await call(bench, DETAIL, {"oid": 1}))["result"] == 1
