"""A caller of its own: signs from the document's text, knows nothing of the connector's code."""

import hashlib
import hmac
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx

from tests.connectors.taobao.stand import Stand

BEIJING = timezone(timedelta(hours=8))


def signature(params: dict[str, str], secret: str, method: str) -> str:
    """Sorted by name, `namevalue` joined; MD5 between two secrets, or an HMAC; upper-case hex."""
    text = ""
    for name in sorted(params):
        if name != "sign" and name and params[name]:
            text += name + params[name]
    if method == "md5":
        return hashlib.md5(f"{secret}{text}{secret}".encode()).hexdigest().upper()
    digest = {"hmac": "md5", "hmac-sha256": "sha256"}[method]
    return hmac.HMAC(secret.encode(), text.encode(), digest).hexdigest().upper()


def signed(stand: Stand, method: str, sign_method: str = "md5", **params: str) -> dict[str, str]:
    """Every parameter of a call as it should be; one given as "" is left out before signing."""
    now = stand.shop.time.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
    every = {
        "method": method,
        "app_key": stand.credentials.app_key,
        "session": stand.tokens.access_token,
        "timestamp": now,
        "format": "json",
        "v": "2.0",
        "sign_method": sign_method,
        **params,
    }
    every = {name: value for name, value in every.items() if value}
    every["sign"] = signature(every, stand.credentials.app_secret, every.get("sign_method", "md5"))
    return every


async def post(stand: Stand, params: dict[str, str]) -> Any:
    """The answer to a form."""
    return (await posted(stand, params)).json()


async def posted(stand: Stand, params: dict[str, str]) -> httpx.Response:
    """The same, whole; it is always HTTP 200."""
    response = await stand.client.post(stand.url, data=params)
    assert response.status_code == 200
    return response


async def call(stand: Stand, method: str, sign_method: str = "md5", **params: str) -> Any:
    """Call a method; the answer is decoded."""
    return await post(stand, signed(stand, method, sign_method, **params))


async def refusal(stand: Stand, method: str, sign_method: str = "md5", **params: str) -> tuple[int, str]:
    """Call a method that is refused: the code and the sub_code."""
    error = (await call(stand, method, sign_method, **params))["error_response"]
    assert error["request_id"]
    assert error["msg"]
    return error["code"], error.get("sub_code", "")


def time_of(moment: datetime) -> str:
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
