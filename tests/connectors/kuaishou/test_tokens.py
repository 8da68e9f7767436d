"""Tokens: how the sandbox grants and rotates them, and how the connector follows."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.base import Tokens
from connectors.errors import AuthExpired, Misunderstood, OutcomeUnknown, Rejected
from connectors.kuaishou import Credentials, Kuaishou
from connectors.sandbox.faults import Weather
from connectors.sandbox.kuaishou import KuaishouSettings
from tests.connectors.kuaishou.conftest import STILL, Bench, Clock, OpenBench

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def oauth(bench: Bench, path: str, verb: str = "POST", **form: str) -> dict[str, Any]:
    """What an OAuth endpoint answers."""
    settings = bench.sandbox.settings
    fields = {"app_id": settings.app_key, "app_secret": settings.app_secret, **form}
    placed: dict[str, Any] = {"params": fields} if verb == "GET" else {"data": fields}
    response = await bench.client.request(verb, f"{bench.url}/oauth2/{path}", **placed)
    assert response.status_code == 200
    answer = response.json()
    assert isinstance(answer, dict)
    return answer


async def refreshed(bench: Bench, refresh_token: str) -> dict[str, Any]:
    """The next pair, as a stranger asks for it."""
    return await oauth(bench, "refresh_token", grant_type="refresh_token", refresh_token=refresh_token)


async def test_new_tokens_for_old(open_bench: OpenBench) -> None:
    """A dead token is `AuthExpired`; the refreshed pair works once it is used, and expires in two days."""
    clock = Clock()
    bench = await open_bench(KuaishouSettings(timestamp_window_seconds=1e9), clock=clock)
    clock.ahead = timedelta(days=2, seconds=1)
    with pytest.raises(AuthExpired) as caught:
        await bench.kuaishou.order("1")
    assert caught.value.code == "24"
    tokens = await bench.kuaishou.refresh(bench.tokens)
    assert tokens.access_token != bench.tokens.access_token
    assert tokens.refresh_token != bench.tokens.refresh_token
    assert tokens.expire_time is not None
    assert abs(tokens.expire_time - clock() - timedelta(days=2)) < timedelta(seconds=5)
    with pytest.raises(AuthExpired):
        await bench.kuaishou.order("1")
    bench.kuaishou.use(tokens)
    assert await bench.kuaishou.order("1") is None


async def test_refreshing_is_done_once(bench: Bench) -> None:
    """Who refreshes the same pair at the same time gets the same new pair: one call."""
    calls = bench.transport.calls
    pairs = await asyncio.gather(*(bench.kuaishou.refresh(bench.tokens) for _ in range(5)))
    assert len(set(pairs)) == 1
    assert bench.transport.calls == calls + 1


async def test_the_end_of_a_grant(bench: Bench) -> None:
    """A refresh token that is dead, unknown or missing is `AuthExpired`: the seller must consent again."""
    for token in ("", "unknown", "x" * 5000):
        with pytest.raises(AuthExpired) as caught:
            await bench.kuaishou.refresh(Tokens("a", token))
        assert not token or token not in str(caught.value)


async def test_a_wrong_app_is_rejected(bench: Bench) -> None:
    """An app that is not known cannot refresh, and trying again would not help."""
    credentials = Credentials(**{**vars(bench.credentials), "app_secret": "wrong"})
    with pytest.raises(Rejected) as caught:
        await Kuaishou(bench.transport, credentials, bench.tokens).refresh(bench.tokens)
    assert caught.value.code == "100200101"


async def test_a_refresh_whose_answer_is_lost_can_be_repeated(bench: Bench) -> None:
    """The old token lives on for a while, so that a lost answer loses no grant."""
    bench.faults.weather = Weather(0, 0, error_after=1)
    with pytest.raises(OutcomeUnknown):
        await bench.kuaishou.refresh(bench.tokens)
    bench.faults.weather = STILL
    bench.kuaishou.use(await bench.kuaishou.refresh(bench.tokens))
    assert await bench.kuaishou.order("1") is None


async def test_an_answer_that_is_no_grant(bench: Bench) -> None:
    """What does not look like a grant is `Misunderstood`, and nothing of it is kept."""
    for body in (b"", b"[]", b"{}", b'{"result":1}', b'{"result":1,"access_token":"secret-1"}', b"<html>"):
        with pytest.raises(Misunderstood) as caught:
            bench.kuaishou._refreshing._read(body, "old")
        assert b"secret" not in caught.value.body


# ---- the sandbox


async def test_a_code_is_good_once_and_for_two_minutes(open_bench: OpenBench) -> None:
    """The seller's consent brings a code, the code a pair with the scopes asked for; a second time it is invalid."""
    clock = Clock()
    bench = await open_bench(clock=clock)

    async def consent(**others: str) -> str:
        params = {
            "app_id": bench.sandbox.settings.app_key,
            "redirect_uri": "http://127.0.0.1/back?x=1",
            "scope": "merchant_item,merchant_order",
            "response_type": "code",
            "state": "s&1",
            **others,
        }
        response = await bench.client.get(f"{bench.url}/oauth/authorize", params=params)
        if response.status_code == 200:
            return str(response.json()["result"])
        query = parse_qs(urlsplit(response.headers["location"]).query)
        assert (query["state"], query["x"]) == (["s&1"], ["1"])
        return query["code"][0]

    code = await consent()
    grant = await oauth(bench, "access_token", "GET", grant_type="code", code=code)
    assert grant["result"] == 1
    assert (grant["expires_in"], grant["refresh_token_expires_in"]) == (172_800, 15_552_000)
    assert grant["scopes"] == ["merchant_item", "merchant_order"]
    bench.kuaishou.use(Tokens(grant["access_token"], grant["refresh_token"]))
    assert await bench.kuaishou.order("1") is None
    assert (await oauth(bench, "access_token", "GET", grant_type="code", code=code))["result"] == 100200105
    late = await consent()
    clock.ahead = timedelta(seconds=121)
    assert (await oauth(bench, "access_token", "GET", grant_type="code", code=late))["result"] == 100200105
    assert await consent(app_id="nobody") == "100200101"
    assert await consent(response_type="token") == "100200100"
    assert await consent(scope="everything") == "100200106"


