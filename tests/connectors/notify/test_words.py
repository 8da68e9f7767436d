"""Each platform's own words: signatures, bodies, codes, clocks."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from connectors.errors import ConnectorError, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.notify import dingtalk as dingtalk_words
from connectors.notify import feishu as feishu_words
from connectors.notify.agora import Agora
from connectors.notify.feishu import BODY_BYTES_MAX
from connectors.notify.robot import Message
from connectors.sandbox.robots import Fault, dingtalk, feishu
from tests.connectors.notify.rig import Rig
from tests.connectors.notify.test_contract import answering

NOW = datetime(2026, 1, 1, 19, 4, 5, tzinfo=UTC)
LONG_SECRET = "SEC0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"


# ---- signatures


@pytest.mark.parametrize(
    ("timestamp", "secret", "expected", "in_url"),
    [
        (
            "1767294245000",
            LONG_SECRET,
            "KHerKgcmM06727lR2NTJiZOAtK0yjtwXTyYXsb4WLIQ=",
            "KHerKgcmM06727lR2NTJiZOAtK0yjtwXTyYXsb4WLIQ%3D",
        ),
        (
            "1781784000000",
            "SECtest",
            "9S0WykYV9STT6BPfN2pOvgH6zjgktnVBa0QtZlcl1/E=",
            "9S0WykYV9STT6BPfN2pOvgH6zjgktnVBa0QtZlcl1%2FE%3D",
        ),
    ],
)
async def test_dingtalks_signature(timestamp: str, secret: str, expected: str, in_url: str) -> None:
    """As an independent client signs; robot and stand-in alike, and in the URL every sign of it is quoted."""
    assert dingtalk_words.sign(timestamp, secret) == expected
    assert dingtalk.sign_of(timestamp, secret) == expected
    now = datetime.fromtimestamp(int(timestamp) / 1000, UTC)
    request = dingtalk_words.DingTalk("t", secret).request(Message("x"), now)
    stated = dict(pair.split("=", 1) for pair in request.url.query.decode().split("&"))
    assert stated == {"access_token": "t", "timestamp": timestamp, "sign": in_url}
    assert quote(expected, safe="") == in_url


@pytest.mark.parametrize(
    ("timestamp", "secret", "expected"),
    [
        ("1767294245", "demo", "HKqIOzRD2QNz1thQX93LPoigyIN5P9A0FD7VTvFvYZ8="),
        ("1599360473", "feishu-secret-0123456789", "QU0nhHtTWgsio7QLFvIbBrQy8PbzRrtVl3Z897DMqjw="),
    ],
)
async def test_feishus_signature(timestamp: str, secret: str, expected: str) -> None:
    """As the official sample signs: both are the key, the message is empty; robot and stand-in alike."""
    assert feishu_words.sign(timestamp, secret) == expected
    assert feishu.sign_of(timestamp, secret) == expected
    now = datetime.fromtimestamp(int(timestamp), UTC)
    body = json.loads(feishu_words.Feishu("hook", secret).request(Message("x"), now).content)
    assert (body["timestamp"], body["sign"]) == (timestamp, expected)


async def test_agoras_request() -> None:
    """The address, the headers and the body are those of the page on channel messages; names are quoted."""
    request = Agora("app", "key", "secret", user_id="店 铺/1").request(Message("{}", room="room-1"), NOW)
    assert request.url.raw_path == (b"/dev/v2/project/app/rtm/users/%E5%BA%97%20%E9%93%BA%2F1/channel_messages")
    assert request.headers["authorization"] == "Basic a2V5OnNlY3JldA=="
    assert request.headers["content-type"] == "application/json;charset=utf-8"
    assert json.loads(request.content) == {
        "channel_name": "room-1",
        "payload": "{}",
        "enable_historical_messaging": False,
    }


# ---- keys


async def test_wrong_keys_are_refused(rig: Rig) -> None:
    """Another token or another secret is a refusal that a person must look at."""
    for name in rig.hall.credentials(rig.name):
        error = await rig.failure(rig.another({name: "wrong"}).post(rig.message()))
        assert type(error) is Rejected
    assert not rig.desk.kept


async def test_a_room_needs_a_name_that_a_channel_can_have(agora: Rig) -> None:
    """None, and one of more than 64 characters, is refused before anything is sent."""
    for room in ("", "r" * 65):
        assert type(await agora.failure(agora.robot.post(Message("{}", room=room)))) is Rejected
    assert agora.desk.calls == 0


async def test_another_app_is_refused(agora: Rig) -> None:
    """HTTP 403 is a refusal with its number as the code."""
    error = await agora.failure(agora.another({"app_id": "another"}).post(agora.message()))
    assert (type(error), error.code) == (Rejected, "403")


# ---- codes


async def test_dingtalks_codes(dingtalk: Rig) -> None:
    """Each code of the table, with its class; whatever says "too many" means ten minutes of silence."""
    expected: dict[str, tuple[type[ConnectorError], float | None]] = {
        '{"errcode":310000,"errmsg":"sign not match"}': (Rejected, None),
        '{"errcode":300001,"errmsg":"token is not exist"}': (Rejected, None),
        '{"errcode":300005,"errmsg":"token is not exist"}': (Rejected, None),
        '{"errcode":660026,"errmsg":""}': (Throttled, 600.0),
        '{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}': (Throttled, 600.0),
        '{"errcode":90030,"errmsg":""}': (Throttled, 600.0),
        '{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"0"}': (Throttled, 600.0),
        '{"errcode":-1,"errmsg":"system busy"}': (Transient, None),
    }
    await require_meanings(dingtalk, expected)


async def test_feishus_codes(feishu: Rig) -> None:
    """Each code of the table, with its class."""
    expected: dict[str, tuple[type[ConnectorError], float | None]] = {
        **{f'{{"code":{code},"msg":"no"}}': (Rejected, None) for code in (19021, 19022, 19024, 9499)},
        '{"code":11232,"msg":"frequency limited"}': (Throttled, None),
        '{"code":99991400,"msg":"request trigger frequency limit"}': (Throttled, None),
    }
    await require_meanings(feishu, expected)


async def test_wecoms_codes(wecom: Rig) -> None:
    """Each code of the table, with its class; 45009 means a minute of silence at least."""
    expected: dict[str, tuple[type[ConnectorError], float | None]] = {
        '{"errcode":93000,"errmsg":"invalid webhook url, hint: [1], from ip: 1.2.3.4"}': (Rejected, None),
        '{"errcode":93000,"errmsg":"content exceed max length"}': (Rejected, None),
        '{"errcode":40058,"errmsg":"invalid Request Parameter"}': (Rejected, None),
        '{"errcode":45009,"errmsg":"api freq out of limit"}': (Throttled, 60.0),
    }
    await require_meanings(wecom, expected)


async def test_agoras_statuses(agora: Rig) -> None:
    """Each status of the table, with its class; a 200 that says failed is a refusal."""
    kinds: dict[int, type[ConnectorError]] = {
        **dict.fromkeys((400, 401, 403, 415, 435), Rejected),
        408: OutcomeUnknown,
        429: Throttled,
    }
    for status, kind in kinds.items():
        agora.stage.app = answering(status, f'{{"errorCode":{status},"reason":"no"}}'.encode())
        error = await agora.failure(agora.robot.post(agora.message()))
        assert (type(error), error.code) == (kind, str(status))
    agora.stage.app = answering(200, b'{"result":"failed","request_id":"1","code":"message_delivery_failed"}')
    error = await agora.failure(agora.robot.post(agora.message()))
    assert (type(error), error.code) == (Rejected, "message_delivery_failed")
    agora.transport.limiter.throttled(0)


async def test_any_success_of_agora_is_one(agora: Rig) -> None:
    """Any 2xx with result=success, whatever the word in `code`."""
    for status in (200, 201, 202):
        agora.stage.app = answering(status, b'{"result":"success","request_id":"r-9","code":"whatever"}')
        assert (await agora.robot.post(agora.message())).message_id == "r-9"


@pytest.mark.parametrize(("stated", "expected"), [("7", 7.0), ("999999", 3600.0), ("soon", None), ("-1", None)])
async def test_a_front_says_how_long_to_wait(rig: Rig, stated: str, expected: float | None) -> None:
    """HTTP 429 with Retry-After: as long as that, an hour at most; nonsense is not waited for."""
    body = b'{"code":99991400,"msg":"request trigger frequency limit"}'
    rig.stage.app = answering(429, body, {"retry-after": stated})
    error = await rig.failure(rig.robot.post(rig.message()))
    assert isinstance(error, Throttled)
    assert error.retry_after_seconds == expected


async def require_meanings(rig: Rig, expected: dict[str, tuple[type[ConnectorError], float | None]]) -> None:
    for body, (kind, quiet_seconds) in expected.items():
        rig.stage.app = answering(200, body.encode())
        robot = rig.another()
        # Who is to be silent for minutes would keep this test as long.
        rig.transport.limiter._banned_until = 0.0
        error = await rig.failure(robot.post(rig.message()))
        assert type(error) is kind, body
        assert error.code in body
        if isinstance(error, Throttled):
            assert error.retry_after_seconds == quiet_seconds
            assert robot.banned_seconds > (quiet_seconds or 1.0) - 1
    rig.transport.limiter._banned_until = 0.0


# ---- sizes


async def test_feishus_limit_is_that_of_the_body(feishu: Rig) -> None:
    """A text that JSON writes in six bytes a letter is refused here, where it would be refused there."""
    text = "\x01" * (BODY_BYTES_MAX // 6 + 1)
    error = await feishu.failure(feishu.robot.post(feishu.message(text)))
    assert type(error) is Rejected
    assert feishu.desk.calls == 0


# ---- clocks


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_clock_that_is_hours_off_is_set_by_the_first_refusal(rig: Rig, hours: int) -> None:
    """The platform's own date says how late it is; the next try is signed by that, and taken."""
    rig.clock.pass_by(hours=hours)
    if rig.name in {"dingtalk", "feishu"}:
        assert type(await rig.failure(rig.robot.post(rig.message()))) is Transient
    await rig.robot.post(rig.message())
    assert len(rig.desk.kept) == 1


