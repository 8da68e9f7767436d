"""The stand-ins refuse what the platforms refuse, in the platforms' words, and keep what they accept.

The callers here know nothing of our notifiers: they write requests as the platforms' pages have them.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.sandbox.robots import Fault, Hall, HallSettings
from connectors.sandbox.robots.dingtalk import DingTalkSettings
from connectors.sandbox.robots.feishu import FeishuSettings
from connectors.sandbox.serving import serving
from tests.connectors.contract.storefront import HandClock

PUNCTUAL = timedelta()
NOW = datetime(2026, 11, 11, 12, 0, 0, tzinfo=UTC)


@dataclass
class Stand:
    """The hall, its clock, and a caller."""

    hall: Hall
    client: httpx.AsyncClient
    clock: HandClock

    @property
    def now(self) -> datetime:
        return self.clock.time

    @now.setter
    def now(self, time: datetime) -> None:
        self.clock.time = time

    async def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        return await self.client.post(path, json=body, **more)

    async def dingtalk(
        self, text: str = "库存", *, late: timedelta = PUNCTUAL, params: Mapping[str, str] | None = None
    ) -> Any:
        settings = self.hall.settings.dingtalk
        timestamp = str(int((self.now - late).timestamp() * 1000))
        digest = hmac.new(settings.secret.encode(), f"{timestamp}\n{settings.secret}".encode(), hashlib.sha256)
        sign = base64.b64encode(digest.digest()).decode()
        asked = {"access_token": settings.access_token, "timestamp": timestamp, "sign": sign, **(params or {})}
        body = {"msgtype": "text", "text": {"content": text}, "at": {"isAtAll": False}}
        return (await self.post("/robot/send", body, params=asked)).json()

    async def feishu(
        self, text: str = "库存", *, late: timedelta = PUNCTUAL, fields: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        settings = self.hall.settings.feishu
        timestamp = str(int((self.now - late).timestamp()))
        digest = hmac.new(f"{timestamp}\n{settings.secret}".encode(), b"", hashlib.sha256).digest()
        sign = base64.b64encode(digest).decode()
        body = {"timestamp": timestamp, "sign": sign, "msg_type": "text", "content": {"text": text}, **(fields or {})}
        return await self.post(f"/open-apis/bot/v2/hook/{settings.hook}", body)

    async def wecom(self, content: str = "库存", key: str = "", kind: str = "text") -> Any:
        asked = {"key": key or self.hall.settings.wecom.key}
        return (
            await self.post("/cgi-bin/webhook/send", {"msgtype": kind, kind: {"content": content}}, params=asked)
        ).json()

    async def agora(self, payload: str = "{}", channel: str = "room-1", **headers: str) -> httpx.Response:
        settings = self.hall.settings.agora
        pair = base64.b64encode(f"{settings.customer_key}:{settings.customer_secret}".encode()).decode()
        path = f"/dev/v2/project/{settings.app_id}/rtm/users/me/channel_messages"
        body = {"channel_name": channel, "payload": payload, "enable_historical_messaging": False}
        return await self.post(path, body, headers={"authorization": f"Basic {pair}", **headers})


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async for each in standing():
        yield each


async def standing(settings: HallSettings | None = None) -> AsyncIterator[Stand]:
    clock = HandClock()
    clock.time = NOW
    hall = Hall(settings, clock)
    async with (
        serving(hall.app) as address,
        httpx.AsyncClient(trust_env=False, base_url=f"http://{address}") as client,
    ):
        yield Stand(hall, client, clock)


# ---- signatures and keys


async def test_what_is_right_is_accepted_in_the_platforms_words(stand: Stand) -> None:
    """The bodies of success are those of the pages, errors and successes are HTTP 200 at the three group robots."""
    assert await stand.dingtalk() == {"errcode": 0, "errmsg": "ok"}
    answer = await stand.feishu()
    assert (answer.json()["code"], answer.json()["StatusMessage"]) == (0, "success")
    assert answer.headers["content-type"] == "application/json"
    assert await stand.wecom() == {"errcode": 0, "errmsg": "ok"}
    assert (await stand.agora()).json() == {"result": "success", "request_id": "1", "code": "message_sent"}
    assert {name: desk.texts for name, desk in stand.hall.desks.items()} == {
        "dingtalk": ["库存"],
        "feishu": ["库存"],
        "wecom": ["库存"],
        "agora": ["{}"],
    }


async def test_signatures_and_their_hour(stand: Stand) -> None:
    """An hour off is taken, a second more is not, in the past and in the future; and no other signature is."""
    hour, second = timedelta(hours=1), timedelta(seconds=1)
    for late, is_taken in ((hour, True), (-hour, True), (hour + second, False), (-hour - second, False)):
        assert (await stand.dingtalk(late=late))["errcode"] == (0 if is_taken else 310000)
        assert (await stand.feishu(late=late)).json()["code"] == (0 if is_taken else 19021)
    for wrong in ({"sign": "x"}, {"sign": ""}, {"timestamp": "1"}, {"timestamp": "soon"}, {"timestamp": "9" * 40}):
        stand.clock.pass_by(seconds=1)
        assert (await stand.dingtalk(params=wrong))["errcode"] == 310000
        assert (await stand.feishu(fields=wrong)).json()["code"] == 19021
    assert (await stand.feishu(fields={"timestamp": 1767294245})).json()["code"] == 19021


async def test_keys(stand: Stand) -> None:
    """An unknown token, hook, key, customer or app is refused with the platform's number for it."""
    assert (await stand.dingtalk(params={"access_token": "x"}))["errcode"] == 300005
    assert (await stand.post("/open-apis/bot/v2/hook/x", {"msg_type": "text"})).json()["code"] == 19001
    assert (await stand.wecom(key="x"))["errcode"] == 93000
    assert (await stand.agora(authorization="Basic x")).status_code == 401
    path = "/dev/v2/project/x/rtm/users/me/channel_messages"
    pair = stand.hall.settings.agora
    auth = httpx.BasicAuth(pair.customer_key, pair.customer_secret)
    assert (await stand.post(path, {}, auth=auth)).status_code == 403


