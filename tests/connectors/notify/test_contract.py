"""What every robot promises: what was posted shows, and what was not has an error that says which kind it is."""

import asyncio
import json
import logging
import socket
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.notify.robot import GUARDED, TOO_LARGE, Message
from connectors.sandbox.robots import Fault
from connectors.transport import Transport
from tests.connectors.notify.rig import LIMITS, ROOM, Rig


async def test_what_is_posted_shows_once(rig: Rig) -> None:
    """The text arrives as it was written, Chinese, quotes and line ends included; the receipt says when."""
    text = '【预警】"杯子" #7\n可售 23 件 & 100% <好>\\'
    receipt = await rig.robot.post(rig.message(text))
    [kept] = rig.desk.kept
    assert kept.text == text
    assert kept.target == (ROOM if rig.name == "agora" else "")
    assert not receipt.is_rehearsed
    assert abs((receipt.time - rig.clock()).total_seconds()) < 2


async def test_everybody_is_called_where_that_can_be(rig: Rig) -> None:
    """A group's robot mentions everybody when it is told to; a room has nobody to mention."""
    await rig.robot.post(rig.message("one"))
    await rig.robot.post(rig.message("two", mentions_all=True))
    assert [kept.mentions_all for kept in rig.desk.kept] == [False, rig.name != "agora"]


# ---- failures

FAULTS = {
    Fault.REFUSE: Rejected,
    Fault.THROTTLE: Throttled,
    Fault.HANG: OutcomeUnknown,
    Fault.LOSE_ANSWER: OutcomeUnknown,
    Fault.ERROR: OutcomeUnknown,
    Fault.ERROR_AFTER: OutcomeUnknown,
}


@pytest.mark.parametrize(("fault", "kind"), FAULTS.items())
async def test_each_fault_has_its_kind_of_error(rig: Rig, fault: Fault, kind: type[ConnectorError]) -> None:
    """Refused, throttled, hung, lost after it was accepted, 502 before and after: never a success, and posted once."""
    rig.lose_patience()
    rig.desk.go_wrong(fault, calls=1)
    error = await rig.failure(rig.robot.post(rig.message()))
    assert type(error) is kind
    assert rig.desk.calls == 1
    assert len(rig.desk.kept) == (fault in {Fault.LOSE_ANSWER, Fault.ERROR_AFTER})


async def test_a_robot_goes_on_when_the_fault_is_over(rig: Rig) -> None:
    """After a refusal and a loss the next message is taken."""
    rig.lose_patience()
    for fault in (Fault.REFUSE, Fault.ERROR, Fault.LOSE_ANSWER):
        rig.desk.go_wrong(fault, calls=1)
        await rig.failure(rig.robot.post(rig.message("first")))
        await rig.robot.post(rig.message("second"))
        assert rig.desk.texts[-1] == "second"


