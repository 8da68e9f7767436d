"""Grants: how tokens are had, changed and lost, and what the connector says when they are dead."""

from datetime import timedelta

import pytest

from connectors.base import Tokens
from connectors.douyin import Douyin
from connectors.errors import AuthExpired, ConnectorError, Transient
from connectors.sandbox.douyin import DouyinSettings
from tests.connectors.douyin.rig import CUP, Rig, change, rigged
from tests.connectors.douyin.test_gate import Stranger


async def test_an_expired_token_is_renewed_and_the_call_goes_through(rig: Rig) -> None:
    """A dead access token is `AuthExpired`; with what `refresh` gives, the call is made once."""
    rig.sandbox.grants.expire()
    with pytest.raises(AuthExpired) as caught:
        await rig.douyin.change(change(2))
    assert caught.value.code == "isv.access-token-expired"
    old = rig.douyin._caller.tokens
    new = await rig.douyin.refresh(old)
    assert new.expire_time is not None
    assert abs(new.expire_time - rig.clock.time - timedelta(days=7)) < timedelta(seconds=10)
    assert not {new.access_token, new.refresh_token} & {old.access_token, old.refresh_token}
    rig.douyin.use(new)
    await rig.douyin.change(change(2))
    assert rig.shown() == 12


async def test_a_refresh_ends_the_old_tokens() -> None:
    """After a refresh the old access token is dead at once, the old refresh token after a moment of grace."""
    async with rigged(DouyinSettings(refresh_grace_seconds=30)) as rig:
        old = rig.douyin._caller.tokens
        await rig.douyin.refresh(old)
        with pytest.raises(AuthExpired):
            await rig.douyin.read([CUP])
        rig.clock.move(29)
        await rig.douyin.refresh(old)
        rig.clock.move(2)
        with pytest.raises(AuthExpired):
            await rig.douyin.refresh(old)


async def test_tokens_live_as_long_as_they_say(rig: Rig) -> None:
    """Seven days for the access token; a refresh token that is older than fourteen is over."""
    tokens = rig.douyin._caller.tokens
    rig.clock.move(7 * 86400)
    await rig.douyin.change(change(1))
    rig.clock.move(1)
    with pytest.raises(AuthExpired):
        await rig.douyin.change(change(1, "later"))
    rig.clock.move(7 * 86400)
    with pytest.raises(AuthExpired):
        await rig.douyin.refresh(tokens)


async def test_a_grant_that_was_taken_back_is_over(rig: Rig) -> None:
    """No call and no refresh works; both say `AuthExpired`."""
    rig.sandbox.grants.revoke()
    with pytest.raises(AuthExpired):
        await rig.douyin.order("1")
    for tokens in (rig.douyin._caller.tokens, Tokens("x", "never given"), Tokens("x")):
        with pytest.raises(AuthExpired):
            await rig.douyin.refresh(tokens)


async def test_a_refresh_whose_answer_is_lost_may_be_tried_again(rig: Rig) -> None:
    """The first tokens are gone, the second are good."""
    rig.sandbox.inject("/token/refresh", 20001, is_applied=True)
    rig.douyin.use(await rig.douyin.refresh(rig.douyin._caller.tokens))
    await rig.douyin.change(change(1))
    assert rig.shown() == 11


async def test_a_wrong_secret_says_so_and_does_not_show_it(rig: Rig) -> None:
    """A refused signature is no reason to refresh, and neither secret nor token stands in an error."""
    credentials = type(rig.credentials)(rig.credentials.app_key, "a-very-secret-word", rig.credentials.base_url)
    stranger = Douyin(rig.transport, credentials, Tokens("a-very-secret-token"))
    with pytest.raises(ConnectorError) as caught:
        await stranger.change(change(1))
    assert caught.value.code == "isv.signature-invalid"
    assert "a-very-secret" not in repr(caught.value) + str(caught.value) + repr(credentials)


async def test_a_wrong_clock_is_put_right_by_the_platforms(rig: Rig) -> None:
    """Every answer states the platform's time, so the second try is in time."""
    rig.clock.move(86400)
    await rig.douyin.change(change(1))
    assert rig.shown() == 11
    assert rig.transport.retries == 1
    rig.sandbox.inject("/order/orderDetail", 40003, "isv.timestamp-invalid")
    rig.sandbox.inject("/order/orderDetail", 40003, "isv.timestamp-invalid")
    rig.sandbox.inject("/order/orderDetail", 40003, "isv.timestamp-invalid")
    with pytest.raises(Transient):
        await rig.douyin.order("1")


async def test_tokens_are_created_for_both_kinds_of_application(rig: Rig) -> None:
    """By the shop's id for the seller's own application; by a code that is good once for others."""
    stranger = Stranger(rig)
    shop_id = rig.sandbox.settings.shop_id
    own = {"code": "", "grant_type": "authorization_self"}
    for params in (own | {"shop_id": int(shop_id)}, own | {"test_shop": "1"}):
        data = (await stranger.call("/token/create", params))["data"]
        assert data["shop_id"] == shop_id
        assert data["expires_in"] == 7 * 86400
        rig.douyin.use(Tokens(data["access_token"], data["refresh_token"]))
        assert (await rig.douyin.order("1")) is None
    code = {"code": rig.sandbox.grants.authorise(), "grant_type": "authorization_code"}
    assert await stranger.code("/token/create", code) == (10000, "")
    late = {"code": rig.sandbox.grants.authorise(), "grant_type": "authorization_code"}
    rig.clock.move(601)
    for params in (code, late, own, {"grant_type": "love"}, own | {"shop_id": 5}):
        assert (await stranger.code("/token/create", params))[0] == 50001
