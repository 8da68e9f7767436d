"""The sandbox is strict: it takes calls in every form the platform takes, and refuses what the platform refuses."""

import json
import random
from datetime import timedelta
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest

from connectors.sandbox.faults import Faults
from connectors.sandbox.shop import Shop
from connectors.sandbox.taobao import Refusal, Settings, TaobaoSandbox
from tests.connectors.taobao.caller import call, post, posted, refusal, signature, signed
from tests.connectors.taobao.stand import CUP, MUG_BLUE, MUG_RED, SHOWN, STILL, Stand, a_stand

MOVE = "taobao.item.quantity.update"
SKU = "taobao.item.sku.get"
READ = {"fields": "sku_id,quantity", "sku_id": MUG_RED.platform_sku_id}
EXPECTED = {"sku_id": int(MUG_RED.platform_sku_id), "quantity": SHOWN}


async def test_a_call_in_every_form(stand: Stand) -> None:
    """GET, POST, urlencoded, multipart with and without a file, system parameters in the query: all are one call."""
    client, url = stand.client, stand.url
    for sign_method in ("md5", "hmac", "hmac-sha256"):
        params = signed(stand, SKU, sign_method, **READ)
        system = {name: value for name, value in params.items() if name not in READ}
        files = {name: (None, value) for name, value in params.items()}
        answers = [
            await client.get(url, params=params),
            await client.post(url, params=params),
            await client.post(url, data=params),
            await client.post(url, params=system, data=READ),
            await client.post(url, files=files),
            await client.post(url, params=system, files={name: (None, value) for name, value in READ.items()}),
            # A file is not signed.
            await client.post(url, data=params, files={"picture": ("p.png", b"\x89PNG\xff", "image/png")}),
        ]
        for answer in answers:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/json;charset=UTF-8"
            body = answer.json()["item_sku_get_response"]
            assert body.pop("request_id")
            assert body == {"sku": EXPECTED}


async def test_the_sign_method_is_md5_unless_it_says_so(stand: Stand) -> None:
    """And an empty value is as if it were not there, signed or not."""
    assert "item_sku_get_response" in await post(stand, signed(stand, SKU, "", **READ))
    params = signed(stand, SKU, **READ)
    assert "item_sku_get_response" in await post(stand, {**params, "partner_id": "", "num_iid": ""})


async def test_both_forms_of_a_timestamp(stand: Stand) -> None:
    """`yyyy-MM-dd HH:mm:ss` in Beijing, or milliseconds since 1970; ten minutes off at most."""
    for skew, is_fine in ((0, True), (9, True), (-9, True), (11, False), (-11, False)):
        time = stand.shop.time + timedelta(minutes=skew)
        answer = await call(stand, SKU, **READ, timestamp=str(int(time.timestamp() * 1000)))
        assert ("item_sku_get_response" in answer) == is_fine
        if not is_fine:
            assert answer["error_response"]["code"] == 31


async def test_simplified(stand: Stand) -> None:
    """Without the wrapper of the method and those of the lists."""
    answer = await call(stand, "taobao.item.skus.get", simplify="true", fields="sku_id", num_iids=MUG_RED.item_id)
    assert answer["skus"] == [
        {"sku_id": int(MUG_RED.platform_sku_id)},
        {"sku_id": int(MUG_BLUE.platform_sku_id)},
    ]
    refused = await call(stand, SKU, simplify="true", fields="sku_id", sku_id="404")
    assert refused["error_response"]["code"] == 15


async def test_xml_is_the_default(stand: Stand) -> None:
    """A caller that names no format gets XML, with lists marked as such; errors too."""
    params = signed(stand, "taobao.item.skus.get", format="", fields="sku_id", num_iids=MUG_RED.item_id)
    response = await posted(stand, params)
    assert response.headers["content-type"] == "text/xml;charset=UTF-8"
    root = ET.fromstring(response.text)
    assert root.tag == "item_skus_get_response"
    skus = root.find("skus")
    assert skus is not None
    assert skus.get("list") == "true"
    assert [sku.findtext("sku_id") for sku in skus] == [MUG_RED.platform_sku_id, MUG_BLUE.platform_sku_id]
    error = ET.fromstring((await posted(stand, {"method": "\x00<&>"})).text)
    assert (error.tag, error.findtext("code")) == ("error_response", "28")


