"""Pushes: what the platform sends, and what the connector makes of what comes in."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.base import Hint, Inbound
from connectors.douyin import Credentials, SignMethod
from connectors.douyin.pushes import opened
from connectors.douyin.signing import event_sign
from connectors.errors import Forged
from connectors.sandbox.douyin import DouyinSettings
from connectors.sandbox.serving import serving
from tests.connectors.douyin.rig import CUP, PLATE, SEED, STILL, Rig, rigged

CREDENTIALS = Credentials("7123456789012345678", "01234567-89ab-cdef-0123-456789abcdef")
PATIENCE_SECONDS = 5.0


@dataclass
class Ear:
    """Where pushes go: it opens them, and takes them in unless it is told not to."""

    rig: Rig
    refuses: int = 0
    hints: list[Hint] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    forged: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear(self, request: Request) -> Response:
        """One push."""
        inbound = Inbound(dict(request.headers), await request.body())
        async with self._news:
            self.bodies.append(inbound.body)
            taken = self.refuses <= 0
            self.refuses -= 1
            try:
                hints = self.rig.douyin.open(inbound)
            except Forged:
                self.forged += 1
                taken, hints = False, []
            if taken:
                self.hints += hints
            self._news.notify_all()
        reply = self.rig.douyin.reply(taken=taken)
        return Response(reply.body, reply.status, media_type="application/json")

    async def has_heard(self, bodies: int) -> None:
        """Wait for so many pushes."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._news:
            await self._news.wait_for(lambda: len(self.bodies) >= bodies)


@asynccontextmanager
async def listening(rig: Rig) -> AsyncIterator[Ear]:
    """An ear on a free port, and the sandbox sending to it."""
    ear = Ear(rig)
    async with serving(Starlette(routes=[Route("/push", ear.hear, methods=["POST"])])) as address:
        rig.sandbox.push_url = f"http://{address}/push"
        running = asyncio.create_task(rig.sandbox.run())
        yield ear
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("by", list(SignMethod))
async def test_an_orders_life_is_pushed(by: SignMethod) -> None:
    """Every step of an order comes as a hint with its id, under its own msg_id, whichever way events are signed."""
    async with rigged(DouyinSettings(event_sign_method=by)) as rig, listening(rig) as ear:
        order = rig.shop.place({CUP: 2, PLATE: 1})
        rig.shop.pay(order.order_id)
        rig.shop.refund(order.order_id, order.lines[0].line_id, 1)
        rig.shop.ship(order.order_id)
        closed = rig.shop.place({CUP: 1})
        rig.shop.close(closed.order_id)
        await ear.has_heard(6)
        tags = sorted(json.loads(body)[0]["tag"] for body in ear.bodies)
        assert tags == ["100", "100", "101", "102", "106", "206"]
        assert sorted(hint.order_id for hint in ear.hints) == [order.order_id] * 4 + [closed.order_id] * 2
        assert len({hint.message_id for hint in ear.hints}) == 6


async def test_what_is_not_taken_in_comes_again() -> None:
    """A push that is not acknowledged is sent again, under the same msg_id, until it is, or is given up."""
    async with rigged(DouyinSettings(push_again_seconds=0.01, push_tries_max=3)) as rig, listening(rig) as ear:
        ear.refuses = 2
        order = rig.sell(1)
        await ear.has_heard(4)
        assert {hint.order_id for hint in ear.hints} == {order.order_id}
        assert len({hint.message_id for hint in ear.hints}) == len(ear.hints) == 2
        ear.refuses = 100
        rig.shop.ship(order.order_id)
        await ear.has_heard(7)
        assert len(set(ear.bodies[4:])) == 1


async def test_pushes_are_lost_and_repeated_by_the_weather() -> None:
    """What is lost never comes; what is repeated comes with the same msg_id."""
    async with rigged() as rig, listening(rig) as ear:
        rig.faults.weather = replace(STILL, push_lose=1.0)
        rig.shop.place({CUP: 1})
        while not rig.sandbox.pushes._queue.empty():  # noqa: ASYNC110 - until the sender has had its turn
            await asyncio.sleep(0)
        rig.faults.weather = replace(STILL, push_repeat=1.0)
        order = rig.shop.place({CUP: 1})
        await ear.has_heard(2)
        assert ear.bodies[0] == ear.bodies[1]
        assert [hint.order_id for hint in ear.hints] == [order.order_id] * 2


async def test_the_probe_is_answered_and_the_forger_is_not() -> None:
    """The registration probe is taken in and is no hint; a push without the secret is refused."""
    async with rigged() as rig, listening(rig) as ear:
        assert await rig.sandbox.pushes.probe()
        assert not await rig.sandbox.pushes.forge("5")
        assert (ear.hints, ear.forged) == ([], 1)