async def test_keywords() -> None:
    """A robot that is kept by a keyword refuses a text without it."""
    settings = HallSettings(DingTalkSettings(keyword="库存"), FeishuSettings(keyword="库存"))
    async for stand in standing(settings):
        assert [(await stand.dingtalk(text))["errcode"] for text in ("库存 1", "stock 1")] == [0, 310000]
        assert [(await stand.feishu(text)).json()["code"] for text in ("库存 1", "stock 1")] == [0, 19024]


# ---- bodies


async def test_sizes_are_counted_in_bytes(stand: Stand) -> None:
    """WeCom's 2,048 of a text and 4,096 of markdown, Feishu's 20 KB, Agora's 32 KB: one more is too many."""
    for kind, limit in (("text", 2048), ("markdown", 4096)):
        for text, code in (("a" * limit, 0), ("a" * (limit + 1), 40058), ("库" * (limit // 3 + 1), 40058)):
            assert (await stand.wecom(text, kind=kind))["errcode"] == code
    assert (await stand.feishu("a" * 19_000)).json()["code"] == 0
    assert (await stand.feishu("a" * 20_480)).json()["code"] == 9499
    assert (await stand.agora("a" * 32_768)).status_code == 200
    assert (await stand.agora("a" * 32_769)).status_code == 435
    assert (await stand.agora("")).status_code == 435
    for channel, status in (("", 400), ("r" * 64, 200), ("r" * 65, 400)):
        assert (await stand.agora(channel=channel)).status_code == status


NONSENSE: tuple[bytes, ...] = (
    b"",
    b"not json",
    b"[]",
    b"\xff",
    b"[" * 50_000,
    b'{"msgtype":"text"}',
    b'{"msgtype":["text"],"msg_type":["text"]}',
    b'{"msgtype":"text","text":7,"msg_type":"text","content":7}',
    b'{"msgtype":"text","text":{"content":"\\ud800"},"channel_name":"a","payload":"\\ud800"}',
    b'{"channel_name":1,"payload":"x"}',
)


async def test_nonsense_is_refused_and_nothing_is_kept(stand: Stand) -> None:
    """Whatever is posted, the answer is the platform's, and the stand-in goes on."""
    hall = stand.hall
    robot, hook = hall.settings.dingtalk, hall.settings.feishu.hook
    unsigned = HallSettings(DingTalkSettings(secret=""), FeishuSettings(secret=""))
    async for other in standing(unsigned):
        for body in NONSENSE:
            answers = [
                await other.client.post(path, content=body, params=params, headers={"content-type": "application/json"})
                for path, params in (
                    ("/robot/send", {"access_token": robot.access_token}),
                    (f"/open-apis/bot/v2/hook/{hook}", {}),
                    ("/cgi-bin/webhook/send", {"key": hall.settings.wecom.key}),
                )
            ]
            assert [answer.status_code for answer in answers] == [200, 200, 200]
            codes = [answer.json() for answer in answers]
            # DingTalk's and WeCom's texts are limited to so many a minute.
            assert codes[0].get("errcode", codes[0].get("status")) in {40035, 660026, 1111}
            assert codes[1]["code"] in {9499, 11232}
            assert codes[2]["errcode"] in {40058, 45009}
        assert not any(desk.kept for desk in other.hall.desks.values())
    for body in NONSENSE:
        document = body.decode(errors="replace")
        assert (await stand.agora(channel="", payload=document[:10])).status_code in {400, 435}


async def test_only_json_is_read(stand: Stand) -> None:
    """A body without its content type is refused: HTTP 415 at Agora, a bad request at the others."""
    plain = {"content-type": "text/plain"}
    assert (await stand.agora(**plain)).status_code == 415
    text = json.dumps({"msgtype": "text", "text": {"content": "x"}})
    key = {"key": stand.hall.settings.wecom.key}
    answer = await stand.client.post("/cgi-bin/webhook/send", content=text, params=key, headers=plain)
    assert answer.json()["errcode"] == 40058


# ---- limits


async def test_dingtalk_punishes_for_ten_minutes(stand: Stand) -> None:
    """The 21st in a minute is refused; then everything is, in other words, until ten minutes are over."""
    assert [(await stand.dingtalk())["errcode"] for _ in range(21)] == [0] * 20 + [660026]
    for minutes in (1, 5, 9.9):
        stand.now = NOW + timedelta(minutes=minutes)
        answer = await stand.dingtalk()
        assert (answer["status"], answer["punish"]) == (1111, "deny")
    stand.now = NOW + timedelta(minutes=10, seconds=1)
    assert (await stand.dingtalk())["errcode"] == 0


async def test_wecom_counts_any_minute(stand: Stand) -> None:
    """The 21st in a minute is 45009; when the first is a minute old there is room for one."""
    assert [(await stand.wecom())["errcode"] for _ in range(21)] == [0] * 20 + [45009]
    stand.now = NOW + timedelta(seconds=59)
    assert (await stand.wecom())["errcode"] == 45009
    stand.now = NOW + timedelta(seconds=61)
    assert (await stand.wecom())["errcode"] == 0


async def test_feishu_counts_seconds_and_minutes(stand: Stand) -> None:
    """Five in a second, a hundred in a minute."""
    assert [(await stand.feishu()).json()["code"] for _ in range(6)] == [0] * 5 + [11232]
    codes = []
    for second in range(1, 21):
        stand.now = NOW + timedelta(seconds=second)
        codes += [(await stand.feishu()).json()["code"] for _ in range(5)]
    assert codes == [0] * 95 + [11232] * 5


async def test_agora_counts_seconds(stand: Stand) -> None:
    """Five hundred calls in a second; one more is HTTP 429."""
    for number in range(500):
        assert (await stand.agora(channel=f"room-{number % 9}")).status_code == 200
    assert (await stand.agora()).status_code == 429
    assert {kept.target for kept in stand.hall.desks["agora"].kept} == {f"room-{number}" for number in range(9)}


# ---- faults


async def test_faults_end_by_themselves(stand: Stand) -> None:
    """Ordered for so many calls, in the platform's words; what was accepted after all is kept."""
    desk = stand.hall.desks["wecom"]
    desk.go_wrong(Fault.REFUSE, calls=1)
    assert [(await stand.wecom())["errcode"] for _ in range(2)] == [93000, 0]
    desk.go_wrong(Fault.THROTTLE, calls=1)
    assert (await stand.wecom())["errcode"] == 45009
    desk.go_wrong(Fault.BUSY, calls=1)
    assert (await stand.wecom())["errcode"] == -1
    stand.hall.desks["dingtalk"].go_wrong(Fault.THROTTLE, calls=1)
    assert (await stand.dingtalk())["status"] == 1111
    for fault, kept in ((Fault.ERROR, 1), (Fault.ERROR_AFTER, 2)):
        desk.go_wrong(fault, calls=1)
        path, key = "/cgi-bin/webhook/send", {"key": stand.hall.settings.wecom.key}
        answer = await stand.post(path, {"msgtype": "text", "text": {"content": "x"}}, params=key)
        assert (answer.status_code, len(desk.kept)) == (502, kept)


async def test_who_hangs_up_frees_the_stand_in(stand: Stand) -> None:
    """A hanging call ends when its caller gives up, and the next one is answered."""
    desk = stand.hall.desks["feishu"]
    for fault, kept in ((Fault.HANG, 0), (Fault.LOSE_ANSWER, 1)):
        desk.go_wrong(fault, calls=1)
        with pytest.raises(httpx.ReadTimeout):
            await stand.client.post(
                f"/open-apis/bot/v2/hook/{stand.hall.settings.feishu.hook}", content=b"", timeout=0.2
            )
        assert len(desk.kept) == 0 * kept
    assert (await stand.feishu()).json()["code"] == 0


async def test_every_answer_states_the_clock(stand: Stand) -> None:
    """The date is that of the stand-in, also on a page of HTML."""
    answer = await stand.feishu()
    assert answer.headers["date"] == "Wed, 11 Nov 2026 12:00:00 GMT"
    stand.hall.desks["feishu"].go_wrong(Fault.ERROR, calls=1)
    assert (await stand.feishu()).headers["date"] == "Wed, 11 Nov 2026 12:00:00 GMT"
