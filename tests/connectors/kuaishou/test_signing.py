"""Signatures, against vectors that two independent clients confirmed and against a stranger's implementation."""

import base64
import random

import httpx
import pytest

from connectors.errors import Rejected
from connectors.kuaishou import Credentials, Kuaishou, SignMethod
from connectors.kuaishou.signing import sign
from tests.connectors.kuaishou.conftest import Bench
from tests.connectors.kuaishou.strangers import sign_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIGN_SECRET = "signsecret0123456789abcdef012345"
UPDATE = '{"changeType":1,"kwaiItemId":405050285370,"skuChangeStock":5,"skuId":9000001}'
CURSOR_LIST = (
    '{"beginTime":1767290645000,"cpsType":0,"cursor":"","endTime":1767294245000,'
    '"orderViewStatus":1,"pageSize":50,"queryType":2,"sort":2}'
)
# Each is a method, its param, a signMethod and the sign.
VECTORS = [
    ("open.item.sku.stock.update", UPDATE, "MD5", "f66d8cf7ddace99f4bae9badc4165558"),
    ("open.item.sku.stock.update", UPDATE, "HMAC_SHA256", "yAsyKgvMTb4gY8dFi4hYYhvhynv3Gz3EGxxoZKMioTg="),
    ("open.order.cursor.list", CURSOR_LIST, "MD5", "749a09318fa6a534f27f5bb921f51a00"),
    ("open.order.cursor.list", CURSOR_LIST, "HMAC_SHA256", "OZ2yxkEAAgQ5WtAYnO0Dscs897Uaa8u/smwQYI31UTk="),
]


@pytest.mark.parametrize(("method", "param", "sign_method", "expected"), VECTORS)
async def test_vectors(method: str, param: str, sign_method: str, expected: str) -> None:
    """Both methods sign as Kuaishou's demo and an independent client do."""
    params = {
        "access_token": "test-token-1",
        "appkey": "ks700000000000000001",
        "method": method,
        "param": param,
        "timestamp": "1767294245000",
        "version": "1",
        "signMethod": sign_method,
    }
    assert sign(params, SIGN_SECRET) == expected
    assert sign({**params, "sign": "not signed itself"}, SIGN_SECRET) == expected
    assert sign_of(params, SIGN_SECRET) == expected


async def test_a_stranger_signs_alike() -> None:
    """Whatever the values (Chinese, emptiness, `&`, `=`, line ends), an implementation of its own agrees."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    letters = "aZ09&=+%/ \n\"'{}\\库存\u00e9\U0001f600"
    for _ in range(300):
        params = {
            name: "".join(chance.choices(letters, k=chance.randrange(12)))
            for name in chance.sample(["access_token", "appkey", "method", "param", "timestamp", "version"], 4)
        }
        params["signMethod"] = chance.choice(["MD5", "HMAC_SHA256"])
        secret = "".join(chance.choices("abc012", k=32))
        assert sign(params, secret) == sign_of(params, secret)


async def test_hmac_is_the_default_and_md5_works(bench: Bench) -> None:
    """The sandbox takes the connector's calls by either method; the advised one is the default."""
    assert bench.credentials.sign_method is SignMethod.HMAC_SHA256
    for method in SignMethod:
        credentials = Credentials(**{**vars(bench.credentials), "sign_method": method})
        assert await Kuaishou(bench.transport, credentials, bench.tokens).order("1") is None


async def test_another_secret_is_refused(bench: Bench) -> None:
    """A call signed with anything but the sign secret is refused; the app secret does not sign."""
    for secret in ("", "x", bench.credentials.app_secret, bench.credentials.message_secret):
        credentials = Credentials(**{**vars(bench.credentials), "sign_secret": secret})
        with pytest.raises(Rejected) as caught:
            await Kuaishou(bench.transport, credentials, bench.tokens).order("1")
        assert caught.value.code == "27"


async def test_what_is_signed_is_what_is_sent(bench: Bench) -> None:
    """The sign of a request, checked over the bytes as they leave: a GET's query, a POST's body; ids are digits."""
    requests = bench.kuaishou._requests
    for verb in ("GET", "POST"):
        built = requests._build(verb, "open.order.detail", {"oid": 9_007_199_254_740_993, "note": "库存 +/="})
        text = built.url.query if verb == "GET" else built.content
        fields = dict(httpx.QueryParams(text.decode()))
        assert fields.pop("sign") == sign_of(fields, bench.credentials.sign_secret)
        assert '"oid":9007199254740993' in fields["param"]
        assert built.url.path == "/open/order/detail"


async def test_secrets_do_not_show(bench: Bench) -> None:
    """No secret stands in the credentials' text, nor any token in an error that quotes one."""
    text = repr(bench.credentials)
    for secret in (
        bench.credentials.app_secret,
        bench.credentials.sign_secret,
        bench.credentials.message_secret,
    ):
        assert secret not in text
    words = f"token {bench.tokens.access_token} of {bench.credentials.app_secret} is wrong"
    error = bench.kuaishou._requests.refused("open.order.detail", 27, words, writes=False)
    assert bench.tokens.access_token not in str(error)
    assert bench.credentials.app_secret not in str(error)
    assert base64.b64decode(bench.credentials.message_secret) == bytes(range(16))
