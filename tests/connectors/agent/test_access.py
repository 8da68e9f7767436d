"""Tokens: renewed early and when they are refused, stored before they are used, shared by several processes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from connectors.base import Tokens
from connectors.contract import PlatformName
from connectors.platforms import BadCredentials, platform_of
from connectors.sandbox.taobao import Refusal
from connectors.transport import Transport
from tests.connectors.agent.desk import MUG, MUG_ID, Desk, quick, until
from tests.connectors.agent.gateway import APPLIED, RAISE

FOREVER = quick(credentials_seconds=60.0)


async def test_a_dead_token_is_renewed_and_the_call_repeated(taobao: Desk) -> None:
    """A push that meets a dead token is done with the next one, which the gateway has by then."""
    await taobao.serve(FOREVER)
    old = taobao.book.tokens
    taobao.sandbox.grants.revoke_all()
    report = await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 4))
    assert (report.result, report.applied) == (APPLIED, 4)
    assert taobao.book.version == 2
    assert taobao.book.tokens != old
    assert taobao.shown() == 14


async def test_a_token_is_renewed_before_it_ends(taobao: Desk) -> None:
    """A token whose end is near is renewed without any call being refused."""
    soon = datetime.now(UTC) + timedelta(seconds=1)
    taobao.book.tokens = taobao.book.tokens._replace(expire_time=soon)
    await taobao.serve(FOREVER)
    await until(lambda: taobao.book.version == 2)
    assert datetime.now(UTC) < soon


async def test_two_processes_renew_once_between_them(taobao: Desk) -> None:
    """Two agents that meet a dead token at once end up with the same tokens, and nobody is needed."""
    first, second = await taobao.serve(FOREVER), taobao.start(FOREVER)
    assert first is not second
    await until(lambda: len(taobao.clients) == 2 and taobao.book.connector.connector_id == second.connector_id)
    taobao.sandbox.grants.revoke_all()
    order = taobao.shop.place({MUG: 1})
    await until(lambda: order.order_id in taobao.book.orders)
    report = await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 1))
    assert report.result == APPLIED
    assert taobao.sandbox.grants.is_alive(taobao.book.tokens.access_token, taobao.shop.time)
    await until(lambda: not taobao.book.heartbeats[-1].needs)


async def test_a_grant_that_is_over_parks_the_channel_until_a_person_acts(taobao: Desk) -> None:
    """Then no calls are made and the heartbeat says what is to be done; with new tokens everything goes on."""
    await taobao.serve(quick(credentials_seconds=0.3))
    taobao.sandbox.grants.forget_all()
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    await until(lambda: "must authorise" in taobao.book.heartbeats[-1].needs)
    order = taobao.shop.place({MUG: 1})
    assert not taobao.book.reports_on(push_id)
    taobao.book.tokens, taobao.book.version = taobao.sandbox.issue_tokens(), taobao.book.version + 1
    report = await taobao.report_on(push_id)
    assert (report.result, report.applied) == (APPLIED, 4)
    await until(lambda: order.order_id in taobao.book.orders)
    await until(lambda: not taobao.book.heartbeats[-1].needs)


async def test_a_killed_process_leaves_good_tokens(taobao: Desk) -> None:
    """Whenever a process is killed while it renews, the next one can go on."""
    for delay_seconds in (0.0, 0.02, 0.05, 0.1):
        agent = await taobao.serve(FOREVER)
        taobao.sandbox.grants.revoke_all()
        await asyncio.sleep(delay_seconds)
        await taobao.kill(agent)
    await taobao.serve(FOREVER)
    assert (await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 1))).result == APPLIED


async def test_credentials_that_do_not_fit_are_told_of(taobao: Desk) -> None:
    """The heartbeat says what is wrong with the credentials, not what they are; with right ones it begins."""
    right = taobao.book.credentials_json
    taobao.book.credentials_json = json.dumps({**json.loads(right), "app_secrte": "verysecret"})
    taobao.start(quick(credentials_seconds=0.2))
    await until(lambda: taobao.book.heartbeats and "app_secrte" in taobao.book.heartbeats[-1].needs)
    assert "verysecret" not in taobao.book.heartbeats[-1].needs
    taobao.book.credentials_json, taobao.book.version = right, 2
    await until(lambda: taobao.book.streams)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"app_key": 7, "app_secret": "hidden"}',
        '{"app_key": "a"}',
        '{"app_key": "a", "app_secret": "hidden", "sign_method": "hidden"}',
        '{"app_key": "a", "app_secret": "hidden", "more": 1}',
        "\ud800",
        "[" * 100_000,
    ],
)
@pytest.mark.parametrize("name", list(PlatformName))
def test_bad_credentials_are_refused_without_a_secret(name: PlatformName, text: str, transport: Transport) -> None:
    """Whatever is wrong with credentials, the words hold nothing of them."""
    with pytest.raises(BadCredentials) as refusal:
        platform_of(name, text, transport, Tokens("token"))
    assert "hidden" not in str(refusal.value)


async def test_another_application_is_not_banned_for_what_the_first_has_used_up(taobao: Desk) -> None:
    """The quota of the day is gone, and a person stores the keys of an application that has one: it is used at once."""
    taobao.sandbox.inject(Refusal(7, "accesscontrol.limited-by-app-access-count"))
    await taobao.serve()
    await until(lambda: taobao.book.heartbeats and taobao.book.heartbeats[-1].ban.ToTimedelta() > timedelta(minutes=5))
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    known = json.loads(taobao.book.credentials_json)
    taobao.book.credentials_json = json.dumps({**known, "group_name": "another"})
    taobao.book.version += 1
    assert (await taobao.report_on(push_id)).result == APPLIED


FIELDS = {
    PlatformName.TAOBAO: {"app_key": "a", "app_secret": "hidden"},
    PlatformName.DOUYIN: {"app_key": "a", "app_secret": "hidden"},
    PlatformName.KUAISHOU: {
        "app_key": "a",
        "app_secret": "hidden",
        "sign_secret": "hidden",
        "message_secret": "",
    },
}


@pytest.mark.parametrize(
    "url", ["", "htp://x", "http://", "http://[::1", "http://h:99999", "http://a..b", "http://a b"]
)
@pytest.mark.parametrize("name", list(PlatformName))
def test_an_address_that_nobody_can_call_is_named(name: PlatformName, url: str, transport: Transport) -> None:
    """A slip in an address is for a person to mend: it is told as that, and not tried for ever."""
    with pytest.raises(BadCredentials, match="base_url") as caught:
        platform_of(name, json.dumps({**FIELDS[name], "base_url": url}), transport, Tokens("t"))
    assert "hidden" not in str(caught.value)
    platform_of(name, json.dumps({**FIELDS[name], "base_url": "http://127.0.0.1:7101"}), transport, Tokens("t"))


def test_the_message_channel_has_an_address_too(transport: Transport) -> None:
    """Of its own kind."""
    text = json.dumps({**FIELDS[PlatformName.TAOBAO], "messages_url": "http://mc.example/"})
    with pytest.raises(BadCredentials, match="messages_url"):
        platform_of(PlatformName.TAOBAO, text, transport, Tokens("t"))


@pytest.mark.parametrize("secret", ["hidden", "AAECAwQFBgcICQoLDA0O", "AAECAwQFBgcICQoLDA0ODw==!"])
def test_a_secret_that_decrypts_nothing_is_named(secret: str, transport: Transport) -> None:
    """Kuaishou's pushes would all seem forged, and somebody would look for the forger."""
    text = json.dumps({**FIELDS[PlatformName.KUAISHOU], "message_secret": secret})
    with pytest.raises(BadCredentials, match="message_secret") as caught:
        platform_of(PlatformName.KUAISHOU, text, transport, Tokens("t"))
    assert secret not in str(caught.value)
