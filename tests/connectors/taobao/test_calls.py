"""One call and what came back: every error is the decision it should be, and no secret is ever said."""

import asyncio
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.base import Applied, Change, Tokens
from connectors.errors import (
    AuthExpired,
    BelowZero,
    ConnectorError,
    Misunderstood,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Transient,
)
from connectors.sandbox.serving import serving
from connectors.sandbox.shop import Shop
from connectors.sandbox.taobao import Refusal, Settings
from connectors.taobao import Credentials, Taobao
from connectors.taobao.codes import error_of, error_of_lowering
from connectors.transport import Transport
from tests.connectors.taobao.stand import CUP, LIMITS, MUG_RED, PLAIN, SHOWN, STILL, HandClock, Stand, a_stand

NOON = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)  # in Beijing
UP = Change(MUG_RED, 1, "a")


@pytest.mark.parametrize(
    ("code", "sub_code", "kind"),
    [
        (7, "", Throttled),
        (7, "accesscontrol.limited-by-app-access-count", Throttled),
        (7, "accesscontrol.limited-by-api-access-count", Throttled),
        (7, "accesscontrol.limited-by-app-api-access-count", Throttled),
        (7, "accesscontrol.limited-by-dynamic-access-count", Throttled),
        (10, "", OutcomeUnknown),
        (15, "isp.remote-service-error", OutcomeUnknown),
        (15, "isp.remote-service-timeout", OutcomeUnknown),
        (15, "isp.top-remote-connection-timeout-tmall", OutcomeUnknown),
        (50, "isp.system-busy", OutcomeUnknown),
        (15, "isp.never-heard-of", OutcomeUnknown),
        (15, "isv.never-heard-of", Rejected),
        (50, "isv.invalid-permission", Rejected),
        (15, "", Rejected),
        (26, "", AuthExpired),
        (27, "", AuthExpired),
        (27, "invalid-sessionkey", AuthExpired),
        (15, "isv.session-expired", AuthExpired),
        (15, "session-not-exist", AuthExpired),
        (31, "", Transient),
        *((code, "", Rejected) for code in (9, 11, 12, 13, 21, 22, 23, 24, 25, 28, 29, 30, 32, 33, 34)),
        *((code, "", Rejected) for code in (40, 41, 42, 43, 53, 0, -1, 999)),
    ],
)
def test_what_every_code_means(code: int, sub_code: str, kind: type[ConnectorError]) -> None:
    """The gateway's number, or where a service refused, its sub_code; what is unknown is `Rejected`."""
    error = error_of(code, sub_code, "words", NOON)
    assert type(error) is kind
    assert error.code == (sub_code or str(code))


@pytest.mark.parametrize(
    ("sub_code", "words", "seconds"),
    [
        ("accesscontrol.limited-by-api-access-count", "This ban will last for 37 more seconds", 37),
        ("accesscontrol.limited-by-api-access-count", "This ban will last for 1 more seconds", 1),
        ("accesscontrol.limited-by-api-access-count", "", None),
        ("accesscontrol.limited-by-app-access-count", "", 12 * 3600),
        ("accesscontrol.limited-by-app-api-access-count", "", 12 * 3600),
        ("accesscontrol.limited-by-dynamic-access-count", "", None),
    ],
)
def test_how_long_a_ban_lasts(sub_code: str, words: str, seconds: float | None) -> None:
    """As long as it says; a day's quota until midnight in Beijing."""
    error = error_of(7, sub_code, words, NOON)
    assert isinstance(error, Throttled)
    assert error.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("sub_code", "words", "is_below"),
    [
        ("isv.invalid-parameter:quantity", "", True),
        ("isv.invalid-parameter:quantity-tmall", "", True),
        ("isv.error-inventory-invalid-item-quantity-tmall", "", True),
        ("isv.something", "编辑库存数不能低于预扣库存数", True),
        ("isv.item-is-delete:invalid-numIid-or-iid", "", False),
        ("isp.system-busy", "", False),
    ],
)
def test_which_refusals_of_a_lowering_mean_too_few(sub_code: str, words: str, *, is_below: bool) -> None:
    assert isinstance(error_of_lowering(error_of(15, sub_code, words, NOON)), BelowZero) == is_below


async def test_a_ban_is_held(stand: Stand) -> None:
    """The platform says for how long; whoever calls meanwhile is told again."""
    stand.faults.weather = replace(STILL, calls_per_second_max=1, ban_seconds=30)
    await stand.platform.change(UP)
    for _ in range(2):
        with pytest.raises(Throttled, match="ban will last") as caught:
            await stand.another().change(UP)
        assert caught.value.retry_after_seconds == 30
    assert stand.shown(MUG_RED) == SHOWN + 1