@pytest.mark.parametrize("is_get", [False, True])
async def test_every_system_parameter_is_checked(stand: Stand, *, is_get: bool) -> None:
    """Left out, or wrong: its own code, with HTTP 200, and nothing is done."""
    tokens, secret = stand.tokens, stand.credentials.app_secret
    cases: list[tuple[dict[str, str], int, str]] = [
        ({"method": ""}, 21, ""),
        ({"method": "taobao.no.such"}, 22, ""),
        ({"format": "yaml"}, 23, ""),
        ({"app_key": ""}, 28, ""),
        ({"app_key": "1"}, 29, ""),
        ({"timestamp": ""}, 30, ""),
        ({"timestamp": "yesterday"}, 31, ""),
        ({"timestamp": "9" * 40}, 31, ""),
        ({"timestamp": "2020-01-01 00:00:00"}, 31, ""),
        ({"v": ""}, 32, ""),
        ({"v": "1.0"}, 33, ""),
        ({"session": ""}, 26, ""),
        ({"session": "unknown"}, 27, "invalid-sessionkey"),
        ({"session": tokens.refresh_token}, 27, "invalid-sessionkey"),
    ]
    item = {"num_iid": MUG_RED.item_id, "sku_id": MUG_RED.platform_sku_id, "quantity": "1"}
    good = signed(stand, MOVE, **item)
    spoiled: list[tuple[dict[str, str], int, str]] = []
    for change, code, sub_code in cases:
        params = {name: value for name, value in {**good, **change, "format": "json", **change}.items() if value}
        params["sign"] = signature(params, secret, "md5")
        spoiled.append((params, code, sub_code))
    spoiled += [
        ({name: value for name, value in good.items() if name != "sign"}, 24, ""),
        ({**good, "sign": good["sign"].lower()}, 25, ""),
        ({**good, "sign": "中" * 32}, 25, ""),
        ({**good, "sign": signature(good, "another secret", "md5")}, 25, ""),
        ({**good, "sign": signature(good, secret, "hmac")}, 25, ""),
        ({**good, "sign_method": "sha1"}, 25, ""),
        ({**good, "quantity": "2"}, 25, ""),
        ({**good, "outer_id": "slipped in"}, 25, ""),
        ({name: value for name, value in good.items() if name != "quantity"}, 25, ""),
    ]
    for params, code, sub_code in spoiled:
        if is_get:
            response = await stand.client.get(stand.url, params=params)
        else:
            response = await stand.client.post(stand.url, data=params)
        assert response.status_code == 200
        if params.get("format") == "json":
            error = response.json()["error_response"]
            assert (error["code"], error.get("sub_code", "")) == (code, sub_code)
        else:
            assert ET.fromstring(response.text).findtext("code") == str(code)
    assert stand.shown(MUG_RED) == SHOWN
    assert stand.sandbox.calls.get(MOVE, 0) == 3  # those that got as far as their session


async def test_bodies_that_are_none(stand: Stand) -> None:
    """Garbage, bad UTF-8, broken multipart, a thousand fields too many, a megabyte too much: refused, and it lives."""
    form, multipart = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
    bodies = [
        (form, b"\xff\xfe=%ff"),
        (form, b"method=%ff"),
        (form, b"&".join(b"a%d=1" % number for number in range(1001))),
        (form, b"a=" + b"x" * (1024 * 1024)),
        (multipart, b"--y\r\nnonsense"),
        ("multipart/form-data", b"--x--"),
        (multipart, b'--x\r\nContent-Disposition: form-data; name="method"\r\n\r\n\xff\r\n--x--\r\n'),
        ("application/json", b'{"method":"taobao.item.sku.get"}'),
        ("", b"\x00"),
    ]
    for kind, body in bodies:
        response = await stand.client.post(stand.url, content=body, headers={"content-type": kind})
        assert response.status_code == 200
        assert ET.fromstring(response.text).tag == "error_response"
    huge = signed(stand, SKU, **READ, noise="x" * 1024 * 1024)
    assert ET.fromstring((await posted(stand, huge)).text).findtext("code") == "41"
    response = await stand.client.get(stand.url + "?method=%ff")
    assert ET.fromstring(response.text).findtext("code") == "41"
    assert "item_sku_get_response" in await call(stand, SKU, **READ)


