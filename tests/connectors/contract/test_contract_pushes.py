"""What every platform promises of its pushes: a genuine one names its order, and nothing else gets in."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.base import Hint, Inbound
from connectors.errors import Forged
from connectors.sandbox.douyin import DouyinSandbox
from connectors.sandbox.kuaishou import KuaishouSandbox
from connectors.sandbox.kuaishou.pushes import seal
from connectors.sandbox.serving import serving
from connectors.sandbox.taobao import TaobaoSandbox
from tests.connectors.contract.storefront import CUP, Storefront, until

MEGABYTE = 2**20
GARBAGE = [
    b"",
    b"0",
    b"null",
    b"[]",
    b"{}",
    b"a" * MEGABYTE,
    b"[" * MEGABYTE,
    bytes(MEGABYTE),
    b"AAAA" * (MEGABYTE // 4),
    b"\xff\xfe" * 1000,
    b'[{"tag":"101","msg_id":"1","data":"{\\"p_id\\":1}"}]',
    b'{"event":"kwaishop_order_addOrder","eventId":"1","info":"{\\"oid\\":1}"}',
]


class Ear:
    """Hears what the platform sends over HTTP, and answers as the connector does."""

    def __init__(self, front: Storefront, *, taken: bool = True) -> None:
        self.heard: list[Inbound] = []
        self.app = Starlette(routes=[Route("/", self._answer, methods=["POST"])])
        self._front, self._taken = front, taken

    async def _answer(self, request: Request) -> Response:
        self.heard.append(
            Inbound({name.lower(): value for name, value in request.headers.items()}, await request.body())
        )
        reply = self._front.platform.reply(taken=self._taken)
        return Response(reply.body, reply.status)


@asynccontextmanager
async def listening(front: Storefront) -> AsyncIterator[Ear]:
    """Somebody listens where the platform pushes to."""
    ear = Ear(front)
    async with serving(ear.app) as address:
        front.stall.push_url = f"http://{address}/"
        yield ear
        front.stall.push_url = ""


async def a_push(front: Storefront, ear: Ear) -> tuple[str, Inbound]:
    """A buyer orders: the order's id, and the push about it."""
    order_id = front.shop.place({CUP: 1}).order_id
    await until(lambda: bool(ear.heard))
    return order_id, ear.heard[0]


def by_http(front: Storefront) -> bool:
    """Whether the platform sends HTTP pushes at all; Taobao's messages come over a connection of ours."""
    return not isinstance(front.sandbox, TaobaoSandbox)


async def test_a_genuine_push_names_its_order(front: Storefront) -> None:
    """Or, over the long connection, a message does; what it says otherwise nobody believes."""
    if not by_http(front):
        hints: list[Hint] = []

        async def hear(hint: Hint) -> None:
            hints.append(hint)

        task = asyncio.create_task(front.platform.listen(hear))
        order_id = front.shop.place({CUP: 1}).order_id
        await until(lambda: order_id in {hint.order_id for hint in hints})
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert all(hint.message_id for hint in hints)
        return
    await front.platform.listen(_nobody)
    async with listening(front) as ear:
        order_id, push = await a_push(front, ear)
        [hint] = front.platform.open(push)
        assert (hint.order_id, bool(hint.message_id)) == (order_id, True)


async def test_a_replayed_push_is_known_by_its_id(front: Storefront) -> None:
    """The same bytes again are the same message; another order's push is another."""
    if not by_http(front):
        return
    async with listening(front) as ear:
        _, push = await a_push(front, ear)
        front.shop.place({CUP: 1})
        await until(lambda: len(ear.heard) > 1)
        first, again, other = (front.platform.open(one)[0] for one in (push, push, ear.heard[1]))
        assert first == again
        assert other.message_id != first.message_id


async def test_a_push_of_somebody_else_is_forged(front: Storefront) -> None:
    """It is signed or sealed with another secret; the error tells nothing of ours."""
    if isinstance(front.sandbox, TaobaoSandbox):
        refuse(front, Inbound({}, b'{"tid":1}'))
        return
    async with listening(front) as ear:
        if isinstance(front.sandbox, DouyinSandbox):
            await front.sandbox.pushes.forge("2000000000000000001")
        else:
            front.sandbox.pushes.forge(2_000_000_000_000_000_001)
        await until(lambda: bool(ear.heard))
        refuse(front, ear.heard[0])