async def test_there_is_no_long_connection(rig: Rig) -> None:
    """`listen` returns at once."""
    heard: list[Hint] = []

    async def hear(hint: Hint) -> None:
        heard.append(hint)

    await rig.douyin.listen(hear)
    assert heard == []


# ---- what comes in


def inbound(body: bytes, sign: str | None = None, **headers: str) -> Inbound:
    """A push, signed as it should be unless `sign` is given."""
    signed = event_sign(CREDENTIALS.app_key, CREDENTIALS.app_secret, body) if sign is None else sign
    return Inbound({"app-id": CREDENTIALS.app_key, "event-sign": signed} | headers, body)


def about(tag: str, data: object, msg_id: object = "m-1") -> bytes:
    """A push of one entry."""
    return json.dumps([{"tag": tag, "msg_id": msg_id, "data": json.dumps(data)}]).encode()


def test_ids_are_exact_whatever_form_they_come_in() -> None:
    """Nineteen digits, as a number or as a string, lose none; `msg_id` too."""
    for order_id in (4781966584901930067, "4781966584901930067"):
        body = about("101", {"p_id": order_id, "shop_id": 1}, 9223372036854775807)
        assert opened(CREDENTIALS, inbound(body)) == [Hint("9223372036854775807", "4781966584901930067")]


def test_several_entries_are_several_hints() -> None:
    """An array is read whole; what is about no order is passed over."""
    entries = [json.loads(about(tag, data, str(n)))[0] for n, (tag, data) in enumerate(MIXED)]
    hints = opened(CREDENTIALS, inbound(json.dumps(entries).encode()))
    assert [(hint.message_id, hint.order_id) for hint in hints] == [("1", "11"), ("3", "12")]


MIXED: list[tuple[str, object]] = [
    ("0", "2026-01-02 03:04:05"),
    ("106", {"p_id": 11}),
    ("400", {"product_id": 5}),
    ("206", {"p_id": 12, "aftersale_id": 7}),
    ("9999", "?"),
]


def test_a_replayed_push_is_the_same_hint() -> None:
    """The signature holds no time: a replay passes, and can be told by its msg_id."""
    push = inbound(about("101", {"p_id": 1}))
    assert opened(CREDENTIALS, push) == opened(CREDENTIALS, push)


def test_what_is_not_the_platforms_is_forged() -> None:
    """No signature, another's, one of another body or another method, or another application: `Forged`."""
    body = about("101", {"p_id": 1})
    good = event_sign(CREDENTIALS.app_key, CREDENTIALS.app_secret, body)
    by_hmac = event_sign(CREDENTIALS.app_key, CREDENTIALS.app_secret, body, SignMethod.HMAC_SHA256)
    for push in (
        inbound(body, ""),
        inbound(body, "é\udcff"),
        inbound(body, good.upper()),
        inbound(body, good[:-1]),
        inbound(body, by_hmac),
        inbound(body + b" ", good),
        inbound(body, **{"app-id": "1"}),
        inbound(body, event_sign(CREDENTIALS.app_key, "guess", body)),
        Inbound({}, body),
        inbound(b" " * 2_000_000 + body),
    ):
        with pytest.raises(Forged):
            opened(CREDENTIALS, push)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[1]",
        b"[{}]",
        b"\xff\xfe",
        b"[" * 200_000,
        b'[{"tag":"101","msg_id":"1"}]',
        b'[{"tag":"101","msg_id":"1","data":{}}]',
        b'[{"tag":"101","msg_id":"1","data":"{"}]',
        b'[{"tag":"101","msg_id":"1","data":"[]"}]',
        b'[{"tag":"101","msg_id":"1","data":"{\\"p_id\\":1.5}"}]',
        b'[{"tag":"101","msg_id":"1","data":"{\\"p_id\\":null}"}]',
        b'[{"tag":"101","msg_id":[],"data":"{\\"p_id\\":1}"}]',
        b'[{"tag":"101","msg_id":"1","data":"' + b"[" * 200_000 + b'"}]',
    ],
)
def test_garbage_is_forged_even_if_it_is_signed(body: bytes) -> None:
    """A body that is not a push raises `Forged` and nothing else, quickly."""
    begun = time.monotonic()
    with pytest.raises(Forged):
        opened(CREDENTIALS, inbound(body))
    assert time.monotonic() - begun < 1


def test_random_bytes_never_get_through() -> None:
    """Any byte of a push that is changed is noticed."""
    print(f"seed {SEED}")
    push = inbound(about("101", {"p_id": 4781966584901930067}))
    for place in range(len(push.body)):
        body = push.body[:place] + bytes([push.body[place] ^ 1]) + push.body[place + 1 :]
        with pytest.raises(Forged):
            opened(CREDENTIALS, replace_body(push, body))


def replace_body(push: Inbound, body: bytes) -> Inbound:
    """The same push with another body."""
    return Inbound(push.headers, body)