async def test_a_spent_quota_lasts_until_tomorrow() -> None:
    """The app's calls of a day; the next day in Beijing they are there again."""
    clock = HandClock()
    clock.time = clock.time.replace(hour=12, minute=0) + timedelta(days=30)  # eight in the evening there
    settings = Settings(daily_calls_max=1, access_lifetime=timedelta(days=9))
    async with a_stand(settings=settings, shop=Shop(now=clock)) as stand:
        await stand.platform.order("1")
        with pytest.raises(Throttled) as caught:
            await stand.another().order("1")
        seconds = caught.value.retry_after_seconds
        assert seconds is not None
        assert 3.9 * 3600 < seconds <= 4 * 3600
        clock.pass_by(seconds=seconds + 2)
        assert await stand.another().order("1") is None


async def test_a_dead_token_is_refreshed_once(stand: Stand) -> None:
    """A dead session is `AuthExpired`; new tokens work after `use`, the old refresh token no more after its time."""
    stand.sandbox.grants.revoke_all()
    with pytest.raises(AuthExpired):
        await stand.platform.change(UP)
    tokens = await stand.platform.refresh(stand.tokens)
    assert tokens.access_token != stand.tokens.access_token
    assert tokens.refresh_token != stand.tokens.refresh_token
    assert tokens.expire_time is not None
    assert abs(tokens.expire_time - stand.shop.time - timedelta(days=1)) < timedelta(minutes=1)
    with pytest.raises(AuthExpired):
        await stand.platform.change(UP)
    stand.platform.use(tokens)
    assert await stand.platform.change(UP) == Applied(1, SHOWN + 1)
    # The answer to a refresh may have been lost: asked again at once, it is the same.
    assert (await stand.platform.refresh(stand.tokens)).access_token == tokens.access_token


async def test_tokens_live_so_long_and_rotate() -> None:
    """A token dies at its time; a refresh token that was used is dead when its repetition is no longer allowed."""
    clock = HandClock()
    async with a_stand(shop=Shop(now=clock)) as stand:
        assert await stand.platform.order("1") is None
        clock.pass_by(days=1, seconds=1)
        with pytest.raises(AuthExpired):
            await stand.platform.order("1")
        tokens = await stand.platform.refresh(stand.tokens)
        clock.pass_by(minutes=6)
        with pytest.raises(AuthExpired):
            await stand.platform.refresh(stand.tokens)
        stand.platform.use(tokens)
        assert await stand.platform.order("1") is None


async def test_a_refresh_ends_the_old_token(stand: Stand) -> None:
    """Whoever goes on with it is told that it is dead."""
    await stand.platform.refresh(stand.tokens)
    with pytest.raises(AuthExpired):
        await stand.platform.change(UP)


async def test_what_cannot_be_refreshed() -> None:
    """No refresh token, a taken-back grant, and an app that holds a token of fixed length."""
    async with a_stand() as stand:
        with pytest.raises(AuthExpired):
            await stand.platform.refresh(Tokens("only-access"))
        stand.sandbox.grants.forget_all()
        with pytest.raises(AuthExpired):
            await stand.platform.refresh(stand.tokens)
    async with a_stand(settings=Settings(may_refresh=False)) as stand:
        with pytest.raises(AuthExpired):
            await stand.platform.refresh(stand.tokens)
    async with a_stand(settings=Settings(refresh_rotates=False)) as stand:
        again = await stand.platform.refresh(stand.tokens)
        assert again.refresh_token == stand.tokens.refresh_token
        assert (await stand.platform.refresh(again)).access_token != again.access_token


@pytest.mark.parametrize(("skew", "retries"), [(timedelta(minutes=9), 0), (timedelta(hours=-3), 1)])
async def test_a_clock_that_is_wrong(stand: Stand, skew: timedelta, retries: int) -> None:
    """Ten minutes are forgiven; more is refused once, and the call goes again by the platform's clock."""
    stand.shop.skew = skew
    assert await stand.platform.change(UP) == Applied(1, SHOWN + 1)
    assert stand.transport.retries == retries


async def test_a_clock_that_cannot_be_set(stand: Stand) -> None:
    """Refused a second time, it is not tried for ever."""
    stand.sandbox.inject(Refusal(31), times=9)
    with pytest.raises(Rejected):
        await stand.platform.change(UP)
    assert stand.transport.calls == 2


async def test_wrong_credentials_are_rejected(stand: Stand) -> None:
    """A wrong secret and a wrong app; neither is told to anybody."""
    for credentials in (
        replace(stand.credentials, app_secret="my-wrong-secret"),
        replace(stand.credentials, app_key="87654321"),
    ):
        with pytest.raises(Rejected) as caught:
            await stand.another(credentials).change(UP)
        assert "my-wrong-secret" not in "".join(traceback.format_exception(caught.value))