async def test_refresh_tokens_rotate(open_bench: OpenBench) -> None:
    """The old refresh token dies within five minutes, old access tokens live on, the end of the grant is inherited."""
    clock = Clock()
    bench = await open_bench(KuaishouSettings(timestamp_window_seconds=1e9), clock=clock)
    clock.ahead = timedelta(days=1)
    first = await refreshed(bench, bench.tokens.refresh_token)
    assert first["refresh_token_expires_in"] <= 179 * 86_400
    assert await bench.kuaishou.order("1") is None
    clock.ahead += timedelta(minutes=4)
    assert (await refreshed(bench, bench.tokens.refresh_token))["result"] == 1
    clock.ahead += timedelta(minutes=2)
    assert (await refreshed(bench, bench.tokens.refresh_token))["result"] == 100200105
    assert (await refreshed(bench, first["refresh_token"]))["result"] == 1
    clock.ahead = timedelta(days=180, seconds=1)
    assert (await refreshed(bench, first["refresh_token"]))["result"] == 100200105


async def test_bad_grants_are_told_apart(bench: Bench) -> None:
    """Wrong grant types, apps and bodies are refused with the published numbers."""
    assert (await oauth(bench, "refresh_token", grant_type="password"))["result"] == 100200104
    assert (await oauth(bench, "access_token", grant_type="implicit"))["result"] == 100200104
    assert (await oauth(bench, "access_token", grant_type="code", code=""))["result"] == 100200105
    assert (await oauth(bench, "access_token", app_id="", grant_type="code"))["result"] == 100200101
    own = await oauth(bench, "access_token", "GET", grant_type="client_credentials")
    assert own["result"] == 1
    bench.kuaishou.use(Tokens(own["access_token"]))
    with pytest.raises(Rejected) as caught:
        await bench.kuaishou.order("1")
    assert caught.value.code == "25"


async def test_a_scope_that_was_not_granted_is_refused(bench: Bench) -> None:
    """A token opens the methods of its scopes only."""
    bench.kuaishou.use(bench.sandbox.issue_tokens(("merchant_item",)))
    with pytest.raises(Rejected) as caught:
        await bench.kuaishou.order("1")
    assert caught.value.code == "25"
    bench.kuaishou.use(Tokens(""))
    with pytest.raises(AuthExpired) as expired:
        await bench.kuaishou.order("1")
    assert expired.value.code == "21"


async def test_a_wrong_clock_is_learned(open_bench: OpenBench) -> None:
    """A platform whose clock is an hour off refuses one try, states its time, and takes the next."""
    clock = Clock()
    clock.ahead = timedelta(hours=1)
    bench = await open_bench(clock=clock)
    assert await bench.kuaishou.order("1") is None
    assert bench.transport.retries == 1
    assert abs(bench.transport.platform_now() - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=3)
