"""Signatures are the platform's: the official sample, vectors, and an independent signer."""

import random

import pytest

from connectors.taobao.signing import SignMethod, sign
from tests.connectors.taobao.caller import signature

SECRET = "topsecret0123456789abcdef0123456"
SET_ONE = {
    "method": "taobao.item.quantity.update",
    "app_key": "12345678",
    "session": "test-session-1",
    "timestamp": "2026-01-02 03:04:05",
    "format": "json",
    "v": "2.0",
    "num_iid": "3838293428",
    "sku_id": "1230005",
    "quantity": "100",
    "type": "1",
}
MOVE_MANY = {
    "method": "taobao.skus.quantity.update",
    "app_key": "12345678",
    "session": "test-session-1",
    "timestamp": "2026-01-02 03:04:05",
    "format": "json",
    "v": "2.0",
    "num_iid": "3838293428",
    "skuid_quantities": "123:1;234:2;345:3",
    "type": "2",
}
OFFICIAL = {
    "method": "taobao.item.seller.get",
    "app_key": "12345678",
    "session": "test",
    "timestamp": "2016-01-01 12:00:00",
    "format": "json",
    "v": "2.0",
    "fields": "num_iid,title,nick,price,num",
    "num_iid": "11223344",
}


@pytest.mark.parametrize(
    ("params", "secret", "method", "expected"),
    [
        (SET_ONE, SECRET, "md5", "E28E63B6B0C6A85D670C45FC9C35B225"),
        (SET_ONE, SECRET, "hmac", "08A38A977E818EC590559BFB94DFEBD4"),
        (SET_ONE, SECRET, "hmac-sha256", "2E58A111268C333D4B6F4CF92BFAE1739B4116A719BE5A57F421BE2732F844D7"),
        (MOVE_MANY, SECRET, "md5", "CF1180A78BB30BBFF00B7E9792C01ECA"),
        (MOVE_MANY, SECRET, "hmac", "CCD439ABC07861501ECFCD64B5D9FECE"),
        (MOVE_MANY, SECRET, "hmac-sha256", "6940264161AC1A7630A57067FDBFC12FDDE970C0B9CDEDC0EA0A5EED692C2371"),
        (OFFICIAL, "helloworld", "md5", "66987CB115214E59E6EC978214934FB8"),
        (OFFICIAL, "helloworld", "hmac", "D56D7858309C31B6251083A874D48273"),
        (OFFICIAL, "helloworld", "hmac-sha256", "04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8"),
    ],
)
def test_known_signatures(params: dict[str, str], secret: str, method: str, expected: str) -> None:
    """The platform's own sample and two more calls, by every method."""
    assert sign({**params, "sign_method": method}, secret, SignMethod(method)) == expected


def test_the_message_channel_signs_three_names() -> None:
    """CONNECT is signed by MD5 over the app key, the group and the time in milliseconds."""
    params = {"app_key": "12345678", "group_name": "default", "timestamp": "1767294245000"}
    assert sign(params, SECRET, SignMethod.MD5) == "CC62717FA877C34B964D6E0408ECE1AC"


@pytest.mark.parametrize("method", list(SignMethod))
def test_an_independent_signer_agrees(method: SignMethod) -> None:
    """On names and values of all kinds: empty ones, Chinese, spaces, and what a URL would escape."""
    seed = random.SystemRandom().randrange(10**9)
    print(f"{seed=}")
    chance = random.Random(seed)
    letters = "abcXYZ019_-. &=+%;:/中文库存é\U0001f600"
    for _ in range(200):
        params = {
            "".join(chance.choices(letters, k=chance.randrange(6))): "".join(
                chance.choices(letters, k=chance.randrange(8))
            )
            for _ in range(chance.randrange(10))
        }
        assert sign(params, SECRET, method) == signature(params, SECRET, method.value)


def test_what_is_not_signed() -> None:
    """The signature itself, and whatever has no name or no value."""
    spoiled = {**SET_ONE, "sign": "X", "outer_id": "", "": "value"}
    assert sign(spoiled, SECRET, SignMethod.HMAC) == sign(SET_ONE, SECRET, SignMethod.HMAC)


def test_a_raw_body_is_signed_behind_the_parameters() -> None:
    """A body that is no form follows the parameters, before the hash."""
    joined = sign({"a": "1", "b": "{}"}, SECRET, SignMethod.HMAC_SHA256)
    assert sign({"a": "1"}, SECRET, SignMethod.HMAC_SHA256, body="b{}") == joined