async def test_no_platform_is_transient(stand: Stand) -> None:
    """Nothing listens there: nothing of the call has left."""
    platform = stand.another(replace(stand.credentials, base_url="http://127.0.0.1:1"))
    with pytest.raises(Transient):
        await platform.change(UP)


async def test_secrets_stay_secret(stand: Stand) -> None:
    """A platform that quotes the token in its refusal is not quoted."""
    token = stand.tokens.access_token
    stand.sandbox.inject(Refusal(27, "invalid-sessionkey", f"session {token} is dead"))
    with pytest.raises(AuthExpired) as caught:
        await stand.platform.change(UP)
    assert token not in "".join(traceback.format_exception(caught.value))
    assert stand.credentials.app_secret not in repr(stand.credentials)


ITEM = (
    '{"item_quantity_update_response":{"item":{"num_iid":1,"skus":{"sku":'
    '[{"sku_id":9007199254740993101,"quantity":%s}]}}}}'
)
TRADE = (
    '{"trade_fullinfo_get_response":{"trade":{"tid":%s,"status":"TRADE_FINISHED",'
    '"created":"%s","modified":"%s","orders":{}}}}'
)
TIME = "2026-01-02 03:04:05"
BAD_CHANGES = [
    b"",
    b"<html>hello</html>",
    b"null",
    b"[]",
    b"{}",
    b'{"item_quantity_update_response":{}}',
    b'{"skus_quantity_update_response":{"item":{}}}',
    b'{"error_response":7}',
    b'{"error_response":{"code":"many"}}',
    (ITEM % "1.5").encode(),
    (ITEM % '"some"').encode(),
    (ITEM % "5").encode()[:-3],
    (ITEM % "5").encode("utf-16"),
    b"[" * 100_000,
    b"\xff\xfe\x00",
]
BAD_ORDERS = [
    (TRADE % ("1.5", TIME, TIME)).encode(),
    (TRADE % ("1e18", TIME, TIME)).encode(),
    (TRADE % ("1", "yesterday", TIME)).encode(),
    (TRADE % ("1", TIME, "")).encode(),
    (TRADE % ("1", TIME, "2026-02-30 00:00:00")).encode(),
]
GOOD = [
    (ITEM % "5", Applied(1, 5)),
    (ITEM % '"5"', Applied(1, 5)),
    ('{"item_quantity_update_response":{"item":{}}}', Applied(1)),
]


async def test_an_answer_that_is_none_is_misunderstood() -> None:
    """Garbage of all kinds, floats for numbers, half an answer, times that are none; what is right is read."""
    answers: list[tuple[int, bytes]] = []

    async def answer(_: Request) -> Response:
        status, body = answers[0]
        return Response(body, status, media_type="application/json")

    app = Starlette(routes=[Route("/router/rest", answer, methods=["POST"])])
    async with serving(app) as address, httpx.AsyncClient(verify=PLAIN) as client:
        platform = Taobao(Transport(client, LIMITS), Credentials("1", "s", f"http://{address}"), Tokens("token"))
        for body in BAD_CHANGES:
            answers[:] = [(200, body)]
            with pytest.raises(Misunderstood):
                await platform.change(UP)
        for body in BAD_ORDERS:
            answers[:] = [(200, body)]
            with pytest.raises(Misunderstood) as caught:
                await platform.order("1")
            assert caught.value.body == b""  # it may name a buyer
        for status in (302, 404, 429):
            answers[:] = [(status, b"no")]
            with pytest.raises(Misunderstood) as caught:
                await platform.change(UP)
            assert caught.value.body == b"no"
        for text, expected in GOOD:
            answers[:] = [(200, text.encode())]
            assert await platform.change(UP) == expected


async def test_a_stormy_day_adds_up() -> None:
    """In harsh weather the shelf is where the booked changes say, give or take those whose outcome is unknown."""
    async with a_stand() as stand:
        stand.shop.edit_by_hand(CUP, 1000)
        stand.faults.weather = replace(STILL, error_before=0.15, error_after=0.15, bad_gateway=0.1)
        changes = [Change(CUP, units, str(units)) for units in (3, -2, 5, -7, 11, -13) * 20]
        results = await asyncio.gather(*(stand.platform.change(one) for one in changes), return_exceptions=True)
        booked = sum(one.units or 0 for one in results if isinstance(one, Applied))
        unknown = [
            change.units for change, result in zip(changes, results, strict=True) if isinstance(result, OutcomeUnknown)
        ]
        assert all(isinstance(one, Applied | OutcomeUnknown) for one in results)
        assert unknown
        least = 1000 + booked + sum(units for units in unknown if units < 0)
        most = 1000 + booked + sum(units for units in unknown if units > 0)
        assert least <= stand.shown(CUP) <= most
        assert stand.transport.retries == 0