async def test_a_push_that_was_tampered_with_is_forged(front: Storefront) -> None:
    """One byte of the body, at the beginning, the end, or anywhere between; or one more."""
    if not by_http(front):
        return
    async with listening(front) as ear:
        order_id, push = await a_push(front, ear)
        body = push.body
        for place in (0, len(body) // 2, len(body) - 5):
            spoiled = bytes([*body[:place], body[place] ^ 1, *body[place + 1 :]])
            try:
                hints = front.platform.open(Inbound(push.headers, spoiled))
            except Forged as error:
                front.require_discreet(error)
                continue
            # What is only encrypted can be spoiled in places where nothing is said; it never names another order.
            assert isinstance(front.sandbox, KuaishouSandbox)
            assert {hint.order_id for hint in hints} <= {order_id}
        for other in (body + b" x", body[:-1], body[: len(body) // 2], body * 2):
            refuse(front, Inbound(push.headers, other))


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_forged(front: Storefront, body: bytes) -> None:
    """A megabyte of it too, with the headers of a genuine push or without; nothing crashes."""
    async with listening(front) as ear:
        headers = (await a_push(front, ear))[1].headers if by_http(front) else {}
    refuse(front, Inbound(headers, body))
    refuse(front, Inbound({}, body))
    refuse(front, Inbound(dict.fromkeys(headers, "\udcff\N{SNOWMAN}"), body))


async def test_a_genuine_push_of_a_kind_nobody_knows_is_of_no_order(front: Storefront) -> None:
    """It is answered as taken, so that it does not come again and again."""
    match front.sandbox:
        case DouyinSandbox():
            async with listening(front) as ear:
                for tag in ("999", "0", "4", "1xx9"):
                    front.sandbox.pushes._tell(tag, {"odd": [1, None, "库存"]})
                await until(lambda: len(ear.heard) == 4)
                assert [front.platform.open(push) for push in ear.heard] == [[]] * 4
        case KuaishouSandbox():
            async with listening(front) as ear:
                front.sandbox.pushes.tell("kwaishop_unheard_of", {"odd": [1, None, "库存"]})
                front.sandbox.pushes.heartbeat()
                await until(lambda: len(ear.heard) == 2)
                assert [front.platform.open(push) for push in ear.heard] == [[]] * 2
        case TaobaoSandbox():
            refuse(front, Inbound({}, b""))


async def test_a_genuine_push_without_sense_is_forged(front: Storefront) -> None:
    """Signed or sealed as it should be, and about an order that has no id: somebody holds the secret who should not."""
    match front.sandbox:
        case DouyinSandbox():
            async with listening(front) as ear:
                for data in ({}, {"p_id": None}, {"p_id": [1]}, {"order": 1}):
                    front.sandbox.pushes._tell("101", data)
                await until(lambda: len(ear.heard) == 4)
                for push in ear.heard:
                    refuse(front, push)
        case KuaishouSandbox():
            secret = front.sandbox.settings.message_secret
            for info in ("", "null", "[]", '{"oid":"../etc"}', '{"oid":-1}', '{"oid":1.5}', "{" * 5000):
                message = {"eventId": "1", "event": "kwaishop_order_addOrder", "info": info}
                refuse(front, Inbound({}, seal(json.dumps(message).encode(), secret)))
        case TaobaoSandbox():
            refuse(front, Inbound({}, b""))


async def test_what_was_not_taken_in_is_asked_for_again(front: Storefront) -> None:
    """The two replies differ, and the platform tells them apart: a push that is answered "not taken" is not done."""
    taken, not_taken = front.platform.reply(taken=True), front.platform.reply(taken=False)
    assert taken != not_taken
    json.loads(taken.body)
    if not by_http(front):
        return
    ear = Ear(front, taken=False)
    async with serving(ear.app) as address:
        front.stall.push_url = f"http://{address}/"
        await a_push(front, ear)
        front.stall.push_url = ""
    match front.sandbox:
        case DouyinSandbox():
            assert front.sandbox.pushes.taken_in == 0
        case KuaishouSandbox():
            assert front.sandbox.pushes.counts["taken"] == 0


def refuse(front: Storefront, inbound: Inbound) -> None:
    """Fail unless the push is taken for a forgery, in words that tell no secret."""
    with pytest.raises(Forged) as caught:
        front.platform.open(inbound)
    front.require_discreet(caught.value)


async def _nobody(hint: Hint) -> None:
    raise AssertionError(f"nobody speaks here: {hint}")
