"""The signatures, against examples that the official SDK and another client agree on, and against a second hand."""

import hashlib
import hmac
import json
import random
from typing import Any

import pytest

from connectors.douyin.signing import SignMethod, canonical, event_sign, method_of, request_sign
from tests.connectors.douyin.rig import SEED

APP_KEY, SECRET = "7123456789012345678", "01234567-89ab-cdef-0123-456789abcdef"
TIMESTAMP = "1767294245"
# Path, parameters, hmac-sha256, md5.
REQUESTS: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "/sku/syncStock",
        {
            "stock_num": 100,
            "sku_id": 1736502463777799,
            "product_id": 3539925204033339668,
            "incremental": False,
            "idempotent_id": "sync-0001",
        },
        "512c7a8d6f007d3f1769ca8fcdbee760f419479687c3fda61fe4b111668775cc",
        "d2abe0761317cf902099a79f0e10c25a",
    ),
    (
        "/sku/syncStockBatch",
        {
            "sku_sync_list": [
                {"stock_num": -3, "sku_type": 0, "sku_id": 1736502463777799},
                {"sku_id": 1736502463777800, "stock_num": 5, "sku_type": 0},
            ],
            "product_id": 3539925204033339668,
            "incremental": True,
            "idempotent_id": "sync-0002",
        },
        "f789806150347f8e3ba4ce3467f85ae9d77e8c08fe5acde3f54430fa5afe9f60",
        "63a64b6e12aa37524aaae4d6dc7a233d",
    ),
]
PROBE = b'[{"tag":"0","msg_id":"0","data":"2026-01-02 03:04:05"}]'


@pytest.mark.parametrize(("path", "params", "by_hmac", "by_md5"), REQUESTS)
def test_requests_are_signed_as_the_official_sdk_does(
    path: str, params: dict[str, Any], by_hmac: str, by_md5: str
) -> None:
    """The examples come out, however the parameters were ordered."""
    for method, expected in ((SignMethod.HMAC_SHA256, by_hmac), (SignMethod.MD5, by_md5)):
        sign = request_sign(
            APP_KEY, SECRET, method=method_of(path), param_json=canonical(params), timestamp=TIMESTAMP, by=method
        )
        assert sign == expected


def test_events_are_signed_as_two_verifiers_do() -> None:
    """The example of a registration probe comes out, both ways."""
    assert event_sign(APP_KEY, SECRET, PROBE) == "61b2d85a852901585088a31930d04df2"
    by_hmac = "2cc6512ec43ec2a0f520963db44aba103d33c9e5f62bb814afecc1a1c00f66da"
    assert event_sign(APP_KEY, SECRET, PROBE, SignMethod.HMAC_SHA256) == by_hmac


def test_canonical_json_is_raw_and_exact() -> None:
    """Keys sorted at every level, no spaces, no escapes but JSON's own, integers to the last digit."""
    params = {"b": [{"z": "<&>", "a": "杯\u2028"}], "a": 9223372036854775807, "c": {}, "B": True, "n": None}
    assert canonical(params).decode() == (
        '{"B":true,"a":9223372036854775807,"b":[{"a":"杯\u2028","z":"<&>"}],"c":{},"n":null}'
    )


def test_a_second_hand_signs_the_same() -> None:
    """Another implementation of the same rule agrees on random requests and events."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for _ in range(300):
        secret = "".join(chance.choices("0123456789abcdef-", k=chance.randint(1, 80)))
        text = "".join(chance.choices('az09"\\<>&杯 \n', k=chance.randint(0, 30)))
        params = {text: text, "n": chance.getrandbits(63), "list": [{"b": text, "a": chance.random() < 0.5}]}
        body, timestamp = canonical(params), str(chance.randint(0, 2**33))
        assert json.loads(body) == params
        mine = second_hand(secret, f"app_key{APP_KEY}methoda.bparam_json{body.decode()}timestamp{timestamp}v2")
        theirs = [
            request_sign(APP_KEY, secret, method="a.b", param_json=body, timestamp=timestamp, by=by)
            for by in (SignMethod.HMAC_SHA256, SignMethod.MD5)
        ]
        assert theirs == mine
        assert (
            event_sign(APP_KEY, secret, body) == hashlib.md5(f"{APP_KEY}{body.decode()}{secret}".encode()).hexdigest()
        )


def second_hand(secret: str, pattern: str) -> list[str]:
    """The HMAC by its definition (RFC 2104), and the MD5, of the wrapped pattern."""
    wrapped = f"{secret}{pattern}{secret}".encode()
    key = secret.encode() if len(secret) <= 64 else hashlib.sha256(secret.encode()).digest()
    inner, outer = (bytes(byte ^ pad for byte in key.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    by_hmac = hashlib.sha256(outer + hashlib.sha256(inner + wrapped).digest()).hexdigest()
    assert hmac.compare_digest(by_hmac, hmac.digest(secret.encode(), wrapped, "sha256").hex())
    return [by_hmac, hashlib.md5(wrapped).hexdigest()]