async def test_timestamps_are_whole_and_fresh(dingtalk: Rig, feishu: Rig) -> None:
    """DingTalk's in milliseconds, Feishu's in seconds, of the moment of the call."""
    now = NOW + timedelta(milliseconds=999.6)
    in_url = dict(dingtalk.dialect.request(Message("x"), now).url.params)["timestamp"]
    in_body = json.loads(feishu.dialect.request(Message("x"), now).content)["timestamp"]
    assert re.fullmatch(r"\d{13}", in_url)
    assert re.fullmatch(r"\d{10}", in_body)
    assert in_url.startswith(in_body)


async def test_robots_without_a_secret_sign_nothing(dingtalk: Rig, feishu: Rig) -> None:
    """A robot that is kept by a keyword sends neither timestamp nor sign."""
    unsigned = dingtalk.another({"secret": ""}).dialect.request(Message("x"), NOW)
    assert set(unsigned.url.params) == {"access_token"}
    assert set(json.loads(feishu.another({"secret": ""}).dialect.request(Message("x"), NOW).content)) == {
        "msg_type",
        "content",
    }


async def test_a_lost_answer_can_be_told_from_a_second_message(rig: Rig) -> None:
    """No platform knows an idempotency key: posted again, it shows twice, and the number in the text is the same."""
    rig.lose_patience()
    rig.desk.go_wrong(Fault.LOSE_ANSWER, calls=1)
    await rig.failure(rig.robot.post(rig.message("库存 #7")))
    await asyncio.wait_for(rig.robot.post(rig.message("可能重复 库存 #7")), 5)
    assert [re.findall(r"#\d+", text) for text in rig.desk.texts] == [["#7"], ["#7"]]