async def test_noise_never_breaks_the_sandbox(stand: Stand) -> None:
    """Well-signed calls with senseless values: an answer or a refusal of its own, never a crash."""
    seed = random.SystemRandom().randrange(10**9)
    print(f"{seed=}")
    chance = random.Random(seed)
    names = ["num_iid", "sku_id", "outer_id", "quantity", "type", "skuid_quantities", "outerid_quantities", "item_id"]
    names += ["sku_quantities", "options", "inventory_check", "fields", "num_iids", "page_no", "page_size", "tid"]
    names += ["start_modified", "end_modified", "use_has_next", "refund_id", "group_name", "s_message_ids", "code"]
    values = ["", "0", "-1", "1", "2", "²", "\u0661", "9" * 30, "a:b", "1:1;1:-1", ":", ";", "[]", "{}", "[1]", '{"a']
    values += ["2026-01-02 03:04:05", "0001-01-01 00:00:00", "中", "\x00", MUG_RED.item_id, MUG_RED.platform_sku_id]
    values += [f"{MUG_RED.platform_sku_id}:-99", "num_iid,skus", '[{"quantity":null,"sku_id":[]}]', "[" * 5000, "NaN"]
    values += [
        '{"type":[]}',
        '{"check_mode":2,"detail_list":[{"sub_order_id":"1","quantity":"x"}]}',
        "9999-12-31 23:59:59",
    ]
    methods = [*stand.sandbox._methods, *stand.sandbox._open]
    for _ in range(400):
        params = {name: chance.choice(values) for name in chance.sample(names, chance.randrange(len(names)))}
        answer = await call(stand, chance.choice(methods), **{"fields": "tid,num_iid,orders", **params})
        assert answer
    assert all(display.shown >= 0 for display in stand.shop.displays.values())


async def test_code_seven_has_every_sub_code() -> None:
    """A ban is said in the platform's words, by whichever rule is in force."""
    rules = ("app-access-count", "api-access-count", "app-api-access-count", "dynamic-access-count")
    async with a_stand() as stand:
        for rule in rules:
            sub_code = f"accesscontrol.limited-by-{rule}"
            stand.sandbox.inject(Refusal(7, sub_code))
            assert await refusal(stand, SKU, **READ) == (7, sub_code)
        stand.faults.weather = type(STILL)(0, 0, calls_per_second_max=1, ban_seconds=7)
        await call(stand, SKU, **READ)
        error = (await call(stand, SKU, **READ))["error_response"]
    assert error["msg"] == "App Call Limited"
    assert error["sub_code"] == "accesscontrol.limited-by-api-access-count"
    assert error["sub_msg"] == "This ban will last for 7 more seconds"


async def test_busy_words_are_settings() -> None:
    """Trouble of the platform's own is said with the sub_code that was chosen, after the call was applied or before."""
    async with a_stand(settings=Settings(busy_sub_code="isp.top-remote-connection-timeout")) as stand:
        params = {"num_iid": CUP.item_id, "quantity": "1", "type": "2"}
        for chances, shown in (({"error_before": 1.0}, SHOWN), ({"error_after": 1.0}, SHOWN + 1)):
            stand.faults.weather = type(STILL)(0, 0, **chances)
            assert await refusal(stand, MOVE, **params) == (15, "isp.top-remote-connection-timeout")
            assert stand.shown(CUP) == shown


async def test_a_code_becomes_a_token_once(stand: Stand) -> None:
    """`token_result` is JSON text; the new session works; the code does not work twice."""
    code = stand.sandbox.grants.issue_code()
    method = "taobao.top.auth.token.create"
    answer = await call(stand, method, session="", code=code)
    grant = json.loads(answer["top_auth_token_create_response"]["token_result"])
    assert {"access_token", "refresh_token", "expires_in", "w1_expires_in", "taobao_user_id"} <= grant.keys()
    assert "item_sku_get_response" in await call(stand, SKU, **READ, session=grant["access_token"])
    assert (await refusal(stand, method, session="", code=code))[0] == 15


async def test_the_date_is_the_shops(stand: Stand) -> None:
    """One date, on the shop's clock."""
    stand.shop.skew = timedelta(days=400)
    response = await stand.client.get(stand.url, params=urlencode({"method": "x"}))
    (date,) = response.headers.get_list("date")
    assert str(stand.shop.time.year) in date


def test_a_sandbox_needs_no_loop() -> None:
    """It hears the shop from the beginning; tokens can be had before it serves."""
    shop = Shop()
    sandbox = TaobaoSandbox(shop, Faults(weather=STILL))
    sandbox.push_url = "http://localhost/"
    shop.put_on_sale(CUP, shown=1)
    shop.place({CUP: 1})
    assert sandbox.mailbox.unconfirmed == 1
    assert sandbox.issue_tokens() != sandbox.issue_tokens()
