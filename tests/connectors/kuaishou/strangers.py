"""A third-party client of Kuaishou's open platform, written from its documentation and from nothing of ours."""

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx

from tests.connectors.kuaishou.conftest import CUP, Bench


def sign_of(fields: dict[str, str], secret: str) -> str:
    """The official page: sort, join `k=v` with `&`, append the secret; lower hex of MD5, or Base64 of HMAC-SHA256."""
    text = ""
    for name, value in sorted(fields.items()):
        text += f"{name}={value}&"
    text += "signSecret=" + secret
    if fields["signMethod"] == "MD5":
        return hashlib.new("md5", text.encode("utf-8")).hexdigest()
    digest = hmac.new(bytes(secret, "utf-8"), bytes(text, "utf-8"), digestmod=hashlib.sha256).digest()
    return str(base64.b64encode(digest), "ascii")


def fields_of(bench: Bench, method: str, param: object, **others: str) -> dict[str, str]:
    """Signed parameters; `others` replace some before the signing, and `sign` after it."""
    sign = others.pop("sign", None)
    fields = {
        "appkey": bench.sandbox.settings.app_key,
        "method": method,
        "version": "1",
        "param": param if isinstance(param, str) else json.dumps(param),
        "access_token": bench.tokens.access_token,
        "timestamp": str(int(bench.shop.time.timestamp() * 1000)),
        "signMethod": "HMAC_SHA256",
        **others,
    }
    return {**fields, "sign": sign or sign_of(fields, bench.sandbox.settings.sign_secret)}


async def call(bench: Bench, method: str, param: object, *, verb: str = "GET", **others: str) -> dict[str, Any]:
    """The envelope that a call brings; everything in the query of a GET and in the body of a POST."""
    fields = fields_of(bench, method, param, **others)
    url = f"{bench.url}/{method.replace('.', '/')}"
    placed: dict[str, Any] = {"params": fields} if verb == "GET" else {"data": fields}
    return envelope_of(await bench.client.request(verb, url, **placed))


def envelope_of(response: httpx.Response) -> dict[str, Any]:
    """The answer, after a look at what every answer has."""
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    envelope = response.json()
    assert isinstance(envelope, dict)
    assert type(envelope["result"]) is int
    assert envelope["code"] == str(envelope["result"])
    assert {"msg", "sub_code", "sub_msg", "error_msg", "data", "request_id"} <= envelope.keys()
    return envelope


def change(units: object = 1, kind: object = 1, **others: object) -> dict[str, object]:
    """The param of a change of CUP's stock."""
    ids = {"kwaiItemId": int(CUP.item_id), "skuId": int(CUP.platform_sku_id)}
    return {**ids, "skuChangeStock": units, "changeType": kind, **others}


def listing(bench: Bench, **others: object) -> dict[str, object]:
    """The param of an order list over the last hour."""
    now = int(bench.shop.time.timestamp() * 1000)
    span = {"beginTime": now - 3_600_000, "endTime": now + 1000}
    return {
        "orderViewStatus": 1,
        "pageSize": 50,
        "sort": 2,
        "queryType": 2,
        "cpsType": 0,
        "cursor": "",
        **span,
        **others,
    }


def refund_listing(bench: Bench, **others: object) -> dict[str, object]:
    """The param of a refund list over the last hour."""
    fields = listing(bench)
    span = {name: fields[name] for name in ("beginTime", "endTime")}
    return {"type": 9, "pageSize": 100, "currentPage": 1, "pcursor": "", "sort": 2, "queryType": 2, **span, **others}