async def test_a_platform_that_is_away_has_heard_nothing(rig: Rig) -> None:
    """No connection: certainly not applied."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        rig.stage.app, address = None, rig.stage.address
        rig.stage.address = f"127.0.0.1:{free.getsockname()[1]}"
        robot = rig.another()
        rig.stage.address = address
        assert type(await rig.failure(robot.post(rig.message()))) is Transient


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>a portal: log in</html>", Misunderstood),
        (200, b"", Misunderstood),
        (200, b"[]", Misunderstood),
        (200, b"{}", Misunderstood),
        (200, b"\xff\xfe", Misunderstood),
        (200, b'{"errcode":"0","code":"0"}', Misunderstood),
        (200, b'{"errcode":false,"code":false}', Misunderstood),
        (200, b'{"errcode":1e400,"code":null}', Misunderstood),
        (200, b'{"errcode":' + b"9" * 5_000 + b',"code":1}', Misunderstood),
        (200, b"[" * 100_000, Misunderstood),
        (302, b"", Misunderstood),
        (408, b"", OutcomeUnknown),
        (429, b"slow down", Throttled),
        (500, b'{"errcode":0,"code":0,"result":"success"}', OutcomeUnknown),
        (503, b"", OutcomeUnknown),
    ],
)
async def test_strange_answers_are_no_success(rig: Rig, status: int, body: bytes, kind: type[ConnectorError]) -> None:
    """A portal's page, half an answer, a code that is no number, a front's status: told apart, never taken as done."""
    rig.stage.app = answering(status, body)
    error = await rig.failure(rig.robot.post(rig.message()))
    assert type(error) is kind or (rig.name == "feishu" and b"9999" in body and type(error) is Rejected)


async def test_an_unknown_code_is_a_refusal(rig: Rig) -> None:
    """What nobody has described is `Rejected`, for repeating unknown refusals is how bans happen."""
    body = {"errcode": 777_777, "code": 777_777, "errorCode": 499, "errmsg": "no", "msg": "no", "reason": "no"}
    rig.stage.app = answering(499 if rig.name == "agora" else 200, json.dumps(body).encode())
    error = await rig.failure(rig.robot.post(rig.message()))
    assert type(error) is Rejected
    assert error.code in {"777777", "499"}


async def test_words_are_told_without_secrets(rig: Rig) -> None:
    """A platform that quotes our keys does not bring them into our log, in whatever kind of answer."""
    for status, kind in ((200, Rejected), (403, Rejected), (200, Misunderstood)):
        words = " ".join(rig.dialect.secrets)
        body = {"errcode": 1, "code": 1, "errmsg": words, "msg": words, "reason": words, "result": words}
        content = json.dumps(body) if kind is Rejected else f"<html>{words}</html>"
        rig.stage.app = answering(status, content.encode())
        error = await rig.failure(rig.robot.post(rig.message()))
        assert isinstance(error, kind | Misunderstood)


async def test_secrets_do_not_show_in_the_robot(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in its text, nor in the log of a call at the most talkative level; what the stand-in logs is its own."""
    with caplog.at_level(logging.DEBUG):
        await rig.robot.post(rig.message())
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    told = f"{rig.dialect!r} {rig.robot!r} {vars(rig.robot)!r} {ours}"
    assert not [secret for secret in rig.dialect.secrets if secret in told]


# ---- drills

REHEARSED = Message("【演练】库存 #7", room=ROOM, is_drill=True)


async def test_a_drill_goes_out_only_where_it_is_wanted(rig: Rig) -> None:
    """Without `include_drills` the robot refuses it; with it, it shows."""
    error = await rig.failure(rig.robot.post(REHEARSED))
    assert (type(error), error.code) == (Rejected, GUARDED)
    assert rig.desk.calls == 0
    await rig.another(include_drills=True).post(REHEARSED)
    assert rig.desk.texts == [REHEARSED.text]


async def test_the_guard_stands_before_the_network(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drill at a robot without drills, and anything at a guarded robot, opens no socket and sends nothing."""
    opened = socket_guard(monkeypatch)
    async with httpx.AsyncClient(trust_env=False) as fresh:
        rig.transport = Transport(fresh, LIMITS)
        plain, guarded = rig.another(), rig.another(is_guarded=True)
        await rig.failure(plain.post(REHEARSED))
        assert (await guarded.post(REHEARSED)).is_rehearsed
        assert (await guarded.post(rig.message())).is_rehearsed
        assert not opened
        # The guard of this test sees what opens one.
        await rig.failure(plain.post(rig.message()))
        assert opened
    assert rig.desk.calls == 0


def socket_guard(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """From now on nothing connects; what tried to is listed."""
    opened: list[object] = []

    async def refuse(*arguments: object, **named: object) -> object:
        opened.append((arguments, named))
        raise OSError("guarded")

    loop = asyncio.get_running_loop()
    for name in ("create_connection", "sock_connect"):
        monkeypatch.setattr(type(loop), name, refuse)
    return opened


# ---- sizes


async def test_a_text_that_is_too_large_is_never_sent(rig: Rig) -> None:
    """The limit counts bytes: as many characters of Chinese as of ASCII are three times too many."""
    limit = rig.robot.limits.text_bytes_max
    for text in ("a" * (limit + 1), "库" * (limit // 3 + 1), ""):
        error = await rig.failure(rig.robot.post(rig.message(text)))
        assert (type(error), error.code) == (Rejected, TOO_LARGE)
    assert rig.desk.calls == 0


async def test_a_text_of_exactly_the_limit_is_taken(rig: Rig) -> None:
    """In ASCII, in Chinese, and in what JSON writes in two bytes."""
    limit = rig.robot.limits.text_bytes_max
    for text in ("a" * limit, "库" * (limit // 3), '"' * limit):
        await rig.robot.post(rig.message(text))
        assert rig.desk.texts[-1] == text


def answering(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Any:
    """A server that says this to everybody."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()
        await Response(body, status, headers=dict(headers or {}))(scope, receive, send)

    return answer
